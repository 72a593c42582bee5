//! Days as REDCap and people write them.

use std::time::{SystemTime, UNIX_EPOCH};

/// The days since 1970-01-01 of a `YYYY-MM-DD`; nothing for what is no day.
pub(crate) fn day(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
        return None;
    }
    let (year, month, day): (i64, i64, i64) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=12).contains(&month) || !(1..=last).contains(&day) {
        return None;
    }
    // Years are counted from March, so that the leap day is a year's last.
    let from_march = (month + 9) % 12;
    let year = if month <= 2 { year - 1 } else { year };
    let within = (153 * from_march + 2) / 5 + day - 1;
    Some(365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + within - 719_468)
}

/// Today, in UTC.
pub(crate) fn today(now: SystemTime) -> i64 {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds / 86_400).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_and_what_is_no_day_is_none() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-1)),
            ("2000-02-29", Some(11_016)),
            ("2000-03-01", Some(11_017)),
            ("2024-02-29", Some(19_782)),
            ("2026-11-22", Some(20_779)),
            ("2023-02-29", None),
            ("2023-2-9", None),
            ("", None),
            ("2023-02-09 10:00", None),
            ("2023-02-09-1", None),
        ] {
            assert_eq!(day(text), expected, "{text}");
        }
    }
}
