//! Operations on several projects side by side. Each project is an operation of its own: with its own look-up, its own
//! entries in the audit log, and its own outcome, which is a row of the answer.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::arguments::{Arguments, Session, wrong};
use super::{ctx, records};
use crate::ctx::{Ctx, Event, Events};
use crate::error::{Error, Kind, Result};
use crate::file;
use crate::net::Client;
use crate::net::io::{self, Task};
use crate::project::{Project, Registries, unknown};
use crate::records::{Export, Wish, export};
use crate::redcap::{Operation, Probe, probe, side_by_side};
use crate::store::Environment;
use crate::token::ShortName;
use crate::value::{Column, Table, Value};

/// How often progress is told, at most.
const PACE: Duration = Duration::from_millis(100);

/// `test_tokens`: `projects` (a list of projects and short names). Answers a table with one row each: `short_name`,
/// `works` (nothing where the question is left open), `reason`, `message`, `redcap_version`, `project_id`,
/// `project_title`, `fingerprint`, `source`, `seconds`.
pub(super) fn test(arguments: &Arguments, session: &Session) -> Result<Task> {
    let all = All::read(arguments, session, ctx(session, Environment::empty())?)?;
    io::start(move |log| async move {
        let names = all.names();
        let operations = all.each(&log, |_, ctx, project, operation| {
            Box::pin(async move {
                let mut operation = operation;
                let tested = probe(&ctx, &project, &mut operation).await;
                Ok(Tested { tested, fingerprint: operation.fingerprint(), source: operation.source() })
            })
        });
        Ok(Value::Table(tested_table(&names, side_by_side(operations).await)))
    })
}

/// `export_many`: `projects` as above; the other arguments as for `export_records`, where `to` is a folder: each
/// project's records go to `<short_name>.csv` in it. Answers `results`, a table with one row each (`short_name`, `ok`,
/// `rows`, `bytes`, `reason`, `message`, `seconds`, `file`), and `exports`, what `export_records` answers for each;
/// nothing where it failed or went to a file.
pub(super) fn export_all(arguments: &Arguments, session: &Session) -> Result<Task> {
    let wish = records::wish(arguments)?;
    let mut ctx = ctx(session, Environment::empty())?;
    records::be_patient(&mut ctx.settings);
    let mut all = All::read(arguments, session, ctx)?;
    let files = all.files(wish.to.as_ref())?;
    io::start(move |log| async move {
        let names = all.names();
        let wishes: Vec<_> = files.iter().map(|to| Wish { to: to.clone(), ..wish.clone() }).collect();
        let operations = all.each(&log, |n, ctx, project, operation| {
            let wish = wishes[n].clone();
            Box::pin(async move {
                let export = export(&ctx, &project, operation, wish).await?;
                records::say(&ctx, &export);
                Ok(export)
            })
        });
        Ok(exported(&names, files, side_by_side(operations).await))
    })
}

/// What an operation on one project comes to.
type Later<T> = std::pin::Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// The projects that are asked for, and what their operations share.
struct All {
    ctx: Ctx,
    client: Client,
    entries: Vec<Entry>,
}

struct Entry {
    short_name: ShortName,
    found: Result<Found>,
}

/// A project with what the environment holds for it, read on the host's thread.
struct Found {
    project: Project,
    sandbox: bool,
    env: Environment,
}

