//! The Vault of `HashiCorp` and OpenBao: the KV secrets engine, in both of its versions.
//!
//! The client is our own ([`crate::net`]): no redirect is followed, certificates are verified, and the bodies of 404s,
//! which tell a deleted secret from one that never was, are read. The vault's own token is a secret like any other:
//! it wipes itself, is shown nowhere, and a login's token is given back when the look-up is over.

mod answer;
mod api;
mod login;
mod trouble;
mod unwrap;

use std::sync::Arc;

use std::path::PathBuf;

use super::json::{self, room};
use super::raw::Raw;
use super::{Answer, Pending, Reach, State, Store, Wanted};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::net::{Client, Net, NetSettings, ServerUrl};
use crate::project::{KvVersion, Login, Settings, VaultSettings};
use crate::token::{Secret, TokenName};

use answer::Said;
use api::{Api, Reply};
use trouble::{Trouble, error};

#[cfg(any(test, fuzzing))]
pub(crate) use trouble::given;

pub(super) const NAME: &str = "vault";

const NOT_HERE: &str = "no vault on this machine: neither the setting `vault.address` nor `VAULT_ADDR` is set";

/// The way into the vault, as the host's thread prepared it: the client, and what the environment holds.
pub(super) struct Entrance {
    client: Result<Client>,
    /// `VAULT_TOKEN`, where the login takes it.
    token: Option<Raw>,
    /// The user's home folder, where `~/.vault-token` is.
    home: Option<PathBuf>,
}

impl Entrance {
    /// To be called on the host's thread. `None` where no vault is set up.
    pub(super) fn take(settings: &Settings, net: &Net) -> Option<Arc<Self>> {
        settings.stores.vault.address.as_ref()?;
        let ca_file = settings.stores.vault.ca_file.clone().or_else(|| settings.net.ca_file.clone());
        let of_vault = NetSettings { ca_file, ..settings.net.clone() };
        // A connection's buffers keep what came over it: here that is a token, so none is kept.
        let client = net.fresh_client(&of_vault);
        let token = takes_variable(settings)
            .then(|| std::env::var_os("VAULT_TOKEN").filter(|token| !token.is_empty()))
            .flatten()
            .map(|token| Raw::new(token.into_encoded_bytes()));
        let home = std::env::var_os(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
        Some(Arc::new(Self { client, token, home: home.filter(|home| !home.is_empty()).map(PathBuf::from) }))
    }
}

/// Whether `VAULT_TOKEN` counts: not for another login, and not where the site says, and locks, which file has the token.
fn takes_variable(settings: &Settings) -> bool {
    let vault = &settings.stores.vault;
    let by_site = vault.token_file.is_some() && settings.is_locked("vault.token_file");
    vault.auth == Login::Token && !by_site
}

pub(super) fn open(ctx: &Ctx) -> Box<dyn Store> {
    Box::new(VaultStore { settings: ctx.settings.stores.vault.clone(), entrance: ctx.env.vault.clone() })
}

struct VaultStore {
    settings: VaultSettings,
    entrance: Option<Arc<Entrance>>,
}

/// What is being done with the vault, for messages.
#[derive(Clone, Copy)]
enum Doing {
    Reading,
    Writing,
    Removing,
}

impl VaultStore {
    /// The vault's address and the way in; `None` where none is set up.
    fn here(&self) -> Option<(&ServerUrl, &Entrance)> {
        Some((self.settings.address.as_ref()?, self.entrance.as_deref()?))
    }

