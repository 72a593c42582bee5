//! The native stores of macOS (the login keychain) and Windows (the credential manager) through `keyring-core`,
//! whose stores know one item a name.
//!
//! All but [`system`] is tested on every platform, with the mock store of `keyring-core`.

use std::collections::HashMap;

use keyring_core::{CredentialStore, Entry, Error as Fault};
use zeroize::Zeroizing;

use super::{Answer, Raw, Result, SERVICE, denied, failed, locked};
use crate::error::Error;

fn get(store: &CredentialStore, names: &[String], is_locked: IsLocked) -> Result<Answer> {
    for name in names {
        match entry(store, name).and_then(|entry| entry.get_secret()) {
            Ok(value) => {
                let value = narrowed(Raw::new(value));
                if !value.is_blank() {
                    return Ok(Answer::hit(value));
                }
            }
            Err(Fault::NoEntry) => {}
            Err(fault) => return Err(translated(name, fault, is_locked)),
        }
    }
    Ok(Answer::none(None))
}

fn put(store: &CredentialStore, name: &str, value: &[u8], is_locked: IsLocked) -> Result<()> {
    let written = entry(store, name).and_then(|entry| {
        entry.set_secret(value)?;
        if cfg!(windows) {
            // A target of one's own choice has no user name; R's keyring lists items by it.
            entry.update_attributes(&HashMap::from([("username", name)]))?;
        }
        Ok(())
    });
    written.map_err(|fault| translated(name, fault, is_locked))
}

fn remove(store: &CredentialStore, name: &str, is_locked: IsLocked) -> Result<bool> {
    match entry(store, name).and_then(|entry| entry.delete_credential()) {
        Ok(()) => Ok(true),
        Err(Fault::NoEntry) => Ok(false),
        Err(fault) => Err(translated(name, fault, is_locked)),
    }
}

/// The item under a name, at the place where R's keyring package has it: on Windows under the target
/// `<keyring>:<service>:<user name>` with no keyring, and on this machine only (not roaming).
fn entry(store: &CredentialStore, name: &str) -> keyring_core::Result<Entry> {
    let target = format!(":{SERVICE}:{name}");
    let modifiers = HashMap::from([("target", target.as_str()), ("persistence", "Local")]);
    store.build(SERVICE, name, cfg!(windows).then_some(&modifiers))
}

