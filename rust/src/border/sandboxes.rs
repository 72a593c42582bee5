//! Operations on sandboxes: starting one as a child process, its administrator's commands, ending it, and
//! being one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value as Json};

use super::arguments::{Arguments, Session};
use crate::error::{Error, Kind, Result};
use crate::net::ServerUrl;
use crate::net::io::{self, Task, blocking};
use crate::project::Registries;
use crate::sandbox::{self, Child, Config};
use crate::store;
use crate::value::{Column, Table, Value};

/// The sandboxes that this process started, by process id. Locked on the host's thread alone, which is the one that
/// forks: no forked child inherits it locked.
static PLACES: Mutex<Option<HashMap<i64, Arc<Place>>>> = Mutex::new(None);

/// The place of one sandbox. Its lock is held while a command is obeyed, by a helper thread: a forked child, which
/// may inherit it locked, never touches it.
struct Place {
    owner: u32,
    child: Mutex<Option<Child>>,
}

impl Place {
    fn new() -> Self {
        Self { owner: std::process::id(), child: Mutex::new(None) }
    }

    /// The sandbox, in the process that started it.
    fn child(&self) -> Result<MutexGuard<'_, Option<Child>>> {
        if self.owner != std::process::id() {
            return Err(Error::new(Kind::Sandbox, "the sandbox belongs to the process that started it")
                .hint("start a sandbox of its own in each process"));
        }
        Ok(self.child.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// On the host's thread.
fn places() -> MutexGuard<'static, Option<HashMap<i64, Arc<Place>>>> {
    PLACES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn place(pid: i64) -> Result<Arc<Place>> {
    let place = places().as_ref().and_then(|places| places.get(&pid).cloned());
    place.ok_or_else(|| stranger(pid))
}

fn stranger(pid: i64) -> Error {
    Error::new(Kind::Sandbox, format!("no sandbox with process id {pid} was started by this session"))
        .hint("start one with `start_sandbox()`; a sandbox is administered by the session that started it")
}

/// `sandbox_start`: `program`, `arguments`: the command that becomes a sandbox. Answers `redcap_uri`, `pid`
/// and the table `projects`.
pub(super) fn start(arguments: &Arguments) -> Result<Task> {
    let program = arguments.text("program")?;
    let mut child = Child::launch(program, arguments.texts("arguments")?)?;
    let pid = child.process_id().map(i64::from).ok_or_else(|| {
        Error::new(Kind::Sandbox, "the sandbox ended as soon as it had started").hint("start it again")
    })?;
    let place = Arc::new(Place::new());
    places().get_or_insert_default().insert(pid, Arc::clone(&place));
    io::start(move |_| async move {
        // If the person gives up waiting, the child comes back here to nobody, is dropped, and ends.
        let child = blocking(move || child.ready().map(|()| child)).await?;
        let value = Value::list([
            ("redcap_uri", child.redcap_uri().into()),
            ("pid", pid.into()),
            ("projects", projects(child.projects())),
        ]);
        *place.child()? = Some(child);
        Ok(value)
    })
}

fn projects(projects: &[Json]) -> Value {
    let column = |name: &str| {
        let texts = projects.iter().map(|project| match project.get(name) {
            Some(Json::String(text)) => Some(text.clone()),
            Some(Json::Number(number)) => Some(number.to_string()),
            _ => None,
        });
        (name.to_owned(), Column::text(texts))
    };
    let names = ["short_name", "title", "token_name", "project_id", "kind"];
    Value::Table(Table { columns: names.iter().map(|name| column(name)).collect() })
}

/// `sandbox_command`: `pid`, `command` (a named list, such as `do = "revoke"`). Answers what the sandbox says.
pub(super) fn command(arguments: &Arguments) -> Result<Task> {
    let pid = arguments.whole("pid")?;
    let command = to_json(arguments.value("command").unwrap_or(&Value::Nothing));
    let place = place(pid)?;
    io::start(move |_| async move {
        let answer = blocking(move || place.child()?.as_mut().ok_or_else(|| stranger(pid))?.command(command));
        answer.await.map(|answer| from_json(&answer))
    })
}

/// `sandbox_stop`: `pid`. A sandbox that has ended by itself is stopped too. Its projects are forgotten: the next
/// sandbox has another address.
pub(super) fn stop(arguments: &Arguments, session: &Session) -> Result<Task> {
    let pid = arguments.whole("pid")?;
    let dirs = session.dirs.clone();
    let place = places().as_mut().and_then(|places| places.remove(&pid));
    io::start(move |_| async move {
        blocking(move || {
            // In a forked process it is the parent's, and so are its projects.
            let child = place.and_then(|place| place.child().ok()?.take());
            if let Some(mut child) = child {
                let uri = child.redcap_uri().to_owned();
                child.end();
                let names = Registries::new(&dirs).forget_session(ServerUrl::parse(&uri)?.origin())?;
                store::forget_sandbox(&dirs, &names);
            }
            Ok(Value::Nothing)
        })
        .await
    })
}

/// `sandbox_run`: `port` (0 for any), `keep` (goes on when standard input is at its end). This process is the
/// sandbox, until the operation is cancelled or its input closes.
pub(super) fn run(arguments: &Arguments) -> Result<Task> {
    let port = arguments.whole("port")?;
    let port = u16::try_from(port)
        .map_err(|_| Error::new(Kind::Argument, "`port` is a whole number from 0 (any free port) to 65535"))?;
    let keep = arguments.flag("keep")?;
    let config = Config { port, end_with_input: !keep, ..Config::default() };
    io::start(move |_| async move {
        // Held by this future: when the operation is cancelled it is dropped, and that is the word to stop.
        let (_running, stopped) = tokio::sync::oneshot::channel::<()>();
        let stop = async move {
            let _ = stopped.await;
        };
        blocking(move || {
            // Whoever keeps it running in the foreground needs the input for something else: R reads its own.
            if keep {
                return sandbox::run(config, std::io::empty(), std::io::stdout(), stop);
            }
            sandbox::run(config, std::io::stdin(), std::io::stdout(), stop)
        })
        .await?;
        Ok(Value::Nothing)
    })
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Nothing | Value::Table(_) => Json::Null,
        Value::Text(text) => Json::String(text.clone()),
        Value::Whole(number) => Json::from(*number),
        Value::Real(number) if number.fract() == 0.0 && number.abs() < 9e15 => Json::from(*number as i64),
        Value::Real(number) => Json::from(*number),
        Value::Flag(flag) => Json::Bool(*flag),
        Value::List(items) if !items.is_empty() && items.iter().all(|(name, _)| name.is_empty()) => {
            Json::Array(items.iter().map(|(_, item)| to_json(item)).collect())
        }
        Value::List(items) => {
            Json::Object(items.iter().map(|(name, item)| (name.clone(), to_json(item))).collect::<Map<_, _>>())
        }
    }
}

fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nothing,
        Json::Bool(flag) => Value::Flag(*flag),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Real(number.as_f64().unwrap_or(f64::NAN)), Value::Whole)
        }
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(|item| (String::new(), from_json(item))).collect()),
        Json::Object(items) => Value::List(items.iter().map(|(name, item)| (name.clone(), from_json(item))).collect()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_of_another_process_is_refused_and_its_lock_is_not_waited_for() {
        // As a forked child inherits it: made by the parent, and locked by a thread that does not exist here.
        let inherited = Place { owner: std::process::id() ^ 1, child: Mutex::new(None) };
        let _held = inherited.child.lock().unwrap();
        let error = inherited.child().map(|_| ()).unwrap_err();
        assert_eq!(error.kind, Kind::Sandbox);
        assert!(error.message.contains("belongs to the process that started it") && !error.hints.is_empty());
        assert!(Place::new().child().unwrap().is_none());
    }

    #[test]
    fn a_sandbox_that_nobody_started_is_named_by_its_number() {
        let error = place(-1).map(|_| ()).unwrap_err();
        assert!(error.kind == Kind::Sandbox && error.message.contains("-1"), "{error:?}");
    }
}
