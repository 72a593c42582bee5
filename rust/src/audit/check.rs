//! Verifying whole logs: every segment in its order, line by line, and what checkpoints from outside say of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::line::{LONGEST, Place, VERSION, has_check, hash_and_check};
use super::verify::{AnchorState, Fault};
use super::who::segment_of;

/// How often a log is read again that grew while it was read.
const AGAIN: u32 = 3;

/// What verifying one log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The log: `audit-<uid>@<host>`.
    pub origin: String,
    /// Its segments, in their order.
    pub segments: Vec<PathBuf>,
    /// `seq` of the first entry that is here; 0 where there is none.
    pub first: u64,
    /// `seq` of the last entry that was found good.
    pub entries: u64,
    /// The SHA-256 of that line.
    pub hash: String,
    /// The bytes of the segments that were read.
    pub bytes: u64,
    /// The length of a torn tail.
    pub torn: u64,
    /// The highest entry that a checkpoint vouches for; 0 where none does.
    pub anchored: u64,
    /// Intents and changes without an outcome.
    pub open: Vec<Open>,
    /// The answer.
    pub verdict: State,
}

/// An intent or a change of which the log does not say what became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its sequence number.
    pub seq: u64,
    /// When it was written.
    pub time: String,
    /// Its call id.
    pub call_id: String,
    /// Its action.
    pub action: String,
    /// Its project.
    pub project: String,
}

/// The answer of verifying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was altered, and checkpoints from outside vouch for every call.
    Anchored,
    /// Nothing shows that anything was altered; there are calls that no checkpoint from outside vouches for.
    Unanchored,
    /// Something was altered.
    Tampered(Finding),
    /// It cannot be read, and why.
    Unreadable(String),
}

impl State {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Anchored => "anchored",
            Self::Unanchored => "unanchored",
            Self::Tampered(_) => "tampered",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

/// The first thing that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// The line in it, counted from 1; 0 where it is about the file.
    pub line: u64,
    /// The sequence number that belongs there.
    pub seq: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// Verifies the logs in some folders and files, one answer for each log and folder. Of a log that only `anchors` know,
/// the answer is that it is missing.
pub fn check(paths: &[PathBuf], anchors: &[AnchorState]) -> Vec<Checked> {
    let mut answers = Vec::new();
    for log in logs(paths) {
        match log {
            Ok(log) => answers.push(log.check(anchors)),
            Err((path, why)) => answers.push(unreadable(&path, &why)),
        }
    }
    let known: Vec<_> = answers.iter().map(|answer| answer.origin.clone()).collect();
    let mut missing = BTreeMap::new();
    for anchor in anchors.iter().filter(|anchor| anchor.entries > 0 && !known.contains(&anchor.origin)) {
        let most = missing.entry(&anchor.origin).or_insert(0);
        *most = anchor.entries.max(*most);
    }
    for (origin, entries) in missing {
        let finding = Finding { path: PathBuf::new(), line: 0, seq: 1, fault: Fault::Short(entries) };
        answers.push(Checked { origin: origin.clone(), verdict: State::Tampered(finding), ..nothing() });
    }
    answers
}

/// A log: its segments in one folder.
pub(super) struct Log {
    pub(super) origin: String,
    pub(super) segments: BTreeMap<u32, PathBuf>,
}

/// The logs in some folders and files, or what cannot be read.
pub(super) fn logs(paths: &[PathBuf]) -> Vec<Result<Log, (PathBuf, String)>> {
    let mut found: BTreeMap<(PathBuf, String), BTreeMap<u32, PathBuf>> = BTreeMap::new();
    let mut failed = Vec::new();
    for path in paths {
        match files_of(path) {
            Err(error) => failed.push(Err((path.clone(), error.to_string()))),
            Ok(files) => {
                for file in files {
                    let folder = super::file::parent(&file).to_owned();
                    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    // A file that was given another name is a log of its own.
                    let (origin, number) =
                        segment_of(&name).map_or((name.as_str(), 1), |(origin, number)| (origin, number));
                    found.entry((folder, origin.to_owned())).or_default().insert(number, file);
                }
            }
        }
    }
    let found = found.into_iter().map(|((_, origin), segments)| Ok(Log { origin, segments }));
    found.chain(failed).collect()
}

fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for item in std::fs::read_dir(path)? {
        let item = item?;
        if item.file_name().to_str().is_some_and(|name| segment_of(name).is_some()) {
            files.push(item.path());
        }
    }
    Ok(files)
}

