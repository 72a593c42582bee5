//! `formEventMapping`: which forms are filled in at which event.

use super::Asked;
use super::arm::wanted_arms;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    let design = &asked.project.design;
    if !design.is_longitudinal() {
        return Err(Refusal::classic("form/event mappings"));
    }
    let wanted = wanted_arms(asked)?;
    let mut sheet = Sheet::new("items", "item", &["arm_num", "unique_event_name", "form"]);
    for event in design.events.iter().filter(|event| wanted.contains(&event.arm)) {
        for form in &event.forms {
            sheet.rows.push(vec![Cell::Whole(event.arm), Cell::text(&*event.unique_name), Cell::text(&**form)]);
        }
    }
    Ok(sheet)
}
