//! What a named administrator states of a token's account and REDCap does not say: that nobody can log in with it, after
//! how long without use it is shut, and whether the DAG Switcher lists it.
//!
//! It is kept in `accounts.json` beside the registry that has the project, and is shown as declared, never as good.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::day::day;
use crate::ctx::Dirs;
use crate::error::{Error, Kind, Result};
use crate::file::{self, Readers, SideLock, Source};
use crate::project::{Kept, Project};

const FILE: &str = "accounts.json";
const VERSION: u32 = 1;
const CAP: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// A statement about the account of one project's token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    short_name: String,
    /// The server and the user that it was stated of: about another one it says nothing.
    origin: String,
    redcap_user: Option<String>,
    /// Whether the account is for the API alone: nobody can log in with it.
    pub(crate) api_only: Option<bool>,
    /// After how long without use REDCap shuts the account.
    pub(crate) inactivity: Option<String>,
    /// Whether the project's DAG Switcher lists the user.
    pub(crate) dag_switcher: Option<bool>,
    /// Who states it.
    pub(crate) by: String,
    /// The day up to which it is stated, `YYYY-MM-DD`.
    pub(crate) until: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    keycap_accounts: u32,
    accounts: Vec<Account>,
}

impl Account {
    /// A statement about a project's account that says nothing yet.
    pub(crate) fn of(project: &Project, by: String, until: String) -> Self {
        Self {
            short_name: project.short_name.as_str().to_owned(),
            origin: project.redcap_uri.origin().to_string(),
            redcap_user: project.redcap_user.clone(),
            api_only: None,
            inactivity: None,
            dag_switcher: None,
            by,
            until,
        }
    }

    /// Whether the day up to which it is stated is over. Days are counted from 1970-01-01.
    pub(crate) fn is_over(&self, today: i64) -> bool {
        day(&self.until).is_none_or(|until| until < today)
    }

    fn is_of(&self, project: &Project) -> bool {
        self.short_name == project.short_name.as_str()
            && self.origin == project.redcap_uri.origin().to_string()
            && self.redcap_user == project.redcap_user
    }
}

/// The statements that are kept in one layer.
pub(crate) struct Accounts(PathBuf);

impl Accounts {
    pub(crate) fn new(dirs: &Dirs, kept: Kept) -> Self {
        let folder = match kept {
            Kept::User => &dirs.config,
            Kept::Session => &dirs.session,
        };
        Self(folder.join(FILE))
    }

    /// What is stated of a project's account.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn find(&self, project: &Project) -> Result<Option<Account>> {
        Ok(self.read()?.accounts.into_iter().find(|account| account.is_of(project)))
    }

    /// Writes a statement in the place of the one before.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn put(&self, project: &Project, account: Account) -> Result<()> {
        if let Some(folder) = self.0.parent() {
            file::make_private_folder(folder)?;
        }
        let _lock = SideLock::take(&self.0.with_extension("json.lock"), false, PATIENCE)?;
        let mut stored = self.read()?;
        stored.keycap_accounts = VERSION;
        stored.accounts.retain(|known| known.short_name != project.short_name.as_str());
        stored.accounts.push(account);
        self.write(&stored)
    }

    /// Forgets what was stated of the account of a project that is deleted.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn forget(&self, short_name: &str) -> Result<()> {
        let known = |stored: &Stored| stored.accounts.iter().any(|account| account.short_name == short_name);
        if !known(&self.read()?) {
            return Ok(());
        }
        let _lock = SideLock::take(&self.0.with_extension("json.lock"), false, PATIENCE)?;
        let mut stored = self.read()?;
        stored.accounts.retain(|known| known.short_name != short_name);
        self.write(&stored)
    }

    fn write(&self, stored: &Stored) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(stored)
            .map_err(|_| Error::new(Kind::Internal, "statements about accounts cannot be written as JSON"))?;
        text.push(b'\n');
        file::replace(&self.0, &text, Readers::Owner)
    }

    fn read(&self) -> Result<Stored> {
        let path = &self.0;
        let damaged = |why: &str| {
            Error::new(Kind::Damaged, format!("`{}` is damaged ({why}); keycap left it as it is", path.display()))
                .hint("repair the file by hand, or move it away and declare the accounts again")
                .field("path", path.display().to_string())
        };
        let bytes = file::read_small(path, CAP, Source::User).map_err(|unfit| unfit.at(path, "cannot be read"))?;
        let Some(bytes) = bytes else { return Ok(Stored::default()) };
        // The parser's own words would repeat what stands there.
        let stored: Stored =
            serde_json::from_slice(&bytes).map_err(|_| damaged("it has not the form that keycap writes"))?;
        if stored.keycap_accounts != VERSION {
            return Err(damaged("it was written by a newer keycap"));
        }
        Ok(stored)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn project(user: &str, uri: &str) -> Project {
        Project::from_value(&Value::list([
            ("short_name", "A".into()),
            ("redcap_uri", uri.into()),
            ("token_name", "REDCapSync_A".into()),
            ("redcap_user", user.into()),
        ]))
        .unwrap()
    }

    #[test]
    fn a_statement_is_about_one_user_at_one_server_and_the_last_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let dirs = Dirs { config: at("config"), data: at("data"), session: at("session"), site: at("site") };
        let accounts = Accounts::new(&dirs, Kept::User);
        let here = project("u", "https://redcap.example.org/api/");
        assert_eq!(accounts.find(&here).unwrap(), None);
        for by in ["First", "Last"] {
            let account = Account { api_only: Some(true), ..Account::of(&here, by.into(), "2027-01-31".into()) };
            accounts.put(&here, account).unwrap();
        }
        assert_eq!(accounts.find(&here).unwrap().map(|account| account.by).as_deref(), Some("Last"));
        assert_eq!(accounts.find(&project("v", "https://redcap.example.org/api/")).unwrap(), None);
        assert_eq!(accounts.find(&project("u", "https://other.example.org/api/")).unwrap(), None);
        assert_eq!(Accounts::new(&dirs, Kept::Session).find(&here).unwrap(), None);
        // A project that is deleted leaves no statement for the next one of its name.
        accounts.forget("B").unwrap();
        assert!(accounts.find(&here).unwrap().is_some());
        accounts.forget("A").unwrap();
        assert_eq!(accounts.find(&here).unwrap(), None);
        Accounts::new(&dirs, Kept::Session).forget("A").unwrap();
        assert!(!dirs.session.exists());
        std::fs::write(at("config").join(FILE), "{\"keycap_accounts\": 1, \"accounts\": \"secret words\"}").unwrap();
        for error in [
            accounts.find(&here).unwrap_err(),
            accounts.put(&here, Account::of(&here, "x".into(), "y".into())).unwrap_err(),
        ] {
            assert!(error.kind == Kind::Damaged && !error.message.contains("secret words"), "{error:?}");
        }
    }
}
