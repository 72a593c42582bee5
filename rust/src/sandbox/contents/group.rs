//! `dag` and `userDagMapping`: the Data Access Groups and who is in them. Three answers tell three kinds of
//! users apart.

use super::Asked;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};

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
    for user in asked.users {
        let group = if asked.project.group_id(user.group).is_some() { user.group } else { "" };
        sheet.rows.push([user.name, group].map(Cell::text).to_vec());
    }
    Ok(sheet)
}

fn check(asked: &Asked<'_>) -> Result<(), Refusal> {
    if !asked.user.may("data_access_groups") {
        return Err(Refusal::no_group_right());
    }
    if asked.group().is_empty() { Ok(()) } else { Err(Refusal::confined()) }
}