impl Log {
    fn check(&self, anchors: &[AnchorState]) -> Checked {
        for _ in 1..AGAIN {
            let size =
                || self.segments.values().map(|path| std::fs::metadata(path).map_or(0, |m| m.len())).sum::<u64>();
            let before = size();
            let checked = self.once(anchors);
            // The tail of a log that is written to just now is not torn: it comes.
            let grows = checked.torn > 0 && {
                std::thread::sleep(Duration::from_millis(50));
                size() != before
            };
            if !grows {
                return checked;
            }
        }
        self.once(anchors)
    }

    fn once(&self, anchors: &[AnchorState]) -> Checked {
        let mut walk = Walk::new(self, anchors);
        let verdict = match walk.all(self) {
            Ok(()) => walk.end(self),
            Err(Stop::Found(finding)) => State::Tampered(finding),
            Err(Stop::Failed(why)) => State::Unreadable(why),
        };
        let mut open: Vec<_> = walk.open.into_values().collect();
        open.sort_by_key(|open| open.seq);
        Checked {
            origin: self.origin.clone(),
            segments: self.segments.values().cloned().collect(),
            first: walk.first,
            entries: walk.place.seq,
            hash: walk.place.hash,
            bytes: walk.bytes,
            torn: walk.torn,
            anchored: walk.anchored,
            open,
            verdict,
        }
    }
}

enum Stop {
    Found(Finding),
    Failed(String),
}

/// What is looked at in a line.
#[derive(Deserialize)]
struct Seen<'a> {
    v: u32,
    #[serde(default)]
    seq: u64,
    #[serde(borrow, default)]
    prev: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
    #[serde(borrow, default)]
    phase: Cow<'a, str>,
    #[serde(borrow, default)]
    call_id: Cow<'a, str>,
    #[serde(borrow, default)]
    action: Cow<'a, str>,
    #[serde(borrow, default)]
    project: Cow<'a, str>,
    #[serde(borrow, default)]
    after: Cow<'a, str>,
    #[serde(default)]
    after_size: u64,
    #[serde(borrow, default)]
    after_hash: Cow<'a, str>,
}

struct Walk<'a> {
    /// What checkpoints say, by the number of entries.
    anchors: HashMap<u64, Vec<&'a AnchorState>>,
    /// The most that one of them vouches for.
    most: u64,
    place: Place,
    first: u64,
    bytes: u64,
    torn: u64,
    anchored: u64,
    /// The last entry that a checkpoint should vouch for: the log's own words about itself need none.
    last_call: u64,
    open: HashMap<String, Open>,
}

impl<'a> Walk<'a> {
    fn new(log: &Log, all: &'a [AnchorState]) -> Self {
        let mut anchors: HashMap<u64, Vec<_>> = HashMap::new();
        for anchor in all.iter().filter(|anchor| anchor.origin == log.origin && anchor.entries > 0) {
            anchors.entry(anchor.entries).or_default().push(anchor);
        }
        let most = anchors.keys().copied().max().unwrap_or(0);
        Self {
            anchors,
            most,
            place: Place::start(),
            first: 0,
            bytes: 0,
            torn: 0,
            anchored: 0,
            last_call: 0,
            open: HashMap::new(),
        }
    }

    fn all(&mut self, log: &Log) -> Result<(), Stop> {
        let newest = log.segments.keys().copied().max().unwrap_or(1);
        let mut before: Option<(u32, String, u64)> = None;
        for (number, path) in &log.segments {
            if before.as_ref().is_some_and(|(last, ..)| last + 1 != *number) {
                return Err(self.found(path, 0, Fault::Segment));
            }
            let size = self.segment(path, *number, *number == newest, before.as_ref())?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            before = Some((*number, name, size));
        }
        Ok(())
    }

    /// One file; its size.
    fn segment(
        &mut self,
        path: &Path,
        number: u32,
        newest: bool,
        before: Option<&(u32, String, u64)>,
    ) -> Result<u64, Stop> {
        let failed = |error: io::Error| Stop::Failed(format!("`{}` cannot be read: {error}", path.display()));
        let file = File::open(path).map_err(failed)?;
        let mut file = BufReader::with_capacity(1 << 18, file);
        let mut line = Vec::new();
        let (mut count, mut size) = (0, 0);
        loop {
            line.clear();
            (&mut file).take(LONGEST).read_until(b'\n', &mut line).map_err(failed)?;
            if line.is_empty() {
                break;
            }
            count += 1;
            if !line.ends_with(b"\n") && newest && (line.len() as u64) < LONGEST {
                self.torn = line.len() as u64;
                break;
            }
            self.line(path, &line, count, number, before)?;
            size += line.len() as u64;
        }
        if size == 0 && !newest {
            return Err(self.found(path, 0, Fault::Segment));
        }
        self.bytes += size;
        Ok(size)
    }

