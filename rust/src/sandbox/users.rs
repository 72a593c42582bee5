//! The sandbox's users and their rights. All of them are made up.

use std::collections::BTreeMap;

/// A user of a project.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) name: &'static str,
    pub(super) first_name: &'static str,
    pub(super) last_name: &'static str,
    /// The unique name of the user's Data Access Group, in a project that has it; blank: all records.
    pub(super) group: &'static str,
    /// The unique name of the user's role, whose rights take the place of the user's own; blank: none.
    pub(super) role: &'static str,
    /// `YYYY-MM-DD`, from which day on the user is refused; blank: never.
    pub(super) expiration: String,
    /// Whether the user stands in the project's list of those who may go to another group.
    pub(super) switches: bool,
    pub(super) own: Rights,
}

/// What somebody may do: a user, or who has a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rights {
    /// The rights that are not 0.
    codes: BTreeMap<&'static str, i64>,
    /// Form viewing: 0 none, 1 edit, 2 read, 3 edit survey responses.
    pub(super) viewing: Codes,
    /// Form export: 0 none, 1 full, 2 de-identified, 3 identifiers removed.
    pub(super) exporting: Codes,
}

/// A code for each form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Codes {
    /// For every form that has none of its own.
    pub(super) all: i64,
    pub(super) forms: BTreeMap<String, i64>,
}

impl Codes {
    pub(super) fn of(&self, form: &str) -> i64 {
        self.forms.get(form).copied().unwrap_or(self.all)
    }
}

impl From<i64> for Codes {
    fn from(all: i64) -> Self {
        Self { all, forms: BTreeMap::new() }
    }
}

impl Rights {
    fn new(codes: &[(&'static str, i64)], viewing: i64, exporting: i64) -> Self {
        Self { codes: codes.iter().copied().collect(), viewing: viewing.into(), exporting: exporting.into() }
    }

    /// A right's code; 0 where there is none.
    pub(super) fn code(&self, right: &str) -> i64 {
        self.codes.get(right).copied().unwrap_or_default()
    }

    /// Sets a right's code. Whether there is such a right.
    pub(super) fn set(&mut self, right: &str, code: i64) -> bool {
        let Some(right) = RIGHTS.iter().find(|known| **known == right) else { return false };
        self.codes.insert(right, code);
        true
    }
}

/// The names of the rights in the order of a user export. `forms` and `forms_export` follow.
pub(super) const RIGHTS: [&str; 29] = [
    "design",
    "alerts",
    "user_rights",
    "data_access_groups",
    "reports",
    "stats_and_charts",
    "manage_survey_participants",
    "calendar",
    "data_import_tool",
    "data_comparison_tool",
    "logging",
    "email_logging",
    "file_repository",
    "data_quality_create",
    "data_quality_execute",
    "api_export",
    "api_import",
    "api_modules",
    "mobile_app",
    "mobile_app_download_data",
    "record_create",
    "record_rename",
    "record_delete",
    "lock_records_all_forms",
    "lock_records",
    "lock_records_customization",
    "random_setup",
    "random_dashboard",
    "random_perform",
];

/// A role: rights that several users share.
pub(super) struct Role {
    pub(super) unique_name: &'static str,
    pub(super) label: &'static str,
    codes: &'static [(&'static str, i64)],
    viewing: i64,
    exporting: i64,
}

impl Role {
    pub(super) fn rights(&self) -> Rights {
        Rights::new(self.codes, self.viewing, self.exporting)
    }
}

/// All roles. The first two are those of every project, the others those of projects with sites.
pub(super) const ROLES: [Role; 4] = [
    Role { unique_name: "U-1F7A3KQX2M", label: "Statistician", codes: &[("api_export", 1)], viewing: 2, exporting: 1 },
    Role {
        unique_name: "U-9C4ENTRYP8",
        label: "Data entry (Größen)",
        codes: &[("api_import", 1), ("record_create", 1)],
        viewing: 1,
        exporting: 0,
    },
    Role { unique_name: "U-5S1TEREAD7", label: "Site reader", codes: &[("api_export", 1)], viewing: 0, exporting: 2 },
    Role {
        unique_name: "U-7C0RD1NAT3",
        label: "Coordinator",
        codes: &[("api_export", 1), ("design", 1), ("user_rights", 1), ("data_access_groups", 1)],
        viewing: 1,
        exporting: 1,
    },
];

/// How many of [`ROLES`] a project without sites has.
pub(super) const COMMON_ROLES: usize = 2;

impl User {
    /// What the user may do: what the role says, if there is one, and nothing of the user's own then.
    pub(super) fn rights(&self) -> Rights {
        let role = ROLES.iter().find(|role| role.unique_name == self.role && !self.role.is_empty());
        role.map_or_else(|| self.own.clone(), Role::rights)
    }

    pub(super) fn may(&self, right: &str) -> bool {
        self.rights().code(right) > 0
    }

    /// Whether the user is refused on a day, `YYYY-MM-DD`.
    pub(super) fn has_expired(&self, today: &str) -> bool {
        !self.expiration.is_empty() && self.expiration.as_str() <= today
    }

    pub(super) fn email(&self) -> String {
        format!("{}@example.org", self.name)
    }
}

