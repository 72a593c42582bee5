//! Settings of the store `vault`.

use std::path::PathBuf;

use toml::Value as Toml;

use super::{Template, folder, text, whole};
use crate::net::ServerUrl;

/// The table `[vault]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultSettings {
    /// Where the vault is. Without, there is none on this machine.
    pub address: Option<ServerUrl>,
    /// The namespace.
    pub namespace: Option<String>,
    /// Where the KV secrets engine is mounted.
    pub mount: String,
    /// The version of the engine.
    pub kv: KvVersion,
    /// The path below the mount.
    pub path: Template,
    /// The field that holds the token.
    pub field: String,
    /// The version of the secret, where it is not the newest.
    pub version: Option<u32>,
    /// How to log in.
    pub auth: Login,
    /// Where the login is mounted, where it is not under its own name.
    pub auth_mount: Option<String>,
    /// The role for `kubernetes` and `jwt`.
    pub role: Option<String>,
    /// The role id for `approle`.
    pub role_id: Option<String>,
    /// The secret id for `approle`.
    pub secret_id_file: Option<PathBuf>,
    /// A wrapped secret id for `approle`.
    pub wrapped_secret_id_file: Option<PathBuf>,
    /// The token of the login `kubernetes` or `jwt`.
    pub jwt_file: Option<PathBuf>,
    /// The vault's own token, where it is not in `~/.vault-token`.
    pub token_file: Option<PathBuf>,
    /// The vault's certificate authorities.
    pub ca_file: Option<PathBuf>,
}

/// The version of the KV secrets engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvVersion {
    /// One value a path.
    One,
    /// Values have versions.
    Two,
}

/// How keycap logs in to the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// `VAULT_TOKEN`, or a file that `vault login` writes.
    Token,
    /// A role id and a secret id.
    AppRole,
    /// The service account of a pod.
    Kubernetes,
    /// A token of another issuer.
    Jwt,
}

impl Login {
    /// The name in settings, and where the login is mounted by default.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::AppRole => "approle",
            Self::Kubernetes => "kubernetes",
            Self::Jwt => "jwt",
        }
    }
}

impl Default for VaultSettings {
    fn default() -> Self {
        Self {
            address: None,
            namespace: None,
            mount: "secret".to_owned(),
            kv: KvVersion::Two,
            path: default_name(),
            field: "token".to_owned(),
            version: None,
            auth: Login::Token,
            auth_mount: None,
            role: None,
            role_id: None,
            secret_id_file: None,
            wrapped_secret_id_file: None,
            jwt_file: None,
            token_file: None,
            ca_file: None,
        }
    }
}

/// `redcap/{token_name}`.
pub(super) fn default_name() -> Template {
    Template::parse("redcap/{token_name}").unwrap_or_else(|_| unreachable!("the braces are right"))
}

/// A template in which the token's name stands.
pub(super) fn name(value: &Toml) -> Result<Template, String> {
    let template = Template::parse(&text(value)?)?;
    if template.names_the_token() {
        Ok(template)
    } else {
        Err("it has no `{token_name}` in it, so that all projects would get the same token".to_owned())
    }
}

impl VaultSettings {
    /// Sets one member of the table.
    pub(super) fn set(&mut self, key: &str, value: &Toml) -> Result<(), String> {
        match key {
            "address" => {
                let address = ServerUrl::named(&text(value)?, "vault.address").map_err(|e| e.message)?;
                // A vault may stand below a path; what its API and its pages begin with is not part of its address.
                if ["/v1/", "/ui/"].iter().any(|end| address.url().path().ends_with(end)) {
                    return Err("it ends in `/v1` or `/ui`: give the address without that".to_owned());
                }
                self.address = Some(address);
            }
            "namespace" => {
                let namespace = path(value)?;
                if !namespace.bytes().all(|b| b.is_ascii_graphic()) {
                    return Err("it holds characters that a namespace cannot have".to_owned());
                }
                self.namespace = Some(namespace);
            }
            "mount" => self.mount = path(value)?,
            "kv" => self.kv = if whole(value, 1, 2)? == 1 { KvVersion::One } else { KvVersion::Two },
            "path" => {
                path(value)?;
                self.path = name(value)?;
            }
            "field" => self.field = text(value)?,
            "version" => self.version = Some(whole(value, 1, u32::MAX)?),
            "auth" => {
                let all = [Login::Token, Login::AppRole, Login::Kubernetes, Login::Jwt];
                let name = text(value)?;
                self.auth = all
                    .into_iter()
                    .find(|login| login.as_str() == name)
                    .ok_or("it must be `token`, `approle`, `kubernetes` or `jwt`")?;
            }
            "auth_mount" => self.auth_mount = Some(path(value)?),
            "role" => self.role = Some(text(value)?),
            "role_id" => self.role_id = Some(text(value)?),
            "secret_id_file" => self.secret_id_file = Some(folder(value)?),
            "wrapped_secret_id_file" => self.wrapped_secret_id_file = Some(folder(value)?),
            "jwt_file" => self.jwt_file = Some(folder(value)?),
            "token_file" => self.token_file = Some(folder(value)?),
            "ca_file" => self.ca_file = Some(PathBuf::from(text(value)?)),
            _ => {}
        }
        Ok(())
    }
}

/// Parts with `/` between them, none of which leads elsewhere.
fn path(value: &Toml) -> Result<String, String> {
    let text = text(value)?;
    let text = text.trim_matches('/');
    let bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(char::is_control);
    if text.split('/').any(bad) {
        return Err("it must be a path of plain parts with `/` between them".to_owned());
    }
    Ok(text.to_owned())
}
