//! What an answer is: data, REDCap's own error, or something that REDCap did not write.
//!
//! By status, content type and first bytes. REDCap's errors begin `ERROR:`, `{"error":` or `<hash><error>`;
//! everything else with a 4xx or 5xx status, and HTML with any status, is the front end's and reported by
//! status and kind, never by its body: such pages can hold the server's own database password.

use url::Url;

use super::objections::objections;
use super::request::Expect;
use crate::error::{Error, Kind};
use crate::token::Scrubber;
use crate::value::Value;

/// How much of an answer that is not data is read.
pub(crate) const MOST_TEXT: usize = 64 * 1024;

/// How many first bytes decide whether a body is data.
pub(crate) const HEAD: usize = 64;

/// The longest text of REDCap's that is shown.
const MOST_SHOWN: usize = 600;

/// Status, headers and address of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) location: Option<&'a str>,
    pub(crate) asked: &'a Url,
}

/// Whether a body that begins so is the data that was asked for. The head holds [`HEAD`] bytes or the whole.
pub(crate) fn is_data(status: u16, head: &[u8], expect: Expect) -> bool {
    if status != 200 {
        return false;
    }
    let head = start(head);
    match expect {
        Expect::Version => is_version(head.trim_ascii_end()),
        Expect::Json => matches!(head.first(), Some(b'[' | b'{')) && !begins_redcap_error(head),
        Expect::Csv | Expect::Bytes => !begins_html(head) && !begins_redcap_error(head),
        Expect::Xml => head.starts_with(b"<?xml") && !begins_redcap_error(head),
        // An answer to a write in XML is one too.
        Expect::Text => (!begins_html(head) || begins_xml(head)) && !begins_redcap_error(head) && !complains(head),
    }
}

/// Whether an answer is a file. A file may begin like anything else; that it has a name tells it from errors and
/// pages. Without one it must have a type: what PHP says of its own has that of a page.
pub(super) fn is_file(status: u16, named: bool, content_type: Option<&str>, head: &[u8]) -> bool {
    let typed = content_type.is_some() && !is_html(content_type);
    status == 200 && (named || (typed && is_data(status, head, Expect::Bytes)))
}

/// How many first bytes of a body [`is_data`] must see. A short text is seen whole: nothing else tells it from a
/// complaint.
pub(super) fn head_of(expect: Expect) -> usize {
    if expect == Expect::Text { MOST_TEXT } else { HEAD }
}

/// Whether a text is a sentence of a server in trouble: its words, with blanks between them. Counts, links, and lists
/// of names are none.
fn complains(text: &[u8]) -> bool {
    let list = text.starts_with(b"[") || text.starts_with(b"{") || text.starts_with(b"id\n");
    let text = String::from_utf8_lossy(&text[..text.len().min(4096)]);
    !list && text.contains(' ') && withheld(&text)
}

pub(super) fn is_version(text: &[u8]) -> bool {
    let parts: Vec<&[u8]> = text.split(|b| *b == b'.').collect();
    (2..=4).contains(&parts.len())
        && parts.iter().all(|part| (1..=4).contains(&part.len()) && part.iter().all(u8::is_ascii_digit))
}

/// A body without a byte order mark and leading blanks.
fn start(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start()
}

/// Whether a body is XML as REDCap writes it, and no page.
fn begins_xml(body: &[u8]) -> bool {
    let body = start(body);
    let Some(declared) = body.strip_prefix(b"<?xml") else { return body.starts_with(b"<hash>") };
    let Some(end) = find(declared, b"?>") else { return false };
    let root = declared[end + 2..].trim_ascii_start();
    let page = root.starts_with(b"<!") || root.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case(b"<html"));
    root.first() == Some(&b'<') && !page
}

fn begins_redcap_error(body: &[u8]) -> bool {
    redcap_error(body).is_some()
}

