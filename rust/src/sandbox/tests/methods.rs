//! What the sandbox says that it answers; the file repository, surveys, and going to another group.

use serde_json::Value;

use super::site::Answer;
use super::{Site, field};
use crate::sandbox::METHODS;

fn ask(site: &mut Site, project: &str, user: &str, fields: &[(&str, &str)]) -> Answer {
    let token = site.token(project, user);
    let mut all = vec![("token", token.as_str()), ("format", "json"), ("returnFormat", "json")];
    all.extend(fields);
    site.post(&all)
}

#[test]
fn the_list_of_methods_is_what_is_answered_and_nothing_else() {
    let mut site = Site::start();
    let mut contents: Vec<_> = METHODS.iter().map(|(content, _)| *content).collect();
    contents.extend(["fileInfo", "project_settings", "filesize", "mycap", "tableau"]);
    contents.dedup();
    let actions = ["export", "import", "delete", "rename", "randomize", "switch", "list", "createFolder"];
    for content in contents {
        for action in actions {
            let fields = [("content", content), ("action", action), ("data", "[]")];
            let answer = ask(&mut site, "TEST_REPEAT", "admin", &fields);
            let known = METHODS.contains(&(content, action));
            let text = String::from_utf8_lossy(&answer.bytes).into_owned();
            if known {
                assert!(!text.contains("The keycap sandbox does not know"), "{content}/{action}: {text}");
            } else if content != "version" {
                assert_ne!(answer.status, 200, "{content}/{action}: {text}");
            }
        }
    }
    let listed = site.admin(serde_json::json!({ "do": "methods" }));
    assert_eq!(listed["methods"].as_array().unwrap().len(), METHODS.len());
    assert_eq!(listed["methods"][0], "version/export");
}

#[test]
fn a_user_in_the_switcher_goes_to_another_group_and_to_all_records_and_others_do_not() {
    let mut site = Site::start();
    let records = |site: &mut Site| {
        let fields = [("content", "record"), ("fields[0]", "record_id")];
        ask(site, "TEST", "site_north", &fields).json().as_array().unwrap().len()
    };
    let switch = |site: &mut Site, user: &str, group: &str| {
        let fields = [("content", "dag"), ("action", "switch"), ("dag", group)];
        let answer = ask(site, "TEST", user, &fields);
        (answer.status, answer.text().to_owned())
    };
    let before = records(&mut site);
    assert_eq!(switch(&mut site, "site_north", ""), (200, "1".to_owned()));
    assert!(records(&mut site) > 2 * before);
    assert_eq!(switch(&mut site, "site_north", "north").0, 200);
    assert_eq!(records(&mut site), before);
    assert_eq!(switch(&mut site, "site_north", "west").0, 400);
    assert_eq!(switch(&mut site, "editor", "north").0, 403);
    assert_eq!(switch(&mut site, "exporter", "north").0, 403);
    let log = ask(&mut site, "TEST", "admin", &[("content", "log"), ("user", "site_north"), ("logtype", "manage")]);
    assert!(field(&log.json(), "details").iter().any(|line| line.starts_with("Switch Data Access Group (API), ''")));
}

#[test]
fn the_file_repository_has_folders_and_files() {
    let mut site = Site::start();
    let with = |site: &mut Site, fields: &[(&str, &str)]| {
        let mut all = vec![("content", "fileRepository")];
        all.extend(fields);
        ask(site, "TEST", "admin", &all)
    };
    let names = |site: &mut Site, folder: &str| -> Vec<String> {
        let list = with(site, &[("action", "list"), ("folder_id", folder)]).json();
        field(&list, "name").into_iter().map(str::to_owned).collect()
    };
    assert_eq!(names(&mut site, ""), ["Protocols", "Größe und Gewicht.txt"]);
    assert_eq!(names(&mut site, "1"), ["protocol.pdf"]);
    let answer = with(&mut site, &[("action", "export"), ("doc_id", "3")]);
    assert_eq!(answer.header("content-type"), Some("application/pdf; name=\"protocol.pdf\""));
    assert!(answer.bytes.starts_with(b"%PDF-1.4\n"));
    let made = with(&mut site, &[("action", "createFolder"), ("name", "New")]).json();
    let id = match &made[0]["folder_id"] {
        Value::Number(id) => id.to_string(),
        other => panic!("{other}"),
    };
    assert_eq!(names(&mut site, ""), ["Protocols", "New", "Größe und Gewicht.txt"]);
    assert!(names(&mut site, &id).is_empty());
    assert_eq!(with(&mut site, &[("action", "delete"), ("doc_id", "3")]).status, 200);
    assert!(names(&mut site, "1").is_empty());
    for wrong in [
        &[("action", "list"), ("folder_id", "2")][..],
        &[("action", "export"), ("doc_id", "1")],
        &[("action", "delete"), ("doc_id", "99")],
        &[("action", "createFolder"), ("name", " ")],
        &[("action", "import")],
        &[("action", "rename")],
    ] {
        assert_eq!(with(&mut site, wrong).status, 400, "{wrong:?}");
    }
    let exporter = ask(&mut site, "TEST", "exporter", &[("content", "fileRepository"), ("action", "list")]);
    assert_eq!(exporter.status, 403);
}

#[test]
fn the_project_with_surveys_has_links_and_codes_and_a_list_of_participants() {
    let mut site = Site::start();
    let survey = [("record", "1"), ("instrument", "enrolment"), ("event", "enrolment_arm_1")];
    let text = |site: &mut Site, content: &str| {
        let fields = [&[("content", content)][..], &survey].concat();
        ask(site, "TEST_REPEAT", "admin", &fields).text().to_owned()
    };
    assert!(text(&mut site, "surveyLink").starts_with("https://redcap.example.org/surveys/?s="));
    assert!(text(&mut site, "surveyQueueLink").starts_with("https://redcap.example.org/surveys/?sq="));
    assert_eq!(text(&mut site, "surveyReturnCode").len(), 8);
    assert_eq!(text(&mut site, "surveyAccessCode").len(), 9);
    let fields = [("content", "participantList"), ("instrument", "enrolment"), ("event", "enrolment_arm_1")];
    let list = ask(&mut site, "TEST_REPEAT", "admin", &fields).json();
    assert_eq!(list[0]["email"], "person1@example.org");
    assert_eq!(list[0]["survey_link"], text(&mut site, "surveyLink"));
    let project = ask(&mut site, "TEST_REPEAT", "admin", &[("content", "project")]).json();
    assert_eq!(project["surveys_enabled"], 1);
    for wrong in [("instrument", "medication"), ("event", "none"), ("record", "none"), ("repeat_instance", "0")] {
        let fields = [&[("content", "surveyLink")][..], &survey, &[wrong]].concat();
        assert_eq!(ask(&mut site, "TEST_REPEAT", "admin", &fields).status, 400, "{wrong:?}");
    }
    let fields = [&[("content", "surveyLink")][..], &survey].concat();
    assert_eq!(ask(&mut site, "TEST_REPEAT", "exporter", &fields).status, 403);
}
