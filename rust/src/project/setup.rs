//! Setting a project up and deleting it.

use std::path::Path;

use super::registry::{Kept, Project, Registries, read_project_file, write_project_file};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::file;
use crate::net::Origin;
use crate::spelling::nearest;
use crate::token::{ShortName, TokenName};

/// What the user asks for.
pub(crate) struct Wish {
    pub(crate) project: Project,
    pub(crate) overwrite: bool,
    /// The sandboxes that this session started and that still run.
    pub(crate) sandboxes: Vec<Origin>,
}

/// What was done.
pub(crate) struct SetUp {
    pub(crate) project: Project,
    pub(crate) kept: Kept,
}

/// Writes a project into its folder and into the registry, under the registry's lock. The registry comes last:
/// it is the authority. A project without a folder, or of a sandbox, lives in this session only.
///
/// `begin` is asked under the lock, before anything is changed; where it fails, nothing is.
pub(crate) fn set_up_unless(ctx: &Ctx, wish: Wish, begin: &dyn Fn() -> Result<()>) -> Result<SetUp> {
    let Wish { mut project, overwrite, sandboxes } = wish;
    let of_sandbox = |project: &Project| sandboxes.contains(project.redcap_uri.origin());
    let sandbox = of_sandbox(&project);
    let registries = Registries::new(&ctx.dirs);
    let kept = if sandbox || project.dir_path.is_none() { Kept::Session } else { Kept::User };
    project.sandbox = sandbox;
    let mut news = Vec::new();
    registries.change(kept, |projects| {
        // Under the lock: two processes at once must not bind one name to two origins.
        refuse_second_origin(&registries, &project, kept, overwrite, &of_sandbox)?;
        let known = projects.iter().position(|other| other.short_name == project.short_name);
        if let Some(at) = known {
            let other = &projects[at];
            if other.redcap_uri == project.redcap_uri && other.token_name == project.token_name {
                project.project_id.clone_from(&other.project_id);
            } else if other.redcap_uri != project.redcap_uri && !overwrite && !(sandbox && of_sandbox(other)) {
                return Err(set_up_elsewhere(&project, other));
            }
            news = changes(other, &project);
        }
        begin()?;
        if let Some(path) = project.file() {
            write_into_folder(ctx, &project, &path, overwrite, sandbox)?;
        }
        match known {
            Some(at) => projects[at] = project.clone(),
            None => projects.push(project.clone()),
        }
        Ok(())
    })?;
    for line in news {
        ctx.log.note(line);
    }
    tell_twin(ctx, &registries, &project, kept, overwrite)?;
    Ok(SetUp { project, kept })
}

/// As [`set_up_unless`], where nobody cancels.
#[cfg(test)]
pub(crate) fn set_up(ctx: &Ctx, wish: Wish) -> Result<SetUp> {
    set_up_unless(ctx, wish, &|| Ok(()))
}

/// What setting a project up again changes, one sentence each.
fn changes(before: &Project, now: &Project) -> Vec<String> {
    let mut news = Vec::new();
    if before.redcap_uri != now.redcap_uri {
        let (before, now) = (before.redcap_uri.shown(), now.redcap_uri.shown());
        news.push(format!("`redcap_uri` was `{before}` and is `{now}` now"));
    }
    let mut compare = |what: &str, before: Option<&str>, now: Option<&str>| {
        let shown = |value: Option<&str>| value.map_or_else(|| "none".to_owned(), |value| format!("`{value}`"));
        if before != now {
            news.push(format!("`{what}` was {} and is {} now", shown(before), shown(now)));
        }
    };
    compare("token_name", Some(before.token_name.as_str()), Some(now.token_name.as_str()));
    compare("dir_path", before.dir_path.as_deref(), now.dir_path.as_deref());
    compare("redcap_user", before.redcap_user.as_deref(), now.redcap_user.as_deref());
    compare("dag", before.dag.as_deref(), now.dag.as_deref());
    if before.dir_path != now.dir_path
        && let Some(left) = before.file().filter(|file| file.exists())
    {
        news.push(format!("`{}` was left where it is", left.display()));
    }
    news
}

