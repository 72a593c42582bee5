//! Any call of REDCap's API, and the ones that people make every day under names of their own.

use std::path::PathBuf;

use super::arguments::{Arguments, Session, wrong};
use super::ctx;
use super::patience::be_patient;
use super::tokens::project;
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::net::io::{self, Task};
use crate::project::Project;
use crate::records::{self, Got, Type, give_types};
use crate::redcap::{Ask, Operation, Parameter, Plan, Shape, same_project};
use crate::store::Environment;
use crate::value::{Column, Table, Value};

/// Whole numbers up to here have a double of their own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// `call`: `project`, `content`, `parameters` (REDCap's own, by name), `as` (`data.frame`, `text` or `file`; without
/// it what suits the answer), `to` (a file or a folder), `file` (the full path of what `parameters` name so). Answers
/// `data`: a table, a text, or the path of a file.
pub(super) fn call(arguments: &Arguments, session: &Session) -> Result<Task> {
    let shape = match arguments.optional_text("as")?.as_deref() {
        None => None,
        Some("data.frame") => Some(Shape::Table),
        Some("text") => Some(Shape::Text),
        Some("file") => Some(Shape::File),
        Some(_) => return Err(wrong("as", "is `data.frame`, `text` or `file`")),
    };
    let ask = Ask {
        content: arguments.text("content")?,
        parameters: parameters(arguments)?,
        shape,
        to: path(arguments, "to")?,
        file: path(arguments, "file")?,
    };
    run(arguments, session, ask, |_, _, _| Ok(()))
}

/// `export_metadata`: `project`, `fields`, `forms`. Answers `data`, a table of texts.
pub(super) fn metadata(arguments: &Arguments, session: &Session) -> Result<Task> {
    let parameters = vec![given("fields", arguments.texts("fields")?), given("forms", arguments.texts("forms")?)];
    run(arguments, session, ask("metadata", parameters), |_, _, _| Ok(()))
}

/// `export_instruments`: `project`. Answers `data`, a table of texts.
pub(super) fn instruments(arguments: &Arguments, session: &Session) -> Result<Task> {
    run(arguments, session, ask("instrument", Vec::new()), |_, _, _| Ok(()))
}

/// `export_users`: `project`. Answers `data`: codes of rights are whole numbers, `expiration` a date.
pub(super) fn users(arguments: &Arguments, session: &Session) -> Result<Task> {
    run(arguments, session, ask("user", Vec::new()), |ctx, _, table| {
        say_types(ctx, &give_types(table, &USERS, "UTC"));
        Ok(())
    })
}

/// `project_info`: `project`. Answers `data`, one row: the id is a whole number, what is 0 or 1 a flag.
pub(super) fn information(arguments: &Arguments, session: &Session) -> Result<Task> {
    let hinted = project(arguments)?.project_id;
    run(arguments, session, ask("project", Vec::new()), move |ctx, entry, table| {
        let id = table.columns.iter().find(|(name, _)| name == "project_id").and_then(|(_, ids)| ids.text_at(0));
        let Some(id) = id.filter(|id| id.len() <= 12 && id.bytes().all(|b| b.is_ascii_digit())) else {
            return Err(Error::new(Kind::NotRedcap, "the answer is not what REDCap gives as project information")
                .hint("check `redcap_uri`: the API address ends in `/api/`"));
        };
        same_project(ctx, entry, hinted.as_deref(), id)?;
        say_types(ctx, &give_types(table, &PROJECT, "UTC"));
        Ok(())
    })
}

