//! Operations on checkpoints of the audit log.

use super::arguments::{Arguments, Session};
use super::ctx;
use crate::audit::{Checkpoints, Delivery, Taken};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::net::io::{self, Task};
use crate::redcap::audit_folder;
use crate::store::Environment;
use crate::token::TokenName;
use crate::value::{Column, Table, Value};

/// `checkpoint_audit_log`: `new_key`, `sandbox` (the log of this session's sandboxes). Answers the signed `note`, what it says
/// (`origin`, `entries`, `hash`), the verifier's `key`, its `public_file`, where the signing key is `kept_in`, and the
/// table `anchors`: `anchor`, `kept`, `reason`.
pub(super) fn take(arguments: &Arguments, session: &Session) -> Result<Task> {
    let new_key = arguments.flag("new_key")?;
    let sandbox = arguments.flag("sandbox")?;
    // No token is looked up; the key may be in a store that needs to know the session.
    let ctx = ctx(session, Environment::take(&TokenName::new("keycap_audit_key")?))?;
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let taken = Checkpoints::new(&ctx, &audit_folder(&ctx, sandbox), sandbox).take(new_key).await?;
        Ok(answer(taken))
    })
}

fn answer(taken: Taken) -> Value {
    let Taken { state, note, key, kept_in, public_file, anchors } = taken;
    let reasons = anchors.iter().map(|Delivery { trouble, .. }| trouble.as_ref().map(|error| error.message.clone()));
    let table = Table {
        columns: vec![
            ("anchor".into(), Column::text(anchors.iter().map(|delivery| Some(delivery.anchor.as_str())))),
            ("kept".into(), Column::flag(anchors.iter().map(|delivery| Some(delivery.trouble.is_none())))),
            ("reason".into(), Column::text(reasons)),
        ],
    };
    Value::list([
        ("origin", state.origin.into()),
        ("entries", Value::Real(state.entries as f64)),
        ("hash", state.hash.into()),
        ("note", note.into()),
        ("key", key.to_string().into()),
        ("kept_in", kept_in.into()),
        ("public_file", public_file.display().to_string().into()),
        ("anchors", Value::Table(table)),
    ])
}
