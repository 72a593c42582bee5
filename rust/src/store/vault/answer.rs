//! What a vault's replies say. JSON is read in place: texts that may be secret are borrowed from the reply's buffer,
//! and unescaped into one that wipes itself.

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::Raw;
use super::json::{self, Fields, ORIGIN, member, origin, room, unescaped};
use crate::net::Origin;
use crate::project::KvVersion;

/// What a reply says.
#[derive(Debug)]
pub(super) enum Said {
    /// The token, and what stands beside it.
    Secret { value: Raw, request_id: Option<String>, origin: Option<Origin> },
    /// There is nothing under this path.
    Absent,
    /// The version was deleted, and can be had back.
    Deleted { version: u64, on: Option<String> },
    /// The version was destroyed.
    Destroyed { version: u64 },
    /// The secret has no such field.
    NoField,
    /// The field is no text.
    NotText,
    /// The field `origin` is none.
    BadOrigin,
    /// The token may not do this, or it is no token any more.
    Denied,
    /// The vault is sealed.
    Sealed,
    /// The vault was never initialised.
    NotInitialised,
    /// Nothing is mounted there.
    NoMount,
    /// There is no such namespace.
    NoNamespace,
    /// The engine is of version 2.
    Versioned,
    /// Somebody else wrote meanwhile.
    Changed,
    /// The request is wrong: at a login, what it says of itself.
    Bad,
    /// It sends us elsewhere.
    Redirected,
    /// It is overloaded, or fails: the status.
    Failing(u16),
    /// It is no vault: the status.
    NotVault(u16),
}

/// The body of a reply. Whatever can be secret stays where it is.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    auth: Option<&'a RawValue>,
    #[serde(borrow, default)]
    wrap_info: Option<&'a RawValue>,
    #[serde(borrow, default)]
    errors: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    warnings: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    initialized: Option<bool>,
    #[serde(default)]
    sealed: Option<bool>,
}

/// `data` of version 2.
#[derive(Deserialize)]
struct Versioned<'a> {
    #[serde(borrow, default)]
    data: Option<Fields<'a>>,
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    version: u64,
    #[serde(borrow, default)]
    deletion_time: Option<&'a RawValue>,
    #[serde(default)]
    destroyed: bool,
}

/// A JSON object of a vault's. What the parser would say about another text may quote it, so it says nothing.
fn body(bytes: &[u8]) -> Option<Body<'_>> {
    serde_json::from_slice(bytes).ok()
}

/// What stands under a path, for those who write there.
pub(super) struct Entry {
    pub(super) version: u64,
}

/// Reads the reply to a look-up.
pub(super) fn secret(status: u16, bytes: &[u8], kv: KvVersion, field: &str) -> Said {
    let (fields, request_id) = match found(status, bytes, kv) {
        Ok(Some((fields, _, request_id))) => (fields, request_id),
        Ok(None) => return Said::Absent,
        Err(said) => return said,
    };
    let Some(value) = fields.get(field) else { return Said::NoField };
    let Some(value) = unescaped(value) else { return Said::NotText };
    let Some(origin) = origin(&fields) else { return Said::BadOrigin };
    let mut value = value;
    Said::Secret { value: Raw::new(std::mem::take(&mut *value)), request_id, origin }
}

/// Reads the reply to a look-up before a secret is written: what was deleted can be written anew.
pub(super) fn entry(status: u16, bytes: &[u8], kv: KvVersion) -> Result<Option<Entry>, Said> {
    match found(status, bytes, kv) {
        Ok(found) => Ok(found.map(|(_, version, _)| Entry { version })),
        Err(Said::Deleted { version, .. } | Said::Destroyed { version }) => Ok(Some(Entry { version })),
        Err(said) => Err(said),
    }
}

type Found<'a> = (Fields<'a>, u64, Option<String>);

