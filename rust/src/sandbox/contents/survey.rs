//! What has to do with surveys. One sample project has some: forms that participants fill in themselves.

use super::{Asked, Outcome};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::rows::Place;
use crate::sandbox::sheet::{Cell, Sheet};
use crate::sandbox::world::Project;

/// The forms of a project that are surveys.
pub(super) fn forms(project: &Project) -> &'static [&'static str] {
    if project.sample.short_name == "TEST_REPEAT" { &["enrolment", "visit"] } else { &[] }
}

/// Contents that have to do with surveys.
pub(super) const CONTENTS: [&str; 5] =
    ["surveyLink", "surveyQueueLink", "surveyReturnCode", "surveyAccessCode", "participantList"];

pub(super) fn export(asked: &Asked<'_>, content: &str) -> Result<Outcome, Refusal> {
    if forms(asked.project).is_empty() {
        return Err(Refusal::no_surveys());
    }
    if !asked.user.may("manage_survey_participants") {
        return Err(Refusal::right("manage_survey_participants"));
    }
    Ok(match content {
        "surveyQueueLink" => {
            let record = asked.post.text("record");
            asked.record(record)?;
            Outcome::Bare(format!("{}{}", address("sq"), letters(&["queue", record], 10)))
        }
        "participantList" => Outcome::Sheet(participants(asked)?),
        other => {
            let place = spot(asked)?;
            Outcome::Bare(match other {
                "surveyReturnCode" => code(&place, "return", 8),
                "surveyAccessCode" => code(&place, "access", 9),
                _ => link(&place),
            })
        }
    })
}

fn participants(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    let (form, event) = (form(asked)?, asked.event()?);
    let columns = [
        "email",
        "email_occurrence",
        "identifier",
        "record",
        "invitation_sent_status",
        "invitation_send_time",
        "response_status",
        "survey_access_code",
        "survey_link",
    ];
    let mut sheet = Sheet::new("items", "item", &columns);
    let at_event = asked.project.data.rows.iter().filter(|row| row.place.event == event && row.place.form.is_empty());
    for (n, row) in (1..).zip(at_event.filter(|row| row.place.instance <= 1)) {
        let place = Place { form: form.to_owned(), instance: 1, ..row.place.clone() };
        let record = row.place.record.as_str();
        let blank = || Cell::text("");
        sheet.rows.push(vec![
            Cell::text(format!("person{record}@example.org")),
            Cell::Whole(n),
            blank(),
            Cell::text(record),
            Cell::Whole(0),
            blank(),
            Cell::Whole(2),
            Cell::text(code(&place, "access", 9)),
            Cell::text(link(&place)),
        ]);
    }
    Ok(sheet)
}

/// The survey that a request names.
fn form(asked: &Asked<'_>) -> Result<&'static str, Refusal> {
    let name = asked.post.text("instrument");
    forms(asked.project).iter().find(|form| **form == name).copied().ok_or_else(|| Refusal::parameter("instrument"))
}

/// The record, event and instance whose survey it is.
fn spot(asked: &Asked<'_>) -> Result<Place, Refusal> {
    asked.record(asked.post.text("record"))?;
    let instance = Some(asked.post.text("repeat_instance")).filter(|text| !text.is_empty()).unwrap_or("1");
    let instance = instance.parse().ok().filter(|number| *number > 0);
    Ok(Place {
        record: asked.post.text("record").to_owned(),
        event: asked.event()?.to_owned(),
        form: form(asked)?.to_owned(),
        instance: instance.ok_or_else(|| Refusal::parameter("repeat_instance"))?,
    })
}

fn address(parameter: &str) -> String {
    format!("https://redcap.example.org/surveys/?{parameter}=")
}

fn link(place: &Place) -> String {
    format!("{}{}", address("s"), code(place, "link", 10))
}

fn code(place: &Place, what: &str, length: usize) -> String {
    letters(&[what, &place.record, &place.event, &place.form, &place.instance.to_string()], length)
}

/// What codes and links are made of.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Letters that follow from texts (FNV-1a). They open nothing.
fn letters(texts: &[&str], length: usize) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0xff]));
    bytes.for_each(|byte| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (0..length).map(|n| char::from(ALPHABET[(hash >> (5 * n)) as usize & 31])).collect()
}
