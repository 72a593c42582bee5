//! Imported data, flat or as a long list, as one list of values at places.

use super::super::Asked;
use super::style::delimiter;
use crate::sandbox::design::{Design, checkbox};
use crate::sandbox::post::Post;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::table::{self, Line};

/// The values of one row. Nothing in it has been checked but that the names of its fields exist.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    pub(super) record: String,
    pub(super) event: String,
    /// The repeating form, as it was sent.
    pub(super) form: String,
    /// The instance, as it was sent; may be `new`.
    pub(super) instance: String,
    /// The Data Access Group; `None`: not sent.
    pub(super) group: Option<String>,
    /// Columns and texts.
    pub(super) values: Vec<(String, String)>,
}

/// Names beside those of fields that imported data may have.
const PLACE: [&str; 3] = ["redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance"];
const GROUP: &str = "redcap_data_access_group";

pub(super) fn read(asked: &Asked<'_>) -> Result<Vec<Incoming>, Refusal> {
    let (design, post) = (&asked.project.design, asked.post);
    let lines = lines(post)?;
    let incoming: Vec<_> = match post.text("type") {
        "" | "flat" => lines.into_iter().map(|line| flat(design, line)).collect::<Result<_, _>>()?,
        "eav" => long(design, lines)?,
        _ => return Err(Refusal::parameter("type")),
    };
    let mut unknown: Vec<&str> = Vec::new();
    let columns = design.columns();
    let real = |name: &str| {
        let column = columns.iter().find(|column| column.name == name);
        // Files have a method of their own.
        column.is_some_and(|column| column.field.is_none_or(|field| field.kind.name() != "file"))
    };
    for (name, _) in incoming.iter().flat_map(|row| &row.values) {
        if !real(name) && !unknown.contains(&name.as_str()) {
            unknown.push(name);
        }
    }
    if unknown.is_empty() { Ok(incoming) } else { Err(Refusal::unknown_fields(&unknown)) }
}

fn lines(post: &Post) -> Result<Vec<Line>, Refusal> {
    let data = post.text("data");
    match post.text("format") {
        "json" => table::json(data).ok_or_else(Refusal::format),
        "csv" => table::csv(data, delimiter(post)?).ok_or_else(Refusal::format),
        _ => Err(Refusal::sandbox("imports of records as XML yet")),
    }
}

/// Puts a value where it belongs.
fn put(design: &Design, row: &mut Incoming, name: String, text: String) {
    match name.as_str() {
        name if name == design.record_field() => text.trim().clone_into(&mut row.record),
        "redcap_event_name" => row.event = text,
        "redcap_repeat_instrument" => row.form = text,
        "redcap_repeat_instance" => row.instance = text,
        GROUP => row.group = Some(text),
        _ => row.values.push((name, text)),
    }
}

fn flat(design: &Design, line: Line) -> Result<Incoming, Refusal> {
    if !line.iter().any(|(name, _)| name == design.record_field()) {
        return Err(Refusal::no_record_field(design.record_field()));
    }
    let mut row = Incoming::default();
    for (name, text) in line {
        put(design, &mut row, name, text);
    }
    Ok(row)
}

/// Gathers the values of a long list by their place, in the order in which places come.
fn long(design: &Design, lines: Vec<Line>) -> Result<Vec<Incoming>, Refusal> {
    let mut rows: Vec<Incoming> = Vec::new();
    let mut known = std::collections::HashMap::new();
    for line in lines {
        let cell = |name: &str| line.iter().find(|(one, _)| one == name).map(|(_, text)| text.as_str());
        let (Some(record), Some(field), Some(value)) = (cell("record"), cell("field_name"), cell("value")) else {
            return Err(Refusal::no_record_field("record, field_name, value"));
        };
        let [event, form, instance] = PLACE.map(|name| cell(name).unwrap_or_default().to_owned());
        let place = [record.trim().to_owned(), event.clone(), form.clone(), instance.clone()];
        let n = *known.entry(place.clone()).or_insert_with(|| {
            let [record, event, form, instance] = place;
            rows.push(Incoming { record, event, form, instance, ..Incoming::default() });
            rows.len() - 1
        });
        // A checkbox comes under the field's own name, with the code as its value.
        let is_box = |name: &str| design.field(name).is_some_and(|field| field.kind.name() == "checkbox");
        let row = &mut rows[n];
        if is_box(field) && !value.is_empty() {
            row.values.push((checkbox(field, value), "1".to_owned()));
        } else if !is_box(field) && field != design.record_field() {
            put(design, row, field.to_owned(), value.to_owned());
        }
    }
    Ok(rows)
}
