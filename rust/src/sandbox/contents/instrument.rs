//! `instrument`: the forms.

use super::Asked;
use crate::sandbox::sheet::{Cell, Sheet};

pub(super) fn sheet(asked: &Asked<'_>) -> Sheet {
    let mut sheet = Sheet::new("instruments", "item", &["instrument_name", "instrument_label"]);
    let forms = asked.project.design.forms.iter();
    sheet.rows = forms.map(|form| vec![Cell::text(&*form.name), Cell::text(&*form.label)]).collect();
    sheet
}
