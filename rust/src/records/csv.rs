//! A CSV reader that is given chunks as they come off the wire.
//!
//! `csv-core` is not used: it skips blank lines, which are rows in a table of one column, and at the end of the
//! input it cannot be asked whether a quote was still open. Cells that lie whole in a chunk are handed on where
//! they lie; only a cell that a chunk's end cuts in two, or that has doubled quotes, is put together in memory.
//!
//! As RFC 4180 has it, and REDCap writes it: cells between commas, lines end with LF or CRLF, a cell in quotes may
//! hold anything, quotes doubled. Beyond that: a byte order mark at the beginning is skipped; a lone CR is no end of
//! a line but belongs to its cell; text behind a closing quote is an error, since what it means is anybody's guess.

use crate::error::{Error, Kind, Result};

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// The longest cell: the host's texts end there.
const LONGEST: usize = i32::MAX as usize;

/// Room for the pieces of one cell that is kept for the next; above that it is given back.
const KEPT: usize = 1024 * 1024;

/// Who takes what the reader finds.
pub(super) trait Rows {
    /// A cell, without its quotes.
    fn cell(&mut self, column: usize, cell: &[u8]);

    /// The end of a line that has `cells` cells; `after` is the place behind it in the chunk.
    fn end(&mut self, cells: usize, after: usize) -> Result<()>;

    /// A line without any character.
    fn blank(&mut self, after: usize) -> Result<()>;

    /// Where the reader is, for an error that it raises: `line 12, column x`.
    fn place(&self, column: usize) -> String;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte that is not of the byte order mark.
    Bom,
    /// At the beginning of a cell.
    Start,
    /// In a cell without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote that closes, or is the first of two.
    Quote,
    /// Behind a CR that follows a closing quote.
    QuoteCr,
}

