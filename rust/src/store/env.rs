//! The environment of the process.

use std::sync::Arc;

use zeroize::Zeroizing;

/// The one environment variable that may hold the token, read on the host's thread (other threads would race
/// with `Sys.setenv()`). Wipes itself.
#[derive(Clone, Default)]
pub struct Environment(Option<Arc<Zeroizing<Vec<u8>>>>);

impl Environment {
    /// Nothing in it.
    pub fn empty() -> Self {
        Self(None)
    }
}
