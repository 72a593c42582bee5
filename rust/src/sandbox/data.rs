//! What people have entered into a project: rows, files, and when a record changed.
//!
//! Whatever writes takes a copy, changes the copy and hands it back whole: a request that is refused half-way
//! has changed nothing.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::design::Design;
use super::rows::{Place, Row};

/// A project's data.
#[derive(Clone, Default)]
pub(super) struct Data {
    /// In the order of an export.
    pub(super) rows: Vec<Row>,
    /// Files by place and field. The field's value in the row is the file's name.
    pub(super) files: BTreeMap<(Place, String), Stored>,
    /// The times (`YYYY-MM-DD HH:MM:SS`) at which a record was made and changed, oldest first.
    pub(super) changes: BTreeMap<String, Vec<String>>,
    /// The file repository: files and folders that belong to no record.
    pub(super) repository: Vec<Kept>,
}

/// Something in the file repository.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) id: i64,
    /// The folder that it is in; 0 is the top.
    pub(super) folder: i64,
    pub(super) name: String,
    /// A file's content; `None` for a folder.
    pub(super) bytes: Option<Bytes>,
}

/// A file.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

impl Data {
    pub(super) fn has(&self, record: &str) -> bool {
        self.rows.iter().any(|row| row.place.record == record)
    }

    /// The unique name of a record's Data Access Group; blank where it has none.
    pub(super) fn group(&self, record: &str) -> &str {
        self.rows.iter().find(|row| row.place.record == record).map_or("", |row| row.group.as_str())
    }

    /// Takes away the rows that a test picks, and their files. A record without rows is no more.
    pub(super) fn remove(&mut self, picked: impl Fn(&Place) -> bool) {
        self.rows.retain(|row| !picked(&row.place));
        self.files.retain(|(place, _), _| !picked(place));
        let left: std::collections::BTreeSet<_> = self.rows.iter().map(|row| row.place.record.as_str()).collect();
        self.changes.retain(|record, _| left.contains(record.as_str()));
    }

    /// Gives a record another name.
    pub(super) fn rename(&mut self, record: &str, name: &str) {
        for row in self.rows.iter_mut().filter(|row| row.place.record == record) {
            name.clone_into(&mut row.place.record);
        }
        let files = std::mem::take(&mut self.files).into_iter().map(|((mut place, field), file)| {
            if place.record == record {
                name.clone_into(&mut place.record);
            }
            ((place, field), file)
        });
        self.files = files.collect();
        if let Some(times) = self.changes.remove(record) {
            self.changes.insert(name.to_owned(), times);
        }
    }

    /// Puts the rows into the order of an export.
    pub(super) fn sort(&mut self, design: &Design) {
        self.rows.sort_by_cached_key(|row| row.place.order(design));
    }

    /// Notes that a record has changed now.
    pub(super) fn touch(&mut self, record: &str) {
        let now = super::time::second(std::time::SystemTime::now());
        self.changes.entry(record.to_owned()).or_default().push(now);
    }

    /// The next free name of a record, for a user of a group with this number (`None`: of no group).
    pub(super) fn next_record(&self, group: Option<i64>) -> String {
        let prefix = group.map_or(String::new(), |id| format!("{id}-"));
        let numbers = self.rows.iter().filter_map(|row| row.place.record.strip_prefix(&prefix)?.parse::<u64>().ok());
        format!("{prefix}{}", numbers.max().unwrap_or_default() + 1)
    }
}
