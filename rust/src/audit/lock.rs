//! The side lock: a file of its own that is never renamed, opened for each append.
//!
//! A lock on an inherited descriptor excludes nothing, so the file is opened each time: two threads, two
//! processes and a process and its forked child have different descriptions of it, and exclude each other.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::cause::{Cause, Holder};
use super::file::{self, How};
use super::who::Who;
use crate::error::Result;

const FIRST_WAIT: Duration = Duration::from_micros(50);
const LONGEST_WAIT: Duration = Duration::from_millis(5);

/// The lock, held.
pub(super) struct Lock(File);

impl Lock {
    /// Waits for the lock, at most as long as `patience`.
    ///
    /// # Errors
    /// `audit`: it was held all the time, or the file cannot be opened.
    pub(super) fn acquire(path: &Path, patience: Duration, who: &Who) -> Result<Self> {
        let start = Instant::now();
        let mut wait = FIRST_WAIT;
        loop {
            let file = file::open(path, How::Lock)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, path) => {
                    let mut lock = Self(file);
                    lock.sign(who);
                    return Ok(lock);
                }
                // Somebody removed the file (a cleaner of old files, perhaps) and the next one made another: a
                // lock on what has no name any more excludes nobody.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if start.elapsed() >= patience => {
                    return Err(Cause::Locked(holder(file, who)).at(path));
                }
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => return Err(Cause::of(&error).at(path)),
            }
        }
    }

    /// Writes who holds the lock, for the error of whoever waits in vain. A help only, so failures are nothing.
    fn sign(&mut self, who: &Who) {
        let host = who.host.as_deref().unwrap_or_default();
        let text = format!("{} {host}\n", std::process::id());
        let _ = self.0.write_all(text.as_bytes()).and_then(|()| self.0.set_len(text.len() as u64));
    }
}

impl Drop for Lock {
    /// Unlocks by name: closing alone does not unlock while a child process, forked in between, has the
    /// descriptor too.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Whether a path still leads to an open file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(here), Ok(there)) => here.dev() == there.dev() && here.ino() == there.ino(),
        _ => false,
    }
}

/// Windows does not remove a file that is open.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

/// Who signed the lock last.
fn holder(mut file: File, who: &Who) -> Option<Holder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(256).read_to_string(&mut text).ok()?;
    let (pid, host) = text.trim_end().split_once(' ')?;
    let pid: u32 = pid.parse().ok()?;
    let is_here = who.host.as_deref().unwrap_or_default() == host;
    let program = is_here.then(|| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()).flatten();
    Some(Holder {
        pid,
        host: (!host.is_empty()).then(|| host.to_owned()),
        program: program.map(|name| name.trim_end().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SOON: Duration = Duration::from_millis(300);

    #[test]
    fn a_lock_that_is_held_is_waited_for_and_the_error_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let who = Who::ask();
        let held = Lock::acquire(&path, SOON, &who).unwrap();
        let error = Lock::acquire(&path, SOON, &who).err().unwrap();
        let pid = std::process::id();
        assert!(error.message.contains(&format!("process {pid}")), "{}", error.message);
        assert!(error.message.contains(who.host.as_deref().unwrap()), "{}", error.message);
        drop(held);
        Lock::acquire(&path, SOON, &who).unwrap();
    }

    #[test]
    fn a_lock_that_comes_free_in_time_is_had() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let held = Lock::acquire(&path, SOON, &Who::ask()).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Lock::acquire(&path, Duration::from_secs(60), &Who::ask()).map(drop));
            std::thread::sleep(Duration::from_millis(50));
            assert!(!waiting.is_finished());
            drop(held);
            waiting.join().unwrap().unwrap();
        });
    }

    #[cfg(unix)]
    #[test]
    fn a_removed_lock_file_does_not_let_two_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let first = file::open(&path, How::Lock).unwrap();
        std::fs::remove_file(&path).unwrap();
        first.lock().unwrap();
        assert!(!is_at(&first, &path));
        let second = Lock::acquire(&path, SOON, &Who::ask()).unwrap();
        assert!(is_at(&second.0, &path));
        assert!(Lock::acquire(&path, SOON, &Who::ask()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_child_that_has_inherited_the_descriptor_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let held = Lock::acquire(&path, SOON, &Who::ask()).unwrap();
        let inherited = held.0.try_clone().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").stdin(inherited).spawn().unwrap();
        drop(held);
        let again = Lock::acquire(&path, SOON, &Who::ask()).map(drop);
        child.kill().unwrap();
        child.wait().unwrap();
        again.unwrap();
    }
}