/// REDCap's own error text, without its wrapping.
fn redcap_error(body: &[u8]) -> Option<String> {
    let body = start(body);
    if let Some(text) = body.strip_prefix(b"ERROR:") {
        return Some(String::from_utf8_lossy(text).trim().to_owned());
    }
    if body.starts_with(b"{") && start(&body[1..]).starts_with(b"\"error\"") {
        let text = serde_json::from_slice::<serde_json::Value>(body).ok();
        let text = text.as_ref().and_then(|v| v.get("error")).and_then(serde_json::Value::as_str);
        let text = text.map_or_else(|| cut_off(&String::from_utf8_lossy(body)), str::to_owned);
        return Some(text.trim_start_matches("ERROR:").trim().to_owned());
    }
    let at = find(&body[..body.len().min(200)], b"<hash>")?;
    let inner = &body[at + 6..];
    let inner = inner[..find(inner, b"</error>").unwrap_or(inner.len())].trim_ascii_start();
    let inner = String::from_utf8_lossy(inner.strip_prefix(b"<error>")?).into_owned();
    let plain = inner.replace("<![CDATA[", "").replace("]]>", "");
    Some(unescape(&plain).trim().trim_start_matches("ERROR:").trim().to_owned())
}

/// The text of an error in JSON that is not valid: cut off, or with Latin-1 in it. Its escapes are undone, or a
/// token could hide in them.
fn cut_off(body: &str) -> String {
    let text = body.split_once(':').map_or(body, |(_, text)| text).trim_start();
    let quoted = text.strip_prefix('"');
    let mut rest = quoted.unwrap_or(text).chars();
    let mut out = String::new();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted.is_some() => break,
            '\\' => match rest.next() {
                Some('n' | 'r' | 't' | 'b' | 'f') => out.push(' '),
                Some('u') => {
                    let digits: String = rest.by_ref().take(4).collect();
                    out.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
                }
                Some(c) => out.push(c),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest.find(';').map(|end| &rest[1..end]);
        let number = |entity: &str| match entity.strip_prefix('#')?.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => entity[1..].parse().ok(),
        };
        let c = entity.and_then(|entity| match entity {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            "amp" => Some('&'),
            other => number(other).and_then(char::from_u32),
        });
        let length = c.and(entity).map_or(1, |entity| entity.len() + 2);
        out.push(c.unwrap_or('&'));
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn begins_html(body: &[u8]) -> bool {
    start(body).first() == Some(&b'<')
}

/// The error that an answer without data amounts to. `body` is its beginning, [`MOST_TEXT`] bytes at most.
pub(crate) fn classify(head: Head<'_>, body: &[u8], scrubber: &Scrubber<'_>) -> Error {
    let status = head.status;
    let error = match status {
        300..=399 => redirect(head, scrubber),
        _ if memory(&body[..body.len().min(4096)]) => out_of_memory(),
        _ => match redcap_error(body) {
            Some(text) if withheld(&text) => in_trouble(),
            Some(text) => redcap(status, &text, scrubber),
            None => front_end(status, begins_html(body) || is_html(head.content_type)),
        },
    };
    error.field("status", status)
}

/// Whether a text has the words in which PHP or REDCap says that its memory is used up.
pub(crate) fn memory(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    body.contains("REDCap ran out of server memory") || body.contains("Allowed memory size of")
}

/// The error for a server whose memory is used up. It is the request's size that did it: the same request fails
/// again, a smaller one may pass. Its field `cause` is `memory`.
pub(crate) fn out_of_memory() -> Error {
    Error::new(Kind::Server, "the REDCap server ran out of memory over this request")
        .hint("ask for less at once: fewer fields, fewer records, or in batches")
        .field("cause", "memory")
}

/// Whether an error is that of [`out_of_memory`].
pub(crate) fn is_out_of_memory(error: &Error) -> bool {
    error.fields.iter().any(|(name, value)| name == "cause" && value.as_text() == Some("memory"))
}

/// Texts that begin like REDCap's errors and are not shown: what a server says of its database has been seen to name
/// the database's user and password.
pub(crate) fn withheld(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["database", "password", "mysql", "sqlstate"].iter().any(|word| text.contains(word))
}

fn in_trouble() -> Error {
    Error::new(
        Kind::Server,
        "the server is in trouble (what it says is not shown: it may hold the server's own secrets)",
    )
    .hint("its database may be down; try again later, and tell the REDCap administrator if it stays so")
}

/// REDCap's own refusals. Status and text together: some servers answer 401 where others answer 403.
fn redcap(status: u16, text: &str, scrubber: &Scrubber<'_>) -> Error {
    let clean = scrubber.scrub(text);
    let shown = shorten(&clean);
    if matches!(status, 401 | 403) && (text.contains("permissions to use the API") || text.is_empty()) {
        return Error::new(Kind::TokenRefused, "REDCap refused the token")
            .hint("the token was revoked or regenerated, the user was suspended, or the API right was withdrawn")
            .hint("look on the project's API page in REDCap; store the new token under the same name, nothing else changes");
    }
    if status == 501 {
        return Error::new(Kind::NotRedcap, "REDCap did not get a POST request")
            .hint("something between here and REDCap changes requests; use the server's own https address");
    }
    if status >= 500 {
        return Error::new(Kind::Server, format!("the REDCap server reports a failure of its own: {shown}"))
            .hint("try again later; if it stays so, tell the REDCap administrator");
    }
    let error = Error::new(Kind::Redcap, format!("REDCap answered: {shown}")).field("answer", shown.as_str());
    // What it objects to in imported data comes line by line.
    let error = match objections(&clean) {
        Some(table) => error.field("problems", Value::Table(table)),
        None => error,
    };
    if status == 403 || text.contains("privileges") || text.contains("permission") {
        error.hint("the token's user lacks a right for this; ask for it, or do without")
    } else if let Some(hint) = where_names_are(&clean) {
        error.hint(hint)
    } else {
        error
    }
}

/// What REDCap says of a token that it does not take, and of nothing else.
const REFUSAL: &str = "You do not have permissions to use the API";

/// Whether a whole answer is REDCap's refusal of the token, word for word. It comes before REDCap looks at what is asked
/// for, so whoever gets it knows that nothing was done.
pub(super) fn refuses_the_token(status: u16, body: &[u8]) -> bool {
    matches!(status, 401 | 403) && redcap_error(body).is_some_and(|text| text.trim_end_matches('.') == REFUSAL)
}

/// Where the names are listed of which one is wrong.
fn where_names_are(text: &str) -> Option<&'static str> {
    let about = |name: &str| text.contains(&format!("parameter \"{name}\""));
    if about("fields") || about("field") {
        Some("`export_metadata()` lists the fields; a checkbox is asked for by the field's own name, without `___1`")
    } else if about("forms") || about("instrument") {
        Some("`export_instruments()` lists the forms by their names, which are not their labels")
    } else if about("events") || about("event") {
        Some("`redcap_call(project, \"event\")` lists the events by their unique names")
    } else {
        None
    }
}

