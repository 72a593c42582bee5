//! The HTTPS client: origins, CA, proxy, time-outs, the I/O thread.

/// The process's clients.
#[derive(Clone, Default)]
pub struct Net;
