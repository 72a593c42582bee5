//! `repeatingFormsEvents`: what repeats. Needs the right to the design, as in REDCap.

use super::Asked;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    if !asked.user.may("design") {
        return Err(Refusal::right("design"));
    }
    let design = &asked.project.design;
    let mut columns = vec!["form_name", "custom_form_label"];
    if design.is_longitudinal() {
        columns.insert(0, "event_name");
    }
    let mut sheet = Sheet::new("records", "item", &columns);
    for repeat in &design.repeats {
        let mut row = vec![Cell::text(repeat.form.as_deref().unwrap_or_default()), Cell::text("")];
        if design.is_longitudinal() {
            row.insert(0, Cell::text(&*repeat.event));
        }
        sheet.rows.push(row);
    }
    Ok(sheet)
}
