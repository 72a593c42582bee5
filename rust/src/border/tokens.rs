//! Operations on tokens: viewing and testing.

use super::arguments::{Arguments, Session};
use super::ctx;
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::net::io::{self, Task};
use crate::project::Project;
use crate::redcap::{BoundBy, Operation, Probe, blank, bound, by_token_name, may_go, probe, wanted};
use crate::store::{self, Asked, Environment, Found, Sighting};
use crate::token::Form;
use crate::value::{Column, Table, Value};

/// The project that an operation is about.
pub(super) fn project(arguments: &Arguments) -> Result<Project> {
    let value = arguments.value("project").ok_or_else(|| {
        Error::new(Kind::Argument, "`project` is missing").hint("make one with `setup_project()` or `load_project()`")
    })?;
    Project::from_value(value)
}

/// `view_token`: `project`. Answers one row of facts and the lines to print. Looks into all stores.
pub(super) fn view(arguments: &Arguments, session: &Session) -> Result<Task> {
    let project = project(arguments)?;
    let sandbox = session.is_sandbox(&project.redcap_uri);
    let ctx = ctx(session, Environment::take(&project.token_name))?;
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let (by, wanted) = match bound(&ctx, &project, sandbox) {
            Ok((entry, BoundBy::Registry)) => (Some(BoundBy::Registry), wanted(&ctx, &entry, sandbox)?),
            Ok((entry, by)) => (Some(by), by_token_name(&entry)),
            Err(error) if error.kind == Kind::Origin => (None, by_token_name(&project)),
            Err(error) => return Err(error),
        };
        // A call asks no other stores where one of them has to bind the token.
        let asked = by.map_or(Asked::All, BoundBy::asked);
        let mut seen = Seen::of(&ctx, store::look_everywhere_in(&ctx, &wanted, asked).await)?;
        let mut by = by;
        if by == Some(BoundBy::Store) && seen.hits.is_empty() {
            by = None;
            seen = Seen::of(&ctx, store::look_everywhere(&ctx, &wanted).await)?;
        }
        if let (Some(binds), Some(found)) = (by, seen.hits.first())
            && let Err(error) = may_go(binds, &project, found)
        {
            ctx.log.warning(error.message);
            by = None;
        } else if by.is_none() {
            ctx.log.note("this project is not set up here as the object says; a call with it would be refused");
        }
        if seen.hits.is_empty() {
            // Why a store had nothing to say is of interest to those who miss something.
            for remark in seen.remarks {
                ctx.log.once(remark);
            }
        }
        warn_of_others(&ctx, &project, &seen.hits);
        Ok(facts(&ctx, &project, seen.hits.first(), by))
    })
}

/// What the stores have under a name, in their order.
struct Seen {
    hits: Vec<Found>,
    remarks: Vec<String>,
}

impl Seen {
    /// # Errors
    /// What a call would fail with too: a store that fails before the first hit, so that the answer is not known.
    fn of(ctx: &Ctx, sightings: Vec<Sighting>) -> Result<Self> {
        let mut seen = Self { hits: Vec::new(), remarks: Vec::new() };
        let mut trouble = Vec::new();
        for Sighting { source, answer, remark } in sightings {
            seen.remarks.extend(remark);
            match answer {
                Ok(found) => seen.hits.extend(found),
                Err(error) => trouble.push((source, error)),
            }
        }
        let order = |source: &str| ctx.settings.order.iter().position(|name| name == source);
        let first_hit = seen.hits.first().and_then(|found| order(found.source));
        for (source, error) in trouble {
            let decides = !seen.hits.iter().any(|found| found.source == "sandbox")
                && (first_hit.is_none() || order(source) < first_hit);
            if decides {
                return Err(error);
            }
            ctx.log.warning(format!("`{source}` could not be asked: {}", error.message));
        }
        Ok(seen)
    }
}

/// The same name with different tokens in two stores: the first one counts, and somebody will be surprised.
fn warn_of_others(ctx: &Ctx, project: &Project, hits: &[Found]) {
    let Some((first, others)) = hits.split_first() else { return };
    let name = project.token_name.as_str();
    let print = first.secret.fingerprint();
    let shown = |found: &Found| match found.form {
        Form::Project => found.secret.fingerprint().to_string(),
        _ => found.form.as_str().to_owned(),
    };
    for other in others.iter().filter(|other| other.secret.fingerprint() != print) {
        ctx.log.warning(format!(
            "`{name}` holds different tokens in `{}` ({}) and in `{}` ({}); `{}` is used",
            first.source,
            shown(first),
            other.source,
            shown(other),
            first.source
        ));
    }
}