/// `export_log`: `project`, `begin`, `end` (`YYYY-MM-DD`, or with `HH:MM`), `type`, `user`, `record`, `dag`, `tz` (the
/// zone of the server's clock). Answers `data`; `timestamp` has the times.
pub(super) fn log(arguments: &Arguments, session: &Session) -> Result<Task> {
    let kind = arguments.optional_text("type")?;
    if kind.as_deref().is_some_and(|kind| !LOGS.contains(&kind)) {
        let all: Vec<_> = LOGS.iter().map(|kind| format!("`{kind}`")).collect();
        return Err(wrong("type", &format!("is one of {}", all.join(", "))));
    }
    let text = |name| arguments.optional_text(name).map(Parameter::from);
    let parameters = vec![
        ("beginTime".to_owned(), minute(arguments, "begin", "00:00")?.into()),
        ("endTime".to_owned(), minute(arguments, "end", "23:59")?.into()),
        ("logtype".to_owned(), kind.into()),
        ("user".to_owned(), text("user")?),
        ("record".to_owned(), id(arguments, "record")?.into()),
        ("dag".to_owned(), text("dag")?),
    ];
    let zone = arguments.optional_text("tz")?.unwrap_or_else(|| "UTC".to_owned());
    run(arguments, session, ask("log", parameters), move |ctx, _, table| {
        if table.columns.is_empty() {
            let none = Column::text(Vec::<Option<String>>::new());
            let names = ["timestamp", "username", "action", "details", "record"];
            table.columns = names.map(|name| (name.to_owned(), none.clone())).into();
        }
        say_types(ctx, &give_types(table, &[("timestamp", Type::DateTime)], &zone));
        Ok(())
    })
}

/// `export_file`: `project`, `record`, `field`, `event`, `repeat_instance`, `to` (a file or a folder). Answers `data`,
/// the path of the file.
pub(super) fn file(arguments: &Arguments, session: &Session) -> Result<Task> {
    let instance = match arguments.value("repeat_instance") {
        None => None,
        Some(_) => match arguments.whole("repeat_instance") {
            Ok(number @ 1..) => Some(number.to_string()),
            _ => return Err(wrong("repeat_instance", "is a whole number of at least 1")),
        },
    };
    let record = id(arguments, "record")?.ok_or_else(|| wrong("record", "is missing: the id of one record"))?;
    let parameters = vec![
        ("record".to_owned(), record.into()),
        ("field".to_owned(), arguments.text("field")?.into()),
        ("event".to_owned(), arguments.optional_text("event")?.into()),
        ("repeat_instance".to_owned(), instance.into()),
    ];
    let to = path(arguments, "to")?;
    run(arguments, session, Ask { to, ..ask("file", parameters) }, |_, _, _| Ok(()))
}

/// `next_record_name`: `project`. Answers `data`, a text.
pub(super) fn next_record(arguments: &Arguments, session: &Session) -> Result<Task> {
    run(arguments, session, ask("generateNextRecordName", Vec::new()), |_, _, _| Ok(()))
}

/// `redcap_version`: `project`. Answers `data`, a text.
pub(super) fn version(arguments: &Arguments, session: &Session) -> Result<Task> {
    run(arguments, session, ask("version", Vec::new()), |_, _, _| Ok(()))
}

/// The types of project information; everything else in it is text.
const PROJECT: [(&str, Type); 12] = [
    ("project_id", Type::Int),
    ("in_production", Type::Flag),
    ("is_longitudinal", Type::Flag),
    ("has_repeating_instruments_or_events", Type::Flag),
    ("surveys_enabled", Type::Flag),
    ("scheduling_enabled", Type::Flag),
    ("record_autonumbering_enabled", Type::Flag),
    ("randomization_enabled", Type::Flag),
    ("ddp_enabled", Type::Flag),
    ("display_today_now_button", Type::Flag),
    ("bypass_branching_erase_field_prompt", Type::Flag),
    ("mycap_enabled", Type::Flag),
];