    fn line(
        &mut self,
        path: &Path,
        line: &[u8],
        count: u64,
        number: u32,
        before: Option<&(u32, String, u64)>,
    ) -> Result<(), Stop> {
        let content = line.strip_suffix(b"\n").ok_or_else(|| self.found(path, count, Fault::NotAnEntry))?;
        let seen: Option<Seen<'_>> = serde_json::from_slice(content).ok();
        if let Some(Seen { v, .. }) = seen.as_ref().filter(|seen| seen.v > VERSION) {
            return Err(Stop::Failed(format!("line {count} of `{}` has the newer format {v}", path.display())));
        }
        // What has a check was an entry, whatever it looks like now.
        let (hash, right) = hash_and_check(line);
        if !right {
            let fault = if has_check(line) { Fault::Altered } else { Fault::NotAnEntry };
            return Err(self.found(path, count, fault));
        }
        let seen = seen.ok_or_else(|| self.found(path, count, Fault::NotAnEntry))?;
        let is_hash = seen.prev.len() == 64 && seen.prev.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if seen.v != VERSION || seen.seq == 0 || !is_hash {
            return Err(self.found(path, count, Fault::NotAnEntry));
        }
        if count == 1 && number > 1 {
            if seen.phase != "segment" {
                return Err(self.found(path, count, Fault::Segment));
            }
            if before.is_none() && self.place.seq == 0 {
                // The segments before are filed elsewhere.
                self.place = Place { seq: seen.seq - 1, hash: seen.prev.to_string() };
                self.vouched(path, 0)?;
            }
        }
        if Some(seen.seq) != self.place.seq.checked_add(1) {
            return Err(self.found(path, count, Fault::Sequence(seen.seq)));
        }
        if seen.prev != self.place.hash {
            return Err(self.found(path, count, Fault::Previous));
        }
        let follows = |(_, name, size): &(u32, String, u64)| {
            seen.after == *name && seen.after_size == *size && seen.after_hash == self.place.hash
        };
        if before.is_some_and(|before| count == 1 && !follows(before)) {
            return Err(self.found(path, count, Fault::Segment));
        }
        if self.first == 0 {
            self.first = seen.seq;
        }
        match &*seen.phase {
            "intent" | "change" => {
                self.last_call = seen.seq;
                let open = Open {
                    seq: seen.seq,
                    time: seen.time.into_owned(),
                    call_id: seen.call_id.clone().into_owned(),
                    action: seen.action.into_owned(),
                    project: seen.project.into_owned(),
                };
                self.open.insert(seen.call_id.into_owned(), open);
            }
            "outcome" => {
                self.last_call = seen.seq;
                self.open.remove(&*seen.call_id);
            }
            "segment" | "recover" | "device" | "checkpoint" | "anchor" => {}
            _ => self.last_call = seen.seq,
        }
        self.place = Place { seq: seen.seq, hash };
        self.vouched(path, count)
    }

    /// What checkpoints say of the entry that was read last.
    fn vouched(&mut self, path: &Path, count: u64) -> Result<(), Stop> {
        let Some(anchors) = self.anchors.get(&self.place.seq) else { return Ok(()) };
        if anchors.iter().any(|anchor| !anchor.hash.eq_ignore_ascii_case(&self.place.hash)) {
            let (path, seq) = (path.to_owned(), self.place.seq);
            return Err(Stop::Found(Finding { path, line: count, seq, fault: Fault::Anchor }));
        }
        self.anchored = self.place.seq;
        Ok(())
    }

    fn end(&self, log: &Log) -> State {
        if self.most > self.place.seq {
            let path = log.segments.values().next_back().cloned().unwrap_or_default();
            let seq = self.place.seq + 1;
            return State::Tampered(Finding { path, line: 0, seq, fault: Fault::Short(self.most) });
        }
        if self.anchored > 0 && self.anchored >= self.last_call { State::Anchored } else { State::Unanchored }
    }

    fn found(&self, path: &Path, line: u64, fault: Fault) -> Stop {
        Stop::Found(Finding { path: path.to_owned(), line, seq: self.place.seq.saturating_add(1), fault })
    }
}

fn nothing() -> Checked {
    Checked {
        origin: String::new(),
        segments: Vec::new(),
        first: 0,
        entries: 0,
        hash: Place::start().hash,
        bytes: 0,
        torn: 0,
        anchored: 0,
        open: Vec::new(),
        verdict: State::Unanchored,
    }
}

fn unreadable(path: &Path, why: &str) -> Checked {
    Checked {
        origin: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        segments: vec![path.to_owned()],
        verdict: State::Unreadable(format!("`{}` cannot be read: {why}", path.display())),
        ..nothing()
    }
}
