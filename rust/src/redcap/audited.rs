//! A change of what is kept here, with its two entries in the audit log.

use crate::audit::Change;
use crate::ctx::Ctx;
use crate::error::Result;

use super::pipeline::{audit_folder, call_id};

/// Makes a change that the audit log has an entry of before and an outcome of after. The entry is durable when `work`
/// begins; `change.call_id` is filled in here. Given up half-way (the user interrupted, R ends), the outcome says
/// `interrupted`: the change may have been made then, wholly or in part.
///
/// # Errors
/// `audit`: the log does not take the entry, and nothing was done. Those of `work`.
pub(crate) async fn audited<T>(
    ctx: &Ctx,
    sandbox: bool,
    change: Change,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let log = ctx.shared.audit.at(&audit_folder(ctx, sandbox), &ctx.clock);
    let mut open = log.change(Change { call_id: call_id(ctx)?, ..change }).await?;
    let started = ctx.clock.elapsed();
    let done = work.await;
    open.outcome.duration = ctx.clock.elapsed().saturating_sub(started);
    open.outcome.class = done.as_ref().map_or_else(|error| error.kind.as_str(), |_| "ok").to_owned();
    let written = match open.finish().await {
        Ok(()) => log.sync().await,
        failed => failed,
    };
    match (done, written) {
        (done, Ok(())) => done,
        (Err(error), Err(unwritten)) => {
            Err(error.hint(format!("the audit log did not take this outcome: {}", unwritten.message)))
        }
        // What was done stays done, and the entry before it says what it was.
        (Ok(value), Err(unwritten)) => {
            ctx.log
                .warning(format!("this was done, and the audit log did not take its outcome: {}", unwritten.message));
            Ok(value)
        }
    }
}
