//! One entry as a line: its head, its check, and its place in the chain.

use std::io;

use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;

use super::digests::{Digests, Named};
use super::entry::{Body, Program};
use super::who::Who;
use crate::hex::hex;

/// The version of the format that is written here.
pub(super) const VERSION: u32 = 1;

/// The longest line that is believed to be one: more is damage.
pub(super) const LONGEST: u64 = 64 << 20;

/// What stands before the check's 16 characters at the end of a line, and what stands after them.
const CHECK: &[u8] = br#","check":""#;
const CHECK_LENGTH: usize = 16;
const END: &[u8] = b"\"}\n";

/// Place in the chain: what the next line says of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The last line's sequence number; 0 before the first.
    pub(super) seq: u64,
    /// The last line's SHA-256; 64 zeros before the first.
    pub(super) hash: String,
}

impl Place {
    /// Before the first line.
    pub(super) fn start() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }
}

/// What all lines of a batch have in common.
pub(super) struct Head<'a> {
    pub(super) time: &'a str,
    pub(super) who: &'a Who,
    pub(super) pid: u32,
    pub(super) program: &'a Program,
}

/// A line but for its check; the keys stand in this order.
#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    seq: u64,
    prev: &'a str,
    time: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    pid: u32,
    keycap: &'static str,
    #[serde(flatten)]
    body: &'a Body<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_digests: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_ids: Option<&'a [String]>,
    #[serde(flatten)]
    program: Option<&'a Program>,
}

impl Head<'_> {
    /// Adds the lines of some entries to a batch and moves the place on.
    ///
    /// # Errors
    /// None that is known: the types have no value that JSON cannot take.
    pub(super) fn write_all(
        &self,
        bodies: &[Body<'_>],
        digests: Option<&Digests>,
        place: &mut Place,
        batch: &mut Vec<u8>,
    ) -> io::Result<()> {
        for body in bodies {
            let seq = place.seq.checked_add(1).ok_or_else(|| io::Error::other("sequence numbers are used up"))?;
            let named = digests.and_then(|digests| digests.named(body));
            let hash = self.line(body, named.as_ref(), seq, &place.hash, batch)?;
            *place = Place { seq, hash };
        }
        Ok(())
    }

    /// Adds the lines of some entries that have no place in a chain. They name no record.
    ///
    /// # Errors
    /// As above.
    pub(super) fn write_loose(&self, bodies: &[Body<'_>], batch: &mut Vec<u8>) -> io::Result<()> {
        let nowhere = Place::start();
        bodies.iter().try_for_each(|body| self.line(body, None, 0, &nowhere.hash, batch).map(drop))
    }

    fn line(
        &self,
        body: &Body<'_>,
        named: Option<&Named<'_>>,
        seq: u64,
        prev: &str,
        batch: &mut Vec<u8>,
    ) -> io::Result<String> {
        let line = Line {
            v: VERSION,
            seq,
            prev,
            time: self.time,
            host: self.who.host.as_deref(),
            uid: self.who.uid,
            user: self.who.user.as_deref(),
            pid: self.pid,
            keycap: env!("CARGO_PKG_VERSION"),
            body,
            record_digests: match named {
                Some(Named::Digests(digests)) => Some(digests),
                _ => None,
            },
            record_ids: match named {
                Some(Named::Plain(ids)) => Some(ids),
                _ => None,
            },
            program: body.is_of_a_program().then_some(self.program),
        };
        let start = batch.len();
        line.serialize(&mut serde_json::Serializer::with_formatter(&mut *batch, OneLine))?;
        batch.pop(); // the closing brace: the check goes before it
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&batch[start..]);
        let checked = batch.len();
        let check = hex(hash.clone().finish().as_ref());
        batch.extend_from_slice(CHECK);
        batch.extend_from_slice(&check.as_bytes()[..CHECK_LENGTH]);
        batch.extend_from_slice(END);
        hash.update(&batch[checked..]);
        Ok(hex(hash.finish().as_ref()))
    }
}

