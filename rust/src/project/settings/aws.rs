//! Settings of the store `aws`.

use toml::Value as Toml;

use super::vault::{default_name, name};
use super::{Template, text};
use crate::net::ServerUrl;

/// The table `[aws]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsSettings {
    /// The region; without, the AWS configuration says it.
    pub region: Option<String>,
    /// The profile in the AWS configuration files; where it is set, the environment's keys are not used.
    pub profile: Option<String>,
    /// The address of the service, where it is not the region's own.
    pub endpoint: Option<ServerUrl>,
    /// The name of a token.
    pub name: Template,
    /// The field of a JSON secret that holds the token; without, the secret is the token.
    pub field: Option<String>,
    /// Which version is read.
    pub stage: Stage,
}

/// Which version of a secret is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `AWSCURRENT`.
    Current,
    /// `AWSPREVIOUS`.
    Previous,
}

impl Default for AwsSettings {
    fn default() -> Self {
        Self { region: None, profile: None, endpoint: None, name: default_name(), field: None, stage: Stage::Current }
    }
}

impl AwsSettings {
    /// Sets one member of the table.
    pub(super) fn set(&mut self, key: &str, value: &Toml) -> Result<(), String> {
        match key {
            "region" => {
                let region = text(value)?;
                // It becomes a part of the host's name.
                if !region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
                    return Err("it must be the name of a region, as `eu-central-1`".to_owned());
                }
                self.region = Some(region);
            }
            "profile" => self.profile = Some(text(value)?),
            "endpoint" => {
                self.endpoint = Some(ServerUrl::named(&text(value)?, "aws.endpoint").map_err(|e| e.message)?);
            }
            "name" => self.name = name(value)?,
            "field" => self.field = Some(text(value)?),
            "stage" => {
                self.stage = match text(value)?.as_str() {
                    "AWSCURRENT" => Stage::Current,
                    "AWSPREVIOUS" => Stage::Previous,
                    _ => return Err("it must be `AWSCURRENT` or `AWSPREVIOUS`".to_owned()),
                }
            }
            _ => {}
        }
        Ok(())
    }
}
