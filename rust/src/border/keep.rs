//! Operations on what the stores keep: moving, removing and listing tokens.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::arguments::{Arguments, Session, wrong};
use super::audited::audited;
use super::entry::{bond_kept, not_set_up, takes_tokens};
use super::tokens::project;
use super::{ctx, ctx_with};
use crate::audit::{Change, History};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::net::io::{self, Task};
use crate::project::{Bound, Project, Registries, Rotations, unknown};
use crate::redcap::{audit_folder, bond_of_target, by_token_name, malformed, wanted};
use crate::store::keep::{self, Held};
use crate::store::step::step;
use crate::store::{self, Environment, Found, Wanted};
use crate::token::{Form, ShortName};
use crate::value::{Column, Table, Value};

/// The store whose variables the host takes away, on its own thread.
const ENV: &str = "env";

/// The store whose program may show what another store has.
const PROGRAM: &str = "command";

/// A store by its name, as an argument gives it.
pub(super) fn store_named(arguments: &Arguments, argument: &str) -> Result<String> {
    let name = arguments.text(argument)?;
    if name != store::SANDBOX {
        store::known(argument, std::slice::from_ref(&name))?;
    }
    Ok(name)
}

/// The project as the registry has it, and what is looked up for it: an object from elsewhere may say that it has another
/// project's token name, whose token would go. The sandbox's own tokens are in the sandbox and in no store; and a user's
/// real token that happens to have such a name is none of the sandbox's.
pub(super) fn entry_for(ctx: &Ctx, project: &Project, sandbox: bool) -> Result<(Project, Wanted)> {
    if sandbox && store::is_sample(&project.token_name) {
        let name = project.token_name.as_str();
        let message = format!("`{name}` is the sandbox's own token, which is in no store");
        return Err(Error::new(Kind::Argument, message)
            .hint("set up a project with a name of your own at the sandbox to try this")
            .field("argument", "project"));
    }
    match Registries::new(&ctx.dirs).bound(project, sandbox)? {
        Bound::Here(entry) => {
            let wanted = wanted(ctx, &entry, sandbox)?;
            Ok((*entry, wanted))
        }
        Bound::Elsewhere(_) => {
            Err(not_set_up(project).hint("set it up yourself with `setup_project()`; nothing was moved or removed"))
        }
    }
}

/// What a token is called before people. The fingerprint of something short could be guessed back.
fn print_of(found: &Found) -> Option<String> {
    (found.form == Form::Project).then(|| found.secret.fingerprint().to_string())
}

/// Whether two stores have one token.
fn same(ctx: &Ctx, one: &Found, other: &Found) -> bool {
    one.secret.is(&other.secret, &ctx.settings.token_form)
}

/// How far a move is, for the one who interrupts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Looking,
    Putting,
    Removing,
    Moved,
}

#[derive(Clone)]
struct Progress(Arc<Mutex<Stage>>);

impl Progress {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Stage::Looking)))
    }

    fn is(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    fn word(&self, from: &str, to: &str) -> String {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Stage::Looking => "interrupted: nothing was moved".to_owned(),
            Stage::Putting => {
                format!("interrupted: the token is in `{from}`, and may be in `{to}` too; the same call finishes")
            }
            Stage::Removing => {
                format!("interrupted: the token is in `{to}`, and may be in `{from}` still; the same call finishes")
            }
            Stage::Moved => format!("interrupted, but the token is moved to `{to}`: that was done before"),
        }
    }
}

/// A token's way from one store to another.
#[derive(Clone)]
struct Way {
    project: Project,
    wanted: Wanted,
    from: String,
    to: String,
    overwrite: bool,
}

/// What a move came to.
#[derive(Debug, PartialEq, Eq)]
struct Moved {
    /// Whether anything was left to do.
    moved: bool,
    fingerprint: String,
}

impl Way {
    fn change(&self, action: &'static str, store: &str, fingerprint: &str) -> Change {
        Change {
            action,
            project: Some(self.project.short_name.as_str().to_owned()),
            token_name: Some(self.wanted.token_name.as_str().to_owned()),
            store: Some(store.to_owned()),
            fingerprint: Some(fingerprint.to_owned()),
            ..Change::default()
        }
    }

