//! When a token stands in the logs of a folder: the first time, and the last time that it was used. Asked before calls,
//! so nothing is read that need not be: from the ends of the logs back, and no line is taken apart that lacks the
//! fingerprint.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use memchr::memmem::Finder;
use serde::Deserialize;

use super::check::logs;
use super::line::LONGEST;
use super::utc;

/// How much is read at a time.
const BLOCK: u64 = 1 << 20;

/// What the log says of itself: no use of anything, and nothing that an anchor has to vouch for.
const OF_ITSELF: [&str; 5] = ["segment", "recover", "device", "checkpoint", "anchor"];

/// What is read of an entry. Entries of other kinds, and of later versions, lack some of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Seen {
    seq: u64,
    time: String,
    phase: String,
    action: String,
    fingerprint: String,
}

/// When a token last went out with a call whose content counts, in seconds since 1970; none where it did not since
/// `not_before`. Blocks.
pub(crate) fn last_use(
    folder: &Path,
    fingerprint: &str,
    not_before: f64,
    counts: impl Fn(&str) -> bool,
) -> Option<f64> {
    let finder = Finder::new(fingerprint);
    let last_of = |segments: Vec<PathBuf>| {
        let mut found = None;
        for path in segments.iter().rev() {
            let mut over = false;
            // What cannot be read is passed over: whether a log is whole is for `verify` to say.
            let _ = backwards(path, |lines| {
                let named = lines.rsplit(|byte| *byte == b'\n').filter(|line| finder.find(line).is_some());
                found = named.filter_map(|line| serde_json::from_slice::<Seen>(line).ok()).find_map(|seen| {
                    let content = seen.action.split(['?', '/', '(']).next().unwrap_or_default();
                    let is_use = seen.phase == "intent" && seen.fingerprint == fingerprint && counts(content);
                    if is_use { utc::seconds(&seen.time) } else { None }
                });
                over = found.is_some() || begin(lines).is_some_and(|begin| begin < not_before);
                !over
            });
            if over {
                break;
            }
        }
        found
    };
    all(folder).filter_map(last_of).reduce(f64::max).filter(|last| *last >= not_before)
}

/// When a token first stands in the logs, in seconds since 1970. Blocks.
pub(crate) fn first_sight(folder: &Path, fingerprint: &str) -> Option<f64> {
    let finder = Finder::new(fingerprint);
    let first = |segments: Vec<PathBuf>| segments.iter().find_map(|path| first_in(path, &finder, fingerprint));
    all(folder).filter_map(first).reduce(f64::min)
}

fn first_in(path: &Path, finder: &Finder<'_>, fingerprint: &str) -> Option<f64> {
    let mut log = BufReader::with_capacity(1 << 16, File::open(path).ok()?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut log).take(LONGEST).read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        if finder.find(&line).is_some() {
            let seen: Seen = serde_json::from_slice(&line).unwrap_or_default();
            if seen.fingerprint == fingerprint && matches!(seen.phase.as_str(), "intent" | "change") {
                return utc::seconds(&seen.time);
            }
        }
    }
}

/// When the first entry behind the entry `seq` was written that is of a call or a change, in seconds since 1970; none
/// where there is none. The segments of one log, in their order. Blocks.
pub(super) fn first_after(segments: &[PathBuf], seq: u64) -> Option<f64> {
    let mut first = None;
    for path in segments.iter().rev() {
        let mut reached = false;
        let _ = backwards(path, |lines| {
            for line in lines.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let Ok(seen) = serde_json::from_slice::<Seen>(line) else { continue };
                if seen.seq <= seq {
                    reached = true;
                    return false;
                }
                if !OF_ITSELF.contains(&seen.phase.as_str()) {
                    first = utc::seconds(&seen.time).or(first);
                }
            }
            true
        });
        if reached {
            break;
        }
    }
    first
}

/// The segments of each log in a folder, in their order. What is no ordinary file is left out: a pipe would make us wait
/// for its other end.
fn all(folder: &Path) -> impl Iterator<Item = Vec<PathBuf>> {
    let is_file = |path: &PathBuf| std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    let found = if folder.is_dir() { logs(&[folder.to_owned()]) } else { Vec::new() };
    found.into_iter().flatten().map(move |log| log.segments.into_values().filter(is_file).collect())
}

/// Hands whole lines over, block by block from the end, until `take` has enough or the beginning is reached.
fn backwards(path: &Path, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut end = file.metadata()?.len();
    let mut rest = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut block = vec![0; usize::try_from(end - start).unwrap_or(usize::MAX)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        block.append(&mut rest);
        end = start;
        let first = if start == 0 { Some(0) } else { memchr::memchr(b'\n', &block).map(|at| at + 1) };
        let Some(first) = first.filter(|_| block.len() as u64 <= LONGEST) else {
            rest = block;
            if rest.len() as u64 > LONGEST {
                return Err(io::ErrorKind::InvalidData.into());
            }
            continue;
        };
        rest = block[..first].to_vec();
        if !take(&block[first..]) {
            break;
        }
    }
    Ok(())
}

