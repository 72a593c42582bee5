//! The store against a real moto, started by each test, with signatures and permissions checked.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub(in crate::store) mod kit;
mod locks;
mod logins;
mod reading;
mod writing;