    /// Written, read back, compared, and only then removed: at no moment is the token nowhere. What was done before is
    /// not done again, so that the same call finishes what broke off.
    async fn go(&self, ctx: &Ctx, progress: &Progress) -> Result<Moved> {
        let Self { project, wanted, from, to, .. } = self;
        self.will_be_asked(ctx)?;
        let source = keep::get(ctx, from, wanted).await?;
        let Held { found: target, origin } = keep::held(ctx, to, wanted).await?;
        let Some(found) = source else { return self.nothing_left(ctx, target.as_ref()).await };
        if found.form != Form::Project {
            return Err(malformed(ctx, project, &found));
        }
        bond_kept(project, &found)?;
        // What stands beside the token in the target would stay there.
        bond_of_target(project, to, origin.as_ref())?;
        let there = target.as_ref().is_some_and(|target| same(ctx, target, &found));
        if let Some(other) = target.as_ref().filter(|_| !there && !self.overwrite) {
            return Err(self.taken(&found, other));
        }
        // Where it is already nothing is put; but what a program only gives may come from the very place that it is to
        // leave, and could not be put back.
        if !there || to == PROGRAM {
            let short_name = project.short_name.as_str();
            let again = |to: &str| format!("move_project_token(\"{short_name}\", \"{from}\", \"{to}\")");
            takes_tokens(ctx, to, wanted, again).await?;
        }
        // What cannot be removed is not doubled.
        keep::removable(ctx, from, wanted).await?;
        self.are_two_places(ctx).await?;
        let print = found.secret.fingerprint().to_string();
        if there {
            ctx.log.note(format!("`{to}` has this token already ({print})"));
        } else {
            let change = Change {
                from: Some(from.clone()),
                replaced: target.as_ref().and_then(print_of),
                ..self.change("move_token", to, &print)
            };
            progress.is(Stage::Putting);
            step("before put");
            audited(ctx, wanted.sandbox, change, keep::put(ctx, to, wanted, &found.secret, &found.form)).await?;
            step("put");
        }
        progress.is(Stage::Removing);
        // Carried through where the operation is cancelled: while a token may be nowhere but here, it is not dropped.
        let (way, its_ctx) = (self.clone(), ctx.clone());
        let carried = tokio::spawn(async move { way.take_out(&its_ctx, &found).await });
        carried.await.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "a removal broke off")))?;
        if from != ENV {
            self.gone(ctx).await?;
        }
        progress.is(Stage::Moved);
        Ok(Moved { moved: true, fingerprint: print })
    }

    /// A token in a store that nobody asks is one that is not found: its project would be without.
    fn will_be_asked(&self, ctx: &Ctx) -> Result<()> {
        let to = self.to.as_str();
        if store::asked_for(ctx, &self.wanted).iter().any(|asked| asked == to) {
            return Ok(());
        }
        let order = ctx.settings.order.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let message = format!(
            "`{to}` is not among the stores that are asked for a token ({order}), so it would not be found there"
        );
        let error = Error::new(Kind::Argument, message).field("argument", "to").field("store", to);
        Err(if ctx.settings.is_locked("stores") {
            error.hint("your institution has locked which stores are asked; give one of these as `to`")
        } else {
            error.hint(format!("{} makes it one of them; then move the token", store::ask_too(ctx, to, None)))
        })
    }

    /// A program may give what another store has: what is removed there would be gone from both, and between that and
    /// putting it back somebody may end R. So that is found out before anything is changed. No two other stores can be
    /// one place.
    async fn are_two_places(&self, ctx: &Ctx) -> Result<()> {
        let Self { wanted, from, to, .. } = self;
        let other = match (from.as_str(), to.as_str()) {
            (other, PROGRAM) | (PROGRAM, other) if other != ENV => other,
            _ => return Ok(()),
        };
        let change =
            Change { detail: Some(format!("whether `{PROGRAM}` shows it")), ..self.change("try_store", other, "") };
        let change = Change { token_name: None, fingerprint: None, ..change };
        let shown = audited(ctx, wanted.sandbox, change, keep::is_shown_by(ctx, other, PROGRAM, wanted)).await;
        let shown = shown.map_err(|error| {
            error.hint(format!(
                "before a token is moved, something that is none is put into `{other}` under another name, to see that \
                 `{PROGRAM}` does not show it; nothing was moved"
            ))
        })?;
        if !shown {
            return Ok(());
        }
        let message = format!(
            "`{from}` and `{to}` are one place under two names: what is put into `{other}` is in `{PROGRAM}`; nothing was \
             moved"
        );
        Err(self.of_store("one_place", message).hint("a token is moved between two places: give another store as `to`"))
    }

    fn of_store(&self, state: &str, message: String) -> Error {
        let error = Error::new(Kind::Store, message).field("state", state).field("store", self.to.as_str());
        error.field("token_name", self.wanted.token_name.as_str())
    }

    /// Removes from the source what the target has, if it is still that, and looks whether the target has it afterwards:
    /// two names may stand for one place.
    async fn take_out(&self, ctx: &Ctx, found: &Found) -> Result<()> {
        let Self { wanted, from, to, .. } = self;
        let now = keep::get(ctx, from, wanted).await?;
        if !now.is_some_and(|now| same(ctx, &now, found)) {
            return Err(Error::new(
                Kind::Store,
                format!(
                    "`{from}` was changed meanwhile, so nothing was removed there; `{to}` has what was there before"
                ),
            )
            .hint("`list_project_tokens()` shows what the stores have now; `test_project_token()` says what works")
            .field("state", "changed")
            .field("store", from.as_str())
            .field("token_name", wanted.token_name.as_str()));
        }
        let change = self.change("remove_token", from, &found.secret.fingerprint().to_string());
        audited(ctx, wanted.sandbox, change, keep::remove(ctx, from, wanted)).await.map_err(|error| {
            error.hint(format!("the token is in `{to}` already; the same call finishes once this is mended"))
        })?;
        step("removed");
        match keep::get(ctx, to, wanted).await {
            Ok(Some(kept)) if same(ctx, &kept, found) => Ok(()),
            Ok(_) => {
                let what = format!(
                    "`{from}` and `{to}` are one place under two names: what was removed from `{from}` was gone from `{to}`"
                );
                Err(self.put_back(ctx, found, what, "one_place").await)
            }
            Err(error) => {
                let what = format!(
                    "whether `{to}` still has the token after its removal from `{from}` cannot be told ({})",
                    error.message
                );
                Err(self.put_back(ctx, found, what, "unknown").await)
            }
        }
    }

    /// Puts the token back where it was, or else where it was to go: it may be nowhere else by now.
    async fn put_back(&self, ctx: &Ctx, found: &Found, what: String, state: &'static str) -> Error {
        let Self { wanted, from, to, .. } = self;
        let print = found.secret.fingerprint().to_string();
        let mut failures = Vec::new();
        let mut back = None;
        for store in [from, to] {
            let change = self.change("set_token", store, &print);
            let put = keep::put(ctx, store, wanted, &found.secret, &found.form);
            match audited(ctx, wanted.sandbox, change, put).await {
                Ok(()) => {
                    back = Some(store);
                    break;
                }
                Err(error) => failures.push(format!("`{store}`: {}", error.message)),
            }
        }
        let error = |message: String| self.of_store(state, message);
        if let Some(store) = back {
            return error(format!("{what}; the token was put back into `{store}`"))
                .hint("a token is moved between two places: give another store as `to`");
        }
        let left = if from == ENV {
            "the variable of this session still has it: move it to another store before R ends"
        } else {
            "copy it from the project's API page in REDCap, and store it with `set_project_token()`"
        };
        error(format!("{what}; the token ({print}) could not be put back ({})", failures.join("; "))).hint(left)
    }

    /// Nothing in the source. Where the target has a token, an earlier call did it all.
    async fn nothing_left(&self, ctx: &Ctx, target: Option<&Found>) -> Result<Moved> {
        let (name, Self { from, to, .. }) = (self.wanted.token_name.as_str(), self);
        keep::is_here(ctx, from, &self.wanted).await?;
        if let Some(print) = target.and_then(print_of) {
            ctx.log.note(format!("`{from}` has nothing under `{name}` any more, and `{to}` has a token ({print})"));
            return Ok(Moved { moved: false, fingerprint: print });
        }
        Err(Error::new(Kind::TokenMissing, format!("`{from}` has nothing under `{name}`, so there is nothing to move"))
            .hint("`list_project_tokens()` shows which store has a token")
            .field("store", from.as_str())
            .field("token_name", name))
    }

    /// The error for another token in the target.
    fn taken(&self, found: &Found, other: &Found) -> Error {
        let (name, Self { from, to, .. }) = (self.wanted.token_name.as_str(), self);
        let shown = |found: &Found| print_of(found).unwrap_or_else(|| found.form.as_str().to_owned());
        let message = format!(
            "`{to}` has another token under `{name}` ({}) than `{from}` ({}); nothing was changed",
            shown(other),
            shown(found)
        );
        Error::new(Kind::Store, message)
            .hint("`overwrite = TRUE` replaces it; `test_project_token()` says whether the one that is used works")
            .field("state", "taken")
            .field("store", to.as_str())
            .field("token_name", name)
    }

    /// What was removed must not be found again.
    async fn gone(&self, ctx: &Ctx) -> Result<()> {
        if keep::get(ctx, &self.from, &self.wanted).await?.is_some() {
            ctx.log.warning(format!(
                "`{}` still gives a token for this project, under its short name or in another version",
                self.from
            ));
        }
        Ok(())
    }
}

