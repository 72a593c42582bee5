//! The log as the calls of one process share it: entries that wait at the same time are written together, with one
//! lock, one write, and one wait for the disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::AuditLog;
use super::device::{Devices, Written};
use super::entry::{Body, Change, Entry, Intent, Outcome};
use super::file::without_trailing_slash;
use super::setup::Setup;
use crate::ctx::Clock;
use crate::error::{Error, Kind, Result};
use crate::group::{self, Group};

/// The audit logs of one process, by folder. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct SharedLogs(Arc<Mutex<HashMap<PathBuf, SharedLog>>>, Arc<Mutex<Latest>>);

/// What the newest operation said of the log. A log that exists already is kept so from then on, too.
#[derive(Default)]
struct Latest {
    setup: Arc<Setup>,
    /// The folder that has the second device and the site's rights; a sandbox writes nowhere else.
    main: PathBuf,
}

impl SharedLogs {
    /// The log in a folder; nothing is opened before the first entry.
    pub(crate) fn at(&self, dir: &Path, clock: &Arc<dyn Clock>) -> SharedLog {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = || Arc::clone(&self.1);
        logs.entry(dir.to_owned())
            .or_insert_with(|| SharedLog::new(AuditLog::new(dir, Arc::clone(clock)), latest()))
            .clone()
    }

    /// How the log in `main` is kept, and what makes the calls from now on.
    pub(crate) fn keep(&self, main: &Path, setup: Setup) {
        *self.1.lock().unwrap_or_else(PoisonError::into_inner) =
            Latest { setup: Arc::new(setup), main: without_trailing_slash(main) };
    }

