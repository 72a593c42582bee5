//! Operations on records.

use std::path::PathBuf;

use super::arguments::{Arguments, Session, wrong};
use super::ctx;
use super::patience::be_patient;
use super::tokens::project;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::net::io::{self, Task};
use crate::records::{self, Choices, Export, Wish};
use crate::redcap::Operation;
use crate::store::Environment;
use crate::value::Value;

/// `export_records`: `project`, `fields`, `forms`, `events`, `records`, `filter_logic`, `choices` (`code`, `label`
/// or `factor`), `types`, `tz`, `batch_size`, `to`, `overwrite`; or a report: `project`, `report_id`, `choices`,
/// `types`, `tz`, `to`, `overwrite`. Answers `data` (a table; nothing where `to` is given), `problems` (a table: record, field, value),
/// `record_id` (the field that holds it), `rows`, `bytes`, `repaired`.
pub(super) fn export(arguments: &Arguments, session: &Session) -> Result<Task> {
    let project = project(arguments)?;
    let wish = wish(arguments)?;
    let sandbox = session.is_sandbox(&project.redcap_uri);
    let mut ctx = ctx(session, Environment::take(&project.token_name))?;
    be_patient(&mut ctx.settings);
    let client = ctx.net.client(&ctx.settings.net)?;
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let operation = Operation::new(&ctx, project.clone(), sandbox, client);
        let export = records::export(&ctx, &project, operation, wish).await?;
        say(&ctx, &export);
        Ok(answer(export))
    })
}

/// An export as the host gets it.
pub(super) fn answer(export: Export) -> Value {
    Value::list([
        ("data", export.table.map_or(Value::Nothing, Value::Table)),
        ("problems", Value::Table(export.problems)),
        ("record_id", export.record_id.into()),
        ("rows", export.rows.into()),
        ("bytes", export.bytes.into()),
        ("repaired", export.repaired.into()),
    ])
}

/// One warning for what was repaired. The one for what does not fit is the host's: it may find more, times of day that
/// no clock in the zone has shown.
pub(super) fn say(ctx: &Ctx, export: &Export) {
    match export.repaired {
        0 => {}
        1 => ctx.log.warning("1 cell was not UTF-8, as REDCap promises, and read as Latin-1"),
        n => ctx.log.warning(format!("{n} cells were not UTF-8, as REDCap promises, and read as Latin-1")),
    }
}

/// What an export's arguments ask for.
pub(super) fn wish(arguments: &Arguments) -> Result<Wish> {
    let choices = match arguments.optional_text("choices")?.as_deref() {
        None | Some("code") => Choices::Code,
        Some("label") => Choices::Label,
        Some("factor") => Choices::Factor,
        Some(_) => return Err(wrong("choices", "is `code`, `label` or `factor`")),
    };
    let to = arguments.optional_text("to")?.map(PathBuf::from);
    if to.as_deref().is_some_and(|to| !to.is_absolute()) {
        return Err(wrong("to", "is the full path of a file"));
    }
    Ok(Wish {
        report: report(arguments)?,
        fields: arguments.texts("fields")?,
        forms: arguments.texts("forms")?,
        events: arguments.texts("events")?,
        records: ids(arguments)?,
        filter_logic: arguments.optional_text("filter_logic")?,
        choices,
        types: arguments.value("types").is_none() || arguments.flag("types")?,
        zone: arguments.optional_text("tz")?.unwrap_or_else(|| "UTC".to_owned()),
        batch_size: arguments.batch_size()?,
        to,
        overwrite: arguments.value("overwrite").is_some() && arguments.flag("overwrite")?,
    })
}

/// The number of a report, as a number or as a text.
fn report(arguments: &Arguments) -> Result<Option<String>> {
    let id = match arguments.value("report_id") {
        None => return Ok(None),
        Some(Value::Text(text)) => text.clone(),
        Some(_) => arguments.whole("report_id").map(|number| number.to_string()).unwrap_or_default(),
    };
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong("report_id", "is the number of a report, as REDCap's list of reports shows it"));
    }
    Ok(Some(id))
}

