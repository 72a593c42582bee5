//! The export as a long list: a row for each value that is there (entity, attribute, value).

use super::super::Asked;
use super::choice::Choice;
use super::flat;
use super::style::Style;
use crate::sandbox::sheet::{Cell, Sheet};

/// Blanks are left out, and of a checkbox only what is checked comes, under the field's own name and with the
/// code as its value. The record's own name is a row at each event, not at each instance of a repeating form.
pub(super) fn sheet(asked: &Asked<'_>, choice: &Choice<'_>, style: &Style) -> Sheet {
    let design = &asked.project.design;
    let mut columns = vec!["record"];
    if design.is_longitudinal() {
        columns.push("redcap_event_name");
    }
    if !design.repeats.is_empty() {
        columns.extend(["redcap_repeat_instrument", "redcap_repeat_instance"]);
    }
    columns.extend(["field_name", "value"]);
    let mut sheet = Sheet::new("records", "item", &columns);
    sheet.delimiter = style.delimiter;
    for row in choice.rows(asked) {
        let mut add = |name: &str, value: String| {
            let mut cells = vec![Cell::text(&*row.place.record)];
            cells.extend(flat::place(design, &row, style));
            cells.extend([Cell::text(name), Cell::text(value)]);
            sheet.rows.push(cells);
        };
        for column in &choice.columns {
            let raw = row.value(&column.name);
            match (column.field, column.code) {
                _ if column.name == design.record_field() && row.place.form.is_empty() => {
                    add(&column.name, row.place.record.clone());
                }
                _ if !row.carries(design, column.form) => {}
                (Some(field), Some(code)) if raw == "1" => {
                    let label = if style.labels { field.choice(code) } else { None };
                    add(&field.name, label.unwrap_or(code).to_owned());
                }
                // A form that nobody has touched has no status here, in whatever way it would be written.
                _ if column.code.is_none() && !raw.is_empty() => add(&column.name, style.value(column, raw)),
                _ => {}
            }
        }
        if choice.groups && !row.group.is_empty() && row.place.form.is_empty() {
            add("redcap_data_access_group", flat::group(asked, &row, style).to_owned());
        }
    }
    sheet
}
