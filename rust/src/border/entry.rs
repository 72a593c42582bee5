//! Setting a token: it comes in without the host, and goes into a store.

use std::path::PathBuf;

use super::arguments::{Arguments, Session, wrong};
use super::audited::audited;
use super::change::{Change, Fate};
use super::keep::store_named;
use super::{ctx_with, tokens};
use crate::audit;
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::net::io::{self, Task};
use crate::project::{Bound, Project, Registries};
use crate::redcap::{BoundBy, bond_of_target, may_go, wanted};
use crate::store::entry::{Entered, Hold, Place, Question, Way, enter};
use crate::store::keep::{self, Held};
use crate::store::{self, Environment, Found, Wanted};
use crate::token::Form;
use crate::value::{Column, Table, Value};

/// `set_token`: `project`, `store`, and where the token comes from: nothing (a person is asked), or one of `from` (a
/// store), `fd` (a descriptor's number) and `file` (with `wipe`); `gui`: what the host calls its user interface. Answers
/// one row of facts and the lines to print.
pub(super) fn set(arguments: &Arguments, session: &Session) -> Result<Task> {
    let project = tokens::project(arguments)?;
    let sandbox = session.is_sandbox(&project.redcap_uri);
    let store = store_named(arguments, "store")?;
    let way = way(arguments)?;
    // All of them: where this one takes no token here, another may.
    let all: Vec<&str> = store::names().collect();
    let mut ctx = ctx_with(session, Environment::take(&project.token_name), &all)?;
    // Who enters a token can answer a keyring's question too.
    ctx.settings.interactive |= matches!(way, Way::Person);
    let place = Place::take(&arguments.optional_text("gui")?.unwrap_or_default());
    let (hold, change) = (Hold::default(), Change::new());
    let (its_hold, its_change) = (hold.clone(), change.clone());
    let name = project.token_name.as_str().to_owned();
    let task = io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let project = bound(&ctx, &project, sandbox)?;
        let wanted = wanted(&ctx, &project, sandbox)?;
        let again =
            |store: &str| format!("set_project_token(\"{}\", store = \"{store}\")", project.short_name.as_str());
        takes_tokens(&ctx, &store, &wanted, again).await?;
        let question = Question {
            project: project.short_name.as_str().to_owned(),
            token_name: project.token_name.as_str().to_owned(),
            store: store.clone(),
            kept: project.dir_path.is_some() && !sandbox,
        };
        let entered = enter(&ctx, way, &wanted, question, place, &its_hold).await?;
        bond_kept(&project, &entered.found)?;
        put(ctx, project, wanted, store, sandbox, entered, &its_change).await
    })?;
    Ok(task.with_last_word(move || {
        hold.cancel();
        last_word(change.cancel(), &name)
    }))
}

/// What is said to the one who interrupts.
fn last_word(fate: Fate, name: &str) -> String {
    match fate {
        Fate::NotMade => format!("interrupted: nothing was stored under `{name}`"),
        // The store may have taken it and not given it back.
        Fate::Failed => format!(
            "interrupted while the token under `{name}` was being stored, which failed: it may be stored all the same; \
             `view_project_token()` shows it"
        ),
        Fate::Made => format!("interrupted, but the token under `{name}` is stored: that was done before"),
        Fate::UnderWay => format!("interrupted too late: the token under `{name}` is being stored"),
    }
}

fn way(arguments: &Arguments) -> Result<Way> {
    let from = arguments.value("from").map(|_| store_named(arguments, "from")).transpose()?;
    let file = arguments.optional_text("file")?;
    let fd = arguments.value("fd").map(|_| arguments.whole("fd")).transpose()?;
    let wipe = arguments.flag("wipe")?;
    if wipe && file.is_none() {
        return Err(wrong("wipe", "is about `file`, which is missing"));
    }
    match (from, fd, file) {
        (None, None, None) => Ok(Way::Person),
        (Some(store), None, None) => Ok(Way::Store(store)),
        (None, Some(number), None) => Ok(Way::Descriptor(number)),
        (None, None, Some(path)) => Ok(Way::File { path: PathBuf::from(path), wipe }),
        _ => Err(wrong("from", "`fd` and `file` are three ways to give the token; take one of them")
            .hint("without any of them you are asked for it")),
    }
}

