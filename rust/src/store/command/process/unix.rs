//! Process groups, as Unix has them.

use std::ffi::{CStr, CString};
use std::fmt;
use std::fs::File;
use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{AccessFlags, Pid, access};
use zeroize::Zeroizing;

use super::{End, Job, passed_on};
use crate::error::{Error, Kind, Result};

/// How often it is looked whether somebody still waits.
const STEP: Duration = Duration::from_millis(20);

/// The environment that a program gets: the user's, read on the host's thread. It may hold secrets (a session of a
/// password manager), so it wipes itself.
#[derive(Clone, Default)]
pub(in crate::store) struct Surroundings(Arc<Parts>);

#[derive(Default)]
struct Parts {
    variables: Vec<Variable>,
    path: Vec<PathBuf>,
}

/// `NAME=value` and a NUL.
struct Variable(Zeroizing<Vec<u8>>);

impl AsRef<CStr> for Variable {
    fn as_ref(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Surroundings({} variables)", self.0.variables.len())
    }
}

impl Surroundings {
    /// To be called on the host's thread.
    pub(in crate::store) fn take() -> Self {
        Self::of(std::env::vars_os().map(|(name, value)| (name.into_vec(), Zeroizing::new(value.into_vec()))))
    }

    /// As [`Surroundings::take`], from a given environment.
    pub(in crate::store) fn of(all: impl Iterator<Item = (Vec<u8>, Zeroizing<Vec<u8>>)>) -> Self {
        let mut path = Vec::new();
        let mut variables = Vec::new();
        for (name, value) in all {
            if !passed_on(&name, &value) {
                continue;
            }
            if name == b"PATH" {
                let folders = std::env::split_paths(std::ffi::OsStr::from_bytes(&value));
                // The working folder is anybody's.
                path = folders.filter(|folder| folder.is_absolute()).collect();
            }
            let mut line = Zeroizing::new(Vec::with_capacity(name.len() + value.len() + 2));
            line.extend_from_slice(&name);
            line.push(b'=');
            line.extend_from_slice(&value);
            line.push(0);
            variables.push(Variable(line));
        }
        Self(Arc::new(Parts { variables, path }))
    }

    /// A variable that is no secret, where it is set and a text.
    pub(in crate::store) fn text(&self, name: &str) -> Option<String> {
        let text = |variable: &Variable| {
            let line = variable.as_ref().to_str().ok()?;
            line.split_once('=').filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
        };
        self.0.variables.iter().find_map(text).filter(|value| !value.is_empty())
    }

    /// Where a program is: an absolute path, or the first in `PATH`.
    pub(in crate::store) fn find(&self, program: &str) -> Option<PathBuf> {
        let runs = |path: &Path| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
        if program.contains('/') {
            return Some(PathBuf::from(program)).filter(|path| path.is_absolute() && runs(path));
        }
        self.0.path.iter().map(|folder| folder.join(program)).find(|path| runs(path))
    }
}

