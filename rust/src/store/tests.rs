//! The order of look-up, with stores that can be told to fail.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::testing::{block_on, ctx, heard, no_trace, random_token, token_name, wanted};
use super::*;
use crate::ctx::Event;

/// What a mock store does when it is asked.
#[derive(Clone)]
enum Does {
    Gives(Vec<u8>),
    HasNot,
    IsNotHere,
    Fails,
    Hangs,
}

struct Mock {
    name: &'static str,
    does: Does,
    asked: Arc<AtomicUsize>,
}

impl Store for Mock {
    fn name(&self) -> &'static str {
        self.name
    }

    fn get<'a>(&'a self, _wanted: &'a Wanted) -> Pending<'a, Answer> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            match &self.does {
                Does::Gives(bytes) => Ok(Answer::hit(Raw::copy_of(bytes))),
                Does::HasNot => Ok(Answer::default()),
                Does::IsNotHere => Ok(Answer::none(Some("no such store on this machine".to_owned()))),
                Does::Fails => Err(Error::new(Kind::Store, "the store is sealed")),
                Does::Hangs => std::future::pending().await,
            }
        })
    }

    fn put<'a>(&'a self, _name: &'a TokenName, _secret: &'a Secret) -> Pending<'a, ()> {
        unreachable!("a look-up writes nothing")
    }

    fn remove<'a>(&'a self, _name: &'a TokenName) -> Pending<'a, bool> {
        unreachable!("a look-up removes nothing")
    }

    fn state(&self) -> Pending<'_, State> {
        unreachable!("a look-up asks for no state")
    }
}

/// What the stores `one`, `two`, … do; how often each was asked, and what was told.
fn looked_up(does: &[Does]) -> (Result<Option<Found>>, Vec<usize>, Vec<Event>) {
    let mut ctx = ctx();
    let events = heard(&mut ctx);
    let counts: Vec<Arc<AtomicUsize>> = does.iter().map(|_| Arc::default()).collect();
    let mock = |((does, asked), name): ((&Does, &Arc<AtomicUsize>), &'static str)| -> Box<dyn Store> {
        Box::new(Mock { name, does: does.clone(), asked: asked.clone() })
    };
    let stores: Vec<Box<dyn Store>> = does.iter().zip(&counts).zip(["one", "two", "three", "four"]).map(mock).collect();
    let answer = block_on(first_hit(&stores, &ctx, &wanted("REDCapSync_A")));
    let events = events.lock().unwrap().clone();
    (answer, counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(), events)
}

#[test]
fn the_first_hit_ends_the_look_up_and_a_store_behind_it_cannot_delay_it() {
    let token = random_token().into_bytes();
    let (answer, asked, events) = looked_up(&[Does::Gives(token.clone()), Does::Hangs, Does::Fails]);
    assert_eq!(answer.unwrap().unwrap().source, "one");
    assert_eq!((asked, events), (vec![1, 0, 0], vec![]));

    let (answer, asked, _) = looked_up(&[Does::HasNot, Does::Gives(token), Does::Hangs]);
    assert_eq!(answer.unwrap().unwrap().source, "two");
    assert_eq!(asked, [1, 1, 0]);
}

#[test]
fn blank_values_are_no_hit() {
    let token = random_token();
    for blank in [&b""[..], b"\n", b"\r\n"] {
        let (answer, ..) = looked_up(&[Does::Gives(blank.to_vec()), Does::Gives(token.clone().into_bytes())]);
        assert_eq!(answer.unwrap().unwrap().source, "two");
        let (answer, ..) = looked_up(&[Does::Gives(blank.to_vec())]);
        assert!(answer.unwrap().is_none());
    }
}

#[test]
fn a_malformed_value_is_a_hit_with_its_fault() {
    let (answer, asked, _) = looked_up(&[Does::Gives(b"not a token".to_vec()), Does::Hangs]);
    assert!(matches!(answer.unwrap().unwrap().form, Form::Malformed { n_chars: 11, .. }));
    assert_eq!(asked, [1, 0]);
}

#[test]
fn a_store_that_is_not_on_this_machine_is_passed_over_and_noted_once() {
    let token = random_token().into_bytes();
    let (answer, _, events) = looked_up(&[Does::IsNotHere, Does::Gives(token)]);
    assert!(answer.unwrap().is_some());
    assert_eq!(events, [Event::Once("no such store on this machine".to_owned())]);

    let (answer, _, events) = looked_up(&[Does::IsNotHere]);
    assert!(answer.unwrap().is_none());
    assert_eq!(events.len(), 1);
}

