//! `arm`: the arms of a longitudinal project.

use super::Asked;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    let design = &asked.project.design;
    if !design.is_longitudinal() {
        return Err(Refusal::classic("arms"));
    }
    let wanted = wanted_arms(asked)?;
    let mut sheet = Sheet::new("arms", "item", &["arm_num", "name"]);
    for arm in design.arms.iter().filter(|arm| wanted.contains(&arm.number)) {
        sheet.rows.push(vec![Cell::Whole(arm.number), Cell::text(&*arm.name)]);
    }
    Ok(sheet)
}

/// The numbers of the arms that a request asks for; all without the parameter.
pub(super) fn wanted_arms(asked: &Asked<'_>) -> Result<Vec<i64>, Refusal> {
    let all: Vec<_> = asked.project.design.arms.iter().map(|arm| arm.number).collect();
    let list = asked.post.list("arms");
    if list.is_empty() {
        return Ok(all);
    }
    let known = |item: &&str| item.parse().is_ok_and(|number: i64| all.contains(&number));
    let wrong: Vec<_> = list.items.iter().map(String::as_str).filter(|item| !known(item)).collect();
    if !wrong.is_empty() {
        return Err(Refusal::values("arms", &wrong));
    }
    Ok(list.items.iter().filter_map(|item| item.parse().ok()).collect())
}
