//! The audit log: verifying it, reading it, filing it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::arguments::{Arguments, Session, wrong};
use super::{ctx, run_blocking, setup};
use crate::audit::{self, AnchorState, AuditLog, Checked, Filter, Lacking, State};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::net::io::{self, Task};
use crate::project::AuditSecond;
use crate::redcap::audit_folder;
use crate::store::Environment;
use crate::value::{Column, Table, Value};

/// `verify_audit_log`: `paths` (folders and files; without them the user's own log), `sandbox` (instead the log of this
/// session's sandboxes), `checkpoints` (a table: `origin`, `entries`, `hash`), `anchors` (files with notes). The anchors
/// of the settings are read too, but for a sandbox's log, which has the name of the user's own. Answers `logs` (a table, one row a
/// log), `open` (a table of intents and changes without an outcome) and `lines` for a person.
pub(super) fn verify(arguments: &Arguments, session: &Session) -> Result<Task> {
    let (given, sandbox) = (arguments.texts("paths")?, arguments.flag("sandbox")?);
    let anchors = match arguments.value("checkpoints") {
        None => Vec::new(),
        Some(Value::Table(table)) => checkpoints(table)?,
        Some(_) => return Err(wrong("checkpoints", "must be a data frame with `origin`, `entries` and `hash`")),
    };
    let notes: Vec<_> = arguments.texts("anchors")?.into_iter().map(PathBuf::from).collect();
    let ctx = ctx(session, Environment::empty())?;
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let is_named = !given.is_empty();
        let mut paths = if is_named {
            folders(&ctx, given, sandbox)
        } else {
            let mut own = own_folders(&ctx, sandbox);
            // Also where nothing is left of it: anchors may know of it.
            let first = audit_folder(&ctx, sandbox);
            own.retain(|folder| *folder != first);
            own.insert(0, first);
            own
        };
        let mut known: Vec<_> = anchors.into_iter().map(|state| (state, true)).collect();
        known.extend(audit::evidence(&ctx, &paths, &notes, !sandbox).await?);
        // Where nothing was called yet, or nothing is left, there is no folder.
        paths.retain(|path| is_named || std::fs::symlink_metadata(path).is_ok());
        io::blocking(move || Ok(verified(&paths, &known))).await
    })
}

fn verified(paths: &[PathBuf], known: &[(AnchorState, bool)]) -> Value {
    let checked = audit::judge(paths, known);
    let lacking = audit::lacking(paths);
    let lines = checked.iter().flat_map(said).chain(lacking.iter().map(|lacking| {
        let Lacking { origin, entries, first } = lacking;
        format!(
            "{origin}: lacks {entries} entries that the log of the other folder has (there the first is {first}), and no \
             entry says that its device was lost"
        )
    }));
    Value::list([
        ("logs", Value::Table(logs(&checked, &lacking))),
        ("open", Value::Table(open(&checked))),
        ("lines", Value::from(lines.collect::<Vec<_>>())),
    ])
}

/// `audit_log`: `project`, `action`, `since`, `until` (seconds since 1970), `paths`, `sandbox`. Answers a table with a
/// row for each call, refusal and change.
pub(super) fn read(arguments: &Arguments, session: &Session) -> Result<Task> {
    let (given, sandbox) = (arguments.texts("paths")?, arguments.flag("sandbox")?);
    let filter = Filter {
        project: arguments.optional_text("project")?,
        action: arguments.optional_text("action")?,
        since: moment(arguments, "since")?,
        until: moment(arguments, "until")?,
    };
    run_blocking(ctx(session, Environment::empty())?, move |ctx| {
        let (table, unread) = audit::table(&folders(ctx, given, sandbox), &filter)?;
        if unread > 0 {
            ctx.log.warning(format!("lines that are no entries: {unread}; `verify_audit_log()` shows the first"));
        }
        Ok(Value::Table(table))
    })
}