fn user(
    name: &'static str,
    first_name: &'static str,
    last_name: &'static str,
    codes: &[(&'static str, i64)],
    viewing: i64,
    exporting: i64,
) -> User {
    User {
        name,
        first_name,
        last_name,
        group: "",
        role: "",
        expiration: String::new(),
        switches: false,
        own: Rights::new(codes, viewing, exporting),
    }
}

fn everything() -> Vec<(&'static str, i64)> {
    RIGHTS.iter().map(|&right| (right, 1)).collect()
}

/// The users whom every project has.
pub(super) fn users() -> Vec<User> {
    let (read, write) = (("api_export", 1), ("api_import", 1));
    vec![
        User { switches: true, ..user("admin", "Ada", "Müßiggang", &everything(), 1, 1) },
        User { role: ROLES[0].unique_name, ..user("exporter", "Emil", "O'Export", &[read], 2, 1) },
        user("deidentified", "Dora", "de \"Ident\"", &[read, ("user_rights", 2)], 2, 2),
        User { role: ROLES[1].unique_name, ..user("importer", "Ida", "Import", &[write, ("record_create", 1)], 1, 0) },
        user("editor", "Edda", "Ändern", &[read, write], 1, 1),
        user("no_api", "Nils", "Ohnerecht", &[("reports", 1)], 2, 0),
        User {
            group: "north",
            switches: true,
            ..user("site_north", "Nora", "Nord", &[read, write, ("data_access_groups", 1), ("record_create", 1)], 1, 1)
        },
    ]
}

/// The users whom a project with the sites A, B and C has as well. `today` is a day counted from 1970-01-01.
pub(super) fn site_users(today: i64) -> Vec<User> {
    let (read, write) = (("api_export", 1), ("api_import", 1));
    let manager = [read, ("user_rights", 2), ("data_access_groups", 1), ("logging", 1)];
    let service = [read, ("design", 1), ("user_rights", 1), ("mobile_app", 1)];
    let switcher = [read, write, ("data_access_groups", 1), ("record_create", 1)];
    vec![
        user("manager", "Mona", "Manager", &manager, 2, 1),
        user("least", "Lea", "Least", &[read], 0, 2),
        User { group: "site_a", ..user("site_a", "Anton", "A", &[read], 0, 1) },
        User { group: "site_b", ..user("site_b", "Berta", "B", &[read, write, ("record_create", 1)], 0, 1) },
        // In no group, although the name says so: the mistake that a check of groups is for.
        user("site_c", "Cäsar", "C", &[read], 0, 1),
        User { group: "site_a", switches: true, ..user("switcher", "Svea", "Switch", &switcher, 1, 1) },
        User { expiration: "2020-01-31".to_owned(), ..user("expired", "Enno", "Ende", &[read], 0, 1) },
        User { expiration: super::time::date(today + 10), ..user("leaving", "Leo", "Leaving", &[read], 0, 1) },
        user("service", "Sam", "Service", &service, 0, 1),
        User { role: ROLES[2].unique_name, ..user("role_over", "Rolf", "Over", &everything(), 1, 1) },
        User { role: ROLES[3].unique_name, ..user("role_under", "Rita", "Under", &[], 0, 0) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_of_the_sample_users_exist_and_differ() {
        let all = || users().into_iter().chain(site_users(20_000));
        for user in all() {
            assert!(user.own.codes.keys().all(|name| RIGHTS.contains(name)), "{}", user.name);
            assert!(user.role.is_empty() || ROLES.iter().any(|role| role.unique_name == user.role), "{}", user.name);
        }
        for role in &ROLES {
            assert!(role.codes.iter().all(|(right, _)| RIGHTS.contains(right)), "{}", role.label);
        }
        for user in users() {
            assert_eq!(user.rights(), user.own, "{}", user.name);
        }
        let names: std::collections::HashSet<_> = all().map(|user| user.name).collect();
        assert_eq!(names.len(), all().count());
        let able = |right: &str| users().into_iter().filter(|u| u.may(right)).map(|u| u.name).collect::<Vec<_>>();
        assert_eq!(able("api_export"), ["admin", "exporter", "deidentified", "editor", "site_north"]);
        assert_eq!(able("api_import"), ["admin", "importer", "editor", "site_north"]);
        assert_eq!(able("design"), ["admin"]);
    }

    #[test]
    fn a_role_takes_the_place_of_a_users_own_rights_whichever_are_more() {
        let sites = site_users(20_000);
        let may = |name: &str, right: &str| {
            sites.iter().find(|user| user.name == name).map(|user| (user.own.code(right), user.may(right)))
        };
        assert_eq!(may("role_over", "design"), Some((1, false)));
        assert_eq!(may("role_under", "design"), Some((0, true)));
    }

    #[test]
    fn a_user_expires_on_the_day() {
        let mut user = user("x", "X", "X", &[], 0, 0);
        assert!(!user.has_expired("2026-01-31"));
        user.expiration = "2026-01-31".to_owned();
        assert!(!user.has_expired("2026-01-30") && user.has_expired("2026-01-31") && user.has_expired("2026-02-01"));
    }
}
