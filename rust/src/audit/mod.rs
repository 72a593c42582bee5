//! Intents and outcomes: the audit log.
//!
//! An entry before each call, durable before the token goes on the wire, and one after it. No entry, no call.
//!
//! # The files
//!
//! One log a user and host, in one folder (mode 0700, this user's own, no symbolic link):
//!
//! | file | what it is |
//! |---|---|
//! | `audit-<uid>@<host>-000001.jsonl` | the entries: a segment. The one with the highest number is written to |
//! | `audit-<uid>@<host>.lock` | held while an entry is appended; holds `<process id> <host>` of the last holder. Never renamed or removed |
//! | `audit-<uid>@<host>-000001.torn-<offset>-<n>` | what was cut from that segment at that offset |
//!
//! `<uid>` is the user's number (on Windows the name). In both parts of the name, what is no letter, digit, `.`
//! or `-` is written `_`. Files have mode 0600, are appended to and never rewritten, renamed or removed by
//! keycap; a torn tail (below) is the only thing that is ever cut.
//!
//! # The format, version 1
//!
//! A segment is UTF-8 text of lines that end in `\n`. Each line is one JSON object without blanks outside
//! texts, with its keys in this order. Control characters, and characters that turn or hide text, are escaped
//! (`\n`, `\u001b`, `\u202e`), so a line is safe to print. A key whose value is not known is left out. Later
//! versions of keycap may add keys and phases under the same `v`; readers pass over what they do not know. `v`
//! changes when the chain or the meaning of a key does.
//!
//! | key | value |
//! |---|---|
//! | `v` | version of the format: 1 |
//! | `seq` | sequence number: 1 for the first entry of the log, then one more each line |
//! | `prev` | SHA-256 of the line before, its `\n` included, as 64 lower-case hexadecimal characters; 64 zeros in the first |
//! | `time` | when the entry was written: UTC, microseconds, `2025-11-21T23:56:06.123456Z` |
//! | `host`, `uid`, `user`, `pid` | host name; the user's number (not on Windows) and name; process id |
//! | `keycap` | version of keycap's core |
//! | `phase` | what the entry is: see below |
//! | … | the phase's own keys |
//! | `check` | the first 16 hexadecimal characters of the SHA-256 of the line's bytes before `,"check":` |
//!
//! | phase | keys |
//! |---|---|
//! | `intent` | `call_id`, `action`, `project`, `project_id`, `redcap_user`, `origin`, `bound_by`, `token_name`, `source`, `source_request_id`, `fingerprint`: see [`Intent`] |
//! | `outcome` | `call_id`, `status`, `class`, `server_date`, `records`, `bytes`, `duration_us`: see [`Outcome`] |
//! | `refused` | `action`, `project`, `origin`, `token_name`, `source`, `fingerprint`, `reason`: see [`Refused`] |
//! | `change` | `call_id`, `action`, `project`, `token_name`, `store`, `from`, `fingerprint`, `replaced`, `detail`: see [`Change`]; an `outcome` follows |
//! | `recover` | `offset`, `bytes`, `sha256`, `kept_as`: a tail of that many bytes was found at that offset and moved to that file |
//!
//! `prev` chains the lines: what is altered, taken out, put in or exchanged in the middle shows. `check` finds
//! damage in the last line, which no other line vouches for; it is no seal, since whoever edits a line can
//! compute it anew. That a log was cut short, or written anew from some line on, shows only against a size and
//! a hash that are kept elsewhere.
//!
//! By hand, for line 17 of a segment:
//!
//! ```sh
//! sed -n 16p FILE | sha256sum                                       # is `prev` of line 17
//! sed -n 17p FILE | sed 's/,"check":"[0-9a-f]*"}$//' | tr -d '\n' | sha256sum | cut -c 1-16    # is its `check`
//! ```
//!
//! # Several processes, crashes
//!
//! Whoever appends holds the lock, reads the last line, and writes all lines of a batch with one write. The
//! data are made durable after the lock is released, so that processes share the wait for the disk. Within a process
//! calls that run side by side share lock, write and wait: whoever comes first writes for all who wait.
//!
//! A tail without `\n` (a process was killed while it wrote, the machine lost power), or a last line that is
//! no entry, is copied durably to a file of its own, then cut; a `recover` entry says so, and number and `prev`
//! go on from the line before it. A line that is damaged elsewhere is left as it is, and so is a last line that
//! reads as an entry while its check is wrong: verifying shows them. A file that has lines and no entry at all
//! is never taken for an empty one: nothing is written, and nothing is called.

