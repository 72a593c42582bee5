//! A world with a token, and a server that answers as a test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::ctx::{Clock, Ctx, Dirs, Event, Events, SystemClock, SystemRandom};
use crate::error::Result;
use crate::net::Net;
use crate::project::{Project, Settings, Wish as SetUp, set_up};
use crate::records::{Choices, Export, Wish, export};
use crate::redcap::Operation;
use crate::store::Environment;
use crate::token::TokenName;
use crate::value::{Table, Value};

/// Fake by its look; it opens nothing but what a test serves.
pub(super) const TOKEN: &str = "FA4EFA4EFA4EFA4EFA4EFA4E000000AA";

pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) ctx: Ctx,
    pub(super) events: Arc<Mutex<Vec<Event>>>,
}

/// A clock that goes on by 30 ms whenever it is asked.
struct Ticking(Mutex<Duration>, SystemClock);

impl Clock for Ticking {
    fn now(&self) -> std::time::SystemTime {
        self.1.now()
    }
    fn elapsed(&self) -> Duration {
        let mut now = self.0.lock().unwrap();
        *now += Duration::from_millis(30);
        *now
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(TOKEN)
    }

    pub(super) fn with(token: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        let ctx = Ctx {
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom),
            dirs: Dirs { config: at("config"), data: at("data"), session: at("session"), site: at("site.toml") },
            settings: Settings { order: vec!["env".into()], retries: 0, ..Settings::default() },
            env: Environment::with(&TokenName::new("REDCapSync_T").unwrap(), token.as_bytes()),
            log: Events::new(move |event| sink.lock().unwrap().push(event)),
            net: Net::new(),
            shared: crate::ctx::Shared::default(),
        };
        Self { folder, ctx, events }
    }

    pub(super) fn ticking(mut self) -> Self {
        self.ctx.clock = Arc::new(Ticking(Mutex::default(), SystemClock::new()));
        self
    }

    pub(super) fn project(&self, uri: &str) -> Project {
        let project = Project::from_value(&Value::list([
            ("short_name", "T".into()),
            ("redcap_uri", uri.into()),
            ("token_name", "REDCapSync_T".into()),
        ]))
        .unwrap();
        set_up(&self.ctx, SetUp { project, overwrite: true, sandboxes: Vec::new() }).unwrap().project
    }

    pub(super) fn operation(&self, project: &Project) -> Operation {
        Operation::new(&self.ctx, project.clone(), false, self.ctx.net.client(&self.ctx.settings.net).unwrap())
    }

    pub(super) async fn export(&self, uri: &str, wish: Wish) -> Result<Export> {
        let project = self.project(uri);
        export(&self.ctx, &project, self.operation(&project), wish).await
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        let notes = events.iter().filter_map(|event| match event {
            Event::Note(text) if text.contains("batches") || text.contains("trying again") => Some(text.clone()),
            _ => None,
        });
        notes.collect()
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        let warning = |event: &Event| if let Event::Warning(text) = event { Some(text.clone()) } else { None };
        events.iter().filter_map(warning).collect()
    }

    /// The outcomes in the audit log: class of each.
    pub(super) fn outcomes(&self) -> Vec<String> {
        assert!(self.ctx.shared.audit.settled(std::time::Instant::now() + Duration::from_secs(20)));
        let Ok(files) = std::fs::read_dir(self.folder.path().join("data/audit")) else { return Vec::new() };
        let logs = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
        let text: String = logs.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["phase"] == "outcome").map(|line| line["class"].as_str().unwrap().to_owned()).collect()
    }
}

pub(super) fn wish() -> Wish {
    Wish {
        report: None,
        fields: Vec::new(),
        forms: Vec::new(),
        events: Vec::new(),
        records: Vec::new(),
        filter_logic: None,
        choices: Choices::Code,
        types: true,
        zone: "UTC".to_owned(),
        batch_size: None,
        to: None,
        overwrite: false,
    }
}

/// A column as texts, whatever its type is; blank for missing.
pub(super) fn texts(table: &Table, name: &str) -> Vec<String> {
    let (_, column) = table.columns.iter().find(|(known, _)| known == name).unwrap();
    (0..column.len()).map(|row| column.text_at(row).unwrap_or_default().to_owned()).collect()
}

/// A request to the server: the fields of its form.
pub(super) struct Asked(pub(super) Vec<(String, String)>);

impl Asked {
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The values of `name[0]`, `name[1]`, … which must follow each other.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let begin = format!("{name}[");
        let items: Vec<_> = self.0.iter().filter(|(known, _)| known.starts_with(&begin)).collect();
        for (n, (known, _)) in items.iter().enumerate() {
            assert_eq!(*known, format!("{name}[{n}]"));
        }
        items.into_iter().map(|(_, value)| value.clone()).collect()
    }
}

pub(super) enum Say {
    /// Status and body, with its length.
    Body(u16, Vec<u8>),
    /// Pieces with a pause between them; without a length, so that the end is the end of the connection.
    Slowly(Vec<Vec<u8>>, Duration),
    /// These bytes, and then the connection ends.
    Raw(Vec<u8>),
}

pub(super) fn data(body: &str) -> Say {
    Say::Body(200, body.as_bytes().to_vec())
}

pub(super) const METADATA: &str = r#"[
 {"field_name":"id","form_name":"f","field_type":"text","text_validation_type_or_show_slider_number":""},
 {"field_name":"age","form_name":"f","field_type":"text","text_validation_type_or_show_slider_number":"integer"},
 {"field_name":"note","form_name":"f","field_type":"notes","text_validation_type_or_show_slider_number":""}]"#;

/// A server that answers `project` and `metadata`, and `record` as the test says.
pub(super) struct Server {
    pub(super) uri: String,
    pub(super) asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(super) fn start(answer: impl Fn(&Asked, usize) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}/api/", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream.unwrap(), &seen, &*answer));
            }
        });
        Self { uri, asked }
    }

    /// What `record` was asked for.
    pub(super) fn records(&self) -> Vec<Vec<String>> {
        self.asked.lock().unwrap().iter().map(|asked| asked.list("records")).collect()
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked, usize) -> Say) {
    while let Some(asked) = read(&mut stream) {
        let say = match asked.get("content") {
            "project" => data(r#"{"project_id":7,"missing_data_codes":"UNK, Unknown | -99, Not asked"}"#),
            "metadata" => data(METADATA),
            _ => {
                let mut seen = seen.lock().unwrap();
                let say = answer(&asked, seen.len());
                seen.push(asked);
                say
            }
        };
        let written = match say {
            Say::Body(status, body) => {
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(&[head.as_bytes(), &body].concat())
            }
            Say::Raw(bytes) => {
                drop(stream.write_all(&bytes));
                return;
            }
            Say::Slowly(pieces, pause) => {
                let mut written = stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n");
                for piece in pieces {
                    written = written.and_then(|()| stream.write_all(&piece));
                    std::thread::sleep(pause);
                }
                drop(written);
                return;
            }
        };
        if written.is_err() {
            return;
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Asked(form_urlencoded::parse(&body).into_owned().collect()))
}

/// The export of some records, as `note` has it for each.
pub(super) fn rows(ids: &[String]) -> String {
    let lines = ids.iter().map(|id| format!("{id},{},note of {id}\n", id.len()));
    format!("id,age,note\n{}", lines.collect::<String>())
}
