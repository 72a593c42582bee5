// stand-in
//! The operations that the host can start by name.

use crate::net::io::{self, Task};
use crate::{Error, Kind, Result, Value};

/// Starts an operation.
pub fn start(op: &str, args: Value, _session: Value) -> Result<Task> {
    match op {
        "echo" => io::start(|_| async { Ok(args) }),
        "fail" => io::start(|_| async { Err(Error::new(Kind::Argument, "{stop()} %s %n").hint("Hint {stop()}.")) }),
        _ => Err(Error::new(Kind::Internal, format!("there is no operation `{op}`"))),
    }
}
