//! The doorway between R and the core: starts an operation, asks how it goes, gives its answer to R.
//!
//! Nothing unwinds out of here, and no R error crosses these frames: R's vectors are made in C, which holds an error
//! of R's (there is no memory, most often) until these functions have returned. extendr would hand a message to R as a *format string*
//! (`%s` in it crashes R), so each function takes and returns plain R objects: the answer is a list with `kind`
//! (`"ok"`, `"pending"`, `"error"`), and `R/call-core.R` raises the error.

mod allocator;
mod columns;
mod from_r;
mod handles;
mod selftest;
mod to_r;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use columns::Unwinding;
use extendr_api::prelude::*;
use keycap::net::io::Poll;
use keycap::{Error, Kind, Value};

/// How long the package's unloading waits for the threads to end.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Starts an operation of the core by its name; the answer's `value` is a handle for [`kc_poll`].
#[extendr]
fn kc_start(op: Robj, args: Robj, session: Robj) -> Robj {
    answered(|| {
        let op = from_r::text(&op)?;
        let args = from_r::value(&args)?;
        let session = from_r::value(&session)?;
        let task = keycap::border::start(&op, args, &session)?;
        Ok(to_r::ok(&[], Value::Whole(handles::keep(task).into())))
    })
}

/// Waits at most `wait_ms` milliseconds for an operation and says how it goes. Once it is done the handle is gone.
#[extendr]
fn kc_poll(handle: Robj, wait_ms: Robj) -> Robj {
    answered(|| {
        let handle = from_r::whole(&handle)?;
        let wait = Duration::from_millis(from_r::whole(&wait_ms)?.clamp(0, 1_000).unsigned_abs().into());
        // The task is out of the table while it is asked: turning its answer into R objects may run R's garbage
        // collector, and with it finalizers that come back here.
        let mut task = handles::take(handle)?;
        Ok(match task.poll(wait) {
            Poll::Pending(events) => {
                handles::put_back(handle, task);
                to_r::pending(&events)
            }
            Poll::Done(events, Ok(value)) => to_r::ok(&events, value),
            Poll::Done(events, Err(error)) => to_r::error(&events, &error),
        })
    })
}

/// Cancels an operation; one that is done, or was never there, is left alone. The answer's `value` is a word on what
/// became of it, where there is one.
#[extendr]
fn kc_cancel(handle: Robj) -> Robj {
    answered(|| {
        let word = handles::take(from_r::whole(&handle)?).ok().and_then(keycap::net::io::Task::cancel);
        Ok(to_r::ok(&[], word.into()))
    })
}

/// Cancels whatever runs and ends the threads, as the package is about to be unloaded. The answer's `value` says
/// whether all have ended; if not, the library's code must stay in memory.
#[extendr]
fn kc_shutdown() -> Robj {
    answered(|| {
        for task in handles::take_all() {
            task.cancel();
        }
        Ok(to_r::ok(&[], Value::Flag(keycap::border::shutdown(SHUTDOWN))))
    })
}

/// The answer where R had no memory for the one that it should get. Called from C.
#[extendr]
fn kc_no_memory() -> Robj {
    answered(|| Err(Error::memory()))
}

/// The answer where R could not give an argument's values. Called from C.
#[extendr]
fn kc_unreadable() -> Robj {
    answered(|| {
        Err(Error::new(Kind::Argument, "R could not give the values of an argument").hint(
            "R may be short of memory, or the data are read from a file that is gone; make them ordinary vectors first",
        ))
    })
}

/// Called once when R loads the library. A panic's text may quote what the code worked on, so it is never
/// printed, whatever `RUST_BACKTRACE` or `EXTENDR_BACKTRACE` say; R hears of it as an internal error.
#[unsafe(no_mangle)]
pub extern "C" fn keycapr_init() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Turns whatever happens in `body`, a panic included, into an answer.
fn answered(body: impl FnOnce() -> keycap::Result<Robj>) -> Robj {
    let answer = caught(|| body().unwrap_or_else(|error| to_r::error(&[], &error)));
    // Making the answer for an error can fail as well.
    answer.or_else(|error| caught(|| to_r::error(&[], &error))).unwrap_or_else(|_| ().into())
}

/// What `body` makes, or why it was left. Where R jumps, the answer is nothing: C holds the jump and does not look at it.
fn caught(body: impl FnOnce() -> Robj) -> keycap::Result<Robj> {
    catch_unwind(AssertUnwindSafe(body)).or_else(|reason| {
        // A table is gone, and the memory that it took is needed.
        allocator::give_back();
        match reason.downcast_ref() {
            Some(Unwinding::Jump) => Ok(().into()),
            Some(Unwinding::Memory) => Err(Error::memory()),
            None => Err(broken()),
        }
    })
}

fn broken() -> Error {
    Error::new(Kind::Internal, "keycap failed in a way that it should not")
        .hint("The operation was given up; please report what you did, without any token.")
}
