//! Import of records: everything is checked before anything is changed.

use std::collections::{BTreeMap, HashMap};

use super::super::{Asked, Done, Outcome};
use super::incoming::{self, Incoming};
use crate::sandbox::data::Data;
use crate::sandbox::design::{Column, Design, FieldType};
use crate::sandbox::refusal::{Objection, Refusal};
use crate::sandbox::rows::{Place, Row};
use crate::sandbox::validation::{DateOrder, stored};
use crate::sandbox::world::Line;

/// What an answer to an import says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Returned {
    Count,
    Ids,
    AutoIds,
    Nothing,
}

struct Wanted {
    /// Blanks overwrite what is there.
    overwrite: bool,
    /// Records are given new names.
    renumber: bool,
    returned: Returned,
    order: DateOrder,
}

pub(in super::super) fn import(asked: &Asked<'_>) -> Result<Done, Refusal> {
    let wanted = wanted(asked)?;
    let mut rows = incoming::read(asked)?;
    check_events(asked, &rows)?;
    let names = names(asked, &wanted, &mut rows);
    check_groups(asked, &rows)?;
    let mut import = Import {
        asked,
        wanted: &wanted,
        columns: asked.project.design.columns().into_iter().map(|column| (column.name.clone(), column)).collect(),
        places: places(&asked.project.data),
        groups: groups(&asked.project.data),
        data: asked.project.data.clone(),
        objections: Vec::new(),
        changed: BTreeMap::new(),
    };
    for row in &rows {
        import.row(row);
    }
    let log = import.finish()?;
    let mut records: Vec<&String> = rows.iter().map(|row| &row.record).collect();
    let mut seen = std::collections::HashSet::new();
    records.retain(|record| seen.insert(*record));
    let outcome = match wanted.returned {
        Returned::Count => Outcome::Count(records.len()),
        Returned::Ids => Outcome::Names(records.into_iter().cloned().collect()),
        Returned::AutoIds => Outcome::Names(names.iter().map(|(sent, new)| format!("{new},{sent}")).collect()),
        Returned::Nothing => Outcome::Nothing,
    };
    let mut data = import.data;
    data.sort(&asked.project.design);
    Ok(Done { outcome, data: Some(data), log })
}

fn wanted(asked: &Asked<'_>) -> Result<Wanted, Refusal> {
    let post = asked.post;
    if post.flag("backgroundProcess") {
        return Err(Refusal::sandbox("the parameter \"backgroundProcess\" yet"));
    }
    let overwrite = match post.text("overwriteBehavior") {
        "" | "normal" => false,
        "overwrite" => true,
        _ => return Err(Refusal::parameter("overwriteBehavior")),
    };
    let renumber = post.flag("forceAutoNumber");
    let returned = match post.text("returnContent") {
        "" | "count" => Returned::Count,
        "ids" => Returned::Ids,
        "auto_ids" if renumber => Returned::AutoIds,
        "nothing" => Returned::Nothing,
        _ => return Err(Refusal::parameter("returnContent")),
    };
    let order = DateOrder::parse(post.text("dateFormat")).ok_or_else(|| Refusal::parameter("dateFormat"))?;
    Ok(Wanted { overwrite, renumber, returned, order })
}

/// In a longitudinal project every row names an event that exists; in a classic one none does.
fn check_events(asked: &Asked<'_>, rows: &[Incoming]) -> Result<(), Refusal> {
    let design = &asked.project.design;
    let known = |event: &str| if design.is_longitudinal() { design.event(event).is_some() } else { event.is_empty() };
    let mut wrong: Vec<&str> = rows.iter().map(|row| row.event.as_str()).filter(|event| !known(event)).collect();
    wrong.dedup();
    if wrong.is_empty() { Ok(()) } else { Err(Refusal::wrong_events(&wrong)) }
}

