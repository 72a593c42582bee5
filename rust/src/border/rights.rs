//! Operations on what a token may do, and on where it is confined to.

use super::arguments::{Arguments, Session, wrong};
use super::audited::audited;
use super::ctx;
use super::tokens::project;
use crate::audit::Change;
use crate::ctx::{Ctx, Events};
use crate::error::Result;
use crate::net::io::{self, Task};
use crate::project::{Project, Registries, unknown};
use crate::redcap::Operation;
use crate::rights::{self, Account, Accounts, Graded, Needs, Token, day, today};
use crate::store::Environment;
use crate::value::{Column, Table, Value};

/// A stated text may be this long.
const LONGEST: usize = 100;

/// A stated text: a name, a rule.
pub(super) fn short(arguments: &Arguments, name: &str) -> Result<Option<String>> {
    let text = arguments.optional_text(name)?;
    if text.as_ref().is_some_and(|text| text.chars().count() > LONGEST || text.chars().any(char::is_control)) {
        return Err(wrong(name, "is a text of one line, 100 characters at most"));
    }
    Ok(text)
}

/// A project whose token is to be used, made ready on the host's thread.
pub(super) struct Ready {
    ctx: Ctx,
    project: Project,
    operation: Operation,
}

impl Ready {
    fn new(project: Project, session: &Session) -> Result<Self> {
        let ctx = ctx(session, Environment::take(&project.token_name))?;
        let client = ctx.net.client(&ctx.settings.net)?;
        let operation = Operation::new(&ctx, project.clone(), session.is_sandbox(&project.redcap_uri), client);
        Ok(Self { ctx, project, operation })
    }

    pub(super) fn token(self, log: &Events) -> Token {
        Token::new(Ctx { log: log.clone(), ..self.ctx }, self.operation, self.project)
    }
}

/// `checked_by`: another project object on the same REDCap project.
pub(super) fn checker(arguments: &Arguments, session: &Session) -> Result<Option<Ready>> {
    arguments.value("checked_by").map(|value| Ready::new(Project::from_value(value)?, session)).transpose()
}

/// `check_rights`: `project`, `needs` (rights and purposes), `checked_by` (a project, optional). Answers `rights`, a
/// table with `right`, `held`, `needed`, `verdict`, `evidence`, `remark`; `flags`, texts; `short_name`.
pub(super) fn check(arguments: &Arguments, session: &Session) -> Result<Task> {
    let needs = Needs::parse(&arguments.texts("needs")?)?;
    let ready = Ready::new(project(arguments)?, session)?;
    let checker = checker(arguments, session)?;
    io::start(move |log| async move {
        let name = ready.project.short_name.as_str().to_owned();
        let checker = checker.map(|checker| checker.token(&log));
        let facts = Box::pin(rights::facts(ready.token(&log), checker)).await?;
        let Graded { rows, flags } = rights::grade(&facts, &needs);
        let table = Table {
            columns: vec![
                ("right".into(), Column::text(rows.iter().map(|row| Some(&row.right)))),
                ("held".into(), Column::text(rows.iter().map(|row| row.held.as_deref()))),
                ("needed".into(), Column::text(rows.iter().map(|row| row.needed))),
                ("verdict".into(), Column::text(rows.iter().map(|row| Some(row.verdict.as_str())))),
                ("evidence".into(), Column::text(rows.iter().map(|row| row.evidence))),
                ("remark".into(), Column::text(rows.iter().map(|row| row.remark.as_deref()))),
            ],
        };
        Ok(Value::list([("rights", Value::Table(table)), ("flags", flags.into()), ("short_name", name.into())]))
    })
}

