//! The cells of one column: whether they fit their field, and how REDCap wants them written.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use super::fields::{Field, Fields, Kind};
use crate::records::convert;
use crate::records::dictionary::Choice;
use crate::value::{Column, Texts};

/// Doubles are exact for whole numbers below this one.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The first and the last day that have four digits of a year, counted from 1970-01-01.
const DAYS: std::ops::RangeInclusive<f64> = -719_162.0..=2_932_896.0;

/// A cell that does not fit, and why.
#[derive(Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) row: usize,
    pub(super) value: String,
    pub(super) reason: Cow<'static, str>,
}

/// What there is to say about a column.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Cells that do not fit their field.
    pub(super) problems: Vec<Finding>,
    /// Cells beyond the field's smallest or largest value: REDCap warns of them and takes them.
    pub(super) beyond: Vec<Finding>,
}

/// The cells of a column in their own type; they become texts one by one. Those that do not fit are blank.
pub(super) enum Cells {
    Int(Vec<i32>),
    Real { cells: Vec<f64>, point: u8, decimals: Option<usize> },
    Flag(Vec<i8>),
    Date(Vec<f64>),
    Time { cells: Vec<f64>, seconds: bool },
    Text { ids: Vec<u32>, texts: Texts },
}

type Fits = std::result::Result<(), Cow<'static, str>>;

impl Cells {
    /// Checks a column against its field.
    pub(super) fn fit(column: Column, field: &Field, fields: &Fields, findings: &mut Findings) -> Self {
        let rule = Rule { field, fields, codes: codes(&field.kind), labels: labels(&field.kind) };
        match column {
            Column::Int(mut cells) => {
                for (row, cell) in cells.iter_mut().enumerate().filter(|(_, cell)| **cell != Column::NO_INT) {
                    if !findings.note(row, rule.number(f64::from(*cell)), || cell.to_string()) {
                        *cell = Column::NO_INT;
                    }
                }
                match field.kind {
                    Kind::Real { point, decimals: Some(n) } => {
                        let real = |cell: i32| if cell == Column::NO_INT { Column::NO_REAL } else { f64::from(cell) };
                        Self::Real { cells: cells.into_iter().map(real).collect(), point, decimals: Some(n) }
                    }
                    _ => Self::Int(cells),
                }
            }
            Column::Real(mut cells) => {
                for (row, cell) in cells.iter_mut().enumerate().filter(|(_, cell)| !Column::is_no_real(**cell)) {
                    if !findings.note(row, rule.number(*cell), || cell.to_string()) {
                        *cell = Column::NO_REAL;
                    }
                }
                let (point, decimals) = match field.kind {
                    Kind::Real { point, decimals } => (point, decimals),
                    _ => (b'.', None),
                };
                Self::Real { cells, point, decimals }
            }
            Column::Flag(mut cells) => {
                for (row, cell) in cells.iter_mut().enumerate().filter(|(_, cell)| **cell != Column::NO_FLAG) {
                    let value = || if *cell == 0 { "FALSE".to_owned() } else { "TRUE".to_owned() };
                    if !findings.note(row, (rule.flag(), false), value) {
                        *cell = Column::NO_FLAG;
                    }
                }
                Self::Flag(cells)
            }
            Column::Date(mut cells) => {
                for (row, cell) in cells.iter_mut().enumerate().filter(|(_, cell)| !Column::is_no_real(**cell)) {
                    if !findings.note(row, rule.date(*cell), || moment(*cell * 86_400.0, false)) {
                        *cell = Column::NO_REAL;
                    }
                }
                Self::Date(cells)
            }
            Column::DateTime { seconds: mut cells, .. } => {
                for (row, cell) in cells.iter_mut().enumerate().filter(|(_, cell)| !Column::is_no_real(**cell)) {
                    if !findings.note(row, rule.time(*cell), || moment(*cell, true)) {
                        *cell = Column::NO_REAL;
                    }
                }
                Self::Time { cells, seconds: field.kind != Kind::Time { seconds: false } }
            }
            Column::Text { ids, dictionary } => Self::texts(ids, &dictionary, &rule, false, findings),
            Column::Factor { codes, levels } => {
                // A factor that has the field's own labels for its levels was made of them, as exports do.
                let made_of_labels = matches!(&field.kind, Kind::Choice { choices, .. } if is_labels(&levels, choices));
                let id = |code: i32| if code > 0 { code.cast_unsigned() - 1 } else { Column::MISSING };
                let ids = codes.into_iter().map(id).collect();
                Self::texts(ids, &levels, &rule, made_of_labels, findings)
            }
        }
    }

