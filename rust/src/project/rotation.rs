//! A rotation that is begun: which token is being replaced, and how far that is.
//!
//! REDCap kills the old token at the click that makes the new one, so somebody may be between the two for a while. What
//! stands here outlives the process: a file for each project, the user's alone, replaced whole before each step. It holds
//! names, fingerprints and times, and no token.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::registry::Project;
use crate::ctx::Dirs;
use crate::error::{Error, Kind, Result};
use crate::file::{self, Readers, SideLock, Source};

const FOLDER: &str = "rotation";
const VERSION: u32 = 1;
const CAP: u64 = 1 << 20;

/// What is being done, or was when the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// The old token is looked at.
    Begun,
    /// The person has the link to the page; the new token is waited for.
    Waiting,
    /// A new token came, and REDCap is asked about it.
    Checking,
    /// REDCap is asked whether it refuses the old token.
    Confirming,
    /// The new token is put into the store and read back.
    Storing,
    /// It is there; other stores are asked for the old one.
    Searching,
}

impl Step {
    /// As it stands in the file.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Waiting => "waiting",
            Self::Checking => "checking",
            Self::Confirming => "confirming",
            Self::Storing => "storing",
            Self::Searching => "searching",
        }
    }
}

/// What a token was seen to be allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Held {
    /// Who said so: `self`, `checker` or `probe`.
    pub(crate) evidence: String,
    /// The codes of the rights that the list of users has; nothing where nobody could read one.
    pub(crate) codes: BTreeMap<String, String>,
    /// What REDCap let the token do, and what it refused: yes or no.
    pub(crate) probes: BTreeMap<String, bool>,
    /// Why the token is not the declared user's, where its deeds show that.
    pub(crate) contradicted: Option<String>,
}

/// A rotation that is begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Begun {
    keycap_rotation: u32,
    pub(crate) short_name: String,
    pub(crate) token_name: String,
    pub(crate) origin: String,
    pub(crate) step: Step,
    /// The store that the new token goes into.
    pub(crate) store: String,
    /// The fingerprint of the token that is replaced.
    pub(crate) old: String,
    /// That of the new one, once it came.
    pub(crate) new: Option<String>,
    /// When it began, and when REDCap was last seen to take the old token and first seen to refuse it: UTC.
    pub(crate) began: String,
    pub(crate) worked: Option<String>,
    pub(crate) refused: Option<String>,
    /// Where the person makes the new token.
    pub(crate) api_page: Option<String>,
    pub(crate) project_id: Option<String>,
    /// What the old token was allowed, where it could still be asked.
    pub(crate) held: Option<Held>,
}

impl Begun {
    pub(crate) fn of(project: &Project, store: &str, old: String, now: String) -> Self {
        Self {
            keycap_rotation: VERSION,
            short_name: project.short_name.as_str().to_owned(),
            token_name: project.token_name.as_str().to_owned(),
            origin: project.redcap_uri.origin().to_string(),
            step: Step::Begun,
            store: store.to_owned(),
            old,
            new: None,
            began: now,
            worked: None,
            refused: None,
            api_page: None,
            project_id: project.project_id.clone(),
            held: None,
        }
    }

    fn is_of(&self, project: &Project) -> bool {
        self.short_name == project.short_name.as_str()
            && self.token_name == project.token_name.as_str()
            && self.origin == project.redcap_uri.origin().to_string()
    }

    /// The one command that goes on.
    pub(crate) fn command(&self) -> String {
        format!("`rotate_project_token(\"{}\")`", self.short_name)
    }

    /// That it is begun, for a list of projects.
    pub(crate) fn told(&self) -> String {
        let (name, command) = (&self.short_name, self.command());
        match &self.refused {
            Some(_) => format!("`{name}` is waiting for the new token: {command} takes it"),
            None => format!("the rotation of `{name}` is begun: {command} goes on"),
        }
    }

    /// What to say of a token that a store has while its rotation is begun; REDCap is not asked.
    pub(crate) fn waits_with(&self, print: Option<&str>) -> Option<String> {
        let command = self.command();
        let old = print == Some(self.old.as_str());
        old.then(|| match &self.refused {
            Some(_) => format!("REDCap refuses it: waiting for the new token, which {command} takes"),
            None => format!("its rotation is begun, and {command} takes the new token"),
        })
    }

    /// What to say of a token that REDCap takes while its rotation is begun.
    pub(crate) fn stands(&self, taken: Option<&str>) -> String {
        let command = self.command();
        if taken == Some(self.old.as_str()) {
            let name = &self.short_name;
            format!(
                "its rotation is begun, and it is not regenerated yet: {command} goes on, \
                 `rotate_project_token(\"{name}\", cancel = TRUE)` gives it up"
            )
        } else {
            format!("its rotation is begun, and this is another token than before: {command} checks it and ends this")
        }
    }

    /// The state of a project whose token with this fingerprint REDCap refuses, in words; nothing where it is none that
    /// is being replaced.
    pub(crate) fn waits(&self, refused: &str) -> Option<String> {
        (self.old == refused).then(|| {
            let (name, began) = (&self.short_name, self.began.get(..16).unwrap_or_default().replace('T', " "));
            format!("`{name}` is waiting for the new token: its rotation began at {began} UTC")
        })
    }
}

/// The rotations that are begun, of this user, or of this session where they are a sandbox's.
pub(crate) struct Rotations(PathBuf);

impl Rotations {
    pub(crate) fn new(dirs: &Dirs, sandbox: bool) -> Self {
        Self(if sandbox { &dirs.session } else { &dirs.data }.join(FOLDER))
    }

    fn path(&self, project: &Project) -> PathBuf {
        self.0.join(format!("{}.json", project.short_name.as_str()))
    }

