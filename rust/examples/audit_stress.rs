//! What the audit log withstands: `cargo run --release --example audit_stress PART FOLDER`. Each part says what it
//! found in one row of a table, and fails where the figure does not hold. `tests/audit/run.sh` runs them all.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keycap::audit::{AuditLog, Checked, Intent, Outcome, Setup, State, check};
use keycap::ctx::SystemClock;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn log(dir: &Path) -> AuditLog {
    AuditLog::new(dir, Arc::new(SystemClock::new())).with_patience(Duration::from_secs(120))
}

/// A log whose segments have this many bytes.
fn in_segments(dir: &Path, bytes: u64) -> AuditLog {
    log(dir).with_setup(Arc::new(Setup { segment_bytes: bytes, ..Setup::default() }))
}

fn intent(call_id: &str) -> Intent {
    Intent {
        call_id: call_id.to_owned(),
        action: "record/export?format&returnFormat&type&fields[0-3]".into(),
        project: "TEST".into(),
        origin: "https://redcap.example.org".into(),
        token_name: "REDCapSync_TEST".into(),
        source: "keyring".into(),
        fingerprint: "kc1:0011223344556677".into(),
        ..Intent::default()
    }
}

fn outcome(call_id: &str) -> Outcome {
    Outcome { call_id: call_id.to_owned(), status: Some(200), class: "ok".into(), bytes: 17, ..Outcome::default() }
}

fn main() -> Done {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["worker", dir, name, count, batch, padding] => {
            worker(Path::new(dir), name, count.parse()?, batch.parse()?, padding.parse()?)
        }
        ["once", dir, id, bytes] => once(Path::new(dir), id, bytes.parse()?),
        ["processes", dir] => processes(Path::new(dir)),
        ["rate", dir] => rate(Path::new(dir)),
        ["kill", dir, rounds] => kill(Path::new(dir), rounds.parse()?),
        ["faults", dir] => faults(Path::new(dir)),
        ["flips", dir] => flips(Path::new(dir)),
        ["clean", dir, logs] => clean(Path::new(dir), logs.parse()?),
        ["long", dir] => long(Path::new(dir)),
        _ => Err("which part, and in which folder?".into()),
    }
}

fn row(what: &str, found: &str, holds: bool) -> Done {
    writeln!(std::io::stdout(), "| {what} | {found} | {} |", if holds { "holds" } else { "**does not hold**" })?;
    if holds { Ok(()) } else { Err(format!("{what}: {found}").into()) }
}

/// The one log in a folder.
fn verdict(dir: &Path) -> Done<Checked> {
    let mut all = check(&[dir.to_owned()], &[]);
    if all.len() == 1 { Ok(all.remove(0)) } else { Err(format!("{} logs in {}", all.len(), dir.display()).into()) }
}

fn is_good(checked: &Checked) -> bool {
    checked.verdict == State::Unanchored && checked.torn == 0
}

