//! What a project says of its fields, and with that of the columns of its exports.

use std::collections::{HashMap, HashSet};

use super::metadata::{Line, Metadata};
use crate::error::{Error, Kind as ErrorKind, Result};

/// A code and its label.
pub(super) type Choice = (String, String);

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whatever has no type of its own.
    Text,
    /// Whole numbers.
    Int,
    /// Numbers with this decimal character.
    Real(u8),
    /// `1` or `0`.
    Flag,
    /// Dates.
    Date,
    /// Dates with a time of day.
    DateTime,
    /// One of these codes.
    Choice(Vec<Choice>),
}

/// The project's dictionary.
#[derive(Debug)]
pub(super) struct Dictionary {
    /// The field that holds the record's id: the project's first.
    pub(super) record_id: String,
    columns: HashMap<String, Kind>,
    /// Checkbox fields: their columns are known by `field___`, whatever follows. Missing-data codes have such
    /// columns too.
    checkboxes: HashSet<String>,
    /// The project's missing-data codes.
    pub(super) missing_codes: Vec<String>,
}

impl Dictionary {
    /// Reads the answer to `metadata` (JSON), and the project's missing-data codes.
    ///
    /// # Errors
    /// `not_redcap`: this is not REDCap's metadata.
    pub(super) fn read(metadata: &[u8], missing_codes: &str) -> Result<Self> {
        let metadata = Metadata::read(metadata, missing_codes)?;
        let mut columns: HashMap<String, Kind> = [
            ("redcap_event_name", Kind::Text),
            ("redcap_repeat_instrument", Kind::Text),
            ("redcap_repeat_instance", Kind::Int),
            ("redcap_data_access_group", Kind::Text),
            ("redcap_survey_identifier", Kind::Text),
        ]
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), kind))
        .collect();
        let mut checkboxes = HashSet::new();
        for form in metadata.forms() {
            columns.entry(format!("{form}_complete")).or_insert_with(|| Kind::Choice(statuses()));
            columns.entry(format!("{form}_timestamp")).or_insert(Kind::DateTime);
        }
        for line in &metadata.lines {
            match line.field_type.as_str() {
                "descriptive" => {}
                "checkbox" => {
                    for (code, _) in choices(line.choices()) {
                        columns.insert(checkbox_column(&line.field_name, &code), Kind::Flag);
                    }
                    checkboxes.insert(line.field_name.clone());
                }
                _ => drop(columns.insert(line.field_name.clone(), kind(line))),
            }
        }
        let Metadata { record_id, missing_codes, .. } = metadata;
        columns.insert(record_id.clone(), Kind::Text);
        Ok(Self { record_id, columns, checkboxes, missing_codes })
    }

    /// What an exported column holds; `None` for a column that the dictionary does not explain.
    pub(super) fn kind(&self, column: &str) -> Option<&Kind> {
        self.columns.get(column).or_else(|| {
            let (field, _) = column.split_once("___")?;
            self.checkboxes.contains(field).then_some(&Kind::Flag)
        })
    }

    /// Refuses a header without any column that the dictionary knows: then it is no export, but perhaps the text of
    /// a database's error, which may hold a password and is not shown.
    pub(super) fn check_header(&self, names: &[String]) -> Result<()> {
        if names.iter().any(|name| self.kind(name).is_some()) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NotRedcap,
            "the answer is no export of this project (it is not shown: it may hold secrets)",
        )
        .hint("the server may be in trouble, its database for one; try again later, then tell its administrator"))
    }
}

pub(super) fn statuses() -> Vec<Choice> {
    [("0", "Incomplete"), ("1", "Unverified"), ("2", "Complete")]
        .map(|(code, label)| (code.to_owned(), label.to_owned()))
        .into()
}

fn kind(line: &Line) -> Kind {
    match line.field_type.as_str() {
        "radio" | "dropdown" => {
            let choices = choices(line.choices());
            if choices.is_empty() { Kind::Text } else { Kind::Choice(choices) }
        }
        "yesno" | "truefalse" => Kind::Flag,
        "calc" => Kind::Real(b'.'),
        "slider" => Kind::Int,
        "text" => match line.validation() {
            "integer" | "int" => Kind::Int,
            number if number.starts_with("number") || number == "float" => {
                Kind::Real(if number.ends_with("comma_decimal") { b',' } else { b'.' })
            }
            time if time.starts_with("datetime_") => Kind::DateTime,
            date if date.starts_with("date_") || date == "date" => Kind::Date,
            _ => Kind::Text,
        },
        _ => Kind::Text,
    }
}

/// Choices as REDCap writes them: `1, Label | 2, Label with, comma`. A part without a comma is code and label.
pub(super) fn choices(text: &str) -> Vec<Choice> {
    let mut all: Vec<Choice> = Vec::new();
    let mut known: HashSet<&str> = HashSet::new();
    for part in text.split('|').map(str::trim).filter(|part| !part.is_empty()) {
        let (code, label) = part.split_once(',').map_or((part, part), |(code, label)| (code.trim(), label.trim()));
        // A choice without a label is shown by its code: blank would look like a missing value.
        let label = if label.is_empty() { code } else { label };
        if known.insert(code) {
            all.push((code.to_owned(), label.to_owned()));
        }
    }
    all
}

