//! Texts that are not UTF-8 although REDCap says so.

use serde::de::DeserializeOwned;

/// The characters that Windows has at 0x80 to 0x9f, where Latin-1 has none that anybody types. Old servers say
/// Latin-1 and mean this, as browsers know.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text with each byte that is no part of a UTF-8 character read as Latin-1. What is UTF-8 stays as it is.
pub(crate) fn latin1(cell: &[u8]) -> String {
    let mut text = String::with_capacity(cell.len() * 2);
    for chunk in cell.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| match byte {
            0x80..=0x9f => WINDOWS[usize::from(byte - 0x80)],
            _ => char::from(*byte),
        }));
    }
    text
}

/// Any bytes as a text that the host can hold: repaired, and a NUL shown as `\0`.
pub(crate) fn shown(cell: &[u8]) -> String {
    latin1(cell).replace('\0', "\\0")
}

/// JSON, with or without a byte order mark. Where it is not UTF-8 its texts are repaired.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match serde_json::from_slice(body) {
        Err(_) if std::str::from_utf8(body).is_err() => serde_json::from_str(&latin1(body)),
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_in_latin1_too_and_with_a_byte_order_mark() {
        let texts = |body: &[u8]| json::<Vec<String>>(body).unwrap();
        assert_eq!(texts(b"[\"Gr\xf6\xdfe\"]"), ["Größe"]);
        assert_eq!(texts("\u{feff}[\"Größe\"]".as_bytes()), ["Größe"]);
        assert!(json::<Vec<String>>(b"[\"Gr\xf6\xdfe").is_err() && json::<Vec<String>>(b"<html>").is_err());
    }

    #[test]
    fn single_bytes_become_characters_and_utf8_beside_them_stays() {
        assert_eq!(latin1(b"M\xfcller \xc3\xa4 \x80 \x93x\x94 \xff"), "Müller ä € “x” ÿ");
        assert_eq!(latin1("α–ω".as_bytes()), "α–ω");
        // A character that breaks off.
        assert_eq!(latin1(b"x\xc3"), "xÃ");
        assert_eq!(shown(b"a\0b"), "a\\0b");
    }
}
