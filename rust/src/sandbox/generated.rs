//! Generated projects of any size, to measure clients with.
//!
//! Every record comes from its own number and a fixed seed, so the data are the same on every machine and no
//! row has to be kept. The whole export as CSV is rendered once, when the project is made, and then served
//! from memory; anything else (some records, some fields, another format) is made when it is asked for, on
//! the same way as with the sample projects. Nothing can be written to a generated project.

use std::fmt::Write;

use bytes::Bytes;
use serde::Deserialize;

use super::data::Data;
use super::design::{Column, Design, Event, Field, FieldType, Form};
use super::post::List;
use super::random::Random;
use super::reports::Report;
use super::rows::{Place, Row};
use super::sample_tokens::Sample;
use super::sheet;
use super::world::Project;

/// A size that benchmarks have a name for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Size {
    /// 1,000 records of 30 columns.
    S,
    /// 20,000 records of 50 columns.
    M,
    /// 200,000 records of 60 columns: about 57 MB.
    L,
}

impl Size {
    /// Records and columns.
    #[must_use]
    pub fn extent(self) -> (usize, usize) {
        match self {
            Self::S => (1_000, 30),
            Self::M => (20_000, 50),
            Self::L => (200_000, 60),
        }
    }
}

/// The largest generated project, in cells of its export.
pub(super) const CELLS: usize = 50_000_000;

/// A form has this many columns, its status included.
const FORM_COLUMNS: usize = 15;

const SEED: u64 = 0x6b65_7963_6170;

const PLACES: [&str; 12] = [
    "Köln",
    "Zürich",
    "Saint-Étienne",
    "Łódź",
    "Malmö",
    "Bad Homburg",
    "Århus",
    "Wien",
    "Rome, GA",
    "Ulm",
    "São Paulo",
    "Groß-Gerau",
];

const NOTES: [&str; 10] = [
    "unauffällig",
    "kam zu spät, wollte aber bleiben; Termin verlegt",
    "sagte: \"Es geht mir gut\", wirkte müde",
    "Erste Zeile\nzweite Zeile, mit Komma",
    "Windows-Zeile\r\nzweite Zeile\r\n\r\nvierte Zeile",
    "Größe und Gewicht selbst berichtet, nicht gemessen; bitte beim nächsten Besuch nachholen",
    "100 % sicher",
    "Medikation: ½ Tablette morgens, \"bei Bedarf\" abends",
    "see letter of 2023-05-04",
    " - ",
];

/// The projects that the names of sizes stand for, and one of a size of one's own. They have no sample
/// tokens: the administrator issues them.
fn sample(size: Option<Size>) -> Sample {
    let (short_name, title, token_name, project_id) = match size {
        Some(Size::S) => ("SIZE_S", "Sandbox: generated, size S", "REDCapSync_SIZE_S", 31),
        Some(Size::M) => ("SIZE_M", "Sandbox: generated, size M", "REDCapSync_SIZE_M", 32),
        Some(Size::L) => ("SIZE_L", "Sandbox: generated, size L", "REDCapSync_SIZE_L", 33),
        None => ("SIZE_X", "Sandbox: generated, size of one's own", "REDCapSync_SIZE_X", 34),
    };
    Sample { short_name, title, token_name, token: "", user: "admin", project_id, kind: "generated" }
}

/// The short name of the generated project of a size.
pub(super) fn short_name(size: Option<Size>) -> &'static str {
    sample(size).short_name
}

/// Makes a project. `columns` are those of its export, 2 at least.
pub(super) fn project(size: Option<Size>, records: usize, columns: usize) -> Project {
    let design = design(columns);
    let generated = Generated::new(&design, records);
    let sample = sample(size);
    Project {
        sample,
        design,
        data: Data::default(),
        generated: Some(generated),
        groups: Vec::new(),
        users: super::users::users(),
        report: Report::of(sample.short_name, sample.project_id),
        log: std::collections::VecDeque::new(),
    }
}

/// What a column is filled with.
enum Kind {
    Record,
    Whole { low: i64, high: i64 },
    Decimal { digits: usize },
    Date,
    Time,
    Code(Vec<String>),
    Tick,
    Text,
    Note,
    Status,
}

/// The rows of a generated project, and its whole export.
pub(super) struct Generated {
    columns: Vec<(String, Kind)>,
    pub(super) records: usize,
    pub(super) csv: Bytes,
}

impl Generated {
    fn new(design: &Design, records: usize) -> Self {
        let columns: Vec<_> = design.columns().iter().map(|column| (column.name.clone(), kind(column))).collect();
        let mut generated = Self { columns, records, csv: Bytes::new() };
        generated.csv = generated.render().into();
        generated
    }

