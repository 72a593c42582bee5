//! One store, by its name: what a person looks up, puts or removes in it.
//!
//! The entries in the audit log are the caller's: one before the change, its outcome after it.

use super::{Found, Reach, STORES, State, Store, Wanted, find, found, names, unknown_store};
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

/// Whether a store takes tokens, asked before a person is. A locked one does: it is unlocked, or says so, later.
///
/// # Errors
/// As [`get`]; `store` too where the store is not on this machine or is only read.
pub(crate) async fn takes_tokens(ctx: &Ctx, store: &str) -> Result<()> {
    let store = opened(ctx, store)?;
    let source = store.name();
    let (state, message) = match store.state().await.map_err(|error| error.field("store", source))?.reach {
        Reach::Ready | Reach::Locked => return Ok(()),
        Reach::ReadOnly => ("read_only", format!("`{source}` is only read, so no token is set there")),
        Reach::NotHere(why) => ("not_here", why),
    };
    Err(Error::new(Kind::Store, message)
        .hint("give another store by `store`, or put the token there by that store's own means")
        .hint("`vignette(\"tokens\", package = \"keycap\")` tells which stores there are, and how each is set up")
        .field("state", state)
        .field("store", source))
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

/// Every store that there is, with what it says of itself. One that is forbidden is not asked.
pub(crate) async fn states(ctx: &Ctx) -> Vec<(&'static str, Result<State>)> {
    let mut states = Vec::new();
    for (name, open) in STORES {
        let state = match allowed(ctx, name) {
            Ok(()) => open(ctx).state().await,
            Err(error) => Err(error),
        };
        states.push((*name, state));
    }
    states
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
