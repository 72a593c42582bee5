//! The log as the calls of one process share it: entries that wait at the same time are written together, with one
//! lock, one write, and one wait for the disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::AuditLog;
use super::entry::{Body, Entry, Intent, Outcome};
use crate::ctx::Clock;
use crate::error::{Kind, Result};
use crate::group::{self, Group};

/// The audit logs of one process, by folder. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct SharedLogs(Arc<Mutex<HashMap<PathBuf, SharedLog>>>);

impl SharedLogs {
    /// The log in a folder; nothing is opened before the first entry.
    pub(crate) fn at(&self, dir: &Path, clock: &Arc<dyn Clock>) -> SharedLog {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logs.entry(dir.to_owned()).or_insert_with(|| SharedLog::new(AuditLog::new(dir, Arc::clone(clock)))).clone()
    }
}

/// The log of one folder. Its methods wait without blocking the thread. Clones share the wait.
#[derive(Clone)]
pub(crate) struct SharedLog(Arc<Shared>);

struct Shared {
    log: AuditLog,
    group: Group<Job, Result<()>>,
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

type Place = group::Place<Job, Result<()>>;

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
    fn new(log: AuditLog) -> Self {
        Self(Arc::new(Shared {
            log,
            group: Group::default(),
            unsynced: AtomicBool::new(false),
            #[cfg(test)]
            on_sync: Mutex::default(),
        }))
    }

    /// Writes an intent, durably: when this returns, it survives a power cut. Given up by its caller while it is
    /// written, it gets the outcome `interrupted`.
    ///
    /// # Errors
    /// `audit`: the log cannot take the entry; the call must not be made.
    pub(crate) async fn begin(&self, intent: Intent) -> Result<()> {
        self.join(Job::Begin(intent)).await
    }

    /// Writes an outcome. It becomes durable with the next intent or with [`SharedLog::sync`].
    ///
    /// # Errors
    /// `audit`.
    pub(crate) async fn finish(&self, outcome: Outcome) -> Result<()> {
        self.join(Job::Finish(outcome)).await
    }

    /// Writes an entry that is not a call, durably.
    ///
    /// # Errors
    /// `audit`. A refusal stands all the same.
    pub(crate) async fn note(&self, entry: Entry) -> Result<()> {
        self.join(Job::Note(entry)).await
    }

    /// Makes what was written durable: the end of an operation. Where that is done already, there is nothing to do.
    ///
    /// # Errors
    /// `audit`.
    pub(crate) async fn sync(&self) -> Result<()> {
        self.join(Job::Sync).await
    }

    /// The log itself, whose methods block.
    pub(crate) fn blocking(&self) -> &AuditLog {
        &self.0.log
    }

    async fn join(&self, job: Job) -> Result<()> {
        let shared = Arc::clone(&self.0);
        self.0.group.join(job, move |places| shared.write(places)).await?
    }
}

impl Shared {
    /// One batch: all of its entries in the order in which they came, then one wait for the disk if one of them has
    /// to be durable. Blocks.
    fn write(&self, places: Vec<Place>) {
        let bodies: Vec<_> = places.iter().filter_map(|place| place.job.body()).collect();
        let segment = match self.log.append(&bodies) {
            Ok(segment) => segment,
            Err(error) => {
                drop(bodies);
                for place in places {
                    place.answer(Err(error.clone()));
                }
                return;
            }
        };
        drop(bodies);
        if segment.is_some() {
            self.unsynced.store(true, Ordering::SeqCst);
        }
        let (durable, others): (Vec<_>, Vec<_>) = places.into_iter().partition(|place| place.job.is_durable());
        for place in others {
            place.answer(Ok(()));
        }
        if durable.is_empty() {
            return;
        }
        let synced = self.sync(segment.as_ref());
        let mut unheard = Vec::new();
        for place in durable {
            let call_id = match &place.job {
                Job::Begin(intent) if synced.is_ok() => Some(intent.call_id.clone()),
                _ => None,
            };
            if !place.answer(synced.clone())
                && let Some(call_id) = call_id
            {
                let class = Kind::Interrupted.as_str().to_owned();
                unheard.push(Outcome { call_id, class, ..Outcome::default() });
            }
        }
        // Nobody is left to be told; the intents stand either way.
        let _ = self.log.finish(&unheard);
    }

    fn sync(&self, segment: Option<&super::Segment>) -> Result<()> {
        if segment.is_none() && !self.unsynced.load(Ordering::SeqCst) {
            return Ok(());
        }
        #[cfg(test)]
        if let Some(on_sync) = &*self.on_sync.lock().unwrap_or_else(PoisonError::into_inner) {
            on_sync()?;
        }
        segment.map_or_else(|| self.log.sync(), super::Segment::sync)?;
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
    use crate::error::Error;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

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

    fn outcome(n: usize) -> Outcome {
        Outcome { call_id: n.to_string(), class: "ok".to_owned(), ..Outcome::default() }
    }

    /// A call as the pipeline makes it: its intent is on disk before it goes on, its outcome comes later.
    async fn call(log: SharedLog, path: PathBuf, n: usize) {
        log.begin(intent(n)).await.unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&format!("\"phase\":\"intent\",\"call_id\":\"{n}\"")), "{n}: sent before its intent");
        tokio::time::sleep(Duration::from_millis(5)).await;
        log.finish(outcome(n)).await.unwrap();
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
        world.log.begin(intent(1)).await.unwrap();
        world.log.sync().await.unwrap();
        assert_eq!(world.syncs(), 1);
        world.log.finish(outcome(1)).await.unwrap();
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
        let (second, done) = (other(Job::Begin(intent(2))), other(Job::Finish(outcome(9))));
        tokio::time::sleep(Duration::from_millis(20)).await;
        release.send(()).unwrap();
        in_sync.recv().await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), done).await.unwrap().unwrap().unwrap();
        assert!(!second.is_finished());
        release.send(()).unwrap();
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        let order: Vec<_> = world.entries().into_iter().map(|(_, id)| id).collect();
        assert_eq!(order, ["1", "2", "9"]);
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_takes_no_entry_of_another_with_it() {
        let world = World::new();
        let calls: Vec<_> = (0..60)
            .map(|n| {
                let log = world.log.clone();
                tokio::spawn(async move {
                    log.begin(intent(n)).await.unwrap();
                    n
                })
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
        // A round that was under way when they gave up writes `interrupted` behind itself.
        world.log.sync().await.unwrap();
        let entries = world.entries();
        let ids = |phase: &str| -> std::collections::BTreeSet<usize> {
            entries.iter().filter(|(p, _)| p == phase).map(|(_, id)| id.parse().unwrap()).collect()
        };
        let (intents, outcomes) = (ids("intent"), ids("outcome"));
        assert!(went_on.iter().all(|n| intents.contains(n)));
        let unheard: std::collections::BTreeSet<_> = intents.iter().filter(|n| !went_on.contains(n)).copied().collect();
        assert_eq!(outcomes, unheard, "an intent whose call was given up has its outcome, and no other has one");
    }

    #[tokio::test]
    async fn a_log_that_takes_nothing_refuses_all_of_a_batch_and_the_next_batch_is_tried_anew() {
        let world = World::new();
        let dir = world.folder.path().join("audit");
        std::fs::write(&dir, "in the way").unwrap();
        let begin = |n| {
            let log = world.log.clone();
            tokio::spawn(async move { log.begin(intent(n)).await })
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
