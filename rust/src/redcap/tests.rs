//! The pipeline against a raw listener that says whatever a test wants.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::pipeline::Operation;
use super::probe::{Probe, probe};
use super::request::{Expect, Request};
use crate::ctx::{Ctx, Dirs, Event, Events, SystemClock, SystemRandom};
use crate::error::{Error, Kind, Result};
use crate::net::Net;
use crate::project::{Project, Settings, Wish, set_up};
use crate::store::Environment;
use crate::token::TokenName;
use crate::value::Value;

/// A fake token, random for each run.
fn token() -> String {
    use crate::ctx::Random;
    let mut bytes = [0_u8; 16];
    SystemRandom.fill(&mut bytes).unwrap();
    crate::hex::hex(&bytes).to_uppercase()
}

/// A server that gives its answers in order (the last one again and again) and keeps what it was sent.
struct Server {
    uri: String,
    requests: Arc<Mutex<Vec<String>>>,
}

type Say = Box<dyn Fn(&str) -> Vec<u8> + Send>;

impl Server {
    fn start(answers: Vec<Say>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}/api/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, seen, answers) = (stream.unwrap(), Arc::clone(&seen), Arc::clone(&answers));
                std::thread::spawn(move || {
                    while let Some(request) = read_request(&mut stream) {
                        let mut answers = answers.lock().unwrap();
                        let say = if answers.len() > 1 { answers.pop_front() } else { None };
                        let answer = match (&say, answers.front()) {
                            (Some(say), _) | (None, Some(say)) => say(&request),
                            (None, None) => return,
                        };
                        drop(answers);
                        seen.lock().unwrap().push(request);
                        if stream.write_all(&answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { uri, requests }
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0_u8];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(String::from_utf8(body).unwrap())
}

fn say(status: u16, headers: &str, body: &str) -> Say {
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len());
    Box::new(move |_| answer.clone().into_bytes())
}

const VERSION: &str = "14.5.1";
const PROJECT: &str = r#"{"project_id":77,"project_title":"Trial"}"#;

fn version() -> Say {
    say(200, "", VERSION)
}

struct World {
    folder: tempfile::TempDir,
    ctx: Ctx,
    events: Arc<Mutex<Vec<Event>>>,
    token: String,
}

impl World {
    fn new() -> Self {
        let token = token();
        Self::with(token.as_bytes(), &token)
    }

    fn with(value: &[u8], token: &str) -> Self {
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
            net: Net::new(),
        };
        Self { folder, ctx, events, token: token.to_owned() }
    }

    fn project(uri: &str) -> Project {
        Project::from_value(&Value::list([
            ("short_name", "T".into()),
            ("redcap_uri", uri.into()),
            ("token_name", "REDCapSync_T".into()),
        ]))
        .unwrap()
    }

    fn set_up(&self, uri: &str) -> Project {
        let wish = Wish { project: Self::project(uri), overwrite: false, sandboxes: Vec::new() };
        set_up(&self.ctx, wish).unwrap().project
    }

    fn operation(&self, project: &Project) -> Operation {
        Operation::new(&self.ctx, project.clone(), false, self.ctx.net.client(&self.ctx.settings.net).unwrap())
    }

    async fn probe(&self, project: &Project) -> Result<Probe> {
        probe(&self.ctx, project, self.operation(project)).await
    }

    fn log(&self) -> Vec<serde_json::Value> {
        let text = log_text(self.folder.path());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn phases(&self) -> Vec<String> {
        self.log().iter().map(|entry| entry["phase"].as_str().unwrap().to_owned()).collect()
    }

    /// No 8 characters of the token stand in a text, nor anywhere in the folders.
    fn assert_sealed(&self, text: &str) {
        let mut all = text.to_ascii_uppercase();
        all.push_str(&format!("{:?}", self.events.lock().unwrap()).to_ascii_uppercase());
        all.push_str(&everything(self.folder.path()).to_ascii_uppercase());
        for start in 0..=self.token.len() - 8 {
            assert!(!all.contains(&self.token[start..start + 8]));
        }
    }
}

fn log_text(folder: &Path) -> String {
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

#[tokio::test]
async fn a_token_that_works_gives_version_and_project_and_pins_the_id() {
    let server = Server::start(vec![
        version(),
        say(200, "", PROJECT),
        version(),
        say(200, "", PROJECT.replace("77", "78").as_str()),
    ]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    let found = world.probe(&project).await.unwrap();
    assert_eq!((found.version.as_str(), found.project_id.as_deref()), (VERSION, Some("77")));
    assert!(found.api_page.ends_with("/redcap_v14.5.1/API/project_api.php?pid=77"));
    assert_eq!(world.phases(), ["intent", "outcome", "intent", "outcome"]);
    assert!(server.requests.lock().unwrap()[0].starts_with(&format!("token={}&content=version", world.token)));
    // The same token name opens another project now.
    let Err(error) = world.probe(&project).await else { panic!("another project passed") };
    assert_eq!(error.kind, Kind::ProjectChanged);
    world.assert_sealed(&format!("{error:?}"));
}

#[tokio::test]
async fn the_intent_is_on_disk_before_the_request_arrives() {
    let world = World::new();
    let folder = world.folder.path().to_owned();
    let on_disk = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&on_disk);
    let look: Say = Box::new(move |_| {
        seen.lock().unwrap().push(log_text(&folder));
        b"HTTP/1.1 200 X\r\nContent-Length: 6\r\n\r\n14.5.1".to_vec()
    });
    let server = Server::start(vec![look, say(200, "", PROJECT)]);
    let project = world.set_up(&server.uri);
    world.probe(&project).await.unwrap();
    let on_disk = on_disk.lock().unwrap();
    assert!(on_disk[0].contains("\"intent\"") && !on_disk[0].contains("\"outcome\""), "{}", on_disk[0]);
}

#[tokio::test]
async fn without_an_intent_there_is_no_call() {
    let server = Server::start(vec![version()]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    std::fs::create_dir_all(world.folder.path().join("data")).unwrap();
    std::fs::write(world.folder.path().join("data/audit"), "in the way").unwrap();
    let Err(error) = world.probe(&project).await else { panic!("called without an intent") };
    assert_eq!((error.kind, server.count()), (Kind::Audit, 0));
}

#[tokio::test]
async fn a_token_goes_only_to_the_origin_that_it_is_bound_to() {
    let (good, evil) = (Server::start(vec![version()]), Server::start(vec![version()]));
    let world = World::new();
    let mut project = world.set_up(&good.uri);
    project.redcap_uri = World::project(&evil.uri).redcap_uri;
    let Err(error) = world.probe(&project).await else { panic!("sent elsewhere") };
    assert_eq!((error.kind, good.count(), evil.count()), (Kind::Origin, 0, 0));
    project.token_name = TokenName::new("OTHER").unwrap();
    let Err(error) = world.probe(&project).await else { panic!("sent another token") };
    assert_eq!((error.kind, good.count(), evil.count()), (Kind::Origin, 0, 0));
    // The site's list of servers binds too.
    let mut world = World::new();
    let project = World::project(&good.uri);
    assert_eq!(world.probe(&project).await.err().map(|e| e.kind), Some(Kind::Origin));
    world.ctx.settings.servers = vec![project.redcap_uri.origin().clone()];
    world.ctx.settings.retries = 0;
    let _ = world.probe(&project).await;
    assert!(good.count() > 0);
}

#[tokio::test]
async fn a_blank_or_malformed_token_is_said_and_nothing_is_sent() {
    let server = Server::start(vec![version()]);
    let token = token();
    for (value, kind, part) in [
        (String::new(), Kind::TokenMissing, "no token is found"),
        (format!("{token}\n\n"), Kind::TokenForm, "33 characters, trailing newline"),
        (format!("{token}{token}"), Kind::TokenForm, "super token"),
    ] {
        let world = World::with(value.as_bytes(), &token);
        let project = world.set_up(&server.uri);
        let Err(error) = world.probe(&project).await else { panic!("{part}") };
        assert_eq!(error.kind, kind);
        assert!(error.message.contains(part), "{}", error.message);
        assert_eq!(
            (world.phases(), world.log()[0]["reason"].as_str()),
            (vec!["refused".to_owned()], Some(kind.as_str()))
        );
        world.assert_sealed(&format!("{error:?}"));
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_redirect_is_refused_and_nothing_is_sent_there() {
    for code in [301, 302, 303, 307, 308] {
        let elsewhere = Server::start(vec![version()]);
        let target = elsewhere.uri.replace("/api/", "/x?secret=1");
        let server = Server::start(vec![say(code, &format!("Location: {target}\r\n"), "")]);
        let world = World::new();
        let project = world.set_up(&server.uri);
        let Err(error) = world.probe(&project).await else { panic!("followed") };
        assert_eq!(error.kind, Kind::Redirect);
        assert!(error.message.contains(&code.to_string()) && !error.message.contains("secret"), "{}", error.message);
        assert_eq!((server.count(), elsewhere.count()), (1, 0));
    }
}

#[tokio::test]
async fn the_token_echoed_in_an_error_is_scrubbed_and_in_data_withheld() {
    let world = World::new();
    let echo = format!(r#"{{"error":"no field {}"}}"#, world.token.to_lowercase());
    let server = Server::start(vec![say(400, "", &echo)]);
    let project = world.set_up(&server.uri);
    let Err(error) = world.probe(&project).await else { panic!("no error") };
    assert_eq!(error.kind, Kind::Redcap);
    world.assert_sealed(&format!("{error:?}"));

    let world = World::new();
    let data = format!(r#"{{"project_id":1,"project_title":"{}"}}"#, world.token.to_lowercase());
    let server = Server::start(vec![version(), say(200, "", &data)]);
    let project = world.set_up(&server.uri);
    let Err(error) = world.probe(&project).await else { panic!("no error") };
    assert_eq!(error.kind, Kind::TokenEcho);
    world.assert_sealed(&format!("{error:?}"));
    assert_eq!(world.log().last().unwrap()["class"], "token_echo");
}

#[tokio::test]
async fn a_read_is_tried_again_after_a_gateway_error_and_each_try_is_a_call_of_its_own() {
    for status in [408, 500, 502, 503, 504] {
        let server = Server::start(vec![say(status, "", "<html>"), version(), say(200, "", PROJECT)]);
        let world = World::new();
        let project = world.set_up(&server.uri);
        assert!(world.probe(&project).await.is_ok(), "{status}");
        assert_eq!((server.count(), world.phases().len()), (3, 6));
        let ids: std::collections::HashSet<String> = world.log().iter().map(|e| e["call_id"].to_string()).collect();
        assert_eq!(ids.len(), 3);
    }
}

#[tokio::test]
async fn a_refusal_and_a_write_are_never_tried_again() {
    let refused = r#"{"error":"You do not have permissions to use the API"}"#;
    let server = Server::start(vec![say(403, "", refused)]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    assert_eq!(world.probe(&project).await.err().map(|e| e.kind), Some(Kind::TokenRefused));
    assert_eq!(server.count(), 1);

    let server = Server::start(vec![say(503, "", "<html>")]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    let mut write = Request::read("record", Expect::Json);
    write.writes = true;
    let answered = world.operation(&project).collect(&write, 1000).await;
    assert_eq!((answered.err().map(|e| e.kind), server.count()), (Some(Kind::Server), 1));

    // The server takes the import and hangs up.
    let server = Server::start(vec![Box::new(|_| Vec::new()), Box::new(|_| Vec::new())]);
    let mut world = World::new();
    world.ctx.settings.net.timeout = std::time::Duration::from_millis(300);
    let project = world.set_up(&server.uri);
    let answered = world.operation(&project).collect(&write, 1000).await;
    assert_eq!((answered.err().map(|e| e.kind), server.count()), (Some(Kind::OutcomeUnknown), 1));
}

#[tokio::test]
async fn an_interrupted_call_leaves_an_outcome_that_says_so() {
    let server = Server::start(vec![Box::new(|_| Vec::new())]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    let mut operation = world.operation(&project);
    let request = Request::read("version", Expect::Version);
    let call = tokio::time::timeout(std::time::Duration::from_millis(300), operation.collect(&request, 1000)).await;
    assert!(call.is_err());
    assert_eq!(world.phases(), ["intent", "outcome"]);
    assert_eq!(world.log()[1]["class"], "interrupted");
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let server = Server::start(vec![say(200, "", &"1".repeat(200_000))]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    let Err(error) = world.probe(&project).await else { panic!("took it") };
    assert_eq!(error.kind, Kind::NotRedcap);
    let _: Error = error;
}

#[tokio::test]
async fn a_token_without_export_right_works_with_a_remark() {
    let no_right = r#"{"error":"You do not have API Export privileges"}"#;
    let server = Server::start(vec![version(), say(403, "", no_right)]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    let found = world.probe(&project).await.unwrap();
    assert!(found.remark.unwrap().contains("API Export privileges"));
    assert_eq!(found.project_id, None);
}
