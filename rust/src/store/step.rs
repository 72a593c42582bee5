//! The steps of a change to what is kept, by name: in tests a process can be killed at each of them.

/// A step was made.
#[cfg(not(test))]
pub(crate) fn step(_name: &str) {}

/// Names the step at which a test's process dies as by `kill -9`.
#[cfg(test)]
pub(crate) const DIES_AT: &str = "KEYCAP_TEST_DIES_AT";

/// A step was made; where a test says so, the process's last one.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn step(name: &str) {
    if std::env::var(DIES_AT).is_ok_and(|last| last == name) {
        #[cfg(unix)]
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).unwrap();
        #[cfg(not(unix))]
        std::process::abort();
    }
}