/// The time of the first of some lines.
fn begin(lines: &[u8]) -> Option<f64> {
    let line = lines.split(|byte| *byte == b'\n').find(|line| !line.is_empty())?;
    utc::seconds(&serde_json::from_slice::<Seen>(line).ok()?.time)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    const A: &str = "kc1:00000000000000aa";
    const B: &str = "kc1:00000000000000bb";

    fn entry(seq: u64, at: u64, phase: &str, action: &str, print: &str) -> String {
        let time = utc::utc(UNIX_EPOCH + Duration::from_secs(at));
        format!(
            "{{\"v\":1,\"seq\":{seq},\"time\":\"{time}\",\"phase\":\"{phase}\",\"action\":\"{action}\",\"fingerprint\":\"{print}\"}}\n"
        )
    }

    fn write(folder: &Path, name: &str, lines: &[String]) {
        std::fs::write(folder.join(name), lines.concat()).unwrap();
    }

    fn data(content: &str) -> bool {
        content == "record"
    }

    #[test]
    fn the_first_sight_and_the_last_use_are_found_in_all_segments_of_all_logs() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        assert_eq!((first_sight(dir, A), last_use(dir, A, 0.0, data)), (None, None));
        assert_eq!(first_sight(&dir.join("nowhere"), A), None);
        write(
            dir,
            "audit-1@x-000001.jsonl",
            &[
                entry(1, 100, "refused", "record/export", A),
                entry(2, 200, "change", "set_token", A),
                entry(3, 300, "intent", "record/export?fields", A),
                entry(4, 400, "intent", "version", A),
            ],
        );
        write(
            dir,
            "audit-1@x-000002.jsonl",
            &[
                entry(5, 500, "segment", "", ""),
                entry(6, 600, "intent", "version?x", A),
                entry(7, 700, "intent", "record/export(fields)", B),
                "torn".to_owned(),
            ],
        );
        write(
            dir,
            "audit-2@y-000001.jsonl",
            &[entry(1, 150, "intent", "record", A), entry(2, 350, "intent", "project", A)],
        );
        assert_eq!((first_sight(dir, A), first_sight(dir, B)), (Some(150.0), Some(700.0)));
        assert_eq!((last_use(dir, A, 0.0, data), last_use(dir, B, 0.0, data)), (Some(300.0), Some(700.0)));
        assert_eq!(last_use(dir, A, 300.0, data), Some(300.0));
        assert_eq!(last_use(dir, A, 301.0, data), None);
        assert_eq!(last_use(dir, A, 0.0, |_| true), Some(600.0));
        std::fs::create_dir(dir.join("audit-3@z-000001.jsonl")).unwrap();
        assert_eq!(last_use(dir, A, 0.0, data), Some(300.0));
    }

    #[test]
    fn lines_are_whole_wherever_a_block_ends_and_what_is_older_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        // Some megabytes, so that blocks end within lines; one line is longer than a block.
        let long = "x".repeat(usize::try_from(BLOCK).unwrap() * 2);
        let lines: Vec<String> = (1..=9_000)
            .map(|n| match n {
                2 => entry(n, 1_000_000 + n, "intent", "record", A),
                4_000 => entry(n, 1_000_000 + n, "intent", &long, B),
                _ => entry(n, 1_000_000 + n, "intent", &format!("record?{}", "y".repeat(400)), B),
            })
            .collect();
        write(dir, "audit-1@x-000001.jsonl", &lines);
        let path = dir.join("audit-1@x-000001.jsonl");
        let mut seen = Vec::new();
        backwards(&path, |lines| {
            seen.extend(lines.split(|b| *b == b'\n').rev().filter(|l| !l.is_empty()).map(<[u8]>::len));
            true
        })
        .unwrap();
        assert_eq!(seen, lines.iter().rev().map(|line| line.len() - 1).collect::<Vec<_>>());
        assert_eq!(last_use(dir, A, 0.0, data), Some(1_000_002.0));
        assert_eq!(last_use(dir, A, 1_000_003.0, data), None);
        let mut blocks = 0;
        backwards(&path, |_| {
            blocks += 1;
            blocks < 2
        })
        .unwrap();
        assert_eq!(blocks, 2, "the rest is not read");
    }

    #[test]
    fn what_an_anchor_has_not_kept_begins_with_the_first_call_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["audit-1@x-000001.jsonl", "audit-1@x-000002.jsonl"];
        write(
            folder.path(),
            names[0],
            &[
                entry(1, 100, "intent", "record", A),
                entry(2, 200, "checkpoint", "", ""),
                entry(3, 300, "intent", "record", A),
            ],
        );
        write(
            folder.path(),
            names[1],
            &[
                entry(4, 400, "segment", "", ""),
                entry(5, 500, "anchor", "", ""),
                entry(6, 600, "refused", "record", A),
                entry(7, 700, "checkpoint", "", ""),
            ],
        );
        let segments = names.map(|name| folder.path().join(name));
        let after = |seq| first_after(&segments, seq);
        assert_eq!(
            [0, 1, 2, 3, 5, 6, 7].map(after),
            [Some(100.0), Some(300.0), Some(300.0), Some(600.0), Some(600.0), None, None]
        );
    }
}
