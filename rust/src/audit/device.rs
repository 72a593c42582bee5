//! The devices that entries go to: the log's own folder, and a second folder or the system's log where one is
//! set. One durable write is enough; that a device was lost is an entry on the other one, and a warning.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::cause::Cause;
use super::entry::{Body, Device};
use super::setup::{Second, Setup};
use super::{AuditLog, Segment};
use crate::error::{Error, Result};

/// How long the lock of a lost device is waited for.
const SHORT: Duration = Duration::from_millis(100);

/// The devices of one log.
pub(super) struct Devices {
    log: AuditLog,
    /// Held while a batch is written.
    known: Mutex<Known>,
    /// Never held while anything is waited for.
    warnings: Mutex<Vec<String>>,
}

/// What this process knows of the devices.
#[derive(Default)]
struct Known {
    first_lost: bool,
    second_lost: bool,
}

/// What was written and is not durable yet.
pub(super) struct Written {
    first: Option<Segment>,
    second: Option<Segment>,
    /// The system's log has it.
    sent: bool,
    setup: Arc<Setup>,
}

impl Devices {
    pub(super) fn new(log: AuditLog) -> Self {
        Self { log, known: Mutex::default(), warnings: Mutex::default() }
    }

    /// The log in the first folder.
    pub(super) fn first(&self) -> &AuditLog {
        &self.log
    }

