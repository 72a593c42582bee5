//! The short public identity of a token.

use ring::digest;
use zeroize::Zeroizing;

use crate::hex::hex;

/// `kc1:` and 16 hexadecimal characters: the first 8 bytes of a domain-separated SHA-256 of the token in
/// upper case. 64 bits tell tokens apart; they do not give a 128-bit token back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

const DOMAIN: &[u8] = b"keycap token fingerprint v1\0";

impl Fingerprint {
    /// Of the token's bytes. The letter case of a token does not matter to REDCap, nor does it here.
    ///
    /// What is hashed is the domain and the token, filled up with zeros to whole blocks: whole blocks are read
    /// where they lie, in a buffer that wipes itself, while the rest of a message is copied into the hash's
    /// state, which nobody wipes.
    pub(crate) fn of(token: &[u8]) -> Self {
        let block = digest::SHA256.block_len();
        let length = (DOMAIN.len() + token.len()).next_multiple_of(block);
        let mut message = Zeroizing::new(vec![0; length]);
        message[..DOMAIN.len()].copy_from_slice(DOMAIN);
        for (to, from) in message[DOMAIN.len()..].iter_mut().zip(token) {
            *to = from.to_ascii_uppercase();
        }
        let hash = digest::digest(&digest::SHA256, &message);
        let hex = hex(&hash.as_ref()[..8]);
        Self(format!("kc1:{hex}"))
    }

    /// The text, `kc1:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_that_of_the_upper_case_and_of_nothing_else() {
        let upper = Fingerprint::of(b"ABCDEF00000000000000000000000001");
        assert_eq!(upper, Fingerprint::of(b"abcdef00000000000000000000000001"));
        assert_ne!(upper, Fingerprint::of(b"ABCDEF00000000000000000000000002"));
        assert_eq!(upper.as_str().len(), 20);
        assert!(upper.as_str().starts_with("kc1:"));
    }
}
