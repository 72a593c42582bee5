//! One store, by its name: what a person looks up, puts or removes in it.
//!
//! The entries in the audit log are the caller's: one before the change, its outcome after it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinSet;

use super::step::step;
use super::{Found, Open, Reach, STORES, State, Store, Wanted, find, found, names, sandbox, to_compare, unknown_store};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::hex::hex;
use crate::net::Origin;
use crate::token::{Form, Secret, TokenName};

/// What stands under a name in one store, and the origin beside it, which is there also where the token is blank.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) found: Option<Found>,
    pub(crate) origin: Option<Origin>,
}

/// What stands under a name in one store. `None`: blank, or the store is not on this machine.
///
/// # Errors
/// `argument`: no such store, or a forbidden one. `store`: it is there and fails.
pub(crate) async fn get(ctx: &Ctx, store: &str, wanted: &Wanted) -> Result<Option<Found>> {
    held(ctx, store, wanted).await.map(|held| held.found)
}

/// The same, with the origin beside it.
///
/// # Errors
/// As [`get`].
pub(crate) async fn held(ctx: &Ctx, store: &str, wanted: &Wanted) -> Result<Held> {
    let store = opened(ctx, store, wanted)?;
    let source = store.name();
    let answer = store.get(wanted).await.map_err(|error| named(error, source, wanted))?;
    let origin = answer.origin.clone();
    let (found, remark) = found(answer, &ctx.settings.token_form, source);
    if let Some(remark) = remark {
        ctx.log.once(remark);
    }
    Ok(Held { found, origin })
}

/// Puts a token under a name, in place of what was there, and reads it back. Only a well-formed project token is put.
///
/// # Errors
/// `argument`: no such store, or a forbidden one. `token_form`: it is no project token; nothing was written. `store`:
/// the store is not on this machine, does not take it, or gives something else back afterwards.
pub(crate) async fn put(ctx: &Ctx, store: &str, wanted: &Wanted, secret: &Secret, form: &Form) -> Result<()> {
    if *form != Form::Project {
        return Err(Error::new(Kind::Internal, "what is no project token was about to be stored"));
    }
    let store = opened(ctx, store, wanted)?;
    let source = store.name();
    store.put_for(wanted, secret).await.map_err(|error| named(error, source, wanted))?;
    let answer = store.get(wanted).await.map_err(|error| {
        let wrote = "the store took the token before that: it may be stored; look with `view_project_token()`";
        named(error, source, wanted).hint(wrote)
    })?;
    let (back, _) = found(answer, &ctx.settings.token_form, source);
    if back.is_some_and(|back| back.secret.is(secret, &ctx.settings.token_form)) {
        return Ok(());
    }
    let name = wanted.token_name.as_str();
    let message = format!("`{source}` took the token under `{name}` and gives something else back");
    let error = Error::new(Kind::Store, message)
        .hint("look what the store holds with `view_project_token()`; a pinned version in the settings is one cause")
        .field("state", "read_back");
    Err(named(error, source, wanted))
}

/// Whether a store takes tokens, asked before a person is. A locked one does: it is unlocked, or says so, later.
///
/// # Errors
/// As [`get`]; `store` too where the store is not on this machine or is only read.
pub(crate) async fn takes_tokens(ctx: &Ctx, store: &str, wanted: &Wanted) -> Result<()> {
    let store = opened(ctx, store, wanted)?;
    let source = store.name();
    let State { reach, hints, .. } = store.state().await.map_err(|error| error.field("store", source))?;
    let (state, message) = match reach {
        Reach::Ready | Reach::Untried(_) | Reach::Locked => return Ok(()),
        Reach::ReadOnly => ("read_only", format!("`{source}` is only read, so no token is set there")),
        Reach::NoLogin(why) => ("login", why),
        Reach::NotHere(why) | Reach::NotAsked(why) => ("not_here", why),
    };
    let error = Error::new(Kind::Store, message).field("state", state).field("store", source);
    Err(hints.into_iter().fold(error, Error::hint))
}

/// Fails where a store is not on this machine: what it holds is not known then, which is not the same as nothing.
///
/// # Errors
/// As [`get`]; `store` too where the store is not on this machine.
pub(crate) async fn is_here(ctx: &Ctx, store: &str, wanted: &Wanted) -> Result<()> {
    let store = opened(ctx, store, wanted)?;
    let source = store.name();
    let State { reach, hints, .. } = store.state().await.map_err(|error| error.field("store", source))?;
    let (Reach::NotHere(why) | Reach::NotAsked(why)) = reach else { return Ok(()) };
    let error = Error::new(Kind::Store, why).field("state", "not_here").field("store", source);
    let error = hints.into_iter().fold(error, Error::hint);
    Err(error.hint("`stores()` shows which stores this machine has, and in which file each is set up"))
}

