//! `user`: who may do what. The rights are written as the server's version writes them.

use super::Asked;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};
use crate::sandbox::users::{Codes, RIGHTS, Rights};

/// From this version on there is a code for the export of each form, before it one for all data.
const EXPORT_BY_FORM: [u32; 3] = [12, 5, 2];
/// From this version on the codes for viewing forms are bits.
const VIEWING_IN_BITS: [u32; 3] = [15, 6, 0];

/// The users as they stand in the list of users: with their own rights, also where a role takes their place.
pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    if !asked.user.may("user_rights") {
        return Err(Refusal::right("user_rights"));
    }
    let mut head =
        vec!["username", "email", "firstname", "lastname", "expiration", "data_access_group", "data_access_group_id"];
    head.extend(columns(asked));
    let mut sheet = Sheet::new("users", "item", &head);
    for user in &asked.project.users {
        let group = asked.project.group_of(user);
        let mut row = vec![
            Cell::text(user.name),
            Cell::text(user.email()),
            Cell::text(user.first_name),
            Cell::text(user.last_name),
            Cell::text(user.expiration.as_str()),
            Cell::text(group),
            asked.project.group_id(group).map_or(Cell::text(""), Cell::Whole),
        ];
        row.extend(cells(asked, &user.own));
        sheet.rows.push(row);
    }
    Ok(sheet)
}

/// The columns of rights.
pub(super) fn columns(asked: &Asked<'_>) -> Vec<&'static str> {
    let mut columns = RIGHTS.to_vec();
    if is_before(asked.redcap_version, EXPORT_BY_FORM) {
        columns.insert(RIGHTS.iter().position(|right| *right == "reports").unwrap_or_default(), "data_export");
        columns.push("forms");
    } else {
        columns.extend(["forms", "forms_export"]);
    }
    columns
}

/// The cells of [`columns`].
pub(super) fn cells(asked: &Asked<'_>, rights: &Rights) -> Vec<Cell> {
    let bits = !is_before(asked.redcap_version, VIEWING_IN_BITS);
    let by_form = |codes: &Codes, written: fn(i64) -> i64| {
        let forms = asked.project.design.forms.iter();
        Cell::Codes(forms.map(|form| (form.name.clone(), written(codes.of(&form.name)))).collect())
    };
    let columns = columns(asked);
    let cells = columns.iter().map(|column| match *column {
        "data_export" => Cell::Whole(rights.exporting.all),
        "forms" => by_form(&rights.viewing, if bits { in_bits } else { |code| code }),
        "forms_export" => by_form(&rights.exporting, |code| code),
        right => Cell::Whole(rights.code(right)),
    });
    cells.collect()
}

/// The older code for viewing a form as the newer one. What is no older code is one already.
fn in_bits(code: i64) -> i64 {
    match code {
        0 => 128,
        1 => 130,
        2 => 129,
        3 => 138,
        other => other,
    }
}

/// Whether a version is older than another. What is no number counts as 0.
fn is_before(version: &str, other: [u32; 3]) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let numbers: [u32; 3] = std::array::from_fn(|_| numbers.next().unwrap_or(0));
    numbers < other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, expected) in
            [("9.1.0", true), ("12.5.1", true), ("12.5.2", false), ("12.10.0", false), ("15", false)]
        {
            assert_eq!(is_before(version, EXPORT_BY_FORM), expected, "{version}");
        }
    }
}
