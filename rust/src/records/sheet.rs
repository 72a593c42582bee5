//! Rows of any content as a table of texts, and single columns of it as numbers, flags or times.

use super::body::{Body, Cells, Kept};
use super::convert;
use super::text::TextBuilder;
use crate::error::{Error, Kind, Result};
use crate::redcap::withheld;
use crate::value::{Column, Table};

/// What is known of the header of an answer. Anything may be CSV, a server's complaint too: the header tells.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// What was asked for, for messages.
    pub(super) content: String,
    /// A column that is always there; blank where none is.
    pub(super) key: &'static str,
    /// Whether the names are labels: any text.
    pub(super) labels: bool,
}

impl Header {
    /// # Errors
    /// `not_redcap`: these are no names of columns.
    pub(super) fn check(&self, names: &[String]) -> Result<()> {
        let is_name = |name: &String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.is_empty();
        let good = if self.labels {
            names.len() > 1 || !names.iter().any(|name| withheld(name))
        } else if self.key.is_empty() {
            names.iter().all(is_name)
        } else {
            names.iter().any(|name| name == self.key)
        };
        if good {
            return Ok(());
        }
        let message =
            format!("the answer is not what REDCap gives as `{}` (it is not shown: it may hold secrets)", self.content);
        Err(Error::new(Kind::NotRedcap, message)
            .hint("the server may be in trouble, its database for one; try again later, then tell its administrator"))
    }
}

/// A table of texts that is being filled.
pub(super) struct Sheet {
    header: Header,
    columns: Vec<(String, TextBuilder)>,
    repaired: u64,
    /// Whether a cell held what no text can.
    nul: bool,
}

impl Sheet {
    pub(super) fn new(header: Header) -> Body<Self> {
        Body::new(Self { header, columns: Vec::new(), repaired: 0, nul: false })
    }

    /// The table, and how many cells were repaired.
    pub(super) fn finish(self) -> (Table, u64) {
        let columns = self.columns.into_iter().map(|(name, builder)| (name, builder.finish())).collect();
        (Table { columns }, self.repaired)
    }
}

impl Cells for Sheet {
    fn header(&mut self, names: &[String]) -> Result<()> {
        self.header.check(names)?;
        self.columns = names.iter().map(|name| (name.clone(), TextBuilder::new())).collect();
        Ok(())
    }

    #[inline]
    fn cell(&mut self, column: usize, cell: &[u8]) {
        // A cell too many is an error at the end of its line.
        let Some((_, builder)) = self.columns.get_mut(column) else { return };
        if cell.is_empty() {
            builder.push_missing();
        } else if !builder.push(cell, &mut self.repaired) {
            self.nul = true;
        }
    }

    fn end(&mut self) {}
}

impl Kept for Sheet {
    fn fault(&self) -> Result<()> {
        if self.nul { Err(nul()) } else { Ok(()) }
    }

    /// Only one body is ever read: back to the beginning.
    fn back(&mut self, _rows: u64) {
        self.columns.iter_mut().for_each(|(_, builder)| builder.truncate(0));
        self.repaired = 0;
        self.nul = false;
    }
}

/// The error for a NUL, at which the host's texts would end.
pub(super) fn nul() -> Error {
    Error::new(Kind::NotRedcap, "the answer holds a NUL byte, which no text in R can hold")
        .hint("take it as it is: `as = \"file\"` with `to`")
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Whole numbers.
    Int,
    /// `1` or `0`.
    Flag,
    /// Dates.
    Date,
    /// Dates with a time of day.
    DateTime,
}

/// Gives columns their types. A column with a value that does not fit stays as it is, so that no value is lost; its
/// name is in the answer.
pub(crate) fn give_types(table: &mut Table, types: &[(&str, Type)], zone: &str) -> Vec<String> {
    let mut left = Vec::new();
    for (name, column) in &mut table.columns {
        let Some((_, kind)) = types.iter().find(|(known, _)| known == name) else { continue };
        match typed(column, *kind, zone) {
            Some(better) => *column = better,
            None => left.push(name.clone()),
        }
    }
    left
}

