//! The audit log against REDCap's own log.

use std::collections::HashSet;
use std::time::{Duration, UNIX_EPOCH};

use super::arguments::{Arguments, Session, wrong};
use super::audit::{folders, moment};
use super::ctx;
use super::tokens::project;
use crate::audit::{self, Filter};
use crate::ctx::{Ctx, Events};
use crate::error::{Error, Kind, Result};
use crate::net::io::{self, Task};
use crate::project::{Project, Registries};
use crate::records::{self, Got, Type, give_types};
use crate::redcap::{
    Ask, Expect, Logged, Made, Operation, Plan, Reconciled, Request, Span, header_time, identify, reconcile,
};
use crate::store::Environment;
use crate::value::{Column, Table, Value};

/// No zone is farther from UTC than that, in seconds; what was called around the span helps to find the server's.
const FARTHEST: f64 = 15.0 * 3600.0;
/// The last second of the year 9999.
const LAST: f64 = 253_402_300_799.0;

/// A project whose token is to be used, made ready on the host's thread.
struct Ready {
    ctx: Ctx,
    hint: Project,
    operation: Operation,
}

impl Ready {
    fn new(hint: Project, session: &Session) -> Result<Self> {
        let ctx = ctx(session, Environment::take(&hint.token_name))?;
        let client = ctx.net.client(&ctx.settings.net)?;
        let operation = Operation::new(&ctx, hint.clone(), session.is_sandbox(&hint.redcap_uri), client);
        Ok(Self { ctx, hint, operation })
    }

    fn with(self, log: &Events) -> Self {
        Self { ctx: Ctx { log: log.clone(), ..self.ctx }, ..self }
    }

    /// REDCap's number of the project that the token opens.
    async fn id(&mut self) -> Result<String> {
        let asked = self.operation.collect(&Request::read("project", Expect::Json), 4 << 20).await;
        let entry = self.operation.project().clone();
        Ok(identify(&self.ctx, &entry, self.hint.project_id.as_deref(), &asked?)?.id)
    }

    /// REDCap's log, newest first.
    async fn log(&mut self, begin: String, end: Option<String>) -> Result<Table> {
        let parameters = vec![("beginTime".to_owned(), Some(begin).into()), ("endTime".to_owned(), end.into())];
        let plan = Plan::new(Ask { content: "log".to_owned(), parameters, ..Ask::default() })?;
        match records::answer(&self.ctx, &mut self.operation, plan).await {
            Ok(Got::Table(table)) => Ok(table),
            Ok(_) => Err(strange()),
            Err(error) if error.kind == Kind::Redcap => Err(error
                .hint("reading REDCap's log takes the rights `api_export` and `logging`")
                .hint("`read_by` is a project that is set up with the token of somebody who has them, for the same REDCap project")),
            Err(error) => Err(error),
        }
    }
}

/// `reconcile_audit_log`: `project`, `since`, `until` (seconds since 1970), `read_by` (a project, optional: its token
/// reads REDCap's log), `paths` (as for `audit_log`). Answers `events`, a table with `time`, `what`, `user`, `verdict`,
/// `entry`, `remark`; `ahead`, the minutes that the server's clock is ahead of UTC; `not_logged` and `of_others`, numbers.
pub(super) fn run(arguments: &Arguments, session: &Session) -> Result<Task> {
    let since = moment(arguments, "since")?.ok_or_else(|| wrong("since", "is missing: a date or a time"))?;
    let until = moment(arguments, "until")?;
    if until.is_some_and(|until| until <= since) {
        return Err(wrong("until", "must be later than `since`"));
    }
    let given = arguments.texts("paths")?;
    let own = Ready::new(project(arguments)?, session)?;
    let sandbox = session.is_sandbox(&own.hint.redcap_uri);
    let reader = match arguments.value("read_by") {
        None => None,
        Some(value) => Some(Ready::new(Project::from_value(value)?, session)?),
    };
    io::start(move |log| async move {
        let mut own = own.with(&log);
        let mut reader = reader.map(|reader| reader.with(&log));
        let read = read(&mut own, reader.as_mut(), since, until).await;
        // Whatever came of it, what was called is durable before anything is said.
        let mut written = own.operation.finish().await;
        if let Some(reader) = &reader {
            written = written.and(reader.operation.finish().await);
        }
        let lines = lines(read?)?;
        written?;
        let entry = Registries::new(&own.ctx.dirs).find(&own.hint.short_name)?.map(|(_, entry)| entry);
        let project = entry.unwrap_or(own.hint);
        let ctx = own.ctx;
        io::blocking(move || {
            let now = ctx.clock.now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
            let until = until.unwrap_or(LAST);
            let filter = Filter { since: Some(since - FARTHEST), until: Some(until + FARTHEST), ..Filter::default() };
            let (table, unread) = audit::table(&folders(&ctx, given, sandbox), &filter)?;
            if unread > 0 {
                ctx.log.warning(format!("lines that are no entries: {unread}; `verify_audit_log()` shows the first"));
            }
            let made = made(&table, &project);
            let user = project.redcap_user.as_deref();
            Ok(answer(&reconcile(&made, &lines, user, &Span { since, until, now })))
        })
        .await
    })
}

