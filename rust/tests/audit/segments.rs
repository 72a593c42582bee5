//! Segments: rolling over by size, closing for filing, and verifying over all of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keycap::audit::{AnchorState, AuditLog, Checked, Fault, Setup, State, check};
use serde_json::Value;

use crate::common::{contents, entries, folder, intent, log, outcome};

/// A log whose segments hold a few entries each.
pub(crate) fn small(dir: &Path, bytes: u64) -> AuditLog {
    log(dir).with_setup(Arc::new(Setup { segment_bytes: bytes, ..Setup::default() }))
}

pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    contents(dir).into_keys().filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect()
}

pub(crate) fn one(dir: &Path, anchors: &[AnchorState]) -> Checked {
    let mut all = check(&[dir.to_owned()], anchors);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn fault(checked: &Checked) -> (u64, u64, &Fault) {
    match &checked.verdict {
        State::Tampered(found) => (found.seq, found.line, &found.fault),
        other => panic!("{other:?}"),
    }
}

/// A log of 30 intents in segments of a few entries.
fn rolled() -> (tempfile::TempDir, AuditLog, Vec<PathBuf>) {
    let dir = folder();
    let log = small(dir.path(), 3000);
    for n in 1..=30 {
        log.begin(&[intent(format!("call {n}"))]).unwrap();
    }
    let files = files(dir.path());
    assert!(files.len() > 3, "{files:?}");
    (dir, log, files)
}

#[test]
fn a_full_segment_is_followed_by_another_that_begins_with_its_name_size_and_last_hash() {
    let (dir, log, files) = rolled();
    for pair in files.windows(2) {
        let (before, after) = (std::fs::read(&pair[0]).unwrap(), entries(&pair[1]));
        assert!(before.len() >= 3000);
        let last = before.split_inclusive(|byte| *byte == b'\n').next_back().unwrap();
        let hash = keycap_sha256(last);
        assert_eq!(after[0]["phase"], "segment");
        assert_eq!(after[0]["reason"], "size");
        assert_eq!(after[0]["after"], pair[0].file_name().unwrap().to_str().unwrap());
        assert_eq!(after[0]["after_size"], before.len());
        assert_eq!((&after[0]["after_hash"], &after[0]["prev"]), (&Value::from(hash.clone()), &Value::from(hash)));
    }
    let all: Vec<Value> = files.iter().flat_map(|file| entries(file)).collect();
    assert!(all.iter().enumerate().all(|(at, entry)| entry["seq"] == at as u64 + 1));
    let checked = one(dir.path(), &[]);
    assert_eq!((checked.first, checked.entries, &checked.verdict), (1, all.len() as u64, &State::Unanchored));
    assert_eq!(checked.open.len(), 30);
    assert_eq!((&log.state().unwrap().unwrap().hash, log.origin()), (&checked.hash, checked.origin.clone()));
    log.finish(&(1..=30).map(|n| outcome(format!("call {n}"))).collect::<Vec<_>>()).unwrap();
    assert!(one(dir.path(), &[]).open.is_empty());
}

fn keycap_sha256(bytes: &[u8]) -> String {
    let mut child = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), bytes).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()[..64].to_owned()
}

#[test]
fn a_crash_while_a_segment_is_begun_loses_nothing() {
    let (dir, log, mut files) = rolled();
    let newest = files.pop().unwrap();
    let first = std::fs::read(&newest).unwrap();
    let first = first.split_inclusive(|byte| *byte == b'\n').next().unwrap();
    for length in [0, 1, first.len() / 2, first.len() - 1] {
        std::fs::write(&newest, &first[..length]).unwrap();
        let seen = one(dir.path(), &[]);
        assert_eq!((&seen.verdict, seen.torn), (&State::Unanchored, length as u64));
        log.begin(&[intent(format!("after {length}"))]).unwrap();
        let begun = entries(&newest);
        let phases: Vec<_> = begun.iter().map(|entry| entry["phase"].as_str().unwrap()).collect();
        // What an earlier round of this test kept at the same place is told again.
        assert_eq!((phases[0], *phases.last().unwrap()), ("segment", "intent"));
        assert_eq!(phases.contains(&"recover"), length > 0, "{phases:?}");
        assert_eq!(one(dir.path(), &[]).verdict, State::Unanchored);
    }
}

