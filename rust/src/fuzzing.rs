//! What the fuzz targets in `fuzz/` drive: one function a target. Not there in normal builds.
//!
//! Each takes any bytes and fails, by an assertion, when something does not hold that holds for every input: above
//! all, that no 8 characters of the token come out. For that the token has to be in the input often: some bytes that
//! never occur in UTF-8 stand for it and its parts (see [`filled`]).

#![allow(clippy::missing_panics_doc)] // what a target is for

use std::path::Path;

use url::Url;

use crate::error::{Error, Kind};
use crate::net::{Origin, ServerUrl};
use crate::numbers::Numbers;
use crate::project::{Project, Settings, parse_project_file, parse_registry};
use crate::records::{Choices, Export, Fuzzed};
use crate::redcap::{Expect, HEAD, Head, Information, MOST_TEXT, classify, is_data};
use crate::store::{Found, given, given_by_aws, given_by_vault};
use crate::token::{Form, FormRule, ShortName, TokenName, looks_like_token};
use crate::value::{Column, Table};

/// The token of the fuzz targets. Made up.
const TOKEN: &str = "9A3F0C7712DE48B65A90EF1234CD7788";

/// A target: fails by a panic.
pub type Target = fn(&[u8]);

/// The targets by their names.
pub const TARGETS: [(&str, Target); 8] = [
    ("answer", answer),
    ("scrub", scrub),
    ("url", url),
    ("token_form", token_form),
    ("registry", registry),
    ("settings", settings),
    ("store", store),
    ("csv", csv),
];

/// The input with the token in place of some bytes: whole, in lower case, its halves, and all but its last character.
fn filled(input: &[u8]) -> Vec<u8> {
    let lower = TOKEN.to_ascii_lowercase();
    let mut out = Vec::with_capacity(input.len());
    for byte in input {
        match byte {
            0xF8 => out.extend_from_slice(TOKEN.as_bytes()),
            0xF9 => out.extend_from_slice(lower.as_bytes()),
            0xFA => out.extend_from_slice(&TOKEN.as_bytes()[..16]),
            0xFB => out.extend_from_slice(&lower.as_bytes()[16..]),
            0xFC => out.extend_from_slice(&TOKEN.as_bytes()[..31]),
            byte => out.push(*byte),
        }
    }
    out
}

fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(&filled(input)).into_owned()
}

/// No 8 characters of the token stand in what came out.
fn assert_sealed(out: &str) {
    let out = out.to_ascii_uppercase();
    let part = TOKEN.as_bytes().windows(8).find(|part| out.as_bytes().windows(8).any(|here| here == *part));
    assert!(part.is_none(), "a part of the token came out: {out}");
}

/// A message is one line that steers no terminal, and not long.
fn assert_clear(error: &Error) {
    for text in std::iter::once(&error.message).chain(&error.hints) {
        assert!(!text.is_empty() && text.chars().count() < 1000 && !text.contains(char::is_control), "{text:?}");
    }
}

/// The token, sealed as a look-up seals it.
fn with_token<T>(work: impl FnOnce(&Found) -> T) -> T {
    thread_local! {
        static FOUND: Option<Found> = given(TOKEN.as_bytes(), &FormRule::Redcap);
    }
    FOUND.with(|found| work(found.as_ref().unwrap_or_else(|| unreachable!("the token is not blank"))))
}

/// The first bytes of an input, for choices; zeros where it is too short.
fn split<const N: usize>(input: &[u8]) -> ([u8; N], &[u8]) {
    let mut first = [0; N];
    let length = N.min(input.len());
    first[..length].copy_from_slice(&input[..length]);
    (first, &input[length..])
}

