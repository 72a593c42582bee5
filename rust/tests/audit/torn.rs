//! Tails that a crash has torn, and damage that no crash explains.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keycap::Kind;
use keycap::audit::{Fault, Setup, Verdict, verify};
use serde_json::Value;

use crate::common::{contents, entries, intact, intent, written};

fn cut(path: &Path, size: u64) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(size).unwrap();
}

fn add(path: &Path, bytes: &[u8]) {
    std::fs::File::options().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// Makes a file as keycap makes its own.
fn put(path: &Path, bytes: &[u8]) {
    let mut options = std::fs::File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.write(true).create_new(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// What a crash leaves: the end of the log, and the files that hold what was kept of it.
type State<'a> = (&'a [u8], &'a [&'a [u8]], usize);

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

fn kept(path: &Path, offset: u64, n: u32) -> PathBuf {
    path.with_extension(format!("torn-{offset}-{n}"))
}

/// The recover entries of a log, each checked against the file that it names.
fn recovered(path: &Path) -> Vec<Value> {
    let all: Vec<_> = entries(path).into_iter().filter(|entry| entry["phase"] == "recover").collect();
    for entry in &all {
        let bytes = std::fs::read(path.with_file_name(entry["kept_as"].as_str().unwrap())).unwrap();
        assert_eq!(entry["bytes"], bytes.len());
        let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let expected = entry["sha256"].as_str().unwrap();
        assert_eq!(expected.len(), 64);
        for (at, byte) in hash.as_ref().iter().enumerate() {
            assert_eq!(expected[2 * at..2 * at + 2], format!("{byte:02x}"));
        }
    }
    all
}

#[test]
fn a_last_line_that_is_torn_at_any_byte_is_kept_described_and_cut() {
    let (dir, log, path) = written(3);
    let whole = std::fs::read(&path).unwrap();
    let end = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for size in end + 1..whole.len() {
        std::fs::write(&path, &whole[..size]).unwrap();
        assert!(matches!(verify(&path).unwrap(), Verdict::Broken { line: 3, fault: Fault::Torn, .. }));
        log.begin(&[intent("next")]).unwrap();
        assert_eq!(intact(&path), 4, "torn at {size}");
        let all = recovered(&path);
        assert_eq!((all.len(), &all[0]["seq"], &all[0]["offset"]), (1, &3.into(), &end.into()));
        assert!(std::fs::read(&path).unwrap().starts_with(&whole[..end]));
        let tail = kept(&path, end as u64, 1);
        assert_eq!(std::fs::read(&tail).unwrap(), &whole[end..size]);
        std::fs::remove_file(tail).unwrap();
    }
    assert_eq!(contents(dir.path()).len(), 1, "the log, and no kept tail that the loop did not see");
}

#[test]
fn a_first_line_that_is_torn_leaves_a_log_that_begins_with_its_recovery() {
    let (_dir, log, path) = written(1);
    cut(&path, 100);
    log.begin(&[intent("next")]).unwrap();
    assert_eq!(intact(&path), 2);
    assert_eq!((&recovered(&path)[0]["offset"], &entries(&path)[1]["call_id"]), (&0.into(), &"next".into()));
}

#[test]
fn tails_of_other_kinds_are_recovered_too() {
    let plenty = "x".repeat(300_000);
    for bytes in ["\0\0\0\0\0\0\0\0", "\n", "{}\n", "no entry\n", "\u{fffd}", &plenty, "{\"v\":1,\"seq\":4}\n"] {
        let (_folder, log, path) = written(3);
        add(&path, bytes.as_bytes());
        log.finish(&[crate::common::outcome("next")]).unwrap();
        assert_eq!(intact(&path), 5);
        assert_eq!(recovered(&path).len(), 1);
        assert_eq!(recovered(&path)[0]["bytes"], bytes.len());
    }
}

#[test]
fn a_crash_at_any_step_of_a_recovery_is_made_good_by_the_next_append() {
    let whole_tail = b"{\"v\":1,\"se";
    let states: [State<'_>; 6] = [
        (whole_tail, &[], 1),
        (whole_tail, &[b""], 2),                    // while it was copied
        (whole_tail, &[b"{\"v\""], 2),              // while it was copied
        (whole_tail, &[whole_tail], 1),             // before it was cut
        (b"", &[whole_tail], 1),                    // before the entry was written
        (b"{\"v\":1,\"seq\":4,", &[whole_tail], 2), // while the entry was written
    ];
    for (tail, files, expected) in states {
        let (_dir, log, path) = written(3);
        let end = size(&path);
        add(&path, tail);
        for (n, bytes) in (1..).zip(files) {
            put(&kept(&path, end, n), bytes);
        }
        log.begin(&[intent("next")]).unwrap();
        let all = recovered(&path);
        assert_eq!(all.len(), expected, "{tail:?} {files:?}");
        assert!(!kept(&path, end, u32::try_from(expected).unwrap() + 1).exists());
        assert_eq!(intact(&path), 4 + expected as u64);
        // And nothing is told twice.
        log.begin(&[intent("after")]).unwrap();
        assert_eq!(recovered(&path).len(), expected);
    }
}

#[test]
fn a_damaged_line_in_the_middle_is_left_alone_and_the_chain_goes_on_behind_it() {
    let (_dir, log, path) = written(3);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let damaged = format!("{}garbage\n{}", lines[0], lines[2]);
    std::fs::write(&path, &damaged).unwrap();
    log.begin(&[intent("next")]).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with(&damaged));
    let last: Value =
        serde_json::from_slice(std::fs::read(&path).unwrap().split(|b| *b == b'\n').nth(3).unwrap()).unwrap();
    assert_eq!((&last["seq"], &last["phase"]), (&4.into(), &"intent".into()));
    assert!(matches!(verify(&path).unwrap(), Verdict::Broken { line: 2, fault: Fault::NotAnEntry, .. }));
}