    pub(super) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// The whole export as CSV.
    fn render(&self) -> String {
        let mut out = String::with_capacity(self.records * self.columns.len() * 5);
        sheet::csv_line(&mut out, ',', self.columns.iter().map(|(name, _)| name.as_str()));
        for n in 1..=self.records {
            let mut first = true;
            self.cells(n, |_, text| {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                sheet::csv_cell(&mut out, ',', text);
            });
            out.push('\n');
        }
        if self.records == 0 {
            return "\n".to_owned();
        }
        out
    }

    /// The cells of a record, in the order of the columns.
    fn cells(&self, n: usize, mut each: impl FnMut(&str, &str)) {
        // The factor is not the generator's own step: records would else be shifted copies of each other.
        let mut random = Random::new(SEED ^ (n as u64).wrapping_mul(0xd134_2543_de82_ef95));
        let mut text = String::new();
        for (name, kind) in &self.columns {
            text.clear();
            fill(&mut text, kind, n, &mut random);
            each(name, &text);
        }
    }

    fn row(&self, n: usize, bare: bool) -> Row {
        let mut row = Row { place: Place { record: n.to_string(), ..Place::default() }, ..Row::default() };
        if !bare {
            self.cells(n, |name, text| {
                if !text.is_empty() {
                    row.values.insert(name.to_owned(), text.to_owned());
                }
            });
        }
        row
    }

    pub(super) fn has(&self, record: &str) -> bool {
        self.number(record).is_some()
    }

    /// A record's number; `007` is no record.
    fn number(&self, record: &str) -> Option<usize> {
        let n = record.parse().ok().filter(|n| (1..=self.records).contains(n))?;
        (n.to_string() == record).then_some(n)
    }

    /// The rows of the records in a list, of all if it is empty. `bare` rows have no values.
    pub(super) fn rows(&self, records: &List, bare: bool) -> impl Iterator<Item = Row> {
        let mut listed: Vec<_> = records.items.iter().filter_map(|record| self.number(record)).collect();
        listed.sort_unstable();
        listed.dedup();
        let all = if records.is_empty() { self.records } else { 0 };
        (1..=all).chain(listed).map(move |n| self.row(n, bare))
    }
}

/// A design with this many columns: forms of 15 columns each, with fields of every kind in turn.
fn design(columns: usize) -> Design {
    use FieldType::{Checkbox, Dropdown, Notes, Radio, Text, YesNo};
    let (mut fields, mut forms) = (Vec::new(), Vec::new());
    let (mut left, mut turn) = (columns.max(2), 0);
    while left > 0 {
        let number = forms.len() + 1;
        let form = format!("form_{number}");
        // The last column is the form's status; a rest of one column could not have a field.
        let wide = if left <= FORM_COLUMNS + 1 { left } else { FORM_COLUMNS };
        left -= wide;
        let mut room = wide - 1;
        if fields.is_empty() {
            fields.push(Field::new(&form, "record_id", Text, "Record ID"));
            room -= 1;
        }
        while room > 0 {
            let n = fields.len();
            let field = |kind, what: &str| Field::new(&form, &format!("{what}_{n}"), kind, &format!("{what} no. {n}"));
            let next = match turn % 12 {
                0 => field(Text, "age").validation("integer", "0", "110"),
                1 => field(Text, "value").validation("number", "", ""),
                2 => field(Text, "day").validation("date_ymd", "", ""),
                3 => field(Radio, "grade").choices(&[("1", "I"), ("2", "II"), ("3", "III"), ("4", "IV"), ("99", "?")]),
                4 if room >= 3 => field(Checkbox, "signs").choices(&[("1", "red"), ("2", "swollen"), ("3", "heiß")]),
                5 => field(Dropdown, "site").choices(&[("10", "Nord"), ("20", "Süd"), ("30", "West"), ("-1", "none")]),
                6 => field(YesNo, "agreed"),
                7 => field(Text, "place"),
                8 => field(Text, "moment").validation("datetime_ymd", "", ""),
                9 => field(Notes, "notes"),
                10 => field(Text, "temperature").validation("number_1dp", "", ""),
                _ => field(Text, "count").validation("integer", "", ""),
            };
            room -= if next.kind == Checkbox { next.choices.len() } else { 1 };
            turn += 1;
            fields.push(next);
        }
        forms.push(Form { label: format!("Form {number}"), name: form });
    }
    let event = Event {
        id: 1,
        arm: 1,
        name: "Event 1".to_owned(),
        unique_name: String::new(),
        forms: forms.iter().map(|form| form.name.clone()).collect(),
    };
    Design { fields, forms, arms: Vec::new(), events: vec![event], repeats: Vec::new() }
}

