//! A sandbox in a child process.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::error::{Error, Kind, Result};
use crate::threads;

/// How long a sandbox may take to say that it is ready; loading R with its packages is most of it.
const READY_TIME: Duration = Duration::from_secs(30);
/// How long it may take to answer a command.
const COMMAND_TIME: Duration = Duration::from_secs(10);
/// How long it may take to end by itself.
const END_TIME: Duration = Duration::from_secs(2);
/// How many bytes of its last words are kept for an error message.
const LAST_WORDS: usize = 2000;

/// A sandbox that runs in a child process of this one. It ends when this value is dropped or the process ends.
///
/// After a fork the copy in the forked process is dead: it answers nothing, and dropping it does nothing. The
/// sandbox belongs to the process that started it.
pub struct Child {
    /// The process that made it.
    pub(super) owner: u32,
    parts: Option<Parts>,
    ready: Json,
    next_id: u64,
}

/// What belongs to the process that made it.
struct Parts {
    process: std::process::Child,
    /// To the thread that writes. Dropping it closes the child's input.
    commands: mpsc::Sender<String>,
    /// From the thread that reads.
    answers: mpsc::Receiver<String>,
    last_words: Arc<Mutex<VecDeque<u8>>>,
}

impl Child {
    /// Starts a program that calls [`run`](super::run) on its standard input and output, and waits for its
    /// ready line. Lines before it are skipped. The child gets a process group of its own, so that Ctrl-C in
    /// the terminal does not reach it, and no environment variable that holds a token.
    ///
    /// # Errors
    /// `sandbox`: the program cannot be started, ends early or is not ready within 30 seconds; the hints have
    /// its last words.
    pub fn start<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = A>) -> Result<Self> {
        Self::start_within(READY_TIME, program.as_ref(), args)
    }

    /// The first half of [`Child::start`]: the process runs, nobody has waited for it yet. To be called on the
    /// thread that may read the environment (in R, its own).
    ///
    /// # Errors
    /// `sandbox`: the program cannot be started.
    pub fn launch<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = A>) -> Result<Self> {
        Self::launched(program.as_ref(), args)
    }

    /// The second half of [`Child::start`]: waits for the ready line. On any thread.
    ///
    /// # Errors
    /// `sandbox`: it ends early or is not ready within 30 seconds; the hints have its last words.
    pub fn ready(&mut self) -> Result<()> {
        self.ready = self.wait_until_ready(Instant::now() + READY_TIME)?;
        Ok(())
    }

    pub(super) fn start_within<A: AsRef<OsStr>>(
        time: Duration,
        program: &OsStr,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Self> {
        let mut child = Self::launched(program, args)?;
        child.ready = child.wait_until_ready(Instant::now() + time)?;
        Ok(child)
    }

    fn launched<A: AsRef<OsStr>>(program: &OsStr, args: impl IntoIterator<Item = A>) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        without_tokens(&mut command, std::env::vars_os());
        on_its_own(&mut command);
        let mut process = command.spawn().map_err(|error| {
            Error::new(Kind::Sandbox, format!("`{}` cannot be started: {error}", program.to_string_lossy()))
        })?;
        let parts = match wire(&mut process) {
            Ok((commands, answers, last_words)) => Parts { process, commands, answers, last_words },
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                return Err(Error::new(Kind::Sandbox, format!("the sandbox cannot be talked to: {error}")));
            }
        };
        Ok(Self { owner: std::process::id(), parts: Some(parts), ready: Json::Null, next_id: 1 })
    }

    /// The address of the API, such as `http://127.0.0.1:40123/redcap/api/`.
    pub fn redcap_uri(&self) -> &str {
        self.ready.get("redcap_uri").and_then(Json::as_str).unwrap_or_default()
    }

    /// The projects of the ready line: a list of objects with `short_name`, `title`, `token_name`,
    /// `project_id` and `kind`.
    pub fn projects(&self) -> &[Json] {
        self.ready.get("projects").and_then(Json::as_array).map_or(&[], Vec::as_slice)
    }

    /// The number of the child's process.
    pub fn process_id(&self) -> Option<u32> {
        self.parts.as_ref().map(|parts| parts.process.id())
    }

    /// Whether the sandbox is this process's and still runs.
    pub fn is_running(&mut self) -> bool {
        self.owner == std::process::id()
            && self.parts.as_mut().is_some_and(|parts| matches!(parts.process.try_wait(), Ok(None)))
    }

    /// Sends an administrator's command, such as `{"do":"revoke","project":"TEST","user":"admin"}`, and waits
    /// for its answer, 10 seconds at most.
    ///
    /// # Errors
    /// `sandbox`: the command was refused, or the sandbox does not answer, has ended, or belongs to another
    /// process.
    pub fn command(&mut self, command: Json) -> Result<Json> {
        self.command_within(COMMAND_TIME, command)
    }

    pub(super) fn command_within(&mut self, time: Duration, mut command: Json) -> Result<Json> {
        if self.owner != std::process::id() {
            return Err(Error::new(Kind::Sandbox, "the sandbox belongs to the process that started it")
                .hint("start a sandbox of its own in each process"));
        }
        let Some(parts) = &mut self.parts else { return Err(ended("")) };
        let id = self.next_id;
        self.next_id += 1;
        if let Some(object) = command.as_object_mut() {
            object.insert("id".to_owned(), id.into());
        } else {
            return Err(Error::new(Kind::Sandbox, "a command of the sandbox is a list with what to do as `do`"));
        }
        // A failed sending shows below as an end of the answers.
        let _ = parts.commands.send(format!("{command}\n"));
        let deadline = Instant::now() + time;
        loop {
            match parts.answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(
                        Error::new(Kind::Sandbox, "the sandbox does not answer").hint("stop it and start a new one")
                    );
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(ended(&parts.last_words())),
                Ok(line) => {
                    // Answers to earlier commands that came too late are passed over.
                    let Ok(answer) = serde_json::from_str::<Json>(&line) else { continue };
                    if answer.get("id").and_then(Json::as_u64) != Some(id) {
                        continue;
                    }
                    if answer.get("ok") == Some(&Json::Bool(true)) {
                        return Ok(answer);
                    }
                    let said = answer.get("error").and_then(Json::as_str).unwrap_or("no reason given");
                    return Err(Error::new(Kind::Sandbox, format!("the sandbox refused the command: {said}")));
                }
            }
        }
    }

    /// Ends the sandbox: tells it to stop, closes its input, and after 2 seconds ends it by force. Does nothing
    /// in a forked process, and nothing the second time: then the answer is false.
    pub fn end(&mut self) -> bool {
        let Some(mut parts) = self.parts.take() else { return false };
        if self.owner != std::process::id() {
            // The pipes and the process are the parent's: neither close nor wait here.
            std::mem::forget(parts);
            return false;
        }
        // Says so as well: a forked sister process may still hold the pipe open.
        let _ = parts.commands.send("{\"do\":\"stop\"}\n".to_owned());
        let Parts { ref mut process, .. } = parts;
        if !ends_within(process, END_TIME / 2) {
            drop(parts.commands);
            if !ends_within(process, END_TIME / 2) {
                kill_group(process);
                let _ = process.kill();
                let _ = process.wait();
            }
        }
        true
    }

    fn wait_until_ready(&mut self, deadline: Instant) -> Result<Json> {
        let Some(parts) = &mut self.parts else { return Err(ended("")) };
        loop {
            match parts.answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match serde_json::from_str::<Json>(&line) {
                    Ok(ready) if ready.get("ready") == Some(&Json::Bool(true)) => return Ok(ready),
                    _ => {}
                },
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(with_words(
                        Error::new(Kind::Sandbox, "the sandbox was not ready in time"),
                        &parts.last_words(),
                    )
                    .hint("try again: a first start can be slow on a busy machine"));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    // The output has ended; so has, or will at once, the process and with it its last words.
                    ends_within(&mut parts.process, END_TIME);
                    return Err(ended(&parts.last_words()));
                }
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Debug for Child {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Child").field("redcap_uri", &self.redcap_uri()).finish_non_exhaustive()
    }
}

