//! What the tests of this room share.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::future::Future;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::{Environment, Wanted};
use crate::ctx::{Ctx, Dirs, Event, Events, Random, SystemClock, SystemRandom};
use crate::net::Net;
use crate::project::Settings;
use crate::token::TokenName;

/// Set in a child process that runs one test again.
pub(crate) const INSIDE: &str = "KEYCAP_TEST_INSIDE";

/// Runs a future as the I/O thread does.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn token_name(text: &str) -> TokenName {
    TokenName::new(text).unwrap()
}

/// A look-up of a name, with the short name that has it by default.
pub(crate) fn wanted(name: &str) -> Wanted {
    let short_name = name.trim_start_matches("REDCapSync_").to_owned();
    Wanted { token_name: token_name(name), short_name, sandbox: false }
}

/// A world with nothing in it.
pub(crate) fn ctx() -> Ctx {
    let nowhere = || PathBuf::from("/nonexistent/keycap");
    Ctx {
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SystemRandom),
        dirs: Dirs { config: nowhere(), data: nowhere(), session: nowhere(), site: nowhere() },
        settings: Settings::default(),
        env: Environment::empty(),
        log: Events::none(),
        #[allow(clippy::default_constructed_unit_structs)]
        net: Net::default(),
        shared: crate::ctx::Shared::default(),
    }
}

/// Events into a list.
pub(crate) fn heard(ctx: &mut Ctx) -> Arc<Mutex<Vec<Event>>> {
    let list = Arc::new(Mutex::new(Vec::new()));
    let sink = list.clone();
    ctx.log = Events::new(move |event| sink.lock().unwrap().push(event));
    list
}

/// 32 random hexadecimal characters.
pub(crate) fn random_token() -> String {
    let mut bytes = [0; 16];
    SystemRandom.fill(&mut bytes).unwrap();
    let digit = |half: u8| char::from(b"0123456789ABCDEF"[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// No 8 characters of a token stand in a text, in any letter case.
#[track_caller]
pub(crate) fn no_trace(token: &str, text: &str) {
    let (token, text) = (token.to_ascii_uppercase(), text.to_ascii_uppercase());
    let trace = (0..=token.len() - 8).any(|at| text.contains(&token[at..at + 8]));
    assert!(!trace, "a part of the token stands in a text of {} characters", text.len());
}

/// Whether this process runs one test again.
pub(crate) fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs one test again in a child process of a changed environment (a test may not change its own: other
/// threads read it). Returns what it printed; fails where it fails.
#[track_caller]
pub(crate) fn again(test: &str, change: impl FnOnce(&mut Command)) -> String {
    again_under(&[], test, change)
}

/// The same, with a program in front that runs the rest of its arguments.
#[track_caller]
pub(crate) fn again_under(program: &[&str], test: &str, change: impl FnOnce(&mut Command)) -> String {
    let this = std::env::current_exe().unwrap();
    let mut line: Vec<&std::ffi::OsStr> = program.iter().map(std::ffi::OsStr::new).collect();
    line.push(this.as_os_str());
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).args([test, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
    change(&mut command);
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // A name that no test bears would run nothing and succeed.
    assert!(output.status.success() && said.contains("1 passed"), "`{test}` in a child process:\n{said}");
    said
}

#[test]
fn a_trace_of_a_token_is_seen_where_there_is_one() {
    let token = random_token();
    no_trace(&token, &token[..7]);
    let text = format!("x{}x", token[5..13].to_ascii_lowercase());
    assert!(std::panic::catch_unwind(|| no_trace(&token, &text)).is_err());
}

/// Set in the child of [`left_by()`]: where its look-up goes.
#[cfg(target_os = "linux")]
const PLACE: &str = "TEST_PLACE";

/// Set in the child of [`left_by()`]: that it keeps what it finds.
#[cfg(target_os = "linux")]
const KEEPS: &str = "TEST_KEEPS";

/// In the child of [`left_by()`]: makes its look-up, and waits until the parent has looked. False in the parent.
#[cfg(target_os = "linux")]
#[allow(clippy::print_stdout)]
pub(crate) fn looked_into<T>(look_up: impl FnOnce(String) -> T) -> bool {
    if !inside() {
        return false;
    }
    let found = look_up(std::env::var(PLACE).unwrap());
    if std::env::var_os(KEEPS).is_some() {
        std::mem::forget(found);
    } else {
        drop(found);
    }
    println!("looked up");
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
    true
}

/// How often parts of a secret are in the memory of a child process that runs one test again, which makes a look-up by
/// [`looked_into()`] and drops or `keeps` what it finds. Asked from outside.
#[cfg(target_os = "linux")]
pub(crate) fn left_by(test: &str, place: &str, keeps: bool, secret: &str) -> usize {
    use std::io::BufRead;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, "1").env(PLACE, place);
    if keeps {
        command.env(KEEPS, "1");
    }
    let piped = std::process::Stdio::piped;
    let mut child = command.stdin(piped()).stdout(piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with("looked up")), "`{test}` made no look-up");
    let found = found_in(child.id(), secret);
    drop(child.stdin.take());
    let _ = lines.count();
    assert!(child.wait().unwrap().success());
    found
}

/// How often parts of a secret are in the memory of another process.
#[cfg(target_os = "linux")]
pub(super) fn found_in(pid: u32, secret: &str) -> usize {
    use std::os::unix::fs::FileExt;
    /// A length that nothing but the secret has by chance.
    const PART: usize = 12;
    let parts: Vec<&[u8]> = secret.as_bytes().windows(PART).collect();
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; (end - start) as usize];
        let Ok(length) = memory.read_at(&mut bytes, start) else { continue };
        let here = |window: &[u8]| window[0].is_ascii_graphic() && parts.contains(&window);
        found += bytes[..length].windows(PART).filter(|window| here(window)).count();
    }
    found
}