/// `move_token`: `project`, `from`, `to`, `overwrite`. Answers `moved` (false where an earlier call did it all),
/// `fingerprint`, and `unset`: the name of the variable that the host has to take away.
pub(super) fn relocate(arguments: &Arguments, session: &Session) -> Result<Task> {
    let project = project(arguments)?;
    let (from, to) = (store_named(arguments, "from")?, store_named(arguments, "to")?);
    if from == to {
        return Err(wrong("to", "is the store that the token is in already"));
    }
    let overwrite = arguments.flag("overwrite")?;
    let sandbox = session.is_sandbox(&project.redcap_uri);
    // All of them: where `to` takes no token here, another may.
    let all: Vec<&str> = store::names().collect();
    let ctx = ctx_with(session, Environment::take(&project.token_name), &all)?;
    let progress = Progress::new();
    let (seen, names) = (progress.clone(), (from.clone(), to.clone()));
    let task = io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let (project, wanted) = entry_for(&ctx, &project, sandbox)?;
        let way = Way { project, wanted, from, to, overwrite };
        let done = way.go(&ctx, &progress).await?;
        let unset = (way.from == ENV && done.moved).then(|| way.wanted.token_name.as_str().to_owned());
        Ok(Value::list([
            ("moved", done.moved.into()),
            ("fingerprint", done.fingerprint.into()),
            ("unset", unset.into()),
        ]))
    })?;
    Ok(task.with_last_word(move || seen.word(&names.0, &names.1)))
}

