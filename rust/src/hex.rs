//! Bytes as hexadecimal text.

use zeroize::Zeroizing;

/// Two lower-case digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |four_bits: u8| char::from(b"0123456789abcdef"[usize::from(four_bits)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes that pairs of hexadecimal digits mean, in a buffer of their size from the start; they may be a key. `None`
/// where a text is none.
pub(crate) fn from_hex(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|value| value as u8);
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for pair in text.chunks(2) {
        let [high, low] = pair else { return None };
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(super::hex(&[0x00, 0x0a, 0xff]), "000aff");
        assert_eq!(**super::from_hex(b"000aFF").unwrap(), [0x00, 0x0a, 0xff]);
    }

    #[test]
    fn what_is_not_hexadecimal_means_nothing() {
        for text in ["0", "0g", "00 ", "\u{e9}"] {
            assert!(super::from_hex(text.as_bytes()).is_none(), "{text}");
        }
        assert!(super::from_hex(b"").unwrap().is_empty());
    }
}
