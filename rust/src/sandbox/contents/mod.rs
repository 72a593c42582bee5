//! What can be asked for: one file for each kind of content.

mod arm;
mod event;
mod field_names;
mod file;
mod group;
mod instrument;
mod log;
mod mapping;
mod metadata;
mod next_record;
mod odm;
mod pdf;
mod project;
mod record;
mod repeating;
mod report;
mod role;
mod user;

use bytes::Bytes;

use super::data::Data;
use super::post::Post;
use super::refusal::Refusal;
use super::sheet::{Format, Sheet};
use super::table;
use super::users::User;
use super::world::{Line, Project};

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

    /// Whether the user may see a record that is in a group.
    fn sees(&self, group: &str) -> bool {
        self.group().is_empty() || self.group() == group
    }

    /// A record that exists and that the user may see.
    fn record(&self, name: &str) -> Result<(), Refusal> {
        let seen = self.project.generated.is_some() || self.sees(self.project.data.group(name));
        if self.project.has(name) && seen { Ok(()) } else { Err(Refusal::no_record(name)) }
    }

    /// The event that a request names. A classic project has but one, and none is named.
    fn event(&self) -> Result<&str, Refusal> {
        let design = &self.project.design;
        if !design.is_longitudinal() {
            return Ok("");
        }
        let name = self.post.text("event");
        if design.event(name).is_some() { Ok(name) } else { Err(Refusal::parameter("event")) }
    }
}

/// What goes back.
#[derive(Debug)]
pub(super) enum Outcome {
    Sheet(Sheet),
    /// A sheet that is there already, as CSV.
    Csv(Bytes),
    /// Text without a format.
    Bare(String),
    /// A number, in the format of errors.
    Count(usize),
    /// Names of records, in the format of errors.
    Names(Vec<String>),
    /// An empty list, in the format of errors.
    Nothing,
    /// A document of its own type.
    File {
        content_type: &'static str,
        name: String,
        bytes: Bytes,
    },
}

/// A request that was answered.
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// The project's data after a request that has changed them.
    pub(super) data: Option<Data>,
    pub(super) log: Vec<Line>,
}

impl Done {
    /// Nothing has changed.
    fn read(outcome: Outcome, line: Line) -> Self {
        Self { outcome, data: None, log: vec![line] }
    }
}

/// What a request does with its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Export,
    Import,
    Delete,
    Rename,
    /// Actions that the sandbox knows by name only.
    Other,
}

impl Action {
    /// By the parameter; without it, data that come along are imported.
    fn of(post: &Post) -> Result<Self, Refusal> {
        Ok(match post.text("action") {
            "" if post.get("data").is_some() => Self::Import,
            "" | "export" => Self::Export,
            "import" => Self::Import,
            "delete" => Self::Delete,
            "rename" => Self::Rename,
            "randomize" | "switch" | "createFolder" | "list" => Self::Other,
            _ => return Err(Refusal::parameter("action")),
        })
    }
}

/// Contents that have to do with surveys, which no sample project has.
const SURVEYS: [&str; 5] = ["surveyLink", "surveyQueueLink", "surveyReturnCode", "surveyAccessCode", "participantList"];

/// Contents that REDCap has and the sandbox does not have yet. It says so rather than pretending that
/// REDCap did not know them.
const NOT_YET: [&str; 6] = ["fileInfo", "fileRepository", "project_settings", "filesize", "mycap", "tableau"];

/// Contents that the sandbox answers.
const HERE: [&str; 21] = [
    "project",
    "user",
    "userRole",
    "userRoleMapping",
    "metadata",
    "exportFieldNames",
    "instrument",
    "pdf",
    "event",
    "arm",
    "formEventMapping",
    "record",
    "report",
    "file",
    "generateNextRecordName",
    "log",
    "repeatingFormsEvents",
    "dag",
    "userDagMapping",
    "project_xml",
    "version",
];

/// Answers a request. `format` is `None` where the request names one that does not exist.
pub(super) fn answer(asked: &Asked<'_>, format: Option<Format>) -> Result<Done, Refusal> {
    let content = asked.post.text("content");
    if content == "version" {
        return Ok(Done::read(Outcome::Bare(asked.redcap_version.to_owned()), log_line(asked)));
    }
    let known = [&HERE[..], &NOT_YET, &SURVEYS].concat();
    if !known.contains(&content) {
        return Err(Refusal::parameter("content"));
    }
    // Files have no action by default.
    if content == "file" && asked.post.text("action").is_empty() {
        return Err(Refusal::parameter("action"));
    }
    match Action::of(asked.post)? {
        Action::Export => export(asked, content, format),
        action => write(asked, content, action),
    }
}

