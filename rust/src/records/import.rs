//! Sending data to a project, or saying what it would change.

mod cells;
mod fields;
mod present;
mod sheet;

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::ctx::{Ctx, Events};
use crate::error::{Error, Kind, Result};
use crate::net::io::blocking;
use crate::project::Project;
use crate::records::body::Body;
use crate::records::ids::Ids;
use crate::records::intake::Intake;
use crate::redcap::{Expect, Operation, Request, identify, repair, token_in_data};
use crate::value::{Column, Table, Value};

use fields::{Fields, GROUP};
use present::{Change, Present};
use sheet::{Sheet, argument};
pub(super) use sheet::{many, shown, some};

/// The most that a dictionary, project information or a list of ids takes up.
const MOST: usize = 64 * 1024 * 1024;

/// The largest request, in bytes of its form. While it is sent, memory holds the data, their CSV and this: at most
/// twice this beyond the data.
const MOST_BODY: usize = 64_000_000;

/// Records of which the present values are asked for at once: longer lists annoy firewalls.
const ASKED: usize = 500;

/// What a blank cell does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blanks {
    /// Nothing: what is there stays (REDCap's `normal`).
    Keep,
    /// It blanks what is there (REDCap's `overwrite`).
    Overwrite,
}

/// What is to be imported, and how.
#[derive(Debug)]
pub(crate) struct Import {
    /// The data: the columns of an export.
    pub(crate) data: Table,
    /// What an export could not convert in them: record, field, value.
    pub(crate) kept: Option<Table>,
    /// Only say what would change.
    pub(crate) dry_run: bool,
    pub(crate) blanks: Blanks,
    /// REDCap gives the records new ids.
    pub(crate) auto_number: bool,
    /// Records in one request; `None`: all of them.
    pub(crate) batch_size: Option<usize>,
}

/// Imports data. A dry run answers a table of what would change (record, event, `repeat_instrument`,
/// `repeat_instance`, field, old, new, kind), an import one of the records: `record`, and `sent`, the id in the data.
///
/// # Errors
/// `argument`: the data do not fit the project, and nothing was sent; `outcome_unknown`: nobody knows what became of a
/// request that was sent; those of a call. Whatever fails after a request was sent has the fields `imported`,
/// `in_doubt` and `not_sent`: ids as they stand in the data.
pub(crate) async fn import(ctx: &Ctx, project: &Project, operation: Operation, import: Import) -> Result<Table> {
    let mut job = Job { ctx, operation, erase: import.blanks == Blanks::Overwrite, auto_number: import.auto_number };
    let done = job.run(project, import).await;
    let finished = job.operation.finish().await;
    let done = done?;
    finished?;
    Ok(done)
}

struct Job<'a> {
    ctx: &'a Ctx,
    operation: Operation,
    /// Blanks overwrite.
    erase: bool,
    auto_number: bool,
}

/// A batch on its way: the records that it has, and their rows.
type Batch = Vec<(String, Vec<usize>)>;

