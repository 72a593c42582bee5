//! The threads beside the I/O thread: at the pipes of a sandbox, at a store that blocks. Nobody waits for them while
//! they work, but who unloads the library must know that none runs its code any more, so they are noted down.
//!
//! No lock is ever waited for: a forked child may inherit one that a thread of its parent's held. What cannot be
//! noted down counts as running for ever, and the library stays in memory.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::signals;

static THREADS: Threads = Threads::new();

/// Starts a thread with all signals blocked, and notes it down.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    THREADS.spawn(name, work)
}

/// Waits until all threads have ended, `until` at most. False if one still runs, or may run.
pub(crate) fn all_ended(until: Instant) -> bool {
    THREADS.all_ended(until)
}

struct Threads {
    noted: Mutex<Noted>,
    /// Whether a thread could not be noted down.
    lost: AtomicBool,
}

struct Noted {
    process: u32,
    handles: Vec<JoinHandle<()>>,
}

impl Noted {
    /// Gives the handles of threads that have ended back to the system.
    fn join_ended(&mut self) {
        let (ended, running) = std::mem::take(&mut self.handles).into_iter().partition(JoinHandle::is_finished);
        self.handles = running;
        for handle in ended {
            // Its panic has said what there is to say.
            let _ = handle.join();
        }
    }
}

impl Threads {
    const fn new() -> Self {
        Self { noted: Mutex::new(Noted { process: 0, handles: Vec::new() }), lost: AtomicBool::new(false) }
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let builder = std::thread::Builder::new().name(name.to_owned());
        let handle = signals::blocked(move || builder.spawn(work))?;
        match self.noted() {
            Some(mut noted) => {
                noted.join_ended();
                noted.handles.push(handle);
            }
            None => self.lost.store(true, Ordering::SeqCst),
        }
        Ok(())
    }

    fn all_ended(&self, until: Instant) -> bool {
        let Some(mut noted) = self.noted() else { return false };
        loop {
            noted.join_ended();
            if noted.handles.is_empty() {
                return !self.lost.load(Ordering::SeqCst);
            }
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What is noted down, if it can be had at once. In a forked child the parent's threads do not exist: they are
    /// forgotten.
    fn noted(&self) -> Option<MutexGuard<'_, Noted>> {
        let mut noted = (0..1000).find_map(|_| match self.noted.try_lock() {
            Ok(noted) => Some(noted),
            Err(TryLockError::Poisoned(noted)) => Some(noted.into_inner()),
            Err(TryLockError::WouldBlock) => {
                std::thread::yield_now();
                None
            }
        })?;
        if noted.process != std::process::id() {
            noted.process = std::process::id();
            std::mem::forget(std::mem::take(&mut noted.handles));
            self.lost.store(false, Ordering::SeqCst);
        }
        Some(noted)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[cfg(unix)]
    #[test]
    fn a_thread_has_all_signals_blocked_and_its_maker_has_not() {
        use nix::sys::signal::{SigSet, Signal};
        let (send, receive) = mpsc::channel();
        spawn("test", move || send.send(SigSet::thread_get_mask().unwrap()).unwrap()).unwrap();
        let mask = receive.recv().unwrap();
        assert!(mask.contains(Signal::SIGPIPE) && mask.contains(Signal::SIGINT) && mask.contains(Signal::SIGCHLD));
        assert!(!SigSet::thread_get_mask().unwrap().contains(Signal::SIGPIPE));
    }

    #[test]
    fn all_have_ended_once_the_last_one_has() {
        let threads = Threads::new();
        assert!(threads.all_ended(Instant::now()));
        let (release, held) = mpsc::channel::<()>();
        threads
            .spawn("test", move || {
                let _ = held.recv();
            })
            .unwrap();
        for _ in 0..10 {
            threads.spawn("test", || {}).unwrap();
        }
        assert!(!threads.all_ended(Instant::now() + Duration::from_millis(20)));
        assert_eq!(threads.noted().unwrap().handles.len(), 1, "what has ended is not kept");
        release.send(()).unwrap();
        assert!(threads.all_ended(soon()));
    }

    #[test]
    fn a_thread_that_cannot_be_noted_down_counts_as_running() {
        let threads = Threads::new();
        let held = threads.noted().unwrap();
        threads.spawn("test", || {}).unwrap();
        assert!(!threads.all_ended(Instant::now()));
        drop(held);
        assert!(!threads.all_ended(Instant::now()));
    }

    #[test]
    fn a_forked_child_forgets_the_threads_of_its_parent() {
        let threads = Threads::new();
        let (release, held) = mpsc::channel::<()>();
        threads
            .spawn("test", move || {
                let _ = held.recv();
            })
            .unwrap();
        threads.noted().unwrap().process = 0;
        assert!(threads.all_ended(Instant::now()));
        release.send(()).unwrap();
    }
}
