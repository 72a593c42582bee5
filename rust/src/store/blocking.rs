//! Work that blocks, beside the I/O thread.

use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::threads;

/// Runs work that blocks on a thread of its own. `None`: it did not end within the limit.
///
/// A thread of its own and not one of tokio's pool, for three reasons. A runtime waits for its pool when it is
/// dropped, so a D-Bus that hangs would hang the end of the process; this thread is left alone and ends when
/// its own time-outs let it. A pool's thread idles on with its stack, where pieces of a token may lie; a
/// thread that ended gives its stack back. And a child made by `fork()` inherits no pool to trip over.
///
/// All signals are blocked on it.
///
/// When the future is dropped or the limit is over, the result finds no receiver and is dropped on the
/// thread, where [`super::Raw`] wipes itself.
///
/// # Errors
/// The work's own; `internal` when the thread cannot be started or ends without a result.
pub(super) async fn on_own_thread<T: Send + 'static>(
    name: &str,
    limit: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<Option<T>> {
    let (done, result) = tokio::sync::oneshot::channel();
    threads::spawn(&format!("keycap-{name}"), move || drop(done.send(work())))
        .map_err(|error| Error::new(Kind::Internal, format!("no thread for the store `{name}`: {}", error.kind())))?;
    match tokio::time::timeout(limit, result).await {
        Ok(Ok(result)) => result.map(Some),
        Ok(Err(_)) => Err(Error::new(Kind::Internal, format!("the store `{name}` broke off"))),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc;

    use super::*;
    use crate::store::testing::block_on;

    /// Tells when it is dropped.
    struct Witness(mpsc::Sender<()>);

    impl Drop for Witness {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    #[test]
    fn the_result_comes_back_and_so_does_the_error() {
        let value = block_on(on_own_thread("test", Duration::from_secs(5), || Ok(7)));
        assert_eq!(value.unwrap(), Some(7));
        let error = block_on(on_own_thread::<()>("test", Duration::from_secs(5), || {
            Err(Error::new(Kind::Store, "the store is on fire"))
        }));
        assert_eq!(error.unwrap_err().kind, Kind::Store);
    }

    #[test]
    fn work_that_takes_too_long_is_left_alone_and_its_result_is_dropped() {
        let (go, wait) = mpsc::channel::<()>();
        let (dropped, see) = mpsc::channel();
        let work = move || {
            let _ = wait.recv();
            Ok(Witness(dropped))
        };
        assert!(block_on(on_own_thread("test", Duration::from_millis(20), work)).unwrap().is_none());
        assert!(see.try_recv().is_err());
        go.send(()).unwrap();
        see.recv_timeout(Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn a_cancelled_look_up_drops_its_result() {
        let (go, wait) = mpsc::channel::<()>();
        let (dropped, see) = mpsc::channel();
        block_on(async {
            let work = on_own_thread("test", Duration::from_secs(60), move || {
                let _ = wait.recv();
                Ok(Witness(dropped))
            });
            tokio::select! {
                _ = work => unreachable!(),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        });
        go.send(()).unwrap();
        see.recv_timeout(Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn a_panic_on_the_thread_is_an_error_and_nothing_unwinds() {
        #[allow(clippy::panic)]
        let result = block_on(on_own_thread::<()>("test", Duration::from_secs(5), || panic!("a library's fault")));
        assert_eq!(result.unwrap_err().kind, Kind::Internal);
    }
}
