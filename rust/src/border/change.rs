//! A change of files that is made whole or not at all when the person interrupts.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// How long the end of a change is waited for: it writes two small files.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is changed yet: it is waited for a thread, or for another process.
    Waiting,
    /// It cannot be stopped any more.
    Begun,
    Made,
    Failed,
    Cancelled,
}

/// A change, as the operation that makes it and the one who cancels that see it.
#[derive(Clone)]
pub(super) struct Change(Arc<(Mutex<State>, Condvar)>);

/// What became of a change whose operation was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing was changed, and nothing will be.
    NotMade,
    /// It began, and failed.
    Failed,
    /// It was made before, or just now.
    Made,
    /// It is being made, and takes long.
    UnderWay,
}

impl Change {
    pub(super) fn new() -> Self {
        Self(Arc::new((Mutex::new(State::Waiting), Condvar::new())))
    }

    /// Makes the change. `make` is given a function to call once nothing is left to wait for: it fails where the
    /// operation was cancelled before, and from then on the change is carried through.
    pub(super) fn make<T>(&self, make: impl FnOnce(&dyn Fn() -> Result<()>) -> Result<T>) -> Result<T> {
        let result = make(&|| self.begin());
        self.set(if result.is_ok() { State::Made } else { State::Failed });
        result
    }

    /// As [`Change::make`], for a change that waits: nothing is left to wait for before it, and once it has begun it is
    /// carried through, also where the operation is cancelled.
    pub(super) async fn carry_through<T: Send + 'static>(
        &self,
        make: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.begin()?;
        let change = self.clone();
        // In a box, so that tokio's part is compiled once for each kind of answer.
        let make: Pin<Box<dyn Future<Output = Result<T>> + Send>> = Box::pin(make);
        let carried = tokio::spawn(async move {
            let result = make.await;
            change.set(if result.is_ok() { State::Made } else { State::Failed });
            result
        });
        carried.await.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "a change broke off")))
    }

    fn begin(&self) -> Result<()> {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == State::Cancelled {
            return Err(Error::new(Kind::Interrupted, "the operation was cancelled"));
        }
        *state = State::Begun;
        Ok(())
    }

    fn set(&self, new: State) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *state != State::Cancelled {
            *state = new;
        }
        self.0.1.notify_all();
    }

    /// Cancels the change if it has not begun, and waits for its end if it has.
    pub(super) fn cancel(&self) -> Fate {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == State::Waiting {
            *state = State::Cancelled;
        }
        let waited = self.0.1.wait_timeout_while(state, PATIENCE, |state| *state == State::Begun);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Made => Fate::Made,
            State::Begun => Fate::UnderWay,
            State::Failed => Fate::Failed,
            State::Waiting | State::Cancelled => Fate::NotMade,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_is_cancelled_before_it_begins_never_begins() {
        let change = Change::new();
        assert_eq!(change.cancel(), Fate::NotMade);
        let mut touched = false;
        let made = change.make(|begin| {
            begin()?;
            touched = true;
            Ok(())
        });
        assert_eq!((made.unwrap_err().kind, touched), (Kind::Interrupted, false));
        assert_eq!(change.cancel(), Fate::NotMade);
    }

    #[test]
    fn a_change_that_has_begun_is_carried_through_and_waited_for() {
        let change = Change::new();
        let maker = change.clone();
        let (begun, wait) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            maker.make(|begin| {
                begin()?;
                begun.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(100));
                Ok(7)
            })
        });
        wait.recv().unwrap();
        assert_eq!(change.cancel(), Fate::Made);
        assert_eq!(thread.join().unwrap().unwrap(), 7);
        assert_eq!(change.cancel(), Fate::Made);
    }

    #[test]
    fn a_change_that_began_and_failed_is_not_one_that_was_never_made() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let change = Change::new();
        let failed = async { Err::<(), _>(Error::new(Kind::Store, "something else comes back")) };
        assert!(runtime.block_on(change.carry_through(failed)).is_err());
        assert_eq!(change.cancel(), Fate::Failed);
    }

    #[test]
    fn a_change_that_waits_is_carried_through_when_its_operation_is_dropped() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let change = Change::new();
        runtime.block_on(async {
            let (go, wait) = tokio::sync::oneshot::channel::<()>();
            {
                let work = change.carry_through(async move {
                    wait.await.unwrap();
                    Ok(7)
                });
                let mut work = std::pin::pin!(work);
                tokio::select! {
                    biased;
                    _ = &mut work => unreachable!(),
                    () = tokio::time::sleep(Duration::from_millis(20)) => {}
                }
            }
            go.send(()).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        });
        assert_eq!(change.cancel(), Fate::Made);
        let change = Change::new();
        assert_eq!(change.cancel(), Fate::NotMade);
        let never = runtime.block_on(change.carry_through(async { Ok(()) }));
        assert_eq!(never.unwrap_err().kind, Kind::Interrupted);
    }

    #[test]
    fn a_change_of_files_that_failed_says_that_it_did() {
        let change = Change::new();
        let failed = change.make(|begin| {
            begin()?;
            Err::<(), _>(Error::new(Kind::File, "no room"))
        });
        assert_eq!(failed.unwrap_err().kind, Kind::File);
        assert_eq!(change.cancel(), Fate::Failed);
    }
}
