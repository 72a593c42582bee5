//! Operations on policies: setting them, how things stand with them, and letting an idle token go on.

use toml::Value as Item;

use super::arguments::{Arguments, Session, wrong};
use super::audited::audited;
use super::many::{All, Later};
use super::rights::{checker, short};
use super::stores::table;
use super::tokens::project;
use super::{ctx, run_blocking, settings};
use crate::audit;
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::net::io::{self, Task};
use crate::project::{Edit, Grant, Grants, Policy, Project, Registries, SettingWish as Wish, unknown};
use crate::redcap::{
    Age, Ages, Call, Check, Checked, Finding, Operation, Rule, State, judge, known, seconds, side_by_side,
};
use crate::rights::{self, Asked, Birth, Graded, Needs, Status, Token, Verdict, day, today};
use crate::store::{self, Environment};
use crate::token::ShortName;
use crate::value::{Column, Table, Value};

/// A grant lasts so many days at most.
const LONGEST_GRANT: i64 = 366;

/// The policy in an argument, checked. Stores and rights are checked here too, where they are known.
fn policy(arguments: &Arguments) -> Result<Policy> {
    let value = arguments.value("policy").ok_or_else(|| wrong("policy", "is missing: `token_policy()` makes one"))?;
    let policy = Policy::parse(table("policy", value)?)?;
    store::known("stores", policy.stores.as_deref().unwrap_or_default())?;
    policy.needs.as_deref().map(Needs::parse).transpose()?;
    Ok(policy)
}

fn to_value(policy: &Policy) -> Value {
    let item = |value: &Item| match value {
        Item::Boolean(flag) => Value::from(*flag),
        Item::Array(items) => items.iter().filter_map(Item::as_str).map(str::to_owned).collect::<Vec<_>>().into(),
        other => Value::from(other.as_str().unwrap_or_default()),
    };
    Value::List(policy.to_toml().iter().map(|(name, value)| (name.clone(), item(value))).collect())
}

/// `token_policy`: `policy`, a list. Answers it as it will stand in the settings.
pub(super) fn read(arguments: &Arguments, session: &Session) -> Result<Task> {
    let policy = policy(arguments)?;
    run_blocking(ctx(session, Environment::empty())?, move |_| Ok(to_value(&policy)))
}

/// `set_policy`: `policy`, a list (an empty one takes the policy away), and `project`, a short name, for that of one
/// project. Answers the file, and the policy that counts now.
pub(super) fn set(arguments: &Arguments, session: &Session) -> Result<Task> {
    let policy = policy(arguments)?;
    let name = arguments.optional_text("project")?.map(|name| ShortName::new(&name)).transpose()?;
    let registries = Registries::new(&session.dirs);
    if let Some(name) = name.as_ref().filter(|_| !policy.is_empty())
        && registries.find(name)?.is_none()
    {
        return Err(unknown(name, &registries));
    }
    let wish = match &name {
        None => Wish { name: "policy", to: Some(Item::Table(policy.to_toml())) },
        Some(name) => {
            let own = [(name.as_str().to_owned(), Item::Table(policy.to_toml()))];
            Wish { name: "project_policies", to: Some(Item::Table(own.into_iter().collect())) }
        }
    };
    let (words, project) = (policy.words(), name.as_ref().map(|name| name.as_str().to_owned()));
    let entry = move |_: &Edit| audit::Change {
        action: "set_policy",
        project,
        detail: Some(words),
        ..audit::Change::default()
    };
    settings::change(session, vec![wish], "the policy", entry, move |ctx, edit| {
        let policies = &edit.settings.policies;
        for ignored in &policies.ignored {
            ctx.log.note(ignored.clone());
        }
        let counts = name.map_or_else(|| policies.all.clone(), |name| policies.of(name.as_str()));
        ("policy", to_value(&counts))
    })
}

/// `reauthorize_project`: `project`, `until` (`YYYY-MM-DD`), `by`. Answers `short_name` and `until`.
pub(super) fn reauthorize(arguments: &Arguments, session: &Session) -> Result<Task> {
    let hint = project(arguments)?;
    let by = short(arguments, "by")?.ok_or_else(|| wrong("by", "is missing: the name of the person who gives it"))?;
    let until = arguments.text("until")?;
    let last = day(&until).ok_or_else(|| wrong("until", "is a day, `YYYY-MM-DD`"))?;
    let sandbox = session.is_sandbox(&hint.redcap_uri);
    let ctx = ctx(session, Environment::empty())?;
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let now = ctx.clock.now();
        let left = last - today(now);
        if !(0..=LONGEST_GRANT).contains(&left) {
            return Err(wrong("until", "is today or later, and a year from now at most"));
        }
        let registries = Registries::new(&ctx.dirs);
        let found = registries.find(&hint.short_name)?;
        let (kept, entry) = found.ok_or_else(|| unknown(&hint.short_name, &registries))?;
        let change = audit::Change {
            action: "reauthorize_project",
            project: Some(entry.short_name.as_str().to_owned()),
            token_name: Some(entry.token_name.as_str().to_owned()),
            detail: Some(format!("granted by {by} until {until}")),
            ..audit::Change::default()
        };
        let name = entry.short_name.as_str().to_owned();
        if ctx.settings.policies.of(&name).max_idle.is_none() {
            ctx.log.note(format!("no policy sets `max_idle` for `{name}`, so nothing asks for this yet"));
        }
        let grant = Grant::of(&entry, by, until.clone(), last, now);
        let grants = Grants::new(&ctx.dirs, kept);
        let kept = async { io::blocking(move || grants.put(&entry, grant)).await };
        audited(&ctx, sandbox, change, kept).await?;
        Ok(Value::list([("short_name", name.into()), ("until", until.into())]))
    })
}

