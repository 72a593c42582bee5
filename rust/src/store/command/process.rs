//! A program that is started, listened to and, where it takes too long, killed with all that it started.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

#[cfg(unix)]
mod unix;
#[cfg(not(unix))]
mod windows;

#[cfg(unix)]
pub(in crate::store) use unix::Surroundings;
#[cfg(unix)]
pub(in crate::store) use unix::{Running, run};
#[cfg(not(unix))]
pub(in crate::store) use windows::Surroundings;
#[cfg(not(unix))]
pub(in crate::store) use windows::run;

/// What is to be run.
pub(in crate::store) struct Job {
    pub(in crate::store) program: PathBuf,
    pub(in crate::store) arguments: Vec<String>,
    pub(in crate::store) surroundings: Surroundings,
    /// What stands on its standard input; nothing otherwise. Less than a pipe holds.
    pub(in crate::store) input: Option<Zeroizing<Vec<u8>>>,
    pub(in crate::store) limit: Duration,
    /// What it may print at most.
    pub(in crate::store) most: usize,
}

/// How it ended.
#[derive(Debug)]
pub(in crate::store) enum End {
    /// By itself, with a status and what it had printed.
    Exited(i32, Zeroizing<Vec<u8>>),
    /// By somebody's signal.
    #[cfg_attr(not(unix), allow(dead_code))]
    Signalled(i32),
    /// By ours, since it took too long or nobody waits any more.
    TooLate,
    /// By ours, since it printed too much.
    TooMuch,
    /// It never began.
    NotStarted(String),
}

/// Whether a variable of the environment is passed on. Its own settings keycap keeps for itself; tokens of REDCap are
/// nothing for a program that is to give one. R's launcher puts its own folders before those of the system where
/// libraries are looked for, and with those another program may not start at all.
fn passed_on(name: &[u8], value: &[u8]) -> bool {
    if name == b"LD_LIBRARY_PATH" || name.starts_with(b"DYLD_") {
        return false;
    }
    let token = std::str::from_utf8(value).is_ok_and(crate::token::looks_like_token);
    !name.starts_with(b"KEYCAP_") && !name.starts_with(b"REDCapSync_") && !token
}
