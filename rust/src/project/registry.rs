//! The registry: which projects this user set up, and to which origin each token name is bound.
//!
//! Two layers of one form: the user's own (`projects.json` in the settings folder) and the session's (in the
//! session's folder: projects without a folder, and those of a sandbox). They are the authority on where a
//! token may go; project files and objects are hints.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ctx::Dirs;
use crate::error::{Error, Kind, Result};
use crate::file::{self, Readers, SideLock, Source};
use crate::net::{Origin, ServerUrl};
use crate::token::{OF_KEYS, ShortName, TokenName, is_of_a_key, looks_like_token};
use crate::value::Value;

/// Project files are called `keycap_<short_name>.json`.
const PROJECT_FILE_PREFIX: &str = "keycap_";
const REGISTRY_FILE: &str = "projects.json";
const VERSION: u32 = 1;
const REGISTRY_CAP: u64 = 1 << 20;
const PROJECT_FILE_CAP: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(10);

/// One REDCap project as set up here. All that it has of a token is its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// By what the user knows it.
    pub short_name: ShortName,
    /// The project's folder; none for a project of this session only.
    pub dir_path: Option<String>,
    /// The address of the server's API.
    pub redcap_uri: ServerUrl,
    /// The name under which the token is looked up.
    pub token_name: TokenName,
    /// The REDCap user whose token it is, as declared at set-up.
    pub redcap_user: Option<String>,
    /// The Data Access Group that the token should be confined to, as declared at set-up.
    pub dag: Option<String>,
    /// REDCap's id of the project, pinned by the first successful test.
    pub project_id: Option<String>,
    /// Whose token it is, as REDCap's answers proved it. Of the registry's entry alone: an object cannot say so.
    pub verified: Option<Verified>,
    /// Whether it was set up at a sandbox of this session: it then counts only while that sandbox runs. Behind the
    /// same port there may be anybody afterwards.
    pub sandbox: bool,
}

/// A REDCap user, and the one token that was proved to be that user's: of another token it says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// The user's name.
    pub redcap_user: String,
    /// The token's fingerprint.
    pub fingerprint: String,
}

/// A project as it stands in files.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    short_name: String,
    dir_path: Option<String>,
    redcap_uri: String,
    token_name: String,
    redcap_user: Option<String>,
    dag: Option<String>,
    project_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verified: Option<Verified>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sandbox: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRegistry {
    keycap_registry: u32,
    projects: Vec<Stored>,
}

#[derive(Serialize, Deserialize)]
struct StoredProjectFile {
    keycap_project: u32,
    project: Stored,
}

impl Project {
    fn stored(&self) -> Stored {
        Stored {
            short_name: self.short_name.as_str().to_owned(),
            dir_path: self.dir_path.clone(),
            redcap_uri: self.redcap_uri.as_str().to_owned(),
            token_name: self.token_name.as_str().to_owned(),
            redcap_user: self.redcap_user.clone(),
            dag: self.dag.clone(),
            project_id: self.project_id.clone(),
            verified: self.verified.clone(),
            sandbox: self.sandbox,
        }
    }

    fn from_stored(stored: Stored) -> Result<Self> {
        for (text, what) in [(&stored.dir_path, "dir_path"), (&stored.redcap_user, "redcap_user"), (&stored.dag, "dag")]
        {
            let last =
                |text: &str| text.rsplit(['/', '\\']).find(|part| !part.is_empty()).is_some_and(looks_like_token);
            if text.as_deref().is_some_and(last) {
                return Err(crate::token::token_in_argument(what));
            }
        }
        for (name, text) in [("short_name", &stored.short_name), ("token_name", &stored.token_name)] {
            // A signing key of the audit log would be listed, replaced or removed as a token.
            if is_of_a_key(text) {
                let message = format!("`{name}` begins as the names of the audit log's signing keys do, `{OF_KEYS}`");
                let error = Error::new(Kind::Argument, message).field("argument", name);
                return Err(error.hint("give the project a name of its own; a signing key is no token"));
            }
        }
        let id_legal = |id: &String| !id.is_empty() && id.len() <= 12 && id.bytes().all(|b| b.is_ascii_digit());
        if stored.project_id.as_ref().is_some_and(|id| !id_legal(id)) {
            return Err(Error::new(Kind::Argument, "`project_id` is not usable: it is a whole number"));
        }
        Ok(Self {
            short_name: ShortName::new(&stored.short_name)?,
            dir_path: stored.dir_path,
            redcap_uri: ServerUrl::parse(&stored.redcap_uri)?,
            token_name: TokenName::new(&stored.token_name)?,
            redcap_user: stored.redcap_user,
            dag: stored.dag,
            project_id: stored.project_id,
            verified: stored.verified,
            sandbox: stored.sandbox,
        })
    }