/// A project of the same short name in the other layer: the session's stands before the user's.
fn tell_twin(ctx: &Ctx, registries: &Registries, project: &Project, kept: Kept, overwrite: bool) -> Result<()> {
    let name = project.short_name.as_str();
    let same = |other: &Project| other.short_name == project.short_name;
    match kept {
        Kept::Session if registries.read(Kept::User)?.iter().any(same) => {
            ctx.log.note(format!("in this session it stands before the `{name}` that you keep; that one is untouched"));
        }
        Kept::User if registries.read(Kept::Session)?.iter().any(same) => {
            if overwrite {
                registries.change(Kept::Session, |projects| {
                    projects.retain(|other| !same(other));
                    Ok(())
                })?;
            } else {
                ctx.log.note(format!(
                    "a `{name}` of this session only still stands before it; `delete_project(\"{name}\")` ends that"
                ));
            }
        }
        _ => {}
    }
    Ok(())
}

fn set_up_elsewhere(project: &Project, other: &Project) -> Error {
    let name = project.short_name.as_str();
    let there = &other.redcap_uri;
    Error::new(Kind::Project, format!("`{name}` is already set up with another address, `{}`", there.shown()))
        .hint(format!(
            "choose another `short_name`, or say so if the project has moved to the new address: `{}`",
            overwriting(project, other.dir_path.as_deref())
        ))
        .field("short_name", name)
        .field("redcap_uri", there.as_str())
}

/// The call that sets a project up at its new address. With its folder: without, it would be this session's only.
fn overwriting(project: &Project, folder: Option<&str>) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let folder = project.dir_path.as_deref().or(folder);
    let folder = folder.map(|folder| format!(", dir_path = {}", quoted(folder))).unwrap_or_default();
    let (name, uri) = (project.short_name.as_str(), quoted(project.redcap_uri.as_str()));
    format!("setup_project(\"{name}\"{folder}, redcap_uri = {uri}, overwrite = TRUE)")
}

/// A name is bound to one origin: a second project may have it, as token name or as short name, only at the same origin.
/// Stores are asked under the short name too, so one project's short name must not be the other's token name either.
///
/// The sample tokens of a sandbox are an exception: at a sandbox their names stand for constants, and a user's own
/// token of the same name never gets there (see `store::look_up`), so neither gets into the other's way. From one
/// sandbox to another, a project and its token may move.
fn refuse_second_origin(
    registries: &Registries,
    project: &Project,
    kept: Kept,
    overwrite: bool,
    of_sandbox: &impl Fn(&Project) -> bool,
) -> Result<()> {
    let is_sample = |project: &Project| of_sandbox(project) && crate::store::is_sample(&project.token_name);
    if is_sample(project) {
        return Ok(());
    }
    for (layer, other) in registries.read_both()? {
        // What is kept outranks what is this session's only, if the user says so.
        let outranked = layer == kept || kept == Kept::User;
        let same_name = outranked && other.short_name == project.short_name;
        let Some(name) = project.shared_name(&other) else { continue };
        if other.redcap_uri.origin() == project.redcap_uri.origin() {
            continue;
        }
        if (same_name && overwrite) || is_sample(&other) || (of_sandbox(project) && of_sandbox(&other)) {
            continue;
        }
        if same_name {
            return Err(set_up_elsewhere(project, &other));
        }
        let owner = other.short_name.as_str();
        let own = if name == project.token_name.as_str() { "token_name" } else { "short_name" };
        return Err(Error::new(
            Kind::Origin,
            format!("`{name}` is bound to `{}` by project `{owner}`", other.redcap_uri.origin()),
        )
        .hint(format!("give this project a `{own}` of its own, or `delete_project(\"{owner}\")` first"))
        .field(own, name)
        .field("origin", other.redcap_uri.origin().to_string()));
    }
    Ok(())
}

fn write_into_folder(ctx: &Ctx, project: &Project, path: &Path, overwrite: bool, sandbox: bool) -> Result<()> {
    if let Some(there) = read_project_file(path)? {
        // What an earlier session's sandbox left behind is of no value to anybody.
        let left_by_sandbox = sandbox && there.redcap_uri.is_loopback();
        if there.redcap_uri != project.redcap_uri && !overwrite && !left_by_sandbox {
            return Err(Error::new(
                Kind::Project,
                format!("`{}` names another address, `{}`", path.display(), there.redcap_uri.shown()),
            )
            .hint(format!(
                "choose another folder or `short_name`, or say so if the project has moved: `{}`",
                overwriting(project, None)
            )));
        }
    } else if let Some(folder) = path.parent()
        && !folder.exists()
    {
        std::fs::create_dir_all(folder).map_err(|e| file::fault(folder, "cannot be made", &e))?;
        ctx.log.note(format!("made the folder `{}`", folder.display()));
    }
    write_project_file(path, project)
}