async fn read(own: &mut Ready, reader: Option<&mut Ready>, since: f64, until: Option<f64>) -> Result<Table> {
    let begin = minute(since - FARTHEST);
    let end = until.map(|until| minute(until + FARTHEST));
    let Some(reader) = reader else { return own.log(begin, end).await };
    let wrong = |message: &str| {
        Err(Error::new(Kind::Argument, message)
            .hint("`read_by` is a project that is set up with another token for the same REDCap project")
            .field("argument", "read_by"))
    };
    if own.hint.redcap_uri.origin() != reader.hint.redcap_uri.origin() {
        return wrong("the project in `read_by` is on another server");
    }
    let known = Registries::new(&own.ctx.dirs).find(&own.hint.short_name)?.and_then(|(_, entry)| entry.project_id);
    let id = match known {
        Some(id) => id,
        None => own.id().await?,
    };
    if reader.id().await? != id {
        return wrong("the token of `read_by` opens another REDCap project");
    }
    reader.log(begin, end).await
}

/// `YYYY-MM-DD HH:MM`.
fn minute(seconds: f64) -> String {
    let time = audit::utc(UNIX_EPOCH + Duration::from_secs_f64(seconds.clamp(0.0, LAST)));
    time.get(..16).unwrap_or_default().replace('T', " ")
}

fn strange() -> Error {
    Error::new(Kind::NotRedcap, "the answer is not what REDCap gives as its log")
        .hint("check `redcap_uri`: the API address ends in `/api/`")
}

fn lines(mut table: Table) -> Result<Vec<Logged>> {
    if table.columns.is_empty() {
        return Ok(Vec::new());
    }
    if !give_types(&mut table, &[("timestamp", Type::DateTime)], "UTC").is_empty() {
        return Err(strange());
    }
    let column = |name: &str| column(&table, name).ok_or_else(strange);
    let (times, users, actions, details) =
        (column("timestamp")?, column("username")?, column("action")?, column("details")?);
    let text = |column: &Column, row| column.text_at(row).unwrap_or_default().to_owned();
    (0..times.len())
        .map(|row| {
            Ok(Logged {
                clock: real(times, row).ok_or_else(strange)?,
                user: text(users, row),
                action: text(actions, row),
                details: text(details, row),
            })
        })
        .collect()
}

/// The calls of the log that were made for the project: under its name, or to the same REDCap project under another name
/// with one of its tokens or as its user.
fn made(table: &Table, project: &Project) -> Vec<Made> {
    let text = |name: &str, row| column(table, name).and_then(|column| column.text_at(row));
    let number = |name: &str, row| column(table, name).and_then(|column| real(column, row));
    let rows = table.columns.first().map_or(0, |(_, column)| column.len());
    let origin = project.redcap_uri.origin().to_string();
    let id = project.project_id.as_deref().and_then(|id| id.parse::<f64>().ok());
    let is_named = |row: &usize| text("project", *row) == Some(project.short_name.as_str());
    let tokens: HashSet<_> = (0..rows).filter(is_named).filter_map(|row| text("fingerprint", row)).collect();
    let is_of = |row: &usize| {
        let row = *row;
        let user = match (project.redcap_user.as_deref(), text("redcap_user", row)) {
            (Some(one), Some(other)) => Some(one.eq_ignore_ascii_case(other)),
            _ => None,
        };
        let same_id = id.is_some() && number("project_id", row).map(f64::to_bits) == id.map(f64::to_bits);
        let same_token = || text("fingerprint", row).is_some_and(|print| tokens.contains(print));
        let is_ours = if is_named(&row) {
            user != Some(false)
        } else {
            same_id && user != Some(false) && (user == Some(true) || same_token())
        };
        is_ours && text("kind", row) == Some("call") && text("origin", row) == Some(origin.as_str())
    };
    (0..rows)
        .filter(is_of)
        .filter_map(|row| {
            let time = number("time", row)?;
            let took = number("seconds", row).unwrap_or_default();
            // The server's clock where it told its time: ours may be wrong.
            let (begin, end) = match text("server_date", row).and_then(header_time) {
                Some(date) => (date - took.ceil(), date),
                None => (time, time + took),
            };
            let ids = text("record_ids", row).map(|ids| ids.split(' ').count() as u64);
            Some(Made {
                action: text("action", row)?.to_owned(),
                begin,
                end,
                outcome: text("outcome", row).map(str::to_owned),
                records: ids.or_else(|| number("records", row).map(|records| records as u64)),
                user: text("redcap_user", row).map(str::to_owned),
                entry: number("entry", row),
            })
        })
        .collect()
}

fn column<'a>(table: &'a Table, name: &str) -> Option<&'a Column> {
    table.columns.iter().find(|(known, _)| known == name).map(|(_, column)| column)
}

fn real(column: &Column, row: usize) -> Option<f64> {
    match column {
        Column::Real(cells) | Column::DateTime { seconds: cells, .. } => {
            cells.get(row).copied().filter(|cell| !cell.is_nan())
        }
        _ => None,
    }
}

fn answer(found: &Reconciled) -> Value {
    let events = &found.events;
    let columns = [
        ("time", Column::DateTime { seconds: events.iter().map(|event| event.time).collect(), zone: "UTC".to_owned() }),
        ("what", Column::text(events.iter().map(|event| Some(&event.what)))),
        ("user", Column::text(events.iter().map(|event| event.user.as_deref()))),
        ("verdict", Column::text(events.iter().map(|event| Some(event.verdict.as_str())))),
        ("entry", Column::real(events.iter().map(|event| event.entry))),
        ("remark", Column::text(events.iter().map(|event| event.remark.as_deref()))),
    ];
    Value::list([
        ("events", Value::Table(Table { columns: columns.map(|(name, column)| (name.to_owned(), column)).into() })),
        ("ahead", found.ahead.map_or(Value::Nothing, |minutes| Value::Whole(i64::from(minutes)))),
        ("not_logged", Value::Real(found.not_logged as f64)),
        ("of_others", Value::Real(found.of_others as f64)),
    ])
}
