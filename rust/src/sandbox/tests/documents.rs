//! Reports, forms on paper, the project as XML, roles and mappings.

use serde_json::{Value, json};

use super::{Site, field};

fn ask(site: &mut Site, project: &str, fields: &[(&str, &str)]) -> Value {
    let token = site.token(project, "admin");
    let mut all = vec![("token", token.as_str()), ("format", "json")];
    all.extend(fields);
    site.post(&all).json()
}

#[test]
fn a_report_has_its_own_fields_and_filter_and_is_flat() {
    let mut site = Site::start();
    let report = ask(&mut site, "TEST", &[("content", "report"), ("report_id", "117"), ("type", "eav")]);
    let columns: Vec<_> = report[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(&columns[..4], ["record_id", "sex", "bmi", "symptoms___1"]);
    let fields = [("content", "record"), ("fields", "record_id,sex,bmi,symptoms"), ("filterLogic", "[bmi] > 30")];
    assert_eq!(report, ask(&mut site, "TEST", &fields));
    assert!(report.as_array().unwrap().len() > 50);
    let labels = [("content", "report"), ("report_id", "117"), ("rawOrLabel", "label")];
    assert!(["Female", "Male", "Diverse"].contains(&ask(&mut site, "TEST", &labels)[0]["sex"].as_str().unwrap()));
    for (project, id) in [("TEST_LONG", "118"), ("TEST_REPEAT", "119")] {
        let report = ask(&mut site, project, &[("content", "report"), ("report_id", id)]);
        assert!(report.as_array().unwrap().len() > 100, "{project}");
    }
    let north = site.token("TEST", "site_north");
    let seen = site.post(&[("token", &north), ("content", "report"), ("report_id", "117"), ("format", "json")]).json();
    assert!(field(&seen, "record_id").iter().all(|record| record.parse::<u32>().unwrap() % 3 == 0));
    let log = ask(&mut site, "TEST", &[("content", "log"), ("logtype", "export"), ("user", "site_north")]);
    assert_eq!(field(&log, "details"), ["Export report (API), report_id = 117"]);
}

#[test]
fn forms_come_as_a_pdf() {
    let mut site = Site::start();
    let token = site.token("TEST", "admin");
    let answer = site.post(&[("token", &token), ("content", "pdf"), ("instrument", "health"), ("record", "1")]);
    assert_eq!(answer.header("content-type"), Some("application/pdf; name=\"health_TEST.pdf\""));
    assert!(answer.bytes.starts_with(b"%PDF-1.4\n") && answer.bytes.ends_with(b"%%EOF\n"));
    let has = |answer: &super::site::Answer, text: &[u8]| answer.bytes.windows(text.len()).any(|window| window == text);
    assert!(has(&answer, b"(Record 1)") && has(&answer, b"(Remarks)") && !has(&answer, b"(First name)"));
    let all = site.post(&[("token", &token), ("content", "pdf")]);
    assert!(has(&all, b"(Remarks)") && has(&all, b"(First name)"));
    for wrong in [("instrument", "x"), ("record", "none")] {
        assert_eq!(site.post(&[("token", &token), ("content", "pdf"), wrong]).status, 400);
    }
}

#[test]
fn the_projects_xml_has_its_head() {
    let mut site = Site::start();
    let token = site.token("TEST_LONG", "admin");
    let answer = site.post(&[("token", &token), ("content", "project_xml"), ("returnMetadataOnly", "true")]);
    assert_eq!(answer.header("content-type"), Some("text/xml; name=\"Project_18.REDCap.xml\""));
    let text = answer.text();
    assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<ODM ") && text.ends_with("</ODM>\n"));
    assert!(text.contains("SourceSystemVersion=\"14.5.5\"") && text.contains("two arms over time"));
}

#[test]
fn roles_and_who_has_them() {
    let mut site = Site::start();
    let roles = ask(&mut site, "TEST", &[("content", "userRole")]);
    assert_eq!(field(&roles, "role_label"), ["Statistician", "Data entry (Größen)"]);
    assert_eq!((&roles[0]["api_export"], &roles[0]["api_import"]), (&json!(1), &json!(0)));
    assert_eq!(roles[0]["forms_export"], json!({"demographics": 1, "health": 1}));
    let mapping = ask(&mut site, "TEST", &[("content", "userRoleMapping")]);
    let users = ask(&mut site, "TEST", &[("content", "user")]);
    assert_eq!(field(&mapping, "username"), field(&users, "username"));
    for row in mapping.as_array().unwrap() {
        let expected = match row["username"].as_str().unwrap() {
            "exporter" => &roles[0]["unique_role_name"],
            "importer" => &roles[1]["unique_role_name"],
            _ => &json!(""),
        };
        assert_eq!(&row["unique_role_name"], expected);
    }
    let token = site.token("TEST", "exporter");
    assert_eq!(site.post(&[("token", &token), ("content", "userRoleMapping")]).status, 403);
}

#[test]
fn groups_and_who_is_in_them() {
    let mut site = Site::start();
    let mapping = ask(&mut site, "TEST", &[("content", "userDagMapping")]);
    for row in mapping.as_array().unwrap() {
        let expected = if row["username"] == "site_north" { "north" } else { "" };
        assert_eq!(row["redcap_data_access_group"], expected);
    }
    let none = ask(&mut site, "TEST_REPEAT", &[("content", "userDagMapping")]);
    assert!(field(&none, "redcap_data_access_group").iter().all(|group| group.is_empty()));
    let token = site.token("TEST", "site_north");
    let answer = site.post(&[("token", &token), ("content", "userDagMapping")]);
    assert_eq!((answer.status, answer.text().contains("beed assigned")), (400, true));
}
