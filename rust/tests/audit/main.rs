//! The audit log as its callers and its readers see it: chain, crashes, several processes, unwritable places.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chain;
mod common;
mod crashes;
mod processes;
mod records;
mod segments;
mod torn;
#[cfg(unix)]
mod unwritable;
mod worker;
