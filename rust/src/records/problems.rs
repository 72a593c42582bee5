//! The values that did not fit the type of their column. All of them are kept.

use super::growth::add;
use super::text::TextBuilder;
use crate::redcap::repair;
use crate::value::{Column, Table};

/// Row, column and value of each, few bytes where one value comes often.
pub(super) struct Problems {
    rows: Vec<u32>,
    columns: Vec<u32>,
    values: TextBuilder,
}

impl Problems {
    pub(super) fn new() -> Self {
        Self { rows: Vec::new(), columns: Vec::new(), values: TextBuilder::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Keeps a value, a NUL in it shown as `\0`.
    #[cold]
    pub(super) fn add(&mut self, row: usize, column: usize, value: &[u8]) {
        add(&mut self.rows, row as u32);
        add(&mut self.columns, column as u32);
        // Neither a NUL nor anything that is not UTF-8 is left in it.
        self.values.push(repair::shown(value).as_bytes(), &mut 0);
    }

    /// Forgets what came after the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        self.rows.truncate(count);
        self.columns.truncate(count);
        self.values.truncate(count);
    }

    /// The table: record, field, value. `records` is the column of the record ids, where there is one.
    pub(super) fn finish(self, records: Option<&Column>, names: &[&str]) -> Table {
        let record = |row: &u32| records.and_then(|records| records.text_at(*row as usize));
        Table {
            columns: vec![
                ("record".to_owned(), texts(self.rows.iter().map(record))),
                ("field".to_owned(), texts(self.columns.iter().map(|column| names.get(*column as usize).copied()))),
                ("value".to_owned(), self.values.finish()),
            ],
        }
    }
}

/// A column of texts; what finds no place is remembered, as in all columns that grow with the data.
fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Column {
    let mut texts = TextBuilder::new();
    for value in values {
        match value {
            None => texts.push_missing(),
            // These are texts already.
            Some(text) => drop(texts.push(text.as_bytes(), &mut 0)),
        }
    }
    texts.finish()
}
