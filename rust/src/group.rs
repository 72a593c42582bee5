//! Work that is done for all who wait for it in one go.
//!
//! Whoever comes first starts it, beside the I/O thread, for itself and for all who came meanwhile; who comes while it
//! is being done is in the next round. So a hundred calls that want the same file written cost a few rounds, and not a
//! hundred.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};
use crate::threads;

/// The name of a thread that does what was left behind: its panics say nothing, as those of the I/O thread.
const NAME: &str = "keycap-io";

/// Those who wait for the same work. It belongs to one process: a forked child makes its own.
pub(crate) struct Group<J, R>(Arc<Mutex<Waiting<J, R>>>);

struct Waiting<J, R> {
    places: Vec<Place<J, R>>,
    /// Whether rounds are being done; who comes then is served by them.
    busy: bool,
}

/// The place of one who waits: what it wants done, and the way to tell it what came of it.
pub(crate) struct Place<J, R> {
    pub(crate) job: J,
    /// Nobody waits for a job that was left behind.
    reply: Option<oneshot::Sender<R>>,
    /// Whether it is done though nobody waits any more.
    kept: bool,
}

impl<J, R> Place<J, R> {
    /// Tells what came of the job; false if nobody waits for it any more.
    pub(crate) fn answer(self, result: R) -> bool {
        self.reply.is_some_and(|reply| reply.send(result).is_ok())
    }

    fn is_wanted(&self) -> bool {
        self.kept || self.reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }
}

impl<J, R> Default for Group<J, R> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Waiting { places: Vec::new(), busy: false })))
    }
}

impl<J: Send + 'static, R: Send + 'static> Group<J, R> {
    /// Waits until the job was done, with others' or alone. `work` does a round; all who join give the same. It may
    /// block.
    ///
    /// Who gives up waiting before the round with its job begins leaves without a trace. Later the job is done all
    /// the same, and [`Place::answer`] says that nobody hears of it.
    ///
    /// # Errors
    /// `internal`: the work broke off, or the process is ending.
    pub(crate) async fn join(&self, job: J, work: impl Fn(Vec<Place<J, R>>) + Send + 'static) -> Result<R> {
        self.wait(job, false, work).await
    }

    /// As [`Group::join`]; but once this was polled the job is done, whoever gives up waiting.
    ///
    /// # Errors
    /// `internal`: the work broke off.
    pub(crate) async fn carry_through(&self, job: J, work: impl Fn(Vec<Place<J, R>>) + Send + 'static) -> Result<R> {
        self.wait(job, true, work).await
    }

    /// Leaves a job behind that nobody waits for. Returns at once, needs no runtime, and holds no thread of one.
    pub(crate) fn leave(&self, job: J, work: impl Fn(Vec<Place<J, R>>) + Send + 'static) {
        if self.enter(Place { job, reply: None, kept: true }) {
            self.rounds(work).beside();
        }
    }

    /// Whether nothing is to be done.
    pub(crate) fn is_idle(&self) -> bool {
        let waiting = locked(&self.0);
        !waiting.busy && waiting.places.is_empty()
    }

    async fn wait(&self, job: J, kept: bool, work: impl Fn(Vec<Place<J, R>>) + Send + 'static) -> Result<R> {
        let (reply, answer) = oneshot::channel();
        if self.enter(Place { job, reply: Some(reply), kept }) {
            let rounds = self.rounds(work);
            tokio::task::spawn_blocking(move || rounds.run());
        }
        answer.await.map_err(|_| Error::new(Kind::Internal, "internal error in blocking work"))
    }

    /// Takes a place; whether it is the first one's, who starts the rounds.
    fn enter(&self, place: Place<J, R>) -> bool {
        let mut waiting = locked(&self.0);
        waiting.places.push(place);
        !std::mem::replace(&mut waiting.busy, true)
    }

    fn rounds<W: Fn(Vec<Place<J, R>>) + Send + 'static>(&self, work: W) -> Rounds<J, R, W> {
        Rounds { waiting: Arc::clone(&self.0), work: Some(work), began: false, over: false, beside: false }
    }
}