fn typed(column: &Column, kind: Type, zone: &str) -> Option<Column> {
    let Column::Text { ids, dictionary } = column else { return None };
    let of = |text: &[u8]| match kind {
        Type::Int => convert::int(text).map(f64::from),
        Type::Flag => match text {
            b"1" => Some(1.0),
            b"0" => Some(0.0),
            _ => None,
        },
        Type::Date => convert::date(text),
        Type::DateTime => convert::date_time(text),
    };
    let values: Vec<f64> = dictionary.iter().map(|text| of(text.as_bytes())).collect::<Option<_>>()?;
    let cells = ids.iter().map(|id| values.get(*id as usize).copied());
    Some(match kind {
        // All of them are whole numbers of 32 bits.
        Type::Int => Column::int(cells.map(|cell| cell.map(|number| number as i32))),
        Type::Flag => Column::flag(cells.map(|cell| cell.map(|number| number > 0.0))),
        Type::Date => match Column::real(cells) {
            Column::Real(days) => Column::Date(days),
            other => other,
        },
        Type::DateTime => match Column::real(cells) {
            Column::Real(seconds) => Column::DateTime { seconds, zone: zone.to_owned() },
            other => other,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(key: &'static str, labels: bool) -> Header {
        Header { content: "x".to_owned(), key, labels }
    }

    #[test]
    fn a_complaint_of_the_server_is_no_header() {
        let check = |key, labels, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            header(key, labels).check(&names).is_ok()
        };
        assert!(check("", false, &["record_id", "a___1", "Größe"][..2]));
        assert!(!check("", false, &["Could not connect as 'u' with 'p'"]));
        assert!(!check("", false, &["record_id", "a b"]));
        assert!(check("username", false, &["Any thing", "username"]));
        assert!(!check("username", false, &["Could not connect", "p"]));
        assert!(check("", true, &["Record ID", "What is your password?"]));
        assert!(!check("", true, &["Could not connect to the database as 'u'"]));
    }

    #[test]
    fn a_column_gets_its_type_if_all_of_it_fits_and_stays_text_else() {
        let text = |cells: &[Option<&str>]| Column::text(cells.iter().copied());
        let mut table = Table {
            columns: vec![
                ("n".to_owned(), text(&[Some("12"), None, Some("0")])),
                ("flag".to_owned(), text(&[Some("1"), Some("0"), None])),
                ("code".to_owned(), text(&[Some("1"), Some("2"), None])),
                ("time".to_owned(), text(&[Some("1970-01-02 00:01"), None, None])),
                ("day".to_owned(), text(&[Some("1970-01-03"), None, None])),
                ("zeros".to_owned(), text(&[Some("007"), None, None])),
                ("other".to_owned(), text(&[Some("1"), None, None])),
                ("blank".to_owned(), text(&[None, None, None])),
            ],
        };
        let before = table.clone();
        let types = [
            ("n", Type::Int),
            ("flag", Type::Flag),
            ("code", Type::Flag),
            ("time", Type::DateTime),
            ("day", Type::Date),
            ("zeros", Type::Int),
            ("blank", Type::Int),
            ("absent", Type::Int),
        ];
        assert_eq!(give_types(&mut table, &types, "Europe/Vienna"), ["code", "zeros"]);
        let column = |name: &str| &table.columns.iter().find(|(known, _)| known == name).unwrap().1;
        assert_eq!(*column("n"), Column::int([Some(12), None, Some(0)]));
        assert_eq!(*column("flag"), Column::flag([Some(true), Some(false), None]));
        assert_eq!(*column("blank"), Column::int([None, None, None]));
        let Column::DateTime { seconds, zone } = column("time") else { panic!() };
        assert!(
            seconds[0].to_bits() == 86_460_f64.to_bits() && Column::is_no_real(seconds[1]) && zone == "Europe/Vienna"
        );
        let Column::Date(days) = column("day") else { panic!() };
        assert!(days[0].to_bits() == 2_f64.to_bits() && Column::is_no_real(days[1]));
        for name in ["code", "zeros", "other"] {
            assert_eq!(Some(column(name)), before.columns.iter().find(|(known, _)| known == name).map(|(_, c)| c));
        }
    }
}