    /// That of a project, where one is begun.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn find(&self, project: &Project) -> Result<Option<Begun>> {
        let path = self.path(project);
        let damaged = |why: &str| {
            Error::new(Kind::Damaged, format!("`{}` is damaged ({why}); keycap left it as it is", path.display()))
                .hint("move it away and rotate the token again: the stores are as they were")
                .field("path", path.display().to_string())
        };
        let bytes = file::read_small(&path, CAP, Source::User).map_err(|unfit| unfit.at(&path, "cannot be read"))?;
        let Some(bytes) = bytes else { return Ok(None) };
        // The parser's own words would repeat what stands there.
        let begun: Begun =
            serde_json::from_slice(&bytes).map_err(|_| damaged("it has not the form that keycap writes"))?;
        if begun.keycap_rotation != VERSION {
            return Err(damaged("it was written by a newer keycap"));
        }
        Ok(begun.is_of(project).then_some(begun))
    }

    /// Writes how far a rotation is, in place of what stood there.
    ///
    /// # Errors
    /// `file`.
    pub(crate) fn put(&self, project: &Project, begun: &Begun) -> Result<()> {
        file::make_private_folder(&self.0)?;
        let mut text = serde_json::to_vec_pretty(begun)
            .map_err(|_| Error::new(Kind::Internal, "the state of a rotation cannot be written as JSON"))?;
        text.push(b'\n');
        file::replace(&self.path(project), &text, Readers::Owner)
    }

    /// Notes that REDCap was seen to refuse the old token, if nobody has noted it and nobody is at the rotation now.
    ///
    /// # Errors
    /// As [`Rotations::lock`] and [`Rotations::put`].
    pub(crate) fn refused(&self, project: &Project, now: String) -> Result<()> {
        let _lock = self.lock(project)?;
        match self.find(project)? {
            Some(begun) if begun.refused.is_none() => self.put(project, &Begun { refused: Some(now), ..begun }),
            _ => Ok(()),
        }
    }

    /// Forgets a project's.
    ///
    /// # Errors
    /// `file`.
    pub(crate) fn end(&self, project: &Project) -> Result<()> {
        let path = self.path(project);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(file::fault(&path, "cannot be removed", &error))
            }
            _ => Ok(()),
        }
    }

    /// One process at a time goes through a project's rotation. Held until it is dropped; a process that dies lets go.
    ///
    /// # Errors
    /// `rotation`: another process has it. `file`.
    pub(crate) fn lock(&self, project: &Project) -> Result<SideLock> {
        file::make_private_folder(&self.0)?;
        let path = self.path(project).with_extension("lock");
        SideLock::take_if_free(&path)?.ok_or_else(|| {
            let name = project.short_name.as_str();
            Error::new(Kind::Rotation, format!("another process is rotating the token of `{name}`"))
                .hint("let that one finish; if it hangs, end it and call again: nothing is lost")
                .field("state", "elsewhere")
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn project(short_name: &str, uri: &str) -> Project {
        Project::from_value(&Value::list([
            ("short_name", short_name.into()),
            ("redcap_uri", uri.into()),
            ("token_name", "REDCapSync_A".into()),
        ]))
        .unwrap()
    }

    fn dirs(folder: &std::path::Path) -> Dirs {
        let at = |name: &str| folder.join(name);
        Dirs { config: at("config"), data: at("data"), session: at("session"), site: at("site") }
    }

    #[test]
    fn how_far_a_rotation_is_stands_in_a_file_of_the_users_alone_and_is_about_one_project() {
        let folder = tempfile::tempdir().unwrap();
        let rotations = Rotations::new(&dirs(folder.path()), false);
        let here = project("A", "https://redcap.example.org/api/");
        assert_eq!(rotations.find(&here).unwrap(), None);
        let mut begun = Begun::of(&here, "keyring", "kc1:0123456789abcdef".into(), "2026-11-22T10:00:00.0Z".into());
        for step in [Step::Begun, Step::Waiting, Step::Checking, Step::Confirming, Step::Storing, Step::Searching] {
            begun.step = step;
            rotations.put(&here, &begun).unwrap();
            assert_eq!(rotations.find(&here).unwrap().unwrap(), begun, "{}", step.as_str());
        }
        let path = folder.path().join("data/rotation/A.json");
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        }
        assert!(std::fs::read_to_string(&path).unwrap().contains("\"step\": \"searching\""));
        // The session's own are elsewhere, and so is what another server's project has.
        assert_eq!(Rotations::new(&dirs(folder.path()), true).find(&here).unwrap(), None);
        assert_eq!(rotations.find(&project("A", "https://other.example.org/api/")).unwrap(), None);
        assert!(begun.waits("kc1:0123456789abcdef").unwrap().contains("waiting for the new token"));
        assert_eq!(begun.waits("kc1:1111111111111111"), None);
        rotations.end(&here).unwrap();
        rotations.end(&here).unwrap();
        assert_eq!(rotations.find(&here).unwrap(), None);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_repeats_nothing_and_one_process_goes_through_it_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let rotations = Rotations::new(&dirs(folder.path()), false);
        let here = project("A", "https://redcap.example.org/api/");
        let held = rotations.lock(&here).unwrap();
        let other = rotations.lock(&here).map(|_| ()).unwrap_err();
        assert!(other.kind == Kind::Rotation && other.message.contains("another process"), "{other:?}");
        drop(held);
        rotations.lock(&here).unwrap();
        std::fs::write(folder.path().join("data/rotation/A.json"), "{\"keycap_rotation\": 1, \"x\": \"secret words\"}")
            .unwrap();
        let error = rotations.find(&here).unwrap_err();
        assert!(error.kind == Kind::Damaged && !format!("{error:?}").contains("secret words"), "{error:?}");
    }
}
