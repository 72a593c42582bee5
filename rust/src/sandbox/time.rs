//! Dates without a calendar library. The sandbox's local time is UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// `YYYY-MM-DD HH:MM`, the minute resolution of REDCap's log.
pub(super) fn minute(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("{} {:02}:{:02}", date(day(time)), seconds / 3600 % 24, seconds / 60 % 60)
}

/// The days since 1970-01-01.
pub(super) fn day(time: SystemTime) -> i64 {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds / 86_400).unwrap_or_default()
}

/// `YYYY-MM-DD HH:MM:SS`, as requests and the times of changes have it.
pub(super) fn second(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("{}:{:02}", minute(time), seconds % 60)
}

/// Whether a day is in the Gregorian calendar.
pub(super) fn is_date(year: i64, month: i64, day: i64) -> bool {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=12).contains(&month) && (1..=last).contains(&day)
}

/// Whether a text is a day, `YYYY-MM-DD`.
pub(super) fn is_day(text: &str) -> bool {
    let numbers: Vec<_> = text.split('-').map(str::parse::<i64>).collect();
    match numbers[..] {
        [Ok(year), Ok(month), Ok(day)] => text == format!("{year:04}-{month:02}-{day:02}") && is_date(year, month, day),
        _ => false,
    }
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar.
pub(super) fn date(day: i64) -> String {
    // Counted in eras of 400 years that begin on 1 March: leap days then stand at the end of their year.
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_right_around_leap_days() {
        for (day, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (19_782, "2024-02-29"),
        ] {
            assert_eq!(date(day), text);
        }
        assert_eq!(minute(UNIX_EPOCH + Duration::from_secs(951_782_399)), "2000-02-28 23:59");
        assert_eq!(second(UNIX_EPOCH + Duration::from_secs(951_782_399)), "2000-02-28 23:59:59");
        assert!(is_day("2024-02-29") && day(UNIX_EPOCH + Duration::from_secs(951_782_399)) == 11_015);
        for text in ["", "2024-2-29", "2023-02-29", "2024-02-29 08:15", "-024-02-29", "2024-02"] {
            assert!(!is_day(text), "{text}");
        }
        assert!(is_date(2000, 2, 29) && is_date(2024, 2, 29) && is_date(2023, 12, 31));
        for (year, month, day) in
            [(1900, 2, 29), (2023, 2, 29), (2023, 4, 31), (2023, 13, 1), (2023, 0, 1), (2023, 1, 0)]
        {
            assert!(!is_date(year, month, day), "{year}-{month}-{day}");
        }
    }
}
