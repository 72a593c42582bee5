//! What a sandbox is told at its start.

use super::generated::Size;

/// How a sandbox is to be. `Config::default()` is what `start_sandbox()` wants.
#[derive(Clone, Debug)]
pub struct Config {
    /// The port on 127.0.0.1; 0 takes any free one.
    pub port: u16,
    /// The REDCap version that it claims.
    pub redcap_version: String,
    /// Whether the documented sample tokens are valid at the start. Without them, tokens come through the
    /// administrator's `issue` and `adopt`.
    pub sample_tokens: bool,
    /// The generated projects that are there from the start.
    pub generated: Vec<Size>,
    /// Requests a minute from one address after which the address is banned; REDCap's own default is 600.
    pub ban_after: Option<u32>,
    /// Whether the sandbox ends when its input does, because its parent is gone. Switched off for a sandbox
    /// in the foreground, whose input may be `/dev/null`.
    pub end_with_input: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            redcap_version: "14.5.5".to_owned(),
            sample_tokens: true,
            generated: Vec::new(),
            ban_after: None,
            end_with_input: true,
        }
    }
}
