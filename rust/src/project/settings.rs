//! Settings: one loader for the user's file and the site's.
//!
//! Each setting is found at the first of: option of the session (`options(keycap.timeout = 30)`), environment
//! (`KEYCAP_TIMEOUT`), the user's file (`config.toml` in the settings folder), the site's file
//! (`/etc/keycap/config.toml` or the platform's place), built-in value. What the site's file names in `locked`
//! nobody outranks. `servers`, `forbidden_stores`, `locked` and who may read what in the audit log are read from the
//! site's file alone: a user binds a server by setting a project up. `command` and `anchors`, which name programs to
//! run, come from the two files alone; so do policies, of which both files count, and the strictest.
//!
//! Settings of one store stand in a table of the file (`[vault]`), and their names have a dot: `vault.address` is
//! the option `keycap.vault.address` and the variable `KEYCAP_VAULT_ADDRESS`.

mod audit;
mod aws;
mod checkpoints;
mod command;
mod edit;
mod keyring;
mod policy;
mod span;
mod template;
mod vault;
mod write;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use audit::{AuditSecond, AuditSettings};
pub use aws::{AwsSettings, Stage};
pub use checkpoints::{Anchor, AnchorPlace, CheckpointSettings};
pub(crate) use command::is_preset;
pub use command::{CommandSettings, Preset};
pub(crate) use edit::Wish;
pub use keyring::KeyringSettings;
pub use policy::{OnBreach, OnUnknown, Policies, Policy};
pub use span::Span;
pub use template::Template;
pub use vault::{KvVersion, Login, VaultSettings};
pub(crate) use write::Edit;

use toml::{Table, Value as Toml};

use crate::ctx::Dirs;
use crate::error::{Error, Kind, Result};
use crate::file::{self, Source};
use crate::net::{NetSettings, Origin, ProxyEnv, TrustEnv};
use crate::token::{FormRule, looks_like_token};
use crate::value::{Column, Table as Columns, Value};

/// Every setting, with what it means. A name that is not in this list is an error, so that a slip in a
/// settings file cannot pass unseen.
const KEYS: [(&str, &str); 48] = [
    ("token_form", "the form of a token: `redcap`, or a length such as `40:+/=`"),
    ("stores", "the stores in the order of look-up"),
    ("forbidden_stores", "stores that are never asked on this machine (site file only)"),
    ("ca_file", "a PEM file with the institution's certificate authorities"),
    ("connect_timeout", "seconds to wait for a connection"),
    ("timeout", "seconds to wait for a whole answer"),
    ("servers", "origins that every token of this machine may go to (site file only)"),
    ("audit_dir", "the folder of the audit log"),
    ("anchors", "a list of tables: the anchors that keep checkpoints of the audit log (settings files only)"),
    ("checkpoint_every_entries", "entries of the audit log after which the next checkpoint is taken, 1000 by default"),
    ("checkpoint_every_hours", "hours after which the next checkpoint is taken, 24 by default"),
    ("anchor_limit_entries", "entries without an anchor after which calls are refused"),
    ("anchor_limit_hours", "hours without an anchor after which calls are refused"),
    ("audit_key_store", "where the key that signs checkpoints is kept: a store, or `file`"),
    ("audit_second", "a second folder that the audit log is kept in, too, or `syslog`"),
    ("audit_segment_mb", "the size in megabytes from which on the audit log goes on in another file, 64 by default"),
    ("audit_group_readable", "whether the group of its folder may read the audit log (site file only)"),
    ("audit_plain_record_ids", "whether ids of records stand in the audit log as they are (site file only)"),
    ("limit", "requests to one server in any 60 seconds"),
    ("limit_folder", "a folder through which users of this machine share the limit"),
    ("retries", "how often a read is tried again"),
    ("locked", "settings that nobody outranks, or `vault`, `aws` for all of a store's (site file only)"),
    (
        "keyring.short_name",
        "whether tokens are put into the keyring under the project's short name too, `false` by default",
    ),
    ("vault.address", "the address of the vault, as `https://vault.example.org:8200`"),
    ("vault.namespace", "the namespace in the vault"),
    ("vault.mount", "where the KV secrets engine is mounted, `secret` by default"),
    ("vault.kv", "the version of the KV secrets engine, 2 (by default) or 1"),
    ("vault.path", "the path of a token below the mount, `redcap/{token_name}` by default"),
    ("vault.field", "the field that holds the token, `token` by default"),
    ("vault.version", "the version of the secret that is read, the newest by default"),
    ("vault.auth", "how keycap logs in to the vault: `token` (by default), `approle`, `kubernetes` or `jwt`"),
    ("vault.auth_mount", "where the login is mounted, under its own name by default"),
    ("vault.role", "the role for the logins `kubernetes` and `jwt`"),
    ("vault.role_id", "the role id for the login `approle`"),
    ("vault.secret_id_file", "the file with the secret id for the login `approle`"),
    ("vault.wrapped_secret_id_file", "a file with a wrapped secret id, which is unwrapped into `vault.secret_id_file`"),
    ("vault.jwt_file", "the file with the token of the login `kubernetes` or `jwt`"),
    ("vault.token_file", "the file with the vault's own token, `~/.vault-token` by default"),
    ("vault.ca_file", "a PEM file with the certificate authorities of the vault, `ca_file` by default"),
    ("aws.region", "the region of AWS Secrets Manager"),
    ("aws.profile", "the profile in the AWS configuration files"),
    ("aws.endpoint", "the address of AWS Secrets Manager, where it is not the region's own"),
    ("aws.name", "the name of a token in AWS Secrets Manager, `redcap/{token_name}` by default"),
    ("aws.field", "the field of a JSON secret that holds the token; without it the whole secret is the token"),
    ("aws.stage", "which version is read, `AWSCURRENT` (by default) or `AWSPREVIOUS`"),
    ("command", "a table: a program and its arguments, or a preset (settings files only)"),
    ("policy", "a table: what tokens have to comply with (settings files only)"),
    ("project_policies", "a table with a policy for each of some projects, by short name (settings files only)"),
];

/// What only the site's file says.
const SITE_ONLY: [&str; 5] =
    ["servers", "forbidden_stores", "audit_group_readable", "audit_plain_record_ids", "locked"];

/// What only the two files say: no option and no environment variable names a program to run, or changes a policy.
const FILES_ONLY: [&str; 4] = ["command", "anchors", "policy", "project_policies"];