impl All {
    /// Reads the projects and the environment. To be called on the host's thread.
    fn read(arguments: &Arguments, session: &Session, ctx: Ctx) -> Result<Self> {
        let items: Vec<&Value> = match arguments.value("projects") {
            Some(Value::List(items)) if items.iter().all(|(name, _)| name.is_empty()) => {
                items.iter().map(|(_, item)| item).collect()
            }
            Some(one @ Value::Text(_)) => vec![one],
            _ => return Err(wrong("projects", "must be a list of projects or short names")),
        };
        let known = if items.iter().any(|item| item.as_text().is_some()) {
            Registries::new(&ctx.dirs).read_both()?
        } else {
            Vec::new()
        };
        let named = |short_name: &ShortName| {
            let found = known.iter().find(|(_, project)| project.short_name == *short_name);
            found.map(|(_, project)| project.clone()).ok_or_else(|| unknown(short_name))
        };
        let entry = |item: &&Value| {
            let (short_name, project) = if let Some(text) = item.as_text() {
                let short_name = ShortName::new(text)?;
                let project = named(&short_name);
                (short_name, project)
            } else {
                let project = Project::from_value(item)?;
                (project.short_name.clone(), Ok(project))
            };
            let found = project.map(|project| Found {
                sandbox: session.is_sandbox(&project.redcap_uri),
                env: Environment::take(&project.token_name),
                project,
            });
            Ok(Entry { short_name, found })
        };
        let entries = items.iter().map(entry).collect::<Result<_>>()?;
        let client = ctx.net.client(&ctx.settings.net)?;
        Ok(Self { ctx, client, entries })
    }

    fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.short_name.as_str().to_owned()).collect()
    }

    /// Each project's file in a folder, which is made where it is missing. What would write to the file of another is
    /// an error of its own.
    fn files(&mut self, folder: Option<&PathBuf>) -> Result<Vec<Option<PathBuf>>> {
        let Some(folder) = folder else { return Ok(vec![None; self.entries.len()]) };
        file::make_private_folder(folder)?;
        let mut taken = HashSet::new();
        let mut files = Vec::new();
        for entry in &mut self.entries {
            let name = entry.short_name.as_str();
            files.push(Some(folder.join(format!("{name}.csv"))));
            // There are file systems where `a` and `A` are one name.
            if !taken.insert(name.to_lowercase()) && entry.found.is_ok() {
                let message = format!("`{name}.csv` is the file of another project in this call");
                entry.found = Err(Error::new(Kind::Argument, message)
                    .hint("name each project once; where short names differ in case only, export them one by one")
                    .field("argument", "projects"));
            }
        }
        Ok(files)
    }

    /// An operation on each project; `make` gets its position too.
    fn each<T: Send + 'static>(
        self,
        log: &Events,
        make: impl Fn(usize, Ctx, Project, Operation) -> Later<T>,
    ) -> Vec<Later<T>> {
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        let progress = Progress::new(self.entries.len());
        let mut all = Vec::new();
        for (n, entry) in self.entries.into_iter().enumerate() {
            let name = entry.short_name.as_str().to_owned();
            all.push(match entry.found {
                Err(error) => Box::pin(std::future::ready(Err(error))) as Later<T>,
                Ok(Found { project, sandbox, env }) => {
                    let log = progress.told_by(n, name, log.clone());
                    let ctx = Ctx { env, log, ..self.ctx.clone() };
                    let mut operation = Operation::new(&ctx, project.clone(), sandbox, self.client.clone());
                    if ctx.settings.interactive {
                        operation = operation.in_turn(&turn);
                    }
                    make(n, ctx, project, operation)
                }
            });
        }
        all
    }
}

/// How far all exports are together.
#[derive(Clone)]
struct Progress(Arc<Mutex<Tally>>);

struct Tally {
    each: Vec<(u64, u64)>,
    told: Option<Instant>,
}

impl Progress {
    fn new(projects: usize) -> Self {
        Self(Arc::new(Mutex::new(Tally { each: vec![(0, 0); projects], told: None })))
    }

    /// What one project tells: remarks with its name, and progress as a part of the whole.
    fn told_by(&self, n: usize, name: String, log: Events) -> Events {
        let tally = Arc::clone(&self.0);
        Events::new(move |event| match event {
            Event::Note(text) => log.note(format!("`{name}`: {text}")),
            Event::Once(text) => log.once(text),
            Event::Warning(text) => log.warning(format!("`{name}`: {text}")),
            Event::Progress { bytes, rows } => {
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                tally.each[n] = (bytes, rows);
                if tally.told.is_none_or(|told| told.elapsed() >= PACE) {
                    tally.told = Some(Instant::now());
                    log.progress(
                        tally.each.iter().map(|each| each.0).sum(),
                        tally.each.iter().map(|each| each.1).sum(),
                    );
                }
            }
        })
    }
}

