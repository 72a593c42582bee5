//! The classic sample project: one row a record.

use super::people;
use crate::sandbox::design::{Design, Event, Field, FieldType, Form, checkbox};
use crate::sandbox::random::Random;
use crate::sandbox::rows::{Place, Row};

const RECORDS: i64 = 1200;
const SYMPTOMS: [(&str, &str); 5] =
    [("1", "Cough"), ("2", "Fever, above 38.5 °C"), ("3", "Headache"), ("4", "Übelkeit"), ("-9", "Not asked")];

pub(super) fn project() -> (Design, Vec<Row>) {
    let design = design();
    let mut random = Random::new(17);
    let rows = (1..=RECORDS).map(|n| row(n, &mut random)).collect();
    (design, rows)
}

fn design() -> Design {
    use FieldType::{Calc, Checkbox, Descriptive, Dropdown, File, Notes, Radio, Slider, Text, TrueFalse, YesNo};
    let (who, how) = ("demographics", "health");
    let fields = vec![
        Field::new(who, "record_id", Text, "Record ID"),
        Field::new(who, "first_name", Text, "First name").section("Person").identifier(),
        Field::new(who, "last_name", Text, "Last name").identifier(),
        Field::new(who, "email", Text, "E-mail").validation("email", "", "").identifier(),
        Field::new(who, "birth_date", Text, "Date of birth").validation("date_ymd", "1920-01-01", "").required(),
        Field::new(who, "sex", Radio, "Sex").choices(&[("0", "Female"), ("1", "Male"), ("2", "Diverse")]),
        Field::new(who, "consent", YesNo, "Consent given?").required(),
        Field::new(who, "height", Text, "Height (cm)").section("Measures").validation("number", "50", "250"),
        Field::new(who, "weight", Text, "Weight (kg)").validation("number", "2", "350").note("without shoes"),
        Field::new(who, "bmi", Calc, "Body mass index").equation("round([weight]/([height]/100)^2, 1)"),
        Field::new(how, "health_info", Descriptive, "Please fill in on the day of the visit."),
        Field::new(how, "visit_time", Text, "Time of visit").validation("datetime_ymd", "", ""),
        Field::new(how, "smoker", TrueFalse, "Smokes"),
        Field::new(how, "symptoms", Checkbox, "Symptoms").choices(&SYMPTOMS),
        Field::new(how, "severity", Dropdown, "Severity")
            .choices(&[("1", "mild"), ("2", "moderate"), ("3", "severe, \"in bed\"")])
            .branching("[symptoms(1)] = '1' or [symptoms(2)] = '1'"),
        Field::new(how, "pulse", Text, "Pulse (1/min)").validation("integer", "20", "250"),
        Field::new(how, "pain", Slider, "Pain").annotation("@HIDDEN-APP"),
        Field::new(how, "remarks", Notes, "Remarks"),
        Field::new(how, "letter", File, "Letter of the physician"),
    ];
    let form = |name: &str, label: &str| Form { name: name.to_owned(), label: label.to_owned() };
    let forms = vec![form(who, "Demographics"), form(how, "Health (Größe & Befinden)")];
    let event = Event {
        id: 1,
        arm: 1,
        name: "Event 1".to_owned(),
        unique_name: String::new(),
        forms: forms.iter().map(|form| form.name.clone()).collect(),
    };
    Design { fields, forms, arms: Vec::new(), events: vec![event], repeats: Vec::new() }
}

fn row(n: i64, random: &mut Random) -> Row {
    // A third of the records belongs to no group, as in projects that began without groups.
    let group = ["north", "south", ""][(n % 3) as usize].to_owned();
    let mut row = Row { place: Place { record: n.to_string(), ..Place::default() }, group, ..Row::default() };
    let mut set = |name: &str, value: String| row.values.insert(name.to_owned(), value);
    set("first_name", people::first_name(random).to_owned());
    set("last_name", people::last_name(random).to_owned());
    set("email", format!("person{n}@example.org"));
    set("birth_date", random.date(-12_000, 14_000));
    set("sex", random.between(0, 2).to_string());
    set("consent", random.between(0, 1).to_string());
    let (height, weight) = (random.between(1450, 2050) as f64 / 10.0, random.between(400, 1400) as f64 / 10.0);
    set("height", format!("{height:.1}"));
    if random.chance(90) {
        set("weight", format!("{weight:.1}"));
        set("bmi", format!("{:.1}", weight / (height / 100.0).powi(2)));
    }
    set("demographics_complete", random.between(0, 2).to_string());
    // One in ten has not come to the visit: the second form stays untouched.
    if random.chance(90) {
        let time = format!("{:02}:{:02}", random.between(7, 18), random.between(0, 59));
        set("visit_time", format!("{} {time}", random.date(19_000, 19_780)));
        set("smoker", random.between(0, 1).to_string());
        for (code, _) in SYMPTOMS {
            if random.chance(25) {
                set(&checkbox("symptoms", code), "1".to_owned());
            }
        }
        set("severity", random.between(1, 3).to_string());
        set("pulse", random.between(45, 140).to_string());
        if random.chance(50) {
            set("pain", random.between(0, 100).to_string());
        }
        set("remarks", people::remark(random).to_owned());
        set("health_complete", random.between(0, 2).to_string());
    }
    row
}
