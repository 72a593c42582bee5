//! That a token which went unused for long may be used again: a dated grant by a named person.
//!
//! Grants are kept in `reauthorizations.json` beside the registry that has the project. One is of one project at one
//! server, and counts up to and with its day.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::registry::{Kept, Project};
use crate::ctx::Dirs;
use crate::error::Result;
use crate::json_list::JsonList;

const FILE: &str = "reauthorizations.json";

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grant {
    short_name: String,
    origin: String,
    /// Who gives it.
    pub(crate) by: String,
    /// Its last day, `YYYY-MM-DD`, and where that day ends, in seconds since 1970.
    pub(crate) until: String,
    end: u64,
    /// When it was given, in seconds since 1970.
    pub(crate) at: u64,
}

impl Grant {
    /// A grant for a project. `day`: the last one, in days since 1970-01-01.
    pub(crate) fn of(project: &Project, by: String, until: String, day: i64, now: SystemTime) -> Self {
        Self {
            short_name: project.short_name.as_str().to_owned(),
            origin: project.redcap_uri.origin().to_string(),
            by,
            until,
            end: u64::try_from((day + 1) * 86_400).unwrap_or_default(),
            at: now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        }
    }

    /// The days that are left of it; negative once it is over.
    pub(crate) fn days_left(&self, now: SystemTime) -> f64 {
        let now = now.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        (self.end as f64 - now) / 86_400.0
    }

    fn is_of(&self, project: &Project) -> bool {
        self.short_name == project.short_name.as_str() && self.origin == project.redcap_uri.origin().to_string()
    }
}

/// The grants of one layer.
pub(crate) struct Grants(JsonList<Grant>);

impl Grants {
    pub(crate) fn new(dirs: &Dirs, kept: Kept) -> Self {
        let folder = match kept {
            Kept::User => &dirs.config,
            Kept::Session => &dirs.session,
        };
        Self(JsonList::at(folder.join(FILE)))
    }

    /// The last grant for a project.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn find(&self, project: &Project) -> Result<Option<Grant>> {
        Ok(self.0.read()?.into_iter().rev().find(|grant| grant.is_of(project)))
    }

    /// Keeps a grant in the place of the one before.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn put(&self, project: &Project, grant: Grant) -> Result<()> {
        self.0.change(|all| {
            all.retain(|known| !known.is_of(project));
            all.push(grant);
        })
    }

    /// Forgets the grants for a short name.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn forget(&self, short_name: &str) -> Result<()> {
        if self.0.read()?.iter().any(|grant| grant.short_name == short_name) {
            self.0.change(|all| all.retain(|grant| grant.short_name != short_name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::value::Value;
    use std::time::Duration;

    fn project(name: &str, uri: &str) -> Project {
        Project::from_value(&Value::list([
            ("short_name", name.into()),
            ("redcap_uri", uri.into()),
            ("token_name", "T".into()),
        ]))
        .unwrap()
    }

    #[test]
    fn a_grant_is_for_one_project_at_one_server_and_counts_to_the_end_of_its_day() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let dirs = Dirs { config: at("config"), data: at("data"), session: at("session"), site: at("site") };
        let grants = Grants::new(&dirs, Kept::User);
        let here = project("A", "https://redcap.example.org/api/");
        let moment = |day: u64, seconds: u64| UNIX_EPOCH + Duration::from_secs(day * 86_400 + seconds);
        // 2024-02-29 is the day 19782.
        for by in ["First", "Last"] {
            grants.put(&here, Grant::of(&here, by.into(), "2024-02-29".into(), 19_782, moment(19_780, 0))).unwrap();
        }
        let grant = grants.find(&here).unwrap().unwrap();
        assert_eq!((grant.by.as_str(), grant.until.as_str()), ("Last", "2024-02-29"));
        assert_eq!(grant.days_left(moment(19_780, 0)).to_bits(), 3.0_f64.to_bits());
        assert!(grant.days_left(moment(19_782, 86_399)) > 0.0);
        assert!(grant.days_left(moment(19_783, 1)) < 0.0);
        for other in [project("B", "https://redcap.example.org/api/"), project("A", "https://other.example.org/api/")] {
            assert_eq!(grants.find(&other).unwrap(), None);
        }
        assert_eq!(Grants::new(&dirs, Kept::Session).find(&here).unwrap(), None);
        grants.forget("B").unwrap();
        assert!(grants.find(&here).unwrap().is_some());
        grants.forget("A").unwrap();
        assert_eq!(grants.find(&here).unwrap(), None);
        Grants::new(&dirs, Kept::Session).forget("A").unwrap();
        assert!(!dirs.session.exists());
    }
}
