//! Logging in to a vault: the vault's own token, from the user or for what a machine has to show.

use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::answer;
use super::api::Api;
use super::trouble::{self, error};
use super::unwrap;
use super::{Entrance, NAME, Raw, Reach, json};
use crate::error::{Error, Kind, Result};
use crate::file::{self, Eyes};
use crate::project::{Login, VaultSettings};
use crate::store::blocking::on_own_thread;

/// A token of a vault's, a secret id or a JWT is no longer.
pub(super) const CAP: usize = 16 << 10;

/// How long a file system may take to hand over a small file.
const FILES: Duration = Duration::from_secs(15);

/// Where Kubernetes puts the token of a pod.
const KUBERNETES: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Being logged in.
pub(super) struct Session {
    token: Raw,
    pub(super) login: Login,
}

impl Session {
    pub(super) fn token(&self) -> &Raw {
        &self.token
    }

    /// Gives a token back that was made for this look-up: it would live on for as long as the role says, and a vault
    /// that is asked often would keep thousands. That it cannot be given back (a batch token) harms nobody.
    pub(super) async fn end(self, api: &Api<'_>) {
        if self.login != Login::Token
            && let Some(nothing) = json::object(&[])
        {
            let _ = api.post("auth/token/revoke-self", Some(&self.token), nothing).await;
        }
    }
}

/// Logs in as the settings say.
pub(super) async fn log_in(api: &Api<'_>, settings: &VaultSettings, entrance: &Entrance) -> Result<Session> {
    let login = settings.auth;
    let token = match login {
        Login::Token => own_token(api, settings, entrance).await?,
        Login::AppRole => {
            let role_id = needed(settings.role_id.as_ref(), "vault.role_id", login)?;
            let secret_id = secret_id(api, settings).await?;
            for_members(api, settings, &[("role_id", role_id.as_bytes()), ("secret_id", secret_id.bytes())]).await?
        }
        Login::Kubernetes | Login::Jwt => {
            let (role, jwt) = identity(settings, login).await?;
            for_members(api, settings, &[("role", role.as_bytes()), ("jwt", jwt.bytes())]).await?
        }
    };
    Ok(Session { token, login })
}

/// What can be said of the login without making one: whether what it takes is there, and, for a token of the vault's own,
/// whether the vault knows it. A login by a role makes tokens and uses secret ids up, so none is tried. With what helps.
pub(super) async fn prospect(api: &Api<'_>, settings: &VaultSettings, entrance: &Entrance) -> (Reach, Vec<String>) {
    let prepared = match settings.auth {
        Login::Token => own_token(api, settings, entrance).await.map(Some),
        Login::AppRole => by_role(settings).await.map(|()| None),
        login @ (Login::Kubernetes | Login::Jwt) => identity(settings, login).await.map(|_| None),
    };
    let token = match prepared {
        Ok(token) => token,
        Err(missing) => return (Reach::NoLogin(missing.message), missing.hints),
    };
    let Some(token) = token else {
        let login = settings.auth.as_str();
        let why = format!("it answers, and has what the login `{login}` takes; to log in was not tried");
        return (Reach::Untried(why), Vec::new());
    };
    match api.knows(&token).await {
        Some(true) => (Reach::Ready, Vec::new()),
        Some(false) => {
            let why = "it answers, and does not say that it knows its token: that has expired, was revoked, or may not ask \
                       about itself";
            (Reach::Untried(why.to_owned()), vec![trouble::LOG_IN_AGAIN.to_owned()])
        }
        None => (Reach::Untried("it answers; whether its token is good was not to be told".to_owned()), Vec::new()),
    }
}

/// Fails where something is missing that an `AppRole` takes.
async fn by_role(settings: &VaultSettings) -> Result<()> {
    needed(settings.role_id.as_ref(), "vault.role_id", Login::AppRole)?;
    let path = needed(settings.secret_id_file.as_ref(), "vault.secret_id_file", Login::AppRole)?;
    if let Some(wrapped) = &settings.wrapped_secret_id_file
        && read(wrapped, Eyes::Few).await?.is_some()
    {
        return Ok(());
    }
    kept_secret_id(path).await.map(drop)
}

/// The role, and what a machine has to show for it.
async fn identity(settings: &VaultSettings, login: Login) -> Result<(&str, Raw)> {
    let role = needed(settings.role.as_ref(), "vault.role", login)?;
    let default = (login == Login::Kubernetes).then(|| PathBuf::from(KUBERNETES));
    let path = settings.jwt_file.clone().or(default);
    let path = needed(path.as_ref(), "vault.jwt_file", login)?;
    // Whom a platform lets read this file is the platform's affair.
    let jwt = read(path, Eyes::Any).await?.ok_or_else(|| missing(path, "the token to log in with"))?;
    Ok((role, jwt))
}

