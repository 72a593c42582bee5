//! `userRole` and `userRoleMapping`: roles, and who has which.

use super::Asked;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};
use crate::sandbox::users::{RIGHTS, ROLES};

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    if !asked.user.may("user_rights") {
        return Err(Refusal::right("user_rights"));
    }
    let mut columns = vec!["unique_role_name", "role_label"];
    columns.extend(RIGHTS);
    columns.extend(["forms", "forms_export"]);
    let mut sheet = Sheet::new("users", "item", &columns);
    for role in &ROLES {
        let mut row = vec![Cell::text(role.unique_name), Cell::text(role.label)];
        row.extend(RIGHTS.iter().map(|right| Cell::Whole(i64::from(role.rights.contains(right)))));
        for code in [role.viewing, role.exporting] {
            let forms = asked.project.design.forms.iter();
            row.push(Cell::Codes(forms.map(|form| (form.name.clone(), code)).collect()));
        }
        sheet.rows.push(row);
    }
    Ok(sheet)
}

pub(super) fn mapping(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    if !asked.user.may("user_rights") {
        return Err(Refusal::right("user_rights"));
    }
    let mut sheet = Sheet::new("items", "item", &["username", "unique_role_name", "data_access_group"]);
    for user in asked.users {
        let role = ROLES.iter().find(|role| role.users.contains(&user.name)).map_or("", |role| role.unique_name);
        let group = if asked.project.group_id(user.group).is_some() { user.group } else { "" };
        sheet.rows.push([user.name, role, group].map(Cell::text).to_vec());
    }
    Ok(sheet)
}
