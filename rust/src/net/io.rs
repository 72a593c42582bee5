//! The I/O thread: where operations run while the host waits in short steps.
//!
//! One thread a process, started with the first operation, with all signals blocked: an interrupt goes to the host's
//! thread, and a write to a closed pipe is an error here instead of a signal whose handler would jump over
//! destructors. In a forked child the parent's thread does not exist: what is known of it is forgotten, and an own
//! one is started.
//!
//! The functions of this module are to be called on the host's thread only, so that no lock of theirs can be held by
//! another thread when the host forks. Operations must not block the thread for long: it serves all of them.

use std::pin::Pin;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::process::Own;
use crate::ctx::{Event, Events};
use crate::error::{Error, Kind, Result};
use crate::signals;
use crate::value::Value;

/// The name of the I/O thread and its helpers.
const NAME: &str = "keycap-io";

/// How long a helper thread (look-ups of names, files) waits for more to do.
const HELPER: Duration = Duration::from_secs(1);

static IO: Io = Io::new();

/// Starts an operation. `make` is called at once, on this thread, with the way for the operation's events; the
/// future runs on the I/O thread.
///
/// # Errors
/// `internal` if the system gives no thread.
pub fn start<F, Fut>(make: F) -> Result<Task>
where
    F: FnOnce(Events) -> Fut,
    Fut: Future<Output = Result<Value>> + Send + 'static,
{
    IO.start(make)
}

/// Ends the I/O thread, for the library to be unloaded; a later [`start`] begins anew. Operations under way are
/// cancelled. Waits `bound` at most. False if a thread still runs then (a look-up of a name cannot be cancelled):
/// the library's code must stay in memory.
pub fn shutdown(bound: Duration) -> bool {
    IO.shutdown(bound)
}

/// Runs blocking work beside the I/O thread. Work that has not begun when the operation is cancelled never begins.
///
/// # Errors
/// Those of the work; `internal` where it panics.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    struct Unwanted(AbortHandle);
    impl Drop for Unwanted {
        fn drop(&mut self) {
            // Does nothing once the work has begun.
            self.0.abort();
        }
    }
    let (give, mut given) = oneshot::channel();
    // In a box, so that tokio's part is compiled once, and not for each kind of work.
    let work: Box<dyn FnOnce() + Send> = Box::new(move || drop(give.send(work())));
    let work = tokio::task::spawn_blocking(work);
    let _unwanted = Unwanted(work.abort_handle());
    let done = work.await.ok().and_then(|()| given.try_recv().ok());
    done.unwrap_or_else(|| Err(Error::new(Kind::Internal, "internal error in blocking work")))
}

/// What a task is at.
#[derive(Debug)]
pub enum Poll {
    /// Not done; what it told since.
    Pending(Vec<Event>),
    /// Done; what it told since, and what came of it. Polling again gives an error.
    Done(Vec<Event>, Result<Value>),
}

/// An operation on the I/O thread. Dropping it cancels it.
#[derive(Debug)]
pub struct Task(Own<Parts>);

struct Parts {
    messages: mpsc::Receiver<Message>,
    abort: AbortHandle,
    done: bool,
    /// Says what became of an operation that was cancelled.
    last_word: Option<LastWord>,
}

type LastWord = Box<dyn FnOnce() -> String + Send>;

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("done", &self.done).finish_non_exhaustive()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// What comes from an operation. One channel for both keeps their order.
enum Message {
    Event(Event),
    Done(Result<Value>),
}