fn facts(ctx: &Ctx, project: &Project, found: Option<&Found>, by: Option<BoundBy>) -> Value {
    let name = project.token_name.as_str();
    // A fingerprint of something short, such as a password stored by mistake, could be guessed back.
    let print = found.filter(|f| f.form == Form::Project).map(|f| f.secret.fingerprint().to_string());
    let row = Table {
        columns: vec![
            ("token_name".into(), Column::text([Some(name)])),
            ("source".into(), Column::text([found.map(|f| f.source)])),
            ("is_set".into(), Column::flag([Some(found.is_some())])),
            ("form".into(), Column::text([found.map(|f| f.form.as_str())])),
            ("n_chars".into(), Column::int([found.map(|f| i32::try_from(f.secret.n_chars()).unwrap_or(i32::MAX))])),
            ("fingerprint".into(), Column::text([print.as_deref()])),
            ("bound_by".into(), Column::text([by.map(BoundBy::as_str)])),
        ],
    };
    let mut lines: Vec<(String, Value)> = vec![("token name".into(), name.into())];
    let mut line = |label: &str, text: String| lines.push((label.to_owned(), text.into()));
    if let Some(found) = found {
        line("source", found.source.to_owned());
        line("set", "yes".to_owned());
        let form = match &found.form {
            Form::Malformed { what, .. } => {
                format!("malformed: {what}; a token has {}", ctx.settings.token_form.describe())
            }
            Form::Super => "super token (64 characters): keycap does not use super tokens".to_owned(),
            Form::Project => "project token".to_owned(),
        };
        line("form", form);
        line("length", format!("{} characters", found.secret.n_chars()));
        // The mask has one length for all tokens: it says nothing.
        line("mask", "********".to_owned());
        line("fingerprint", print.unwrap_or_else(|| "none: a fingerprint is of a token only".to_owned()));
    } else {
        line("set", "no: blank (unset or empty) in every store".to_owned());
    }
    let origin = project.redcap_uri.origin();
    let bound = match (by, found) {
        (Some(BoundBy::Registry), _) => format!("to `{origin}` by your registry"),
        (Some(BoundBy::Site), _) => format!("to `{origin}` by the site's list of servers"),
        (Some(BoundBy::Store), Some(found)) => format!("to `{origin}` by the store `{}`", found.source),
        (Some(BoundBy::Store), None) | (None, _) => format!("not to `{origin}`: a call would be refused"),
    };
    line("bound", bound);
    let hints = if found.is_some() { Vec::new() } else { blank(ctx, project).hints };
    Value::list([("row", Value::Table(row)), ("lines", Value::List(lines)), ("hints", hints.into())])
}

/// `test_token`: `project`. Answers whether REDCap takes the token, and if not, why; what leaves the question
/// open is an error.
pub(super) fn test(arguments: &Arguments, session: &Session) -> Result<Task> {
    let project = project(arguments)?;
    let sandbox = session.is_sandbox(&project.redcap_uri);
    let ctx = ctx(session, Environment::take(&project.token_name))?;
    let client = ctx.net.client(&ctx.settings.net)?;
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let mut operation = Operation::new(&ctx, project.clone(), sandbox, client);
        match probe(&ctx, &project, &mut operation).await {
            Ok(found) => {
                if let Some(unconfined) = &found.unconfined {
                    ctx.log.warning(unconfined.clone());
                }
                Ok(works(&project, found))
            }
            Err(error) if matches!(error.kind, Kind::TokenRefused | Kind::TokenMissing | Kind::TokenForm) => {
                Ok(fails(&project, error))
            }
            Err(error) => Err(error),
        }
    })
}

fn works(project: &Project, found: Probe) -> Value {
    let mut project = project.clone();
    let name = project.token_name.as_str();
    let message = format!("REDCap accepts the token under `{name}`");
    let mut lines: Vec<(String, Value)> = Vec::new();
    let mut line = |label: &str, text: Option<String>| lines.extend(text.map(|text| (label.to_owned(), text.into())));
    line("server", Some(project.redcap_uri.origin().to_string()));
    line("REDCap version", Some(found.version));
    line("project id", found.project_id.clone());
    line("project title", found.project_title);
    line("fingerprint", found.fingerprint);
    line("API page", Some(found.api_page));
    line("remark", found.remark);
    line("access group", found.unconfined.clone().or(found.confined));
    if found.project_id.is_some() {
        project.project_id = found.project_id;
    }
    Value::list([
        ("works", true.into()),
        ("reason", Value::Nothing),
        ("message", message.into()),
        ("hints", Value::List(Vec::new())),
        ("lines", Value::List(lines)),
        ("project", project.to_value()),
    ])
}

fn fails(project: &Project, error: Error) -> Value {
    Value::list([
        ("works", false.into()),
        ("reason", error.kind.as_str().into()),
        ("message", error.message.into()),
        ("hints", error.hints.into()),
        ("lines", Value::List(Vec::new())),
        ("project", project.to_value()),
    ])
}
