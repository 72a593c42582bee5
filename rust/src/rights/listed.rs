//! What a list of users and a list of roles say of one user.

use serde_json::Value as Json;

/// Columns of a user export and of a role export that are no rights.
const OTHERS: [&str; 9] = [
    "username",
    "email",
    "firstname",
    "lastname",
    "expiration",
    "data_access_group",
    "data_access_group_id",
    "unique_role_name",
    "role_label",
];

/// A name or a code from a server may be this long; what is longer is cut.
const LONGEST: usize = 100;

/// One user as listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The day from which on the user is refused, as it was written; blank: never.
    pub(super) expiration: String,
    /// The unique name of the user's group; blank: none.
    pub(super) group: String,
    /// The user's own rights with their codes.
    pub(super) codes: Codes,
    pub(super) role: Role,
}

/// Rights and their codes, in the order of the list; those by form are `forms:<form>` and `forms_export:<form>`.
pub(super) type Codes = Vec<(String, String)>;

/// Whether a role takes the place of the user's own rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// The user has none.
    #[default]
    None,
    /// This one, and what it allows.
    Some { label: String, codes: Codes },
    /// It cannot be read.
    Unreadable,
}

impl Listed {
    /// The rights that count: the role's where there is one; nothing where that cannot be read.
    pub(super) fn codes(&self) -> Option<&Codes> {
        match &self.role {
            Role::None => Some(&self.codes),
            Role::Some { codes, .. } => Some(codes),
            Role::Unreadable => None,
        }
    }

    /// The code of a right that counts.
    pub(super) fn code(&self, right: &str) -> Option<&str> {
        self.codes()?.iter().find(|(name, _)| name == right).map(|(_, code)| code.as_str())
    }
}

/// All users, as [`find`] gives them.
pub(super) fn all(
    users: &[Json],
    mapping: Option<&[Json]>,
    roles: Option<&[Json]>,
    scrub: &dyn Fn(&str) -> String,
) -> Vec<(String, Listed)> {
    let names = users.iter().map(|row| row.get("username").and_then(Json::as_str).unwrap_or_default());
    names.map(|name| (plain(name, scrub), find(name, users, mapping, roles, scrub).unwrap_or_default())).collect()
}

/// Finds a user, whose name REDCap compares without letter case.
pub(super) fn find(
    name: &str,
    users: &[Json],
    mapping: Option<&[Json]>,
    roles: Option<&[Json]>,
    scrub: &dyn Fn(&str) -> String,
) -> Option<Listed> {
    let same =
        |row: &&Json| row.get("username").and_then(Json::as_str).is_some_and(|one| one.eq_ignore_ascii_case(name));
    let row = users.iter().find(same)?;
    let role = match mapping {
        None => Role::Unreadable,
        Some(mapping) => match mapping.iter().find(same).map(|row| text(row, "unique_role_name", scrub)) {
            None => Role::None,
            Some(unique_name) if unique_name.is_empty() => Role::None,
            Some(unique_name) => {
                let named = |role: &&Json| text(role, "unique_role_name", scrub) == unique_name;
                roles.and_then(|roles| roles.iter().find(named)).map_or(Role::Unreadable, |role| Role::Some {
                    label: text(role, "role_label", scrub),
                    codes: codes(role, scrub),
                })
            }
        },
    };
    Some(Listed {
        expiration: text(row, "expiration", scrub),
        group: text(row, "data_access_group", scrub),
        codes: codes(row, scrub),
        role,
    })
}

/// A text of the server's as it may be shown.
fn plain(text: &str, scrub: &dyn Fn(&str) -> String) -> String {
    scrub(&text.chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>())
}

fn text(row: &Json, name: &str, scrub: &dyn Fn(&str) -> String) -> String {
    row.get(name).and_then(Json::as_str).map(|text| plain(text, scrub)).unwrap_or_default()
}

