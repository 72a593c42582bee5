//! A program of the institution's that is run for another room: it takes a text and may print one.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use zeroize::Zeroizing;

use super::process::{self, End, Job};
use super::{Cancel, END};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::store::blocking::on_own_thread;

/// Runs a program with its arguments, without a shell, in a process group of its own, and gives what it printed. Its
/// standard error goes nowhere. `input` is less than a pipe holds. A future that is dropped ends the program.
///
/// # Errors
/// `store`: it is not there, or it did not end well; why stands in the message and nothing of what it printed.
pub(crate) async fn run_program(
    ctx: &Ctx,
    line: &[String],
    input: Option<&[u8]>,
    limit: Duration,
    most: usize,
) -> Result<Vec<u8>> {
    let failed = |what: String| Error::new(Kind::Store, what);
    let surroundings = ctx.env.command.clone().unwrap_or_default();
    let (name, arguments) = line.split_first().ok_or_else(|| failed("no program is named".to_owned()))?;
    let program = surroundings
        .find(name)
        .ok_or_else(|| failed(format!("the program `{name}` is not on this machine, or may not be run")))?;
    let cancelled = Arc::new(AtomicBool::new(false));
    let cancel = Cancel(Arc::clone(&cancelled));
    let job = Job {
        program,
        arguments: arguments.to_vec(),
        surroundings,
        input: input.map(|input| Zeroizing::new(input.to_vec())),
        limit,
        most,
    };
    let end = on_own_thread("program", limit + END, move || process::run(job, &cancelled)).await;
    drop(cancel);
    match end?.unwrap_or(End::TooLate) {
        End::Exited(0, mut output) => Ok(std::mem::take(&mut *output)),
        End::Exited(status, _) => Err(failed(format!("the program `{name}` ended with status {status}"))),
        End::Signalled(signal) => Err(failed(format!("the program `{name}` was ended by signal {signal}"))),
        End::TooLate => Err(failed(format!("the program `{name}` did not end within {} s", limit.as_secs_f64()))),
        End::TooMuch => Err(failed(format!("the program `{name}` printed more than {} KiB", most >> 10))),
        End::NotStarted(why) => Err(failed(format!("the program `{name}` could not be started ({why})"))),
    }
}
