//! What the audit log costs: `cargo run --release --example audit_bench [FOLDER]`. The folder decides which
//! disk is measured; without one it is a temporary folder.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use keycap::audit::{AuditLog, Intent, Outcome, verify};
use keycap::ctx::SystemClock;

fn log(dir: &Path) -> AuditLog {
    AuditLog::new(dir, Arc::new(SystemClock::new()))
}

fn intent(call_id: String) -> Intent {
    Intent {
        call_id,
        action: "record/export(fields,records)".into(),
        project: "TEST".into(),
        origin: "https://redcap.example.org".into(),
        token_name: "REDCapSync_TEST".into(),
        source: "keyring".into(),
        source_request_id: None,
        fingerprint: "kc1:0011223344556677".into(),
        ..Intent::default()
    }
}

/// Calls, one after the other: an intent, durable, and an outcome.
fn calls(dir: &Path, name: &str, calls: u32) -> keycap::Result<()> {
    let log = log(dir);
    for call in 0..calls {
        let call_id = format!("{name}-{call}");
        log.begin(&[intent(call_id.clone())])?;
        log.finish(&[Outcome { call_id, status: Some(200), class: "ok".into(), ..Outcome::default() }])?;
    }
    log.sync()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    if let (Some("worker"), Some(dir), Some(name), Some(count)) =
        (first.as_deref(), args.next(), args.next(), args.next())
    {
        return Ok(calls(Path::new(&dir), &name, count.parse()?)?);
    }
    let temp = tempfile::tempdir_in(first.map_or_else(std::env::temp_dir, PathBuf::from))?;
    let mut out = std::io::stdout();

    // The disk's own measure: what any log of this size costs at the least.
    let mut plain = std::fs::File::create_new(temp.path().join("plain"))?;
    let start = Instant::now();
    for _ in 0..1000 {
        plain.write_all(&[b'x'; 750])?;
        plain.sync_data()?;
    }
    writeln!(out, "the disk:    {:.0} durable writes a second", 1000.0 / start.elapsed().as_secs_f64())?;

    let start = Instant::now();
    calls(&temp.path().join("one"), "one", 2000)?;
    let rate = 2000.0 / start.elapsed().as_secs_f64();
    writeln!(out, "1 process:   {rate:.0} durable intents a second, each with its outcome")?;

    let dir = temp.path().join("eight");
    let start = Instant::now();
    let mut children = Vec::new();
    for process in 0..8 {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        children.push(command.arg("worker").arg(&dir).arg(format!("p{process}")).arg("1000").spawn()?);
    }
    for mut child in children {
        if !child.wait()?.success() {
            return Err("a worker failed".into());
        }
    }
    let rate = 8000.0 / start.elapsed().as_secs_f64();
    writeln!(out, "8 processes: {rate:.0} durable intents a second, each with its outcome")?;
    writeln!(out, "             {:?}", verify(&log(&dir).path())?)?;

    let long = log(&temp.path().join("long"));
    let start = Instant::now();
    for batch in 0..100 {
        long.begin(&(0..1000).map(|at| intent(format!("{batch}-{at}"))).collect::<Vec<_>>())?;
    }
    let rate = 100_000.0 / start.elapsed().as_secs_f64();
    writeln!(out, "batches of 1000: {rate:.0} durable intents a second")?;
    let start = Instant::now();
    let verdict = verify(&long.path())?;
    writeln!(out, "verifying 100,000 entries: {:.2} s, {verdict:?}", start.elapsed().as_secs_f64())?;
    let start = Instant::now();
    for at in 0..100 {
        long.begin(&[intent(format!("tail-{at}"))])?;
    }
    writeln!(out, "behind them: {:.2} ms a durable intent", start.elapsed().as_secs_f64() * 10.0)?;
    Ok(())
}
