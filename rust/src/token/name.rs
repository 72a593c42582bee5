//! Short names of projects and names of tokens.

use crate::error::{Error, Kind, Result};

/// The prefix that makes a token name of a short name.
const PREFIX: &str = "REDCapSync_";

/// What the names of the audit log's signing keys begin with, in the stores where they are kept beside tokens.
pub(crate) const OF_KEYS: &str = "keycap_audit_key_";

/// Whether a name is that of a signing key, to a store that knows no letter case.
pub(crate) fn is_of_a_key(name: &str) -> bool {
    name.get(..OF_KEYS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OF_KEYS))
}

/// Whether a text has the form of a REDCap token: 32 (project) or 64 (super token) hexadecimal characters,
/// with white space around it or not. Such a value never belongs where a name is asked for.
pub fn looks_like_token(text: &str) -> bool {
    let text = text.trim();
    matches!(text.len(), 32 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether a token stands in a name, whole or with some characters lost: 20 hexadecimal digits in a row, with
/// several digits among them, so that a word such as `FACADE` passes.
fn nearly_a_token(name: &str) -> bool {
    name.as_bytes()
        .windows(20)
        .any(|run| run.iter().all(u8::is_ascii_hexdigit) && run.iter().filter(|b| b.is_ascii_digit()).count() >= 4)
}

/// What is shown of a text that stands where a name belongs: itself, if it is a plain name and no part of a token can
/// be in it (8 hexadecimal digits in a row).
pub(crate) fn as_name(text: &str) -> &str {
    let bytes = text.as_bytes();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let digits = bytes.windows(8).any(|run| run.iter().all(u8::is_ascii_hexdigit));
    if !bytes.is_empty() && bytes.len() <= 40 && bytes.iter().all(plain) && !digits { text } else { "(not a name)" }
}

/// The error for a token that was given where a name belongs. It does not repeat what was given.
pub(crate) fn token_in_argument(argument: &str) -> Error {
    Error::new(
        Kind::TokenInArgument,
        format!("`{argument}` looks like a REDCap token; keycap takes the name of a token, never the token"),
    )
    .hint("what was typed now stands in R's history and call stack: regenerate this token in REDCap")
    .hint("store the new token under a name (see `vignette(\"tokens\", package = \"keycap\")`) and give the name")
    .field("argument", argument)
}

fn checked(text: &str, argument: &str, max: usize, first: fn(u8) -> bool, rule: &str) -> Result<String> {
    if looks_like_token(text) || nearly_a_token(text) {
        return Err(token_in_argument(argument));
    }
    let bytes = text.as_bytes();
    let legal = !bytes.is_empty()
        && bytes.len() <= max
        && first(bytes[0])
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
    if legal {
        Ok(text.to_owned())
    } else {
        Err(Error::new(Kind::Argument, format!("`{argument}` must {rule}")).field("argument", argument))
    }
}

/// The name of a project: a letter, then letters, digits or `_`, 31 characters at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShortName(String);

impl ShortName {
    /// Checks a short name.
    ///
    /// # Errors
    /// `argument` when the form is wrong, `token_in_argument` when a token was given.
    pub fn new(text: &str) -> Result<Self> {
        let rule = "start with a letter, go on with letters, digits or `_`, and have 31 characters at most";
        checked(text, "short_name", 31, |b| b.is_ascii_alphabetic(), rule).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The token name by default: `REDCapSync_<short_name>`.
    pub fn default_token_name(&self) -> TokenName {
        TokenName(format!("{PREFIX}{}", self.0))
    }
}

/// The name under which a token is looked up: letters, digits or `_`, no digit first, 50 characters at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenName(String);

impl TokenName {
    /// Checks a token name.
    ///
    /// # Errors
    /// `argument` when the form is wrong, `token_in_argument` when a token was given.
    pub fn new(text: &str) -> Result<Self> {
        let rule = "have letters, digits or `_`, not start with a digit, and have 50 characters at most";
        checked(text, "token_name", 50, |b| b.is_ascii_alphabetic() || b == b'_', rule).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_legal_short_name_works_with_its_default_token_name() {
        let longest = "A".repeat(31);
        let short = ShortName::new(&longest).unwrap();
        assert!(TokenName::new(short.default_token_name().as_str()).is_ok());
    }

    #[test]
    fn what_is_no_name_is_not_repeated() {
        for name in ["timeoutt", "keyrings", "a-b.c_1234567"] {
            assert_eq!(as_name(name), name);
        }
        for other in ["", "a b", "A=B", "x12345678", "xdeadBEEFx", "\u{1b}[1m", "ä", &"k".repeat(41)] {
            assert_eq!(as_name(other), "(not a name)");
        }
    }

    #[test]
    fn names_outside_the_rule_are_refused() {
        for bad in ["", "1a", "_a", "a b", "a-b", "ä", "a\n", &"a".repeat(33)] {
            assert_eq!(ShortName::new(bad).unwrap_err().kind, Kind::Argument, "{bad:?}");
        }
        for bad in ["", "1a", "a b", "A=B", "a\0", &"a".repeat(51)] {
            assert_eq!(TokenName::new(bad).unwrap_err().kind, Kind::Argument, "{bad:?}");
        }
        assert!(TokenName::new("_x").is_ok());
    }

    #[test]
    fn a_token_in_place_of_a_name_is_refused_without_repeating_it() {
        for token in ["0123456789abcdefABCDEF0123456789".to_owned(), "0F".repeat(32)] {
            for error in [ShortName::new(&token).unwrap_err(), TokenName::new(&token).unwrap_err()] {
                assert_eq!(error.kind, Kind::TokenInArgument);
                assert!(!format!("{error:?}").to_lowercase().contains(&token.to_lowercase()[..8]));
            }
        }
        for cut in
            ["FA4E0123456789abcdef0123456789a", "FA4E0123456789abcdef01234", "T_FA4E0123456789abcdef0123456789ab"]
        {
            assert_eq!(ShortName::new(cut).unwrap_err().kind, Kind::TokenInArgument);
            assert_eq!(TokenName::new(cut).unwrap_err().kind, Kind::TokenInArgument);
        }
        assert!(looks_like_token(" 0123456789abcdefABCDEF0123456789\n"));
        assert!(!looks_like_token("0123456789abcdefABCDEF012345678"));
    }
}
