//! `log`: the project's log, newest first.

use super::Asked;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    if !asked.user.may("logging") {
        return Err(Refusal::right("logging"));
    }
    let post = asked.post;
    let group = post.text("dag");
    if !group.is_empty() && asked.project.group_id(group).is_none() {
        return Err(Refusal::parameter("dag"));
    }
    // What users of a group have done, as the log's page has it.
    let in_group = |name: &str| {
        group.is_empty() || asked.project.user(name).is_some_and(|user| asked.project.group_of(user) == group)
    };
    let of_type = of_type(post.text("logtype"))?;
    let (user, record) = (post.text("user"), post.text("record"));
    let (begin, end) = (post.text("beginTime"), post.text("endTime"));
    let mut sheet = Sheet::new("records", "item", &["timestamp", "username", "action", "details", "record"]);
    let wanted = asked.project.log.iter().rev().filter(|entry| {
        // Times are written so that their order is that of their texts.
        (user.is_empty() || entry.user == user)
            && (record.is_empty() || entry.record == record)
            && (begin.is_empty() || entry.time.as_str() >= begin)
            && (end.is_empty() || entry.time.as_str() <= end)
            && in_group(&entry.user)
            && of_type(&entry.action)
    });
    for entry in wanted {
        let cells = [&*entry.time, &*entry.user, &*entry.action, &*entry.details, &*entry.record];
        sheet.rows.push(cells.map(Cell::text).to_vec());
    }
    Ok(sheet)
}

/// A test for the actions that belong to a type of log.
fn of_type(name: &str) -> Result<impl Fn(&str) -> bool, Refusal> {
    let beginnings: &[&str] = match name {
        "" => &[""],
        "export" => &["Data export"],
        "manage" => &["Manage/Design"],
        "record" => &["Create record", "Update record", "Delete record"],
        "record_add" => &["Create record"],
        "record_edit" => &["Update record"],
        "record_delete" => &["Delete record"],
        "user" => &["Updated User"],
        "lock_record" | "page_view" => &[],
        _ => return Err(Refusal::parameter("logtype")),
    };
    Ok(|action: &str| beginnings.iter().any(|beginning| action.starts_with(beginning)))
}