/// The column of a checkbox's choice: lower case, and `_` for what is neither letter nor digit.
pub(super) fn checkbox_column(field: &str, code: &str) -> String {
    let code: String = code.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{field}___{code}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(name: &str, kind: &str, choices: &str, validation: &str) -> serde_json::Value {
        json!({
            "field_name": name, "form_name": "visit_1", "field_type": kind, "field_label": "x",
            "select_choices_or_calculations": choices, "text_validation_type_or_show_slider_number": validation,
        })
    }

    fn dictionary(lines: &[serde_json::Value]) -> Dictionary {
        let mut all = vec![line("id", "text", "", "integer")];
        all.extend_from_slice(lines);
        Dictionary::read(json!(all).to_string().as_bytes(), "UNK, Unknown | -99, Not asked").unwrap()
    }

    #[test]
    fn a_field_of_very_many_choices_is_read_in_no_time() {
        let text: String = (0..200_000).map(|n| format!("{}, label {n} | ", n % 100_000)).collect::<Vec<_>>().concat();
        let begin = std::time::Instant::now();
        let all = choices(&text);
        assert_eq!((all.len(), &all[99_999]), (100_000, &("99999".to_owned(), "label 99999".to_owned())));
        assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
    }

    #[test]
    fn every_type_of_field_has_its_kind() {
        for (kind, validation, expected) in [
            ("text", "", Kind::Text),
            ("text", "integer", Kind::Int),
            ("text", "number", Kind::Real(b'.')),
            ("text", "number_2dp", Kind::Real(b'.')),
            ("text", "number_comma_decimal", Kind::Real(b',')),
            ("text", "number_1dp_comma_decimal", Kind::Real(b',')),
            ("text", "date_dmy", Kind::Date),
            ("text", "date_ymd", Kind::Date),
            ("text", "datetime_mdy", Kind::DateTime),
            ("text", "datetime_seconds_ymd", Kind::DateTime),
            ("text", "time", Kind::Text),
            ("text", "email", Kind::Text),
            ("text", "zipcode", Kind::Text),
            ("notes", "", Kind::Text),
            ("calc", "", Kind::Real(b'.')),
            ("slider", "number", Kind::Int),
            ("yesno", "", Kind::Flag),
            ("truefalse", "", Kind::Flag),
            ("file", "signature", Kind::Text),
            ("sql", "", Kind::Text),
            ("radio", "", Kind::Text),
            ("of the future", "", Kind::Text),
        ] {
            let found = dictionary(&[line("x", kind, "", validation)]);
            assert_eq!(found.kind("x"), Some(&expected), "{kind} {validation}");
        }
        assert_eq!(dictionary(&[line("x", "descriptive", "", "")]).kind("x"), None);
    }

    #[test]
    fn the_record_id_is_text_whatever_its_validation() {
        let found = dictionary(&[]);
        assert_eq!((found.record_id.as_str(), found.kind("id")), ("id", Some(&Kind::Text)));
    }

    #[test]
    fn choices_keep_commas_in_labels_and_their_order() {
        let pair = |code: &str, label: &str| (code.to_owned(), label.to_owned());
        assert_eq!(
            choices("2, Zwei, mit Komma | 1,Eins|-1 , minus one | A | 5, | 2, again | "),
            [pair("2", "Zwei, mit Komma"), pair("1", "Eins"), pair("-1", "minus one"), pair("A", "A"), pair("5", "5")]
        );
        assert_eq!(choices(""), []);
    }

    #[test]
    fn checkbox_columns_have_the_names_that_redcap_gives_them() {
        for (code, name) in
            [("1", "f___1"), ("-1", "f____1"), ("A b", "f___a_b"), ("1.5", "f___1_5"), ("UNK", "f___unk")]
        {
            assert_eq!(checkbox_column("f", code), name);
        }
        let found = dictionary(&[line("f", "checkbox", "1, one | -1, minus", "")]);
        for name in ["f___1", "f____1", "f___unk"] {
            assert_eq!(found.kind(name), Some(&Kind::Flag), "{name}");
        }
        assert_eq!((found.kind("f"), found.kind("g___1")), (None, None));
    }

    #[test]
    fn columns_that_redcap_adds_have_their_kinds() {
        let found = dictionary(&[]);
        let status = found.kind("visit_1_complete");
        assert!(matches!(status, Some(Kind::Choice(choices)) if choices[2] == ("2".into(), "Complete".into())));
        for (name, kind) in [
            ("redcap_event_name", Kind::Text),
            ("redcap_repeat_instrument", Kind::Text),
            ("redcap_repeat_instance", Kind::Int),
            ("redcap_data_access_group", Kind::Text),
            ("redcap_survey_identifier", Kind::Text),
            ("visit_1_timestamp", Kind::DateTime),
        ] {
            assert_eq!(found.kind(name), Some(&kind), "{name}");
        }
        assert_eq!(found.kind("other_timestamp"), None);
        assert_eq!(found.missing_codes, ["UNK", "-99"]);
        // A field of the project that has such a name is what the project says.
        let found = dictionary(&[line("visit_1_timestamp", "text", "", "integer")]);
        assert_eq!(found.kind("visit_1_timestamp"), Some(&Kind::Int));
    }

    #[test]
    fn what_is_not_metadata_is_refused_without_being_shown() {
        for body in ["[]", "{}", "hunter2", "[1]", "[{\"field_name\":1}]", "[{\"field_type\":\"text\"}]"] {
            let error = Dictionary::read(body.as_bytes(), "").unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotRedcap);
            assert!(!format!("{error:?}").contains("hunter2"));
        }
        let nulls = r#"[{"field_name":"id","field_type":"text","form_name":null,"text_validation_type_or_show_slider_number":null}]"#;
        assert!(Dictionary::read(nulls.as_bytes(), "").is_ok());
    }

    #[test]
    fn a_header_without_any_known_column_is_refused_without_being_shown() {
        let found = dictionary(&[]);
        assert!(found.check_header(&["new".into(), "id".into()]).is_ok());
        let error = found.check_header(&["Could not connect as 'redcap' with 'hunter2'".into()]).unwrap_err();
        assert!(error.kind == ErrorKind::NotRedcap && !format!("{error:?}").contains("hunter2"));
    }
}
