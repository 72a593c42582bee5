//! Permits for requests: all processes of one user together stay under a number of requests to one server in
//! any 60 seconds. REDCap bans an address that sends more than 600 a minute until an administrator lifts the
//! ban, so a flood must wait. Bursts pass.
//!
//! One small file a server, in the user's data folder or in a folder that a site's users share: the time of
//! every permit of the last 60 seconds, 8 bytes each (milliseconds since 1970, big-endian), under a side lock.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::digest;

use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::file::{self, SideLock, Source};
use crate::hex::hex;
use crate::net::ServerUrl;
use crate::net::io::blocking;

const WINDOW: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(10);
/// A file of permits is no larger: it holds at most 600, of 8 bytes each.
const CAP: u64 = 64 << 10;

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
    let permits = Permits { path: folder.join(file_name(origin)), shared, limit: ctx.settings.limit as usize };
    let mut left = n as usize;
    let mut told = false;
    while left > 0 {
        let ask = left.min(permits.limit);
        let (permits, clock) = (permits.clone(), Arc::clone(&ctx.clock));
        match blocking(move || permits.take(|| clock.now(), ask)).await? {
            None => left -= ask,
            Some(wait) => {
                if !told {
                    told = true;
                    ctx.log.note(format!(
                        "waiting about {} s: {} requests went to `{origin}` in the last minute, and REDCap bans an address at 600",
                        wait.as_secs() + 1,
                        ctx.settings.limit
                    ));
                }
                tokio::time::sleep(wait).await;
            }
        }
    }
    Ok(())
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
}

impl Permits {
    /// Takes `n` permits at once (`n` is at most the limit), or says how long to wait before asking again.
    ///
    /// The clock is read under the lock: whoever waited for it would count the others' later permits as its own.
    fn take(&self, now: impl Fn() -> SystemTime, n: usize) -> Result<Option<Duration>> {
        self.take_from_file(now, n).map_err(|error| {
            let mut limit =
                Error::new(Kind::Limit, format!("the limiter cannot count this request: {}", error.message))
                    .hint("without the count REDCap might ban this address, so nothing was sent");
            limit.hints.extend(error.hints);
            limit.hint("the setting `limit_folder` names another folder")
        })
    }

    fn take_from_file(&self, now: impl Fn() -> SystemTime, n: usize) -> Result<Option<Duration>> {
        if let Some(folder) = self.path.parent() {
            if self.shared { shared_folder(folder)? } else { file::make_private_folder(folder)? }
        }
        let _lock = SideLock::take(&self.path.with_extension("lock"), self.shared, PATIENCE)?;
        let now = now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let window = WINDOW.as_millis() as u64;
        let mut times = read(&self.path)?;
        // A time ahead of now is a clock that was set back, or a file that others wrote: it counts as now.
        for time in &mut times {
            *time = (*time).min(now);
        }
        times.retain(|time| now - *time < window);
        times.sort_unstable();
        let free = self.limit.saturating_sub(times.len());
        if n <= free {
            times.extend(std::iter::repeat_n(now, n));
            write(&self.path, &times, self.shared)?;
            return Ok(None);
        }
        let frees = times[n - free - 1] + window;
        Ok(Some(Duration::from_millis((frees - now).max(1))))
    }
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
    let bytes = file::read_small(path, CAP, Source::Shared).map_err(|unfit| unfit.at(path, "cannot be read"))?;
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
        Permits { path: folder.join("x"), shared: false, limit }
    }

    fn at(ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_000_000_000 + ms)
    }

    #[test]
    fn a_burst_passes_and_a_flood_waits_until_the_oldest_permit_is_a_minute_old() {
        let folder = tempfile::tempdir().unwrap();
        let permits = permits(folder.path(), 500);
        for ms in 0..500 {
            assert_eq!(permits.take(|| at(ms), 1).unwrap(), None);
        }
        assert_eq!(permits.take(|| at(500), 1).unwrap(), Some(Duration::from_millis(59_500)));
        assert_eq!(permits.take(|| at(59_999), 1).unwrap(), Some(Duration::from_millis(1)));
        assert_eq!(permits.take(|| at(60_000), 1).unwrap(), None);
        assert_eq!(permits.take(|| at(60_000), 3).unwrap(), Some(Duration::from_millis(3)));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_lock_anybody_out_for_longer_than_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let permits = permits(folder.path(), 1);
        assert_eq!(permits.take(|| at(10_000_000), 1).unwrap(), None);
        assert_eq!(permits.take(|| at(0), 1).unwrap(), Some(WINDOW));
    }

    #[test]
    fn a_torn_file_or_nonsense_in_it_is_no_reason_to_fail() {
        let folder = tempfile::tempdir().unwrap();
        let permits = permits(folder.path(), 2);
        std::fs::write(&permits.path, b"1234567890123").unwrap();
        assert!(permits.take(|| at(0), 1).is_ok());
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
        assert_eq!(permits.take(|| at(0), 1).unwrap(), None);
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
                    scope.spawn(move || (0..50).filter(|_| permits.take(|| at(0), 1).unwrap().is_none()).count())
                })
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(granted, 100);
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
                if permits.take(|| at(now), n).unwrap().is_none() {
                    granted.extend(std::iter::repeat_n(now, n));
                }
            }
            for start in &granted {
                let in_window = granted.iter().filter(|time| (*start..start + 60_000).contains(time)).count();
                prop_assert!(in_window <= 7);
            }
        }
    }
}