    /// Waits until everything that is to be written was written, `until` at most. False if something was not. Blocks.
    pub(crate) fn settled(&self, until: Instant) -> bool {
        let logs: Vec<_> = self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        loop {
            if logs.iter().all(|log| log.0.group.is_idle()) {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The log of one folder. Its methods wait without blocking the thread. Clones share the wait.
#[derive(Clone)]
pub(crate) struct SharedLog(Arc<Shared>);

struct Shared {
    devices: Devices,
    latest: Arc<Mutex<Latest>>,
    group: Group<Job, Reply>,
    /// Whether something was written since the log was last made durable.
    unsynced: AtomicBool,
    #[cfg(test)]
    on_sync: Mutex<Option<Hook>>,
}

/// What a test does where the log waits for the disk.
#[cfg(test)]
type Hook = Box<dyn Fn() -> Result<()> + Send>;

/// What one call wants of the log.
enum Job {
    Begin(Intent),
    Finish(Outcome),
    Note(Entry),
    Sync,
}

/// What came of a job; of an intent, its call.
type Reply = Result<Option<OpenCall>>;

type Place = group::Place<Job, Reply>;

impl Job {
    fn body(&self) -> Option<Body<'_>> {
        match self {
            Self::Begin(intent) => Some(Body::Intent(intent)),
            Self::Finish(outcome) => Some(Body::Outcome(outcome)),
            Self::Note(entry) => Some(Body::from(entry)),
            Self::Sync => None,
        }
    }

    /// Whether its entry has to survive a power cut before the caller goes on.
    fn is_durable(&self) -> bool {
        !matches!(self, Self::Finish(_))
    }
}

impl SharedLog {
    fn new(log: AuditLog, latest: Arc<Mutex<Latest>>) -> Self {
        Self(Arc::new(Shared {
            devices: Devices::new(log),
            latest,
            group: Group::default(),
            unsynced: AtomicBool::new(false),
            #[cfg(test)]
            on_sync: Mutex::default(),
        }))
    }

    /// Writes an intent, durably: when this returns, it survives a power cut. Its outcome is written by the call that
    /// this gives, also where it is given up while the intent is written, or right after.
    ///
    /// # Errors
    /// `audit`: the log cannot take the entry; the call must not be made.
    pub(crate) async fn begin(&self, intent: Intent) -> Result<OpenCall> {
        let call = self.join(Job::Begin(intent)).await?;
        call.ok_or_else(|| Error::new(Kind::Internal, "an intent without its call"))
    }

    /// Writes an entry of a change that is about to be made, durably. Its outcome is written as that of a call.
    ///
    /// # Errors
    /// `audit`: the log cannot take the entry; the change must not be made.
    pub(crate) async fn change(&self, change: Change) -> Result<OpenCall> {
        let call = self.join(Job::Note(Entry::Change(change))).await?;
        call.ok_or_else(|| Error::new(Kind::Internal, "an entry of a change without its call"))
    }

    /// Writes an entry that is not a call, durably.
    ///
    /// # Errors
    /// `audit`. A refusal stands all the same.
    pub(crate) async fn note(&self, entry: Entry) -> Result<()> {
        self.join(Job::Note(entry)).await.map(drop)
    }

    /// Makes what was written durable: the end of an operation. Where that is done already, there is nothing to do.
    ///
    /// # Errors
    /// `audit`.
    pub(crate) async fn sync(&self) -> Result<()> {
        self.join(Job::Sync).await.map(drop)
    }

    /// What the person should be warned of: a device that was lost. Each is told once.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.0.devices.warnings()
    }

    /// The log itself, whose methods block.
    #[cfg(test)]
    pub(crate) fn blocking(&self) -> &AuditLog {
        self.0.devices.first()
    }

    async fn join(&self, job: Job) -> Reply {
        self.0.group.join(job, self.round()).await?
    }

    fn round(&self) -> impl Fn(Vec<Place>) + Send + 'static {
        let log = self.clone();
        move |places| log.write(places)
    }

    /// One batch: all of its entries in the order in which they came, then one wait for the disk if one of them has
    /// to be durable. Blocks.
    fn write(&self, places: Vec<Place>) {
        let shared = &self.0;
        let bodies: Vec<_> = places.iter().filter_map(|place| place.job.body()).collect();
        let written = match shared.devices.append(&bodies, &shared.setup()) {
            Ok(written) => written,
            Err(error) => {
                drop(bodies);
                for place in places {
                    place.answer(Err(error.clone()));
                }
                return;
            }
        };
        drop(bodies);
        if written.is_some() {
            shared.unsynced.store(true, Ordering::SeqCst);
        }
        let (durable, others): (Vec<_>, Vec<_>) = places.into_iter().partition(|place| place.job.is_durable());
        let mut unheard = false;
        for place in others {
            // Where the operation was given up, nobody asks for the outcome to be durable later.
            unheard |= !place.answer(Ok(None));
        }
        if durable.is_empty() && !unheard {
            return;
        }
        let synced = shared.sync(written.as_ref());
        for place in durable {
            let call_id = match &place.job {
                Job::Begin(intent) => Some(intent.call_id.clone()),
                Job::Note(Entry::Change(change)) => Some(change.call_id.clone()),
                _ => None,
            };
            // A call that nobody takes, now or later, writes its outcome.
            place.answer(synced.clone().map(|()| call_id.map(|call_id| OpenCall::new(self, call_id))));
        }
    }
}

/// A call between its intent and its outcome. Dropped without one (the user interrupted), it says so.
pub(crate) struct OpenCall {
    log: Option<SharedLog>,
    pub(crate) outcome: Outcome,
}

impl OpenCall {
    fn new(log: &SharedLog, call_id: String) -> Self {
        let class = Kind::Interrupted.as_str().to_owned();
        Self { log: Some(log.clone()), outcome: Outcome { call_id, class, ..Outcome::default() } }
    }

    /// Writes the outcome, also where its caller gives up waiting. It becomes durable with the next intent or with
    /// [`SharedLog::sync`]; at once if nobody waits.
    ///
    /// # Errors
    /// `audit`.
    pub(crate) async fn finish(mut self) -> Result<()> {
        let Some(log) = self.log.take() else { return Ok(()) };
        let outcome = std::mem::take(&mut self.outcome);
        log.0.group.carry_through(Job::Finish(outcome), log.round()).await?.map(drop)
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if let Some(log) = self.log.take() {
            // Nobody is left to be told; the intent stands either way. Many calls may be dropped at once, on the thread
            // that serves all operations: it does not wait for the disk.
            log.0.group.leave(Job::Finish(std::mem::take(&mut self.outcome)), log.round());
        }
    }
}

impl Shared {
    /// How this log is kept, by the newest word on it.
    fn setup(&self) -> Arc<Setup> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.main == self.devices.first().dir {
            return Arc::clone(&latest.setup);
        }
        Arc::new(Setup { program: latest.setup.program.clone(), ..Setup::default() })
    }

