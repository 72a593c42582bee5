//! How values are written.

use crate::sandbox::design::{Column, Field, FieldType};
use crate::sandbox::post::Post;
use crate::sandbox::refusal::Refusal;

/// The request's parameters about writing, most of which are a yes or no.
#[allow(clippy::struct_excessive_bools)]
#[derive(PartialEq, Eq)]
pub(super) struct Style {
    pub(super) labels: bool,
    pub(super) label_headers: bool,
    checkbox_labels: bool,
    pub(super) blank_status: bool,
    decimal_comma: bool,
    pub(super) delimiter: char,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            labels: false,
            label_headers: false,
            checkbox_labels: false,
            blank_status: false,
            decimal_comma: false,
            delimiter: ',',
        }
    }
}

/// What stands between the cells of a CSV, of an export or of an import.
pub(in super::super) fn delimiter(post: &Post) -> Result<char, Refusal> {
    Ok(match post.text("csvDelimiter") {
        "" | "," => ',',
        "tab" | "\t" => '\t',
        ";" => ';',
        "|" => '|',
        "^" => '^',
        _ => return Err(Refusal::parameter("csvDelimiter")),
    })
}

impl Style {
    pub(super) fn of(post: &Post) -> Result<Self, Refusal> {
        let labels = |name: &str| match post.text(name) {
            "" | "raw" => Ok(false),
            "label" => Ok(true),
            _ => Err(Refusal::parameter(name)),
        };
        let decimal_comma = match post.text("decimalCharacter") {
            "" | "." => false,
            "," => true,
            _ => return Err(Refusal::parameter("decimalCharacter")),
        };
        Ok(Self {
            labels: labels("rawOrLabel")?,
            label_headers: labels("rawOrLabelHeaders")?,
            checkbox_labels: post.flag("exportCheckboxLabel"),
            blank_status: post.flag("exportBlankForGrayFormStatus"),
            decimal_comma,
            delimiter: delimiter(post)?,
        })
    }

    /// A stored value as it is to be written.
    pub(super) fn value(&self, column: &Column<'_>, raw: &str) -> String {
        let Some(field) = column.field else { return self.status(raw) };
        if let Some(code) = column.code {
            return self.checkbox(field, code, raw == "1");
        }
        let is_number = field.validation.starts_with("number") || field.kind == FieldType::Calc;
        if self.decimal_comma && is_number {
            return raw.replace('.', ",");
        }
        let label = if self.labels { field.choice(raw) } else { None };
        label.unwrap_or(raw).to_owned()
    }

    fn checkbox(&self, field: &Field, code: &str, checked: bool) -> String {
        let text = match (self.labels, self.checkbox_labels, checked) {
            (false, _, true) => "1",
            (false, _, false) => "0",
            (true, false, true) => "Checked",
            (true, false, false) => "Unchecked",
            (true, true, true) => field.choice(code).unwrap_or_default(),
            (true, true, false) => "",
        };
        text.to_owned()
    }

    /// A form's status; a form that nobody has touched is "incomplete" unless the client asks for a blank.
    fn status(&self, raw: &str) -> String {
        let raw = if raw.is_empty() && !self.blank_status { "0" } else { raw };
        let text = match raw {
            "0" if self.labels => "Incomplete",
            "1" if self.labels => "Unverified",
            "2" if self.labels => "Complete",
            other => other,
        };
        text.to_owned()
    }
}
