//! `record`: exports, flat and as a long list; import, deletion, renaming.

mod choice;
mod delete;
mod eav;
mod flat;
mod import;
mod incoming;
mod rename;
mod style;

use super::{Asked, Outcome};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Format, Sheet};

use choice::Choice;
use style::Style;

pub(super) use delete::delete;
pub(super) use import::import;
pub(super) use rename::rename;
pub(super) use style::delimiter;

/// An export as the request's parameters want it.
pub(super) fn export(asked: &Asked<'_>, format: Option<Format>) -> Result<Outcome, Refusal> {
    let long = match asked.post.text("type") {
        "" | "flat" => false,
        "eav" => true,
        _ => return Err(Refusal::parameter("type")),
    };
    let (style, choice) = (Style::of(asked.post)?, Choice::of(asked)?);
    if long {
        return Ok(Outcome::Sheet(eav::sheet(asked, &choice, &style)));
    }
    if let Some(generated) = &asked.project.generated
        && format == Some(Format::Csv)
        && style == Style::default()
        && choice.is_everything(asked)
    {
        return Ok(Outcome::Csv(generated.csv.clone()));
    }
    Ok(Outcome::Sheet(flat::sheet(asked, &choice, &style)))
}

/// A report: always flat, with its own fields and its own filter.
pub(super) fn report(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    let (style, choice) = (Style::of(asked.post)?, Choice::of_report(asked)?);
    Ok(flat::sheet(asked, &choice, &style))
}
