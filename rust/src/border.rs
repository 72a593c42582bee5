// stand-in
//! The operations that the host can start by name.

use crate::net::io::Task;
use crate::{Error, Kind, Result, Value};

/// Starts an operation.
pub fn start(op: &str, args: Value, _session: Value) -> Result<Task> {
    match op {
        "echo" => Ok(Task(Ok(args))),
        "fail" => Ok(Task(Err(Error::new(Kind::Argument, "failed: {system('id')} %s %n").hint("Hint {1 + 1}.")))),
        "panic" => Ok(Task(Err(Error::new(Kind::Internal, [""][args.as_text().map_or(1, str::len)])))),
        _ => Err(Error::new(Kind::Internal, format!("there is no operation `{op}`"))),
    }
}
