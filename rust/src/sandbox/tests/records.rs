//! The flat export of records.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Site, field};

fn records(site: &mut Site, project: &str, user: &str, fields: &[(&str, &str)]) -> Value {
    let token = site.token(project, user);
    let mut all = vec![("token", token.as_str()), ("content", "record"), ("format", "json")];
    all.extend(fields);
    site.post(&all).json()
}

fn csv(site: &mut Site, project: &str, fields: &[(&str, &str)]) -> String {
    let token = site.token(project, "admin");
    let mut all = vec![("token", token.as_str()), ("content", "record"), ("format", "csv")];
    all.extend(fields);
    site.post(&all).text().to_owned()
}

fn columns(list: &Value) -> Vec<&str> {
    list[0].as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn everything_comes_by_default_with_every_column_of_field_names() {
    let mut site = Site::start();
    let rows = records(&mut site, "TEST", "admin", &[]);
    assert_eq!(rows.as_array().unwrap().len(), 1200);
    let token = site.token("TEST", "admin");
    let names = site.post(&[("token", &token), ("content", "exportFieldNames"), ("format", "json")]).json();
    // Files have no field name of their own, but their names are exported.
    let but_files: Vec<_> = columns(&rows).into_iter().filter(|name| *name != "letter").collect();
    assert_eq!(but_files, field(&names, "export_field_name"));
    assert_eq!(rows[0]["letter"], "letter.pdf");
    assert!(rows.as_array().unwrap().iter().all(|row| row["symptoms___1"] == "0" || row["symptoms___1"] == "1"));
}

#[test]
fn csv_and_json_hold_the_same_values() {
    let mut site = Site::start();
    for project in ["TEST", "TEST_LONG", "TEST_REPEAT"] {
        let list = records(&mut site, project, "admin", &[]);
        let parsed = parse_csv(&csv(&mut site, project, &[]));
        let header: Vec<_> = parsed[0].iter().map(String::as_str).collect();
        assert_eq!(header, columns(&list));
        assert_eq!(parsed.len() - 1, list.as_array().unwrap().len());
        for (line, row) in parsed[1..].iter().zip(list.as_array().unwrap()) {
            for (cell, (name, value)) in line.iter().zip(row.as_object().unwrap()) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                assert_eq!(*cell, text, "{name}");
            }
        }
    }
}

#[test]
fn records_fields_and_forms_narrow_the_export() {
    let mut site = Site::start();
    let rows = records(&mut site, "TEST", "admin", &[("records[0]", "7"), ("records[1]", "3"), ("records[2]", "none")]);
    assert_eq!(field(&rows, "record_id"), ["3", "7"]);
    let rows =
        records(&mut site, "TEST", "admin", &[("records", "7,3"), ("fields", "record_id, symptoms, health_complete")]);
    assert_eq!(
        columns(&rows),
        [
            "record_id",
            "symptoms___1",
            "symptoms___2",
            "symptoms___3",
            "symptoms___4",
            "symptoms____9",
            "health_complete"
        ]
    );
    let rows = records(&mut site, "TEST", "admin", &[("forms[0]", "demographics"), ("fields[0]", "pulse")]);
    assert!(columns(&rows).contains(&"demographics_complete") && columns(&rows).contains(&"pulse"));
    assert!(!columns(&rows).contains(&"remarks"));
    assert_eq!(csv(&mut site, "TEST", &[("records[0]", "none")]), "\n");
    let rows = records(&mut site, "TEST", "admin", &[("records[0]", "none")]);
    assert_eq!(rows, serde_json::json!([]));
}

#[test]
fn a_wrong_name_among_forms_joined_by_commas_brings_every_form() {
    let mut site = Site::start();
    let rows = records(&mut site, "TEST", "admin", &[("forms", "health,wrong"), ("records", "1")]);
    assert!(columns(&rows).contains(&"demographics_complete"));
    let rows = records(&mut site, "TEST", "admin", &[("forms", "health"), ("records", "1")]);
    assert!(!columns(&rows).contains(&"demographics_complete"));
}

#[test]
fn a_longitudinal_row_names_its_event_and_holds_its_events_forms_only() {
    let mut site = Site::start();
    let rows = records(&mut site, "TEST_LONG", "admin", &[]);
    assert_eq!(&columns(&rows)[..2], ["record_id", "redcap_event_name"]);
    assert!(!columns(&rows).contains(&"redcap_repeat_instance"));
    let events: BTreeSet<_> = field(&rows, "redcap_event_name").into_iter().collect();
    assert_eq!(events.len(), 7);
    for row in rows.as_array().unwrap() {
        let screening = row["redcap_event_name"].as_str().unwrap().starts_with("screening");
        assert_eq!(row["name"] != "", screening);
        assert_eq!(row["demographics_complete"] != "", screening);
    }
    let some =
        records(&mut site, "TEST_LONG", "admin", &[("events[0]", "baseline_arm_2"), ("fields[0]", "haemoglobin")]);
    assert!(field(&some, "redcap_event_name").iter().all(|event| *event == "baseline_arm_2"));
    assert_eq!(columns(&some), ["redcap_event_name", "haemoglobin"]);
    // Rows of events without the form do not come.
    let some = records(&mut site, "TEST_LONG", "admin", &[("fields[0]", "record_id"), ("forms[0]", "demographics")]);
    assert!(field(&some, "redcap_event_name").iter().all(|event| event.starts_with("screening")));
}

