//! `user`: who may do what.

use super::Asked;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};
use crate::sandbox::users::RIGHTS;

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    if !asked.user.may("user_rights") {
        return Err(Refusal::right("user_rights"));
    }
    let mut columns =
        vec!["username", "email", "firstname", "lastname", "expiration", "data_access_group", "data_access_group_id"];
    columns.extend(RIGHTS);
    columns.extend(["forms", "forms_export"]);
    let mut sheet = Sheet::new("users", "item", &columns);
    for user in asked.users {
        let group = asked.project.groups.iter().find(|(unique_name, ..)| *unique_name == user.group);
        let mut row = vec![
            Cell::text(user.name),
            Cell::text(user.email()),
            Cell::text(user.first_name),
            Cell::text(user.last_name),
            Cell::text(""),
            Cell::text(group.map_or("", |(unique_name, ..)| *unique_name)),
            group.map_or(Cell::text(""), |(.., id)| Cell::Whole(*id)),
        ];
        row.extend(RIGHTS.iter().map(|right| Cell::Whole(user.right(right))));
        for code in [user.viewing, user.exporting] {
            let forms = asked.project.design.forms.iter();
            row.push(Cell::Codes(forms.map(|form| (form.name.clone(), code)).collect()));
        }
        sheet.rows.push(row);
    }
    Ok(sheet)
}
