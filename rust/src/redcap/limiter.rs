//! Permits for requests: all processes of one user together stay under a number of requests to one server in
//! any 60 seconds. REDCap bans an address that sends more than 600 a minute until an administrator lifts the
//! ban, so a flood must wait. Bursts pass.
//!
//! One small file a server, in the user's data folder or in a folder that a site's users share: the time of
//! every permit of the last 60 seconds, 8 bytes each (milliseconds since 1970, big-endian), under a side lock.
//!
//! Where all are taken, a permit is booked ahead: its time is when the next one is free, and whoever has it waits until
//! then. So nobody who waits can be overtaken again and again by somebody quicker.

use std::collections::HashMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::digest;

use crate::ctx::{Clock, Ctx};
use crate::error::{Error, Kind, Result};
use crate::file::{self, SideLock, Source};
use crate::group::{self, Group};
use crate::hex::hex;
use crate::net::ServerUrl;

const WINDOW: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(10);
/// The most permits that are taken at one time, those that are booked ahead among them.
const MOST: usize = 8192;
/// No file of permits that keycap wrote is larger: most of it may be out of date.
const CAP: u64 = 8 << 20;

/// Where the calls of one process ask for permits: those who ask at the same time are served with one look into the
/// server's file. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Limits(Arc<Mutex<HashMap<PathBuf, Desk>>>);

/// Those who ask for permits for one server: how many each wants, and how long each has to wait for the last of them.
type Desk = Arc<Group<usize, Result<Duration>>>;
type Place = group::Place<usize, Result<Duration>>;

impl Limits {
    fn desk(&self, path: &Path) -> Desk {
        let mut desks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(desks.entry(path.to_owned()).or_default())
    }
}

/// Waits until `n` requests may go to a server. Loopback is exempt: nobody bans it.
///
/// # Errors
/// `limit`: the folder of the permits cannot be used.
pub(super) async fn reserve(ctx: &Ctx, server: &ServerUrl, n: u32) -> Result<()> {
    if server.is_loopback() {
        return Ok(());
    }
    reserve_at(ctx, &server.origin().to_string(), n).await
}

async fn reserve_at(ctx: &Ctx, origin: &str, n: u32) -> Result<()> {
    let (folder, shared) = match &ctx.settings.limit_folder {
        Some(folder) => (folder.clone(), true),
        None => (ctx.dirs.data.join("limits"), false),
    };
    let limit = ctx.settings.limit as usize;
    let permits = Permits { path: folder.join(file_name(origin)), shared, limit, window: WINDOW };
    let say = |wait: Duration| {
        ctx.log.note(format!(
            "waiting about {} s: {limit} requests went to `{origin}` in the last minute, and REDCap bans an address at 600",
            wait.as_secs() + 1,
        ));
    };
    permits.reserve(&ctx.shared.limits, &ctx.clock, n as usize, say).await
}

/// A name for the file of a server that is legal everywhere.
fn file_name(origin: &str) -> String {
    let hash = digest::digest(&digest::SHA256, origin.as_bytes());
    hex(&hash.as_ref()[..8])
}

#[derive(Clone)]
struct Permits {
    path: PathBuf,
    shared: bool,
    limit: usize,
    window: Duration,
}

