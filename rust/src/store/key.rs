//! The key that signs checkpoints of the audit log, in a store like a token.
//!
//! It is put as 64 hexadecimal characters. That is the form of a super token, which no call takes: should somebody set
//! a project up with the key's name, the key does not go to a server.

use zeroize::Zeroizing;

use super::raw::Raw;
use super::{Reach, Wanted, env, find, keep, secret};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::hex::from_hex;
use crate::token::{Secret, TokenName};

/// The key under a name in a store. `None`: blank, or the store is not on this machine.
///
/// # Errors
/// As [`keep::get`]; `store` also where what stands there is no key.
pub(crate) async fn get_key(ctx: &Ctx, store: &str, name: &TokenName) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let Some(found) = keep::get(ctx, store, &wanted(name)).await? else { return Ok(None) };
    match signing_key(&found.secret.for_store()) {
        Some(key) => Ok(Some(key)),
        None => Err(Error::new(Kind::Store, format!("what `{store}` has under `{}` is no signing key", name.as_str()))
            .hint("a signing key has 64 hexadecimal characters; remove what stands there, or name another store")
            .field("store", store)
            .field("token_name", name.as_str())),
    }
}

/// Puts a key of 32 bytes under a name, and reads it back.
///
/// # Errors
/// As [`keep::get`]; `store` also where the store takes nothing, or gives something else back.
pub(crate) async fn put_key(ctx: &Ctx, store: &str, name: &TokenName, key: &[u8]) -> Result<()> {
    let opened = keep::opened(ctx, store, &wanted(name))?;
    opened.put(name, &as_secret(key)).await?;
    match get_key(ctx, store, name).await? {
        Some(back) if *back == key => Ok(()),
        _ => Err(Error::new(Kind::Store, format!("`{store}` took the signing key and gives something else back"))
            .field("store", store)),
    }
}

/// The first store of the order that takes a key now.
pub(crate) async fn store_for_key(ctx: &Ctx) -> Option<String> {
    for name in ctx.settings.order.iter().filter(|name| *name != env::NAME) {
        let Some(store) = find(ctx, name) else { continue };
        if store.state().await.is_ok_and(|state| matches!(state.reach, Reach::Ready | Reach::Untried(_))) {
            return Some(name.clone());
        }
    }
    None
}

fn wanted(name: &TokenName) -> Wanted {
    Wanted { token_name: name.clone(), short_name: name.as_str().to_owned(), sandbox: false }
}

/// Its characters, in a buffer of their size from the start.
fn as_secret(key: &[u8]) -> Secret {
    let mut text = Vec::with_capacity(2 * key.len());
    for byte in key {
        for digit in [byte >> 4, byte & 15] {
            text.push(b"0123456789abcdef"[usize::from(digit)]);
        }
    }
    secret(Raw::new(text))
}

/// The 32 bytes that 64 hexadecimal characters mean.
pub(crate) fn signing_key(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    from_hex(text).filter(|key| key.len() == 32)
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::project::Settings;
    use crate::store::testing::{block_on, ctx, token_name};

    /// A world whose store `command` is a folder of files.
    fn world(folder: &std::path::Path) -> Ctx {
        let program = folder.join("store");
        let script = "#!/bin/sh\ncd \"${0%/*}\"\ncase $1 in\nshow) [ -f \"${2##*/}\" ] || exit 1; cat \"${2##*/}\";;\n\
                      insert) cat > \"${4##*/}\";;\nesac\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let text = format!(
            "stores = [\"env\", \"command\"]\n[command]\npreset = \"pass\"\nprogram = \"{}\"\n",
            program.display()
        );
        let mut ctx = ctx();
        ctx.settings = Settings::of_site(&text).unwrap();
        ctx.env.command = Some(super::super::command::Surroundings::take());
        ctx
    }

    #[test]
    fn a_key_is_put_through_the_stores_own_trait_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let ctx = world(folder.path());
        let name = token_name("keycap_audit_key_1000_db01");
        assert_eq!(block_on(store_for_key(&ctx)).as_deref(), Some("command"));
        assert!(block_on(get_key(&ctx, "command", &name)).unwrap().is_none());
        block_on(put_key(&ctx, "command", &name, &[0xab; 32])).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join(name.as_str())).unwrap(), "ab".repeat(32) + "\n");
        assert_eq!(**block_on(get_key(&ctx, "command", &name)).unwrap().unwrap(), [0xab; 32]);
        // What is kept there is a super token by its form: no call would send it.
        std::fs::write(folder.path().join(name.as_str()), "no key").unwrap();
        assert_eq!(block_on(get_key(&ctx, "command", &name)).unwrap_err().kind, Kind::Store);
    }

    #[test]
    fn a_key_has_the_form_of_a_super_token_so_no_call_sends_it() {
        assert_eq!(crate::token::FormRule::Redcap.judge(&as_secret(&[7; 32]).for_store()), crate::token::Form::Super);
    }
}
