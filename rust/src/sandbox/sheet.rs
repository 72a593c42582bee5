//! Tables as REDCap writes them: CSV, JSON, XML.

use std::fmt::Write;

/// The format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Json,
    Xml,
}

impl Format {
    /// A format by its name in a request; `None` for a name that does not exist.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "" | "xml" => Some(Self::Xml),
            _ => None,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::Xml => "text/xml; charset=utf-8",
        }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Text(String),
    /// A number in JSON, the same text elsewhere.
    Whole(i64),
    /// `null` in JSON, blank elsewhere.
    Null,
    /// An object in JSON, `name:1,name:2` in CSV, elements in XML.
    Codes(Vec<(String, i64)>),
}

impl Cell {
    /// A text cell.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The cell as CSV has it, unquoted.
    pub(super) fn plain(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Whole(number) => number.to_string(),
            Self::Null => String::new(),
            Self::Codes(codes) => {
                codes.iter().map(|(name, code)| format!("{name}:{code}")).collect::<Vec<_>>().join(",")
            }
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Whole(number) => (*number).into(),
            Self::Null => serde_json::Value::Null,
            Self::Codes(codes) => {
                codes.iter().map(|(name, code)| (name.clone(), serde_json::Value::from(*code))).collect()
            }
        }
    }

    fn xml(&self) -> String {
        match self {
            Self::Text(text) if text.is_empty() => String::new(),
            Self::Text(text) => format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>")),
            Self::Codes(codes) => codes.iter().fold(String::new(), |mut out, (name, code)| {
                let _ = write!(out, "<{name}>{code}</{name}>");
                out
            }),
            other => other.plain(),
        }
    }
}

/// A table with the words that XML puts around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sheet {
    /// The root element in XML.
    pub(super) root: &'static str,
    /// The name of each row's element in XML.
    pub(super) item: &'static str,
    pub(super) columns: Vec<String>,
    /// What CSV has in its first line where it differs from `columns` (label headers).
    pub(super) header: Option<Vec<String>>,
    pub(super) delimiter: char,
    pub(super) rows: Vec<Vec<Cell>>,
    /// A single object rather than a list (content `project`).
    pub(super) single: bool,
}

impl Sheet {
    /// An empty table.
    pub(super) fn new(root: &'static str, item: &'static str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&name| name.to_owned()).collect();
        Self { root, item, columns, header: None, delimiter: ',', rows: Vec::new(), single: false }
    }

    /// Writes the table.
    pub(super) fn write(&self, format: Format) -> String {
        match format {
            Format::Csv => self.csv(),
            Format::Json => self.json(),
            Format::Xml => self.xml(),
        }
    }

    /// REDCap answers an empty result in CSV with a lone line break, without a header.
    fn csv(&self) -> String {
        if self.rows.is_empty() {
            return "\n".to_owned();
        }
        let mut out = String::new();
        csv_line(&mut out, self.delimiter, self.header.as_ref().unwrap_or(&self.columns).iter().map(String::as_str));
        for row in &self.rows {
            let cells: Vec<_> = row.iter().map(Cell::plain).collect();
            csv_line(&mut out, self.delimiter, cells.iter().map(String::as_str));
        }
        out
    }

    fn json(&self) -> String {
        let object = |row: &Vec<Cell>| -> serde_json::Map<String, serde_json::Value> {
            self.columns.iter().cloned().zip(row.iter().map(Cell::json)).collect()
        };
        match self.rows.first() {
            Some(row) if self.single => serde_json::Value::Object(object(row)).to_string(),
            _ => serde_json::Value::Array(self.rows.iter().map(|row| object(row).into()).collect()).to_string(),
        }
    }

    fn xml(&self) -> String {
        let mut out = format!("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<{}>\n", self.root);
        for row in &self.rows {
            let fields = self.columns.iter().zip(row).fold(String::new(), |mut fields, (name, cell)| {
                let _ = write!(fields, "<{name}>{}</{name}>", cell.xml());
                fields
            });
            if self.single {
                let _ = writeln!(out, "{fields}");
            } else {
                let _ = writeln!(out, "<{0}>{fields}</{0}>", self.item);
            }
        }
        let _ = write!(out, "</{}>", self.root);
        out
    }
}

/// Writes a line of CSV.
pub(super) fn csv_line<'a>(out: &mut String, delimiter: char, cells: impl Iterator<Item = &'a str>) {
    for (n, cell) in cells.enumerate() {
        if n > 0 {
            out.push(delimiter);
        }
        csv_cell(out, delimiter, cell);
    }
    out.push('\n');
}

/// Writes a cell of CSV: in quotes where it needs them, and where it has blanks, as PHP does it.
pub(super) fn csv_cell(out: &mut String, delimiter: char, cell: &str) {
    let special = |c: char| c == delimiter || matches!(c, '"' | '\n' | '\r' | ' ' | '\t');
    if cell.contains(special) {
        let _ = write!(out, "\"{}\"", cell.replace('"', "\"\""));
    } else {
        out.push_str(cell);
    }
}

/// Text with XML's special characters replaced.
pub(super) fn xml_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new("records", "item", &["a", "b", "c"]);
        sheet.rows.push(vec![Cell::text("x,\"y\"\r\nz"), Cell::Whole(7), Cell::Null]);
        sheet.rows.push(vec![Cell::text("ä]]>"), Cell::text(""), Cell::Codes(vec![("f".into(), 1), ("g".into(), 2)])]);
        sheet
    }

    #[test]
    fn csv_quotes_only_what_needs_it_and_keeps_line_breaks() {
        assert_eq!(sheet().write(Format::Csv), "a,b,c\n\"x,\"\"y\"\"\r\nz\",7,\nä]]>,,\"f:1,g:2\"\n");
    }

    #[test]
    fn json_tells_numbers_nulls_and_objects_from_texts() {
        assert_eq!(
            sheet().write(Format::Json),
            r#"[{"a":"x,\"y\"\r\nz","b":7,"c":null},{"a":"ä]]>","b":"","c":{"f":1,"g":2}}]"#
        );
    }

    #[test]
    fn xml_wraps_texts_and_splits_the_end_mark() {
        assert_eq!(
            sheet().write(Format::Xml),
            "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<records>\n\
             <item><a><![CDATA[x,\"y\"\r\nz]]></a><b>7</b><c></c></item>\n\
             <item><a><![CDATA[ä]]]]><![CDATA[>]]></a><b></b><c><f>1</f><g>2</g></c></item>\n</records>"
        );
    }

    #[test]
    fn an_empty_table_is_an_empty_list_or_a_lone_line_break() {
        let empty = Sheet::new("records", "item", &["a"]);
        assert_eq!(empty.write(Format::Json), "[]");
        assert_eq!(empty.write(Format::Csv), "\n");
    }
}
