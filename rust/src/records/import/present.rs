//! What is in the project now, compared cell by cell with what an import would put there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::fields::Kind;
use super::sheet::{Data, Place, Sheet, key};
use crate::error::{Error, Result};
use crate::records::body::{Cells as Rows, Kept};
use crate::records::convert;
use crate::redcap::repair;
use crate::value::{Column, Table};

/// What an import would do to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Change {
    /// The record is not there.
    NewRecord,
    /// The record is there, but not this event or instance of it.
    NewRow,
    /// The field is blank now.
    NewValue,
    /// Another value is there now.
    Other,
    /// A value is there now and would be blank.
    Blank,
    /// The token may not read what is there now.
    Unknown,
}

impl Change {
    pub(super) const ALL: [Self; 6] =
        [Self::NewRecord, Self::NewRow, Self::NewValue, Self::Other, Self::Blank, Self::Unknown];

    /// Its name in the data frame.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::NewRecord => "new record",
            Self::NewRow => "new row",
            Self::NewValue => "new value",
            Self::Other => "change",
            Self::Blank => "blank",
            Self::Unknown => "unknown",
        }
    }
}

/// A value that would change.
#[derive(Debug)]
struct Line {
    row: usize,
    column: usize,
    old: Option<String>,
    change: Change,
}

/// The comparison, while the present values come in.
pub(super) struct Present {
    sheet: Arc<Sheet>,
    /// Rows of the data by their place.
    rows: HashMap<String, usize>,
    /// Whether blanks overwrite.
    erase: bool,
    /// Columns of the export: the columns of the data.
    columns: Vec<Option<usize>>,
    /// Columns of the export that are parts of the place: which part.
    parts: Vec<Option<usize>>,
    /// Columns of the data that did not come.
    unread: Vec<usize>,
    place: Place,
    /// The texts of the row, by the data's columns.
    texts: Vec<String>,
    /// Rows of the data that are there.
    seen: Vec<bool>,
    /// Records that are there.
    pub(super) records: HashSet<String>,
    lines: Vec<Line>,
    kept: usize,
}

impl Present {
    pub(super) fn new(sheet: Arc<Sheet>, erase: bool) -> Self {
        let places = (0..sheet.rows).map(|row| (sheet.place(row), row));
        // An instance that REDCap is to make is nowhere yet.
        let rows = places.filter(|(place, _)| place[3] != "new").map(|(place, row)| (key(&place), row)).collect();
        Self {
            texts: vec![String::new(); sheet.columns.len()],
            seen: vec![false; sheet.rows],
            sheet,
            rows,
            erase,
            columns: Vec::new(),
            parts: Vec::new(),
            unread: Vec::new(),
            place: Place::default(),
            records: HashSet::new(),
            lines: Vec::new(),
            kept: 0,
        }
    }

    /// The records of which no row is there.
    pub(super) fn missing(&self) -> Vec<String> {
        let all = self.sheet.by_record().into_iter().map(|(record, _)| record);
        all.filter(|record| !self.records.contains(record)).collect()
    }

    /// Adds the rows that are not there, once all that is there has come; `auto_number`: none is there.
    pub(super) fn complete(&mut self, auto_number: bool) {
        let mut new: HashSet<String> = HashSet::new();
        for row in (0..self.sheet.rows).filter(|row| !self.seen[*row]) {
            let record = self.sheet.record(row);
            let is_new = auto_number || !self.records.contains(&record);
            let change = if is_new { Change::NewRecord } else { Change::NewRow };
            if is_new && new.insert(record) {
                self.lines.push(Line { row, column: 0, old: None, change });
            }
            for (column, data) in self.sheet.columns.iter().enumerate() {
                let text = data.cells.text(row);
                if !self.sheet.is_place(column) && !same(data, "", &text) {
                    self.lines.push(Line { row, column, old: None, change });
                }
            }
        }
        self.lines.sort_by_key(|line| (line.row, line.column));
    }

    /// How many values of each kind would change, and in how many records.
    pub(super) fn counts(&self) -> ([usize; 6], usize) {
        let count = |change| match change {
            // A record is counted once, not with each of its values.
            Change::NewRecord => self.lines.iter().filter(|line| line.change == change && line.column == 0).count(),
            Change::NewRow => {
                let rows: HashSet<usize> =
                    self.lines.iter().filter(|line| line.change == change).map(|line| line.row).collect();
                rows.len()
            }
            other => self.lines.iter().filter(|line| line.change == other).count(),
        };
        let records: HashSet<String> = self.lines.iter().map(|line| self.sheet.record(line.row)).collect();
        (Change::ALL.map(count), records.len())
    }

    /// Columns that the token may not read.
    pub(super) fn unread(&self) -> Vec<String> {
        self.unread.iter().map(|column| self.sheet.columns[*column].name.clone()).collect()
    }

