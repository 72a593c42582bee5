//! Where tokens live, and the order in which a name is looked up.

mod env;
mod keyring;
mod sandbox;

pub use env::Environment;

use crate::ctx::Ctx;
use crate::error::Result;
use crate::token::{Form, Secret, TokenName};

/// What a look-up is about.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The token's name.
    pub token_name: TokenName,
    /// The project's short name: the keyring is asked under it too.
    pub short_name: String,
    /// Whether the bound origin is that of a sandbox that this session started.
    pub sandbox: bool,
}

/// A token as a store gave it.
pub(crate) struct Found {
    pub(crate) secret: Secret,
    pub(crate) form: Form,
    /// `env`, `keyring`, `vault`, `aws`, `command` or `sandbox`.
    pub(crate) source: &'static str,
}

/// Looks a name up in the stores in their order; stops at the first hit. `None`: blank in all of them.
///
/// # Errors
/// `store`: a store is there and fails.
pub(crate) async fn look_up(_ctx: &Ctx, _wanted: &Wanted) -> Result<Option<Found>> {
    Ok(None)
}

/// One store's answer to a look-up of all stores.
pub(crate) struct Sighting {
    pub(crate) source: &'static str,
    pub(crate) answer: Result<Option<Found>>,
}

/// Looks a name up in all stores, for people who want to know (`view_project_token()`).
pub(crate) async fn look_everywhere(_ctx: &Ctx, _wanted: &Wanted) -> Vec<Sighting> {
    Vec::new()
}