fn is_html(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|kind| kind.to_ascii_lowercase().contains("html"))
}

fn front_end(status: u16, html: bool) -> Error {
    let not_redcap = |message: String| Error::new(Kind::NotRedcap, message);
    match status {
        200..=299 if html => not_redcap("the answer is a web page, not REDCap's API".to_owned())
            .hint("a single sign-on or maintenance page may stand in front; the API address ends in `/api/`")
            .hint("open the address in a browser, and ask the REDCap administrator if the API is reachable from here"),
        200..=299 => not_redcap("the answer is not what REDCap's API gives (it is not shown: it may hold secrets)".to_owned())
            .hint("the server may be in trouble, its database for one; try again later, then tell its administrator"),
        401 | 403 | 407 => not_redcap(format!("something in front of REDCap refused the request (status {status})"))
            .hint("a firewall, a proxy or a ban of this address for too many requests; REDCap's own refusal looks different")
            .hint("ask the REDCap administrator, and say when it happened and from which address"),
        404 | 405 | 410 => not_redcap(format!("there is no REDCap API at this address (status {status})"))
            .hint("the API address ends in `/api/`, often `/redcap/api/`; correct `redcap_uri` with `setup_project(overwrite = TRUE)`"),
        408 => Error::new(Kind::Server, "the server gave up waiting for the request (status 408)").hint("try again"),
        429 => Error::new(Kind::Limit, "the server asks for fewer requests (status 429)")
            .hint("wait a few minutes; lower the setting `limit`"),
        500..=599 => Error::new(Kind::Server, format!("the server or its gateway reports a failure (status {status})"))
            .hint("try again later; if it stays so, tell the REDCap administrator"),
        _ => not_redcap(format!("the answer is not REDCap's (status {status})"))
            .hint("check `redcap_uri`: the API address ends in `/api/`"),
    }
}