/// Gives the rows new names if that is wanted. The names as they were sent, with the new ones.
fn names(asked: &Asked<'_>, wanted: &Wanted, rows: &mut [Incoming]) -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = Vec::new();
    if !wanted.renumber {
        return names;
    }
    // A copy that holds the new records, so that each finds the next free name.
    let mut taken = asked.project.data.clone();
    let group = asked.project.group_id(asked.group());
    for row in rows {
        let known = names.iter().find(|(sent, _)| *sent == row.record).map(|(_, new)| new.clone());
        row.record = known.unwrap_or_else(|| {
            let new = taken.next_record(group);
            let place = Place { record: new.clone(), ..Place::default() };
            taken.rows.push(Row { place, ..Row::default() });
            names.push((row.record.clone(), new.clone()));
            new
        });
    }
    names
}

/// A user in a group cannot name groups; others name those that exist.
fn check_groups(asked: &Asked<'_>, rows: &[Incoming]) -> Result<(), Refusal> {
    let mut named = rows.iter().filter_map(|row| row.group.as_deref()).peekable();
    if named.peek().is_some() && (!asked.group().is_empty() || asked.project.groups.is_empty()) {
        return Err(Refusal::group_field());
    }
    match named.find(|name| !name.is_empty() && asked.project.group_id(name).is_none()) {
        Some(wrong) => Err(Refusal::values("redcap_data_access_group", &[wrong])),
        None => Ok(()),
    }
}

fn places(data: &Data) -> HashMap<Place, usize> {
    data.rows.iter().enumerate().map(|(n, row)| (row.place.clone(), n)).collect()
}

fn groups(data: &Data) -> HashMap<String, String> {
    data.rows.iter().map(|row| (row.place.record.clone(), row.group.clone())).collect()
}

/// An import under way, on a copy of the data.
struct Import<'a> {
    asked: &'a Asked<'a>,
    wanted: &'a Wanted,
    columns: HashMap<String, Column<'a>>,
    places: HashMap<Place, usize>,
    /// The records that are there by now, with their Data Access Groups.
    groups: HashMap<String, String>,
    data: Data,
    objections: Vec<Objection>,
    /// By record: whether it is new, and its changes in the words of the log.
    changed: BTreeMap<String, (bool, Vec<String>)>,
}

