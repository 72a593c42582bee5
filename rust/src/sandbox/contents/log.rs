//! `log`: the project's log, newest first.

use super::Asked;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    if !asked.user.may("logging") {
        return Err(Refusal::right("logging"));
    }
    let post = asked.post;
    for name in ["logtype", "record", "dag"] {
        if !post.text(name).is_empty() {
            return Err(Refusal::sandbox(&format!("the parameter \"{name}\" yet")));
        }
    }
    let (user, begin, end) = (post.text("user"), post.text("beginTime"), post.text("endTime"));
    let mut sheet = Sheet::new("records", "item", &["timestamp", "username", "action", "details", "record"]);
    let wanted = asked.project.log.iter().rev().filter(|entry| {
        // Times are written so that their order is that of their texts.
        (user.is_empty() || entry.user == user)
            && (begin.is_empty() || entry.time.as_str() >= begin)
            && (end.is_empty() || entry.time.as_str() <= end)
    });
    for entry in wanted {
        let cells = [&*entry.time, &*entry.user, entry.action, &*entry.details, ""];
        sheet.rows.push(cells.map(Cell::text).to_vec());
    }
    Ok(sheet)
}