impl Parts {
    fn last_words(&self) -> String {
        // The thread that collects them may be a moment behind the process's end.
        std::thread::sleep(Duration::from_millis(50));
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = words.iter().copied().collect();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

fn ended(last_words: &str) -> Error {
    with_words(Error::new(Kind::Sandbox, "the sandbox has ended"), last_words).hint("start a new one")
}

fn with_words(error: Error, last_words: &str) -> Error {
    if last_words.is_empty() { error } else { error.hint(format!("its last words: {last_words}")) }
}

/// A token that a user keeps in the environment has no business in the sandbox: anything under the default names or
/// under a name that speaks of a secret, and any value in which 32 hexadecimal characters stand in a row, quoted or
/// with something before or behind them. Tokens of an institution's own form look like nothing in particular: a value
/// without blanks, with letters and digits mixed and nothing that makes it a path or an address.
fn may_hold_a_token(name: &OsStr, value: &OsStr) -> bool {
    const SECRET: [&[u8]; 6] = [b"TOKEN", b"SECRET", b"PASSWORD", b"PASSWD", b"API_KEY", b"APIKEY"];
    let name = name.as_encoded_bytes();
    let value = value.as_encoded_bytes();
    let upper = name.to_ascii_uppercase();
    name.starts_with(b"REDCapSync_")
        || SECRET.iter().any(|word| upper.windows(word.len()).any(|part| part == *word))
        || value.windows(32).any(|run| run.iter().all(u8::is_ascii_hexdigit))
        || looks_random(value)
}

/// Whether a value has the look of a token of an institution's own form: see `token_form` among the settings.
fn looks_random(value: &[u8]) -> bool {
    let quote = |byte: &u8| matches!(byte, b'"' | b'\'') || byte.is_ascii_whitespace();
    let from = value.iter().position(|byte| !quote(byte)).unwrap_or(value.len());
    let to = value.iter().rposition(|byte| !quote(byte)).map_or(from, |last| last + 1);
    let value = &value[from..to];
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let others = value.len() - digits - letters;
    // Base64 has `+`, `/` and `=`, a UUID has `-`; a path begins with `/` or has a drive or a dot in it.
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_');
    (20..=512).contains(&value.len())
        && value[0] != b'/'
        && value.iter().all(plain)
        && digits >= 3
        && letters >= 3
        && others * 5 <= value.len()
}

/// Keeps the variables that may hold a token from a command.
pub(super) fn without_tokens(command: &mut Command, variables: impl Iterator<Item = (OsString, OsString)>) {
    for (name, value) in variables {
        if may_hold_a_token(&name, &value) {
            command.env_remove(name);
        }
    }
}

type Wired = (mpsc::Sender<String>, mpsc::Receiver<String>, Arc<Mutex<VecDeque<u8>>>);

/// Puts a thread at each of the child's three pipes.
fn wire(process: &mut std::process::Child) -> std::io::Result<Wired> {
    let missing = || std::io::Error::other("a pipe is missing");
    let mut stdin = process.stdin.take().ok_or_else(missing)?;
    let stdout = process.stdout.take().ok_or_else(missing)?;
    let mut stderr = process.stderr.take().ok_or_else(missing)?;

    let (commands, to_write) = mpsc::channel::<String>();
    threads::spawn("keycap-sandbox-in", move || {
        for line in to_write {
            if stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush()).is_err() {
                return;
            }
        }
    })?;
    let (send, answers) = mpsc::channel();
    threads::spawn("keycap-sandbox-out", move || {
        for line in BufReader::new(stdout).split(b'\n') {
            let Ok(line) = line else { return };
            if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    })?;
    let last_words = Arc::new(Mutex::new(VecDeque::new()));
    let words = Arc::clone(&last_words);
    threads::spawn("keycap-sandbox-err", move || {
        let mut buffer = [0; 512];
        while let Ok(n @ 1..) = stderr.read(&mut buffer) {
            let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
            words.extend(&buffer[..n]);
            let surplus = words.len().saturating_sub(LAST_WORDS);
            words.drain(..surplus);
        }
    })?;
    Ok((commands, answers, last_words))
}

/// Whether a process has ended before the time is over. A process that cannot be waited for counts as ended.
fn ends_within(process: &mut std::process::Child, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    while matches!(process.try_wait(), Ok(None)) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

#[cfg(unix)]
fn on_its_own(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(windows)]
fn on_its_own(command: &mut Command) {
    // CREATE_NO_WINDOW and CREATE_NEW_PROCESS_GROUP.
    std::os::windows::process::CommandExt::creation_flags(command, 0x0800_0000 | 0x0000_0200);
}

/// Ends a process's whole group: what the program started itself goes with it.
#[cfg(unix)]
fn kill_group(process: &std::process::Child) {
    use nix::sys::signal::{Signal, killpg};
    if let Ok(id) = i32::try_from(process.id()) {
        let _ = killpg(nix::unistd::Pid::from_raw(id), Signal::SIGKILL);
    }
}

#[cfg(not(unix))]
fn kill_group(_: &std::process::Child) {}