/// All that is a right: also what keycap does not know, which is never dropped.
fn codes(row: &Json, scrub: &dyn Fn(&str) -> String) -> Codes {
    let mut codes = Codes::new();
    let Json::Object(cells) = row else { return codes };
    let one = |value: &Json| match value {
        Json::String(text) => plain(text, scrub),
        Json::Null => String::new(),
        other => plain(&other.to_string(), scrub),
    };
    for (name, value) in cells.iter().filter(|(name, _)| !OTHERS.contains(&name.as_str())) {
        let right = plain(name, scrub);
        match value {
            Json::Object(forms) => {
                codes.extend(forms.iter().map(|(form, code)| (format!("{right}:{}", plain(form, scrub)), one(code))));
            }
            // As CSV has it, where a server puts the same text into JSON: `demographics:1,health:1`.
            Json::String(text) if right.starts_with("forms") && text.contains(':') => {
                let pairs = text.split(',').filter_map(|pair| pair.split_once(':'));
                codes.extend(pairs.map(|(form, code)| (format!("{right}:{}", plain(form, scrub)), plain(code, scrub))));
            }
            // A project without forms.
            Json::Array(none) if none.is_empty() => {}
            value => codes.push((right, one(value))),
        }
    }
    codes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rights_are_read_from_json_and_from_what_csv_has_in_it() {
        let users = [
            json!({"username": "other", "design": 1}),
            json!({"username": "Anna", "email": "a@example.org", "expiration": null, "data_access_group": "north",
                "design": "1", "api_export": 0, "teleport": true, "forms": {"a": 130, "b": "0"},
                "forms_export": "a:1,b:0", "none": []}),
        ];
        let found = find("anna", &users, Some(&[]), None, &|text| text.to_owned()).unwrap();
        let codes: Vec<_> = found.codes().unwrap().iter().map(|(name, code)| (name.as_str(), code.as_str())).collect();
        assert_eq!((found.group.as_str(), found.expiration.as_str()), ("north", ""));
        let mut expected = vec![
            ("design", "1"),
            ("api_export", "0"),
            ("teleport", "true"),
            ("forms:a", "130"),
            ("forms:b", "0"),
            ("forms_export:a", "1"),
            ("forms_export:b", "0"),
        ];
        let mut codes = codes;
        codes.sort_unstable();
        expected.sort_unstable();
        assert_eq!(codes, expected);
        assert!(find("nobody", &users, Some(&[]), None, &|text| text.to_owned()).is_none());
    }

    #[test]
    fn a_role_that_cannot_be_read_leaves_the_rights_open() {
        let users = [json!({"username": "u", "design": 0})];
        let mapping = [json!({"username": "U", "unique_role_name": "U-1"})];
        let role = [json!({"unique_role_name": "U-1", "role_label": "All", "design": 1})];
        let of = |mapping: Option<&[Json]>, roles: Option<&[Json]>| {
            let found = find("u", &users, mapping, roles, &|text| text.to_owned()).unwrap();
            found.code("design").map(str::to_owned)
        };
        assert_eq!(of(Some(&mapping), Some(&role)).as_deref(), Some("1"));
        assert_eq!(of(Some(&[]), Some(&role)).as_deref(), Some("0"));
        assert_eq!(of(Some(&mapping), Some(&[])), None);
        assert_eq!(of(Some(&mapping), None), None);
        assert_eq!(of(None, Some(&role)), None);
    }

    #[test]
    fn what_a_server_writes_is_scrubbed_and_short() {
        let users = [json!({"username": "u", "SECRET\u{7}": "SECRET", "design": "1".repeat(500)})];
        let found = find("u", &users, Some(&[]), None, &|text| text.replace("SECRET", "***")).unwrap();
        assert!(found.codes.iter().any(|(name, code)| name == "***" && code == "***"), "{found:?}");
        assert!(found.codes.iter().all(|(_, code)| code.len() <= LONGEST));
    }
}
