//! The sandbox's users and their rights. All of them are made up.

/// A user of all sample projects.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) name: &'static str,
    pub(super) first_name: &'static str,
    pub(super) last_name: &'static str,
    pub(super) suspended: bool,
    /// The unique name of the user's Data Access Group in projects that have groups; blank: all records.
    pub(super) group: &'static str,
    /// The rights that are not 0.
    rights: Vec<(&'static str, i64)>,
    /// Form viewing: 0 none, 1 edit, 2 read.
    pub(super) viewing: i64,
    /// Form export: 0 none, 1 full, 2 de-identified, 3 identifiers removed.
    pub(super) exporting: i64,
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
    /// The rights with code 1; all others are 0.
    pub(super) rights: &'static [&'static str],
    pub(super) viewing: i64,
    pub(super) exporting: i64,
    pub(super) users: &'static [&'static str],
}

/// The roles of every project. A user in one has exactly its rights.
pub(super) const ROLES: [Role; 2] = [
    Role {
        unique_name: "U-1F7A3KQX2M",
        label: "Statistician",
        rights: &["api_export"],
        viewing: 2,
        exporting: 1,
        users: &["exporter"],
    },
    Role {
        unique_name: "U-9C4ENTRYP8",
        label: "Data entry (Größen)",
        rights: &["api_import", "record_create"],
        viewing: 1,
        exporting: 0,
        users: &["importer"],
    },
];

impl User {
    /// A right's code; 0 where the user has none.
    pub(super) fn right(&self, name: &str) -> i64 {
        self.rights.iter().find(|(one, _)| *one == name).map_or(0, |(_, code)| *code)
    }

    pub(super) fn may(&self, right: &str) -> bool {
        self.right(right) > 0
    }

    pub(super) fn email(&self) -> String {
        format!("{}@example.org", self.name)
    }
}

/// The users at the start.
pub(super) fn users() -> Vec<User> {
    let user = |name, first_name, last_name, group, rights: &[_], viewing, exporting| User {
        name,
        first_name,
        last_name,
        suspended: false,
        group,
        rights: rights.to_vec(),
        viewing,
        exporting,
    };
    let everything: Vec<_> = RIGHTS.iter().map(|&right| (right, 1)).collect();
    vec![
        user("admin", "Ada", "Müßiggang", "", &everything, 1, 1),
        user("exporter", "Emil", "O'Export", "", &[("api_export", 1)], 2, 1),
        user("deidentified", "Dora", "de \"Ident\"", "", &[("api_export", 1), ("user_rights", 2)], 2, 2),
        user("importer", "Ida", "Import", "", &[("api_import", 1), ("record_create", 1)], 1, 0),
        user("editor", "Edda", "Ändern", "", &[("api_export", 1), ("api_import", 1)], 1, 1),
        user("no_api", "Nils", "Ohnerecht", "", &[("reports", 1)], 2, 0),
        user(
            "site_north",
            "Nora",
            "Nord",
            "north",
            &[("api_export", 1), ("api_import", 1), ("data_access_groups", 1), ("record_create", 1)],
            1,
            1,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_of_the_sample_users_exist_and_differ() {
        for user in users() {
            assert!(user.rights.iter().all(|(name, _)| RIGHTS.contains(name)), "{}", user.name);
        }
        for role in &ROLES {
            assert!(role.rights.iter().all(|right| RIGHTS.contains(right)), "{}", role.label);
            for user in users().iter().filter(|user| role.users.contains(&user.name)) {
                let same = RIGHTS.iter().all(|right| user.may(right) == role.rights.contains(right));
                let forms = (user.viewing, user.exporting) == (role.viewing, role.exporting);
                assert!(same && forms, "{} has other rights than {}", user.name, role.label);
            }
        }
        let able = |right: &str| users().into_iter().filter(|u| u.may(right)).map(|u| u.name).collect::<Vec<_>>();
        assert_eq!(able("api_export"), ["admin", "exporter", "deidentified", "editor", "site_north"]);
        assert_eq!(able("api_import"), ["admin", "importer", "editor", "site_north"]);
        assert_eq!(able("design"), ["admin"]);
    }
}