/// An answer of a server: status, content type, `Location` (up to the first line break) and body.
pub fn answer(input: &[u8]) {
    const STATUS: [u16; 16] = [200, 201, 301, 302, 307, 400, 401, 403, 404, 406, 408, 429, 500, 501, 502, 999];
    let ([status, kind], rest) = split(input);
    let status = STATUS[usize::from(status) % STATUS.len()];
    let (location, rest) = match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) if (300..400).contains(&status) => (Some(text(&rest[..end])), &rest[end + 1..]),
        _ => (None, rest),
    };
    let content_type = match kind % 3 {
        0 => None,
        1 => Some("text/html; charset=utf-8".to_owned()),
        _ => Some(text(&rest[..rest.len().min(20)])),
    };
    let body = filled(rest);
    let Ok(asked) = Url::parse("https://redcap.example.org/redcap/api/") else { return };
    for expect in [Expect::Version, Expect::Json] {
        let data = is_data(status, &body[..body.len().min(HEAD)], expect);
        assert!(!data || (status == 200 && body.iter().any(u8::is_ascii_graphic)));
    }
    with_token(|found| {
        let scrubber = found.secret.scrubber();
        let head = Head { status, content_type: content_type.as_deref(), location: location.as_deref(), asked: &asked };
        let error = classify(head, &body[..body.len().min(MOST_TEXT)], &scrubber);
        assert_sealed(&format!("{error:?}"));
        assert_clear(&error);
        match Information::read(&body, |text| scrubber.scrub(text)) {
            Ok(Information { id, title, .. }) => assert_sealed(&format!("{id} {title:?}")),
            Err(error) => assert_eq!(error.kind, Kind::NotRedcap),
        }
    });
}

/// Texts that are shown, and data in chunks.
pub fn scrub(input: &[u8]) {
    let ([size], rest) = split(input);
    let bytes = filled(rest);
    let shown = String::from_utf8_lossy(&bytes);
    with_token(|found| {
        let scrubber = found.secret.scrubber();
        let out = scrubber.scrub(&shown);
        assert_sealed(&out);
        assert!(!out.contains(char::is_control));
        assert_eq!(scrubber.scrub(&out), out, "not scrubbed at once");
        let mut watch = scrubber.watch();
        let chunks = bytes.chunks(usize::from(size).max(1));
        let seen = chunks.fold(false, |_, chunk| watch.sees(chunk));
        let there = bytes.windows(TOKEN.len()).any(|here| here.eq_ignore_ascii_case(TOKEN.as_bytes()));
        assert_eq!(seen, there, "the watch over data is wrong");
    });
}

/// The rules for addresses.
pub fn url(input: &[u8]) {
    let text = text(input);
    let holds_token = text.to_ascii_uppercase().contains(TOKEN);
    match ServerUrl::parse(&text) {
        Ok(url) => {
            assert!(!holds_token, "an address with the token in it was taken");
            assert!(url.origin().is_https() || url.is_loopback(), "{url}");
            assert!(url.as_str().ends_with('/') && url.url().query().is_none() && url.url().fragment().is_none());
            assert!(url.url().username().is_empty() && url.url().password().is_none());
            assert_eq!(ServerUrl::parse(url.as_str()).ok().as_ref(), Some(&url));
            assert_eq!(Origin::parse(&url.origin().to_string()).ok().as_ref(), Some(url.origin()));
        }
        Err(error) => {
            assert!(!holds_token || error.kind == Kind::TokenInArgument);
            if holds_token {
                assert_sealed(&format!("{error:?}"));
            }
            assert_clear(&error);
        }
    }
    if let Ok(origin) = Origin::parse(&text) {
        assert!(origin.is_https() || origin.is_loopback());
    }
}

/// Rules for the form of tokens (the first line), values and names.
pub fn token_form(input: &[u8]) {
    let (rule, value) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (&b"redcap"[..], input),
    };
    let value = filled(value);
    if let Ok(rule) = FormRule::parse(&text(rule)) {
        judged(&rule.judge(&value), &rule, &value);
        if let FormRule::Own { min, max, .. } = rule {
            assert!(min >= 20 && max >= min && max <= 512);
        }
    }
    judged(&FormRule::Redcap.judge(&value), &FormRule::Redcap, &value);
    let name = String::from_utf8_lossy(&value);
    let names =
        [ShortName::new(&name).map(|n| n.as_str().to_owned()), TokenName::new(&name).map(|n| n.as_str().to_owned())];
    for checked in names {
        match checked {
            Ok(checked) => {
                assert_eq!(checked, name);
                assert!(!looks_like_token(&checked) && checked.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
            }
            Err(error) => {
                assert_sealed(&format!("{error:?}"));
                assert_clear(&error);
            }
        }
    }
}

