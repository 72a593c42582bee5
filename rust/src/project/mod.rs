//! The user's registry, settings and policy.

/// The merged settings.
#[derive(Clone, Debug, Default)]
pub struct Settings;
