//! `userRole` and `userRoleMapping`: roles, and who has which.

use super::{Asked, user};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    if !asked.user.may("user_rights") {
        return Err(Refusal::right("user_rights"));
    }
    let mut columns = vec!["unique_role_name", "role_label"];
    columns.extend(user::columns(asked));
    let mut sheet = Sheet::new("users", "item", &columns);
    for role in asked.project.roles() {
        let mut row = vec![Cell::text(role.unique_name), Cell::text(role.label)];
        row.extend(user::cells(asked, &role.rights()));
        sheet.rows.push(row);
    }
    Ok(sheet)
}

pub(super) fn mapping(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    if !asked.user.may("user_rights") {
        return Err(Refusal::right("user_rights"));
    }
    let mut sheet = Sheet::new("items", "item", &["username", "unique_role_name", "data_access_group"]);
    for user in &asked.project.users {
        sheet.rows.push([user.name, user.role, asked.project.group_of(user)].map(Cell::text).to_vec());
    }
    Ok(sheet)
}