/// The project as the registry has it: an object from elsewhere may say that it has another project's token name, whose
/// token would be overwritten.
fn bound(ctx: &Ctx, project: &Project, sandbox: bool) -> Result<Project> {
    let name = project.token_name.as_str();
    if sandbox && store::is_sample(&project.token_name) {
        return Err(Error::new(Kind::Store, format!("the sandbox's token `{name}` is a constant, and is not set"))
            .hint("to try this out, set a project up with a `token_name` of your own")
            .field("store", "sandbox"));
    }
    match Registries::new(&ctx.dirs).bound(project, sandbox)? {
        Bound::Here(entry) => Ok(*entry),
        Bound::Elsewhere(_) => {
            Err(not_set_up(project).hint("set it up yourself with `setup_project()`, then set its token"))
        }
    }
}

/// Fails where a store takes no token here, and then names those that do, with the call for each.
pub(super) async fn takes_tokens(
    ctx: &Ctx,
    store: &str,
    wanted: &Wanted,
    again: impl Fn(&str) -> String,
) -> Result<()> {
    let Err(error) = keep::takes_tokens(ctx, store, wanted).await else { return Ok(()) };
    let state = error.fields.iter().find(|(name, _)| name == "state").and_then(|(_, value)| value.as_text());
    if !matches!(state, Some("not_here" | "read_only" | "login")) {
        return Err(error);
    }
    Err(store::elsewhere(ctx, store, again).await.into_iter().fold(error, Error::hint))
}

/// The error for an object that stands for no entry of the registries.
pub(super) fn not_set_up(project: &Project) -> Error {
    let message = format!("`{}` is not set up here as the object says", project.short_name.as_str());
    Error::new(Kind::Project, message).field("token_name", project.token_name.as_str())
}

/// A token that a store has goes to the server that the project is set up with, or it stays where it is: another origin
/// beside it is a bond that would be lost, since not every store can hold one.
pub(super) fn bond_kept(project: &Project, found: &Found) -> Result<()> {
    may_go(BoundBy::Registry, project, found).map_err(|error| error.hint("nothing was copied or moved"))
}

/// The entry in the audit log, the token into the store and back, the outcome, and what there is to say.
async fn put(
    ctx: Ctx,
    project: Project,
    wanted: Wanted,
    store: String,
    sandbox: bool,
    entered: Entered,
    change: &Change,
) -> Result<Value> {
    let print = entered.found.secret.fingerprint().to_string();
    let replaced = there(&ctx, &store, &wanted, &project).await?;
    let entry = audit::Change {
        action: "set_token",
        project: Some(project.short_name.as_str().to_owned()),
        token_name: Some(project.token_name.as_str().to_owned()),
        store: Some(store.clone()),
        from: Some(entered.found.source.to_owned()),
        fingerprint: Some(print.clone()),
        replaced: replaced.clone(),
        ..audit::Change::default()
    };
    let row = row(&project, &entry);
    let (its_ctx, its_store, its_wanted) = (ctx.clone(), store.clone(), wanted.clone());
    let made = async move {
        let Entered { found, wipe } = entered;
        let put = keep::put(&its_ctx, &its_store, &its_wanted, &found.secret, &found.form);
        audited(&its_ctx, sandbox, entry, put).await?;
        drop(found);
        let Some(wipe) = wipe else { return Ok(false) };
        match io::blocking(move || wipe.carry_out()).await {
            Ok(()) => Ok(true),
            // Said here, where it is said to who interrupted as well: nobody else waits for it then.
            Err(error) => {
                let hints = error.hints.join("; ");
                let what = format!("the token is stored, but its file is still there: {} ({hints})", error.message);
                its_ctx.log.warning(what);
                Ok(false)
            }
        }
    };
    let wiped = change.carry_through(made).await?;
    say_what_counts(&ctx, &wanted, &store, &print).await;
    let mut lines: Vec<(String, Value)> = Vec::new();
    let mut line = |label: &str, text: &str| lines.push((label.to_owned(), text.into()));
    line("token name", project.token_name.as_str());
    line("store", &store);
    line("fingerprint", &print);
    match replaced {
        Some(before) if before == print => line("before", "the same token"),
        Some(before) => line("before", &format!("{before}, which is replaced")),
        None => {}
    }
    if wiped {
        line("file", "overwritten and removed");
    }
    let message = format!("the token is stored: written to `{store}`, read back and compared");
    let short_name = project.short_name.as_str();
    let hints = vec![format!("`test_project_token(\"{short_name}\")` asks REDCap whether it works")];
    Ok(Value::list([
        ("row", Value::Table(row)),
        ("message", message.into()),
        ("lines", Value::List(lines)),
        ("hints", hints.into()),
    ]))
}

