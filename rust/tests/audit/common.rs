//! What the tests share: logs, entries, and what stands in a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keycap::audit::{AuditLog, Intent, Outcome, Verdict, verify};
use keycap::ctx::{Clock, SystemClock};
use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder of this user alone, whatever the umask.
pub(crate) fn folder() -> TempDir {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir().unwrap()
}

pub(crate) fn log(dir: &Path) -> AuditLog {
    AuditLog::new(dir, Arc::new(SystemClock::new()))
}

pub(crate) fn intent(call_id: impl Into<String>) -> Intent {
    Intent {
        call_id: call_id.into(),
        action: "record/export(fields,records)".into(),
        project: "TEST".into(),
        origin: "https://redcap.example.org".into(),
        token_name: "REDCapSync_TEST".into(),
        source: "env".into(),
        source_request_id: None,
        fingerprint: "kc1:0011223344556677".into(),
        ..Intent::default()
    }
}

pub(crate) fn outcome(call_id: impl Into<String>) -> Outcome {
    Outcome { call_id: call_id.into(), status: Some(200), class: "ok".into(), bytes: 17, ..Outcome::default() }
}

/// A clock that stands still.
pub(crate) struct Still(pub(crate) u64);

impl Clock for Still {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.0)
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// A log of so many intents in a folder of its own, and its file.
pub(crate) fn written(entries: usize) -> (TempDir, AuditLog, PathBuf) {
    let dir = folder();
    let log = log(dir.path());
    for at in 1..=entries {
        log.begin(&[intent(format!("call {at}"))]).unwrap();
    }
    let path = log.path();
    (dir, log, path)
}

/// The entries of a log, each a whole line.
pub(crate) fn entries(path: &Path) -> Vec<Value> {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes.last().unwrap_or(&b'\n'), &b'\n');
    let text = String::from_utf8(bytes).unwrap();
    text.split_terminator('\n').map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The number of entries of a log that has to be intact.
pub(crate) fn intact(path: &Path) -> u64 {
    match verify(path).unwrap() {
        Verdict::Intact { entries, .. } => entries,
        verdict => panic!("{verdict:?}"),
    }
}

/// Everything under a folder, names and contents (a link's is where it leads), but for the lock, which is no
/// record of anything.
pub(crate) fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for item in std::fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        let kind = std::fs::symlink_metadata(&path).unwrap();
        if kind.is_symlink() {
            all.insert(path.clone(), std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes());
        } else if kind.is_dir() {
            all.extend(contents(&path));
            all.insert(path, Vec::new());
        } else if kind.is_file() {
            if path.extension().is_none_or(|extension| extension != "lock") {
                all.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        } else {
            all.insert(path, b"special".to_vec());
        }
    }
    all
}
