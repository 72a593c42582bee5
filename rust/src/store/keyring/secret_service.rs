//! The Secret Service (GNOME Keyring, `KWallet`, `KeePassXC`) over D-Bus.
//!
//! Each look-up makes a connection of its own, so that a forked child inherits none that is in use. Secrets
//! cross D-Bus encrypted, for the sake of the buffers of libdbus, which nobody wipes; what the crate decrypts
//! is one buffer that is taken over at once. Errors are told by their D-Bus name; their texts, which others
//! wrote, are never shown.

use std::collections::HashMap;

use dbus_secret_service::{Collection, EncryptionType, Error as Fault, Item, SecretService};

use super::{
    Access, Answer, Error, PROMPT_SECONDS, Raw, Reach, Result, SERVICE, denied, dismissed, error, failed, locked,
    no_answer, not_here, to_compare,
};
use crate::token::Secret;

/// The schema of R's keyring package: it finds only items that bear it.
const SCHEMA: (&str, &str) = ("xdg:schema", "com.rstudio.keyring.password");

/// The form of libsecret's passwords.
const CONTENT_TYPE: &str = "text/plain";

/// Why there is no connection.
enum NoService {
    /// No D-Bus, or no keyring on it.
    NotHere(String),
    /// There, and failing.
    Failed(Error),
}

/// The first hit under the names. A locked item under one name ends the search: it is there.
pub(super) fn get(access: &Access, names: &[String]) -> Result<Answer> {
    let service = match connect(access) {
        Ok(service) => service,
        Err(NoService::NotHere(why)) => return Ok(Answer::none(Some(why))),
        Err(NoService::Failed(error)) => return Err(error),
    };
    for name in names {
        if let Some(value) = read(&service, access, name)? {
            return Ok(Answer::hit(value));
        }
    }
    Ok(Answer::none(blind_spot(&service, &names[0])))
}

/// Puts a value under a name: into every item that bears it, because a stale duplicate would be an ambiguity,
/// and into a new one where none is of R's schema.
pub(super) fn put(access: &Access, name: &str, value: &[u8]) -> Result<()> {
    let service = connected(access)?;
    let fault = |fault| translated(name, &fault);
    let items = unlocked_items(&service, access, name)?;
    let mut ours = false;
    for item in &items {
        item.set_secret(value, CONTENT_TYPE).map_err(fault)?;
        let attributes = item.get_attributes().map_err(fault)?;
        ours |= attributes.get(SCHEMA.0).is_some_and(|schema| schema == SCHEMA.1);
    }
    if ours {
        return Ok(());
    }
    let collection = service.get_default_collection().map_err(|fault| match fault {
        Fault::NoResult => failed("it has no default collection to put a token into")
            .hint("create one in the system's password manager, or log in to the desktop once"),
        fault => translated(name, &fault),
    })?;
    if collection.is_locked().map_err(fault)? {
        if !access.interactive {
            return Err(locked(name));
        }
        collection.unlock().map_err(fault)?;
    }
    let attributes = HashMap::from([("service", SERVICE), ("username", name), SCHEMA]);
    collection.create_item(SERVICE, attributes, value, true, CONTENT_TYPE).map_err(fault)?;
    Ok(())
}

/// Removes every item under a name.
pub(super) fn remove(access: &Access, name: &str) -> Result<bool> {
    let service = connected(access)?;
    let items = unlocked_items(&service, access, name)?;
    for item in &items {
        item.delete().map_err(|fault| translated(name, &fault))?;
    }
    Ok(!items.is_empty())
}

/// Whether the keyring can be used now.
pub(super) fn reach(access: &Access) -> Result<Reach> {
    let service = match connect(access) {
        Ok(service) => service,
        Err(NoService::NotHere(why)) => return Ok(Reach::NotHere(why)),
        Err(NoService::Failed(error)) => return Err(error),
    };
    match service.get_default_collection().and_then(|collection| collection.is_locked()) {
        Ok(true) => Ok(Reach::Locked),
        // Without a default collection nothing is locked either: the first item makes one.
        Ok(false) | Err(Fault::NoResult) => Ok(Reach::Ready),
        Err(fault) => Err(translated(SERVICE, &fault)),
    }
}

fn connected(access: &Access) -> Result<SecretService> {
    connect(access).map_err(|fault| match fault {
        NoService::NotHere(why) => not_here(&why),
        NoService::Failed(error) => error,
    })
}

fn connect(access: &Access) -> std::result::Result<SecretService, NoService> {
    if !access.bus.may_be_there() {
        return Err(NoService::NotHere(
            "no keyring on this machine: this login has no D-Bus session (no desktop)".to_owned(),
        ));
    }
    // With 0 seconds the crate gives up before it lets the service show anything.
    let seconds = if access.interactive { PROMPT_SECONDS } else { 0 };
    let open = || SecretService::connect_with_max_prompt_timeout(EncryptionType::Dh, seconds);
    // The crate waits 2 s for each answer. A keyring that D-Bus has to start first may need more: ask again.
    let first = open();
    let service = if matches!(&first, Err(fault) if is_silence(dbus_name(fault))) { open() } else { first };
    service.map_err(|fault| {
        absence(dbus_name(&fault)).map_or_else(|| NoService::Failed(translated(SERVICE, &fault)), NoService::NotHere)
    })
}

