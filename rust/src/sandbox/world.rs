//! Everything a running sandbox knows.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::ban::Ban;
use super::config::Config;
use super::counts::Counts;
use super::design::Design;
use super::faults::Faults;
use super::rows::Row;
use super::sample_tokens::{SAMPLES, Sample};
use super::tokens::Tokens;
use super::users::{User, users};
use super::{samples, time};

/// A project on the server.
pub(super) struct Project {
    pub(super) sample: Sample,
    pub(super) design: Design,
    pub(super) rows: Vec<Row>,
    /// Data Access Groups: unique name, name, number.
    pub(super) groups: Vec<(&'static str, &'static str, i64)>,
    /// The newest entries, oldest first.
    pub(super) log: VecDeque<Entry>,
}

/// A line of a project's log.
pub(super) struct Entry {
    /// `YYYY-MM-DD HH:MM`.
    pub(super) time: String,
    pub(super) user: String,
    pub(super) action: &'static str,
    pub(super) details: String,
}

/// The log keeps this many entries a project.
const LOG_LENGTH: usize = 10_000;

impl Project {
    /// Writes a line to the project's log.
    pub(super) fn note(&mut self, user: &str, action: &'static str, details: impl Into<String>) {
        if self.log.len() == LOG_LENGTH {
            self.log.pop_front();
        }
        let time = time::minute(SystemTime::now());
        self.log.push_back(Entry { time, user: user.to_owned(), action, details: details.into() });
    }
}

/// The state of one sandbox. There are no statics: two sandboxes in one process know nothing of each other.
pub(super) struct World {
    pub(super) config: Config,
    pub(super) projects: Vec<Project>,
    pub(super) users: Vec<User>,
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
        Self {
            projects: samples::projects(),
            users: users(),
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

    pub(super) fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }
}
