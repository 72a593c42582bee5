//! Operations of a rotation: beginning one or taking it up, going on with the new token, and giving it up.

use std::path::PathBuf;

use super::arguments::{Arguments, Session, wrong};
use super::ctx_with;
use super::keep::entry_for;
use super::rights::checker;
use super::tokens;
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::file::fault;
use crate::net::Client;
use crate::net::io::{self, Task};
use crate::project::{Begun, Project, Rotations};
use crate::rights::Token;
use crate::rotation::{Done, Finished, Progress, Rotation, Stand, Waiting};
use crate::store::Environment;
use crate::store::entry::{Hold, Place, Way};
use crate::value::{Column, Table, Value};

/// What an operation of a rotation needs, made ready on the host's thread.
struct Ready {
    ctx: Ctx,
    hint: Project,
    sandbox: bool,
    client: Client,
    progress: Progress,
}

impl Ready {
    fn new(arguments: &Arguments, session: &Session) -> Result<Self> {
        let hint = tokens::project(arguments)?;
        let sandbox = session.is_sandbox(&hint.redcap_uri);
        // The store of a rotation that is begun may be none of those that every look-up asks.
        let known = Rotations::new(&session.dirs, sandbox).find(&hint).ok().flatten().map(|begun| begun.store);
        let given = arguments.optional_text("store")?;
        let stores: Vec<&str> = [&known, &given].into_iter().flatten().map(String::as_str).collect();
        let ctx = ctx_with(session, Environment::take(&hint.token_name), &stores)?;
        let client = ctx.net.client(&ctx.settings.net)?;
        Ok(Self { ctx, hint, sandbox, client, progress: Progress::default() })
    }

    fn rotation(self, checker: Option<Token>) -> Result<Rotation> {
        let entry = entry_for(&self.ctx, &self.hint, self.sandbox)?;
        Ok(Rotation::new(self.ctx, self.hint, entry, self.client, checker, self.progress))
    }
}

/// `rotate_begin`: `project`, `store` (where the token is now, without), `file` (which has to be there), `checked_by`. Answers where the rotation stands:
/// `message`, `lines`, `hints`.
pub(super) fn begin(arguments: &Arguments, session: &Session) -> Result<Task> {
    let ready = Ready::new(arguments, session)?;
    let store = arguments.optional_text("store")?;
    // Nothing is begun for a file that is not there: a script that runs once more finds that its file was used up.
    if let Some(path) = arguments.optional_text("file")?.map(PathBuf::from) {
        std::fs::metadata(&path).map_err(|error| fault(&path, "cannot be read, and no rotation was begun", &error))?;
    }
    let checker = checker(arguments, session)?;
    let (progress, name) = (ready.progress.clone(), ready.hint.short_name.as_str().to_owned());
    let task = io::start(move |log| async move {
        let ready = Ready { ctx: Ctx { log: log.clone(), ..ready.ctx }, ..ready };
        let checker = checker.map(|checker| checker.token(&log));
        let stand = Box::pin(ready.rotation(checker)?.begin(store)).await?;
        Ok(stands(&stand))
    })?;
    Ok(task.with_last_word(move || progress.word(&name)))
}

/// `rotate_finish`: `project`, `checked_by`, and where the new token comes from: nothing (the store, or else a person), or
/// one of `fd` and `file` (with `wipe`); `gui`: what the host calls its user interface. Answers `state` (`done` or
/// `waiting`), `message`, `lines`, `hints` and one `row`.
pub(super) fn finish(arguments: &Arguments, session: &Session) -> Result<Task> {
    let mut ready = Ready::new(arguments, session)?;
    let way = way(arguments)?;
    // Who enters a token can answer a keyring's question too.
    ready.ctx.settings.interactive |= matches!(way, Way::Person);
    let checker = checker(arguments, session)?;
    let place = Place::take(&arguments.optional_text("gui")?.unwrap_or_default());
    let hold = Hold::default();
    let (its_hold, progress) = (hold.clone(), ready.progress.clone());
    let name = ready.hint.short_name.as_str().to_owned();
    let task = io::start(move |log| async move {
        let ready = Ready { ctx: Ctx { log: log.clone(), ..ready.ctx }, ..ready };
        let ctx = ready.ctx.clone();
        let checker = checker.map(|checker| checker.token(&log));
        let done = Box::pin(ready.rotation(checker)?.finish(way, place, &its_hold)).await?;
        Ok(match done {
            Done::Waiting(waiting) => waits(&waiting),
            Done::Finished(finished) => {
                warn(&ctx, &finished);
                finishes(&finished)
            }
        })
    })?;
    Ok(task.with_last_word(move || {
        hold.cancel();
        progress.word(&name)
    }))
}

