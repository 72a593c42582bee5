//! Verifying a segment from its first line to its last.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::line::{self, LONGEST, Link, Place, VERSION};
use crate::error::{Error, Kind, Result};

/// What a checkpoint says that was kept elsewhere and whose signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorState {
    /// The log: `audit-<uid>@<host>`.
    pub origin: String,
    /// The number of entries that it vouches for: `seq` of the last.
    pub entries: u64,
    /// The SHA-256 of that line, 64 hexadecimal characters.
    pub hash: String,
}

/// What verifying found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The file holds nothing. A log that was emptied looks like one that was never written to.
    Empty,
    /// The chain is whole. What was cut off behind the last entry, and a chain that was made anew, only a
    /// size and hash kept elsewhere can show.
    Intact {
        /// The sequence number of the last entry, which is the number of entries.
        entries: u64,
        /// The SHA-256 of the last line: what an anchor keeps, with the size.
        hash: String,
        /// The size of the file in bytes.
        size: u64,
    },
    /// The chain is broken.
    Broken {
        /// The first bad line, counted from 1.
        line: u64,
        /// Where it begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has no end: a write was cut short. The next append recovers that.
    Torn,
    /// It is no entry: no JSON object, or without version, sequence number or previous hash.
    NotAnEntry,
    /// It was written by a newer version of the format, this one.
    Version(u32),
    /// Its content does not match its check: it was altered.
    Altered,
    /// Its sequence number is this one, and not the one that follows: lines are missing, doubled or moved.
    Sequence(u64),
    /// Its previous hash is not that of the line before: that line was altered, or lines were exchanged.
    Previous,
    /// A segment is missing, or does not follow the one before.
    Segment,
    /// A checkpoint from outside has another hash for it: the log was written anew.
    Anchor,
    /// The log ends before the last entry that a checkpoint from outside names, this one.
    Short(u64),
}

impl Fault {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Torn => "torn",
            Self::NotAnEntry => "not_an_entry",
            Self::Version(_) => "version",
            Self::Altered => "altered",
            Self::Sequence(_) => "sequence",
            Self::Previous => "previous",
            Self::Segment => "segment",
            Self::Anchor => "anchor",
            Self::Short(_) => "short",
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Torn => f.write_str("it has no end"),
            Self::NotAnEntry => f.write_str("it is no entry"),
            Self::Version(v) => write!(f, "it has the newer format {v}"),
            Self::Altered => f.write_str("its content does not match its check"),
            Self::Sequence(seq) => write!(f, "its sequence number {seq} is out of order"),
            Self::Previous => f.write_str("the line before it is not the one that it was written after"),
            Self::Segment => f.write_str("it does not follow the segment before, or that one is missing"),
            Self::Anchor => f.write_str("a checkpoint from outside says that another entry stood there"),
            Self::Short(entries) => write!(f, "a checkpoint from outside vouches for {entries} entries"),
        }
    }
}

/// Verifies one file: each line is an entry with a right check, sequence numbers count from 1, and each line
/// has the hash of the one before.
///
/// # Errors
/// `file`: it cannot be read.
pub fn verify(path: &Path) -> Result<Verdict> {
    let unreadable = |error: io::Error| {
        Error::new(Kind::File, format!("the audit log `{}` cannot be read: {error}", path.display()))
            .hint("check the path, and that this user may read the file")
            .field("path", path.display().to_string())
    };
    let file = File::open(path).map_err(unreadable)?;
    read(BufReader::with_capacity(1 << 18, file)).map_err(unreadable)
}

fn read(mut log: impl BufRead) -> io::Result<Verdict> {
    let mut place = Place::start();
    let mut line = Vec::new();
    let (mut number, mut offset) = (0, 0);
    loop {
        line.clear();
        (&mut log).take(LONGEST).read_until(b'\n', &mut line)?;
        if line.is_empty() && number == 0 {
            return Ok(Verdict::Empty);
        }
        if line.is_empty() {
            return Ok(Verdict::Intact { entries: place.seq, hash: place.hash, size: offset });
        }
        number += 1;
        match follow(&line, &place) {
            Ok(next) => place = next,
            Err(fault) => return Ok(Verdict::Broken { line: number, offset, fault }),
        }
        offset += line.len() as u64;
    }
}

