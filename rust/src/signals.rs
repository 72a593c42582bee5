//! Threads that no signal reaches. R's handlers jump out of whatever code they interrupt: on a thread of ours
//! they would skip destructors, and with them the wiping of a secret. A write to a closed pipe raises SIGPIPE
//! on the thread that writes.

use std::io;

/// Runs a function that starts a thread: threads inherit the signals that are blocked when they start, so all
/// are blocked before and restored behind.
///
/// # Errors
/// What `start` answers, or the system's word on the mask.
#[cfg(unix)]
pub(crate) fn blocked<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    use nix::sys::signal::{SigSet, SigmaskHow};
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let started = start();
    before.thread_set_mask()?;
    started
}

/// Windows has no signals to block.
#[cfg(not(unix))]
pub(crate) fn blocked<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    start()
}