    fn sync(&self, written: Option<&Written>) -> Result<()> {
        if written.is_none() && !self.unsynced.load(Ordering::SeqCst) {
            return Ok(());
        }
        #[cfg(test)]
        if let Some(on_sync) = &*self.on_sync.lock().unwrap_or_else(PoisonError::into_inner) {
            on_sync()?;
        }
        written.map_or_else(|| self.devices.sync_all(&self.setup()), |written| self.devices.sync(written))?;
        self.unsynced.store(false, Ordering::SeqCst);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::audit::{Refused, Verdict, verify};
    use crate::ctx::SystemClock;
    use std::sync::atomic::AtomicUsize;

    /// A log in a folder, of which each wait for the disk is counted and takes 10 ms.
    struct World {
        folder: tempfile::TempDir,
        log: SharedLog,
        syncs: Arc<AtomicUsize>,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
            let log = SharedLogs::default().at(&folder.path().join("audit"), &clock);
            let world = Self { folder, log, syncs: Arc::default() };
            let syncs = Arc::clone(&world.syncs);
            world.on_sync(move || {
                syncs.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(10));
                Ok(())
            });
            world
        }

        fn on_sync(&self, hook: impl Fn() -> Result<()> + Send + 'static) {
            *self.log.0.on_sync.lock().unwrap() = Some(Box::new(hook));
        }

        fn syncs(&self) -> usize {
            self.syncs.swap(0, Ordering::SeqCst)
        }

        /// Waits for what was left behind.
        async fn settle(&self) {
            for _ in 0..2000 {
                if self.log.0.group.is_idle() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            panic!("never settled");
        }

        /// The calls that have an outcome, with its class.
        fn classes(&self) -> Vec<(String, String)> {
            let text = std::fs::read_to_string(self.log.blocking().path()).unwrap();
            let entries = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let outcomes = entries.filter(|entry| entry["phase"] == "outcome");
            outcomes.map(|entry| (text(&entry["call_id"]), text(&entry["class"]))).collect()
        }

        /// The entries, in a log that is intact: phase and call id.
        fn entries(&self) -> Vec<(String, String)> {
            let path = self.log.blocking().path();
            assert!(matches!(verify(&path).unwrap(), Verdict::Intact { .. }));
            let text = std::fs::read_to_string(path).unwrap();
            let entries = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            entries.map(|entry| (text(&entry["phase"]), text(&entry["call_id"]))).collect()
        }
    }

    fn intent(n: usize) -> Intent {
        Intent { call_id: n.to_string(), ..Intent::default() }
    }

    impl OpenCall {
        async fn well(mut self) {
            "ok".clone_into(&mut self.outcome.class);
            self.finish().await.unwrap();
        }
    }