/// What is said of a form holds nothing of the value: it consists of these words.
fn judged(form: &Form, rule: &FormRule, value: &[u8]) {
    const WORDS: [&str; 10] = [
        "byte order mark (BOM) in front",
        "byte order mark (BOM) of UTF-16 in front",
        "leading newline",
        "leading blank",
        "surrounded by quotes",
        "trailing newline",
        "trailing blank",
        "not UTF-8",
        "contains `#`: `.Renviron` keeps comments behind a value",
        "not only hexadecimal characters",
    ];
    match form {
        Form::Project if *rule == FormRule::Redcap => assert!(value.len() == 32),
        Form::Project => assert!(value.len() >= 20 && value.is_ascii()),
        Form::Super => assert!(value.len() == 64),
        Form::Malformed { n_chars, what } => {
            let mut words = what.split(", ");
            let count = words.next().unwrap_or_default();
            assert!(count == format!("{n_chars} characters") || count == "1 character", "{what}");
            assert!(words.all(|word| WORDS.contains(&word)), "{what}");
        }
    }
}

/// The registry and a project's file.
pub fn registry(input: &[u8]) {
    let text = text(input);
    let read = |found: Result<Vec<Project>, Error>| match found {
        Ok(projects) => {
            for project in projects {
                assert!(project.redcap_uri.origin().is_https() || project.redcap_uri.is_loopback());
                assert_eq!(Project::from_value(&project.to_value()).ok(), Some(project), "not the same read again");
            }
        }
        Err(error) => {
            assert_eq!(error.kind, Kind::Damaged);
            assert_sealed(&format!("{error:?}"));
            assert_clear(&error);
        }
    };
    read(parse_registry(&text, Path::new("projects.json")));
    read(parse_project_file(&text, Path::new("keycap_T.json")).map(|project| vec![project]));
}

/// A settings file.
pub fn settings(input: &[u8]) {
    match Settings::of_site(&text(input)) {
        Ok(settings) => {
            assert!((1..=600).contains(&settings.limit) && settings.retries <= 5 && !settings.order.is_empty());
            assert!(settings.servers.iter().all(|origin| origin.is_https() || origin.is_loopback()));
        }
        Err(error) => {
            assert!(matches!(error.kind, Kind::Damaged | Kind::Argument));
            assert_sealed(&format!("{error:?}"));
            assert_clear(&error);
        }
    }
}

/// What a store gives: the bytes under a name, the labels of its items, and the replies of a vault and of AWS.
pub fn store(input: &[u8]) {
    vault(input);
    aws(input);
    let ([rule], rest) = split(input);
    let rule = match rule % 3 {
        0 => FormRule::Redcap,
        1 => FormRule::Own { min: 20, max: 64, extra: "+/=".to_owned() },
        _ => FormRule::Own { min: 40, max: 40, extra: String::new() },
    };
    let bytes = filled(rest);
    if let Some(found) = given(&bytes, &rule) {
        let one_break = |value: &[u8]| value.strip_suffix(b"\n").map(|v| v.strip_suffix(b"\r").unwrap_or(v).to_vec());
        let value = one_break(&bytes).unwrap_or_else(|| bytes.clone());
        judged(&found.form, &rule, &value);
        let shown = format!("{found:?} {}", found.secret.fingerprint());
        assert_sealed(&shown);
        assert!(found.secret.encoded_len() >= found.secret.n_chars());
    } else {
        assert!(matches!(&bytes[..], b"" | b"\n" | b"\r\n"));
    }
    #[cfg(target_os = "linux")]
    if let Some(found) = given(TOKEN.as_bytes(), &FormRule::Redcap) {
        assert_sealed(&crate::store::shown(&String::from_utf8_lossy(&bytes), &[found.secret]));
    }
}

/// Where an input has no dictionary of its own: a field of each kind.
const METADATA: &str = r#"[
{"field_name":"id","form_name":"visit","field_type":"text","text_validation_type_or_show_slider_number":"integer"},
{"field_name":"age","form_name":"visit","field_type":"text","text_validation_type_or_show_slider_number":"integer"},
{"field_name":"weight","form_name":"visit","field_type":"calc"},
{"field_name":"price","form_name":"visit","field_type":"text","text_validation_type_or_show_slider_number":"number_comma_decimal"},
{"field_name":"born","form_name":"visit","field_type":"text","text_validation_type_or_show_slider_number":"date_dmy"},
{"field_name":"seen","form_name":"visit","field_type":"text","text_validation_type_or_show_slider_number":"datetime_ymd"},
{"field_name":"smokes","form_name":"visit","field_type":"yesno"},
{"field_name":"sex","form_name":"visit","field_type":"radio","select_choices_or_calculations":"1, female | 2, male | -9, other"},
{"field_name":"grade","form_name":"visit","field_type":"dropdown","select_choices_or_calculations":"A, good | B, bad"},
{"field_name":"signs","form_name":"visit","field_type":"checkbox","select_choices_or_calculations":"1, cough | 2, none"},
{"field_name":"note","form_name":"visit","field_type":"notes"}]"#;

