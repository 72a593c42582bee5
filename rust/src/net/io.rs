// stand-in
//! The I/O thread and the operations that run on it.

use std::time::Duration;

use crate::ctx::Event;
use crate::{Result, Value};

/// An operation that runs.
pub struct Task(pub(crate) Result<Value>);

/// How it goes.
pub enum Poll {
    /// It goes on.
    Pending(Vec<Event>),
    /// It is done.
    Done(Vec<Event>, Result<Value>),
}

impl Task {
    /// Waits for the end at most that long.
    pub fn poll(&mut self, _wait: Duration) -> Poll {
        Poll::Done(vec![Event::Note("{stand-in}".into())], self.0.clone())
    }

    /// Gives it up.
    pub fn cancel(self) {}
}
