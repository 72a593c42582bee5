//! One cell into one number or date. No conversion changes a value: `None` is "does not fit the type".

/// The most digits that a double always gives back as they were.
const SAFE_DIGITS: usize = 15;

/// Powers of ten that a double holds exactly.
const POWERS: [f64; SAFE_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The sign, and what stands behind it.
fn sign(cell: &[u8]) -> (bool, &[u8]) {
    match cell {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, cell),
    }
}

/// A whole number of 32 bits that is written in the one way in which a number is written: with a plus or zeros in
/// front its text could not be had back. The smallest is the host's mark for "missing" and does not fit.
#[inline(always)]
pub(super) fn int(cell: &[u8]) -> Option<i32> {
    let (negative, digits) = match cell {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, cell),
    };
    match digits {
        [] | [b'0', _, ..] => return None,
        [b'0'] if negative => return None,
        _ => {}
    }
    let mut number: i64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + i64::from(digit);
        if number > i64::from(i32::MAX) {
            return None;
        }
    }
    i32::try_from(if negative { -number } else { number }).ok()
}

/// A number with `point` as its decimal character, without exponent: the double nearest to it, if that says the same.
#[inline(always)]
pub(super) fn real(cell: &[u8], point: u8) -> Option<f64> {
    let (negative, digits) = sign(cell);
    let number = if digits.len() <= SAFE_DIGITS { short(digits, point)? } else { long(digits, point)? };
    Some(if negative { -number } else { number })
}

/// A number of so few digits that whole number and power of ten are exact: their quotient is the double nearest to it.
#[inline(always)]
fn short(digits: &[u8], point: u8) -> Option<f64> {
    let (mut mantissa, mut decimals, mut behind) = (0_u64, 0, 0);
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa * 10 + u64::from(digit);
            decimals += behind;
        } else if *byte == point && behind == 0 {
            behind = 1;
        } else {
            return None;
        }
    }
    if digits.len() == behind {
        return None;
    }
    Some(if decimals == 0 { mantissa as f64 } else { mantissa as f64 / POWERS[decimals] })
}

/// A number of many digits fits if the shortest text for its double is the same number.
#[cold]
fn long(digits: &[u8], point: u8) -> Option<f64> {
    if !digits.iter().all(|byte| byte.is_ascii_digit() || *byte == point) {
        return None;
    }
    let text: String = digits.iter().map(|byte| if *byte == point { '.' } else { char::from(*byte) }).collect();
    let number: f64 = text.parse().ok()?;
    if !number.is_finite() {
        return None;
    }
    let plain = |text: &str| {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        (whole.trim_start_matches('0').to_owned(), decimals.trim_end_matches('0').to_owned())
    };
    (plain(&text) == plain(&number.to_string())).then_some(number)
}

/// Two digits.
fn two(text: &[u8]) -> Option<u32> {
    match text {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(u32::from(a - b'0') * 10 + u32::from(b - b'0')),
        _ => None,
    }
}

/// `YYYY-MM-DD`, as REDCap exports every date whatever its form on screen: days since 1970-01-01.
pub(super) fn date(cell: &[u8]) -> Option<f64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *cell else { return None };
    let year = two(&[y1, y2])? * 100 + two(&[y3, y4])?;
    let (month, day) = (two(&[m1, m2])?, two(&[d1, d2])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if year == 0 || day == 0 || day > last {
        return None;
    }
    Some(f64::from(days(i64::from(year), i64::from(month), i64::from(day))))
}

/// Days since 1970-01-01 in the Gregorian calendar: years are counted from March, so that a leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, in_era) = (year.div_euclid(400), year.rem_euclid(400));
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    (era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468) as i32
}

