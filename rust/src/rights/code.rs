//! The codes of rights, of both generations.

/// What the codes of a right mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// 0 no, 1 yes.
    Flag,
    /// 0 none, 1 full, 2 read-only.
    Users,
    /// 0 none, 1 full, 2 de-identified, 3 identifiers removed.
    Export,
    /// Before 15.6: 0 none, 1 edit, 2 read, 3 edit survey responses. From then on bits: 128 none, 129 read, 130 edit,
    /// and 8 for survey responses, 16 for deleting.
    Viewing,
    /// A right that keycap does not know.
    Strange,
}

/// What a code allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// How much, within its scale; 0 is nothing. `None`: the code is not known.
    pub(super) level: Option<u8>,
    /// In words.
    pub(super) words: String,
}

impl Held {
    fn new(level: u8, words: impl Into<String>) -> Self {
        Self { level: Some(level), words: words.into() }
    }
}

/// The level of a full export.
pub(super) const FULL: u8 = 3;

/// The rights that keycap knows, besides those by form: what their codes are is known, not what REDCap will add.
pub(super) const RIGHTS: [&str; 31] = [
    "design",
    "alerts",
    "user_rights",
    "data_access_groups",
    "data_export",
    "reports",
    "stats_and_charts",
    "manage_survey_participants",
    "calendar",
    "data_import_tool",
    "data_comparison_tool",
    "logging",
    "email_logging",
    "file_repository",
    "data_quality_create",
    "data_quality_execute",
    "api_export",
    "api_import",
    "api_modules",
    "mobile_app",
    "mobile_app_download_data",
    "record_create",
    "record_rename",
    "record_delete",
    "lock_records_all_forms",
    "lock_records",
    "lock_records_customization",
    "random_setup",
    "random_dashboard",
    "random_perform",
    "mycap_participants",
];

/// The scale of a right; of those by form, the name is `forms:<form>` or `forms_export:<form>`.
pub(super) fn scale(right: &str) -> Scale {
    match right.split(':').next().unwrap_or_default() {
        "user_rights" => Scale::Users,
        "data_export" | "forms_export" => Scale::Export,
        "forms" => Scale::Viewing,
        known if RIGHTS.contains(&known) => Scale::Flag,
        _ => Scale::Strange,
    }
}

/// Reads a code.
pub(super) fn read(right: &str, code: &str) -> Held {
    let unknown = || Held { level: None, words: format!("unknown code `{code}`") };
    // A blank is how some servers write 0.
    let number = if code.is_empty() { Some(0) } else { code.parse::<u32>().ok() };
    let Some(number) = number else { return unknown() };
    match (scale(right), number) {
        (Scale::Flag | Scale::Strange, 0) => Held::new(0, "no"),
        (Scale::Flag, 1) => Held::new(1, "yes"),
        (Scale::Users | Scale::Export | Scale::Viewing, 0) => Held::new(0, "none"),
        (Scale::Users, 1) => Held::new(2, "full"),
        (Scale::Users, 2) => Held::new(1, "read-only"),
        (Scale::Export, 1) => Held::new(FULL, "full"),
        (Scale::Export, 2) => Held::new(1, "de-identified"),
        (Scale::Export, 3) => Held::new(2, "identifiers removed"),
        (Scale::Viewing, 1) => Held::new(2, "edit"),
        (Scale::Viewing, 2) => Held::new(1, "read"),
        (Scale::Viewing, 3) => Held::new(3, "edit and survey responses"),
        (Scale::Viewing, bits) => in_bits(bits).unwrap_or_else(unknown),
        _ => unknown(),
    }
}

/// The newer codes for viewing forms.
fn in_bits(bits: u32) -> Option<Held> {
    const SURVEYS: u32 = 8;
    const DELETE: u32 = 16;
    if bits & 128 == 0 || bits & !(128 | SURVEYS | DELETE | 3) != 0 {
        return None;
    }
    let (mut level, base) = match bits & 3 {
        0 => (0, "none"),
        1 => (1, "read"),
        2 => (2, "edit"),
        _ => return None,
    };
    let mut words = base.to_owned();
    for (bit, rank, what) in [(SURVEYS, 3, "survey responses"), (DELETE, 4, "delete")] {
        if bits & bit != 0 {
            level = rank;
            words = format!("{words} and {what}");
        }
    }
    Some(Held { level: Some(level), words })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_generations_are_read_and_no_other() {
        for (right, code, level, words) in [
            ("api_export", "1", Some(1), "yes"),
            ("api_export", "0", Some(0), "no"),
            ("api_export", "", Some(0), "no"),
            ("api_export", "2", None, "unknown code `2`"),
            ("user_rights", "1", Some(2), "full"),
            ("user_rights", "2", Some(1), "read-only"),
            ("user_rights", "3", None, "unknown code `3`"),
            ("data_export", "1", Some(3), "full"),
            ("data_export", "2", Some(1), "de-identified"),
            ("data_export", "3", Some(2), "identifiers removed"),
            ("forms_export:a", "2", Some(1), "de-identified"),
            ("forms_export:a", "4", None, "unknown code `4`"),
            ("forms:a", "0", Some(0), "none"),
            ("forms:a", "1", Some(2), "edit"),
            ("forms:a", "2", Some(1), "read"),
            ("forms:a", "3", Some(3), "edit and survey responses"),
            ("forms:a", "128", Some(0), "none"),
            ("forms:a", "129", Some(1), "read"),
            ("forms:a", "130", Some(2), "edit"),
            ("forms:a", "138", Some(3), "edit and survey responses"),
            ("forms:a", "146", Some(4), "edit and delete"),
            ("forms:a", "154", Some(4), "edit and survey responses and delete"),
            ("forms:a", "131", None, "unknown code `131`"),
            ("forms:a", "4", None, "unknown code `4`"),
            ("forms:a", "192", None, "unknown code `192`"),
            ("teleport", "0", Some(0), "no"),
            ("teleport", "1", None, "unknown code `1`"),
            ("design", "yes", None, "unknown code `yes`"),
            ("design", "-1", None, "unknown code `-1`"),
        ] {
            assert_eq!(read(right, code), Held { level, words: words.to_owned() }, "{right} {code}");
        }
    }
}
