//! What crosses the border between the core and its host language. One type in, one type out.

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

/// One column. `None` is "not available".
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Whole numbers of 32 bits.
    Int(Vec<Option<i32>>),
    /// Real numbers.
    Real(Vec<Option<f64>>),
    /// Yes or no.
    Flag(Vec<Option<bool>>),
    /// Texts, each stored once: `ids` point into `dictionary`, [`Column::MISSING`] stands for "not available".
    Text {
        /// One index into `dictionary` a row.
        ids: Vec<u32>,
        /// The distinct texts.
        dictionary: Vec<String>,
    },
}

impl Column {
    /// The id of a missing text.
    pub const MISSING: u32 = u32::MAX;

    /// A text column from its values; equal texts are stored once.
    pub fn text<S: AsRef<str>>(values: impl IntoIterator<Item = Option<S>>) -> Self {
        let mut index = std::collections::HashMap::new();
        let mut dictionary: Vec<String> = Vec::new();
        let ids = values
            .into_iter()
            .map(|value| match value {
                None => Self::MISSING,
                Some(text) => *index.entry(text.as_ref().to_owned()).or_insert_with(|| {
                    dictionary.push(text.as_ref().to_owned());
                    dictionary.len() as u32 - 1
                }),
            })
            .collect();
        Self::Text { ids, dictionary }
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
        let column = Column::text([Some("a"), None, Some("b"), Some("a")]);
        assert_eq!(
            column,
            Column::Text { ids: vec![0, Column::MISSING, 1, 0], dictionary: vec!["a".into(), "b".into()] }
        );
    }
}
