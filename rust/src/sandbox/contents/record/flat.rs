//! `record`: the flat export of records.

use super::Asked;
use crate::sandbox::design::{Column, Design, Field, FieldType};
use crate::sandbox::post::{List, Post};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::rows::Row;
use crate::sandbox::sheet::{Cell, Sheet};

/// How values are written: the request's parameters, most of which are a yes or no.
#[allow(clippy::struct_excessive_bools)]
struct Style {
    labels: bool,
    label_headers: bool,
    checkbox_labels: bool,
    blank_status: bool,
    decimal_comma: bool,
    delimiter: char,
}

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    let (design, post) = (&asked.project.design, asked.post);
    unknown_parameters(post)?;
    let style = style(post)?;
    let (fields, forms, events) = choice(design, post)?;
    let records = post.list("records");
    let all = fields.is_empty() && forms.is_empty();
    let columns: Vec<_> = design
        .columns()
        .into_iter()
        .filter(|column| {
            let name = column.field.map_or(&column.name, |field| &field.name);
            (all || fields.has(name) || forms.has(column.form)) && exported(column, asked.user.exporting)
        })
        .collect();
    let record_field = design.record_field();
    let only_record = columns.iter().all(|column| column.name == record_field);
    let groups = post.flag("exportDataAccessGroups") && !asked.project.groups.is_empty() && asked.group().is_empty();
    let mut sheet = head(design, &columns, groups, &style);
    for row in &asked.project.rows {
        let wanted = (records.is_empty() || records.has(&row.record))
            && (events.is_empty() || events.has(&row.event))
            && (asked.group().is_empty() || asked.group() == row.group);
        let filled =
            only_record || columns.iter().any(|column| column.name != record_field && row.carries(design, column.form));
        if wanted && filled {
            sheet.rows.push(line(asked, row, &columns, groups, &style));
        }
    }
    Ok(sheet)
}

/// Parameters that would change the answer and that the sandbox cannot follow are refused, not ignored.
fn unknown_parameters(post: &Post) -> Result<(), Refusal> {
    for name in ["filterLogic", "dateRangeBegin", "dateRangeEnd"] {
        if !post.text(name).is_empty() {
            return Err(Refusal::sandbox(&format!("the parameter \"{name}\" yet")));
        }
    }
    if post.flag("combineCheckboxOptions") {
        return Err(Refusal::sandbox("the parameter \"combineCheckboxOptions\" yet"));
    }
    match post.text("type") {
        "" | "flat" => Ok(()),
        "eav" => Err(Refusal::sandbox("the type \"eav\" yet")),
        _ => Err(Refusal::parameter("type")),
    }
}

fn style(post: &Post) -> Result<Style, Refusal> {
    let labels = |name: &str| match post.text(name) {
        "" | "raw" => Ok(false),
        "label" => Ok(true),
        _ => Err(Refusal::parameter(name)),
    };
    let delimiter = match post.text("csvDelimiter") {
        "" | "," => ',',
        "tab" | "\t" => '\t',
        ";" => ';',
        "|" => '|',
        "^" => '^',
        _ => return Err(Refusal::parameter("csvDelimiter")),
    };
    let decimal_comma = match post.text("decimalCharacter") {
        "" | "." => false,
        "," => true,
        _ => return Err(Refusal::parameter("decimalCharacter")),
    };
    Ok(Style {
        labels: labels("rawOrLabel")?,
        label_headers: labels("rawOrLabelHeaders")?,
        checkbox_labels: post.flag("exportCheckboxLabel"),
        blank_status: post.flag("exportBlankForGrayFormStatus"),
        decimal_comma,
        delimiter,
    })
}

/// The fields, forms and events that are asked for, all of which exist.
fn choice(design: &Design, post: &Post) -> Result<(List, List, List), Refusal> {
    let is_status = |name: &str| name.strip_suffix("_complete").is_some_and(|form| design.has_form(form));
    let check = |name: &str, list: &List, known: &dyn Fn(&str) -> bool| {
        let wrong: Vec<_> = list.items.iter().map(String::as_str).filter(|item| !known(item)).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Refusal::values(name, &wrong)) }
    };
    let fields = post.list("fields");
    check("fields", &fields, &|item| design.field(item).is_some() || is_status(item))?;
    let mut forms = post.list("forms");
    // As seen on real servers: one wrong name among forms joined by commas, and every form comes.
    if forms.joined && forms.items.iter().any(|item| !design.has_form(item)) {
        forms.items = design.forms.iter().map(|form| form.name.clone()).collect();
    }
    check("forms", &forms, &|item| design.has_form(item))?;
    let mut events = post.list("events");
    if design.is_longitudinal() {
        check("events", &events, &|item| design.event(item).is_some())?;
    } else {
        events.items.clear();
    }
    Ok((fields, forms, events))
}

