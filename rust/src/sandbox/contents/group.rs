//! `dag` and `userDagMapping`: the Data Access Groups and who is in them. Three answers tell three kinds of
//! users apart. And the switch, by which a user who is in a group goes to another, or to all records.

use super::{Asked, Done, Outcome};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};
use crate::sandbox::world::Line;

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    check(asked)?;
    let columns = ["data_access_group_name", "unique_group_name", "data_access_group_id"];
    let mut sheet = Sheet::new("dags", "item", &columns);
    for &(unique_name, name, id) in &asked.project.groups {
        sheet.rows.push(vec![Cell::text(name), Cell::text(unique_name), Cell::Whole(id)]);
    }
    Ok(sheet)
}

pub(super) fn mapping(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    check(asked)?;
    let mut sheet = Sheet::new("items", "item", &["username", "redcap_data_access_group"]);
    for user in &asked.project.users {
        sheet.rows.push([user.name, asked.project.group_of(user)].map(Cell::text).to_vec());
    }
    Ok(sheet)
}

/// Moves the user itself; a blank name is no group: all records.
pub(super) fn switch(asked: &Asked<'_>) -> Result<Done, Refusal> {
    if asked.project.groups.is_empty() || !asked.user.switches {
        return Err(Refusal::no_switch());
    }
    let wanted = asked.post.get("dag").ok_or_else(|| Refusal::parameter("dag"))?;
    let groups = asked.project.groups.iter().map(|(unique_name, ..)| *unique_name);
    let group = groups.chain([""]).find(|group| *group == wanted).ok_or_else(|| Refusal::parameter("dag"))?;
    let line = Line::new("Manage/Design", format!("Switch Data Access Group (API), '{group}'"));
    Ok(Done { outcome: Outcome::Switched(group), data: None, log: vec![line] })
}

fn check(asked: &Asked<'_>) -> Result<(), Refusal> {
    if !asked.user.may("data_access_groups") {
        return Err(Refusal::no_group_right());
    }
    if asked.group().is_empty() { Ok(()) } else { Err(Refusal::confined()) }
}
