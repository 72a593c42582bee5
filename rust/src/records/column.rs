//! Columns that are being filled, one builder for each type.

use super::choice::{ChoiceBuilder, Choices};
use super::convert;
use super::dictionary::Kind;
use super::growth::add;
use super::text::TextBuilder;
use crate::value::Column;

/// What the columns of a table share.
#[derive(Default)]
pub(super) struct Common {
    /// Cells that were not UTF-8 and are now.
    pub(super) repaired: u64,
    /// Missing-data codes that look like numbers: in a column of numbers they do not count as such.
    barred: Vec<Box<[u8]>>,
}

impl Common {
    pub(super) fn new(missing_codes: &[String]) -> Self {
        let numbers = missing_codes.iter().filter(|code| {
            convert::real(code.as_bytes(), b'.').is_some() || convert::real(code.as_bytes(), b',').is_some()
        });
        Self { repaired: 0, barred: numbers.map(|code| code.as_bytes().into()).collect() }
    }

    #[inline(always)]
    fn is_barred(&self, cell: &[u8]) -> bool {
        self.barred.iter().any(|code| **code == *cell)
    }
}

/// A column that is being filled.
pub(super) enum Builder {
    Int(Vec<i32>),
    Real(Vec<f64>, u8),
    Flag(Vec<i8>),
    Date(Vec<f64>),
    DateTime(Vec<f64>),
    Choice(Box<ChoiceBuilder>),
    Text(Box<TextBuilder>),
}

impl Builder {
    /// The builder for a kind. Without types everything is text; labels are too.
    pub(super) fn new(kind: &Kind, choices: Choices, types: bool) -> Self {
        let text = || Self::Text(Box::new(TextBuilder::new()));
        match (kind, types) {
            (Kind::Choice(declared), true) => Self::Choice(Box::new(ChoiceBuilder::new(declared, choices))),
            (Kind::Choice(declared), false) if choices != Choices::Code => {
                Self::Choice(Box::new(ChoiceBuilder::new(declared, Choices::Label)))
            }
            (Kind::Text, _) | (_, false) => text(),
            (Kind::Int, true) => Self::Int(Vec::new()),
            (Kind::Real(point), true) => Self::Real(Vec::new(), *point),
            (Kind::Flag, true) => Self::Flag(Vec::new()),
            (Kind::Date, true) => Self::Date(Vec::new()),
            (Kind::DateTime, true) => Self::DateTime(Vec::new()),
        }
    }

    /// Adds a cell; a blank one is missing. False if it does not fit the type: then it is missing too.
    #[inline(always)]
    pub(super) fn push(&mut self, cell: &[u8], common: &mut Common) -> bool {
        if cell.is_empty() {
            self.push_missing();
            return true;
        }
        let real = |cells: &mut Vec<f64>, found: Option<f64>| {
            add(cells, found.unwrap_or(Column::NO_REAL));
            found.is_some()
        };
        match self {
            Self::Int(cells) => {
                let found = convert::int(cell).filter(|_| !common.is_barred(cell));
                add(cells, found.unwrap_or(Column::NO_INT));
                found.is_some()
            }
            Self::Real(cells, point) => real(cells, convert::real(cell, *point).filter(|_| !common.is_barred(cell))),
            Self::Flag(cells) => {
                let found = match cell {
                    b"1" => 1,
                    b"0" => 0,
                    _ => Column::NO_FLAG,
                };
                add(cells, found);
                found != Column::NO_FLAG
            }
            Self::Date(cells) => real(cells, convert::date(cell)),
            Self::DateTime(cells) => real(cells, convert::date_time(cell)),
            Self::Choice(choices) => choices.push(cell),
            Self::Text(texts) => texts.push(cell, &mut common.repaired),
        }
    }

    #[inline(always)]
    fn push_missing(&mut self) {
        match self {
            Self::Int(cells) => add(cells, Column::NO_INT),
            Self::Real(cells, _) | Self::Date(cells) | Self::DateTime(cells) => add(cells, Column::NO_REAL),
            Self::Flag(cells) => add(cells, Column::NO_FLAG),
            Self::Choice(choices) => choices.push_missing(),
            Self::Text(texts) => texts.push_missing(),
        }
    }

    /// Forgets the cells behind the first `rows`.
    pub(super) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Int(cells) => cells.truncate(rows),
            Self::Real(cells, _) | Self::Date(cells) | Self::DateTime(cells) => cells.truncate(rows),
            Self::Flag(cells) => cells.truncate(rows),
            Self::Choice(choices) => choices.truncate(rows),
            Self::Text(texts) => texts.truncate(rows),
        }
    }

    /// The column; `zone` is that of its times of day.
    pub(super) fn finish(self, zone: &str) -> Column {
        match self {
            Self::Int(cells) => Column::Int(cells),
            Self::Real(cells, _) => Column::Real(cells),
            Self::Flag(cells) => Column::Flag(cells),
            Self::Date(cells) => Column::Date(cells),
            Self::DateTime(seconds) => Column::DateTime { seconds, zone: zone.to_owned() },
            Self::Choice(choices) => choices.finish(),
            Self::Text(texts) => texts.finish(),
        }
    }
}