    /// What would change, a row a value.
    pub(super) fn table(&self) -> Table {
        let lines = &self.lines;
        let text = |of: &dyn Fn(&Line) -> Option<String>| Column::text(lines.iter().map(of));
        let part =
            |part: usize| move |line: &Line| Some(self.sheet.part(part, line.row)).filter(|text| !text.is_empty());
        let instance = |line: &Line| self.sheet.part(3, line.row).parse().ok();
        let new =
            |line: &Line| Some(self.sheet.columns[line.column].cells.text(line.row)).filter(|text| !text.is_empty());
        Table {
            columns: vec![
                ("record".to_owned(), text(&part(0))),
                ("event".to_owned(), text(&part(1))),
                ("repeat_instrument".to_owned(), text(&part(2))),
                ("repeat_instance".to_owned(), Column::int(lines.iter().map(instance))),
                ("field".to_owned(), text(&|line| Some(self.sheet.columns[line.column].name.clone()))),
                ("old".to_owned(), text(&|line| line.old.clone())),
                ("new".to_owned(), text(&new)),
                ("kind".to_owned(), text(&|line| Some(line.change.as_str().to_owned()))),
            ],
        }
    }

    /// Compares a row that is there with the row of the data.
    fn compare(&mut self, row: usize) {
        let mut new = String::new();
        for (column, data) in self.sheet.columns.iter().enumerate() {
            if self.sheet.is_place(column) {
                continue;
            }
            data.cells.write(row, &mut new);
            let unread = self.unread.contains(&column);
            let old = self.texts[column].as_str();
            let change = match (new.is_empty(), old.is_empty()) {
                (true, _) if !self.erase => continue,
                _ if unread => Change::Unknown,
                _ if same(data, old, &new) => continue,
                (true, _) => Change::Blank,
                (false, true) => Change::NewValue,
                (false, false) => Change::Other,
            };
            let old = Some(old.to_owned()).filter(|old| !old.is_empty());
            self.lines.push(Line { row, column, old, change });
        }
    }
}

/// Whether two texts say the same in a field: numbers may be written in several ways, and a box that nobody has
/// touched is an unchecked one.
fn same(data: &Data, old: &str, new: &str) -> bool {
    let number = |text: &str| match data.field.kind {
        Kind::Int => convert::real(text.as_bytes(), b'.'),
        Kind::Real { point, .. } => convert::real(text.as_bytes(), point),
        _ => None,
    };
    let unchecked = |text: &str| text.is_empty() || text == "0";
    old == new
        || (data.field.is_box && unchecked(old) && unchecked(new))
        || number(old)
            .zip(number(new))
            .is_some_and(|(old, new)| old.partial_cmp(&new).is_some_and(std::cmp::Ordering::is_eq))
}

impl Rows for Present {
    fn header(&mut self, names: &[String]) -> Result<()> {
        let columns = &self.sheet.columns;
        let place = |name: &str| {
            if name == columns[0].name {
                return Some(0);
            }
            [super::fields::EVENT, super::fields::INSTRUMENT, super::fields::INSTANCE]
                .iter()
                .position(|part| *part == name)
                .map(|part| part + 1)
        };
        self.parts = names.iter().map(|name| place(name)).collect();
        self.columns = names.iter().map(|name| columns.iter().position(|data| data.name == *name)).collect();
        if !self.parts.contains(&Some(0)) {
            return Err(Error::new(
                crate::Kind::NotRedcap,
                "the answer does not hold the records' ids that were asked for",
            )
            .hint("the server may be in trouble; try again later"));
        }
        let come = |column: &usize| self.columns.contains(&Some(*column)) || self.sheet.is_place(*column);
        self.unread = (0..columns.len()).filter(|column| !come(column)).collect();
        Ok(())
    }

    fn cell(&mut self, column: usize, cell: &[u8]) {
        if let Some(Some(part)) = self.parts.get(column) {
            self.place[*part] = repair::shown(cell);
        }
        if let Some(Some(column)) = self.columns.get(column) {
            let text = &mut self.texts[*column];
            text.clear();
            match std::str::from_utf8(cell) {
                Ok(cell) => text.push_str(cell),
                Err(_) => text.push_str(&repair::latin1(cell)),
            }
        }
    }

    fn end(&mut self) {
        // What has no column of the place in the data has none there either.
        let place = std::mem::take(&mut self.place);
        if let Some(row) = self.rows.get(&key(&place)).copied() {
            self.seen[row] = true;
            self.compare(row);
        }
        self.records.insert(place[0].clone());
    }
}

impl Kept for Present {
    fn keep(&mut self) {
        self.kept = self.lines.len();
    }

    /// What was seen stays seen: it comes again.
    fn back(&mut self, _rows: u64) {
        self.lines.truncate(self.kept);
    }
}
