//! The user's registry, settings and policy.

use crate::token::FormRule;

/// The merged settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether somebody is there to answer a question, such as the keyring's for its password.
    pub interactive: bool,
    /// Which values are taken for tokens.
    pub token_form: FormRule,
    /// The stores, in the order in which they are asked.
    pub order: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { interactive: false, token_form: FormRule::Redcap, order: ["env", "keyring"].map(str::to_owned).to_vec() }
    }
}
