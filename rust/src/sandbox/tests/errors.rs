//! REDCap's refusals, body for body, in every format.

use serde_json::json;

use super::Site;

/// Who asks.
enum Who {
    /// A user of the sandbox with a fresh random token in a project.
    User(&'static str, &'static str),
    /// This text in the place of a token.
    Text(&'static str),
}

/// A refusal: who asks, for what, and what REDCap answers.
struct Case {
    who: Who,
    fields: &'static [(&'static str, &'static str)],
    status: u16,
    message: &'static str,
}

const NO_API: &str = "You do not have permissions to use the API";
const BAD_CONTENT: &str = "The value of the parameter \"content\" is not valid";
const NO_IMPORT: &str = "You do not have API Import/Update privileges";
const NO_EXPORT: &str = "You do not have API Export privileges";
const NO_SURVEYS: &str = "Surveys are not enabled in this project";
const NOT_FORMATTED: &str = "The data being imported is not formatted correctly.";

fn case(who: Who, fields: &'static [(&'static str, &'static str)], status: u16, message: &'static str) -> Case {
    Case { who, fields, status, message }
}

/// The whole table. Each text is what live servers were recorded to say, misspellings included.
fn cases() -> Vec<Case> {
    use Who::{Text, User};
    vec![
        case(Text("0123456789ABCDEF0123456789ABCDEF"), &[("content", "version")], 403, NO_API),
        case(Text(""), &[("content", "version")], 403, NO_API),
        case(Text("tooshort"), &[("content", "record")], 403, NO_API),
        case(User("no_api", "TEST"), &[("content", "project")], 403, NO_EXPORT),
        case(User("importer", "TEST"), &[("content", "record")], 403, NO_EXPORT),
        case(User("exporter", "TEST"), &[("content", "record"), ("action", "import"), ("data", "[]")], 403, NO_IMPORT),
        case(User("exporter", "TEST"), &[("content", "record"), ("data", "[]")], 403, NO_IMPORT),
        case(User("exporter", "TEST"), &[("content", "record"), ("action", "delete")], 403, NO_IMPORT),
        case(
            User("exporter", "TEST"),
            &[("content", "dag")],
            400,
            "Insufficient user privileges: You must have 'API Export' privileges and 'Data Access Groups' \
             privileges in the project.",
        ),
        case(
            User("site_north", "TEST"),
            &[("content", "dag")],
            400,
            "You do not have permission to export/import/delete Data Access Groups because you have beed assigned \
             to a Data Access Group..",
        ),
        case(User("admin", "TEST"), &[("content", "nonsense")], 400, BAD_CONTENT),
        case(User("admin", "TEST"), &[], 400, BAD_CONTENT),
        case(
            User("admin", "TEST"),
            &[("content", "record"), ("fields[0]", "record_id"), ("fields[1]", "x"), ("fields[2]", "y")],
            400,
            "The following values in the parameter \"fields\" are not valid: 'x', 'y'",
        ),
        case(
            User("admin", "TEST"),
            &[("content", "record"), ("fields", "record_id,x")],
            400,
            "The following values in the parameter \"fields\" are not valid: 'x'",
        ),
        case(
            User("admin", "TEST"),
            &[("content", "record"), ("forms[0]", "x")],
            400,
            "The following values in the parameter \"forms\" are not valid: 'x'",
        ),
        case(
            User("admin", "TEST_LONG"),
            &[("content", "record"), ("events[0]", "x_arm_1")],
            400,
            "The following values in the parameter \"events\" are not valid: 'x_arm_1'",
        ),
        case(
            User("admin", "TEST"),
            &[("content", "metadata"), ("fields[0]", "x")],
            400,
            "The following values in the parameter \"fields\" are not valid: 'x'",
        ),
        case(
            User("admin", "TEST"),
            &[("content", "record"), ("filterLogic", "[wrong] = '1'")],
            400,
            "The following values in the parameter \"filterLogic\" are not valid: 'wrong'",
        ),
        case(
            User("admin", "TEST"),
            &[("content", "record"), ("filterLogic", "[sex] = ")],
            400,
            "The value of the parameter \"filterLogic\" is not valid",
        ),
        case(
            User("admin", "TEST"),
            &[("content", "record"), ("dateRangeBegin", "2024-02-30 00:00:00")],
            400,
            "The value of the parameter \"dateRangeBegin\" is not valid",
        ),
        case(
            User("admin", "TEST"),
            &[("content", "record"), ("action", "wrong")],
            400,
            "The value of the parameter \"action\" is not valid",
        ),
        case(
            User("admin", "TEST"),
            &[("content", "file"), ("record", "1"), ("field", "letter")],
            400,
            "The value of the parameter \"action\" is not valid",
        ),
        case(
            User("admin", "TEST"),
            &[("content", "report"), ("report_id", "7")],
            400,
            "The value of the parameter \"report_id\" is not valid",
        ),
        case(User("admin", "TEST"), &[("content", "surveyLink")], 400, NO_SURVEYS),
        case(User("admin", "TEST"), &[("content", "participantList")], 400, NO_SURVEYS),
        case(User("no_api", "TEST"), &[("content", "surveyQueueLink")], 403, NO_EXPORT),
        case(User("exporter", "TEST"), &[("content", "file"), ("action", "import")], 403, NO_IMPORT),
        case(User("exporter", "TEST"), &[("content", "file"), ("action", "delete")], 403, NO_IMPORT),
        case(User("exporter", "TEST"), &[("content", "record"), ("action", "rename")], 403, NO_IMPORT),
        case(User("exporter", "TEST"), &[("content", "metadata"), ("data", "x")], 403, NO_IMPORT),
        case(
            User("exporter", "TEST"),
            &[("content", "userDagMapping")],
            400,
            "Insufficient user privileges: You must have 'API Export' privileges and 'Data Access Groups' \
             privileges in the project.",
        ),
        case(
            User("exporter", "TEST"),
            &[("content", "userRole")],
            403,
            "You do not have the right \"user_rights\" that this request needs",
        ),
        case(
            User("site_north", "TEST"),
            &[("content", "record"), ("action", "delete"), ("records[0]", "3")],
            403,
            "You do not have the right \"record_delete\" that this request needs",
        ),
        case(
            User("site_north", "TEST"),
            &[("content", "record"), ("action", "rename"), ("record", "3"), ("new_record_name", "x")],
            403,
            "You do not have the right \"record_rename\" that this request needs",
        ),
        case(User("admin", "TEST"), &[("content", "arm")], 400, "You cannot export arms for classic projects"),
        case(User("admin", "TEST"), &[("content", "event")], 400, "You cannot export events for classic projects"),
        case(
            User("admin", "TEST"),
            &[("content", "formEventMapping")],
            400,
            "You cannot export form/event mappings for classic projects",
        ),
        case(
            User("importer", "TEST"),
            &[("content", "record"), ("action", "import"), ("data", " ")],
            406,
            NOT_FORMATTED,
        ),
        case(
            User("admin", "TEST"),
            &[("content", "record"), ("rawOrLabel", "x")],
            400,
            "The value of the parameter \"rawOrLabel\" is not valid",
        ),
        case(
            User("admin", "TEST"),
            &[("content", "record"), ("type", "x")],
            400,
            "The value of the parameter \"type\" is not valid",
        ),
    ]
}

/// The three bodies of a message, written out by hand.
fn bodies(message: &str) -> [(&'static str, String, &'static str); 3] {
    let in_json = message.replace('"', "\\\"");
    let in_xml = message.replace('<', "&lt;");
    [
        ("csv", format!("ERROR: {message}"), "text/csv; charset=utf-8"),
        ("json", format!("{{\"error\":\"{in_json}\"}}"), "application/json; charset=utf-8"),
        (
            "xml",
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\" ?><hash><error>{in_xml}</error></hash>"),
            "text/xml; charset=utf-8",
        ),
    ]
}

