//! Each content but records.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Site, field};
use crate::sandbox::{Config, SAMPLES};

fn ask(site: &mut Site, project: &str, fields: &[(&str, &str)]) -> Value {
    let token = site.token(project, "admin");
    let mut all = vec![("token", token.as_str()), ("format", "json")];
    all.extend(fields);
    site.post(&all).json()
}

#[test]
fn the_sample_tokens_work_unless_they_are_switched_off() {
    let site = Site::with(Config::default());
    for sample in &SAMPLES {
        let answer = site.post(&[("token", sample.token), ("content", "project"), ("format", "json")]).json();
        assert_eq!(answer["project_title"], sample.title);
        assert_eq!(answer["project_id"], sample.project_id);
    }
    let site = Site::start();
    assert_eq!(site.post(&[("token", SAMPLES[0].token), ("content", "version")]).status, 403);
}

#[test]
fn version_is_bare_text_whatever_the_format_and_needs_no_right() {
    let mut site = Site::start();
    let token = site.token("TEST", "no_api");
    for format in ["csv", "json", "xml", ""] {
        let answer = site.post(&[("token", &token), ("content", "version"), ("format", format)]);
        assert_eq!((answer.status, answer.text()), (200, "14.5.5"));
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    }
}

#[test]
fn multipart_requests_are_answered_like_urlencoded_ones() {
    let mut site = Site::start();
    let token = site.token("TEST", "admin");
    let fields = [("token", token.as_str()), ("content", "metadata"), ("format", "csv"), ("fields[0]", "sex")];
    let mut body = String::new();
    for (name, value) in fields {
        write!(body, "--=_b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").unwrap();
    }
    body += "--=_b--\r\n";
    let head = site.head("POST", "/redcap/api/", "multipart/form-data; boundary=\"=_b\"", body.len());
    let answer = site.exchange(format!("{head}{body}").as_bytes()).unwrap();
    assert_eq!(answer.text(), site.post(&fields).text());
    assert!(answer.text().contains("\nsex,demographics,,radio,Sex,\"0, Female | 1, Male | 2, Diverse\",,"));
}

#[test]
fn project_says_what_kind_it_is() {
    let mut site = Site::start();
    for (project, longitudinal, repeating) in [("TEST", 0, 0), ("TEST_LONG", 1, 0), ("TEST_REPEAT", 1, 1)] {
        let answer = ask(&mut site, project, &[("content", "project")]);
        assert_eq!(answer["is_longitudinal"], longitudinal);
        assert_eq!(answer["has_repeating_instruments_or_events"], repeating);
        assert_eq!(answer["in_production"], 0);
    }
    let token = site.token("TEST", "admin");
    let csv = site.post(&[("token", &token), ("content", "project"), ("format", "csv")]);
    assert!(csv.text().starts_with("project_id,project_title,"));
    assert!(csv.text().contains("\n17,\"Sandbox sample: Größe und Gewicht (classic)\","));
    let xml = site.post(&[("token", &token), ("content", "project")]);
    assert!(
        xml.text().starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<items>\n<project_id>17</project_id>")
    );
}

#[test]
fn users_have_rights_and_forms_in_the_shape_of_each_format() {
    let mut site = Site::start();
    let users = ask(&mut site, "TEST", &[("content", "user")]);
    assert_eq!(
        field(&users, "username"),
        ["admin", "exporter", "deidentified", "importer", "editor", "no_api", "site_north"]
    );
    assert!(field(&users, "email").iter().all(|email| email.ends_with("@example.org")));
    assert_eq!(users[0]["forms"], json!({"demographics": 1, "health": 1}));
    assert_eq!(users[2]["forms_export"], json!({"demographics": 2, "health": 2}));
    assert_eq!((&users[1]["api_export"], &users[1]["api_import"]), (&json!(1), &json!(0)));
    assert_eq!((&users[6]["data_access_group"], &users[6]["data_access_group_id"]), (&json!("north"), &json!(101)));
    // A project without groups has none for its users either.
    assert_eq!(ask(&mut site, "TEST_REPEAT", &[("content", "user")])[6]["data_access_group"], "");
    let token = site.token("TEST", "admin");
    let csv = site.post(&[("token", &token), ("content", "user"), ("format", "csv")]);
    assert!(csv.text().contains("\"demographics:2,health:2\""));
    // Reading the users takes a right of its own.
    for (user, status) in [("exporter", 403), ("deidentified", 200)] {
        let token = site.token("TEST", user);
        assert_eq!(site.post(&[("token", &token), ("content", "user")]).status, status);
    }
}

#[test]
fn metadata_is_the_dictionary_and_can_be_narrowed() {
    let mut site = Site::start();
    let all = ask(&mut site, "TEST", &[("content", "metadata")]);
    assert_eq!(field(&all, "field_name")[0], "record_id");
    assert_eq!(all.as_array().unwrap().len(), 19);
    assert_eq!(all[0].as_object().unwrap().len(), 18);
    let bmi = all.as_array().unwrap().iter().find(|f| f["field_name"] == "bmi").unwrap();
    assert_eq!(bmi["select_choices_or_calculations"], "round([weight]/([height]/100)^2, 1)");
    let some = ask(&mut site, "TEST", &[("content", "metadata"), ("fields[0]", "pulse"), ("fields[1]", "sex")]);
    assert_eq!(field(&some, "field_name"), ["sex", "pulse"]);
    let form = ask(&mut site, "TEST", &[("content", "metadata"), ("forms[0]", "health")]);
    assert!(field(&form, "form_name").iter().all(|form| *form == "health"));
}

