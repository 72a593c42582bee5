//! Which columns and which rows an export has.

use std::borrow::Cow;

use super::super::Asked;
use crate::sandbox::design::{Column, Design, FieldType};
use crate::sandbox::filter::{Base, Filter};
use crate::sandbox::post::{List, Post};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::rows::Row;
use crate::sandbox::validation::is_time;

/// What an export consists of. All that is named in it exists.
pub(super) struct Choice<'a> {
    pub(super) columns: Vec<Column<'a>>,
    records: List,
    events: List,
    filter: Option<Filter>,
    /// The times between which a record was made or changed; blank: any time.
    between: (String, String),
    /// Whether Data Access Groups are a column.
    pub(super) groups: bool,
}

impl<'a> Choice<'a> {
    /// What a request asks for.
    pub(super) fn of(asked: &Asked<'a>) -> Result<Self, Refusal> {
        let (design, post) = (&asked.project.design, asked.post);
        if post.flag("combineCheckboxOptions") {
            return Err(Refusal::sandbox("the parameter \"combineCheckboxOptions\" yet"));
        }
        let fields = fields(design, post)?;
        let forms = forms(design, post)?;
        let mut events = post.list("events");
        if design.is_longitudinal() {
            check("events", &events, |item| design.event(item).is_some())?;
        } else {
            events.items.clear();
        }
        let all = fields.is_empty() && forms.is_empty();
        let wanted = |column: &Column<'_>| {
            let name = column.field.map_or(&column.name, |field| &field.name);
            all || fields.has(name) || forms.has(column.form)
        };
        Ok(Self {
            columns: columns(asked, wanted),
            records: post.list("records"),
            events,
            filter: Filter::parse(design, post.text("filterLogic"))?,
            between: (time(post, "dateRangeBegin")?, time(post, "dateRangeEnd")?),
            groups: post.flag("exportDataAccessGroups") && !asked.project.groups.is_empty() && asked.group().is_empty(),
        })
    }

    /// What the project's report consists of.
    pub(super) fn of_report(asked: &Asked<'a>) -> Result<Self, Refusal> {
        let report = &asked.project.report;
        let none = || List { items: Vec::new(), joined: true };
        Ok(Self {
            columns: columns(asked, |column| column.field.is_some_and(|f| report.fields.contains(&f.name.as_str()))),
            records: none(),
            events: none(),
            filter: Filter::parse(&asked.project.design, report.filter)?,
            between: (String::new(), String::new()),
            groups: false,
        })
    }

    /// Whether this is the whole project, column for column and row for row.
    pub(super) fn is_everything(&self, asked: &Asked<'_>) -> bool {
        self.columns.len() == asked.project.design.columns().len()
            && self.records.is_empty()
            && self.events.is_empty()
            && self.filter.is_none()
            && self.between == (String::new(), String::new())
    }

    /// The rows, in order.
    pub(super) fn rows(&self, asked: &Asked<'a>) -> impl Iterator<Item = Cow<'_, Row>> {
        let (project, design) = (asked.project, &asked.project.design);
        let record_field = design.record_field();
        let only_record = self.columns.iter().all(|column| column.name == record_field);
        let unread = only_record && self.filter.is_none();
        let base = Base::of(project);
        let group = asked.group();
        project.rows(&self.records, unread).filter(move |row| {
            let fits = (self.events.is_empty() || self.events.has(&row.place.event))
                && (group.is_empty() || group == row.group)
                && self.in_time(&project.data.changes, &row.place.record);
            let filled = only_record
                || self.columns.iter().any(|column| column.name != record_field && row.carries(design, column.form));
            fits && filled && self.filter.as_ref().is_none_or(|filter| filter.keeps(design, &base, row))
        })
    }

    /// Whether a record was made or changed in the time that is asked for. Both ends belong to it.
    fn in_time(&self, changes: &std::collections::BTreeMap<String, Vec<String>>, record: &str) -> bool {
        let (begin, end) = &self.between;
        if begin.is_empty() && end.is_empty() {
            return true;
        }
        // Times are written so that their order is that of their texts.
        let within = |time: &String| time >= begin && (end.is_empty() || time <= end);
        changes.get(record).is_some_and(|times| times.iter().any(within))
    }
}

fn check(name: &str, list: &List, known: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let wrong: Vec<_> = list.items.iter().map(String::as_str).filter(|item| !known(item)).collect();
    if wrong.is_empty() { Ok(()) } else { Err(Refusal::values(name, &wrong)) }
}

fn fields(design: &Design, post: &Post) -> Result<List, Refusal> {
    let is_status = |name: &str| name.strip_suffix("_complete").is_some_and(|form| design.has_form(form));
    let fields = post.list("fields");
    check("fields", &fields, |item| design.field(item).is_some() || is_status(item))?;
    Ok(fields)
}

fn forms(design: &Design, post: &Post) -> Result<List, Refusal> {
    let mut forms = post.list("forms");
    // As seen on real servers: one wrong name among forms joined by commas, and every form comes.
    if forms.joined && forms.items.iter().any(|item| !design.has_form(item)) {
        forms.items = design.forms.iter().map(|form| form.name.clone()).collect();
    }
    check("forms", &forms, |item| design.has_form(item))?;
    Ok(forms)
}

/// A parameter that is a time, or blank.
fn time(post: &Post, name: &str) -> Result<String, Refusal> {
    let text = post.text(name);
    if text.is_empty() || is_time(text) { Ok(text.to_owned()) } else { Err(Refusal::parameter(name)) }
}

/// The columns that are wanted and that the user may export.
fn columns<'a>(asked: &Asked<'a>, wanted: impl Fn(&Column<'_>) -> bool) -> Vec<Column<'a>> {
    let mut columns = asked.project.design.columns();
    let rights = asked.user.rights();
    // The record's name belongs to all forms: it comes with any that the user may export.
    let some = asked.project.design.forms.iter().map(|form| rights.exporting.of(&form.name)).max().unwrap_or_default();
    let code = |column: &Column<'_>| {
        let own = rights.exporting.of(column.form);
        if column.field.is_some_and(|field| field.name == "record_id") { own.max(some) } else { own }
    };
    columns.retain(|column| wanted(column) && exported(column, code(column)));
    columns
}

/// Whether a user's export right lets a column through: 1 all, 2 de-identified, 3 without identifiers.
fn exported(column: &Column<'_>, right: i64) -> bool {
    let Some(field) = column.field else { return right > 0 };
    let text = field.kind == FieldType::Text && field.validation.is_empty();
    let free = text || matches!(field.kind, FieldType::Notes | FieldType::File);
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