/// `policy_status`: `projects` (a list of projects and short names), `checked_by` (a project, optional). Answers a table
/// with one row for each rule of each project's policy: `short_name`, `rule` (nothing where no policy asks for anything,
/// or where something failed), `limit`, `state`, `days_left`, `calls`, `evidence`, `message`, `remedy`.
pub(super) fn status(arguments: &Arguments, session: &Session) -> Result<Task> {
    let all = All::read(arguments, session, ctx(session, Environment::empty())?)?;
    let checkers = all.names().iter().map(|_| checker(arguments, session)).collect::<Result<Vec<_>>>()?;
    let checkers = std::sync::Mutex::new(checkers);
    io::start(move |log| async move {
        let names = all.names();
        let operations = all.each(&log, |n, ctx, project, operation| {
            let ready = checkers.lock().ok().and_then(|mut all| all.get_mut(n).and_then(Option::take));
            let checker = ready.map(|ready| ready.token(&ctx.log));
            Box::pin(async move { Ok(Box::pin(stands(ctx, project, operation, checker)).await) }) as Later<_>
        });
        let results = side_by_side(operations).await;
        let rows: Vec<_> = names
            .iter()
            .zip(results)
            .flat_map(|(name, (result, _))| {
                let lines = result.unwrap_or_else(|error| vec![Line::failed(&error)]);
                lines.into_iter().map(move |line| (name.as_str(), line))
            })
            .collect();
        Ok(Value::Table(table_of(&rows)))
    })
}

/// A row of the answer.
struct Line {
    rule: Option<&'static str>,
    limit: Option<String>,
    state: State,
    days_left: Option<f64>,
    call: Option<Call>,
    evidence: Option<String>,
    message: String,
    remedy: Option<String>,
}

impl Line {
    fn of(finding: Finding) -> Self {
        Self {
            rule: Some(finding.rule.as_str()),
            limit: Some(finding.limit),
            state: finding.state,
            // To the minute: the rest is noise.
            days_left: finding.days_left.map(|days| (days * 1440.0).floor() / 1440.0),
            call: Some(finding.call),
            evidence: finding.evidence,
            message: finding.says,
            remedy: finding.remedy,
        }
    }

    fn said(state: State, message: String) -> Self {
        let (limit, evidence, remedy) = (None, None, None);
        Self { rule: None, limit, state, days_left: None, call: None, evidence, message, remedy }
    }

    fn failed(error: &Error) -> Self {
        let remedy = error.hints.first().cloned();
        Self { remedy, ..Self::said(State::Unknown, error.message.clone()) }
    }
}

/// How things stand with the policy of one project. What REDCap cannot be asked is told by what was found before, with
/// a line that says why.
async fn stands(ctx: Ctx, hint: Project, mut operation: Operation, checker: Option<Token>) -> Vec<Line> {
    let looked = operation.look().await;
    let project = operation.project().clone();
    let policy = ctx.settings.policies.of(project.short_name.as_str());
    let mut lines: Vec<Line> = Vec::new();
    if policy.is_empty() {
        return vec![Line::said(State::Ok, "no policy asks for anything".to_owned())];
    }
    let anchored = operation.anchored(&policy).await;
    let (source, print) = match (looked, operation.source(), operation.fingerprint()) {
        (Ok(()), Some(source), Some(print)) => (source.to_owned(), print),
        (looked, ..) => {
            let findings = judge(&policy, &project, ctx.clock.now(), anchored.as_ref(), None);
            let none = || Error::new(Kind::TokenMissing, "there is no token");
            lines.push(Line::failed(&looked.err().unwrap_or_else(none)));
            lines.extend(findings.into_iter().map(Line::of));
            return lines;
        }
    };
    let sandbox = operation.is_sandbox();
    let token = Token::new(ctx.clone(), operation, hint);
    let mut no_birth = None;
    match Box::pin(ask(&ctx, &policy, &project, token, checker, &print, sandbox)).await {
        Ok(why) => no_birth = why,
        Err(error) => lines.push(Line::failed(&Error {
            message: format!("REDCap could not be asked, so what is below is as old as it says: {}", error.message),
            ..error
        })),
    }
    match known(&ctx, &policy, &project, sandbox, &source, &print).await {
        Ok(known) => {
            let mut findings = judge(&policy, &project, ctx.clock.now(), anchored.as_ref(), Some(&known));
            let is_open = matches!(known.age, Age::AtLeast { .. });
            let age = findings.iter_mut().find(|finding| finding.rule == Rule::MaxAge && is_open);
            if let (Some(evidence), Some(why)) = (age.and_then(|finding| finding.evidence.as_mut()), no_birth) {
                evidence.push_str(": ");
                evidence.push_str(why);
            }
            lines.extend(findings.into_iter().map(Line::of));
        }
        Err(error) => lines.push(Line::failed(&error)),
    }
    lines
}