#[test]
fn every_refusal_is_redcaps_own_in_every_format() {
    let mut site = Site::start();
    for case in cases() {
        let token = match case.who {
            Who::User(user, project) => site.token(project, user),
            Who::Text(text) => text.to_owned(),
        };
        for (format, body, content_type) in bodies(case.message) {
            let mut fields = vec![("token", token.as_str()), ("format", format)];
            fields.extend(case.fields);
            let answer = site.post(&fields);
            assert_eq!((answer.status, answer.text()), (case.status, &*body), "{:?} {format}", case.fields);
            assert_eq!(answer.header("content-type"), Some(content_type));
            // The format of errors has its own parameter, which wins.
            fields[1] = ("format", "csv");
            fields.push(("returnFormat", format));
            if case.status != 406 {
                assert_eq!(site.post(&fields).text(), body);
            }
        }
        // Without any format it is XML.
        let mut fields = vec![("token", token.as_str())];
        fields.extend(case.fields);
        assert_eq!(site.post(&fields).text(), bodies(case.message)[2].1);
    }
}

#[test]
fn a_token_is_refused_from_the_moment_it_is_dead() {
    let mut site = Site::start();
    let refused = |site: &Site, token: &str| {
        let answer = site.post(&[("token", token), ("content", "version"), ("format", "json")]);
        answer.status == 403 && answer.text() == format!("{{\"error\":\"{NO_API}\"}}")
    };
    let token = site.token("TEST", "admin");
    assert!(!refused(&site, &token));
    assert!(!refused(&site, &token.to_lowercase()));
    for wrong in [format!("{token}\n"), format!(" {token}"), format!("{token}{token}")] {
        assert!(refused(&site, &wrong));
    }
    site.admin(json!({"do": "suspend", "user": "admin"}));
    assert!(refused(&site, &token));
    site.admin(json!({"do": "unsuspend", "user": "admin"}));
    assert!(!refused(&site, &token));

    let path = site.path("new");
    site.admin(json!({"do": "regenerate", "project": "TEST", "user": "admin", "to": path}));
    assert!(refused(&site, &token), "the old token is dead at once");
    let new = std::fs::read_to_string(path).unwrap();
    assert!(!refused(&site, new.trim_end()));
    site.admin(json!({"do": "revoke", "project": "TEST", "user": "admin"}));
    assert!(refused(&site, new.trim_end()));
}