    /// Reads a project as the host hands it over: a hint, checked for form only.
    ///
    /// # Errors
    /// `argument`, `token_in_argument`.
    pub fn from_value(value: &Value) -> Result<Self> {
        let optional = |name: &str| match value.get(name) {
            None | Some(Value::Nothing) => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Error::new(Kind::Argument, format!("`project${name}` is not one text"))
                .hint("set the project up again with `setup_project()`, or load it with `load_project()`")),
        };
        let needed = |name: &str| {
            optional(name)?.ok_or_else(|| {
                Error::new(Kind::Argument, format!("`project` is not a keycap project: it has no `{name}`"))
                    .hint("set it up with `setup_project()`, or load it with `load_project()`")
            })
        };
        Self::from_stored(Stored {
            short_name: needed("short_name")?,
            dir_path: optional("dir_path")?,
            redcap_uri: needed("redcap_uri")?,
            token_name: needed("token_name")?,
            redcap_user: optional("redcap_user")?,
            dag: optional("dag")?,
            project_id: optional("project_id")?,
            verified: None,
            sandbox: false,
        })
    }

    /// As the host gets it.
    pub fn to_value(&self) -> Value {
        Value::list([
            ("short_name", self.short_name.as_str().into()),
            ("dir_path", self.dir_path.clone().into()),
            ("redcap_uri", self.redcap_uri.as_str().into()),
            ("token_name", self.token_name.as_str().into()),
            ("redcap_user", self.redcap_user.clone().into()),
            ("dag", self.dag.clone().into()),
            ("project_id", self.project_id.clone().into()),
        ])
    }

    /// The first of this project's two names that is one of another's too. A store may be asked under either, so both
    /// are of one kind; and to some (Windows' variables, managers of passwords) letter case says nothing.
    pub(crate) fn shared_name(&self, other: &Self) -> Option<&str> {
        [self.token_name.as_str(), self.short_name.as_str()].into_iter().find(|name| other.is_called(name))
    }

    fn is_called(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.token_name.as_str()) || name.eq_ignore_ascii_case(self.short_name.as_str())
    }

    /// The name of its file in its folder.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let name = format!("{PROJECT_FILE_PREFIX}{}.json", self.short_name.as_str());
        self.dir_path.as_ref().map(|dir| Path::new(dir).join(name))
    }
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::new(Kind::Damaged, format!("`{}` is damaged ({why}); keycap left it as it is", path.display()))
        .hint("repair the file by hand, or move it away and set the projects up again")
        .field("path", path.display().to_string())
}

fn read_text(path: &Path, cap: u64, source: Source) -> Result<Option<String>> {
    let bytes = file::read_small(path, cap, source).map_err(|unfit| unfit.at(path, "cannot be read"))?;
    bytes.map(|bytes| String::from_utf8(bytes).map_err(|_| damaged(path, "it is not UTF-8"))).transpose()
}

/// What is wrong with a JSON text, by place and never by content: a file may hold anything.
fn json_fault(e: &serde_json::Error) -> String {
    let what = match e.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "it has not the form that keycap writes",
        _ => "it is not JSON",
    };
    format!("{what}, line {}", e.line())
}

pub(crate) fn parse_registry(text: &str, path: &Path) -> Result<Vec<Project>> {
    let stored: StoredRegistry = serde_json::from_str(text).map_err(|e| damaged(path, &json_fault(&e)))?;
    if stored.keycap_registry != VERSION {
        return Err(damaged(path, "it was written by a newer keycap"));
    }
    let unusable = |e: Error| damaged(path, &e.message);
    stored.projects.into_iter().map(|stored| Project::from_stored(stored).map_err(unusable)).collect()
}