    /// Texts: each distinct one is judged once.
    fn texts(mut ids: Vec<u32>, known: &Texts, rule: &Rule<'_>, labels: bool, findings: &mut Findings) -> Self {
        let mut texts = Texts::default();
        let judged: Vec<(Fits, bool)> = known
            .iter()
            .map(|text| {
                let (written, fits, beyond) = rule.text(text, labels);
                texts.push(&written);
                (fits, beyond)
            })
            .collect();
        for (row, id) in ids.iter_mut().enumerate() {
            let Some((fits, beyond)) = judged.get(*id as usize) else { continue };
            if fits.is_err() || *beyond {
                let value = || known.get(*id).unwrap_or_default().to_owned();
                if !findings.note(row, (fits.clone(), *beyond), value) {
                    *id = Column::MISSING;
                }
            }
        }
        Self::Text { ids, texts }
    }

    /// Writes a cell into a text that is cleared before; blank where it is missing.
    pub(super) fn write(&self, row: usize, out: &mut String) {
        out.clear();
        // Writing to a string cannot fail.
        let _ = match self {
            Self::Int(cells) if cells[row] != Column::NO_INT => write!(out, "{}", cells[row]),
            Self::Flag(cells) if cells[row] != Column::NO_FLAG => write!(out, "{}", cells[row]),
            Self::Real { cells, point, decimals } if !Column::is_no_real(cells[row]) => {
                write_number(cells[row], *point, *decimals, out);
                Ok(())
            }
            Self::Date(cells) if !Column::is_no_real(cells[row]) => {
                write!(out, "{}", moment(cells[row].floor() * 86_400.0, false))
            }
            Self::Time { cells, seconds } if !Column::is_no_real(cells[row]) => {
                let mut text = moment(cells[row], true);
                if !seconds {
                    text.truncate("YYYY-MM-DD HH:MM".len());
                }
                write!(out, "{text}")
            }
            Self::Text { ids, texts } => {
                out.push_str(texts.get(ids[row]).unwrap_or_default());
                Ok(())
            }
            _ => Ok(()),
        };
    }

    /// A cell as a text of its own.
    pub(super) fn text(&self, row: usize) -> String {
        let mut out = String::new();
        self.write(row, &mut out);
        out
    }

    /// Whether a cell is blank.
    pub(super) fn is_blank(&self, row: usize) -> bool {
        match self {
            Self::Int(cells) => cells[row] == Column::NO_INT,
            Self::Flag(cells) => cells[row] == Column::NO_FLAG,
            Self::Real { cells, .. } | Self::Date(cells) | Self::Time { cells, .. } => Column::is_no_real(cells[row]),
            Self::Text { ids, texts } => texts.get(ids[row]).is_none_or(str::is_empty),
        }
    }
}

impl Findings {
    /// Keeps what is to be said of a cell. False if it does not fit.
    fn note(&mut self, row: usize, (fits, beyond): (Fits, bool), value: impl Fn() -> String) -> bool {
        if beyond {
            let reason = "it is beyond the field's smallest or largest value".into();
            self.beyond.push(Finding { row, value: value(), reason });
        }
        match fits {
            Ok(()) => true,
            Err(reason) => {
                self.problems.push(Finding { row, value: value(), reason });
                false
            }
        }
    }
}

/// What a field takes.
struct Rule<'a> {
    field: &'a Field,
    fields: &'a Fields,
    /// The codes of its choices.
    codes: HashSet<&'a str>,
    /// The codes by their labels; nothing where several share one.
    labels: HashMap<&'a str, Option<&'a str>>,
}