/// `rotate_cancel`: `project`. Answers `message`, `hints` and one `row`.
pub(super) fn cancel(arguments: &Arguments, session: &Session) -> Result<Task> {
    let ready = Ready::new(arguments, session)?;
    io::start(move |log| async move {
        let ready = Ready { ctx: Ctx { log, ..ready.ctx }, ..ready };
        let begun = Box::pin(ready.rotation(None)?.cancel()).await?;
        let name = &begun.short_name;
        let message = match &begun.new {
            Some(print) => {
                format!("the rotation of `{name}` is given up; `{}` has another token ({print})", begun.store)
            }
            None => format!("the rotation of `{name}` is given up; its token is as it was"),
        };
        Ok(Value::list([
            ("message", message.into()),
            ("hints", vec![format!("`test_project_token(\"{name}\")` says whether the token works")].into()),
            ("row", Value::Table(row(&begun, "cancelled", None))),
        ]))
    })
}

fn way(arguments: &Arguments) -> Result<Way> {
    let file = arguments.optional_text("file")?;
    let fd = arguments.value("fd").map(|_| arguments.whole("fd")).transpose()?;
    let wipe = arguments.flag("wipe")?;
    if wipe && file.is_none() {
        return Err(wrong("wipe", "is about `file`, which is missing"));
    }
    match (fd, file) {
        (None, None) => Ok(Way::Person),
        (Some(number), None) => Ok(Way::Descriptor(number)),
        (None, Some(path)) => Ok(Way::File { path: PathBuf::from(path), wipe }),
        (Some(_), Some(_)) => {
            Err(Error::new(Kind::Argument, "`fd` and `file` are two ways to give the new token; take one")
                .field("argument", "file"))
        }
    }
}

fn stands(stand: &Stand) -> Value {
    let begun = &stand.begun;
    let name = &begun.short_name;
    let message = match (stand.works, &stand.another) {
        (_, Some(_)) => format!("`{name}`: the store has another token than when the rotation began"),
        (Some(true), None) if stand.resumed => {
            format!("the rotation of `{name}` goes on: the old token still works, so it is not regenerated yet")
        }
        (Some(true), None) => format!("the rotation of `{name}` is begun; the old token works until you click"),
        (Some(false), None) => format!("`{name}` is waiting for the new token: REDCap refuses the old one"),
        (None, None) => format!("`{name}` is waiting for the new token: no store has the old one any more"),
    };
    let mut lines: Vec<(String, Value)> = Vec::new();
    let mut line = |label: &str, text: Option<String>| lines.extend(text.map(|text| (label.to_owned(), text.into())));
    line("store", Some(begun.store.clone()));
    line(
        "old token",
        Some(match stand.works {
            Some(true) => format!("{}, works", begun.old),
            Some(false) => format!("{}, refused", begun.old),
            None => begun.old.clone(),
        }),
    );
    line("project id", begun.project_id.clone());
    line(
        "rights",
        Some(match begun.held.as_ref().map(|held| held.evidence.as_str()) {
            Some("self") => "read by the token itself".to_owned(),
            Some("checker") => "read by the checker's token".to_owned(),
            Some(_) => "known only as far as REDCap let the token try them".to_owned(),
            None => "not known: REDCap refused the token already".to_owned(),
        }),
    );
    line("age", stand.age.clone());
    line("in the store now", stand.another.clone());
    line("API page", begun.api_page.clone());
    let hints = if stand.another.is_some() {
        Vec::new()
    } else if stand.works != Some(true) {
        vec!["the new token is on the API page; where there is none, click `Regenerate` and copy it".to_owned()]
    } else {
        vec![
            "open the API page, click `Regenerate`, and copy the new token: at that click the old one is dead"
                .to_owned(),
            format!(
                "until the new one is stored, {} goes on; before the click, `cancel = TRUE` gives it up",
                begun.command()
            ),
        ]
    };
    Value::list([("message", message.into()), ("lines", Value::List(lines)), ("hints", hints.into())])
}

fn waits(waiting: &Waiting) -> Value {
    let begun = &waiting.begun;
    let name = &begun.short_name;
    let message = if begun.refused.is_some() {
        format!("`{name}` is waiting for the new token: REDCap refuses the old one")
    } else {
        format!("`{name}` is waiting for the new token; the old one works until it is regenerated")
    };
    Value::list([
        ("state", "waiting".into()),
        ("message", message.into()),
        ("lines", Value::List(Vec::new())),
        ("hints", waiting.hints.clone().into()),
        ("row", Value::Table(row(begun, "waiting", None))),
    ])
}