/// The fingerprint of what stands there now; an error where that is bound to another server. Items that differ are no obstacle, all get the new token; nor is a secret
/// whose newest version was deleted, it gets another one.
async fn there(ctx: &Ctx, store: &str, wanted: &Wanted, project: &Project) -> Result<Option<String>> {
    match keep::held(ctx, store, wanted).await {
        Ok(Held { found, origin }) => {
            bond_of_target(project, store, origin.as_ref())?;
            let token = found.filter(|found| found.form == Form::Project);
            Ok(token.map(|found| found.secret.fingerprint().to_string()))
        }
        Err(error) => {
            let state = error.fields.iter().find(|(name, _)| name == "state").and_then(|(_, value)| value.as_text());
            match state {
                Some("differing" | "deleted" | "destroyed") => Ok(None),
                _ => Err(error),
            }
        }
    }
}

/// A token that no look-up finds, or not first, will surprise somebody.
async fn say_what_counts(ctx: &Ctx, wanted: &Wanted, store: &str, print: &str) {
    let name = wanted.token_name.as_str();
    if !store::asked_for(ctx, wanted).iter().any(|asked| asked == store) {
        let line = store::ask_too(ctx, store, None);
        ctx.log.warning(format!("`{store}` is not among the stores that are asked for a token: {line}"));
        return;
    }
    if let Ok(Some(found)) = store::look_up(ctx, wanted).await
        && found.source != store
        && found.secret.fingerprint().to_string() != print
    {
        let source = found.source;
        ctx.log.warning(format!(
            "`{source}` is asked before `{store}` and holds something else under `{name}`, which is used"
        ));
    }
}

fn row(project: &Project, entry: &audit::Change) -> Table {
    let text = |text: Option<&str>| Column::text([text]);
    Table {
        columns: vec![
            ("short_name".into(), text(Some(project.short_name.as_str()))),
            ("token_name".into(), text(entry.token_name.as_deref())),
            ("store".into(), text(entry.store.as_deref())),
            ("from".into(), text(entry.from.as_deref())),
            ("fingerprint".into(), text(entry.fingerprint.as_deref())),
            ("replaced".into(), text(entry.replaced.as_deref())),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_interrupts_is_told_what_is_so() {
        for (fate, part) in [
            (Fate::NotMade, "nothing was stored"),
            (Fate::Failed, "it may be stored all the same"),
            (Fate::Made, "is stored: that was done before"),
            (Fate::UnderWay, "is being stored"),
        ] {
            let word = last_word(fate, "REDCapSync_X");
            assert!(
                word.starts_with("interrupted") && word.contains(part) && word.contains("`REDCapSync_X`"),
                "{word}"
            );
            assert_eq!(word.contains("nothing was stored"), fate == Fate::NotMade);
        }
    }
}
