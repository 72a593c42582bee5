//! `event`: the events of a longitudinal project.

use super::Asked;
use super::arm::wanted_arms;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    let design = &asked.project.design;
    if !design.is_longitudinal() {
        return Err(Refusal::classic("events"));
    }
    let wanted = wanted_arms(asked)?;
    let columns = ["event_name", "arm_num", "unique_event_name", "custom_event_label", "event_id"];
    let mut sheet = Sheet::new("events", "item", &columns);
    for event in design.events.iter().filter(|event| wanted.contains(&event.arm)) {
        sheet.rows.push(vec![
            Cell::text(&*event.name),
            Cell::Whole(event.arm),
            Cell::text(&*event.unique_name),
            Cell::Null,
            Cell::Whole(event.id),
        ]);
    }
    Ok(sheet)
}
