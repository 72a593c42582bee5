//! `generateNextRecordName`: the name for a new record. Within a group it begins with the group's number.

use super::Asked;

pub(super) fn name(asked: &Asked<'_>) -> String {
    match &asked.project.generated {
        Some(generated) => (generated.records + 1).to_string(),
        None => asked.project.data.next_record(asked.project.group_id(asked.group())),
    }
}
