//! Where tokens live, and the order in which a name is looked up.
//!
//! A store is one file with one [`Store`] in it, one line in [`STORES`] and its tests. It gives and takes raw
//! bytes that wipe themselves ([`Raw`]); [`Secret::seal`] is called here and nowhere else, so a token's form
//! is judged in one place whatever store it came from.

mod aws;
mod blocking;
mod command;
mod elsewhere;
pub(crate) mod entry;
mod env;
mod json;
pub(crate) mod keep;
mod key;
mod keyring;
mod raw;
mod renviron;
mod sandbox;
pub(crate) mod step;
#[cfg(test)]
pub(crate) mod testing;
mod vault;

use std::future::Future;
use std::pin::Pin;

pub(crate) use command::run_program;
pub(crate) use elsewhere::{ask_too, elsewhere};
pub use env::Environment;
pub(crate) use key::{get_key, put_key, signing_key, store_for_key};
use raw::Raw;
pub(crate) use sandbox::{NAME as SANDBOX, forget as forget_sandbox};

use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::net::Origin;
use crate::token::{Form, FormRule, Secret, TokenName};

/// What a look-up is about.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The token's name.
    pub token_name: TokenName,
    /// The project's short name: the keyring is asked under it too.
    pub short_name: String,
    /// Whether the bound origin is that of a sandbox that this session started.
    pub sandbox: bool,
}

/// A token as a store gave it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) secret: Secret,
    pub(crate) form: Form,
    /// `env`, `keyring`, `vault`, `aws`, `command` or `sandbox`.
    pub(crate) source: &'static str,
    /// What the store calls the request that gave the token: with it, its audit log and ours can be joined.
    pub(crate) request_id: Option<String>,
    /// The origin that stands beside the token: it may go there and nowhere else.
    pub(crate) origin: Option<Origin>,
}

/// One store's answer to a look-up of all stores.
#[derive(Debug)]
pub(crate) struct Sighting {
    pub(crate) source: &'static str,
    pub(crate) answer: Result<Option<Found>>,
    /// What a person should know about the answer: why this machine has no such store, or what is locked.
    pub(crate) remark: Option<String>,
}

/// What a store does for its caller, later.
type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A place where tokens live. A store fails with kind `store` when it is there and cannot serve (locked,
/// denied, unreachable); when it has no such name, or is not on this machine, its answer is [`Answer::none`].
///
/// No token stands in an error, a remark or a state. A future that is dropped leaves nothing unwiped behind.
trait Store: Send + Sync {
    /// The name that stands in settings, tables and the audit log.
    fn name(&self) -> &'static str;
    /// Whether an origin can stand beside a token here, and the store is set up on this machine: then it may be asked
    /// for a token that nothing else binds.
    fn binds(&self) -> bool {
        false
    }
    /// The raw bytes under a name.
    fn get<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, Answer>;
    /// Puts a token under a name, in place of what was there.
    fn put<'a>(&'a self, name: &'a TokenName, secret: &'a Secret) -> Pending<'a, ()>;
    /// Removes what stands under a name; false when there was nothing.
    fn remove<'a>(&'a self, name: &'a TokenName) -> Pending<'a, bool>;
    /// As [`Store::put`], for a project: a store that is read by the short name too may have to keep both in line.
    fn put_for<'a>(&'a self, wanted: &'a Wanted, secret: &'a Secret) -> Pending<'a, ()> {
        self.put(&wanted.token_name, secret)
    }
    /// Removes what a look-up for a project gives: the names that it stood under, none when there was nothing.
    fn remove_for<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, Vec<String>> {
        Box::pin(async { Ok(under(&wanted.token_name, self.remove(&wanted.token_name).await?)) })
    }
    /// Fails where [`Store::remove_for`] is known to fail. Changes nothing.
    fn removable<'a>(&'a self, _wanted: &'a Wanted) -> Pending<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// What the store is and whether it can be used now.
    fn state(&self) -> Pending<'_, State>;
    /// As [`Store::state`], where the store is not in the order: nobody decided to use it, so nothing that the
    /// environment says is started or logged in to.
    fn idle_state(&self) -> Pending<'_, State> {
        self.state()
    }
}

/// The names under which something was removed, where it stands under one at most.
fn under(name: &TokenName, removed: bool) -> Vec<String> {
    if removed { vec![name.as_str().to_owned()] } else { Vec::new() }
}

/// A store's answer: the bytes, where it has them, and what a person should know.
#[derive(Debug, Default)]
struct Answer {
    value: Option<Raw>,
    remark: Option<String>,
    request_id: Option<String>,
    origin: Option<Origin>,
}

impl Answer {
    fn hit(value: Raw) -> Self {
        Self { value: Some(value), ..Self::default() }
    }

    fn none(remark: Option<String>) -> Self {
        Self { remark, ..Self::default() }
    }
}

/// What a store is, and whether it can be used now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The store in a few words.
    pub(crate) what: &'static str,
    /// Which one: a program's path, a server.
    pub(crate) detail: Option<String>,
    pub(crate) reach: Reach,
    /// What helps, where something does.
    pub(crate) hints: Vec<String>,
}

