//! Work that is done for all who wait for it in one go.
//!
//! Whoever comes first starts it, beside the I/O thread, for itself and for all who came meanwhile; who comes while it
//! is being done is in the next round. So a hundred calls that want the same file written cost a few rounds, and not a
//! hundred.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};

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
    reply: oneshot::Sender<R>,
}

impl<J, R> Place<J, R> {
    /// Tells what came of the job; false if nobody waits for it any more.
    pub(crate) fn answer(self, result: R) -> bool {
        self.reply.send(result).is_ok()
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
        let (reply, answer) = oneshot::channel();
        let is_first = {
            let mut waiting = locked(&self.0);
            waiting.places.push(Place { job, reply });
            !std::mem::replace(&mut waiting.busy, true)
        };
        if is_first {
            let rounds = Rounds { waiting: Arc::clone(&self.0), over: false };
            tokio::task::spawn_blocking(move || rounds.run(&work));
        }
        answer.await.map_err(|_| Error::new(Kind::Internal, "internal error in blocking work"))
    }
}

/// Rounds, until nobody waits. Dropped before (the work panicked, or the runtime ends and never ran it), it lets all
/// go who wait: they get an error, and whoever comes next begins anew.
struct Rounds<J, R> {
    waiting: Arc<Mutex<Waiting<J, R>>>,
    over: bool,
}

impl<J, R> Rounds<J, R> {
    fn run(mut self, work: &impl Fn(Vec<Place<J, R>>)) {
        while let Some(places) = self.next() {
            work(places);
        }
    }

    fn next(&mut self) -> Option<Vec<Place<J, R>>> {
        let mut waiting = locked(&self.waiting);
        waiting.places.retain(|place| !place.reply.is_closed());
        if waiting.places.is_empty() {
            waiting.busy = false;
            self.over = true;
            return None;
        }
        Some(std::mem::take(&mut waiting.places))
    }
}

impl<J, R> Drop for Rounds<J, R> {
    fn drop(&mut self) {
        if !self.over {
            let mut waiting = locked(&self.waiting);
            waiting.busy = false;
            waiting.places.clear();
        }
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

        fn join(&self, job: u32) -> impl Future<Output = Result<u32>> + Send + 'static {
            let (group, rounds, gate) = (Arc::clone(&self.group), Arc::clone(&self.rounds), Arc::clone(&self.gate));
            async move {
                let work = move |places: Vec<Place<u32, u32>>| {
                    rounds.lock().unwrap().push(places.iter().map(|place| place.job).collect());
                    gate.lock().unwrap_or_else(PoisonError::into_inner).recv().unwrap();
                    assert!(places.iter().all(|place| place.job != 666), "made up");
                    for place in places {
                        let job = place.job;
                        place.answer(job * 2);
                    }
                };
                group.join(job, work).await
            }
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
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
        // The only helper is taken, so the round never begins.
        let (release, held) = mpsc::channel::<()>();
        runtime.spawn_blocking(move || {
            let _ = held.recv();
        });
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