/// `archive_audit_log`: `sandbox`. Closes the segment that is written to, in both folders where there are two. Answers a
/// table of what was closed: `file`, `entries`, `bytes`, `hash`, `next_file`.
pub(super) fn archive(arguments: &Arguments, session: &Session) -> Result<Task> {
    let sandbox = arguments.flag("sandbox")?;
    let program = session.program();
    run_blocking(ctx(session, Environment::empty())?, move |ctx| {
        let setup = Arc::new(if sandbox { audit::Setup::default() } else { setup(&ctx.settings, program) });
        let mut closed = Vec::new();
        for folder in own_folders(ctx, sandbox) {
            let log = AuditLog::new(&folder, Arc::clone(&ctx.clock)).with_setup(Arc::clone(&setup));
            let log = if is_second(ctx, &folder) { log.second() } else { log };
            closed.extend(log.archive()?);
        }
        let text = |of: &dyn Fn(&audit::Closed) -> String| Column::text(closed.iter().map(|one| Some(of(one))));
        let columns = [
            ("file", text(&|one| one.path.display().to_string())),
            ("entries", Column::real(closed.iter().map(|one| Some(one.entries as f64)))),
            ("bytes", Column::real(closed.iter().map(|one| Some(one.size as f64)))),
            ("hash", text(&|one| one.hash.clone())),
            ("next_file", text(&|one| one.next.display().to_string())),
        ];
        Ok(Value::Table(Table { columns: columns.map(|(name, column)| (name.to_owned(), column)).into() }))
    })
}

pub(super) fn folders(ctx: &Ctx, given: Vec<String>, sandbox: bool) -> Vec<PathBuf> {
    if given.is_empty() { own_folders(ctx, sandbox) } else { given.into_iter().map(PathBuf::from).collect() }
}

/// The folders of this user's log that are there: where nothing was called yet there is none.
pub(super) fn own_folders(ctx: &Ctx, sandbox: bool) -> Vec<PathBuf> {
    let mut folders =
        if sandbox { vec![ctx.dirs.session.join("audit")] } else { vec![ctx.settings.audit_folder(&ctx.dirs)] };
    if let (false, Some(AuditSecond::Folder(folder))) = (sandbox, &ctx.settings.audit.second) {
        folders.push(folder.clone());
    }
    folders.retain(|folder| std::fs::symlink_metadata(folder).is_ok());
    folders
}

/// Whether it is the second folder of the settings.
fn is_second(ctx: &Ctx, folder: &Path) -> bool {
    matches!(&ctx.settings.audit.second, Some(AuditSecond::Folder(second)) if second == folder)
}

pub(super) fn moment(arguments: &Arguments, name: &str) -> Result<Option<f64>> {
    match arguments.value(name) {
        None => Ok(None),
        Some(Value::Real(seconds)) if seconds.is_finite() => Ok(Some(*seconds)),
        Some(Value::Whole(seconds)) => Ok(Some(*seconds as f64)),
        Some(_) => Err(wrong(name, "must be a time")),
    }
}

fn checkpoints(table: &Table) -> Result<Vec<AnchorState>> {
    let rule = "must be a data frame with `origin`, `entries` and `hash`";
    let column = |name: &str| {
        let column = table.columns.iter().find(|(known, _)| known == name).map(|(_, column)| column);
        column.ok_or_else(|| wrong("checkpoints", rule))
    };
    let (origin, entries, hash) = (column("origin")?, column("entries")?, column("hash")?);
    (0..origin.len())
        .map(|row| {
            let number = match entries {
                Column::Int(cells) => f64::from(*cells.get(row)?),
                Column::Real(cells) => *cells.get(row)?,
                _ => return None,
            };
            let hash = hash.text_at(row).filter(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit()))?;
            (number >= 0.0 && number.fract() == 0.0).then_some(())?;
            Some(AnchorState { origin: origin.text_at(row)?.to_owned(), entries: number as u64, hash: hash.to_owned() })
        })
        .collect::<Option<_>>()
        .ok_or_else(|| wrong("checkpoints", rule))
}

