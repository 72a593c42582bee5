//! Operations on records.

use std::path::PathBuf;
use std::time::Duration;

use super::arguments::{Arguments, Session, wrong};
use super::ctx;
use super::tokens::project;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::net::io::{self, Task};
use crate::records::{self, Choices, Export, Wish};
use crate::redcap::Operation;
use crate::store::Environment;
use crate::value::Value;

/// How long an export may take. REDCap may work for minutes before the first byte; whoever waits sees the progress
/// and can interrupt at any time.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// `export_records`: `project`, `fields`, `forms`, `events`, `records`, `filter_logic`, `choices` (`code`, `label`
/// or `factor`), `types`, `tz`, `batch_size`, `to`. Answers `data` (a table; nothing where `to` is given),
/// `problems` (a table: record, field, value), `rows`, `bytes`, `repaired`.
pub(super) fn export(arguments: &Arguments, session: &Session) -> Result<Task> {
    let project = project(arguments)?;
    let wish = wish(arguments)?;
    let sandbox = session.is_sandbox(&project.redcap_uri);
    let mut ctx = ctx(session, Environment::take(&project.token_name))?;
    ctx.settings.net.timeout = ctx.settings.net.timeout.max(PATIENCE);
    let client = ctx.net.client(&ctx.settings.net)?;
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let operation = Operation::new(&ctx, project.clone(), sandbox, client);
        let export = records::export(&ctx, &project, operation, wish).await?;
        say(&ctx, &export);
        Ok(Value::list([
            ("data", export.table.map_or(Value::Nothing, Value::Table)),
            ("problems", Value::Table(export.problems)),
            ("rows", export.rows.into()),
            ("bytes", export.bytes.into()),
            ("repaired", export.repaired.into()),
        ]))
    })
}

/// One warning each for what was repaired and for what does not fit.
fn say(ctx: &Ctx, export: &Export) {
    let many = |n: u64, one: &str, more: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {more}") };
    if export.repaired > 0 {
        let cells = many(export.repaired, "cell was", "cells were");
        ctx.log.warning(format!("{cells} not UTF-8, as REDCap promises, and read as Latin-1"));
    }
    let problems = export.problems.columns.first().map_or(0, |(_, column)| column.len()) as u64;
    if problems > 0 {
        let values = many(problems, "value does", "values do");
        ctx.log.warning(format!(
            "{values} not fit the type of the column and stand there as NA; `conversion_problems()` shows each"
        ));
    }
}

fn wish(arguments: &Arguments) -> Result<Wish> {
    let choices = match arguments.optional_text("choices")?.as_deref() {
        None | Some("code") => Choices::Code,
        Some("label") => Choices::Label,
        Some("factor") => Choices::Factor,
        Some(_) => return Err(wrong("choices", "is `code`, `label` or `factor`")),
    };
    let batch_size = match arguments.value("batch_size") {
        None => None,
        Some(_) => match arguments.whole("batch_size") {
            Ok(size @ 1..) => Some(usize::try_from(size).unwrap_or(usize::MAX)),
            _ => return Err(wrong("batch_size", "is a whole number of at least 1")),
        },
    };
    let to = arguments.optional_text("to")?.map(PathBuf::from);
    if to.as_deref().is_some_and(|to| !to.is_absolute()) {
        return Err(wrong("to", "is the full path of a file"));
    }
    Ok(Wish {
        fields: arguments.texts("fields")?,
        forms: arguments.texts("forms")?,
        events: arguments.texts("events")?,
        records: ids(arguments)?,
        filter_logic: arguments.optional_text("filter_logic")?,
        choices,
        types: arguments.value("types").is_none() || arguments.flag("types")?,
        zone: arguments.optional_text("tz")?.unwrap_or_else(|| "UTC".to_owned()),
        batch_size,
        to,
    })
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