/// An export: what the project says of its fields (up to a record separator, `0x1E`; none: [`METADATA`]) and a body
/// in CSV. Whole or in whatever chunks, at the first try or the second, it becomes the same table or the same error.
pub fn csv(input: &[u8]) {
    let ([how, seed], rest) = split(input);
    let rest = filled(rest);
    let (metadata, body) = match rest.iter().position(|byte| *byte == 0x1E) {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (METADATA.as_bytes(), &rest[..]),
    };
    let choices = [Choices::Code, Choices::Label, Choices::Factor][usize::from(how) % 3];
    let fuzzed = Fuzzed { metadata, missing_codes: "UNK, Unknown | -99, Not asked", choices, types: how & 4 == 0 };
    let mut numbers = Numbers(u64::from(seed));
    let most = [1, 2, 8, 100][numbers.below(4)];
    let mut left = body;
    let chunks = std::iter::from_fn(|| {
        let (chunk, rest) = left.split_at((numbers.below(most) + 1).min(left.len()));
        left = rest;
        (!chunk.is_empty()).then_some(chunk)
    });
    let broken_off = &body[..usize::from(seed).min(body.len())];
    let (whole, pieces) = (fuzzed.read(b"", std::iter::once(body)), fuzzed.read(broken_off, chunks));
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(rendered(&whole), rendered(&pieces));
            assert_eq!((whole.rows, whole.bytes), (pieces.rows, body.len() as u64));
        }
        (Err(whole), Err(pieces)) => {
            assert!(matches!(whole.kind, Kind::NotRedcap | Kind::Connection), "{whole:?}");
            assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
            assert_sealed(&format!("{whole:?}"));
            assert_clear(&whole);
        }
        (whole, pieces) => panic!("whole: {whole:?}, in pieces: {pieces:?}"),
    }
}

/// All that an export says, cell by cell: a second try may leave texts behind that no cell has.
fn rendered(export: &Export) -> Vec<String> {
    let column = |column: &Column, rows: usize| {
        assert_eq!(column.len(), rows);
        if !matches!(column, Column::Text { .. }) {
            return format!("{column:?}");
        }
        let texts: Vec<_> = (0..rows).map(|row| column.text_at(row)).collect();
        assert!(texts.iter().flatten().all(|text| !text.contains('\0')), "a NUL is in {texts:?}");
        format!("{texts:?}")
    };
    let table = |table: &Table, rows: usize| {
        table.columns.iter().map(|(name, cells)| format!("{name}: {}", column(cells, rows))).collect::<Vec<_>>()
    };
    let problems = export.problems.columns.first().map_or(0, |(_, cells)| cells.len());
    let mut all = vec![format!("{} rows, {} repaired", export.rows, export.repaired)];
    all.extend(export.table.iter().flat_map(|records| table(records, export.rows as usize)));
    all.extend(table(&export.problems, problems));
    all
}

/// A reply of AWS's: status and whether a field is asked for (the first byte), and a body that is JSON or not.
fn aws(input: &[u8]) {
    const STATUS: [u16; 9] = [200, 400, 404, 403, 307, 429, 500, 204, 999];
    let ([first], rest) = split(input);
    let status = STATUS[usize::from(first >> 1) % STATUS.len()];
    let body = filled(rest);
    let field = (first & 1 == 1).then_some("token");
    match given_by_aws(status, &body, field, &FormRule::Redcap) {
        Ok(Some(found)) => {
            assert_eq!((status, found.source), (200, "aws"));
            assert!(found.origin.as_ref().is_none_or(|origin| origin.is_https() || origin.is_loopback()));
            assert_sealed(&format!("{:?}", found.secret));
            // A text of JSON becomes what serde_json makes of it, in a text of JSON too.
            let json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap_or_default();
            let text = json(&body)["SecretString"].as_str().unwrap_or_default().to_owned();
            let text = match field {
                Some(field) => json(text.as_bytes())[field].as_str().unwrap_or_default().to_owned(),
                None => text,
            };
            let same = given(text.as_bytes(), &FormRule::Redcap);
            assert!(same.is_some_and(|same| same.secret.fingerprint() == found.secret.fingerprint()));
        }
        Ok(None) => {}
        Err(error) => {
            assert_eq!(error.kind, Kind::Store);
            assert_sealed(&format!("{error:?}"));
            assert_clear(&error);
        }
    }
}