/// `check_dag`: `project`, `dag` (the project's own where it is not given), `checked_by`, `read_ids`. Answers
/// `short_name`, `dag`, `answer`, `confined` (yes, no, or nothing where it cannot be told), `group` (another one, where
/// it is that) and the table `evidence` with `source`, `evidence`, `says`.
pub(super) fn confined(arguments: &Arguments, session: &Session) -> Result<Task> {
    let dag = arguments.optional_text("dag")?;
    let read_ids = arguments.flag("read_ids")?;
    let ready = Ready::new(project(arguments)?, session)?;
    let checker = checker(arguments, session)?;
    io::start(move |log| async move {
        let name = ready.project.short_name.as_str().to_owned();
        let checker = checker.map(|checker| checker.token(&log));
        let (seen, dag) = Box::pin(rights::confinement(ready.token(&log), checker, dag, read_ids)).await?;
        let (answer, said) = rights::judge(&seen, &dag);
        let evidence = Table {
            columns: vec![
                ("source".into(), Column::text(said.iter().map(|said| Some(said.source)))),
                ("evidence".into(), Column::text(said.iter().map(|said| Some(said.evidence)))),
                ("says".into(), Column::text(said.iter().map(|said| Some(&said.says)))),
            ],
        };
        Ok(Value::list([
            ("short_name", name.into()),
            ("answer", answer.words(&dag).into()),
            ("confined", answer.confined().into()),
            ("group", answer.group(&dag).into()),
            ("dag", dag.into()),
            ("evidence", Value::Table(evidence)),
        ]))
    })
}

/// `declare_account`: `project`, `api_only`, `inactivity`, `dag_switcher`, `by`, `until` (`YYYY-MM-DD`). What it says of
/// the account of the project's token is kept with the registry. Answers `short_name`.
pub(super) fn declare(arguments: &Arguments, session: &Session) -> Result<Task> {
    let hint = project(arguments)?;
    let short = |name: &str| short(arguments, name);
    let by = short("by")?.ok_or_else(|| wrong("by", "is missing: the name of the person who states it"))?;
    let until = arguments.text("until")?;
    let last = day(&until).ok_or_else(|| wrong("until", "is a day, `YYYY-MM-DD`"))?;
    let given = |name: &str| arguments.value(name).map(|_| arguments.flag(name)).transpose();
    let (api_only, dag_switcher, inactivity) = (given("api_only")?, given("dag_switcher")?, short("inactivity")?);
    if api_only.is_none() && dag_switcher.is_none() && inactivity.is_none() {
        return Err(wrong("api_only", "is not given, nor is `inactivity` or `dag_switcher`: nothing is stated"));
    }
    let sandbox = session.is_sandbox(&hint.redcap_uri);
    let ctx = ctx(session, Environment::empty())?;
    // One day less, since the day of the person may have begun, or ended, elsewhere.
    if last + 1 < today(ctx.clock.now()) {
        return Err(wrong("until", "is over: name the day up to which it is stated"));
    }
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let registries = Registries::new(&ctx.dirs);
        let found = registries.find(&hint.short_name)?;
        let (kept, entry) = found.ok_or_else(|| unknown(&hint.short_name, &registries))?;
        let name = entry.short_name.as_str().to_owned();
        if entry.redcap_user.is_none() {
            ctx.log.warning(format!(
                "`{name}` is set up without `redcap_user`: what is stated is of an account without a name"
            ));
        }
        let change = Change {
            action: "declare_account",
            project: Some(name.clone()),
            token_name: Some(entry.token_name.as_str().to_owned()),
            detail: Some(format!("stated by {by} until {until}")),
            ..Change::default()
        };
        let mut account = Account::of(&entry, by, until);
        (account.api_only, account.inactivity, account.dag_switcher) = (api_only, inactivity, dag_switcher);
        let accounts = Accounts::new(&ctx.dirs, kept);
        // A statement takes the place of the one before, whole: it has one name and one day.
        if let Some(before) = accounts.find(&entry)? {
            let gone = [
                ("api_only", before.api_only.is_some() && account.api_only.is_none()),
                ("inactivity", before.inactivity.is_some() && account.inactivity.is_none()),
                ("dag_switcher", before.dag_switcher.is_some() && account.dag_switcher.is_none()),
            ];
            let gone: Vec<String> =
                gone.iter().filter(|(_, lost)| *lost).map(|(name, _)| format!("`{name}`")).collect();
            if !gone.is_empty() {
                ctx.log.warning(format!(
                    "what was stated before of {} counts no longer: state it in the same call",
                    gone.join(" and ")
                ));
            }
        }
        let written = async { io::blocking(move || accounts.put(&entry, account)).await };
        audited(&ctx, sandbox, change, written).await?;
        Ok(Value::list([("short_name", name.into())]))
    })
}