/// The value under one name. Several items are one hit when they hold the same token.
fn read(service: &SecretService, access: &Access, name: &str) -> Result<Option<Raw>> {
    let fault = |fault| translated(name, &fault);
    let found = service.search_items(attributes(name)).map_err(fault)?;
    // What is unlocked serves. Only where nothing is, the locked ones matter.
    let items = if found.unlocked.is_empty() { unlock(service, access, name, found.locked)? } else { found.unlocked };
    let mut hits: Vec<(Item<'_>, Raw)> = Vec::new();
    for item in items {
        let value = Raw::new(item.get_secret().map_err(fault)?);
        if !value.is_blank() {
            hits.push((item, value));
        }
    }
    let tokens: Vec<Secret> = hits.iter().map(|(_, value)| to_compare(value.bytes())).collect();
    if tokens.iter().any(|token| !token.is(&tokens[0], &access.rule)) {
        let items: Vec<&Item<'_>> = hits.iter().map(|(item, _)| item).collect();
        return Err(differing(service, name, &items, &tokens));
    }
    Ok(hits.into_iter().next().map(|(_, value)| value))
}

/// All items under a name, unlocked, or an error.
fn unlocked_items<'a>(service: &'a SecretService, access: &Access, name: &str) -> Result<Vec<Item<'a>>> {
    let found = service.search_items(attributes(name)).map_err(|fault| translated(name, &fault))?;
    let mut items = found.unlocked;
    items.extend(unlock(service, access, name, found.locked)?);
    Ok(items)
}

/// Lets the service ask a person, where there is one.
fn unlock<'a>(service: &SecretService, access: &Access, name: &str, items: Vec<Item<'a>>) -> Result<Vec<Item<'a>>> {
    if items.is_empty() {
        return Ok(items);
    }
    if !access.interactive {
        return Err(locked(name));
    }
    let every: Vec<&Item<'_>> = items.iter().collect();
    service.unlock_all(&every).map_err(|fault| translated(name, &fault))?;
    Ok(items)
}

fn attributes(name: &str) -> HashMap<&str, &str> {
    HashMap::from([("service", SERVICE), ("username", name)])
}

/// Some services do not show what a locked collection holds. Says so where nothing was found.
fn blind_spot(service: &SecretService, name: &str) -> Option<String> {
    let collections = service.get_all_collections().ok()?;
    let is_locked = |collection: &&Collection<'_>| collection.is_locked().unwrap_or(false);
    let collection = collections.iter().find(is_locked)?;
    let label = plain(&collection.get_label().unwrap_or_default());
    Some(format!(
        "the keyring shows nothing under `{name}`, but its collection `{label}` is locked and may hold it unseen"
    ))
}

/// The error for items under one name with different tokens. Labels are what others wrote: scrubbed of every
/// token in question.
fn differing(service: &SecretService, name: &str, items: &[&Item<'_>], tokens: &[Secret]) -> Error {
    let lines: Vec<String> = items
        .iter()
        .zip(tokens)
        .map(|(item, token)| {
            let collection = item.path.rsplit_once('/').map_or_else(String::new, |(path, _)| collection(service, path));
            let label = shown(&item.get_label().unwrap_or_default(), tokens);
            let modified = item.get_modified().map_or_else(|_| "unknown".to_owned(), utc);
            let collection = shown(&collection, tokens);
            let (attributes, print) = (attributes_of(item, tokens), print_of(token));
            format!("`{label}` in the collection `{collection}`, modified {modified}, {print}{attributes}")
        })
        .collect();
    let message = format!("the keyring holds {} items with different tokens under `{name}`", lines.len());
    let mut error = error("differing", message).field("items", lines.join("; "));
    for line in lines {
        error = error.hint(line);
    }
    error.hint("remove all but the right one in the system's password manager")
}

/// The fingerprint of a token; what is something short, such as a password, could be guessed back by it.
fn print_of(token: &Secret) -> String {
    let looks = token.n_chars() >= 20;
    if looks { token.fingerprint().to_string() } else { "no token".to_owned() }
}

/// By what else an item is known than the names by which it was found.
fn attributes_of(item: &Item<'_>, tokens: &[Secret]) -> String {
    let mut attributes: Vec<(String, String)> = item.get_attributes().unwrap_or_default().into_iter().collect();
    attributes.retain(|(name, _)| name != "service" && name != "username");
    attributes.sort();
    let told = attributes.iter().map(|(name, value)| format!(", {} `{}`", shown(name, tokens), shown(value, tokens)));
    told.collect()
}

fn collection(service: &SecretService, path: &str) -> String {
    let label = dbus_secret_service::Path::new(path.to_owned())
        .ok()
        .and_then(|path| Collection::new(service, path.into_static()).get_label().ok());
    label.unwrap_or_default()
}

/// A foreign text as it may be shown. What does not stand between backquotes is taken out before the scrubbing: it
/// could hold two halves of a token apart.
pub(crate) fn shown(text: &str, tokens: &[Secret]) -> String {
    tokens.iter().fold(plain(text), |text, token| token.scrubber().scrub(&text))
}

/// A foreign text as it may stand between backquotes.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric() || " _-.:@[]".contains(*c)).take(60).collect()
}