mod cause;
mod entry;
mod file;
mod history;
mod line;
mod lock;
mod segment;
mod shared;
mod utc;
mod verify;
mod who;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use entry::{Change, Entry, Intent, Outcome, RedcapUser, Refused};
pub(crate) use history::History;
pub(crate) use shared::{OpenCall, SharedLog, SharedLogs};
pub use verify::{Fault, Verdict, verify};

use crate::ctx::Clock;
use crate::error::Result;
use cause::Cause;
use entry::Body;
use file::How;
use line::Head;
use lock::Lock;
use segment::Segment;
use who::Who;

/// How long the lock is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The log of one folder. Its methods block (on the lock, on the disk); any number of threads and processes
/// may call them at once. It holds no open file.
#[derive(Clone)]
pub struct AuditLog {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    patience: Duration,
    /// Asked for once: a directory service may be slow to name the user.
    who: Arc<OnceLock<Who>>,
}

impl AuditLog {
    /// The log in a folder; nothing is opened before the first entry.
    pub fn new(dir: &Path, clock: Arc<dyn Clock>) -> Self {
        let dir = file::without_trailing_slash(dir);
        Self { dir, clock, patience: PATIENCE, who: Arc::default() }
    }

    /// The same log, waiting for the lock no longer than this (10 s by default).
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The file that the next entry goes to. It need not exist.
    pub fn path(&self) -> PathBuf {
        let files = self.who().files(&self.dir);
        files.segment(files.newest().unwrap_or(1))
    }

    /// Writes intents, durably: when this returns, they survive a power cut.
    ///
    /// # Errors
    /// `audit`: the log cannot take the entries; the call must not be made.
    pub fn begin(&self, intents: &[Intent]) -> Result<()> {
        let bodies: Vec<_> = intents.iter().map(Body::Intent).collect();
        self.append(&bodies)?.map_or(Ok(()), |segment| segment.sync())
    }

    /// Writes outcomes. They become durable with the next intent or with [`AuditLog::sync`].
    ///
    /// # Errors
    /// `audit`.
    pub fn finish(&self, outcomes: &[Outcome]) -> Result<()> {
        let bodies: Vec<_> = outcomes.iter().map(Body::Outcome).collect();
        self.append(&bodies).map(drop)
    }

    /// Writes entries that are not calls, durably.
    ///
    /// # Errors
    /// `audit`. What the entry tells of must then not be done; a refusal stands all the same.
    pub fn note(&self, entries: &[Entry]) -> Result<()> {
        let bodies: Vec<_> = entries.iter().map(Body::from).collect();
        self.append(&bodies)?.map_or(Ok(()), |segment| segment.sync())
    }

    /// Makes what was written durable: the end of an operation. Where there is no log, there is nothing to do.
    ///
    /// # Errors
    /// `audit`.
    pub fn sync(&self) -> Result<()> {
        let path = self.path();
        if std::fs::symlink_metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Ok(());
        }
        file::open(&path, How::Write)?.sync_data().map_err(|error| Cause::of(&error).at(&path))
    }

    /// Appends a batch, and gives the segment for whoever wants it durable; none for an empty batch.
    fn append(&self, bodies: &[Body<'_>]) -> Result<Option<Segment>> {
        if bodies.is_empty() {
            return Ok(None);
        }
        file::folder(&self.dir)?;
        let who = self.who();
        let files = who.files(&self.dir);
        let lock = Lock::acquire(&files.lock(), self.patience, who)?;
        let number = files.newest()?;
        let path = files.segment(number);
        let mut segment = Segment::open(path.clone())?;
        if number > 1 && segment.is_empty() {
            // How a further segment begins is not known to this version.
            return Err(Cause::Newer.at(&path));
        }
        let (mut place, recovered) = segment.recover()?;
        let mut lines = Vec::new();
        let time = utc::utc(self.clock.now());
        let head = Head { time: &time, who, pid: std::process::id() };
        let recovered: Vec<_> = recovered.iter().map(Body::Recover).collect();
        for body in recovered.iter().chain(bodies) {
            head.write(body, &mut place, &mut lines).map_err(|error| Cause::of(&error).at(&path))?;
        }
        segment.append(&lines)?;
        drop(lock);
        Ok(Some(segment))
    }

    fn who(&self) -> &Who {
        self.who.get_or_init(Who::ask)
    }
}
