//! `pdf`: forms on paper. One page, whatever is asked for: clients carry the bytes, they do not read them.

use super::{Asked, Outcome};
use crate::sandbox::paper;
use crate::sandbox::refusal::Refusal;

pub(super) fn document(asked: &Asked<'_>) -> Result<Outcome, Refusal> {
    let (design, post) = (&asked.project.design, asked.post);
    let (form, record) = (post.text("instrument"), post.text("record"));
    if !form.is_empty() && !design.has_form(form) {
        return Err(Refusal::parameter("instrument"));
    }
    if !record.is_empty() {
        asked.record(record)?;
    }
    if !post.text("event").is_empty() {
        asked.event()?;
    }
    let mut lines = vec![asked.project.sample.title.to_owned()];
    if !record.is_empty() {
        lines.push(format!("Record {record}"));
    }
    for one in design.forms.iter().filter(|one| form.is_empty() || one.name == form) {
        lines.extend([String::new(), one.label.clone()]);
        lines.extend(design.fields.iter().filter(|field| field.form == one.name).map(|field| field.label.clone()));
    }
    let name = if form.is_empty() { "AllForms" } else { form };
    let name = format!("{name}_{}.pdf", asked.project.sample.short_name);
    Ok(Outcome::File { content_type: "application/pdf", name, bytes: paper::pdf(&lines).into() })
}
