//! How the audit log is kept.

use std::path::PathBuf;

use toml::Value as Toml;

use super::{flag, folder, text, whole};

/// Where the system's log listens.
const SYSLOG: &str = "/dev/log";

/// How the audit log is kept, beside `audit_dir`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// The second device.
    pub second: Option<AuditSecond>,
    /// The size in megabytes from which on it goes on in another file.
    pub segment_mb: u32,
    /// Whether the group of its folder may read it.
    pub group_readable: bool,
    /// Whether ids of records stand in it as they are.
    pub plain_record_ids: bool,
}

/// The second device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditSecond {
    /// A folder.
    Folder(PathBuf),
    /// The system's log, by the socket where it listens.
    Syslog(PathBuf),
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { second: None, segment_mb: 64, group_readable: false, plain_record_ids: false }
    }
}

impl AuditSettings {
    /// Takes a setting that begins with `audit_`, without that beginning.
    pub(super) fn set(&mut self, key: &str, value: &Toml) -> Result<(), String> {
        match key {
            "second" if text(value)? == "syslog" => self.second = Some(AuditSecond::Syslog(PathBuf::from(SYSLOG))),
            "second" => {
                let folder = folder(value).map_err(|why| format!("{why}, or `syslog`"))?;
                self.second = Some(AuditSecond::Folder(folder));
            }
            "segment_mb" => self.segment_mb = whole(value, 1, 1024)?,
            "group_readable" => self.group_readable = flag(value)?,
            "plain_record_ids" => self.plain_record_ids = flag(value)?,
            _ => {}
        }
        Ok(())
    }
}
