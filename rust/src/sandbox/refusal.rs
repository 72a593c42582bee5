//! REDCap's refusals: status and text, and their form in each format.

use super::sheet::{Format, xml_text};

/// An error answer of REDCap's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
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
