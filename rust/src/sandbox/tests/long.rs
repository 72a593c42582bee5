//! The export of records as a long list (`type=eav`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Site, field};

fn long(site: &mut Site, project: &str, fields: &[(&str, &str)]) -> Value {
    let token = site.token(project, "admin");
    let mut all = vec![("token", token.as_str()), ("content", "record"), ("type", "eav"), ("format", "json")];
    all.extend(fields);
    site.post(&all).json()
}

fn columns(list: &Value) -> Vec<&str> {
    list[0].as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_columns_are_those_that_the_kind_of_project_needs() {
    let mut site = Site::start();
    for (project, expected) in [
        ("TEST", &["record", "field_name", "value"][..]),
        ("TEST_LONG", &["record", "redcap_event_name", "field_name", "value"]),
        (
            "TEST_REPEAT",
            &[
                "record",
                "redcap_event_name",
                "redcap_repeat_instrument",
                "redcap_repeat_instance",
                "field_name",
                "value",
            ],
        ),
    ] {
        assert_eq!(columns(&long(&mut site, project, &[("records[0]", "1")])), expected);
    }
}

/// Both exports of a project must say the same: every value of the long list stands in the flat one, and
/// every value of the flat one in the long list, but for blanks, unchecked boxes and untouched forms.
#[test]
fn it_holds_exactly_the_values_of_the_flat_export() {
    let mut site = Site::start();
    for project in ["TEST", "TEST_LONG", "TEST_REPEAT"] {
        let token = site.token(project, "admin");
        let flat = [
            ("token", token.as_str()),
            ("content", "record"),
            ("format", "json"),
            ("exportBlankForGrayFormStatus", "true"),
        ];
        let mut expected = BTreeSet::new();
        for row in site.post(&flat).json().as_array().unwrap() {
            let text = |name: &str| row[name].as_str().map_or_else(|| row[name].to_string(), str::to_owned);
            let place = |name: &str| if row.get(name).is_some() { text(name) } else { String::new() };
            let places = ["redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance"].map(place);
            for name in row.as_object().unwrap().keys() {
                let value = text(name);
                let (name, value) = match name.split_once("___") {
                    Some((name, code)) if value == "1" => (name, code.replace('_', "-")),
                    Some(_) => continue,
                    None => (name.as_str(), value),
                };
                // A record's name stands in every flat row, and in the long list once an event.
                let repeated = name == "record_id" && !places[1].is_empty();
                if !value.is_empty() && !name.starts_with("redcap_") && !repeated {
                    expected.insert((text("record_id"), places.clone(), name.to_owned(), value));
                }
            }
        }
        let list = long(&mut site, project, &[]);
        let rows = list.as_array().unwrap();
        let found: BTreeSet<_> = rows
            .iter()
            .map(|row| {
                let text = |name: &str| match row.get(name) {
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                    None => String::new(),
                };
                let places = ["redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance"].map(text);
                (text("record"), places, text("field_name"), text("value"))
            })
            .collect();
        assert_eq!(found.len(), rows.len(), "a value comes twice");
        assert!(found.len() > 3000);
        let difference: Vec<_> = found.symmetric_difference(&expected).take(5).collect();
        assert!(difference.is_empty(), "{project}: {difference:?}");
    }
}

#[test]
fn csv_and_xml_hold_what_json_holds() {
    let mut site = Site::start();
    let fields = [("records[0]", "1"), ("fields[0]", "sex"), ("fields[1]", "record_id")];
    let list = long(&mut site, "TEST", &fields);
    assert_eq!(field(&list, "field_name"), ["record_id", "sex"]);
    let sex = list[1]["value"].as_str().unwrap().to_owned();
    let token = site.token("TEST", "admin");
    let mut all = vec![("token", token.as_str()), ("content", "record"), ("type", "eav"), ("format", "csv")];
    all.extend(fields);
    assert_eq!(site.post(&all).text(), format!("record,field_name,value\n1,record_id,1\n1,sex,{sex}\n"));
    all[3] = ("format", "xml");
    let item = format!(
        "<item><record><![CDATA[1]]></record><field_name><![CDATA[sex]]></field_name><value><![CDATA[{sex}]]></value></item>"
    );
    assert!(site.post(&all).text().contains(&item));
    all[3] = ("format", "csv");
    all.push(("csvDelimiter", ";"));
    assert!(site.post(&all).text().starts_with("record;field_name;value\n"));
}

#[test]
fn labels_and_groups_come_when_they_are_asked_for() {
    let mut site = Site::start();
    let raw = long(&mut site, "TEST", &[("fields", "symptoms")]);
    let label = long(&mut site, "TEST", &[("fields", "symptoms"), ("rawOrLabel", "label")]);
    let codes: BTreeMap<_, _> = field(&raw, "value").into_iter().zip(field(&label, "value")).collect();
    assert_eq!(codes["-9"], "Not asked");
    assert_eq!(codes["4"], "Übelkeit");
    let grouped = [("fields", "record_id"), ("exportDataAccessGroups", "true"), ("records", "2,3,4")];
    let list = long(&mut site, "TEST", &grouped);
    let groups: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["field_name"] == "redcap_data_access_group")
        .map(|row| (row["record"].as_str().unwrap(), row["value"].as_str().unwrap()))
        .collect();
    assert_eq!(groups, [("3", "north"), ("4", "south")]);
}
