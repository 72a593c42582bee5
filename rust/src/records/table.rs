//! A table that grows row by row while it downloads.

use std::ops::Deref;

use super::body::{Cells, Kept};
use super::choice::Choices;
use super::column::{Builder, Common};
use super::dictionary::{Dictionary, Kind};
use super::problems::Problems;
use crate::error::Result;
use crate::value::Table;

/// How values become cells.
#[derive(Clone, Debug)]
pub(super) struct Style {
    pub(super) choices: Choices,
    pub(super) types: bool,
    /// The zone that the server's clock shows.
    pub(super) zone: String,
}

/// The columns that are being filled. `D` is some way to hold the dictionary.
pub(super) struct TableBuilder<D> {
    dictionary: D,
    style: Style,
    columns: Vec<(String, Builder)>,
    row: usize,
    common: Common,
    problems: Problems,
    /// Problems and repaired cells before the body that is being read.
    kept: (usize, u64),
}

/// What came of a table.
pub(super) struct Finished {
    pub(super) table: Table,
    pub(super) problems: Table,
    pub(super) repaired: u64,
}

impl<D: Deref<Target = Dictionary>> TableBuilder<D> {
    pub(super) fn new(dictionary: D, style: Style) -> Self {
        // Without types no column is one of numbers, and nothing is barred from it.
        let common = Common::new(&dictionary.missing_codes);
        Self { dictionary, style, columns: Vec::new(), row: 0, common, problems: Problems::new(), kept: (0, 0) }
    }

    pub(super) fn finish(self) -> Finished {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (name, builder) in self.columns {
            columns.push((name, builder.finish(&self.style.zone)));
        }
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let records = columns.iter().find(|(name, _)| *name == self.dictionary.record_id).map(|(_, column)| column);
        let problems = self.problems.finish(records, &names);
        Finished { table: Table { columns }, problems, repaired: self.common.repaired }
    }
}

impl<D: Deref<Target = Dictionary>> Cells for TableBuilder<D> {
    fn header(&mut self, names: &[String]) -> Result<()> {
        self.dictionary.check_header(names)?;
        let builder = |name: &String| {
            let kind = self.dictionary.kind(name).unwrap_or(&Kind::Text);
            (name.clone(), Builder::new(kind, self.style.choices, self.style.types))
        };
        self.columns = names.iter().map(builder).collect();
        Ok(())
    }

    #[inline(always)]
    fn cell(&mut self, column: usize, cell: &[u8]) {
        // A cell too many is an error at the end of its line.
        let Some((_, builder)) = self.columns.get_mut(column) else { return };
        if !builder.push(cell, &mut self.common) {
            self.problems.add(self.row, column, cell);
        }
    }

    #[inline(always)]
    fn end(&mut self) {
        self.row += 1;
    }
}

impl<D: Deref<Target = Dictionary> + Send> Kept for TableBuilder<D> {
    fn keep(&mut self) {
        self.kept = (self.problems.len(), self.common.repaired);
    }

    fn back(&mut self, rows: u64) {
        let rows = rows as usize;
        self.columns.iter_mut().for_each(|(_, builder)| builder.truncate(rows));
        self.problems.truncate(self.kept.0);
        self.common.repaired = self.kept.1;
        self.row = rows;
    }
}
