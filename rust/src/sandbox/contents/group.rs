//! `dag`: the Data Access Groups. Three answers tell three kinds of users apart.

use super::Asked;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    if !asked.user.may("data_access_groups") {
        return Err(Refusal::no_group_right());
    }
    if !asked.group().is_empty() {
        return Err(Refusal::confined());
    }
    let columns = ["data_access_group_name", "unique_group_name", "data_access_group_id"];
    let mut sheet = Sheet::new("dags", "item", &columns);
    for &(unique_name, name, id) in &asked.project.groups {
        sheet.rows.push(vec![Cell::text(name), Cell::text(unique_name), Cell::Whole(id)]);
    }
    Ok(sheet)
}
