//! Misbehaviour on demand.

use std::time::Duration;

use serde::Deserialize;

use super::answers::Reply;
use super::front;
use super::post::Post;
use super::refusal::Refusal;
use super::sheet::Format;
use crate::serve::{Answer, End, Piece, Raw};

/// What goes wrong. This is also the form in which the administrator asks for it: `{"kind":"latency","ms":500}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Fault {
    /// The answer comes late. Any other fault comes late with it.
    Latency { ms: u64 },
    /// A redirect.
    Redirect { status: u16, location: String },
    /// A page of a front end: single sign-on (200), firewall (403), gateway (502, 503, 504).
    Html { status: u16 },
    /// The page of a banned address.
    Ban,
    /// REDCap ran out of memory: 200, a block of HTML, then an error.
    OutOfMemory,
    /// The database is down: 200, with (made-up) user and password of the database.
    Database,
    /// The right answer, in pieces of `bytes` bytes with a pause of `ms` behind each.
    Slow {
        #[serde(default = "one")]
        bytes: usize,
        ms: u64,
    },
    /// The right answer's first half, then the end.
    Truncated {
        /// By chunks, the last of which is missing, instead of a length.
        #[serde(default)]
        chunked: bool,
    },
    /// The right answer with a declared length that is wrong by `by` bytes (negative: too short).
    WrongLength { by: i64 },
    /// The connection is torn before the request's body is read.
    ResetBeforeBody,
    /// The connection is torn once the request's body is read.
    ResetAfterBody,
    /// The right answer in Latin-1, declared as UTF-8.
    Latin1,
    /// The token from the request comes back.
    Echo {
        place: Place,
        #[serde(default)]
        case: Case,
        /// In chunks of this many bytes.
        chunk: Option<usize>,
    },
    /// A body without an end.
    Endless,
    /// Any body: `text`, `repeat` times, in UTF-8 or (with `latin1`) one byte a character.
    Body {
        #[serde(default = "ok")]
        status: u16,
        #[serde(default = "plain")]
        content_type: String,
        text: String,
        #[serde(default = "one")]
        repeat: usize,
        #[serde(default)]
        latin1: bool,
    },
}

fn one() -> usize {
    1
}

fn ok() -> u16 {
    200
}

fn plain() -> String {
    "text/plain".to_owned()
}

/// Where a token is echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// In the text of a REDCap error.
    Error,
    /// In a header of the right answer.
    Header,
    /// In the reason phrase of the status line.
    Reason,
    /// In a record's value.
    Data,
}

/// The letters of an echoed token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Case {
    #[default]
    AsSent,
    Lower,
    Upper,
}

