//! The store against a real OpenBao, started by each test.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod audited;
pub(crate) mod kit;
mod logins;
mod reading;
mod writing;
