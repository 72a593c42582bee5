//! Intents and outcomes: the audit log.
//!
//! An entry before each call, durable before the token goes on the wire, and one after it. No entry, no call.
//!
//! # The files
//!
//! One log a user and host, in one folder (this user's own, no symbolic link, mode 0700):
//!
//! | file | what it is |
//! |---|---|
//! | `audit-<uid>@<host>-000001.jsonl` | the entries: a segment. The one with the highest number is written to |
//! | `audit-<uid>@<host>.lock` | held while an entry is appended; holds `<process id> <host>` of the last holder. Never renamed or removed |
//! | `audit-<uid>@<host>-000001.torn-<offset>-<n>` | what was cut from that segment at that offset |
//! | `audit-<uid>@<host>.pub`, `.checkpoints` | the public keys and all signed checkpoints; rights as those of segments |
//! | `audit-<uid>@<host>.key` | 64 hexadecimal characters: the key of the digests of record ids. Mode 0600 always |
//!
//! `<uid>` is the user's number (on Windows the name). In both parts of the name, what is no letter, digit, `.`
//! or `-` is written `_`. `audit-<uid>@<host>` is the log's *origin*: what a checkpoint calls it. Segments and torn
//! tails have mode 0600; where the site sets `audit_group_readable` they have 0640 and the folder 0750, for the group
//! that the folder has. Files are appended to and never rewritten, renamed or removed by keycap; a torn tail (below) is
//! the only thing that is ever cut.
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
//! | `seq` | sequence number: 1 for the first entry of the log, then one more each line, through all segments |
//! | `prev` | SHA-256 of the line before, its `\n` included, as 64 lower-case hexadecimal characters; 64 zeros in the log's first line. For a segment's first line the line before is the last one of the segment before |
//! | `time` | when the entry was written: UTC, microseconds, `2025-11-21T23:56:06.123456Z` |
//! | `host`, `uid`, `user`, `pid` | host name; the user's number (not on Windows) and name; process id |
//! | `keycap` | version of keycap's core |
//! | `phase` | what the entry is: see below |
//! | … | the phase's own keys |
//! | `check` | the first 16 hexadecimal characters of the SHA-256 of the line's bytes before `,"check":` |
//!
//! | phase | keys |
//! |---|---|
//! | `intent` | `call_id`, `action`, `project`, `project_id`, `redcap_user`, `origin`, `bound_by`, `token_name`, `source`, `source_request_id`, `fingerprint`: see [`Intent`]; `record_digests` or `record_ids`, and the program's keys (below) |
//! | `outcome` | `call_id`, `status`, `class`, `server_date`, `records`, `bytes`, `duration_us`: see [`Outcome`] |
//! | `refused` | `action`, `project`, `origin`, `token_name`, `source`, `fingerprint`, `reason`: see [`Refused`]; the program's keys |
//! | `change` | `call_id`, `action`, `project`, `token_name`, `store`, `from`, `fingerprint`, `replaced`, `detail`: see [`Change`]; the program's keys; an `outcome` follows |
//! | `segment` | `reason`, `after`, `after_size`, `after_hash`: see [`Opening`]; the first line of every segment but the first |
//! | `recover` | `offset`, `bytes`, `sha256`, `kept_as`: a tail of that many bytes was found at that offset and moved to that file |
//! | `device` | `device`, `path`, `state`, `cause`: see [`Device`] |
//! | `checkpoint` | `origin`, `entries`, `hash`, `key`, `signature`: see [`Checkpoint`] |
//! | `anchor` | `anchor`, `entries`, `state`, `cause`: see [`Anchoring`] |
//!
//! The program's keys say what made R call, see [`Program`]: `script`, `script_sha256`, `session`, `job`, `login_uid`.
//!
//! `record_digests` stands in the intents of what writes or deletes records, where keycap knows which: for each record
//! the first 16 hexadecimal characters of HMAC-SHA-256 over the id's UTF-8 bytes, with the 32 bytes that the key file
//! writes in hexadecimal characters as key. Who has the key can tell whether a known record was touched; nobody can
//! read ids off the log. Where the site sets `audit_plain_record_ids`, `record_ids` has the ids themselves instead.
//!
//! `prev` chains the lines: what is altered, taken out, put in or exchanged in the middle shows. `check` finds
//! damage in the last line, which no other line vouches for; it is no seal, since whoever edits a line can
//! compute it anew. That a log was cut short, or written anew from some line on, shows only against a number of entries
//! and a hash that are kept elsewhere: a checkpoint.
//!
//! A *checkpoint* is `origin` (`audit-<uid>@<host>`), the number of entries (`seq` of the last line), and the SHA-256 of
//! that line, its `\n` included: what the next line has in `prev`. The entry `checkpoint` is written behind the lines
//! that it vouches for; the signed note itself stands beside the log and with the anchors.
//!
//! By hand, for line 17 of a segment:
//!
//! ```sh
//! sed -n 16p FILE | sha256sum                                       # is `prev` of line 17
//! sed -n 17p FILE | sed 's/,"check":"[0-9a-f]*"}$//' | tr -d '\n' | sha256sum | cut -c 1-16    # is its `check`
//! ```
//!
//! # Segments
//!
//! When a segment has `audit_segment_mb` (64) or more, or when `archive_audit_log()` asks for it, the next entry goes to
//! a new file with the next number. The one before is made durable first, and never written to again. The new one
//! begins with an entry `segment`, which has the name, the size in bytes and the last line's hash of the one before;
//! `seq` and `prev` go on as if there were one file. An empty newest segment was about to be begun.
//!
//! Closed segments may be filed elsewhere, oldest first. A log that begins with a later segment is verified from there:
//! its first line's `seq` and `prev` are taken as they are, and an anchor for the line before is checked against `prev`.
//!
//! # Verifying
//!
//! All segments of one origin, in the order of their numbers; each line in turn. The first thing that is wrong ends it,
//! and is the verdict *tampered*, with file, line number in it and `seq` expected:
//!
//! | fault | what it is |
//! |---|---|
//! | `not_an_entry` | the line is no JSON object with `v`, `seq` and `prev`; also a line without `\n` in a segment that is not the newest |
//! | `version` | `v` is higher than the reader knows (verdict *unreadable*) |
//! | `altered` | `check` is not that of the line |
//! | `sequence` | `seq` is not the one that follows |
//! | `previous` | `prev` is not the SHA-256 of the line before |
//! | `segment` | a segment is missing between two, is empty though it is not the newest, begins with another entry than `segment`, or its `after…` do not match the file before |
//! | `anchor` | a line that a checkpoint names has another hash |
//! | `short` | the log ends before the last entry that a checkpoint names, or is missing |
//!
//! Otherwise it is *intact*: *and anchored up to entry N*, where N is the highest entry that a checkpoint from outside
//! names, or *unanchored since N* (0: never) where entries follow that no such checkpoint vouches for (`segment`,
//! `recover`, `device`, `checkpoint` and `anchor` apart: the log's words about itself). What stands behind
//! the last `\n` of the newest segment is a torn tail: it is told with its length, and is no entry. Intents and changes
//! without an outcome are told as evidence. *Unreadable* is a file that cannot be opened or read.
//!
//! # Two devices
//!
//! Where `audit_second` names a second folder, a log of its own is kept there, `audit-<uid>@<host>@second` (no host's
//! name has an `@`): the same entries, under the same call ids, in a chain of their own, which no checkpoint of the first
//! is held against. It may begin later. One durable write is enough for a call; an entry `device` in the log that was
//! written says that the other was lost, and one in the log that is back says that. So each entry of one log is in the
//! other too, but those between such entries, those before the second one began, and the last ones of a process that was
//! killed: verifying tells what is missing otherwise, as evidence. Where `audit_second` is `syslog`, each line goes to
//! the system's log too, as it stands in the file; while the file is lost, with `seq` 0 and zeros in `prev`.
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
//!
//! # Where it may be
//!
//! A log is written by one user of one host, so that a lock has to hold among the processes of one host only, and only
//! one host's cache has what is appended. That holds on local file systems and on NFS (3 and 4, also where locks are
//! local to the host), where `fdatasync` waits for the server. It is not known of SMB, of FUSE (sshfs, rclone, desktop
//! mounts), of 9P (folders of a virtual machine's host), AFS and Coda: there the log is refused. On other file systems of clusters
//! (Lustre, `CephFS`, GPFS, `BeeGFS`) it is written where they grant the lock; Lustre does when mounted with `flock`.

