//! REDCap's answer to `metadata`, as far as exports and imports need it.

use serde::Deserialize;

use super::dictionary::choices;
use crate::error::{Error, Kind, Result};
use crate::redcap::repair;

/// A line: one field.
#[derive(Deserialize)]
pub(super) struct Line {
    pub(super) field_name: String,
    #[serde(default)]
    pub(super) form_name: Option<String>,
    pub(super) field_type: String,
    #[serde(default)]
    select_choices_or_calculations: Option<String>,
    #[serde(default)]
    text_validation_type_or_show_slider_number: Option<String>,
    #[serde(default)]
    pub(super) text_validation_min: Option<String>,
    #[serde(default)]
    pub(super) text_validation_max: Option<String>,
}

impl Line {
    /// What stands under "choices": codes and labels, or a calculation.
    pub(super) fn choices(&self) -> &str {
        self.select_choices_or_calculations.as_deref().unwrap_or_default()
    }

    /// The validation of a text field, by REDCap's name.
    pub(super) fn validation(&self) -> &str {
        self.text_validation_type_or_show_slider_number.as_deref().unwrap_or_default()
    }
}

/// The lines of a project's metadata, and what belongs to them.
pub(super) struct Metadata {
    pub(super) lines: Vec<Line>,
    /// The field that holds the record's id: the project's first.
    pub(super) record_id: String,
    /// The project's missing-data codes.
    pub(super) missing_codes: Vec<String>,
}

impl Metadata {
    /// Reads the answer (JSON), and the project's missing-data codes as its information has them.
    ///
    /// # Errors
    /// `not_redcap`: this is not REDCap's metadata.
    pub(super) fn read(answer: &[u8], missing_codes: &str) -> Result<Self> {
        let strange = || {
            Error::new(Kind::NotRedcap, "the answer is not what REDCap gives as the project's dictionary")
                .hint("try again; if it stays so, tell the REDCap administrator")
        };
        let lines: Vec<Line> = repair::json(answer).map_err(|_| strange())?;
        let record_id = lines.first().ok_or_else(strange)?.field_name.clone();
        let missing_codes = choices(missing_codes).into_iter().map(|(code, _)| code).collect();
        Ok(Self { lines, record_id, missing_codes })
    }

    /// The forms, by the names that stand in columns; each as often as it has fields.
    pub(super) fn forms(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| line.form_name.as_deref())
    }
}
