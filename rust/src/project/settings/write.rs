//! Writing the user's settings file: what is to be written is checked as if it were read, before a byte changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value as Toml};

use super::edit::{Wish, edited};
use super::{
    CAP, KEYS, Layers, Settings, SettingsSource, covers, damaged, in_file, parse, policy, read, read_text, unusable,
};
use crate::ctx::Dirs;
use crate::error::{Error, Kind, Result};
use crate::file::{self, Readers, SideLock, Source};

/// How long another process is waited for that writes the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// What others keep in settings and keycap does not: it is secret, or leads to what is.
const SECRETS: [&str; 9] = [
    "token",
    "secret_id",
    "jwt",
    "password",
    "access_key",
    "access_key_id",
    "secret_key",
    "secret_access_key",
    "session_token",
];

/// A change of the user's file, checked.
pub(crate) struct Edit {
    /// The user's file.
    pub(crate) path: PathBuf,
    /// The names of the settings that change.
    pub(crate) names: Vec<String>,
    /// What was wished for and does not count, since something outranks the user's file: the setting and its place.
    pub(crate) outranked: Vec<(String, String)>,
    /// The settings as they will be.
    pub(crate) settings: Settings,
    text: String,
}

impl Edit {
    /// Works a change out and checks it. Writes nothing.
    ///
    /// # Errors
    /// `argument`: something that was wished for is no setting, cannot be used, is forbidden or locked by the site.
    /// `damaged`, `file`: the settings files. `internal`: the file cannot be changed by lines.
    pub(crate) fn of(source: SettingsSource, dirs: &Dirs, wishes: &[Wish]) -> Result<Self> {
        let path = dirs.config.join("config.toml");
        let text = read_text(&path, Source::User)?.unwrap_or_default();
        let old = parse(&text, &path)?;
        let site = read(&dirs.site, Source::Site)?;
        for wish in wishes {
            check(wish, &site, &dirs.site)?;
            if policy::KEYS.contains(&wish.name)
                && let Some(wished) = &wish.to
            {
                let places = [&path, &dirs.site].map(|path| path.display().to_string());
                policy::not_laxer(wish.name, wished, &old, &site, places.each_ref().map(String::as_str))?;
            }
        }
        let wishes: Vec<Wish> = wishes.iter().map(|wish| wish.with_others(&old)).collect();
        let wishes = wishes.as_slice();
        let text = edited(&text, wishes).ok_or_else(|| {
            Error::new(
                Kind::Internal,
                format!("`{}` cannot be changed line by line; it was left as it is", path.display()),
            )
            .hint("write the settings into the file by hand: `?keycap_settings` has them")
            .field("path", path.display().to_string())
        })?;
        if text.len() as u64 > CAP {
            return Err(damaged(&path, "it would be larger than 64 KiB"));
        }
        let new = parse(&text, &path)?;
        let changed = |key: &&str| in_file(&old, key) != in_file(&new, key);
        let names: Vec<String> = KEYS.iter().map(|(key, _)| *key).filter(changed).map(str::to_owned).collect();
        let layers = Layers::of(&source, dirs, new, site);
        let settings = Settings::of_layers(&layers, source)?;
        let here = path.display().to_string();
        let outranked = settings
            .found
            .iter()
            .filter(|(key, _, place)| *place != here && wishes.iter().any(|wish| wish.sets(key)))
            .map(|(key, _, place)| (key.clone(), place.clone()))
            .collect();
        Ok(Self { path, names, outranked, settings, text })
    }

    /// The same, of a file that nobody else writes meanwhile.
    ///
    /// # Errors
    /// As [`Edit::of`].
    pub(crate) fn prepared(source: SettingsSource, dirs: &Dirs, wishes: &[Wish]) -> Result<Prepared> {
        file::make_private_folder(&dirs.config)?;
        let lock = SideLock::take(&dirs.config.join("config.toml.lock"), false, PATIENCE)?;
        Ok(Prepared { edit: Self::of(source, dirs, wishes)?, _lock: lock })
    }
}

/// A change of the user's file, under its lock.
pub(crate) struct Prepared {
    pub(crate) edit: Edit,
    _lock: SideLock,
}

impl Prepared {
    /// Writes the file whole, for the user alone. A link stays one: what it leads to is written. Gives what was written.
    ///
    /// # Errors
    /// `file`: the old file is there as it was.
    pub(crate) fn write(self) -> Result<Edit> {
        let path = &self.edit.path;
        let target = match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => {
                std::fs::canonicalize(path).map_err(|error| file::fault(path, "leads nowhere", &error))?
            }
            _ => path.clone(),
        };
        file::replace(&target, self.edit.text.as_bytes(), Readers::Owner)?;
        Ok(self.edit)
    }
}

