//! What is set up here: projects, the registry that binds token names to origins, and the settings.

mod grant;
mod registry;
mod rotation;
mod settings;
mod setup;
mod site;
#[cfg(test)]
mod tests;

pub(crate) use grant::{Grant, Grants};
pub(crate) use registry::{Bound, Registries};
pub use registry::{Kept, Project, Verified};
#[cfg(any(test, fuzzing))]
pub(crate) use registry::{parse_project_file, parse_registry};
pub(crate) use rotation::{Begun, Held, Rotations, Step};
pub use settings::{
    Anchor, AnchorPlace, AuditSecond, AuditSettings, AwsSettings, CheckpointSettings, CommandSettings, KeyringSettings,
    KvVersion, Login, OnBreach, OnUnknown, Policies, Policy, Preset, Settings, SettingsSource, Span, Stage,
    StoreSettings, Template, VaultSettings,
};
pub(crate) use settings::{Edit, Wish as SettingWish, is_preset};
#[cfg(test)]
pub(crate) use setup::set_up;
pub(crate) use setup::{Wish, delete, set_up_unless, unknown};
pub use site::site_file;