/// Variables of other programs that count as a setting's, behind its own.
const ALSO: [(&str, &str); 2] = [("vault.address", "VAULT_ADDR"), ("vault.namespace", "VAULT_NAMESPACE")];

/// Where a setting stands that nobody wrote down.
const BUILT_IN: &str = "built-in value";

/// A settings file is no larger.
const CAP: u64 = 64 << 10;

/// The merged settings of one operation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether a person is there to be asked.
    pub interactive: bool,
    /// Which values are taken for tokens.
    pub token_form: FormRule,
    /// The stores in the order of look-up.
    pub order: Vec<String>,
    /// The HTTPS client's settings.
    pub net: NetSettings,
    /// The site's list of servers.
    pub servers: Vec<Origin>,
    /// The folder of the audit log, where it is not the user's data folder.
    pub audit_dir: Option<PathBuf>,
    /// How the audit log is kept.
    pub audit: AuditSettings,
    /// Requests to one server in any 60 seconds.
    pub limit: u32,
    /// A folder through which the users of a machine or cluster share the limit.
    pub limit_folder: Option<PathBuf>,
    /// How often a read is tried again.
    pub retries: u32,
    /// The settings that the site locks.
    pub locked: Vec<String>,
    /// The settings of single stores.
    pub stores: Box<StoreSettings>,
    /// Checkpoints of the audit log, and their anchors.
    pub checkpoints: Box<CheckpointSettings>,
    /// What tokens have to comply with: of both files the strictest.
    pub policies: Box<Policies>,
    /// Where each setting was found: name, value, place.
    pub found: Vec<(String, String, String)>,
}

/// The settings of single stores.
#[derive(Clone, Debug, Default)]
pub struct StoreSettings {
    /// Stores that the site forbids: they are never asked.
    pub forbidden: Vec<String>,
    /// The store `keyring`.
    pub keyring: KeyringSettings,
    /// The store `vault`.
    pub vault: VaultSettings,
    /// The store `aws`.
    pub aws: AwsSettings,
    /// The store `command`.
    pub command: Option<CommandSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interactive: false,
            token_form: FormRule::Redcap,
            order: vec!["env".to_owned(), "keyring".to_owned()],
            net: NetSettings::default(),
            servers: Vec::new(),
            audit_dir: None,
            audit: AuditSettings::default(),
            limit: 500,
            limit_folder: None,
            retries: 2,
            locked: Vec::new(),
            stores: Box::default(),
            checkpoints: Box::default(),
            policies: Box::default(),
            found: Vec::new(),
        }
    }
}

/// What the host knows, read on the host's thread.
pub struct SettingsSource {
    /// Whether a person is there to be asked.
    pub interactive: bool,
    /// The session's options, without the prefix `keycap.`; texts.
    pub options: Vec<(String, String)>,
    /// `KEYCAP_…` variables, as setting names, and those of other programs ([`ALSO`]) by their own.
    pub environment: Vec<(String, String)>,
    /// The proxy variables.
    pub proxy: ProxyEnv,
    /// Where the environment says that trusted certificates are.
    pub trust: TrustEnv,
}

impl SettingsSource {
    /// Takes the environment's part, on the host's thread.
    pub fn take(interactive: bool, options: Vec<(String, String)>) -> Self {
        let own = KEYS.iter().map(|(key, _)| ((*key).to_owned(), variable(key)));
        let also = ALSO.iter().map(|(_, name)| ((*name).to_owned(), (*name).to_owned()));
        let environment = own
            .chain(also)
            .filter_map(|(key, name)| {
                let text = std::env::var(name).ok()?;
                (!text.is_empty()).then_some((key, text))
            })
            .collect();
        Self { interactive, options, environment, proxy: ProxyEnv::take(), trust: TrustEnv::take() }
    }
}

impl Settings {
    /// Merges the layers.
    ///
    /// # Errors
    /// `damaged`: a settings file is not TOML or names an unknown setting. `argument`: a value is not usable;
    /// the message names the place. `file`: a settings file cannot be read.
    pub fn load(source: SettingsSource, dirs: &Dirs) -> Result<Self> {
        let user = read(&dirs.config.join("config.toml"), Source::User)?;
        let layers = Layers::of(&source, dirs, user, read(&dirs.site, Source::Site)?);
        Self::of_layers(&layers, source)
    }

    fn of_layers(layers: &Layers, source: SettingsSource) -> Result<Self> {
        let mut settings = Self::merged(layers)?;
        settings.interactive = source.interactive;
        settings.net.proxy = source.proxy;
        // Where the site locks its authorities, the environment names none in place of the system's.
        if !settings.locked.iter().any(|name| name == "ca_file") {
            settings.net.trust = source.trust;
        }
        Ok(settings)
    }