/// The types of what is known of users: codes of rights are 0, 1, 2, and there may be others.
const USERS: [(&str, Type); 33] = [
    ("expiration", Type::Date),
    ("data_access_group_id", Type::Int),
    ("design", Type::Int),
    ("alerts", Type::Int),
    ("user_rights", Type::Int),
    ("data_access_groups", Type::Int),
    ("data_export", Type::Int),
    ("reports", Type::Int),
    ("stats_and_charts", Type::Int),
    ("manage_survey_participants", Type::Int),
    ("calendar", Type::Int),
    ("data_import_tool", Type::Int),
    ("data_comparison_tool", Type::Int),
    ("logging", Type::Int),
    ("email_logging", Type::Int),
    ("file_repository", Type::Int),
    ("data_quality_create", Type::Int),
    ("data_quality_execute", Type::Int),
    ("api_export", Type::Int),
    ("api_import", Type::Int),
    ("api_modules", Type::Int),
    ("mobile_app", Type::Int),
    ("mobile_app_download_data", Type::Int),
    ("record_create", Type::Int),
    ("record_rename", Type::Int),
    ("record_delete", Type::Int),
    ("lock_records_all_forms", Type::Int),
    ("lock_records", Type::Int),
    ("lock_records_customization", Type::Int),
    ("random_setup", Type::Int),
    ("random_dashboard", Type::Int),
    ("random_perform", Type::Int),
    ("mycap_participants", Type::Int),
];

/// The kinds of log entries that can be asked for.
const LOGS: [&str; 9] =
    ["export", "manage", "user", "record", "record_add", "record_edit", "record_delete", "lock_record", "page_view"];

fn ask(content: &str, parameters: Vec<(String, Parameter)>) -> Ask {
    Ask { content: content.to_owned(), parameters, ..Ask::default() }
}

/// A list, left out where it is empty.
fn given(name: &str, texts: Vec<String>) -> (String, Parameter) {
    (name.to_owned(), if texts.is_empty() { Parameter::Nothing } else { texts.into() })
}

/// Makes the call; `finish` has the last word on a table.
fn run(
    arguments: &Arguments,
    session: &Session,
    ask: Ask,
    finish: impl FnOnce(&Ctx, &Project, &mut Table) -> Result<()> + Send + 'static,
) -> Result<Task> {
    let project = project(arguments)?;
    let plan = Plan::new(ask)?;
    let sandbox = session.is_sandbox(&project.redcap_uri);
    let mut ctx = ctx(session, Environment::take(&project.token_name))?;
    if takes_time(&plan) {
        be_patient(&mut ctx.settings);
    }
    // A write is never sent twice, so it goes out on a connection that has not gone stale.
    let settings = &ctx.settings.net;
    let client = if plan.request.writes { ctx.net.fresh_client(settings) } else { ctx.net.client(settings) }?;
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let mut operation = Operation::new(&ctx, project, sandbox, client);
        let got = records::answer(&ctx, &mut operation, plan).await;
        let entry = operation.project().clone();
        let finished = operation.finish().await;
        let got = got?;
        finished?;
        let data = match got {
            Got::Table(mut table) => {
                finish(&ctx, &entry, &mut table)?;
                Value::Table(table)
            }
            Got::Text(text) => text.into(),
            Got::File(path) => path.display().to_string().into(),
        };
        Ok(Value::list([("data", data)]))
    })
}

/// Whether the answer may take long: a large read, or what brings data or a file along.
fn takes_time(plan: &Plan) -> bool {
    plan.takes_time() || (plan.request.writes && (plan.upload.is_some() || plan.request.brings_data()))
}

fn say_types(ctx: &Ctx, left: &[String]) {
    if !left.is_empty() {
        let names: Vec<_> = left.iter().map(|name| format!("`{name}`")).collect();
        ctx.log.warning(format!("values of {} are not of their usual type; they stay as text", names.join(", ")));
    }
}

/// A path that holds wherever the process is.
fn path(arguments: &Arguments, name: &str) -> Result<Option<PathBuf>> {
    let path = arguments.optional_text(name)?.map(PathBuf::from);
    if path.as_deref().is_some_and(|path| !path.is_absolute()) {
        return Err(wrong(name, "is a full path"));
    }
    Ok(path)
}

