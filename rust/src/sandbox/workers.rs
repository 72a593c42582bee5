//! Threads for pipes. All signals are blocked on them: a write to a closed pipe raises SIGPIPE on the thread
//! that writes, and in R that would run R's handler, which jumps out of Rust without unwinding.

use std::io;

use crate::signals;

/// Starts a thread with all signals blocked. It is on its own: nobody joins it.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    signals::blocked(move || builder.spawn(work)).map(drop)
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use nix::sys::signal::{SigSet, Signal};

    #[test]
    fn a_worker_has_all_signals_blocked_and_its_maker_has_not() {
        let (send, receive) = std::sync::mpsc::channel();
        super::spawn("test", move || send.send(SigSet::thread_get_mask().unwrap()).unwrap()).unwrap();
        let mask = receive.recv().unwrap();
        assert!(mask.contains(Signal::SIGPIPE) && mask.contains(Signal::SIGINT) && mask.contains(Signal::SIGCHLD));
        assert!(!SigSet::thread_get_mask().unwrap().contains(Signal::SIGPIPE));
    }
}