mod anchor;
mod cause;
mod check;
mod checkpoint;
mod device;
mod digests;
mod entry;
mod file;
mod history;
mod key;
mod line;
mod lock;
mod network;
mod note;
mod program;
mod read;
mod segment;
mod setup;
mod shared;
mod twins;
mod uses;
mod utc;
mod verify;
mod who;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use check::{Checked, Finding, Open, State, check};
pub(crate) use checkpoint::{Checkpoints, Delivery, Taken, Unanchored, evidence};
pub use checkpoint::{beside, judge};
pub use entry::{Anchoring, Change, Checkpoint, Device, Entry, Intent, Opening, Outcome, Program, RedcapUser, Refused};
pub(crate) use history::History;
pub use note::{VerifierKey, anchored};
pub use read::{Filter, table};
pub use setup::{Second, Setup};
pub(crate) use shared::{OpenCall, SharedLog, SharedLogs};
pub(crate) use twins::{Lacking, lacking};
pub(crate) use uses::{first_sight, last_use};
pub(crate) use utc::{seconds, utc};
pub use verify::{AnchorState, Fault, Verdict, verify};

use crate::ctx::Clock;
use crate::error::Result;
use cause::Cause;
use digests::Digests;
use entry::Body;
use file::How;
use line::{Head, Place};
use lock::Lock;
use segment::Segment;
use who::{Files, Who};

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
    setup: Arc<Setup>,
    /// Whether it is the one of the second folder, whose name says so: its chain is another one.
    is_second: bool,
}