fn found(status: u16, bytes: &[u8], kv: KvVersion) -> Result<Option<Found<'_>>, Said> {
    let parsed = body(bytes);
    match (status, &parsed) {
        (200, Some(body)) => {
            let data = body.data.ok_or(Said::NotVault(status))?;
            let fields = match kv {
                KvVersion::One => (serde_json::from_str(data.get()).map_err(|_| Said::NotVault(status))?, 0),
                KvVersion::Two => {
                    let data: Versioned<'_> = serde_json::from_str(data.get()).map_err(|_| Said::NotVault(status))?;
                    deleted(&data.metadata).map_or(Ok(()), Err)?;
                    (data.data.unwrap_or_default(), data.metadata.version)
                }
            };
            Ok(Some((fields.0, fields.1, body.request_id.and_then(request_id))))
        }
        (404, Some(body)) => {
            if let Some(data) = body.data {
                let gone = serde_json::from_str::<Versioned<'_>>(data.get()).ok();
                if let Some(said) = gone.and_then(|gone| deleted(&gone.metadata)) {
                    return Err(said);
                }
            }
            if body.warnings.as_ref().is_some_and(|warnings| warnings.iter().any(|text| says(text, "versioned K"))) {
                return Err(Said::Versioned);
            }
            match &body.errors {
                Some(errors) if errors.iter().any(|text| says(text, "no handler for route")) => Err(Said::NoMount),
                Some(errors) if errors.iter().any(|text| says(text, "namespace not found")) => Err(Said::NoNamespace),
                Some(errors) if errors.is_empty() => Ok(None),
                _ => Err(Said::NotVault(status)),
            }
        }
        _ => Err(failed(status, parsed.as_ref())),
    }
}

/// Whether a version is gone, and since when.
fn deleted(metadata: &Metadata<'_>) -> Option<Said> {
    let version = metadata.version;
    if metadata.destroyed {
        return Some(Said::Destroyed { version });
    }
    let time = metadata.deletion_time.and_then(unescaped).filter(|time| !time.is_empty())?;
    Some(Said::Deleted { version, on: moment(&time) })
}

/// `2026-11-22T03:06:24.123456789Z` to the second, and nothing that is not of this form.
fn moment(time: &[u8]) -> Option<String> {
    const FORM: &[u8; 19] = b"0000-00-00T00:00:00";
    let head = time.get(..FORM.len())?;
    let fits =
        head.iter().zip(FORM).all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form });
    if !fits {
        return None;
    }
    let text = std::str::from_utf8(head).ok()?;
    Some(format!("{} UTC", text.replace('T', " ")))
}

/// Reads the reply to something that was done.
pub(super) fn done(status: u16, bytes: &[u8]) -> Result<(), Said> {
    let parsed = body(bytes);
    let says_so = |what: &str| {
        let errors = parsed.as_ref().and_then(|body| body.errors.as_ref());
        errors.is_some_and(|errors| errors.iter().any(|text| says(text, what)))
    };
    match status {
        204 => Ok(()),
        200 if parsed.is_some() => Ok(()),
        400 if says_so("check-and-set") => Err(Said::Changed),
        404 if says_so("no handler for route") => Err(Said::NoMount),
        _ => Err(failed(status, parsed.as_ref())),
    }
}

/// Reads the reply to a question for the server's health.
pub(super) fn health(status: u16, bytes: &[u8]) -> Result<(), Said> {
    let parsed = body(bytes);
    match (status, parsed.as_ref().and_then(|body| body.initialized.zip(body.sealed))) {
        (_, Some((false, _))) => Err(Said::NotInitialised),
        (_, Some((true, true))) => Err(Said::Sealed),
        (200, Some((true, false))) => Ok(()),
        _ => Err(failed(status, parsed.as_ref())),
    }
}

/// Reads the reply to a login: the vault's own token.
pub(super) fn login(status: u16, bytes: &[u8]) -> Result<Raw, Said> {
    let parsed = body(bytes);
    let token = match (status, parsed.as_ref().and_then(|body| body.auth)) {
        (200, Some(auth)) => member(auth, "client_token"),
        (200, None) => None,
        _ => return Err(failed(status, parsed.as_ref())),
    };
    token.filter(|token| !token.bytes().is_empty()).ok_or(Said::NotVault(status))
}