    /// The settings of a site's file and of nothing else.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn of_site(text: &str) -> Result<Self> {
        let site = parse(text, Path::new("site.toml"))?;
        let site_place = "site.toml".to_owned();
        Self::merged(&Layers { site, site_place, ..Layers::default() })
    }

    fn merged(layers: &Layers) -> Result<Self> {
        let locked = layers.locked()?;
        let mut settings = Self::default();
        for (key, _) in KEYS {
            let Some((value, place)) = layers.find(key, &locked) else { continue };
            // A part of it may stand in each of the files.
            if policy::KEYS.contains(&key) {
                continue;
            }
            settings.set(key, &value).map_err(|fault| unusable(key, &place, fault))?;
            settings.found.push((key.to_owned(), plain(&value), place));
        }
        *settings.policies = Policies::read(layers, &locked, &mut settings.found)?;
        settings.locked = locked;
        settings.without_forbidden(layers)?;
        Ok(settings)
    }

    /// Takes what the site forbids out of the built-in order; an order that somebody wrote down has to do without.
    fn without_forbidden(&mut self, layers: &Layers) -> Result<()> {
        let place = self.found.iter().find(|(key, ..)| key == "stores").map(|(.., place)| place.clone());
        let site = &layers.site_place;
        self.without_forbidden_in(place.as_deref().unwrap_or_default(), site, place.is_some())?;
        let before = self.order.len();
        self.order.retain(|name| !self.stores.forbidden.contains(name));
        if self.order.is_empty() && before > 0 {
            let why = "it forbids every store that is asked by default, and no other is named";
            return Err(unusable("forbidden_stores", site, why)
                .hint("name the stores to ask by the setting `stores`, as `stores = [\"vault\"]`"));
        }
        Ok(())
    }

    /// Refuses an order that somebody wrote down and that has a forbidden store in it.
    fn without_forbidden_in(&self, place: &str, site: &str, written: bool) -> Result<()> {
        let named = self.order.iter().find(|name| self.stores.forbidden.contains(name)).filter(|_| written);
        let Some(name) = named else { return Ok(()) };
        let why = format!("it names the store `{name}`, which the site forbids in `{site}`");
        Err(unusable("stores", place, why)
            .hint(format!("take `{name}` out of the list, or ask whoever looks after this machine"))
            .field("store", name.as_str()))
    }

    fn set(&mut self, key: &str, value: &Toml) -> std::result::Result<(), String> {
        if holds_token(value) {
            return Err("it looks like a token; no setting holds one, and the token should be regenerated".to_owned());
        }
        match key {
            "token_form" => self.token_form = FormRule::parse(&text(value)?).map_err(|e| e.message)?,
            "stores" => {
                let order = texts(value)?;
                // Which stores there are, the store room knows; it names a stranger at the look-up.
                if order.is_empty() {
                    return Err("it must be a list of stores, in the order of look-up".to_owned());
                }
                if let Some(twice) = order.iter().enumerate().find(|(n, name)| order[..*n].contains(name)) {
                    return Err(format!("it names `{}` twice", crate::token::as_name(twice.1)));
                }
                self.order = order;
            }
            "ca_file" => self.net.ca_file = Some(PathBuf::from(text(value)?)),
            "connect_timeout" => self.net.connect_timeout = seconds(value)?,
            "timeout" => self.net.timeout = seconds(value)?,
            "servers" => {
                let origins = texts(value)?.iter().map(|origin| Origin::parse(origin)).collect::<Result<_>>();
                self.servers = origins.map_err(|e| e.message)?;
            }
            "audit_dir" => self.audit_dir = Some(folder(value)?),
            "limit" => self.limit = whole(value, 1, 600)?,
            "limit_folder" => self.limit_folder = Some(folder(value)?),
            "retries" => self.retries = whole(value, 0, 5)?,
            "forbidden_stores" => self.stores.forbidden = texts(value)?,
            "command" => self.stores.command = Some(CommandSettings::read(value)?),
            "policy" => self.policies.all = Policy::read(value)?,
            "project_policies" => self.policies.projects = policy::by_project(value)?,
            key if checkpoints::is_one(key) => self.checkpoints.set(key, value)?,
            _ if key.starts_with("audit_") => self.audit.set(&key["audit_".len()..], value)?,
            _ => match key.split_once('.') {
                Some(("keyring", key)) => self.stores.keyring.set(key, value)?,
                Some(("vault", key)) => self.stores.vault.set(key, value)?,
                Some(("aws", key)) => self.stores.aws.set(key, value)?,
                _ => {}
            },
        }
        Ok(())
    }

    /// Where the audit log is: the site's folder or the user's.
    pub(crate) fn audit_folder(&self, dirs: &Dirs) -> PathBuf {
        self.audit_dir.clone().unwrap_or_else(|| dirs.data.join("audit"))
    }

    /// Where each setting was found, as the host gets it.
    pub fn to_value(&self) -> Value {
        Value::List(
            self.found
                .iter()
                .map(|(key, value, place)| (key.clone(), Value::Text(format!("{value} ({place})"))))
                .collect(),
        )
    }

    /// Each setting that was found or is locked, and the order of stores in any case: its name, its value, the place,
    /// and whether the site locks it. What is locked and not set has its built-in value.
    pub(crate) fn to_table(&self) -> Columns {
        let is_locked = |key: &str| self.is_locked(key);
        let mut rows: Vec<(&str, Option<String>, &str, bool)> = Vec::new();
        for (key, _) in KEYS {
            let locked = is_locked(key) || SITE_ONLY.contains(&key);
            let mut found = self.found.iter().filter(|(found, ..)| found == key).peekable();
            match found.peek() {
                // A policy may stand in both files.
                Some(_) => rows.extend(found.map(|(_, value, place)| (key, Some(value.clone()), &**place, locked))),
                None if key == "stores" => rows.push((key, Some(self.order.join(", ")), BUILT_IN, is_locked(key))),
                None if is_locked(key) => rows.push((key, None, BUILT_IN, true)),
                None => {}
            }
        }
        Columns {
            columns: vec![
                ("setting".into(), Column::text(rows.iter().map(|row| Some(row.0)))),
                ("value".into(), Column::text(rows.iter().map(|row| row.1.as_deref()))),
                ("found_in".into(), Column::text(rows.iter().map(|row| Some(row.2)))),
                ("locked".into(), Column::flag(rows.iter().map(|row| Some(row.3)))),
            ],
        }
    }

    /// Whether the site locks a setting, by its own name or its table's.
    pub(crate) fn is_locked(&self, key: &str) -> bool {
        self.locked.iter().any(|name| covers(name, key))
    }

    /// Whether the site locks the order of stores, or a setting of one store's.
    pub(crate) fn locks(&self, store: &str) -> bool {
        self.locked.iter().any(|name| name == "stores" || covers(store, name))
    }
}

#[derive(Default)]
struct Layers {
    options: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    user: Table,
    user_place: String,
    site: Table,
    site_place: String,
}

impl Layers {
    fn of(source: &SettingsSource, dirs: &Dirs, user: Table, site: Table) -> Self {
        Self {
            options: source.options.clone(),
            environment: source.environment.clone(),
            user,
            user_place: dirs.config.join("config.toml").display().to_string(),
            site,
            site_place: dirs.site.display().to_string(),
        }
    }

    fn locked(&self) -> Result<Vec<String>> {
        let Some(value) = self.site.get("locked") else { return Ok(Vec::new()) };
        let locked = texts(value).map_err(|why| unusable("locked", &self.site_place, why))?;
        // A slip here would lock nothing, and nobody would see it.
        match locked.iter().find(|name| !KEYS.iter().any(|(key, _)| covers(name, key))) {
            None => Ok(locked),
            Some(stranger) => {
                let stranger = crate::token::as_name(stranger);
                Err(unusable("locked", &self.site_place, format!("`{stranger}` is not a setting")))
            }
        }
    }