/// Whether a user's export right lets a column through: 1 all, 2 de-identified, 3 without identifiers.
fn exported(column: &Column<'_>, right: i64) -> bool {
    let Some(field) = column.field else { return right > 0 };
    let free = field.kind == FieldType::Notes || (field.kind == FieldType::Text && field.validation.is_empty());
    let date = field.validation.starts_with("date");
    // The record's name stays in: without it the rows would mean nothing.
    let is_record = field.name == "record_id";
    match right {
        1 => true,
        2 => is_record || !(field.identifier || free || date),
        3 => is_record || !field.identifier,
        _ => false,
    }
}

/// The columns in front of the data, then the data's, with their labels.
fn head(design: &Design, columns: &[Column<'_>], groups: bool, style: &Style) -> Sheet {
    let mut front = Vec::new();
    if design.is_longitudinal() {
        front.push(("redcap_event_name", "Event Name"));
    }
    if !design.repeats.is_empty() {
        front
            .extend([("redcap_repeat_instrument", "Repeat Instrument"), ("redcap_repeat_instance", "Repeat Instance")]);
    }
    if groups {
        front.push(("redcap_data_access_group", "Data Access Group"));
    }
    let mut names: Vec<(String, String)> =
        columns.iter().map(|column| (column.name.clone(), column_label(column))).collect();
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

fn line(asked: &Asked<'_>, row: &Row, columns: &[Column<'_>], groups: bool, style: &Style) -> Vec<Cell> {
    let design = &asked.project.design;
    let mut front = Vec::new();
    if design.is_longitudinal() {
        front.push(Cell::text(if style.labels { event_label(design, &row.event) } else { row.event.clone() }));
    }
    if !design.repeats.is_empty() {
        let form = design.forms.iter().find(|form| form.name == row.form);
        front.push(Cell::text(form.map_or("", |form| if style.labels { &form.label } else { &form.name })));
        front.push(if row.instance > 0 { Cell::Whole(row.instance) } else { Cell::text("") });
    }
    if groups {
        let group = asked.project.groups.iter().find(|(unique_name, ..)| *unique_name == row.group);
        front.push(Cell::text(
            group.map_or("", |&(unique_name, name, _)| if style.labels { name } else { unique_name }),
        ));
    }
    let mut cells = Vec::with_capacity(columns.len() + front.len());
    for column in columns {
        cells.push(if column.name == design.record_field() {
            Cell::text(&*row.record)
        } else if row.carries(design, column.form) {
            Cell::text(value(column, row.value(&column.name), style))
        } else {
            Cell::text("")
        });
    }
    let place = usize::from(columns.first().is_some_and(|column| column.name == design.record_field()));
    cells.splice(place..place, front);
    cells
}

/// An event's name for people: with its arm where there are several.
fn event_label(design: &Design, unique_name: &str) -> String {
    let Some(event) = design.event(unique_name) else { return String::new() };
    match design.arms.iter().find(|arm| arm.number == event.arm) {
        Some(arm) if design.arms.len() > 1 => format!("{} (Arm {}: {})", event.name, arm.number, arm.name),
        _ => event.name.clone(),
    }
}

fn value(column: &Column<'_>, raw: &str, style: &Style) -> String {
    let Some(field) = column.field else { return status(raw, style) };
    if let Some(code) = column.code {
        return checkbox(field, code, raw == "1", style);
    }
    let is_number = field.validation.starts_with("number") || field.kind == FieldType::Calc;
    if style.decimal_comma && is_number {
        return raw.replace('.', ",");
    }
    let label = if style.labels { field.choice(raw) } else { None };
    label.unwrap_or(raw).to_owned()
}

fn checkbox(field: &Field, code: &str, checked: bool, style: &Style) -> String {
    let text = match (style.labels, style.checkbox_labels, checked) {
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
fn status(raw: &str, style: &Style) -> String {
    let raw = if raw.is_empty() && !style.blank_status { "0" } else { raw };
    let text = match raw {
        "0" if style.labels => "Incomplete",
        "1" if style.labels => "Unverified",
        "2" if style.labels => "Complete",
        other => other,
    };
    text.to_owned()
}