/// Reads the project file in a project's folder; `None` where there is none.
pub(super) fn read_project_file(path: &Path) -> Result<Option<Project>> {
    let text = read_text(path, PROJECT_FILE_CAP, Source::Shared)?;
    text.map(|text| parse_project_file(&text, path)).transpose()
}

pub(crate) fn parse_project_file(text: &str, path: &Path) -> Result<Project> {
    let stored: StoredProjectFile = serde_json::from_str(text).map_err(|e| damaged(path, &json_fault(&e)))?;
    if stored.keycap_project != VERSION {
        return Err(damaged(path, "it was written by a newer keycap"));
    }
    let project = Stored { verified: None, ..stored.project };
    Project::from_stored(project).map_err(|e| damaged(path, &e.message))
}

pub(super) fn write_project_file(path: &Path, project: &Project) -> Result<()> {
    let project = Stored { verified: None, ..project.stored() };
    write_json(path, &StoredProjectFile { keycap_project: VERSION, project }, Readers::AsUsual)
}

fn write_json(path: &Path, content: &impl Serialize, readers: Readers) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(content)
        .map_err(|_| Error::new(Kind::Internal, format!("`{}` cannot be written as JSON", path.display())))?;
    text.push(b'\n');
    file::replace(path, &text, readers)
}

/// In which layer a project is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The user's own registry.
    User,
    /// This session's.
    Session,
}

impl Kept {
    /// `user` or `session`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Session => "session",
        }
    }
}

/// What the registries say of a project object.
pub(crate) enum Bound {
    /// It stands for this entry.
    Here(Box<Project>),
    /// It stands for none; these are the entries with its token name.
    Elsewhere(Vec<Project>),
}

/// Both layers.
pub(crate) struct Registries {
    user: PathBuf,
    session: PathBuf,
}

impl Registries {
    pub(crate) fn new(dirs: &Dirs) -> Self {
        Self { user: dirs.config.join(REGISTRY_FILE), session: dirs.session.join(REGISTRY_FILE) }
    }

    fn path(&self, kept: Kept) -> &Path {
        match kept {
            Kept::User => &self.user,
            Kept::Session => &self.session,
        }
    }

    /// The projects of one layer.
    pub(crate) fn read(&self, kept: Kept) -> Result<Vec<Project>> {
        let path = self.path(kept);
        let text = read_text(path, REGISTRY_CAP, Source::User)?;
        text.map_or_else(|| Ok(Vec::new()), |text| parse_registry(&text, path))
    }

    /// The projects of both layers, the session's first.
    pub(crate) fn read_both(&self) -> Result<Vec<(Kept, Project)>> {
        let mut both = Vec::new();
        for kept in [Kept::Session, Kept::User] {
            both.extend(self.read(kept)?.into_iter().map(|project| (kept, project)));
        }
        Ok(both)
    }

    /// Changes one layer under its lock: read, change, replace whole. Nothing is written when `change` fails.
    pub(crate) fn change<T>(&self, kept: Kept, change: impl FnOnce(&mut Vec<Project>) -> Result<T>) -> Result<T> {
        let path = self.path(kept);
        if let Some(folder) = path.parent() {
            file::make_private_folder(folder)?;
        }
        let _lock = SideLock::take(&path.with_extension("json.lock"), false, PATIENCE)?;
        let mut projects = self.read(kept)?;
        let answer = change(&mut projects)?;
        let stored =
            StoredRegistry { keycap_registry: VERSION, projects: projects.iter().map(Project::stored).collect() };
        write_json(path, &stored, Readers::Owner)?;
        Ok(answer)
    }

    /// Finds a project by its short name: the session's first, then the user's.
    pub(crate) fn find(&self, short_name: &ShortName) -> Result<Option<(Kept, Project)>> {
        Ok(self.read_both()?.into_iter().find(|(_, project)| project.short_name == *short_name))
    }

