//! Users of each kind, what the server says of them, and how an administrator changes it.

use serde_json::{Value, json};

use super::site::Answer;
use super::{Site, field};

fn ask(site: &mut Site, user: &str, fields: &[(&str, &str)]) -> Answer {
    let token = site.token("TEST_SITES", user);
    let mut all = vec![("token", token.as_str()), ("format", "json"), ("returnFormat", "json")];
    all.extend(fields);
    site.post(&all)
}

fn row(list: &Value, user: &str) -> Value {
    list.as_array().unwrap().iter().find(|row| row["username"] == user).unwrap().clone()
}

fn set(site: &mut Site, user: &str, change: Value) {
    let mut command = json!({"do": "set_rights", "project": "TEST_SITES", "user": user});
    command.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    site.admin(command);
}

const NO_TOKEN: &str = "{\"error\":\"You do not have permissions to use the API\"}";

#[test]
fn every_record_of_the_study_belongs_to_a_site_and_a_user_in_it_sees_no_other() {
    let mut site = Site::start();
    let ids = [("content", "record"), ("fields[0]", "record_id"), ("exportDataAccessGroups", "true")];
    let all = ask(&mut site, "manager", &ids).json();
    assert_eq!(all.as_array().unwrap().len(), 90);
    for group in ["site_a", "site_b", "site_c"] {
        let of_group = all.as_array().unwrap().iter().filter(|row| row["redcap_data_access_group"] == group).count();
        assert_eq!(of_group, 30, "{group}");
    }
    for (user, prefix, number) in [("site_a", "201-", 30), ("site_b", "202-", 30), ("site_c", "20", 90)] {
        let seen = ask(&mut site, user, &ids).json();
        assert!(field(&seen, "record_id").iter().all(|id| id.starts_with(prefix)), "{user}");
        assert_eq!(seen.as_array().unwrap().len(), number, "{user}");
        assert_eq!(seen[0].get("redcap_data_access_group").is_some(), user == "site_c", "{user}");
    }
}

#[test]
fn the_groups_have_three_answers() {
    let mut site = Site::start();
    let dag = [("content", "dag")];
    assert_eq!(field(&ask(&mut site, "manager", &dag).json(), "unique_group_name"), ["site_a", "site_b", "site_c"]);
    for content in ["dag", "userDagMapping"] {
        let fields = [("content", content)];
        let none = ask(&mut site, "site_a", &fields);
        assert_eq!((none.status, none.text().contains("'Data Access Groups' privileges")), (400, true));
        let within = ask(&mut site, "switcher", &fields);
        assert_eq!((within.status, within.text().contains("you have beed assigned")), (400, true));
    }
}

#[test]
fn a_user_of_the_study_is_in_no_other_project_and_in_no_other_projects_group() {
    let mut site = Site::start();
    let listed = site.admin(json!({"do": "users"}));
    let of = |name: &str| listed["users"].as_array().unwrap().iter().find(|user| user["user"] == name).unwrap().clone();
    assert_eq!(of("site_a")["in"], json!(["TEST_SITES"]));
    assert_eq!(of("admin")["in"].as_array().unwrap().len(), 4);
    // The classic project's group is none of the study's.
    let mapping = ask(&mut site, "manager", &[("content", "userDagMapping")]).json();
    assert_eq!(row(&mapping, "site_north")["redcap_data_access_group"], "");
    assert_eq!(row(&mapping, "site_b")["redcap_data_access_group"], "site_b");
    assert_eq!(ask(&mut site, "site_north", &[("content", "dag")]).status, 200);
}

#[test]
fn an_expired_user_is_refused_as_a_dead_token_is() {
    let mut site = Site::start();
    let answer = ask(&mut site, "expired", &[("content", "version")]);
    assert_eq!((answer.status, answer.text()), (403, NO_TOKEN));
    assert_eq!(ask(&mut site, "leaving", &[("content", "version")]).status, 200);
    let users = ask(&mut site, "manager", &[("content", "user")]).json();
    assert_eq!(row(&users, "expired")["expiration"], "2020-01-31");
    assert!(row(&users, "leaving")["expiration"].as_str().unwrap() > "2026-");
    set(&mut site, "leaving", json!({"expiration": "2026-01-01"}));
    assert_eq!(ask(&mut site, "leaving", &[("content", "version")]).status, 403);
    set(&mut site, "leaving", json!({"expiration": ""}));
    assert_eq!(ask(&mut site, "leaving", &[("content", "version")]).status, 200);
}