impl Task {
    /// Waits until the operation tells something or is done, `wait` at most.
    pub fn poll(&mut self, wait: Duration) -> Poll {
        let Some(parts) = self.0.get_mut() else {
            let error = Error::new(Kind::Interrupted, "this operation belongs to the parent process")
                .hint("start it again in this process");
            return Poll::Done(Vec::new(), Err(error));
        };
        let ended = || Err(Error::new(Kind::Internal, "this operation has ended before"));
        if parts.done {
            return Poll::Done(Vec::new(), ended());
        }
        let mut events = Vec::new();
        let mut next = parts.messages.recv_timeout(wait);
        loop {
            match next {
                Ok(Message::Event(event)) => events.push(event),
                Ok(Message::Done(result)) => {
                    parts.done = true;
                    return Poll::Done(events, result);
                }
                Err(RecvTimeoutError::Timeout) => return Poll::Pending(events),
                Err(RecvTimeoutError::Disconnected) => {
                    return Poll::Done(events, ended());
                }
            }
            next = parts.messages.recv_timeout(Duration::ZERO);
        }
    }

    /// The operation with a word about what became of it, asked for when it is cancelled.
    #[must_use]
    pub(crate) fn with_last_word(mut self, word: impl FnOnce() -> String + Send + 'static) -> Self {
        if let Some(parts) = self.0.get_mut() {
            parts.last_word = Some(Box::new(word));
        }
        self
    }

    /// Cancels the operation at the next point where it waits. Returns at once, but for an operation that is just
    /// changing files: that is carried through. What became of it, where it has a word on that.
    pub fn cancel(mut self) -> Option<String> {
        let parts = self.0.get_mut()?;
        let word = parts.last_word.take().filter(|_| !parts.done);
        parts.abort.abort();
        drop(self);
        word.map(|word| word())
    }
}

/// Sends the result of an operation, also where there is none: a panic, or the end of the thread.
struct Report {
    to: mpsc::Sender<Message>,
    done: bool,
}

impl Report {
    fn send(mut self, result: Result<Value>) {
        self.done = true;
        // Nobody listens to a cancelled operation.
        let _ = self.to.send(Message::Done(result));
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        // What a panic says may hold anything, so it goes nowhere.
        let error = if std::thread::panicking() {
            Error::new(Kind::Internal, "internal error")
        } else {
            Error::new(Kind::Interrupted, "the operation was cancelled")
        };
        let _ = self.to.send(Message::Done(Err(error)));
    }
}

/// The place of the I/O thread.
struct Io(Mutex<Option<Own<Thread>>>);

struct Thread {
    handle: Handle,
    /// Tells the thread to end, and how long its helpers may take.
    stop: oneshot::Sender<Duration>,
    /// Says at the end whether all helpers have ended too.
    ended: mpsc::Receiver<bool>,
    join: std::thread::JoinHandle<()>,
}

impl Io {
    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    fn start<F, Fut>(&self, make: F) -> Result<Task>
    where
        F: FnOnce(Events) -> Fut,
        Fut: Future<Output = Result<Value>> + Send + 'static,
    {
        let handle = self.handle()?;
        let (sender, messages) = mpsc::channel();
        let report = Report { to: sender.clone(), done: false };
        let events = Events::new(move |event| {
            // Nobody listens to a cancelled operation.
            let _ = sender.send(Message::Event(event));
        });
        // In a box, so that tokio's part is compiled once, and not for each operation.
        let operation: Pin<Box<dyn Future<Output = Result<Value>> + Send>> = Box::pin(make(events));
        let task = handle.spawn(async move {
            let result = operation.await;
            report.send(result);
        });
        Ok(Task(Own::new(Parts { messages, abort: task.abort_handle(), done: false, last_word: None })))
    }

    /// The way to the I/O thread, which is started if there is none.
    fn handle(&self) -> Result<Handle> {
        let mut thread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.as_ref().and_then(Own::get)
            && !thread.join.is_finished()
        {
            return Ok(thread.handle.clone());
        }
        let new = Thread::start()?;
        let handle = new.handle.clone();
        // In a forked child this forgets the parent's.
        *thread = Some(Own::new(new));
        Ok(handle)
    }

    fn shutdown(&self, bound: Duration) -> bool {
        let thread = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        thread.and_then(Own::into_inner).is_none_or(|thread| thread.end(bound))
    }
}