#[test]
fn repeating_rows_are_numbered_by_form_or_by_event() {
    let mut site = Site::start();
    let rows = records(&mut site, "TEST_REPEAT", "admin", &[]);
    assert_eq!(
        &columns(&rows)[..4],
        ["record_id", "redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance"]
    );
    let (mut forms, mut events) = (0, 0);
    for row in rows.as_array().unwrap() {
        let repeated = row["redcap_repeat_instance"].is_number();
        match row["redcap_repeat_instrument"].as_str().unwrap() {
            "medication" => {
                forms += 1;
                assert!(repeated && row["drug"] != "" && row["name"] == "");
            }
            _ if row["redcap_event_name"] == "visits_arm_1" => {
                events += 1;
                assert!(repeated && row["visit_date"] != "");
            }
            other => assert!(other.is_empty() && row["redcap_repeat_instance"] == "" && row["name"] != ""),
        }
    }
    assert!(forms > 100 && events > 100);
}

#[test]
fn labels_stand_for_codes_and_headers() {
    let mut site = Site::start();
    let raw = records(&mut site, "TEST", "admin", &[("records", "2")]);
    let label = records(&mut site, "TEST", "admin", &[("records", "2"), ("rawOrLabel", "label")]);
    let sex = ["Female", "Male", "Diverse"][raw[0]["sex"].as_str().unwrap().parse::<usize>().unwrap()];
    assert_eq!(label[0]["sex"], sex);
    assert!(["Yes", "No"].contains(&label[0]["consent"].as_str().unwrap()));
    let checked = if raw[0]["symptoms___1"] == "1" { "Checked" } else { "Unchecked" };
    assert_eq!(label[0]["symptoms___1"], checked);
    assert!(["Incomplete", "Unverified", "Complete"].contains(&label[0]["health_complete"].as_str().unwrap()));
    let text = csv(&mut site, "TEST", &[("records", "2"), ("rawOrLabelHeaders", "label"), ("forms", "health")]);
    assert!(text.starts_with("\"Time of visit\",Smokes,\"Symptoms (choice=Cough)\","), "{text}");
    let text =
        csv(&mut site, "TEST_LONG", &[("records", "2"), ("rawOrLabelHeaders", "label"), ("rawOrLabel", "label")]);
    assert!(text.starts_with("\"Record ID\",\"Event Name\",Name,"), "{text}");
    assert!(text.contains("\n2,\"Screening (Arm 1: Verum)\","), "{text}");
    let boxes = [("records", "2"), ("rawOrLabel", "label"), ("exportCheckboxLabel", "true")];
    let boxes = records(&mut site, "TEST", "admin", &boxes);
    assert_eq!(boxes[0]["symptoms___1"], if checked == "Checked" { "Cough" } else { "" });
}

#[test]
fn delimiter_decimal_comma_and_blank_status_are_followed() {
    let mut site = Site::start();
    let text =
        csv(&mut site, "TEST", &[("fields", "record_id,height"), ("csvDelimiter", ";"), ("decimalCharacter", ",")]);
    let line = text.lines().nth(1).unwrap();
    assert!(line.starts_with("1;") && line.contains(','), "{line}");
    assert!(
        csv(&mut site, "TEST", &[("fields", "record_id,height"), ("csvDelimiter", "tab")])
            .starts_with("record_id\theight\n")
    );
    let blanks = |rows: &Value| field(rows, "health_complete").iter().filter(|status| status.is_empty()).count();
    let wanted = [("fields", "health_complete")];
    assert_eq!(blanks(&records(&mut site, "TEST", "admin", &wanted)), 0);
    let wanted = [("fields", "health_complete"), ("exportBlankForGrayFormStatus", "true")];
    assert!(blanks(&records(&mut site, "TEST", "admin", &wanted)) > 10);
}

#[test]
fn a_user_in_a_group_sees_its_records_and_nobody_elses() {
    let mut site = Site::start();
    let grouped = [("fields", "record_id"), ("exportDataAccessGroups", "true")];
    let all = records(&mut site, "TEST", "admin", &grouped);
    let groups: BTreeSet<_> = field(&all, "redcap_data_access_group").into_iter().collect();
    assert_eq!(groups, BTreeSet::from(["", "north", "south"]));
    let north: BTreeSet<_> = all
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["redcap_data_access_group"] == "north")
        .collect::<Vec<_>>()
        .iter()
        .map(|row| row["record_id"].as_str().unwrap())
        .collect();
    let seen = records(&mut site, "TEST", "site_north", &[("fields", "record_id")]);
    assert_eq!(field(&seen, "record_id").into_iter().collect::<BTreeSet<_>>(), north);
    assert!(north.len() > 100 && north.len() < 1000);
}

#[test]
fn a_user_with_deidentified_export_gets_no_names_and_dates() {
    let mut site = Site::start();
    let rows = records(&mut site, "TEST", "deidentified", &[("records", "1")]);
    for hidden in ["first_name", "email", "birth_date", "remarks", "visit_time"] {
        assert!(!columns(&rows).contains(&hidden), "{hidden}");
    }
    assert!(columns(&rows).contains(&"record_id") && columns(&rows).contains(&"sex"));
}

#[test]
fn xml_is_the_default() {
    let mut site = Site::start();
    let token = site.token("TEST", "admin");
    let fields = [("token", token.as_str()), ("content", "record"), ("records", "1"), ("fields", "record_id,sex")];
    let answer = site.post(&fields);
    assert_eq!(answer.header("content-type"), Some("text/xml; charset=utf-8"));
    assert!(answer.text().contains("<records>\n<item><record_id><![CDATA[1]]></record_id><sex><![CDATA["));
}

/// A CSV reader of the test's own: quotes, doubled quotes, line breaks inside quotes.
fn parse_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    rows
}
