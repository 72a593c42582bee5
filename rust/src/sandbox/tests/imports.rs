//! Imports of records.

use serde_json::{Value, json};

use super::site::Answer;
use super::{Site, field};

/// An import by the administrator, answered in whatever way, in JSON.
fn import(site: &mut Site, project: &str, fields: &[(&str, &str)]) -> Answer {
    import_as(site, project, "admin", fields)
}

fn import_as(site: &mut Site, project: &str, user: &str, fields: &[(&str, &str)]) -> Answer {
    let token = site.token(project, user);
    let mut all = vec![("token", token.as_str()), ("content", "record"), ("returnFormat", "json")];
    all.extend(fields);
    site.post(&all)
}

fn export(site: &mut Site, project: &str, fields: &[(&str, &str)]) -> Value {
    let token = site.token(project, "admin");
    let mut all = vec![("token", token.as_str()), ("content", "record"), ("format", "json")];
    all.extend(fields);
    site.post(&all).json()
}

fn log(site: &mut Site, project: &str, fields: &[(&str, &str)]) -> Value {
    let token = site.token(project, "admin");
    let mut all = vec![("token", token.as_str()), ("content", "log"), ("format", "json")];
    all.extend(fields);
    site.post(&all).json()
}

const REMARK: &str = "Zeile 1, \"quoted\"\r\nZeile 2 äöü €";

#[test]
fn a_flat_csv_is_imported_to_the_letter() {
    let mut site = Site::start();
    let remark = REMARK.replace('"', "\"\"");
    let data = format!(
        "record_id,first_name,symptoms___2,symptoms____9,remarks\r\n7,Zoë,1,0,\"{remark}\"\r\n9001,Åsa,,1,\r\n"
    );
    let answer = import(&mut site, "TEST", &[("format", "csv"), ("action", "import"), ("data", &data)]);
    assert_eq!(answer.json(), json!({"count": 2}));
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    let found = export(&mut site, "TEST", &[("records", "7,9001")]);
    assert_eq!(field(&found, "first_name"), ["Zoë", "Åsa"]);
    assert_eq!((&found[0]["symptoms___2"], &found[0]["symptoms____9"]), (&json!("1"), &json!("0")));
    assert_eq!(found[0]["remarks"], REMARK);
    assert_eq!(found[1]["symptoms____9"], "1");
    assert_eq!(found[1]["last_name"], "");
}

#[test]
fn flat_json_and_a_long_list_do_the_same() {
    let mut site = Site::start();
    let flat = json!([{"record_id": 5, "pulse": 61, "symptoms___1": "1", "remarks": REMARK, "pain": null}]).to_string();
    let row = |name: &str, value: &str| json!({"record": "6", "field_name": name, "value": value});
    let long = json!([row("record_id", "6"), row("pulse", "61"), row("symptoms", "1"), row("remarks", REMARK)]);
    let long = long.to_string();
    assert_eq!(import(&mut site, "TEST", &[("format", "json"), ("data", &flat)]).json(), json!({"count": 1}));
    let fields = [("format", "json"), ("type", "eav"), ("data", long.as_str())];
    assert_eq!(import(&mut site, "TEST", &fields).json(), json!({"count": 1}));
    for row in export(&mut site, "TEST", &[("records", "5,6")]).as_array().unwrap() {
        assert_eq!((&row["pulse"], &row["symptoms___1"], &row["remarks"]), (&json!("61"), &json!("1"), &json!(REMARK)));
    }
    let csv = "record,field_name,value\n6,pulse,62\n6,symptoms,3\n";
    let fields = [("format", "csv"), ("type", "eav"), ("data", csv)];
    assert_eq!(import(&mut site, "TEST", &fields).json(), json!({"count": 1}));
    let found = export(&mut site, "TEST", &[("records", "6")]);
    let value = |name: &str| found[0][name].as_str().unwrap();
    assert_eq!([value("pulse"), value("symptoms___1"), value("symptoms___3")], ["62", "1", "1"]);
}