/// Rounds, until nobody waits. Dropped before (the work panicked, or the runtime ends and never ran it), it lets all
/// go who wait: they get an error, and whoever comes next begins anew. Jobs that are kept are done beside the runtime
/// then.
struct Rounds<J: Send + 'static, R: Send + 'static, W: Fn(Vec<Place<J, R>>) + Send + 'static> {
    waiting: Arc<Mutex<Waiting<J, R>>>,
    work: Option<W>,
    began: bool,
    over: bool,
    /// Whether they are done on a thread of their own.
    beside: bool,
}

impl<J: Send + 'static, R: Send + 'static, W: Fn(Vec<Place<J, R>>) + Send + 'static> Rounds<J, R, W> {
    fn run(mut self) {
        self.all();
    }

    fn all(&mut self) {
        self.began = true;
        while let Some(places) = self.next() {
            if let Some(work) = &self.work {
                work(places);
            }
        }
    }

    /// Does them on a thread of their own.
    fn beside(mut self) {
        self.beside = true;
        // Where the system gives no thread, they are dropped, and done there.
        let _ = threads::spawn(NAME, move || self.run());
    }

    fn next(&mut self) -> Option<Vec<Place<J, R>>> {
        let mut waiting = locked(&self.waiting);
        waiting.places.retain(Place::is_wanted);
        if waiting.places.is_empty() {
            waiting.busy = false;
            self.over = true;
            return None;
        }
        Some(std::mem::take(&mut waiting.places))
    }
}

impl<J: Send + 'static, R: Send + 'static, W: Fn(Vec<Place<J, R>>) + Send + 'static> Drop for Rounds<J, R, W> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if self.beside && !self.began {
            return self.all();
        }
        {
            let mut waiting = locked(&self.waiting);
            // What breaks off ever again is given up.
            waiting.places.retain(|place| place.kept && !self.beside);
            if waiting.places.is_empty() {
                waiting.busy = false;
                return;
            }
        }
        let waiting = Arc::clone(&self.waiting);
        Rounds { waiting, work: self.work.take(), began: false, over: false, beside: false }.beside();
    }
}

