//! The HTTPS client: origins, CA, proxy, time-outs, the I/O thread.

pub mod io;

/// The process's clients.
#[derive(Clone, Default)]
pub struct Net;