fn logs(checked: &[Checked], lacking: &[Lacking]) -> Table {
    let text = |of: &dyn Fn(&Checked) -> Option<String>| Column::text(checked.iter().map(of));
    let real = |of: &dyn Fn(&Checked) -> Option<u64>| {
        Column::real(checked.iter().map(|one| of(one).map(|number| number as f64)))
    };
    let finding = |one: &Checked| match &one.verdict {
        State::Tampered(finding) => Some(finding.clone()),
        _ => None,
    };
    let columns = [
        ("origin", text(&|one| Some(one.origin.clone()))),
        ("verdict", text(&|one| Some(one.verdict.as_str().to_owned()))),
        ("first", real(&|one| Some(one.first))),
        ("entries", real(&|one| Some(one.entries))),
        ("anchored", real(&|one| Some(one.anchored))),
        ("open", real(&|one| Some(one.open.len() as u64))),
        ("torn", real(&|one| Some(one.torn))),
        ("lacking", real(&|one| Some(lacking.iter().find(|l| l.origin == one.origin).map_or(0, |l| l.entries)))),
        ("bytes", real(&|one| Some(one.bytes))),
        ("hash", text(&|one| Some(one.hash.clone()))),
        ("bad_file", text(&|one| finding(one).map(|found| found.path.display().to_string()))),
        ("bad_line", real(&|one| finding(one).map(|found| found.line))),
        ("bad_entry", real(&|one| finding(one).map(|found| found.seq))),
        ("fault", text(&|one| finding(one).map(|found| found.fault.as_str().to_owned()))),
        ("folder", text(&|one| Some(one.segments.first()?.parent()?.display().to_string()))),
    ];
    Table { columns: columns.map(|(name, column)| (name.to_owned(), column)).into() }
}

fn open(checked: &[Checked]) -> Table {
    let all = || checked.iter().flat_map(|one| one.open.iter().map(move |open| (one, open)));
    let columns = [
        ("origin", Column::text(all().map(|(one, _)| Some(one.origin.clone())))),
        ("entry", Column::real(all().map(|(_, open)| Some(open.seq as f64)))),
        ("time", Column::text(all().map(|(_, open)| Some(open.time.clone())))),
        ("project", Column::text(all().map(|(_, open)| Some(open.project.clone())))),
        ("action", Column::text(all().map(|(_, open)| Some(open.action.clone())))),
        ("call_id", Column::text(all().map(|(_, open)| Some(open.call_id.clone())))),
    ];
    Table { columns: columns.map(|(name, column)| (name.to_owned(), column)).into() }
}

/// The answer for one log, for a person.
fn said(one: &Checked) -> Vec<String> {
    let name = &one.origin;
    let mut lines = Vec::new();
    match &one.verdict {
        State::Anchored => lines.push(format!("{name}: intact and anchored up to entry {}", one.anchored)),
        State::Unanchored if one.entries == 0 => lines.push(format!("{name}: empty, and no checkpoint says otherwise")),
        State::Unanchored if one.anchored == 0 => {
            lines.push(format!("{name}: intact, {} entries; no checkpoint from outside vouches for them", one.entries));
        }
        State::Unanchored => {
            lines.push(format!("{name}: intact, {} entries; unanchored since entry {}", one.entries, one.anchored));
        }
        State::Tampered(found) if found.line == 0 => {
            let file = found.path.display();
            lines.push(format!("{name}: tampered with at entry {}: {} (`{file}`)", found.seq, found.fault));
        }
        State::Tampered(found) => {
            let (line, file) = (found.line, found.path.display());
            lines.push(format!(
                "{name}: tampered with at entry {}: {} (line {line} of `{file}`)",
                found.seq, found.fault
            ));
        }
        State::Unreadable(why) => lines.push(format!("{name}: unreadable: {why}")),
    }
    if one.first > 1 {
        lines.push(format!("{name}: begins with entry {}; earlier segments are not here", one.first));
    }
    if one.torn > 0 {
        lines.push(format!("{name}: a write was cut short ({} bytes); the next entry says so", one.torn));
    }
    if !one.open.is_empty() {
        lines.push(format!("{name}: calls without an outcome: {}", one.open.len()));
    }
    lines
}
