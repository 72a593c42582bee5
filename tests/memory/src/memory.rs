//! The memory of another process, read through `/proc`.
//!
//! The scanned process is a child of the scanner: that is who may read it, whatever the machine's ptrace rules.

use std::fs::{self, File};
use std::io::{Error, Result};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::search::{Form, Runs, Search};

/// Read at a time, and the overlap that keeps a run from being cut in two (more than the longest form has).
const CHUNK: usize = 16 << 20;
const OVERLAP: usize = 512;

/// A find: where, what, and in which mapping.
#[derive(Clone, Debug)]
pub struct Find {
    pub token: usize,
    pub address: u64,
    pub form: Form,
    pub chars: usize,
    pub place: String,
    /// Whether it stands in the environment block that the process was started with. Nobody can wipe that.
    pub in_environment: bool,
}

struct Mapping {
    start: u64,
    end: u64,
    name: String,
}

/// Looks through all readable memory of a process while it is stopped.
pub fn scan(process: u32, search: &Search) -> Result<Vec<Find>> {
    let _stopped = Stopped::stop(process)?;
    let mappings = mappings(process)?;
    let environment = environment(process)?;
    let memory = File::open(format!("/proc/{process}/mem"))?;
    let mut runs = Runs::new();
    let mut buffer = Vec::new();
    for (start, end) in joined(&mappings) {
        let mut from = start;
        while from < end {
            let most = CHUNK.min((end - from) as usize);
            read(&memory, from, most, &mut buffer);
            let mut here = Runs::new();
            search.look(from, &buffer, &mut here);
            // A run at the very beginning of a later chunk is the tail of one that the chunk before saw in full.
            let known = |address: u64| from > start && address == from;
            runs.extend(here.into_iter().filter(|((address, _), _)| !known(*address)));
            from += if from + most as u64 == end { most } else { most - OVERLAP } as u64;
        }
    }
    let find = |((address, form), run): ((u64, Form), crate::search::Run)| {
        let mapping = mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&address));
        Find {
            token: run.token,
            address,
            form,
            chars: run.chars,
            place: mapping.map_or_else(String::new, |mapping| mapping.name.clone()),
            in_environment: environment.contains(&address),
        }
    };
    Ok(runs.into_iter().map(find).collect())
}

/// The bytes around a find, for tracing where it came from.
pub fn around(process: u32, address: u64) -> Vec<u8> {
    let mut buffer = Vec::new();
    if let Ok(memory) = File::open(format!("/proc/{process}/mem")) {
        read(&memory, address.saturating_sub(96) & !15, 256, &mut buffer);
    }
    buffer
}

fn mappings(process: u32) -> Result<Vec<Mapping>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    let mapping = |line: &str| {
        let mut fields = line.split_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let readable = fields.next()?.starts_with('r');
        let name = fields.nth(3).unwrap_or("[anonymous]").to_owned();
        let number = |text| u64::from_str_radix(text, 16).ok();
        readable.then_some(Mapping { start: number(start)?, end: number(end)?, name })
    };
    Ok(maps.lines().filter_map(mapping).collect())
}

/// Neighbours count as one: a run may cross the border.
fn joined(mappings: &[Mapping]) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for mapping in mappings {
        match joined.last_mut() {
            Some((_, end)) if *end == mapping.start => *end = mapping.end,
            _ => joined.push((mapping.start, mapping.end)),
        }
    }
    joined
}

/// Where the kernel put the environment at the start (proc(5): `env_start`, `env_end`).
fn environment(process: u32) -> Result<std::ops::Range<u64>> {
    let facts = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = facts.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let fields: Vec<u64> = fields.skip(47).take(2).filter_map(|field| field.parse().ok()).collect();
    match fields[..] {
        [start, end] if start < end => Ok(start..end),
        _ => Err(Error::other("the environment block is not told: the scanner may not trace the process")),
    }
}

/// Fills the buffer; a page that cannot be read (such as the kernel's `[vvar]`) counts as zeros.
fn read(memory: &File, address: u64, length: usize, buffer: &mut Vec<u8>) {
    buffer.resize(length, 0);
    let mut at = 0;
    while at < length {
        match memory.read_at(&mut buffer[at..], address + at as u64) {
            Ok(n) if n > 0 => at += n,
            _ => {
                let page = (4096 - (address as usize + at) % 4096).min(length - at);
                buffer[at..at + page].fill(0);
                at += page;
            }
        }
    }
}

/// Stops a process as long as it lives.
struct Stopped(Pid);

impl Stopped {
    fn stop(process: u32) -> Result<Self> {
        let pid = Pid::from_raw(process.cast_signed());
        kill(pid, Signal::SIGSTOP)?;
        let stopped = Self(pid);
        let limit = Instant::now() + Duration::from_secs(5);
        while !all_threads_stand(process)? {
            if Instant::now() > limit {
                return Err(Error::other("the process does not stop"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(stopped)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

fn all_threads_stand(process: u32) -> Result<bool> {
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let stat = fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        if !matches!(state, Some('T' | 't' | 'Z' | 'X') | None) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    fn child(environment: &str) -> std::process::Child {
        let mut child = Command::new("cat")
            .env("FOUND_HERE", environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // `cat` holds what passes through it in its buffer. What comes back says that it has arrived there.
        child.stdin.as_mut().unwrap().write_all(b"ready\n").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
        child
    }

    #[test]
    fn a_token_in_the_environment_block_is_found_there() {
        let token = crate::token::random().unwrap();
        let mut child = child(&token);
        let finds = scan(child.id(), &Search::new([token.as_str()])).unwrap();
        let finds: Vec<_> = finds.iter().map(|find| (find.in_environment, find.chars)).collect();
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success(), "it goes on after the scan");
        assert_eq!(finds, [(true, 32)]);
    }

    #[test]
    fn a_token_in_a_buffer_is_found_outside_the_environment_block() {
        let token = crate::token::random().unwrap();
        let mut child = child("nothing");
        child.stdin.as_mut().unwrap().write_all(token.as_bytes()).unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 32]).unwrap();
        let finds = scan(child.id(), &Search::new([token.as_str()])).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(finds.len() == 1 && !finds[0].in_environment && finds[0].place != "[stack]", "{finds:?}");
    }
}
