//! Reading logs back: one row a call, of any number of logs, hosts and users.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use serde::Deserialize;

use super::check::logs;
use super::entry::RedcapUser;
use super::line::LONGEST;
use super::utc;
use crate::error::{Error, Kind, Result};
use crate::value::{Column, Table};

/// Which rows are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this project.
    pub project: Option<String>,
    /// At or after this moment, in seconds since 1970.
    pub since: Option<f64>,
    /// Before this moment.
    pub until: Option<f64>,
    /// Of this action, such as `record/export`, or of every action of this content, such as `record`.
    pub action: Option<String>,
}

/// What a line may say; whatever it does not is missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    seq: Option<u64>,
    phase: String,
    time: String,
    host: Option<String>,
    user: Option<String>,
    uid: Option<u32>,
    pid: Option<u32>,
    keycap: Option<String>,
    call_id: Option<String>,
    action: Option<String>,
    project: Option<String>,
    project_id: Option<u64>,
    redcap_user: Option<RedcapUser>,
    origin: Option<String>,
    token_name: Option<String>,
    source: Option<String>,
    store: Option<String>,
    from: Option<String>,
    source_request_id: Option<String>,
    fingerprint: Option<String>,
    reason: Option<String>,
    status: Option<u16>,
    class: Option<String>,
    server_date: Option<String>,
    records: Option<f64>,
    bytes: Option<f64>,
    duration_us: Option<f64>,
    detail: Option<String>,
    script: Option<String>,
    script_sha256: Option<String>,
    session: Option<String>,
    job: Option<String>,
    login_uid: Option<u32>,
    record_digests: Vec<String>,
    record_ids: Vec<String>,
}

/// Reads the logs in some folders and files: a table with a row for each call, refusal and change, in the order of their
/// times, and the number of lines that could not be read. What two devices have is one row.
///
/// # Errors
/// `file`: a folder or file cannot be read.
pub fn table(paths: &[PathBuf], filter: &Filter) -> Result<(Table, u64)> {
    let mut rows: Vec<Line> = Vec::new();
    // The row of a call, and outcomes whose intent is in another log.
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut outcomes: HashMap<String, Line> = HashMap::new();
    let mut refusals = HashSet::new();
    let mut unread = 0;
    for log in logs(paths) {
        let log = log.map_err(|(path, why)| {
            Error::new(Kind::File, format!("the audit log `{}` cannot be read: {why}", path.display()))
                .hint("check the path, and that this user may read it")
                .field("path", path.display().to_string())
        })?;
        for path in log.segments.values() {
            let failed = |error: std::io::Error| {
                Error::new(Kind::File, format!("the audit log `{}` cannot be read: {error}", path.display()))
                    .field("path", path.display().to_string())
            };
            let mut file = BufReader::with_capacity(1 << 18, File::open(path).map_err(failed)?);
            let mut text = Vec::new();
            loop {
                text.clear();
                (&mut file).take(LONGEST).read_until(b'\n', &mut text).map_err(failed)?;
                if text.is_empty() {
                    break;
                }
                let Ok(line) = serde_json::from_slice::<Line>(&text) else {
                    unread += 1;
                    continue;
                };
                match (line.phase.as_str(), &line.call_id) {
                    ("intent" | "change", Some(id)) if !known.contains_key(id) => {
                        known.insert(id.clone(), rows.len());
                        rows.push(line);
                    }
                    ("outcome", Some(id)) => {
                        outcomes.entry(id.clone()).or_insert(line);
                    }
                    // Two devices write a refusal at slightly different times.
                    ("refused", _) if refusals.insert(key(&line)) => rows.push(line),
                    _ => {}
                }
            }
        }
    }
    for (id, outcome) in outcomes {
        let Some(row) = known.get(&id).and_then(|at| rows.get_mut(*at)) else { continue };
        row.status = outcome.status;
        row.class = outcome.class;
        row.server_date = outcome.server_date;
        row.records = outcome.records;
        row.bytes = outcome.bytes;
        row.duration_us = outcome.duration_us;
    }
    rows.retain(|row| filter.takes(row));
    rows.sort_by(|a, b| a.time.cmp(&b.time));
    Ok((columns(&rows), unread))
}

