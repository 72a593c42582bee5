//! What is told when a vault does not give what it is asked for.

use std::path::Path;

use super::answer::Said;
use super::login::Session;
use super::{Answer, Doing};
use crate::error::{Error, Kind, Result};
use crate::net::ServerUrl;
use crate::project::{KvVersion, Login, VaultSettings};

/// The place of a trouble: what messages need to know.
pub(super) struct Trouble<'a> {
    pub(super) settings: &'a VaultSettings,
    pub(super) server: &'a ServerUrl,
    pub(super) path: &'a str,
    pub(super) doing: Doing,
}

/// What helps where the vault is sealed.
pub(super) const UNSEAL: &str = "it has to be unsealed by those who run it; try again then";

/// What helps where the vault's own token is none any more.
pub(super) const LOG_IN_AGAIN: &str =
    "log in again in a terminal (`vault login` or `bao login`), or renew `VAULT_TOKEN`";

/// An error of the store. `state` is the fact for programs.
pub(super) fn error(state: &str, message: impl Into<String>) -> Error {
    Error::new(Kind::Store, message).field("state", state)
}

/// The client could not be made.
pub(super) fn no_client(why: &Error) -> Error {
    unreachable(why.clone())
}

/// The vault is not reached. What the network's error says stays; its kind is a fact beside.
pub(super) fn unreachable(why: Error) -> Error {
    let reason = why.kind.as_str();
    let mut told = error("unreachable", format!("the vault cannot be asked: {}", why.message)).field("reason", reason);
    told.hints = why.hints;
    told.fields.extend(why.fields);
    if why.kind == Kind::Certificate {
        told = told.hint("`vault.ca_file` names a file for the vault alone, where it is not that of the other servers");
    }
    told.hint("where this machine has no vault, take `vault` out of the order of stores (`stores`)")
}

impl Trouble<'_> {
    fn at(&self) -> String {
        format!("`{}/{}` in the vault at `{}`", self.settings.mount, self.path, self.server.origin())
    }

    fn vault(&self) -> String {
        format!("the vault at `{}`", self.server.origin())
    }

    /// The path as a policy has it, and what it has to allow.
    fn right(&self) -> String {
        let (part, capability) = match self.doing {
            Doing::Reading => ("data/", "read"),
            Doing::Writing => ("data/", "read`, `create` and `update"),
            Doing::Removing => ("metadata/", "delete"),
        };
        let part = if self.settings.kv == KvVersion::Two { part } else { "" };
        format!("a policy has to allow `{capability}` on `{}/{part}{}`", self.settings.mount, self.path)
    }

    /// Denied: `known` says whether the vault still knows the token, where that could be told.
    pub(super) fn denied(&self, session: &Session, known: Option<bool>) -> Error {
        let vault = self.vault();
        let again = match session.login {
            Login::Token => LOG_IN_AGAIN,
            _ => "the login gives tokens that end too soon: tell those who run the vault",
        };
        if known == Some(false) {
            let message = format!("{vault} does not know the token that it was asked with: it expired or was revoked");
            return error("expired", message).hint(again);
        }
        let doing = match self.doing {
            Doing::Reading => "read",
            Doing::Writing => "written",
            Doing::Removing => "removed",
        };
        let denied = error("denied", format!("{} may not be {doing} with this login", self.at())).hint(self.right());
        if known.is_none() { denied.hint(format!("or the token has expired: {again}")) } else { denied }
    }

    /// The reply to a look-up.
    pub(super) fn answer(&self, said: Said) -> Result<Answer> {
        match said {
            Said::Secret { value, request_id, origin } => Ok(Answer { request_id, origin, ..Answer::hit(value) }),
            Said::Absent => Ok(Answer::none(
                self.settings
                    .version
                    .map(|version| format!("there is no version {version} of {}, or nothing at all", self.at())),
            )),
            said => Err(self.error(said)),
        }
    }

    pub(super) fn error(&self, said: Said) -> Error {
        let (at, vault, mount, path) = (self.at(), self.vault(), &self.settings.mount, self.path);
        match said {
            Said::Deleted { version, on } => {
                let on = on.map_or_else(String::new, |on| format!(" on {on}"));
                error("deleted", format!("version {version} of {at} was deleted{on}"))
                    .hint(format!("to have it back: `vault kv undelete -mount={mount} -versions={version} {path}`"))
                    .hint(
                        "or put a new token there; removing all versions (`vault kv metadata delete`) makes it absent",
                    )
                    .field("version", version)
            }
            Said::Destroyed { version } => error("destroyed", format!("version {version} of {at} was destroyed"))
                .hint("it cannot be had back: put a new token there, or pin another version by `vault.version`")
                .field("version", version),
            Said::NoField => {
                let field = crate::token::as_name(&self.settings.field);
                error("field", format!("{at} is there and has no field `{field}`"))
                    .hint("`vault.field` names the field that holds the token, `token` by default")
            }
            Said::NotText => error("field", format!("what {at} holds as the token is not a text"))
                .hint("`vault.field` names the field that holds the token; the token is a text, in quotes"),
            Said::BadOrigin => error("field", format!("the field `origin` of {at} is not the origin of a server"))
                .hint("write scheme, host and port only, as `https://redcap.example.org`, or leave the field out"),
            Said::Sealed => error("sealed", format!("{vault} is sealed, so nothing can be read from it")).hint(UNSEAL),
            Said::NotInitialised => error("sealed", format!("{vault} was never initialised"))
                .hint("check `vault.address`; those who run it have to set it up first"),
            Said::NoMount => error("mount", format!("{vault} has no secrets engine at `{mount}`"))
                .hint("check `vault.mount` and `vault.namespace`; `vault secrets list` shows what is mounted where"),
            Said::NoNamespace => no_namespace(&vault),
            Said::Versioned => error("mount", format!("the secrets engine at `{mount}` in {vault} is of version 2"))
                .hint("set `vault.kv` to 2, or leave it out"),
            Said::Changed => error("changed", format!("somebody else has changed {at} meanwhile; nothing was written"))
                .hint("look at what is there now, and try again"),
            Said::Redirected => {
                error("failed", format!("{vault} sends us to another server, which keycap does not follow")).hint(
                    "it may be a standby: set `vault.address` to the active server, or to the address of them all",
                )
            }
            Said::Failing(status) => error("failed", format!("{vault} fails with status {status}"))
                .hint("try again later; if it stays so, tell those who run it")
                .field("status", status),
            Said::Bad => error("failed", format!("{vault} does not understand what it was asked for {at}"))
                .hint("check `vault.mount`, `vault.path` and `vault.kv`"),
            Said::NotVault(status) => {
                error("not_vault", format!("what answers at `{}` (status {status}) is no vault", self.server.origin()))
                    .hint("check `vault.address`: it names the server itself, as `https://vault.example.org:8200`")
                    .hint("a sign-on page or a gateway may stand before it")
                    .field("status", status)
            }
            Said::Denied => error("denied", format!("{at} may not be read with this login")).hint(self.right()),
            Said::Secret { .. } | Said::Absent => {
                error("failed", format!("{vault} gave an answer to another question")).hint("try again")
            }
        }
    }

    pub(super) fn other_fields(&self) -> Error {
        error("field", format!("{} holds more than a token, so it is not removed", self.at()))
            .hint("remove the field by hand: `vault kv patch` or the vault's own pages")
    }
}