    fn find(&self, key: &str, locked: &[String]) -> Option<(Toml, String)> {
        let site = || in_file(&self.site, key).map(|value| (value.clone(), self.site_place.clone()));
        if SITE_ONLY.contains(&key) || locked.iter().any(|name| covers(name, key)) {
            return site();
        }
        let said = |list: &[(String, String)], name: &str, place: String| {
            let text = list.iter().find(|(other, _)| other == name).map(|(_, text)| text.clone())?;
            Some((Toml::String(text), place))
        };
        let from_session = || {
            if FILES_ONLY.contains(&key) {
                return None;
            }
            said(&self.options, key, format!("option `keycap.{key}`"))
                .or_else(|| said(&self.environment, key, format!("environment variable `{}`", variable(key))))
                .or_else(|| {
                    let (_, name) = ALSO.iter().find(|(setting, _)| *setting == key)?;
                    said(&self.environment, name, format!("environment variable `{name}`"))
                })
        };
        from_session()
            .or_else(|| in_file(&self.user, key).map(|value| (value.clone(), self.user_place.clone())))
            .or_else(site)
    }
}

/// The environment variable of a setting.
fn variable(key: &str) -> String {
    format!("KEYCAP_{}", key.replace('.', "_").to_uppercase())
}

/// Whether a name in `locked` means a setting: itself, or the table that it stands in.
fn covers(name: &str, key: &str) -> bool {
    name == key || key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
}

/// A setting in a file: `vault.address` is `address` in the table `[vault]`.
fn in_file<'a>(file: &'a Table, key: &str) -> Option<&'a Toml> {
    match key.split_once('.') {
        Some((table, key)) => file.get(table)?.as_table()?.get(key),
        None => file.get(key),
    }
}

/// Whether a token stands in a value or in a part of it.
fn holds_token(value: &Toml) -> bool {
    match value {
        Toml::String(text) => looks_like_token(text),
        Toml::Array(items) => items.iter().any(holds_token),
        Toml::Table(table) => table.values().any(holds_token),
        _ => false,
    }
}

fn read(path: &Path, source: Source) -> Result<Table> {
    read_text(path, source)?.map_or_else(|| Ok(Table::new()), |text| parse(&text, path))
}

/// The text of a settings file; `None` where there is none.
fn read_text(path: &Path, source: Source) -> Result<Option<String>> {
    let bytes = file::read_small(path, CAP, source).map_err(|unfit| unfit.at(path, "cannot be read"))?;
    bytes.map(|bytes| String::from_utf8(bytes).map_err(|_| damaged(path, "it is not UTF-8"))).transpose()
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::new(Kind::Damaged, format!("the settings file `{}` is damaged: {why}", path.display()))
        .hint("correct it by hand; keycap does not go on with half of its settings")
        .field("path", path.display().to_string())
}

fn parse(text: &str, path: &Path) -> Result<Table> {
    let damaged = |why: &str| damaged(path, why);
    // The parser's own message quotes the file; only the place is told.
    let table: Table = text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        damaged(&format!("it is not TOML, near line {line}"))
    })?;
    let not_a_setting = |stranger: &str| {
        let known = KEYS.map(|(key, _)| key).join(", ");
        let stranger = stranger.split('.').map(crate::token::as_name).collect::<Vec<_>>().join(".");
        damaged(&format!("`{stranger}` is not a setting")).hint(format!("the settings are {known}"))
    };
    for (name, value) in &table {
        let within = KEYS.iter().any(|(key, _)| *key != name && covers(name, key));
        match value.as_table() {
            Some(members) if within => {
                let whole = members.keys().map(|member| format!("{name}.{member}"));
                if let Some(stranger) = whole.into_iter().find(|whole| !KEYS.iter().any(|(key, _)| key == whole)) {
                    return Err(not_a_setting(&stranger));
                }
            }
            None if within => return Err(damaged(&format!("`{name}` is a table: begin it with `[{name}]`"))),
            _ if name.contains('.') || !KEYS.iter().any(|(key, _)| key == name) => return Err(not_a_setting(name)),
            _ => {}
        }
    }
    Ok(table)
}

fn unusable(key: &str, place: &str, why: impl AsRef<str>) -> Error {
    let meaning = KEYS.iter().find(|(name, _)| *name == key).map_or("", |(_, meaning)| meaning);
    Error::new(Kind::Argument, format!("the setting `{key}` in {place} is not usable: {}", why.as_ref()))
        .hint(format!("`{key}` is {meaning}"))
        .field("setting", key)
}

fn plain(value: &Toml) -> String {
    match value {
        Toml::String(text) => text.clone(),
        Toml::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Toml::Integer(number) => number.to_string(),
        Toml::Float(number) => number.to_string(),
        Toml::Boolean(flag) => flag.to_string(),
        Toml::Table(table) => {
            let members = table.iter().map(|(name, value)| format!("{name} = {}", plain(value)));
            members.collect::<Vec<_>>().join("; ")
        }
        Toml::Datetime(time) => time.to_string(),
    }
}

fn text(value: &Toml) -> std::result::Result<String, String> {
    match value {
        Toml::String(text) if !text.is_empty() => Ok(text.clone()),
        Toml::Integer(number) => Ok(number.to_string()),
        _ => Err("it must be one text".to_owned()),
    }
}

/// A list of texts; from an option or the environment, one text with commas.
fn texts(value: &Toml) -> std::result::Result<Vec<String>, String> {
    match value {
        Toml::Array(items) => items.iter().map(text).collect(),
        Toml::String(list) => {
            Ok(list.split(',').map(|item| item.trim().to_owned()).filter(|t| !t.is_empty()).collect())
        }
        _ => Err("it must be a list of texts".to_owned()),
    }
}

