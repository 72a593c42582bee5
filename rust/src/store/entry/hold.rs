//! What ties the entry's thread to the host's: one cancels, and waits until the other has put things back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::given_up;
use crate::error::Result;

/// How long the host waits for a terminal to be as it was. The thread looks ten times a second.
const PATIENCE: Duration = Duration::from_secs(2);

/// Shared by the two. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hold(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    cancelled: AtomicBool,
    busy: Mutex<bool>,
    free: Condvar,
}

/// As long as this lives, the terminal may be other than it was.
pub(super) struct Busy<'a>(&'a Parts);

/// Cancels when it is dropped.
pub(super) struct Unwanted(Arc<Parts>);

impl Hold {
    /// Cancels the entry and waits until its thread has let go: what comes next on the host's thread may read the
    /// terminal's state.
    pub(crate) fn cancel(&self) {
        let busy = self.0.busy.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.cancelled.store(true, Ordering::SeqCst);
        drop(self.0.free.wait_timeout_while(busy, PATIENCE, |busy| *busy));
    }

    /// On the entry's thread; an error where it is cancelled before it began.
    pub(super) fn begin(&self) -> Result<Busy<'_>> {
        let mut busy = self.0.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_cancelled() {
            return Err(given_up());
        }
        *busy = true;
        Ok(Busy(&self.0))
    }

    pub(super) fn until_dropped(&self) -> Unwanted {
        Unwanted(Arc::clone(&self.0))
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    pub(super) fn flag(&self) -> &AtomicBool {
        &self.0.cancelled
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        *self.0.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.free.notify_all();
    }
}

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn who_cancels_waits_until_the_thread_has_let_go() {
        let hold = Hold::default();
        let its = hold.clone();
        let (begun, wait) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let busy = its.begin().unwrap();
            begun.send(()).unwrap();
            while !its.is_cancelled() {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(100));
            let last = std::time::Instant::now();
            drop(busy);
            last
        });
        wait.recv().unwrap();
        hold.cancel();
        let back = std::time::Instant::now();
        assert!(thread.join().unwrap() <= back);
    }

    #[test]
    fn what_is_cancelled_before_it_begins_never_begins() {
        let hold = Hold::default();
        drop(hold.until_dropped());
        assert_eq!(hold.begin().map(|_| ()).unwrap_err().kind, Kind::Interrupted);
        hold.cancel();
    }
}