/// Removes what a look-up for a project gives in one store: the names that it stood under, none where there was nothing.
///
/// # Errors
/// As [`get`].
pub(crate) async fn remove(ctx: &Ctx, store: &str, wanted: &Wanted) -> Result<Vec<String>> {
    let store = opened(ctx, store, wanted)?;
    let source = store.name();
    store.remove_for(wanted).await.map_err(|error| named(error, source, wanted))
}

/// Fails where [`remove`] is known to fail. Changes nothing.
///
/// # Errors
/// As [`get`]; `file`: the file that sets a variable cannot be edited.
pub(crate) async fn removable(ctx: &Ctx, store: &str, wanted: &Wanted) -> Result<()> {
    let store = opened(ctx, store, wanted)?;
    let source = store.name();
    store.removable(wanted).await.map_err(|error| named(error, source, wanted))
}

/// What is put under a name of nobody's: no token.
const PROBE: &[u8] = b"keycap looks whether two stores are one place";

/// Whether what one store has under a name is there in another under that name too: then the two are one place, and what
/// is removed from one is gone from both. Asked with a name and a text of its own, which is removed again.
///
/// # Errors
/// As [`get`]; those of putting and removing.
pub(crate) async fn is_shown_by(ctx: &Ctx, store: &str, by: &str, wanted: &Wanted) -> Result<bool> {
    let (store, by) = (opened(ctx, store, wanted)?, opened(ctx, by, wanted)?);
    let mut number = [0; 4];
    ctx.random.fill(&mut number)?;
    let name = TokenName::new(&format!("keycap_probe_{}", hex(&number)))?;
    let wanted = Wanted { short_name: name.as_str().to_owned(), token_name: name.clone(), sandbox: false };
    store.put(&name, &to_compare(PROBE)).await.map_err(|error| named(error, store.name(), &wanted))?;
    step("probe put");
    // A program that fails over a name that it does not have is one that does not have it.
    let seen = by.get(&wanted).await.ok().and_then(|answer| answer.value);
    store.remove(&name).await.map_err(|error| named(error, store.name(), &wanted))?;
    Ok(seen.is_some_and(|seen| seen.bytes().trim_ascii() == PROBE))
}

/// How long a store may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(15);

/// Every store that there is, with what it says of itself. One that is forbidden is not asked; one that keeps silent
/// is an error like another, and keeps nobody else waiting: all are asked side by side.
pub(crate) async fn states(ctx: &Ctx) -> Vec<(&'static str, Result<State>)> {
    states_of(ctx, STORES, PATIENCE).await
}

pub(super) async fn states_of(
    ctx: &Ctx,
    stores: &'static [(&'static str, Open)],
    patience: Duration,
) -> Vec<(&'static str, Result<State>)> {
    // Dropped (the user interrupted), it drops what is asked, too.
    let mut asked = JoinSet::new();
    for (place, (name, open)) in stores.iter().enumerate() {
        let ctx = ctx.clone();
        asked.spawn(async move {
            let state = match allowed(&ctx, name) {
                Ok(()) => {
                    let store = open(&ctx);
                    let in_order = ctx.settings.order.iter().any(|asked| asked == name);
                    let state = if in_order { store.state() } else { store.idle_state() };
                    let said = tokio::time::timeout(patience, state).await;
                    said.unwrap_or_else(|_| Err(silent(name, patience)))
                }
                Err(error) => Err(error),
            };
            (place, state)
        });
    }
    let mut said = HashMap::new();
    while let Some(answer) = asked.join_next().await {
        said.extend(answer.ok());
    }
    let broke_off = |name: &str| Error::new(Kind::Internal, format!("the store `{name}` broke off"));
    let each = stores.iter().enumerate();
    each.map(|(place, (name, _))| (*name, said.remove(&place).unwrap_or_else(|| Err(broke_off(name))))).collect()
}

fn silent(name: &str, patience: Duration) -> Error {
    Error::new(Kind::Store, format!("`{name}` did not say within {} s whether it can be used", patience.as_secs()))
        .hint("try again; where it stays silent, look at its server or service")
        .field("state", "no_answer")
}

