//! The data of an import: checked against the project before anything is sent, and written as CSV.

use std::collections::{HashMap, HashSet};

use super::cells::{Cells, Finding, Findings};
use super::fields::{EVENT, Field, Fields, INSTANCE, INSTRUMENT};
use crate::error::{Error, Kind, Result};
use crate::value::{Column, Table};

/// How many of a list are named in a message.
const NAMED: usize = 10;

/// A column of the data.
pub(super) struct Data {
    pub(super) name: String,
    pub(super) field: Field,
    pub(super) cells: Cells,
}

/// Where a row belongs: record, event, repeating instrument, instance; blank where there is none.
pub(super) type Place = [String; 4];

/// The data, every cell of which fits its field.
pub(super) struct Sheet {
    pub(super) rows: usize,
    /// The columns; the record's id is the first, and those of the place follow it.
    pub(super) columns: Vec<Data>,
    /// The columns of the place, where they are there.
    place: [Option<usize>; 4],
}

impl Sheet {
    /// Checks the data. With it comes a table of what is beyond the range of its field.
    ///
    /// # Errors
    /// `argument`: columns that the project does not have or that no import sets, rows without a place of their own,
    /// cells that do not fit.
    pub(super) fn new(data: Table, fields: &Fields, longitudinal: bool) -> Result<(Self, Table)> {
        let rows = data.columns.first().map_or(0, |(_, column)| column.len());
        check_columns(&data, fields, longitudinal)?;
        if rows == 0 {
            return Err(argument("`data` has no rows".to_owned()));
        }
        let front = [fields.record_id.as_str(), EVENT, INSTRUMENT, INSTANCE];
        let mut columns = data.columns;
        // A stable sort: the others keep their order.
        columns.sort_by_key(|(name, _)| front.iter().position(|one| one == name).unwrap_or(front.len()));
        let place = front.map(|name| columns.iter().position(|(column, _)| column == name));
        let mut sheet = Self { rows, columns: Vec::with_capacity(columns.len()), place };
        let (mut problems, mut beyond) = (Vec::new(), Vec::new());
        for (name, column) in columns {
            let Some(field) = fields.get(&name).cloned() else { continue };
            let mut findings = Findings::default();
            let cells = Cells::fit(column, &field, fields, &mut findings);
            let here = sheet.columns.len();
            problems.extend(findings.problems.into_iter().map(|finding| (here, finding)));
            beyond.extend(findings.beyond.into_iter().map(|finding| (here, finding)));
            sheet.columns.push(Data { name, field, cells });
        }
        if !problems.is_empty() {
            return Err(sheet.misfits(problems));
        }
        sheet.check_ids()?;
        sheet.check_places()?;
        let beyond = sheet.list(&mut beyond);
        Ok((sheet, beyond))
    }

    /// The id of a row's record.
    pub(super) fn record(&self, row: usize) -> String {
        self.part(0, row)
    }

    /// A part of the place of a row; blank where there is none.
    pub(super) fn part(&self, part: usize, row: usize) -> String {
        self.place[part]
            .and_then(|column| self.columns.get(column))
            .map_or_else(String::new, |data| data.cells.text(row))
    }

    /// Where a row belongs.
    pub(super) fn place(&self, row: usize) -> Place {
        [0, 1, 2, 3].map(|part| self.part(part, row))
    }

    /// Whether a column is one of the place.
    pub(super) fn is_place(&self, column: usize) -> bool {
        self.place.contains(&Some(column))
    }

    /// The events of the data; none where no column names them.
    pub(super) fn events(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let all = (0..self.rows).map(|row| self.part(1, row)).filter(|event| !event.is_empty());
        all.filter(|event| seen.insert(event.clone())).collect()
    }

    /// The records in the order in which they come, each with its rows.
    pub(super) fn by_record(&self) -> Vec<(String, Vec<usize>)> {
        let mut all: Vec<(String, Vec<usize>)> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for row in 0..self.rows {
            let record = self.record(row);
            if let Some(at) = known.get(&record) {
                all[*at].1.push(row);
            } else {
                known.insert(record.clone(), all.len());
                all.push((record, vec![row]));
            }
        }
        all
    }