#[test]
fn a_store_that_fails_ends_the_look_up_with_its_name() {
    let (answer, asked, _) = looked_up(&[Does::HasNot, Does::Fails, Does::Gives(random_token().into_bytes())]);
    let error = answer.unwrap_err();
    assert_eq!(error.kind, Kind::Store);
    assert!(error.fields.contains(&("store".to_owned(), "two".into())));
    assert!(error.fields.contains(&("token_name".to_owned(), "REDCapSync_A".into())));
    assert_eq!(asked, [1, 1, 0]);
}

#[test]
fn nothing_found_shows_a_mask() {
    let token = random_token();
    let (answer, ..) = looked_up(&[Does::Gives(token.clone().into_bytes())]);
    no_trace(&token, &format!("{answer:?}"));
}

#[test]
fn a_sandbox_is_asked_alone_for_its_own_names_and_for_no_other() {
    let token = random_token();
    for (name, last) in [("REDCapSync_TEST", 1), ("REDCapSync_TEST_LONG", 2), ("REDCapSync_TEST_REPEAT", 3)] {
        let mut ctx = ctx();
        ctx.env = Environment::with(&token_name(name), token.as_bytes());
        let mut wanted = wanted(name);

        let real = block_on(look_up(&ctx, &wanted)).unwrap().unwrap();
        assert_eq!(real.source, "env");

        wanted.sandbox = true;
        let sample = block_on(look_up(&ctx, &wanted)).unwrap().unwrap();
        assert_eq!((sample.source, sample.form), ("sandbox", Form::Project));
        let constant = format!("FA4EFA4EFA4EFA4EFA4EFA4E0000000{last}").into_bytes();
        let (constant, _) = Secret::seal(Raw::new(constant).into_inner(), &FormRule::Redcap);
        assert_eq!(sample.secret.fingerprint(), constant.fingerprint());
        let sources: Vec<_> = block_on(look_everywhere(&ctx, &wanted)).iter().map(|seen| seen.source).collect();
        assert_eq!(sources, ["sandbox"]);
    }

    let mut ctx = ctx();
    ctx.env = Environment::with(&token_name("REDCapSync_OWN"), token.as_bytes());
    let wanted = Wanted { sandbox: true, ..wanted("REDCapSync_OWN") };
    assert_eq!(block_on(look_up(&ctx, &wanted)).unwrap().unwrap().source, "env");
}

#[test]
fn no_setting_reaches_the_sandboxs_tokens_and_its_samples_are_constants() {
    let mut ctx = ctx();
    ctx.settings.order = vec!["sandbox".to_owned()];
    assert_eq!(block_on(look_up(&ctx, &wanted("REDCapSync_TEST"))).unwrap_err().kind, Kind::Argument);

    let store = sandbox::open(&ctx);
    let name = token_name("REDCapSync_TEST");
    let (secret, _) = Secret::seal(Raw::new(random_token().into_bytes()).into_inner(), &FormRule::Redcap);
    assert_eq!(block_on(store.put(&name, &secret)).unwrap_err().kind, Kind::Store);
    assert_eq!(block_on(store.remove(&name)).unwrap_err().kind, Kind::Store);
}

#[cfg(unix)]
#[test]
fn a_sandboxs_store_keeps_tokens_for_the_session_and_for_what_goes_to_a_sandbox() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mut ctx = ctx();
    ctx.dirs.session = folder.path().to_owned();
    let name = token_name("REDCapSync_OWN");
    ctx.env = Environment::with(&name, random_token().as_bytes());
    let of_sandbox = Wanted { sandbox: true, ..wanted("REDCapSync_OWN") };
    let (secret, form) = Secret::seal(Raw::new(random_token().into_bytes()).into_inner(), &FormRule::Redcap);

    let elsewhere = wanted("REDCapSync_OWN");
    let error = block_on(keep::put(&ctx, SANDBOX, &elsewhere, &secret, &form)).unwrap_err();
    assert!(error.kind == Kind::Argument && error.message.contains("of no other server"), "{error:?}");
    assert!(!folder.path().join("sandbox_tokens").exists());

    block_on(keep::put(&ctx, SANDBOX, &of_sandbox, &secret, &form)).unwrap();
    let mode = |path: &str| std::fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("sandbox_tokens"), mode("sandbox_tokens/REDCapSync_OWN")), (0o700, 0o600));
    // It comes before the stores of the order, and is no store of any other server.
    let found = block_on(look_up(&ctx, &of_sandbox)).unwrap().unwrap();
    assert_eq!((found.source, found.secret.fingerprint()), (SANDBOX, secret.fingerprint()));
    assert_eq!(block_on(look_up(&ctx, &elsewhere)).unwrap().unwrap().source, "env");
    assert_eq!(asked_for(&ctx, &of_sandbox)[0], SANDBOX);
    assert!(!asked_for(&ctx, &elsewhere).contains(&SANDBOX.to_owned()));

    assert_eq!(block_on(keep::remove(&ctx, SANDBOX, &of_sandbox)).unwrap(), ["REDCapSync_OWN"]);
    assert!(block_on(keep::remove(&ctx, SANDBOX, &of_sandbox)).unwrap().is_empty());
    assert_eq!(block_on(look_up(&ctx, &of_sandbox)).unwrap().unwrap().source, "env");

    // A sandbox that ends takes its tokens along.
    block_on(keep::put(&ctx, SANDBOX, &of_sandbox, &secret, &form)).unwrap();
    forget_sandbox(&ctx.dirs, &[name]);
    assert_eq!(block_on(look_up(&ctx, &of_sandbox)).unwrap().unwrap().source, "env");
}

