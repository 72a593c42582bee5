//! One body after the other: each has the same header, and each of its lines as many cells.

use super::csv::{Reader, Rows};
use super::intake::Target;
use crate::error::{Error, Kind, Result};
use crate::redcap::repair;
use crate::token::as_name;

/// The most columns of an answer: a project of ten thousand fields has fewer.
const MOST_COLUMNS: usize = 100_000;

/// The most bytes of a header.
pub(super) const MOST_HEADER: usize = 16 * 1024 * 1024;

/// Who takes the cells of the rows.
pub(super) trait Cells {
    /// The header of the first body that has one.
    fn header(&mut self, names: &[String]) -> Result<()>;

    /// A cell of the row that is being read. Where a line has too many cells, `column` is beyond the header.
    fn cell(&mut self, column: usize, cell: &[u8]);

    /// The end of the row.
    fn end(&mut self);
}

/// Cells of downloads that may break off and begin anew.
pub(super) trait Kept: Cells + Send {
    /// What is wrong with the cells that have come.
    fn fault(&self) -> Result<()> {
        Ok(())
    }

    /// What has come is kept; a new body begins.
    fn keep(&mut self) {}

    /// Goes back to what was kept: so many rows.
    fn back(&mut self, rows: u64);
}

/// Headers, rows, and the number of cells in each.
pub(super) struct Body<C> {
    pub(super) cells: C,
    /// The header of all bodies; empty as long as none has come.
    names: Vec<String>,
    /// The header that is being read.
    header: Option<Vec<String>>,
    rows: u64,
    /// Rows before this body.
    before: u64,
    /// Whether a body before this one had the header.
    settled: bool,
    /// Where, in the chunk, the header ended.
    pub(super) header_end: Option<usize>,
    /// The bytes of the header that is being read.
    header_bytes: usize,
}

impl<C: Kept> Target for Body<C> {
    fn take(&mut self, reader: &mut Reader, chunk: &[u8]) -> Result<()> {
        reader.feed(chunk, self)?;
        self.cells.fault()
    }

    fn cut_short(&self) -> Error {
        Body::cut_short(self)
    }

    fn keep(&mut self) {
        self.settle();
        self.cells.keep();
    }

    fn back(&mut self) -> Result<()> {
        let rows = self.redo();
        self.cells.back(rows);
        Ok(())
    }

    fn rows(&self) -> u64 {
        Body::rows(self)
    }
}

impl<C: Cells> Body<C> {
    pub(super) fn new(cells: C) -> Self {
        Self {
            cells,
            names: Vec::new(),
            header: Some(Vec::new()),
            rows: 0,
            before: 0,
            settled: false,
            header_end: None,
            header_bytes: 0,
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// What has come stays; a new body begins.
    pub(super) fn settle(&mut self) {
        self.before = self.rows;
        self.settled = !self.names.is_empty();
        self.header = Some(Vec::new());
    }

    /// This body begins anew; the number of rows that stay.
    pub(super) fn redo(&mut self) -> u64 {
        self.rows = self.before;
        if !self.settled {
            self.names.clear();
        }
        self.header = Some(Vec::new());
        self.rows
    }

    /// Whether a header has come with this body.
    pub(super) fn has_header(&self) -> bool {
        self.header.is_none()
    }

    /// The error for a body that ends in the middle of a line.
    pub(super) fn cut_short(&self) -> Error {
        let place = if self.header.is_some() {
            "its header".to_owned()
        } else {
            format!("the middle of row {}", self.rows - self.before + 1)
        };
        Error::new(Kind::Connection, format!("the answer is cut short: it ends in {place}"))
            .hint("try again; if it stays so, the server or something in front of it gives up on large answers")
            .hint("export in batches: `batch_size = 100`")
            .field("rows", self.rows - self.before)
    }

    fn wrong_number(&self, cells: usize) -> Error {
        let wanted = self.names.len();
        Error::new(
            Kind::NotRedcap,
            format!(
                "row {} of the answer has {cells} cells where the header has {wanted}",
                self.rows - self.before + 1
            ),
        )
        .hint("the answer was cut short or changed on its way; nothing of it is used")
        .hint("try again, or in batches: `batch_size = 100`")
    }

    /// A name of the header. What is too much for one is not kept.
    #[cold]
    fn name(&mut self, column: usize, cell: &[u8]) {
        self.header_bytes = if column == 0 { 0 } else { self.header_bytes }.saturating_add(cell.len());
        if let Some(names) = &mut self.header
            && column < MOST_COLUMNS
            && self.header_bytes <= MOST_HEADER
        {
            names.push(repair::shown(cell));
        }
    }

    #[cold]
    fn end_header(&mut self, cells: usize, after: usize) -> Result<()> {
        let names = self.header.take().unwrap_or_default();
        if names.len() < cells {
            return Err(Error::new(
                Kind::NotRedcap,
                format!("the header of the answer has {cells} columns, more than any project of REDCap's"),
            )
            .hint("the server may be in trouble; try again later, then tell its administrator"));
        }
        self.header_end = Some(after);
        if self.names.is_empty() {
            self.cells.header(&names)?;
            self.names = names;
        } else if self.names != names {
            return Err(Error::new(Kind::Redcap, "the project's columns changed between two batches")
                .hint("somebody changed the project's design or the token's rights just now; export again"));
        }
        Ok(())
    }
}

impl<C: Cells> Rows for Body<C> {
    #[inline(always)]
    fn cell(&mut self, column: usize, cell: &[u8]) {
        match &mut self.header {
            None => self.cells.cell(column, cell),
            Some(_) => self.name(column, cell),
        }
    }

    #[inline(always)]
    fn end(&mut self, cells: usize, after: usize) -> Result<()> {
        if self.header.is_some() {
            return self.end_header(cells, after);
        }
        if cells != self.names.len() {
            return Err(self.wrong_number(cells));
        }
        self.cells.end();
        self.rows += 1;
        Ok(())
    }

    /// A row of a table of one column; else it holds nothing, and REDCap's answer without rows is such a line.
    fn blank(&mut self, after: usize) -> Result<()> {
        if self.header.is_none() && self.names.len() == 1 {
            self.cells.cell(0, b"");
            return self.end(1, after);
        }
        Ok(())
    }

    fn longest(&self) -> usize {
        if self.header.is_some() { MOST_HEADER } else { i32::MAX as usize }
    }

    fn place(&self, column: usize) -> String {
        // A server may have written anything into its header.
        let name = self.names.get(column).filter(|name| as_name(name) == *name);
        let name = name.map_or_else(|| format!("column {}", column + 1), |name| format!("`{name}`"));
        if self.header.is_some() {
            format!("header, {name}")
        } else {
            format!("row {}, {name}", self.rows - self.before + 1)
        }
    }
}