#[test]
fn damaged_lines_before_a_torn_tail_stay_and_count() {
    let (_dir, log, path) = written(2);
    add(&path, b"garbage\nmore garbage\n{\"v\":1,\"seq\":5,\"pr");
    let before = std::fs::read_to_string(&path).unwrap();
    log.begin(&[intent("next")]).unwrap();
    let after = std::fs::read_to_string(&path).unwrap();
    assert!(after.starts_with(&before[..=before.rfind('\n').unwrap()]));
    let recover: Value = serde_json::from_str(after.lines().nth(4).unwrap()).unwrap();
    assert_eq!((&recover["seq"], &recover["phase"]), (&5.into(), &"recover".into()));
    assert!(matches!(verify(&path).unwrap(), Verdict::Broken { line: 3, fault: Fault::NotAnEntry, .. }));
}

#[test]
fn an_altered_last_line_stays_and_verifying_shows_it() {
    let (_dir, log, path) = written(2);
    let text = std::fs::read_to_string(&path).unwrap().replace("call 2", "call X");
    std::fs::write(&path, &text).unwrap();
    log.begin(&[intent("next")]).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with(&text));
    assert!(matches!(verify(&path).unwrap(), Verdict::Broken { line: 2, fault: Fault::Altered, .. }));
}

#[test]
fn a_file_of_lines_that_are_no_entries_is_never_taken_for_an_empty_log() {
    let newer = "{\"v\":2,\"whatever\":[]}\n";
    let endless = "x".repeat((64 << 20) + 1);
    for (content, cause) in [("a\nb\n", "damaged"), ("a\nb", "damaged"), (newer, "newer"), (&endless, "damaged")] {
        let (dir, log, path) = written(1);
        std::fs::write(&path, content).unwrap();
        let before = contents(dir.path());
        let error = log.begin(&[intent("next")]).unwrap_err();
        assert_eq!(error.kind, Kind::Audit);
        assert_eq!(error.fields[1].1.as_text(), Some(cause));
        assert!(contents(dir.path()) == before);
    }
}

#[test]
fn the_last_line_of_a_long_log_is_found_without_reading_it_all() {
    let (_dir, log, path) = written(1);
    let log = log.with_setup(Arc::new(Setup { segment_bytes: u64::MAX, ..Setup::default() }));
    // A hole of a terabyte in front. Whoever reads it all does not come back.
    let line = std::fs::read(&path).unwrap();
    cut(&path, 1 << 40);
    add(&path, b"\n");
    add(&path, &line);
    log.begin(&[intent("next")]).unwrap();
    let mut file = std::fs::File::open(&path).unwrap();
    file.seek(SeekFrom::Start((1 << 40) + 1 + line.len() as u64)).unwrap();
    let mut last = String::new();
    file.read_to_string(&mut last).unwrap();
    let last: Value = serde_json::from_str(&last).unwrap();
    assert_eq!((&last["seq"], &last["call_id"]), (&2.into(), &"next".into()));
}