impl Rule<'_> {
    /// Whether a number fits, and whether it is beyond the field's range.
    fn number(&self, number: f64) -> (Fits, bool) {
        let plain = || {
            let mut text = String::new();
            write_number(number, b'.', None, &mut text);
            text
        };
        let whole = number.fract() == 0.0 && number.abs() < EXACT;
        let fits = match &self.field.kind {
            _ if !number.is_finite() => Err("it is no number that REDCap can hold".into()),
            Kind::Id if !whole => Err("an id is a text or a whole number of at most 15 digits".into()),
            Kind::Int if number.fract() != 0.0 => Err("the field takes whole numbers".into()),
            Kind::Id | Kind::Text | Kind::Int | Kind::Real { decimals: None, .. } => Ok(()),
            Kind::Real { decimals: Some(most), .. } => {
                let decimals = plain().split_once('.').map_or(0, |(_, decimals)| decimals.len());
                if decimals <= *most { Ok(()) } else { Err(too_many(*most)) }
            }
            Kind::Choice { .. } if self.codes.contains(plain().as_str()) => Ok(()),
            Kind::Choice { .. } => Err(NO_CHOICE.into()),
            Kind::Date => Err("the field takes dates, and this is a number".into()),
            Kind::Time { .. } => Err("the field takes dates with a time of day, and this is a number".into()),
        };
        if fits.is_err() && number.is_finite() && self.fields.is_missing_code(&plain()) {
            return (Ok(()), false);
        }
        let ranged = matches!(self.field.kind, Kind::Int | Kind::Real { .. });
        let beyond = ranged && self.is_beyond(number) && !self.fields.is_missing_code(&plain());
        (fits, beyond)
    }

    /// The code that a text means: it is one, or it is the label of one and of no other.
    fn code<'t>(&self, text: &'t str, labels: bool) -> std::result::Result<Cow<'t, str>, &'static str> {
        let is_code = !labels && self.codes.contains(text);
        match self.labels.get(text) {
            None if is_code => Ok(Cow::Borrowed(text)),
            None => Err(NO_CHOICE),
            Some(Some(code)) if !is_code || *code == text => Ok(Cow::Owned((*code).to_owned())),
            Some(Some(_)) => Err("it is the code of one choice and the label of another; give codes as numbers"),
            Some(None) => Err("it is the label of several choices; give the code"),
        }
    }

    fn is_beyond(&self, value: f64) -> bool {
        let (low, high) = self.field.range;
        low.is_some_and(|low| value < low) || high.is_some_and(|high| value > high)
    }

    fn flag(&self) -> Fits {
        match &self.field.kind {
            Kind::Choice { logical: true, .. } => Ok(()),
            _ => Err("it is `TRUE` or `FALSE`, and the field is neither yes-no nor a checkbox".into()),
        }
    }

    fn date(&self, days: f64) -> (Fits, bool) {
        if !DAYS.contains(&days) {
            return (Err("the date has no year of four digits".into()), false);
        }
        match self.field.kind {
            Kind::Date => (Ok(()), self.is_beyond(days.floor())),
            Kind::Text => (Ok(()), false),
            Kind::Time { .. } => (Err("the field takes dates with a time of day, and this has none".into()), false),
            _ => (Err("it is a date, and the field takes none".into()), false),
        }
    }

    fn time(&self, moment: f64) -> (Fits, bool) {
        if !DAYS.contains(&(moment / 86_400.0).floor()) {
            return (Err("the date has no year of four digits".into()), false);
        }
        let fits = match self.field.kind {
            Kind::Time { seconds: false } if whole_seconds(moment) % 60 != 0 => {
                Err("it has seconds, and the field takes hours and minutes only".into())
            }
            Kind::Time { .. } | Kind::Text => Ok(()),
            Kind::Date => Err("it has a time of day, and the field takes dates".into()),
            _ => Err("it is a date with a time of day, and the field takes none".into()),
        };
        let beyond = fits.is_ok() && matches!(self.field.kind, Kind::Time { .. }) && self.is_beyond(moment);
        (fits, beyond)
    }

    /// How a text is written, whether it fits, and whether it is beyond the range. `labels`: it is a label.
    fn text<'t>(&self, text: &'t str, labels: bool) -> (Cow<'t, str>, Fits, bool) {
        let same = Cow::Borrowed(text);
        if text.is_empty() {
            return (same, Ok(()), false);
        }
        let bytes = text.as_bytes();
        let (found, otherwise): (Option<f64>, Cow<'static, str>) = match &self.field.kind {
            Kind::Text => return (same, Ok(()), false),
            Kind::Id => {
                let fits = if text.trim() == text { Ok(()) } else { Err("there are blanks around the id".into()) };
                return (same, fits, false);
            }
            Kind::Choice { .. } => {
                return match self.code(text, labels) {
                    Ok(code) => (code, Ok(()), false),
                    Err(_) if self.fields.is_missing_code(text) => (same, Ok(()), false),
                    Err(reason) => (same, Err(reason.into()), false),
                };
            }
            Kind::Int => (whole(text), "the field takes whole numbers".into()),
            Kind::Real { point, decimals } => match (decimal(text, *point), *decimals) {
                (Some((number, _)), None) => (Some(number), NO_NUMBER.into()),
                (Some((number, places)), Some(wanted)) if places == wanted => (Some(number), NO_NUMBER.into()),
                (Some(_), Some(wanted)) => (None, format!("the field takes numbers with {wanted} decimals").into()),
                (None, _) if *point == b',' => (None, "the field takes numbers with a decimal comma".into()),
                (None, _) => (None, NO_NUMBER.into()),
            },
            Kind::Date => (convert::date(bytes), "the field takes dates as `YYYY-MM-DD`".into()),
            Kind::Time { seconds } => {
                let length = if *seconds { 19 } else { 16 };
                let form = if *seconds { "`YYYY-MM-DD HH:MM:SS`" } else { "`YYYY-MM-DD HH:MM`" };
                let found = convert::date_time(bytes).filter(|_| bytes.len() == length);
                (found, format!("the field takes dates with a time of day as {form}").into())
            }
        };
        match found {
            _ if self.fields.is_missing_code(text) => (same, Ok(()), false),
            Some(number) => (same, Ok(()), self.is_beyond(number)),
            None => (same, Err(otherwise), false),
        }
    }
}