/// The id of a record: a text, or a whole number with all its digits.
fn id(arguments: &Arguments, name: &str) -> Result<Option<String>> {
    match arguments.value(name) {
        Some(Value::Whole(number)) => Ok(Some(number.to_string())),
        Some(Value::Real(_)) => arguments.whole(name).map(|number| Some(number.to_string())),
        _ => arguments.optional_text(name),
    }
}

/// A time as REDCap's log takes it, `YYYY-MM-DD HH:MM`; a day alone gets a time of day.
fn minute(arguments: &Arguments, name: &str, of_day: &str) -> Result<Option<String>> {
    let Some(text) = arguments.optional_text(name)? else { return Ok(None) };
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    match shape.as_str() {
        "0000-00-00" => Ok(Some(format!("{text} {of_day}"))),
        "0000-00-00 00:00" => Ok(Some(text)),
        "0000-00-00 00:00:00" => Ok(text.get(..16).map(str::to_owned)),
        _ => Err(wrong(name, "is a time: `YYYY-MM-DD` or `YYYY-MM-DD HH:MM`")),
    }
}

/// REDCap's parameters, by name.
fn parameters(arguments: &Arguments) -> Result<Vec<(String, Parameter)>> {
    match arguments.value("parameters") {
        None => Ok(Vec::new()),
        Some(Value::List(items)) => {
            items.iter().map(|(name, value)| Ok((name.clone(), parameter(name, value)?))).collect()
        }
        Some(_) => Err(wrong("parameters", "must be a named list")),
    }
}

/// A value as REDCap wants it written. No message repeats it, nor a name that is none of REDCap's: [`Plan::new`]
/// judges those.
fn parameter(name: &str, value: &Value) -> Result<Parameter> {
    let named = if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_[]".contains(&b)) {
        "a parameter"
    } else {
        name
    };
    match value {
        Value::Nothing => Ok(Parameter::Nothing),
        Value::Flag(flag) => Ok((*flag).into()),
        Value::List(items) => {
            let texts = items.iter().map(|(_, item)| match item {
                Value::Flag(flag) => Ok(if *flag { "true" } else { "false" }.to_owned()),
                item => written(named, item),
            });
            texts.collect::<Result<Vec<_>>>().map(Parameter::Texts)
        }
        value => written(named, value).map(Parameter::Text),
    }
}

