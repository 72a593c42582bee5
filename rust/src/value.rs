//! What crosses the border between the core and its host language. One type in, one type out.

use std::collections::TryReserveError;

/// A value that the host language can show.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing (`NULL`).
    Nothing,
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A real number.
    Real(f64),
    /// Yes or no.
    Flag(bool),
    /// Named values, in order; an empty name is no name.
    List(Vec<(String, Value)>),
    /// Columns of one length.
    Table(Table),
}

/// A table: columns of one length, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The columns with their names.
    pub columns: Vec<(String, Column)>,
}

/// One column, in the form in which the host can take it over without looking at each cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Whole numbers of 32 bits; [`Column::NO_INT`] is "not available".
    Int(Vec<i32>),
    /// Real numbers; [`Column::NO_REAL`] is "not available".
    Real(Vec<f64>),
    /// Yes (1) or no (0); [`Column::NO_FLAG`] is "not available".
    Flag(Vec<i8>),
    /// Texts, each stored once or oftener: `ids` point into `dictionary`, [`Column::MISSING`] is "not available".
    Text {
        /// One index into `dictionary` a row.
        ids: Vec<u32>,
        /// The texts.
        dictionary: Texts,
    },
    /// Dates, in days since 1970-01-01; [`Column::NO_REAL`] is "not available".
    Date(Vec<f64>),
    /// Times of day with their date, as a clock on the wall in `zone` shows them.
    DateTime {
        /// Seconds from 1970-01-01 00:00:00 on that clock, days of 86,400 seconds; [`Column::NO_REAL`] is "not
        /// available". In UTC these are the seconds since the epoch; other zones are the host's to apply.
        seconds: Vec<f64>,
        /// The name of the zone.
        zone: String,
    },
    /// One of several declared values.
    Factor {
        /// The position in `levels`, counted from 1; [`Column::NO_INT`] is "not available".
        codes: Vec<i32>,
        /// The declared values, all different, in their order.
        levels: Texts,
    },
}

impl Column {
    /// The id of a missing text.
    pub const MISSING: u32 = u32::MAX;
    /// The whole number that stands for "not available", as R has it.
    pub const NO_INT: i32 = i32::MIN;
    /// The real number that stands for "not available": the NaN that R takes for its `NA`, told from other NaNs by
    /// its lower half. Compare with [`Column::is_no_real`]; `==` is false for every NaN.
    pub const NO_REAL: f64 = f64::from_bits(0x7ff0_0000_0000_07a2);
    /// The flag that stands for "not available".
    pub const NO_FLAG: i8 = -1;

    /// Whether a real number stands for "not available".
    pub fn is_no_real(number: f64) -> bool {
        number.is_nan() && number.to_bits() & 0xffff_ffff == 0x07a2
    }

    /// Whole numbers from values that may be missing.
    pub fn int(values: impl IntoIterator<Item = Option<i32>>) -> Self {
        Self::Int(values.into_iter().map(|value| value.unwrap_or(Self::NO_INT)).collect())
    }

    /// Real numbers from values that may be missing.
    pub fn real(values: impl IntoIterator<Item = Option<f64>>) -> Self {
        Self::Real(values.into_iter().map(|value| value.unwrap_or(Self::NO_REAL)).collect())
    }

    /// Yes or no, from values that may be missing.
    pub fn flag(values: impl IntoIterator<Item = Option<bool>>) -> Self {
        Self::Flag(values.into_iter().map(|value| value.map_or(Self::NO_FLAG, i8::from)).collect())
    }

    /// A text column from its values; equal texts are stored once.
    pub fn text<S: AsRef<str>>(values: impl IntoIterator<Item = Option<S>>) -> Self {
        let mut index = std::collections::HashMap::new();
        let mut dictionary = Texts::default();
        let ids = values
            .into_iter()
            .map(|value| match value {
                None => Self::MISSING,
                Some(text) => *index.entry(text.as_ref().to_owned()).or_insert_with(|| dictionary.push(text.as_ref())),
            })
            .collect();
        Self::Text { ids, dictionary }
    }