/// `YYYY-MM-DD HH:MM` or `YYYY-MM-DD HH:MM:SS`: seconds since 1970-01-01 00:00:00 on the same clock.
pub(super) fn date_time(cell: &[u8]) -> Option<f64> {
    let (day, rest) = cell.split_at_checked(10)?;
    let (hour, minute, second) = match *rest {
        [b' ', h1, h2, b':', m1, m2] => (two(&[h1, h2])?, two(&[m1, m2])?, 0),
        [b' ', h1, h2, b':', m1, m2, b':', s1, s2] => (two(&[h1, h2])?, two(&[m1, m2])?, two(&[s1, s2])?),
        _ => return None,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(date(day)? * 86_400.0 + f64::from(hour * 3600 + minute * 60 + second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_numbers_of_32_bits_fit_and_nothing_else() {
        for (text, number) in [("0", 0), ("-12", -12), ("2147483647", i32::MAX), ("-2147483647", -i32::MAX)] {
            assert_eq!(int(text.as_bytes()), Some(number), "{text}");
        }
        for text in
            ["", "-", "+", " 1", "1 ", "1.0", "1e3", "1e+05", "0x10", "--1", "UNK", "٣", "1\0", "99999999999999999999"]
        {
            assert_eq!(int(text.as_bytes()), None, "{text}");
        }
        assert_eq!((int(b"2147483648"), int(b"-2147483649")), (None, None));
    }

    #[test]
    fn the_smallest_whole_number_is_the_mark_for_missing_and_does_not_fit() {
        assert_eq!(int(b"-2147483648"), None);
    }

    #[test]
    fn a_whole_number_whose_text_would_be_lost_does_not_fit() {
        for text in ["0", "7", "-1", "10", "2147483647"] {
            assert_eq!(int(text.as_bytes()).map(|n| n.to_string()).as_deref(), Some(text));
        }
        for text in ["00", "01", "007", "-0", "+1", "+0", "-01", "0000000000000000000000000"] {
            assert_eq!(int(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn numbers_fit_when_their_double_says_the_same() {
        for (text, number) in [
            ("1", 1.0_f64),
            ("-1.50", -1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("0.1", 0.1),
            ("000123.4500", 123.45),
            ("23.333333333333332", 23.333_333_333_333_332),
            ("9007199254740992", 9_007_199_254_740_992.0),
            ("0.000000000000000000000000000001", 1e-30),
            ("100000", 100_000.0),
            ("123456789012345.0000000000", 123_456_789_012_345.0),
        ] {
            assert_eq!(real(text.as_bytes(), b'.').map(f64::to_bits), Some(number.to_bits()), "{text}");
        }
        for text in [
            "",
            ".",
            "-",
            "-.",
            "1,5",
            "1.2.3",
            "1e5",
            "1e+05",
            "1E-3",
            "NaN",
            "inf",
            "Infinity",
            "-inf",
            "0x1",
            " 1",
            "1 ",
            "UNK",
            "9007199254740993",
            "0.12345678901234567890",
            "123456789012345678901",
        ] {
            assert_eq!(real(text.as_bytes(), b'.'), None, "{text}");
        }
        assert_eq!(real("9".repeat(400).as_bytes(), b'.'), None);
        assert_eq!((real(b"1,5", b','), real(b"1.5", b',')), (Some(1.5), None));
    }

    #[test]
    fn dates_that_exist_fit_and_others_do_not() {
        for (text, day) in [
            ("1970-01-01", 0.0),
            ("1969-12-31", -1.0),
            ("2000-02-29", 11_016.0),
            ("2024-02-29", 19_782.0),
            ("1900-03-01", -25_508.0),
            ("0001-01-01", -719_162.0),
            ("9999-12-31", 2_932_896.0),
        ] {
            assert_eq!(date(text.as_bytes()), Some(day), "{text}");
        }
        for text in [
            "2023-02-29",
            "1900-02-29",
            "2023-04-31",
            "2023-13-01",
            "2023-00-10",
            "2023-01-00",
            "0000-01-01",
            "2023-1-1",
            "01-02-2023",
            "2023/01/01",
            "2023-01-01 ",
            "20230101",
            "UNK",
            "2023-01-0x",
            "+023-01-01",
        ] {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_time_of_day_has_minutes_or_seconds_and_exists() {
        assert_eq!(date_time(b"1970-01-02 01:02"), Some(86_400.0 + 3720.0));
        assert_eq!(date_time(b"1969-12-31 23:59:59"), Some(-1.0));
        for text in [
            "1970-01-01",
            "1970-01-01 24:00",
            "1970-01-01 00:60",
            "1970-01-01 00:00:60",
            "1970-01-01T00:00",
            "1970-02-30 00:00",
            "1970-01-01 0:00",
            "1970-01-01 00:00:0",
            "[not completed]",
            "1970-01-01 00:00:00Z",
        ] {
            assert_eq!(date_time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn days_follow_each_other() {
        let mut next = f64::from(days(1, 1, 1));
        for year in 1..=2400 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if let Some(found) = date(format!("{year:04}-{month:02}-{day:02}").as_bytes()) {
                        assert_eq!(found.to_bits(), next.to_bits(), "{year}-{month}-{day}");
                        next += 1.0;
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_number_that_fits_is_the_nearest_double(text in "[-+]?[0-9]{0,20}\\.?[0-9]{0,24}") {
            if let Some(number) = real(text.as_bytes(), b'.') {
                prop_assert_eq!(number.to_bits(), text.parse::<f64>().unwrap().to_bits());
            }
        }

        #[test]
        fn fifteen_digits_always_fit(digits in 0..1_000_000_000_000_000_u64, decimals in 0..15_usize) {
            let text = format!("{digits:0width$}", width = decimals + 1);
            let (whole, rest) = text.split_at(text.len() - decimals);
            let text = format!("{whole}.{rest}");
            prop_assert!(real(text.as_bytes(), b'.').is_some());
        }

        #[test]
        fn every_double_that_is_written_shortest_fits(number in -1e300..1e300_f64) {
            prop_assert_eq!(real(number.to_string().as_bytes(), b'.'), Some(number));
        }

        #[test]
        fn every_whole_number_fits(number in (i32::MIN + 1)..=i32::MAX) {
            prop_assert_eq!(int(number.to_string().as_bytes()), Some(number));
        }
    }
}
