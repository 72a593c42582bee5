//! Deleting and renaming records.

use serde_json::{Value, json};

use super::site::Answer;
use super::{Site, field};

fn ask(site: &mut Site, project: &str, user: &str, fields: &[(&str, &str)]) -> Answer {
    let token = site.token(project, user);
    let mut all = vec![("token", token.as_str()), ("content", "record"), ("format", "json")];
    all.extend(fields);
    site.post(&all)
}

fn names(site: &mut Site, project: &str, fields: &[(&str, &str)]) -> Vec<String> {
    let mut all = vec![("fields", "record_id")];
    all.extend(fields);
    let list: Value = ask(site, project, "admin", &all).json();
    field(&list, "record_id").into_iter().map(str::to_owned).collect()
}

#[test]
fn deleted_records_are_gone_and_counted() {
    let mut site = Site::start();
    let fields = [("action", "delete"), ("records[0]", "3"), ("records[1]", "5"), ("records[2]", "3")];
    let answer = ask(&mut site, "TEST", "admin", &fields);
    assert_eq!((answer.status, answer.text()), (200, "2"));
    assert_eq!(names(&mut site, "TEST", &[("records", "3,4,5")]), ["4"]);
    let log = ask(&mut site, "TEST", "admin", &[("content", "log"), ("logtype", "record_delete")]).json();
    assert_eq!(field(&log, "action"), ["Delete record (API) 5", "Delete record (API) 3"]);
    assert_eq!(field(&log, "record"), ["5", "3"]);
}

#[test]
fn one_record_that_is_not_there_and_none_is_deleted() {
    let mut site = Site::start();
    let answer = ask(&mut site, "TEST", "admin", &[("action", "delete"), ("records", "3,none,-1")]);
    assert_eq!(answer.status, 400);
    let error: Value = serde_json::from_slice(&answer.bytes).unwrap();
    assert_eq!(
        error["error"],
        "One or more of the records provided cannot be deleted because they do not exist in the project. \
         The following records do not exist: -1, none"
    );
    assert_eq!(names(&mut site, "TEST", &[("records", "3")]), ["3"]);
    assert_eq!(ask(&mut site, "TEST", "admin", &[("action", "delete")]).status, 400);
}

#[test]
fn an_arm_can_be_deleted_on_its_own() {
    let mut site = Site::start();
    let data = "record_id,redcap_event_name,systolic\n2,baseline_arm_2,120\n";
    let answer = ask(&mut site, "TEST_LONG", "admin", &[("action", "import"), ("format", "csv"), ("data", data)]);
    assert_eq!(answer.status, 200);
    let fields = [("action", "delete"), ("records", "2"), ("arm", "1")];
    assert_eq!(ask(&mut site, "TEST_LONG", "admin", &fields).text(), "1");
    let left = ask(&mut site, "TEST_LONG", "admin", &[("records", "2")]).json();
    assert_eq!(field(&left, "redcap_event_name"), ["baseline_arm_2"]);
    assert_eq!(
        ask(&mut site, "TEST_LONG", "admin", &[("action", "delete"), ("records", "2"), ("arm", "3")]).status,
        400
    );
}

#[test]
fn a_renamed_record_keeps_everything_but_its_name() {
    let mut site = Site::start();
    let all = [("exportDataAccessGroups", "true"), ("records[0]", "3"), ("records[1]", "X 3")];
    let mut before = ask(&mut site, "TEST", "admin", &all).json();
    let fields = [("action", "rename"), ("record", "3"), ("new_record_name", "X 3")];
    let answer = ask(&mut site, "TEST", "admin", &fields);
    assert_eq!((answer.status, answer.text()), (200, "1"));
    before[0]["record_id"] = json!("X 3");
    assert_eq!(ask(&mut site, "TEST", "admin", &all).json(), before);
    assert_eq!(names(&mut site, "TEST", &[]).last().unwrap(), "X 3");
    // Its file moves with it.
    let fields = [("action", "rename"), ("record", "1"), ("new_record_name", "one")];
    assert_eq!(ask(&mut site, "TEST", "admin", &fields).text(), "1");
    let fields = [("content", "file"), ("action", "export"), ("record", "one"), ("field", "letter")];
    assert!(ask(&mut site, "TEST", "admin", &fields).bytes.starts_with(b"%PDF"));
    for (record, name) in [("none", "x"), ("4", "5"), ("4", " ")] {
        let fields = [("action", "rename"), ("record", record), ("new_record_name", name)];
        assert_eq!(ask(&mut site, "TEST", "admin", &fields).status, 400, "{record} {name}");
    }
}
