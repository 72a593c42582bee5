//! JSON that may hold a secret: read in place, unescaped into buffers that wipe themselves, written into one whose size
//! is known before.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::raw::Raw;
use crate::net::Origin;

/// Members of one object at most.
const MOST_MEMBERS: usize = 1000;

/// The member beside a token that names the only server that the token may go to.
pub(super) const ORIGIN: &str = "origin";

/// The origin that stands beside a token, if one does; `None` where what stands there is no origin.
#[expect(clippy::option_option, reason = "not there and not usable are different answers")]
pub(super) fn origin(fields: &Fields<'_>) -> Option<Option<Origin>> {
    let Some(said) = fields.get(ORIGIN).filter(|said| said.get() != "null") else { return Some(None) };
    let text = unescaped(said)?;
    Origin::parse(std::str::from_utf8(&text).ok()?).ok().map(Some)
}

/// A buffer of a known size: one that grows leaves copies behind.
pub(super) fn room(size: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(size))
}

/// The members of an object, in their order. Names are no secrets.
#[derive(Default)]
pub(super) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The value of the first member of a name.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| *value)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &(String, &'a RawValue)> {
        self.0.iter()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    // What is left out here would be lost where the object is written again.
                    if fields.len() >= MOST_MEMBERS {
                        return Err(A::Error::custom("more members than are read"));
                    }
                    fields.push((name, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A member of an object that is a text.
pub(super) fn member(object: &RawValue, name: &str) -> Option<Raw> {
    let fields: Fields<'_> = serde_json::from_str(object.get()).ok()?;
    unescaped(fields.get(name)?).map(|mut text| Raw::new(std::mem::take(&mut *text)))
}

/// The text that a JSON string stands for; `None` for what is no string, or stands for no text.
pub(super) fn unescaped(raw: &RawValue) -> Option<Zeroizing<Vec<u8>>> {
    let text = raw.get().strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    // Never longer than it is written.
    let mut out = room(text.len());
    let mut rest = text;
    // Byte by byte: a search by vectors lays 32 bytes at a time, which is a token, on the stack.
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let (escape, behind) = (*rest.get(at + 1)?, &rest[at + 2..]);
        rest = behind;
        let plain = match escape {
            b'"' | b'\\' | b'/' => escape,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (first, behind) = unit(rest)?;
                rest = behind;
                let code = match first {
                    0xD800..0xDC00 => {
                        let (second, behind) = unit(rest.strip_prefix(b"\\u")?)?;
                        rest = behind;
                        if !(0xDC00..0xE000).contains(&second) {
                            return None;
                        }
                        0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
                    }
                    code => code,
                };
                let mut utf8 = Zeroizing::new([0_u8; 4]);
                let length = char::from_u32(code)?.encode_utf8(&mut *utf8).len();
                out.extend_from_slice(&utf8[..length]);
                continue;
            }
            _ => return None,
        };
        out.push(plain);
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// Four hexadecimal digits, and what is behind them.
fn unit(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.get(..4)?;
    let value = digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))?;
    Some((value, &text[4..]))
}

/// An object of texts, as a body. `None` where one is no text.
pub(super) fn object(members: &[(&str, &[u8])]) -> Option<Zeroizing<Vec<u8>>> {
    let size: usize = members.iter().map(|(name, value)| 6 * (name.len() + value.len()) + 6).sum();
    let mut out = room(size + 2);
    out.push(b'{');
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        quoted(name, &mut out);
        out.push(b':');
        quoted(std::str::from_utf8(value).ok()?, &mut out);
    }
    out.push(b'}');
    Some(out)
}

/// Appends a text as JSON, six times its length and two at most.
fn quoted(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// What [`with_member()`] writes at most: an escape takes six characters.
pub(super) fn most(fields: &Fields<'_>, name: &str, text: &str) -> usize {
    let others: usize = fields.members().map(|(name, value)| 6 * name.len() + value.get().len() + 8).sum();
    others + 6 * (name.len() + text.len()) + 10
}

/// Appends an object: a member that is a text, and the other members as they stand.
pub(super) fn with_member(fields: &Fields<'_>, name: &str, text: &str, out: &mut Vec<u8>) {
    out.push(b'{');
    quoted(name, out);
    out.push(b':');
    quoted(text, out);
    for (other, value) in fields.members().filter(|(other, _)| other != name) {
        out.push(b',');
        quoted(other, out);
        out.push(b':');
        out.extend_from_slice(value.get().as_bytes());
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn text(json: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(json).ok()?;
        unescaped(raw).map(|text| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn an_object_is_read_with_all_its_members_or_not_at_all() {
        let object = |members: usize| {
            let members: Vec<String> = (0..members).map(|at| format!("\"m{at}\":{at}")).collect();
            format!("{{{}}}", members.join(","))
        };
        let full = object(MOST_MEMBERS);
        let fields: Fields<'_> = serde_json::from_str(&full).unwrap();
        let mut out = Vec::new();
        with_member(&fields, "token", "x", &mut out);
        let again: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&out).unwrap();
        assert_eq!(again.len(), MOST_MEMBERS + 1);
        assert!(serde_json::from_str::<Fields<'_>>(&object(MOST_MEMBERS + 1)).is_err());
    }

    #[test]
    fn texts_are_unescaped_as_serde_json_does_it() {
        for json in [
            r#""""#,
            r#""plain""#,
            r#""\u003c+/=\u003E\/""#,
            r#""a\"b\\c\b\f\n\r\t""#,
            r#""\u00e4\ud83d\ude00x""#,
            "\"\u{e4}\u{1f600}\"",
        ] {
            assert_eq!(text(json).unwrap(), serde_json::from_str::<String>(json).unwrap(), "{json}");
        }
        for json in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\u0041""#, "3", "null", "[]", "{}"] {
            assert!(text(json).is_none(), "{json}");
        }
    }
}
