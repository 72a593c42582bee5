//! The ids of a project's records, as texts and in the server's order.

use std::collections::HashSet;

use super::body::{Cells, Kept};
use super::growth::{add, dropped};
use crate::error::{Error, Kind, Result};
use crate::redcap::repair;

/// The ids that have come.
pub(super) struct Ids {
    /// The name of the column.
    name: String,
    place: Option<usize>,
    known: HashSet<String>,
    pub(super) all: Vec<String>,
}

impl Ids {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), place: None, known: HashSet::new(), all: Vec::new() }
    }
}

impl Cells for Ids {
    fn header(&mut self, names: &[String]) -> Result<()> {
        self.place = names.iter().position(|name| *name == self.name);
        if self.place.is_none() {
            return Err(Error::new(Kind::NotRedcap, "the answer does not hold the records' ids that were asked for")
                .hint("the server may be in trouble; try again later"));
        }
        Ok(())
    }

    fn cell(&mut self, column: usize, cell: &[u8]) {
        if Some(column) != self.place || cell.is_empty() {
            return;
        }
        let id = repair::shown(cell);
        if self.known.try_reserve(1).is_err() {
            return dropped();
        }
        if self.known.insert(id.clone()) {
            add(&mut self.all, id);
        }
    }

    fn end(&mut self) {}
}

impl Kept for Ids {
    /// One request brings all of them, so going back is beginning anew.
    fn back(&mut self, _rows: u64) {
        self.known.clear();
        self.all.clear();
    }
}