/// The place behind a line, when it is what has to follow a place.
fn follow(line: &[u8], place: &Place) -> std::result::Result<Place, Fault> {
    if !line.ends_with(b"\n") {
        return Err(Fault::Torn);
    }
    let entry = Link::of(line).ok_or(Fault::NotAnEntry)?;
    if entry.v > VERSION {
        return Err(Fault::Version(entry.v));
    }
    let (hash, right) = line::hash_and_check(line);
    if !right {
        return Err(Fault::Altered);
    }
    if Some(entry.seq) != place.seq.checked_add(1) {
        return Err(Fault::Sequence(entry.seq));
    }
    if entry.prev != place.hash {
        return Err(Fault::Previous);
    }
    Ok(Place { seq: entry.seq, hash })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::entry::{Body, Intent, Program};
    use crate::audit::line::Head;
    use crate::audit::who::Who;

    fn log(entries: usize) -> Vec<u8> {
        let who = Who { host: Some("db01".into()), uid: Some(1000), user: None };
        let program = Program::default();
        let head = Head { time: "2025-11-21T23:56:06.123456Z", who: &who, pid: 77, program: &program };
        let (mut place, mut log) = (Place::start(), Vec::new());
        for at in 0..entries {
            let intent = Intent { call_id: format!("call {at}"), action: "version".into(), ..Intent::default() };
            head.write_all(&[Body::Intent(&intent)], None, &mut place, &mut log).unwrap();
        }
        log
    }

    fn lines(log: &[u8]) -> Vec<&[u8]> {
        log.split_inclusive(|byte| *byte == b'\n').collect()
    }

    fn fault(log: &[u8]) -> (u64, Fault) {
        match read(log).unwrap() {
            Verdict::Broken { line, fault, .. } => (line, fault),
            verdict => panic!("{verdict:?}"),
        }
    }

    #[test]
    fn a_log_as_it_was_written_is_intact_and_an_empty_one_is_called_empty() {
        let log = log(10);
        let hash = line::sha256(lines(&log)[9]);
        assert_eq!(read(&log[..]).unwrap(), Verdict::Intact { entries: 10, hash, size: log.len() as u64 });
        assert_eq!(read(&b""[..]).unwrap(), Verdict::Empty);
    }

    #[test]
    fn every_flip_of_a_single_bit_is_found_at_its_line() {
        let log = log(10);
        let mut bad = log.clone();
        let mut line = 1;
        for at in 0..log.len() {
            for bit in 0..8 {
                bad[at] ^= 1 << bit;
                assert_eq!(fault(&bad).0, line, "byte {at} bit {bit}");
                bad[at] ^= 1 << bit;
            }
            line += u64::from(log[at] == b'\n');
        }
        assert_eq!(line, 11);
    }

    #[test]
    fn lines_that_were_taken_out_doubled_exchanged_or_put_in_are_found() {
        let log = log(10);
        let lines = lines(&log);
        let of = |order: &[usize]| order.iter().flat_map(|at| lines[*at]).copied().collect::<Vec<_>>();
        assert_eq!(fault(&of(&[0, 1, 3, 4])), (3, Fault::Sequence(4)));
        assert_eq!(fault(&of(&[1, 2])), (1, Fault::Sequence(2)));
        assert_eq!(fault(&of(&[0, 1, 1, 2])), (3, Fault::Sequence(2)));
        assert_eq!(fault(&of(&[0, 2, 1, 3])), (2, Fault::Sequence(3)));
        // Another log's second line has the right number and check.
        let other = self::log(1);
        let mut joined = other.replace_once(b"call 0", b"call X");
        joined.extend_from_slice(lines[1]);
        assert_eq!(fault(&joined), (2, Fault::Previous));
        assert_eq!(fault(&log[..log.len() - 1]), (10, Fault::Torn));
        assert_eq!(fault(b"no log at all\n"), (1, Fault::NotAnEntry));
        assert_eq!(fault(&[lines[0], b"\n", lines[1]].concat()), (2, Fault::NotAnEntry));
    }

    trait Replace {
        fn replace_once(&self, from: &[u8], to: &[u8]) -> Vec<u8>;
    }

    impl Replace for Vec<u8> {
        /// Edits a line and makes its check right again, as a forger would.
        fn replace_once(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
            let text = String::from_utf8(self.clone()).unwrap();
            let (content, _) = text.split_once(",\"check\"").unwrap();
            let content = content.replacen(std::str::from_utf8(from).unwrap(), std::str::from_utf8(to).unwrap(), 1);
            let check = &line::sha256(content.as_bytes())[..16];
            format!("{content},\"check\":\"{check}\"}}\n").into_bytes()
        }
    }

    #[test]
    fn an_edited_line_with_a_right_check_breaks_the_chain_at_the_next() {
        let log = log(3);
        let lines = lines(&log);
        let forged = lines[1].to_vec().replace_once(b"version", b"project");
        assert_eq!(fault(&[lines[0], &forged, lines[2]].concat()), (3, Fault::Previous));
    }

    #[test]
    fn a_newer_format_is_named_as_such() {
        let line =
            b"{\"v\":2,\"seq\":1,\"prev\":\"0000000000000000000000000000000000000000000000000000000000000000\"}\n";
        assert_eq!(fault(line), (1, Fault::Version(2)));
    }
}