impl Fault {
    /// The name that requests are counted under.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Latency { .. } => "latency".to_owned(),
            Self::Redirect { status, .. } => format!("redirect_{status}"),
            Self::Html { status } => format!("html_{status}"),
            Self::Ban => "ban".to_owned(),
            Self::OutOfMemory => "out_of_memory".to_owned(),
            Self::Database => "database".to_owned(),
            Self::Slow { .. } => "slow".to_owned(),
            Self::Truncated { .. } => "truncated".to_owned(),
            Self::WrongLength { .. } => "wrong_length".to_owned(),
            Self::ResetBeforeBody => "reset_before_body".to_owned(),
            Self::ResetAfterBody => "reset_after_body".to_owned(),
            Self::Latin1 => "latin1".to_owned(),
            Self::Echo { .. } => "echo".to_owned(),
            Self::Endless => "endless".to_owned(),
            Self::Body { status, .. } => format!("body_{status}"),
        }
    }

    /// What is wrong with a fault that was asked for, if anything.
    pub(super) fn objection(&self) -> Option<&'static str> {
        let line = |text: &str| !text.is_empty() && text.bytes().all(|b| (b' '..0x7f).contains(&b));
        match self {
            Self::Redirect { status, .. } if !(300..400).contains(status) => Some("a redirect's status is 300 to 399"),
            Self::Redirect { location, .. } if !line(location) => Some("`location` is one line of ASCII"),
            Self::Html { status } | Self::Body { status, .. } if !(200..600).contains(status) => {
                Some("`status` is 200 to 599")
            }
            Self::Body { content_type, .. } if !line(content_type) => Some("`content_type` is one line of ASCII"),
            Self::Body { text, repeat, .. } if text.len().saturating_mul(*repeat) > 1 << 30 => {
                Some("a body is 1 GiB at most")
            }
            Self::Slow { bytes: 0, .. } | Self::Echo { chunk: Some(0), .. } => Some("a piece has 1 byte at least"),
            _ => None,
        }
    }

    /// The answer with this fault in it.
    pub(super) fn spoil(&self, reply: Reply, post: &Post, format: Format) -> Answer {
        match self {
            Self::Latency { .. } => reply.into_answer(),
            Self::Redirect { status, location } => {
                let page = front::html(*status);
                raw(&head(*status, "text/html", &framed(page.len()), &format!("Location: {location}\r\n")), page)
            }
            Self::Html { status } => Answer::Http(front::html_response(*status, front::html(*status))),
            Self::Ban => Answer::Http(front::html_response(403, front::banned())),
            Self::OutOfMemory => Answer::Http(front::html_response(200, OUT_OF_MEMORY.to_owned())),
            Self::Database => Answer::Http(front::html_response(200, DATABASE.to_owned())),
            Self::Slow { bytes, ms } => {
                let head = head(reply.status, &reply.content_type, &framed(reply.body.len()), "");
                let pause = Duration::from_millis(*ms);
                let body = Piece::Slowly { bytes: reply.body, by: *bytes, pause };
                Answer::Raw(Raw { pieces: vec![Piece::Bytes(head.into()), body], end: End::Close })
            }
            Self::Truncated { chunked } => {
                let half = reply.body[..reply.body.len() / 2].to_vec();
                let (framing, body) = if *chunked {
                    (CHUNKED.to_owned(), [format!("{:x}\r\n", half.len()).as_bytes(), &half, b"\r\n"].concat())
                } else {
                    (framed(reply.body.len()), half)
                };
                raw(&head(reply.status, &reply.content_type, &framing, ""), body)
            }
            Self::WrongLength { by } => {
                let declared = reply.body.len().saturating_add_signed(isize::try_from(*by).unwrap_or_default());
                raw(&head(reply.status, &reply.content_type, &framed(declared), ""), reply.body)
            }
            Self::ResetBeforeBody | Self::ResetAfterBody => Answer::Raw(Raw::reset()),
            Self::Latin1 => {
                let body = latin1(&String::from_utf8_lossy(&reply.body)).into();
                Reply { body, ..reply }.into_answer()
            }
            Self::Echo { place, case, chunk } => echo(*place, *case, *chunk, reply, post, format),
            Self::Endless => {
                let head = head(200, &reply.content_type, CHUNKED, "");
                let chunk = format!("10000\r\n{}\r\n", "0123456789abcde\n".repeat(1 << 12));
                let pieces = vec![Piece::Bytes(head.into()), Piece::Forever(chunk.into())];
                Answer::Raw(Raw { pieces, end: End::Close })
            }
            Self::Body { status, content_type, text, repeat, latin1: narrow } => {
                let one = if *narrow { latin1(text) } else { text.clone().into_bytes() };
                let body = one.repeat(*repeat);
                raw(&head(*status, content_type, &framed(body.len()), ""), body)
            }
        }
    }
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

const OUT_OF_MEMORY: &str = "<br />\n<b>Fatal error</b>: Allowed memory size of 134217728 bytes exhausted \
    (tried to allocate 20480 bytes) in <b>/var/www/redcap/made_up.php</b> on line <b>1</b><br />\n\
    {\"error\":\"REDCap ran out of server memory. The request cannot be processed.\"}";

/// Real servers have been seen to print their database's user and password here; these are made up.
const DATABASE: &str = "ERROR: Could not connect to the database server. host: db.example.org, \
    user: made_up_user, password: made_up_password";

fn framed(length: usize) -> String {
    format!("Content-Length: {length}\r\n")
}

fn head(status: u16, content_type: &str, framing: &str, more: &str) -> String {
    let reason = hyper::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Status");
    format!("HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\n{framing}{more}Connection: close\r\n\r\n")
}

fn raw(head: &str, body: impl Into<Vec<u8>>) -> Answer {
    let bytes = [head.as_bytes(), &body.into()].concat();
    Answer::Raw(Raw { pieces: vec![Piece::Bytes(bytes.into())], end: End::Close })
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

fn echo(place: Place, case: Case, chunk: Option<usize>, reply: Reply, post: &Post, format: Format) -> Answer {
    // A line break would end the header it stands in; the rest goes back as it came.
    let token: String = post.text("token").chars().filter(|c| !c.is_control()).collect();
    let token = match case {
        Case::AsSent => token,
        Case::Lower => token.to_lowercase(),
        Case::Upper => token.to_uppercase(),
    };
    let mut status = reply.status;
    let mut reason = "Echo".to_owned();
    let mut more = String::new();
    let mut body = reply.body;
    match place {
        Place::Error => {
            status = 400;
            let message = format!("The request with the token {token} could not be understood");
            body = Refusal { status, message }.body(format).into();
        }
        Place::Header => more = format!("X-Debug: token={token}\r\n"),
        Place::Reason => {
            status = 400;
            body = Refusal::parameter("content").body(format).into();
            reason = format!("Bad Token {token}");
        }
        Place::Data => {
            body = match format {
                Format::Csv => format!("record_id,remarks\n1,\"before {token} behind\"\n"),
                Format::Json => format!("[{{\"record_id\":\"1\",\"remarks\":\"before {token} behind\"}}]"),
                Format::Xml => format!("<records><item><remarks>before {token} behind</remarks></item></records>"),
            }
            .into();
        }
    }
    let framing = if chunk.is_some() { CHUNKED.to_owned() } else { framed(body.len()) };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {}\r\n{framing}{more}Connection: close\r\n\r\n",
        format.content_type()
    );
    let mut pieces = vec![Piece::Bytes(head.into())];
    match chunk {
        None => pieces.push(Piece::Bytes(body)),
        Some(n) => {
            for part in body.chunks(n) {
                let bytes = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
                // A pause behind each chunk, so that the client sees each in a read of its own.
                pieces.push(Piece::Slowly { by: bytes.len(), bytes: bytes.into(), pause: Duration::from_millis(1) });
            }
            pieces.push(Piece::Bytes("0\r\n\r\n".into()));
        }
    }
    Answer::Raw(Raw { pieces, end: End::Close })
}