/// How often each call id stands in an intent.
fn intents(dir: &Path) -> Done<HashMap<String, u32>> {
    let mut all = HashMap::new();
    for path in verdict(dir)?.segments {
        for line in BufReader::new(std::fs::File::open(path)?).split(b'\n') {
            let entry: serde_json::Value = serde_json::from_slice(&line?)?;
            if entry["phase"] == "intent" {
                *all.entry(entry["call_id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
            }
        }
    }
    Ok(all)
}

fn own(args: &[&str]) -> Done<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(args);
    Ok(command)
}

/// Durable batches of intents; each is said once it is acknowledged.
fn worker(dir: &Path, name: &str, count: u32, batch: u32, padding: usize) -> Done {
    let log = log(dir);
    let mut out = std::io::stdout();
    let padding = "x".repeat(padding);
    for call in 0..count {
        let ids: Vec<String> = (0..batch).map(|at| format!("{name}-{call}-{at}")).collect();
        let padded = |id: &String| Intent { action: format!("record/import?{padding}"), ..intent(id) };
        log.begin(&ids.iter().map(padded).collect::<Vec<_>>())?;
        writeln!(out, "{name}-{call}")?;
    }
    Ok(())
}

fn processes(dir: &Path) -> Done {
    const EACH: u32 = 10_000;
    let start = Instant::now();
    let dir_text = dir.display().to_string();
    let mut children: Vec<Child> = Vec::new();
    for process in 0..8 {
        let mut command = own(&["worker", &dir_text, &format!("p{process}"), &EACH.to_string(), "1", "0"])?;
        children.push(command.stdout(Stdio::null()).spawn()?);
    }
    for mut child in children {
        if !child.wait()?.success() {
            return Err("a worker failed".into());
        }
    }
    let rate = f64::from(8 * EACH) / start.elapsed().as_secs_f64();
    let (checked, intents) = (verdict(dir)?, intents(dir)?);
    let doubled = intents.values().filter(|count| **count != 1).count();
    let lost = (8 * EACH) as usize - intents.len();
    let found = format!(
        "{lost} lost, {doubled} doubled, {} interleaved ({} entries in {} segments, {rate:.0} a second)",
        u8::from(!is_good(&checked)),
        checked.entries,
        checked.segments.len()
    );
    row("8 processes × 10,000 durable appends", &found, lost == 0 && doubled == 0 && is_good(&checked))
}

fn rate(dir: &Path) -> Done {
    let log = log(dir);
    // The disk's own measure, which others' work on this machine changes.
    std::fs::create_dir_all(dir.with_extension("disk"))?;
    let mut plain = std::fs::File::create_new(dir.with_extension("disk").join("plain"))?;
    let start = Instant::now();
    for _ in 0..1000 {
        plain.write_all(&[b'x'; 750])?;
        plain.sync_data()?;
    }
    let disk = 1000.0 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    for call in 0..3000 {
        let id = call.to_string();
        log.begin(&[intent(&id)])?;
        log.finish(&[outcome(&id)])?;
    }
    let rate = 3000.0 / start.elapsed().as_secs_f64();
    row(
        "durable appends a second, one process (at least 300)",
        &format!("{rate:.0}, each with an outcome behind it; the disk alone {disk:.0} writes"),
        rate >= 300.0 && is_good(&verdict(dir)?),
    )
}

/// Whether a log's newest file ends within a line.
fn is_torn(dir: &Path) -> bool {
    verdict(dir).is_ok_and(|checked| checked.torn > 0)
}

fn kill(dir: &Path, rounds: u32) -> Done {
    let dir_text = dir.display().to_string();
    let mut acknowledged: Vec<String> = Vec::new();
    let (mut torn, mut bad) = (0, 0);
    for round in 0..rounds {
        // Long batches take a while to write, so that the kill strikes one; every fourth round has short ones.
        let (batch, padding) = if round % 4 == 0 { ("1", "0") } else { ("10", "60000") };
        let mut command = own(&["worker", &dir_text, &format!("r{round}"), "1000000", batch, padding])?;
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let said = child.stdout.take().ok_or("no pipe")?;
        let mut said = BufReader::new(said).lines().map_while(Result::ok);
        let Some(first) = said.next() else { return Err("a worker said nothing".into()) };
        let reader = std::thread::spawn(move || said.collect::<Vec<_>>());
        std::thread::sleep(Duration::from_micros(u64::from(round) * 7919 % 15_000));
        if round % 2 == 1 {
            // The moment when the log grows is the moment of a write.
            let path = log(dir).path();
            let size = || std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            let before = size();
            while size() == before && log(dir).path() == path {}
        }
        child.kill()?;
        child.wait()?;
        acknowledged.push(first);
        acknowledged.extend(reader.join().map_err(|_| "the reader failed")?);
        if is_torn(dir) {
            torn += 1;
        }
        let checked = verdict(dir)?;
        bad += u32::from(checked.verdict != State::Unanchored);
        // What was said so far is looked for now, and the log filed away, or the whole would not fit on the disk.
        if round % 20 == 19 || round + 1 == rounds {
            log(dir).begin(&[intent("end")])?;
            let there: HashSet<String> = intents(dir)?.into_keys().collect();
            let wanted = std::mem::take(&mut acknowledged);
            let lost = wanted.iter().filter(|id| !there.contains(&format!("{id}-0"))).count();
            if lost > 0 || !is_good(&verdict(dir)?) {
                return row("`kill -9`", &format!("{lost} acknowledged entries lost in round {round}"), false);
            }
            KILLED.fetch_add(wanted.len(), std::sync::atomic::Ordering::SeqCst);
            std::fs::remove_dir_all(dir)?;
        }
    }
    let count = KILLED.load(std::sync::atomic::Ordering::SeqCst);
    let found = format!("0 of {count} acknowledged batches lost, {bad} logs that do not verify, {torn} torn tails");
    row(&format!("{rounds} rounds of `kill -9` (at least 20 torn tails)"), &found, bad == 0 && torn >= rounds / 20)
}

static KILLED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// One intent that names a record; then, as the pipeline does, the word that the request is sent.
fn once(dir: &Path, id: &str, bytes: u64) -> Done {
    let log = in_segments(dir, bytes).with_patience(Duration::from_secs(2));
    log.begin(&[Intent { record_ids: vec!["17".into()], ..intent(id) }])?;
    std::io::stdout().write_all(b"sent")?;
    Ok(())
}

/// A log as a fault may find it: none yet, one with entries, one with a torn tail, one whose next entry begins a segment.
const SCENES: [&str; 4] = ["none", "some", "torn", "full"];

fn scene(name: &str, dir: &Path) -> Done<u64> {
    let log = log(dir);
    if name != "none" {
        log.begin(&[intent("a"), intent("b")])?;
    }
    if name == "torn" {
        std::fs::OpenOptions::new().append(true).open(log.path())?.write_all(b"{\"v\":1,\"seq\":3,\"pr")?;
    }
    Ok(if name == "full" { 100 } else { 1 << 30 })
}

/// System calls of the write path, and what each may answer. A write that is short is a limit on the file's size: the
/// kernel then really writes a part.
const CALLS: [&str; 13] = [
    "openat",
    "statx",
    "newfstatat",
    "fstat",
    "lstat",
    "flock",
    "lseek",
    "read",
    "write",
    "fdatasync",
    "fsync",
    "ftruncate",
    "mkdir",
];
const MORE: [&str; 3] = ["getdents64", "statfs", "fchmod"];
/// Those without which the run would prove nothing.
const ESSENTIAL: [&str; 6] = ["openat", "flock", "read", "write", "fdatasync", "ftruncate"];
const FAULTS: [&str; 4] = ["error=EIO", "error=ENOSPC", "error=EINTR", "signal=KILL"];

fn faults(root: &Path) -> Done {
    let (mut runs, mut struck, mut sent_without, mut unverifiable, mut refused) = (0, 0, 0, 0, 0);
    let mut bad = Vec::new();
    let mut kinds: HashSet<&str> = HashSet::new();
    std::fs::create_dir_all(root)?;
    let trace = root.join("trace");
    let mut judge = |dir: &Path, what: &str, sent: bool, bytes: u64| -> Done {
        let there = || intents(dir).is_ok_and(|all| all.contains_key("x"));
        // The next entry makes good what a crash left.
        in_segments(dir, bytes).begin(&[intent("after")])?;
        let good = verdict(dir).is_ok_and(|checked| is_good(&checked));
        unverifiable += u32::from(!good);
        sent_without += u32::from(sent && !there());
        refused += u32::from(!sent);
        if !good || (sent && !there()) {
            bad.push(what.to_owned());
        }
        Ok(())
    };
    for name in SCENES {
        for call in CALLS.iter().chain(&MORE) {
            for fault in FAULTS {
                for when in 1..=40 {
                    let dir = root.join(format!("{runs}"));
                    let bytes = scene(name, &dir)?;
                    let mut command = Command::new("strace");
                    command.args(["-f", "-qq", "-o"]).arg(&trace);
                    // Only what is done with the log's folder and files: the loader opens others.
                    for path in paths(&dir) {
                        command.arg("-P").arg(path);
                    }
                    command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:{fault}:when={when}")]);
                    command.arg(std::env::current_exe()?).arg("once").arg(&dir).args(["x", &bytes.to_string()]);
                    let output = command.output()?;
                    runs += 1;
                    let text = String::from_utf8_lossy(&std::fs::read(&trace)?).into_owned();
                    let was_struck = text.contains("(INJECTED)") || text.contains("killed by SIGKILL");
                    let last = !was_struck;
                    if was_struck {
                        struck += 1;
                        kinds.insert(*call);
                        judge(
                            &dir,
                            &format!("{name}: {call} {fault} {when}"),
                            output.stdout.ends_with(b"sent"),
                            bytes,
                        )?;
                    } else if !output.stdout.ends_with(b"sent") {
                        return Err(
                            format!("{name}: without a fault: {}", String::from_utf8_lossy(&output.stderr)).into()
                        );
                    }
                    let _ = std::fs::remove_dir_all(&dir);
                    if last {
                        break;
                    }
                }
            }
        }
    }
    // Short writes, of 1 byte more each time.
    for name in SCENES {
        for limit in (0..2200).step_by(97) {
            let dir = root.join(format!("short-{name}-{limit}"));
            let bytes = scene(name, &dir)?;
            let mut command = Command::new("prlimit");
            command.arg(format!("--fsize={limit}")).arg("sh").args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
            command.arg(std::env::current_exe()?).arg("once").arg(&dir).args(["x", &bytes.to_string()]);
            let output = command.output()?;
            struck += 1;
            judge(&dir, &format!("{name}: short write at {limit}"), output.stdout.ends_with(b"sent"), bytes)?;
            std::fs::remove_dir_all(&dir)?;
        }
    }
    let found = format!(
        "{struck} faults struck in {} system calls, {refused} calls refused, {sent_without} sent without an intent, {unverifiable} logs \
         that do not verify{}",
        kinds.len(),
        if bad.is_empty() { String::new() } else { format!("; {}", bad.join("; ")) }
    );
    row(
        "every system call of the write path × {EIO, ENOSPC, EINTR, KILL, short write}",
        &found,
        struck > 200 && ESSENTIAL.iter().all(|call| kinds.contains(call)) && sent_without == 0 && unverifiable == 0,
    )
}

/// The folder, and the files that are or will be in it.
fn paths(dir: &Path) -> Vec<PathBuf> {
    let origin = log(dir).origin();
    let names = ["-000001.jsonl", "-000002.jsonl", ".lock", ".key", "-000001.torn-0-1"];
    let mut all: Vec<PathBuf> = names.iter().map(|end| dir.join(format!("{origin}{end}"))).collect();
    if let Ok(metadata) = std::fs::metadata(&all[0]) {
        // Where the torn tail of the scene will go: it is 18 bytes long.
        all.push(dir.join(format!("{origin}-000001.torn-{}-1", metadata.len().saturating_sub(18))));
    }
    all.push(dir.to_owned());
    all.extend(dir.parent().map(Path::to_owned));
    all
}

fn flips(dir: &Path) -> Done {
    let log = in_segments(dir, 2500);
    for call in 0..6 {
        log.begin(&[intent(&call.to_string())])?;
        log.finish(&[outcome(&call.to_string())])?;
    }
    let before = verdict(dir)?;
    let (mut flips, mut missed) = (0_u64, 0_u64);
    for path in &before.segments {
        let good = std::fs::read(path)?;
        let mut bad = good.clone();
        for at in 0..good.len() {
            for bit in 0..8 {
                bad[at] ^= 1 << bit;
                std::fs::write(path, &bad)?;
                let seen = verdict(dir)?;
                flips += 1;
                // A flipped end of the last line is a torn tail, which is told.
                missed += u64::from(is_good(&seen));
                bad[at] ^= 1 << bit;
            }
        }
        std::fs::write(path, &good)?;
    }
    let found =
        format!("{missed} of {flips} missed ({} entries in {} segments)", before.entries, before.segments.len());
    row("every single bit flipped", &found, missed == 0 && is_good(&verdict(dir)?))
}

fn clean(dir: &Path, logs: u32) -> Done {
    let mut alarms = 0;
    let mut entries = 0;
    for n in 0..logs {
        let dir = dir.join(n.to_string());
        // As many shapes as there are numbers: batches, segments, torn tails, filing.
        let log = in_segments(&dir, 600 + u64::from(n) * 37 % 9000);
        for call in 0..2 + n % 13 {
            let ids: Vec<String> = (0..=(n + call) % 3).map(|at| format!("{call}-{at}")).collect();
            log.begin(&ids.iter().map(|id| intent(id)).collect::<Vec<_>>())?;
            if (n + call) % 4 > 0 {
                log.finish(&ids.iter().map(|id| outcome(id)).collect::<Vec<_>>())?;
            }
            if (n * 7 + call) % 11 == 0 {
                std::fs::OpenOptions::new().append(true).open(log.path())?.write_all(b"{\"v\":1,\"s")?;
            }
            if (n * 5 + call) % 17 == 0 {
                log.archive()?;
            }
        }
        let state = log.state()?.ok_or("an empty log")?;
        let checked = check(std::slice::from_ref(&dir), &[state]);
        entries += checked.iter().map(|one| one.entries).sum::<u64>();
        alarms += checked.iter().filter(|one| one.verdict != State::Anchored).count();
        std::fs::remove_dir_all(&dir)?;
    }
    row(&format!("{logs} clean logs"), &format!("{alarms} false alarms ({entries} entries)"), alarms == 0)
}

fn long(dir: &Path) -> Done {
    let log = log(dir);
    for batch in 0..50 {
        let ids: Vec<String> = (0..1000).map(|at| format!("{batch}-{at}")).collect();
        log.begin(&ids.iter().map(|id| intent(id)).collect::<Vec<_>>())?;
        log.finish(&ids.iter().map(|id| outcome(id)).collect::<Vec<_>>())?;
    }
    let mut best = f64::MAX;
    let mut entries = 0;
    for _ in 0..5 {
        let start = Instant::now();
        let checked = verdict(dir)?;
        best = best.min(start.elapsed().as_secs_f64());
        entries = checked.entries;
        if !is_good(&checked) {
            return Err("it does not verify".into());
        }
    }
    row("100,000 entries verified (under 1 s)", &format!("{entries} in {best:.2} s"), best < 1.0 && entries >= 100_000)
}