    /// Some rows as CSV, with the header; nothing where not all readers would read the same.
    pub(super) fn csv<'a>(&self, rows: impl Iterator<Item = &'a usize>) -> Option<String> {
        let mut out = String::new();
        let mut cell = String::new();
        for (n, data) in self.columns.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            quote(&data.name, &mut out)?;
        }
        out.push('\n');
        for row in rows {
            for (n, data) in self.columns.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                data.cells.write(*row, &mut cell);
                quote(&cell, &mut out)?;
            }
            out.push('\n');
        }
        Some(out)
    }

    /// Some rows as JSON, all values texts.
    pub(super) fn json<'a>(&self, rows: impl Iterator<Item = &'a usize>) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let names: Vec<String> = self.columns.iter().map(|data| text(&data.name)).collect();
        let mut out = "[".to_owned();
        let mut cell = String::new();
        for row in rows {
            out.push_str(if out.len() > 1 { ",{" } else { "{" });
            for (n, (name, data)) in names.iter().zip(&self.columns).enumerate() {
                data.cells.write(*row, &mut cell);
                out.push_str(if n > 0 { "," } else { "" });
                out.push_str(name);
                out.push(':');
                out.push_str(&text(&cell));
            }
            out.push('}');
        }
        out + "]"
    }

    /// Refuses to blank what is blank here only because an export could not convert it. `kept` is the export's table
    /// of those values: record, field, value.
    ///
    /// # Errors
    /// `argument`.
    pub(super) fn check_kept(&self, kept: &Table) -> Result<()> {
        let column = |name: &str| kept.columns.iter().find(|(known, _)| known == name).map(|(_, column)| column);
        let (Some(records), Some(names), Some(values)) = (column("record"), column("field"), column("value")) else {
            return Err(argument(
                "the attribute `keycap_problems` of `data` is not as `export_records()` made it".into(),
            )
            .hint("it holds the values that did not fit their columns; export again"));
        };
        let mut lost: HashMap<(&str, &str), &str> = HashMap::new();
        for row in 0..records.len() {
            if let (Some(record), Some(name)) = (records.text_at(row), names.text_at(row)) {
                lost.insert((record, name), values.text_at(row).unwrap_or_default());
            }
        }
        let mut found = Vec::new();
        for (at, data) in self.columns.iter().enumerate() {
            if !lost.keys().any(|(_, name)| *name == data.name) {
                continue;
            }
            for row in (0..self.rows).filter(|row| data.cells.is_blank(*row)) {
                if let Some(value) = lost.get(&(self.record(row).as_str(), data.name.as_str())) {
                    let reason = "it is blank here because the export could not convert it".into();
                    found.push((at, Finding { row, value: (*value).to_owned(), reason }));
                }
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let count = found.len();
        let listing = self.in_words(&mut found);
        let error = argument(format!(
            "{} would be blanked that `data` lacks only because the export could not convert {}: {listing}",
            many(count, "value", "values"),
            if count == 1 { "it" } else { "them" },
        ));
        Err(error
            .hint("put the values in as texts: `conversion_problems(data)` has them")
            .hint("if they are to be blanked, take the attribute off: `attr(data, \"keycap_problems\") <- NULL`")
            .field("problems", crate::Value::Table(self.list(&mut found))))
    }

    /// The error for cells that do not fit.
    fn misfits(&self, mut problems: Vec<(usize, Finding)>) -> Error {
        let count = problems.len();
        let listing = self.in_words(&mut problems);
        let error = argument(format!(
            "{} of `data` {} the project's dictionary, and nothing was sent: {listing}",
            many(count, "value", "values"),
            if count == 1 { "does not fit" } else { "do not fit" },
        ));
        error
            .hint("the field `problems` of this condition lists them all: row, record, field, value, message")
            .field("problems", crate::Value::Table(self.list(&mut problems)))
    }

    /// The first of them in words, without their values.
    fn in_words(&self, problems: &mut [(usize, Finding)]) -> String {
        problems.sort_by_key(|(column, finding)| (finding.row, *column));
        let word = |(column, finding): &(usize, Finding)| {
            let (row, name) = (finding.row, &self.columns[*column].name);
            let record = shown(&self.record(row));
            if record.is_empty() || *column == 0 {
                format!("row {}, `{name}`: {}", row + 1, finding.reason)
            } else {
                format!("record `{record}`, `{name}`: {}", finding.reason)
            }
        };
        some(problems.iter().map(word), problems.len(), "; ")
    }

    /// All of them as a table.
    fn list(&self, problems: &mut [(usize, Finding)]) -> Table {
        problems.sort_by_key(|(column, finding)| (finding.row, *column));
        let all = |text: &dyn Fn(&(usize, Finding)) -> String| Column::text(problems.iter().map(|one| Some(text(one))));
        let rows = problems.iter().map(|(_, finding)| i32::try_from(finding.row + 1).ok());
        Table {
            columns: vec![
                ("row".to_owned(), Column::int(rows)),
                ("record".to_owned(), all(&|(_, finding)| shown(&self.record(finding.row)))),
                ("field".to_owned(), all(&|(column, _)| self.columns[*column].name.clone())),
                ("value".to_owned(), all(&|(_, finding)| shown(&finding.value))),
                ("message".to_owned(), all(&|(_, finding)| finding.reason.to_string())),
            ],
        }
    }

    fn check_ids(&self) -> Result<()> {
        let blank: Vec<usize> = (0..self.rows).filter(|row| self.columns[0].cells.is_blank(*row)).collect();
        if blank.is_empty() {
            return Ok(());
        }
        let rows = some(blank.iter().map(|row| (row + 1).to_string()), blank.len(), ", ");
        Err(argument(format!(
            "{} of `data` {} no id in `{}`: {rows}",
            many(blank.len(), "row", "rows"),
            if blank.len() == 1 { "has" } else { "have" },
            self.columns[0].name
        ))
        .hint("give each row the id of its record; for new records see `auto_number` and `next_record_name()`"))
    }

    /// Two rows for one place: which of them should count?
    fn check_places(&self) -> Result<()> {
        let mut known: HashMap<String, usize> = HashMap::with_capacity(self.rows);
        let mut twice = Vec::new();
        for row in 0..self.rows {
            let place = self.place(row);
            // REDCap makes an instance for each of these.
            if place[3] == "new" {
                continue;
            }
            if let Some(first) = known.insert(key(&place), row) {
                let words: Vec<String> =
                    place.iter().filter(|part| !part.is_empty()).map(|part| format!("`{}`", shown(part))).collect();
                twice.push(format!("rows {} and {} ({})", first + 1, row + 1, words.join(", ")));
            }
        }
        if twice.is_empty() {
            return Ok(());
        }
        let count = twice.len();
        let listing = some(twice.into_iter(), count, "; ");
        Err(argument(format!("rows of `data` are for the same record, event and instance: {listing}"))
            .hint("keep one row for each; `redcap_repeat_instance` tells the instances of what repeats apart"))
    }
}

/// A place as one text.
pub(super) fn key(place: &Place) -> String {
    place.join("\u{1f}")
}

/// A number of things.
pub(in crate::records) fn many(count: usize, one: &str, more: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {more}") }
}

/// The first of a list in words, and how many more there are.
pub(in crate::records) fn some(items: impl Iterator<Item = String>, count: usize, between: &str) -> String {
    let words = items.take(NAMED).collect::<Vec<_>>().join(between);
    if count > NAMED { format!("{words}{between}and {} more", count - NAMED) } else { words }
}

/// A value as it may stand in a condition: what may be a token is not repeated.
pub(in crate::records) fn shown(value: &str) -> String {
    let mut run = 0;
    for byte in value.bytes() {
        run = if byte.is_ascii_hexdigit() { run + 1 } else { 0 };
        if run >= 32 {
            return "<looks like a token, not shown>".to_owned();
        }
    }
    value.to_owned()
}

pub(super) fn argument(message: String) -> Error {
    Error::new(Kind::Argument, message).field("argument", "data")
}

/// The columns as a whole: whatever is wrong with them is named at once.
fn check_columns(data: &Table, fields: &Fields, longitudinal: bool) -> Result<()> {
    let names: Vec<&str> = data.columns.iter().map(|(name, _)| name.as_str()).collect();
    let list = |names: &[&str]| some(names.iter().map(|name| format!("`{}`", shown(name))), names.len(), ", ");
    let mut seen = HashSet::new();
    let twice: Vec<&str> = names.iter().copied().filter(|name| !seen.insert(*name)).collect();
    if !twice.is_empty() {
        return Err(argument(format!("columns of `data` come twice: {}", list(&twice))).hint("keep one of each"));
    }
    let unknown: Vec<&str> =
        names.iter().copied().filter(|name| fields.get(name).is_none() && fields.fixed(name).is_none()).collect();
    if !unknown.is_empty() {
        let word = |name: &&str| match fields.meant(name) {
            Some(meant) => format!("`{}` (did you mean `{meant}`?)", shown(name)),
            None => format!("`{}`", shown(name)),
        };
        // All of them, however many: each is to be mended.
        let listing = unknown.iter().map(word).collect::<Vec<_>>().join(", ");
        let words = many(unknown.len(), "column of `data` is no field", "columns of `data` are no fields");
        let unknown: Vec<String> = unknown.iter().map(|name| shown(name)).collect();
        let quoted = some(unknown.iter().map(|name| format!("\"{name}\"")), unknown.len(), ", ");
        return Err(argument(format!("{words} of the project: {listing}"))
            .hint(format!("rename what is misspelt, and drop the others: `data[c({quoted})] <- NULL`"))
            .field("columns", unknown));
    }
    if !names.contains(&fields.record_id.as_str()) {
        return Err(argument(format!("`data` has no column `{}`, which holds the record's id", fields.record_id))
            .hint("every row names its record"));
    }
    let fixed: Vec<(&str, &str)> =
        names.iter().filter_map(|name| fields.fixed(name).map(|reason| (*name, reason))).collect();
    if !fixed.is_empty() {
        let listing = fixed.iter().map(|(name, reason)| format!("`{name}` ({reason})")).collect::<Vec<_>>().join(", ");
        let quoted: Vec<String> = fixed.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let columns: Vec<String> = fixed.iter().map(|(name, _)| (*name).to_owned()).collect();
        let words = many(fixed.len(), "column of `data` cannot", "columns of `data` cannot");
        return Err(argument(format!("{words} be imported: {listing}"))
            .hint(format!("drop what no import sets: `data[c({})] <- NULL`", quoted.join(", ")))
            .field("columns", columns));
    }
    if longitudinal && !names.contains(&EVENT) {
        return Err(argument(format!("the project is longitudinal, and `data` has no column `{EVENT}`"))
            .hint("every row names its event by its unique name, as `export_records()` gives it"));
    }
    Ok(())
}

/// A cell of CSV, in quotes where it needs them. Nothing for what would need them and has a backslash before a quote or
/// the end: PHP, which reads it, takes a quote behind a backslash as it is, and others do not.
fn quote(cell: &str, out: &mut String) -> Option<()> {
    let plain = !cell.contains([',', '"', '\n', '\r']) && cell.trim() == cell;
    if plain {
        out.push_str(cell);
        return Some(());
    }
    if cell.ends_with('\\') || cell.contains("\\\"") {
        return None;
    }
    out.push('"');
    for (n, part) in cell.split('"').enumerate() {
        if n > 0 {
            out.push_str("\"\"");
        }
        out.push_str(part);
    }
    out.push('"');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::quote;

    /// The cells of a line as PHP's `str_getcsv` reads them with its default escape.
    fn php(line: &str) -> Vec<String> {
        let mut cells = Vec::new();
        let mut rest = line.chars().peekable();
        loop {
            let mut cell = String::new();
            if rest.next_if_eq(&'"').is_some() {
                while let Some(c) = rest.next() {
                    if c == '"' && rest.next_if_eq(&'"').is_none() {
                        break;
                    }
                    cell.push(c);
                    if c == '\\' {
                        cell.extend(rest.next());
                    }
                }
            }
            while let Some(c) = rest.next_if(|c| *c != ',') {
                cell.push(c);
            }
            cells.push(cell);
            if rest.next().is_none() {
                return cells;
            }
        }
    }

    #[test]
    fn what_is_written_as_csv_is_read_alike_by_php_and_by_others() {
        assert_eq!(php(r#""a\"",b"#), [r#"a\""#, "b"], "it escapes");
        let parts = ["", "a", "\\", "\"", ",", "\n", " "];
        let mut refused = Vec::new();
        for (a, b, c, d) in fours(&parts) {
            let cell = format!("{a}{b}{c}{d}");
            let mut line = String::new();
            if quote(&cell, &mut line).is_none() {
                refused.push(cell);
                continue;
            }
            line.push_str(",x");
            assert_eq!(php(&line), [cell.as_str(), "x"], "{line}");
            let mut rfc = line.strip_suffix(",x").unwrap().to_owned();
            if let Some(inner) = rfc.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                rfc = inner.replace("\"\"", "\"");
            }
            assert_eq!(rfc, cell);
        }
        for (cell, is_refused) in [("a,\\", true), ("\\\"a", true), ("aa\\", false), ("\\,", false), ("\"a,", false)] {
            assert_eq!(refused.iter().any(|one| one == cell), is_refused, "{cell}");
        }
    }

    fn fours<'a>(parts: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str, &'a str, &'a str)> {
        let n = parts.len();
        (0..n.pow(4)).map(move |i| (parts[i % n], parts[i / n % n], parts[i / n / n % n], parts[i / n / n / n]))
    }
}
