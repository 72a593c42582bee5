//! The repeating sample project: a form that repeats at an event, and an event that repeats as a whole.

use super::people;
use crate::sandbox::design::{Arm, Design, Event, Field, FieldType, Form, Repeat, checkbox};
use crate::sandbox::random::Random;
use crate::sandbox::rows::{Place, Row};

const RECORDS: i64 = 400;
const ROUTES: [(&str, &str); 3] = [("1", "oral"), ("2", "intravenös"), ("3", "other")];

pub(super) fn project() -> (Design, Vec<Row>) {
    let mut random = Random::new(19);
    let rows = (1..=RECORDS).flat_map(|n| record(n, &mut random)).collect();
    (design(), rows)
}

fn design() -> Design {
    use FieldType::{Checkbox, File, Notes, Text, YesNo};
    let (who, drug, visit) = ("enrolment", "medication", "visit");
    let fields = vec![
        Field::new(who, "record_id", Text, "Record ID"),
        Field::new(who, "name", Text, "Name").identifier(),
        Field::new(who, "enrolled_on", Text, "Enrolled on").validation("date_ymd", "", ""),
        Field::new(drug, "drug", Text, "Drug"),
        Field::new(drug, "dose", Text, "Dose (mg)").validation("number", "", ""),
        Field::new(drug, "route", Checkbox, "Route").choices(&ROUTES),
        Field::new(visit, "visit_date", Text, "Date of visit").validation("date_ymd", "", ""),
        Field::new(visit, "well", YesNo, "Feels well?"),
        Field::new(visit, "visit_remarks", Notes, "Remarks"),
        Field::new(visit, "visit_photo", File, "Photo"),
    ];
    let form = |name: &str, label: &str| Form { name: name.to_owned(), label: label.to_owned() };
    let event = |id, name: &str, unique: &str, forms: &[&str]| Event {
        id,
        arm: 1,
        name: name.to_owned(),
        unique_name: unique.to_owned(),
        forms: forms.iter().map(|&form| form.to_owned()).collect(),
    };
    Design {
        fields,
        forms: vec![form(who, "Enrolment"), form(drug, "Medication"), form(visit, "Visit")],
        arms: vec![Arm { number: 1, name: "Arm 1".to_owned() }],
        events: vec![
            event(51, "Enrolment", "enrolment_arm_1", &[who, drug]),
            event(52, "Visits", "visits_arm_1", &[visit]),
        ],
        repeats: vec![
            Repeat { event: "enrolment_arm_1".to_owned(), form: Some(drug.to_owned()) },
            Repeat { event: "visits_arm_1".to_owned(), form: None },
        ],
    }
}

fn record(n: i64, random: &mut Random) -> Vec<Row> {
    let row = |event: &str, form: &str, instance, values: Vec<(&str, String)>| Row {
        place: Place { record: n.to_string(), event: event.to_owned(), form: form.to_owned(), instance },
        group: String::new(),
        values: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    let status = |random: &mut Random| random.between(0, 2).to_string();
    let name = format!("{} {}", people::first_name(random), people::last_name(random));
    let enrolled =
        vec![("name", name), ("enrolled_on", random.date(19_000, 19_100)), ("enrolment_complete", status(random))];
    let mut rows = vec![row("enrolment_arm_1", "", 0, enrolled)];
    for instance in 1..=random.between(0, 4) {
        let drug = random.pick(&["Acetylsalicylsäure", "Ibuprofen \"forte\"", "Placebo; rot", "α-Liponsäure"]);
        let mut values = vec![
            ("drug", drug.to_owned()),
            ("dose", random.decimal(25, 80_000, 2)),
            ("medication_complete", status(random)),
        ];
        let route = checkbox("route", ROUTES[usize::from(random.chance(30))].0);
        values.push((&route, "1".to_owned()));
        rows.push(row("enrolment_arm_1", "medication", instance, values));
    }
    for instance in 1..=random.between(1, 3) {
        let values = vec![
            ("visit_date", random.date(19_100, 19_780)),
            ("well", random.between(0, 1).to_string()),
            ("visit_remarks", people::remark(random).to_owned()),
            ("visit_complete", status(random)),
        ];
        rows.push(row("visits_arm_1", "", instance, values));
    }
    rows
}