fn kind(column: &Column<'_>) -> Kind {
    let Some(field) = column.field else { return Kind::Status };
    match (field.kind, field.validation.as_str()) {
        _ if field.name == "record_id" => Kind::Record,
        (FieldType::Checkbox, _) => Kind::Tick,
        (FieldType::Notes, _) => Kind::Note,
        (FieldType::Radio | FieldType::Dropdown | FieldType::YesNo, _) => {
            Kind::Code(field.choices.iter().map(|(code, _)| code.clone()).collect())
        }
        (_, "integer") if field.max.is_empty() => Kind::Whole { low: -5, high: 100_000 },
        (_, "integer") => Kind::Whole { low: 0, high: 110 },
        (_, "number") => Kind::Decimal { digits: 2 },
        (_, "number_1dp") => Kind::Decimal { digits: 1 },
        (_, "date_ymd") => Kind::Date,
        (_, "datetime_ymd") => Kind::Time,
        _ => Kind::Text,
    }
}

/// Writes a cell's text; many are blank.
fn fill(text: &mut String, kind: &Kind, n: usize, random: &mut Random) {
    let filled = match kind {
        Kind::Record | Kind::Tick | Kind::Status => 100,
        Kind::Note => 40,
        _ => 60,
    };
    if !random.chance(filled) {
        return;
    }
    // Writing to a string cannot fail.
    let _ = match kind {
        Kind::Record => write!(text, "{n}"),
        Kind::Whole { low, high } => write!(text, "{}", random.between(*low, *high)),
        Kind::Decimal { digits: 1 } => write!(text, "{}", random.decimal(340, 420, 1)),
        Kind::Decimal { digits } => write!(text, "{}", random.decimal(-50_000, 500_000, *digits)),
        Kind::Date => write!(text, "{}", random.date(-10_000, 19_780)),
        Kind::Time => {
            let date = random.date(17_000, 19_780);
            write!(text, "{date} {:02}:{:02}", random.between(0, 23), random.between(0, 59))
        }
        Kind::Code(codes) => {
            let last = i64::try_from(codes.len()).unwrap_or(1) - 1;
            let code = usize::try_from(random.between(0, last)).ok().and_then(|n| codes.get(n));
            write!(text, "{}", code.map_or("", String::as_str))
        }
        Kind::Tick => write!(text, "{}", i64::from(random.chance(25))),
        Kind::Text => write!(text, "{}", random.pick(&PLACES)),
        Kind::Note => write!(text, "{}", random.pick(&NOTES)),
        Kind::Status => write!(text, "{}", random.between(0, 2)),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_design_has_exactly_the_columns_that_it_is_asked_for() {
        for columns in (2..80).chain([5_000]) {
            let design = design(columns);
            assert_eq!(design.columns().len(), columns);
            let names: std::collections::BTreeSet<_> = design.columns().into_iter().map(|c| c.name).collect();
            assert_eq!(names.len(), columns);
        }
    }

    #[test]
    fn the_same_size_gives_the_same_bytes_and_records_differ() {
        let (one, other) = (project(None, 200, 30), project(None, 200, 30));
        let csv = |project: &Project| project.generated.as_ref().map(|generated| generated.csv.clone());
        assert_eq!(csv(&one), csv(&other));
        let longer = csv(&project(None, 201, 30)).unwrap_or_default();
        assert!(longer.starts_with(&csv(&one).unwrap_or_default()));
        let rows: std::collections::BTreeSet<_> = one
            .generated
            .iter()
            .flat_map(|generated| (1..=200).map(|n| generated.row(n, false)))
            .map(|row| format!("{:?}", row.values.values().skip(1).collect::<Vec<_>>()))
            .collect();
        assert_eq!(rows.len(), 200);
    }

    #[test]
    fn the_data_have_everything_that_makes_a_reader_work() {
        let project = project(None, 500, 60);
        let csv = project.generated.map(|generated| generated.csv).unwrap_or_default();
        let text = String::from_utf8_lossy(&csv);
        for special in ["ü", "\"\"Es geht", "Zeile\nzweite", "\r\n", ",,,", "Rome, GA", ",-"] {
            assert!(text.contains(special), "{special:?}");
        }
        // 57 MB for 200,000 records of this many columns: 285 bytes a record.
        assert!((250..320).contains(&(csv.len() / 500)), "{}", csv.len() / 500);
    }
}