/// What was deleted.
pub(crate) struct Deleted {
    /// In which layer it was kept.
    pub(crate) kept: Kept,
    pub(crate) token_name: TokenName,
    pub(crate) removed: Vec<String>,
    /// Whether it was this session's only, and the user keeps another of that name, which counts again now.
    pub(crate) twin: bool,
    /// A file in the project's folder that was left, and why.
    pub(crate) left: Option<String>,
}

/// Removes a project's registry entry and keycap's own file in its folder; never data, never a token. `begin` is
/// asked as in [`set_up_unless`].
pub(crate) fn delete(ctx: &Ctx, short_name: &ShortName, begin: &dyn Fn() -> Result<()>) -> Result<Deleted> {
    let registries = Registries::new(&ctx.dirs);
    let Some((kept, _)) = registries.find(short_name)? else { return Err(unknown(short_name, &registries)) };
    let twin =
        kept == Kept::Session && registries.read(Kept::User)?.iter().any(|project| project.short_name == *short_name);
    registries.change(kept, |projects| {
        let Some(at) = projects.iter().position(|project| project.short_name == *short_name) else {
            return Err(unknown(short_name, &registries));
        };
        begin()?;
        let project = projects.remove(at);
        let mut deleted =
            Deleted { kept, token_name: project.token_name.clone(), removed: Vec::new(), left: None, twin };
        if let Some(path) = project.file() {
            match read_project_file(&path) {
                Ok(Some(there)) if there.short_name == *short_name => {
                    std::fs::remove_file(&path).map_err(|e| file::fault(&path, "cannot be removed", &e))?;
                    deleted.removed.push(path.display().to_string());
                }
                Ok(None) => {}
                Ok(Some(_)) => deleted.left = Some(format!("`{}` is another project's", path.display())),
                Err(e) => deleted.left = Some(e.message),
            }
        }
        Ok(deleted)
    })
}

