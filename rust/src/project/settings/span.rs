//! A length of time as people write it: `7 days`.

use toml::Value as Toml;

use super::number;

const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;

/// A length of time, to the second. All days have 24 hours: a limit knows no summer time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

impl Span {
    /// In days.
    pub fn days(self) -> f64 {
        self.0 as f64 / DAY
    }

    /// In seconds.
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// Reads `7 days`, `12 hours`, `2 weeks`, or a number of days. `least`: the shortest that makes sense, in seconds.
    pub(super) fn read(value: &Toml, least: u64) -> Result<Self, String> {
        let wrong = || "it must be a length of time, such as `7 days`, `12 hours` or a number of days".to_owned();
        let (number, unit) = match value {
            Toml::String(text) => {
                let text = text.trim();
                let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
                let (number, unit) = text.split_at(at);
                let unit = match unit.trim().to_ascii_lowercase().as_str() {
                    "" | "d" | "day" | "days" => DAY,
                    "h" | "hour" | "hours" => HOUR,
                    "w" | "week" | "weeks" => 7.0 * DAY,
                    "m" | "month" | "months" | "quarter" | "quarters" | "y" | "year" | "years" => {
                        return Err("months and years are not all equally long: say it in days, such as `90 days`, \
                                    `365 days`"
                            .to_owned());
                    }
                    _ => return Err(wrong()),
                };
                (number.parse::<f64>().map_err(|_| wrong())?, unit)
            }
            other => (number(other).ok_or_else(wrong)?, DAY),
        };
        let seconds = (number * unit).round();
        if !seconds.is_finite() || seconds < least as f64 || seconds > 36_500.0 * DAY {
            return Err(format!("it must be from {} to 36500 days", Self(least)));
        }
        Ok(Self(seconds as u64))
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (number, unit) = match self.0 {
            seconds if seconds % 86_400 == 0 => ((seconds / 86_400) as f64, "day"),
            seconds if seconds % 3_600 == 0 => ((seconds / 3_600) as f64, "hour"),
            // So that it is read back as it was.
            seconds => return write!(f, "{} days", (seconds as f64 / DAY * 1e6).round() / 1e6),
        };
        write!(f, "{number} {unit}{}", if self.0 == 86_400 || self.0 == 3_600 { "" } else { "s" })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(value: impl Into<Toml>) -> Result<String, String> {
        Span::read(&value.into(), 3_600).map(|span| span.to_string())
    }

    #[test]
    fn lengths_of_time_are_read_as_people_write_them_and_written_so_that_they_are_read_back() {
        for (text, shown) in [
            ("7 days", "7 days"),
            ("7days", "7 days"),
            (" 7 d ", "7 days"),
            ("1 Day", "1 day"),
            ("2 weeks", "14 days"),
            ("12 hours", "12 hours"),
            ("36 h", "36 hours"),
            ("48 hours", "2 days"),
            ("1 hour", "1 hour"),
            ("90", "90 days"),
            ("1.5", "36 hours"),
            ("1.7 days", "1.7 days"),
        ] {
            assert_eq!(read(text).unwrap(), shown, "{text}");
            assert_eq!(read(shown).unwrap(), shown);
        }
        assert_eq!((read(30), read(0.5)), (Ok("30 days".to_owned()), Ok("12 hours".to_owned())));
        assert_eq!(Span::read(&Toml::Integer(0), 0).unwrap().to_string(), "0 days");
        assert_eq!(Span::read(&Toml::String("12 hours".into()), 0).unwrap().days().to_bits(), 0.5_f64.to_bits());
    }

    #[test]
    fn what_is_no_length_of_time_says_what_is_one() {
        for (text, part) in [
            ("3 months", "say it in days"),
            ("1 year", "say it in days"),
            ("soon", "such as `7 days`"),
            ("", "such as `7 days`"),
            ("-7 days", "such as `7 days`"),
            ("7 days 3 hours", "such as `7 days`"),
            ("1.2.3 days", "such as `7 days`"),
            ("0 days", "from 1 hour to"),
            ("40000 days", "to 36500 days"),
        ] {
            assert!(read(text).unwrap_err().contains(part), "{text}: {:?}", read(text));
        }
        assert!(read(true).is_err() && read(-1).is_err() && read(f64::NAN).is_err() && read(f64::INFINITY).is_err());
    }
}
