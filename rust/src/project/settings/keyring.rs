//! Settings of the store `keyring`.

use toml::Value as Toml;

use super::flag;

/// The table `[keyring]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyringSettings {
    /// Whether a token that is put there is put under the project's short name too, where users of `REDCapSync` may
    /// have it.
    pub short_name: bool,
}

impl KeyringSettings {
    /// Sets one member of the table.
    pub(super) fn set(&mut self, key: &str, value: &Toml) -> Result<(), String> {
        if key == "short_name" {
            self.short_name = flag(value)?;
        }
        Ok(())
    }
}