/// What came of a test, and what is known of the token in any case.
struct Tested {
    tested: Result<Probe>,
    fingerprint: Option<String>,
    source: Option<&'static str>,
}

fn tested_table(names: &[String], results: Vec<(Result<Tested>, Duration)>) -> Table {
    let rows: Vec<(Tested, Duration)> = results
        .into_iter()
        .map(|(result, took)| {
            let none = |error| Tested { tested: Err(error), fingerprint: None, source: None };
            (result.unwrap_or_else(none), took)
        })
        .collect();
    let found = || rows.iter().map(|(row, _)| row.tested.as_ref().ok());
    let failed = || rows.iter().map(|(row, _)| row.tested.as_ref().err());
    let text = |of: fn(&Probe) -> Option<&str>| Column::text(found().map(|probe| probe.and_then(of)));
    let works = rows.iter().map(|(row, _)| match &row.tested {
        Ok(_) => Some(true),
        // The token will not work. What leaves that open is neither yes nor no.
        Err(error) => matches!(error.kind, Kind::TokenRefused | Kind::TokenMissing | Kind::TokenForm).then_some(false),
    });
    let message = rows.iter().map(|(row, _)| match &row.tested {
        Ok(probe) => probe.remark.as_deref(),
        Err(error) => Some(error.message.as_str()),
    });
    Table {
        columns: vec![
            ("short_name".into(), Column::text(names.iter().map(Some))),
            ("works".into(), Column::flag(works)),
            ("reason".into(), Column::text(failed().map(|error| error.map(|error| error.kind.as_str())))),
            ("message".into(), Column::text(message)),
            ("redcap_version".into(), text(|probe| Some(&probe.version))),
            ("project_id".into(), text(|probe| probe.project_id.as_deref())),
            ("project_title".into(), text(|probe| probe.project_title.as_deref())),
            ("fingerprint".into(), Column::text(rows.iter().map(|(row, _)| row.fingerprint.as_deref()))),
            ("source".into(), Column::text(rows.iter().map(|(row, _)| row.source))),
            ("seconds".into(), seconds(rows.iter().map(|(_, took)| *took))),
        ],
    }
}

fn exported(names: &[String], files: Vec<Option<PathBuf>>, results: Vec<(Result<Export>, Duration)>) -> Value {
    let found = || results.iter().map(|(result, _)| result.as_ref().ok());
    let failed = || results.iter().map(|(result, _)| result.as_ref().err());
    let number = |of: fn(&Export) -> u64| Column::real(found().map(|export| export.map(|export| of(export) as f64)));
    let written = files.into_iter().zip(found()).map(|(file, export)| file.filter(|_| export.is_some()));
    let written: Vec<_> = written.map(|file| file.map(|file| file.display().to_string())).collect();
    let table = Table {
        columns: vec![
            ("short_name".into(), Column::text(names.iter().map(Some))),
            ("ok".into(), Column::flag(found().map(|export| Some(export.is_some())))),
            ("rows".into(), number(|export| export.rows)),
            ("bytes".into(), number(|export| export.bytes)),
            ("reason".into(), Column::text(failed().map(|error| error.map(|error| error.kind.as_str())))),
            ("message".into(), Column::text(failed().map(|error| error.map(|error| error.message.as_str())))),
            ("seconds".into(), seconds(results.iter().map(|(_, took)| *took))),
            ("file".into(), Column::text(written)),
        ],
    };
    let exports = results.into_iter().map(|(result, _)| match result {
        Ok(export) if export.table.is_some() => records::answer(export),
        _ => Value::Nothing,
    });
    let exports = exports.map(|export| (String::new(), export)).collect();
    Value::list([("results", Value::Table(table)), ("exports", Value::List(exports))])
}

fn seconds(all: impl Iterator<Item = Duration>) -> Column {
    // To the microsecond: the rest is noise, and looks like more than it is.
    Column::real(all.map(|took| Some((took.as_secs_f64() * 1e6).round() / 1e6)))
}
