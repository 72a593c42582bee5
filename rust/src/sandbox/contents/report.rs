//! `report`: the one report of the project, always flat.

use super::{Asked, record};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::Sheet;

pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    if asked.post.text("report_id") != asked.project.report.id.to_string() {
        return Err(Refusal::parameter("report_id"));
    }
    record::report(asked)
}
