//! Deletion of records: all that are named, or none.

use super::super::{Asked, Done, Outcome};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::rows::Place;
use crate::sandbox::world::Line;

pub(in super::super) fn delete(asked: &Asked<'_>) -> Result<Done, Refusal> {
    let (design, post) = (&asked.project.design, asked.post);
    if !asked.user.may("record_delete") {
        return Err(Refusal::right("record_delete"));
    }
    for name in ["instrument", "event", "repeat_instance"] {
        if !post.text(name).is_empty() {
            return Err(Refusal::sandbox(&format!("the parameter \"{name}\" of a deletion yet")));
        }
    }
    let mut records = post.list("records").items;
    records.sort_unstable();
    records.dedup();
    if records.is_empty() {
        return Err(Refusal::parameter("records"));
    }
    let missing: Vec<_> = records.iter().map(String::as_str).filter(|record| asked.record(record).is_err()).collect();
    if !missing.is_empty() {
        return Err(Refusal::nothing_to_delete(&missing));
    }
    let arm = post.text("arm");
    let in_arm = |place: &Place| design.event(&place.event).is_some_and(|event| event.arm.to_string() == arm);
    if !arm.is_empty() && !design.arms.iter().any(|one| one.number.to_string() == arm) {
        return Err(Refusal::parameter("arm"));
    }
    let mut data = asked.project.data.clone();
    data.remove(|place| records.contains(&place.record) && (arm.is_empty() || in_arm(place)));
    let log = records.iter().map(|record| Line {
        action: format!("Delete record (API) {record}"),
        details: format!("{} = '{record}'", design.record_field()),
        record: record.clone(),
    });
    Ok(Done { outcome: Outcome::Bare(records.len().to_string()), data: Some(data), log: log.collect() })
}
