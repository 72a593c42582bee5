//! What the log tells of a token, known by its fingerprint: when it was put where it is, and when it was last used.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;

use super::line::LONGEST;
use super::utc::seconds;

/// The changes that put a token into a store.
const PUTS: [&str; 2] = ["set_token", "move_token"];

/// The times of some tokens, as the logs tell them, in seconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// By fingerprint and store.
    set: HashMap<(String, String), f64>,
    /// By fingerprint.
    used: HashMap<String, f64>,
}

/// What is read of an entry. Entries of other kinds, and of later versions, lack some of it.
#[derive(Deserialize)]
struct Seen {
    #[serde(default)]
    time: String,
    #[serde(default)]
    phase: String,
    #[serde(default)]
    call_id: String,
    action: Option<String>,
    fingerprint: Option<String>,
    store: Option<String>,
    class: Option<String>,
}

impl History {
    /// Reads all logs of a folder. What cannot be read, or is no entry, is passed over: whether a log is whole is for
    /// [`super::verify`] to say. Blocks.
    pub(crate) fn read(&mut self, folder: &Path, fingerprints: &HashSet<String>) {
        let Ok(files) = std::fs::read_dir(folder) else { return };
        for path in files.flatten().map(|entry| entry.path()) {
            let is_log = path.extension().is_some_and(|end| end == "jsonl");
            // A pipe would make us wait for its other end.
            if is_log
                && std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file())
                && let Ok(file) = File::open(&path)
            {
                self.take(BufReader::with_capacity(1 << 16, file), fingerprints);
            }
        }
    }

    fn take(&mut self, mut log: impl BufRead, fingerprints: &HashSet<String>) {
        let mut line = Vec::new();
        let mut under_way: HashMap<String, (String, String)> = HashMap::new();
        loop {
            line.clear();
            match (&mut log).take(LONGEST).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let Ok(seen) = serde_json::from_slice::<Seen>(&line) else { continue };
            let named = seen.fingerprint.filter(|print| fingerprints.contains(print));
            match (seen.phase.as_str(), named) {
                ("intent", Some(print)) => {
                    if let Some(time) = seconds(&seen.time) {
                        let last = self.used.entry(print).or_insert(time);
                        *last = last.max(time);
                    }
                }
                ("change", Some(print)) if seen.action.is_some_and(|action| PUTS.contains(&action.as_str())) => {
                    under_way.insert(seen.call_id, (print, seen.store.unwrap_or_default()));
                }
                ("outcome", _) => {
                    let put = under_way.remove(&seen.call_id).filter(|_| seen.class.as_deref() == Some("ok"));
                    if let (Some(put), Some(time)) = (put, seconds(&seen.time)) {
                        let last = self.set.entry(put).or_insert(time);
                        *last = last.max(time);
                    }
                }
                _ => {}
            }
        }
    }

    /// When a token was last put into a store.
    pub(crate) fn set_on(&self, fingerprint: &str, store: &str) -> Option<f64> {
        self.set.get(&(fingerprint.to_owned(), store.to_owned())).copied()
    }

    /// When a token last went out.
    pub(crate) fn last_used(&self, fingerprint: &str) -> Option<f64> {
        self.used.get(fingerprint).copied()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]

    use std::sync::Arc;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::audit::{AuditLog, Change, Entry, Intent, Outcome};
    use crate::ctx::Clock;

    struct At(u64);

    impl Clock for At {
        fn now(&self) -> SystemTime {
            UNIX_EPOCH + Duration::from_secs(self.0)
        }
        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    const A: &str = "kc1:00000000000000aa";
    const B: &str = "kc1:00000000000000bb";

    fn history(folder: &Path) -> History {
        let mut history = History::default();
        history.read(folder, &HashSet::from([A.to_owned()]));
        history
    }

    fn change(dir: &Path, at: u64, action: &'static str, store: &str, print: &str, class: &str) {
        let log = AuditLog::new(dir, Arc::new(At(at)));
        let (call_id, fingerprint) = (at.to_string(), Some(print.to_owned()));
        let change =
            Change { call_id: call_id.clone(), action, store: Some(store.into()), fingerprint, ..Change::default() };
        let outcome = Outcome { call_id, class: class.into(), ..Outcome::default() };
        log.note(&[Entry::Change(change), Entry::Changed(outcome)]).unwrap();
    }

    fn intent(dir: &Path, at: u64, print: &str) {
        let log = AuditLog::new(dir, Arc::new(At(at)));
        let intent = Intent { call_id: at.to_string(), fingerprint: print.into(), ..Intent::default() };
        log.begin(&[intent]).unwrap();
    }

    #[test]
    fn the_last_change_that_put_the_token_there_and_the_last_intent_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("audit");
        assert_eq!(history(&dir).last_used(A), None);
        change(&dir, 1_000_000_000, "set_token", "keyring", A, "ok");
        change(&dir, 1_100_000_000, "move_token", "vault", A, "ok");
        change(&dir, 1_200_000_000, "set_token", "keyring", A, "ok");
        change(&dir, 1_300_000_000, "set_token", "keyring", A, "store");
        change(&dir, 1_400_000_000, "remove_token", "vault", A, "ok");
        change(&dir, 1_500_000_000, "set_token", "keyring", B, "ok");
        intent(&dir, 1_250_000_001, A);
        intent(&dir, 1_250_000_000, A);
        intent(&dir, 1_600_000_000, B);
        let history = history(&dir);
        assert_eq!(history.set_on(A, "keyring"), Some(1_200_000_000.0));
        assert_eq!(history.set_on(A, "vault"), Some(1_100_000_000.0));
        assert_eq!((history.set_on(A, "aws"), history.set_on(B, "keyring")), (None, None));
        assert_eq!((history.last_used(A), history.last_used(B)), (Some(1_250_000_001.0), None));
    }

    #[test]
    fn lines_that_are_no_entries_and_keys_that_nobody_knows_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let lines = [
            "no entry",
            "{\"phase\":\"intent\"}",
            "{\"phase\":\"intent\",\"time\":\"soon\",\"fingerprint\":\"kc1:00000000000000aa\"}",
            "{\"v\":9,\"phase\":\"lent\",\"new\":{\"a\":[1]},\"time\":\"2030-01-01T00:00:00.000000Z\"}",
            "{\"v\":1,\"more\":7,\"phase\":\"intent\",\"time\":\"2001-09-09T01:46:40.000000Z\",\"fingerprint\":\"kc1:00000000000000aa\"}",
            "{\"phase\":\"intent\",\"fingerprint\":7}",
            "\u{fffd}",
            "{\"phase\":\"int",
        ];
        std::fs::write(folder.path().join("audit-1@x-000001.jsonl"), lines.join("\n")).unwrap();
        std::fs::write(folder.path().join("audit-1@x.lock"), "{}").unwrap();
        std::fs::create_dir(folder.path().join("folder.jsonl")).unwrap();
        assert_eq!(history(folder.path()).last_used(A), Some(1_000_000_000.0));
    }

    #[test]
    fn a_time_of_an_entry_is_read_as_it_was_written() {
        for at in [0, 951_782_400, 951_868_799, 1_709_164_800, 1_767_225_599, 4_107_542_400, 253_402_300_799] {
            let text = super::super::utc::utc(UNIX_EPOCH + Duration::from_secs(at));
            assert_eq!(seconds(&text), Some(at as f64), "{text}");
        }
        assert_eq!(seconds("2025-11-21T23:56:06.5Z"), Some(1_763_769_366.5));
        for bad in ["", "Z", "2025-11-21", "2025-13-21T00:00:00.0Z", "2025-11-21T25:00:00Z", "2025-11-21T00:00:NaNZ"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