impl Job<'_> {
    async fn run(&mut self, project: &Project, import: Import) -> Result<Table> {
        let information =
            self.operation.collect(&Request::read("project", Expect::Json), MOST).await.map_err(unread)?;
        let entry = self.operation.project();
        let information = identify(self.ctx, entry, project.project_id.as_deref(), &information)?;
        if self.operation.token_is_in(texts(&import.data)) {
            return Err(token_in_data("data"));
        }
        let metadata = self.operation.collect(&Request::read("metadata", Expect::Json), MOST).await.map_err(unread)?;
        let fields = Fields::read(&metadata, &information.missing_codes)?;
        drop(metadata);
        let (data, kept) = (import.data, import.kept.filter(|_| self.erase));
        let (sheet, beyond) = blocking(move || {
            let (sheet, beyond) = Sheet::new(data, &fields, information.is_longitudinal)?;
            kept.as_ref().map_or(Ok(()), |kept| sheet.check_kept(kept))?;
            Ok((Arc::new(sheet), beyond))
        })
        .await?;
        self.say_beyond(&beyond);
        if import.dry_run { self.compare(&sheet).await } else { self.send(&sheet, import.batch_size).await }
    }

    fn say_beyond(&self, beyond: &Table) {
        let column = |n: usize| &beyond.columns[n].1;
        let count = column(0).len();
        if count > 0 {
            let word = |row| {
                format!("record `{}`, `{}`", column(1).text_at(row).unwrap_or(""), column(2).text_at(row).unwrap_or(""))
            };
            let named = some((0..count).map(word), count, "; ");
            let values = many(count, "value is", "values are");
            self.ctx.log.warning(format!(
                "{values} beyond the smallest or largest value of the field; REDCap takes them: {named}"
            ));
        }
    }

    /// What would change.
    async fn compare(&mut self, sheet: &Arc<Sheet>) -> Result<Table> {
        // What people wait for are the changes; of the values that are there nobody needs to hear.
        let quiet = Ctx { log: Events::none(), ..self.ctx.clone() };
        let mut present = Present::new(Arc::clone(sheet), self.erase);
        if !self.auto_number {
            let mut intake = Intake::new(&quiet, Body::new(present));
            let records: Vec<String> = sheet.by_record().into_iter().map(|(record, _)| record).collect();
            for records in records.chunks(ASKED) {
                intake.keep()?;
                self.operation.call(&values_there(sheet, records), &mut intake).await.map_err(unread)?;
            }
            // A record may be there without a row that these fields and events would show.
            let (_, mut there) = intake.finish()?;
            let missing = there.cells.missing();
            if !missing.is_empty() {
                let id = &sheet.columns[0].name;
                // Ids are short: rather all of them in one answer than many requests.
                let named = if missing.len() <= ASKED { missing } else { Vec::new() };
                let request = Request::read("record", Expect::Csv)
                    .with("type", "flat")
                    .with("rawOrLabel", "raw")
                    .with("fields", vec![id.clone()])
                    .with("records", named);
                let mut ids = Intake::new(&quiet, Body::new(Ids::new(id)));
                self.operation.call(&request, &mut ids).await?;
                there.cells.records.extend(ids.finish()?.1.cells.all);
            }
            present = there.cells;
        }
        present.complete(self.auto_number);
        self.say_changes(&present);
        Ok(present.table())
    }

    fn say_changes(&self, present: &Present) {
        let unread = present.unread();
        if !unread.is_empty() {
            let names = unread.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            self.ctx.log.warning(format!("the token may not read what is there now in {names}"));
        }
        let (counts, records) = present.counts();
        let word = |(change, count): (Change, usize)| match change {
            Change::NewRecord => many(count, "new record", "new records"),
            Change::NewRow => many(count, "new row", "new rows"),
            Change::NewValue => many(count, "new value", "new values"),
            Change::Other => many(count, "changed value", "changed values"),
            Change::Blank => many(count, "blanked value", "blanked values"),
            Change::Unknown => many(count, "value that may change", "values that may change"),
        };
        let words: Vec<String> =
            Change::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).map(word).collect();
        self.ctx.log.note(if words.is_empty() {
            "nothing would change, and nothing was written".to_owned()
        } else {
            // Of nothing but new records it need not be said in how many they are.
            let all_new = counts[1..].iter().all(|count| *count == 0);
            let place = if all_new { String::new() } else { format!(" in {}", many(records, "record", "records")) };
            let words = words.join(", ");
            format!("{words}{place}; nothing was written: the same call with `dry_run = FALSE` does it")
        });
    }

    /// Sends the data, record by record in batches or all at once.
    async fn send(&mut self, sheet: &Sheet, batch_size: Option<usize>) -> Result<Table> {
        let records = sheet.by_record();
        let batches: Vec<&[(String, Vec<usize>)]> = match batch_size {
            Some(size) => records.chunks(size.max(1)).collect(),
            None => vec![&records[..]],
        };
        // A batch that is too large is refused before the first one is sent.
        for batch in &batches {
            check_size(self.request(sheet, batch).length(), batch.len(), MOST_BODY)?;
        }
        let mut done: Vec<(String, String)> = Vec::new();
        for (n, batch) in batches.iter().enumerate() {
            let answer = self.operation.collect(&self.request(sheet, batch), MOST).await;
            let taken = answer.and_then(|answer| taken(&answer, batch, self.auto_number));
            match taken {
                Ok(records) => done.extend(records),
                Err(error) => {
                    let rest = batches[n + 1..].concat();
                    return Err(stopped(error, batch, &done, &rest, self.auto_number));
                }
            }
        }
        let count = many(done.len(), "record was", "records were");
        self.ctx.log.note(format!("{count} imported"));
        let (sent, records): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        let column = |texts: Vec<String>| Column::text(texts.into_iter().map(Some));
        Ok(Table { columns: vec![("record".to_owned(), column(records)), ("sent".to_owned(), column(sent))] })
    }

    fn request(&self, sheet: &Sheet, batch: &[(String, Vec<usize>)]) -> Request {
        let rows = || batch.iter().flat_map(|(_, rows)| rows);
        let (format, data) = match sheet.csv(rows()) {
            Some(csv) => ("csv", csv),
            // Longer, as each cell has its name with it, and read by all in the same way.
            None => ("json", sheet.json(rows())),
        };
        Request::import("record", format)
            .with("type", "flat")
            .with("overwriteBehavior", if self.erase { "overwrite" } else { "normal" })
            .with("forceAutoNumber", self.auto_number)
            .with("dateFormat", "YMD")
            .with("returnContent", if self.auto_number { "auto_ids" } else { "ids" })
            .with("data", data)
            // Ids that REDCap replaces by new ones are no records.
            .about(if self.auto_number { Vec::new() } else { batch.iter().map(|(record, _)| record.clone()).collect() })
    }
}