    fn api<'a>(&'a self, server: &'a ServerUrl, entrance: &'a Entrance) -> Result<Api<'a>> {
        let client = entrance.client.as_ref().map_err(trouble::no_client)?;
        Ok(Api { client, server, namespace: self.settings.namespace.as_deref() })
    }

    /// Where a name is, below the mount; `None` where that takes a short name and there is none.
    fn path(&self, token_name: &str, short_name: &str) -> Option<String> {
        self.settings.path.fill(token_name, short_name)
    }

    /// The path of a request: version 2 has its data and its metadata at different places.
    fn at(&self, part: &str, path: &str) -> String {
        match self.settings.kv {
            KvVersion::One => format!("{}/{path}", self.settings.mount),
            KvVersion::Two => format!("{}/{part}/{path}", self.settings.mount),
        }
    }

    fn trouble<'a>(&'a self, server: &'a ServerUrl, path: &'a str, doing: Doing) -> Trouble<'a> {
        Trouble { settings: &self.settings, server, path, doing }
    }

    async fn read(&self, wanted: &Wanted) -> Result<Answer> {
        let Some((server, entrance)) = self.here() else { return Ok(Answer::none(Some(NOT_HERE.to_owned()))) };
        let Some(path) = self.path(wanted.token_name.as_str(), &wanted.short_name) else {
            let why = "`vault.path` has `{short_name}` in it, and the project is not set up here";
            return Ok(Answer::none(Some(why.to_owned())));
        };
        if self.settings.kv == KvVersion::One && self.settings.version.is_some() {
            return Err(Error::new(
                Kind::Argument,
                "`vault.version` is set, and secrets of `vault.kv = 1` have no versions",
            )
            .hint("leave `vault.version` out, or set `vault.kv` to 2 if the engine is of that version"));
        }
        let api = self.api(server, entrance)?;
        let session = login::log_in(&api, &self.settings, entrance).await?;
        let result = self.read_with(&api, &session, &path, server).await;
        session.end(&api).await;
        result
    }

    async fn read_with(
        &self,
        api: &Api<'_>,
        session: &login::Session,
        path: &str,
        server: &ServerUrl,
    ) -> Result<Answer> {
        let trouble = self.trouble(server, path, Doing::Reading);
        let reply = api.get(&self.at("data", path), self.settings.version, Some(session.token())).await?;
        let said = answer::secret(reply.status, &reply.body, self.settings.kv, &self.settings.field);
        if let Said::Denied = said {
            return Err(trouble.denied(session, api.knows(session.token()).await));
        }
        trouble.answer(said)
    }

    /// What stands under a path: its other fields as they are, and its version.
    async fn current(
        &self,
        api: &Api<'_>,
        session: &login::Session,
        path: &str,
        trouble: &Trouble<'_>,
    ) -> Result<Current> {
        let reply = api.get(&self.at("data", path), None, Some(session.token())).await?;
        let current = match answer::entry(reply.status, &reply.body, self.settings.kv) {
            Ok(Some(entry)) => Current { reply, version: entry.version, there: true },
            Ok(None) => Current { reply, version: 0, there: false },
            Err(Said::Denied) => return Err(trouble.denied(session, api.knows(session.token()).await)),
            Err(said) => return Err(trouble.error(said)),
        };
        Ok(current)
    }

    /// Where a name is to be put or removed, and the way there. Where an older version is read, the newest is none that
    /// anybody has looked at: it is neither replaced nor removed.
    fn to_change(&self, name: &TokenName) -> Result<(&ServerUrl, &Entrance, String)> {
        let (server, entrance) = self.here().ok_or_else(|| error("not_here", NOT_HERE))?;
        let path = self.path(name.as_str(), "").ok_or_else(by_short_name)?;
        if let Some(version) = self.settings.version {
            let message = format!(
                "`vault.version` pins version {version}, so a token that is put there would not be read, and none is \
                 removed"
            );
            return Err(error("read_only", message).hint("take `vault.version` out of the settings to use the newest"));
        }
        Ok((server, entrance, path))
    }

    async fn write(&self, name: &TokenName, secret: &Secret) -> Result<()> {
        let (server, entrance, path) = self.to_change(name)?;
        let api = self.api(server, entrance)?;
        let session = login::log_in(&api, &self.settings, entrance).await?;
        let result = self.write_with(&api, &session, &path, server, secret).await;
        session.end(&api).await;
        result
    }

    async fn write_with(
        &self,
        api: &Api<'_>,
        session: &login::Session,
        path: &str,
        server: &ServerUrl,
        secret: &Secret,
    ) -> Result<()> {
        let trouble = self.trouble(server, path, Doing::Writing);
        let current = self.current(api, session, path, &trouble).await?;
        // The version that was read is the one that is replaced: whoever wrote in between is not overwritten.
        let cas = (self.settings.kv == KvVersion::Two).then_some(current.version);
        let value = Raw::new(std::mem::take(&mut *secret.for_store()));
        let body = answer::with_field(&current.reply.body, self.settings.kv, &self.settings.field, &value, cas);
        drop(current);
        let body = body.ok_or_else(|| trouble.error(Said::NotText))?;
        let reply = api.post(&self.at("data", path), Some(session.token()), body).await?;
        self.done(&trouble, api, session, &reply).await
    }

    async fn take_away(&self, name: &TokenName) -> Result<bool> {
        let (server, entrance, path) = self.to_change(name)?;
        let api = self.api(server, entrance)?;
        let session = login::log_in(&api, &self.settings, entrance).await?;
        let result = self.take_away_with(&api, &session, &path, server).await;
        session.end(&api).await;
        result
    }

    /// Removes a secret with all of its versions: an older one would be the token still, and a deleted version makes
    /// each look-up an error.
    async fn take_away_with(
        &self,
        api: &Api<'_>,
        session: &login::Session,
        path: &str,
        server: &ServerUrl,
    ) -> Result<bool> {
        let trouble = self.trouble(server, path, Doing::Removing);
        if !self.is_alone(api, session, path, &trouble).await? {
            return Ok(false);
        }
        let reply = api.delete(&self.at("metadata", path), session.token()).await?;
        self.done(&trouble, api, session, &reply).await.map(|()| true)
    }

    /// Whether a secret is there; an error where it holds more than a token.
    async fn is_alone(
        &self,
        api: &Api<'_>,
        session: &login::Session,
        path: &str,
        trouble: &Trouble<'_>,
    ) -> Result<bool> {
        let current = self.current(api, session, path, trouble).await?;
        if current.there && answer::has_other_fields(&current.reply.body, self.settings.kv, &self.settings.field) {
            return Err(trouble.other_fields());
        }
        Ok(current.there)
    }

    async fn can_take_away(&self, name: &TokenName) -> Result<()> {
        let (server, entrance, path) = self.to_change(name)?;
        let api = self.api(server, entrance)?;
        let session = login::log_in(&api, &self.settings, entrance).await?;
        let result = self.is_alone(&api, &session, &path, &self.trouble(server, &path, Doing::Removing)).await;
        session.end(&api).await;
        result.map(drop)
    }

    async fn done(&self, trouble: &Trouble<'_>, api: &Api<'_>, session: &login::Session, reply: &Reply) -> Result<()> {
        match answer::done(reply.status, &reply.body) {
            Ok(()) => Ok(()),
            Err(Said::Denied) => Err(trouble.denied(session, api.knows(session.token()).await)),
            Err(said) => Err(trouble.error(said)),
        }
    }

    /// `asked`: whether somebody decided to use it, so that its login may be looked at.
    async fn look(&self, asked: bool) -> Result<State> {
        let what = "HashiCorp Vault or OpenBao";
        let Some((server, entrance)) = self.here() else {
            return Ok(State::new(what, None, Reach::NotHere(NOT_HERE.to_owned())));
        };
        let detail = Some(format!("{}, {}/{}", server.origin(), self.settings.mount, self.settings.path));
        let api = self.api(server, entrance)?;
        let reply = api.health().await?;
        let (reach, hints) = match answer::health(reply.status, &reply.body) {
            Ok(()) if asked => login::prospect(&api, &self.settings, entrance).await,
            Ok(()) => {
                let why = "`vault` is not among the stores that are asked for a token, so its login is not looked at";
                (Reach::NotAsked(why.to_owned()), Vec::new())
            }
            Err(Said::Sealed) => (Reach::Locked, vec![trouble::UNSEAL.to_owned()]),
            Err(said) => return Err(self.trouble(server, "", Doing::Reading).error(said)),
        };
        let reach = if self.settings.version.is_some() && reach == Reach::Ready { Reach::ReadOnly } else { reach };
        Ok(State { hints, ..State::new(what, detail, reach) })
    }
}

/// What stands under a path now.
struct Current {
    reply: Reply,
    version: u64,
    there: bool,
}

impl Store for VaultStore {
    fn name(&self) -> &'static str {
        NAME
    }

    fn binds(&self) -> bool {
        self.here().is_some()
    }

    fn get<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, Answer> {
        Box::pin(self.read(wanted))
    }

    fn put<'a>(&'a self, name: &'a TokenName, secret: &'a Secret) -> Pending<'a, ()> {
        Box::pin(self.write(name, secret))
    }

    fn remove<'a>(&'a self, name: &'a TokenName) -> Pending<'a, bool> {
        Box::pin(self.take_away(name))
    }

    fn removable<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, ()> {
        Box::pin(self.can_take_away(&wanted.token_name))
    }

    fn state(&self) -> Pending<'_, State> {
        Box::pin(self.look(true))
    }

    fn idle_state(&self) -> Pending<'_, State> {
        Box::pin(self.look(false))
    }
}

fn by_short_name() -> Error {
    error("read_only", "`vault.path` has `{short_name}` in it, so no token can be put there under its own name")
        .hint("write `{token_name}` for `{short_name}` in `vault.path`")
}

#[cfg(all(test, unix))]
pub(super) mod tests;
