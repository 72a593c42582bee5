//! REDCap's refusals: status and text, and their form in each format.

use super::sheet::{Format, xml_text};

/// An error answer of REDCap's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
}

/// A value of imported data that does not fit.
#[derive(Debug)]
pub(super) struct Objection {
    pub(super) record: String,
    pub(super) field: String,
    pub(super) value: String,
    pub(super) message: String,
}

impl Objection {
    /// As live servers were recorded to list them: four texts in quotes.
    fn line(&self) -> String {
        let cells = [&self.record, &self.field, &self.value, &self.message];
        cells.map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).join(",")
    }
}

impl Refusal {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The token is unknown, revoked, regenerated or blank, its user suspended.
    pub(super) fn token() -> Self {
        Self::new(403, "You do not have permissions to use the API")
    }

    pub(super) fn no_export() -> Self {
        Self::new(403, "You do not have API Export privileges")
    }

    pub(super) fn no_import() -> Self {
        Self::new(403, "You do not have API Import/Update privileges")
    }

    /// The user lacks the right to the project's Data Access Groups.
    pub(super) fn no_group_right() -> Self {
        Self::new(
            400,
            "Insufficient user privileges: You must have 'API Export' privileges and 'Data Access Groups' \
             privileges in the project.",
        )
    }

    /// The user is in a group itself. The misspelling and the two full stops are REDCap's.
    pub(super) fn confined() -> Self {
        Self::new(
            400,
            "You do not have permission to export/import/delete Data Access Groups because you have beed \
             assigned to a Data Access Group..",
        )
    }

    /// A right is missing for which no recorded text is known.
    pub(super) fn right(right: &str) -> Self {
        Self::new(403, format!("You do not have the right \"{right}\" that this request needs"))
    }

    /// Anything but POST on the API's path.
    pub(super) fn method() -> Self {
        Self::new(501, "The requested method is not implemented.")
    }

    /// One parameter has a value that does not exist.
    pub(super) fn parameter(name: &str) -> Self {
        Self::new(400, format!("The value of the parameter \"{name}\" is not valid"))
    }

    /// A list parameter has values that do not exist.
    pub(super) fn values(name: &str, wrong: &[&str]) -> Self {
        let wrong: Vec<_> = wrong.iter().map(|value| format!("'{value}'")).collect();
        let wrong = wrong.join(", ");
        Self::new(400, format!("The following values in the parameter \"{name}\" are not valid: {wrong}"))
    }

    /// Arms, events and mappings of a classic project.
    pub(super) fn classic(what: &str) -> Self {
        Self::new(400, format!("You cannot export {what} for classic projects"))
    }

    /// Imported data that does not parse.
    pub(super) fn format() -> Self {
        Self::new(406, "The data being imported is not formatted correctly.")
    }

    /// Imported data with names that are no fields.
    pub(super) fn unknown_fields(names: &[&str]) -> Self {
        let names = names.join(", ");
        Self::new(400, format!("The following fields were not found in the project as real data fields: {names}"))
    }

    /// Imported data with values that do not fit: a line of CSV for each.
    pub(super) fn objections(objections: &[Objection]) -> Self {
        let lines: Vec<_> = objections.iter().map(Objection::line).collect();
        Self::new(400, lines.join("\n"))
    }

    /// Imported data of events that do not exist. The beginning is REDCap's.
    pub(super) fn wrong_events(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
        let names = names.join(", ");
        Self::new(
            400,
            format!(
                "The following values for 'redcap_event_name' are not valid unique event names for this project: \
                 {names}"
            ),
        )
    }

    /// Imported data without the record's name. The words are the sandbox's.
    pub(super) fn no_record_field(name: &str) -> Self {
        Self::new(400, format!("The data being imported have no \"{name}\""))
    }

    /// Imported data name a Data Access Group, and the user may not. The beginning is REDCap's.
    pub(super) fn group_field() -> Self {
        Self::new(400, "Illegal use of 'redcap_data_access_group' field!")
    }

    /// Imported data have new records, and the user may not make any.
    pub(super) fn no_new_records() -> Self {
        Self::new(400, "Your user privileges do NOT allow you to create new records.")
    }

    /// Some of the records to delete are not there (or not for this user).
    pub(super) fn nothing_to_delete(records: &[&str]) -> Self {
        let records = records.join(", ");
        Self::new(
            400,
            format!(
                "One or more of the records provided cannot be deleted because they do not exist in the project. \
                 The following records do not exist: {records}"
            ),
        )
    }

    /// A record that is not there (or not for this user). The words are the sandbox's.
    pub(super) fn no_record(name: &str) -> Self {
        Self::new(400, format!("The record '{name}' does not exist"))
    }

    /// A record cannot be given this name. The words are the sandbox's.
    pub(super) fn name_taken(name: &str) -> Self {
        Self::new(400, format!("The record '{name}' exists already"))
    }

    /// A field that holds no files. The words are the sandbox's.
    pub(super) fn no_file_field(name: &str) -> Self {
        Self::new(400, format!("The field '{name}' does not exist or is not a file field"))
    }

    /// A file field without a file.
    pub(super) fn no_file() -> Self {
        Self::new(400, "There is no file to download for this record")
    }

    /// The same where it should be deleted. The words are the sandbox's.
    pub(super) fn no_file_to_delete() -> Self {
        Self::new(400, "There is no file to delete for this record")
    }

    /// A file's import without a file. The words are the sandbox's.
    pub(super) fn no_upload() -> Self {
        Self::new(400, "No file was uploaded")
    }

    /// Anything about surveys in a project that has none. The words are the sandbox's: what REDCap says is not
    /// on record.
    pub(super) fn no_surveys() -> Self {
        Self::new(400, "Surveys are not enabled in this project")
    }

    /// A user who may not go to another Data Access Group. The words are the sandbox's.
    pub(super) fn no_switch() -> Self {
        Self::new(403, "You do not have permission to switch your Data Access Group")
    }

    /// REDCap could, the sandbox cannot. It says so rather than answering something else.
    pub(super) fn sandbox(what: &str) -> Self {
        Self::new(400, format!("The keycap sandbox does not know {what}"))
    }

    /// The body in a format.
    pub(super) fn body(&self, format: Format) -> String {
        match format {
            Format::Csv => format!("ERROR: {}", self.message),
            Format::Json => serde_json::json!({ "error": self.message }).to_string(),
            Format::Xml => {
                let message = xml_text(&self.message);
                format!("<?xml version=\"1.0\" encoding=\"UTF-8\" ?><hash><error>{message}</error></hash>")
            }
        }
    }
}
