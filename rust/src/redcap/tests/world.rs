//! What the tests of the pipeline share: a world of one project and one token, and a server with a list of answers.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::ctx::{Ctx, Dirs, Event, Events, Random, SystemClock, SystemRandom};
use crate::error::{Error, Result};
use crate::net::tests::kit;
use crate::project::{Project, Settings, Wish, set_up};
use crate::redcap::pipeline::Operation;
use crate::redcap::probe::{Probe, probe};
use crate::redcap::request::{Expect, Request};
use crate::store::Environment;
use crate::token::TokenName;
use crate::value::Value;

/// A fake token, random for each run.
pub(super) fn token() -> String {
    let mut bytes = [0_u8; 16];
    SystemRandom.fill(&mut bytes).unwrap();
    crate::hex::hex(&bytes).to_uppercase()
}

/// A server that gives its answers in order (the last one again and again) and keeps what it was sent.
pub(super) struct Server {
    pub(super) uri: String,
    pub(super) requests: Arc<Mutex<Vec<String>>>,
}

pub(super) type Say = Box<dyn Fn(&str) -> Vec<u8> + Send>;

impl Server {
    pub(super) fn start(answers: Vec<Say>) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let answers = Mutex::new(VecDeque::from(answers));
        let listener = kit::listen(move |mut conn| {
            while let Some((_, body)) = conn.request() {
                let request = String::from_utf8(body).unwrap();
                let mut answers = answers.lock().unwrap();
                let say = if answers.len() > 1 { answers.pop_front() } else { None };
                let answer = match (&say, answers.front()) {
                    (Some(say), _) | (None, Some(say)) => say(&request),
                    (None, None) => return,
                };
                drop(answers);
                seen.lock().unwrap().push(request);
                if !conn.send(&answer) {
                    return;
                }
            }
        });
        Self { uri: listener.http().as_str().to_owned(), requests }
    }

    pub(super) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

pub(super) fn say(status: u16, headers: &str, body: &str) -> Say {
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len());
    Box::new(move |_| answer.clone().into_bytes())
}

pub(super) const VERSION: &str = "14.5.1";
pub(super) const PROJECT: &str = r#"{"project_id":77,"project_title":"Trial"}"#;

pub(super) fn version() -> Say {
    say(200, "", VERSION)
}

/// A request that asks for JSON.
pub(super) fn read() -> Request {
    Request::read("record", Expect::Json)
}

/// A request that changes data on the server.
pub(super) fn write() -> Request {
    let mut request = read();
    request.writes = true;
    request
}

pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) ctx: Ctx,
    pub(super) events: Arc<Mutex<Vec<Event>>>,
    pub(super) token: String,
}

impl World {
    pub(super) fn new() -> Self {
        let token = token();
        Self::with(token.as_bytes(), &token)
    }

    /// With what the environment variable holds, and the token in it.
    pub(super) fn with(value: &[u8], token: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        let ctx = Ctx {
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom),
            dirs: Dirs { config: at("config"), data: at("data"), session: at("session"), site: at("site.toml") },
            settings: Settings { order: vec!["env".into()], ..Settings::default() },
            env: Environment::with(&TokenName::new("REDCapSync_T").unwrap(), value),
            log: Events::new(move |event| sink.lock().unwrap().push(event)),
            net: kit::net(),
            shared: crate::ctx::Shared::default(),
        };
        Self { folder, ctx, events, token: token.to_owned() }
    }

    /// That tries a read so many times again.
    pub(super) fn trying_again(times: u32) -> Self {
        let mut world = Self::new();
        world.ctx.settings.retries = times;
        world
    }

    pub(super) fn project(uri: &str) -> Project {
        Project::from_value(&Value::list([
            ("short_name", "T".into()),
            ("redcap_uri", uri.into()),
            ("token_name", "REDCapSync_T".into()),
        ]))
        .unwrap()
    }

    pub(super) fn set_up(&self, uri: &str) -> Project {
        let wish = Wish { project: Self::project(uri), overwrite: false, sandboxes: Vec::new() };
        set_up(&self.ctx, wish).unwrap().project
    }

    pub(super) fn operation(&self, project: &Project) -> Operation {
        Operation::new(&self.ctx, project.clone(), false, self.ctx.net.client(&self.ctx.settings.net).unwrap())
    }

    pub(super) async fn probe(&self, project: &Project) -> Result<Probe> {
        probe(&self.ctx, project, &mut self.operation(project)).await
    }

    /// One request to a server, with its whole answer.
    pub(super) async fn ask(&self, uri: &str, request: &Request) -> Result<Vec<u8>> {
        let project = self.set_up(uri);
        self.operation(&project).collect(request, 10_000_000).await.map(|body| body.to_vec())
    }

    /// The error of one request to a server.
    pub(super) async fn error(&self, uri: &str, request: &Request) -> Error {
        let answered = self.ask(uri, request).await;
        let error = answered.map(|body| panic!("no error but {} bytes", body.len())).unwrap_err();
        self.assert_sealed(&format!("{error:?}"));
        error
    }

    pub(super) fn log(&self) -> Vec<serde_json::Value> {
        let soon = std::time::Instant::now() + std::time::Duration::from_secs(20);
        assert!(self.ctx.shared.audit.settled(soon), "outcomes are not written");
        let text = log_text(self.folder.path());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(super) fn phases(&self) -> Vec<String> {
        self.log().iter().map(|entry| entry["phase"].as_str().unwrap().to_owned()).collect()
    }

    /// The classes of the outcomes, each of which has an intent of its own right before it.
    pub(super) fn classes(&self) -> Vec<String> {
        let log = self.log();
        let (calls, rest) = log.as_chunks::<2>();
        assert!(rest.is_empty(), "a call without its outcome");
        let mut ids: Vec<_> = calls.iter().map(|[intent, _]| intent["call_id"].to_string()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), calls.len(), "two calls with one id");
        let class = |[intent, outcome]: &[serde_json::Value; 2]| {
            assert_eq!((intent["phase"].as_str(), outcome["phase"].as_str()), (Some("intent"), Some("outcome")));
            assert_eq!(intent["call_id"], outcome["call_id"]);
            outcome["class"].as_str().unwrap().to_owned()
        };
        calls.iter().map(class).collect()
    }

    /// No 8 characters of the token stand in a text, nor anywhere in the folders.
    pub(super) fn assert_sealed(&self, text: &str) {
        let mut all = text.to_ascii_uppercase();
        all.push_str(&format!("{:?}", self.events.lock().unwrap()).to_ascii_uppercase());
        all.push_str(&everything(self.folder.path()).to_ascii_uppercase());
        for start in 0..=self.token.len() - 8 {
            assert!(!all.contains(&self.token[start..start + 8]), "a part of the token stands somewhere");
        }
    }
}

pub(super) fn log_text(folder: &Path) -> String {
    let Ok(files) = std::fs::read_dir(folder.join("data/audit")) else { return String::new() };
    let logs = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
    logs.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn everything(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.push_str(&everything(&path));
        } else {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
        }
    }
    all
}
