//! One store, by its name: what a person looks up, puts or removes in it.
//!
//! The entries in the audit log are the caller's: one before the change, its outcome after it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Found, Open, STORES, State, Store, Wanted, find, found, names, unknown_store};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::token::{Form, Secret};

/// What stands under a name in one store. `None`: blank, or the store is not on this machine.
///
/// # Errors
/// `argument`: no such store, or a forbidden one. `store`: it is there and fails.
pub(crate) async fn get(ctx: &Ctx, store: &str, wanted: &Wanted) -> Result<Option<Found>> {
    let store = opened(ctx, store)?;
    let source = store.name();
    let answer = store.get(wanted).await.map_err(|error| named(error, source, wanted))?;
    let (found, remark) = found(answer, &ctx.settings.token_form, source);
    if let Some(remark) = remark {
        ctx.log.once(remark);
    }
    Ok(found)
}

/// Puts a token under a name, in place of what was there, and reads it back. Only a well-formed project token is put.
///
/// # Errors
/// `argument`: no such store, or a forbidden one. `token_form`: it is no project token; nothing was written. `store`:
/// the store is not on this machine, does not take it, or gives something else back afterwards.
pub(crate) async fn put(ctx: &Ctx, store: &str, wanted: &Wanted, secret: &Secret, form: &Form) -> Result<()> {
    if *form != Form::Project {
        return Err(Error::new(Kind::Internal, "what is no project token was about to be stored"));
    }
    let store = opened(ctx, store)?;
    let source = store.name();
    store.put(&wanted.token_name, secret).await.map_err(|error| named(error, source, wanted))?;
    let answer = store.get(wanted).await.map_err(|error| named(error, source, wanted))?;
    let (back, _) = found(answer, &ctx.settings.token_form, source);
    if back.is_some_and(|back| back.secret.fingerprint() == secret.fingerprint()) {
        return Ok(());
    }
    let name = wanted.token_name.as_str();
    let message = format!("`{source}` took the token under `{name}` and gives something else back");
    let error = Error::new(Kind::Store, message)
        .hint("look what the store holds with `view_project_token()`; a pinned version in the settings is one cause")
        .field("state", "read_back");
    Err(named(error, source, wanted))
}

/// Removes what stands under a name in one store; false where there was nothing.
///
/// # Errors
/// As [`get`].
pub(crate) async fn remove(ctx: &Ctx, store: &str, wanted: &Wanted) -> Result<bool> {
    let store = opened(ctx, store)?;
    let source = store.name();
    store.remove(&wanted.token_name).await.map_err(|error| named(error, source, wanted))
}

/// How long a store may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(15);

/// Every store that there is, with what it says of itself. One that is forbidden is not asked; one that keeps silent
/// is an error like another, and keeps nobody else waiting: all are asked side by side.
pub(crate) async fn states(ctx: &Ctx) -> Vec<(&'static str, Result<State>)> {
    states_of(ctx, STORES, PATIENCE).await
}

pub(super) async fn states_of(
    ctx: &Ctx,
    stores: &'static [(&'static str, Open)],
    patience: Duration,
) -> Vec<(&'static str, Result<State>)> {
    // Dropped (the user interrupted), it drops what is asked, too.
    let mut asked = JoinSet::new();
    for (place, (name, open)) in stores.iter().enumerate() {
        let ctx = ctx.clone();
        asked.spawn(async move {
            let state = match allowed(&ctx, name) {
                Ok(()) => {
                    let store = open(&ctx);
                    let said = tokio::time::timeout(patience, store.state()).await;
                    said.unwrap_or_else(|_| Err(silent(name, patience)))
                }
                Err(error) => Err(error),
            };
            (place, state)
        });
    }
    let mut said = HashMap::new();
    while let Some(answer) = asked.join_next().await {
        said.extend(answer.ok());
    }
    let broke_off = |name: &str| Error::new(Kind::Internal, format!("the store `{name}` broke off"));
    let each = stores.iter().enumerate();
    each.map(|(place, (name, _))| (*name, said.remove(&place).unwrap_or_else(|| Err(broke_off(name))))).collect()
}

fn silent(name: &str, patience: Duration) -> Error {
    Error::new(Kind::Store, format!("`{name}` did not say within {} s whether it can be used", patience.as_secs()))
        .hint("try again; where it stays silent, look at its server or service")
        .field("state", "no_answer")
}

fn opened(ctx: &Ctx, name: &str) -> Result<Box<dyn Store>> {
    allowed(ctx, name)?;
    find(ctx, name).ok_or_else(|| unknown_store("store", name))
}

/// A slip in what the site forbids would forbid nothing, so it is an error here as in a look-up.
fn allowed(ctx: &Ctx, name: &str) -> Result<()> {
    let forbidden = &ctx.settings.stores.forbidden;
    if let Some(slip) = forbidden.iter().find(|slip| !names().any(|known| known == *slip)) {
        return Err(unknown_store("forbidden_stores", slip));
    }
    if !forbidden.iter().any(|other| other == name) {
        return Ok(());
    }
    let left: Vec<String> =
        names().filter(|name| !forbidden.iter().any(|other| other == name)).map(|name| format!("`{name}`")).collect();
    let message = format!("the site forbids the store `{}` on this machine", crate::token::as_name(name));
    Err(Error::new(Kind::Argument, message)
        .hint(format!("take another one of {}", left.join(", ")))
        .field("store", name))
}

fn named(error: Error, source: &'static str, wanted: &Wanted) -> Error {
    error.field("store", source).field("token_name", wanted.token_name.as_str())
}