/// The D-Bus name of an error, where it is one.
fn dbus_name(fault: &Fault) -> &str {
    match fault {
        Fault::Dbus(error) => error.name().unwrap_or_default(),
        _ => "",
    }
}

/// Whether an answer did not come in time.
fn is_silence(name: &str) -> bool {
    let silence = ["NoReply", "Timeout", "TimedOut"];
    name.strip_prefix("org.freedesktop.DBus.Error.").is_some_and(|name| silence.contains(&name))
}

/// What counts as "no keyring on this machine", in words. The rest is a keyring that is there and fails.
fn absence(name: &str) -> Option<String> {
    let why = match name.strip_prefix("org.freedesktop.DBus.Error.")? {
        "NoServer" | "FileNotFound" | "NotSupported" => "there is no D-Bus session",
        "BadAddress" => "`DBUS_SESSION_BUS_ADDRESS` is no address of a D-Bus session",
        "ServiceUnknown" | "NameHasNoOwner" => "its D-Bus session has no Secret Service",
        name if name.starts_with("Spawn.") => "its Secret Service could not be started",
        _ => return None,
    };
    Some(format!("no keyring on this machine: {why}"))
}

/// An error of the crate in keycap's words, variant by variant: its own texts may hold anything.
fn translated(name: &str, fault: &Fault) -> Error {
    match fault {
        Fault::Locked => locked(name),
        Fault::Prompt => dismissed(name),
        Fault::NoResult => failed("it has no such item any more"),
        Fault::Crypto(_) => failed("what it sent cannot be decrypted"),
        Fault::Parse | Fault::Path(_) | Fault::UnsupportedSecretFormat => failed("its answer cannot be read"),
        Fault::Unavailable => failed("it cannot be reached"),
        Fault::Dbus(_) => match dbus_name(fault) {
            "org.freedesktop.Secret.Error.IsLocked" => locked(name),
            "org.freedesktop.Secret.Error.NoSuchObject" => failed("it has no such item any more"),
            silent if is_silence(silent) => no_answer(),
            "org.freedesktop.DBus.Error.AccessDenied" | "org.freedesktop.DBus.Error.AuthFailed" => denied(),
            "org.freedesktop.DBus.Error.Disconnected" => failed("the D-Bus session broke off"),
            "org.freedesktop.DBus.Error.UnknownMethod"
            | "org.freedesktop.DBus.Error.UnknownInterface"
            | "org.freedesktop.DBus.Error.UnknownObject" => failed("what answers is not a Secret Service"),
            _ => failed("D-Bus reports an error that keycap does not know"),
        },
        _ => failed("for a reason that keycap does not know"),
    }
}

/// Seconds since 1970 as a date and time (civil calendar from a day count, after Howard Hinnant).
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let day = day - (153 * shifted + 2) / 5 + 1;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", rest / 3600, rest % 3600 / 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_767_225_599, "2025-12-31 23:59 UTC"),
            (1_767_225_600, "2026-01-01 00:00 UTC"),
        ] {
            assert_eq!(utc(seconds), date);
        }
    }

    #[test]
    fn absent_silent_locked_and_broken_are_told_apart_by_the_name_of_the_error() {
        let name = |error: &str| format!("org.freedesktop.DBus.Error.{error}");
        for absent in ["NoServer", "FileNotFound", "ServiceUnknown", "Spawn.ChildExited", "BadAddress"] {
            assert!(absence(&name(absent)).is_some(), "{absent}");
        }
        for there in ["NoReply", "TimedOut", "AccessDenied", "Disconnected", "Failed", "UnknownMethod"] {
            assert!(absence(&name(there)).is_none(), "{there}");
        }
        assert!(is_silence(&name("NoReply")) && !is_silence(&name("ServiceUnknown")));
        assert!(absence("org.freedesktop.Secret.Error.IsLocked").is_none());
        assert!(absence("").is_none());
    }

    #[test]
    fn a_foreign_label_cannot_break_out_of_its_backquotes() {
        assert_eq!(plain("my `token`\n\u{1b}[31m{x} %s"), "my token[31mx s");
        assert_eq!(plain(&"x".repeat(100)).len(), 60);
    }
}