/// What a person should know of a rotation that is done.
fn warn(ctx: &Ctx, finished: &Finished) {
    let (begun, name) = (&finished.begun, &finished.begun.short_name);
    if begun.held.is_none() {
        ctx.log.warning("what the old token was allowed is not known: REDCap refused it when the rotation began");
    }
    if !finished.evidence.lost.is_empty() {
        let lost = finished.evidence.lost.join(", ");
        ctx.log.warning(format!(
            "the new token of `{name}` may do less than the old one ({lost}): is it the right user's?"
        ));
    }
    if let Some(store) = &finished.shadowed_by {
        ctx.log.warning(format!(
            "the new token is not used yet: `{store}` is asked before `{}` and holds another one; \
             `remove_project_token(\"{name}\", store = \"{store}\")` ends that",
            begun.store
        ));
    }
    for store in finished.still.iter().filter(|store| Some(*store) != finished.shadowed_by.as_ref()) {
        ctx.log.warning(format!(
            "`{store}` still has the old token, which is dead: `remove_project_token(\"{name}\", store = \"{store}\")`"
        ));
    }
}

fn finishes(finished: &Finished) -> Value {
    let (begun, evidence) = (&finished.begun, &finished.evidence);
    let name = &begun.short_name;
    let mut lines: Vec<(String, Value)> = Vec::new();
    let mut line = |label: &str, text: &str| lines.push((label.to_owned(), text.into()));
    line("store", &begun.store);
    line(
        "old token",
        &match evidence.old_refused {
            Some(_) => format!("{}, refused", begun.old),
            None => format!("{}, in no store any more, so REDCap was not asked", begun.old),
        },
    );
    line("new token", begun.new.as_deref().unwrap_or_default());
    line(
        "same project",
        if evidence.same_project { "yes" } else { "not known: one of the two tokens may not read it" },
    );
    line(
        "same user",
        match evidence.user {
            "self" => {
                "the list of users, read by the token itself, has the declared user, and the token does what that user may"
            }
            "checker" => "the list of users has the declared user, and the token does what that user may",
            "declared" => "declared, not verified",
            _ => "not known: REDCap does not say whose token it is",
        },
    );
    line(
        "no more rights",
        match evidence.rights {
            "self" => "as the token itself lists them",
            "checker" => "as the checker's token lists them",
            "probe" => "as far as REDCap let each of the two try them",
            _ => "not known: the old token was refused before it could be asked",
        },
    );
    line("without service", &finished.time());
    if finished.wiped {
        line("file", "overwritten and removed");
    }
    let message = format!("the token of `{name}` is rotated: the new one is in `{}` and was read back", begun.store);
    Value::list([
        ("state", "done".into()),
        ("message", message.into()),
        ("lines", Value::List(lines)),
        (
            "hints",
            vec!["other sessions find the new token at their next call; none has to be restarted".to_owned()].into(),
        ),
        ("row", Value::Table(row(begun, "done", Some(finished)))),
    ])
}

fn row(begun: &Begun, state: &str, finished: Option<&Finished>) -> Table {
    let text = |text: Option<&str>| Column::text([text]);
    let evidence = finished.map(|finished| &finished.evidence);
    let still = finished.map(|finished| finished.still.join(", ")).filter(|still| !still.is_empty());
    let real = |of: fn(&Finished) -> Option<f64>| Column::real([finished.and_then(of)]);
    Table {
        columns: vec![
            ("short_name".into(), text(Some(&begun.short_name))),
            ("token_name".into(), text(Some(&begun.token_name))),
            ("store".into(), text(Some(&begun.store))),
            ("state".into(), text(Some(state))),
            ("old_fingerprint".into(), text(Some(&begun.old))),
            ("fingerprint".into(), text(begun.new.as_deref().filter(|_| state != "waiting"))),
            ("from".into(), text(evidence.map(|evidence| evidence.how))),
            ("same_project".into(), Column::flag([evidence.and_then(|e| e.same_project.then_some(true))])),
            ("user_evidence".into(), text(evidence.map(|evidence| evidence.user))),
            ("rights_evidence".into(), text(evidence.map(|evidence| evidence.rights))),
            ("old_refused".into(), Column::flag([evidence.and_then(|evidence| evidence.old_refused)])),
            ("still_in".into(), text(still.as_deref())),
            ("shadowed_by".into(), text(finished.and_then(|finished| finished.shadowed_by.as_deref()))),
            ("seconds_at_least".into(), real(|finished| finished.at_least)),
            ("seconds_at_most".into(), real(|finished| finished.at_most)),
        ],
    }
}