    /// What the person should be warned of; each once.
    pub(super) fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Appends a batch to every device; none for an empty batch.
    ///
    /// # Errors
    /// `audit`: no device takes it. The first one's error.
    pub(super) fn append(&self, bodies: &[Body<'_>], setup: &Arc<Setup>) -> Result<Option<Written>> {
        if bodies.is_empty() {
            return Ok(None);
        }
        let log = self.log.clone().with_setup(Arc::clone(setup));
        let Some(second) = &setup.second else {
            let written = log.append(bodies)?;
            return Ok(written.map(|appended| Written {
                first: Some(appended.segment),
                second: None,
                sent: false,
                setup: Arc::clone(setup),
            }));
        };
        // One batch at a time knows what is lost; the two devices are waited for anyway.
        let mut known = self.known();
        let back = known.first_lost.then(|| self.device("first", None));
        let log = if known.first_lost { log.with_patience(SHORT) } else { log };
        let first = log.append(&with(back.as_ref(), bodies));
        let told = match &first {
            Err(error) if !known.first_lost => Some(self.device("first", Some(error))),
            _ => None,
        };
        let name = name(second);
        let regained = known.second_lost.then(|| gone(name, second, None));
        let own: Vec<Body<'_>> = regained.iter().chain(&told).map(Body::Device).chain(bodies.iter().copied()).collect();
        let lines = first.as_ref().ok().and_then(|appended| Some(appended.as_ref()?.lines.as_slice()));
        let other = self.second(second, &log, &own, lines, known.second_lost);
        let (first, tried) = match (first, other) {
            (Err(first), Err(other)) => {
                let hint = format!("the second device does not take it either: {}", other.message);
                return Err(first.hint(hint));
            }
            (Ok(first), Ok(tried)) => {
                known.first_lost = false;
                known.second_lost = false;
                (first.map(|appended| appended.segment), Some(tried))
            }
            (Err(error), Ok(tried)) => {
                self.lose_first(&mut known, &error);
                known.second_lost = false;
                (None, Some(tried))
            }
            (Ok(first), Err(error)) => {
                known.first_lost = false;
                let mut first = first.map(|appended| appended.segment);
                if !known.second_lost {
                    // The batch is written already, so this entry is one of its own; it is durable with the batch.
                    let lost = gone(name, second, Some(&error));
                    first = log.append(&[Body::Device(&lost)])?.map(|appended| appended.segment).or(first);
                    self.lose_second(&mut known, &error);
                }
                (first, None)
            }
        };
        let sent = matches!(tried, Some(None));
        Ok(Some(Written { first, second: tried.flatten(), sent, setup: Arc::clone(setup) }))
    }

    /// Makes durable what was written: on one device at least.
    ///
    /// # Errors
    /// `audit`: on none.
    pub(super) fn sync(&self, written: &Written) -> Result<()> {
        let first = written.first.as_ref().map(Segment::sync);
        let second = written.second.as_ref().map(Segment::sync);
        match (first, second) {
            // Neither was written: the system's log alone has it.
            (Some(Ok(())) | None, Some(Ok(())) | None) => Ok(()),
            (Some(Err(error)), Some(Ok(()))) => {
                let lost = self.device("first", Some(&error));
                let log = self.other(&written.setup);
                self.lose_first(&mut self.known(), &error);
                log.map_or(Ok(()), |log| log.note(&[super::Entry::Device(lost)]))
            }
            (Some(Ok(())), Some(Err(error))) => {
                let Some(second) = &written.setup.second else { return Err(error) };
                let lost = gone(name(second), second, Some(&error));
                self.lose_second(&mut self.known(), &error);
                self.log.clone().with_setup(Arc::clone(&written.setup)).note(&[super::Entry::Device(lost)])
            }
            (Some(Err(error)), None) if written.sent => {
                self.lose_first(&mut self.known(), &error);
                Ok(())
            }
            (Some(Err(error)), _) | (None, Some(Err(error))) => Err(error),
        }
    }

    /// Makes durable what was written at some time: the end of an operation.
    ///
    /// # Errors
    /// `audit`: on no device.
    pub(super) fn sync_all(&self, setup: &Arc<Setup>) -> Result<()> {
        let first = self.log.sync();
        if setup.second.is_none() {
            return first;
        }
        let lost = self.known().first_lost;
        // A device that was lost has not what was written since.
        let first = first.map(|()| !lost);
        match (first, self.other(setup).map(|log| log.sync())) {
            // While it was lost, the system's log had what was written.
            (Ok(true), _) | (_, Some(Ok(()))) | (Ok(false), None) => Ok(()),
            (Err(_), None) if lost => Ok(()),
            (Err(error), _) | (Ok(false), Some(Err(error))) => Err(error),
        }
    }

    fn second(
        &self,
        second: &Second,
        log: &AuditLog,
        bodies: &[Body<'_>],
        lines: Option<&[u8]>,
        lost: bool,
    ) -> Result<Option<Segment>> {
        match second {
            Second::Folder(dir) => {
                let patience = if lost { SHORT } else { self.log.patience };
                Ok(at(dir, log).with_patience(patience).append(bodies)?.map(|appended| appended.segment))
            }
            Second::Syslog(socket) => {
                let lines = lines.map_or_else(|| log.loose(bodies), |lines| Ok(lines.to_owned()))?;
                send(socket, &lines)?;
                Ok(None)
            }
        }
    }

    /// The log in the second folder.
    fn other(&self, setup: &Arc<Setup>) -> Option<AuditLog> {
        match &setup.second {
            Some(Second::Folder(dir)) => Some(at(dir, &self.log.clone().with_setup(Arc::clone(setup)))),
            _ => None,
        }
    }

    fn device(&self, device: &'static str, error: Option<&Error>) -> Device {
        entry(device, &self.log.dir, error)
    }

    fn lose_first(&self, known: &mut Known, error: &Error) {
        if !std::mem::replace(&mut known.first_lost, true) {
            self.warn("the second device of the audit log has it alone", error);
        }
    }

    fn lose_second(&self, known: &mut Known, error: &Error) {
        if !std::mem::replace(&mut known.second_lost, true) {
            self.warn("the first device of the audit log has it alone", error);
        }
    }

    fn warn(&self, what: &str, error: &Error) {
        let hints = error.hints.join("; ");
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(format!("{what}: {}; {hints}", error.message));
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log of the second folder, kept as this one.
fn at(dir: &Path, log: &AuditLog) -> AuditLog {
    AuditLog { dir: super::file::without_trailing_slash(dir), ..log.clone() }.second()
}

fn with<'a>(before: Option<&'a Device>, bodies: &[Body<'a>]) -> Vec<Body<'a>> {
    before.map(Body::Device).into_iter().chain(bodies.iter().copied()).collect()
}

fn name(second: &Second) -> &'static str {
    match second {
        Second::Folder(_) => "second",
        Second::Syslog(_) => "syslog",
    }
}

fn gone(device: &'static str, second: &Second, error: Option<&Error>) -> Device {
    let (Second::Folder(path) | Second::Syslog(path)) = second;
    entry(device, path, error)
}

fn entry(device: &'static str, path: &Path, error: Option<&Error>) -> Device {
    let cause = error.and_then(|error| error.fields.iter().find(|(name, _)| name == "cause"));
    Device {
        device,
        path: path.display().to_string(),
        state: if error.is_some() { "lost" } else { "back" },
        cause: cause.and_then(|(_, cause)| cause.as_text()).map(str::to_owned),
    }
}

/// Hands lines to the system's log, one message each: facility `authpriv`, level `info`.
#[cfg(unix)]
fn send(path: &Path, lines: &[u8]) -> Result<()> {
    use std::os::unix::net::UnixDatagram;
    let at = |error: std::io::Error| Cause::of(&error).at(path);
    let socket = UnixDatagram::unbound().map_err(at)?;
    socket.connect(path).map_err(at)?;
    // Who does not read must not hold a call up.
    socket.set_write_timeout(Some(SHORT * 10)).map_err(at)?;
    let head = format!("<86>keycap[{}]: ", std::process::id());
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        socket.send(&[head.as_bytes(), line].concat()).map_err(at)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn send(path: &Path, _lines: &[u8]) -> Result<()> {
    Err(Cause::System("this system has no syslog".to_owned()).at(path))
}

#[cfg(all(test, unix))]
mod tests;
