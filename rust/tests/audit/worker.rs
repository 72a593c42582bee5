//! Other processes: this test program once more, told by its environment what to do.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use keycap::audit::{Verdict, verify};
use serde_json::{Value, json};

use crate::common::{entries, folder, intact, intent, log, outcome};

const JOB: &str = "KEYCAP_TEST_JOB";
/// What a worker says begins with this; the test harness writes to the same pipe.
const SAYS: &str = "worker: ";

/// A command that runs this program as a worker.
pub(crate) fn worker(job: &Value) -> Command {
    as_worker(Command::new(std::env::current_exe().unwrap()), job)
}

/// A command that ends in this program, for a worker in other circumstances.
pub(crate) fn as_worker(mut command: Command, job: &Value) -> Command {
    command.args(["worker::a_worker_writes_entries", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(JOB, job.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// What a worker says, line by line, as it comes.
pub(crate) fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The harness's `test … ` has no end of line, so a worker's words may follow it.
    lines.map_while(Result::ok).filter_map(|line| line.split_once(SAYS).map(|(_, said)| said.to_owned()))
}

/// The one thing that a worker says before it ends well.
pub(crate) fn answer(command: Command) -> Value {
    let mut command = command;
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said: Vec<String> = lines(&mut child).collect();
    assert!(child.wait().unwrap().success(), "{command:?}");
    assert_eq!(said.len(), 1, "{said:?}");
    serde_json::from_str(&said[0]).unwrap()
}

#[allow(clippy::print_stdout)] // one call a line, so that threads do not mix theirs
fn say(words: &str) {
    let line = format!("{SAYS}{words}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// An error as a worker says it.
pub(crate) fn told(result: keycap::Result<()>) -> Value {
    match result {
        Ok(()) => json!("ok"),
        Err(error) => json!({
            "kind": error.kind.as_str(),
            "message": error.message,
            "hints": error.hints,
            "path": error.fields.iter().find(|(name, _)| name == "path").and_then(|(_, path)| path.as_text()),
            "cause": error.fields.iter().find(|(name, _)| name == "cause").and_then(|(_, cause)| cause.as_text()),
        }),
    }
}

/// As a worker: does the job. Otherwise: sees that a worker does one.
#[test]
fn a_worker_writes_entries() {
    if let Ok(job) = std::env::var(JOB) {
        return work(&serde_json::from_str(&job).unwrap());
    }
    let dir = folder();
    let job = json!({ "job": "append", "dir": dir.path(), "name": "w", "threads": 1, "calls": 2, "batch": 3 });
    let mut child = worker(&job).spawn().unwrap();
    let pid = child.id();
    let acknowledged: Vec<String> = lines(&mut child).collect();
    assert!(child.wait().unwrap().success());
    assert_eq!(acknowledged, ["w 0 0", "w 0 1"]);
    let path = log(dir.path()).path();
    assert_eq!(intact(&path), 12);
    assert!(entries(&path).iter().all(|entry| entry["pid"] == pid));
}

fn work(job: &Value) {
    let dir = PathBuf::from(job["dir"].as_str().unwrap());
    match job["job"].as_str().unwrap() {
        "append" => append(&dir, job),
        "hold" => hold(Path::new(job["lock"].as_str().unwrap())),
        "try" => say(&told(log(&dir).begin(&[intent("call")])).to_string()),
        "fill" => fill(&dir),
        other => panic!("{other}"),
    }
}

/// Calls in batches, each said once its intents are durable.
fn append(dir: &Path, job: &Value) {
    let number = |key: &str| job[key].as_u64().unwrap_or_default();
    let (threads, calls, batch) = (number("threads"), number("calls"), number("batch"));
    let name = job["name"].as_str().unwrap();
    let padding = "x".repeat(usize::try_from(number("padding")).unwrap());
    let padded = |id: &String| {
        let mut intent = intent(id);
        intent.action.push_str(&padding);
        intent
    };
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let padded = &padded;
            scope.spawn(move || {
                let log = log(dir).with_patience(Duration::from_secs(60));
                for call in 0..calls {
                    let ids: Vec<String> = (0..batch).map(|at| format!("{name} {thread} {call} {at}")).collect();
                    log.begin(&ids.iter().map(padded).collect::<Vec<_>>()).unwrap();
                    say(&format!("{name} {thread} {call}"));
                    log.finish(&ids.iter().map(outcome).collect::<Vec<_>>()).unwrap();
                }
                log.sync().unwrap();
            });
        }
    });
}

/// Holds a lock until standard input closes.
fn hold(lock: &Path) {
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(lock).unwrap();
    file.lock().unwrap();
    file.write_all(format!("{} somewhere\n", std::process::id()).as_bytes()).unwrap();
    say("held");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Calls until the log takes no more, and what the log is like then; once more when there is room again.
fn fill(dir: &Path) {
    let log = log(dir);
    let mut acknowledged = 0;
    let error = loop {
        match log.begin(&[intent(format!("call {acknowledged}"))]) {
            Ok(()) => acknowledged += 1,
            Err(error) => break told(Err(error)),
        }
        assert!(acknowledged < 10_000, "it is never full");
    };
    let path = log.path();
    let size = std::fs::metadata(&path).unwrap().len();
    let Verdict::Intact { entries, size: verified, .. } = verify(&path).unwrap() else { panic!("not intact") };
    assert_eq!((entries, verified), (acknowledged, size));
    // A batch that is too large for what is left leaves nothing behind, either.
    let batch: Vec<_> = (0..1000).map(|at| intent(format!("late {at}"))).collect();
    log.begin(&batch).unwrap_err();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
    let ballast = dir.with_file_name("ballast");
    let again = if ballast.exists() {
        std::fs::remove_file(ballast).unwrap();
        told(log.begin(&[intent("again")]))
    } else {
        Value::Null
    };
    say(&json!({ "acknowledged": acknowledged, "error": error, "again": again }).to_string());
}
