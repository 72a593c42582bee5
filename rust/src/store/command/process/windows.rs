//! Where there are no process groups: the program itself is ended, what it started is not.

use std::ffi::OsString;
use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::{End, Job, passed_on};
use crate::error::{Error, Kind, Result};

/// How often it is looked whether somebody still waits.
const STEP: Duration = Duration::from_millis(20);

/// The environment that a program gets: the user's, read on the host's thread.
#[derive(Clone, Default)]
pub(in crate::store) struct Surroundings(Arc<Vec<(OsString, OsString)>>);

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Surroundings({} variables)", self.0.len())
    }
}

impl Surroundings {
    /// To be called on the host's thread.
    pub(in crate::store) fn take() -> Self {
        let kept = |(name, value): &(OsString, OsString)| passed_on(name.as_encoded_bytes(), value.as_encoded_bytes());
        Self(Arc::new(std::env::vars_os().filter(kept).collect()))
    }

    /// A variable that is no secret, where it is set and a text.
    pub(in crate::store) fn text(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        value.to_str().filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// Where a program is: an absolute path, or the first in `PATH`.
    pub(in crate::store) fn find(&self, program: &str) -> Option<PathBuf> {
        if Path::new(program).is_absolute() {
            return Some(PathBuf::from(program)).filter(|path| path.is_file());
        }
        let path = self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case("PATH")).map(|(_, value)| value)?;
        let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
        // No `.bat` and no `.cmd`: the shell that runs them reads arguments in its own way.
        folders.map(|folder| folder.join(program).with_extension("exe")).find(|path| path.is_file())
    }
}

/// Runs a program to its end.
pub(in crate::store) fn run(job: Job, cancelled: &AtomicBool) -> Result<End> {
    let until = Instant::now() + job.limit;
    let stdin = if job.input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut command = Command::new(&job.program);
    command.args(&job.arguments).env_clear().envs(job.surroundings.0.iter().map(|(name, value)| (name, value)));
    let started = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return Ok(End::NotStarted(error.kind().to_string())),
    };
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), &job.input) {
        let _ = stdin.write_all(input);
    }
    let Some(mut stdout) = child.stdout.take() else {
        return Err(Error::new(Kind::Internal, "a program has no standard output"));
    };
    let most = job.most;
    let (send, receive) = mpsc::channel();
    let reader = move || {
        let mut output = Zeroizing::new(vec![0_u8; most + 1]);
        let mut length = 0;
        while length <= most {
            match stdout.read(&mut output[length..]) {
                Ok(0) | Err(_) => break,
                Ok(more) => length += more,
            }
        }
        output.truncate(length);
        let _ = send.send(output);
    };
    crate::threads::spawn("keycap-command-output", reader)
        .map_err(|error| Error::new(Kind::Internal, format!("no thread for a program: {}", error.kind())))?;
    let mut output = None;
    loop {
        if cancelled.load(Ordering::SeqCst) || Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(End::TooLate);
        }
        match &output {
            None => output = receive.recv_timeout(STEP).ok(),
            Some(printed) if printed.len() > most => {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(End::TooMuch);
            }
            Some(_) => std::thread::sleep(Duration::from_millis(2)),
        }
        if let (Ok(Some(status)), Some(_)) = (child.try_wait(), &output) {
            let printed = output.take().unwrap_or_default();
            return Ok(if printed.len() > most {
                End::TooMuch
            } else {
                End::Exited(status.code().unwrap_or(-1), printed)
            });
        }
    }
}
