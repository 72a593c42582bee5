//! A column of choices: each cell is one of the declared codes.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use super::convert::int;
use super::dictionary::Choice;
use super::growth::add;
use crate::value::{Column, Texts};

/// What stands for a choice in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choices {
    /// The code: a whole number where every declared code is one, else a text.
    Code,
    /// The label.
    Label,
    /// A factor, its levels the labels in their order; where choices share a label, with their codes.
    Factor,
}

/// Codes below this one, by far the most of all, are found without hashing.
const DIRECT: usize = 100;

/// What a cell becomes.
enum Shape {
    Int,
    Text(Texts),
    Factor(Texts),
}

/// A column of choices that is being filled.
pub(super) struct ChoiceBuilder {
    cells: Vec<i32>,
    shape: Shape,
    /// What a code becomes; `missing` where it is not declared.
    direct: [i32; DIRECT],
    others: HashMap<Box<[u8]>, i32, RandomState>,
    missing: i32,
}

impl ChoiceBuilder {
    pub(super) fn new(choices: &[Choice], how: Choices) -> Self {
        let ints: Option<Vec<i32>> = choices.iter().map(|(code, _)| int(code.as_bytes())).collect();
        let (shape, become_) = match (how, ints) {
            (Choices::Code, Some(ints)) => (Shape::Int, ints),
            (Choices::Code, None) => {
                let (texts, ids) = distinct(choices.iter().map(|(code, _)| code), 0);
                (Shape::Text(texts), ids)
            }
            (Choices::Label, _) => {
                let (texts, ids) = distinct(choices.iter().map(|(_, label)| label), 0);
                (Shape::Text(texts), ids)
            }
            (Choices::Factor, _) => {
                (Shape::Factor(levels(choices).iter().collect()), (1..).take(choices.len()).collect())
            }
        };
        // In a column of texts, the id that stands for "missing" is the one of all ones.
        let missing = if matches!(shape, Shape::Text(_)) { Column::MISSING.cast_signed() } else { Column::NO_INT };
        let mut direct = [missing; DIRECT];
        let mut others = HashMap::default();
        for ((code, _), cell) in choices.iter().zip(become_) {
            match int(code.as_bytes()).and_then(|code| direct.get_mut(usize::try_from(code).ok()?)) {
                Some(place) => *place = cell,
                None => drop(others.insert(code.as_bytes().into(), cell)),
            }
        }
        Self { cells: Vec::new(), shape, direct, others, missing }
    }

    pub(super) fn push_missing(&mut self) {
        add(&mut self.cells, self.missing);
    }

    /// Adds a cell. False if its code is not declared: then it is missing.
    #[inline(always)]
    pub(super) fn push(&mut self, cell: &[u8]) -> bool {
        let found = match *cell {
            [a @ b'0'..=b'9'] => self.direct[usize::from(a - b'0')],
            [a @ b'1'..=b'9', b @ b'0'..=b'9'] => self.direct[usize::from(a - b'0') * 10 + usize::from(b - b'0')],
            _ => self.others.get(cell).copied().unwrap_or(self.missing),
        };
        add(&mut self.cells, found);
        found != self.missing
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.cells.truncate(rows);
    }

    pub(super) fn finish(self) -> Column {
        match self.shape {
            Shape::Int => Column::Int(self.cells),
            Shape::Factor(levels) => Column::Factor { codes: self.cells, levels },
            Shape::Text(dictionary) => {
                Column::Text { ids: self.cells.into_iter().map(i32::cast_unsigned).collect(), dictionary }
            }
        }
    }
}

/// A level for each choice: its label, and with its code where that alone would not tell it from the others.
fn levels(choices: &[Choice]) -> Vec<String> {
    let mut uses: HashMap<&str, u32> = HashMap::new();
    for (_, label) in choices {
        *uses.entry(label).or_default() += 1;
    }
    let mut taken: HashSet<String> =
        uses.iter().filter(|(_, n)| **n == 1).map(|(label, _)| (*label).to_owned()).collect();
    let level = |(code, label): &Choice| {
        if uses[label.as_str()] == 1 {
            return label.clone();
        }
        // Codes differ, so the texts do, unless a label reads like one of them.
        let mut level = format!("{label} ({code})");
        while !taken.insert(level.clone()) {
            level = format!("{level} ({code})");
        }
        level
    };
    choices.iter().map(level).collect()
}

