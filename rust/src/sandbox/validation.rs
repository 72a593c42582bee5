//! What a field takes, and in which form it is stored.

use super::design::{Column, Field, FieldType};
use super::time::is_date;

/// The order of a date's parts in imported data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DateOrder {
    YearMonthDay,
    MonthDayYear,
    DayMonthYear,
}

impl DateOrder {
    /// By the name in a request; YMD without one.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "" | "YMD" => Some(Self::YearMonthDay),
            "MDY" => Some(Self::MonthDayYear),
            "DMY" => Some(Self::DayMonthYear),
            _ => None,
        }
    }
}

const NOT_EXPECTED: &str =
    "The value you provided could not be validated because it does not follow the expected format. Please try again.";
const NOT_A_DATE: &str = "Invalid date format.";

/// The text to store for an imported one, or REDCap's words about what is wrong with it. A blank is always
/// fine. Ranges (`min`, `max`) only warn in REDCap and are not looked at.
pub(super) fn stored(column: &Column<'_>, text: &str, order: DateOrder) -> Result<String, String> {
    let category = |fine: bool| {
        let message = || format!("The value is not a valid category for {}", column.name);
        if fine { Ok(text.to_owned()) } else { Err(message()) }
    };
    let expected = |fine: bool| if fine { Ok(text.to_owned()) } else { Err(NOT_EXPECTED.to_owned()) };
    if text.is_empty() {
        return Ok(String::new());
    }
    let Some(field) = column.field else { return category(matches!(text, "0" | "1" | "2")) };
    match field.kind {
        FieldType::Checkbox => category(matches!(text, "0" | "1")),
        FieldType::Radio | FieldType::Dropdown | FieldType::YesNo | FieldType::TrueFalse => {
            category(field.choice(text).is_some())
        }
        FieldType::Slider => expected(text.parse().is_ok_and(|value| (0..=100).contains(&value))),
        FieldType::Text => match kind(field) {
            "integer" => expected(is_number(text, Some(0))),
            "number" => expected(is_number(text, None)),
            "number_1dp" => expected(is_number(text, Some(1))),
            "email" => {
                expected(text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.')))
            }
            "date" => date(text, order).ok_or_else(|| NOT_A_DATE.to_owned()),
            "datetime" => time(text, order, 2).ok_or_else(|| NOT_A_DATE.to_owned()),
            "datetime_seconds" => time(text, order, 3).ok_or_else(|| NOT_A_DATE.to_owned()),
            _ => Ok(text.to_owned()),
        },
        FieldType::Notes | FieldType::Calc | FieldType::File | FieldType::Descriptive => Ok(text.to_owned()),
    }
}

/// A field's validation without the order in which people see a date: stored it is always year, month, day.
fn kind(field: &Field) -> &str {
    let name = field.validation.as_str();
    let orders = ["_ymd", "_mdy", "_dmy"];
    orders.iter().find_map(|order| name.strip_suffix(order)).unwrap_or(name)
}

/// Digits with a sign in front at most, and so many decimals; `None`: any number of them.
fn is_number(text: &str, decimals: Option<usize>) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    match (text.split_once('.'), decimals) {
        (None, None | Some(0)) => digits(text),
        (Some((whole, part)), None) => (whole.is_empty() || digits(whole)) && digits(part),
        (Some((whole, part)), Some(n)) => n > 0 && digits(whole) && digits(part) && part.len() == n,
        (None, Some(_)) => false,
    }
}

fn date(text: &str, order: DateOrder) -> Option<String> {
    let parts: Vec<_> = text.split(['-', '/']).collect();
    let &[a, b, c] = parts.as_slice() else { return None };
    let (year, month, day) = match order {
        DateOrder::YearMonthDay => (a, b, c),
        DateOrder::MonthDayYear => (c, a, b),
        DateOrder::DayMonthYear => (c, b, a),
    };
    let number = |text: &str, most: usize| -> Option<i64> {
        let fine = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        fine.then(|| text.parse().ok())?
    };
    let (year, month, day) = (number(year, 4).filter(|_| year.len() == 4)?, number(month, 2)?, number(day, 2)?);
    is_date(year, month, day).then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// A date and a time of 2 or 3 parts.
fn time(text: &str, order: DateOrder, parts: usize) -> Option<String> {
    let (day, clock) = text.split_once([' ', 'T'])?;
    let day = date(day, order)?;
    let clock: Vec<_> = clock.split(':').collect();
    let fine = |(part, limit): (&&str, i64)| {
        (1..=2).contains(&part.len()) && part.parse().is_ok_and(|number| (0..limit).contains(&number))
    };
    if clock.len() != parts || !clock.iter().zip([24, 60, 60]).all(fine) {
        return None;
    }
    let clock: Vec<_> = clock.iter().map(|part| format!("{part:0>2}")).collect();
    Some(format!("{day} {}", clock.join(":")))
}

/// A time in a request's parameters: `YYYY-MM-DD HH:MM:SS`.
pub(super) fn is_time(text: &str) -> bool {
    time(text, DateOrder::YearMonthDay, 3).is_some_and(|same| same == text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_decimals_that_their_validation_says() {
        for (text, decimals, fine) in [
            ("7", Some(0), true),
            ("-7", Some(0), true),
            ("7.0", Some(0), false),
            ("7,5", None, false),
            ("7.25", None, true),
            (".5", None, true),
            ("1e5", None, false),
            ("7", Some(1), false),
            ("7.5", Some(1), true),
            ("7.55", Some(1), false),
            ("-", None, false),
            ("", None, false),
        ] {
            assert_eq!(is_number(text, decimals), fine, "{text} {decimals:?}");
        }
    }

    #[test]
    fn dates_are_stored_as_year_month_day_whatever_their_order_was() {
        use DateOrder::{DayMonthYear, MonthDayYear, YearMonthDay};
        for (text, order) in [
            ("2024-02-29", YearMonthDay),
            ("2024/2/29", YearMonthDay),
            ("02/29/2024", MonthDayYear),
            ("2-29-2024", MonthDayYear),
            ("29.02.2024".replace('.', "-").as_str(), DayMonthYear),
        ] {
            assert_eq!(date(text, order).unwrap(), "2024-02-29", "{text}");
        }
        for (text, order) in [
            ("2023-02-29", YearMonthDay),
            ("29/02/2024", MonthDayYear),
            ("24-02-29", YearMonthDay),
            ("2024-02", YearMonthDay),
            ("2024-02-29 10:00", YearMonthDay),
            ("heute", YearMonthDay),
        ] {
            assert_eq!(date(text, order), None, "{text}");
        }
        assert_eq!(time("29-02-2024 7:05", DayMonthYear, 2).unwrap(), "2024-02-29 07:05");
        for text in ["2024-02-29", "2024-02-29 24:00", "2024-02-29 10:60", "2024-02-29 10:00:00"] {
            assert_eq!(time(text, YearMonthDay, 2), None, "{text}");
        }
        assert!(is_time("2024-02-29 10:00:00") && !is_time("2024-02-29") && !is_time("2024-2-29 10:00:00"));
    }
}
