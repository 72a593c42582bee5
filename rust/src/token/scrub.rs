//! Two rules for two kinds of text that a server wrote.
//!
//! Texts that are shown (errors, headers, messages) are scrubbed: no 8 characters of the token pass, whatever
//! their letter case. Data bodies are clinical data and never altered: they are watched for the whole token,
//! across chunk borders, and a hit is an error.

use std::ops::Range;

use zeroize::Zeroizing;

/// Number of token characters in a row that may not pass in a text that is shown.
const WINDOW: usize = 8;

/// What stands where token characters stood.
const MASK: &str = "[token]";

/// Removes one token from texts.
pub(crate) struct Scrubber<'a> {
    token: &'a [u8],
}

impl<'a> Scrubber<'a> {
    pub(super) fn new(token: &'a [u8]) -> Self {
        Self { token }
    }

    /// The text with every run of 8 or more characters of the token masked, in any letter case. Control
    /// characters are taken out first, so that they cannot hold two halves of a token apart; blanks, characters
    /// outside ASCII and percent-encoding (as in the form that was sent, or in an address) do not either.
    pub(crate) fn scrub(&self, text: &str) -> String {
        // In one buffer of its largest size: one that grows would leave pieces of the text behind unwiped.
        let mut clean = Zeroizing::new(String::with_capacity(text.len()));
        clean.extend(text.chars().map(harmless).filter(|c| *c != '\0'));
        let text = clean;
        let bytes = text.as_bytes();
        let window = WINDOW.min(self.token.len());
        if window == 0 || bytes.len() < window {
            return text.as_str().to_owned();
        }
        let mut hit = vec![false; bytes.len()];
        for start in self.hits(bytes, window) {
            hit[start..start + window].fill(true);
        }
        let (read, places) = as_read(bytes);
        for start in self.hits(&read, window) {
            hit[places[start].start..places[start + window - 1].end].fill(true);
        }
        // A window of the token may hold a part of a character only where the token is not ASCII; a character
        // is masked as soon as one of its bytes is.
        let mut out = String::with_capacity(text.len());
        let mut masking = false;
        for (at, c) in text.char_indices() {
            let masked = hit[at..at + c.len_utf8()].contains(&true);
            if !masked {
                out.push(c);
            } else if !masking {
                out.push_str(MASK);
            }
            masking = masked;
        }
        out
    }

    /// Where a window of the token begins in a text.
    fn hits(&self, text: &[u8], window: usize) -> impl Iterator<Item = usize> {
        let windows = text.windows(window).enumerate();
        let is_hit = move |here: &[u8]| self.token.windows(window).any(|part| part.eq_ignore_ascii_case(here));
        windows.filter(move |(_, here)| is_hit(here)).map(|(start, _)| start)
    }

    /// A watch over a data body.
    pub(crate) fn watch(&self) -> BodyWatch<'a> {
        BodyWatch::new(self.token)
    }
}

/// A text as somebody reads it who wants a token out of it: percent-encoding undone, and nothing but visible
/// ASCII characters, of which tokens consist. With the place of each in the text.
fn as_read(text: &[u8]) -> (Zeroizing<Vec<u8>>, Vec<Range<usize>>) {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut read = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut places = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let (byte, length) = match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
            (byte, ..) => (byte, 1),
        };
        if byte.is_ascii_graphic() {
            read.push(byte);
            places.push(at..at + length);
        }
        at += length;
    }
    (read, places)
}

/// A character as it may stand in a message: a line break or tab is a blank; other control characters, the
/// escape of terminal sequences among them, and characters that hide or turn text are taken out (as NUL).
fn harmless(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}' => '\0',
        c if c.is_control() => '\0',
        c => c,
    }
}

/// Bytes that are looked at in one step. A token of twice as many, less one, covers one such block wherever it stands.
const BLOCK: usize = 16;

/// Looks for the whole token in a stream of chunks, in any letter case (Horspool's search, joined at the
/// borders by a tail that wipes itself). Data are passed over block by block where a block holds a byte, such as a
/// comma, that no token has.
pub(crate) struct BodyWatch<'a> {
    token: &'a [u8],
    skip: Box<[u8; 256]>,
    /// The least and the greatest byte of the token, in any letter case.
    range: (u8, u8),
    tail: Zeroizing<Vec<u8>>,
    found: bool,
}

