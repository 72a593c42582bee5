//! A CSV reader that is given chunks as they come off the wire.
//!
//! `csv-core` is not used: it skips blank lines, which are rows in a table of one column, and at the end of the
//! input it cannot be asked whether a quote was still open. Cells that lie whole in a chunk are handed on where
//! they lie; only a cell that a chunk's end cuts in two, or that has doubled quotes, is put together in memory.
//!
//! As RFC 4180 has it, and REDCap writes it: cells between commas, lines end with LF or CRLF, a cell in quotes may
//! hold anything, quotes doubled. Beyond that: a byte order mark at the beginning is skipped; a lone CR is no end of
//! a line but belongs to its cell; text behind a closing quote is an error, since what it means is anybody's guess.
//!
//! PHP's `fputcsv`, as older servers call it, does not double a quote that stands behind a backslash. So of quotes in a
//! row behind a backslash, in a cell in quotes, the last one does not close the cell if text follows it: there are an
//! odd number of them then, the first as it is and the others doubled. A body where that was seen was written so, and
//! from then on an even number of them before a comma or a line feed is such a row with the closing quote. The number
//! of cells in a line guards what is left to chance: a comma behind the quote.

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

    /// The longest cell that is taken.
    fn longest(&self) -> usize {
        LONGEST
    }

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
    /// A quote behind a backslash was seen that is not doubled.
    escapes: bool,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { state: State::Bom, bom: 0, column: 0, begun: Vec::new(), escapes: false }
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
                State::Quoted if self.escapes && matches!(chunk[at], b',' | b'\n') && self.ends_in_escaped_quote() => {
                    self.close(chunk[at], at + 1, rows)?;
                    at += 1;
                }
                State::Quoted => at = self.quoted(chunk, at, rows)?,
                State::Quote => {
                    match chunk[at] {
                        b'"' => {
                            self.begun.push(b'"');
                            self.state = State::Quoted;
                        }
                        b'\r' => self.state = State::QuoteCr,
                        end @ (b',' | b'\n') => self.close(end, at + 1, rows)?,
                        _ => {
                            self.escaped(b"\"", rows)?;
                            continue;
                        }
                    }
                    at += 1;
                }
                State::QuoteCr if chunk[at] == b'\n' => {
                    self.close(b'\n', at + 1, rows)?;
                    at += 1;
                }
                State::QuoteCr => self.escaped(b"\"\r", rows)?,
            }
        }
        Ok(())
    }

    /// Whether the body may end here if its last line has all its cells: a line has begun, and no quote is open.
    pub(super) fn lacks_line_end(&self) -> bool {
        match self.state {
            State::Bom | State::Quoted => false,
            State::Start => self.column > 0,
            State::Plain | State::Quote | State::QuoteCr => true,
        }
    }

    /// The end of the body: false where it comes in the middle of a line.
    pub(super) fn is_complete(&self) -> bool {
        match self.state {
            State::Bom => self.bom == 0 || self.bom == BOM.len(),
            State::Start => self.column == 0,
            _ => false,
        }
    }

    /// Reads cells as long as they lie whole in a block, in quotes or not; the place behind them.
    fn plain<R: Rows>(&mut self, chunk: &[u8], at: usize, rows: &mut R) -> Result<usize> {
        let mut column = self.column;
        // Where the cell begins, or what has come of it since the last chunk.
        let mut begin = at;
        let mut joined = !self.begun.is_empty();
        let mut place = at;
        'blocks: while place < chunk.len() {
            let (mut ends, quotes) = marks(&chunk[place..]);
            loop {
                while !joined && chunk.get(begin) == Some(&b'"') {
                    let Some(end) = closed(chunk, quotes, begin, place) else {
                        if begin > place {
                            // There may be more of it in a block that begins here.
                            place = begin;
                            continue 'blocks;
                        }
                        self.column = column;
                        self.state = State::Start;
                        return Ok(begin);
                    };
                    rows.cell(column, &chunk[begin + 1..end]);
                    column += 1;
                    begin = end + 2;
                    ends = from(ends, begin - place);
                }
                if ends == 0 {
                    break;
                }
                let end = place + ends.trailing_zeros() as usize;
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
            }
            place += BLOCK;
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

    /// A quote that does not close: what stands behind a backslash belongs to the cell.
    #[cold]
    fn escaped<R: Rows>(&mut self, quote: &[u8], rows: &R) -> Result<()> {
        if !self.is_behind_backslash() {
            return Err(self.behind_quote(rows));
        }
        self.keep(quote, rows)?;
        self.escapes = true;
        self.state = State::Quoted;
        Ok(())
    }

    /// Whether what has come of the cell ends in a backslash, or in quotes behind one.
    fn is_behind_backslash(&self) -> bool {
        self.begun.iter().rev().find(|byte| **byte != b'"') == Some(&b'\\')
    }

    fn ends_in_escaped_quote(&self) -> bool {
        self.begun.last() == Some(&b'"') && self.is_behind_backslash()
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
        let longest = rows.longest();
        if self.begun.len() + piece.len() > longest {
            let size = if longest < LONGEST { "16 MB" } else { "2 GB" };
            return Err(Error::new(
                Kind::NotRedcap,
                format!("a cell of more than {size} is in the answer ({})", rows.place(self.column)),
            )
            .hint("export without that field"));
        }
        self.begun.try_reserve(piece.len()).map_err(|_| Error::memory())?;
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
const BLOCK: usize = 64;

/// Where the cell in quotes that begins at `begin` ends, if that is in the block at `place` and a comma follows there.
#[inline(always)]
fn closed(chunk: &[u8], quotes: u64, begin: usize, place: usize) -> Option<usize> {
    let quotes = from(quotes, begin + 1 - place);
    let end = place + quotes.trailing_zeros() as usize;
    (quotes != 0 && end + 1 < place + BLOCK && chunk.get(end + 1) == Some(&b',')).then_some(end)
}

/// The bits from one place on.
#[inline(always)]
fn from(bits: u64, place: usize) -> u64 {
    if place < BLOCK { bits >> place << place } else { 0 }
}

/// Where commas and line feeds are among the next bytes, and where quotes are: a bit for each byte, the first byte the
/// lowest. Cells are short, so that a search made for long texts would spend more time on getting started than on
/// searching.
#[inline(always)]
fn marks(text: &[u8]) -> (u64, u64) {
    if let Some(block) = text.first_chunk::<BLOCK>() {
        return marks_of(block);
    }
    let mut last = [0; BLOCK];
    last[..text.len()].copy_from_slice(text);
    marks_of(&last)
}

#[inline(always)]
fn marks_of(block: &[u8; BLOCK]) -> (u64, u64) {
    // A byte of 1 for each hit: the compiler makes this a few steps for many bytes at once.
    let (mut ends, mut quotes) = ([0; BLOCK], [0; BLOCK]);
    for (at, byte) in block.iter().enumerate() {
        ends[at] = u8::from(*byte == b',') | u8::from(*byte == b'\n');
        quotes[at] = u8::from(*byte == b'"');
    }
    (bits(&ends), bits(&quotes))
}

/// Bytes of 0 or 1 as bits.
#[inline(always)]
fn bits(bytes: &[u8; BLOCK]) -> u64 {
    // The product brings the lowest bits of all eight bytes into the highest byte, and none of them twice.
    let gathered = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().enumerate().fold(0, |bits, (part, word)| bits | gathered(word) << (8 * part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks_stand_where_the_bytes_are(text in proptest::collection::vec(any::<u8>(), 0..80), few in any::<bool>()) {
            let some = b",\n\"\r\x8c\xac-+";
            let text: Vec<u8> = if few { text.iter().map(|b| some[usize::from(*b) % some.len()]).collect() } else { text };
            let bit = |at: usize, is: bool| u64::from(is) << at;
            let slow = |wanted: &[u8]| {
                text.iter().take(BLOCK).enumerate().fold(0, |bits, (at, byte)| bits | bit(at, wanted.contains(byte)))
            };
            prop_assert_eq!(marks(&text), (slow(b",\n"), slow(b"\"")));
        }
    }
}
