//! Verifies audit logs as `inst/audit/verify.py` does, with the same arguments, verdicts and exit codes: what the three
//! verifiers are compared by.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::ExitCode;

use keycap::audit::{Checked, State, VerifierKey, anchored, beside, judge};

fn main() -> ExitCode {
    let (mut keys, mut notes, mut paths, mut given) = (Vec::new(), String::new(), Vec::new(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument != "--key" && argument != "--anchors" {
            paths.push(PathBuf::from(argument));
            continue;
        }
        let Some(value) = arguments.next() else { return ExitCode::from(2) };
        if argument == "--key" {
            given = true;
            if let Some(key) = VerifierKey::parse(&value) {
                keys.push(key);
                continue;
            }
        }
        let Ok(bytes) = std::fs::read(&value) else {
            println!("unreadable\n  {value}");
            return ExitCode::from(3);
        };
        let text = String::from_utf8_lossy(&bytes);
        if argument == "--key" {
            keys.extend(VerifierKey::parse_all(&text));
        } else {
            notes.push_str(&text);
            notes.push('\n');
        }
    }
    if paths.is_empty() {
        return ExitCode::from(2);
    }
    let (found, origins) = beside(&paths);
    let mut known = anchored(&notes, if given { &keys } else { &found });
    let files = paths.iter().filter(|path| path.is_file());
    let named = files.filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
    let named: Vec<_> =
        named.filter_map(|name| Some(name.strip_suffix(".jsonl")?.rsplit_once('-')?.0.to_owned())).collect();
    // Of other logs nothing is asked; where nothing at all is left, all that is known of is missing.
    if !named.is_empty() || !origins.is_empty() {
        known.retain(|(state, _)| named.contains(&state.origin) || origins.contains(&state.origin));
    }
    let logs = judge(&paths, &known);
    if logs.is_empty() {
        println!("unreadable\n  there is no log");
        return ExitCode::from(3);
    }
    let mut worst = 0;
    for log in &logs {
        let status = tell(log);
        worst = if worst == 1 || status == 0 { worst } else { status };
    }
    ExitCode::from(worst)
}

fn tell(log: &Checked) -> u8 {
    let (line, status) = match &log.verdict {
        State::Anchored => (format!("intact and anchored up to {}", log.anchored), 0),
        State::Unanchored => (format!("intact but unanchored since {}", log.anchored), 0),
        State::Tampered(found) => (format!("tampered at {} ({})", found.seq, found.fault.as_str()), 1),
        State::Unreadable(_) => ("unreadable".to_owned(), 3),
    };
    println!("{line}\n  {}\n  {} entries", log.origin, log.entries);
    status
}