fn export(asked: &Asked<'_>, content: &str, format: Option<Format>) -> Result<Done, Refusal> {
    if !asked.user.may("api_export") {
        return Err(Refusal::no_export());
    }
    if SURVEYS.contains(&content) {
        return Err(Refusal::no_surveys());
    }
    if format.is_none() {
        let odm = asked.post.text("format") == "odm" && content == "record";
        return Err(if odm { Refusal::sandbox("the format \"odm\" yet") } else { Refusal::parameter("format") });
    }
    let outcome = match content {
        "project" => Outcome::Sheet(project::sheet(asked)),
        "user" => Outcome::Sheet(user::sheet(asked)?),
        "userRole" => Outcome::Sheet(role::sheet(asked)?),
        "userRoleMapping" => Outcome::Sheet(role::mapping(asked)?),
        "metadata" => Outcome::Sheet(metadata::sheet(asked)?),
        "exportFieldNames" => Outcome::Sheet(field_names::sheet(asked)?),
        "instrument" => Outcome::Sheet(instrument::sheet(asked)),
        "pdf" => pdf::document(asked)?,
        "event" => Outcome::Sheet(event::sheet(asked)?),
        "arm" => Outcome::Sheet(arm::sheet(asked)?),
        "formEventMapping" => Outcome::Sheet(mapping::sheet(asked)?),
        "record" => record::export(asked, format)?,
        "report" => Outcome::Sheet(report::sheet(asked)?),
        "file" => file::export(asked)?,
        "generateNextRecordName" => Outcome::Bare(next_record::name(asked)),
        "log" => Outcome::Sheet(log::sheet(asked)?),
        "repeatingFormsEvents" => Outcome::Sheet(repeating::sheet(asked)?),
        "dag" => Outcome::Sheet(group::sheet(asked)?),
        "userDagMapping" => Outcome::Sheet(group::mapping(asked)?),
        "project_xml" => odm::document(asked),
        other => return Err(Refusal::sandbox(&format!("the content \"{other}\" yet"))),
    };
    Ok(Done::read(outcome, log_line(asked)))
}

/// Whatever is no export. The right is checked for every content, the form of the data for every import.
fn write(asked: &Asked<'_>, content: &str, action: Action) -> Result<Done, Refusal> {
    if !asked.user.may("api_import") {
        return Err(Refusal::no_import());
    }
    if SURVEYS.contains(&content) {
        return Err(Refusal::no_surveys());
    }
    if content == "file" {
        writable(asked)?;
        return match action {
            Action::Import => file::import(asked),
            Action::Delete => file::delete(asked),
            _ => Err(Refusal::parameter("action")),
        };
    }
    if action == Action::Import {
        let data = asked.post.text("data");
        let well_formed = match asked.post.text("format") {
            "json" => serde_json::from_str::<serde_json::Value>(data).is_ok(),
            "csv" => table::csv(data, record::delimiter(asked.post)?).is_some(),
            _ => data.trim_start().starts_with('<'),
        };
        if !well_formed {
            return Err(Refusal::format());
        }
    }
    if content == "record" {
        writable(asked)?;
        match action {
            Action::Import => return record::import(asked),
            Action::Delete => return record::delete(asked),
            Action::Rename => return record::rename(asked),
            Action::Export | Action::Other => {}
        }
    }
    let name = if action == Action::Import { "import" } else { asked.post.text("action") };
    Err(Refusal::sandbox(&format!("the action \"{name}\" of the content \"{content}\" yet")))
}

fn writable(asked: &Asked<'_>) -> Result<(), Refusal> {
    if asked.project.generated.is_none() {
        Ok(())
    } else {
        Err(Refusal::sandbox("how to write to a generated project"))
    }
}

/// The line that an answered export leaves in the project's log.
fn log_line(asked: &Asked<'_>) -> Line {
    match asked.post.text("content") {
        "record" => Line::new("Data export (API)", "Export records (API)"),
        "report" => {
            Line::new("Data export (API)", format!("Export report (API), report_id = {}", asked.project.report.id))
        }
        "file" => Line {
            record: asked.post.text("record").to_owned(),
            ..Line::new("Manage/Design", format!("Download file (API), {}", asked.post.text("field")))
        },
        other => Line::new("Manage/Design", format!("Export {other} (API)")),
    }
}
