//! The tokens that are known here, by their fingerprints.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;

/// A line of a log is not longer.
const LONGEST: u64 = 1 << 20;

/// Fingerprints, and the project that each is of where that is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(HashMap<String, Option<String>>);

#[derive(Deserialize)]
struct Seen {
    fingerprint: Option<String>,
    replaced: Option<String>,
    project: Option<String>,
}

impl Known {
    /// Adds a fingerprint.
    pub(crate) fn add(&mut self, fingerprint: String, project: Option<String>) {
        let of = self.0.entry(fingerprint).or_default();
        if project.is_some() {
            *of = project;
        }
    }

    /// Adds all that the audit logs of a folder name. What cannot be read is passed over: verifying tells of it.
    pub(crate) fn read_logs(&mut self, folder: &Path) {
        let Ok(items) = std::fs::read_dir(folder) else { return };
        let mut paths: Vec<_> = items.flatten().map(|item| item.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
        paths.sort();
        for path in paths {
            // A pipe would make us wait for its other end.
            if std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file())
                && let Ok(file) = File::open(&path)
            {
                self.read(BufReader::with_capacity(1 << 16, file));
            }
        }
    }

    fn read(&mut self, mut log: impl BufRead) {
        let mut line = Vec::new();
        while (&mut log).take(LONGEST).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if let Ok(seen) = serde_json::from_slice::<Seen>(&line) {
                for print in [seen.replaced, seen.fingerprint].into_iter().flatten() {
                    self.add(print, seen.project.clone());
                }
            }
            line.clear();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The project of a fingerprint, where that is known.
    pub(super) fn get(&self, fingerprint: &str) -> Option<&Option<String>> {
        self.0.get(fingerprint)
    }
}
