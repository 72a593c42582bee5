//! What the project's dictionary says of the columns that an import may have.

use std::collections::HashMap;

use crate::error::Result;
use crate::records::convert;
use crate::records::dictionary::{Choice, checkbox_column, choices, statuses};
use crate::records::metadata::{Line, Metadata};
use crate::spelling::distance;

/// The columns that say where a row belongs, behind the record's id.
pub(super) const EVENT: &str = "redcap_event_name";
pub(super) const INSTRUMENT: &str = "redcap_repeat_instrument";
pub(super) const INSTANCE: &str = "redcap_repeat_instance";
/// The column of the record's Data Access Group.
pub(super) const GROUP: &str = "redcap_data_access_group";

/// What a column takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// The record's id.
    Id,
    /// Whatever REDCap checks itself, or nobody.
    Text,
    /// Whole numbers.
    Int,
    /// Numbers with this decimal character and, where that is fixed, so many decimals.
    Real {
        /// The decimal character.
        point: u8,
        /// The number of decimals; `None`: any.
        decimals: Option<usize>,
    },
    /// Dates.
    Date,
    /// Dates with a time of day, with or without seconds.
    Time {
        /// Whether it has seconds.
        seconds: bool,
    },
    /// One of these codes. `logical` where `TRUE` and `FALSE` mean `1` and `0`.
    Choice {
        /// Codes and labels.
        choices: Vec<Choice>,
        /// Yes or no, true or false, checked or unchecked.
        logical: bool,
    },
}

/// A column that can be imported.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// The field's own name: that of the column, but for checkboxes.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// A box of a checkbox field: blank and `0` are the same.
    pub(super) is_box: bool,
    /// The smallest and the largest value, as the dictionary writes them. Beyond them REDCap warns and takes the
    /// value all the same.
    pub(super) range: (Option<f64>, Option<f64>),
}

impl Field {
    fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind, is_box: false, range: (None, None) }
    }
}

/// The columns that the project can take, and those that it makes itself.
#[derive(Debug)]
pub(super) struct Fields {
    /// The field that holds the record's id: the project's first.
    pub(super) record_id: String,
    columns: HashMap<String, Field>,
    /// Columns of exports that no import can set, and why.
    fixed: HashMap<String, &'static str>,
    /// Checkbox fields with the columns that stand for them.
    boxes: HashMap<String, Vec<String>>,
    missing_codes: Vec<String>,
}

impl Fields {
    /// Reads the answer to `metadata` (JSON), and the project's missing-data codes.
    ///
    /// # Errors
    /// `not_redcap`: this is not REDCap's metadata.
    pub(super) fn read(metadata: &[u8], missing_codes: &str) -> Result<Self> {
        let metadata = Metadata::read(metadata, missing_codes)?;
        let record_id = &metadata.record_id;
        let mut fields = Self {
            record_id: record_id.clone(),
            columns: HashMap::new(),
            fixed: HashMap::new(),
            boxes: HashMap::new(),
            missing_codes: metadata.missing_codes.clone(),
        };
        for name in [EVENT, INSTRUMENT, INSTANCE, GROUP] {
            fields.columns.insert(name.to_owned(), Field::new(name, Kind::Text));
        }
        fields.fixed.insert("redcap_survey_identifier".to_owned(), "REDCap sets it itself");
        for form in metadata.forms() {
            let status = format!("{form}_complete");
            let kind = Kind::Choice { choices: statuses(), logical: false };
            fields.columns.entry(status.clone()).or_insert_with(|| Field::new(&status, kind));
            fields.fixed.insert(format!("{form}_timestamp"), "REDCap sets it itself");
        }
        for line in &metadata.lines {
            fields.line(line);
        }
        fields.fixed.remove(record_id);
        fields.columns.insert(record_id.clone(), Field::new(record_id, Kind::Id));
        Ok(fields)
    }

