//! The bytes of a token between a store and its seal.

use std::fmt;

use zeroize::Zeroizing;

/// Raw bytes that wipe themselves and print as a mask.
pub(super) struct Raw(Zeroizing<Vec<u8>>);

impl Raw {
    /// Takes a buffer over, without a copy.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// An exactly sized copy.
    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is nothing but one line break at most.
    pub(super) fn is_blank(&self) -> bool {
        matches!(self.bytes(), b"" | b"\n" | b"\r\n")
    }

    pub(super) fn into_inner(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raw(****)")
    }
}
