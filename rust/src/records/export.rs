//! Asking for records, whole or in batches.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::body::Body;
use super::choice::Choices;
use super::dictionary::Dictionary;
use super::file::{Partial, ToFile, check_free};
use super::growth;
use super::ids::Ids;
use super::import::{many, shown, some};
use super::intake::{Intake, Target};
use super::table::{Finished, Style, TableBuilder};
use crate::ctx::{Ctx, Events};
use crate::error::{Error, Kind, Result};
use crate::net::io::blocking;
use crate::project::Project;
use crate::redcap::{Expect, Operation, Request, identify, is_out_of_memory};
use crate::value::{Column, Table, Value};

/// The most that a dictionary or project information takes up.
const MOST: usize = 64 * 1024 * 1024;

/// The first size of batches where nobody named one, and the most records that are named in one call: PHP cuts off
/// what is beyond a thousand parameters and says nothing of it.
const BATCH: usize = 500;

/// What is to be exported, and how.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// The number of a report to be exported instead. What it holds is said in REDCap: of the rest, only what
    /// becomes of the values counts.
    pub(crate) report: Option<String>,
    /// Fields; none and no forms: all. The record's id comes along in any case.
    pub(crate) fields: Vec<String>,
    /// Forms.
    pub(crate) forms: Vec<String>,
    /// Events; none: all.
    pub(crate) events: Vec<String>,
    /// Ids of records; none: all.
    pub(crate) records: Vec<String>,
    /// REDCap's filter logic.
    pub(crate) filter_logic: Option<String>,
    /// What stands for a choice. In a file, `Label` brings REDCap's labels and anything else the codes.
    pub(crate) choices: Choices,
    /// Whether columns have the types that the dictionary says; else all are texts.
    pub(crate) types: bool,
    /// The zone that the server's clock shows.
    pub(crate) zone: String,
    /// Records in one call; `None`: all in one, and batches where that fails for its size.
    pub(crate) batch_size: Option<usize>,
    /// The file to write to instead of making a table.
    pub(crate) to: Option<PathBuf>,
    /// Whether a file that is there is replaced.
    pub(crate) overwrite: bool,
}

/// What came of an export.
#[derive(Debug)]
pub(crate) struct Export {
    /// The field that holds the record's id. A report may leave it out.
    pub(crate) record_id: String,
    /// The records; `None` where they went to a file.
    pub(crate) table: Option<Table>,
    /// What did not fit the type of its column: record, field, value.
    pub(crate) problems: Table,
    /// Cells that were not UTF-8 and were read as Latin-1.
    pub(crate) repaired: u64,
    /// Rows.
    pub(crate) rows: u64,
    /// Bytes of data, as REDCap sent them.
    pub(crate) bytes: u64,
}

/// Exports records.
///
/// # Errors
/// Those of a call; `not_redcap`: the data is no CSV; `connection`: it is cut short; `file`: it cannot be written.
/// On any of them nothing is left behind.
pub(crate) async fn export(ctx: &Ctx, project: &Project, operation: Operation, wish: Wish) -> Result<Export> {
    let mut job = Job { ctx, operation, wish, listed: None };
    let done = job.run(project).await;
    let finished = job.operation.finish().await;
    let done = done?;
    finished?;
    Ok(done)
}

struct Job<'a> {
    ctx: &'a Ctx,
    operation: Operation,
    wish: Wish,
    /// The records that the server listed for batches.
    listed: Option<Vec<String>>,
}

