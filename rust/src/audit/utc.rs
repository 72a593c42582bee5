//! Time as it stands in an entry: RFC 3339, UTC, six decimals.

use std::time::{SystemTime, UNIX_EPOCH};

const MICROS_A_DAY: i128 = 86_400 * 1_000_000;

/// `2025-11-21T23:56:06.123456Z`. Always 27 characters for the years 0 to 9999, so texts sort as times do.
pub(crate) fn utc(time: SystemTime) -> String {
    let micros = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_micros().cast_signed(),
        Err(before) => -before.duration().as_micros().cast_signed(),
    };
    let (days, within) = (micros.div_euclid(MICROS_A_DAY), micros.rem_euclid(MICROS_A_DAY));
    let (year, month, day) = date(days);
    let (seconds, micros) = (within / 1_000_000, within % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// The seconds since 1970 of such a text; none where it is no such text.
pub(crate) fn seconds(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |text: &str| text.parse::<i64>().ok();
    let mut parts = date.splitn(3, '-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let mut parts = time.splitn(3, ':');
    let (hour, minute, second) = (number(parts.next()?)?, number(parts.next()?)?, parts.next()?.parse::<f64>().ok()?);
    let is_date = (0..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0.0..61.0).contains(&second);
    if !is_date || !is_time {
        return None;
    }
    // The inverse of `date()`, with years from March.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some((days * 86_400 + hour * 3600 + minute * 60) as f64 + second)
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar. Years are counted from March, so that
/// the leap day is a year's last, in eras of 400 years, which all have 146,097 days.
fn date(days: i128) -> (i128, i128, i128) {
    let days = days + 719_468; // from 0000-03-01
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i128::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64, micros: u32) -> String {
        utc(UNIX_EPOCH + Duration::new(seconds, micros * 1000 + 999))
    }

    #[test]
    fn known_moments_have_their_known_dates() {
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_400, 1), "2000-02-29T00:00:00.000001Z");
        assert_eq!(at(1_709_251_199, 999_999), "2024-02-29T23:59:59.999999Z");
        assert_eq!(at(1_709_251_200, 0), "2024-03-01T00:00:00.000000Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z");
        assert_eq!(at(253_402_300_799, 0), "9999-12-31T23:59:59.000000Z");
    }

    #[test]
    fn a_moment_that_was_written_is_read_back() {
        for seconds in [0, 951_782_400, 1_709_251_199, 1_709_251_200, 4_107_542_400, 253_402_300_799] {
            let back = super::seconds(&at(seconds, 250_000));
            assert_eq!(back, Some(seconds as f64 + 0.25));
        }
        for text in ["", "2025-11-21", "2025-13-21T00:00:00Z", "2025-11-21T00:00Z", "soon"] {
            assert_eq!(super::seconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_clock_before_1970_gives_a_date_and_no_panic() {
        assert_eq!(utc(UNIX_EPOCH - Duration::from_micros(1)), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn every_day_of_800_years_follows_the_one_before() {
        let length = |year: i128, month: i128| match month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + i128::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)),
            _ => 31,
        };
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..292_194 {
            assert_eq!(date(days), (year, month, day));
            day += 1;
            if day > length(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
