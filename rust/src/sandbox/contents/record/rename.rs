//! Giving a record another name.

use super::super::{Asked, Done, Outcome};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::world::Line;

pub(in super::super) fn rename(asked: &Asked<'_>) -> Result<Done, Refusal> {
    if !asked.user.may("record_rename") {
        return Err(Refusal::right("record_rename"));
    }
    if !asked.post.text("arm").is_empty() {
        return Err(Refusal::sandbox("the parameter \"arm\" of a renaming yet"));
    }
    let (record, name) = (asked.post.text("record"), asked.post.text("new_record_name").trim());
    asked.record(record)?;
    if name.is_empty() {
        return Err(Refusal::parameter("new_record_name"));
    }
    if asked.project.has(name) {
        return Err(Refusal::name_taken(name));
    }
    let design = &asked.project.design;
    let mut data = asked.project.data.clone();
    data.rename(record, name);
    data.touch(name);
    data.sort(design);
    let line = Line {
        action: format!("Update record (API) {name}"),
        details: format!("{} = '{name}'", design.record_field()),
        record: name.to_owned(),
    };
    Ok(Done { outcome: Outcome::Bare("1".to_owned()), data: Some(data), log: vec![line] })
}