/// A fault that is due.
struct Due {
    fault: Fault,
    /// Only for requests of this content.
    content: Option<String>,
    /// Requests left; `None`: until cleared.
    left: Option<u32>,
}

/// The faults that are due, oldest first.
#[derive(Default)]
pub(super) struct Faults(Vec<Due>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault, content: Option<String>, times: Option<u32>) {
        self.0.push(Due { fault, content, left: times });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes a fault that bites before the body is read. It cannot be told by content.
    pub(super) fn take_before_body(&mut self) -> Option<Fault> {
        let early = self.0.iter().position(|due| due.fault == Fault::ResetBeforeBody)?;
        Some(self.spend(early))
    }

    /// Takes the faults for a request: every latency, and the first of the others.
    pub(super) fn take(&mut self, content: &str) -> (Duration, Option<Fault>) {
        let (mut late, mut taken) = (Duration::ZERO, None);
        let mut n = 0;
        while n < self.0.len() {
            let due = &self.0[n];
            let fits = due.content.as_deref().is_none_or(|only| only == content);
            let latency = matches!(due.fault, Fault::Latency { .. });
            if !fits || due.fault == Fault::ResetBeforeBody || (!latency && taken.is_some()) {
                n += 1;
                continue;
            }
            let before = self.0.len();
            match self.spend(n) {
                Fault::Latency { ms } => late += Duration::from_millis(ms),
                other => taken = Some(other),
            }
            n += usize::from(self.0.len() == before);
        }
        (late, taken)
    }

    fn spend(&mut self, n: usize) -> Fault {
        match &mut self.0[n].left {
            Some(left) if *left <= 1 => self.0.remove(n).fault,
            Some(left) => {
                *left -= 1;
                self.0[n].fault.clone()
            }
            None => self.0[n].fault.clone(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_spent_by_number_and_content() {
        let mut faults = Faults::default();
        faults.add(Fault::Html { status: 503 }, Some("version".into()), Some(2));
        faults.add(Fault::Latency { ms: 5 }, None, Some(1));
        faults.add(Fault::Ban, None, None);
        assert_eq!(faults.take("version"), (Duration::from_millis(5), Some(Fault::Html { status: 503 })));
        assert_eq!(faults.take("record"), (Duration::ZERO, Some(Fault::Ban)));
        assert_eq!(faults.take("version"), (Duration::ZERO, Some(Fault::Html { status: 503 })));
        assert_eq!(faults.take("version"), (Duration::ZERO, Some(Fault::Ban)));
        faults.clear();
        assert_eq!(faults.take("version"), (Duration::ZERO, None));
    }

    #[test]
    fn a_reset_before_the_body_is_taken_early_only() {
        let mut faults = Faults::default();
        faults.add(Fault::ResetBeforeBody, None, Some(1));
        assert_eq!(faults.take("version"), (Duration::ZERO, None));
        assert_eq!(faults.take_before_body(), Some(Fault::ResetBeforeBody));
        assert_eq!(faults.take_before_body(), None);
    }

    #[test]
    fn nonsense_is_objected_to() {
        let fault = |text: &str| serde_json::from_str::<Fault>(text);
        assert!(fault(r#"{"kind":"nonsense"}"#).is_err());
        assert!(fault(r#"{"kind":"latency"}"#).is_err());
        for bad in [
            r#"{"kind":"redirect","status":200,"location":"/"}"#,
            r#"{"kind":"redirect","status":302,"location":"a\r\nb"}"#,
            r#"{"kind":"html","status":42}"#,
            r#"{"kind":"slow","bytes":0,"ms":1}"#,
            r#"{"kind":"body","text":"0123456789","repeat":1000000000}"#,
        ] {
            assert!(fault(bad).unwrap().objection().is_some(), "{bad}");
        }
        assert_eq!(fault(r#"{"kind":"echo","place":"error"}"#).unwrap().objection(), None);
    }
}
