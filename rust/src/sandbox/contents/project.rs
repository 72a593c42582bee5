//! `project`: what the project is.

use super::Asked;
use crate::sandbox::sheet::{Cell, Sheet};

pub(super) fn sheet(asked: &Asked<'_>) -> Sheet {
    let (sample, design) = (&asked.project.sample, &asked.project.design);
    let flag = |yes: bool| Cell::Whole(i64::from(yes));
    let blank = || Cell::text("");
    let facts: [(&str, Cell); 26] = [
        ("project_id", Cell::Whole(sample.project_id.into())),
        ("project_title", Cell::text(sample.title)),
        ("creation_time", Cell::text("2024-02-29 08:15:00")),
        ("production_time", blank()),
        ("in_production", flag(false)),
        ("project_language", Cell::text("English")),
        ("purpose", Cell::Whole(0)),
        ("purpose_other", blank()),
        ("project_notes", Cell::text("Made-up data of the keycap sandbox.")),
        ("custom_record_label", blank()),
        ("secondary_unique_field", blank()),
        ("is_longitudinal", flag(design.is_longitudinal())),
        ("has_repeating_instruments_or_events", flag(!design.repeats.is_empty())),
        ("surveys_enabled", flag(!super::survey::forms(asked.project).is_empty())),
        ("scheduling_enabled", flag(false)),
        ("record_autonumbering_enabled", flag(true)),
        ("randomization_enabled", flag(false)),
        ("ddp_enabled", flag(false)),
        ("project_irb_number", blank()),
        ("project_grant_number", blank()),
        ("project_pi_firstname", blank()),
        ("project_pi_lastname", blank()),
        ("display_today_now_button", flag(true)),
        ("missing_data_codes", blank()),
        ("external_modules", blank()),
        ("bypass_branching_erase_field_prompt", flag(false)),
    ];
    let columns: Vec<_> = facts.iter().map(|(name, _)| *name).collect();
    let mut sheet = Sheet::new("items", "item", &columns);
    sheet.single = true;
    sheet.rows.push(facts.into_iter().map(|(_, cell)| cell).collect());
    sheet
}
