//! Finding tokens in bytes as they come.

use zeroize::Zeroizing;

use super::input::{Source, Stop};
use super::{MOST_FINDINGS, Sought, What};
use crate::token::{Fingerprint, FormRule};

/// A window over the bytes.
const WINDOW: usize = 1 << 16;
/// What of it is looked at with the next one: no token is longer.
const MARGIN: usize = 4096;
/// What stands before a token and says what it is.
const CONTEXT: usize = 512;

/// A token's characters.
const TOKEN: usize = 32;
const SUPER: usize = 64;
/// So many characters of a token differ, and so many in a row are neither the same nor counted up, but for one token of
/// ten millions. Samples and fillers are made otherwise.
const DIFFERENT: usize = 8;
/// Of an institution's own form, so many pieces of one run are looked at.
const PIECES: usize = 400;

/// What was found, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) offset: u64,
    /// Lines before it.
    pub(super) lines: u64,
    pub(super) what: What,
    pub(super) fingerprint: String,
    pub(super) project: Option<String>,
    /// How many bytes it has.
    pub(super) bytes: usize,
}

/// Goes through all bytes of a source. Whether they are text: no zero byte but those of UTF-16.
pub(super) fn hunt(sought: &Sought, source: &mut dyn Source, hits: &mut Vec<Hit>) -> Result<bool, Stop> {
    let mut window = Zeroizing::new(vec![0; WINDOW]);
    // How much of the window is there, where what is new in it begins, and what stands before it.
    let (mut length, mut from, mut offset, mut lines) = (0, 0, 0_u64, 0_u64);
    let mut is_text = None;
    loop {
        let mut ended = false;
        while length < window.len() && !ended {
            let read = source.more(&mut window[length..])?;
            length += read;
            ended = read == 0;
        }
        let there = &window[..length];
        is_text.get_or_insert_with(|| is_text_like(there));
        let until = if ended { length } else { length - MARGIN };
        let first = hits.len();
        for step in if memchr::memchr(0, there).is_some() { &[1, 2][..] } else { &[1][..] } {
            Look { sought, window: there, step: *step, ended }.runs(from, until, hits);
        }
        hits[first..].sort_by_key(|hit| (hit.offset, hit.what != What::Token));
        let (mut counted, mut before) = (0, lines);
        for hit in &mut hits[first..] {
            let at = hit.offset as usize;
            before += memchr::memchr_iter(b'\n', &there[counted..at]).count() as u64;
            counted = at;
            hit.lines = before;
            hit.offset += offset;
        }
        // The last window's margin was looked at twice.
        hits.dedup_by(|later, earlier| later.offset == earlier.offset);
        if hits.len() > MOST_FINDINGS {
            hits.truncate(MOST_FINDINGS);
            return Err(Stop::Unread(format!("it was not read to its end: {MOST_FINDINGS} places are enough")));
        }
        if ended {
            return Ok(is_text.unwrap_or(true));
        }
        let keep = until.saturating_sub(CONTEXT);
        lines += memchr::memchr_iter(b'\n', &there[..keep]).count() as u64;
        offset += keep as u64;
        window.copy_within(keep..length, 0);
        (length, from) = (length - keep, until - keep);
    }
}

/// Whether the bytes are a text in UTF-8 or the like, or in UTF-16.
fn is_text_like(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(8192)];
    let zeros = memchr::memchr_iter(0, head).count();
    zeros == 0
        || head.starts_with(b"\xff\xfe")
        || head.starts_with(b"\xfe\xff")
        || zeros * 5 > head.len() * 2 && {
            // Without a mark: every second byte is zero.
            let [even, odd] = [0, 1].map(|at| head.iter().skip(at).step_by(2).filter(|byte| **byte == 0).count());
            even * 20 < odd || odd * 20 < even
        }
}

/// A look at a window, at each byte (`step` 1), or at every second one with zeros between (2): UTF-16.
struct Look<'a> {
    sought: &'a Sought,
    window: &'a [u8],
    step: usize,
    ended: bool,
}

