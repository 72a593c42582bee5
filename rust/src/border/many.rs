//! Operations on several projects side by side. Each project is an operation of its own: with its own look-up, its own
//! entries in the audit log, and its own outcome, which is a row of the answer.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::arguments::{Arguments, Session, wrong};
use super::patience::be_patient;
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
                let probe = probe(&ctx, &project, &mut operation).await;
                Ok(Tested { probe, fingerprint: operation.fingerprint(), source: operation.source() })
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
    be_patient(&mut ctx.settings);
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
pub(super) type Later<T> = std::pin::Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// The projects that are asked for, and what their operations share.
pub(super) struct All {
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
    pub(super) fn read(arguments: &Arguments, session: &Session, ctx: Ctx) -> Result<Self> {
        let items: Vec<&Value> = match arguments.value("projects") {
            Some(Value::List(items)) if items.iter().all(|(name, _)| name.is_empty()) => {
                items.iter().map(|(_, item)| item).collect()
            }
            Some(one @ Value::Text(_)) => vec![one],
            _ => return Err(wrong("projects", "must be a list of projects or short names")),
        };
        let registries = Registries::new(&ctx.dirs);
        let known =
            if items.iter().any(|item| item.as_text().is_some()) { registries.read_both()? } else { Vec::new() };
        let named = |short_name: &ShortName| {
            let found = known.iter().find(|(_, project)| project.short_name == *short_name);
            found.map(|(_, project)| project.clone()).ok_or_else(|| unknown(short_name, &registries))
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
                env: Environment::take(&project.token_name).for_stores(&ctx.settings, &ctx.net, &[]),
                project,
            });
            Ok(Entry { short_name, found })
        };
        let entries = items.iter().map(entry).collect::<Result<_>>()?;
        let client = ctx.net.client(&ctx.settings.net)?;
        Ok(Self { ctx, client, entries })
    }

    pub(super) fn names(&self) -> Vec<String> {
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
    pub(super) fn each<T: Send + 'static>(
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
    probe: Result<Probe>,
    fingerprint: Option<String>,
    source: Option<&'static str>,
}

