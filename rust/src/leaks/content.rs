//! What a file holds: as it is, or compressed.

use std::io::Read;
use std::path::Path;

use super::hunt::{Hit, hunt};
use super::inflate::Inflate;
use super::input::{Input, Part, Stop};
use super::{Finding, MOST_FINDINGS, Sought};

/// Members of archives that are named are not longer.
const NAME: u64 = 1 << 12;

/// Beginnings of what is not read, and what that is.
const CLOSED: [(&[u8], &str); 6] = [
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x04\x22\x4d\x18", "lz4"),
];

/// Looks into one file, or what is as one. What was found stands there also where it could not be read to its end.
pub(super) fn look<R: Read>(
    sought: &Sought,
    input: &mut Input<'_, R>,
    place: &Place<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), Stop> {
    let head = input.peek(8)?;
    if let Some((_, name)) = CLOSED.iter().find(|(begin, _)| head.starts_with(begin)) {
        return Err(Stop::Unread(format!("it is compressed with {name}, which is not read")));
    }
    if head.starts_with(b"\x1f\x8b") {
        return gzip(sought, input, place, findings);
    }
    if head.starts_with(b"PK\x03\x04") {
        return zip(sought, input, place, findings);
    }
    let is_lazy = Path::new(place.path).extension().is_some_and(|end| end == "rdb");
    if is_lazy && head.get(4) == Some(&0x78) {
        return lazy(sought, input, place, findings);
    }
    let mut hits = Vec::new();
    let done = hunt(sought, input, &mut hits);
    let is_text = *done.as_ref().unwrap_or(&true);
    place.tell(&hits, is_text, findings);
    done.map(drop)
}

/// Where something is looked for.
pub(super) struct Place<'a> {
    pub(super) path: &'a str,
    pub(super) inside: Option<String>,
}

impl Place<'_> {
    fn tell(&self, hits: &[Hit], is_text: bool, findings: &mut Vec<Finding>) {
        findings.extend(hits.iter().map(|hit| Finding {
            path: self.path.to_owned(),
            inside: self.inside.clone(),
            line: is_text.then_some(hit.lines + 1),
            offset: hit.offset,
            what: hit.what,
            fingerprint: hit.fingerprint.clone(),
            project: hit.project.clone(),
        }));
    }
}

fn damaged() -> Stop {
    Stop::Unread("what is compressed in it is damaged".to_owned())
}

/// One compressed stream.
fn stream<R: Read>(
    sought: &Sought,
    input: &mut Input<'_, R>,
    zlib: bool,
    place: &Place<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), Stop> {
    // Many streams of one file have no more places together than one.
    if findings.len() >= MOST_FINDINGS {
        return Err(Stop::Unread(format!("it was not read to its end: {MOST_FINDINGS} places are enough")));
    }
    let mut hits = Vec::new();
    let done = hunt(sought, &mut Inflate::new(input, zlib), &mut hits);
    let is_text = *done.as_ref().unwrap_or(&true);
    place.tell(&hits, is_text, findings);
    done.map(drop)
}

/// One or more members, each with a header and eight bytes behind it.
fn gzip<R: Read>(
    sought: &Sought,
    input: &mut Input<'_, R>,
    place: &Place<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), Stop> {
    while input.peek(2)?.starts_with(b"\x1f\x8b") {
        let head = input.take::<10>()?.ok_or_else(damaged)?;
        let flags = head[3];
        if flags & 4 != 0 {
            let length = u16::from_le_bytes(input.take::<2>()?.ok_or_else(damaged)?);
            if !input.skip(u64::from(length))? {
                return Err(damaged());
            }
        }
        for flag in [8, 16] {
            // A name, a remark: texts that end in a zero.
            while flags & flag != 0 && input.take::<1>()?.ok_or_else(damaged)? != [0] {}
        }
        if flags & 2 != 0 {
            input.take::<2>()?.ok_or_else(damaged)?;
        }
        stream(sought, input, false, place, findings)?;
        input.take::<8>()?.ok_or_else(damaged)?;
    }
    // Whatever else stands behind: zeros on tapes.
    Ok(())
}

/// The members of an archive, as they follow each other.
fn zip<R: Read>(
    sought: &Sought,
    input: &mut Input<'_, R>,
    place: &Place<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), Stop> {
    while input.peek(4)?.starts_with(b"PK\x03\x04") {
        let head = input.take::<30>()?.ok_or_else(damaged)?;
        let two = |at: usize| u64::from(u16::from_le_bytes([head[at], head[at + 1]]));
        let size = u64::from(u32::from_le_bytes([head[18], head[19], head[20], head[21]]));
        let (flags, method, name, extra) = (two(6), two(8), two(26), two(28));
        let named = input.peek(name.min(NAME) as usize)?;
        let member = String::from_utf8_lossy(&named[..named.len().min(name as usize)]).into_owned();
        if !input.skip(name + extra)? {
            return Err(damaged());
        }
        let place = Place { path: place.path, inside: Some(super::walk::shown(sought, &member)) };
        match (method, flags & 8 != 0) {
            _ if flags & 1 != 0 => return Err(Stop::Unread("it is encrypted".to_owned())),
            (8, is_streamed) => {
                stream(sought, input, false, &place, findings)?;
                if is_streamed {
                    // Checksum and sizes, of four or eight bytes, with a mark of their own or without.
                    for _ in 0..24 {
                        if input.peek(4)?.starts_with(b"PK\x03\x04") || input.peek(4)?.starts_with(b"PK\x01\x02") {
                            break;
                        }
                        input.take::<1>()?;
                    }
                }
            }
            (0, false) if findings.len() < MOST_FINDINGS => {
                let mut hits = Vec::new();
                let mut part = Part { input, left: size };
                let is_text = hunt(sought, &mut part, &mut hits)?;
                place.tell(&hits, is_text, findings);
            }
            _ => return Err(Stop::Unread("it is an archive of a kind that is not read to its end".to_owned())),
        }
    }
    Ok(())
}

/// A database of R's (`.rdb`: packages, caches of knitr): compressed pieces, each with its length before it.
fn lazy<R: Read>(
    sought: &Sought,
    input: &mut Input<'_, R>,
    place: &Place<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), Stop> {
    while !input.peek(1)?.is_empty() {
        input.take::<4>()?.ok_or_else(damaged)?;
        if input.peek(1)?.first() != Some(&0x78) {
            return Err(Stop::Unread(
                "it holds something that is compressed with bzip2 or xz, which is not read".to_owned(),
            ));
        }
        stream(sought, input, true, place, findings)?;
    }
    Ok(())
}