/// Ids of records: texts, or whole numbers, which are written with all their digits.
fn ids(arguments: &Arguments) -> Result<Vec<String>> {
    let id = |value: &Value| match value {
        Value::Text(text) if !text.is_empty() => Ok(text.clone()),
        Value::Whole(number) => Ok(number.to_string()),
        Value::Real(number) if number.fract() == 0.0 && number.abs() < 9e15 => Ok((*number as i64).to_string()),
        _ => Err(wrong("records", "is a vector of record ids: texts or whole numbers")),
    };
    match arguments.value("records") {
        None => Ok(Vec::new()),
        Some(Value::List(items)) => items.iter().map(|(_, item)| id(item)).collect(),
        Some(one) => Ok(vec![id(one)?]),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ctx::Event;
    use crate::net::io::Poll;
    use crate::sandbox::{API_PATH, Config, serve};
    use crate::value::Column;

    fn read(args: &[(&str, Value)]) -> Result<Wish> {
        let args = args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        wish(&Arguments::new(Value::List(args))?)
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let wish = read(&[("fields", Value::Nothing), ("to", Value::Nothing)]).unwrap();
        assert!(wish.fields.is_empty() && wish.records.is_empty() && wish.types && wish.batch_size.is_none());
        assert_eq!((wish.choices, wish.zone.as_str(), wish.to), (Choices::Code, "UTC", None));
        let wish = read(&[("types", false.into()), ("choices", "factor".into()), ("fields", "a".into())]).unwrap();
        assert_eq!((wish.types, wish.choices, wish.fields), (false, Choices::Factor, vec!["a".to_owned()]));
        assert_eq!(wish.report, None);
    }

    #[test]
    fn ids_given_as_numbers_keep_all_their_digits() {
        let numbers = [Value::Real(100_000.0), Value::Whole(7), Value::Real(123_456_789_012.0), "007".into()];
        let list = Value::List(numbers.into_iter().map(|number| (String::new(), number)).collect());
        assert_eq!(read(&[("records", list)]).unwrap().records, ["100000", "7", "123456789012", "007"]);
        assert_eq!(read(&[("records", Value::Real(1e5))]).unwrap().records, ["100000"]);
    }

    #[test]
    fn a_report_is_known_by_its_number() {
        for (given, number) in [("117".into(), "117"), (Value::Whole(117), "117"), (Value::Real(1e5), "100000")] {
            assert_eq!(read(&[("report_id", given)]).unwrap().report.as_deref(), Some(number));
        }
    }

    #[test]
    fn what_is_no_wish_is_refused_by_its_name() {
        for (name, value) in [
            ("choices", "levels".into()),
            ("batch_size", Value::Whole(0)),
            ("batch_size", Value::Real(1.5)),
            ("batch_size", "5".into()),
            ("records", Value::Real(1.5)),
            ("records", Value::Flag(true)),
            ("records", Value::List(vec![(String::new(), Value::Nothing)])),
            ("to", "relative.csv".into()),
            ("types", "yes".into()),
            ("report_id", "12a".into()),
            ("report_id", "".into()),
            ("report_id", Value::Whole(-1)),
            ("report_id", Value::Real(1.5)),
            ("fields", Value::Whole(1)),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.message.starts_with(&format!("`{name}`")), "{}", error.message);
        }
    }

    #[test]
    fn an_export_crosses_the_border_as_a_table_with_its_facts() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}{API_PATH}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving =
            std::thread::spawn(move || serve(Config::default(), listener, async { drop(stopped.await) }).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Value::from(folder.path().join(name).display().to_string());
        let session = Value::list([
            ("config", at("config")),
            ("data", at("data")),
            ("session", at("session")),
            ("site", at("site.toml")),
            ("sandboxes", uri.as_str().into()),
        ]);
        let run = |op: &str, args: Value| {
            let mut task = crate::border::start(op, args, &session).unwrap();
            let mut warnings = Vec::new();
            loop {
                let (events, done) = match task.poll(Duration::from_millis(50)) {
                    Poll::Pending(events) => (events, None),
                    Poll::Done(events, result) => (events, Some(result.unwrap())),
                };
                warnings.extend(events.into_iter().filter(|event| matches!(event, Event::Warning(_))));
                if let Some(value) = done {
                    return (value, warnings);
                }
            }
        };
        let (done, _) = run("setup_project", Value::list([("short_name", "TEST".into()), ("redcap_uri", uri.into())]));
        let project = done.get("project").unwrap().clone();
        let args = Value::list([("project", project), ("records", Value::Whole(7)), ("tz", "Europe/Vienna".into())]);
        let (done, warnings) = run("export_records", args);
        let Some(Value::Table(data)) = done.get("data") else { panic!("{done:?}") };
        assert_eq!(data.columns[0].1, Column::text([Some("7")]));
        assert!(data.columns.iter().any(|(name, column)| name == "visit_time"
            && matches!(column, Column::DateTime { zone, .. } if zone == "Europe/Vienna")));
        let Some(Value::Table(problems)) = done.get("problems") else { panic!("{done:?}") };
        let names: Vec<_> = problems.columns.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["record", "field", "value"]);
        assert_eq!((done.get("rows"), done.get("repaired")), (Some(&Value::Whole(1)), Some(&Value::Whole(0))));
        assert!(matches!(done.get("bytes"), Some(Value::Whole(100..))));
        assert_eq!(warnings, []);
        drop(stop);
        serving.join().unwrap();
    }

    #[test]
    fn there_is_one_warning_for_what_was_repaired() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Value::from(folder.path().join(name).display().to_string());
        let session = ["config", "data", "session", "site"].map(|name| (name, at(name)));
        let session = Session::read(&Value::list(session)).unwrap();
        let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let sink = std::sync::Arc::clone(&heard);
        let log = crate::ctx::Events::new(move |event| sink.lock().unwrap().push(event));
        let ctx = Ctx { log, ..ctx(&session, Environment::empty()).unwrap() };
        let (record_id, problems) = ("id".to_owned(), crate::value::Table::default());
        let mut export = Export { record_id, table: None, problems, repaired: 0, rows: 9, bytes: 9 };
        say(&ctx, &export);
        assert!(heard.lock().unwrap().is_empty());
        for repaired in [1, 2] {
            export.repaired = repaired;
            say(&ctx, &export);
        }
        let heard = heard.lock().unwrap();
        let [Event::Warning(first), Event::Warning(second)] = heard.as_slice() else { panic!("{heard:?}") };
        assert!(first.starts_with("1 cell was not UTF-8") && second.starts_with("2 cells were not UTF-8"));
    }
}
