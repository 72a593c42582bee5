//! Imports.

use super::arguments::{Arguments, Session, wrong};
use super::ctx;
use super::patience::be_patient;
use super::tokens::project;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::net::io::{self, Task};
use crate::records::{self, Blanks, Import};
use crate::redcap::Operation;
use crate::store::Environment;
use crate::value::Value;

/// `import_records`: `project`, `data` (a table), `problems` (a table: record, field, value), `dry_run`, `blanks`
/// (`keep` or `overwrite`), `auto_number`, `batch_size`. Answers a table: what would change, or the records that were
/// imported.
pub(super) fn records(mut arguments: Arguments, session: &Session) -> Result<Task> {
    let project = project(&arguments)?;
    let import = wish(&mut arguments)?;
    let sandbox = session.is_sandbox(&project.redcap_uri);
    let mut ctx = ctx(session, Environment::take(&project.token_name))?;
    be_patient(&mut ctx.settings);
    let client = ctx.net.client(&ctx.settings.net)?;
    let fresh = ctx.net.fresh_client(&ctx.settings.net)?;
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let operation = Operation::new(&ctx, project.clone(), sandbox, client).writing_over(fresh);
        records::import(&ctx, &project, operation, import).await.map(Value::Table)
    })
}

fn wish(arguments: &mut Arguments) -> Result<Import> {
    let blanks = match arguments.optional_text("blanks")?.as_deref() {
        None | Some("keep") => Blanks::Keep,
        Some("overwrite") => Blanks::Overwrite,
        Some(_) => return Err(wrong("blanks", "is `keep` or `overwrite`")),
    };
    let dry_run = arguments.value("dry_run").is_none() || arguments.flag("dry_run")?;
    let auto_number = arguments.flag("auto_number")?;
    let kept = match arguments.take("problems") {
        Some(Value::Table(kept)) => Some(kept),
        None => None,
        Some(_) => return Err(wrong("data", "has an attribute `keycap_problems` that is no data frame")),
    };
    match arguments.take("data") {
        Some(Value::Table(data)) => {
            Ok(Import { data, kept, dry_run, blanks, auto_number, batch_size: arguments.batch_size()? })
        }
        _ => Err(wrong("data", "must be a data frame")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Column, Table};

    fn read(args: &[(&str, Value)]) -> Result<Import> {
        let mut all = vec![("data".to_owned(), Value::Table(data("record_id")))];
        all.retain(|(name, _)| args.iter().all(|(given, _)| given != name));
        all.extend(args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        wish(&mut Arguments::new(Value::List(all))?)
    }

    fn data(name: &str) -> Table {
        Table { columns: vec![(name.to_owned(), Column::text([Some("1")]))] }
    }

    #[test]
    fn an_import_is_a_dry_run_that_keeps_what_is_there_unless_told_otherwise() {
        let import = read(&[]).unwrap();
        assert!(import.dry_run && !import.auto_number && import.blanks == Blanks::Keep);
        assert!(import.batch_size.is_none() && import.kept.is_none() && import.data.columns.len() == 1);
        let given = [
            ("dry_run", false.into()),
            ("blanks", "overwrite".into()),
            ("auto_number", true.into()),
            ("batch_size", Value::Real(7.0)),
            ("problems", Value::Table(data("record"))),
        ];
        let import = read(&given).unwrap();
        assert!(!import.dry_run && import.auto_number && import.blanks == Blanks::Overwrite);
        assert!(import.batch_size == Some(7) && import.kept.is_some());
    }

    #[test]
    fn what_is_no_import_is_refused_by_its_name() {
        for (name, value) in [
            ("blanks", "erase".into()),
            ("batch_size", Value::Whole(0)),
            ("dry_run", "no".into()),
            ("auto_number", Value::Whole(1)),
            ("data", "x".into()),
            ("data", Value::Nothing),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.message.starts_with(&format!("`{name}`")), "{}", error.message);
        }
        assert!(read(&[("problems", "x".into())]).is_err());
    }

    #[test]
    fn a_column_that_is_named_like_a_token_is_refused_without_being_repeated() {
        let token = "FA4E".repeat(8);
        let error = read(&[("data", Value::Table(data(&token)))]).unwrap_err();
        assert_eq!(error.kind, crate::Kind::TokenInArgument);
        assert!(!format!("{error:?}").contains("FA4EFA4E"));
    }
}
