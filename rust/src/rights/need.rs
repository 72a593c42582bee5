//! What a token is needed for: rights by name, or a purpose.

use std::collections::BTreeMap;

use super::code::{FULL, Held, RIGHTS, Scale, scale};
use crate::error::{Error, Kind, Result};

/// How much of a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Want {
    /// None of it.
    Nothing,
    /// As much as there is: it goes with what is needed, and nobody said how much of it.
    Any,
    /// The export of data without identifiers.
    Deidentified,
    /// The export of everything.
    Full,
    /// Any of it, at least something.
    Some,
}

/// The verdict on a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As needed.
    Ok,
    /// More than needed.
    Excess,
    /// Less than needed.
    Missing,
    /// Not known.
    Unknown,
}

impl Verdict {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Excess => "excess",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

/// What a token is needed for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs(BTreeMap<String, Want>);

impl Needs {
    /// Reads rights and purposes.
    ///
    /// # Errors
    /// `argument`: what is neither.
    pub(crate) fn parse(texts: &[String]) -> Result<Self> {
        if texts.is_empty() {
            return Err(Error::new(Kind::Argument, "`needs` is empty; it names rights or purposes").hint(CHOICES));
        }
        let mut needs = Self::default();
        for text in texts {
            match text.as_str() {
                "export" => needs.add(&[("api_export", Want::Some), (EXPORT, Want::Full)]),
                "export_deidentified" => needs.add(&[("api_export", Want::Some), (EXPORT, Want::Deidentified)]),
                // The dictionary and what is there already are read first, and new records are made.
                "import" => needs.add(&[
                    ("api_export", Want::Some),
                    ("api_import", Want::Some),
                    ("record_create", Want::Any),
                    (EXPORT, Want::Any),
                    (FORMS, Want::Any),
                ]),
                "survey" => needs.add(&[
                    ("api_export", Want::Some),
                    ("manage_survey_participants", Want::Some),
                    (EXPORT, Want::Any),
                ]),
                "api_export" => needs.add(&[("api_export", Want::Some), (EXPORT, Want::Any)]),
                "data_export" | EXPORT => needs.add(&[(EXPORT, Want::Full)]),
                FORMS => needs.add(&[(FORMS, Want::Some)]),
                right if RIGHTS.contains(&right) => needs.add(&[(right, Want::Some)]),
                _ => {
                    return Err(Error::new(Kind::Argument, "`needs` names what is neither a right nor a purpose")
                        .hint(CHOICES)
                        .field("argument", "needs"));
                }
            }
        }
        Ok(needs)
    }

    fn add(&mut self, wants: &[(&str, Want)]) {
        for &(right, want) in wants {
            let known = self.0.entry(right.to_owned()).or_insert(want);
            *known = want.max(*known);
        }
    }

    /// How much of a right is needed. The two generations of the export right are one need.
    pub(super) fn of(&self, right: &str) -> Want {
        let name = match right.split(':').next().unwrap_or_default() {
            "data_export" => EXPORT,
            name => name,
        };
        self.0.get(name).copied().unwrap_or(Want::Nothing)
    }

    /// The rights that are needed, those by form apart.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        let some = self.0.iter().filter(|(name, want)| **want == Want::Some && *name != FORMS);
        some.map(|(name, _)| name.as_str())
    }
}

const EXPORT: &str = "forms_export";
const FORMS: &str = "forms";
const CHOICES: &str = "purposes are `export`, `export_deidentified`, `import` and `survey`; rights are named as \
    `export_users()` names its columns, such as `api_export`";

impl Want {
    /// In words, as the column `needed` has it.
    pub(super) fn words(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Any => Some("any"),
            Self::Deidentified => Some("de-identified"),
            Self::Full => Some("full"),
            Self::Some => Some("yes"),
        }
    }

    /// The verdict on what is held. `elsewhere`: another form gives what is needed, so this one need not.
    pub(super) fn judge(self, right: &str, held: &Held, elsewhere: bool) -> Verdict {
        // A code that nobody knows may allow anything.
        let Some(level) = held.level else { return Verdict::Excess };
        match (self, level) {
            (Self::Any, _)
            | (Self::Nothing, 0)
            | (Self::Full, FULL)
            | (Self::Deidentified, 1 | 2)
            | (Self::Some, 1..) => Verdict::Ok,
            (Self::Nothing, _) | (Self::Deidentified, FULL..) => Verdict::Excess,
            // Forms that are not exported are no fault, as long as there is one that is.
            (Self::Full | Self::Deidentified | Self::Some, 0) if elsewhere && by_form(right) => Verdict::Ok,
            _ => Verdict::Missing,
        }
    }
}

/// Whether a right is given form by form.
pub(super) fn by_form(right: &str) -> bool {
    right.contains(':') && matches!(scale(right), Scale::Export | Scale::Viewing)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rights::code::read;

    fn needs(texts: &[&str]) -> Needs {
        Needs::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_purpose_is_what_it_needs_and_the_stronger_need_counts() {
        assert_eq!(needs(&["api_export"]).of("forms_export:a"), Want::Any);
        assert_eq!(needs(&["import", "export_deidentified"]).of("data_export"), Want::Deidentified);
        assert_eq!(needs(&["export_deidentified", "export"]).of("forms_export:a"), Want::Full);
        assert_eq!(needs(&["survey"]).named().collect::<Vec<_>>(), ["api_export", "manage_survey_participants"]);
        assert_eq!(needs(&["import"]).of("design"), Want::Nothing);
        for wrong in [vec![], vec!["everything".to_owned()], vec!["export".to_owned(), String::new()]] {
            let error = Needs::parse(&wrong).unwrap_err();
            assert!(error.kind == Kind::Argument && error.hints[0].contains("export_deidentified"), "{error:?}");
        }
    }

    #[test]
    fn a_code_that_nobody_knows_is_excess_whatever_is_needed() {
        for want in [Want::Nothing, Want::Any, Want::Deidentified, Want::Full, Want::Some] {
            assert_eq!(want.judge("data_export", &read("data_export", "9"), false), Verdict::Excess, "{want:?}");
        }
    }

    #[test]
    fn a_form_without_export_is_fine_where_another_gives_what_is_needed() {
        let none = read("forms_export:a", "0");
        assert_eq!(Want::Full.judge("forms_export:a", &none, true), Verdict::Ok);
        assert_eq!(Want::Full.judge("forms_export:a", &none, false), Verdict::Missing);
        assert_eq!(Want::Full.judge("data_export", &read("data_export", "0"), true), Verdict::Missing);
        assert_eq!(Want::Full.judge("forms_export:a", &read("forms_export:a", "2"), true), Verdict::Missing);
        assert_eq!(Want::Deidentified.judge("forms_export:a", &read("forms_export:a", "1"), true), Verdict::Excess);
    }
}
