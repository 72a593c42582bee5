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
mod repository;
mod role;
mod survey;
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
    pub(super) project: &'a Project,
    pub(super) user: &'a User,
    pub(super) post: &'a Post,
}

impl Asked<'_> {
    /// The user's Data Access Group in this project; blank: all records.
    fn group(&self) -> &str {
        self.project.group_of(self.user)
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
    /// The user is in this group from now on.
    Switched(&'static str),
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
    Switch,
    List,
    CreateFolder,
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
            "switch" => Self::Switch,
            "list" => Self::List,
            "createFolder" => Self::CreateFolder,
            "randomize" => Self::Other,
            _ => return Err(Refusal::parameter("action")),
        })
    }
}

/// Contents that REDCap has and the sandbox does not have yet. It says so rather than pretending that
/// REDCap did not know them.
const NOT_YET: [&str; 5] = ["fileInfo", "project_settings", "filesize", "mycap", "tableau"];

/// What the sandbox answers: contents, and what it does with each. An export is one also where REDCap's own help
/// knows no action.
pub(crate) const METHODS: [(&str, &str); 37] = [
    ("version", "export"),
    ("project", "export"),
    ("project_xml", "export"),
    ("record", "export"),
    ("record", "import"),
    ("record", "delete"),
    ("record", "rename"),
    ("report", "export"),
    ("metadata", "export"),
    ("exportFieldNames", "export"),
    ("instrument", "export"),
    ("pdf", "export"),
    ("arm", "export"),
    ("event", "export"),
    ("formEventMapping", "export"),
    ("repeatingFormsEvents", "export"),
    ("file", "export"),
    ("file", "import"),
    ("file", "delete"),
    ("fileRepository", "list"),
    ("fileRepository", "export"),
    ("fileRepository", "import"),
    ("fileRepository", "delete"),
    ("fileRepository", "createFolder"),
    ("log", "export"),
    ("user", "export"),
    ("userRole", "export"),
    ("userRoleMapping", "export"),
    ("dag", "export"),
    ("dag", "switch"),
    ("userDagMapping", "export"),
    ("surveyLink", "export"),
    ("surveyQueueLink", "export"),
    ("surveyReturnCode", "export"),
    ("surveyAccessCode", "export"),
    ("participantList", "export"),
    ("generateNextRecordName", "export"),
];

/// Answers a request. `format` is `None` where the request names one that does not exist.
pub(super) fn answer(asked: &Asked<'_>, format: Option<Format>) -> Result<Done, Refusal> {
    let content = asked.post.text("content");
    if content == "version" {
        return Ok(Done::read(Outcome::Bare(asked.redcap_version.to_owned()), log_line(asked)));
    }
    if !METHODS.iter().any(|(known, _)| *known == content) && !NOT_YET.contains(&content) {
        return Err(Refusal::parameter("content"));
    }
    // Files have no action by default.
    if content == "file" && asked.post.text("action").is_empty() {
        return Err(Refusal::parameter("action"));
    }
    match Action::of(asked.post)? {
        Action::Export => export(asked, content, format),
        Action::List if content == "fileRepository" => list(asked, format),
        action => write(asked, content, action),
    }
}

fn export(asked: &Asked<'_>, content: &str, format: Option<Format>) -> Result<Done, Refusal> {
    if !asked.user.may("api_export") {
        return Err(Refusal::no_export());
    }
    if survey::CONTENTS.contains(&content) {
        return Ok(Done::read(survey::export(asked, content)?, log_line(asked)));
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
        "fileRepository" => repository::export(asked)?,
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

/// What is in the file repository.
fn list(asked: &Asked<'_>, format: Option<Format>) -> Result<Done, Refusal> {
    if !asked.user.may("api_export") {
        return Err(Refusal::no_export());
    }
    if format.is_none() {
        return Err(Refusal::parameter("format"));
    }
    Ok(Done::read(Outcome::Sheet(repository::sheet(asked)?), log_line(asked)))
}

/// Whatever is no export. The right is checked for every content, the form of the data for every import.
fn write(asked: &Asked<'_>, content: &str, action: Action) -> Result<Done, Refusal> {
    if !asked.user.may("api_import") {
        return Err(Refusal::no_import());
    }
    if content == "dag" && action == Action::Switch {
        return group::switch(asked);
    }
    if content == "fileRepository" {
        writable(asked)?;
        return match action {
            Action::Import => repository::import(asked),
            Action::Delete => repository::delete(asked),
            Action::CreateFolder => repository::create_folder(asked),
            _ => Err(Refusal::parameter("action")),
        };
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
            _ => {}
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