/// Reads the reply to an unwrapping: the secret id.
pub(super) fn secret_id(status: u16, bytes: &[u8]) -> Result<Raw, Said> {
    let parsed = body(bytes);
    match (status, parsed.as_ref().and_then(|body| body.data)) {
        (200, Some(data)) => member(data, "secret_id").ok_or(Said::NoField),
        (200, None) => Err(Said::NotVault(status)),
        _ => Err(failed(status, parsed.as_ref())),
    }
}

/// The wrapping token in a file: alone, or in the reply that a wrapping gave.
pub(super) fn wrapping_token(bytes: &[u8]) -> Option<Raw> {
    if bytes.first() == Some(&b'{') {
        return member(body(bytes)?.wrap_info?, "token");
    }
    Some(Raw::copy_of(bytes))
}

/// What a status means that no other reading took.
fn failed(status: u16, parsed: Option<&Body<'_>>) -> Said {
    let by_vault = parsed.is_some_and(|body| body.errors.is_some());
    match status {
        301..=303 | 307 | 308 => Said::Redirected,
        403 if by_vault => Said::Denied,
        503 if parsed
            .and_then(|body| body.errors.as_ref())
            .is_some_and(|e| e.iter().any(|text| says(text, "sealed"))) =>
        {
            Said::Sealed
        }
        400 | 405 if by_vault => Said::Bad,
        404 if parsed
            .and_then(|body| body.errors.as_ref())
            .is_some_and(|e| e.iter().any(|text| says(text, "namespace"))) =>
        {
            Said::NoNamespace
        }
        404 if by_vault => Said::NoMount,
        412 | 429 | 472 | 473 | 500..=599 => Said::Failing(status),
        _ => Said::NotVault(status),
    }
}

/// Whether a text of the vault's has some words in it. It is compared and never shown.
fn says(text: &RawValue, what: &str) -> bool {
    text.get().contains(what)
}

/// The id of a request, if it is one: a UUID, which cannot be something else that a server likes to see in a log.
fn request_id(raw: &RawValue) -> Option<String> {
    const FORM: &[u8; 36] = b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    let text = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    let fits = |(byte, form): (u8, &u8)| if *form == b'x' { byte.is_ascii_hexdigit() } else { byte == b'-' };
    (text.len() == FORM.len() && text.bytes().zip(FORM).all(fits)).then(|| text.to_owned())
}

/// Whether a secret holds more than the token and its origin.
pub(super) fn has_other_fields(bytes: &[u8], kv: KvVersion, field: &str) -> bool {
    let ours = |name: &str| name == field || name == ORIGIN;
    matches!(found(200, bytes, kv), Ok(Some((fields, ..))) if fields.members().any(|(name, _)| !ours(name)))
}