    /// A call as the pipeline makes it: its intent is on disk before it goes on, its outcome comes later.
    async fn call(log: SharedLog, path: PathBuf, n: usize) {
        let open = log.begin(intent(n)).await.unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&format!("\"phase\":\"intent\",\"call_id\":\"{n}\"")), "{n}: sent before its intent");
        tokio::time::sleep(Duration::from_millis(5)).await;
        open.well().await;
    }

    #[tokio::test]
    async fn intents_that_wait_at_the_same_time_cost_a_few_waits_for_the_disk_and_not_one_each() {
        let world = World::new();
        let path = world.log.blocking().path();
        let calls: Vec<_> = (0..100).map(|n| tokio::spawn(call(world.log.clone(), path.clone(), n))).collect();
        for call in calls {
            call.await.unwrap();
        }
        // A first round with whoever came first, and one with all the others; a third where the machine is busy.
        assert!((1..=5).contains(&world.syncs()), "100 intents");
        let entries = world.entries();
        assert_eq!(entries.len(), 200);
        for n in 0..100 {
            let at = |phase: &str| entries.iter().position(|(p, id)| p == phase && *id == n.to_string()).unwrap();
            assert!(at("intent") < at("outcome"), "{n}");
        }
    }

    #[tokio::test]
    async fn the_end_of_an_operation_waits_for_the_disk_only_if_something_is_not_durable_yet() {
        let world = World::new();
        world.log.sync().await.unwrap();
        assert_eq!(world.syncs(), 0);
        let open = world.log.begin(intent(1)).await.unwrap();
        world.log.sync().await.unwrap();
        assert_eq!(world.syncs(), 1);
        open.well().await;
        assert_eq!(world.syncs(), 0);
        world.log.sync().await.unwrap();
        world.log.sync().await.unwrap();
        assert_eq!(world.syncs(), 1);
        let refused = Refused {
            action: "version".to_owned(),
            project: None,
            origin: None,
            token_name: None,
            source: None,
            fingerprint: None,
            reason: Kind::Policy,
        };
        world.log.note(Entry::Refused(refused)).await.unwrap();
        assert_eq!(world.syncs(), 1);
    }

    #[tokio::test]
    async fn an_outcome_does_not_wait_for_the_disk_with_the_intents_of_its_batch() {
        let world = World::new();
        let (reached, mut in_sync) = tokio::sync::mpsc::unbounded_channel();
        let (release, held) = std::sync::mpsc::channel::<()>();
        world.on_sync(move || {
            reached.send(()).unwrap();
            held.recv().map_err(|_| Error::new(Kind::Internal, "the test has ended"))
        });
        let other = |job: Job| {
            let log = world.log.clone();
            tokio::spawn(async move { log.join(job).await })
        };
        let first = other(Job::Begin(intent(1)));
        in_sync.recv().await.unwrap();
        // Both wait for the round that is under way, and are in the next one together.
        let (second, done) = (
            other(Job::Begin(intent(2))),
            other(Job::Finish(Outcome { call_id: "9".to_owned(), ..Outcome::default() })),
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
        release.send(()).unwrap();
        in_sync.recv().await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), done).await.unwrap().unwrap().unwrap();
        assert!(!second.is_finished());
        release.send(()).unwrap();
        let calls = [first.await.unwrap().unwrap(), second.await.unwrap().unwrap()];
        let order: Vec<_> = world.entries().into_iter().map(|(_, id)| id).collect();
        assert_eq!(order, ["1", "2", "9"]);
        drop(calls);
        for _ in 0..2 {
            let _ = release.send(());
        }
        world.settle().await;
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_takes_no_entry_of_another_with_it() {
        let world = World::new();
        let calls: Vec<_> = (0..60)
            .map(|n| {
                let log = world.log.clone();
                tokio::spawn(async move { (n, log.begin(intent(n)).await.unwrap()) })
            })
            .collect();
        // All of them wait now; every third gives up.
        tokio::time::sleep(Duration::from_millis(3)).await;
        for call in calls.iter().step_by(3) {
            call.abort();
        }
        let mut went_on = Vec::new();
        for call in calls {
            went_on.extend(call.await);
        }
        assert!(went_on.len() >= 40);
        // What a round had written of those who gave up says `interrupted` in the next one.
        world.settle().await;
        let (went_on, open): (Vec<usize>, Vec<OpenCall>) = went_on.into_iter().unzip();
        let entries = world.entries();
        let ids = |phase: &str| -> std::collections::BTreeSet<usize> {
            entries.iter().filter(|(p, _)| p == phase).map(|(_, id)| id.parse().unwrap()).collect()
        };
        let (intents, outcomes) = (ids("intent"), ids("outcome"));
        assert!(went_on.iter().all(|n| intents.contains(n)));
        let unheard: std::collections::BTreeSet<_> = intents.iter().filter(|n| !went_on.contains(n)).copied().collect();
        assert_eq!(outcomes, unheard, "an intent whose call was given up has its outcome, and no other has one");
        for call in open {
            call.well().await;
        }
    }

    /// The log is held by another process while calls are given up.
    fn held(world: &World) -> super::super::Lock {
        let log = world.log.blocking();
        super::super::Lock::acquire(&log.files().lock(), Duration::from_secs(5), log.who()).unwrap()
    }

    #[tokio::test]
    async fn outcomes_that_wait_for_a_busy_log_are_written_though_their_calls_are_given_up() {
        let world = World::new();
        let mut open = Vec::new();
        for n in 0..5 {
            open.push(world.log.begin(intent(n)).await.unwrap());
        }
        world.syncs();
        let held = held(&world);
        let mut finishing = Vec::new();
        for call in open {
            finishing.push(tokio::spawn(call.well()));
            // The first one's round is under way; the others wait for the next one.
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        for call in &finishing {
            call.abort();
        }
        for call in finishing {
            assert!(call.await.unwrap_err().is_cancelled());
        }
        assert!(!world.log.0.group.is_idle());
        drop(held);
        world.settle().await;
        let mut classes = world.classes();
        classes.sort();
        assert_eq!(classes, (0..5).map(|n| (n.to_string(), "ok".to_owned())).collect::<Vec<_>>());
        assert!(world.syncs() > 0, "nobody asks for it later");
        assert!(!world.log.0.unsynced.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn an_intent_whose_reply_nobody_takes_gets_its_outcome() {
        let world = World::new();
        // The reply is there, and the one who asked is gone before it looks.
        let mut begin = Box::pin(world.log.begin(intent(1)));
        assert!(futures_poll(&mut begin).is_pending());
        world.settle().await;
        assert_eq!(world.entries(), [("intent".to_owned(), "1".to_owned())]);
        drop(begin);
        world.settle().await;
        assert_eq!(world.classes(), [("1".to_owned(), "interrupted".to_owned())]);
        assert!(!world.log.0.unsynced.load(Ordering::SeqCst), "it is durable");
        // It is gone while the disk is waited for.
        let (reached, mut in_sync) = tokio::sync::mpsc::unbounded_channel();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let syncs = Arc::clone(&world.syncs);
        world.on_sync(move || {
            syncs.fetch_add(1, Ordering::SeqCst);
            let _ = reached.send(());
            held.recv().map_err(|_| Error::new(Kind::Internal, "the test has ended"))
        });
        world.syncs();
        let begin = tokio::spawn({
            let log = world.log.clone();
            async move { log.begin(intent(2)).await.map(drop) }
        });
        in_sync.recv().await.unwrap();
        begin.abort();
        assert!(begin.await.unwrap_err().is_cancelled());
        release.send(()).unwrap();
        release.send(()).unwrap();
        world.settle().await;
        assert_eq!(world.classes()[1], ("2".to_owned(), "interrupted".to_owned()));
        assert_eq!((world.syncs(), world.log.0.unsynced.load(Ordering::SeqCst)), (2, false), "it is durable");
    }

    /// Polls once.
    fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
        std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn calls_that_are_dropped_hold_nobody_and_are_waited_for_at_the_end() {
        let world = World::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let open: Vec<_> = (0..25).map(|n| runtime.block_on(world.log.begin(intent(n))).unwrap()).collect();
        let logs = SharedLogs::default();
        logs.0.lock().unwrap().insert(PathBuf::new(), world.log.clone());
        let held = held(&world);
        let begin = Instant::now();
        // As at a shutdown: there is no runtime any more.
        drop(runtime);
        drop(open);
        assert!(begin.elapsed() < Duration::from_secs(2), "dropping took {:?}", begin.elapsed());
        assert!(!logs.settled(Instant::now() + Duration::from_millis(20)));
        drop(held);
        assert!(logs.settled(Instant::now() + Duration::from_secs(20)));
        assert_eq!(world.classes().len(), 25);
        assert!(!world.log.0.unsynced.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_log_that_takes_nothing_refuses_all_of_a_batch_and_the_next_batch_is_tried_anew() {
        let world = World::new();
        let dir = world.folder.path().join("audit");
        std::fs::write(&dir, "in the way").unwrap();
        let begin = |n| {
            let log = world.log.clone();
            tokio::spawn(async move { log.begin(intent(n)).await.map(drop) })
        };
        let calls: Vec<_> = (0..30).map(begin).collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap_err().kind, Kind::Audit);
        }
        std::fs::remove_file(&dir).unwrap();
        // A disk that does not take it durably refuses too, though the lines stand.
        world.on_sync(|| Err(Error::new(Kind::Audit, "the disk is gone")));
        let calls: Vec<_> = (0..30).map(begin).collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap_err().message, "the disk is gone");
        }
        world.on_sync(|| Ok(()));
        begin(99).await.unwrap().unwrap();
        world.settle().await;
        assert_eq!(world.entries().last().unwrap().1, "99");
    }

    #[tokio::test]
    async fn two_writers_of_one_folder_as_two_processes_have_them_keep_one_chain() {
        let world = World::new();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let other = SharedLogs::default().at(&world.folder.path().join("audit"), &clock);
        let path = world.log.blocking().path();
        let calls: Vec<_> = (0..80)
            .map(|n| {
                let log = if n % 2 == 0 { world.log.clone() } else { other.clone() };
                tokio::spawn(call(log, path.clone(), n))
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(world.entries().len(), 160);
    }
}
