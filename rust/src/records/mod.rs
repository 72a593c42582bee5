//! Exports of records: REDCap's CSV into typed columns while it downloads, or to a file. And imports: data checked
//! against the project, compared with what is there, and sent.
//!
//! Where is what:
//! - [`export`] asks for the records, whole or in batches, and says what came of it.
//! - `dictionary` what the project says of its fields: types, choices, the names of the exported columns.
//! - `csv` reads CSV as it comes; `body` knows a body's header and the number of its cells.
//! - `table` puts cells into columns; `column` has a builder for each type, `choice` and `text` among them,
//!   `convert` turns one cell into one number or date and changes no value, `problems` keeps what did not fit.
//!   `growth` is how columns take memory.
//! - [`import`] sends data, or says what it would change: `import/fields` is the dictionary for imports, `import/cells`
//!   writes each cell as REDCap wants it, `import/sheet` checks the whole, `import/present` compares.
//! - `file` writes to disk instead; `intake` takes the chunks of one download after the other for either.
//!
//! And the answers to any other call: `any` makes the call, `sheet` puts rows into columns of text, `download` keeps
//! a body as one text or as a file.

mod any;
mod body;
mod choice;
mod column;
mod convert;
mod csv;
mod dictionary;
mod download;
mod export;
mod file;
#[cfg(any(test, fuzzing))]
mod fuzzed;
mod growth;
mod ids;
mod import;
mod intake;
mod metadata;
mod problems;
mod sheet;
mod table;
mod text;

#[cfg(test)]
mod tests;

pub(crate) use any::{Got, answer};
pub(crate) use choice::Choices;
pub(crate) use export::{Export, Wish, export};
#[cfg(any(test, fuzzing))]
pub(crate) use fuzzed::Fuzzed;
pub(crate) use import::{Blanks, Import, import};
pub(crate) use sheet::{Type, give_types};