/// A segment that was closed, for filing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Its file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// `seq` of its last entry.
    pub entries: u64,
    /// The SHA-256 of its last line.
    pub hash: String,
    /// The file that entries go to from now on.
    pub next: PathBuf,
}

/// What was appended: the segment, to be made durable, and its new lines.
struct Appended {
    segment: Segment,
    lines: Vec<u8>,
}

impl AuditLog {
    /// The log in a folder; nothing is opened before the first entry.
    pub fn new(dir: &Path, clock: Arc<dyn Clock>) -> Self {
        let dir = file::without_trailing_slash(dir);
        Self { dir, clock, patience: PATIENCE, who: Arc::default(), setup: Arc::default(), is_second: false }
    }

    /// The same log, waiting for the lock no longer than this (10 s by default).
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same log, kept as the site says and written to by this program.
    #[must_use]
    pub fn with_setup(mut self, setup: Arc<Setup>) -> Self {
        self.setup = setup;
        self
    }

    /// The log that is kept in a second folder: it has a name of its own, so that no checkpoint of the first is held
    /// against it.
    #[must_use]
    pub fn second(mut self) -> Self {
        self.is_second = true;
        self
    }

    /// The file that the next entry goes to. It need not exist.
    pub fn path(&self) -> PathBuf {
        let files = self.files();
        files.segment(files.newest().unwrap_or(1))
    }

    /// What checkpoints call this log: `audit-<uid>@<host>`, and `audit-<uid>@<host>@second` in a second folder.
    pub fn origin(&self) -> String {
        self.files().stem().to_owned()
    }

    /// Writes intents, durably: when this returns, they survive a power cut.
    ///
    /// # Errors
    /// `audit`: the log cannot take the entries; the call must not be made.
    pub fn begin(&self, intents: &[Intent]) -> Result<()> {
        let bodies: Vec<_> = intents.iter().map(Body::Intent).collect();
        self.append(&bodies)?.map_or(Ok(()), |appended| appended.segment.sync())
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
        self.append(&bodies)?.map_or(Ok(()), |appended| appended.segment.sync())
    }

    /// Makes what was written durable: the end of an operation. Where there is no log, there is nothing to do.
    ///
    /// # Errors
    /// `audit`.
    pub fn sync(&self) -> Result<()> {
        let path = self.path();
        if is_missing(&path) {
            return Ok(());
        }
        file::open(&path, How::Write)?.sync_data().map_err(|error| Cause::of(&error).at(&path))
    }

    /// What a checkpoint of this log says now; none where it has no entry.
    ///
    /// # Errors
    /// `audit`: it cannot be read, or is damaged at its end.
    pub fn state(&self) -> Result<Option<AnchorState>> {
        let files = self.files();
        if is_missing(&self.dir) || is_missing(&files.segment(files.newest()?)) {
            return Ok(None);
        }
        file::folder(&self.dir, &self.setup)?;
        let _lock = Lock::acquire(&files.lock(), self.patience, self.who())?;
        let number = files.newest()?;
        let mut place = Segment::open(files.segment(number), &self.setup)?.place()?;
        if place.seq == 0 && number > 1 {
            place = Segment::open(files.segment(number - 1), &self.setup)?.place()?;
        }
        Ok((place.seq > 0).then(|| AnchorState {
            origin: files.stem().to_owned(),
            entries: place.seq,
            hash: place.hash,
        }))
    }

