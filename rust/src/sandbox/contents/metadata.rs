//! `metadata`: the data dictionary.

use super::Asked;
use crate::sandbox::design::{Field, FieldType};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};

pub(super) const COLUMNS: [&str; 18] = [
    "field_name",
    "form_name",
    "section_header",
    "field_type",
    "field_label",
    "select_choices_or_calculations",
    "field_note",
    "text_validation_type_or_show_slider_number",
    "text_validation_min",
    "text_validation_max",
    "identifier",
    "branching_logic",
    "required_field",
    "custom_alignment",
    "question_number",
    "matrix_group_name",
    "matrix_ranking",
    "field_annotation",
];

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    let design = &asked.project.design;
    let (fields, forms) = (asked.post.list("fields"), asked.post.list("forms"));
    let wrong: Vec<_> = fields.items.iter().map(String::as_str).filter(|name| design.field(name).is_none()).collect();
    if !wrong.is_empty() {
        return Err(Refusal::values("fields", &wrong));
    }
    let wrong: Vec<_> = forms.items.iter().map(String::as_str).filter(|name| !design.has_form(name)).collect();
    if !wrong.is_empty() {
        return Err(Refusal::values("forms", &wrong));
    }
    let all = fields.is_empty() && forms.is_empty();
    let mut sheet = Sheet::new("records", "item", &COLUMNS);
    let wanted = design.fields.iter().filter(|field| all || fields.has(&field.name) || forms.has(&field.form));
    sheet.rows = wanted.map(line).collect();
    Ok(sheet)
}

fn line(field: &Field) -> Vec<Cell> {
    let yes = |flag: bool| if flag { "y" } else { "" };
    // The choices of yes-no and true-false fields are fixed and not written out.
    let choices = match field.kind {
        FieldType::Calc => field.equation.clone(),
        FieldType::Radio | FieldType::Dropdown | FieldType::Checkbox => {
            let choices: Vec<_> = field.choices.iter().map(|(code, label)| format!("{code}, {label}")).collect();
            choices.join(" | ")
        }
        _ => String::new(),
    };
    [
        field.name.as_str(),
        &field.form,
        &field.section,
        field.kind.name(),
        &field.label,
        &choices,
        &field.note,
        &field.validation,
        &field.min,
        &field.max,
        yes(field.identifier),
        &field.branching,
        yes(field.required),
        "",
        "",
        "",
        "",
        &field.annotation,
    ]
    .into_iter()
    .map(Cell::text)
    .collect()
}