/// Runs a program to its end. On a thread with all signals blocked; the program has none blocked.
pub(in crate::store) fn run(job: Job, cancelled: &AtomicBool) -> Result<End> {
    let until = Instant::now() + job.limit;
    let mut running = match Running::start(&job) {
        Ok(running) => running,
        Err(why) => return Ok(End::NotStarted(why.desc().to_owned())),
    };
    if let (Some(mut stdin), Some(input)) = (running.stdin.take(), &job.input) {
        // It fits into the pipe, so nobody waits. Who does not read it, does not get it.
        let _ = stdin.write_all(input);
    }
    drop(job.input);
    let mut output = Zeroizing::new(vec![0_u8; job.most + 1]);
    let mut length = 0;
    let mut open = true;
    let mut status = None;
    loop {
        if cancelled.load(Ordering::SeqCst) || Instant::now() >= until {
            return Ok(End::TooLate);
        }
        let ready = open && is_ready(&running.stdout, STEP)?;
        if ready {
            match running.stdout.read(&mut output[length..]) {
                Ok(0) => open = false,
                Ok(more) => length += more,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => open = false,
            }
            if length > job.most {
                return Ok(End::TooMuch);
            }
            continue;
        }
        // Nothing more came: what it left in the background may hold the pipe open, that is not waited for.
        if status.is_some() {
            break;
        }
        status = running.ended()?;
        if status.is_none() && !open {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    output.truncate(length);
    Ok(match status {
        Some(WaitStatus::Exited(_, status)) => End::Exited(status, output),
        Some(WaitStatus::Signaled(_, signal, _)) => End::Signalled(signal as i32),
        _ => return Err(internal("a program ended in a way that is none")),
    })
}

/// A program that runs. Dropped before its end, it is killed with its group.
pub(in crate::store) struct Running {
    pid: Pid,
    reaped: bool,
    stdin: Option<std::io::PipeWriter>,
    stdout: PipeReader,
}

impl Running {
    /// Starts it, with a pipe for its standard input where the job has one. On a thread with all signals blocked.
    pub(in crate::store) fn start(job: &Job) -> nix::Result<Self> {
        let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
        let pipe = || std::io::pipe().map_err(errno);
        let (stdout, its_stdout) = pipe()?;
        let (its_stdin, stdin) = match job.input {
            Some(_) => pipe().map(|(read, write)| (Some(read), Some(write)))?,
            None => (None, None),
        };
        let nowhere = File::options().read(true).write(true).open("/dev/null").map_err(errno)?;
        let mut files = PosixSpawnFileActions::init()?;
        files.add_dup2(its_stdout.as_raw_fd(), 1)?;
        files.add_dup2(its_stdin.as_ref().map_or(nowhere.as_raw_fd(), AsRawFd::as_raw_fd), 0)?;
        files.add_dup2(nowhere.as_raw_fd(), 2)?;

        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_flags(
            PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
                | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
                | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
        )?;
        attributes.set_pgroup(Pid::from_raw(0))?;
        // A new program keeps what is blocked and what is ignored; it is to be ended as usual.
        attributes.set_sigmask(&SigSet::empty())?;
        let usual = Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP));
        attributes.set_sigdefault(&usual.collect())?;

        let program = CString::new(job.program.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
        let arguments = job.arguments.iter().map(|argument| CString::new(argument.as_bytes()));
        let arguments = arguments.collect::<std::result::Result<Vec<_>, _>>().map_err(|_| Errno::EINVAL)?;
        let line: Vec<&CStr> = std::iter::once(&program).chain(&arguments).map(CString::as_c_str).collect();
        let pid = posix_spawn(program.as_c_str(), &files, &attributes, &line, job.surroundings.0.variables.as_slice())?;
        Ok(Self { pid, reaped: false, stdin, stdout })
    }

    /// Whether it has printed something, or closed its output, within a time.
    pub(in crate::store) fn has_printed(&mut self, wait: Duration) -> bool {
        is_ready(&self.stdout, wait).unwrap_or(false) && self.stdout.read(&mut [0]).is_ok_and(|length| length > 0)
    }

    /// How it ended, if it has.
    fn ended(&mut self) -> Result<Option<WaitStatus>> {
        match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(status @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..))) => {
                self.reaped = true;
                Ok(Some(status))
            }
            Ok(_) | Err(Errno::EINTR) => Ok(None),
            Err(_) => {
                // Somebody else has taken its end, and with it the status; its number may be another's by now.
                self.reaped = true;
                Err(internal("the end of a program was taken by other code of this process"))
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        // As long as its leader is not reaped, the group's number is no other's.
        let _ = killpg(self.pid, Signal::SIGKILL);
        let until = Instant::now() + Duration::from_secs(2);
        while !self.reaped && Instant::now() < until {
            if !matches!(self.ended(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Whether something can be read, or the other end is closed.
fn is_ready(pipe: &PipeReader, wait: Duration) -> Result<bool> {
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
    match poll(&mut fds, wait) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(_) => Err(internal("the output of a program cannot be waited for")),
    }
}

fn internal(what: &str) -> Error {
    Error::new(Kind::Internal, what)
}