#[test]
fn field_names_spread_checkboxes_and_leave_descriptions_out() {
    let mut site = Site::start();
    let names = ask(&mut site, "TEST", &[("content", "exportFieldNames")]);
    let columns = field(&names, "export_field_name");
    for name in ["symptoms___1", "symptoms____9", "demographics_complete", "health_complete"] {
        assert!(columns.contains(&name), "{name}");
    }
    for name in ["health_info", "symptoms", "letter"] {
        assert!(!columns.contains(&name), "{name}");
    }
    let one = ask(&mut site, "TEST", &[("content", "exportFieldNames"), ("field", "symptoms")]);
    assert_eq!(field(&one, "choice_value"), ["1", "2", "3", "4", "-9"]);
}

#[test]
fn instruments_arms_events_and_mappings_fit_together() {
    let mut site = Site::start();
    let forms = ask(&mut site, "TEST_LONG", &[("content", "instrument")]);
    assert_eq!(field(&forms, "instrument_name"), ["demographics", "vitals", "laboratory", "complaints"]);
    let arms = ask(&mut site, "TEST_LONG", &[("content", "arm")]);
    assert_eq!(arms, json!([{"arm_num": 1, "name": "Verum"}, {"arm_num": 2, "name": "Placebo (ohne Wirkstoff)"}]));
    let events = ask(&mut site, "TEST_LONG", &[("content", "event")]);
    assert_eq!(events.as_array().unwrap().len(), 7);
    assert_eq!(events[0]["unique_event_name"], "screening_arm_1");
    assert_eq!(events[0]["custom_event_label"], Value::Null);
    let second = ask(&mut site, "TEST_LONG", &[("content", "event"), ("arms[0]", "2")]);
    assert!(field(&second, "unique_event_name").iter().all(|name| name.ends_with("_arm_2")));
    let mapping = ask(&mut site, "TEST_LONG", &[("content", "formEventMapping")]);
    let known = field(&events, "unique_event_name");
    assert!(field(&mapping, "unique_event_name").iter().all(|name| known.contains(name)));
    let known = field(&forms, "instrument_name");
    assert!(field(&mapping, "form").iter().all(|name| known.contains(name)));
}

#[test]
fn repeating_forms_need_the_right_to_the_design() {
    let mut site = Site::start();
    let repeats = ask(&mut site, "TEST_REPEAT", &[("content", "repeatingFormsEvents")]);
    assert_eq!(field(&repeats, "event_name"), ["enrolment_arm_1", "visits_arm_1"]);
    assert_eq!(field(&repeats, "form_name"), ["medication", ""]);
    let token = site.token("TEST_REPEAT", "exporter");
    assert_eq!(site.post(&[("token", &token), ("content", "repeatingFormsEvents")]).status, 403);
}

#[test]
fn the_next_record_name_is_free() {
    let mut site = Site::start();
    let token = site.token("TEST", "admin");
    let answer = site.post(&[("token", &token), ("content", "generateNextRecordName")]);
    assert_eq!((answer.status, answer.text()), (200, "1201"));
    // In a group it begins with the group's number.
    let token = site.token("TEST", "site_north");
    assert_eq!(site.post(&[("token", &token), ("content", "generateNextRecordName")]).text(), "101-1");
}

#[test]
fn groups_are_listed_for_those_who_are_in_none() {
    let mut site = Site::start();
    let groups = ask(&mut site, "TEST", &[("content", "dag")]);
    assert_eq!(field(&groups, "unique_group_name"), ["north", "south"]);
    assert_eq!(ask(&mut site, "TEST_REPEAT", &[("content", "dag")]), json!([]));
}

#[test]
fn the_log_has_the_users_reads_and_the_tokens_events() {
    let mut site = Site::start();
    let reader = site.token("TEST", "exporter");
    site.post(&[("token", &reader), ("content", "record"), ("records[0]", "1")]);
    site.admin(json!({"do": "regenerate", "project": "TEST", "user": "exporter"}));
    let log = ask(&mut site, "TEST", &[("content", "log"), ("user", "exporter")]);
    assert_eq!(field(&log, "details"), ["User regenerate own API token", "Export records (API)", "Create API token"]);
    assert_eq!(field(&log, "action")[1], "Data export (API)");
    let time = log[0]["timestamp"].as_str().unwrap();
    assert_eq!(time.len(), "2024-02-29 08:15".len());
    assert_eq!(ask(&mut site, "TEST", &[("content", "log"), ("endTime", "2000-01-01 00:00")]), json!([]));

    // A token that was made long ago stands where its time puts it.
    site.admin(json!({"do": "issue", "project": "TEST", "user": "importer", "days_ago": 200}));
    let log = ask(&mut site, "TEST", &[("content", "log")]);
    let oldest = log.as_array().unwrap().last().unwrap();
    assert_eq!((&oldest["username"], &oldest["details"]), (&json!("importer"), &json!("Create API token")));
    assert!(oldest["timestamp"].as_str().unwrap() < time);
    let token = site.token("TEST", "exporter");
    assert_eq!(site.post(&[("token", &token), ("content", "log")]).status, 403);
}
