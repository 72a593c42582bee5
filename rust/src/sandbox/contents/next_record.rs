//! `generateNextRecordName`: the name for a new record.

use super::Asked;

pub(super) fn name(asked: &Asked<'_>) -> String {
    let rows = asked.project.rows.iter();
    let last: u64 = rows.filter_map(|row| row.record.parse().ok()).max().unwrap_or_default();
    (last + 1).to_string()
}