/// `remove_token`: `project`, `store`. Answers `removed` (false where there was nothing), `names` (those that it stood
/// under), `fingerprint`, `unset`.
pub(super) fn remove(arguments: &Arguments, session: &Session) -> Result<Task> {
    let project = project(arguments)?;
    let store = store_named(arguments, "store")?;
    let sandbox = session.is_sandbox(&project.redcap_uri);
    let ctx = ctx_with(session, Environment::take(&project.token_name), &[&store])?;
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let (project, wanted) = entry_for(&ctx, &project, sandbox)?;
        let way = Way { project, wanted, from: store.clone(), to: store.clone(), overwrite: false };
        let wanted = &way.wanted;
        let found = keep::get(&ctx, &store, wanted).await?;
        let fingerprint = found.as_ref().and_then(print_of);
        let mut names = Vec::new();
        if found.is_some() {
            let change = Change { fingerprint: fingerprint.clone(), ..way.change("remove_token", &store, "") };
            names = audited(&ctx, sandbox, change, keep::remove(&ctx, &store, wanted)).await?;
            if store != ENV {
                way.gone(&ctx).await?;
            }
        } else {
            keep::is_here(&ctx, &store, wanted).await?;
        }
        let unset = (found.is_some() && store == ENV).then(|| wanted.token_name.as_str().to_owned());
        Ok(Value::list([
            ("removed", found.is_some().into()),
            ("token_name", wanted.token_name.as_str().into()),
            ("names", names.into()),
            ("fingerprint", fingerprint.into()),
            ("unset", unset.into()),
        ]))
    })
}

