//! Filter logic: the comparisons that clients send as `filterLogic`.
//!
//! Understood are `[field]`, `[checkbox(code)]` and `[event][field]`, texts in quotes and numbers, the signs
//! `=`, `<>`, `!=`, `<`, `<=`, `>`, `>=`, `and`, `or` and brackets. REDCap also has functions and smart
//! variables; the sandbox says that it does not know them.

use std::collections::HashMap;

use super::design::{Design, FieldType, checkbox};
use super::refusal::Refusal;
use super::rows::Row;
use super::world::Project;

/// Brackets within brackets, at most.
const DEPTH: usize = 50;

/// A filter that has been understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter(Node);

#[derive(Debug, PartialEq, Eq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Compare(Term, Sign, Term),
}

#[derive(Debug, PartialEq, Eq)]
enum Term {
    Text(String),
    /// A column's value, at the row's own event or at a named one.
    Value {
        event: Option<String>,
        column: String,
        form: String,
        /// What is compared where nothing was entered: an untouched checkbox is unchecked.
        blank: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

/// The rows that belong to no repeating form, by record and event: where a filter finds what its own row
/// does not have.
pub(super) struct Base<'a>(HashMap<(&'a str, &'a str), &'a Row>);

impl<'a> Base<'a> {
    pub(super) fn of(project: &'a Project) -> Self {
        let mut base = HashMap::new();
        for row in project.data.rows.iter().filter(|row| row.place.form.is_empty()) {
            base.entry((row.place.record.as_str(), row.place.event.as_str())).or_insert(row);
        }
        Self(base)
    }
}

impl Filter {
    /// Understands a filter; a blank one lets everything through.
    pub(super) fn parse(design: &Design, text: &str) -> Result<Option<Self>, Refusal> {
        let words = words(text)?;
        if words.is_empty() {
            return Ok(None);
        }
        let mut parser = Parser { design, words: &words, depth: 0 };
        let node = parser.any()?;
        if parser.words.is_empty() { Ok(Some(Self(node))) } else { Err(Refusal::parameter("filterLogic")) }
    }

    /// Whether a row gets through.
    pub(super) fn keeps(&self, design: &Design, base: &Base<'_>, row: &Row) -> bool {
        self.0.holds(&|term| term.value(design, base, row))
    }
}

impl Node {
    fn holds(&self, value: &dyn Fn(&Term) -> String) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.holds(value)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(value)),
            Self::Compare(left, sign, right) => compare(&value(left), *sign, &value(right)),
        }
    }
}

impl Term {
    fn value(&self, design: &Design, base: &Base<'_>, row: &Row) -> String {
        let Self::Value { event, column, form, blank } = self else {
            let Self::Text(text) = self else { return String::new() };
            return text.clone();
        };
        if column == design.record_field() {
            return row.place.record.clone();
        }
        let event = event.as_deref().unwrap_or(&row.place.event);
        let row = if event == row.place.event && row.carries(design, form) {
            Some(row)
        } else {
            base.0.get(&(row.place.record.as_str(), event)).copied()
        };
        let text = row.map_or("", |row| row.value(column));
        if text.is_empty() { (*blank).to_owned() } else { text.to_owned() }
    }
}

/// Compares as numbers where both sides are numbers, else as texts. With a blank nothing is more or less.
fn compare(left: &str, sign: Sign, right: &str) -> bool {
    let order = match (left.trim().parse::<f64>(), right.trim().parse::<f64>()) {
        (Ok(left), Ok(right)) => left.partial_cmp(&right),
        _ => Some(left.cmp(right)),
    };
    let Some(order) = order else { return false };
    let both = !left.is_empty() && !right.is_empty();
    match sign {
        Sign::Equal => order.is_eq(),
        Sign::Unequal => order.is_ne(),
        Sign::Less => both && order.is_lt(),
        Sign::LessOrEqual => both && order.is_le(),
        Sign::More => both && order.is_gt(),
        Sign::MoreOrEqual => both && order.is_ge(),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Open,
    Close,
    And,
    Or,
    Sign(Sign),
    /// In square brackets.
    Name(String),
    /// A text in quotes or a number.
    Text(String),
}

/// Takes a text apart into words.
fn words(text: &str) -> Result<Vec<Word>, Refusal> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let until = |end: char| rest[c.len_utf8()..].split_once(end).ok_or_else(|| Refusal::parameter("filterLogic"));
        let mut behind = &rest[c.len_utf8()..];
        let word = match c {
            '(' => Word::Open,
            ')' => Word::Close,
            '[' => {
                let (name, tail) = until(']')?;
                behind = tail;
                Word::Name(name.trim().to_owned())
            }
            '"' | '\'' => {
                let (text, tail) = until(c)?;
                behind = tail;
                Word::Text(text.to_owned())
            }
            '=' | '<' | '>' | '!' => {
                let signs = [
                    ("<>", Sign::Unequal),
                    ("!=", Sign::Unequal),
                    ("<=", Sign::LessOrEqual),
                    (">=", Sign::MoreOrEqual),
                    ("=", Sign::Equal),
                    ("<", Sign::Less),
                    (">", Sign::More),
                ];
                let found = signs.iter().find_map(|(text, sign)| Some((rest.strip_prefix(text)?, *sign)));
                let (tail, sign) = found.ok_or_else(|| Refusal::parameter("filterLogic"))?;
                behind = tail;
                Word::Sign(sign)
            }
            _ => {
                let stop = |c: char| c.is_whitespace() || "()[]<>=!'\"".contains(c);
                let (word, tail) = rest.split_at(rest.find(stop).unwrap_or(rest.len()));
                behind = tail;
                match word.to_ascii_lowercase().as_str() {
                    "and" | "&&" => Word::And,
                    "or" | "||" => Word::Or,
                    number if number.parse::<f64>().is_ok() => Word::Text(word.to_owned()),
                    _ => return Err(Refusal::sandbox("this filter logic: it knows simple comparisons only")),
                }
            }
        };
        words.push(word);
        rest = behind.trim_start();
    }
    Ok(words)
}

