//! The sample project of a study of three sites: every record belongs to one of them.

use super::people;
use crate::sandbox::design::{Design, Event, Field, FieldType, Form};
use crate::sandbox::random::Random;
use crate::sandbox::rows::{Place, Row};

const RECORDS: i64 = 90;

pub(super) fn project() -> (Design, Vec<Row>) {
    let mut random = Random::new(20);
    let design = design();
    let mut rows: Vec<_> = (1..=RECORDS).map(|n| row(n, &mut random)).collect();
    rows.sort_by_cached_key(|row| row.place.order(&design));
    (design, rows)
}

fn design() -> Design {
    use FieldType::{Notes, Radio, Text, YesNo};
    let (first, last) = ("inclusion", "outcome");
    let fields = vec![
        Field::new(first, "record_id", Text, "Record ID"),
        Field::new(first, "name", Text, "Name").identifier(),
        Field::new(first, "included_on", Text, "Included on").validation("date_ymd", "", "").required(),
        Field::new(first, "arm_given", Radio, "Treatment").choices(&[("1", "Verum"), ("2", "Placebo")]),
        Field::new(last, "alive", YesNo, "Alive after 30 days?"),
        Field::new(last, "outcome_remarks", Notes, "Remarks"),
    ];
    let form = |name: &str, label: &str| Form { name: name.to_owned(), label: label.to_owned() };
    let forms = vec![form(first, "Inclusion"), form(last, "Outcome")];
    let event = Event {
        id: 61,
        arm: 1,
        name: "Event 1".to_owned(),
        unique_name: String::new(),
        forms: forms.iter().map(|form| form.name.clone()).collect(),
    };
    Design { fields, forms, arms: Vec::new(), events: vec![event], repeats: Vec::new() }
}

/// Named as REDCap names the records of groups: by the group's number.
fn row(n: i64, random: &mut Random) -> Row {
    let site = (n - 1) / (RECORDS / 3);
    let (group, _, number) = super::SITES[site.clamp(0, 2) as usize];
    let record = format!("{number}-{}", n - site * (RECORDS / 3));
    let mut row = Row { place: Place { record, ..Place::default() }, group: group.to_owned(), ..Row::default() };
    let mut set = |name: &str, value: String| row.values.insert(name.to_owned(), value);
    set("name", format!("{} {}", people::first_name(random), people::last_name(random)));
    set("included_on", random.date(19_400, 19_780));
    set("arm_given", random.between(1, 2).to_string());
    set("inclusion_complete", random.between(0, 2).to_string());
    if random.chance(80) {
        set("alive", random.between(0, 1).to_string());
        set("outcome_remarks", people::remark(random).to_owned());
        set("outcome_complete", random.between(0, 2).to_string());
    }
    row
}