#[test]
fn anything_but_post_is_not_implemented() {
    let site = Site::start();
    for method in ["GET", "PUT", "DELETE"] {
        let answer = site.exchange(site.head(method, "/redcap/api/", "text/plain", 0).as_bytes()).unwrap();
        assert_eq!(answer.status, 501);
        assert_eq!(answer.text(), bodies("The requested method is not implemented.")[2].1);
    }
}

#[test]
fn other_paths_belong_to_the_web_server_and_a_missing_slash_is_redirected() {
    let site = Site::start();
    let ask = |method: &str, path: &str| {
        site.exchange(site.head(method, path, "application/x-www-form-urlencoded", 0).as_bytes()).unwrap()
    };
    for (method, path, status) in
        [("POST", "/api/", 404), ("POST", "/redcap/", 405), ("GET", "/redcap/", 200), ("GET", "/nowhere", 404)]
    {
        let answer = ask(method, path);
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.text().starts_with("<!DOCTYPE html>"));
    }
    let answer = ask("POST", "/redcap/api");
    assert_eq!((answer.status, answer.header("location")), (301, Some("/redcap/api/")));
    assert!(ask("GET", "/").text().contains("not REDCap"));
}

#[test]
fn what_the_sandbox_cannot_do_it_refuses_in_its_own_name() {
    let mut site = Site::start();
    let token = site.token("TEST", "admin");
    for fields in [
        &[("content", "project_settings")][..],
        &[("content", "record"), ("filterLogic", "datediff([birth_date],'today','y') > 5")],
        &[("content", "record"), ("format", "odm")],
        &[("content", "record"), ("combineCheckboxOptions", "true")],
        &[("content", "record"), ("action", "import"), ("data", "<records/>")],
        &[
            ("content", "record"),
            ("action", "import"),
            ("format", "csv"),
            ("data", "a\n"),
            ("backgroundProcess", "true"),
        ],
        &[("content", "record"), ("action", "randomize")],
        &[("content", "record"), ("action", "delete"), ("records[0]", "1"), ("instrument", "health")],
        &[("content", "metadata"), ("format", "csv"), ("data", "field_name\n")],
        &[("content", "dag"), ("action", "delete"), ("dags[0]", "north")],
    ] {
        let mut all = vec![("token", token.as_str())];
        all.extend(fields);
        let answer = site.post(&all);
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("The keycap sandbox does not know"), "{fields:?}: {}", answer.text());
    }
}