/// The body that writes a token, with the other fields as they stand in a reply to a look-up. `None` where the token
/// is no text.
pub(super) fn with_field(
    current: &[u8],
    kv: KvVersion,
    field: &str,
    value: &Raw,
    cas: Option<u64>,
) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(value.bytes()).ok()?;
    let fields = match found(200, current, kv) {
        Ok(Some((fields, ..))) => fields,
        _ => Fields::default(),
    };
    let mut out = room(json::most(&fields, field, text) + 80);
    let before = out.capacity();
    if let Some(cas) = cas {
        out.extend_from_slice(format!("{{\"options\":{{\"cas\":{cas}}},\"data\":").as_bytes());
    }
    json::with_member(&fields, field, text, &mut out);
    if cas.is_some() {
        out.push(b'}');
    }
    debug_assert_eq!(out.capacity(), before, "it grew, and left a copy behind");
    Some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_written_is_read_again_with_the_other_fields_beside_it() {
        let current = br#"{"data":{"data":{"a\"b":[1,"x"],"token":"old","origin":"https://a.example"},
            "metadata":{"version":3}}}"#;
        let value = Raw::copy_of("q\"\\\u{1}\u{e4}".as_bytes());
        let body = with_field(current, KvVersion::Two, "token", &value, Some(3)).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["options"]["cas"], 3);
        assert_eq!(json["data"]["token"], "q\"\\\u{1}\u{e4}");
        assert_eq!(json["data"]["a\"b"], serde_json::json!([1, "x"]));
        assert_eq!(json["data"]["origin"], "https://a.example");
        assert_eq!(json["data"].as_object().unwrap().len(), 3);

        let body = with_field(br#"{"errors":[]}"#, KvVersion::One, "token", &value, None).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json, serde_json::json!({"token": "q\"\\\u{1}\u{e4}"}));
        assert!(with_field(b"{}", KvVersion::One, "token", &Raw::copy_of(&[0xFF]), None).is_none());
    }

    #[test]
    fn an_id_of_a_request_is_a_uuid_and_a_moment_is_a_moment() {
        let id = |json: &str| request_id(serde_json::from_str(json).unwrap());
        assert!(id(r#""b3f1f8a0-0000-4000-8000-0123456789ab""#).is_some());
        for json in
            [r#""""#, r#""b3f1f8a0-0000-4000-8000-0123456789a\n""#, "7", r#""x3f1f8a0-0000-4000-8000-0123456789ab""#]
        {
            assert!(id(json).is_none(), "{json}");
        }
        assert_eq!(moment(b"2026-11-22T03:06:24.123456789Z").unwrap(), "2026-11-22 03:06:24 UTC");
        assert!(moment(b"9A3F0C7712DE48B65A90").is_none() && moment(b"2026").is_none());
    }

    #[test]
    fn a_reply_that_is_no_vaults_is_told_from_one_that_says_no() {
        let said = |status, body: &str| format!("{:?}", secret(status, body.as_bytes(), KvVersion::Two, "token"));
        for (status, body, expected) in [
            (200, "<html>sign on</html>", "NotVault(200)"),
            (200, "{}", "NotVault(200)"),
            (200, r#"{"data":{"token":"x"}}"#, "NotVault(200)"),
            (404, "not found", "NotVault(404)"),
            (404, r#"{"message":"no route"}"#, "NotVault(404)"),
            (404, r#"{"errors":[]}"#, "Absent"),
            (403, "<html>", "NotVault(403)"),
            (403, r#"{"errors":["permission denied"]}"#, "Denied"),
            (307, "", "Redirected"),
            (502, "<html>", "Failing(502)"),
            (503, r#"{"errors":["Vault is sealed"]}"#, "Sealed"),
            (503, "", "Failing(503)"),
            (429, "", "Failing(429)"),
            (400, r#"{"errors":["x"]}"#, "Bad"),
            (200, r#"{"data":{"data":{"token":7},"metadata":{"version":1}}}"#, "NotText"),
            (200, r#"{"data":{"data":{"other":"x"},"metadata":{"version":1}}}"#, "NoField"),
            (200, r#"{"data":{"data":{"token":"x","origin":"nowhere"},"metadata":{"version":1}}}"#, "BadOrigin"),
            (200, r#"{"data":{"data":{"token":"x","origin":7},"metadata":{"version":1}}}"#, "BadOrigin"),
        ] {
            assert_eq!(said(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_wrapping_token_stands_alone_or_in_the_reply() {
        let token = |text: &str| wrapping_token(text.as_bytes()).map(|token| token.bytes().to_vec());
        assert_eq!(token("s.abc").unwrap(), b"s.abc");
        assert_eq!(token(r#"{"wrap_info":{"token":"s.abc","ttl":60}}"#).unwrap(), b"s.abc");
        assert!(token(r#"{"auth":{"client_token":"s.abc"}}"#).is_none());
    }
}