fn needed<'a, T>(value: Option<&'a T>, setting: &str, login: Login) -> Result<&'a T> {
    value.ok_or_else(|| {
        let message =
            format!("the setting `{setting}` is missing; the login `{}` to the vault needs it", login.as_str());
        Error::new(Kind::Argument, message)
            .hint("set it in the table `[vault]` of the settings file")
            .field("setting", setting)
    })
}

/// `VAULT_TOKEN`, or what `vault login` wrote down.
async fn own_token(api: &Api<'_>, settings: &VaultSettings, entrance: &Entrance) -> Result<Raw> {
    if let Some(token) = &entrance.token {
        return Ok(trimmed(token.bytes()));
    }
    let file = settings.token_file.clone().or_else(|| Some(entrance.home.as_ref()?.join(".vault-token")));
    let token = match &file {
        Some(file) => read(file, Eyes::Few).await?,
        None => None,
    };
    token.filter(|token| !token.bytes().is_empty()).ok_or_else(|| {
        let server = api.server.origin();
        let file = file.map_or_else(|| "~/.vault-token".to_owned(), |file| file.display().to_string());
        let message = format!(
            "the vault at `{server}` cannot be asked without a token of its own: `VAULT_TOKEN` is not set, and `{file}` \
             is not there"
        );
        error("login", message)
            .hint(format!("log in in a terminal: `vault login -address={server}` (or `bao login`)"))
            .hint("where nobody logs in, use `vault.auth`: `approle`, `kubernetes` or `jwt`")
    })
}

async fn for_members(api: &Api<'_>, settings: &VaultSettings, members: &[(&str, &[u8])]) -> Result<Raw> {
    let login = settings.auth;
    let mount = settings.auth_mount.as_deref().unwrap_or(login.as_str());
    let not_text = || error("login", format!("what the login `{}` to the vault takes is not UTF-8", login.as_str()));
    let body = json::object(members).ok_or_else(not_text)?;
    let reply = api.post(&format!("auth/{mount}/login"), None, body).await?;
    answer::login(reply.status, &reply.body).map_err(|said| trouble::login_refused(api.server, login, mount, &said))
}

/// The secret id in its file; one that came wrapped is unwrapped into that file first.
async fn secret_id(api: &Api<'_>, settings: &VaultSettings) -> Result<Raw> {
    let path = needed(settings.secret_id_file.as_ref(), "vault.secret_id_file", Login::AppRole)?;
    if let Some(wrapped) = &settings.wrapped_secret_id_file {
        unwrap::unwrap(api, wrapped, path).await?;
    }
    kept_secret_id(path).await
}

async fn kept_secret_id(path: &Path) -> Result<Raw> {
    let secret_id = read(path, Eyes::Few).await?;
    secret_id.filter(|id| !id.bytes().is_empty()).ok_or_else(|| missing(path, "the secret id to log in with"))
}

/// What stands in a file, without the line break at its end.
async fn read(path: &Path, eyes: Eyes) -> Result<Option<Raw>> {
    let path = path.to_owned();
    on_files(move || secret_file(&path, eyes)).await
}

pub(super) fn secret_file(path: &Path, eyes: Eyes) -> Result<Option<Raw>> {
    let bytes: Option<Zeroizing<Vec<u8>>> =
        file::read_secret(path, CAP, eyes).map_err(|unfit| of_store(unfit.at(path, "cannot be read")))?;
    Ok(bytes.map(|bytes| trimmed(&bytes)))
}

pub(super) async fn on_files<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    on_own_thread(NAME, FILES, work).await?.ok_or_else(|| {
        error("no_answer", "the file with which to log in to the vault could not be read in time")
            .hint("check the file system that it is on")
    })
}

pub(super) fn trimmed(bytes: &[u8]) -> Raw {
    Raw::copy_of(bytes.trim_ascii())
}

fn missing(path: &Path, what: &str) -> Error {
    error("login", format!("`{}` is not there or empty: it should hold {what}", path.display()))
        .hint("ask those who run the vault for it, and see that this user may read it")
        .field("path", path.display().to_string())
}

/// A file that the store needs and cannot have is a failure of the store.
pub(super) fn of_store(mut error: Error) -> Error {
    error.kind = Kind::Store;
    error.field("state", "login")
}
