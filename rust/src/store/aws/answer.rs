//! What the replies of Secrets Manager say. JSON is read in place, and a secret that is JSON itself is unescaped into a
//! buffer that wipes itself before it is read.

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::Raw;
use super::json::{self, Fields, ORIGIN, origin, room, unescaped};
use crate::net::Origin;

/// What a reply says.
#[derive(Debug)]
pub(super) enum Said {
    /// The token, and what stands beside it.
    Secret { value: Raw, origin: Option<Origin> },
    /// There is no such secret, or no such version of it.
    Absent,
    /// The secret is marked for deletion.
    Deleted,
    /// The secret is bytes and no text.
    Binary,
    /// The secret is no JSON object, though a field of it is asked for.
    NotJson,
    /// The secret is a JSON object, though no field of it is asked for.
    IsJson,
    /// The secret has no such field.
    NoField,
    /// The field is no text.
    NotText,
    /// The field `origin` is none.
    BadOrigin,
    /// The identity may not do this.
    Denied,
    /// The identity may not use the key that the secret is encrypted with.
    KeyDenied,
    /// The credentials have expired.
    Expired,
    /// Nobody knows this access key.
    UnknownKey,
    /// The signature is not that of this access key.
    BadSignature,
    /// The signature is of another time than the server's: this machine's clock is wrong.
    Clock,
    /// The request is for another region than the server's.
    Region,
    /// Too many requests.
    Throttled,
    /// A secret of this name is there already.
    Exists,
    /// The request is wrong, for example a name that cannot be one.
    Bad,
    /// It sends us elsewhere.
    Redirected,
    /// It fails: the status.
    Failing(u16),
    /// It is not AWS: the status.
    NotAws(u16),
}

/// The body of a reply. Whatever can be secret stays where it is.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default, rename = "SecretString")]
    text: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "SecretBinary")]
    binary: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "VersionId")]
    version: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "ARN")]
    arn: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "__type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "Message")]
    message: Option<&'a RawValue>,
}

/// A JSON object of the service's. What the parser would say about another text may quote it, so it says nothing.
fn body(bytes: &[u8]) -> Option<Body<'_>> {
    serde_json::from_slice(bytes).ok()
}

/// The text of a secret, for those who write there. `None`: there is no such secret, or no value in it.
pub(super) fn current(status: u16, bytes: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Said> {
    if status != 200 {
        return match failed(status, bytes) {
            Said::Absent => Ok(None),
            said => Err(said),
        };
    }
    let body = body(bytes).filter(|body| body.arn.is_some() || body.version.is_some()).ok_or(Said::NotAws(status))?;
    let is = |value: Option<&RawValue>| value.is_some_and(|value| value.get() != "null");
    match (is(body.text), is(body.binary)) {
        (true, _) => body.text.and_then(unescaped).map(Some).ok_or(Said::NotText),
        (false, true) => Err(Said::Binary),
        (false, false) => Ok(None),
    }
}

/// Reads the reply to a look-up.
pub(super) fn secret(status: u16, bytes: &[u8], field: Option<&str>) -> Said {
    match current(status, bytes) {
        Ok(Some(text)) => token(text, field),
        Ok(None) => Said::Absent,
        Err(said) => said,
    }
}

fn token(mut text: Zeroizing<Vec<u8>>, field: Option<&str>) -> Said {
    let Some(field) = field else {
        // A token begins with a letter or a digit. What is sealed as one should not be somebody's whole record.
        if text.trim_ascii_start().first() == Some(&b'{') && fields(&text).is_some() {
            return Said::IsJson;
        }
        return Said::Secret { value: Raw::new(std::mem::take(&mut *text)), origin: None };
    };
    let Some(fields) = fields(&text) else { return Said::NotJson };
    let Some(value) = fields.get(field) else { return Said::NoField };
    let Some(mut value) = unescaped(value) else { return Said::NotText };
    let Some(origin) = origin(&fields) else { return Said::BadOrigin };
    Said::Secret { value: Raw::new(std::mem::take(&mut *value)), origin }
}

fn fields(text: &[u8]) -> Option<Fields<'_>> {
    serde_json::from_slice(text).ok()
}

/// Whether a secret holds more than the token and its origin.
pub(super) fn has_other_fields(text: &[u8], field: Option<&str>) -> bool {
    let ours = |name: &str| Some(name) == field || name == ORIGIN;
    fields(text).is_some_and(|fields| fields.members().any(|(name, _)| !ours(name)))
}

