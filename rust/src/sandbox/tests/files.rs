//! Files in file fields.

use super::site::Answer;
use super::{Site, field};

fn ask(site: &mut Site, project: &str, user: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
    let token = site.token(project, user);
    let mut all = vec![("token", token.as_str()), ("content", "file"), ("action", action), ("returnFormat", "json")];
    all.extend(fields);
    site.post(&all)
}

fn upload(site: &mut Site, project: &str, fields: &[(&str, &str)], name: &str, bytes: &[u8]) -> Answer {
    let token = site.token(project, "admin");
    let mut all = vec![("token", token.as_str()), ("content", "file"), ("action", "import"), ("returnFormat", "json")];
    all.extend(fields);
    site.upload(&all, name, bytes)
}

fn error(answer: &Answer) -> String {
    let body: serde_json::Value = serde_json::from_slice(&answer.bytes).unwrap();
    body["error"].as_str().unwrap().to_owned()
}

#[test]
fn a_file_comes_as_it_is_with_its_name_in_its_type() {
    let mut site = Site::start();
    let answer = ask(&mut site, "TEST", "admin", "export", &[("record", "1"), ("field", "letter")]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/pdf; name=\"letter.pdf\""));
    assert!(answer.bytes.starts_with(b"%PDF-1.4\n") && answer.bytes.ends_with(b"%%EOF\n"));
    let answer = ask(&mut site, "TEST", "admin", "export", &[("record", "2"), ("field", "letter")]);
    assert_eq!(answer.header("content-type"), Some("text/plain; name=\"Größe und Gewicht.txt\""));
    assert_eq!(answer.text(), "Größe: 1,80 m\r\n");
}

#[test]
fn bytes_that_are_uploaded_come_back_and_can_be_deleted() {
    let mut site = Site::start();
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let place = [("record", "9"), ("field", "letter")];
    assert_eq!(ask(&mut site, "TEST", "admin", "export", &place).status, 400);
    let answer = upload(&mut site, "TEST", &place, "../a/Bild \u{fc}.PNG", &bytes);
    assert_eq!((answer.status, answer.text()), (200, ""));
    let answer = ask(&mut site, "TEST", "admin", "export", &place);
    assert_eq!(answer.header("content-type"), Some("image/png; name=\"Bild ü.PNG\""));
    assert!(answer.bytes == bytes);
    let token = site.token("TEST", "admin");
    let records =
        [("token", token.as_str()), ("content", "record"), ("format", "json"), ("records", "9"), ("fields", "letter")];
    assert_eq!(field(&site.post(&records).json(), "letter"), ["Bild ü.PNG"]);
    let answer = ask(&mut site, "TEST", "admin", "delete", &place);
    assert_eq!((answer.status, answer.text()), (200, ""));
    let token = site.token("TEST", "admin");
    let records = [("token", token.as_str()), records[1], records[2], records[3], records[4]];
    assert_eq!(field(&site.post(&records).json(), "letter"), [""]);
    let answer = ask(&mut site, "TEST", "admin", "export", &place);
    assert_eq!((answer.status, &*error(&answer)), (400, "There is no file to download for this record"));
    let answer = ask(&mut site, "TEST", "admin", "delete", &place);
    assert_eq!((answer.status, &*error(&answer)), (400, "There is no file to delete for this record"));
}

#[test]
fn a_file_of_a_repeating_event_belongs_to_its_instance() {
    let mut site = Site::start();
    let place = |instance| {
        [("record", "1"), ("field", "visit_photo"), ("event", "visits_arm_1"), ("repeat_instance", instance)]
    };
    assert_eq!(upload(&mut site, "TEST_REPEAT", &place("7"), "seven.txt", b"7").status, 200);
    assert_eq!(upload(&mut site, "TEST_REPEAT", &place("8"), "eight.txt", b"8").status, 200);
    assert_eq!(ask(&mut site, "TEST_REPEAT", "admin", "export", &place("7")).text(), "7");
    assert_eq!(ask(&mut site, "TEST_REPEAT", "admin", "export", &place("8")).text(), "8");
    assert_eq!(ask(&mut site, "TEST_REPEAT", "admin", "export", &place("9")).status, 400);
    // Without the instance it is the first, which has a sample file.
    assert_eq!(
        ask(&mut site, "TEST_REPEAT", "admin", "export", &place("7")[..3]).header("content-type"),
        Some("application/pdf; name=\"letter.pdf\"")
    );
}

#[test]
fn what_is_no_file_is_refused() {
    let mut site = Site::start();
    let no_field = |name: &str| format!("The field '{name}' does not exist or is not a file field");
    for (fields, message) in [
        (&[("record", "1"), ("field", "sex")][..], no_field("sex")),
        (&[("record", "1"), ("field", "wrong")], no_field("wrong")),
        (&[("record", "none"), ("field", "letter")], "The record 'none' does not exist".to_owned()),
        (&[("field", "letter")], "The record '' does not exist".to_owned()),
    ] {
        for action in ["export", "import", "delete"] {
            let answer = ask(&mut site, "TEST", "admin", action, fields);
            assert_eq!((answer.status, error(&answer)), (400, message.clone()), "{action}");
        }
    }
    let place = [("record", "1"), ("field", "letter")];
    let answer = ask(&mut site, "TEST", "admin", "import", &place);
    assert_eq!((answer.status, &*error(&answer)), (400, "No file was uploaded"));
    for (event, instance) in
        [("", "1"), ("x", "1"), ("enrolment_arm_1", "1"), ("visits_arm_1", "0"), ("visits_arm_1", "x")]
    {
        let fields = [("record", "1"), ("field", "visit_photo"), ("event", event), ("repeat_instance", instance)];
        assert_eq!(ask(&mut site, "TEST_REPEAT", "admin", "export", &fields).status, 400, "{event} {instance}");
    }
}

#[test]
fn files_need_rights_and_groups_hide_them() {
    let mut site = Site::start();
    let place = [("record", "1"), ("field", "letter")];
    assert_eq!(ask(&mut site, "TEST", "exporter", "export", &place).status, 200);
    // A file may show who somebody is.
    assert_eq!(ask(&mut site, "TEST", "deidentified", "export", &place).status, 403);
    for action in ["import", "delete"] {
        let answer = ask(&mut site, "TEST", "exporter", action, &place);
        assert_eq!((answer.status, &*error(&answer)), (403, "You do not have API Import/Update privileges"));
    }
    // The first record is in another group than the user.
    for action in ["export", "delete"] {
        let answer = ask(&mut site, "TEST", "site_north", action, &place);
        assert_eq!((answer.status, &*error(&answer)), (400, "The record '1' does not exist"));
    }
    let token = site.token("TEST", "admin");
    let log = site.post(&[("token", &token), ("content", "log"), ("format", "json"), ("record", "1")]).json();
    assert_eq!(field(&log, "details"), ["Download file (API), letter"]);
}
