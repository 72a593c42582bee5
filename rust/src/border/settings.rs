//! Changing settings in the user's file: what `configure_stores` and `set_policy` have in common.

use super::arguments::Session;
use super::audited::audited;
use super::change::{Change, Fate};
use super::ctx_of;
use crate::audit;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::net::io::{self, Task};
use crate::project::{Edit, SettingWish as Wish};
use crate::store::Environment;
use crate::value::Value;

/// Writes wishes into the user's file. Without the entry, which `entry` makes of the change, nothing is written. What is
/// done after is `then`, whose facts are the answer, beside the file's `path`. `what` is changed, for who interrupts.
pub(super) fn change(
    session: &Session,
    wishes: Vec<Wish>,
    what: &'static str,
    entry: impl FnOnce(&Edit) -> audit::Change + Send + 'static,
    then: impl FnOnce(&Ctx, &Edit) -> (&'static str, Value) + Send + 'static,
) -> Result<Task> {
    let edit = Edit::of(session.settings_source(), &session.dirs, &wishes)?;
    let source = session.settings_source();
    // With the settings as they will be: what cannot be used must not be in the way of something better.
    let ctx = ctx_of(session, edit.settings.clone(), Environment::empty(), &[])?;
    let change = Change::new();
    let fate = change.clone();
    let task = io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let edit = if edit.names.is_empty() {
            ctx.log.note(format!("nothing to change: `{}` says so already", edit.path.display()));
            edit
        } else {
            let dirs = ctx.dirs.clone();
            let prepared = io::blocking(move || Edit::prepared(source, &dirs, &wishes)).await?;
            let its_ctx = ctx.clone();
            change
                .carry_through(async move {
                    let entry = entry(&prepared.edit);
                    let edit = audited(&its_ctx, false, entry, io::blocking(move || prepared.write())).await?;
                    its_ctx.log.note(format!("wrote `{}`: {}", edit.path.display(), edit.names.join(", ")));
                    Ok(edit)
                })
                .await?
        };
        let path = ("path", edit.path.display().to_string().into());
        Ok(Value::list([path, then(&ctx, &edit)]))
    })?;
    Ok(task.with_last_word(move || match fate.cancel() {
        Fate::NotMade | Fate::Failed => format!("interrupted: nothing was changed in {what}"),
        Fate::Made => format!("interrupted, but the change in {what} is written: that was done before"),
        Fate::UnderWay => format!("interrupted too late: the change in {what} is being written"),
    }))
}
