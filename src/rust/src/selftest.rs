//! For the tests of this doorway: what becomes of a value, a failure, a panic and an operation on their way through.
//! Nothing here knows of tokens or reaches a store or a server.

use extendr_api::prelude::*;
use keycap::net::io;
use keycap::{Error, Kind, Value};

use crate::{answered, from_r, handles, to_r};

/// Does what `what` names with a value.
#[extendr]
fn kc_selftest(what: Robj, value: Robj) -> Robj {
    answered(|| {
        let what = from_r::text(&what)?;
        let value = from_r::value(&value)?;
        let task = match what.as_str() {
            "echo" => return Ok(to_r::ok(&[], value)),
            // R cannot make a text with a NUL, but a server can.
            "nul" => return Ok(to_r::ok(&[], Value::list([("a\0b", "c\0d".into())]))),
            "panic" => std::panic::panic_any(format!("{value:?}")),
            // Operations, started like any other; each tells its value first.
            "done" => io::start(|events| {
                events.note(shown(&value));
                async { Ok(value) }
            }),
            "failed" => io::start(|events| {
                events.warning(shown(&value));
                async move { Err(Error::new(Kind::Argument, shown(&value))) }
            }),
            "panicked" => io::start(|_| async move { std::panic::panic_any(shown(&value)) }),
            "endless" => io::start(|events| {
                events.note(shown(&value));
                std::future::pending()
            }),
            other => Err(Error::new(Kind::Argument, other).hint(other).field("message", other).field("value", value)),
        }?;
        Ok(to_r::ok(&[], Value::Whole(handles::keep(task).into())))
    })
}

fn shown(value: &Value) -> String {
    value.as_text().unwrap_or_default().to_owned()
}