impl Look<'_> {
    fn next(&self, at: usize) -> Option<usize> {
        let is_next = self.step == 1 || self.window.get(at + 1) == Some(&0);
        Some(at + self.step).filter(|next| is_next && *next < self.window.len())
    }

    fn before(&self, at: usize) -> Option<usize> {
        let before = at.checked_sub(self.step)?;
        (self.step == 1 || self.window[at - 1] == 0).then_some(before)
    }

    fn byte_before(&self, at: usize) -> Option<u8> {
        self.before(at).map(|before| self.window[before])
    }

    fn runs(&self, from: usize, until: usize, hits: &mut Vec<Hit>) {
        self.runs_of(from, until, &|byte| byte.is_ascii_hexdigit(), TOKEN, &mut |start, count, last| {
            self.hexadecimal(start, count, last, from, hits);
        });
        if let FormRule::Own { min, max, extra } = &self.sought.rule {
            let is_in = |byte: u8| byte.is_ascii_alphanumeric() || extra.as_bytes().contains(&byte);
            self.runs_of(from, until, &is_in, *min, &mut |start, count, _| {
                self.own(start, count, (*min, *max), extra.as_bytes(), hits);
            });
        }
    }

    /// Runs of some bytes that begin between two places: start, number and the last one's place.
    fn runs_of(
        &self,
        from: usize,
        until: usize,
        is_in: &dyn Fn(u8) -> bool,
        least: usize,
        take: &mut dyn FnMut(usize, usize, usize),
    ) {
        let mut at = from;
        while at < until {
            if !is_in(self.window[at]) {
                at += 1;
                continue;
            }
            let (start, mut count) = (at, 1);
            while let Some(next) = self.next(at).filter(|next| is_in(self.window[*next])) {
                at = next;
                count += 1;
            }
            if count >= least {
                take(start, count, at);
            }
            at += 1;
        }
    }

    /// The characters from a place on.
    fn text(&self, start: usize, count: usize) -> Zeroizing<Vec<u8>> {
        let mut text = Zeroizing::new(Vec::with_capacity(count));
        text.extend(self.window[start..].iter().step_by(self.step).take(count));
        text
    }

    fn hexadecimal(&self, start: usize, count: usize, last: usize, from: usize, hits: &mut Vec<Hit>) {
        let text = self.text(start, count);
        let mut at = 0;
        let mut known = false;
        while !self.sought.known.is_empty() && at + TOKEN <= count {
            let fingerprint = Fingerprint::of(&text[at..at + TOKEN]).to_string();
            let project = self.sought.known.get(&fingerprint);
            if let Some(project) = project {
                hits.push(self.hit(start + at * self.step, What::Token, fingerprint, project.clone(), TOKEN));
                known = true;
                at += TOKEN;
            } else {
                at += 1;
            }
        }
        let is_cut = start == from && self.byte_before(start).is_some_and(|byte| byte.is_ascii_hexdigit());
        if known || is_cut || (!self.ended && last + self.step >= self.window.len()) {
            return;
        }
        // `%3D`, `\x3d`, `=` and the like: the escape's own digits are none of the token's.
        let escape = match (self.byte_before(start), self.before(start).and_then(|at| self.byte_before(at))) {
            (Some(b'%'), _) | (Some(b'x'), Some(b'\\')) => 2,
            (Some(b'u'), Some(b'\\')) => 4,
            _ => 0,
        };
        let (skipped, what) = match count {
            _ if escape > 0 && count == TOKEN + escape => (escape, What::Like),
            _ if escape > 0 && count == SUPER + escape => (escape, What::LikeSuper),
            TOKEN => (0, What::Like),
            SUPER => (0, What::LikeSuper),
            _ => return,
        };
        let start = start + skipped * self.step;
        let text = &text[skipped..];
        let is_alone = skipped > 0
            || match (self.byte_before(start), self.before(start).and_then(|at| self.byte_before(at))) {
                (Some(b'n' | b't' | b'r'), Some(b'\\')) => true,
                (before, _) => !before.is_some_and(|byte| byte.is_ascii_alphanumeric()),
            };
        let after = self.next(last).is_some_and(|next| self.window[next].is_ascii_alphanumeric());
        let is_upper = !text.iter().any(u8::is_ascii_lowercase) && text.iter().any(u8::is_ascii_uppercase);
        if is_alone && !after && is_various(text) && (is_upper || self.is_named(start)) {
            let bytes = text.len();
            hits.push(self.hit(start, what, Fingerprint::of(text).to_string(), None, bytes));
        }
    }

    /// Pieces of a run that are of the institution's own form, between the characters that may be in a token and may
    /// stand before it too.
    fn own(&self, start: usize, count: usize, (min, max): (usize, usize), extra: &[u8], hits: &mut Vec<Hit>) {
        let text = self.text(start, count);
        let is_extra = |at: usize| extra.contains(&text[at]);
        let mut pieces = 0;
        for begin in (0..count).filter(|at| *at == 0 || is_extra(at - 1)) {
            for end in (begin + min..=count.min(begin + max)).rev().filter(|end| *end == count || is_extra(*end)) {
                pieces += 1;
                if pieces > PIECES {
                    return;
                }
                let piece = &text[begin..end];
                let fingerprint = Fingerprint::of(piece).to_string();
                let at = start + begin * self.step;
                if let Some(project) = self.sought.known.get(&fingerprint) {
                    hits.push(self.hit(at, What::Token, fingerprint, project.clone(), piece.len()));
                    return;
                }
                let is_hex = piece.iter().all(u8::is_ascii_hexdigit);
                let has_digit = piece.iter().any(u8::is_ascii_digit);
                if end == count && !is_hex && has_digit && is_various(piece) && self.is_named(at) {
                    hits.push(self.hit(at, What::Like, fingerprint, None, piece.len()));
                    return;
                }
            }
        }
    }

    fn hit(&self, at: usize, what: What, fingerprint: String, project: Option<String>, characters: usize) -> Hit {
        Hit { offset: at as u64, lines: 0, what, fingerprint, project, bytes: characters * self.step }
    }

    /// Whether the word before a place, with `=`, `:`, `<-` or the like between, is that of a token.
    fn is_named(&self, start: usize) -> bool {
        let mut at = self.before(start);
        let step = |at: usize| self.before(at);
        while let Some(now) = at.filter(|now| b" \t\"'`\\=:<>-,()[]{}".contains(&self.window[*now])) {
            at = step(now);
        }
        let mut word = Zeroizing::new(Vec::with_capacity(64));
        while let Some(now) = at.filter(|now| is_of_word(self.window[*now])) {
            if word.len() == 64 {
                break;
            }
            word.push(self.window[now].to_ascii_lowercase());
            at = step(now);
        }
        word.reverse();
        let has = |part: &[u8]| word.windows(part.len()).any(|window| window == part);
        [&b"token"[..], b"redcap", b"api_key", b"apikey"].into_iter().any(has)
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.'
}

/// Whether nobody typed it for an example.
fn is_various(text: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in text {
        seen[usize::from(byte.to_ascii_lowercase())] = true;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let follows =
        |one: u8, next: u8, by: u32| digit(one).zip(digit(next)).is_some_and(|(one, next)| (one + by) % 16 == next);
    let is_made = |part: &[u8]| [0, 1].iter().any(|by| part.windows(2).all(|two| follows(two[0], two[1], *by)));
    seen.iter().filter(|seen| **seen).count() >= DIFFERENT && !text.windows(DIFFERENT).any(is_made)
}
