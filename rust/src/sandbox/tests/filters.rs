//! Narrowing an export by its values (`filterLogic`) and by when records changed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Site, field};

fn records(site: &mut Site, project: &str, user: &str, fields: &[(&str, &str)]) -> Value {
    let token = site.token(project, user);
    let mut all = vec![("token", token.as_str()), ("content", "record"), ("format", "json")];
    all.extend(fields);
    site.post(&all).json()
}

#[test]
fn a_filter_lets_through_the_rows_for_which_it_holds() {
    let mut site = Site::start();
    let all = records(&mut site, "TEST", "admin", &[]);
    let expected: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| {
            row["symptoms___2"] == "1" && row["bmi"].as_str().unwrap().parse().is_ok_and(|bmi: f64| bmi >= 30.0)
        })
        .map(|row| row["record_id"].as_str().unwrap())
        .collect();
    assert!(expected.len() > 10);
    let logic = [("filterLogic", "[symptoms(2)] = '1' and [bmi] >= 30")];
    let found = records(&mut site, "TEST", "admin", &logic);
    assert_eq!(field(&found, "record_id"), expected);
    // The fields of the filter need not be among those of the export.
    let narrow = [logic[0], ("fields[0]", "record_id")];
    assert_eq!(field(&records(&mut site, "TEST", "admin", &narrow), "record_id"), expected);
    let both = [logic[0], ("records[0]", expected[0]), ("records[1]", "none")];
    assert_eq!(field(&records(&mut site, "TEST", "admin", &both), "record_id"), expected[..1]);
    let none = [("filterLogic", "[sex] = '7'")];
    assert_eq!(records(&mut site, "TEST", "admin", &none), serde_json::json!([]));
}

#[test]
fn a_filter_on_another_event_picks_whole_records() {
    let mut site = Site::start();
    let found = records(&mut site, "TEST_LONG", "admin", &[("filterLogic", "[screening_arm_2][sex] = '3'")]);
    let events: BTreeSet<_> = field(&found, "redcap_event_name").into_iter().collect();
    assert_eq!(events.into_iter().collect::<Vec<_>>(), ["baseline_arm_2", "follow_up_1_arm_2", "screening_arm_2"]);
    let own = records(&mut site, "TEST_LONG", "admin", &[("filterLogic", "[sex] = '3'")]);
    assert!(field(&own, "redcap_event_name").iter().all(|event| event.starts_with("screening")));
}

#[test]
fn a_filter_works_for_long_lists_and_within_a_group() {
    let mut site = Site::start();
    let logic = ("filterLogic", "[consent] = '1'");
    let flat = records(&mut site, "TEST", "site_north", &[logic]);
    let list = records(&mut site, "TEST", "site_north", &[logic, ("type", "eav")]);
    let flat: BTreeSet<_> = field(&flat, "record_id").into_iter().collect();
    let list: BTreeSet<_> = field(&list, "record").into_iter().collect();
    assert_eq!(flat, list);
    assert!(flat.iter().all(|record| record.parse::<u32>().unwrap() % 3 == 0) && flat.len() > 50);
}

#[test]
fn records_are_chosen_by_when_they_were_made_or_changed() {
    let mut site = Site::start();
    // The sample records were made one a minute, from the first of March 2024.
    let range = [("dateRangeBegin", "2024-03-01 00:01:00"), ("dateRangeEnd", "2024-03-01 00:02:30")];
    let found = records(&mut site, "TEST", "admin", &range);
    assert_eq!(field(&found, "record_id"), ["2", "3"]);
    let late = [("dateRangeBegin", "2024-06-01 00:00:00")];
    assert_eq!(records(&mut site, "TEST", "admin", &late), serde_json::json!([]));
    let token = site.token("TEST", "admin");
    let data = "record_id,pulse\n77,61\n";
    let import = [("token", token.as_str()), ("content", "record"), ("format", "csv"), ("data", data)];
    assert_eq!(site.post(&import).status, 200);
    assert_eq!(field(&records(&mut site, "TEST", "admin", &late), "record_id"), ["77"]);
    let long = [late[0], ("type", "eav"), ("fields[0]", "pulse")];
    assert_eq!(field(&records(&mut site, "TEST", "admin", &long), "value"), ["61"]);
}
