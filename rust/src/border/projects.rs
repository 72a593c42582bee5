//! Operations on projects.

use super::arguments::{Arguments, Session, wrong};
use super::change::{Change, Fate};
use super::{ctx, run_blocking};
use crate::ctx::{Ctx, Event, Events};
use crate::error::{Error, Kind, Result};
use crate::net::io::{self, Task};
use crate::project::{self, Grants, Kept, Project, Registries, Rotations, Wish};
use crate::redcap::{BoundBy, blank, malformed, may_go, wanted};
use crate::rights::Accounts;
use crate::store::{self, Environment};
use crate::token::{Form, ShortName};
use crate::value::{Column, Table, Value};

/// The variable that gives `redcap_uri` where the argument is missing.
const URI_VARIABLE: &str = "REDCapSync_REDCAP_URI";

/// `setup_project`: `short_name`, `dir_path`, `redcap_uri`, `token_name`, `redcap_user`, `dag`, `overwrite`.
/// Answers the project, where it is kept (`user` or `session`), and whether a usable token was found.
pub(super) fn set_up(arguments: &Arguments, session: &Session) -> Result<Task> {
    let ready = Ready::new(arguments, session)?;
    let (fate, name) = (ready.change.clone(), ready.wish.project.short_name.clone());
    let task = io::start(move |log| async move { ready.set_up(log).await.map(|(answer, _)| answer) })?;
    Ok(task.with_last_word(move || match (fate.cancel(), name.as_str()) {
        (Fate::NotMade | Fate::Failed, name) => format!("interrupted: nothing was changed, `{name}` was not set up"),
        (Fate::Made, name) => format!("interrupted, but `{name}` is set up: that was done before"),
        (Fate::UnderWay, name) => format!("interrupted too late: `{name}` is being set up"),
    }))
}

/// `setup_projects`: `table` with the columns that `setup_project` has as arguments, and `overwrite`. One after the
/// other, each whole or not at all. Answers a table with one row each: `reason` and `message`, nothing where it is set up.
pub(super) fn set_up_all(arguments: &Arguments, session: &Session) -> Result<Task> {
    let Some(Value::Table(table)) = arguments.value("table") else {
        return Err(wrong("table", "must be a data frame"));
    };
    let overwrite = arguments.flag("overwrite")?;
    let row = |n: usize| {
        let cells = table.columns.iter().map(|(name, column)| (name.clone(), column.text_at(n).into()));
        let cells: Vec<(String, Value)> = cells.chain([("overwrite".to_owned(), overwrite.into())]).collect();
        Ready::new(&Arguments::new(Value::List(cells))?, session)
    };
    let rows = table.columns.first().map_or(0, |(_, column)| column.len());
    let rows: Vec<Result<Ready>> = (0..rows).map(row).collect();
    let changes: Vec<Change> = rows.iter().flatten().map(|ready| ready.change.clone()).collect();
    let task = io::start(move |log| async move {
        // What is remarked of one project would be remarked of fifty; a warning is one all the same.
        let told = log.clone();
        let warnings = Events::new(move |event| {
            if let Event::Warning(text) = event {
                told.warning(text);
            }
        });
        let mut failed: Vec<Option<Error>> = Vec::new();
        let mut blank: Vec<String> = Vec::new();
        for row in rows {
            let done = match row {
                Ok(ready) => {
                    let name = ready.wish.project.short_name.as_str().to_owned();
                    let done = ready.set_up(warnings.clone()).await;
                    blank.extend(done.as_ref().ok().filter(|(_, token_usable)| !token_usable).map(|_| name));
                    done.map(|_| ())
                }
                Err(error) => Err(error),
            };
            failed.push(done.err());
        }
        if let Some(first) = blank.first() {
            let done = failed.iter().filter(|failed| failed.is_none()).count();
            log.note(format!(
                "{} of {done} have no token yet: `set_project_token(\"{first}\")` asks for the first one",
                blank.len()
            ));
        }
        let text = |of: fn(&Error) -> &str| Column::text(failed.iter().map(|error| error.as_ref().map(of)));
        let reason = ("reason".to_owned(), text(|error| error.kind.as_str()));
        let message = ("message".to_owned(), text(|error| &error.message));
        Ok(Value::Table(Table { columns: vec![reason, message] }))
    })?;
    Ok(task.with_last_word(move || {
        let fates: Vec<Fate> = changes.iter().map(Change::cancel).collect();
        let done = fates.iter().filter(|fate| matches!(fate, Fate::Made | Fate::UnderWay)).count();
        format!("interrupted: {done} of {} projects are set up, the others are not", fates.len())
    }))
}