struct Parser<'a> {
    design: &'a Design,
    words: &'a [Word],
    depth: usize,
}

impl Parser<'_> {
    fn takes(&mut self, word: &Word) -> bool {
        let here = self.words.first() == Some(word);
        if here {
            self.words = &self.words[1..];
        }
        here
    }

    fn next(&mut self) -> Result<Word, Refusal> {
        let (word, rest) = self.words.split_first().ok_or_else(|| Refusal::parameter("filterLogic"))?;
        self.words = rest;
        Ok(word.clone())
    }

    fn any(&mut self) -> Result<Node, Refusal> {
        let mut nodes = vec![self.all()?];
        while self.takes(&Word::Or) {
            nodes.push(self.all()?);
        }
        Ok(Node::Any(nodes))
    }

    fn all(&mut self) -> Result<Node, Refusal> {
        let mut nodes = vec![self.one()?];
        while self.takes(&Word::And) {
            nodes.push(self.one()?);
        }
        Ok(Node::All(nodes))
    }

    fn one(&mut self) -> Result<Node, Refusal> {
        if self.takes(&Word::Open) {
            self.depth += 1;
            let node = if self.depth > DEPTH { Err(Refusal::parameter("filterLogic")) } else { self.any() }?;
            self.depth -= 1;
            return if self.takes(&Word::Close) { Ok(node) } else { Err(Refusal::parameter("filterLogic")) };
        }
        let left = self.term()?;
        let Word::Sign(sign) = self.next()? else { return Err(Refusal::parameter("filterLogic")) };
        Ok(Node::Compare(left, sign, self.term()?))
    }

    fn term(&mut self) -> Result<Term, Refusal> {
        let first = match self.next()? {
            Word::Text(text) => return Ok(Term::Text(text)),
            Word::Name(name) => name,
            _ => return Err(Refusal::parameter("filterLogic")),
        };
        // `[event][field]`: two names in a row.
        let (event, name) = match self.words.first() {
            Some(Word::Name(_)) => {
                if self.design.event(&first).is_none() {
                    return Err(Refusal::values("filterLogic", &[&first]));
                }
                let Word::Name(name) = self.next()? else { return Err(Refusal::parameter("filterLogic")) };
                (Some(first), name)
            }
            _ => (None, first),
        };
        self.column(event, &name).ok_or_else(|| Refusal::values("filterLogic", &[&name]))
    }

    /// The column of `field`, `checkbox(code)` or `form_complete`.
    fn column(&self, event: Option<String>, name: &str) -> Option<Term> {
        if let Some((name, code)) = name.strip_suffix(')').and_then(|name| name.split_once('(')) {
            let field = self.design.field(name).filter(|field| field.kind == FieldType::Checkbox)?;
            field.choice(code)?;
            let column = checkbox(name, code);
            return Some(Term::Value { event, column, form: field.form.clone(), blank: "0" });
        }
        let form = match self.design.field(name) {
            Some(field) if matches!(field.kind, FieldType::Checkbox | FieldType::Descriptive) => return None,
            Some(field) => field.form.clone(),
            None => name.strip_suffix("_complete").filter(|form| self.design.has_form(form))?.to_owned(),
        };
        Some(Term::Value { event, column: name.to_owned(), form, blank: "" })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sandbox::samples;

    /// The numbers of the rows of a sample project that a filter keeps.
    fn kept(project: &Project, text: &str) -> Vec<usize> {
        let filter = Filter::parse(&project.design, text).unwrap().unwrap();
        let base = Base::of(project);
        let rows = project.data.rows.iter().enumerate();
        rows.filter(|(_, row)| filter.keeps(&project.design, &base, row)).map(|(n, _)| n).collect()
    }

    fn those(project: &Project, test: impl Fn(&Row) -> bool) -> Vec<usize> {
        let rows = project.data.rows.iter().enumerate();
        rows.filter(|(_, row)| test(row)).map(|(n, _)| n).collect()
    }

    #[test]
    fn comparisons_keep_the_rows_for_which_they_hold() {
        let project = &samples::projects()[0];
        let number = |row: &Row, name: &str| row.value(name).parse::<f64>().ok();
        for (text, expected) in [
            ("[sex] = '1'", those(project, |row| row.value("sex") == "1")),
            ("[sex]<>\"1\"", those(project, |row| row.value("sex") != "1")),
            ("[sex] != 1", those(project, |row| row.value("sex") != "1")),
            ("[bmi] > 30", those(project, |row| number(row, "bmi").is_some_and(|bmi| bmi > 30.0))),
            ("30 < [bmi]", those(project, |row| number(row, "bmi").is_some_and(|bmi| bmi > 30.0))),
            ("[weight] <= '80.0'", those(project, |row| number(row, "weight").is_some_and(|kg| kg <= 80.0))),
            ("[pulse] = ''", those(project, |row| row.value("pulse").is_empty())),
            ("[birth_date] >= '1980-01-01'", those(project, |row| row.value("birth_date") >= "1980-01-01")),
            ("[symptoms(1)] = '1'", those(project, |row| row.value("symptoms___1") == "1")),
            ("[symptoms(-9)] = 0", those(project, |row| row.value("symptoms____9") != "1")),
            ("[record_id] = 7", vec![6]),
            ("[health_complete]='2'", those(project, |row| row.value("health_complete") == "2")),
            (
                "[sex]='1' and ([smoker]='1' or [pulse] < 60)",
                those(project, |row| {
                    let slow = number(row, "pulse").is_some_and(|pulse| pulse < 60.0);
                    row.value("sex") == "1" && (row.value("smoker") == "1" || slow)
                }),
            ),
            (
                "[sex]='1' AND [smoker]='1' OR [sex]='2'",
                those(project, |row| row.value("sex") == "1" && row.value("smoker") == "1" || row.value("sex") == "2"),
            ),
        ] {
            assert!(!expected.is_empty() && expected.len() < 1200, "{text}");
            assert_eq!(kept(project, text), expected, "{text}");
        }
    }

    #[test]
    fn an_event_in_front_of_a_field_looks_there_and_not_in_the_row() {
        let project = &samples::projects()[1];
        let women: std::collections::BTreeSet<_> = project
            .data
            .rows
            .iter()
            .filter(|row| row.place.event == "screening_arm_1" && row.value("sex") == "1")
            .map(|row| &row.place.record)
            .collect();
        let expected = those(project, |row| women.contains(&row.place.record));
        assert!(expected.len() > women.len());
        assert_eq!(kept(project, "[screening_arm_1][sex] = '1'"), expected);
        let own = kept(project, "[sex] = '1'");
        assert!(own.iter().all(|n| project.data.rows[*n].place.event.starts_with("screening")));
    }

    #[test]
    fn a_repeating_form_sees_what_stands_once_at_its_event() {
        let project = &samples::projects()[2];
        let rows = kept(project, "[record_id] = '1' and [enrolled_on] <> ''");
        let forms: Vec<_> = rows.iter().map(|n| project.data.rows[*n].place.form.as_str()).collect();
        assert_eq!(forms[0], "");
        let all = those(project, |row| row.place.record == "1" && row.place.event == "enrolment_arm_1");
        assert_eq!(rows, all);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let design = &samples::projects()[0].design;
        assert_eq!(Filter::parse(design, " ").unwrap(), None);
        for text in ["[sex]", "[sex] = ", "= 1", "[sex] = 1 and", "([sex]=1", "[sex]=1)", "[sex = 1", "[sex] = 'x"] {
            assert_eq!(Filter::parse(design, text), Err(Refusal::parameter("filterLogic")), "{text}");
        }
        for name in ["wrong", "symptoms", "symptoms(7)", "sex(1)", "health_info", "wrong_complete"] {
            let text = format!("[{name}] = 1");
            assert_eq!(Filter::parse(design, &text), Err(Refusal::values("filterLogic", &[name])), "{name}");
        }
        for text in ["datediff([birth_date],'today','y') > 5", "[sex] + 1 = 2", "not [sex] = 1"] {
            let refusal = Filter::parse(design, text).unwrap_err();
            assert!(refusal.message.contains("keycap sandbox"), "{text}: {}", refusal.message);
        }
        let deep = format!("{}[sex]=1{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(Filter::parse(design, &deep).is_err());
    }
}