/// What a project exports it takes back, and nothing has changed.
#[test]
fn an_export_can_be_imported_again_and_changes_nothing() {
    let mut site = Site::start();
    for project in ["TEST", "TEST_LONG", "TEST_REPEAT"] {
        for kind in ["flat", "eav"] {
            let all = [("type", kind), ("exportBlankForGrayFormStatus", "true")];
            let mut before = export(&mut site, project, &all);
            let rows = before.as_array_mut().unwrap();
            // Files have a method of their own.
            rows.retain(|row| !matches!(row["field_name"].as_str(), Some("letter" | "visit_photo")));
            for row in rows.iter_mut() {
                row.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "letter" | "visit_photo"));
            }
            let data = before.to_string();
            let fields = [("format", "json"), ("type", kind), ("data", &*data), ("overwriteBehavior", "overwrite")];
            let answer = import(&mut site, project, &fields);
            assert!(answer.json()["count"].as_u64().unwrap() >= 400, "{project} {kind}");
            let mut after = export(&mut site, project, &all);
            let rows = after.as_array_mut().unwrap();
            rows.retain(|row| !matches!(row["field_name"].as_str(), Some("letter" | "visit_photo")));
            for row in rows.iter_mut() {
                row.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "letter" | "visit_photo"));
            }
            assert!(before == after, "{project} {kind}");
            assert_eq!(log(&mut site, project, &[("logtype", "record")]), json!([]), "{project} {kind}");
        }
    }
}

#[test]
fn blanks_overwrite_only_when_they_are_told_to() {
    let mut site = Site::start();
    let before = export(&mut site, "TEST", &[("records", "4")]);
    assert_ne!(before[0]["first_name"], "");
    let data = "record_id,first_name,height\n4,,170\n";
    assert_eq!(import(&mut site, "TEST", &[("format", "csv"), ("data", data)]).status, 200);
    let found = export(&mut site, "TEST", &[("records", "4")]);
    assert_eq!((&found[0]["first_name"], &found[0]["height"]), (&before[0]["first_name"], &json!("170")));
    for (behaviour, first_name) in [("normal", &before[0]["first_name"]), ("overwrite", &json!(""))] {
        let fields = [("format", "csv"), ("data", data), ("overwriteBehavior", behaviour)];
        assert_eq!(import(&mut site, "TEST", &fields).status, 200);
        assert_eq!(&export(&mut site, "TEST", &[("records", "4")])[0]["first_name"], first_name);
    }
    // Calculated fields are the server's own.
    let fields = [("format", "csv"), ("data", "record_id,bmi\n4,99.9\n"), ("overwriteBehavior", "overwrite")];
    assert_eq!(import(&mut site, "TEST", &fields).status, 200);
    assert_eq!(export(&mut site, "TEST", &[("records", "4")])[0]["bmi"], before[0]["bmi"]);
    let fields = [("format", "csv"), ("data", data), ("overwriteBehavior", "x")];
    assert_eq!(import(&mut site, "TEST", &fields).status, 400);
}

#[test]
fn the_answer_is_a_count_or_names_in_the_format_of_errors() {
    let mut site = Site::start();
    let data = "record_id,pulse\n8,60\n5,61\n8,62\n";
    let token = site.token("TEST", "admin");
    let ask = |returned: &str, format: &str| {
        let fields = [
            ("token", token.as_str()),
            ("content", "record"),
            ("format", "csv"),
            ("data", data),
            ("returnContent", returned),
            ("returnFormat", format),
        ];
        let answer = site.post(&fields);
        assert_eq!(answer.status, 200);
        answer.text().to_owned()
    };
    assert_eq!(ask("", "csv"), "2");
    assert_eq!(ask("count", "json"), "{\"count\": 2}");
    assert!(ask("count", "xml").ends_with("<hash><count>2</count></hash>"));
    assert_eq!(ask("ids", "json"), "[\"8\",\"5\"]");
    assert_eq!(ask("ids", "csv"), "id\n8\n5\n");
    assert!(ask("ids", "xml").ends_with("<ids><id>8</id><id>5</id></ids>"));
    assert_eq!(ask("nothing", "csv"), "");
    assert_eq!(ask("nothing", "json"), "{}");
    for returned in ["auto_ids", "x"] {
        let fields = [("format", "csv"), ("data", data), ("returnContent", returned)];
        assert_eq!(import(&mut site, "TEST", &fields).status, 400, "{returned}");
    }
}

#[test]
fn records_are_numbered_by_the_server_when_it_is_asked_to() {
    let mut site = Site::start();
    let data = "record_id,redcap_event_name,systolic,sex\n1,screening_arm_1,120,1\nx,screening_arm_1,130,2\n1,baseline_arm_1,121,\n";
    let fields = [("format", "csv"), ("data", data), ("forceAutoNumber", "True"), ("returnContent", "auto_ids")];
    assert_eq!(import(&mut site, "TEST_LONG", &fields).json(), json!(["601,1", "602,x"]));
    let found = export(&mut site, "TEST_LONG", &[("records", "601,602"), ("fields", "record_id,systolic")]);
    assert_eq!(field(&found, "record_id"), ["601", "601", "602"]);
    assert_eq!(field(&found, "systolic"), ["120", "121", "130"]);
    let fields = [("format", "csv"), ("data", data), ("forceAutoNumber", "true"), ("returnContent", "ids")];
    assert_eq!(import(&mut site, "TEST_LONG", &fields).json(), json!(["603", "604"]));
    // In a group the names begin with the group's number, and the records belong to it.
    let data = "record_id,pulse\na,60\nb,61\n";
    let fields = [("format", "csv"), ("data", data), ("forceAutoNumber", "true"), ("returnContent", "ids")];
    assert_eq!(import_as(&mut site, "TEST", "site_north", &fields).json(), json!(["101-1", "101-2"]));
    let found = export(&mut site, "TEST", &[("records", "101-1"), ("exportDataAccessGroups", "true")]);
    assert_eq!(found[0]["redcap_data_access_group"], "north");
}