/// A redirect, with the new address without user info, query and fragment, scrubbed.
fn redirect(head: Head<'_>, scrubber: &Scrubber<'_>) -> Error {
    let status = head.status;
    let target = head.location.and_then(|location| {
        let mut url = head.asked.join(location).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Some(shorten(&scrubber.scrub(url.as_str())))
    });
    let error = Error::new(
        Kind::Redirect,
        match &target {
            Some(target) => format!("the server redirects (status {status}) to `{target}`; keycap does not follow"),
            None => {
                format!("the server redirects (status {status}) and names no usable address; keycap does not follow")
            }
        },
    )
    .hint("a redirect could lead a token elsewhere; nothing was sent there")
    .hint("if REDCap has moved, set the project up with its new address and `overwrite = TRUE`");
    error.field("location", target)
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= MOST_SHOWN {
        return text.to_owned();
    }
    text.chars().take(MOST_SHOWN).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{FormRule, Secret};
    use zeroize::Zeroizing;

    const TOKEN: &str = "9A3F0C7712DE48B65A90EF1234CD7788";

    fn error(status: u16, location: Option<&str>, body: &str) -> Error {
        let (secret, _) = Secret::seal(Zeroizing::new(TOKEN.as_bytes().to_vec()), &FormRule::Redcap);
        let asked = Url::parse("https://redcap.example.org/redcap/api/").unwrap();
        classify(Head { status, content_type: None, location, asked: &asked }, body.as_bytes(), &secret.scrubber())
    }

    #[test]
    fn each_situation_has_its_own_kind() {
        let refused = "You do not have permissions to use the API";
        for (status, body, kind) in [
            (403, format!("ERROR: {refused}"), Kind::TokenRefused),
            (403, format!("{{\"error\":\"{refused}\"}}"), Kind::TokenRefused),
            (403, format!("<?xml version=\"1.0\"?><hash><error>{refused}</error></hash>"), Kind::TokenRefused),
            (401, format!("{{\"error\": \"{refused}\"}}"), Kind::TokenRefused),
            (403, "ERROR: You do not have API Import/Update privileges".into(), Kind::Redcap),
            (400, "{\"error\":\"The value of the parameter \\\"content\\\" is not valid\"}".into(), Kind::Redcap),
            (406, "ERROR: bad import".into(), Kind::Redcap),
            (403, "<html>forbidden</html>".into(), Kind::NotRedcap),
            (404, "<html>".into(), Kind::NotRedcap),
            (405, "<html>".into(), Kind::NotRedcap),
            (200, "<!DOCTYPE html>".into(), Kind::NotRedcap),
            (200, "Could not connect as 'redcap_user' with 'pw'".into(), Kind::NotRedcap),
            (200, "ERROR: Could not connect to the database server. user: u, password: hunter2".into(), Kind::Server),
            (400, "ERROR: the database server says password: hunter2".into(), Kind::Server),
            (200, "<br><b>Fatal</b>{\"error\":\"REDCap ran out of server memory\"}".into(), Kind::Server),
            (500, "<html>".into(), Kind::Server),
            (502, "<html>".into(), Kind::Server),
            (501, "ERROR: The requested method is not implemented.".into(), Kind::NotRedcap),
            (429, String::new(), Kind::Limit),
            (408, String::new(), Kind::Server),
            (600, String::new(), Kind::NotRedcap),
        ] {
            assert_eq!(error(status, None, &body).kind, kind, "{status} {body}");
        }
    }

    #[test]
    fn what_the_front_end_wrote_is_never_shown() {
        for (status, body) in [
            (200, "ERROR: Could not connect to the database server. user: u, password: hunter2"),
            (400, "ERROR: the database server says password: hunter2"),
            (200, "password=hunter2"),
            (403, "<html>hunter2"),
            (500, "hunter2"),
            (302, "hunter2"),
        ] {
            assert!(!format!("{:?}", error(status, None, body)).contains("hunter2"), "{status}");
        }
    }

    #[test]
    fn a_redirect_names_code_and_address_without_query_user_and_token() {
        for (location, shown) in [
            ("https://u:p@other.example/x?token=1#f", "`https://other.example/x`"),
            ("/login?a=b", "`https://redcap.example.org/login`"),
            (&format!("http://evil.example/{TOKEN}"), "`http://evil.example/[token]`"),
        ] {
            let error = error(307, Some(location), "");
            assert_eq!(error.kind, Kind::Redirect);
            assert!(error.message.contains(shown) && error.message.contains("307"), "{}", error.message);
        }
        assert!(error(302, Some("http://["), "").message.contains("no usable address"));
    }

    #[test]
    fn a_wrong_name_is_answered_with_where_the_names_are() {
        for (parameter, place) in
            [("fields", "export_metadata()"), ("forms", "export_instruments()"), ("events", "event")]
        {
            let text = format!("The following values in the parameter \"{parameter}\" are not valid: 'x'");
            assert!(where_names_are(&text).unwrap().contains(place), "{parameter}");
        }
        assert_eq!(where_names_are("The value of the parameter \"content\" is not valid"), None);
    }

    #[test]
    fn redcaps_text_is_shown_scrubbed_and_short() {
        let error = error(400, None, &format!("ERROR: bad {TOKEN} \u{1b}[31m{}", "x".repeat(5000)));
        assert!(error.message.contains("bad [token]"), "{}", error.message);
        assert!(error.message.chars().count() < 700);
        assert!(!error.message.contains('\u{1b}'));
    }

    #[test]
    fn what_is_wrong_with_imported_data_comes_as_a_table_that_is_scrubbed() {
        for (text, cells) in [
            (format!("\"1\",\"age\",\"{TOKEN}\",\"bad\""), Some("[token]")),
            ("\"1\",\"age\",\"x\",\"bad\"\n\"2\",\"age\",\"y\",\"bad\"".to_owned(), Some("x")),
            ("bad".to_owned(), None),
        ] {
            let error = error(400, None, &format!("ERROR: {text}"));
            let table = error.fields.iter().find_map(|(name, value)| match value {
                Value::Table(table) if name == "problems" => Some(table.columns[2].1.text_at(0).unwrap().to_owned()),
                _ => None,
            });
            assert_eq!(table.as_deref(), cells, "{text}");
        }
    }

    #[test]
    fn escapes_are_undone_in_json_that_is_cut_off_and_in_xml() {
        for (body, text) in [
            (r#"{"error":"no \"field\" A\u0042\n\u00zz C\/D"#, "no \"field\" AB  C/D"),
            (r#"{ "error" : "no field"} and more"#, "no field"),
            (r#"{"error":[1,2"#, "[1,2"),
            (r#"{"error":"\"#, ""),
            (
                "<hash><error>a &lt;b&gt; &amp;lt; &#039;&#x41;&#66; &; & &x; &#xffffffff;</error></hash>",
                "a <b> &lt; 'AB &; & &x; &#xffffffff;",
            ),
        ] {
            assert_eq!(redcap_error(body.as_bytes()).as_deref(), Some(text));
        }
        let escaped = TOKEN.bytes().map(|byte| format!("\\u{byte:04X}")).collect::<Vec<_>>().concat();
        assert!(error(400, None, &format!("{{\"error\":\"x {escaped}")).message.ends_with("x [token]"));
    }

    #[test]
    fn data_is_what_was_asked_for_and_nothing_else() {
        assert!(is_data(200, b"14.5.1", Expect::Version));
        assert!(is_data(200, b"\xef\xbb\xbf14.5.1\n", Expect::Version));
        assert!(!is_data(200, b"<html>", Expect::Version));
        assert!(!is_data(200, b"14", Expect::Version));
        assert!(!is_data(403, b"14.5.1", Expect::Version));
        assert!(is_data(200, b" [{\"a\":1}]", Expect::Json));
        assert!(!is_data(200, b"{ \"error\": \"x\"}", Expect::Json));
        assert!(!is_data(200, b"", Expect::Json));
        for data in ["", "\n", "record_id,a\n1,2\n", "\u{feff}record_id\n", "\"a b\",c\n"] {
            assert!(is_data(200, data.as_bytes(), Expect::Csv), "{data}");
        }
        for other in ["<html>", "\n\n <!DOCTYPE", "ERROR: x", "{\"error\":\"x\"}", "<hash><error>x</error></hash>"] {
            assert!(!is_data(200, other.as_bytes(), Expect::Csv), "{other}");
        }
        assert!(!is_data(400, b"record_id\n", Expect::Csv));
        assert!(is_data(200, b"<?xml version=\"1.0\" ?>\n<ODM>", Expect::Xml));
        for other in ["<html>", "", "a,b", "<?xml version=\"1.0\" encoding=\"UTF-8\" ?><hash><error>x</error></hash>"] {
            assert!(!is_data(200, other.as_bytes(), Expect::Xml), "{other}");
        }
        for data in ["", "1", "{\"count\": 3}", "id\n\"the database\"\n", "https://database.example.org/surveys/?s=A"] {
            assert!(is_data(200, data.as_bytes(), Expect::Text), "{data}");
        }
        for other in ["<html>", "ERROR: x", "{\"error\":\"x\"}", "Could not connect to the database as 'u' with 'p'"] {
            assert!(!is_data(200, other.as_bytes(), Expect::Text), "{other}");
        }
        for data in
            ["<?xml version=\"1.0\" encoding=\"UTF-8\" ?><hash><count>1</count></hash>", "<hash><id>1</id></hash>"]
        {
            assert!(is_data(200, data.as_bytes(), Expect::Text), "{data}");
        }
        for other in [
            "<?xml version=\"1.0\"?>\n<!DOCTYPE html>",
            "<?xml version=\"1.0\"?><HTML>",
            "<?xml version=\"1.0\"",
            "<?xml version=\"1.0\"?><hash><error>x</error></hash>",
            "<hash><error>x</error></hash>",
        ] {
            assert!(!is_data(200, other.as_bytes(), Expect::Text), "{other}");
        }
        assert!(is_data(200, b"%PDF-1.4", Expect::Bytes) && is_data(200, b"\xff\0", Expect::Bytes));
        assert!(!is_data(200, b"<html>", Expect::Bytes) && !is_data(200, b"ERROR: x", Expect::Bytes));
    }

    #[test]
    fn a_file_is_known_by_its_name_or_its_type() {
        let pdf = Some("application/pdf");
        assert!(is_file(200, true, Some("text/html"), b"<html>") && is_file(200, true, None, b"ERROR: x"));
        assert!(is_file(200, false, pdf, b"%PDF") && is_file(200, false, Some("text/csv"), b""));
        assert!(!is_file(200, false, Some("text/html; charset=utf-8"), b"Could not connect as 'u' with 'p'"));
        assert!(!is_file(200, false, None, b"%PDF") && !is_file(200, false, pdf, b"<html>"));
        assert!(!is_file(400, true, pdf, b"%PDF") && !is_file(200, false, pdf, b"ERROR: x"));
    }

    #[test]
    fn a_server_without_memory_is_told_from_other_failures() {
        let memory = error(500, None, "<b>Fatal error</b>: Allowed memory size of 512 bytes exhausted");
        assert!(is_out_of_memory(&memory) && memory.kind == Kind::Server);
        assert!(!is_out_of_memory(&error(500, None, "<html>")));
    }
}