    /// The number of cells.
    pub fn len(&self) -> usize {
        match self {
            Self::Int(cells) | Self::Factor { codes: cells, .. } => cells.len(),
            Self::Real(cells) | Self::Date(cells) | Self::DateTime { seconds: cells, .. } => cells.len(),
            Self::Flag(cells) => cells.len(),
            Self::Text { ids, .. } => ids.len(),
        }
    }

    /// Whether there is no cell.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text in a row; `None` where it is missing, and in columns of another type.
    pub fn text_at(&self, row: usize) -> Option<&str> {
        match self {
            Self::Text { ids, dictionary } => dictionary.get(*ids.get(row)?),
            _ => None,
        }
    }
}

/// Texts, one behind the other in one block of memory: millions of them cost no allocation each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    /// Adds a text and gives its index. Indices are 32 bits; there are never so many texts.
    pub fn push(&mut self, text: &str) -> u32 {
        self.text.push_str(text);
        self.ends.push(self.text.len());
        self.ends.len() as u32 - 1
    }

    /// Adds a text as [`Texts::push`] does, and fails where there is no memory for it; then nothing has changed.
    ///
    /// # Errors
    /// There is not enough memory.
    #[inline]
    pub fn try_push(&mut self, text: &str) -> Result<u32, TryReserveError> {
        self.text.try_reserve(text.len())?;
        self.ends.try_reserve(1)?;
        Ok(self.push(text))
    }

    /// All texts without anything between them, and where each of them ends.
    pub fn parts(&self) -> (&str, &[usize]) {
        (&self.text, &self.ends)
    }

    /// The text under an index.
    pub fn get(&self, index: u32) -> Option<&str> {
        let index = index as usize;
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        self.text.get(start..end)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len() as u32).filter_map(|index| self.get(index))
    }
}

impl<S: AsRef<str>> FromIterator<S> for Texts {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let mut all = Self::default();
        for text in texts {
            all.push(text.as_ref());
        }
        all
    }
}

impl Value {
    /// A named list.
    pub fn list<const N: usize>(items: [(&str, Value); N]) -> Self {
        Self::List(items.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The member of a list under a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::List(items) => items.iter().find(|(n, _)| n == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}
impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Whole(i64::from(number))
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}
impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Self::List(texts.into_iter().map(|text| (String::new(), Self::Text(text))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_column_stores_equal_texts_once() {
        let column = Column::text([Some("a"), None, Some("b"), Some("a"), Some("")]);
        let dictionary: Texts = ["a", "b", ""].into_iter().collect();
        assert_eq!(column, Column::Text { ids: vec![0, Column::MISSING, 1, 0, 2], dictionary });
        let texts: Vec<_> = (0..6).map(|row| column.text_at(row)).collect();
        assert_eq!(texts, [Some("a"), None, Some("b"), Some("a"), Some(""), None]);
    }

    #[test]
    fn texts_lie_one_behind_the_other_and_are_found_by_their_index() {
        let words = ["", "ä", "", "x\0y", "end"];
        let texts: Texts = words.iter().collect();
        assert_eq!(texts.iter().collect::<Vec<_>>(), words);
        assert_eq!((texts.len(), texts.get(5), texts.get(Column::MISSING)), (5, None, None));
    }

    #[test]
    fn a_missing_real_is_told_from_every_number_and_from_other_nans() {
        let Column::Real(cells) = Column::real([Some(1.5), None]) else { panic!() };
        assert!(Column::is_no_real(cells[1]) && !Column::is_no_real(cells[0]) && !Column::is_no_real(f64::NAN));
        // What the lower half says survives where a processor makes a signalling NaN a quiet one.
        assert!(Column::is_no_real(f64::from_bits(cells[1].to_bits() | 1 << 51)));
    }
}