/// What a line says of itself and of the line before. Other keys are not looked at: later versions of keycap
/// may add some.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    /// Version of the format. When it is a newer one, the rest may be anything.
    pub(super) v: u32,
    /// Sequence number, from 1.
    #[serde(default)]
    pub(super) seq: u64,
    /// SHA-256 of the line before.
    #[serde(default)]
    pub(super) prev: String,
}

impl Link {
    /// Of a line with its `\n`; `None` when it is no entry. The check is not looked at.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let seen: Self = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
        let hash = seen.prev.len() == 64 && seen.prev.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (seen.v > VERSION || (seen.v == VERSION && seen.seq > 0 && hash)).then_some(seen)
    }
}

/// The SHA-256 of a line with its `\n`, and whether the check at its end is right.
pub(super) fn hash_and_check(line: &[u8]) -> (String, bool) {
    let mut hash = digest::Context::new(&digest::SHA256);
    let checked = line.len().saturating_sub(CHECK.len() + CHECK_LENGTH + END.len());
    let (content, rest) = line.split_at(checked);
    hash.update(content);
    let right = rest.strip_prefix(CHECK).and_then(|rest| rest.strip_suffix(END)).is_some_and(|check| {
        check.len() == CHECK_LENGTH && hex(hash.clone().finish().as_ref()).as_bytes().starts_with(check)
    });
    hash.update(rest);
    (hex(hash.finish().as_ref()), right)
}

/// Whether a line with its `\n` ends in a check, right or wrong.
pub(super) fn has_check(line: &[u8]) -> bool {
    let checked = line.len().saturating_sub(CHECK.len() + CHECK_LENGTH + END.len());
    line.ends_with(END) && line[checked..].starts_with(CHECK)
}

/// A SHA-256 of what comes piece by piece.
pub(super) struct Sum(digest::Context);

impl Sum {
    pub(super) fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> String {
        hex(self.0.finish().as_ref())
    }
}