    fn line(&mut self, line: &Line) {
        let name = &line.field_name;
        self.fixed.remove(name);
        let declared = || choices(line.choices());
        match line.field_type.as_str() {
            "descriptive" => {}
            "calc" => drop(self.fixed.insert(name.clone(), "REDCap calculates it")),
            "file" => drop(self.fixed.insert(name.clone(), "files have a method of their own")),
            "checkbox" => {
                let codes = declared().into_iter().map(|(code, _)| code).chain(self.missing_codes.iter().cloned());
                let columns: Vec<String> = codes.map(|code| checkbox_column(name, &code)).collect();
                for column in &columns {
                    let kind = logical(&[("1", "Checked"), ("0", "Unchecked")]);
                    self.columns.insert(column.clone(), Field { is_box: true, ..Field::new(name, kind) });
                }
                self.boxes.insert(name.clone(), columns);
            }
            other => {
                let validation = line.validation();
                let kind = kind(other, validation, declared);
                let bound = |text: &Option<String>| bound(&kind, text.as_deref().unwrap_or_default());
                let range = if other == "text" {
                    (bound(&line.text_validation_min), bound(&line.text_validation_max))
                } else {
                    (None, None)
                };
                self.columns.insert(name.clone(), Field { range, ..Field::new(name, kind) });
            }
        }
    }

    /// The field of a column.
    pub(super) fn get(&self, column: &str) -> Option<&Field> {
        self.columns.get(column)
    }

    /// Why a column that exports have cannot be imported.
    pub(super) fn fixed(&self, column: &str) -> Option<&'static str> {
        self.fixed.get(column).copied()
    }

    /// Whether a text is one of the project's missing-data codes, which every field takes.
    pub(super) fn is_missing_code(&self, text: &str) -> bool {
        self.missing_codes.iter().any(|code| code == text)
    }

    /// What somebody may have meant by a name that is no column of the project.
    pub(super) fn meant(&self, name: &str) -> Option<String> {
        if let Some(columns) = self.boxes.get(name) {
            return columns.first().cloned();
        }
        let lower = name.to_lowercase();
        // A third of the letters may be wrong, and three at most.
        let most = (lower.chars().count() / 3).clamp(1, 3);
        let near = self.columns.keys().map(|known| (distance(&lower, &known.to_lowercase()), known));
        near.filter(|(distance, _)| *distance <= most).min().map(|(_, known)| known.clone())
    }
}

fn logical(choices: &[(&str, &str)]) -> Kind {
    let choices = choices.iter().map(|(code, label)| ((*code).to_owned(), (*label).to_owned())).collect();
    Kind::Choice { choices, logical: true }
}

fn kind(field_type: &str, validation: &str, declared: impl Fn() -> Vec<Choice>) -> Kind {
    match field_type {
        "radio" | "dropdown" => {
            let choices = declared();
            if choices.is_empty() { Kind::Text } else { Kind::Choice { choices, logical: false } }
        }
        "yesno" => logical(&[("1", "Yes"), ("0", "No")]),
        "truefalse" => logical(&[("1", "True"), ("0", "False")]),
        "slider" => Kind::Int,
        "text" => match validation {
            "integer" | "int" => Kind::Int,
            "float" => Kind::Real { point: b'.', decimals: None },
            number if number.starts_with("number") => {
                let point = if number.ends_with("comma_decimal") { b',' } else { b'.' };
                let digits = number.strip_prefix("number_").and_then(|rest| rest.split_once("dp"));
                Kind::Real { point, decimals: digits.and_then(|(digits, _)| digits.parse().ok()) }
            }
            time if time.starts_with("datetime_") => Kind::Time { seconds: time.starts_with("datetime_seconds_") },
            date if date.starts_with("date_") || date == "date" => Kind::Date,
            _ => Kind::Text,
        },
        _ => Kind::Text,
    }
}

