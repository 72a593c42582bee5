//! The HTTPS client: origins, CA, proxy, time-outs, the I/O thread.
//!
//! What holds here: a token goes to the address that was asked for and nowhere else. Redirects are not followed,
//! nothing is sent twice, loopback never goes through a proxy, certificates are always verified, and what a forked
//! child inherits is forgotten, neither used nor dropped.

mod client;
mod fault;
pub mod io;
mod look_up;
mod origin;
mod process;
mod proxy;
mod settings;
#[cfg(test)]
pub(crate) mod tests;
mod tls;

pub use client::Net;
pub(crate) use client::{Answer, Client, Outbound, WipedBody};
pub(crate) use fault::Fault;
pub use origin::{Origin, ServerUrl};
pub(crate) use process::Own;
pub use proxy::ProxyEnv;
pub use settings::{NetSettings, TrustEnv};