    /// The one entry that a project object stands for: same short name, same token name, same origin. The entry is
    /// what counts from then on, and never the object. `sandbox`: its origin is that of a sandbox that runs.
    pub(crate) fn bound(&self, hint: &Project, sandbox: bool) -> Result<Bound> {
        let named = self.read_both()?.into_iter().map(|(_, entry)| entry);
        let named: Vec<Project> =
            named.filter(|entry| entry.token_name.as_str().eq_ignore_ascii_case(hint.token_name.as_str())).collect();
        let here = |entry: &&Project| {
            entry.token_name == hint.token_name
                && entry.redcap_uri.origin() == hint.redcap_uri.origin()
                && entry.short_name == hint.short_name
                && (!entry.sandbox || sandbox)
        };
        Ok(match named.iter().find(here) {
            Some(entry) => Bound::Here(Box::new(entry.clone())),
            None => Bound::Elsewhere(named),
        })
    }

    /// An entry at another origin than a project's that is called by a name: what a store has under it may be the
    /// other's token. The sandbox's own tokens are in no store.
    pub(crate) fn rival(&self, project: &Project, name: &str) -> Result<Option<Project>> {
        let is_sample = |entry: &Project| entry.sandbox && crate::store::is_sample(&entry.token_name);
        if is_sample(project) {
            return Ok(None);
        }
        let others = self.read_both()?.into_iter().map(|(_, entry)| entry);
        let mut others = others.filter(|entry| entry.redcap_uri.origin() != project.redcap_uri.origin());
        Ok(others.find(|entry| entry.is_called(name) && !is_sample(entry)))
    }

    /// Forgets this session's projects at an origin: that of a sandbox that has ended. Answers the names of their tokens.
    pub(crate) fn forget_session(&self, origin: &Origin) -> Result<Vec<TokenName>> {
        let there = |project: &Project| project.redcap_uri.origin() == origin;
        if !self.read(Kept::Session)?.iter().any(there) {
            return Ok(Vec::new());
        }
        self.change(Kept::Session, |projects| {
            let (gone, left) = std::mem::take(projects).into_iter().partition(there);
            *projects = left;
            let gone: Vec<Project> = gone;
            Ok(gone.into_iter().map(|project| project.token_name).collect())
        })
    }

    /// Keeps whose token it was proved to be, or that nothing is proved any more, wherever this project is kept with this
    /// token name and address.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn keep_verified(&self, project: &Project, verified: Option<&Verified>) -> Result<()> {
        for kept in [Kept::Session, Kept::User] {
            let same = |other: &Project| {
                other.short_name == project.short_name
                    && other.token_name == project.token_name
                    && other.redcap_uri == project.redcap_uri
            };
            if !self.read(kept)?.iter().any(|other| same(other) && other.verified.as_ref() != verified) {
                continue;
            }
            return self.change(kept, |projects| {
                projects.iter_mut().filter(|entry| same(entry)).for_each(|entry| entry.verified = verified.cloned());
                Ok(())
            });
        }
        Ok(())
    }

    /// Pins REDCap's project id, wherever this project is kept with this token name and address. Answers the
    /// id that is pinned now.
    pub(crate) fn pin(&self, project: &Project, id: &str) -> Result<String> {
        for kept in [Kept::Session, Kept::User] {
            let same = |other: &Project| {
                other.short_name == project.short_name
                    && other.token_name == project.token_name
                    && other.redcap_uri == project.redcap_uri
            };
            let Some(known) = self.read(kept)?.into_iter().find(same) else { continue };
            if let Some(pinned) = known.project_id {
                return Ok(pinned);
            }
            return self.change(kept, |projects| {
                let Some(entry) = projects.iter_mut().find(|entry| same(entry)) else { return Ok(id.to_owned()) };
                let pinned = entry.project_id.get_or_insert_with(|| id.to_owned()).clone();
                if let Some(path) = entry.file()
                    && let Ok(Some(mut in_folder)) = read_project_file(&path)
                    && in_folder.redcap_uri == entry.redcap_uri
                {
                    in_folder.project_id = Some(pinned.clone());
                    // The file is a hint for people; that a shared folder is read-only now does no harm.
                    let _ = write_project_file(&path, &in_folder);
                }
                Ok(pinned)
            });
        }
        Ok(id.to_owned())
    }
}
