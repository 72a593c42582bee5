//! Reading what is imported: CSV and JSON, with code of the sandbox's own.

use serde_json::Value;

/// A row of imported data: names and texts.
pub(super) type Line = Vec<(String, String)>;

/// Reads CSV with a header. `None` where it is not CSV: no header, a quote without its end, or a row that is wider
/// than the header. Blank lines are skipped, missing cells at the end are blank.
pub(super) fn csv(text: &str, delimiter: char) -> Option<Vec<Line>> {
    let mut rows = cells(text.trim_start_matches('\u{feff}'), delimiter)?.into_iter();
    let header = rows.next().filter(|header| header.iter().any(|name| !name.trim().is_empty()))?;
    rows.map(|row| {
        if row.len() > header.len() {
            return None;
        }
        let cells = row.into_iter().chain(std::iter::repeat(String::new()));
        Some(header.iter().map(|name| name.trim().to_owned()).zip(cells).collect())
    })
    .collect()
}

fn cells(text: &str, delimiter: char) -> Option<Vec<Vec<String>>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut was_quoted) = (false, false);
    let mut chars = text.chars().peekable();
    // The line break at the end makes the last line like the others.
    while let Some(c) = chars.next().or_else(|| (!row.is_empty() || !cell.is_empty() || was_quoted).then_some('\n')) {
        if quoted {
            match c {
                '"' if chars.peek() == Some(&'"') => cell.extend(chars.next()),
                '"' => quoted = false,
                '\n' if chars.peek().is_none() => return None,
                other => cell.push(other),
            }
            continue;
        }
        match c {
            '"' if cell.is_empty() && !was_quoted => (quoted, was_quoted) = (true, true),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => {
                if !row.is_empty() || !cell.is_empty() || was_quoted {
                    row.push(std::mem::take(&mut cell));
                    rows.push(std::mem::take(&mut row));
                }
                was_quoted = false;
            }
            c if c == delimiter => {
                row.push(std::mem::take(&mut cell));
                was_quoted = false;
            }
            other => cell.push(other),
        }
    }
    Some(rows)
}

/// Reads a list of JSON objects. `None` where it is not JSON, or where a value is a list or an object. Like
/// REDCap, it takes an object for a list of its values, and skips what is no object.
pub(super) fn json(text: &str) -> Option<Vec<Line>> {
    let items: Vec<Value> = match serde_json::from_str(text).ok()? {
        Value::Array(items) => items,
        Value::Object(object) => object.into_iter().map(|(_, value)| value).collect(),
        _ => return None,
    };
    let objects = items.into_iter().filter_map(|item| match item {
        Value::Object(object) => Some(object),
        _ => None,
    });
    objects
        .map(|object| {
            let cells = object.into_iter().map(|(name, value)| {
                let text = match value {
                    Value::Null => String::new(),
                    Value::String(text) => text,
                    Value::Number(number) => number.to_string(),
                    Value::Bool(yes) => u8::from(yes).to_string(),
                    Value::Array(_) | Value::Object(_) => return None,
                };
                Some((name, text))
            });
            cells.collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::unnecessary_wraps)]
    fn lines(lines: &[&[(&str, &str)]]) -> Option<Vec<Line>> {
        let own = |&(name, text): &(&str, &str)| (name.to_owned(), text.to_owned());
        Some(lines.iter().map(|line| line.iter().map(own).collect()).collect())
    }

    #[test]
    fn csv_is_read_with_quotes_line_breaks_and_short_rows() {
        let text = "\u{feff}a,b\r\n1,\"x,\"\"y\"\"\r\nz\"\n\n2\n3,\"\"";
        let expected: &[&[(&str, &str)]] =
            &[&[("a", "1"), ("b", "x,\"y\"\r\nz")], &[("a", "2"), ("b", "")], &[("a", "3"), ("b", "")]];
        assert_eq!(csv(text, ','), lines(expected));
        assert_eq!(csv("a;b\n1,5;2\n", ';'), lines(&[&[("a", "1,5"), ("b", "2")]]));
        assert_eq!(csv("a,b\n", ','), lines(&[]));
    }

    #[test]
    fn what_is_not_csv_is_not_guessed_at() {
        for text in ["", "\n", " ", ",\n1,2\n", "a,b\n1,2,3\n", "a,b\n1,\"2\n", "a,b\n\"1"] {
            assert_eq!(csv(text, ','), None, "{text:?}");
        }
    }

    #[test]
    fn json_is_a_list_of_objects_of_plain_values() {
        let text = r#"[{"a":"x","b":7,"c":null,"d":true,"e":1.5}, 3, {}]"#;
        let expected: &[&[(&str, &str)]] = &[&[("a", "x"), ("b", "7"), ("c", ""), ("d", "1"), ("e", "1.5")], &[]];
        assert_eq!(json(text), lines(expected));
        assert_eq!(json(r#"{"a":"x"}"#), lines(&[]));
        for text in ["", "7", "[{\"a\":[1]}]", "[{\"a\":{}}]", "[{\"a\":1}"] {
            assert_eq!(json(text), None, "{text}");
        }
    }
}