fn tested_table(names: &[String], results: Vec<(Result<Tested>, Duration)>) -> Table {
    let rows: Vec<(Tested, Duration)> = results
        .into_iter()
        .map(|(result, took)| {
            let none = |error| Tested { probe: Err(error), fingerprint: None, source: None };
            (result.unwrap_or_else(none), took)
        })
        .collect();
    let found = || rows.iter().map(|(row, _)| row.probe.as_ref().ok());
    let failed = || rows.iter().map(|(row, _)| row.probe.as_ref().err());
    let text = |of: fn(&Probe) -> Option<&str>| Column::text(found().map(|probe| probe.and_then(of)));
    let works = rows.iter().map(|(row, _)| match &row.probe {
        Ok(_) => Some(true),
        // The token will not work. What leaves that open is neither yes nor no.
        Err(error) => matches!(error.kind, Kind::TokenRefused | Kind::TokenMissing | Kind::TokenForm).then_some(false),
    });
    let message = rows.iter().map(|(row, _)| match &row.probe {
        Ok(probe) => probe.unconfined.as_deref().or(probe.remark.as_deref()),
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::border::world::World as Host;
    use crate::sandbox::{API_PATH, Config, serve};
    use std::collections::BTreeMap;
    use std::net::TcpListener;
    use std::path::Path;

    /// A sandbox, a server that never answers and a port at which nobody listens, all of which pass for sandboxes of
    /// this session: their sample tokens are found under their names.
    struct World {
        host: Host,
        sandbox: String,
        silent: (String, TcpListener),
        nobody: String,
        stop: Option<tokio::sync::oneshot::Sender<()>>,
        serving: Option<std::thread::JoinHandle<()>>,
    }

    impl World {
        fn new() -> Self {
            let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
            let uri = |listener: &TcpListener| format!("http://{}{API_PATH}", listener.local_addr().unwrap());
            let (listener, silent) = (listen(), listen());
            let (sandbox, nobody) = (uri(&listener), uri(&listen()));
            let silent = (uri(&silent), silent);
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let serving =
                std::thread::spawn(move || serve(Config::default(), listener, async { drop(stopped.await) }).unwrap());
            let options = [("keycap.timeout", "2.5"), ("keycap.retries", "0"), ("keycap.stores", "env")];
            let host = Host::new(&options, &[&sandbox, &silent.0, &nobody]);
            Self { host, sandbox, silent, nobody, stop: Some(stop), serving: Some(serving) }
        }

        fn start(&self, op: &str, args: Value) -> Task {
            self.host.start(op, args).unwrap()
        }

        fn run(&self, op: &str, args: Value) -> Value {
            self.host.run(op, args).1.unwrap()
        }

        fn project(&self, short_name: &str, uri: &str, token_name: &str) -> Value {
            self.host.project(short_name, uri, token_name)
        }

        fn log(&self) -> Vec<serde_json::Value> {
            self.host.log("session/audit")
        }
    }

    impl Drop for World {
        fn drop(&mut self) {
            drop(self.stop.take());
            self.serving.take().unwrap().join().unwrap();
        }
    }

    fn list(items: impl IntoIterator<Item = Value>) -> Value {
        Value::List(items.into_iter().map(|item| (String::new(), item)).collect())
    }

    fn projects(items: impl IntoIterator<Item = Value>) -> Value {
        Value::list([("projects", list(items))])
    }

    fn table(value: &Value) -> BTreeMap<&str, &Column> {
        let Value::Table(table) = value else { panic!("{value:?}") };
        table.columns.iter().map(|(name, column)| (name.as_str(), column)).collect()
    }

    fn texts(column: &Column) -> Vec<Option<&str>> {
        (0..column.len()).map(|row| column.text_at(row)).collect()
    }

    /// The mixed bag: what works, the same project twice, one token name for two, and all that can go wrong.
    fn mixed(world: &World) -> Vec<Value> {
        let good = world.project("GOOD", &world.sandbox, "REDCapSync_TEST");
        let twin = world.project("TWIN", &world.sandbox, "REDCapSync_TEST");
        let unset = world.project("UNSET", &world.sandbox, "NOT_SET_ANYWHERE");
        let away = world.project("AWAY", &world.nobody, "REDCapSync_TEST_LONG");
        let silent = world.project("SILENT", &world.silent.0, "REDCapSync_TEST_REPEAT");
        let Value::List(mut elsewhere) = good.clone() else { panic!() };
        for (name, value) in &mut elsewhere {
            if name == "redcap_uri" {
                *value = "https://redcap.example.org/api/".into();
            }
        }
        vec![silent, good.clone(), "TWIN".into(), unset, "STRANGER".into(), away, good, Value::List(elsewhere), twin]
    }

    #[test]
    fn whatever_happens_to_one_token_is_its_row_and_ends_no_other() {
        let world = World::new();
        let answer = world.run("test_tokens", projects(mixed(&world)));
        let rows = table(&answer);
        let names = ["SILENT", "GOOD", "TWIN", "UNSET", "STRANGER", "AWAY", "GOOD", "GOOD", "TWIN"].map(Some);
        assert_eq!(texts(rows["short_name"]), names);
        let (yes, no, open) = (Some(true), Some(false), None);
        assert_eq!(*rows["works"], Column::flag([open, yes, yes, no, open, open, yes, open, yes]));
        let reasons = [
            Some("timeout"),
            None,
            None,
            Some("token_missing"),
            Some("project"),
            Some("connection"),
            None,
            Some("origin"),
            None,
        ];
        assert_eq!(texts(rows["reason"]), reasons);
        assert_eq!(
            texts(rows["message"]).iter().map(Option::is_some).collect::<Vec<_>>(),
            reasons.map(|r| r.is_some())
        );
        let found = |column: &str| texts(rows[column]).iter().map(Option::is_some).collect::<Vec<_>>();
        let works = reasons.map(|reason| reason.is_none());
        for column in ["redcap_version", "project_id", "project_title"] {
            assert_eq!(found(column), works, "{column}");
        }
        // The token is known where it was looked up, also if nobody answered.
        let looked_up = [true, true, true, false, false, true, true, false, true];
        assert_eq!((found("fingerprint"), found("source")), (looked_up.to_vec(), looked_up.to_vec()));
        let Column::Real(seconds) = rows["seconds"] else { panic!() };
        assert!(seconds[0] >= 2.4 && seconds.iter().skip(1).all(|took| *took < 2.4), "{seconds:?}");
        // Each operation has its own entries.
        let log = world.log();
        let of = |phase: &str| log.iter().filter(|entry| entry["phase"] == phase).count();
        assert_eq!((of("intent"), of("outcome"), of("refused")), (4 * 2 + 2, 4 * 2 + 2, 1));
    }

    #[test]
    fn exports_side_by_side_are_what_each_gives_alone_and_failures_are_rows() {
        let world = World::new();
        let answer = world.run("export_many", projects(mixed(&world)));
        let rows = table(answer.get("results").unwrap());
        let ok = [false, true, true, false, false, false, true, false, true];
        assert_eq!(*rows["ok"], Column::flag(ok.map(Some)));
        assert_eq!(texts(rows["file"]), [None; 9]);
        let alone = world.run(
            "export_records",
            Value::list([("project", world.project("GOOD", &world.sandbox, "REDCapSync_TEST"))]),
        );
        let Some(Value::List(exports)) = answer.get("exports") else { panic!() };
        for ((_, export), ok) in exports.iter().zip(ok) {
            assert_eq!(
                if ok { Some(&alone) } else { None }.map(|a| format!("{a:?}")),
                (*export != Value::Nothing).then(|| format!("{export:?}"))
            );
        }
        let Some(Value::Whole(n)) = alone.get("rows") else { panic!() };
        let Column::Real(counted) = rows["rows"] else { panic!() };
        for (count, ok) in counted.iter().zip(ok) {
            assert!(if ok { *count as i64 == *n } else { Column::is_no_real(*count) });
        }
    }

    #[test]
    fn a_file_of_an_export_is_whole_or_not_there_and_no_project_writes_to_anothers() {
        let world = World::new();
        let folder = world.host.at("a/b");
        let args =
            |to: &Path| Value::list([("projects", list(mixed(&world))), ("to", to.display().to_string().into())]);
        let answer = world.run("export_many", args(&folder));
        let rows = table(answer.get("results").unwrap());
        let expected = [false, true, true, false, false, false, false, false, false];
        assert_eq!(*rows["ok"], Column::flag(expected.map(Some)));
        assert_eq!(texts(rows["reason"])[6..], [Some("argument"); 3]);
        let mut left: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["GOOD.csv", "TWIN.csv"]);
        let file = |n: usize| std::fs::read_to_string(rows["file"].text_at(n).unwrap()).unwrap();
        assert!(file(1).starts_with("record_id,") && file(1) == file(2), "{}", &file(1)[..60]);
        assert_eq!(answer.get("exports"), Some(&list(vec![Value::Nothing; 9])));
        // A folder that cannot be made is an error before anything is asked.
        let in_the_way = world.host.at("file");
        std::fs::write(&in_the_way, "").unwrap();
        let before = world.log().len();
        let Err(error) = crate::border::start("export_many", args(&in_the_way.join("x")), &world.host.session) else {
            panic!("made")
        };
        assert_eq!((error.kind, world.log().len()), (Kind::File, before));
    }

    #[test]
    fn cancelling_ends_all_of_them_and_each_call_that_was_under_way_says_so() {
        let world = World::new();
        world.silent.1.set_nonblocking(true).unwrap();
        let all: Vec<_> =
            (0..40).map(|n| world.project(&format!("S{n}"), &world.silent.0, "REDCapSync_TEST_REPEAT")).collect();
        let task = world.start("test_tokens", projects(all));
        let mut accepted = Vec::new();
        for _ in 0..1000 {
            accepted.extend(world.silent.1.accept().ok());
            if accepted.len() >= 25 {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(100));
        let begin = Instant::now();
        task.cancel();
        assert!(begin.elapsed() < Duration::from_millis(100));
        for _ in 0..200 {
            let log = world.log();
            let interrupted = log.iter().filter(|entry| entry["class"] == "interrupted").count();
            if interrupted == 25 {
                assert_eq!(log.len(), 50, "the others had not begun");
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{:?}", world.log().len());
    }

    #[test]
    fn a_log_that_takes_nothing_refuses_them_all_and_nothing_is_sent() {
        let world = World::new();
        world.silent.1.set_nonblocking(true).unwrap();
        let all: Vec<_> =
            (0..30).map(|n| world.project(&format!("S{n}"), &world.silent.0, "REDCapSync_TEST_REPEAT")).collect();
        std::fs::write(world.host.at("session/audit"), "in the way").unwrap();
        let answer = world.run("test_tokens", projects(all));
        assert_eq!(texts(table(&answer)["reason"]), [Some("audit"); 30]);
        assert!(world.silent.1.accept().is_err(), "somebody connected");
    }

    #[test]
    fn projects_are_a_list_of_projects_and_short_names_and_nothing_else() {
        let world = World::new();
        assert_eq!(table(&world.run("test_tokens", projects([])))["works"].len(), 0);
        assert_eq!(table(&world.run("test_tokens", Value::list([("projects", "STRANGER".into())])))["works"].len(), 1);
        for (value, kind) in [
            (Value::Nothing, Kind::Argument),
            (Value::Flag(true), Kind::Argument),
            (list([Value::Flag(true)]), Kind::Argument),
            (list(["no name!".into()]), Kind::Argument),
            (list(["0123456789ABCDEF0123456789ABCDEF".into()]), Kind::TokenInArgument),
        ] {
            for op in ["test_tokens", "export_many"] {
                let Err(error) =
                    crate::border::start(op, Value::list([("projects", value.clone())]), &world.host.session)
                else {
                    panic!("{value:?}")
                };
                assert_eq!(error.kind, kind, "{value:?}");
            }
        }
    }

    #[test]
    fn remarks_name_their_project_and_progress_is_that_of_all() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&heard);
        let log = Events::new(move |event| sink.lock().unwrap().push(event));
        let progress = Progress::new(2);
        let (a, b) = (progress.told_by(0, "A".into(), log.clone()), progress.told_by(1, "B".into(), log));
        a.note("n");
        b.warning("w");
        a.once("o");
        a.progress(10, 1);
        b.progress(100, 2);
        std::thread::sleep(PACE);
        a.progress(20, 3);
        let all = [
            Event::Note("`A`: n".into()),
            Event::Warning("`B`: w".into()),
            Event::Once("o".into()),
            Event::Progress { bytes: 10, rows: 1 },
            Event::Progress { bytes: 120, rows: 5 },
        ];
        assert_eq!(*heard.lock().unwrap(), all);
    }
}