impl Thread {
    fn start() -> Result<Self> {
        let failed = |_| Error::new(Kind::Internal, "the system gives no thread for keycap's network calls");
        quiet_panics();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name(NAME)
            .thread_keep_alive(HELPER)
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        let join = signals::blocked(|| {
            std::thread::Builder::new().name(NAME.to_owned()).spawn(move || {
                let all_ended = serve(runtime, stopped);
                let _ = end.send(all_ended);
            })
        })
        .map_err(failed)?;
        Ok(Self { handle, stop, ended, join })
    }

    fn end(self, bound: Duration) -> bool {
        // Half of the time for the helpers, the other half for an operation that holds the thread.
        let until = Instant::now() + bound;
        let told = self.stop.send(bound / 2).is_ok();
        let left = until.saturating_duration_since(Instant::now());
        let all_ended = told && self.ended.recv_timeout(left).unwrap_or(false);
        all_ended && self.join.join().is_ok()
    }
}

/// The life of the I/O thread. Returns whether its helpers have ended too.
fn serve(runtime: Runtime, stopped: oneshot::Receiver<Duration>) -> bool {
    let bound = match runtime.block_on(stopped) {
        Ok(bound) => bound,
        // Nobody can stop us any more: the process is ending.
        Err(_) => Duration::ZERO,
    };
    let begin = Instant::now();
    runtime.shutdown_timeout(bound);
    // tokio does not say whether it waited long enough, but it returns earlier only if it did.
    begin.elapsed() < bound
}