/// A vault's reply: status and version of the engine (the first byte), and a body that is JSON or not.
fn vault(input: &[u8]) {
    const STATUS: [u16; 10] = [200, 404, 400, 403, 503, 307, 429, 500, 204, 999];
    let ([first], rest) = split(input);
    let status = STATUS[usize::from(first >> 1) % STATUS.len()];
    let body = filled(rest);
    match given_by_vault(status, &body, first & 1 == 1, &FormRule::Redcap) {
        Ok(Some(found)) => {
            assert_eq!((status, found.source), (200, "vault"));
            // What is beside the token is the vault's own word; no part of the token that it gave is in the id.
            let id = found.request_id.as_deref().unwrap_or_default();
            assert!(id.is_empty() || id.len() == 36);
            assert!(found.secret.scrubber().scrub(id) == id);
            assert!(found.origin.as_ref().is_none_or(|origin| origin.is_https() || origin.is_loopback()));
            assert_sealed(&format!("{:?}", found.secret));
            // A text of JSON becomes what serde_json makes of it.
            let json: Result<serde_json::Value, _> = serde_json::from_slice(&body);
            let data =
                json.ok().map(|json| if first & 1 == 1 { json["data"]["data"].clone() } else { json["data"].clone() });
            let text = data.as_ref().and_then(|data| data["token"].as_str()).unwrap_or_default();
            let same = given(text.as_bytes(), &FormRule::Redcap);
            assert!(same.is_some_and(|same| same.secret.fingerprint() == found.secret.fingerprint()));
        }
        Ok(None) => assert!(matches!(status, 200 | 404)),
        Err(error) => {
            assert_eq!(error.kind, Kind::Store);
            assert_sealed(&format!("{error:?}"));
            assert_clear(&error);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// The files of a target's corpus.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort_unstable();
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    /// An input that was changed here and there.
    fn mutated(seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
        const PIECES: [&[u8]; 12] =
            [b"\xf8", b"\xf9", b"\xfa\xfb", b"\xfc", b"\n", b"\"", b"%", b"\\u00", b"&#", b"\0", b"\xff", b"https://"];
        let mut input = seeds[numbers.below(seeds.len())].clone();
        for _ in 0..=numbers.below(6) {
            let at = numbers.below(input.len() + 1);
            let to = (at + numbers.below(16)).min(input.len());
            match numbers.below(6) {
                0 => drop(input.drain(at..to)),
                1 if at < input.len() => input[at] = numbers.below(256) as u8,
                2 => drop(input.splice(at..at, PIECES[numbers.below(PIECES.len())].iter().copied())),
                3 => {
                    let again = input[at..to].to_vec();
                    drop(input.splice(at..at, again));
                }
                4 => {
                    let other = &seeds[numbers.below(seeds.len())];
                    let from = numbers.below(other.len() + 1);
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
                _ => input.insert(at, b' ' + numbers.below(95) as u8),
            }
        }
        input
    }

    #[test]
    fn every_fuzz_target_holds_for_its_corpus_and_for_inputs_like_it() {
        for (name, target) in TARGETS {
            let seeds = corpus(name);
            assert!(seeds.len() > 4, "{name}: a corpus of {}", seeds.len());
            let mut numbers = Numbers(0x6B65_7963_6170);
            let like_it = (0..3000).map(|_| mutated(&seeds, &mut numbers)).collect::<Vec<_>>();
            for input in seeds.iter().chain(&like_it) {
                let held = catch_unwind(AssertUnwindSafe(|| target(input))).is_ok();
                assert!(held, "{name} does not hold for {}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn the_targets_of_cargo_fuzz_are_these() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        for (name, _) in TARGETS {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
            let source = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(source.contains(&format!("keycap::fuzzing::{name}")), "{name}");
        }
        assert_eq!(std::fs::read_dir(fuzz.join("fuzz_targets")).unwrap().count(), TARGETS.len());
    }

    #[test]
    fn a_part_of_the_token_that_came_out_is_seen() {
        assert_sealed(&TOKEN[..7]);
        assert!(catch_unwind(|| assert_sealed(&format!("x{}x", &TOKEN[5..13].to_lowercase()))).is_err());
    }
}