/// The reader of one body.
pub(super) struct Reader {
    state: State,
    /// How much of the byte order mark has come.
    bom: usize,
    column: usize,
    /// The beginning of a cell whose end has not come.
    begun: Vec<u8>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { state: State::Bom, bom: 0, column: 0, begun: Vec::new() }
    }

    /// Takes the next chunk.
    ///
    /// # Errors
    /// `not_redcap`: this is no CSV; those of `rows`. The reader is of no use then.
    pub(super) fn feed<R: Rows>(&mut self, chunk: &[u8], rows: &mut R) -> Result<()> {
        let mut at = 0;
        while at < chunk.len() {
            match self.state {
                State::Bom => {
                    if self.bom < BOM.len() && chunk[at] == BOM[self.bom] {
                        self.bom += 1;
                        at += 1;
                        continue;
                    }
                    self.state = State::Start;
                    if self.bom < BOM.len() && self.bom > 0 {
                        self.begun.extend_from_slice(&BOM[..self.bom]);
                        self.state = State::Plain;
                    }
                }
                State::Start if chunk[at] == b'"' => {
                    self.state = State::Quoted;
                    at += 1;
                }
                State::Start | State::Plain => at = self.plain(chunk, at, rows)?,
                State::Quoted => at = self.quoted(chunk, at, rows)?,
                State::Quote => {
                    match chunk[at] {
                        b'"' => {
                            self.begun.push(b'"');
                            self.state = State::Quoted;
                        }
                        b'\r' => self.state = State::QuoteCr,
                        end @ (b',' | b'\n') => self.close(end, at + 1, rows)?,
                        _ => return Err(self.behind_quote(rows)),
                    }
                    at += 1;
                }
                State::QuoteCr if chunk[at] == b'\n' => {
                    self.close(b'\n', at + 1, rows)?;
                    at += 1;
                }
                State::QuoteCr => return Err(self.behind_quote(rows)),
            }
        }
        Ok(())
    }

    /// The end of the body: false where it comes in the middle of a line.
    pub(super) fn is_complete(&self) -> bool {
        match self.state {
            State::Bom => self.bom == 0 || self.bom == BOM.len(),
            State::Start => self.column == 0,
            _ => false,
        }
    }

    /// Reads cells without quotes, as many as there are in a row; the place behind them.
    fn plain<R: Rows>(&mut self, chunk: &[u8], at: usize, rows: &mut R) -> Result<usize> {
        let mut column = self.column;
        let mut begin = at;
        let mut joined = !self.begun.is_empty();
        let mut place = at;
        while let Some(rest) = chunk.get(place..).filter(|rest| !rest.is_empty()) {
            let mut ends = ends(rest);
            while ends != 0 {
                let end = place + ends.trailing_zeros() as usize / 8;
                ends &= ends - 1;
                let mut cell = &chunk[begin..end];
                if joined {
                    self.keep(cell, rows)?;
                    cell = &self.begun;
                }
                if chunk[end] == b',' {
                    rows.cell(column, cell);
                    column += 1;
                } else {
                    let cell = cell.strip_suffix(b"\r").unwrap_or(cell);
                    if column == 0 && cell.is_empty() {
                        rows.blank(end + 1)?;
                    } else {
                        rows.cell(column, cell);
                        rows.end(column + 1, end + 1)?;
                    }
                    column = 0;
                }
                if joined {
                    joined = false;
                    self.forget();
                }
                begin = end + 1;
                if chunk.get(begin) == Some(&b'"') {
                    self.column = column;
                    self.state = State::Start;
                    return Ok(begin);
                }
            }
            place += WORD;
        }
        self.column = column;
        self.state = State::Start;
        if begin < chunk.len() {
            self.state = State::Plain;
            self.keep(&chunk[begin..], rows)?;
        }
        Ok(chunk.len())
    }

    /// Reads on between quotes.
    fn quoted<R: Rows>(&mut self, chunk: &[u8], at: usize, rows: &mut R) -> Result<usize> {
        let Some(length) = memchr::memchr(b'"', &chunk[at..]) else {
            self.keep(&chunk[at..], rows)?;
            return Ok(chunk.len());
        };
        let end = at + length;
        // A cell that lies whole in this chunk, quotes and all.
        if self.begun.is_empty() && chunk.get(end + 1) == Some(&b',') {
            rows.cell(self.column, &chunk[at..end]);
            self.column += 1;
            self.state = State::Start;
            return Ok(end + 2);
        }
        self.keep(&chunk[at..end], rows)?;
        self.state = State::Quote;
        Ok(end + 1)
    }

    /// The end of a cell in quotes.
    fn close<R: Rows>(&mut self, end: u8, after: usize, rows: &mut R) -> Result<()> {
        rows.cell(self.column, &self.begun);
        self.forget();
        self.state = State::Start;
        self.column += 1;
        if end == b'\n' {
            let cells = std::mem::take(&mut self.column);
            rows.end(cells, after)?;
        }
        Ok(())
    }

    fn keep<R: Rows>(&mut self, piece: &[u8], rows: &R) -> Result<()> {
        if self.begun.len() + piece.len() > LONGEST {
            return Err(Error::new(
                Kind::NotRedcap,
                format!("a cell of more than 2 GB is in the answer ({})", rows.place(self.column)),
            )
            .hint("export without that field"));
        }
        self.begun.extend_from_slice(piece);
        Ok(())
    }

    fn forget(&mut self) {
        self.begun.clear();
        if self.begun.capacity() > KEPT {
            self.begun = Vec::new();
        }
    }

    fn behind_quote<R: Rows>(&self, rows: &R) -> Error {
        Error::new(
            Kind::NotRedcap,
            format!("the answer is not well-formed CSV: text behind a closing quote ({})", rows.place(self.column)),
        )
        .hint("look at that cell in REDCap; without its field the export works")
    }
}

/// Bytes that are looked at in one step.
const WORD: usize = 8;

/// The commas and line feeds among the next eight bytes: the high bit of each byte that is one, the first byte the
/// lowest. Cells are short, so that a search made for long texts would spend more time on getting started than on
/// searching.
#[inline]
fn ends(text: &[u8]) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([0x01; WORD]);
    const LOWS: u64 = u64::from_ne_bytes([0x7f; WORD]);
    // The high bit of a byte stays clear in the sum if and only if the byte is zero.
    let zeros = |word: u64| !(((word & LOWS) + LOWS) | word | LOWS);
    let word = text.first_chunk::<WORD>().copied().unwrap_or_else(|| {
        let mut last = [0; WORD];
        last.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        last
    });
    let word = u64::from_le_bytes(word);
    zeros(word ^ (ONES * u64::from(b','))) | zeros(word ^ (ONES * u64::from(b'\n')))
}