#[test]
fn a_segment_that_is_missing_emptied_or_exchanged_is_found() {
    let (dir, log, files) = rolled();
    let keep: Vec<_> = files.iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect();
    let restore = || keep.iter().for_each(|(file, bytes)| std::fs::write(file, bytes).unwrap());
    std::fs::remove_file(&files[1]).unwrap();
    assert_eq!(fault(&one(dir.path(), &[])).2, &Fault::Segment);
    restore();
    std::fs::write(&files[1], "").unwrap();
    assert_eq!(fault(&one(dir.path(), &[])).2, &Fault::Segment);
    restore();
    std::fs::write(&files[1], &keep[2].1).unwrap();
    assert!(matches!(one(dir.path(), &[]).verdict, State::Tampered(_)));
    restore();
    // A line that was put behind a closed segment has the right place in the chain, and not in the file.
    let mut longer = keep[0].1.clone();
    longer.extend_from_slice(b"x");
    std::fs::write(&files[0], longer).unwrap();
    assert_eq!(fault(&one(dir.path(), &[])).2, &Fault::NotAnEntry);
    restore();
    assert_eq!(one(dir.path(), &[]).verdict, State::Unanchored);
    // An empty one behind one that is missing is not written to.
    let newest = files.last().unwrap();
    std::fs::write(newest, "").unwrap();
    std::fs::remove_file(&files[files.len() - 2]).unwrap();
    let error = log.begin(&[intent("next")]).unwrap_err();
    assert_eq!(error.fields[1].1.as_text(), Some("damaged"));
}

#[test]
fn segments_that_are_filed_elsewhere_leave_a_log_that_is_verified_from_where_it_begins() {
    let (dir, log, files) = rolled();
    let whole = one(dir.path(), &[]);
    let first = one_file(&files[0]);
    assert_eq!(first.first, 1);
    std::fs::remove_file(&files[0]).unwrap();
    let anchor = |entries, hash: &str| AnchorState { origin: log.origin(), entries, hash: hash.to_owned() };
    let rest = one(dir.path(), &[anchor(first.entries, &first.hash)]);
    assert_eq!((rest.first, rest.entries, rest.anchored), (first.entries + 1, whole.entries, first.entries));
    assert_eq!(rest.verdict, State::Unanchored);
    let other = one(dir.path(), &[anchor(first.entries, &whole.hash)]);
    assert_eq!(fault(&other).2, &Fault::Anchor);
    log.begin(&[intent("next")]).unwrap();
}

fn one_file(path: &Path) -> Checked {
    check(&[path.to_owned()], &[]).remove(0)
}

#[test]
fn archiving_closes_a_segment_once_and_says_what_to_file() {
    let dir = folder();
    let log = log(dir.path());
    assert_eq!(log.archive().unwrap(), None);
    assert_eq!(log.state().unwrap(), None);
    log.begin(&[intent("a"), intent("b")]).unwrap();
    let before = log.path();
    let closed = log.archive().unwrap().unwrap();
    assert_eq!((&closed.path, closed.entries, &closed.next), (&before, 2, &log.path()));
    assert_eq!(closed.size, std::fs::metadata(&before).unwrap().len());
    assert_eq!(one_file(&before).hash, closed.hash);
    assert_eq!(entries(&closed.next)[0]["reason"], "archive");
    assert_eq!(log.archive().unwrap(), None);
    log.begin(&[intent("c")]).unwrap();
    assert_eq!(log.archive().unwrap().unwrap().entries, 4);
    assert_eq!(one(dir.path(), &[]).entries, 5);
}

/// One bit of each byte; every bit of a longer log is `make audit`.
#[test]
fn a_flipped_bit_in_any_segment_is_found() {
    let dir = folder();
    let log = small(dir.path(), 600);
    log.begin(&[intent("a")]).unwrap();
    log.finish(&[outcome("a")]).unwrap();
    log.begin(&[intent("b")]).unwrap();
    let before = one(dir.path(), &[]);
    assert_eq!((before.segments.len(), &before.verdict, before.torn), (2, &State::Unanchored, 0));
    for path in &before.segments {
        let good = std::fs::read(path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(path, &bad).unwrap();
            let seen = one(dir.path(), &[]);
            assert!(seen.verdict != State::Unanchored || seen.torn > 0, "byte {at} of {}", path.display());
        }
        std::fs::write(path, &good).unwrap();
    }
    assert_eq!(one(dir.path(), &[]), before);
}