/// The error for a short name that nobody set up. One that is, and is spelled nearly like it, is named.
pub(crate) fn unknown(short_name: &ShortName, registries: &Registries) -> Error {
    let name = short_name.as_str();
    let known: Vec<Project> = registries
        .read_both()
        .map_or_else(|_| Vec::new(), |both| both.into_iter().map(|(_, project)| project).collect());
    let mut error = Error::new(Kind::Project, format!("no project `{name}` is set up for this user"));
    if let Some(near) = nearest(name, known.iter().map(|project| project.short_name.as_str())) {
        error = error.hint(format!("did you mean `{near}`?")).field("nearest", near);
    }
    error.hint("`get_projects()` lists those that are; `setup_project()` sets one up").field("short_name", name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ctx::{Dirs, Events, SystemClock, SystemRandom};
    use crate::net::{Net, ServerUrl};
    use crate::project::Settings;
    use crate::store::Environment;
    use crate::value::Value;

    const SANDBOX: &str = "http://127.0.0.1:4001/redcap/api/";
    const NEXT_SANDBOX: &str = "http://127.0.0.1:4002/redcap/api/";
    const LOOPBACK: &str = "http://127.0.0.1:4003/redcap/api/";
    const REAL: &str = "https://redcap.example.org/api/";

    struct World {
        folder: tempfile::TempDir,
        ctx: Ctx,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            let ctx = Ctx {
                clock: Arc::new(SystemClock::new()),
                random: Arc::new(SystemRandom),
                dirs: Dirs { config: at("config"), data: at("data"), session: at("session"), site: at("site.toml") },
                settings: Settings::default(),
                env: Environment::empty(),
                log: Events::none(),
                net: Net::new(),
                shared: crate::ctx::Shared::default(),
            };
            Self { folder, ctx }
        }

        /// Sets a project up in a folder named after it, while the sandboxes run.
        fn try_set_up(&self, short_name: &str, uri: &str, token_name: &str, sandboxes: &[&str]) -> Result<SetUp> {
            let dir = self.folder.path().join(short_name).display().to_string();
            let project = Project::from_value(&Value::list([
                ("short_name", short_name.into()),
                ("dir_path", dir.into()),
                ("redcap_uri", uri.into()),
                ("token_name", token_name.into()),
            ]))
            .unwrap();
            let origin = |uri: &&str| ServerUrl::parse(uri).unwrap().origin().clone();
            let sandboxes = sandboxes.iter().map(origin).collect();
            set_up(&self.ctx, Wish { project, overwrite: false, sandboxes })
        }

        fn kind(&self, short_name: &str, uri: &str, token_name: &str, sandboxes: &[&str]) -> Option<Kind> {
            self.try_set_up(short_name, uri, token_name, sandboxes).err().map(|error| error.kind)
        }
    }

    #[test]
    fn the_nearest_name_is_told_and_a_far_one_is_not() {
        let world = World::new();
        assert_eq!(world.kind("HEART", REAL, "MINE", &[]), None);
        let error = unknown(&ShortName::new("Herat").unwrap(), &Registries::new(&world.ctx.dirs));
        assert_eq!(error.hints[0], "did you mean `HEART`?");
        assert!(
            !unknown(&ShortName::new("LUNG").unwrap(), &Registries::new(&world.ctx.dirs)).hints[0].contains("mean")
        );
    }

    #[test]
    fn the_call_for_a_project_that_has_moved_keeps_its_folder() {
        let world = World::new();
        assert_eq!(world.kind("A", REAL, "MINE", &[]), None);
        let dir = world.folder.path().join("A").display().to_string();
        let call =
            format!("`setup_project(\"A\", dir_path = \"{dir}\", redcap_uri = \"{LOOPBACK}\", overwrite = TRUE)`");
        // As it was set up, and for the session alone.
        let error = world.try_set_up("A", LOOPBACK, "MINE", &[]).err().unwrap();
        assert!(error.kind == Kind::Project && error.hints[0].ends_with(&call), "{error:?}");
        let texts = [("short_name", "A"), ("redcap_uri", LOOPBACK), ("token_name", "MINE")];
        let project = Project::from_value(&Value::list(texts.map(|(name, text)| (name, text.into())))).unwrap();
        let odd = Project { dir_path: Some("C:\\a \"b\"".to_owned()), ..project.clone() };
        assert!(overwriting(&odd, None).contains(r#"dir_path = "C:\\a \"b\"","#), "{}", overwriting(&odd, None));
        assert_eq!(overwriting(&project, Some(&dir)), call.trim_matches('`'));
        assert!(!overwriting(&project, None).contains("dir_path"));
    }

    #[test]
    fn what_is_cancelled_before_it_begins_changes_nothing() {
        let world = World::new();
        let cancelled = || Err(Error::new(Kind::Interrupted, "the operation was cancelled"));
        let dir = world.folder.path().join("A");
        let project = Project::from_value(&Value::list([
            ("short_name", "A".into()),
            ("dir_path", dir.display().to_string().into()),
            ("redcap_uri", REAL.into()),
            ("token_name", "MINE".into()),
        ]))
        .unwrap();
        let wish = Wish { project, overwrite: false, sandboxes: Vec::new() };
        assert_eq!(set_up_unless(&world.ctx, wish, &cancelled).err().map(|error| error.kind), Some(Kind::Interrupted));
        let registries = Registries::new(&world.ctx.dirs);
        assert!(!dir.exists() && registries.read_both().unwrap().is_empty());
        assert_eq!(world.kind("A", REAL, "MINE", &[]), None);
        let name = ShortName::new("A").unwrap();
        assert_eq!(delete(&world.ctx, &name, &cancelled).err().map(|error| error.kind), Some(Kind::Interrupted));
        assert!(dir.join("keycap_A.json").exists() && registries.find(&name).unwrap().is_some());
    }

    #[test]
    fn a_token_name_is_bound_to_one_origin() {
        let world = World::new();
        assert_eq!(world.kind("A", REAL, "MINE", &[]), None);
        assert_eq!(world.kind("B", REAL, "MINE", &[]), None);
        assert_eq!(world.kind("C", LOOPBACK, "MINE", &[]), Some(Kind::Origin));
        assert_eq!(world.kind("C", SANDBOX, "MINE", &[SANDBOX]), Some(Kind::Origin));
        assert_eq!(world.kind("A", LOOPBACK, "MINE", &[]), Some(Kind::Project));
    }

    #[test]
    fn token_names_and_short_names_are_one_kind_and_each_is_bound_to_one_origin_in_any_letter_case() {
        let refused = [
            // The short name is the token name of one at another origin, and the other way round.
            ("REDCapSync_B", "OTHER"),
            ("OTHER", "B"),
            ("B", "OTHER"),
            ("OTHER", "redcapsync_b"),
            ("redcapSYNC_b", "OTHER"),
            ("b", "OTHER"),
            ("OTHER", "b"),
        ];
        for (short_name, token_name) in refused {
            let world = World::new();
            assert_eq!(world.kind("B", REAL, "REDCapSync_B", &[]), None);
            let expected = if short_name == "B" { Kind::Project } else { Kind::Origin };
            assert_eq!(world.kind(short_name, LOOPBACK, token_name, &[]), Some(expected), "{short_name} {token_name}");
            let of_sandbox = world.kind(short_name, SANDBOX, token_name, &[SANDBOX]);
            // It would be in the session's registry, where no `B` stands yet.
            assert_eq!(of_sandbox, Some(Kind::Origin), "{short_name} {token_name} in a sandbox");
            assert_eq!(world.kind("OTHER", LOOPBACK, "OTHER_TOKEN", &[]), None);
            // At the same origin both may have it.
            if short_name != "OTHER" {
                assert_eq!(world.kind(short_name, REAL, token_name, &[]), Some(Kind::Origin), "`OTHER` is taken");
                assert_eq!(world.kind(short_name, REAL, "REDCapSync_B", &[]), None);
            }
        }
        // Of two layers: what is kept, and what is this session's.
        for kept_first in [true, false] {
            let world = World::new();
            let in_session = || {
                let texts = [("short_name", "T"), ("redcap_uri", LOOPBACK), ("token_name", "OTHER")];
                let project = Project::from_value(&Value::list(texts.map(|(name, text)| (name, text.into())))).unwrap();
                let wish = Wish { project, overwrite: false, sandboxes: Vec::new() };
                set_up(&world.ctx, wish).err().map(|error| error.kind)
            };
            if kept_first {
                assert_eq!(world.kind("T", REAL, "MINE", &[]), None);
                assert_eq!(in_session(), Some(Kind::Origin));
            } else {
                assert_eq!(in_session(), None);
                assert_eq!(world.kind("T", REAL, "MINE", &[]), Some(Kind::Project));
            }
        }
    }

    #[test]
    fn a_sample_of_a_sandbox_and_a_real_project_of_the_same_name_are_not_in_each_others_way() {
        let (sandbox_first, real_first) = (World::new(), World::new());
        for (world, uris) in [(&sandbox_first, [SANDBOX, REAL]), (&real_first, [REAL, SANDBOX])] {
            for uri in uris {
                assert_eq!(world.kind("TEST", uri, "REDCapSync_TEST", &[SANDBOX]), None, "{uri}");
                // The project's file would name the other address; that is another matter.
                std::fs::remove_dir_all(world.folder.path().join("TEST")).unwrap();
            }
        }
        // A loopback address alone is no sandbox of this session.
        assert_eq!(World::new().kind("TEST", LOOPBACK, "REDCapSync_TEST", &[SANDBOX]), None);
        assert_eq!(real_first.kind("OTHER", LOOPBACK, "REDCapSync_TEST", &[SANDBOX]), Some(Kind::Origin));
    }

    #[test]
    fn a_project_moves_from_sandbox_to_sandbox_and_is_forgotten_with_its_sandbox() {
        let world = World::new();
        for token_name in ["REDCapSync_TEST", "OWN"] {
            assert_eq!(world.kind("TEST", SANDBOX, token_name, &[SANDBOX, NEXT_SANDBOX]), None);
            assert_eq!(world.kind("TEST", NEXT_SANDBOX, token_name, &[SANDBOX, NEXT_SANDBOX]), None);
            // The session does not know the first sandbox any more, but its project.
            assert_eq!(world.kind("TEST", SANDBOX, token_name, &[SANDBOX]), Some(Kind::Project));
            let registries = Registries::new(&world.ctx.dirs);
            registries.forget_session(ServerUrl::parse(NEXT_SANDBOX).unwrap().origin()).unwrap();
            assert!(registries.read_both().unwrap().is_empty());
            assert_eq!(world.kind("TEST", SANDBOX, token_name, &[SANDBOX]), None);
            registries.forget_session(ServerUrl::parse(SANDBOX).unwrap().origin()).unwrap();
        }
        assert!(!world.ctx.dirs.config.exists());
    }
}
