// stand-in
//! The I/O thread and the operations that run on it.

use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::ctx::{Event, Events};
use crate::{Result, Value};

/// An operation that runs.
pub struct Task(Pin<Box<dyn Future<Output = Result<Value>> + Send>>, mpsc::Receiver<Event>);

/// How it goes.
pub enum Poll {
    /// It goes on.
    Pending(Vec<Event>),
    /// It is done.
    Done(Vec<Event>, Result<Value>),
}

/// Starts an operation.
pub fn start<F, Fut>(make: F) -> Result<Task>
where
    F: FnOnce(Events) -> Fut,
    Fut: Future<Output = Result<Value>> + Send + 'static,
{
    let (to, events) = mpsc::channel();
    Ok(Task(Box::pin(make(Events::new(move |event| drop(to.send(event))))), events))
}

impl Task {
    /// Waits for the end at most that long.
    pub fn poll(&mut self, wait: Duration) -> Poll {
        let state = self.0.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let events = self.1.try_iter().collect();
        match state {
            std::task::Poll::Ready(result) => Poll::Done(events, result),
            std::task::Poll::Pending => {
                std::thread::sleep(wait);
                Poll::Pending(events)
            }
        }
    }

    /// Gives it up.
    pub fn cancel(self) {}
}

/// Ends the threads; says whether all have ended.
pub fn shutdown(_bound: Duration) -> bool {
    true
}