/// SHA-256 in hexadecimal characters, lower case.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Compact JSON in which every character that steers a terminal or hides text is escaped. JSON itself asks
/// that only of the first 32 characters.
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = 0;
        if fragment.bytes().all(|byte| byte < 0x7f) {
            return writer.write_all(fragment.as_bytes()); // nearly always; what is below 32 does not come here
        }
        for (at, c) in fragment.char_indices().filter(|(_, c)| is_hidden(*c)) {
            writer.write_all(&fragment.as_bytes()[plain..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain..])
    }
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{200b}'..='\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::audit::{Intent, Outcome, RedcapUser, Refused};
    use crate::error::Kind;

    fn who() -> Who {
        Who { host: Some("db01".into()), uid: Some(1000), user: Some("miller".into()) }
    }

    fn line(body: &Body<'_>, place: &mut Place) -> String {
        let who = who();
        let program = Program::default();
        let head = Head { time: "2025-11-21T23:56:06.123456Z", who: &who, pid: 77, program: &program };
        let mut batch = Vec::new();
        head.write_all(std::slice::from_ref(body), None, place, &mut batch).unwrap();
        String::from_utf8(batch).unwrap()
    }

    /// The line as it was documented, key for key: a change here is a change of the format.
    #[test]
    fn an_intent_and_its_outcome_have_the_documented_keys_in_the_documented_order() {
        let mut place = Place::start();
        let intent = Intent {
            call_id: "c1".into(),
            action: "record/export(fields,records)".into(),
            project: "TEST".into(),
            project_id: Some(12),
            redcap_user: Some(RedcapUser::Declared("miller".into())),
            origin: "https://redcap.example.org".into(),
            bound_by: "registry",
            token_name: "REDCapSync_TEST".into(),
            source: "keyring".into(),
            source_request_id: None,
            fingerprint: "kc1:0011223344556677".into(),
            record_ids: Vec::new(),
        };
        let first = line(&Body::Intent(&intent), &mut place);
        let zeros = "0".repeat(64);
        let version = env!("CARGO_PKG_VERSION");
        let content = format!(
            r#"{{"v":1,"seq":1,"prev":"{zeros}","time":"2025-11-21T23:56:06.123456Z","host":"db01","uid":1000,"user":"miller","pid":77,"keycap":"{version}","phase":"intent","call_id":"c1","action":"record/export(fields,records)","project":"TEST","project_id":12,"redcap_user":{{"declared":"miller"}},"origin":"https://redcap.example.org","bound_by":"registry","token_name":"REDCapSync_TEST","source":"keyring","fingerprint":"kc1:0011223344556677""#
        );
        let check = &sha256(content.as_bytes())[..16];
        assert_eq!(first, format!("{content},\"check\":\"{check}\"}}\n"));

        let outcome = Outcome {
            call_id: "c1".into(),
            status: Some(200),
            class: "ok".into(),
            server_date: Some("Fri, 21 Nov 2025 23:56:06 GMT".into()),
            records: Some(3),
            bytes: 812,
            duration: std::time::Duration::from_micros(1234),
        };
        let second = line(&Body::Outcome(&outcome), &mut place);
        let prev = sha256(first.as_bytes());
        assert!(second.starts_with(&format!(r#"{{"v":1,"seq":2,"prev":"{prev}","time""#)), "{second}");
        assert!(second.contains(
            r#""phase":"outcome","call_id":"c1","status":200,"class":"ok","server_date":"Fri, 21 Nov 2025 23:56:06 GMT","records":3,"bytes":812,"duration_us":1234,"check":""#
        ));
        assert_eq!(place, Place { seq: 2, hash: sha256(second.as_bytes()) });
        assert_eq!(hash_and_check(second.as_bytes()), (place.hash, true));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let refused = Refused {
            action: "version".into(),
            project: Some("TEST".into()),
            origin: None,
            token_name: None,
            source: None,
            fingerprint: None,
            reason: Kind::TokenMissing,
        };
        let text = line(&Body::Refused(&refused), &mut Place::start());
        assert!(
            text.contains(r#","phase":"refused","action":"version","project":"TEST","reason":"token_missing","check""#),
            "{text}"
        );
        let text = line(&Body::Intent(&Intent::default()), &mut Place::start());
        assert!(!text.contains("project_id") && !text.contains("redcap_user"), "{text}");
        assert!(!text.contains("null"), "{text}");
    }

    #[test]
    fn characters_that_steer_a_terminal_or_hide_text_are_escaped() {
        let nasty = "a\n\u{1b}[2J\u{9b}\u{7f}\u{85}\u{202e}\u{2028}\u{200b}\u{feff}\u{e0041}\"\\ü";
        let intent = Intent { action: nasty.into(), ..Intent::default() };
        let text = line(&Body::Intent(&intent), &mut Place::start());
        assert!(
            text.contains(r#""a\n\u001b[2J\u009b\u007f\u0085\u202e\u2028\u200b\ufeff\udb40\udc41\"\\ü""#),
            "{text}"
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["action"], nasty);
    }

    #[test]
    fn a_line_that_lacks_its_end_or_its_link_is_no_entry() {
        let text = line(&Body::Intent(&Intent::default()), &mut Place::start());
        assert_eq!(Link::of(text.as_bytes()).unwrap().seq, 1);
        for cut in 0..text.len() {
            assert!(Link::of(&text.as_bytes()[..cut]).is_none(), "{cut}");
        }
        for bad in ["\n", "{}\n", "[1]\n", "{\"v\":1,\"seq\":0,\"prev\":\"\"}\n"] {
            assert!(Link::of(bad.as_bytes()).is_none(), "{bad}");
            assert!(!hash_and_check(bad.as_bytes()).1);
        }
    }
}