/// Nothing that could panic is done while it is held.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    type Numbers = Group<u32, u32>;

    /// Does rounds that note their jobs, each after a word of the test's.
    struct Desk {
        group: Arc<Numbers>,
        rounds: Arc<Mutex<Vec<Vec<u32>>>>,
        gate: Arc<Mutex<mpsc::Receiver<()>>>,
    }

    impl Desk {
        fn new() -> (Self, mpsc::Sender<()>) {
            let (open, gate) = mpsc::channel();
            let desk = Self { group: Arc::default(), rounds: Arc::default(), gate: Arc::new(Mutex::new(gate)) };
            (desk, open)
        }

        /// A round: noted, and done after a word of the test's.
        fn work(&self) -> impl Fn(Vec<Place<u32, u32>>) + Send + 'static {
            let (rounds, gate) = (Arc::clone(&self.rounds), Arc::clone(&self.gate));
            move |places: Vec<Place<u32, u32>>| {
                rounds.lock().unwrap().push(places.iter().map(|place| place.job).collect());
                gate.lock().unwrap_or_else(PoisonError::into_inner).recv().unwrap();
                assert!(places.iter().all(|place| place.job != 666), "made up");
                for place in places {
                    let job = place.job;
                    place.answer(job * 2);
                }
            }
        }

        fn join(&self, job: u32) -> impl Future<Output = Result<u32>> + Send + 'static {
            let (group, work) = (Arc::clone(&self.group), self.work());
            async move { group.join(job, work).await }
        }

        fn carry_through(&self, job: u32) -> impl Future<Output = Result<u32>> + Send + 'static {
            let (group, work) = (Arc::clone(&self.group), self.work());
            async move { group.carry_through(job, work).await }
        }

        fn leave(&self, job: u32) {
            self.group.leave(job, self.work());
        }

        fn runtime() -> tokio::runtime::Runtime {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
        }

        async fn idle(&self) {
            for _ in 0..2000 {
                if self.group.is_idle() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            panic!("never idle");
        }

        async fn reached(&self, rounds: usize) {
            for _ in 0..2000 {
                if self.rounds.lock().unwrap().len() >= rounds {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            panic!("no round {rounds}");
        }
    }

    #[tokio::test]
    async fn who_comes_during_a_round_is_served_together_in_the_next_one() {
        let (desk, open) = Desk::new();
        let first = tokio::spawn(desk.join(1));
        desk.reached(1).await;
        let others: Vec<_> = (2..100).map(|job| tokio::spawn(desk.join(job))).collect();
        tokio::time::sleep(Duration::from_millis(20)).await;
        open.send(()).unwrap();
        open.send(()).unwrap();
        assert_eq!(first.await.unwrap().unwrap(), 2);
        for (other, job) in others.into_iter().zip(2..) {
            assert_eq!(other.await.unwrap().unwrap(), job * 2);
        }
        let rounds = desk.rounds.lock().unwrap();
        assert_eq!(rounds.iter().map(Vec::len).collect::<Vec<_>>(), [1, 98]);
    }

    #[tokio::test]
    async fn who_gives_up_takes_nothing_from_the_others() {
        let (desk, open) = Desk::new();
        let first = tokio::spawn(desk.join(1));
        desk.reached(1).await;
        let (gone, stays) = (tokio::spawn(desk.join(2)), tokio::spawn(desk.join(3)));
        tokio::time::sleep(Duration::from_millis(20)).await;
        gone.abort();
        first.abort(); // its round is under way
        tokio::time::sleep(Duration::from_millis(20)).await;
        open.send(()).unwrap();
        open.send(()).unwrap();
        assert_eq!(stays.await.unwrap().unwrap(), 6);
        assert_eq!(*desk.rounds.lock().unwrap(), [vec![1], vec![3]]);
    }

    #[tokio::test]
    async fn what_is_carried_through_or_left_behind_is_done_though_nobody_waits() {
        let (desk, open) = Desk::new();
        let first = tokio::spawn(desk.join(1));
        desk.reached(1).await;
        let (gone, kept) = (tokio::spawn(desk.join(2)), tokio::spawn(desk.carry_through(3)));
        tokio::time::sleep(Duration::from_millis(20)).await;
        desk.leave(4);
        gone.abort();
        kept.abort();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!desk.group.is_idle());
        open.send(()).unwrap();
        open.send(()).unwrap();
        assert_eq!(first.await.unwrap().unwrap(), 2);
        desk.idle().await;
        assert_eq!(*desk.rounds.lock().unwrap(), [vec![1], vec![3, 4]]);
    }

    #[test]
    fn what_is_left_behind_needs_no_runtime_and_holds_nobody() {
        let (desk, open) = Desk::new();
        desk.leave(1);
        desk.leave(2);
        for _ in 0..3 {
            open.send(()).unwrap();
        }
        Desk::runtime().block_on(desk.idle());
        assert_eq!(desk.rounds.lock().unwrap().concat(), [1, 2]);
    }

    /// A runtime whose only helper is taken, so that a round never begins, until a word releases it.
    fn without_helpers() -> (tokio::runtime::Runtime, mpsc::Sender<()>) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
        let (release, held) = mpsc::channel::<()>();
        runtime.spawn_blocking(move || {
            let _ = held.recv();
        });
        (runtime, release)
    }

    #[test]
    fn what_is_to_be_carried_through_outlives_a_runtime_that_never_began_it() {
        let (desk, open) = Desk::new();
        let (runtime, release) = without_helpers();
        let waiting = desk.carry_through(7);
        runtime.block_on(async {
            assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());
        });
        runtime.shutdown_background();
        open.send(()).unwrap();
        release.send(()).unwrap();
        Desk::runtime().block_on(desk.idle());
        assert_eq!(*desk.rounds.lock().unwrap(), [vec![7]]);
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error_for_all_who_wait_and_the_next_one_begins_anew() {
        let (desk, open) = Desk::new();
        let first = tokio::spawn(desk.join(666));
        desk.reached(1).await;
        let second = tokio::spawn(desk.join(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
        open.send(()).unwrap();
        for waiting in [first, second] {
            assert_eq!(waiting.await.unwrap().unwrap_err().kind, Kind::Internal);
        }
        open.send(()).unwrap();
        assert_eq!(desk.join(4).await.unwrap(), 8);
    }

    #[test]
    fn a_runtime_that_ends_leaves_nobody_waiting_for_ever() {
        let (desk, open) = Desk::new();
        let (runtime, release) = without_helpers();
        let waiting = desk.join(1);
        runtime.block_on(async {
            assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());
        });
        runtime.shutdown_background();
        release.send(()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        open.send(()).unwrap();
        for _ in 0..400 {
            let busy = locked(&desk.group.0).busy;
            if !busy {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(runtime.block_on(desk.join(5)).unwrap(), 10);
    }
}