/// A project whose tokens are listed, with what the environment holds for it.
struct Listed {
    project: Project,
    sandbox: bool,
    env: Environment,
}

/// A line of the list.
#[derive(Default)]
struct Row {
    project: String,
    token_name: String,
    store: Option<String>,
    is_set: Option<bool>,
    fingerprint: Option<String>,
    set_on: Option<f64>,
    last_used: Option<f64>,
    remark: Option<String>,
}

/// `list_tokens`: `projects` (a list of projects and short names; without, all that are set up). Answers a table with a
/// row for each store of the order that has a token for a project, and one without a store where none has: `project`,
/// `token_name`, `store`, `is_set` (nothing where a store failed), `fingerprint`, `set_on`, `last_used`, `remark`.
pub(super) fn list(arguments: &Arguments, session: &Session) -> Result<Task> {
    let ctx = ctx(session, Environment::empty())?;
    let listed = listed(arguments, session, &ctx)?;
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let mut rows = rows(&ctx, &listed).await?;
        let fingerprints: HashSet<String> = rows.iter().filter_map(|row| row.fingerprint.clone()).collect();
        let folders = [audit_folder(&ctx, false), audit_folder(&ctx, true)];
        let history = io::blocking(move || {
            let mut history = History::default();
            for folder in &folders {
                history.read(folder, &fingerprints);
            }
            Ok(history)
        });
        let history = history.await?;
        for row in &mut rows {
            if let (Some(print), Some(store)) = (&row.fingerprint, &row.store) {
                row.set_on = history.set_on(print, store);
                row.last_used = history.last_used(print);
            }
        }
        Ok(Value::Table(table(&rows)))
    })
}

/// The projects and what the environment holds for them. To be called on the host's thread.
fn listed(arguments: &Arguments, session: &Session, ctx: &Ctx) -> Result<Vec<Listed>> {
    let registries = Registries::new(&ctx.dirs);
    let known: Vec<Project> = registries.read_both()?.into_iter().map(|(_, project)| project).collect();
    let projects: Vec<Project> = match arguments.value("projects") {
        None => {
            let mut seen = HashSet::new();
            let runs = |project: &Project| !project.sandbox || session.is_sandbox(&project.redcap_uri);
            // The session's own come first and stand before those of the same name that are kept.
            known.into_iter().filter(|project| runs(project) && seen.insert(project.short_name.clone())).collect()
        }
        Some(value) => {
            let items: Vec<&Value> = match value {
                Value::List(items) if items.iter().all(|(name, _)| name.is_empty()) => {
                    items.iter().map(|(_, item)| item).collect()
                }
                one @ Value::Text(_) => vec![one],
                _ => return Err(wrong("projects", "must be a list of projects or short names")),
            };
            let one = |item: &&Value| match item.as_text() {
                None => Project::from_value(item),
                Some(text) => {
                    let name = ShortName::new(text)?;
                    let found = known.iter().find(|project| project.short_name == name).cloned();
                    found.ok_or_else(|| unknown(&name, &registries))
                }
            };
            items.iter().map(one).collect::<Result<_>>()?
        }
    };
    let with_env = |project: Project| Listed {
        sandbox: session.is_sandbox(&project.redcap_uri),
        env: Environment::take(&project.token_name).for_stores(&ctx.settings, &ctx.net, &[]),
        project,
    };
    Ok(projects.into_iter().map(with_env).collect())
}

