//! What tests of operations share: a host with folders of its own.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::Duration;

use crate::ctx::Event;
use crate::error::Result;
use crate::net::io::{Poll, Task};
use crate::value::Value;

/// A host's session, whose folders are gone with it.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) session: Value,
}

impl World {
    /// With these options, and with these addresses for sandboxes that it started.
    pub(super) fn new(options: &[(&str, &str)], sandboxes: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Value::Text(folder.path().join(name).display().to_string());
        let options = options.iter().map(|(name, text)| ((*name).to_owned(), (*text).into())).collect();
        let sandboxes: Vec<String> = sandboxes.iter().map(|uri| (*uri).to_owned()).collect();
        let session = Value::list([
            ("config", at("config")),
            ("data", at("data")),
            ("session", at("session")),
            ("options", Value::List(options)),
            ("sandboxes", sandboxes.into()),
        ]);
        Self { folder, session }
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn start(&self, op: &str, args: Value) -> Result<Task> {
        crate::border::start(op, args, &self.session)
    }

    /// What an operation said on its way, and what came of it.
    pub(super) fn run(&self, op: &str, args: Value) -> (Vec<String>, Result<Value>) {
        let mut task = match self.start(op, args) {
            Ok(task) => task,
            Err(error) => return (Vec::new(), Err(error)),
        };
        let mut said = Vec::new();
        loop {
            let (events, result) = match task.poll(Duration::from_millis(50)) {
                Poll::Pending(events) => (events, None),
                Poll::Done(events, result) => (events, Some(result)),
            };
            said.extend(events.into_iter().filter_map(|event| match event {
                Event::Note(text) | Event::Warning(text) | Event::Once(text) => Some(text),
                Event::Progress { .. } => None,
            }));
            if let Some(result) = result {
                return (said, result);
            }
        }
    }

    /// Sets a project up.
    pub(super) fn project(&self, short_name: &str, uri: &str, token_name: &str) -> Value {
        let args = [("short_name", short_name), ("redcap_uri", uri), ("token_name", token_name)];
        let set_up = self.run("setup_project", Value::list(args.map(|(name, text)| (name, text.into())))).1.unwrap();
        set_up.get("project").unwrap().clone()
    }

    /// The entries of the intact logs in a folder; none where it is not there.
    pub(super) fn log(&self, folder: &str) -> Vec<serde_json::Value> {
        let Ok(files) = std::fs::read_dir(self.at(folder)) else { return Vec::new() };
        let paths = files.map(|file| file.unwrap().path());
        let logs: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
        for log in &logs {
            assert!(matches!(crate::audit::verify(log).unwrap(), crate::audit::Verdict::Intact { .. }));
        }
        let text: String = logs.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
