//! The one report that each sample project has.

/// A report: chosen fields of the records that a filter lets through.
pub(super) struct Report {
    /// The sandbox's rule: the project's number and 100.
    pub(super) id: u32,
    pub(super) fields: &'static [&'static str],
    pub(super) filter: &'static str,
}

impl Report {
    /// The report of a sample project.
    pub(super) fn of(short_name: &str, project_id: u32) -> Self {
        let (fields, filter): (&[_], _) = match short_name {
            "TEST" => (&["record_id", "sex", "bmi", "symptoms"], "[bmi] > 30"),
            "TEST_LONG" => (&["record_id", "systolic", "diastolic"], "[systolic] >= 140"),
            "TEST_REPEAT" => (&["record_id", "drug", "dose"], "[dose] <> ''"),
            "TEST_SITES" => (&["record_id", "alive"], "[alive] = '1'"),
            _ => (&["record_id"], ""),
        };
        Self { id: 100 + project_id, fields, filter }
    }
}