/// A panic on our threads says nothing: its text may quote what it panicked about.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() != Some(NAME) {
                before(panic);
            }
        }));
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::net::process::pretended::in_child;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// The text that panics carry in these tests: made up, as if it were a token.
    const CANARY: &str = "6B1D0F72C4E98A35FAKE5D17E0936C84";

    fn wait(task: &mut Task) -> (Vec<Event>, Result<Value>) {
        let mut all = Vec::new();
        for _ in 0..1000 {
            match task.poll(Duration::from_millis(10)) {
                Poll::Pending(events) => all.extend(events),
                Poll::Done(events, result) => {
                    all.extend(events);
                    return (all, result);
                }
            }
        }
        panic!("not done after 10 s");
    }

    /// Sets a flag when it is dropped.
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    fn becomes(flag: &AtomicBool) -> bool {
        (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            flag.load(Ordering::SeqCst)
        })
    }

    #[test]
    fn events_come_in_order_and_before_the_result() {
        let kept = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&kept);
        let mut task = start(|events| async move {
            *keep.lock().unwrap() = Some(events.clone()); // outlives the operation
            for number in 0..100 {
                events.note(number.to_string());
                if number % 10 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            events.warning("end");
            Ok(Value::Whole(7))
        })
        .unwrap();
        let (events, result) = wait(&mut task);
        let mut expected: Vec<_> = (0..100).map(|number: i32| Event::Note(number.to_string())).collect();
        expected.push(Event::Warning("end".to_owned()));
        assert_eq!(events, expected);
        assert_eq!(result.unwrap(), Value::Whole(7));
        let Poll::Done(_, Err(error)) = task.poll(Duration::ZERO) else { panic!("done twice") };
        assert_eq!(error.kind, Kind::Internal);
    }

    #[test]
    fn a_poll_returns_with_the_first_event_and_after_the_wait_at_the_latest() {
        let (release, held) = oneshot::channel::<()>();
        let mut task = start(|events| async move {
            events.note("now");
            let _ = held.await;
            Ok(Value::Nothing)
        })
        .unwrap();
        let begin = Instant::now();
        let Poll::Pending(events) = task.poll(Duration::from_secs(30)) else { panic!("done") };
        assert_eq!(events, [Event::Note("now".to_owned())]);
        assert!(begin.elapsed() < Duration::from_secs(20));
        let Poll::Pending(events) = task.poll(Duration::from_millis(20)) else { panic!("done") };
        assert!(events.is_empty());
        release.send(()).unwrap();
        assert_eq!(wait(&mut task).1.unwrap(), Value::Nothing);
    }

    #[test]
    fn many_tasks_run_at_once_on_one_thread() {
        let threads = Arc::new(Mutex::new(std::collections::HashSet::new()));
        let barrier = Arc::new(tokio::sync::Barrier::new(200));
        let mut tasks: Vec<_> = (0..200)
            .map(|number| {
                let (threads, barrier) = (Arc::clone(&threads), Arc::clone(&barrier));
                start(|_| async move {
                    barrier.wait().await; // passes only when all 200 have come this far
                    threads.lock().unwrap().insert(std::thread::current().id());
                    Ok(Value::Whole(number))
                })
                .unwrap()
            })
            .collect();
        for (number, task) in tasks.iter_mut().enumerate() {
            assert_eq!(wait(task).1.unwrap(), Value::Whole(i64::try_from(number).unwrap()));
        }
        assert_eq!(threads.lock().unwrap().len(), 1);
        assert!(!threads.lock().unwrap().contains(&std::thread::current().id()));
    }

    #[test]
    fn cancelling_and_dropping_end_the_operation_where_it_waits_and_return_at_once() {
        for cancel in [true, false] {
            let dropped = Arc::new(AtomicBool::new(false));
            let flag = Flag(Arc::clone(&dropped));
            let mut task = start(|events| async move {
                let _flag = flag;
                events.note("running");
                std::future::pending::<()>().await;
                Ok(Value::Nothing)
            })
            .unwrap();
            assert!(matches!(task.poll(Duration::from_secs(10)), Poll::Pending(events) if events.len() == 1));
            assert!(!dropped.load(Ordering::SeqCst));
            let begin = Instant::now();
            if cancel {
                task.cancel();
            } else {
                drop(task);
            }
            assert!(begin.elapsed() < Duration::from_secs(1));
            assert!(becomes(&dropped));
        }
    }

    #[test]
    fn a_panic_is_an_internal_error_without_its_text_and_the_next_operation_works() {
        let mut task = start(|_| async {
            let text = CANARY.to_owned();
            tokio::task::yield_now().await;
            assert!(text.is_empty(), "{text}");
            Ok(Value::Nothing)
        })
        .unwrap();
        let error = wait(&mut task).1.unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (Kind::Internal, "internal error"));
        assert!(!format!("{error:?}").contains(CANARY));
        let mut task = start(|_| async { Ok(Value::Flag(true)) }).unwrap();
        assert_eq!(wait(&mut task).1.unwrap(), Value::Flag(true));
    }

    /// What a panic prints is seen from outside: the test runs itself as a child, once for each place of a panic.
    #[test]
    fn a_panic_on_our_threads_prints_nothing_and_one_on_another_thread_does() {
        const PLACE: &str = "KEYCAP_TEST_PANIC_PLACE";
        if let Ok(place) = std::env::var(PLACE) {
            start(|_| async { Ok(Value::Nothing) }).unwrap();
            let panics = || std::panic::panic_any(format!("text {CANARY}"));
            if place == "elsewhere" {
                std::thread::spawn(panics).join().unwrap_err();
                return;
            }
            let mut task = start(|_| async move {
                if place == "helper" {
                    tokio::task::spawn_blocking(panics).await.unwrap_err();
                } else {
                    panics();
                }
                Ok(Value::Nothing)
            })
            .unwrap();
            let _ = wait(&mut task);
            return;
        }
        for (place, prints) in [("elsewhere", true), ("helper", false), ("own", false)] {
            let child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--nocapture"])
                .arg("net::io::tests::a_panic_on_our_threads_prints_nothing_and_one_on_another_thread_does")
                .env(PLACE, place)
                .output()
                .unwrap();
            let printed = String::from_utf8_lossy(&[child.stdout, child.stderr].concat()).into_owned();
            assert!(child.status.success() && printed.contains("1 passed"), "{place}: {printed}");
            assert_eq!(printed.contains(CANARY), prints, "{place}: {printed}");
            assert_eq!(printed.contains("panicked"), prints, "{place}: {printed}");
        }
    }

    #[test]
    fn in_a_forked_child_the_parents_task_is_an_error_and_is_neither_used_nor_dropped() {
        let io = Io::new();
        let dropped = Arc::new(AtomicBool::new(false));
        let flag = Flag(Arc::clone(&dropped));
        let (release, held) = oneshot::channel::<()>();
        let start = || {
            io.start(|_| async move {
                let _flag = flag;
                let _ = held.await;
                Ok(Value::Nothing)
            })
        };
        let mut task = start().unwrap();
        let current = || io.0.lock().unwrap().as_ref().unwrap().get().unwrap().handle.id();
        let parents = current();
        in_child(|| {
            let Poll::Done(events, Err(error)) = task.poll(Duration::from_secs(30)) else { panic!("not an error") };
            assert!(events.is_empty());
            assert_eq!(error.kind, Kind::Interrupted);
            // The child's own thread is another one, and works.
            let mut own = io.start(|_| async { Ok(Value::Whole(1)) }).unwrap();
            assert_ne!(current(), parents);
            assert_eq!(wait(&mut own).1.unwrap(), Value::Whole(1));
            task.cancel();
        });
        // The parent's operation was not cancelled by any of that: it is still there, and goes on when released.
        assert!(!dropped.load(Ordering::SeqCst));
        release.send(()).unwrap();
        assert!(becomes(&dropped));
    }

    #[test]
    fn a_shutdown_cancels_what_runs_and_a_later_start_begins_anew() {
        let io = Io::new();
        assert!(io.shutdown(Duration::from_secs(5)), "nothing to end");
        let mut task = io
            .start(|_| async {
                std::future::pending::<()>().await;
                Ok(Value::Nothing)
            })
            .unwrap();
        assert!(io.shutdown(Duration::from_secs(5)));
        assert_eq!(wait(&mut task).1.unwrap_err().kind, Kind::Interrupted);
        let mut task = io.start(|_| async { Ok(Value::Whole(2)) }).unwrap();
        assert_eq!(wait(&mut task).1.unwrap(), Value::Whole(2));
        assert!(io.shutdown(Duration::from_secs(5)));
    }

    #[test]
    fn a_shutdown_that_meets_a_stuck_helper_returns_in_time_and_says_so() {
        let io = Io::new();
        let (release, held) = mpsc::channel::<()>();
        let started = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&started);
        let task = io
            .start(|events| async move {
                let helper = tokio::task::spawn_blocking(move || {
                    count.fetch_add(1, Ordering::SeqCst);
                    held.recv()
                });
                events.note("begun");
                let _ = helper.await;
                Ok(Value::Nothing)
            })
            .unwrap();
        while started.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let begin = Instant::now();
        assert!(!io.shutdown(Duration::from_millis(200)));
        assert!(begin.elapsed() < Duration::from_secs(5));
        release.send(()).unwrap();
        drop(task);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn all_signals_are_blocked_on_our_threads_and_none_on_the_hosts() {
        fn blocked() -> u64 {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        }
        let before = blocked();
        let io = Io::new();
        let mut task = io
            .start(|_| async {
                let helpers = tokio::task::spawn_blocking(blocked).await.unwrap();
                Ok(Value::list([
                    ("own", Value::Whole(blocked().cast_signed())),
                    ("helper", Value::Whole(helpers.cast_signed())),
                ]))
            })
            .unwrap();
        let result = wait(&mut task).1.unwrap();
        assert_eq!(blocked(), before);
        for name in ["own", "helper"] {
            let Some(Value::Whole(mask)) = result.get(name) else { panic!("{result:?}") };
            // 1 HUP, 2 INT, 10 USR1, 13 PIPE, 14 ALRM, 15 TERM, 17 CHLD
            for signal in [1, 2, 10, 13, 14, 15, 17] {
                assert_eq!(mask >> (signal - 1) & 1, 1, "{name}: signal {signal}");
            }
        }
    }
}