impl State {
    fn new(what: &'static str, detail: Option<String>, reach: Reach) -> Self {
        Self { what, detail, reach, hints: Vec::new() }
    }

    /// With what helps.
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// Whether a store can be used now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Reads and writes.
    Ready,
    /// Reads; tokens are put there by other means.
    ReadOnly,
    /// There, and whether it lets anybody in shows with the first look-up. Why that was not tried.
    Untried(String),
    /// There, and nothing to log in with, or nothing that it takes. What is missing.
    NoLogin(String),
    /// There, and locked.
    Locked,
    /// Not looked into any further, and why.
    NotAsked(String),
    /// Not on this machine, and why.
    NotHere(String),
}

/// Which stores of the order are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// All of them.
    All,
    /// Those where an origin can stand beside the token.
    Binding,
}

type Open = fn(&Ctx) -> Box<dyn Store>;

/// Every store that settings may name. The sandbox's is none of them: no setting reaches it.
const STORES: &[(&str, Open)] = &[
    (env::NAME, env::open),
    (keyring::NAME, keyring::open),
    (vault::NAME, vault::open),
    (aws::NAME, aws::open),
    (command::NAME, command::open),
];

/// The names that the setting `order` may hold.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    STORES.iter().map(|(name, _)| *name)
}

/// Checks that stores exist.
///
/// # Errors
/// `argument`: one does not; `what` names them in the message.
pub(crate) fn known(what: &str, stores: &[String]) -> Result<()> {
    match stores.iter().find(|name| !names().any(|known| known == *name)) {
        None => Ok(()),
        Some(stranger) => Err(unknown_store(what, stranger)),
    }
}

/// Whether a name is one of the sandbox's own, which have sample tokens.
pub(crate) fn is_sample(name: &TokenName) -> bool {
    sandbox::sample(name).is_some()
}

/// Looks a name up in the stores in their order; stops at the first hit. `None`: blank in all of them.
///
/// # Errors
/// `store`: a store is there and fails. `argument`: the setting `stores` names a store that does not exist.
pub(crate) async fn look_up(ctx: &Ctx, wanted: &Wanted) -> Result<Option<Found>> {
    look_up_in(ctx, wanted, Asked::All).await
}

/// The same, in some of the stores.
///
/// # Errors
/// As [`look_up`].
pub(crate) async fn look_up_in(ctx: &Ctx, wanted: &Wanted, asked: Asked) -> Result<Option<Found>> {
    let stores = opened(ctx, wanted, asked).into_iter().collect::<Result<Vec<_>>>()?;
    first_hit(&stores, ctx, wanted).await
}

/// Whether some store of the order can bind a token to an origin, here and now.
pub(crate) fn some_bind(ctx: &Ctx, wanted: &Wanted) -> bool {
    opened(ctx, wanted, Asked::Binding).iter().any(Result::is_ok)
}

/// Looks a name up in all stores of the order, for people who want to know (`view_project_token()`). A store
/// that fails is a sighting like the others.
pub(crate) async fn look_everywhere(ctx: &Ctx, wanted: &Wanted) -> Vec<Sighting> {
    look_everywhere_in(ctx, wanted, Asked::All).await
}

/// The same, in some of the stores.
pub(crate) async fn look_everywhere_in(ctx: &Ctx, wanted: &Wanted, asked: Asked) -> Vec<Sighting> {
    sightings(opened(ctx, wanted, asked), ctx, wanted).await
}

/// Looks a name up in the stores behind one of the order: what they hold is not used as long as that one has a token.
pub(crate) async fn look_behind(ctx: &Ctx, wanted: &Wanted, asked: Asked, source: &str) -> Vec<Sighting> {
    let behind = opened(ctx, wanted, asked)
        .into_iter()
        .skip_while(|store| store.as_ref().map_or(true, |store| store.name() != source))
        .skip(1);
    sightings(behind.collect(), ctx, wanted).await
}

async fn sightings(stores: Vec<Result<Box<dyn Store>>>, ctx: &Ctx, wanted: &Wanted) -> Vec<Sighting> {
    let mut sightings = Vec::new();
    for store in stores {
        sightings.push(match store {
            Ok(store) => sighting(store.as_ref(), &ctx.settings.token_form, wanted).await,
            Err(error) => Sighting { source: "order", answer: Err(error), remark: None },
        });
    }
    sightings
}

/// The stores that are asked for a name. For a sandbox, its own store comes first. The sandbox's own token names are asked
/// of nobody else, so that a user's real token of the same name never gets there.
fn opened(ctx: &Ctx, wanted: &Wanted, asked: Asked) -> Vec<Result<Box<dyn Store>>> {
    if wanted.sandbox && sandbox::sample(&wanted.token_name).is_some() {
        return vec![Ok(sandbox::open(ctx))];
    }
    let of_sandbox = wanted.sandbox.then(|| Ok(sandbox::open(ctx)));
    // A slip in what the site forbids would forbid nothing.
    let slip = ctx.settings.stores.forbidden.iter().find(|name| !names().any(|known| known == *name));
    if let Some(slip) = slip {
        return vec![Err(unknown_store("forbidden_stores", slip))];
    }
    let stores = ctx.settings.order.iter().map(|name| find(ctx, name).ok_or_else(|| unknown_store("stores", name)));
    let is_asked = |store: &Result<Box<dyn Store>>| match (asked, store) {
        (Asked::Binding, Ok(store)) => store.binds(),
        _ => true,
    };
    of_sandbox.into_iter().chain(stores).filter(is_asked).collect()
}