impl Permits {
    /// Waits until `n` requests may go. If that takes time, it is said.
    async fn reserve(
        &self,
        limits: &Limits,
        clock: &Arc<dyn Clock>,
        n: usize,
        say: impl FnOnce(Duration),
    ) -> Result<()> {
        let (permits, clock) = (self.clone(), Arc::clone(clock));
        let wait = limits.desk(&self.path).join(n, move |places| permits.serve(clock.as_ref(), places)).await??;
        if !wait.is_zero() {
            say(wait);
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Serves all who ask, in the order in which they came, with one look into the file. Blocks.
    fn serve(&self, clock: &dyn Clock, places: Vec<Place>) {
        match self.take(|| clock.now(), places.iter().map(|place| place.job).sum()) {
            Ok(waits) => {
                let mut waits = waits.into_iter();
                for place in places {
                    let last = waits.by_ref().take(place.job).last();
                    place.answer(Ok(last.unwrap_or_default()));
                }
            }
            Err(error) => {
                for place in places {
                    place.answer(Err(error.clone()));
                }
            }
        }
    }

    /// Takes `n` permits, and says of each how long to wait for it: not at all, or until it is free.
    ///
    /// The clock is read under the lock: whoever waited for it would count the others' later permits as its own.
    fn take(&self, now: impl Fn() -> SystemTime, n: usize) -> Result<Vec<Duration>> {
        self.take_from_file(now, n).map_err(|error| {
            let mut limit =
                Error::new(Kind::Limit, format!("the limiter cannot count this request: {}", error.message))
                    .hint("without the count REDCap might ban this address, so nothing was sent");
            limit.hints.extend(error.hints);
            limit.hint("the setting `limit_folder` names another folder")
        })
    }

    fn take_from_file(&self, now: impl Fn() -> SystemTime, n: usize) -> Result<Vec<Duration>> {
        if let Some(folder) = self.path.parent() {
            if self.shared { shared_folder(folder)? } else { file::make_private_folder(folder)? }
        }
        let _lock = SideLock::take(&self.path.with_extension("lock"), self.shared, PATIENCE)?;
        let now = now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let window = self.window.as_millis() as u64;
        let mut times = read(&self.path)?;
        times.retain(|time| *time > now || now - *time < window);
        times.sort_unstable();
        // So many are never granted: others wrote them.
        times.truncate(MOST);
        for (at, time) in times.iter_mut().enumerate() {
            // So far ahead this one cannot be booked: a clock was set back, or others wrote the file.
            *time = (*time).min(now + (at / self.limit) as u64 * window);
        }
        if times.len() + n > MOST {
            // What is out of date, or nonsense, goes all the same, so that this ends by itself.
            write(&self.path, &times, self.shared)?;
            return Err(too_many(&self.path, times.len(), self.limit));
        }
        let mut waits = Vec::new();
        for _ in 0..n {
            // As many as the limit are in no window: the next one comes a window behind the last but so many.
            let free = match times.len().checked_sub(self.limit) {
                Some(at) => now.max(times[at] + window),
                None => now,
            };
            times.insert(times.partition_point(|time| *time <= free), free);
            waits.push(Duration::from_millis(free - now));
        }
        write(&self.path, &times, self.shared)?;
        Ok(waits)
    }
}

/// The error for a queue that is too long.
fn too_many(path: &Path, taken: usize, limit: usize) -> Error {
    let minutes = taken.div_ceil(limit.max(1));
    Error::new(
        Kind::File,
        format!("{taken} requests to this server went out in the last minute or wait for their turn"),
    )
    .hint(format!("at {limit} requests a minute that takes about {minutes} minutes: try again later"))
    .field("path", path.display().to_string())
}

/// A folder that several users share must be there: made by the first of them, it would be that user's alone.
fn shared_folder(folder: &Path) -> Result<()> {
    let wrong = match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => "is not a folder",
        Err(e) if e.kind() == ErrorKind::NotFound => "does not exist, and keycap does not make it",
        Err(e) => return Err(file::fault(folder, "cannot be used", &e)),
    };
    let quoted = file::Quoted(folder);
    Err(Error::new(Kind::File, format!("the shared folder `{}` {wrong}", folder.display()))
        .hint(format!("make it once for all who share the limit, writable for them: `mkdir -m 1777 {quoted}`"))
        .field("path", folder.display().to_string()))
}

fn read(path: &Path) -> Result<Vec<u64>> {
    let bytes = file::read_small(path, CAP, Source::Shared).map_err(|unfit| {
        let is_large = matches!(unfit, file::Unfit::TooLarge(_));
        let error = unfit.at(path, "cannot be read");
        if is_large { error.hint("remove it: it holds nothing but the times of requests") } else { error }
    })?;
    let bytes = bytes.unwrap_or_default();
    Ok(bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect())
}

/// Written in place: under the lock, and a torn file costs a few seconds of waiting at worst.
fn write(path: &Path, times: &[u64], shared: bool) -> Result<()> {
    let bytes: Vec<u8> = times.iter().flat_map(|time| time.to_be_bytes()).collect();
    let mut file = file::open(path, shared).map_err(|unfit| unfit.at(path, "cannot be written"))?;
    file.set_len(0).and_then(|()| file.write_all(&bytes)).map_err(|e| file::fault(path, "cannot be written", &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn permits(folder: &Path, limit: usize) -> Permits {
        Permits { path: folder.join("x"), shared: false, limit, window: WINDOW }
    }

    /// One permit, or how long to wait for it.
    fn one(permits: &Permits, ms: u64) -> Option<Duration> {
        match permits.take(|| at(ms), 1).unwrap()[..] {
            [Duration::ZERO] => None,
            [wait] => Some(wait),
            _ => panic!("not one"),
        }
    }

    fn at(ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_000_000_000 + ms)
    }

    #[test]
    fn a_burst_passes_and_a_flood_waits_until_the_oldest_permit_is_a_minute_old() {
        let folder = tempfile::tempdir().unwrap();
        let permits = permits(folder.path(), 500);
        for ms in 0..500 {
            assert_eq!(one(&permits, ms), None);
        }
        assert_eq!(one(&permits, 500), Some(Duration::from_millis(59_500)));
        assert_eq!(one(&permits, 59_999), Some(Duration::from_millis(2)));
        assert_eq!(one(&permits, 60_002), None);
        assert_eq!(one(&permits, 60_002), Some(Duration::from_millis(1)));
    }

    #[test]
    fn permits_that_are_booked_ahead_come_in_turn() {
        let folder = tempfile::tempdir().unwrap();
        let permits = permits(folder.path(), 3);
        let take = |ms, n| {
            permits.take(|| at(ms), n).unwrap().iter().map(|wait| ms + wait.as_millis() as u64).collect::<Vec<_>>()
        };
        assert_eq!(take(0, 2), [0, 0]);
        assert_eq!(take(10, 4), [10, 60_000, 60_000, 60_010]);
        // Who asks later, and quicker, comes behind them.
        assert_eq!(take(59_999, 1), [120_000]);
        assert_eq!(take(60_005, 3), [120_000, 120_010, 180_000]);
        // A limit that was lowered counts what is there.
        let lower = Permits { limit: 1, ..permits.clone() };
        assert_eq!(lower.take(|| at(60_005), 1).unwrap(), [Duration::from_millis(180_000 - 60_005) + WINDOW]);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_lock_anybody_out_for_longer_than_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let permits = permits(folder.path(), 1);
        assert_eq!(one(&permits, 10_000_000), None);
        assert_eq!(one(&permits, 0), Some(WINDOW));
    }

    #[test]
    fn a_torn_file_or_nonsense_in_it_is_no_reason_to_fail() {
        let folder = tempfile::tempdir().unwrap();
        let permits = permits(folder.path(), 2);
        std::fs::write(&permits.path, b"1234567890123").unwrap();
        assert!(permits.take(|| at(0), 1).is_ok());
    }

    #[test]
    fn a_long_file_of_old_permits_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let permits = permits(folder.path(), 500);
        let old: Vec<u8> = (0..20_000_u64).flat_map(|ms| (1_000_000_000 + ms).to_be_bytes()).collect();
        std::fs::write(&permits.path, old).unwrap();
        assert_eq!(one(&permits, 100_000), None);
        assert_eq!(read(&permits.path).unwrap().len(), 1);
    }

    #[test]
    fn a_queue_that_is_too_long_is_refused_and_ends_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let permits = permits(folder.path(), 500);
        for _ in 0..MOST / 64 {
            permits.take(|| at(0), 64).unwrap();
        }
        let error = permits.take(|| at(0), 1).unwrap_err();
        assert_eq!(error.kind, Kind::Limit);
        assert!(error.message.contains("8192 requests to this server"), "{}", error.message);
        assert!(error.hints[1].contains("about 17 minutes: try again later"), "{:?}", error.hints);
        // The first 500 are out of date a minute later, and 500 may be booked again.
        assert_eq!(one(&permits, 60_000), Some(Duration::from_secs(16 * 60 - 60)));
        // Nonsense that others wrote, more than is ever granted and far ahead, is worked off at the same pace.
        std::fs::write(&permits.path, u64::MAX.to_be_bytes().repeat(20_000)).unwrap();
        assert_eq!(permits.take(|| at(0), 1).unwrap_err().kind, Kind::Limit);
        assert!(permits.take(|| at(60_000), 1).is_ok());
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_an_error_and_nothing_is_granted() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("file");
        std::fs::write(&in_the_way, "").unwrap();
        let error = permits(&in_the_way, 2).take(|| at(0), 1).unwrap_err();
        assert_eq!(error.kind, Kind::Limit);
    }