/// The secret as it is to be: the token, in its field beside the others as they stand in the secret that is there.
pub(super) fn with_token(
    there: Option<&Zeroizing<Vec<u8>>>,
    field: Option<&str>,
    token: &Raw,
) -> Result<Zeroizing<Vec<u8>>, Said> {
    let token = std::str::from_utf8(token.bytes()).map_err(|_| Said::NotText)?;
    let Some(field) = field else {
        if there.is_some_and(|text| fields(text).is_some()) {
            return Err(Said::IsJson);
        }
        let mut text = room(token.len());
        text.extend_from_slice(token.as_bytes());
        return Ok(text);
    };
    let fields = match there {
        // A blank secret is one that is about to be filled.
        Some(text) if !text.trim_ascii().is_empty() => fields(text).ok_or(Said::NotJson)?,
        _ => Fields::default(),
    };
    let mut out = room(json::most(&fields, field, token));
    json::with_member(&fields, field, token, &mut out);
    Ok(out)
}

/// Reads the reply to something that was done.
pub(super) fn done(status: u16, bytes: &[u8]) -> Result<(), Said> {
    match status {
        200 if body(bytes).is_some_and(|body| body.arn.is_some()) => Ok(()),
        _ => Err(failed(status, bytes)),
    }
}

/// Whether something answered as AWS does, whatever it said.
pub(super) fn is_aws(status: u16, bytes: &[u8]) -> Result<(), Said> {
    match failed(status, bytes) {
        said @ (Said::NotAws(_) | Said::Failing(_) | Said::Redirected) => Err(said),
        _ => Ok(()),
    }
}

/// What a reply means that is no success.
fn failed(status: u16, bytes: &[u8]) -> Said {
    let parsed = body(bytes);
    let (code, message) = match &parsed {
        Some(body) => {
            (body.kind.map_or("", |kind| kind.get().trim_matches('"')), body.message.map_or("", RawValue::get))
        }
        // What checks the signatures answers in XML here and there.
        None => (element(bytes, "Code").unwrap_or_default(), element(bytes, "Message").unwrap_or_default()),
    };
    // `com.amazonaws.secretsmanager#ResourceNotFoundException`, or the name alone.
    let code = code.rsplit('#').next().unwrap_or(code);
    let says = |what: &str| message.contains(what);
    match code.strip_suffix("Exception").unwrap_or(code) {
        "ResourceNotFound" => Said::Absent,
        "InvalidRequest" if says("marked") || says("scheduled for deletion") => Said::Deleted,
        "AccessDenied" | "KMSAccessDenied" if says("KMS") || code.starts_with("KMS") => Said::KeyDenied,
        "DecryptionFailure" | "EncryptionFailure" => Said::KeyDenied,
        "AccessDenied" | "NotAuthorized" | "UnauthorizedOperation" => Said::Denied,
        "ExpiredToken" => Said::Expired,
        "UnrecognizedClient" | "InvalidClientTokenId" | "InvalidAccessKeyId" | "AuthFailure" => Said::UnknownKey,
        "RequestExpired" | "RequestTimeTooSkewed" => Said::Clock,
        "InvalidSignature" | "SignatureDoesNotMatch" | "IncompleteSignature" => {
            if says("expired") || says("not yet current") {
                Said::Clock
            } else if says("scoped to") {
                Said::Region
            } else {
                Said::BadSignature
            }
        }
        "Throttling" | "TooManyRequests" | "RequestLimitExceeded" | "LimitExceeded" => Said::Throttled,
        "ResourceExists" => Said::Exists,
        "InvalidRequest"
        | "InvalidParameter"
        | "Validation"
        | "Serialization"
        | "MissingAuthenticationToken"
        | "UnknownOperation"
        | "MalformedPolicyDocument"
        | "PreconditionNotMet" => Said::Bad,
        "InternalService" | "InternalServiceError" | "InternalFailure" | "ServiceUnavailable" => Said::Failing(status),
        _ => match status {
            301..=303 | 307 | 308 => Said::Redirected,
            429 => Said::Throttled,
            500..=599 => Said::Failing(status),
            _ => Said::NotAws(status),
        },
    }
}

/// The text of the first XML element of a name.
fn element<'a>(bytes: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let rest = &text[text.find(&format!("<{name}>"))? + name.len() + 2..];
    rest.split_once('<').map(|(text, _)| text.trim())
}