impl<'a> BodyWatch<'a> {
    fn new(token: &'a [u8]) -> Self {
        let length = token.len();
        let most = u8::try_from(length).unwrap_or(u8::MAX);
        let mut skip = Box::new([most; 256]);
        for (at, byte) in token.iter().enumerate().take(length.saturating_sub(1)) {
            let shift = u8::try_from(length - 1 - at).unwrap_or(u8::MAX);
            skip[usize::from(byte.to_ascii_lowercase())] = shift;
            skip[usize::from(byte.to_ascii_uppercase())] = shift;
        }
        let cases = || token.iter().flat_map(|byte| [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()]);
        let range = (cases().min().unwrap_or(0), cases().max().unwrap_or(u8::MAX));
        Self { token, skip, range, tail: Zeroizing::new(Vec::with_capacity(2 * length)), found: false }
    }

    /// Takes the next chunk. True from the first hit on.
    pub(crate) fn sees(&mut self, chunk: &[u8]) -> bool {
        let border = self.token.len().saturating_sub(1);
        if self.found || self.token.is_empty() || chunk.is_empty() {
            return self.found;
        }
        if !self.tail.is_empty() {
            let kept = self.tail.len();
            self.tail.extend_from_slice(&chunk[..border.min(chunk.len())]);
            self.found = self.search(&self.tail);
            self.tail.truncate(kept);
        }
        self.found = self.found || self.search_blocks(chunk);
        if chunk.len() >= border {
            self.tail.clear();
            self.tail.extend_from_slice(&chunk[chunk.len() - border..]);
        } else {
            let surplus = (self.tail.len() + chunk.len()).saturating_sub(border);
            self.tail.drain(..surplus);
            self.tail.extend_from_slice(chunk);
        }
        self.found
    }

    /// Looks only where whole blocks could be of the token: at each run of such blocks and what lies around it.
    fn search_blocks(&self, text: &[u8]) -> bool {
        let length = self.token.len();
        if length + 1 < 2 * BLOCK {
            return self.search(text);
        }
        let (least, span) = (self.range.0, self.range.1 - self.range.0);
        let around = length - BLOCK;
        let mut run: Option<usize> = None;
        let (blocks, _) = text.as_chunks::<BLOCK>();
        for (number, block) in blocks.iter().enumerate() {
            // Without a branch for each byte, so that the compiler compares all of them at once.
            let foreign = block.iter().fold(false, |any, byte| any | (byte.wrapping_sub(least) > span));
            match (foreign, run) {
                (false, None) => run = Some(number * BLOCK),
                (true, Some(begin)) => {
                    run = None;
                    let end = text.len().min(number * BLOCK + around);
                    if self.search(&text[begin.saturating_sub(around)..end]) {
                        return true;
                    }
                }
                _ => {}
            }
        }
        run.is_some_and(|begin| self.search(&text[begin.saturating_sub(around)..]))
    }

