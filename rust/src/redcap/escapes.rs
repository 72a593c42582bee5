//! The token in data, also where JSON hides it: `\u0030` is `0` to whoever parses it.

use zeroize::Zeroizing;

use super::request::Expect;
use crate::token::{BodyWatch, Scrubber};

/// A watch over the data of an answer: as they come, and of JSON also as they are once they are parsed.
pub(super) struct Watch<'a> {
    raw: BodyWatch<'a>,
    parsed: Option<(Escapes, BodyWatch<'a>)>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(scrubber: &Scrubber<'a>, expect: Expect) -> Self {
        let parsed = (expect == Expect::Json).then(|| (Escapes::default(), scrubber.watch()));
        Self { raw: scrubber.watch(), parsed }
    }

    /// Takes the next chunk. True from the first hit on.
    pub(super) fn sees(&mut self, chunk: &[u8]) -> bool {
        let parsed = self.parsed.as_mut().is_some_and(|(escapes, watch)| watch.sees(&escapes.undo(chunk)));
        self.raw.sees(chunk) || parsed
    }
}

/// Where the last chunk ended.
#[derive(Default)]
enum Escapes {
    #[default]
    Outside,
    /// Behind a backslash.
    Begun,
    /// Behind `\u` and some digits: their number and value.
    Digits(u8, u32),
}

impl Escapes {
    /// The bytes with the escapes of JSON undone. An escape of what no token has becomes a NUL.
    fn undo(&mut self, chunk: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(chunk.len()));
        for byte in chunk {
            *self = match (&*self, *byte) {
                (Self::Outside, b'\\') => Self::Begun,
                (Self::Begun, b'u') => Self::Digits(0, 0),
                (Self::Begun, b'"' | b'\\' | b'/') | (Self::Outside, _) => {
                    plain.push(*byte);
                    Self::Outside
                }
                (Self::Begun, _) => {
                    plain.push(0);
                    Self::Outside
                }
                (Self::Digits(count, value), byte) => match char::from(byte).to_digit(16) {
                    Some(digit) if *count < 3 => Self::Digits(count + 1, value * 16 + digit),
                    Some(digit) => {
                        plain.push(u8::try_from(value * 16 + digit).ok().filter(u8::is_ascii_graphic).unwrap_or(0));
                        Self::Outside
                    }
                    // This is no JSON, and nobody parses it.
                    None => {
                        plain.push(0);
                        Self::Outside
                    }
                },
            };
        }
        plain
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_undone_and_what_no_token_has_is_a_nul() {
        for (text, plain) in [
            ("ab", "ab"),
            (r"\u0041\u0062/", "Ab/"),
            (r#"\/\\\" "#, "/\\\" "),
            (r"\n\u00e4\u2028\u000a", "\0\0\0\0"),
            (r"\u00zz", "\0z"),
            (r"\\u0041", r"\u0041"),
        ] {
            assert_eq!(Escapes::default().undo(text.as_bytes()).as_slice(), plain.as_bytes(), "{text}");
            // What serde_json makes of it is what is looked at.
            if let Ok(parsed) = serde_json::from_str::<String>(&format!("\"{text}\""))
                && parsed.bytes().all(|byte| byte.is_ascii_graphic())
            {
                assert_eq!(parsed, plain);
            }
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_chunks_end(
            text in r"[ab\\u0041]{0,60}",
            sizes in proptest::collection::vec(1..9_usize, 1..60),
        ) {
            let whole = Escapes::default().undo(text.as_bytes());
            let (mut escapes, mut rest, mut parts) = (Escapes::default(), text.as_bytes(), Vec::new());
            for size in sizes.iter().cycle() {
                let (chunk, behind) = rest.split_at(rest.len().min(*size));
                parts.extend_from_slice(&escapes.undo(chunk));
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(&parts, &*whole);
        }
    }
}
