//! Everything a running sandbox knows.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::time::SystemTime;

use super::ban::Ban;
use super::config::Config;
use super::counts::Counts;
use super::data::Data;
use super::design::Design;
use super::faults::Faults;
use super::generated::{self, Generated};
use super::post::List;
use super::reports::Report;
use super::rows::Row;
use super::sample_tokens::{SAMPLES, Sample};
use super::tokens::Tokens;
use super::users::{COMMON_ROLES, ROLES, Role, User};
use super::{samples, time};

/// A project on the server.
pub(super) struct Project {
    pub(super) sample: Sample,
    pub(super) design: Design,
    pub(super) data: Data,
    /// The rows of a generated project, whose `data` are empty.
    pub(super) generated: Option<Generated>,
    /// Data Access Groups: unique name, name, number.
    pub(super) groups: Vec<(&'static str, &'static str, i64)>,
    pub(super) users: Vec<User>,
    pub(super) report: Report,
    /// The newest entries, oldest first.
    pub(super) log: VecDeque<Entry>,
}

/// A line of a project's log.
pub(super) struct Entry {
    /// `YYYY-MM-DD HH:MM`.
    pub(super) time: String,
    pub(super) user: String,
    pub(super) action: String,
    pub(super) details: String,
    /// The record that it is about, or blank.
    pub(super) record: String,
}

/// What a request leaves in the log.
pub(super) struct Line {
    pub(super) action: String,
    pub(super) details: String,
    pub(super) record: String,
}

impl Line {
    /// A line that is about no record.
    pub(super) fn new(action: &str, details: impl Into<String>) -> Self {
        Self { action: action.to_owned(), details: details.into(), record: String::new() }
    }
}

/// The log keeps this many entries a project.
const LOG_LENGTH: usize = 10_000;

impl Project {
    /// Writes a line to the project's log.
    pub(super) fn note(&mut self, user: &str, line: Line) {
        self.note_at(SystemTime::now(), user, line);
    }

    /// The same, at a time of the past.
    pub(super) fn note_at(&mut self, time: SystemTime, user: &str, line: Line) {
        if self.log.len() == LOG_LENGTH {
            self.log.pop_front();
        }
        let time = time::minute(time);
        let Line { action, details, record } = line;
        let place = self.log.partition_point(|entry| entry.time <= time);
        self.log.insert(place, Entry { time, user: user.to_owned(), action, details, record });
    }

    pub(super) fn has(&self, record: &str) -> bool {
        self.generated.as_ref().map_or_else(|| self.data.has(record), |generated| generated.has(record))
    }

    /// The rows of the records in a list, of all if it is empty. `bare`: their values are not needed.
    pub(super) fn rows<'a>(&'a self, records: &'a List, bare: bool) -> Box<dyn Iterator<Item = Cow<'a, Row>> + 'a> {
        if let Some(generated) = &self.generated {
            return Box::new(generated.rows(records, bare).map(Cow::Owned));
        }
        let wanted = self.data.rows.iter().filter(|row| records.is_empty() || records.has(&row.place.record));
        Box::new(wanted.map(Cow::Borrowed))
    }

    pub(super) fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    pub(super) fn user_mut(&mut self, name: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.name == name)
    }

    /// A user's group, if the project has it; blank: none.
    pub(super) fn group_of(&self, user: &User) -> &'static str {
        if self.group_id(user.group).is_some() { user.group } else { "" }
    }

    /// The roles that there are in the project.
    pub(super) fn roles(&self) -> &'static [Role] {
        if self.sample.has_sites() { &ROLES } else { &ROLES[..COMMON_ROLES] }
    }

    /// The number of a group by its unique name.
    pub(super) fn group_id(&self, unique_name: &str) -> Option<i64> {
        self.groups.iter().find(|(one, ..)| *one == unique_name).map(|(.., id)| *id)
    }
}

/// The state of one sandbox. There are no statics: two sandboxes in one process know nothing of each other.
pub(super) struct World {
    pub(super) config: Config,
    pub(super) projects: Vec<Project>,
    /// The REDCap version that the server claims, which decides how it writes users' rights.
    pub(super) version: String,
    /// The users whose tokens are all refused.
    pub(super) suspended: BTreeSet<String>,
    pub(super) tokens: Tokens,
    pub(super) faults: Faults,
    pub(super) ban: Ban,
    pub(super) counts: Counts,
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        let mut tokens = Tokens::default();
        if config.sample_tokens {
            for sample in &SAMPLES {
                tokens.set(sample.short_name, sample.user, sample.token.to_owned());
            }
        }
        let mut projects = samples::projects();
        for size in &config.generated {
            let (records, columns) = size.extent();
            projects.push(generated::project(Some(*size), records, columns));
        }
        Self {
            projects,
            version: config.redcap_version.clone(),
            suspended: BTreeSet::new(),
            tokens,
            faults: Faults::default(),
            ban: Ban::new(config.ban_after),
            counts: Counts::default(),
            config,
        }
    }

    pub(super) fn project(&self, short_name: &str) -> Option<&Project> {
        self.projects.iter().find(|project| project.sample.short_name == short_name)
    }

    pub(super) fn project_mut(&mut self, short_name: &str) -> Option<&mut Project> {
        self.projects.iter_mut().find(|project| project.sample.short_name == short_name)
    }

    /// Whether any project has a user of this name.
    pub(super) fn knows(&self, user: &str) -> bool {
        self.projects.iter().any(|project| project.user(user).is_some())
    }
}
