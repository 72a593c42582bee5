//! What is looked for: every run of 12 or more characters of a token, in any letter case and in every form in
//! which a program might have it.
//!
//! A run of at least 12 bytes covers 8 bytes in a row that start at a multiple of 4, wherever it begins. So one
//! look at every fourth place finds it: those 8 bytes are looked up in a table of all 8-byte pieces of all tokens,
//! and what hits is then compared in full, in both directions.

use std::collections::{BTreeMap, HashMap};

/// Fewer characters in a row than these are no find.
pub const WINDOW: usize = 12;

/// Bit 0x20 makes hexadecimal digits of both cases alike and leaves the decimal ones as they are.
const FOLD: u64 = 0x2020_2020_2020_2020;

/// How a token may stand in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// One byte a character: as it is, as part of a urlencoded or JSON text.
    Plain,
    /// Two bytes a character: Windows and Java, and R's own conversions.
    Utf16Le,
    /// The same, high byte first.
    Utf16Be,
    /// Four bytes a character: `wchar_t`, Rust's `char`.
    Utf32Le,
    /// In words of four bytes, each turned round: how SHA-256 holds its message, from the given character on.
    Words(usize),
}

struct Text {
    token: usize,
    form: Form,
    bytes: Vec<u8>,
    /// Bytes a character.
    unit: usize,
}

/// The tokens that are looked for.
pub struct Search {
    texts: Vec<Text>,
    keys: HashMap<u64, Vec<(usize, usize)>>,
    filter: Vec<u64>,
}

/// A run of characters of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub token: usize,
    pub form: Form,
    /// Length in characters.
    pub chars: usize,
}

/// Runs by their place and form.
pub type Runs = BTreeMap<(u64, Form), Run>;

impl Search {
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let mut search = Self { texts: Vec::new(), keys: HashMap::new(), filter: vec![0; 1 << 14] };
        for (token, text) in tokens.into_iter().enumerate() {
            search.add(token, Form::Plain, 1, text.bytes().collect());
            search.add(token, Form::Utf16Le, 2, text.bytes().flat_map(|b| [b, 0]).collect());
            search.add(token, Form::Utf16Be, 2, text.bytes().flat_map(|b| [0, b]).collect());
            search.add(token, Form::Utf32Le, 4, text.bytes().flat_map(|b| [b, 0, 0, 0]).collect());
            for phase in 0..4 {
                let words = text.as_bytes()[phase..].chunks_exact(4);
                search.add(token, Form::Words(phase), 1, words.flat_map(|w| [w[3], w[2], w[1], w[0]]).collect());
            }
        }
        search
    }

    fn add(&mut self, token: usize, form: Form, unit: usize, bytes: Vec<u8>) {
        for (offset, piece) in bytes.windows(8).enumerate() {
            let key = folded(piece);
            let bit = hashed(key);
            self.filter[bit >> 6] |= 1 << (bit & 63);
            self.keys.entry(key).or_default().push((self.texts.len(), offset));
        }
        self.texts.push(Text { token, form, bytes, unit });
    }

    /// Adds the runs in a piece of memory that begins at an address which is a multiple of 4.
    pub fn look(&self, address: u64, memory: &[u8], runs: &mut Runs) {
        for (index, piece) in memory.windows(8).enumerate().step_by(4) {
            let key = folded(piece);
            let bit = hashed(key);
            if self.filter[bit >> 6] & (1 << (bit & 63)) == 0 {
                continue;
            }
            for (text, offset) in self.keys.get(&key).into_iter().flatten() {
                let text = &self.texts[*text];
                let Some((start, bytes)) = run(&text.bytes, *offset, memory, index) else { continue };
                let chars = bytes / text.unit;
                if chars >= WINDOW {
                    let found = Run { token: text.token, form: text.form, chars };
                    let known = runs.entry((address + start as u64, text.form)).or_insert(found);
                    if known.chars < chars {
                        *known = found;
                    }
                }
            }
        }
    }
}