/// A bound as a number, in the measure of the kind. Bounds such as `today` or `[other_field]` are REDCap's to know.
fn bound(kind: &Kind, text: &str) -> Option<f64> {
    match kind {
        Kind::Int | Kind::Real { .. } => {
            convert::real(text.as_bytes(), b'.').or_else(|| convert::real(text.as_bytes(), b','))
        }
        Kind::Date => convert::date(text.as_bytes()),
        Kind::Time { .. } => convert::date_time(text.as_bytes()),
        Kind::Id | Kind::Text | Kind::Choice { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(name: &str, kind: &str, choices: &str, validation: &str) -> serde_json::Value {
        json!({
            "field_name": name, "form_name": "visit", "field_type": kind, "text_validation_min": "5",
            "select_choices_or_calculations": choices, "text_validation_type_or_show_slider_number": validation,
        })
    }

    fn fields() -> Fields {
        let lines = [
            line("id", "text", "", "integer"),
            line("age", "text", "", "integer"),
            line("temperature", "text", "", "number_1dp"),
            line("dose", "text", "", "number_2dp_comma_decimal"),
            line("weight", "text", "", "number_comma_decimal"),
            line("born", "text", "", "date_dmy"),
            line("seen", "text", "", "datetime_seconds_mdy"),
            line("met", "text", "", "datetime_ymd"),
            line("sex", "radio", "1, f | 2, m", ""),
            line("agreed", "yesno", "", ""),
            line("symptoms", "checkbox", "1, red | -9, ?", ""),
            line("bmi", "calc", "[a]/[b]", ""),
            line("letter", "file", "", ""),
            line("words", "descriptive", "", ""),
        ];
        Fields::read(json!(lines).to_string().as_bytes(), "UNK, Unknown").unwrap()
    }

    #[test]
    fn every_column_has_its_kind_and_what_no_import_sets_has_its_reason() {
        let fields = fields();
        let real = |point, decimals| Kind::Real { point, decimals };
        for (name, kind) in [
            ("id", Kind::Id),
            ("age", Kind::Int),
            ("temperature", real(b'.', Some(1))),
            ("dose", real(b',', Some(2))),
            ("weight", real(b',', None)),
            ("born", Kind::Date),
            ("seen", Kind::Time { seconds: true }),
            ("met", Kind::Time { seconds: false }),
            ("redcap_event_name", Kind::Text),
        ] {
            assert_eq!(fields.get(name).map(|field| &field.kind), Some(&kind), "{name}");
        }
        for name in ["agreed", "symptoms___1", "symptoms____9", "symptoms___unk"] {
            assert!(matches!(fields.get(name).unwrap().kind, Kind::Choice { logical: true, .. }), "{name}");
        }
        for name in ["sex", "visit_complete"] {
            assert!(matches!(fields.get(name).unwrap().kind, Kind::Choice { logical: false, .. }), "{name}");
        }
        assert_eq!(fields.get("age").unwrap().range, (Some(5.0), None));
        assert_eq!(fields.get("symptoms____9").unwrap().name, "symptoms");
        for name in ["bmi", "letter", "visit_timestamp", "redcap_survey_identifier"] {
            assert!(fields.fixed(name).is_some() && fields.get(name).is_none(), "{name}");
        }
        for name in ["words", "symptoms", "symptoms___2", "other"] {
            assert!(fields.fixed(name).is_none() && fields.get(name).is_none(), "{name}");
        }
        assert!(fields.is_missing_code("UNK") && !fields.is_missing_code("unk"));
    }

    #[test]
    fn a_name_with_few_wrong_letters_is_recognised_and_another_is_not() {
        let fields = fields();
        for (name, meant) in [
            ("AGE", Some("age")),
            ("temperatur", Some("temperature")),
            ("temprature", Some("temperature")),
            ("wieght", Some("weight")),
            ("symptoms", Some("symptoms___1")),
            ("symptoms___2", Some("symptoms___1")),
            ("redcap_event", None),
            ("eligible", None),
        ] {
            assert_eq!(fields.meant(name).as_deref(), meant, "{name}");
        }
    }
}
