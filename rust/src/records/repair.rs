//! Texts that are not UTF-8 although REDCap says so.

/// The characters that Windows has at 0x80 to 0x9f, where Latin-1 has none that anybody types. Old servers say
/// Latin-1 and mean this, as browsers know.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text with each byte that is no part of a UTF-8 character read as Latin-1. What is UTF-8 stays as it is.
pub(super) fn latin1(cell: &[u8]) -> String {
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
pub(super) fn shown(cell: &[u8]) -> String {
    latin1(cell).replace('\0', "\\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_bytes_become_characters_and_utf8_beside_them_stays() {
        assert_eq!(latin1(b"M\xfcller \xc3\xa4 \x80 \x93x\x94 \xff"), "Müller ä € “x” ÿ");
        assert_eq!(latin1("α–ω".as_bytes()), "α–ω");
        // A character that breaks off.
        assert_eq!(latin1(b"x\xc3"), "xÃ");
        assert_eq!(shown(b"a\0b"), "a\\0b");
    }
}