/// Every text of the data, for the token to be looked for in.
fn texts(data: &Table) -> impl Iterator<Item = &str> {
    data.columns.iter().flat_map(|(name, column)| {
        let texts = match column {
            Column::Text { dictionary, .. } => Some(dictionary),
            Column::Factor { levels, .. } => Some(levels),
            _ => None,
        };
        std::iter::once(name.as_str()).chain(texts.into_iter().flat_map(crate::value::Texts::iter))
    })
}

/// The request for what is there of some records now, in exactly the fields of the data.
fn values_there(sheet: &Sheet, records: &[String]) -> Request {
    let mut fields: Vec<String> = Vec::new();
    let mut groups = false;
    for (n, data) in sheet.columns.iter().enumerate() {
        if data.name == GROUP {
            groups = true;
        } else if (n == 0 || !sheet.is_place(n)) && !fields.contains(&data.field.name) {
            fields.push(data.field.name.clone());
        }
    }
    Request::read("record", Expect::Csv)
        .with("type", "flat")
        .with("rawOrLabel", "raw")
        .with("fields", fields)
        .with("events", sheet.events())
        .with("exportDataAccessGroups", groups.then_some(true))
        .with("records", records)
}

/// What is asked for before an import needs the right to export.
fn unread(error: Error) -> Error {
    let status = error.fields.iter().find(|(name, _)| name == "status").map(|(_, value)| value);
    if error.kind == Kind::Redcap && status == Some(&Value::Whole(403)) {
        return error
            .hint("data are checked against the project before they are sent: that needs the API Export right");
    }
    error
}

fn check_size(length: usize, records: usize, most: usize) -> Result<()> {
    if length <= most {
        return Ok(());
    }
    let megabytes = |bytes: usize| bytes.div_ceil(1_000_000);
    let error = argument(format!(
        "{} make a request of {} MB, and keycap sends {} MB at most in one",
        many(records, "record", "records"),
        megabytes(length),
        megabytes(most)
    ));
    // Records differ in size: some room is left.
    let fitting = (records as f64 * most as f64 / length as f64 * 0.8) as usize;
    Err(if fitting > 0 {
        error.hint(format!("send them in batches: `batch_size = {fitting}`"))
    } else {
        error.hint("a single record is too large: import fewer columns at a time")
    })
}

