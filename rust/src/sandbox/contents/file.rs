//! `file`: the files in file fields.

use bytes::Bytes;

use super::{Asked, Done, Outcome};
use crate::sandbox::data::Stored;
use crate::sandbox::design::{Field, FieldType};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::rows::{Place, Row};
use crate::sandbox::world::Line;

pub(super) fn export(asked: &Asked<'_>) -> Result<Outcome, Refusal> {
    // A file can hold anything: it needs the right to everything.
    let field = asked.project.design.field(asked.post.text("field"));
    if asked.user.rights().exporting.of(field.map_or("", |field| &field.form)) != 1 {
        return Err(Refusal::right("data_export"));
    }
    let (field, place) = spot(asked)?;
    let stored = asked.project.data.files.get(&(place, field.name.clone())).ok_or_else(Refusal::no_file)?;
    let content_type = content_type(&stored.name);
    Ok(Outcome::File { content_type, name: stored.name.clone(), bytes: stored.bytes.clone() })
}

pub(super) fn import(asked: &Asked<'_>) -> Result<Done, Refusal> {
    let (field, place) = spot(asked)?;
    let upload = asked.post.file("file").filter(|upload| !upload.name.is_empty()).ok_or_else(Refusal::no_upload)?;
    let mut data = asked.project.data.clone();
    let n = data.rows.iter().position(|row| row.place == place).unwrap_or_else(|| {
        let group = data.group(&place.record).to_owned();
        data.rows.push(Row { place: place.clone(), group, ..Row::default() });
        data.rows.len() - 1
    });
    data.rows[n].values.insert(field.name.clone(), upload.name.clone());
    let stored = Stored { name: upload.name.clone(), bytes: Bytes::from(upload.bytes.clone()) };
    data.files.insert((place.clone(), field.name.clone()), stored);
    data.sort(&asked.project.design);
    Ok(done(data, "Upload", field, place))
}

pub(super) fn delete(asked: &Asked<'_>) -> Result<Done, Refusal> {
    let (field, place) = spot(asked)?;
    let mut data = asked.project.data.clone();
    data.files.remove(&(place.clone(), field.name.clone())).ok_or_else(Refusal::no_file_to_delete)?;
    for row in data.rows.iter_mut().filter(|row| row.place == place) {
        row.values.remove(&field.name);
    }
    Ok(done(data, "Delete", field, place))
}

/// REDCap's answer is blank.
fn done(mut data: crate::sandbox::data::Data, verb: &str, field: &Field, place: Place) -> Done {
    data.touch(&place.record);
    let line =
        Line { record: place.record, ..Line::new("Manage/Design", format!("{verb} file (API), {}", field.name)) };
    Done { outcome: Outcome::Bare(String::new()), data: Some(data), log: vec![line] }
}

/// The field that a request means, and the place of its value.
fn spot<'a>(asked: &Asked<'a>) -> Result<(&'a Field, Place), Refusal> {
    let (design, post) = (&asked.project.design, asked.post);
    asked.record(post.text("record"))?;
    let name = post.text("field");
    let field = design.field(name).filter(|field| field.kind == FieldType::File);
    let field = field.ok_or_else(|| Refusal::no_file_field(name))?;
    let event = asked.event()?;
    let mut place = Place { record: post.text("record").to_owned(), event: event.to_owned(), ..Place::default() };
    let repeats = design.repeats(event, Some(&field.form));
    if repeats {
        place.form.clone_from(&field.form);
    }
    if repeats || design.repeats(event, None) {
        // Without the parameter it is the first instance.
        let instance = Some(post.text("repeat_instance")).filter(|text| !text.is_empty()).unwrap_or("1");
        let number = instance.parse().ok().filter(|number| *number > 0);
        place.instance = number.ok_or_else(|| Refusal::parameter("repeat_instance"))?;
    }
    if place.carries(design, &field.form) { Ok((field, place)) } else { Err(Refusal::parameter("event")) }
}

/// The type that a name's ending stands for.
pub(super) fn content_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match ending.as_str() {
        "pdf" => "application/pdf",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "txt" => "text/plain",
        "csv" => "text/csv",
        _ => "application/octet-stream",
    }
}