/// Asks REDCap what the policy wants to know, and keeps it. Answers why it does not say when the token was made.
async fn ask(
    ctx: &Ctx,
    policy: &Policy,
    project: &Project,
    token: Token,
    checker: Option<Token>,
    print: &str,
    sandbox: bool,
) -> Result<Option<&'static str>> {
    let now = ctx.clock.now();
    let (for_work, of, name) = (ctx.clone(), project.clone(), print.to_owned());
    let seen = io::blocking(move || Ages::of(&for_work, &of, sandbox).seen(&name, now)).await?;
    let asked = Asked {
        needs: policy.needs.as_deref().map(Needs::parse).transpose()?,
        dag: project.dag.clone().filter(|_| policy.dag == Some(true)),
        age: policy.max_age.is_some(),
    };
    if asked.needs.is_none() && asked.dag.is_none() && !asked.age {
        return Ok(None);
    }
    let first_seen = match seen {
        Age::AtLeast { since, .. } | Age::Exact { since, .. } => since,
        Age::Unknown(_) => now,
    };
    let status = rights::status(token, checker, asked, first_seen).await?;
    let (needs, dag) = (policy.needs.clone().unwrap_or_default(), project.dag.clone().unwrap_or_default());
    let why = match status.birth {
        Some(Birth::Unknown(why)) => Some(why),
        _ => None,
    };
    let (ctx, project, name) = (ctx.clone(), project.clone(), print.to_owned());
    io::blocking(move || keep(&Ages::of(&ctx, &project, sandbox), &name, &status, &needs, &dag, seconds(now))).await?;
    Ok(why)
}

fn keep(ages: &Ages, print: &str, status: &Status, needs: &[String], dag: &str, now: u64) -> Result<()> {
    let found = |asked: String, good, says| Checked { asked, good, says, at: now, since: now };
    if let Some(graded) = &status.rights {
        let (good, says) = verdict(graded);
        ages.checked(print, Check::Rights, found(needs.join(", "), good, says))?;
    }
    if let Some(answer) = &status.group {
        let says = answer.sentence(dag);
        ages.checked(print, Check::Group, found(dag.to_owned(), answer.confined(), says))?;
    }
    if let Some(Birth::At(at, evidence)) = status.birth {
        ages.created(print, at, evidence)?;
    }
    Ok(())
}

/// Whether a token may do what it must and no more. What is not a right of REDCap's says nothing here.
fn verdict(graded: &Graded) -> (Option<bool>, String) {
    const OTHERS: [&str; 6] = ["user", "role", "expiration", "api_only", "inactivity", "dag_switcher"];
    let rows = || graded.rows.iter().filter(|row| !OTHERS.contains(&row.right.as_str()));
    let named = |verdict: Verdict| {
        let rights: Vec<_> = rows().filter(|row| row.verdict == verdict).map(|row| row.right.as_str()).collect();
        let shown = rights[..rights.len().min(5)].join(", ");
        match rights.len() {
            0 => None,
            1..=5 => Some(shown),
            n => Some(format!("{shown} and {} more", n - 5)),
        }
    };
    match (named(Verdict::Excess), named(Verdict::Unknown), named(Verdict::Missing)) {
        (Some(excess), ..) => (Some(false), format!("the token may do more than it is needed for: {excess}")),
        (None, Some(_), _) => (None, "it is not known what the token may do".to_owned()),
        // A policy says what a token may do at most.
        (None, None, Some(missing)) => {
            (Some(true), format!("the token may do no more than it is needed for, and lacks: {missing}"))
        }
        (None, None, None) => (Some(true), "the token may do what it is needed for, and no more".to_owned()),
    }
}

fn table_of(rows: &[(&str, Line)]) -> Table {
    fn text<'a>(rows: &'a [(&str, Line)], of: impl Fn(&'a Line) -> Option<&'a str>) -> Column {
        Column::text(rows.iter().map(|(_, line)| of(line)))
    }
    Table {
        columns: vec![
            ("short_name".into(), Column::text(rows.iter().map(|(name, _)| Some(*name)))),
            ("rule".into(), text(rows, |line| line.rule)),
            ("limit".into(), text(rows, |line| line.limit.as_deref())),
            ("state".into(), text(rows, |line| Some(line.state.as_str()))),
            ("days_left".into(), Column::real(rows.iter().map(|(_, line)| line.days_left))),
            ("calls".into(), text(rows, |line| line.call.map(Call::as_str))),
            ("evidence".into(), text(rows, |line| line.evidence.as_deref())),
            ("message".into(), text(rows, |line| Some(&line.message))),
            ("remedy".into(), text(rows, |line| line.remedy.as_deref())),
        ],
    }
}