const NO_CHOICE: &str = "it is none of the field's choices";
const NO_NUMBER: &str = "the field takes numbers";

fn too_many(most: usize) -> Cow<'static, str> {
    format!("it has more decimals than the field takes ({most})").into()
}

fn codes(kind: &Kind) -> HashSet<&str> {
    match kind {
        Kind::Choice { choices, .. } => choices.iter().map(|(code, _)| code.as_str()).collect(),
        _ => HashSet::new(),
    }
}

/// Whether levels are the distinct labels of choices, in their order.
fn is_labels(levels: &Texts, choices: &[Choice]) -> bool {
    let mut known = HashSet::new();
    levels.iter().eq(choices.iter().map(|(_, label)| label.as_str()).filter(|label| known.insert(*label)))
}

fn labels(kind: &Kind) -> HashMap<&str, Option<&str>> {
    let mut labels = HashMap::new();
    if let Kind::Choice { choices, .. } = kind {
        for (code, label) in choices {
            labels.entry(label.as_str()).and_modify(|one| *one = None).or_insert(Some(code.as_str()));
        }
    }
    labels
}

/// A whole number, as a double that may be off where it has many digits: for the range.
fn whole(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let fine = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    fine.then(|| text.parse().ok())?
}

/// A number without exponent and the number of its decimals.
fn decimal(text: &str, point: u8) -> Option<(f64, usize)> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (before, behind) = digits.split_once(char::from(point)).unwrap_or((digits, ""));
    let fine = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !fine(before) || !fine(behind) || before.is_empty() && behind.is_empty() {
        return None;
    }
    let plain = text.replace(char::from(point), ".");
    Some((plain.parse().ok()?, behind.len()))
}

/// The shortest text that means this double, without exponent whatever its size, with as many decimals as wanted.
fn write_number(number: f64, point: u8, decimals: Option<usize>, out: &mut String) {
    let begin = out.len();
    // Zero has no sign that anybody would want to see. Writing to a string cannot fail.
    let _ = write!(out, "{}", if number == 0.0 { 0.0 } else { number });
    if let Some(wanted) = decimals.filter(|wanted| *wanted > 0) {
        let has = out[begin..].split_once('.').map_or(0, |(_, decimals)| decimals.len());
        if has == 0 {
            out.push('.');
        }
        out.extend(std::iter::repeat_n('0', wanted.saturating_sub(has)));
    }
    if point != b'.'
        && let Some(at) = out[begin..].find('.')
    {
        out.replace_range(begin + at..=begin + at, char::from(point).encode_utf8(&mut [0; 4]));
    }
}

