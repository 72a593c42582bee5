//! A body read into a table without a server: what the fuzz target `csv` drives.

use super::body::Body;
use super::choice::Choices;
use super::csv::Reader;
use super::dictionary::Dictionary;
use super::export::Export;
use super::intake::Target;
use super::table::{Finished, Style, TableBuilder};
use crate::error::Result;

/// What a project says of itself, and how its values are wished.
pub(crate) struct Fuzzed<'a> {
    pub(crate) metadata: &'a [u8],
    pub(crate) missing_codes: &'a str,
    pub(crate) choices: Choices,
    pub(crate) types: bool,
}

impl Fuzzed<'_> {
    /// Reads the chunks of a body. Before that `broken_off` comes in one piece, as of a try that is made again.
    pub(crate) fn read<'b>(&self, broken_off: &[u8], chunks: impl Iterator<Item = &'b [u8]>) -> Result<Export> {
        let dictionary = Dictionary::read(self.metadata, self.missing_codes)?;
        let style = Style { choices: self.choices, types: self.types, zone: "UTC".to_owned() };
        let mut target = Body::new(TableBuilder::new(&dictionary, style));
        target.keep();
        let _ = target.take(&mut Reader::new(), broken_off);
        target.back()?;
        let mut reader = Reader::new();
        let mut bytes = 0;
        for chunk in chunks {
            bytes += chunk.len() as u64;
            target.take(&mut reader, chunk)?;
        }
        if !reader.is_complete() {
            return Err(target.cut_short());
        }
        let rows = target.rows();
        let Finished { table, problems, repaired } = target.cells.finish();
        Ok(Export { record_id: dictionary.record_id, table: Some(table), problems, repaired, rows, bytes })
    }
}