/// The stores of the order for a name, by their names.
pub(crate) fn asked_for(ctx: &Ctx, wanted: &Wanted) -> Vec<String> {
    let of_sandbox = wanted.sandbox.then(|| sandbox::NAME.to_owned());
    of_sandbox.into_iter().chain(ctx.settings.order.iter().cloned()).collect()
}

fn find(ctx: &Ctx, name: &str) -> Option<Box<dyn Store>> {
    STORES.iter().find(|(known, _)| *known == name).map(|(_, open)| open(ctx))
}

/// What somebody may have meant who names a store that does not exist.
fn meant(name: &str) -> Option<String> {
    let plain = name.to_ascii_lowercase();
    if name.contains([',', ';', ' ']) {
        return Some("each store is a text of its own, as in `c(\"env\", \"keyring\")`".to_owned());
    }
    if crate::project::is_preset(&plain) {
        let set_up = format!("`configure_stores(command = list(preset = \"{plain}\"))`");
        return Some(format!("`{plain}` is a program: {set_up} sets it up, and the store is `command`"));
    }
    if plain.contains("environ") {
        return Some("environment variables and `.Renviron` are the store `env`".to_owned());
    }
    crate::spelling::nearest(&plain, names()).map(|near| format!("did you mean `{near}`?"))
}

fn unknown_store(setting: &str, name: &str) -> Error {
    let known: Vec<String> = names().map(|name| format!("`{name}`")).collect();
    let meant = meant(name);
    let name = crate::token::as_name(name);
    let message = format!("`{setting}` names a store that does not exist: `{name}`");
    let error = Error::new(Kind::Argument, message).field("argument", setting);
    let error = match meant {
        Some(hint) => error.hint(hint),
        None => error,
    };
    error.hint(format!("the stores are {}", known.join(", ")))
}

async fn first_hit(stores: &[Box<dyn Store>], ctx: &Ctx, wanted: &Wanted) -> Result<Option<Found>> {
    for store in stores {
        let Sighting { answer, remark, .. } = sighting(store.as_ref(), &ctx.settings.token_form, wanted).await;
        if let Some(remark) = remark {
            ctx.log.once(remark);
        }
        if let Some(found) = answer? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

async fn sighting(store: &dyn Store, rule: &FormRule, wanted: &Wanted) -> Sighting {
    let source = store.name();
    match store.get(wanted).await {
        Ok(answer) => {
            let (found, remark) = found(answer, rule, source);
            Sighting { source, answer: Ok(found), remark }
        }
        Err(error) => {
            let error = error.field("store", source).field("token_name", wanted.token_name.as_str());
            Sighting { source, answer: Err(error), remark: None }
        }
    }
}

/// What a look-up makes of a store's answer, and the remark to it.
fn found(answer: Answer, rule: &FormRule, source: &'static str) -> (Option<Found>, Option<String>) {
    let Answer { value, remark, request_id, origin } = answer;
    let found = value.and_then(|raw| sealed(raw, rule, source)).map(|found| {
        // It goes into the audit log, so no part of the token may be in it.
        let request_id = request_id.filter(|id| found.secret.scrubber().scrub(id) == *id);
        Found { request_id, origin, ..found }
    });
    (found, remark)
}

/// What a look-up makes of bytes that a store gave.
#[cfg(any(test, fuzzing))]
pub(crate) fn given(bytes: &[u8], rule: &FormRule) -> Option<Found> {
    sealed(Raw::copy_of(bytes), rule, env::NAME)
}

#[cfg(any(test, fuzzing))]
pub(crate) use aws::given as given_by_aws;
#[cfg(all(any(test, fuzzing), target_os = "linux"))]
pub(crate) use keyring::shown;
#[cfg(any(test, fuzzing))]
pub(crate) use vault::given as given_by_vault;
#[cfg(all(test, unix))]
pub(crate) use vault::tests::kit as vault_kit;

/// A copy to compare by and to scrub with.
fn to_compare(value: &[u8]) -> Secret {
    secret(Raw::copy_of(value))
}

/// A secret whose form is of no interest.
fn secret(raw: Raw) -> Secret {
    Secret::seal(raw.into_inner(), &FormRule::Redcap).0
}

/// Seals what a store gave. Nothing, or nothing but a line break, is blank: no hit.
fn sealed(raw: Raw, rule: &FormRule, source: &'static str) -> Option<Found> {
    let (secret, form) = Secret::seal(raw.into_inner(), rule);
    (!secret.is_blank()).then_some(Found { secret, form, source, request_id: None, origin: None })
}

#[cfg(test)]
mod tests;