async fn rows(ctx: &Ctx, listed: &[Listed]) -> Result<Vec<Row>> {
    let registries = Registries::new(&ctx.dirs);
    let mut rows = Vec::new();
    // Stores that nobody asks again: they would make each name wait, or ask a person each time.
    let mut given_up: HashMap<String, Error> = HashMap::new();
    for Listed { project, sandbox, env } in listed {
        let ctx = Ctx { env: env.clone(), ..ctx.clone() };
        let wanted = match registries.bound(project, *sandbox)? {
            Bound::Here(entry) => wanted(&ctx, &entry, *sandbox)?,
            Bound::Elsewhere(_) => by_token_name(project),
        };
        let rotation = Rotations::new(&ctx.dirs, *sandbox).find(project).ok().flatten();
        let row = || Row {
            project: project.short_name.as_str().to_owned(),
            token_name: wanted.token_name.as_str().to_owned(),
            ..Row::default()
        };
        let before = rows.len();
        for (source, answer) in answers(&ctx, &wanted, &mut given_up).await {
            let store = Some(source);
            match answer {
                Ok(None) => {}
                Ok(Some(found)) => {
                    let fingerprint = print_of(&found);
                    let remark = match &found.form {
                        Form::Project => rotation.as_ref().and_then(|begun| begun.waits_with(fingerprint.as_deref())),
                        Form::Super => Some("a super token, which keycap does not use".to_owned()),
                        Form::Malformed { what, .. } => Some(format!("malformed: {what}")),
                    };
                    rows.push(Row { store, is_set: Some(true), fingerprint, remark, ..row() });
                }
                Err(error) => rows.push(Row { store, remark: Some(error.message), ..row() }),
            }
        }
        if rows.len() == before {
            rows.push(Row { is_set: Some(false), ..row() });
        }
    }
    Ok(rows)
}

/// What each store of the order has for a name, or why it is not known. Each is asked once.
async fn answers(
    ctx: &Ctx,
    wanted: &Wanted,
    given_up: &mut HashMap<String, Error>,
) -> Vec<(String, Result<Option<Found>>)> {
    if wanted.sandbox && store::is_sample(&wanted.token_name) {
        let seen = store::look_everywhere(ctx, wanted).await;
        return seen.into_iter().map(|sighting| (sighting.source.to_owned(), sighting.answer)).collect();
    }
    let mut answers = Vec::new();
    for source in store::asked_for(ctx, wanted) {
        let answer = match given_up.get(&source) {
            Some(error) => Err(error.clone()),
            None => keep::get(ctx, &source, wanted).await,
        };
        if let Err(error) = &answer
            && is_for_all_names(error, ctx.settings.interactive)
        {
            given_up.insert(source.clone(), error.clone());
        }
        answers.push((source, answer));
    }
    answers
}

/// Whether a store would answer the same for every other name, and take its time for it or a person's.
fn is_for_all_names(error: &Error, interactive: bool) -> bool {
    let state = error.fields.iter().find(|(name, _)| name == "state").and_then(|(_, value)| value.as_text());
    matches!(state, Some("no_answer" | "unreachable" | "sealed")) || (interactive && state == Some("locked"))
}

fn table(rows: &[Row]) -> Table {
    let text = |of: fn(&Row) -> Option<&str>| Column::text(rows.iter().map(of));
    let time = |of: fn(&Row) -> Option<f64>| Column::DateTime {
        seconds: rows.iter().map(|row| of(row).unwrap_or(Column::NO_REAL)).collect(),
        zone: "UTC".to_owned(),
    };
    Table {
        columns: vec![
            ("project".into(), text(|row| Some(&row.project))),
            ("token_name".into(), text(|row| Some(&row.token_name))),
            ("store".into(), text(|row| row.store.as_deref())),
            ("is_set".into(), Column::flag(rows.iter().map(|row| row.is_set))),
            ("fingerprint".into(), text(|row| row.fingerprint.as_deref())),
            ("set_on".into(), time(|row| row.set_on)),
            ("last_used".into(), time(|row| row.last_used)),
            ("remark".into(), text(|row| row.remark.as_deref())),
        ],
    }
}

#[cfg(all(test, unix))]
mod tests;
