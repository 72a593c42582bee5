//! Exports of records: REDCap's CSV into typed columns while it downloads, or to a file.
//!
//! Where is what:
//! - [`export`] asks for the records, whole or in batches, and says what came of it.
//! - `dictionary` what the project says of its fields: types, choices, the names of the exported columns.
//! - `csv` reads CSV as it comes; `body` knows a body's header and the number of its cells.
//! - `table` puts cells into columns; `column` has a builder for each type, `choice` and `text` among them,
//!   `convert` turns one cell into one number or date and changes no value, `problems` keeps what did not fit.
//!   `growth` is how columns take memory.
//! - `file` writes to disk instead; `intake` takes the chunks of one download after the other for either.

mod body;
mod choice;
mod column;
mod convert;
mod csv;
mod dictionary;
mod export;
mod file;
mod growth;
mod ids;
mod intake;
mod problems;
mod repair;
mod table;
mod text;

#[cfg(test)]
mod tests;

pub(crate) use choice::Choices;
pub(crate) use export::{Export, Wish, export};
