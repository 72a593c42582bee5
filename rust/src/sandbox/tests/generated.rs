//! Generated projects.

use serde_json::json;

use super::{Site, field};
use crate::sandbox::{Config, Size};

fn ask(site: &mut Site, project: &str, fields: &[(&str, &str)]) -> String {
    let token = site.token(project, "admin");
    let mut all = vec![("token", token.as_str()), ("content", "record"), ("format", "csv")];
    all.extend(fields);
    let answer = site.post(&all);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().to_owned()
}

#[test]
fn the_export_is_the_file_that_the_administrator_gets() {
    let mut site = Site::start();
    let path = site.path("s.csv");
    let made = site.admin(json!({"do": "generate", "size": "S", "to": path}));
    assert_eq!((&made["short_name"], &made["records"], &made["columns"]), (&json!("SIZE_S"), &json!(1000), &json!(30)));
    let file = std::fs::read_to_string(&path).unwrap();
    assert_eq!(made["bytes"], file.len());
    assert!(ask(&mut site, "SIZE_S", &[]) == file);
    // All fields and forms by name are everything as well: that is how PyCap asks.
    let token = site.token("SIZE_S", "admin");
    let metadata = site.post(&[("token", &token), ("content", "metadata"), ("format", "json")]).json();
    let names = field(&metadata, "field_name").join(",") + ",form_1_complete,form_2_complete";
    assert!(ask(&mut site, "SIZE_S", &[("fields", &names)]) == file);
    // An existing file is never written to, and a second time makes nothing new.
    assert_eq!(site.try_admin(&json!({"do": "generate", "size": "S", "to": path}))["ok"], false);
    assert_eq!(site.admin(json!({"do": "generate", "size": "S"}))["bytes"], file.len());
    assert_eq!(site.post(&[("token", &token), ("content", "version")]).status, 403, "a newer token was adopted");
}

/// The rendered bytes and the way that sample projects go must not differ.
#[test]
fn what_is_made_on_demand_is_cut_from_the_same_cloth() {
    let mut site = Site::start();
    let path = site.path("x.csv");
    site.admin(json!({"do": "generate", "records": 120, "columns": 60, "to": path}));
    let file = std::fs::read_to_string(&path).unwrap();
    assert!(ask(&mut site, "SIZE_X", &[("filterLogic", "[record_id] > 0")]) == file);
    assert!(ask(&mut site, "SIZE_X", &[("csvDelimiter", ";")]) != file);
    let some = ask(
        &mut site,
        "SIZE_X",
        &[("records[0]", "7"), ("records[1]", "3"), ("records[2]", "x"), ("records[3]", "07")],
    );
    assert!(some.starts_with(file.lines().next().unwrap()));
    assert_eq!(
        ask(&mut site, "SIZE_X", &[("fields", "record_id"), ("records", "119,7,3,7,121")]),
        "record_id\n3\n7\n119\n"
    );
    assert_eq!(ask(&mut site, "SIZE_X", &[("fields", "record_id")]).lines().count(), 121);
    let body = ask(&mut site, "SIZE_X", &[("format", "json"), ("records", "5")]);
    let row: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(row[0].as_object().unwrap().len(), 60);
    let token = site.token("SIZE_X", "exporter");
    let answer = site.post(&[("token", &token), ("content", "generateNextRecordName")]);
    assert_eq!(answer.text(), "121");
    assert!(ask(&mut site, "SIZE_X", &[]) == file);
}

#[test]
fn a_deidentified_user_does_not_get_the_whole_file() {
    let mut site = Site::start();
    site.admin(json!({"do": "generate", "records": 10, "columns": 30}));
    let token = site.token("SIZE_X", "deidentified");
    let text = site.post(&[("token", &token), ("content", "record"), ("format", "csv")]).text().to_owned();
    assert!(text.starts_with("record_id,age_1,value_2,grade_4,"), "{}", text.lines().next().unwrap());
}

#[test]
fn nothing_is_written_to_a_generated_project() {
    let mut site = Site::start();
    site.admin(json!({"do": "generate", "records": 5, "columns": 30}));
    let token = site.token("SIZE_X", "admin");
    for fields in [
        &[("content", "record"), ("format", "csv"), ("data", "record_id\n1\n")][..],
        &[("content", "record"), ("action", "delete"), ("records", "1")],
        &[("content", "file"), ("action", "delete"), ("record", "1"), ("field", "x")],
    ] {
        let mut all = vec![("token", token.as_str())];
        all.extend(fields);
        let answer = site.post(&all);
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("generated project"), "{}", answer.text());
    }
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    let mut site = Site::start();
    for command in [
        json!({"do": "generate"}),
        json!({"do": "generate", "size": "XL"}),
        json!({"do": "generate", "size": "S", "records": 5}),
        json!({"do": "generate", "records": 5}),
        json!({"do": "generate", "records": 5, "columns": 1}),
        json!({"do": "generate", "records": 1_000_000_000, "columns": 1_000}),
    ] {
        assert_eq!(site.try_admin(&command)["ok"], false, "{command}");
    }
    // No records at all are a lone line break, as everywhere.
    site.admin(json!({"do": "generate", "records": 0, "columns": 30}));
    assert_eq!(ask(&mut site, "SIZE_X", &[]), "\n");
    assert_eq!(ask(&mut site, "SIZE_X", &[("type", "eav")]), "\n");
}

#[test]
fn a_sandbox_can_have_them_from_the_start() {
    let site = Site::with(Config { generated: vec![Size::S], ..Config::default() });
    assert_eq!(
        field(&site.ready["projects"], "short_name"),
        ["TEST", "TEST_LONG", "TEST_REPEAT", "TEST_SITES", "SIZE_S"]
    );
    // They have no sample token: a blank one opens nothing.
    assert_eq!(site.post(&[("token", ""), ("content", "version")]).status, 403);
}
