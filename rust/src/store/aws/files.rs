//! The files that AWS's own programs keep: `~/.aws/config` and `~/.aws/credentials`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::trouble::error;
use super::{Entrance, NAME};
use crate::error::{Error, Kind, Result};
use crate::file::{self, Eyes};
use crate::store::blocking::on_own_thread;

/// What such a file has at most.
const CAP: usize = 256 << 10;

/// How long a file system may take to hand over a small file.
const LIMIT: Duration = Duration::from_secs(15);

/// The two files, as they stand. Both may hold secrets.
#[derive(Default)]
pub(super) struct Files {
    config: Option<Zeroizing<Vec<u8>>>,
    credentials: Option<Zeroizing<Vec<u8>>>,
    /// Whether it is a variable that names them, and not the user's own place.
    config_is_named: bool,
    credentials_are_named: bool,
}

/// A program that gives credentials, and whether a file that a variable names says so.
pub(super) struct Program<'a> {
    pub(super) line: &'a str,
    pub(super) is_named: bool,
}

impl Files {
    pub(super) async fn read(entrance: &Entrance) -> Result<Self> {
        let config = place(entrance, "AWS_CONFIG_FILE", "config");
        let credentials = place(entrance, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let is_named = |path: &Option<PathBuf>, name: &str| *path != own(entrance, name);
        let config_is_named = is_named(&config, "config");
        let credentials_are_named = is_named(&credentials, "credentials");
        let config = match config {
            Some(path) => secret_file(path, Eyes::Any).await?,
            None => None,
        };
        let credentials = match credentials {
            Some(path) => secret_file(path, Eyes::Few).await?,
            None => None,
        };
        Ok(Self { config, credentials, config_is_named, credentials_are_named })
    }

    #[cfg(test)]
    pub(super) fn of(config: &str, credentials: &str) -> Self {
        let bytes = |text: &str| Some(Zeroizing::new(text.as_bytes().to_vec()));
        Self { config: bytes(config), credentials: bytes(credentials), ..Self::default() }
    }

    /// Whether a profile stands in one of the files.
    pub(super) fn knows(&self, profile: &str) -> bool {
        section(self.config.as_ref(), |head| is_profile(head, profile)).next().is_some()
            || section(self.credentials.as_ref(), |head| head == profile).next().is_some()
    }

    /// A member of a profile in the file `config`.
    pub(super) fn config(&self, profile: &str, key: &str) -> Option<&str> {
        member(section(self.config.as_ref(), |head| is_profile(head, profile)), key)
    }

    /// A member of a profile in the file `credentials`.
    pub(super) fn credentials(&self, profile: &str, key: &str) -> Option<&str> {
        member(section(self.credentials.as_ref(), |head| head == profile), key)
    }

    /// A member of a profile in either file: what is no secret may stand in both.
    pub(super) fn either(&self, profile: &str, key: &str) -> Option<&str> {
        self.credentials(profile, key).or_else(|| self.config(profile, key))
    }

    /// The program that gives a profile's credentials.
    pub(super) fn program(&self, profile: &str) -> Option<Program<'_>> {
        const KEY: &str = "credential_process";
        let program = |line, is_named| Program { line, is_named };
        let in_credentials = self.credentials(profile, KEY).map(|line| program(line, self.credentials_are_named));
        in_credentials.or_else(|| self.config(profile, KEY).map(|line| program(line, self.config_is_named)))
    }

    /// A member of a session of the identity centre.
    pub(super) fn session(&self, name: &str, key: &str) -> Option<&str> {
        let ours = |head: &str| head.strip_prefix("sso-session").is_some_and(|rest| rest.trim() == name);
        member(section(self.config.as_ref(), ours), key)
    }
}

/// `default`, `profile default` or `profile <name>`.
fn is_profile(head: &str, profile: &str) -> bool {
    let named = head.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t'])).map(str::trim);
    named == Some(profile) || (profile == "default" && head == "default")
}

/// The lines of all sections whose head is wanted: members only, nothing that is nested in one.
fn section(file: Option<&Zeroizing<Vec<u8>>>, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
    // What is not UTF-8 is no member of ours.
    let text = file.map_or(&[][..], |bytes| bytes);
    let mut inside = false;
    text.split(|byte| *byte == b'\n').filter_map(move |line| {
        let line = std::str::from_utf8(line).ok()?;
        let trimmed = line.trim();
        if let Some(head) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(head, _)| head) {
            inside = wanted(head.trim());
            return inside.then_some("");
        }
        let nested = line.starts_with([' ', '\t']);
        (inside && !nested && !trimmed.is_empty() && !trimmed.starts_with(['#', ';'])).then_some(trimmed)
    })
}

/// The last value that a key is given, where it is not blank.
fn member<'a>(lines: impl Iterator<Item = &'a str>, key: &str) -> Option<&'a str> {
    let value = |line: &'a str| {
        let (name, value) = line.split_once('=')?;
        name.trim().eq_ignore_ascii_case(key).then(|| value.trim())
    };
    lines.filter_map(value).last().filter(|value| !value.is_empty())
}

fn place(entrance: &Entrance, variable: &str, name: &str) -> Option<PathBuf> {
    match entrance.variable(variable) {
        Some(path) => Some(expanded(path, entrance.home.as_deref())),
        None => own(entrance, name),
    }
}

/// Where the user has such a file.
fn own(entrance: &Entrance, name: &str) -> Option<PathBuf> {
    Some(entrance.home.as_deref()?.join(".aws").join(name))
}

/// A path in which `~` is the home folder.
pub(super) fn expanded(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/").or_else(|| path.strip_prefix("~\\")), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// What stands in a file of a login's.
pub(super) async fn secret_file(path: PathBuf, eyes: Eyes) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let work = move || file::read_secret(&path, CAP, eyes).map_err(|unfit| of_store(unfit.at(&path, "cannot be read")));
    on_own_thread(NAME, LIMIT, work).await?.ok_or_else(|| {
        error("no_answer", "a file with which to log in to AWS could not be read in time")
            .hint("check the file system that it is on")
    })
}

/// A file that the store needs and cannot have is a failure of the store.
fn of_store(mut error: Error) -> Error {
    error.kind = Kind::Store;
    error.field("state", "login")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "# made by hand\n[default]\nregion = eu-central-1\ns3 =\n  region = nested\n\n[profile lab]\r\n\
                          Region=eu-west-1 \r\nsso_session = us\n[sso-session us]\nsso_region = us-east-1\n\
                          [services x]\nregion = no\n[lab]\nregion = no\n[profile  wide ]\noutput = json\n";

    #[test]
    fn members_are_those_of_their_profile_and_not_of_what_is_nested_in_one() {
        let files = Files::of(CONFIG, "[lab]\naws_access_key_id = A=B\naws_access_key_id = C\n[empty]\nx =\n");
        assert_eq!(files.config("default", "region"), Some("eu-central-1"));
        assert_eq!(files.config("lab", "region"), Some("eu-west-1"));
        assert_eq!(files.session("us", "sso_region"), Some("us-east-1"));
        assert_eq!(files.credentials("lab", "aws_access_key_id"), Some("C"));
        assert_eq!((files.credentials("empty", "x"), files.session("other", "sso_region")), (None, None));
        for (profile, known) in [("default", true), ("lab", true), ("wide", true), ("empty", true), ("us", false)] {
            assert_eq!(files.knows(profile), known, "{profile}");
        }
        assert!(!Files::default().knows("default"));
    }
}