#[test]
fn an_unknown_store_in_the_order_is_an_error_that_lists_the_known_ones() {
    let mut ctx = ctx();
    let token = random_token();
    for (name, shown) in [("keyrings", true), (token.as_str(), false)] {
        ctx.settings.order = vec!["env".to_owned(), name.to_owned()];
        let error = block_on(look_up(&ctx, &wanted("REDCapSync_A"))).unwrap_err();
        assert_eq!(error.kind, Kind::Argument);
        assert_eq!(error.message.contains(name), shown);
        assert!(error.hints.last().unwrap().contains("`env`, `keyring`, `vault`, `aws`, `command`"));
        assert_eq!(error.hints[0] == "did you mean `keyring`?", shown);
        no_trace(&token, &format!("{error:?}"));

        let seen = block_on(look_everywhere(&ctx, &wanted("REDCapSync_A")));
        assert_eq!(seen.iter().map(|seen| seen.source).collect::<Vec<_>>(), ["env", "order"]);
    }
}

#[test]
fn a_slip_in_what_the_site_forbids_is_an_error() {
    let mut ctx = ctx();
    ctx.settings.stores.forbidden = vec!["keyrings".to_owned()];
    let error = block_on(look_up(&ctx, &wanted("REDCapSync_A"))).unwrap_err();
    assert_eq!(error.kind, Kind::Argument);
    assert!(error.message.contains("`forbidden_stores`") && error.message.contains("`keyrings`"), "{}", error.message);
}

#[test]
fn the_id_of_a_request_is_kept_unless_a_part_of_the_token_is_in_it() {
    let token = random_token();
    let answer = |id: String| Answer { request_id: Some(id), ..Answer::hit(Raw::copy_of(token.as_bytes())) };
    let kept = |id: &str| found(answer(id.to_owned()), &FormRule::Redcap, "one").0.unwrap().request_id;
    let id = "ffffffff-ffff-4fff-8fff-ffffffffffff";
    assert_eq!(kept(id).as_deref(), Some(id));
    assert!(kept(&format!("{}-ffff-4fff-8fff-ffffffffffff", &token[4..12])).is_none());
}

#[test]
fn look_everywhere_goes_on_behind_a_hit_and_says_what_is_not_here() {
    let token = random_token();
    let mut ctx = ctx();
    ctx.env = Environment::with(&token_name("REDCapSync_A"), token.as_bytes());
    let seen = block_on(look_everywhere(&ctx, &wanted("REDCapSync_A")));
    assert_eq!(seen.iter().map(|seen| seen.source).collect::<Vec<_>>(), ["env", "keyring"]);
    assert!(seen[0].answer.as_ref().unwrap().is_some());
    #[cfg(target_os = "linux")]
    {
        assert!(seen[1].answer.as_ref().unwrap().is_none());
        assert!(seen[1].remark.as_ref().unwrap().contains("no D-Bus session"));
    }
    no_trace(&token, &format!("{seen:?}"));
}

#[cfg(target_os = "linux")]
#[test]
fn no_store_that_there_is_stops_a_look_up_where_it_is_not_on_this_machine() {
    let mut ctx = ctx();
    let events = heard(&mut ctx);
    ctx.settings.order = names().map(str::to_owned).collect();
    assert!(block_on(look_up(&ctx, &wanted("REDCapSync_A"))).unwrap().is_none());
    let said = events.lock().unwrap().iter().filter(|event| matches!(event, Event::Once(_))).count();
    // All but the environment say why they are not here.
    assert_eq!(said, names().count() - 1);
}