    /// Closes the segment that is written to, for filing, and begins the next one, durably. None where nothing was
    /// written since the last one was closed.
    ///
    /// # Errors
    /// `audit`.
    pub fn archive(&self) -> Result<Option<Closed>> {
        let files = self.files();
        if is_missing(&self.dir) || is_missing(&files.segment(files.newest()?)) {
            return Ok(None);
        }
        file::folder(&self.dir, &self.setup)?;
        let _lock = Lock::acquire(&files.lock(), self.patience, self.who())?;
        let (mut end, mut place, recovered) = self.end(&files)?;
        let mut lines = Vec::new();
        let time = utc::utc(self.clock.now());
        let head = self.head(&time);
        head.write_all(&recovered.iter().map(Body::Recover).collect::<Vec<_>>(), None, &mut place, &mut lines)
            .map_err(|error| Cause::of(&error).at(end.segment.path()))?;
        end.segment.append(&lines)?;
        if end.segment.is_empty() || (end.number > 1 && end.segment.has_one_line()?) {
            return Ok(None);
        }
        end.segment.sync()?;
        let opening = end.segment.opening("archive", &place);
        let closed = Closed {
            path: end.segment.path().to_owned(),
            size: opening.after_size,
            entries: place.seq,
            hash: place.hash.clone(),
            next: files.segment(end.number + 1),
        };
        let mut next = Segment::open(closed.next.clone(), &self.setup)?;
        let mut lines = Vec::new();
        head.write_all(&[Body::Segment(&opening)], None, &mut place, &mut lines)
            .map_err(|error| Cause::of(&error).at(next.path()))?;
        next.append(&lines)?;
        next.sync()?;
        Ok(Some(closed))
    }

    /// Appends a batch, and gives the segment for whoever wants it durable; none for an empty batch.
    fn append(&self, bodies: &[Body<'_>]) -> Result<Option<Appended>> {
        if bodies.is_empty() {
            return Ok(None);
        }
        file::folder(&self.dir, &self.setup)?;
        let files = self.files();
        let lock = Lock::acquire(&files.lock(), self.patience, self.who())?;
        let (mut end, mut place, recovered) = self.end(&files)?;
        if recovered.is_empty() && end.opening.is_none() && end.segment.size() >= self.setup.segment_bytes {
            // Whatever the new segment says of this one has to be so after a power cut, too.
            end.segment.sync()?;
            let opening = end.segment.opening("size", &place);
            end.number += 1;
            end.segment = Segment::open(files.segment(end.number), &self.setup)?;
            end.opening = Some(opening);
        }
        let digests = Digests::of(bodies, &files, &self.setup)?;
        let time = utc::utc(self.clock.now());
        let head = self.head(&time);
        let mut own: Vec<_> = end.opening.iter().map(Body::Segment).collect();
        own.extend(recovered.iter().map(Body::Recover));
        let mut lines = Vec::new();
        head.write_all(&own, None, &mut place, &mut lines)
            .and_then(|()| head.write_all(bodies, digests.as_ref(), &mut place, &mut lines))
            .map_err(|error| Cause::of(&error).at(end.segment.path()))?;
        end.segment.append(&lines)?;
        drop(lock);
        Ok(Some(Appended { segment: end.segment, lines }))
    }

    /// Where the log ends. Whoever asks holds the lock.
    fn end(&self, files: &Files) -> Result<(End, Place, Vec<entry::Recover>)> {
        let number = files.newest()?;
        let path = files.segment(number);
        let mut segment = Segment::open(path, &self.setup)?;
        let (mut place, recovered) = segment.recover(&self.setup)?;
        let mut opening = None;
        if number > 1 && place.seq == 0 {
            // Whoever began it came no further.
            let before = files.segment(number - 1);
            if is_missing(&before) {
                return Err(Cause::Damaged("it is empty, and the segment before it is missing").at(segment.path()));
            }
            let mut before = Segment::open(before, &self.setup)?;
            place = before.place()?;
            if place.seq == 0 {
                return Err(Cause::Damaged("it is empty, and a later segment is there").at(before.path()));
            }
            opening = Some(before.opening("size", &place));
        }
        Ok((End { number, segment, opening }, place, recovered))
    }

    fn head<'a>(&'a self, time: &'a str) -> Head<'a> {
        Head { time, who: self.who(), pid: std::process::id(), program: &self.setup.program }
    }

    /// The lines of entries that no chain takes: for the system's log, while the file is lost.
    fn loose(&self, bodies: &[Body<'_>]) -> Result<Vec<u8>> {
        let time = utc::utc(self.clock.now());
        let mut lines = Vec::new();
        let written = self.head(&time).write_loose(bodies, &mut lines);
        written.map_err(|error| Cause::of(&error).at(&self.dir))?;
        Ok(lines)
    }

    fn files(&self) -> Files {
        self.who().files(&self.dir, self.is_second)
    }

    fn who(&self) -> &Who {
        self.who.get_or_init(Who::ask)
    }
}

/// The segment that is written to, and its first line where it has none yet.
struct End {
    number: u32,
    segment: Segment,
    opening: Option<Opening>,
}

fn is_missing(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