/// Whether a platform's error says that the store is locked or may not ask.
type IsLocked = fn(&(dyn std::error::Error + Send + Sync + 'static)) -> bool;

/// An error of the stores in keycap's words, variant by variant: two of them carry the secret.
fn translated(name: &str, fault: Fault, is_locked: IsLocked) -> Error {
    match fault {
        Fault::BadEncoding(bytes) | Fault::BadDataFormat(bytes, _) => {
            drop(Zeroizing::new(bytes));
            failed("what it holds cannot be read")
        }
        Fault::PlatformFailure(cause) | Fault::NoStorageAccess(cause) if is_locked(cause.as_ref()) => locked(name),
        Fault::NoStorageAccess(_) => denied(),
        Fault::NoEntry => failed("it has no such item any more"),
        Fault::Ambiguous(_) => failed("it holds several items under one name"),
        Fault::TooLong(..) | Fault::Invalid(..) => failed("it does not take a name or a value of this length or form"),
        _ => failed("the operating system reports an error"),
    }
}

/// A value typed into the Windows credential manager stands there as UTF-16; a token is ASCII. Any other value
/// stays as it is.
fn narrowed(value: Raw) -> Raw {
    let bytes = value.bytes();
    let wide = !bytes.is_empty() && bytes.len().is_multiple_of(2);
    if wide && bytes.chunks_exact(2).all(|pair| pair[0].is_ascii() && pair[0] != 0 && pair[1] == 0) {
        let mut narrow = Vec::with_capacity(bytes.len() / 2);
        narrow.extend(bytes.iter().step_by(2));
        return Raw::new(narrow);
    }
    value
}

/// The platform's store.
#[cfg(any(target_os = "macos", windows))]
pub(super) mod system {
    use std::error::Error as Cause;

    use super::super::{Access, Reach};
    use super::{Answer, Result};

    pub(in super::super) fn get(access: &Access, names: &[String]) -> Result<Answer> {
        let _quiet = quiet(access)?;
        super::get(open()?.as_ref(), names, is_locked)
    }

    pub(in super::super) fn put(access: &Access, name: &str, value: &[u8]) -> Result<()> {
        let _quiet = quiet(access)?;
        super::put(open()?.as_ref(), name, value, is_locked)
    }

    pub(in super::super) fn remove(access: &Access, name: &str) -> Result<bool> {
        let _quiet = quiet(access)?;
        super::remove(open()?.as_ref(), name, is_locked)
    }

    /// Both systems have their store always; whether it is locked shows when an item is asked for.
    pub(in super::super) fn reach(_access: &Access) -> Result<Reach> {
        open().map(|_| Reach::Ready)
    }

    #[cfg(target_os = "macos")]
    fn open() -> Result<std::sync::Arc<keyring_core::CredentialStore>> {
        match apple_native_keyring_store::keychain::Store::new() {
            Ok(store) => Ok(store),
            Err(fault) => Err(super::translated(super::SERVICE, fault, is_locked)),
        }
    }

    #[cfg(windows)]
    fn open() -> Result<std::sync::Arc<keyring_core::CredentialStore>> {
        match windows_native_keyring_store::Store::new() {
            Ok(store) => Ok(store),
            Err(fault) => Err(super::translated(super::SERVICE, fault, is_locked)),
        }
    }

    /// While the value lives, the keychain opens no dialog.
    #[cfg(target_os = "macos")]
    fn quiet(access: &Access) -> Result<Option<impl Sized>> {
        if access.interactive {
            return Ok(None);
        }
        let lock = security_framework::os::macos::keychain::SecKeychain::disable_user_interaction();
        lock.map(Some).map_err(|_| super::failed("its dialogs cannot be kept closed"))
    }

    /// The credential manager opens no dialogs.
    #[cfg(windows)]
    fn quiet(_access: &Access) -> Result<Option<impl Sized>> {
        Ok(None::<()>)
    }

    /// `errSecInteractionNotAllowed`, `errSecAuthFailed`, `errSecUserCanceled`.
    #[cfg(target_os = "macos")]
    fn is_locked(cause: &(dyn Cause + Send + Sync + 'static)) -> bool {
        let error = cause.downcast_ref::<security_framework::base::Error>();
        error.is_some_and(|error| matches!(error.code(), -25308 | -25293 | -128))
    }

    /// The credential manager is unlocked with the user's session.
    #[cfg(windows)]
    fn is_locked(_cause: &(dyn Cause + Send + Sync + 'static)) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use keyring_core::mock;

    use super::*;
    use crate::store::testing::{no_trace, random_token};

    const NEVER: IsLocked = |_| false;

    fn names() -> Vec<String> {
        ["REDCapSync_A", "A"].map(str::to_owned).to_vec()
    }

    fn store() -> Arc<CredentialStore> {
        mock::Store::new().unwrap()
    }

    fn value(answer: &Answer) -> &[u8] {
        answer.value.as_ref().unwrap().bytes()
    }

    #[test]
    fn the_token_name_is_asked_before_the_short_name_and_blank_is_no_hit() {
        let store = store();
        assert!(get(store.as_ref(), &names(), NEVER).unwrap().value.is_none());
        put(store.as_ref(), "A", b"short", NEVER).unwrap();
        assert_eq!(value(&get(store.as_ref(), &names(), NEVER).unwrap()), b"short");
        put(store.as_ref(), "REDCapSync_A", b"\n", NEVER).unwrap();
        assert_eq!(value(&get(store.as_ref(), &names(), NEVER).unwrap()), b"short");
        put(store.as_ref(), "REDCapSync_A", b"long", NEVER).unwrap();
        assert_eq!(value(&get(store.as_ref(), &names(), NEVER).unwrap()), b"long");
        assert!(remove(store.as_ref(), "REDCapSync_A", NEVER).unwrap());
        assert!(!remove(store.as_ref(), "REDCapSync_A", NEVER).unwrap());
        assert_eq!(value(&get(store.as_ref(), &names(), NEVER).unwrap()), b"short");
    }

    #[test]
    fn every_failure_of_a_store_is_an_error_without_a_character_of_the_token() {
        let store = store();
        let token = random_token();
        put(store.as_ref(), "REDCapSync_A", token.as_bytes(), NEVER).unwrap();
        let cause = || Box::new(std::io::Error::other(format!("cannot decode {token}")));
        let bytes = || token.clone().into_bytes();
        let faults = [
            (Fault::BadEncoding(bytes()), "failed"),
            (Fault::BadDataFormat(bytes(), cause()), "failed"),
            (Fault::BadStoreFormat(token.clone()), "failed"),
            (Fault::PlatformFailure(cause()), "failed"),
            (Fault::NoStorageAccess(cause()), "denied"),
            (Fault::Invalid(token.clone(), token.clone()), "failed"),
            (Fault::TooLong(token.clone(), 7), "failed"),
            (Fault::NotSupportedByStore(token.clone()), "failed"),
            (Fault::Ambiguous(Vec::new()), "failed"),
        ];
        for (fault, state) in faults {
            let entry = store.build(SERVICE, "REDCapSync_A", None).unwrap();
            entry.as_any().downcast_ref::<mock::Cred>().unwrap().set_error(fault);
            let text = format!("{:?}", get(store.as_ref(), &names(), NEVER).unwrap_err());
            assert!(text.contains(&format!("{state:?}")), "{text}");
            no_trace(&token, &text);
        }
    }

    #[test]
    fn locked_is_told_apart_from_other_failures_of_the_platform() {
        let cause = || Box::new(std::io::Error::other("interaction is not allowed"));
        for fault in [Fault::PlatformFailure(cause()), Fault::NoStorageAccess(cause())] {
            let error = translated("REDCapSync_A", fault, |_| true);
            assert!(error.message.contains("locked"), "{error}");
        }
    }

    #[test]
    fn utf_16_of_ascii_is_narrowed_and_nothing_else_is_touched() {
        assert_eq!(narrowed(Raw::copy_of(b"A\0B\0")).bytes(), b"AB");
        for other in [&b""[..], b"AB", b"A\0B", b"A\0\0\0", b"\0A\0B", b"\xe4\0A\0"] {
            assert_eq!(narrowed(Raw::copy_of(other)).bytes(), other);
        }
    }
}