#[test]
fn dates_come_in_three_orders_and_are_stored_in_one() {
    let mut site = Site::start();
    for (order, date, time) in [
        ("YMD", "2021-02-03", "2021-02-03 04:05"),
        ("MDY", "02/03/2021", "2/3/2021 4:05"),
        ("DMY", "03-02-2021", "3/2/2021 04:05"),
    ] {
        let data = json!([{"record_id": "1", "birth_date": date, "visit_time": time}]).to_string();
        let fields = [("format", "json"), ("data", data.as_str()), ("dateFormat", order)];
        assert_eq!(import(&mut site, "TEST", &fields).json(), json!({"count": 1}), "{order}");
        let found = export(&mut site, "TEST", &[("records", "1")]);
        assert_eq!(found[0]["birth_date"], "2021-02-03", "{order}");
        assert_eq!(found[0]["visit_time"], "2021-02-03 04:05", "{order}");
    }
    let data = "record_id,birth_date\n1,13/12/2020\n";
    for (order, status) in [("DMY", 200), ("MDY", 400), ("YMD", 400), ("", 400), ("x", 400)] {
        let fields = [("format", "csv"), ("data", data), ("dateFormat", order)];
        assert_eq!(import(&mut site, "TEST", &fields).status, status, "{order}");
    }
}

/// The texts that live servers were recorded to send.
#[test]
fn what_does_not_fit_is_listed_and_nothing_is_imported() {
    let mut site = Site::start();
    let category = |field: &str| format!("The value is not a valid category for {field}");
    let expected = "The value you provided could not be validated because it does not follow the expected format. \
                    Please try again.";
    let before = export(&mut site, "TEST", &[]);
    for (field, value, message) in [
        ("sex", "7", &*category("sex")),
        ("consent", "yes", &category("consent")),
        ("symptoms___1", "2", &category("symptoms___1")),
        ("health_complete", "3", &category("health_complete")),
        ("severity", "mild", &category("severity")),
        ("birth_date", "1980-02-30", "Invalid date format."),
        ("visit_time", "1980-02-03", "Invalid date format."),
        ("pulse", "6.5", expected),
        ("height", "1,80", expected),
        ("pain", "101", expected),
        ("email", "nobody", expected),
    ] {
        let data = json!([{"record_id": "3", "first_name": "Neu"}, {"record_id": "4", field: value}]).to_string();
        let answer = import(&mut site, "TEST", &[("format", "json"), ("data", &data)]);
        assert_eq!(answer.status, 400, "{field}");
        let body: Value = serde_json::from_slice(&answer.bytes).unwrap();
        assert_eq!(body["error"], format!("\"4\",\"{field}\",\"{value}\",\"{message}\""));
    }
    assert!(before == export(&mut site, "TEST", &[]), "a refused import has changed something");
    // Several at once come line by line; quotes are doubled.
    let data = "record_id,sex,pulse\n3,\"a \"\"b\"\"\",1\n4,1,x\n";
    let token = site.token("TEST", "admin");
    let fields = [("token", token.as_str()), ("content", "record"), ("format", "csv"), ("data", data)];
    let text =
        format!("ERROR: \"3\",\"sex\",\"a \"\"b\"\"\",\"{}\"\n\"4\",\"pulse\",\"x\",\"{expected}\"", category("sex"));
    assert_eq!(site.post(&fields).text(), text);
}