    fn search(&self, text: &[u8]) -> bool {
        let length = self.token.len();
        let mut at = 0;
        while at + length <= text.len() {
            let window = &text[at..at + length];
            let last = window[length - 1];
            if last.eq_ignore_ascii_case(&self.token[length - 1]) && window.eq_ignore_ascii_case(self.token) {
                return true;
            }
            at += usize::from(self.skip[usize::from(last)]);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: &[u8] = b"9A3F0C7712DE48B65A90EF1234CD7788";

    #[test]
    fn eight_characters_of_the_token_do_not_pass_and_seven_do() {
        let scrubber = Scrubber::new(TOKEN);
        assert_eq!(scrubber.scrub("token 9a3f0c7712de48b65a90ef1234cd7788!"), "token [token]!");
        assert_eq!(scrubber.scrub("a 0C7712DE b"), "a [token] b");
        assert_eq!(scrubber.scrub("a 0C7712D b"), "a 0C7712D b");
    }

    #[test]
    fn control_characters_cannot_hold_two_halves_apart() {
        let scrubber = Scrubber::new(TOKEN);
        for apart in ["\0", "\u{1b}", "\u{200b}", "\u{7f}", "\u{202e}"] {
            let text = format!("x 0C77{apart}12DE x");
            assert_eq!(scrubber.scrub(&text), "x [token] x", "{apart:?}");
        }
        assert_eq!(scrubber.scrub("a\u{1b}[31mb\nc"), "a[31mb c");
    }

    #[test]
    fn neither_blanks_nor_foreign_characters_nor_percent_encoding_hold_two_halves_apart() {
        let scrubber = Scrubber::new(TOKEN);
        for (text, scrubbed) in [
            ("x=%39A3F%30C77&y", "x=[token]&y"),
            ("/%39%41%33%46%30%43%37%37/", "/[token]/"),
            ("9A3F0C7 712DE4", "[token]"),
            ("/9A3F0C7%017/12DE4", "/[token]/12DE4"),
            ("0C77\u{fffd}12DE", "[token]"),
            ("100% of 5", "100% of 5"),
            ("%", "%"),
        ] {
            assert_eq!(scrubber.scrub(text), scrubbed);
        }
        // An institution's own token as it stands in the form that was sent.
        let scrubber = Scrubber::new(b"ab+cdefgh/ijklmnopqr");
        assert_eq!(scrubber.scrub("token=ab%2Bcdefgh%2Fijklmnopqr&content=x"), "token=[token]&content=x");
    }

    fn has_window(text: &str, length: usize) -> bool {
        let text = text.to_ascii_uppercase();
        TOKEN.windows(length).any(|part| text.contains(std::str::from_utf8(part).unwrap()))
    }

    #[test]
    fn a_token_is_seen_wherever_it_stands_in_a_chunk_and_whatever_surrounds_it() {
        let long = [TOKEN, TOKEN].concat();
        for token in [TOKEN, &long, &TOKEN[..20], b"ab+cdefgh/ijklmnopqr~!XYZ0123456789".as_slice()] {
            for around in [b',', b'0', b'z', 0xc3] {
                for place in 0..100 {
                    for behind in [0, 1, 15, 16, 17, 100] {
                        let mut text = vec![around; place];
                        text.extend_from_slice(&token.to_ascii_lowercase());
                        text.extend(std::iter::repeat_n(around, behind));
                        assert!(Scrubber::new(token).watch().sees(&text), "{place} {behind} {around}");
                        // One byte less of it is none of it.
                        text.remove(place);
                        assert!(!Scrubber::new(token).watch().sees(&text), "{place} {behind} {around}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_the_text_no_eight_characters_of_the_token_pass(
            parts in proptest::collection::vec((0..32_usize, 1..32_usize, ".{0,6}", any::<bool>()), 0..8)
        ) {
            let token = std::str::from_utf8(TOKEN).unwrap();
            let mut text = String::new();
            for (start, length, between, lower) in parts {
                let part = &token[start..(start + length).min(32)];
                text.push_str(&if lower { part.to_lowercase() } else { part.to_owned() });
                text.push_str(&between);
            }
            prop_assert!(!has_window(&Scrubber::new(TOKEN).scrub(&text), WINDOW));
        }

        #[test]
        fn the_whole_token_is_seen_over_all_chunkings_and_cases(
            before in "[0-9A-F]{0,80}", after in "[0-9A-F]{0,80}", mask in any::<u32>(),
            cuts in proptest::collection::vec(1..20_usize, 1..100)
        ) {
            let token: String = TOKEN.iter().enumerate().map(|(i, b)| {
                let c = char::from(*b);
                if mask >> i & 1 == 1 { c.to_ascii_lowercase() } else { c }
            }).collect();
            let body = format!("{before}{token}{after}");
            prop_assert!(seen(body.as_bytes(), &cuts));
        }

        #[test]
        fn a_body_without_the_whole_token_raises_no_alarm(
            body in "[0-9A-F]{0,300}", start in 0..32_usize, cuts in proptest::collection::vec(1..20_usize, 1..100)
        ) {
            let token = std::str::from_utf8(TOKEN).unwrap();
            let body = format!("{body}{}x{}", &token[..start], &token[start..]);
            prop_assume!(!body.contains(token));
            prop_assert!(!seen(body.as_bytes(), &cuts));
        }
    }

    fn seen(mut body: &[u8], cuts: &[usize]) -> bool {
        let mut watch = Scrubber::new(TOKEN).watch();
        let mut cuts = cuts.iter().cycle();
        let mut hit = false;
        while !body.is_empty() {
            let (chunk, rest) = body.split_at((*cuts.next().unwrap()).min(body.len()));
            hit = watch.sees(chunk);
            body = rest;
        }
        hit
    }
}