fn no_namespace(vault: &str) -> Error {
    error("namespace", format!("{vault} has no namespace of this name"))
        .hint("check `vault.namespace` and `VAULT_NAMESPACE`")
}

/// A login that was not taken.
pub(super) fn login_refused(server: &ServerUrl, login: Login, mount: &str, said: &Said) -> Error {
    let vault = format!("the vault at `{}`", server.origin());
    let name = login.as_str();
    match said {
        Said::Bad | Said::Denied => {
            let told = error("login", format!("{vault} refuses the login `{name}` at `auth/{mount}`"));
            match login {
                Login::AppRole => told
                    .hint("role id and secret id do not fit, or the secret id has expired or was used as often as it may be")
                    .hint("ask those who run the vault for a new secret id, and put it into `vault.secret_id_file`"),
                _ => told
                    .hint("check `vault.role`, and that the vault trusts the issuer of the token in `vault.jwt_file`")
                    .hint("the token in that file may have expired"),
            }
        }
        Said::NoNamespace => no_namespace(&vault),
        Said::NoMount | Said::Absent => error("login", format!("{vault} has no login at `auth/{mount}`"))
            .hint("`vault.auth_mount` says where it is mounted, and `vault.namespace` in which namespace"),
        Said::Sealed => error("sealed", format!("{vault} is sealed, so nobody can log in")).hint(UNSEAL),
        Said::Failing(status) => error("failed", format!("{vault} fails with status {status}"))
            .hint("try again later; if it stays so, tell those who run it"),
        Said::Redirected => {
            error("failed", format!("{vault} sends us to another server, which keycap does not follow"))
                .hint("it may be a standby: set `vault.address` to the active server, or to the address of them all")
        }
        _ => error("not_vault", format!("what answers at `{}` is no vault", server.origin()))
            .hint("check `vault.address`: it names the server itself, as `https://vault.example.org:8200`"),
    }
}

/// A wrapping token that works no more.
pub(super) fn wrapping_used(server: &ServerUrl, path: &Path) -> Error {
    let (vault, path) = (server.origin(), path.display());
    error(
        "login",
        format!("the wrapped secret id in `{path}` was used before or has expired, says the vault at `{vault}`"),
    )
    .hint("ask those who run the vault for a new one")
    .hint("if nobody here has used it, somebody else has: tell them that, it is what the wrapping is for")
}

/// What a look-up makes of a reply of a vault's.
#[cfg(any(test, fuzzing))]
pub(crate) fn given(
    status: u16,
    body: &[u8],
    two: bool,
    rule: &crate::token::FormRule,
) -> Result<Option<crate::store::Found>> {
    let server = ServerUrl::parse("https://vault.example.org:8200/")?;
    let kv = if two { KvVersion::Two } else { KvVersion::One };
    let settings = VaultSettings { address: Some(server.clone()), kv, ..VaultSettings::default() };
    let trouble = Trouble { settings: &settings, server: &server, path: "redcap/REDCapSync_T", doing: Doing::Reading };
    let said = super::answer::secret(status, body, kv, &settings.field);
    let answer = trouble.answer(said)?;
    Ok(crate::store::found(answer, rule, super::NAME).0)
}