impl Wish {
    /// The whole of what is wished for: of the policies by project, those that are not named stay, and one that is empty
    /// goes.
    fn with_others(&self, old: &Table) -> Self {
        let (Some(Toml::Table(named)), "project_policies") = (&self.to, self.name) else { return self.clone() };
        let mut all = old.get(self.name).and_then(Toml::as_table).cloned().unwrap_or_default();
        all.extend(named.clone());
        all.retain(|_, policy| policy.as_table().is_none_or(|policy| !policy.is_empty()));
        Self { name: self.name, to: Some(Toml::Table(all)) }
    }

    /// Whether it gives a setting a value.
    fn sets(&self, key: &str) -> bool {
        match (&self.to, key.split_once('.')) {
            (None, _) => false,
            (Some(Toml::Table(members)), None) => key == self.name && !members.is_empty(),
            (Some(Toml::Table(members)), Some((table, member))) => table == self.name && members.contains_key(member),
            (Some(_), _) => key == self.name,
        }
    }

    /// The settings that it gives a value, as they stand in [`KEYS`] or would, if they were settings.
    fn keys(&self) -> Vec<String> {
        let alone = KEYS.iter().any(|(key, _)| *key == self.name);
        match &self.to {
            Some(Toml::Table(members)) if !alone => {
                members.keys().map(|name| format!("{}.{name}", self.name)).collect()
            }
            Some(Toml::Table(members)) if members.is_empty() => Vec::new(),
            Some(_) => vec![self.name.to_owned()],
            None => Vec::new(),
        }
    }
}

/// Checks what is wished for: that the site leaves it to the user, and that it can be used. Taking away is always
/// allowed: what the site locks or forbids does not count in the user's file.
fn check(wish: &Wish, site: &Table, site_file: &Path) -> Result<()> {
    let place = "the arguments";
    let known = |key: &str| KEYS.iter().any(|(known, _)| *known == key);
    let site_place = site_file.display().to_string();
    let layers = Layers { site: site.clone(), site_place: site_place.clone(), ..Layers::default() };
    let locked = layers.locked()?;
    let mut scratch = Settings::default();
    if let Some((forbidden, _)) = layers.find("forbidden_stores", &locked) {
        let set = scratch.set("forbidden_stores", &forbidden);
        set.map_err(|why| unusable("forbidden_stores", &site_place, why))?;
    }
    let keys = wish.keys();
    if let Some(stranger) = keys.iter().find(|key| !known(key)) {
        return Err(not_a_setting(stranger));
    }
    if let Some(key) = keys.iter().find(|key| locked.iter().any(|name| covers(name, key))) {
        let message = format!("the site has locked `{key}` in `{site_place}`, so nothing of yours counts for it");
        return Err(Error::new(Kind::Argument, message)
            .hint("leave it out; `stores()` shows what the site says in its place")
            .hint(format!("whoever looks after this machine can change `locked` in `{site_place}`"))
            .field("setting", key.as_str())
            .field("path", site_place));
    }
    if !keys.is_empty() && scratch.stores.forbidden.iter().any(|name| name == wish.name) {
        let name = wish.name;
        let message = format!("the site forbids the store `{name}` in `{site_place}`, so it is never asked");
        return Err(Error::new(Kind::Argument, message)
            .hint("set up another store, or ask whoever looks after this machine")
            .field("store", name)
            .field("path", site_place));
    }
    for key in &keys {
        let value = match key.split_once('.') {
            Some((_, member)) => wish.members().find(|(name, _)| *name == member).map(|(_, value)| value),
            None => wish.to.as_ref(),
        };
        let Some(value) = value else { continue };
        scratch.set(key, value).map_err(|why| unusable(key, place, why))?;
    }
    scratch.without_forbidden_in(place, &site_place, keys.iter().any(|key| key == "stores"))
}

fn not_a_setting(key: &str) -> Error {
    let (table, member) = key.split_once('.').unwrap_or(("", key));
    let shown = crate::token::as_name(member);
    let own: Vec<_> = KEYS
        .iter()
        .filter_map(|(known, _)| known.strip_prefix(table)?.strip_prefix('.'))
        .map(|m| format!("`{m}`"))
        .collect();
    let error = Error::new(Kind::Argument, format!("`{table}` has no setting `{shown}`"))
        .hint(format!("those of `{table}` are {}", own.join(", ")))
        .field("setting", format!("{table}.{shown}"));
    if SECRETS.contains(&member) {
        return error.hint("no secret stands in settings: the store takes its own from a file or the environment");
    }
    error
}

#[cfg(test)]
mod tests;