impl Job<'_> {
    async fn run(&mut self, project: &Project) -> Result<Export> {
        if let Some(path) = &self.wish.to {
            check_free(path, self.wish.overwrite)?;
        }
        // Side by side; no record is asked for before the project is known to be the right one.
        let information = Request::read("project", Expect::Json);
        let metadata = Request::read("metadata", Expect::Json);
        let (information, metadata) = self.operation.collect_both(&information, &metadata, MOST).await?;
        let entry = self.operation.project();
        let known = identify(self.ctx, entry, project.project_id.as_deref(), &information)?;
        drop(information);
        // Of a dictionary with many choices there is much to read.
        let dictionary = Arc::new(blocking(move || Dictionary::read(&metadata, &known.missing_codes)).await?);
        let export = self.collect(dictionary).await?;
        if export.rows == 0 && self.wish.is_everything() {
            self.ctx.log.note("the answer is blank: the project has no records, or none that the token's user may see");
        }
        Ok(export)
    }

    async fn collect(&mut self, dictionary: Arc<Dictionary>) -> Result<Export> {
        match self.wish.to.clone() {
            None => {
                let style = Style { choices: self.wish.choices, types: self.wish.types, zone: self.wish.zone.clone() };
                let table = Body::new(TableBuilder::new(Arc::clone(&dictionary), style));
                let intake = self.fetch(&dictionary, table).await?;
                let (bytes, target) = intake.finish()?;
                let rows = target.rows();
                let Finished { table, problems, repaired } = target.cells.finish();
                growth::whole()?;
                let record_id = dictionary.record_id.clone();
                // Without a row there is no column either.
                let ids = table.columns.iter().find_map(|(name, column)| match column {
                    Column::Text { dictionary: ids, .. } if *name == record_id => Some(ids),
                    _ => None,
                });
                self.say_missing(ids.into_iter().flat_map(crate::value::Texts::iter));
                Ok(Export { record_id, table: Some(table), problems, repaired, rows, bytes })
            }
            Some(path) => {
                let file = ToFile::new(Arc::clone(&dictionary), Partial::new(&path)?);
                let intake = self.fetch(&dictionary, file).await?;
                let (bytes, target) = intake.finish()?;
                let rows = target.rows();
                let (partial, ids) = target.finish();
                self.say_missing(ids.iter().map(AsRef::as_ref));
                let overwrite = self.wish.overwrite;
                blocking(move || if overwrite { partial.commit() } else { partial.commit_new().map(drop) }).await?;
                let problems = super::problems::Problems::new().finish(None, &[]);
                let record_id = dictionary.record_id.clone();
                Ok(Export { record_id, table: None, problems, repaired: 0, rows, bytes })
            }
        }
    }

    /// Everything that is wished, in one call or in batches.
    async fn fetch<T: Target + 'static>(&mut self, dictionary: &Dictionary, target: T) -> Result<Intake<T>> {
        let mut intake = Intake::new(self.ctx, target);
        let named = self.wish.records.len();
        let size = self.wish.batch_size.or_else(|| (named > BATCH).then_some(BATCH));
        let size = if let (Some(size), None) = (size, &self.wish.report) {
            size.clamp(1, BATCH)
        } else {
            let wanted = self.wish.records.clone();
            if self.names_all() {
                intake.watch()?;
            }
            let Err(error) = self.part(dictionary, &wanted, &mut intake).await else { return Ok(intake) };
            // A report cannot be had in parts.
            if self.wish.report.is_some() || !too_large(&error, wanted.len()) {
                return Err(error);
            }
            self.say_smaller(&error, BATCH);
            BATCH
        };
        self.batches(dictionary, size, &mut intake).await?;
        Ok(intake)
    }

    /// The records in batches; where one is too large, in smaller ones.
    async fn batches<T: Target + 'static>(
        &mut self,
        dictionary: &Dictionary,
        mut size: usize,
        intake: &mut Intake<T>,
    ) -> Result<()> {
        let ids = self.ids(dictionary).await?;
        intake.watch()?;
        let mut done = 0;
        while done < ids.len() {
            let part = &ids[done..(done + size).min(ids.len())];
            let (_, before) = intake.brought()?;
            match self.part(dictionary, part, intake).await {
                Ok(()) => {
                    let (bytes, rows) = intake.brought()?;
                    // Records may have no rows in the events. Else the server, which has just listed them, has failed
                    // without a word.
                    if rows > before || !self.wish.events.is_empty() {
                        done += part.len();
                    } else if part.len() > 1 {
                        size = part.len() / 2;
                        self.say_smaller(&empty(part), size);
                    } else if bytes > 0 {
                        // That there is nothing is what REDCap says of a record that was deleted just now.
                        done += 1;
                    } else {
                        return Err(empty(part));
                    }
                }
                Err(error) if part.len() > 1 && too_large(&error, part.len()) => {
                    size = part.len() / 2;
                    self.say_smaller(&error, size);
                }
                Err(error) => return Err(error),
            }
        }
        self.listed = Some(ids);
        Ok(())
    }

    /// A word of the records that were listed, or asked for by their ids, and did not come.
    fn say_missing<'a>(&self, come: impl Iterator<Item = &'a str>) {
        // Only here the ids are gathered: there may be millions of them.
        if self.listed.is_none() && !self.names_all() {
            return;
        }
        let come: HashSet<&str> = come.collect();
        self.say_unknown(&come);
        let Some(listed) = &self.listed else { return };
        let missing: Vec<&String> = listed.iter().filter(|id| !come.contains(id.as_str())).collect();
        if missing.is_empty() {
            return;
        }
        let count = format!("{} of {}", missing.len(), many(listed.len(), "record", "records"));
        if !self.wish.events.is_empty() {
            return self.ctx.log.note(format!("{count} in the project brought no row in these events"));
        }
        let named = some(missing.iter().map(|id| format!("`{}`", shown(id))), missing.len(), ", ");
        self.ctx.log.warning(format!(
            "{count} that the server listed did not come: {named}; they were deleted meanwhile, or the server failed"
        ));
    }

    /// Whether every record that was asked for by its id has to bring a row.
    fn names_all(&self) -> bool {
        !self.wish.records.is_empty() && self.wish.events.is_empty() && self.wish.filter_logic.is_none()
    }

    /// A word of the ids that were asked for and that the server does not know.
    fn say_unknown(&self, come: &HashSet<&str>) {
        if !self.names_all() {
            return;
        }
        let known: HashSet<String> =
            come.iter().copied().chain(self.listed.iter().flatten().map(String::as_str)).map(plain).collect();
        let asked = &self.wish.records;
        let unknown: Vec<&String> = asked.iter().filter(|id| !known.contains(&plain(id))).collect();
        if !unknown.is_empty() {
            let count = format!("{} of {}", unknown.len(), many(asked.len(), "record", "records"));
            let named = some(unknown.iter().map(|id| format!("`{}`", shown(id))), unknown.len(), ", ");
            self.ctx.log.warning(format!(
                "{count} asked for did not come: {named}; they are not in the project, or the token's user may not see them"
            ));
        }
    }

    /// One call for some records, or (none named) for all. What came before stays if it fails.
    async fn part<T: Target + 'static>(
        &mut self,
        dictionary: &Dictionary,
        records: &[String],
        intake: &mut Intake<T>,
    ) -> Result<()> {
        intake.keep()?;
        let request = self.request(dictionary, records);
        let answered = self.operation.call(&request, intake).await;
        if answered.is_err() {
            intake.back()?;
        }
        answered
    }

    fn request(&self, dictionary: &Dictionary, records: &[String]) -> Request {
        let wish = &self.wish;
        let labels = wish.to.is_some() && wish.choices == Choices::Label;
        let raw_or_label = if labels { "label" } else { "raw" };
        if let Some(report) = &wish.report {
            return Request::read("report", Expect::Csv)
                .with("report_id", report.as_str())
                .with("rawOrLabel", raw_or_label);
        }
        let mut fields = wish.fields.clone();
        let all = fields.is_empty() && wish.forms.is_empty();
        if !all && !fields.contains(&dictionary.record_id) {
            fields.insert(0, dictionary.record_id.clone());
        }
        Request::read("record", Expect::Csv)
            .with("type", "flat")
            .with("rawOrLabel", raw_or_label)
            .with("fields", fields)
            .with("forms", wish.forms.as_slice())
            .with("events", wish.events.as_slice())
            .with("filterLogic", wish.filter_logic.clone())
            .with("records", records)
    }

    /// The ids of the records that are wished, in the server's order. The list that the user gave is not sent: it
    /// may be what was too long. Nor are the events: a record may have rows there and no row of this one field.
    async fn ids(&mut self, dictionary: &Dictionary) -> Result<Vec<String>> {
        let request = Request::read("record", Expect::Csv)
            .with("type", "flat")
            .with("rawOrLabel", "raw")
            .with("fields", vec![dictionary.record_id.clone()])
            .with("filterLogic", self.wish.filter_logic.clone());
        // What people wait for are the records; of these ids nobody needs to hear.
        let quiet = Ctx { log: Events::none(), ..self.ctx.clone() };
        let mut intake = Intake::new(&quiet, Body::new(Ids::new(&dictionary.record_id)));
        self.operation.call(&request, &mut intake).await?;
        let mut ids = intake.finish()?.1.cells.all;
        if !self.wish.records.is_empty() {
            let wanted: HashSet<String> = self.wish.records.iter().map(|id| plain(id)).collect();
            ids.retain(|id| wanted.contains(&plain(id)));
        }
        Ok(ids)
    }

    fn say_smaller(&self, error: &Error, size: usize) {
        self.ctx.log.note(format!("{}; going on in batches of {size} records", error.message));
    }
}

/// An id as the server's database compares it.
fn plain(id: &str) -> String {
    id.trim().to_lowercase()
}

impl Wish {
    /// Whether nothing is left out but perhaps fields.
    fn is_everything(&self) -> bool {
        self.report.is_none() && self.events.is_empty() && self.records.is_empty() && self.filter_logic.is_none()
    }
}

/// The error for an answer without any row for records that the server has just listed.
fn empty(records: &[String]) -> Error {
    let records = many(records.len(), "record", "records");
    Error::new(Kind::NotRedcap, format!("the server gave an empty answer for {records} that it had just listed"))
        .hint("it failed without a word, out of memory perhaps; nothing of the export is used")
        .hint("try again, then tell the REDCap administrator; fewer `fields` at a time may pass")
}

/// Whether a smaller request may pass where this one, for `records` records by name, did not: the server ran out of
/// memory, or something in front of it objected to the long list.
fn too_large(error: &Error, records: usize) -> bool {
    let status = error.fields.iter().find(|(name, _)| name == "status").map(|(_, value)| value);
    let refused = matches!(status, Some(Value::Whole(403 | 413)));
    is_out_of_memory(error) || (records > 1 && error.kind == Kind::NotRedcap && refused)
}
