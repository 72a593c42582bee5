//! The Rust value that holds a token.

use std::fmt;

use secrecy::{ExposeSecret, SecretBox};
use zeroize::Zeroizing;

use super::{Fingerprint, Form, FormRule, Scrubber};

/// A token. No `Display`, `Serialize`, `Clone` or `Into`; `Debug` prints a fixed mask; it wipes itself.
///
/// It is made by `store` (through [`Secret::seal`]) and spent in two places: by `redcap`, which writes it into
/// the one request body ([`Secret::write_into`], [`Secret::write_plain_into`]), and by `store`, which puts it somewhere
/// ([`Secret::for_store`]). A test lists the call sites.
pub(crate) struct Secret(SecretBox<[u8]>);

impl Secret {
    /// Seals raw bytes that a store returned: cuts one trailing line break (`\n` or `\r\n`) and judges the
    /// form. The form is returned beside the secret, because "set but malformed" is a fact to show.
    ///
    /// The buffer is taken over, not copied.
    pub(crate) fn seal(mut raw: Zeroizing<Vec<u8>>, rule: &FormRule) -> (Self, Form) {
        if raw.last() == Some(&b'\n') {
            raw.pop();
            if raw.last() == Some(&b'\r') {
                raw.pop();
            }
        }
        let form = rule.judge(&raw);
        // An exactly sized copy: `into_boxed_slice` would reallocate and leave the old block to the allocator.
        let mut exact = vec![0_u8; raw.len()].into_boxed_slice();
        exact.copy_from_slice(&raw);
        (Self(SecretBox::new(exact)), form)
    }

    /// Number of characters (of bytes, where it is not UTF-8). A length is public, a character is not.
    pub(crate) fn n_chars(&self) -> usize {
        let bytes = self.0.expose_secret();
        std::str::from_utf8(bytes).map_or(bytes.len(), |text| text.chars().count())
    }

    /// Whether it is blank. Unset and empty are the same, as in `Sys.getenv()`.
    pub(crate) fn is_blank(&self) -> bool {
        self.0.expose_secret().is_empty()
    }

    /// The public identity.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.0.expose_secret())
    }

    /// Whether two are one token: byte by byte, and in whatever letter case where the rule in force is REDCap's own and
    /// both are of its form. Fingerprints fold the letter case of any form, so they do not say it. How long it takes
    /// tells the length, and no character.
    pub(crate) fn is(&self, other: &Self, rule: &FormRule) -> bool {
        let (one, other) = (self.0.expose_secret(), other.0.expose_secret());
        if one.len() != other.len() {
            return false;
        }
        let folded = *rule == FormRule::Redcap && [one, other].iter().all(|bytes| rule.judge(bytes) == Form::Project);
        let mut differs = 0;
        for (one, other) in one.iter().zip(other) {
            let bits = if folded { one.to_ascii_uppercase() ^ other.to_ascii_uppercase() } else { one ^ other };
            differs = std::hint::black_box(differs | bits);
        }
        differs == 0
    }

    /// What removes this token from texts that others wrote.
    pub(crate) fn scrubber(&self) -> Scrubber<'_> {
        Scrubber::new(self.0.expose_secret())
    }

    /// An exactly sized copy that wipes itself, for a store to put away. `redcap` has no use for it.
    pub(crate) fn for_store(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.expose_secret().to_vec())
    }

    /// Number of bytes that [`Secret::write_into`] appends.
    pub(crate) fn encoded_len(&self) -> usize {
        form_urlencoded::byte_serialize(self.0.expose_secret()).map(str::len).sum()
    }

    /// Appends the token, urlencoded, to a body that wipes itself and has room for it: a growing buffer would
    /// leave a copy behind, so the caller reserves [`Secret::encoded_len`] before.
    pub(crate) fn write_into(&self, body: &mut Zeroizing<Vec<u8>>) {
        debug_assert!(body.capacity() - body.len() >= self.encoded_len());
        for piece in form_urlencoded::byte_serialize(self.0.expose_secret()) {
            body.extend_from_slice(piece.as_bytes());
        }
    }

    /// Number of bytes that [`Secret::write_plain_into`] appends.
    pub(crate) fn plain_len(&self) -> usize {
        self.0.expose_secret().len()
    }

    /// Appends the token as it is, for a body of parts; the caller reserves [`Secret::plain_len`] before.
    pub(crate) fn write_plain_into(&self, body: &mut Zeroizing<Vec<u8>>) {
        debug_assert!(body.capacity() - body.len() >= self.plain_len());
        body.extend_from_slice(self.0.expose_secret());
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(****)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(bytes.to_vec())
    }

    #[test]
    fn one_trailing_line_break_is_cut_and_no_second_one() {
        let token = [b'7'; 32];
        for tail in ["", "\n", "\r\n"] {
            let (secret, form) = Secret::seal(raw(&[&token[..], tail.as_bytes()].concat()), &FormRule::Redcap);
            assert_eq!((secret.n_chars(), form), (32, Form::Project));
        }
        let (_, form) = Secret::seal(raw(&[&token[..], b"\n\n"].concat()), &FormRule::Redcap);
        assert!(matches!(form, Form::Malformed { n_chars: 33, .. }));
    }

    #[test]
    fn letter_case_tells_two_tokens_apart_unless_both_are_of_redcaps_own_form() {
        let own = FormRule::parse("20-64:+").unwrap();
        let is = |one: &str, other: &str, rule: &FormRule| {
            let seal = |text: &str| Secret::seal(raw(text.as_bytes()), rule).0;
            seal(one).is(&seal(other), rule)
        };
        let upper = "ABCDEF00000000000000000000000001";
        let lower = upper.to_lowercase();
        assert!(
            is(upper, &lower, &FormRule::Redcap) && is(upper, upper, &own) && is(upper, &format!("{upper}\n"), &own)
        );
        assert!(!is(upper, &lower, &own));
        assert!(!is(upper, "ABCDEF00000000000000000000000002", &FormRule::Redcap));
        assert!(!is(upper, &upper[1..], &FormRule::Redcap) && !is("", upper, &own));
        // What is of another form than REDCap's is what it is, byte by byte.
        assert!(!is(&upper[1..], &lower[1..], &FormRule::Redcap) && !is("passwort", "Passwort", &FormRule::Redcap));
    }

    #[test]
    fn debug_prints_a_mask_whatever_the_token() {
        let (secret, _) = Secret::seal(raw(&[b'7'; 32]), &FormRule::Redcap);
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(****) Secret(****)");
    }

    #[test]
    fn the_body_gets_the_token_once_urlencoded_without_growing() {
        let (secret, _) = Secret::seal(raw(b"abc+/=abcdefghijklmnop"), &FormRule::parse("22:+/=").unwrap());
        let mut body = Zeroizing::new(Vec::with_capacity(secret.encoded_len()));
        let before = body.as_ptr();
        secret.write_into(&mut body);
        assert_eq!(body.as_ptr(), before);
        assert_eq!(body.as_slice(), b"abc%2B%2F%3Dabcdefghijklmnop");
    }
}
