//! What can be asked for: one file for each kind of content.

mod arm;
mod event;
mod field_names;
mod group;
mod instrument;
mod log;
mod mapping;
mod metadata;
mod next_record;
mod project;
mod record;
mod repeating;
mod user;

use super::post::Post;
use super::refusal::Refusal;
use super::sheet::{Format, Sheet};
use super::users::User;
use super::world::Project;

/// A request whose token was found.
pub(super) struct Asked<'a> {
    pub(super) redcap_version: &'a str,
    pub(super) users: &'a [User],
    pub(super) project: &'a Project,
    pub(super) user: &'a User,
    pub(super) post: &'a Post,
}

impl Asked<'_> {
    /// The user's Data Access Group in this project; blank: all records.
    fn group(&self) -> &str {
        if self.project.groups.is_empty() { "" } else { self.user.group }
    }
}

/// What goes back.
#[derive(Debug)]
pub(super) enum Outcome {
    Sheet(Sheet),
    /// Text without a format.
    Bare(String),
}

/// Contents that REDCap has and the sandbox does not have yet. It says so rather than pretending that
/// REDCap did not know them.
const NOT_YET: [&str; 18] = [
    "report",
    "file",
    "fileInfo",
    "fileRepository",
    "pdf",
    "surveyLink",
    "surveyQueueLink",
    "surveyReturnCode",
    "surveyAccessCode",
    "participantList",
    "userRole",
    "userRoleMapping",
    "userDagMapping",
    "project_xml",
    "project_settings",
    "filesize",
    "mycap",
    "tableau",
];

/// Answers a request. `format` is `None` where the request names one that does not exist.
pub(super) fn answer(asked: &Asked<'_>, format: Option<Format>) -> Result<Outcome, Refusal> {
    let content = asked.post.text("content");
    if content == "version" {
        return Ok(Outcome::Bare(asked.redcap_version.to_owned()));
    }
    let here = [
        "project",
        "user",
        "metadata",
        "exportFieldNames",
        "instrument",
        "event",
        "arm",
        "formEventMapping",
        "record",
        "generateNextRecordName",
        "log",
        "repeatingFormsEvents",
        "dag",
    ];
    if !here.contains(&content) && !NOT_YET.contains(&content) {
        return Err(Refusal::parameter("content"));
    }
    writing(asked)?;
    if !asked.user.may("api_export") {
        return Err(Refusal::no_export());
    }
    if format.is_none() {
        let odm = asked.post.text("format") == "odm" && content == "record";
        return Err(if odm { Refusal::sandbox("the format \"odm\" yet") } else { Refusal::parameter("format") });
    }
    let sheet = match content {
        "project" => project::sheet(asked),
        "user" => user::sheet(asked)?,
        "metadata" => metadata::sheet(asked)?,
        "exportFieldNames" => field_names::sheet(asked)?,
        "instrument" => instrument::sheet(asked),
        "event" => event::sheet(asked)?,
        "arm" => arm::sheet(asked)?,
        "formEventMapping" => mapping::sheet(asked)?,
        "record" => record::sheet(asked)?,
        "generateNextRecordName" => return Ok(Outcome::Bare(next_record::name(asked))),
        "log" => log::sheet(asked)?,
        "repeatingFormsEvents" => repeating::sheet(asked)?,
        "dag" => group::sheet(asked)?,
        other => return Err(Refusal::sandbox(&format!("the content \"{other}\" yet"))),
    };
    Ok(Outcome::Sheet(sheet))
}

/// Whatever is no export: the right is checked as REDCap does; the writing itself comes later.
fn writing(asked: &Asked<'_>) -> Result<(), Refusal> {
    let (action, data) = (asked.post.text("action"), asked.post.get("data"));
    if matches!(action, "" | "export") && data.is_none() {
        return Ok(());
    }
    if !asked.user.may("api_import") {
        return Err(Refusal::no_import());
    }
    let data = data.unwrap_or_default();
    let well_formed = match asked.post.text("format") {
        "json" => serde_json::from_str::<serde_json::Value>(data).is_ok(),
        "csv" => !data.trim().is_empty(),
        _ => data.trim_start().starts_with('<'),
    };
    let importing = matches!(action, "" | "import" | "export");
    if importing && !well_formed {
        return Err(Refusal::format());
    }
    let action = if importing { "import" } else { action };
    Err(Refusal::sandbox(&format!("the action \"{action}\" yet")))
}

/// Action and details of the project's log for an answered request.
pub(super) fn log_line(content: &str) -> (&'static str, String) {
    match content {
        "record" => ("Data Export (API)", "Export records (API)".to_owned()),
        other => ("Manage/Design", format!("Export {other} (API)")),
    }
}