/// The run of bytes that text and memory have in common around a place where 8 of them might be alike: where it
/// starts in memory and how long it is.
fn run(text: &[u8], offset: usize, memory: &[u8], index: usize) -> Option<(usize, usize)> {
    let alike = |i: usize, j: usize| text[i].eq_ignore_ascii_case(&memory[j]);
    let ahead =
        (0..(text.len() - offset).min(memory.len() - index)).take_while(|n| alike(offset + n, index + n)).count();
    if ahead < 8 {
        return None;
    }
    let behind = (1..=offset.min(index)).take_while(|n| alike(offset - n, index - n)).count();
    Some((index - behind, behind + ahead))
}

fn folded(piece: &[u8]) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| piece[i])) | FOLD
}

fn hashed(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "9A3F0C7712de48B65a90EF1234Cd7788";

    fn runs(memory: &[u8]) -> Vec<(u64, Run)> {
        let mut runs = Runs::new();
        Search::new([TOKEN]).look(0x1000, memory, &mut runs);
        runs.into_iter().map(|((address, _), run)| (address - 0x1000, run)).collect()
    }

    /// The form of a text, as bytes.
    fn written(text: &str, form: Form) -> Vec<u8> {
        match form {
            Form::Plain => text.into(),
            Form::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Form::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Form::Utf32Le => text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(),
            Form::Words(phase) => text.as_bytes()[phase..]
                .as_chunks::<4>()
                .0
                .iter()
                .flat_map(|word| u32::from_be_bytes(*word).to_le_bytes())
                .collect(),
        }
    }

    #[test]
    fn a_token_is_found_at_every_place_in_every_form_and_case() {
        let forms =
            [Form::Plain, Form::Utf16Le, Form::Utf16Be, Form::Utf32Le, Form::Words(0), Form::Words(1), Form::Words(3)];
        for form in forms {
            for text in [TOKEN.to_owned(), TOKEN.to_uppercase(), TOKEN.to_lowercase()] {
                let bytes = written(&text, form);
                for before in 0..40 {
                    let memory = [vec![b'x'; before], bytes.clone(), vec![b'x'; 40]].concat();
                    let found = runs(&memory);
                    assert!(found.iter().any(|(_, run)| run.form == form), "{form:?} at {before}");
                    assert!(found.iter().all(|(_, run)| run.token == 0));
                }
            }
        }
    }

    #[test]
    fn twelve_characters_are_found_wherever_they_start_and_eleven_are_not() {
        for start in 0..=TOKEN.len() - WINDOW {
            for before in 0..9 {
                let piece = |length: usize| {
                    let memory = [&[b'x'; 8][..before.min(8)], &TOKEN.as_bytes()[start..start + length], &[0; 60]];
                    runs(&memory.concat())
                };
                let found = piece(WINDOW);
                assert_eq!(found.len(), 1, "{start} {before}");
                assert_eq!(found[0], (before.min(8) as u64, Run { token: 0, form: Form::Plain, chars: WINDOW }));
                assert!(piece(WINDOW - 1).is_empty());
            }
        }
    }

    #[test]
    fn two_copies_are_two_and_one_is_one() {
        let lower = TOKEN.to_lowercase();
        let memory = [TOKEN.as_bytes(), &[0; 7], lower.as_bytes(), b"==", &TOKEN.as_bytes()[..16], b"!"];
        let found: Vec<usize> = runs(&memory.concat()).iter().map(|(_, run)| run.chars).collect();
        assert_eq!(found, [32, 32, 16]);
    }

    #[test]
    fn what_is_not_the_token_is_not_found() {
        let mut memory = TOKEN.as_bytes().to_vec();
        for at in (10..32).step_by(10) {
            memory[at] ^= 1;
        }
        assert!(runs(&memory).is_empty());
        // Bytes that the folding makes alike are told apart.
        let memory: Vec<u8> = TOKEN.bytes().map(|byte| byte & !0x20).collect();
        assert!(runs(&memory).is_empty());
    }
}
