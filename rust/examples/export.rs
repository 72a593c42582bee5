//! An export without R, to see what the core alone takes.
//!
//! `cargo run --release --example export -- ADDRESS TIMES [FILE]`: the address of a project's API, as `static_server`
//! serves it. Prints the seconds of each export; with a FILE, the records go there.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use keycap::net::io::Poll;
use keycap::{Result, Value, border};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let world = std::env::temp_dir().join(format!("keycap-export-{}", std::process::id()));
    let at = |name: &str| Value::from(world.join(name).display().to_string());
    let session = Value::list([
        ("config", at("config")),
        ("data", at("data")),
        ("session", at("session")),
        ("site", at("site.toml")),
    ]);
    let run = |op: &str, args: Value| {
        let mut task = border::start(op, args, &session)?;
        loop {
            if let Poll::Done(_, result) = task.poll(Duration::from_millis(100)) {
                return result;
            }
        }
    };
    let uri = args.first().cloned().unwrap_or_default();
    let times = args.get(1).and_then(|times| times.parse().ok()).unwrap_or(1);
    // The token is that of the environment variable `REDCapSync_T`; the static server looks at none.
    let made = run("setup_project", Value::list([("short_name", "T".into()), ("redcap_uri", uri.into())]))?;
    let project = made.get("project").cloned().unwrap_or(Value::Nothing);
    for _ in 0..times {
        let begin = Instant::now();
        let to = args.get(2).map(String::as_str);
        let done = run("export_records", Value::list([("project", project.clone()), ("to", to.into())]))?;
        let _ = writeln!(io::stdout(), "{:.4} {:?}", begin.elapsed().as_secs_f64(), done.get("rows"));
    }
    let _ = std::fs::remove_dir_all(world);
    Ok(())
}
