//! The flat export: a row for each record, event and instance, a column for each value.

use super::super::Asked;
use super::choice::Choice;
use super::style::Style;
use crate::sandbox::design::{Column, Design};
use crate::sandbox::rows::Row;
use crate::sandbox::sheet::{Cell, Sheet};

pub(super) fn sheet(asked: &Asked<'_>, choice: &Choice<'_>, style: &Style) -> Sheet {
    let mut sheet = head(&asked.project.design, choice, style);
    sheet.rows = choice.rows(asked).map(|row| line(asked, &row, choice, style)).collect();
    sheet
}

/// The columns in front of the data, then the data's, with their labels.
fn head(design: &Design, choice: &Choice<'_>, style: &Style) -> Sheet {
    let mut front = Vec::new();
    if design.is_longitudinal() {
        front.push(("redcap_event_name", "Event Name"));
    }
    if !design.repeats.is_empty() {
        front
            .extend([("redcap_repeat_instrument", "Repeat Instrument"), ("redcap_repeat_instance", "Repeat Instance")]);
    }
    if choice.groups {
        front.push(("redcap_data_access_group", "Data Access Group"));
    }
    let mut names: Vec<(String, String)> =
        choice.columns.iter().map(|column| (column.name.clone(), column_label(column))).collect();
    let place = usize::from(names.first().is_some_and(|(name, _)| name == design.record_field()));
    names.splice(place..place, front.iter().map(|&(name, label)| (name.to_owned(), label.to_owned())));
    let mut sheet = Sheet::new("records", "item", &[]);
    sheet.delimiter = style.delimiter;
    let (columns, labels) = names.into_iter().unzip();
    sheet.columns = columns;
    sheet.header = style.label_headers.then_some(labels);
    sheet
}

fn column_label(column: &Column<'_>) -> String {
    match (column.field, column.code) {
        (None, _) => "Complete?".to_owned(),
        (Some(field), None) => field.label.clone(),
        (Some(field), Some(code)) => {
            format!("{} (choice={})", field.label, field.choice(code).unwrap_or_default())
        }
    }
}

fn line(asked: &Asked<'_>, row: &Row, choice: &Choice<'_>, style: &Style) -> Vec<Cell> {
    let design = &asked.project.design;
    let mut front = place(design, row, style);
    if choice.groups {
        front.push(Cell::text(group(asked, row, style)));
    }
    let mut cells = Vec::with_capacity(choice.columns.len() + front.len());
    for column in &choice.columns {
        cells.push(if column.name == design.record_field() {
            Cell::text(&*row.place.record)
        } else if row.carries(design, column.form) {
            Cell::text(style.value(column, row.value(&column.name)))
        } else {
            Cell::text("")
        });
    }
    let place = usize::from(choice.columns.first().is_some_and(|column| column.name == design.record_field()));
    cells.splice(place..place, front);
    cells
}

/// The event, and the form and instance of what repeats, in projects that have them.
pub(super) fn place(design: &Design, row: &Row, style: &Style) -> Vec<Cell> {
    let (place, mut cells) = (&row.place, Vec::new());
    if design.is_longitudinal() {
        cells.push(Cell::text(if style.labels { event_label(design, &place.event) } else { place.event.clone() }));
    }
    if !design.repeats.is_empty() {
        let form = design.forms.iter().find(|form| form.name == place.form);
        cells.push(Cell::text(form.map_or("", |form| if style.labels { &form.label } else { &form.name })));
        cells.push(if place.instance > 0 { Cell::Whole(place.instance) } else { Cell::text("") });
    }
    cells
}

/// The row's Data Access Group: its unique name, or its name for people.
pub(super) fn group(asked: &Asked<'_>, row: &Row, style: &Style) -> &'static str {
    let group = asked.project.groups.iter().find(|(unique_name, ..)| *unique_name == row.group);
    group.map_or("", |&(unique_name, name, _)| if style.labels { name } else { unique_name })
}

/// An event's name for people: with its arm where there are several.
fn event_label(design: &Design, unique_name: &str) -> String {
    let Some(event) = design.event(unique_name) else { return String::new() };
    match design.arms.iter().find(|arm| arm.number == event.arm) {
        Some(arm) if design.arms.len() > 1 => format!("{} (Arm {}: {})", event.name, arm.number, arm.name),
        _ => event.name.clone(),
    }
}
