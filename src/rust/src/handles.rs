//! The operations that run, by the whole number that R holds for each.
//!
//! A number and not an external pointer: it can be saved, copied and sent to another process without harm, since
//! there it names nothing. The table lives in a static, which is never dropped, and belongs to one process: what a
//! forked child inherits is *forgotten*, never used and never dropped, because its sockets and threads are the
//! parent's.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use keycap::net::io::Task;
use keycap::{Error, Kind, Result};

struct Handles {
    process: u32,
    next: i32,
    tasks: Option<HashMap<i32, Task>>,
}

static HANDLES: Mutex<Handles> = Mutex::new(Handles { process: 0, next: 1, tasks: None });

/// Puts a new operation into the table and gives its handle.
pub(crate) fn keep(task: Task) -> i32 {
    let mut handles = handles();
    let handle = handles.next;
    handles.next = handle.checked_add(1).unwrap_or(1);
    handles.tasks.get_or_insert_default().insert(handle, task);
    handle
}

/// Puts an operation back under the handle that it had.
pub(crate) fn put_back(handle: i32, task: Task) {
    handles().tasks.get_or_insert_default().insert(handle, task);
}

/// Takes an operation out of the table.
pub(crate) fn take(handle: i32) -> Result<Task> {
    handles().tasks.get_or_insert_default().remove(&handle).ok_or_else(|| {
        Error::new(Kind::Internal, format!("this process has no operation `{handle}`"))
            .hint("An operation belongs to the R process that started it; start it again here.")
    })
}

/// Takes every operation out of the table.
pub(crate) fn take_all() -> Vec<Task> {
    handles().tasks.take().into_iter().flatten().map(|(_, task)| task).collect()
}

fn handles() -> MutexGuard<'static, Handles> {
    // A panic while the table was held leaves it whole: each function above does one insertion or removal.
    let mut handles = HANDLES.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if handles.process != process {
        std::mem::forget(handles.tasks.take());
        handles.process = process;
    }
    handles
}
