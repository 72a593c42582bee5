//! Processes that are killed while they write.

use std::collections::HashMap;
use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

use keycap::audit::State;
use serde_json::json;

use crate::common::{entries, folder, intent, log};
use crate::segments::{files, one};
use crate::worker::{lines, worker};

/// `KEYCAP_AUDIT_KILLS=400 cargo test --test audit kill` is the long run.
#[test]
fn a_kill_at_any_moment_loses_no_acknowledged_entry_and_leaves_a_log_that_verifies() {
    let rounds: u64 = std::env::var("KEYCAP_AUDIT_KILLS").map_or(40, |rounds| rounds.parse().unwrap());
    let dir = folder();
    let log = log(dir.path());
    let batch = 40;
    let mut acknowledged = Vec::new();
    // Enough kills must strike a write, or the run proves nothing: 1 in 20, else it goes on for a while. (A tail
    // that is torn at each byte in turn is another test, which leaves nothing to chance.)
    let torn = || std::fs::read_dir(dir.path()).unwrap().filter(|item| is_torn(item.as_ref().unwrap())).count() as u64;
    let mut round = 0;
    while round < rounds || (torn() < rounds / 20 && round < 10 * rounds) {
        let job = json!({
            "job": "append", "dir": dir.path(), "name": format!("r{round}"), "threads": 2, "calls": 1_000_000,
            "batch": batch, "padding": 25_000, // so that a write takes a while
        });
        let mut child = worker(&job).spawn().unwrap();
        let said = lines(&mut child);
        let (first, started) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            for line in said {
                all.push(line);
                let _ = first.send(());
            }
            all
        });
        started.recv_timeout(Duration::from_secs(60)).unwrap();
        std::thread::sleep(Duration::from_micros(round * 7919 % 20_000));
        if round % 2 == 1 {
            // The moment when the log grows is the moment of a write.
            let path = log.path();
            let size = || std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            let before = size();
            while size() == before {
                assert!(child.try_wait().unwrap().is_none(), "the worker gave up");
                if log.path() != path {
                    break; // it goes on in another segment
                }
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(reader.join().unwrap());
        round += 1;
    }
    // The last round's tail may be torn.
    log.begin(&[intent("end")]).unwrap();
    let segments = files(dir.path());
    let all: Vec<_> = segments.iter().flat_map(|path| entries(path)).collect();
    let checked = one(dir.path(), &[]);
    assert_eq!((checked.verdict, checked.entries, checked.torn), (State::Unanchored, all.len() as u64, 0));
    let mut intents: HashMap<&str, u64> = HashMap::new();
    let mut recovered = 0;
    for entry in &all {
        match entry["phase"].as_str().unwrap() {
            "intent" => *intents.entry(entry["call_id"].as_str().unwrap()).or_default() += 1,
            "recover" => {
                recovered += 1;
                let kept = std::fs::read(dir.path().join(entry["kept_as"].as_str().unwrap())).unwrap();
                assert_eq!(entry["bytes"], kept.len());
            }
            _ => {}
        }
    }
    assert!(acknowledged.len() as u64 >= rounds);
    for call in &acknowledged {
        for at in 0..batch {
            assert_eq!(intents.get(format!("{call} {at}").as_str()), Some(&1), "{call} {at}");
        }
    }
    assert_eq!(torn(), recovered, "each torn tail has its entry");
    assert!(recovered >= rounds / 20, "{recovered} torn tails in {round} rounds");
    let calls = acknowledged.len() * batch;
    let words = format!("{round} kills, {calls} acknowledged calls lost none, {recovered} torn tails\n");
    std::io::stderr().write_all(words.as_bytes()).unwrap();
}

fn is_torn(item: &std::fs::DirEntry) -> bool {
    item.file_name().to_str().unwrap().contains(".torn-")
}
