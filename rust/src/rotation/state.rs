//! The error of a rotation that cannot go on.

use crate::error::{Error, Kind};

/// `state` is the fact for programs.
pub(super) fn failed(state: &str, message: impl Into<String>) -> Error {
    Error::new(Kind::Rotation, message).field("state", state)
}