#[test]
fn unknown_fields_events_and_places_are_refused() {
    let mut site = Site::start();
    let unknown = "The following fields were not found in the project as real data fields: ";
    let events = "The following values for 'redcap_event_name' are not valid unique event names for this project: ";
    for (project, data, message) in [
        ("TEST", "record_id,x,sex,y\n1,2,1,3\n", format!("{unknown}x, y")),
        // A checkbox has a field for each choice; words, files and unknown choices are no fields.
        (
            "TEST",
            "record_id,symptoms,health_info,letter,symptoms___7\n1,2,,,\n",
            format!("{unknown}symptoms, health_info, letter, symptoms___7"),
        ),
        ("TEST", "sex\n1\n", "The data being imported have no \"record_id\"".to_owned()),
        ("TEST", "record_id,redcap_event_name\n1,x\n", format!("{events}'x'")),
        ("TEST_LONG", "record_id,redcap_event_name\n1,x_arm_1\n", format!("{events}'x_arm_1'")),
        ("TEST_LONG", "record_id,systolic\n1,120\n", format!("{events}''")),
        (
            "TEST_LONG",
            "record_id,redcap_event_name,sex\n1,baseline_arm_1,1\n",
            "\"1\",\"sex\",\"1\",\"The field's form has no place at this event.\"".to_owned(),
        ),
        (
            "TEST_REPEAT",
            "record_id,redcap_event_name,redcap_repeat_instrument,drug\n1,enrolment_arm_1,visit,x\n",
            "\"1\",\"redcap_repeat_instrument\",\"visit\",\"The form does not repeat at this event.\"".to_owned(),
        ),
        (
            "TEST_REPEAT",
            "record_id,redcap_event_name,redcap_repeat_instance,well\n1,visits_arm_1,0,1\n",
            "\"1\",\"redcap_repeat_instance\",\"0\",\"The instance is no positive number.\"".to_owned(),
        ),
        ("TEST", "record_id,sex\n,1\n", "\"\",\"record_id\",\"\",\"The record's name is blank.\"".to_owned()),
    ] {
        let answer = import(&mut site, project, &[("format", "csv"), ("data", data)]);
        assert_eq!(answer.status, 400, "{data}");
        let body: Value = serde_json::from_slice(&answer.bytes).unwrap();
        assert_eq!(body["error"], message, "{data}");
    }
}

#[test]
fn data_that_cannot_be_read_are_no_import() {
    let mut site = Site::start();
    for (format, data) in
        [("json", "[{\"record_id\":"), ("json", ""), ("csv", "a,b\n1,2,3\n"), ("csv", "a\n\"1"), ("xml", "x")]
    {
        let answer = import(&mut site, "TEST", &[("format", format), ("action", "import"), ("data", data)]);
        assert_eq!(answer.status, 406, "{data}");
        assert!(answer.text().contains("not formatted correctly"));
    }
    let answer = import(&mut site, "TEST", &[("format", "json"), ("data", "[{\"record_id\":[1]}]")]);
    assert_eq!(answer.status, 406);
    // As seen on a real server: an object in the place of a list is no error, and nothing is imported.
    let answer = import(&mut site, "TEST", &[("format", "json"), ("data", "{\"record_id\":\"1\",\"sex\":\"0\"}")]);
    assert_eq!(answer.json(), json!({"count": 0}));
    assert_eq!(import(&mut site, "TEST", &[("format", "json"), ("data", "[]")]).json(), json!({"count": 0}));
}

#[test]
fn instances_are_named_or_new() {
    let mut site = Site::start();
    let head = "record_id,redcap_event_name,redcap_repeat_instrument,redcap_repeat_instance,drug,well\n";
    let data = format!(
        "{head}500,enrolment_arm_1,medication,new,A,\n500,enrolment_arm_1,medication,new,B,\n500,visits_arm_1,,3,,1\n"
    );
    assert_eq!(import(&mut site, "TEST_REPEAT", &[("format", "csv"), ("data", &data)]).json(), json!({"count": 1}));
    let data = format!("{head}500,enrolment_arm_1,medication,2,C,\n500,visits_arm_1,,new,,0\n");
    assert_eq!(import(&mut site, "TEST_REPEAT", &[("format", "csv"), ("data", &data)]).json(), json!({"count": 1}));
    let found = export(&mut site, "TEST_REPEAT", &[("records", "500")]);
    let rows: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["redcap_repeat_instance"], row["drug"].as_str().unwrap(), row["well"].as_str().unwrap()))
        .map(|(instance, drug, well)| (instance.as_i64().unwrap(), drug.to_owned(), well.to_owned()))
        .collect();
    let own = |instance, drug: &str, well: &str| (instance, drug.to_owned(), well.to_owned());
    assert_eq!(rows, [own(1, "A", ""), own(2, "C", ""), own(3, "", "1"), own(4, "", "0")]);
}