#[test]
fn a_role_says_what_a_user_may_do_and_the_list_of_users_shows_the_users_own_rights() {
    let mut site = Site::start();
    let users = ask(&mut site, "manager", &[("content", "user")]).json();
    let roles = ask(&mut site, "manager", &[("content", "userRole")]).json();
    let mapping = ask(&mut site, "manager", &[("content", "userRoleMapping")]).json();
    assert_eq!(field(&roles, "role_label"), ["Statistician", "Data entry (Größen)", "Site reader", "Coordinator"]);
    for (user, label, own, of_role) in [("role_over", "Site reader", 1, 0), ("role_under", "Coordinator", 0, 1)] {
        let name = row(&mapping, user)["unique_role_name"].clone();
        let role = roles.as_array().unwrap().iter().find(|role| role["unique_role_name"] == name).unwrap();
        assert_eq!(role["role_label"], label);
        assert_eq!((&row(&users, user)["user_rights"], &role["user_rights"]), (&json!(own), &json!(of_role)));
        let status = if of_role == 1 { 200 } else { 403 };
        assert_eq!(ask(&mut site, user, &[("content", "user")]).status, status, "{user}");
    }
    // Out of the role, the user's own rights are what counts.
    set(&mut site, "role_over", json!({"role": ""}));
    assert_eq!(ask(&mut site, "role_over", &[("content", "user")]).status, 200);
    set(&mut site, "least", json!({"role": "U-7C0RD1NAT3"}));
    assert_eq!(ask(&mut site, "least", &[("content", "user")]).status, 200);
}

#[test]
fn rights_are_written_as_the_version_writes_them() {
    let mut site = Site::start();
    set(
        &mut site,
        "least",
        json!({"rights": {"forms": {"outcome": 3, "inclusion": 1}, "forms_export": {"inclusion": 3}}}),
    );
    let forms = |site: &mut Site, version: &str, user: &str| {
        site.admin(json!({"do": "set_version", "version": version}));
        assert_eq!(ask(site, "manager", &[("content", "version")]).text(), version);
        let users = ask(site, "manager", &[("content", "user")]).json();
        let row = row(&users, user);
        (row["forms"].clone(), row.get("forms_export").cloned(), row.get("data_export").cloned())
    };
    let old = json!({"inclusion": 1, "outcome": 3});
    let export = Some(json!({"inclusion": 3, "outcome": 0}));
    assert_eq!(forms(&mut site, "12.5.1", "least"), (old.clone(), None, Some(json!(0))));
    assert_eq!(forms(&mut site, "12.5.1", "site_a").2, Some(json!(1)));
    assert_eq!(forms(&mut site, "14.5.5", "least"), (old, export.clone(), None));
    assert_eq!(forms(&mut site, "15.6.0", "least"), (json!({"inclusion": 130, "outcome": 138}), export, None));
    assert_eq!(forms(&mut site, "15.6.0", "site_a").0, json!({"inclusion": 128, "outcome": 128}));
    assert_eq!(forms(&mut site, "15.6.0", "exporter").0, json!({"inclusion": 129, "outcome": 129}));
    let roles = ask(&mut site, "manager", &[("content", "userRole")]).json();
    assert_eq!(roles[0]["forms"], json!({"inclusion": 129, "outcome": 129}));
    // A form that may not be exported is not in the data; the others are, without what is to be left out.
    let data = ask(&mut site, "least", &[("content", "record")]).json();
    let columns: Vec<_> = data[0].as_object().unwrap().keys().cloned().collect();
    assert!(columns.contains(&"arm_given".to_owned()) && columns.contains(&"record_id".to_owned()), "{columns:?}");
    assert!(!columns.contains(&"alive".to_owned()) && !columns.contains(&"name".to_owned()), "{columns:?}");
}

