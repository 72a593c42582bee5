//! What REDCap objects to in imported data: a line of four quoted texts for each value.

use crate::value::{Column, Table};

/// The lines of an error, if it consists of them: record, field, value, message. The text is scrubbed before, by which
/// line breaks have become blanks; nothing that was not scrubbed is read here.
pub(super) fn objections(text: &str) -> Option<Table> {
    let mut rest = text.trim();
    let mut lines: Vec<[String; 4]> = Vec::new();
    while !rest.is_empty() {
        let mut line: [String; 4] = Default::default();
        for (n, cell) in line.iter_mut().enumerate() {
            if n > 0 {
                rest = rest.strip_prefix(',')?;
            }
            rest = quoted(rest, cell)?;
        }
        lines.push(line);
        let next = rest.trim_start();
        // Lines are set apart.
        if !next.is_empty() && next.len() == rest.len() {
            return None;
        }
        rest = next;
    }
    if lines.is_empty() {
        return None;
    }
    let names = ["record", "field", "value", "message"];
    let column = |n: usize| Column::text(lines.iter().map(|line| Some(&line[n])));
    Some(Table { columns: names.iter().enumerate().map(|(n, name)| ((*name).to_owned(), column(n))).collect() })
}

/// Reads a text in quotes, doubled within; what is behind it.
fn quoted<'a>(text: &'a str, into: &mut String) -> Option<&'a str> {
    let mut rest = text.strip_prefix('"')?;
    loop {
        let (before, behind) = rest.split_once('"')?;
        into.push_str(before);
        match behind.strip_prefix('"') {
            Some(more) => {
                into.push('"');
                rest = more;
            }
            None => return Some(behind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<Vec<String>>> {
        let table = objections(text)?;
        let rows = table.columns[0].1.len();
        let cell = |row, (_, column): &(String, Column)| column.text_at(row).unwrap().to_owned();
        Some((0..rows).map(|row| table.columns.iter().map(|column| cell(row, column)).collect()).collect())
    }

    #[test]
    fn lines_of_four_texts_in_quotes_are_a_table() {
        let text = r#""3","sex","a ""b"", c","It is no category." "4","pulse","","x y""#;
        let rows = [["3", "sex", "a \"b\", c", "It is no category."], ["4", "pulse", "", "x y"]];
        assert_eq!(read(text).unwrap(), rows.map(|row| row.map(str::to_owned).to_vec()));
        assert_eq!(read(&format!(" {} \n", text.replace("\" \"4", "\"\n\"4"))).unwrap().len(), 2);
    }

    #[test]
    fn anything_else_is_no_table() {
        for text in [
            "",
            " ",
            "The following fields were not found",
            r#""a","b","c""#,
            r#""a","b","c","d","e""#,
            r#""a","b","c","d" and more"#,
            r#""a","b","c","d""a","b","c","d""#,
            r#""a","b","c","d"#,
            r#""a", "b","c","d""#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
