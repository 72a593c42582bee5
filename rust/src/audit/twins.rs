//! The logs of two folders held against each other: each entry of one has to be in the other, unless an entry says that
//! the device was lost.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use serde::Deserialize;

use super::check::logs;
use super::line::LONGEST;
use super::who::SECOND;

/// What one of the two lacks, and the other has. Evidence and no verdict: which of the two was altered, if one was, is
/// for their chains and checkpoints to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lacking {
    /// The log that lacks them.
    pub(crate) origin: String,
    /// How many.
    pub(crate) entries: u64,
    /// `seq` of the first of them in the log that has it.
    pub(crate) first: u64,
}

/// What an entry says of its place beside another log.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Seen {
    seq: u64,
    pid: u32,
    phase: String,
    call_id: String,
    device: String,
    state: String,
}

impl Seen {
    /// What its twin has too.
    fn key(&self) -> Option<(&str, &str)> {
        let is_twofold = matches!(self.phase.as_str(), "intent" | "outcome" | "change");
        (is_twofold && !self.call_id.is_empty()).then_some((self.phase.as_str(), self.call_id.as_str()))
    }
}

/// Holds the logs of first and second folders among some paths against each other, each way.
pub(crate) fn lacking(paths: &[PathBuf]) -> Vec<Lacking> {
    let logs: Vec<_> = logs(paths).into_iter().flatten().collect();
    let mut found = Vec::new();
    for second in logs.iter().filter(|log| log.origin.ends_with(SECOND)) {
        let mut firsts = logs.iter().filter(|log| second.origin.strip_suffix(SECOND) == Some(log.origin.as_str()));
        // Of several copies nobody knows which one it belongs to.
        let (Some(first), None) = (firsts.next(), firsts.next()) else { continue };
        let (one, other) = (entries(first.segments.values()), entries(second.segments.values()));
        found.extend(missing(&one, &other, "second", &second.origin));
        found.extend(missing(&other, &one, "first", &first.origin));
    }
    found
}

fn entries<'a>(segments: impl Iterator<Item = &'a PathBuf>) -> Vec<Seen> {
    let mut entries = Vec::new();
    for file in segments.filter_map(|path| File::open(path).ok()) {
        let mut file = BufReader::with_capacity(1 << 18, file);
        let mut line = Vec::new();
        // What cannot be read, or is no entry, is for the verdict to tell.
        while (&mut file).take(LONGEST).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            entries.extend(serde_json::from_slice::<Seen>(&line));
            line.clear();
        }
    }
    entries
}

/// What one log has and its twin, this device, lacks.
fn missing(log: &[Seen], twin: &[Seen], device: &str, origin: &str) -> Option<Lacking> {
    let there: HashSet<_> = twin.iter().filter_map(Seen::key).collect();
    // One may have begun before the other, and its older segments may be filed.
    let begin = log.iter().position(|entry| entry.key().is_some_and(|key| there.contains(&key)))?;
    let mut lost: HashMap<u32, bool> = HashMap::new();
    // What a process wrote to one device alone: forgiven where it says next that the other one was lost, or never says
    // anything again, since it was killed between the two.
    let mut pending: HashMap<u32, Vec<u64>> = HashMap::new();
    let mut lacking: Vec<u64> = Vec::new();
    for entry in &log[begin..] {
        match entry.key() {
            None if entry.phase == "device" && entry.device == device => {
                lost.insert(entry.pid, entry.state == "lost");
                pending.remove(&entry.pid);
            }
            None => {}
            Some(key) if there.contains(&key) => {
                lost.insert(entry.pid, false);
                lacking.extend(pending.remove(&entry.pid).unwrap_or_default());
            }
            Some(_) if lost.get(&entry.pid) == Some(&true) => {}
            Some(_) => pending.entry(entry.pid).or_default().push(entry.seq),
        }
    }
    lacking.sort_unstable();
    let first = *lacking.first()?;
    Some(Lacking { origin: origin.to_owned(), entries: lacking.len() as u64, first })
}