#[test]
fn an_administrator_changes_what_a_user_may_do_and_nothing_half_way() {
    let mut site = Site::start();
    assert_eq!(ask(&mut site, "least", &[("content", "log")]).status, 403);
    set(&mut site, "least", json!({"rights": {"logging": 1}, "group": "site_b"}));
    assert_eq!(ask(&mut site, "least", &[("content", "log")]).status, 200);
    let wrong = json!({"do": "set_rights", "project": "TEST_SITES", "user": "least", "rights": {"logging": 0},
        "group": "none"});
    assert_eq!(site.try_admin(&wrong)["ok"], false);
    assert_eq!(ask(&mut site, "least", &[("content", "log")]).status, 200);
    let switch = [("content", "dag"), ("action", "switch"), ("dag", "")];
    assert_eq!(ask(&mut site, "site_b", &switch).status, 403);
    set(&mut site, "site_b", json!({"switcher": true}));
    assert_eq!(ask(&mut site, "site_b", &switch).text(), "1");
    assert_eq!(ask(&mut site, "switcher", &switch).text(), "1");
    // In the study only: a user has rights of its own in each project.
    set(&mut site, "exporter", json!({"role": "", "rights": {"design": 1}}));
    let token = site.token("TEST", "admin");
    let users = site.post(&[("token", &token), ("content", "user"), ("format", "json")]).json();
    assert_eq!(row(&users, "exporter")["design"], 0);
}

#[test]
fn the_log_has_each_users_calls_and_is_narrowed_by_user_group_kind_record_and_time() {
    let mut site = Site::start();
    let fields = [("content", "record"), ("fields[0]", "record_id")];
    ask(&mut site, "site_a", &fields);
    ask(&mut site, "site_c", &fields);
    let data = "[{\"record_id\":\"202-1\",\"arm_given\":\"2\",\"inclusion_complete\":\"2\"}]";
    let sent = ask(&mut site, "site_b", &[("content", "record"), ("action", "import"), ("data", data)]);
    assert_eq!(sent.status, 200, "{}", sent.text());
    set(&mut site, "site_a", json!({"rights": {"calendar": 1}}));
    site.admin(json!({"do": "regenerate", "project": "TEST_SITES", "user": "site_a"}));
    site.admin(json!({"do": "revoke", "project": "TEST_SITES", "user": "site_a"}));
    let mut log = |narrowed: &[(&str, &str)]| {
        let mut fields = vec![("content", "log")];
        fields.extend(narrowed);
        let log = ask(&mut site, "manager", &fields).json();
        let of = |row: &Value| format!("{} {}", row["username"].as_str().unwrap(), row["details"].as_str().unwrap());
        log.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let token_of_a = ["site_a User delete own API token", "site_a User regenerate own API token"];
    let read_of_a = ["site_a Export records (API)", "site_a Create API token"];
    assert_eq!(log(&[("user", "site_a")]), [token_of_a, read_of_a].concat());
    assert_eq!(log(&[("dag", "site_a")]), [token_of_a, read_of_a].concat());
    assert_eq!(log(&[("logtype", "export")]), ["site_c Export records (API)", "site_a Export records (API)"]);
    assert_eq!(log(&[("logtype", "user")]), ["admin user = 'site_a'"]);
    let of_record = log(&[("record", "202-1")]);
    assert!(of_record.len() == 1 && of_record[0].starts_with("site_b "), "{of_record:?}");
    assert_eq!(log(&[("logtype", "record_edit")]), of_record);
    assert_eq!(log(&[("beginTime", "2100-01-01 00:00")]), Vec::<String>::new());
    assert_eq!(log(&[("endTime", "2100-01-01 00:00"), ("logtype", "record")]).len(), 1);
    assert_eq!(ask(&mut site, "manager", &[("content", "log"), ("dag", "none")]).status, 400);
    assert_eq!(ask(&mut site, "manager", &[("content", "log"), ("logtype", "none")]).status, 400);
}