#[test]
fn rights_and_groups_bound_what_is_imported() {
    let mut site = Site::start();
    let csv = |data: &'static str| [("format", "csv"), ("data", data)];
    let no_import = "{\"error\":\"You do not have API Import/Update privileges\"}";
    let answer = import_as(&mut site, "TEST", "exporter", &csv("record_id,sex\n1,1\n"));
    assert_eq!((answer.status, answer.text()), (403, no_import));
    // Without the right to new records, old ones can be changed.
    let answer = import_as(&mut site, "TEST", "editor", &csv("record_id,pulse\n1,63\n"));
    assert_eq!(answer.json(), json!({"count": 1}));
    let answer = import_as(&mut site, "TEST", "editor", &csv("record_id,pulse\n1,64\n9001,63\n"));
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("do NOT allow you to create new records"));
    assert_eq!(export(&mut site, "TEST", &[("records", "1,9001"), ("fields", "pulse")]), json!([{"pulse": "63"}]));
    // Who is in a group changes its records only, and moves none.
    let answer = import_as(&mut site, "TEST", "site_north", &csv("record_id,pulse\n3,65\n"));
    assert_eq!(answer.json(), json!({"count": 1}));
    let answer = import_as(&mut site, "TEST", "site_north", &csv("record_id,pulse\n4,65\n"));
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("another Data Access Group"));
    let answer = import_as(&mut site, "TEST", "site_north", &csv("record_id,redcap_data_access_group\n3,south\n"));
    assert_eq!((answer.status, answer.text().contains("Illegal use")), (400, true));
    // Who is in none moves them, to groups that exist.
    let answer = import(&mut site, "TEST", &csv("record_id,redcap_data_access_group\n3,south\n"));
    assert_eq!(answer.json(), json!({"count": 1}));
    let found = export(&mut site, "TEST", &[("records", "3"), ("exportDataAccessGroups", "true")]);
    assert_eq!(found[0]["redcap_data_access_group"], "south");
    assert_eq!(import(&mut site, "TEST", &csv("record_id,redcap_data_access_group\n3,west\n")).status, 400);
    assert_eq!(
        import(
            &mut site,
            "TEST_REPEAT",
            &csv("record_id,redcap_event_name,redcap_data_access_group\n3,visits_arm_1,\n")
        )
        .status,
        400
    );
}

#[test]
fn the_log_says_which_records_were_made_and_changed() {
    let mut site = Site::start();
    let data = "record_id,pulse,symptoms___2,pain\n9001,60,1,\n1,61,0,50\n";
    assert_eq!(import_as(&mut site, "TEST", "importer", &[("format", "csv"), ("data", data)]).status, 200);
    let found = log(&mut site, "TEST", &[("logtype", "record")]);
    assert_eq!(field(&found, "action"), ["Create record (API) 9001", "Update record (API) 1"]);
    assert_eq!(found[0]["details"], "record_id = '9001', pulse = '60', symptoms(2) = checked");
    assert!(found[1]["details"].as_str().unwrap().starts_with("record_id = '1', pulse = '61'"));
    assert_eq!(field(&found, "username"), ["importer", "importer"]);
    assert_eq!(field(&found, "record"), ["9001", "1"]);
    assert_eq!(field(&log(&mut site, "TEST", &[("record", "9001")]), "record"), ["9001"]);
    assert_eq!(field(&log(&mut site, "TEST", &[("logtype", "record_add")]), "record"), ["9001"]);
    // What changes nothing leaves no line, what is refused neither.
    import(&mut site, "TEST", &[("format", "csv"), ("data", "record_id,pulse\n1,61\n")]);
    import(&mut site, "TEST", &[("format", "csv"), ("data", "record_id,pulse\n1,x\n")]);
    assert_eq!(log(&mut site, "TEST", &[("logtype", "record")]).as_array().unwrap().len(), 2);
    let export_line = log(&mut site, "TEST", &[("logtype", "export")]);
    assert_eq!(export_line, json!([]));
    export(&mut site, "TEST", &[("records", "1")]);
    assert_eq!(field(&log(&mut site, "TEST", &[("logtype", "export")]), "action"), ["Data export (API)"]);
}

/// The trap for clients that try again: the answer is lost, the import is not.
#[test]
fn a_torn_connection_does_not_undo_an_import() {
    let mut site = Site::start();
    let token = site.token("TEST", "admin");
    let data = "record_id,pulse\nx,60\n";
    let fields = [
        ("token", token.as_str()),
        ("content", "record"),
        ("format", "csv"),
        ("data", data),
        ("forceAutoNumber", "true"),
    ];
    site.fault(json!({"kind": "reset_after_body"}));
    assert!(site.exchange(&site.request(&fields)).is_err());
    assert_eq!(export(&mut site, "TEST", &[("records", "1201"), ("fields", "pulse")]), json!([{"pulse": "60"}]));
}
