//! The longitudinal sample project: two arms, each record goes through its arm's events.

use super::people;
use crate::sandbox::design::{Arm, Design, Event, Field, FieldType, Form, checkbox};
use crate::sandbox::random::Random;
use crate::sandbox::rows::{Place, Row};

const RECORDS: i64 = 600;
const COMPLAINTS: [(&str, &str); 3] = [("1", "Dizziness"), ("2", "Müdigkeit"), ("3", "Other, see remarks")];

pub(super) fn project() -> (Design, Vec<Row>) {
    let design = design();
    let mut random = Random::new(18);
    let mut rows = Vec::new();
    for n in 1..=RECORDS {
        let arm = 1 + n % 2;
        let group = if n % 4 < 2 { "north" } else { "south" };
        for event in design.events.iter().filter(|event| event.arm == arm) {
            // People drop out: the later the event, the fewer come.
            if event.unique_name.starts_with("follow_up") && random.chance(30) {
                continue;
            }
            rows.push(row(n, group, event, &mut random));
        }
    }
    (design, rows)
}

fn design() -> Design {
    use FieldType::{Checkbox, Dropdown, Notes, Radio, Text, YesNo};
    let (who, vital, lab, bad) = ("demographics", "vitals", "laboratory", "complaints");
    let fields = vec![
        Field::new(who, "record_id", Text, "Record ID"),
        Field::new(who, "name", Text, "Name").identifier(),
        Field::new(who, "birth_date", Text, "Date of birth").validation("date_dmy", "", "").identifier(),
        Field::new(who, "sex", Radio, "Sex").choices(&[("1", "weiblich"), ("2", "männlich"), ("3", "divers")]),
        Field::new(vital, "vitals_date", Text, "Date of measurement").validation("date_ymd", "", "").required(),
        Field::new(vital, "systolic", Text, "Systolic pressure (mmHg)").validation("integer", "50", "300"),
        Field::new(vital, "diastolic", Text, "Diastolic pressure (mmHg)").validation("integer", "30", "200"),
        Field::new(vital, "temperature", Text, "Temperature (°C)").validation("number_1dp", "30", "45"),
        Field::new(lab, "lab_time", Text, "Time of sample").validation("datetime_seconds_ymd", "", ""),
        Field::new(lab, "haemoglobin", Text, "Hämoglobin (g/dl)").validation("number", "", ""),
        Field::new(lab, "rhesus", YesNo, "Rhesus positive?"),
        Field::new(bad, "complaint", Checkbox, "Complaints").choices(&COMPLAINTS),
        Field::new(bad, "relation", Dropdown, "Related to the drug?").choices(&[
            ("0", "no"),
            ("1", "possibly"),
            ("2", "certainly"),
        ]),
        Field::new(bad, "complaint_remarks", Notes, "Remarks"),
    ];
    let form = |name: &str, label: &str| Form { name: name.to_owned(), label: label.to_owned() };
    let forms = vec![
        form(who, "Demographics"),
        form(vital, "Vital signs"),
        form(lab, "Laboratory"),
        form(bad, "Complaints & remarks"),
    ];
    let arm = |number, name: &str| Arm { number, name: name.to_owned() };
    let event = |id, arm, name: &str, unique: &str, forms: &[&str]| Event {
        id,
        arm,
        name: name.to_owned(),
        unique_name: format!("{unique}_arm_{arm}"),
        forms: forms.iter().map(|&form| form.to_owned()).collect(),
    };
    let events = vec![
        event(41, 1, "Screening", "screening", &[who, vital]),
        event(42, 1, "Baseline", "baseline", &[vital, lab, bad]),
        event(43, 1, "Follow-up 1", "follow_up_1", &[vital, bad]),
        event(44, 1, "Follow-up 2", "follow_up_2", &[vital, lab, bad]),
        event(45, 2, "Screening", "screening", &[who, vital]),
        event(46, 2, "Baseline", "baseline", &[vital, lab]),
        event(47, 2, "Follow-up 1", "follow_up_1", &[vital, lab, bad]),
    ];
    Design {
        fields,
        forms,
        arms: vec![arm(1, "Verum"), arm(2, "Placebo (ohne Wirkstoff)")],
        events,
        repeats: Vec::new(),
    }
}

fn row(n: i64, group: &str, event: &Event, random: &mut Random) -> Row {
    let place = Place { record: n.to_string(), event: event.unique_name.clone(), ..Place::default() };
    let mut row = Row { place, group: group.to_owned(), ..Row::default() };
    for form in &event.forms {
        let mut set = |name: &str, value: String| row.values.insert(name.to_owned(), value);
        match form.as_str() {
            "demographics" => {
                let name = format!("{} {}", people::first_name(random), people::last_name(random));
                set("name", name);
                set("birth_date", random.date(-12_000, 14_000));
                set("sex", random.between(1, 3).to_string());
            }
            "vitals" => {
                set("vitals_date", random.date(19_000, 19_780));
                set("systolic", random.between(90, 190).to_string());
                set("diastolic", random.between(50, 110).to_string());
                set("temperature", random.decimal(355, 402, 1));
            }
            "laboratory" => {
                let clock = (random.between(6, 20), random.between(0, 59), random.between(0, 59));
                set(
                    "lab_time",
                    format!("{} {:02}:{:02}:{:02}", random.date(19_000, 19_780), clock.0, clock.1, clock.2),
                );
                set("haemoglobin", random.decimal(700, 1900, 2));
                set("rhesus", random.between(0, 1).to_string());
            }
            _ => {
                for (code, _) in COMPLAINTS {
                    if random.chance(30) {
                        set(&checkbox("complaint", code), "1".to_owned());
                    }
                }
                set("relation", random.between(0, 2).to_string());
                set("complaint_remarks", people::remark(random).to_owned());
            }
        }
        set(&format!("{form}_complete"), random.between(0, 2).to_string());
    }
    row
}