/// What an attacker with the user's account and time does to a log of 20 calls, and what a checkpoint that is kept
/// elsewhere says of it. The forger computes checks and hashes anew, as keycap itself does.
#[test]
fn twelve_attacks_are_found_with_a_checkpoint_and_without_one_as_the_documentation_says() {
    let (dir, path, state) = forged_world();
    let good = std::fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
    let of = |keep: &dyn Fn(usize) -> bool| {
        lines.iter().enumerate().filter(|(at, _)| keep(*at)).flat_map(|(_, line)| line.to_vec()).collect::<Vec<u8>>()
    };
    let rewrite = |name: &str, calls: usize| {
        let other = folder();
        let log = log(other.path());
        (1..=calls).for_each(|n| log.begin(&[intent(format!("{name} {n}"))]).unwrap());
        std::fs::read(log.path()).unwrap()
    };
    let edited = String::from_utf8(good.clone()).unwrap();
    // From a line on everything is written anew, as keycap writes: what stands before is kept.
    let rechained = |keep: usize, name: &str, calls: usize| {
        let other = folder();
        let log = log(other.path());
        std::fs::write(log.path(), of(&|at| at < keep)).unwrap();
        mode(&log.path());
        (1..=calls).for_each(|n| log.begin(&[intent(format!("{name} {n}"))]).unwrap());
        std::fs::read(log.path()).unwrap()
    };
    let attacks: Vec<(&str, Vec<u8>, bool)> = vec![
        // name, the file afterwards, found without a checkpoint
        ("edit", edited.replacen("call 7", "call X", 1).into_bytes(), true),
        ("delete", of(&|at| at != 6), true),
        ("cut tail", of(&|at| at < 12), false),
        ("edit last line", rechained(19, "forged", 1), false),
        ("delete and re-chain", rechained(6, "call", 14), false),
        ("roll back", of(&|at| at < 5), false),
        ("empty", Vec::new(), false),
        ("swap", rewrite("other", 20), false),
        ("replay", [good.clone(), lines[3].to_vec()].concat(), true),
        ("fork", rechained(10, "fork", 12), false),
        ("insert", [of(&|at| at < 8), lines[2].to_vec(), of(&|at| at >= 8)].concat(), true),
        // Sealed again with today's key: a signature of now vouches for nothing that was kept before.
        ("re-seal", rechained(0, "sealed", 25), false),
    ];
    assert_eq!(attacks.len(), 12);
    for (name, bytes, alone) in &attacks {
        std::fs::write(&path, bytes).unwrap();
        let with = one(dir.path(), std::slice::from_ref(&state));
        assert!(matches!(with.verdict, State::Tampered(_)), "{name}: {with:?}");
        let without = one(dir.path(), &[]);
        assert_eq!(matches!(without.verdict, State::Tampered(_)), *alone, "{name}: {without:?}");
    }
    std::fs::remove_file(&path).unwrap();
    let gone = one(dir.path(), std::slice::from_ref(&state));
    assert_eq!(fault(&gone).2, &Fault::Short(20));
    std::fs::write(&path, &good).unwrap();
    let back = one(dir.path(), std::slice::from_ref(&state));
    assert_eq!((&back.verdict, back.anchored), (&State::Anchored, 20));
}

fn mode(path: &Path) {
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    #[cfg(not(unix))]
    let _ = path;
}

fn forged_world() -> (tempfile::TempDir, PathBuf, AnchorState) {
    let dir = folder();
    let log = log(dir.path());
    (1..=20).for_each(|n| log.begin(&[intent(format!("call {n}"))]).unwrap());
    let state = log.state().unwrap().unwrap();
    assert_eq!(state.entries, 20);
    (dir, log.path(), state)
}

#[test]
fn what_cannot_be_read_is_unreadable_and_neither_intact_nor_tampered() {
    let dir = folder();
    let missing = dir.path().join("nowhere");
    assert!(matches!(check(&[missing], &[])[0].verdict, State::Unreadable(_)));
    assert!(check(&[dir.path().to_owned()], &[]).is_empty());
    let log = log(dir.path());
    log.begin(&[intent("a")]).unwrap();
    let text = std::fs::read_to_string(log.path()).unwrap().replace("\"v\":1", "\"v\":2");
    std::fs::write(log.path(), text).unwrap();
    assert!(matches!(one(dir.path(), &[]).verdict, State::Unreadable(_)));
}