impl Import<'_> {
    fn object(&mut self, record: &str, field: &str, value: &str, message: impl Into<String>) {
        self.objections.push(Objection {
            record: record.to_owned(),
            field: field.to_owned(),
            value: value.to_owned(),
            message: message.into(),
        });
    }

    fn row(&mut self, row: &Incoming) {
        let design: &Design = &self.asked.project.design;
        let record_field = design.record_field();
        if row.record.is_empty() {
            return self.object("", record_field, "", "The record's name is blank.");
        }
        let group = self.groups.get(&row.record);
        let exists = group.is_some();
        if group.is_some_and(|group| !self.asked.sees(group)) {
            return self.object(&row.record, record_field, &row.record, "The record is in another Data Access Group.");
        }
        let place = match self.place(row) {
            Ok(place) => place,
            Err((field, value, message)) => return self.object(&row.record, field, &value, message),
        };
        let n = self.row_at(&place);
        self.changed.entry(row.record.clone()).or_insert_with(|| (!exists, Vec::new()));
        if let Some(group) = &row.group
            && (!group.is_empty() || self.wanted.overwrite)
        {
            for row in self.data.rows.iter_mut().filter(|one| one.place.record == row.record) {
                row.group.clone_from(group);
            }
            self.groups.insert(row.record.clone(), group.clone());
        }
        for (name, text) in &row.values {
            self.value(&place, n, name, text);
        }
    }

    /// Where a row's values belong, or what is wrong with that.
    fn place(&self, row: &Incoming) -> Result<Place, (&'static str, String, &'static str)> {
        let design = &self.asked.project.design;
        let mut place = Place { record: row.record.clone(), event: row.event.clone(), ..Place::default() };
        let repeats = design.repeats(&row.event, None);
        if !row.form.is_empty() {
            if !design.repeats(&row.event, Some(&row.form)) {
                let message = "The form does not repeat at this event.";
                return Err(("redcap_repeat_instrument", row.form.clone(), message));
            }
            place.form.clone_from(&row.form);
        } else if !repeats {
            // An instance of nothing is no place of its own; REDCap's exports have it blank.
            return match row.instance.as_str() {
                "" | "1" => Ok(place),
                other => Err(("redcap_repeat_instance", other.to_owned(), "Nothing repeats at this event.")),
            };
        }
        let taken = self
            .places
            .keys()
            .filter(|one| (&one.record, &one.event, &one.form) == (&place.record, &place.event, &place.form));
        place.instance = match row.instance.as_str() {
            "new" => taken.map(|one| one.instance).max().unwrap_or_default() + 1,
            "" => 1,
            text => match text.parse() {
                Ok(number) if number > 0 => number,
                _ => return Err(("redcap_repeat_instance", text.to_owned(), "The instance is no positive number.")),
            },
        };
        Ok(place)
    }

    /// The row at a place, made if there is none.
    fn row_at(&mut self, place: &Place) -> usize {
        if let Some(n) = self.places.get(place) {
            return *n;
        }
        let own = self.asked.group();
        let group = self.groups.entry(place.record.clone()).or_insert_with(|| own.to_owned()).clone();
        let row = Row { place: place.clone(), group, ..Row::default() };
        self.data.rows.push(row);
        self.places.insert(place.clone(), self.data.rows.len() - 1);
        self.data.rows.len() - 1
    }

    fn value(&mut self, place: &Place, n: usize, name: &str, text: &str) {
        let design = &self.asked.project.design;
        let Some(column) = self.columns.get(name) else { return };
        let calculated = column.field.is_some_and(|field| field.kind == FieldType::Calc);
        // Calculated fields are REDCap's own; blanks change nothing unless they are to overwrite.
        if calculated || (text.is_empty() && !self.wanted.overwrite) {
            return;
        }
        if !place.carries(design, column.form) {
            if !text.is_empty() {
                self.object(&place.record, name, text, "The field's form has no place at this event.");
            }
            return;
        }
        let new = match stored(column, text, self.wanted.order) {
            Ok(new) => new,
            Err(message) => return self.object(&place.record, name, text, message),
        };
        // An unchecked box and one that nobody has touched are the same.
        let new = if column.code.is_some() && new == "0" { String::new() } else { new };
        let values = &mut self.data.rows[n].values;
        if values.get(name).map_or("", String::as_str) == new {
            return;
        }
        let words = match (column.field, column.code) {
            (Some(field), Some(code)) => {
                format!("{}({code}) = {}", field.name, if new.is_empty() { "unchecked" } else { "checked" })
            }
            _ => format!("{name} = '{new}'"),
        };
        if new.is_empty() {
            values.remove(name)
        } else {
            values.insert(name.to_owned(), new)
        };
        if let Some((_, changes)) = self.changed.get_mut(&place.record) {
            changes.push(words);
        }
    }

    /// The lines for the log, if there is nothing to object to. A record in which nothing changed has none.
    fn finish(&mut self) -> Result<Vec<Line>, Refusal> {
        if !self.objections.is_empty() {
            return Err(Refusal::objections(&self.objections));
        }
        if self.changed.values().any(|(new, _)| *new) && !self.asked.user.may("record_create") {
            return Err(Refusal::no_new_records());
        }
        let mut log = Vec::new();
        for (record, (new, changes)) in &self.changed {
            if !new && changes.is_empty() {
                continue;
            }
            self.data.touch(record);
            let verb = if *new { "Create" } else { "Update" };
            let mut details = vec![format!("{} = '{record}'", self.asked.project.design.record_field())];
            details.extend(changes.iter().cloned());
            log.push(Line {
                action: format!("{verb} record (API) {record}"),
                details: details.join(", "),
                record: record.clone(),
            });
        }
        Ok(log)
    }
}