/// A project that is about to be set up, made ready on the host's thread.
struct Ready {
    ctx: Ctx,
    wish: Wish,
    sandbox: bool,
    change: Change,
}

impl Ready {
    fn new(arguments: &Arguments, session: &Session) -> Result<Self> {
        let short_name = ShortName::new(&arguments.text("short_name")?)?;
        let redcap_uri = match arguments.optional_text("redcap_uri")? {
            Some(uri) => uri,
            None => std::env::var(URI_VARIABLE).ok().filter(|uri| !uri.is_empty()).ok_or_else(|| {
                Error::new(Kind::Argument, format!("`redcap_uri` is missing and `{URI_VARIABLE}` is not set"))
                    .hint("give the address of your REDCap's API, such as `https://redcap.example.org/api/`")
                    .field("argument", "redcap_uri")
            })?,
        };
        let default_name = short_name.default_token_name();
        let token_name = arguments.optional_text("token_name")?.unwrap_or_else(|| default_name.as_str().to_owned());
        let project = Project::from_value(&Value::list([
            ("short_name", short_name.as_str().into()),
            ("dir_path", arguments.optional_text("dir_path")?.into()),
            ("redcap_uri", redcap_uri.into()),
            ("token_name", token_name.into()),
            ("redcap_user", arguments.optional_text("redcap_user")?.into()),
            ("dag", arguments.optional_text("dag")?.into()),
        ]))?;
        let sandbox = session.is_sandbox(&project.redcap_uri);
        let ctx = ctx(session, Environment::take(&project.token_name))?;
        let sandboxes = session.sandboxes.clone();
        let wish = Wish { project, overwrite: arguments.flag("overwrite")?, sandboxes };
        Ok(Self { ctx, wish, sandbox, change: Change::new() })
    }

    /// Answers the project as the host has it, and whether a usable token was found.
    async fn set_up(self, log: Events) -> Result<(Value, bool)> {
        let Self { ctx, wish, sandbox, change } = self;
        let ctx = Ctx { log, ..ctx };
        let for_work = ctx.clone();
        let done = io::blocking(move || change.make(|begin| project::set_up_unless(&for_work, wish, begin))).await?;
        let name = done.project.short_name.as_str();
        match (done.kept, &done.project.dir_path) {
            (Kept::User, _) => ctx.log.note(format!("`{name}` is set up; `load_project(\"{name}\")` brings it back")),
            (Kept::Session, None) => {
                ctx.log.note(format!("`{name}` lives in this session only; give `dir_path` to keep it"));
            }
            (Kept::Session, Some(_)) => {
                ctx.log.note(format!("`{name}` is a sandbox's: it is forgotten with this session"));
            }
        }
        if !done.project.redcap_uri.as_str().ends_with("/api/") {
            ctx.log.note("the address does not end in `/api/`, as those of REDCap's API do: is it the right one?");
        }
        let token_usable = say_token(&ctx, &done.project, sandbox).await;
        let answer = Value::list([
            ("project", done.project.to_value()),
            ("kept", done.kept.as_str().into()),
            ("token_usable", token_usable.into()),
        ]);
        Ok((answer, token_usable))
    }
}

/// Says whether a usable token is found, and how to set one. A store that fails is no reason to fail here.
async fn say_token(ctx: &Ctx, project: &Project, sandbox: bool) -> bool {
    let name = project.token_name.as_str();
    let looked_up = match wanted(ctx, project, sandbox) {
        Ok(wanted) => store::look_up(ctx, &wanted).await,
        Err(error) => Err(error),
    };
    let trouble = match looked_up {
        Ok(Some(found)) if found.form == Form::Project => match may_go(BoundBy::Registry, project, &found) {
            Ok(()) => {
                ctx.log.note(format!("a token is found under `{name}` (source: {})", found.source));
                return true;
            }
            Err(error) => error,
        },
        Ok(Some(found)) => malformed(ctx, project, &found),
        Ok(None) => blank(ctx, project),
        Err(error) => error,
    };
    ctx.log.note(trouble.message);
    for hint in trouble.hints {
        ctx.log.note(hint);
    }
    false
}