/// The records that REDCap says it has taken, which must be those that were sent: each with its id in the data.
fn taken(answer: &[u8], batch: &[(String, Vec<usize>)], auto_number: bool) -> Result<Vec<(String, String)>> {
    let json: Json = repair::json(answer).unwrap_or_default();
    let text = |json: &Json| json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    let ids: Vec<String> = json.as_array().map(|items| items.iter().map(text).collect()).unwrap_or_default();
    let pairs: Vec<(String, String)> = if auto_number {
        // The new id, then the one that was sent.
        let pairs = ids.iter().filter_map(|pair| pair.split_once(','));
        pairs.map(|(new, sent)| (sent.trim().to_owned(), new.trim().to_owned())).collect()
    } else {
        ids.into_iter().map(|id| (id.clone(), id)).collect()
    };
    let come: HashSet<&str> = pairs.iter().map(|(sent, _)| sent.as_str()).collect();
    let missing: Vec<&String> =
        batch.iter().map(|(record, _)| record).filter(|record| !come.contains(record.as_str())).collect();
    if missing.is_empty() && pairs.len() == batch.len() {
        return Ok(pairs);
    }
    let sent = many(batch.len(), "record was sent", "records were sent");
    let named = some(missing.iter().map(|record| format!("`{}`", shown(record))), missing.len(), ", ");
    let error = Error::new(
        Kind::OutcomeUnknown,
        format!("{sent}, and REDCap answers that it imported {}", many(pairs.len(), "record", "records")),
    );
    Err(if missing.is_empty() { error } else { error.hint(format!("it does not name {named}")) })
}

/// Whether nobody knows what became of a request that failed so. What REDCap, its front end or the connection refused
/// was not taken; what went wrong behind a good answer may well have been.
fn is_in_doubt(error: &Error) -> bool {
    let status = error.fields.iter().any(|(name, _)| name == "status");
    match error.kind {
        Kind::OutcomeUnknown | Kind::TokenEcho | Kind::Audit | Kind::Internal => true,
        Kind::NotRedcap => !status,
        _ => false,
    }
}

/// The error of an import that stopped at a batch: what was imported before, what is in doubt, what was not sent.
fn stopped(
    mut error: Error,
    batch: &[(String, Vec<usize>)],
    done: &[(String, String)],
    rest: &Batch,
    auto_number: bool,
) -> Error {
    let ids = |records: &[(String, Vec<usize>)]| records.iter().map(|(record, _)| record.clone()).collect::<Vec<_>>();
    let in_doubt = is_in_doubt(&error);
    if error.kind == Kind::OutcomeUnknown {
        let named = some(batch.iter().map(|(record, _)| format!("`{}`", shown(record))), batch.len(), ", ");
        let records = many(batch.len(), "record", "records");
        error.message = error.message.replacen("the write was", &format!("the import of {records} ({named}) was"), 1);
    }
    if in_doubt {
        error = if auto_number {
            error.hint("sent again, records that did arrive would be there twice, under new ids: look first")
        } else {
            error.hint("`import_records()` with the same data and `dry_run = TRUE` shows what of it is not there yet")
        };
    }
    if !done.is_empty() {
        let count = many(done.len(), "record was", "records were");
        error = error.hint(format!("before it {count} imported: the field `imported` of this condition names them"));
    }
    let mut not_sent = ids(rest);
    if !in_doubt {
        not_sent.splice(0..0, ids(batch));
    }
    if !done.is_empty() && !not_sent.is_empty() {
        error = error.hint("the field `not_sent` names the records to go on with");
    }
    error
        .field("imported", done.iter().map(|(sent, _)| sent.clone()).collect::<Vec<_>>())
        .field("in_doubt", if in_doubt { ids(batch) } else { Vec::new() })
        .field("not_sent", not_sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_too_large_is_refused_with_a_size_that_fits() {
        assert!(check_size(100, 10, 100).is_ok());
        let error = check_size(400_000_000, 1000, MOST_BODY).unwrap_err();
        assert_eq!(error.message, "1000 records make a request of 400 MB, and keycap sends 64 MB at most in one");
        assert!(error.hints[0].contains("`batch_size = 128`"), "{:?}", error.hints);
        assert!(check_size(400_000_000, 1, MOST_BODY).unwrap_err().hints[0].contains("fewer columns"));
    }
}