/// What makes a refusal the same on two devices: process, second and everything that it says.
fn key(line: &Line) -> String {
    let second = line.time.get(..19).unwrap_or_default();
    format!(
        "{:?}|{:?}|{second}|{:?}|{:?}|{:?}|{:?}",
        line.host, line.pid, line.action, line.project, line.token_name, line.reason
    )
}

impl Filter {
    fn takes(&self, row: &Line) -> bool {
        let time = utc::seconds(&row.time);
        let is = |wanted: &Option<String>, there: &Option<String>| wanted.is_none() || wanted == there;
        is(&self.project, &row.project)
            && self.since.is_none_or(|since| time.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| time.is_some_and(|time| time < until))
            && self.action.as_ref().is_none_or(|wanted| {
                let plain = row.action.as_deref().unwrap_or_default().split('?').next().unwrap_or_default();
                plain.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }
}

fn columns(rows: &[Line]) -> Table {
    fn text(rows: &[Line], of: impl Fn(&Line) -> Option<&str>) -> Column {
        Column::text(rows.iter().map(of))
    }
    let real = |of: &dyn Fn(&Line) -> Option<f64>| Column::real(rows.iter().map(of));
    let seconds = rows.iter().map(|row| utc::seconds(&row.time).unwrap_or(Column::NO_REAL)).collect();
    // A change says where a token went, a call where it came from.
    let kind = |row: &Line| match row.phase.as_str() {
        "intent" => "call",
        "change" => "change",
        _ => "refused",
    };
    let columns = vec![
        ("time", Column::DateTime { seconds, zone: "UTC".to_owned() }),
        ("kind", Column::text(rows.iter().map(|row| Some(kind(row))))),
        ("project", text(rows, |row| row.project.as_deref())),
        ("action", text(rows, |row| row.action.as_deref())),
        ("outcome", text(rows, |row| row.class.as_deref().or(row.reason.as_deref()))),
        ("status", Column::int(rows.iter().map(|row| row.status.map(i32::from)))),
        ("records", real(&|row| row.records)),
        ("bytes", real(&|row| row.bytes)),
        ("seconds", real(&|row| row.duration_us.map(|us| us / 1e6))),
        ("host", text(rows, |row| row.host.as_deref())),
        ("user", text(rows, |row| row.user.as_deref())),
        ("login_uid", real(&|row| row.login_uid.map(f64::from))),
        ("session", text(rows, |row| row.session.as_deref())),
        ("job", text(rows, |row| row.job.as_deref())),
        ("script", text(rows, |row| row.script.as_deref())),
        ("script_sha256", text(rows, |row| row.script_sha256.as_deref())),
        ("project_id", real(&|row| row.project_id.map(|id| id as f64))),
        (
            "redcap_user",
            text(rows, |row| {
                row.redcap_user.as_ref().map(|user| match user {
                    RedcapUser::Declared(name) | RedcapUser::Verified(name) => name.as_str(),
                })
            }),
        ),
        (
            "redcap_user_is",
            text(rows, |row| {
                row.redcap_user.as_ref().map(|user| match user {
                    RedcapUser::Declared(_) => "declared",
                    RedcapUser::Verified(_) => "verified",
                })
            }),
        ),
        ("origin", text(rows, |row| row.origin.as_deref())),
        ("token_name", text(rows, |row| row.token_name.as_deref())),
        ("source", text(rows, |row| row.source.as_deref().or(row.from.as_deref()))),
        ("store", text(rows, |row| row.store.as_deref())),
        ("fingerprint", text(rows, |row| row.fingerprint.as_deref())),
        ("detail", text(rows, |row| row.detail.as_deref())),
        ("server_date", text(rows, |row| row.server_date.as_deref())),
        ("source_request_id", text(rows, |row| row.source_request_id.as_deref())),
        ("pid", real(&|row| row.pid.map(f64::from))),
        ("uid", real(&|row| row.uid.map(f64::from))),
        ("keycap", text(rows, |row| row.keycap.as_deref())),
        ("call_id", text(rows, |row| row.call_id.as_deref())),
        ("entry", real(&|row| row.seq.map(|seq| seq as f64))),
        (
            "record_ids",
            Column::text(rows.iter().map(|row| {
                let ids = if row.record_ids.is_empty() { &row.record_digests } else { &row.record_ids };
                (!ids.is_empty()).then(|| ids.join(" "))
            })),
        ),
    ];
    Table { columns: columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect() }
}