#[cfg(unix)]
#[test]
fn a_store_that_is_there_and_fails_ends_the_look_up_with_its_name_and_a_remedy() {
    let token = random_token();
    for (store, more) in [
        ("vault", "[vault]\naddress = \"https://127.0.0.1:1\"\ntoken_file = \"/nonexistent/token\"\n"),
        ("command", "[command]\nprogram = \"/bin/false\"\narguments = [\"{token_name}\"]\n"),
    ] {
        let mut ctx = ctx();
        ctx.settings = crate::project::Settings::of_site(&format!("stores = [\"{store}\", \"env\"]\n{more}")).unwrap();
        let env = Environment::with(&token_name("REDCapSync_A"), token.as_bytes());
        ctx.env = env.for_stores(&ctx.settings, &ctx.net, &[]);
        let error = block_on(look_up(&ctx, &wanted("REDCapSync_A"))).unwrap_err();
        assert_eq!(error.kind, Kind::Store, "{}", error.message);
        assert!(error.fields.contains(&("store".to_owned(), store.into())), "{:?}", error.fields);
        assert!(!error.hints.is_empty(), "{store}");
        no_trace(&token, &format!("{error:?}"));
    }
}

/// A store that says of itself what its name says, or nothing.
struct Says(&'static str);

impl Store for Says {
    fn name(&self) -> &'static str {
        self.0
    }

    fn get<'a>(&'a self, _wanted: &'a Wanted) -> Pending<'a, Answer> {
        unreachable!("nobody asks for a token")
    }

    fn put<'a>(&'a self, _name: &'a TokenName, _secret: &'a Secret) -> Pending<'a, ()> {
        unreachable!("nobody writes")
    }

    fn remove<'a>(&'a self, _name: &'a TokenName) -> Pending<'a, bool> {
        unreachable!("nobody removes")
    }

    fn state(&self) -> Pending<'_, State> {
        Box::pin(async {
            match self.0 {
                "silent" => std::future::pending().await,
                "failing" => Err(Error::new(Kind::Store, "it fails")),
                _ => Ok(State::new("a store", None, Reach::Ready)),
            }
        })
    }
}

#[test]
fn each_store_says_what_it_is_and_a_silent_one_keeps_nobody_waiting() {
    const ALL: &[(&str, Open)] = &[
        ("silent", |_| Box::new(Says("silent"))),
        ("env", |_| Box::new(Says("env"))),
        ("failing", |_| Box::new(Says("failing"))),
        ("keyring", |_| unreachable!("a forbidden store is not asked")),
    ];
    let mut ctx = ctx();
    ctx.settings.stores.forbidden = vec!["keyring".to_owned()];
    let patience = std::time::Duration::from_millis(300);
    let begin = std::time::Instant::now();
    let said = block_on(keep::states_of(&ctx, ALL, patience));
    assert!(begin.elapsed() < 3 * patience, "{:?}", begin.elapsed());
    assert!(said.iter().map(|(name, _)| *name).eq(ALL.iter().map(|(name, _)| *name)));
    let error = |n: usize| said[n].1.as_ref().unwrap_err();
    assert!(error(0).message.contains("`silent` did not say") && !error(0).hints.is_empty());
    assert_eq!(said[1].1.as_ref().unwrap().reach, Reach::Ready);
    assert_eq!((error(2).kind, error(3).kind), (Kind::Store, Kind::Argument));
}

#[test]
fn every_store_that_there_is_says_what_it_is_without_an_answer_from_outside() {
    let said = block_on(keep::states(&ctx()));
    assert!(said.iter().map(|(name, _)| *name).eq(names()));
    for (name, state) in said {
        let state = state.unwrap();
        let here = name == "env" || (name == "keyring" && !cfg!(target_os = "linux"));
        assert_eq!(matches!(state.reach, Reach::NotHere(_)), !here, "{name}");
        assert!(!state.what.is_empty());
    }
}

#[test]
fn the_stores_answer_to_the_names_in_the_list() {
    let ctx = ctx();
    for (name, open) in STORES {
        assert_eq!(open(&ctx).name(), *name);
    }
    assert!(ctx.settings.order.iter().all(|name| names().any(|known| known == name)));
}

/// The core's sources that hold a text in their code, tests and comments apart.
fn files_with(text: &str) -> Vec<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut hits = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("tests") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                // The tests of a file stand at its end.
                let code = source.split("\nmod tests {").next().unwrap_or_default();
                if code.lines().any(|line| line.contains(text) && !line.trim_start().starts_with("//")) {
                    hits.push(path.strip_prefix(&root).unwrap().display().to_string());
                }
            }
        }
    }
    hits.sort_unstable();
    hits
}

#[test]
#[cfg(unix)]
fn secrets_are_sealed_and_put_away_in_this_room_only() {
    assert_eq!(files_with("Secret::seal("), ["store/mod.rs"]);
    assert_eq!(
        files_with(".for_store()"),
        ["store/aws.rs", "store/command.rs", "store/key.rs", "store/keyring.rs", "store/sandbox.rs", "store/vault.rs"]
    );
}
