//! After a call nothing of the token is left in the process's memory. Asked from outside: by the parent of a process
//! that makes one call. (The same of R as a whole, with its own allocator: `tests/memory` of the package.)

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::world::{World, read, token};
use crate::net::tests::kit::{Ca, Conn, listen, listen_tls, run};

/// Set in the process that makes the call: what it does.
const DOES: &str = "KEYCAP_TEST_MEMORY";
const URI: &str = "KEYCAP_TEST_MEMORY_URI";
const CA: &str = "KEYCAP_TEST_MEMORY_CA";

/// A length that nothing but the token has by chance.
const PART: usize = 12;

#[test]
fn a_call_leaves_nothing_of_the_token_in_memory() {
    if let Ok(does) = std::env::var(DOES) {
        return call(&does);
    }
    let ca = Ca::new();
    let good = |mut conn: Conn| {
        while conn.request().is_some() {
            conn.answer("[]");
        }
    };
    let refused = |mut conn: Conn| {
        conn.request();
        conn.send("HTTP/1.1 403 X\r\nContent-Length: 47\r\n\r\nERROR: You do not have permissions to use the API");
    };
    let tls = ca.server(&["localhost"]);
    let servers =
        [listen(good), listen(refused), listen(Conn::reset), listen_tls(&tls, good), listen_tls(&tls, refused)];
    let https = |at: usize| if at < 3 { servers[at].http() } else { servers[at].https("localhost") };
    for at in 0..servers.len() {
        let uri = https(at);
        assert_eq!(found("calls", uri.as_str(), &ca.file()), 0, "server {at}");
        // What is there is found: the snapshot of the environment that the look-up takes it from.
        assert!(found("calls and holds", uri.as_str(), &ca.file()) > 0, "server {at}");
    }
}

/// What the process does that is looked into.
#[allow(clippy::print_stdout)]
fn call(does: &str) {
    // Opened anew: the standard library's own standard input has a buffer that nobody wipes.
    let mut input = File::open("/dev/stdin").unwrap();
    let mut value = Zeroizing::new(vec![0_u8; 32]);
    input.read_exact(&mut value).unwrap();
    let mut world = World::with(&value, "");
    drop(value);
    world.ctx.settings.retries = 0;
    let ca = std::env::var_os(CA).unwrap();
    world.ctx.settings.net.ca_file = Some(ca.into());
    let _ = run(world.ask(&std::env::var(URI).unwrap(), &read()));
    if does == "calls" {
        drop(world);
    } else {
        std::mem::forget(world);
    }
    println!("called");
    // Until the parent has looked.
    let _ = input.read(&mut [0]);
}

/// How often parts of a token are found in the memory of a process that has made a call with it.
fn found(does: &str, uri: &str, ca: &Path) -> usize {
    let test = "redcap::tests::memory::a_call_leaves_nothing_of_the_token_in_memory";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .envs([(DOES, does), (URI, uri)])
        .env(CA, ca)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let token = token();
    let mut input = child.stdin.take().unwrap();
    input.write_all(token.as_bytes()).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with("called")), "it did not call");
    let found = parts_in_memory(child.id(), token.as_bytes());
    drop(input);
    let _ = lines.count();
    assert!(child.wait().unwrap().success());
    found
}

/// In all memory that a process may write to.
fn parts_in_memory(process: u32, token: &[u8]) -> usize {
    let parts: Vec<&[u8]> = token.windows(PART).collect();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; (end - start) as usize];
        // A region that is gone by now has nothing in it.
        let Ok(length) = memory.read_at(&mut bytes, start) else { continue };
        let here =
            |window: &[u8]| window[0].is_ascii_hexdigit() && parts.iter().any(|part| part.eq_ignore_ascii_case(window));
        found += bytes[..length].windows(PART).filter(|window| here(window)).count();
    }
    found
}
