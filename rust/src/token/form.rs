//! The form of a token.

use crate::error::{Error, Kind, Result};

/// What a value looks like. Never holds a character of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A project token, as the rule in force describes it (REDCap: 32 hexadecimal characters).
    Project,
    /// 64 hexadecimal characters: a REDCap super token. Refused here.
    Super,
    /// Anything else, said precisely.
    Malformed {
        /// Number of characters (of bytes, where the value is not UTF-8).
        n_chars: usize,
        /// What is wrong, in words.
        what: String,
    },
}

impl Form {
    /// The name of the form for tables: `project token`, `super token`, `malformed`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Project => "project token",
            Self::Super => "super token",
            Self::Malformed { .. } => "malformed",
        }
    }
}

/// Which values are taken for tokens. REDCap's own form unless an institution puts a broker with another
/// form in front; those need at least 20 characters, or scrubbing and fingerprints would mean little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormRule {
    /// 32 hexadecimal characters.
    Redcap,
    /// An institution's own: a number of characters, from a set.
    Own {
        /// Least number of characters, 20 or more.
        min: usize,
        /// Largest number of characters.
        max: usize,
        /// The characters besides letters and digits that may occur.
        extra: String,
    },
}

impl FormRule {
    /// Reads a rule as written in settings: `redcap`, or `<n>` or `<min>-<max>` characters with the extra
    /// characters behind a colon, such as `40:+/=`.
    ///
    /// # Errors
    /// `argument` with the rule in words.
    pub fn parse(text: &str) -> Result<Self> {
        if text == "redcap" {
            return Ok(Self::Redcap);
        }
        let wrong = || {
            Error::new(
                Kind::Argument,
                "it must be `redcap`, or a length of 20 to 512 such as `40` or `20-64`, \
                 with the characters allowed besides letters and digits behind a colon, such as `40:+/=`",
            )
        };
        let (length, extra) = text.split_once(':').unwrap_or((text, ""));
        let (min, max) = length.split_once('-').unwrap_or((length, length));
        let (min, max) = (min.parse().map_err(|_| wrong())?, max.parse().map_err(|_| wrong())?);
        let extra_legal = extra.bytes().all(|b| b.is_ascii_punctuation());
        if min < 20 || max < min || max > 512 || !extra_legal {
            return Err(wrong());
        }
        Ok(Self::Own { min, max, extra: extra.to_owned() })
    }

    /// The rule in words, for messages.
    pub fn describe(&self) -> String {
        match self {
            Self::Redcap => "32 hexadecimal characters".to_owned(),
            Self::Own { min, max, extra } => {
                let count = if min == max { format!("{min}") } else { format!("{min} to {max}") };
                let more = if extra.is_empty() { String::new() } else { format!(" or one of `{extra}`") };
                format!("{count} characters, each a letter, a digit{more}")
            }
        }
    }

    /// Judges raw bytes, after one trailing line break was cut by the caller.
    pub(crate) fn judge(&self, bytes: &[u8]) -> Form {
        let fits = match self {
            Self::Redcap => bytes.len() == 32 && bytes.iter().all(u8::is_ascii_hexdigit),
            Self::Own { min, max, extra } => {
                (*min..=*max).contains(&bytes.len())
                    && bytes.iter().all(|b| b.is_ascii_alphanumeric() || extra.as_bytes().contains(b))
            }
        };
        if fits {
            return Form::Project;
        }
        if bytes.len() == 64 && bytes.iter().all(u8::is_ascii_hexdigit) {
            return Form::Super;
        }
        let text = std::str::from_utf8(bytes);
        let n_chars = text.map_or(bytes.len(), |text| text.chars().count());
        Form::Malformed { n_chars, what: self.fault(bytes, text.is_ok(), n_chars) }
    }

    /// What is wrong with a value, in words that hold no character of it but quotes and blanks.
    fn fault(&self, bytes: &[u8], utf8: bool, n_chars: usize) -> String {
        let count = if n_chars == 1 { "1 character".to_owned() } else { format!("{n_chars} characters") };
        let mut faults = vec![count];
        let blank = |b: &u8| b.is_ascii_whitespace();
        let mark = [(&b"\xef\xbb\xbf"[..], ""), (b"\xff\xfe", " of UTF-16"), (b"\xfe\xff", " of UTF-16")];
        let mark = mark.into_iter().find(|(mark, _)| bytes.starts_with(mark));
        if let Some((_, of)) = mark {
            faults.push(format!("byte order mark (BOM){of} in front"));
        }
        match bytes.first() {
            Some(b'\n' | b'\r') => faults.push("leading newline".to_owned()),
            Some(b) if blank(b) => faults.push("leading blank".to_owned()),
            Some(b'"' | b'\'') => faults.push("surrounded by quotes".to_owned()),
            _ => {}
        }
        match bytes.last() {
            Some(b'\n' | b'\r') => faults.push("trailing newline".to_owned()),
            Some(b) if blank(b) => faults.push("trailing blank".to_owned()),
            _ => {}
        }
        if !utf8 {
            faults.push("not UTF-8".to_owned());
        }
        if bytes.contains(&b'#') {
            faults.push("contains `#`: `.Renviron` keeps comments behind a value".to_owned());
        }
        let inner = bytes[mark.map_or(0, |(mark, _)| mark.len())..].trim_ascii();
        if *self == Self::Redcap && !inner.is_empty() && inner.iter().any(|b| !b.is_ascii_hexdigit()) {
            faults.push("not only hexadecimal characters".to_owned());
        }
        faults.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> String {
        match FormRule::Redcap.judge(bytes) {
            Form::Malformed { what, .. } => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_project_token_and_a_super_token_are_told_apart() {
        assert_eq!(FormRule::Redcap.judge(&[b'a'; 32]), Form::Project);
        assert_eq!(FormRule::Redcap.judge(&[b'F'; 64]), Form::Super);
    }

    #[test]
    fn what_is_wrong_is_named_precisely() {
        assert_eq!(fault(&[b'a'; 31]), "31 characters");
        assert_eq!(fault(&[&[b'a'; 32][..], b"\n"].concat()), "33 characters, trailing newline");
        assert_eq!(fault(&[b" ", &[b'a'; 32][..]].concat()), "33 characters, leading blank");
        assert!(fault(&[b"\"", &[b'a'; 32][..], b"\""].concat()).contains("quotes"));
        assert!(fault(&[&[b'a'; 32][..], b" # mine"].concat()).contains("comments"));
        assert!(fault(b"\xff\xfe").contains("not UTF-8"));
        let marked = "33 characters, byte order mark (BOM) in front";
        assert_eq!(fault(&[b"\xef\xbb\xbf", &[b'a'; 32][..]].concat()), marked);
        assert!(fault(&[b"\xff\xfe", &b"a\0".repeat(32)[..]].concat()).contains("(BOM) of UTF-16"));
        assert!(!fault(&[b'a'; 33]).contains("BOM"));
        assert!(fault("äöü".as_bytes()).starts_with("3 characters"));
    }

    #[test]
    fn an_institution_may_have_its_own_form_of_20_characters_or_more() {
        let rule = FormRule::parse("40:+/=").unwrap();
        assert_eq!(rule.judge("abcdefghij+/ABCDEFGHIJ0123456789klmnopq=".as_bytes()), Form::Project);
        assert!(matches!(rule.judge(&[b'a'; 32]), Form::Malformed { .. }));
        for bad in ["", "19", "10-40", "40-30", "600", "40:ä", "x"] {
            assert_eq!(FormRule::parse(bad).unwrap_err().kind, Kind::Argument, "{bad}");
        }
    }
}