/// The distinct texts in their order, and the place of each text among them, counted from `first`.
fn distinct<'a>(all: impl Iterator<Item = &'a String>, first: i32) -> (Texts, Vec<i32>) {
    let mut texts = Texts::default();
    let mut known: HashMap<&str, i32> = HashMap::new();
    let places =
        all.map(|text| *known.entry(text.as_str()).or_insert_with(|| texts.push(text).cast_signed() + first)).collect();
    (texts, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(choices: &[(&str, &str)], how: Choices, cells: &[&str]) -> (Column, Vec<bool>) {
        let choices: Vec<Choice> = choices.iter().map(|(c, l)| ((*c).to_owned(), (*l).to_owned())).collect();
        let mut builder = ChoiceBuilder::new(&choices, how);
        let fits = cells.iter().map(|cell| builder.push(cell.as_bytes())).collect();
        builder.push_missing();
        (builder.finish(), fits)
    }

    const NUMBERS: [(&str, &str); 5] = [("2", "two"), ("1", "one"), ("-9", "minus"), ("150", "many"), ("10", "one")];

    #[test]
    fn codes_are_whole_numbers_where_every_declared_code_is_one() {
        let (column, fits) = built(&NUMBERS, Choices::Code, &["1", "-9", "150", "10", "3", "01", "x", "1 ", "-1"]);
        let no = Column::NO_INT;
        assert_eq!(column, Column::Int(vec![1, -9, 150, 10, no, no, no, no, no, no]));
        assert_eq!(fits, [true, true, true, true, false, false, false, false, false]);
    }

    #[test]
    fn codes_are_texts_where_one_is_no_whole_number() {
        for odd in ["A", "01", "1.5", "+3", "3000000000"] {
            let (column, fits) = built(&[("1", "one"), (odd, "odd")], Choices::Code, &[odd, "1", "2"]);
            assert_eq!((0..4).map(|row| column.text_at(row)).collect::<Vec<_>>(), [Some(odd), Some("1"), None, None]);
            assert_eq!(fits, [true, true, false]);
        }
    }

    #[test]
    fn labels_stand_for_their_codes() {
        let (column, fits) = built(&NUMBERS, Choices::Label, &["2", "10", "1", "7"]);
        assert_eq!(
            (0..5).map(|row| column.text_at(row)).collect::<Vec<_>>(),
            [Some("two"), Some("one"), Some("one"), None, None]
        );
        assert_eq!(fits, [true, true, true, false]);
    }

    #[test]
    fn a_factor_has_the_labels_in_their_declared_order() {
        let (column, _) = built(&NUMBERS[..4], Choices::Factor, &["150", "2", "-9", "7"]);
        let levels = ["two", "one", "minus", "many"].iter().collect();
        assert_eq!(column, Column::Factor { codes: vec![4, 1, 3, Column::NO_INT, Column::NO_INT], levels });
    }

    #[test]
    fn choices_that_share_a_label_are_told_apart_by_their_codes() {
        let (column, _) = built(&NUMBERS, Choices::Factor, &["10", "1"]);
        let levels = ["two", "one (1)", "minus", "many", "one (10)"].iter().collect();
        assert_eq!(column, Column::Factor { codes: vec![5, 2, Column::NO_INT], levels });
        // Also where a label reads like one that was made.
        let (column, _) = built(&[("1", "x"), ("2", "x (1)"), ("3", "x")], Choices::Factor, &["1", "2", "3"]);
        let levels = ["x (1) (1)", "x (1)", "x (3)"].iter().collect();
        assert_eq!(column, Column::Factor { codes: vec![1, 2, 3, Column::NO_INT], levels });
    }
}