/// The id of a request, if it is one: of the characters that AWS makes ids of, and no longer than they are.
pub(super) fn request_id(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    ((16..=64).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_code_of_the_service_is_an_answer_of_its_own() {
        let said = |status, body: &str| format!("{:?}", secret(status, body.as_bytes(), None));
        let coded = |code: &str, message: &str| format!(r#"{{"__type":"{code}","message":"{message}"}}"#);
        for (status, code, message, expected) in [
            (400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.", "Absent"),
            (404, "com.amazonaws.secretsmanager#ResourceNotFoundException", "", "Absent"),
            (400, "InvalidRequestException", "because it was marked for deletion.", "Deleted"),
            (400, "InvalidRequestException", "this secret is already scheduled for deletion", "Deleted"),
            (400, "InvalidRequestException", "no", "Bad"),
            (400, "AccessDeniedException", "User: x is not authorized to perform: y", "Denied"),
            (400, "AccessDeniedException", "Access to KMS is not allowed", "KeyDenied"),
            (400, "DecryptionFailure", "", "KeyDenied"),
            (400, "ExpiredTokenException", "The security token included in the request is expired", "Expired"),
            (400, "UnrecognizedClientException", "The security token included is invalid.", "UnknownKey"),
            (400, "InvalidSignatureException", "The request signature we calculated does not match", "BadSignature"),
            (400, "InvalidSignatureException", "Signature expired: 1 is now earlier than 2", "Clock"),
            (400, "InvalidSignatureException", "Signature not yet current: 1 is still later", "Clock"),
            (400, "InvalidSignatureException", "Credential should be scoped to a valid region.", "Region"),
            (400, "ThrottlingException", "Rate exceeded", "Throttled"),
            (400, "ResourceExistsException", "", "Exists"),
            (400, "ValidationException", "", "Bad"),
            (500, "InternalServiceError", "", "Failing(500)"),
            (400, "SomethingElse", "", "NotAws(400)"),
        ] {
            assert_eq!(said(status, &coded(code, message)), expected, "{code} {message}");
        }
        for (status, body, expected) in [
            (403, "<E><Code>SignatureDoesNotMatch</Code><Message>x</Message></E>", "BadSignature"),
            (403, "<E><Code>AccessDenied</Code></E>", "Denied"),
            (403, "<E><Code>InvalidClientTokenId</Code></E>", "UnknownKey"),
            (403, "<html>sign on</html>", "NotAws(403)"),
            (200, "<html>sign on</html>", "NotAws(200)"),
            (200, "{}", "NotAws(200)"),
            (200, r#"{"ARN":"a"}"#, "Absent"),
            (200, r#"{"ARN":"a","SecretBinary":"eA=="}"#, "Binary"),
            (200, r#"{"ARN":"a","SecretString":7}"#, "NotText"),
            (200, r#"{"ARN":"a","SecretString":"{\"a\":1}"}"#, "IsJson"),
            (302, "", "Redirected"),
            (429, "", "Throttled"),
            (503, "", "Failing(503)"),
        ] {
            assert_eq!(said(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_field_of_a_json_secret_is_read_with_its_origin_and_written_beside_the_others() {
        let said = |inner: &str| {
            let reply = serde_json::json!({"ARN": "a", "SecretString": inner}).to_string();
            secret(200, reply.as_bytes(), Some("token"))
        };
        let Said::Secret { value, origin } = said(r#"{"token":"q\"ä","origin":"https://a.example"}"#) else {
            unreachable!()
        };
        assert_eq!((value.bytes(), origin), ("q\"ä".as_bytes(), Some(Origin::parse("https://a.example").unwrap())));
        for (inner, expected) in [
            ("plain", "NotJson"),
            (r#"{"other":"x"}"#, "NoField"),
            (r#"{"token":7}"#, "NotText"),
            (r#"{"token":"x","origin":"nowhere"}"#, "BadOrigin"),
        ] {
            assert_eq!(format!("{:?}", said(inner)), expected, "{inner}");
        }

        let raw = Raw::copy_of(b"new\"");
        let there = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
        let written = with_token(Some(&there(r#"{"a":[1],"token":"old"}"#)), Some("token"), &raw).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(written, serde_json::json!({"token": "new\"", "a": [1]}));
        assert_eq!(&*with_token(None, Some("t"), &raw).unwrap(), br#"{"t":"new\""}"#);
        assert_eq!(&*with_token(Some(&there("old")), None, &raw).unwrap(), b"new\"");
        // What somebody keeps there besides is not overwritten.
        assert!(matches!(with_token(Some(&there(r#"{"a":1}"#)), None, &raw), Err(Said::IsJson)));
        assert!(matches!(with_token(Some(&there("old")), Some("t"), &raw), Err(Said::NotJson)));
        assert!(has_other_fields(br#"{"a":1,"token":"x"}"#, Some("token")));
        assert!(!has_other_fields(br#"{"origin":"x","token":"x"}"#, Some("token")) && !has_other_fields(b"x", None));
    }

    #[test]
    fn an_id_of_a_request_is_made_of_letters_digits_and_dashes() {
        assert!(request_id("b3f1f8a0-0000-4000-8000-0123456789ab").is_some());
        for text in ["", "short", "b3f1f8a0-0000-4000-8000-0123456789ab\n", &"a".repeat(65)] {
            assert!(request_id(text).is_none(), "{text}");
        }
    }
}
