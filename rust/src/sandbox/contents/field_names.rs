//! `exportFieldNames`: the columns of a record export and the fields behind them. Files, which have a method of
//! their own, are left out.

use super::Asked;
use crate::sandbox::design::FieldType;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    let design = &asked.project.design;
    let only = asked.post.text("field");
    let mut sheet = Sheet::new("fields", "field", &["original_field_name", "choice_value", "export_field_name"]);
    for column in design.columns() {
        let original = column.field.map_or(column.name.as_str(), |field| field.name.as_str());
        let file = column.field.is_some_and(|field| field.kind == FieldType::File);
        if !file && (only.is_empty() || only == original) {
            let code = column.code.unwrap_or_default();
            sheet.rows.push([original, code, &column.name].map(Cell::text).to_vec());
        }
    }
    if sheet.rows.is_empty() { Err(Refusal::parameter("field")) } else { Ok(sheet) }
}