/// A single value as text: numbers with all their digits, never with an exponent.
fn written(name: &str, value: &Value) -> Result<String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Whole(number) => Ok(number.to_string()),
        Value::Real(number) if !number.is_finite() => Err(wrong(name, "holds a number that is none (`NaN` or `Inf`)")),
        Value::Real(number) if number.abs() > EXACT => {
            Err(wrong(name, "holds a number beyond 2^53, which R does not keep exactly").hint("give it as a text"))
        }
        // A zero with a sign is a zero.
        Value::Real(number) => Ok((number + 0.0).to_string()),
        Value::Nothing => Err(wrong(name, "holds a missing value (`NA`)")),
        Value::Table(_) => Err(wrong(name, "is a data frame")
            .hint("give `data` as one text in the format that `format` says; `import_records()` takes data frames")),
        Value::Flag(_) | Value::List(_) => Err(wrong(name, "must be a vector, or a list of single values")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(items: Vec<(&str, Value)>) -> Arguments {
        let items = items.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Arguments::new(Value::List(items)).unwrap()
    }

    fn one(value: &Value) -> Result<Parameter> {
        parameter("x", value)
    }

    fn list(items: Vec<Value>) -> Value {
        Value::List(items.into_iter().map(|item| (String::new(), item)).collect())
    }

    #[test]
    fn values_are_written_as_redcap_wants_them() {
        for (value, written) in [
            (Value::Nothing, Parameter::Nothing),
            (true.into(), true.into()),
            ("a b".into(), "a b".into()),
            (Value::Whole(-3), "-3".into()),
            (Value::Real(100_000.0), "100000".into()),
            (Value::Real(1e15), "1000000000000000".into()),
            (Value::Real(0.1), "0.1".into()),
            (Value::Real(1e-7), "0.0000001".into()),
            (Value::Real(-0.0), "0".into()),
            (
                list(vec!["a".into(), Value::Real(1e5), false.into()]),
                vec!["a".into(), "100000".into(), "false".to_owned()].into(),
            ),
            (list(Vec::new()), Parameter::Texts(Vec::new())),
        ] {
            assert_eq!(one(&value).unwrap(), written);
        }
    }

    #[test]
    fn large_reads_and_what_brings_data_or_a_file_along_take_time() {
        let plan = |content: &str, parameters: &[(&str, &str)], file: Option<&str>| {
            let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), Parameter::from(*value)));
            Plan::new(Ask {
                parameters: parameters.collect(),
                file: file.map(PathBuf::from),
                ..ask(content, Vec::new())
            })
            .unwrap()
        };
        let upload = [("action", "import"), ("file", "a.pdf"), ("record", "1"), ("field", "f")];
        for long in [
            plan("record", &[("data", "id\n1"), ("format", "csv")], None),
            plan("metadata", &[("data", "[]"), ("format", "json")], None),
            plan("of_the_future", &[("action", "import"), ("data", "x"), ("format", "csv")], None),
            plan("file", &upload, Some("/tmp/a.pdf")),
            plan("record", &[], None),
        ] {
            assert!(takes_time(&long), "{long:?}");
        }
        let delete = plan("record", &[("action", "delete"), ("records", "1")], None);
        assert!(!takes_time(&delete));
    }

    #[test]
    fn what_has_no_form_in_redcap_is_refused_without_being_repeated() {
        for value in [
            Value::Real(f64::NAN),
            Value::Real(f64::INFINITY),
            Value::Real(1e16),
            Value::Table(Table::default()),
            list(vec![Value::Nothing]),
            list(vec![list(vec!["hunter2".into()])]),
        ] {
            let error = one(&value).unwrap_err();
            assert!(error.kind == Kind::Argument && error.message.starts_with("`x`"), "{error:?}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
        let error = parameter("hunter2 %s", &Value::Real(f64::NAN)).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn times_of_the_log_have_minutes_and_a_day_alone_is_the_whole_day() {
        let minute = |text: &str, of_day| minute(&arguments(vec![("begin", text.into())]), "begin", of_day);
        for (text, of_day, time) in [
            ("2026-01-02", "00:00", "2026-01-02 00:00"),
            ("2026-01-02", "23:59", "2026-01-02 23:59"),
            ("2026-01-02 03:04", "23:59", "2026-01-02 03:04"),
            ("2026-01-02 03:04:59", "23:59", "2026-01-02 03:04"),
        ] {
            assert_eq!(minute(text, of_day).unwrap().as_deref(), Some(time));
        }
        for text in ["today", "02.01.2026", "2026-1-2", "2026-01-02T03:04"] {
            assert!(minute(text, "00:00").unwrap_err().message.starts_with("`begin`"));
        }
    }

    #[test]
    fn the_id_of_a_record_keeps_all_its_digits() {
        let id = |value| id(&arguments(vec![("record", value)]), "record");
        assert_eq!(id(Value::Real(100_000.0)).unwrap().as_deref(), Some("100000"));
        assert_eq!(id(Value::Whole(7)).unwrap().as_deref(), Some("7"));
        assert_eq!(id("007".into()).unwrap().as_deref(), Some("007"));
        assert!(id(Value::Real(1.5)).is_err() && id(true.into()).is_err());
        assert_eq!(id(Value::Nothing).unwrap(), None);
    }
}