/// The second in which a moment lies. What is less than half a millisecond before the next one is the next one: a
/// double does not hold it better.
fn whole_seconds(moment: f64) -> i64 {
    ((moment * 1000.0).round() / 1000.0).floor() as i64
}

/// A moment as `YYYY-MM-DD`, or as `YYYY-MM-DD HH:MM:SS`.
fn moment(moment: f64, clock: bool) -> String {
    let seconds = if clock { whole_seconds(moment) } else { moment.floor() as i64 };
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years are counted from March, so that a leap day is the last.
    let shifted = day + 719_468;
    let (era, in_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let (day, month) = (in_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + i64::from(month <= 2);
    let mut text = format!("{year:04}-{month:02}-{day:02}");
    if clock {
        let _ = write!(text, " {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields() -> Fields {
        let line = |name: &str, kind: &str, choices: &str, validation: &str, low: &str, high: &str| {
            serde_json::json!({
                "field_name": name, "form_name": "f", "field_type": kind, "select_choices_or_calculations": choices,
                "text_validation_type_or_show_slider_number": validation, "text_validation_min": low,
                "text_validation_max": high,
            })
        };
        let lines = [
            line("id", "text", "", "", "", ""),
            line("text", "text", "", "", "", ""),
            line("int", "text", "", "integer", "0", "100"),
            line("real", "text", "", "number", "", "1000"),
            line("one", "text", "", "number_1dp", "", ""),
            line("comma", "text", "", "number_2dp_comma_decimal", "", ""),
            line("date", "text", "", "date_mdy", "1920-01-01", "today"),
            line("time", "text", "", "datetime_dmy", "", ""),
            line("clock", "text", "", "datetime_seconds_ymd", "", ""),
            line("choice", "radio", "1, one | 2, two | 3, two | A b, four, five", "", "", ""),
            line("shifted", "dropdown", "0, 1 | 1, 2 | 2, 3", "", "", ""),
            line("yesno", "yesno", "", "", "", ""),
            line("box", "checkbox", "1, x", "", "", ""),
        ];
        let lines = serde_json::json!(lines).to_string();
        Fields::read(lines.as_bytes(), "UNK, Unknown | -99, Not asked").unwrap()
    }

    #[test]
    fn a_field_of_very_many_choices_is_checked_in_no_time() {
        let choices = (0..40_000).map(|n| (n.to_string(), format!("label {n}"))).collect::<Vec<_>>();
        let texts: Texts = choices.iter().map(|(_, label)| label).collect();
        let lines = serde_json::json!([{"field_name": "id", "form_name": "f", "field_type": "text"}, {
            "field_name": "many", "form_name": "f", "field_type": "dropdown",
            "select_choices_or_calculations": choices.iter().map(|(c, l)| format!("{c}, {l}")).collect::<Vec<_>>().join(" | "),
        }]);
        let fields = Fields::read(lines.to_string().as_bytes(), "").unwrap();
        let begin = std::time::Instant::now();
        for column in [
            Column::Factor { codes: (1..=40_000).collect(), levels: texts.clone() },
            Column::Text { ids: (0..40_000).collect(), dictionary: texts },
        ] {
            let mut findings = Findings::default();
            let cells = Cells::fit(column, fields.get("many").unwrap(), &fields, &mut findings);
            assert_eq!((cells.text(39_999).as_str(), findings.problems.len()), ("39999", 0));
        }
        assert!(begin.elapsed() < std::time::Duration::from_secs(3), "{:?}", begin.elapsed());
    }

    /// What becomes of a column: its texts, the rows that do not fit, and those beyond the range.
    fn fitted(name: &str, column: Column) -> (Vec<String>, Vec<usize>, Vec<usize>) {
        let (fields, rows, mut findings) = (fields(), column.len(), Findings::default());
        let cells = Cells::fit(column, fields.get(name).unwrap(), &fields, &mut findings);
        let texts: Vec<String> = (0..rows).map(|row| cells.text(row)).collect();
        assert!((0..rows).all(|row| cells.is_blank(row) == texts[row].is_empty()));
        let rows = |found: &[Finding]| found.iter().map(|finding| finding.row).collect();
        (texts, rows(&findings.problems), rows(&findings.beyond))
    }

    fn text(cells: &[&str]) -> Column {
        Column::text(cells.iter().map(|cell| Some(*cell)))
    }

    #[test]
    fn numbers_are_written_with_all_their_digits_and_never_with_an_exponent() {
        let reals = [1e5, 1e-7, 123_456_789.123_456_78, -0.0, 1e22, 0.1 + 0.2, 100.0];
        let column = Column::real(reals.into_iter().map(Some).chain([None]));
        let written = [
            "100000",
            "0.0000001",
            "123456789.12345678",
            "0",
            "10000000000000000000000",
            "0.30000000000000004",
            "100",
            "",
        ];
        assert_eq!(fitted("text", column.clone()).0, written);
        let (texts, problems, beyond) = fitted("real", column);
        assert_eq!((texts, problems, beyond), (written.map(str::to_owned).to_vec(), vec![], vec![0, 2, 4]));
        assert_eq!(fitted("int", Column::int([Some(7), None, Some(-3), Some(101)])).2, [2, 3]);
    }

    #[test]
    fn what_is_no_number_of_the_fields_kind_does_not_fit() {
        let column = Column::real([Some(1.5), Some(2.0), Some(f64::NAN), Some(f64::INFINITY)]);
        assert_eq!(fitted("int", column.clone()).1, [0, 2, 3]);
        assert_eq!(fitted("text", column.clone()).1, [2, 3]);
        assert_eq!(fitted("id", column).1, [0, 2, 3]);
        assert_eq!(
            fitted("id", Column::real([Some(1e5), Some(1e17)])),
            (vec!["100000".into(), String::new()], vec![1], vec![])
        );
        assert_eq!(fitted("one", Column::real([Some(37.0), Some(36.6), Some(36.65)])).0, ["37.0", "36.6", ""]);
        assert_eq!(fitted("one", Column::int([Some(37)])).0, ["37.0"]);
        assert_eq!(fitted("comma", Column::real([Some(1.5), Some(-2.0)])).0, ["1,50", "-2,00"]);
        assert_eq!(fitted("date", Column::int([Some(19_000), Some(-99)])).1, [0]);
    }

    #[test]
    fn texts_are_sent_as_they_are_and_fit_as_redcap_reads_them() {
        let odd = ["", " a ", "1e+05", "x\r\ny", "\"q\"", "ä\u{1f600}"];
        assert_eq!(fitted("text", text(&odd)), (odd.map(str::to_owned).to_vec(), vec![], vec![]));
        assert_eq!(fitted("int", text(&["7", "+7", "-07", "UNK", "7.0", " 7", "1e3", "x", "700"])).1, [4, 5, 6, 7]);
        assert_eq!(fitted("int", text(&["7", "700", "-99"])).2, [1]);
        assert_eq!(fitted("real", text(&["7", ".5", "5.", "1.50", "1,5", ".", "1e3", "1.2.3"])).1, [4, 5, 6, 7]);
        assert_eq!(fitted("one", text(&["37.0", "37", "37.05"])).1, [1, 2]);
        assert_eq!(fitted("comma", text(&["1,50", "1.50"])).1, [1]);
        assert_eq!(fitted("date", text(&["2024-02-29", "2023-02-29", "29.2.2024", "1919-12-31"])).1, [1, 2]);
        assert_eq!(fitted("date", text(&["2024-02-29", "1919-12-31"])).2, [1]);
        assert_eq!(fitted("time", text(&["2024-02-29 10:00", "2024-02-29 10:00:00", "2024-02-29"])).1, [1, 2]);
        assert_eq!(fitted("clock", text(&["2024-02-29 10:00", "2024-02-29 10:00:00"])).1, [0]);
        assert_eq!(fitted("id", text(&["1e+05", "007", " 1"])).1, [2]);
    }

    #[test]
    fn dates_and_times_are_written_as_the_field_wants_them() {
        let days = Column::Date(vec![0.0, -1.0, 19_782.0, 19_782.5, Column::NO_REAL, 3e6, -800_000.0]);
        let (texts, problems, beyond) = fitted("date", days.clone());
        assert_eq!(texts, ["1970-01-01", "1969-12-31", "2024-02-29", "2024-02-29", "", "", ""]);
        assert_eq!((problems, beyond), (vec![5, 6], vec![]));
        assert_eq!(fitted("time", days).1, [0, 1, 2, 3, 5, 6]);
        let seconds = vec![0.0, 3720.0, -1.0, 59.999_999, Column::NO_REAL];
        let times = Column::DateTime { seconds, zone: "Europe/Vienna".into() };
        let (texts, problems, _) = fitted("clock", times.clone());
        let all = ["1970-01-01 00:00:00", "1970-01-01 01:02:00", "1969-12-31 23:59:59", "1970-01-01 00:01:00", ""];
        assert_eq!((texts, problems), (all.map(str::to_owned).to_vec(), vec![]));
        let (texts, problems, _) = fitted("time", times.clone());
        assert_eq!((texts[1].as_str(), texts[3].as_str(), problems), ("1970-01-01 01:02", "1970-01-01 00:01", vec![2]));
        assert_eq!(fitted("date", times.clone()).1, [0, 1, 2, 3]);
        assert_eq!(fitted("int", times).1, [0, 1, 2, 3]);
    }

    #[test]
    fn yes_and_no_are_one_and_nought() {
        let flags = Column::flag([Some(true), Some(false), None]);
        for name in ["yesno", "box___1"] {
            assert_eq!(fitted(name, flags.clone()), (vec!["1".into(), "0".into(), String::new()], vec![], vec![]));
        }
        for name in ["int", "choice", "text", "id"] {
            assert_eq!(fitted(name, flags.clone()).1, [0, 1], "{name}");
        }
        // A column of nothing is of that type in R, whatever it stands for.
        assert_eq!(fitted("date", Column::flag([None, None])).1, [0_usize; 0]);
        assert_eq!(fitted("yesno", text(&["Yes", "No", "1", "0", "yes"])).1, [4]);
        assert_eq!(fitted("box___1", text(&["Checked", "Unchecked"])).0, ["1", "0"]);
        assert_eq!(fitted("yesno", Column::int([Some(1), Some(0), Some(2)])).1, [2]);
    }

    #[test]
    fn labels_become_codes_where_they_can_mean_one_only() {
        let (texts, problems, _) = fitted("choice", text(&["1", "one", "two", "A b", "four, five", "One", "UNK"]));
        assert_eq!(texts, ["1", "1", "", "A b", "A b", "", "UNK"]);
        assert_eq!(problems, [2, 5]);
        assert_eq!(fitted("choice", Column::real([Some(1.0), Some(4.0), Some(-99.0)])).1, [1]);
        // `1` is a code and the label of another code.
        assert_eq!(fitted("shifted", text(&["0", "1", "2", "3"])).1, [1, 2]);
        assert_eq!(fitted("shifted", Column::int([Some(1)])).0, ["1"]);
        // Not so in a factor of the field's own labels.
        let levels: Texts = ["1", "2", "3"].iter().collect();
        let factor = Column::Factor { codes: vec![1, 3, Column::NO_INT], levels };
        assert_eq!(fitted("shifted", factor), (vec!["0".into(), "2".into(), String::new()], vec![], vec![]));
        let levels: Texts = ["3", "1"].iter().collect();
        assert_eq!(fitted("shifted", Column::Factor { codes: vec![1, 2], levels }).1, [1]);
        let levels: Texts = ["one", "two", "four, five"].iter().collect();
        assert_eq!(
            fitted("choice", Column::Factor { codes: vec![1, 2, 3], levels }),
            (vec!["1".into(), String::new(), "A b".into()], vec![1], vec![])
        );
        let levels: Texts = ["b", "a"].iter().collect();
        assert_eq!(fitted("id", Column::Factor { codes: vec![2, 1], levels }).0, ["a", "b"]);
    }

    proptest! {
        #[test]
        fn every_double_is_written_so_that_it_is_read_as_itself(bits in any::<u64>()) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let mut text = String::new();
            write_number(number, b'.', None, &mut text);
            prop_assert!(!text.contains(['e', 'E']));
            // Nought has lost its sign.
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), (number + 0.0).to_bits());
        }

        #[test]
        fn what_an_export_reads_an_import_writes_again(seconds in -62_135_596_800_i64..253_402_300_799) {
            let text = moment(seconds as f64, true);
            prop_assert_eq!(convert::date_time(text.as_bytes()), Some(seconds as f64));
            prop_assert_eq!(convert::date(&text.as_bytes()[..10]), Some(seconds.div_euclid(86_400) as f64));
        }
    }
}
