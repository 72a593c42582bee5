//! The data of a project.

use std::collections::BTreeMap;

use super::design::Design;

/// Where a row stands: which record, at which event, which instance of what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) record: String,
    /// The event's unique name; blank in a classic project.
    pub(super) event: String,
    /// The repeating form; blank otherwise.
    pub(super) form: String,
    /// The instance of what repeats; 0 where nothing does.
    pub(super) instance: i64,
}

impl Place {
    /// Whether a form has its place here.
    pub(super) fn carries(&self, design: &Design, form: &str) -> bool {
        if !self.form.is_empty() {
            return self.form == form;
        }
        let Some(event) = design.event(&self.event) else { return false };
        event.forms.iter().any(|one| one == form) && !design.repeats(&self.event, Some(form))
    }

    /// What places are sorted by: records by number, then by name; events, forms and instances in their order.
    pub(super) fn order(&self, design: &Design) -> impl Ord + use<> {
        let number = self.record.parse().unwrap_or(u64::MAX);
        let event = design.events.iter().position(|event| event.unique_name == self.event);
        let form = design.forms.iter().position(|form| form.name == self.form);
        (number, self.record.clone(), event, form, self.instance)
    }
}

/// What stands in one row of an export: one record at one event, or one instance of something that repeats.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) place: Place,
    /// The unique name of the record's Data Access Group, or blank.
    pub(super) group: String,
    /// Values by column name. What is not here is blank.
    pub(super) values: BTreeMap<String, String>,
}

impl Row {
    /// Whether a form has its place in this row.
    pub(super) fn carries(&self, design: &Design, form: &str) -> bool {
        self.place.carries(design, form)
    }

    pub(super) fn value(&self, column: &str) -> &str {
        self.values.get(column).map_or("", String::as_str)
    }
}