/// The sandbox's store is there for what goes to a sandbox, and for nothing else.
pub(super) fn opened(ctx: &Ctx, name: &str, wanted: &Wanted) -> Result<Box<dyn Store>> {
    if name == sandbox::NAME {
        if wanted.sandbox {
            return Ok(sandbox::open(ctx));
        }
        let message = "the store `sandbox` holds tokens of a sandbox that this session started, and of no other server";
        return Err(Error::new(Kind::Argument, message)
            .hint(format!("take one of {}", names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")))
            .field("store", sandbox::NAME));
    }
    allowed(ctx, name)?;
    find(ctx, name).ok_or_else(|| unknown_store("store", name))
}

/// A slip in what the site forbids would forbid nothing, so it is an error here as in a look-up.
fn allowed(ctx: &Ctx, name: &str) -> Result<()> {
    let forbidden = &ctx.settings.stores.forbidden;
    if let Some(slip) = forbidden.iter().find(|slip| !names().any(|known| known == *slip)) {
        return Err(unknown_store("forbidden_stores", slip));
    }
    if !forbidden.iter().any(|other| other == name) {
        return Ok(());
    }
    let left: Vec<String> =
        names().filter(|name| !forbidden.iter().any(|other| other == name)).map(|name| format!("`{name}`")).collect();
    let message = format!("the site forbids the store `{}` on this machine", crate::token::as_name(name));
    Err(Error::new(Kind::Argument, message)
        .hint(format!("take another one of {}", left.join(", ")))
        .field("store", name))
}

fn named(error: Error, source: &'static str, wanted: &Wanted) -> Error {
    error.field("store", source).field("token_name", wanted.token_name.as_str())
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::os::unix::fs::PermissionsExt;

    use zeroize::Zeroizing;

    use super::*;
    use crate::project::Settings;
    use crate::store::command::Surroundings;
    use crate::store::testing::{self, block_on, heard, no_trace, random_token, token_name, wanted};
    use crate::store::{Environment, Reach};
    use crate::token::FormRule;

    const NAME: &str = "REDCapSync_X";

    /// A program in the place of `pass` that keeps what it is given in a folder of its own: the real one is tested with
    /// its store, and does not forget or alter what it takes.
    struct World {
        folder: tempfile::TempDir,
        ctx: Ctx,
    }

    impl World {
        fn new(insert: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let place = folder.path().display();
            let script = format!(
                "#!/bin/sh\nfor item; do :; done\nfile={place}/$(basename \"$item\")\ncase $1 in\n\
                 show) test -e \"$file.fails\" && exit 7; test -e \"$file\" || exit 1; cat \"$file\" ;;\n\
                 insert) {insert} ;;\n\
                 rm) test -e \"$file\" || exit 1; rm \"$file\" ;;\nesac\n"
            );
            let program = folder.path().join("pass");
            std::fs::write(&program, script).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            let mut ctx = testing::ctx();
            ctx.settings = Settings::of_site("[command]\npreset = \"pass\"\n").unwrap();
            ctx.env = Environment::with(&token_name(NAME), b"");
            let path = format!("{place}:/usr/bin:/bin").into_bytes();
            ctx.env.command = Some(Surroundings::of([(b"PATH".to_vec(), Zeroizing::new(path))].into_iter()));
            Self { folder, ctx }
        }

        fn get(&self) -> Option<Found> {
            block_on(get(&self.ctx, "command", &wanted(NAME))).unwrap()
        }

        fn put(&self, token: &str) -> Result<()> {
            let (secret, form) = sealed(token);
            block_on(put(&self.ctx, "command", &wanted(NAME), &secret, &form))
        }

        fn remove(&self) -> bool {
            !block_on(remove(&self.ctx, "command", &wanted(NAME))).unwrap().is_empty()
        }
    }

    fn sealed(token: &str) -> (Secret, Form) {
        Secret::seal(Zeroizing::new(token.as_bytes().to_vec()), &FormRule::Redcap)
    }

    fn field(error: &Error, name: &str) -> String {
        let found = error.fields.iter().find(|(known, _)| known == name);
        found.and_then(|(_, value)| value.as_text()).unwrap_or_default().to_owned()
    }

    #[test]
    fn what_is_put_is_there_until_it_is_removed() {
        let world = World::new("cat > \"$file\"");
        assert!(world.get().is_none());
        let (one, two) = (random_token(), random_token());
        for token in [&one, &two] {
            world.put(token).unwrap();
            let found = world.get().unwrap();
            assert_eq!((found.source, found.secret.fingerprint()), ("command", sealed(token).0.fingerprint()));
        }
        block_on(removable(&world.ctx, "command", &wanted(NAME))).unwrap();
        assert!(world.remove());
        assert!(!world.remove() && world.get().is_none());
    }

    #[test]
    fn what_comes_back_otherwise_than_it_was_put_is_an_error_that_says_so() {
        let (token, other) = (random_token(), random_token());
        for insert in [format!("echo {other} > \"$file\""), ":".to_owned(), "head -c 31 > \"$file\"".to_owned()] {
            let world = World::new(&insert);
            let error = world.put(&token).unwrap_err();
            assert_eq!((error.kind, field(&error, "state").as_str()), (Kind::Store, "read_back"), "{error:?}");
            assert_eq!((field(&error, "store").as_str(), field(&error, "token_name").as_str()), ("command", NAME));
            no_trace(&token, &format!("{error:?}"));
            no_trace(&other, &format!("{error:?}"));
        }
    }

    #[test]
    fn a_store_that_takes_a_token_and_then_fails_to_give_it_back_says_that_it_took_it() {
        let world = World::new("cat > \"$file\"; touch \"$file.fails\"");
        let token = random_token();
        let error = world.put(&token).unwrap_err();
        assert!(error.hints.iter().any(|hint| hint.contains("took the token before that")), "{error:?}");
        no_trace(&token, &format!("{error:?}"));
        let world = World::new("exit 7");
        let error = world.put(&token).unwrap_err();
        assert!(!error.hints.iter().any(|hint| hint.contains("took the token")), "{error:?}");
    }

    #[test]
    fn a_store_that_folds_letter_case_gives_something_else_back_where_case_counts() {
        let mut world = World::new("tr a-f A-F > \"$file\"");
        let token = random_token().to_lowercase();
        world.put(&token).unwrap();
        world.ctx.settings.token_form = FormRule::parse("32").unwrap();
        let (secret, form) =
            Secret::seal(Zeroizing::new(b"abcdef00000000000000000000000001".to_vec()), &FormRule::Redcap);
        let error = block_on(put(&world.ctx, "command", &wanted(NAME), &secret, &form)).unwrap_err();
        assert_eq!(field(&error, "state"), "read_back");
    }

    #[test]
    fn what_is_no_project_token_is_never_put() {
        let world = World::new("cat > \"$file\"");
        for bad in [random_token().split_at(31).0.to_owned(), random_token() + &random_token()] {
            assert_eq!(world.put(&bad).unwrap_err().kind, Kind::Internal);
        }
        assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_store_that_fails_is_named_in_its_error() {
        let world = World::new("exit 7");
        let error = world.put(&random_token()).unwrap_err();
        assert_eq!((error.kind, field(&error, "store").as_str()), (Kind::Store, "command"));
        let (secret, form) = sealed(&random_token());
        let error = block_on(put(&world.ctx, "env", &wanted(NAME), &secret, &form)).unwrap_err();
        assert_eq!((error.kind, field(&error, "store").as_str()), (Kind::Store, "env"));
    }

    #[test]
    fn a_store_that_is_unknown_or_forbidden_is_neither_asked_nor_written_to() {
        let mut world = World::new("cat > \"$file\"");
        let (secret, form) = sealed(&random_token());
        let w = wanted(NAME);
        world.put(&random_token()).unwrap();
        for (forbidden, store, part) in [
            ("command", "command", "forbids the store `command`"),
            ("vault", "wallet", "does not exist"),
            ("vualt", "command", "`vualt`"),
        ] {
            world.ctx.settings.stores.forbidden = vec![forbidden.to_owned()];
            let errors = [
                block_on(get(&world.ctx, store, &w)).unwrap_err(),
                block_on(put(&world.ctx, store, &w, &secret, &form)).unwrap_err(),
                block_on(remove(&world.ctx, store, &w)).unwrap_err(),
                block_on(removable(&world.ctx, store, &w)).unwrap_err(),
            ];
            for error in errors {
                assert!(error.kind == Kind::Argument && error.message.contains(part), "{error:?}");
                assert!(!error.hints.is_empty());
            }
        }
        world.ctx.settings.stores.forbidden.clear();
        assert_ne!(world.get().unwrap().secret.fingerprint(), secret.fingerprint());
    }

    #[test]
    fn why_a_store_has_nothing_to_say_is_told_once() {
        let mut world = World::new(":");
        world.ctx.settings.stores.command = None;
        let events = heard(&mut world.ctx);
        assert!(world.get().is_none());
        assert!(format!("{:?}", events.lock().unwrap()).contains("Once(\"no program gives tokens"));
    }

    #[test]
    fn every_store_says_what_it_is_and_a_forbidden_one_is_not_asked() {
        let mut world = World::new(":");
        world.ctx.settings.stores.forbidden = vec!["vault".to_owned()];
        let states = block_on(states(&world.ctx));
        assert_eq!(states.iter().map(|(name, _)| *name).collect::<Vec<_>>(), super::super::names().collect::<Vec<_>>());
        let state = |name: &str| states.iter().find(|(known, _)| *known == name).unwrap().1.as_ref();
        assert_eq!(state("command").unwrap().reach, Reach::Ready);
        assert_eq!(state("env").unwrap().reach, Reach::ReadOnly);
        assert!(state("vault").unwrap_err().message.contains("forbids"));
    }
}
