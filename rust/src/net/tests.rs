//! The client against raw listeners on loopback, with TLS where it matters. Each test has its own listeners.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod answers;
mod certificates;
mod faults;
pub(crate) mod kit;
mod proxies;
mod warm;