    #[test]
    fn a_shared_folder_that_is_missing_is_an_error_and_is_not_made_for_one_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("shared");
        let permits = Permits { shared: true, ..permits(&missing, 2) };
        let error = permits.take(|| at(0), 1).unwrap_err();
        assert_eq!(error.kind, Kind::Limit);
        assert!(error.message.contains("does not exist"), "{}", error.message);
        assert!(error.hints.iter().any(|hint| hint.contains("mkdir -m 1777")), "{:?}", error.hints);
        assert!(!missing.exists());
        std::fs::create_dir(&missing).unwrap();
        assert_eq!(one(&permits, 0), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_a_shared_folder_grants_nothing_and_spares_the_file_that_it_leads_to() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        for planted in ["x", "x.lock"] {
            for hard in [false, true] {
                let folder = tempfile::tempdir().unwrap();
                let victim = folder.path().join("victim");
                std::fs::write(&victim, "precious").unwrap();
                std::fs::set_permissions(&victim, std::fs::Permissions::from_mode(0o600)).unwrap();
                let link = folder.path().join(planted);
                if hard {
                    std::fs::hard_link(&victim, &link).unwrap();
                } else {
                    symlink(&victim, &link).unwrap();
                }
                let permits = Permits { shared: true, ..permits(folder.path(), 2) };
                let error = permits.take(|| at(0), 1).unwrap_err();
                assert_eq!(error.kind, Kind::Limit);
                assert!(error.message.contains(&link.display().to_string()), "{}", error.message);
                assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
                assert_eq!(std::fs::metadata(&victim).unwrap().permissions().mode() & 0o777, 0o600);
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_files_in_a_shared_folder_are_writable_for_all_who_share_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        Permits { shared: true, ..permits(folder.path(), 2) }.take(|| at(0), 1).unwrap();
        for name in ["x", "x.lock"] {
            assert_eq!(std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777, 0o666);
        }
    }

    #[test]
    fn side_by_side_takers_share_one_budget() {
        let folder = tempfile::tempdir().unwrap();
        let granted: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..8)
                .map(|_| {
                    let permits = permits(folder.path(), 100);
                    scope.spawn(move || (0..50).filter(|_| one(&permits, 0).is_none()).count())
                })
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(granted, 100);
    }

    /// Counts the looks into the file: each reads the clock once.
    struct Counting(std::sync::atomic::AtomicUsize);

    impl Clock for Counting {
        fn now(&self) -> SystemTime {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
            at(0)
        }
        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[tokio::test]
    async fn calls_that_ask_at_the_same_time_share_a_look_into_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (permits, limits) = (permits(folder.path(), 500), Limits::default());
        let counting = Arc::new(Counting(0.into()));
        let clock: Arc<dyn Clock> = Arc::clone(&counting) as Arc<dyn Clock>;
        let asking: Vec<_> = (0..100)
            .map(|_| {
                let (permits, limits, clock) = (permits.clone(), limits.clone(), Arc::clone(&clock));
                tokio::spawn(async move { permits.reserve(&limits, &clock, 1, |_| panic!("nobody waits")).await })
            })
            .collect();
        for one in asking {
            one.await.unwrap().unwrap();
        }
        let looks = counting.0.load(std::sync::atomic::Ordering::SeqCst);
        assert!((1..=5).contains(&looks), "{looks} looks for 100 calls");
        assert_eq!(read(&permits.path).unwrap().len(), 100, "each call counts");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_used_refuses_all_who_ask() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("file");
        std::fs::write(&in_the_way, "").unwrap();
        let (permits, limits) = (permits(&in_the_way, 500), Limits::default());
        let clock: Arc<dyn Clock> = Arc::new(Counting(0.into()));
        let asking: Vec<_> = (0..30)
            .map(|_| {
                let (permits, limits, clock) = (permits.clone(), limits.clone(), Arc::clone(&clock));
                tokio::spawn(async move { permits.reserve(&limits, &clock, 1, |_| ()).await })
            })
            .collect();
        for one in asking {
            assert_eq!(one.await.unwrap().unwrap_err().kind, Kind::Limit);
        }
    }

    /// Where a child process of the test below finds the permits.
    const CHILD: &str = "KEYCAP_TEST_PERMITS";
    const CALLS: usize = 120;

    fn one_budget(folder: &Path) -> Permits {
        Permits { limit: 60, window: Duration::from_secs(1), ..permits(folder, 0) }
    }

    /// Makes its calls, 25 side by side, and prints when each got its permit.
    #[allow(clippy::print_stdout)]
    fn call_side_by_side(folder: &Path) {
        let (permits, limits) = (one_budget(folder), Limits::default());
        let clock: Arc<dyn Clock> = Arc::new(crate::ctx::SystemClock::new());
        std::fs::write(folder.join(format!("ready-{}", std::process::id())), "").unwrap();
        while !folder.join("go").exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let calls = (0..CALLS).map(|_| {
            let (permits, limits, clock) = (permits.clone(), limits.clone(), Arc::clone(&clock));
            async move {
                permits.reserve(&limits, &clock, 1, |_| ()).await?;
                println!("\ngranted {}", clock.now().duration_since(UNIX_EPOCH).unwrap().as_millis());
                Ok(())
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let done = runtime.block_on(crate::redcap::side_by_side(calls.collect()));
        assert!(done.iter().all(|(result, _)| result.is_ok()));
    }

    /// Looks over the shoulder of two processes: the file is read, under its lock, so often that no permit is missed.
    #[test]
    fn two_processes_with_many_calls_side_by_side_stay_within_one_budget_and_both_get_on() {
        if let Some(folder) = std::env::var_os(CHILD) {
            return call_side_by_side(Path::new(&folder));
        }
        let folder = tempfile::tempdir().unwrap();
        let permits = one_budget(folder.path());
        let start = || {
            let name = "redcap::limiter::tests::two_processes_with_many_calls_side_by_side_stay_within_one_budget_and_both_get_on";
            std::process::Command::new(std::env::current_exe().unwrap())
                .args([name, "--exact", "--nocapture", "--test-threads=1"])
                .env(CHILD, folder.path())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let mut children = [start(), start()];
        let ready = |child: &std::process::Child| folder.path().join(format!("ready-{}", child.id())).exists();
        while !children.iter().all(ready) {
            assert!(children.iter_mut().all(|child| child.try_wait().unwrap().is_none()));
            std::thread::sleep(Duration::from_millis(5));
        }
        std::fs::write(folder.path().join("go"), "").unwrap();
        let mut seen = std::collections::BTreeMap::<u64, usize>::new();
        loop {
            let ended = children.iter_mut().all(|child| child.try_wait().unwrap().is_some());
            let times = {
                let _lock = SideLock::take(&permits.path.with_extension("lock"), false, PATIENCE).unwrap();
                read(&permits.path).unwrap()
            };
            for time in &times {
                let count = times.iter().filter(|other| *other == time).count();
                seen.entry(*time).and_modify(|most| *most = count.max(*most)).or_insert(count);
            }
            if ended {
                break;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        assert_eq!(seen.values().sum::<usize>(), 2 * CALLS);
        for start in seen.keys() {
            let in_window: usize = seen.range(start..&(start + 1000)).map(|(_, count)| count).sum();
            assert!(in_window <= permits.limit, "{in_window} permits in the second from {start}");
        }
        let granted = children.map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            let said = String::from_utf8(output.stdout).unwrap();
            let mut times: Vec<u64> =
                said.lines().filter_map(|line| line.strip_prefix("granted ")?.parse().ok()).collect();
            times.sort_unstable();
            assert_eq!(times.len(), CALLS);
            times
        });
        for (one, other) in [(&granted[0], &granted[1]), (&granted[1], &granted[0])] {
            let meanwhile = other.iter().filter(|time| *time <= &one[CALLS - 1]).count();
            // A quicker one gets more, but the other has at least the round that it booked at the start.
            assert!(meanwhile >= 20, "when one had all of its {CALLS} calls, the other had {meanwhile}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn in_no_sixty_seconds_are_there_more_than_the_limit(steps in proptest::collection::vec((0..20_000_u64, 1..4_usize), 1..60)) {
            let folder = tempfile::tempdir().unwrap();
            let permits = permits(folder.path(), 7);
            let mut granted: Vec<u64> = Vec::new();
            let mut now = 0;
            for (step, n) in steps {
                now += step;
                let waits = permits.take(|| at(now), n).unwrap();
                granted.extend(waits.iter().map(|wait| now + wait.as_millis() as u64));
            }
            for start in &granted {
                let in_window = granted.iter().filter(|time| (*start..start + 60_000).contains(time)).count();
                prop_assert!(in_window <= 7);
            }
        }
    }
}