fn number(value: &Toml) -> Option<f64> {
    match value {
        Toml::Integer(number) => Some(*number as f64),
        Toml::Float(number) => Some(*number),
        Toml::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn seconds(value: &Toml) -> std::result::Result<Duration, String> {
    match number(value) {
        Some(seconds) if (0.001..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("it must be a number of seconds, more than 0 and at most 86400".to_owned()),
    }
}

fn whole(value: &Toml, least: u32, most: u32) -> std::result::Result<u32, String> {
    match number(value) {
        Some(n) if n.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&n) => Ok(n as u32),
        _ => Err(format!("it must be a whole number from {least} to {most}")),
    }
}

fn flag(value: &Toml) -> std::result::Result<bool, String> {
    match value {
        Toml::Boolean(flag) => Ok(*flag),
        // As an option or a variable has it.
        Toml::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Toml::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err("it must be `true` or `false`".to_owned()),
    }
}

fn folder(value: &Toml) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text(value)?);
    if path.is_absolute() { Ok(path) } else { Err("it must be an absolute path".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn dirs(folder: &Path) -> Dirs {
        Dirs {
            config: folder.join("config"),
            data: folder.join("data"),
            session: folder.join("session"),
            site: folder.join("site.toml"),
        }
    }

    pub(super) fn source(options: &[(&str, &str)], environment: &[(&str, &str)]) -> SettingsSource {
        let owned = |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        SettingsSource {
            interactive: false,
            options: owned(options),
            environment: owned(environment),
            proxy: ProxyEnv::default(),
            trust: TrustEnv::default(),
        }
    }

    /// The user's file, as no umask makes it writable for others.
    pub(super) fn write_user_file(dirs: &Dirs, text: &str) {
        let path = dirs.config.join("config.toml");
        file::replace(&path, text.as_bytes(), file::Readers::Owner).unwrap();
    }

    #[test]
    fn option_environment_user_and_site_stand_in_this_order_and_a_lock_outranks_them_all() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = dirs(folder.path());
        std::fs::create_dir_all(&dirs.config).unwrap();
        let timeout = |options: &[(&str, &str)], environment: &[(&str, &str)]| {
            Settings::load(source(options, environment), &dirs).unwrap().net.timeout.as_secs()
        };
        assert_eq!(timeout(&[], &[]), 60);
        std::fs::write(&dirs.site, "timeout = 50\n").unwrap();
        assert_eq!(timeout(&[], &[]), 50);
        write_user_file(&dirs, "timeout = 40\n");
        assert_eq!(timeout(&[], &[]), 40);
        assert_eq!(timeout(&[], &[("timeout", "30")]), 30);
        assert_eq!(timeout(&[("timeout", "20")], &[("timeout", "30")]), 20);
        std::fs::write(&dirs.site, "timeout = 50\nlocked = [\"timeout\"]\n").unwrap();
        assert_eq!(timeout(&[("timeout", "20")], &[("timeout", "30")]), 50);
    }

    /// A value of each setting for each place: option and variable as texts, user's and site's file as TOML. All differ.
    const VALUES: &[(&str, [&str; 4])] = &[
        ("token_form", ["40", "41", "\"42\"", "\"43\""]),
        ("stores", ["env,vault", "env", "[\"vault\"]", "[\"keyring\"]"]),
        ("forbidden_stores", ["env", "keyring", "[\"aws\"]", "[\"command\"]"]),
        ("ca_file", ["/1", "/2", "\"/3\"", "\"/4\""]),
        ("connect_timeout", ["1", "2", "3", "4"]),
        ("timeout", ["1", "2", "3", "4"]),
        ("servers", ["https://a.example", "https://b.example", "[\"https://c.example\"]", "[\"https://d.example\"]"]),
        ("audit_dir", ["/1", "/2", "\"/3\"", "\"/4\""]),
        ("anchors", ["/1", "/2", "[{ file = \"/3\" }]", "[{ file = \"/4\" }]"]),
        ("checkpoint_every_entries", ["1", "2", "3", "4"]),
        ("checkpoint_every_hours", ["1", "2", "3", "4"]),
        ("anchor_limit_entries", ["1", "2", "3", "4"]),
        ("anchor_limit_hours", ["1", "2", "3", "4"]),
        ("audit_key_store", ["keyring", "vault", "\"aws\"", "\"command\""]),
        ("audit_second", ["/1", "/2", "\"/3\"", "\"syslog\""]),
        ("audit_segment_mb", ["1", "2", "3", "4"]),
        ("audit_group_readable", ["true", "false", "true", "true"]),
        ("audit_plain_record_ids", ["true", "false", "true", "true"]),
        ("limit", ["1", "2", "3", "4"]),
        ("limit_folder", ["/1", "/2", "\"/3\"", "\"/4\""]),
        ("retries", ["0", "1", "4", "3"]),
        ("locked", ["limit", "retries", "[\"timeout\"]", "[\"vault\"]"]),
        ("keyring.short_name", ["true", "false", "true", "false"]),
        ("vault.address", ["https://a.example", "https://b.example", "\"https://c.example\"", "\"https://d.example\""]),
        ("vault.namespace", ["a", "b", "\"c\"", "\"d\""]),
        ("vault.mount", ["a", "b", "\"c\"", "\"d\""]),
        ("vault.kv", ["1", "2", "1", "2"]),
        ("vault.path", ["a/{token_name}", "b/{token_name}", "\"c/{token_name}\"", "\"d/{token_name}\""]),
        ("vault.field", ["a", "b", "\"c\"", "\"d\""]),
        ("vault.version", ["1", "2", "3", "4"]),
        ("vault.auth", ["approle", "kubernetes", "\"jwt\"", "\"token\""]),
        ("vault.auth_mount", ["a", "b", "\"c\"", "\"d\""]),
        ("vault.role", ["a", "b", "\"c\"", "\"d\""]),
        ("vault.role_id", ["a", "b", "\"c\"", "\"d\""]),
        ("vault.secret_id_file", ["/1", "/2", "\"/3\"", "\"/4\""]),
        ("vault.wrapped_secret_id_file", ["/1", "/2", "\"/3\"", "\"/4\""]),
        ("vault.jwt_file", ["/1", "/2", "\"/3\"", "\"/4\""]),
        ("vault.token_file", ["/1", "/2", "\"/3\"", "\"/4\""]),
        ("vault.ca_file", ["/1", "/2", "\"/3\"", "\"/4\""]),
        ("aws.region", ["a-1", "b-1", "\"c-1\"", "\"d-1\""]),
        ("aws.profile", ["a", "b", "\"c\"", "\"d\""]),
        ("aws.endpoint", ["https://a.example", "https://b.example", "\"https://c.example\"", "\"https://d.example\""]),
        ("aws.name", ["a/{token_name}", "b/{token_name}", "\"c/{token_name}\"", "\"d/{token_name}\""]),
        ("aws.field", ["a", "b", "\"c\"", "\"d\""]),
        ("aws.stage", ["AWSPREVIOUS", "AWSCURRENT", "\"AWSPREVIOUS\"", "\"AWSCURRENT\""]),
        ("command", ["pass", "bw", "{ preset = \"pass\" }", "{ preset = \"bw\" }"]),
        ("policy", ["1", "2", "{ max_age = 3 }", "{ max_age = 4 }"]),
        ("project_policies", ["1", "2", "{ A = { max_age = 3 } }", "{ A = { max_age = 4 } }"]),
    ];

    /// The settings with each place in use or not, and the place that counts.
    #[test]
    fn each_setting_comes_from_the_first_place_that_has_it_and_what_is_locked_from_the_site_alone() {
        assert!(VALUES.iter().map(|(key, _)| *key).eq(KEYS.iter().map(|(key, _)| *key)), "each setting has its line");
        let places = ["option", "variable", "user", "site"];
        for (key, values) in VALUES.iter().copied() {
            let in_use = |place: &str, used: &[&str]| used.contains(&place);
            let layers = |used: &[&str], locked: Option<&str>| {
                let said = |n: usize| in_use(places[n], used).then(|| (key.to_owned(), values[n].to_owned()));
                let line = |n: usize| match (key.split_once('.'), in_use(places[n], used)) {
                    (_, false) => String::new(),
                    (Some((table, name)), true) => format!("[{table}]\n{name} = {}\n", values[n]),
                    (None, true) => format!("{key} = {}\n", values[n]),
                };
                let locked = locked.map(|name| format!("locked = [\"{name}\"]\n")).unwrap_or_default();
                Layers {
                    options: said(0).into_iter().collect(),
                    environment: said(1).into_iter().collect(),
                    user: line(2).parse().unwrap(),
                    user_place: "user".to_owned(),
                    site: format!("{locked}{}", line(3)).parse().unwrap(),
                    site_place: "site".to_owned(),
                }
            };
            // What counts: everything but where it was found, and the lock itself.
            let counted = |layers: &Layers| {
                let mut settings = Settings::merged(layers).unwrap();
                let place = settings.found.iter().find(|(found, ..)| found == key).map(|(.., place)| place.clone());
                settings.found.clear();
                settings.locked.clear();
                (format!("{settings:?}"), place)
            };
            let (built_in, nowhere) = counted(&layers(&[], None));
            assert!(nowhere.is_none());
            let mut seen = std::collections::BTreeSet::from([built_in.clone()]);
            for first in 0..places.len() {
                let used = &places[first..];
                let heard = if SITE_ONLY.contains(&key) {
                    "site"
                } else if FILES_ONLY.contains(&key) {
                    ["user", "site"].into_iter().find(|place| in_use(place, used)).unwrap()
                } else {
                    places[first]
                };
                let (merged, place) = counted(&layers(used, None));
                let (alone, _) = counted(&layers(&[heard], None));
                assert_eq!(merged, alone, "{key}: {used:?}");
                let place = place.unwrap();
                let named = match heard {
                    "option" => format!("option `keycap.{key}`"),
                    "variable" => format!("environment variable `{}`", variable(key)),
                    file => file.to_owned(),
                };
                assert_eq!(place, named, "{key}: {used:?}");
                seen.insert(merged);
            }
            // The test would not see a setting that is read and does nothing.
            assert!(seen.len() > 1 || key == "locked", "{key} changes nothing");

            if key == "locked" {
                continue;
            }
            let table = key.split_once('.').map_or(key, |(table, _)| table);
            for lock in [key, table] {
                for first in 0..places.len() {
                    let (merged, place) = counted(&layers(&places[first..], Some(lock)));
                    assert_eq!(merged, counted(&layers(&["site"], None)).0, "{key} locked by {lock}");
                    assert_eq!(place.as_deref(), Some("site"));
                }
                // Locked and not said: the built-in value, whatever the others say.
                let (merged, place) = counted(&layers(&places[..3], Some(lock)));
                assert_eq!((merged, place), (built_in.clone(), None), "{key} locked by {lock}");
            }
        }
    }

    #[test]
    fn where_the_site_locks_its_authorities_no_variable_names_others() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = dirs(folder.path());
        let trust = TrustEnv::of(|name| (name == "SSL_CERT_FILE").then(|| "/mine.pem".into()));
        let load = || {
            let source = SettingsSource { trust: trust.clone(), ..source(&[], &[]) };
            Settings::load(source, &dirs).unwrap().net.trust
        };
        assert_eq!(load(), trust);
        std::fs::write(&dirs.site, "locked = [\"ca_file\"]\nca_file = \"/site.pem\"\n").unwrap();
        assert_eq!(load(), TrustEnv::default());
    }

    #[test]
    fn the_table_of_settings_says_where_each_was_found_and_what_is_locked() {
        let text = "locked = [\"stores\", \"vault\"]\n[vault]\nmount = \"kv\"\n";
        let table = Settings::of_site(text).unwrap().to_table();
        let cell = |column: usize, row: usize| table.columns[column].1.text_at(row).map(str::to_owned);
        let row = |key: &str| (0..table.columns[0].1.len()).find(|row| cell(0, *row).as_deref() == Some(key)).unwrap();
        let Column::Flag(locked) = &table.columns[3].1 else { panic!() };
        for (key, value, place) in [
            ("stores", Some("env, keyring"), BUILT_IN),
            ("vault.mount", Some("kv"), "site.toml"),
            ("vault.address", None, BUILT_IN),
        ] {
            let row = row(key);
            assert_eq!(
                (cell(1, row).as_deref(), cell(2, row).as_deref(), locked[row]),
                (value, Some(place), 1),
                "{key}"
            );
        }
        assert_eq!(table.columns[0].1.len(), 2 + KEYS.iter().filter(|(key, _)| key.starts_with("vault.")).count());
    }

    #[test]
    fn servers_come_from_the_site_alone() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = dirs(folder.path());
        std::fs::create_dir_all(&dirs.config).unwrap();
        write_user_file(&dirs, "servers = [\"https://evil.example\"]\n");
        let servers = [("servers", "https://evil.example")];
        assert!(Settings::load(source(&servers, &servers), &dirs).unwrap().servers.is_empty());
        std::fs::write(&dirs.site, "servers = [\"https://redcap.example.org\"]\n").unwrap();
        let settings = Settings::load(source(&servers, &servers), &dirs).unwrap();
        assert_eq!(settings.servers, [Origin::parse("https://redcap.example.org").unwrap()]);
    }

    #[test]
    fn a_slip_in_a_settings_file_is_named_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = dirs(folder.path());
        for (text, kind, part) in [
            ("timeout = \n", Kind::Damaged, "line 1"),
            ("timeoutt = 3\n", Kind::Damaged, "`timeoutt` is not a setting"),
            ("REDCapSync_A9A3F0C7712 = 3\n", Kind::Damaged, "`(not a name)` is not a setting"),
            ("timeout = \"soon\"\n", Kind::Argument, "seconds"),
            ("stores = []\n", Kind::Argument, "list of stores"),
            ("stores = [\"env\", \"vault\", \"env\"]\n", Kind::Argument, "`env` twice"),
            ("limit = 601\n", Kind::Argument, "from 1 to 600"),
            ("audit_dir = \"here\"\n", Kind::Argument, "absolute"),
            ("audit_second = \"here\"\n", Kind::Argument, "or `syslog`"),
            ("audit_segment_mb = 0\n", Kind::Argument, "from 1 to 1024"),
            ("audit_group_readable = 1\n", Kind::Argument, "`true` or `false`"),
            ("token_form = \"19\"\n", Kind::Argument, "20"),
        ] {
            std::fs::write(&dirs.site, text).unwrap();
            let error = Settings::load(source(&[], &[]), &dirs).unwrap_err();
            assert_eq!(error.kind, kind, "{text}");
            assert!(error.message.contains(part), "{}", error.message);
            assert!(error.message.contains("site.toml"), "{}", error.message);
        }
    }

    #[test]
    fn a_stores_settings_stand_in_a_table_and_come_from_all_four_places_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = dirs(folder.path());
        std::fs::create_dir_all(&dirs.config).unwrap();
        let site = "[vault]\naddress = \"https://site.example:8200\"\nmount = \"/team/kv/\"\nkv = 1\n";
        std::fs::write(&dirs.site, site).unwrap();
        write_user_file(&dirs, "[vault]\npath = \"a/{short_name}\"\nauth = \"approle\"\nrole_id = \"r\"\n");
        let load = |options: &[(&str, &str)], environment: &[(&str, &str)]| {
            Settings::load(source(options, environment), &dirs).unwrap()
        };
        let address = |settings: &Settings| settings.stores.vault.address.as_ref().unwrap().as_str().to_owned();
        let settings = load(&[("vault.namespace", "n")], &[("vault.field", "f")]);
        assert_eq!(address(&settings), "https://site.example:8200/");
        let VaultSettings { namespace, mount, kv, path, field, auth, role_id, version, .. } = &settings.stores.vault;
        assert_eq!(
            (namespace.as_deref(), mount.as_str(), *kv, path.as_str()),
            (Some("n"), "team/kv", KvVersion::One, "a/{short_name}")
        );
        assert_eq!((field.as_str(), *auth, role_id.as_deref(), *version), ("f", Login::AppRole, Some("r"), None));
        let place = |key: &str| settings.found.iter().find(|(found, ..)| found == key).unwrap().2.clone();
        assert!(place("vault.mount").ends_with("site.toml") && place("vault.path").ends_with("config.toml"));
        assert_eq!(place("vault.namespace"), "option `keycap.vault.namespace`");
        assert_eq!(place("vault.field"), "environment variable `KEYCAP_VAULT_FIELD`");

        // The variables of the vault's own program stand behind ours, before the files.
        let both = [("VAULT_ADDR", "https://a.example"), ("vault.address", "https://b.example")];
        assert_eq!(address(&load(&[], &both[..1])), "https://a.example/");
        assert_eq!(address(&load(&[], &both)), "https://b.example/");

        // One setting is locked, or all of a store's.
        for locked in ["vault", "vault.address"] {
            std::fs::write(&dirs.site, format!("locked = [\"{locked}\"]\n{site}")).unwrap();
            let settings = load(&[], &both);
            assert_eq!(address(&settings), "https://site.example:8200/");
            assert_eq!(settings.stores.vault.path.as_str() == "a/{short_name}", locked == "vault.address");
        }
    }

    #[test]
    fn a_program_to_run_comes_from_the_two_files_alone_and_from_one_of_them_whole() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = dirs(folder.path());
        std::fs::create_dir_all(&dirs.config).unwrap();
        let said = [("command", "id"), ("command.program", "id"), ("command.preset", "pass")];
        let load = || Settings::load(source(&said, &said), &dirs).unwrap().stores.command;
        assert!(load().is_none());
        std::fs::write(&dirs.site, "[command]\nprogram = \"/site/vend\"\narguments = [\"{token_name}\"]\n").unwrap();
        let site = load().unwrap();
        assert_eq!(
            (site.program.as_str(), site.read[0].as_str(), site.write.is_none()),
            ("/site/vend", "{token_name}", true)
        );
        write_user_file(&dirs, "[command]\npreset = \"pass\"\n");
        let pass = load().unwrap();
        let words = |list: &[Template]| list.iter().map(Template::as_str).collect::<Vec<_>>().join(" ");
        assert_eq!((pass.program.as_str(), words(&pass.read)), ("pass", "show redcap/{token_name}".to_owned()));
        assert_eq!((pass.absent_status, pass.first_line), (vec![1], true));
        std::fs::write(&dirs.site, "locked = [\"command\"]\n[command]\npreset = \"bw\"\n").unwrap();
        assert_eq!(load().unwrap().preset, Some(Preset::Bw));

        let all = [
            ("pass", ""),
            ("op", "item = \"op://R/{token_name}/c\""),
            ("bw", ""),
            ("az", "item = \"https://v.vault.azure.net/secrets/{token-name}\""),
            ("gcloud", ""),
            ("secret-tool", ""),
            ("aws", ""),
        ];
        for (preset, more) in all {
            let settings = Settings::of_site(&format!("[command]\npreset = \"{preset}\"\n{more}\n")).unwrap();
            let command = settings.stores.command.unwrap();
            assert_eq!(command.preset.map(Preset::as_str), Some(preset));
            assert_eq!(command.program, preset);
            assert!(command.read.iter().any(Template::names_the_token) && !words(&command.read).contains("{item}"));
        }
    }

    #[test]
    fn a_slip_in_a_stores_settings_is_named() {
        for (text, kind, part) in [
            ("[vault]\nadress = \"x\"\n", Kind::Damaged, "`vault.adress` is not a setting"),
            ("[vault]\nREDCapSync_A9A3F0C7712 = 1\n", Kind::Damaged, "`vault.(not a name)` is not"),
            ("vault = 3\n", Kind::Damaged, "`vault` is a table"),
            ("\"vault.address\" = \"https://a.example\"\n", Kind::Damaged, "is not a setting"),
            ("[vault]\naddress = \"http://a.example\"\n", Kind::Argument, "not encrypted"),
            ("[vault]\npath = \"redcap/token\"\n", Kind::Argument, "the same token"),
            ("[vault]\npath = \"../{token_name}\"\n", Kind::Argument, "plain parts"),
            ("[vault]\npath = \"{name}\"\n", Kind::Argument, "braces"),
            ("[vault]\nkv = 3\n", Kind::Argument, "from 1 to 2"),
            ("[vault]\nauth = \"ldap\"\n", Kind::Argument, "`approle`"),
            ("[vault]\nsecret_id_file = \"here\"\n", Kind::Argument, "absolute"),
            ("[vault]\nnamespace = \"a b\"\n", Kind::Argument, "namespace"),
            ("[keyring]\nshort_name = 1\n", Kind::Argument, "`true` or `false`"),
            ("[keyring]\nservice = \"x\"\n", Kind::Damaged, "`keyring.service` is not a setting"),
            ("[aws]\nregion = \"x.example.org/\"\n", Kind::Argument, "region"),
            ("[aws]\nstage = \"AWSPENDING\"\n", Kind::Argument, "`AWSPREVIOUS`"),
            ("command = \"pass\"\n", Kind::Argument, "must be a table"),
            ("[command]\nprogram = \"pass\"\n", Kind::Argument, "list of texts"),
            ("[command]\nprogram = \"bin/pass\"\narguments = [\"{token_name}\"]\n", Kind::Argument, "absolute path"),
            ("[command]\nprogram = \"pass\"\narguments = [\"x\"]\n", Kind::Argument, "the same token"),
            ("[command]\npreset = \"lastpass\"\n", Kind::Argument, "`gcloud`"),
            ("[command]\npreset = \"pass\"\narguments = [\"x\"]\n", Kind::Argument, "brings its own"),
            ("[command]\npreset = \"op\"\n", Kind::Argument, "needs `item`"),
            ("[command]\npreset = \"pass\"\nitem = \"-x{token_name}\"\n", Kind::Argument, "dash"),
            ("[command]\npreset = \"pass\"\nabsent_status = [0]\n", Kind::Argument, "from 1 to 255"),
            ("[command]\npreset = \"pass\"\nshell = true\n", Kind::Argument, "`shell` is none of"),
            ("locked = [\"vualt\"]\n", Kind::Argument, "`vualt` is not a setting"),
        ] {
            let error = Settings::of_site(text).unwrap_err();
            assert_eq!(error.kind, kind, "{text}");
            assert!(error.message.contains(part), "{}", error.message);
            assert!(error.message.contains("site.toml"), "{}", error.message);
        }
        // A token among the arguments is not repeated.
        let token = "9A3F0C7712DE48B65A90EF1234CD7788"; // made up
        let text = format!("[command]\nprogram = \"x\"\narguments = [\"{token}\", \"{{token_name}}\"]\n");
        let error = Settings::of_site(&text).unwrap_err();
        assert!(error.message.contains("looks like a token") && !format!("{error:?}").contains(&token[..8]));
    }

    #[test]
    fn what_the_site_forbids_is_not_in_the_order_and_naming_it_is_an_error_with_both_files() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = dirs(folder.path());
        std::fs::create_dir_all(&dirs.config).unwrap();
        let load = |options: &[(&str, &str)]| Settings::load(source(options, &[]), &dirs);
        // The user's word on it counts for nothing.
        write_user_file(&dirs, "forbidden_stores = [\"keyring\"]\n");
        assert_eq!(load(&[("forbidden_stores", "env")]).unwrap().order, ["env", "keyring"]);
        std::fs::write(&dirs.site, "forbidden_stores = [\"env\"]\n").unwrap();
        assert_eq!(load(&[]).unwrap().order, ["keyring"]);
        assert_eq!(load(&[("stores", "keyring,vault")]).unwrap().order, ["keyring", "vault"]);
        write_user_file(&dirs, "stores = [\"vault\", \"env\"]\n");
        let error = load(&[]).unwrap_err();
        assert_eq!(error.kind, Kind::Argument);
        assert!(error.message.contains("config.toml") && error.message.contains("site.toml"), "{}", error.message);
        assert!(error.message.contains("`env`") && error.hints.iter().any(|hint| hint.contains("out of the list")));
        write_user_file(&dirs, "");
        std::fs::write(&dirs.site, "forbidden_stores = [\"env\", \"keyring\"]\n").unwrap();
        assert!(load(&[]).unwrap_err().message.contains("every store"));
    }

    #[cfg(unix)]
    #[test]
    fn a_settings_file_of_the_users_that_others_may_change_is_not_believed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let dirs = dirs(folder.path());
        std::fs::create_dir_all(&dirs.config).unwrap();
        let path = dirs.config.join("config.toml");
        write_user_file(&dirs, "timeout = 40\n");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).unwrap();
        let error = Settings::load(source(&[], &[]), &dirs).unwrap_err();
        assert_eq!(error.kind, Kind::File);
        assert!(error.hints[0].contains("chmod go-w"), "{:?}", error.hints);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Settings::load(source(&[], &[]), &dirs).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_or_a_device_in_the_place_of_a_settings_file_is_an_error_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = dirs(folder.path());
        for make in [pipe as fn(&Path), zero] {
            make(&dirs.site);
            let error = Settings::load(source(&[], &[]), &dirs).unwrap_err();
            assert_eq!(error.kind, Kind::File);
            assert!(error.message.contains("site.toml"), "{}", error.message);
            std::fs::remove_file(&dirs.site).unwrap();
        }
        std::fs::write(&dirs.site, "#".repeat(CAP as usize + 1)).unwrap();
        let error = Settings::load(source(&[], &[]), &dirs).unwrap_err();
        assert!(error.message.contains("64 KiB"), "{}", error.message);
        std::fs::write(&dirs.site, [b'#', 255, b'\n']).unwrap();
        assert_eq!(Settings::load(source(&[], &[]), &dirs).unwrap_err().kind, Kind::Damaged);
    }

    #[cfg(unix)]
    fn pipe(path: &Path) {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    }

    #[cfg(unix)]
    fn zero(path: &Path) {
        std::os::unix::fs::symlink("/dev/zero", path).unwrap();
    }
}
