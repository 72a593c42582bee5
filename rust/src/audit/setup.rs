//! How the log is kept, and what makes R call: told anew with each operation.

use std::path::PathBuf;

use super::entry::Program;

/// A segment that has this many bytes is followed by another one.
const SEGMENT: u64 = 64 << 20;

/// How the log is kept, and what makes R call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// What makes R call.
    pub program: Program,
    /// The second device.
    pub second: Option<Second>,
    /// The size from which on a segment is followed by another one.
    pub segment_bytes: u64,
    /// Whether the folder's group may read the log.
    pub group_readable: bool,
    /// Whether ids of records stand in the log as they are.
    pub plain_record_ids: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            program: Program::default(),
            second: None,
            segment_bytes: SEGMENT,
            group_readable: false,
            plain_record_ids: false,
        }
    }
}

/// Where each entry goes besides the log's own folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Second {
    /// Another folder, which has a log of its own.
    Folder(PathBuf),
    /// The system's log: syslog or journald behind this socket, `/dev/log`.
    Syslog(PathBuf),
}
