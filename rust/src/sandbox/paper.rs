//! A PDF of one page of text, written by hand.

/// A PDF with these lines on one page. Letters outside Latin-1 become question marks.
pub(super) fn pdf(lines: &[String]) -> Vec<u8> {
    let mut page = b"BT /F1 11 Tf 14 TL 50 790 Td\n".to_vec();
    for line in lines {
        page.push(b'(');
        for c in line.chars() {
            match c {
                '(' | ')' | '\\' => page.extend([b'\\', c as u8]),
                c if c.is_control() => page.push(b' '),
                c => page.push(u8::try_from(u32::from(c)).unwrap_or(b'?')),
            }
        }
        page.extend(b") Tj T*\n");
    }
    page.extend(b"ET");
    let objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_vec(),
        [format!("<< /Length {} >>\nstream\n", page.len()).as_bytes(), &page, b"\nendstream"].concat(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_vec(),
    ];
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut places = Vec::new();
    for (n, object) in objects.iter().enumerate() {
        places.push(out.len());
        out.extend(format!("{} 0 obj\n", n + 1).bytes());
        out.extend(object);
        out.extend(b"\nendobj\n");
    }
    let table = out.len();
    out.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    for place in places {
        out.extend(format!("{place:010} 00000 n \n").bytes());
    }
    let size = objects.len() + 1;
    out.extend(format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n").bytes());
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_where_the_table_says() {
        let bytes = pdf(&["Größe (cm) \\ 日".to_owned(), "second".to_owned()]);
        assert!(bytes.starts_with(b"%PDF-1.4\n") && bytes.ends_with(b"%%EOF\n"));
        let text: String = bytes.iter().map(|b| char::from(*b)).collect();
        assert!(text.contains("(Größe \\(cm\\) \\\\ ?) Tj"));
        let table: usize = text.split("startxref\n").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        assert!(text[char_at(&text, table)..].starts_with("xref\n0 6\n"));
        let entries = text[char_at(&text, table)..].lines().skip(3).take(5);
        for (n, entry) in entries.enumerate() {
            let place: usize = entry[..10].parse().unwrap();
            assert!(bytes[place..].starts_with(format!("{} 0 obj\n", n + 1).as_bytes()), "{entry}");
        }
        let length: usize = text.split("/Length ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let stream = bytes.windows(7).position(|w| w == b"stream\n").unwrap() + 7;
        assert!(bytes[stream + length..].starts_with(b"\nendstream"));
    }

    /// Where a byte's character begins in the text that has one character a byte.
    fn char_at(text: &str, byte: usize) -> usize {
        text.char_indices().nth(byte).unwrap().0
    }
}
