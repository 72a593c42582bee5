//! Several processes and threads at once.

use std::collections::HashMap;

use serde_json::json;

use crate::common::{entries, folder, intact, log};
use crate::worker::{lines, worker};

#[test]
fn nothing_that_processes_and_threads_append_at_once_is_lost_doubled_or_interleaved() {
    const PROCESSES: u64 = 4;
    const THREADS: u64 = 2;
    const CALLS: u64 = 40;
    let temp = folder();
    // The folder is missing, so that they race for making it, too.
    let dir = temp.path().join("data").join("keycap");
    let children: Vec<_> = (0..PROCESSES)
        .map(|process| {
            let name = format!("p{process}");
            let batch = 1 + process % 2;
            worker(&json!({
                "job": "append", "dir": dir, "name": name, "threads": THREADS, "calls": CALLS, "batch": batch,
            }))
            .spawn()
            .unwrap()
        })
        .collect();
    for mut child in children {
        assert_eq!(lines(&mut child).count() as u64, THREADS * CALLS);
        assert!(child.wait().unwrap().success());
    }
    let path = log(&dir).path();
    let calls = THREADS * CALLS * (PROCESSES / 2) * 3;
    assert_eq!(intact(&path), 2 * calls);
    let mut phases: HashMap<String, Vec<String>> = HashMap::new();
    for entry in entries(&path) {
        let text = |key: &str| entry[key].as_str().unwrap().to_owned();
        phases.entry(text("call_id")).or_default().push(text("phase"));
    }
    assert_eq!(phases.len() as u64, calls);
    assert!(phases.values().all(|phases| phases == &["intent", "outcome"]));
}