/// `load_project`: `short_name`. Answers the project as the registry has it.
pub(super) fn load(arguments: &Arguments, session: &Session) -> Result<Task> {
    let short_name = ShortName::new(&arguments.text("short_name")?)?;
    run_blocking(ctx(session, Environment::empty())?, move |ctx| {
        let registries = Registries::new(&ctx.dirs);
        let found = registries.find(&short_name)?;
        let (_, project) = found.ok_or_else(|| project::unknown(&short_name, &registries))?;
        Ok(Value::list([("project", project.to_value())]))
    })
}

/// `get_projects`: a table of the projects of this user and this session.
pub(super) fn list(session: &Session) -> Result<Task> {
    run_blocking(ctx(session, Environment::empty())?, |ctx| {
        let both = Registries::new(&ctx.dirs).read_both()?;
        for (_, project) in &both {
            if let Ok(Some(begun)) = Rotations::new(&ctx.dirs, project.sandbox).find(project) {
                ctx.log.note(begun.told());
            }
        }
        let column =
            |name: &str, of: fn(&(Kept, Project)) -> Option<&str>| (name.to_owned(), Column::text(both.iter().map(of)));
        Ok(Value::Table(Table {
            columns: vec![
                column("short_name", |(_, p)| Some(p.short_name.as_str())),
                column("redcap_uri", |(_, p)| Some(p.redcap_uri.as_str())),
                column("token_name", |(_, p)| Some(p.token_name.as_str())),
                column("dir_path", |(_, p)| p.dir_path.as_deref()),
                column("redcap_user", |(_, p)| p.redcap_user.as_deref()),
                column("dag", |(_, p)| p.dag.as_deref()),
                column("project_id", |(_, p)| p.project_id.as_deref()),
                column("kept", |(kept, _)| Some(kept.as_str())),
            ],
        }))
    })
}

/// `delete_project`: `short_name`. Answers the files that were removed; data and tokens stay.
pub(super) fn delete(arguments: &Arguments, session: &Session) -> Result<Task> {
    let short_name = ShortName::new(&arguments.text("short_name")?)?;
    let change = Change::new();
    let (fate, name) = (change.clone(), short_name.clone());
    let task = run_blocking(ctx(session, Environment::empty())?, move |ctx| {
        let deleted = change.make(|begin| {
            let deleted = project::delete(ctx, &short_name, begin)?;
            // What was stated or granted was of this project, not of the next one of its name.
            let name = short_name.as_str();
            let accounts = Accounts::new(&ctx.dirs, deleted.kept).forget(name);
            for forgotten in [accounts, Grants::new(&ctx.dirs, deleted.kept).forget(name)] {
                if let Err(error) = forgotten {
                    ctx.log.warning(format!("what was stated of `{name}` could not be removed: {}", error.message));
                }
            }
            Ok(deleted)
        })?;
        let name = short_name.as_str();
        if deleted.twin {
            ctx.log.note(format!("this session's `{name}` is gone; the `{name}` that you keep is there again"));
        } else {
            ctx.log.note(format!("`{name}` is no longer set up here; its data and its token were not touched"));
        }
        ctx.log.note(format!(
            "the token under `{}` still works until it is deleted in REDCap",
            deleted.token_name.as_str()
        ));
        if let Some(left) = deleted.left {
            ctx.log.note(format!("left a file in the project's folder: {left}"));
        }
        Ok(Value::list([("short_name", name.into()), ("removed", deleted.removed.into())]))
    })?;
    Ok(task.with_last_word(move || match (fate.cancel(), name.as_str()) {
        (Fate::NotMade | Fate::Failed, name) => format!("interrupted: nothing was changed, `{name}` was not deleted"),
        (Fate::Made, name) => format!("interrupted, but `{name}` is deleted: that was done before"),
        (Fate::UnderWay, name) => format!("interrupted too late: `{name}` is being deleted"),
    }))
}
