//! A token that REDCap refuses: one new look-up, and another token is tried once.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::world::{PROJECT, Say, Server, World, read, say, token, write};
use crate::ctx::Event;
use crate::error::{Error, Kind};
use crate::project::Settings;
use crate::redcap::request::{Expect, Request};
use crate::redcap::side_by_side;
use crate::store::Environment;
use crate::token::TokenName;

/// REDCap's own refusal.
const REFUSAL: &str = "ERROR: You do not have permissions to use the API";

/// A world whose tokens come from a program that counts how often it is asked: the first time it gives the first token,
/// then the next, and the last again and again.
struct Counting {
    world: World,
    tokens: Vec<String>,
}

impl Counting {
    fn new(tokens: &[&str]) -> Self {
        Self::in_order("command", tokens)
    }

    /// With an order of stores; `env` holds the world's own token.
    fn in_order(order: &str, tokens: &[&str]) -> Self {
        let mut world = World::new();
        let place = world.folder.path().join("program");
        std::fs::create_dir(&place).unwrap();
        for (n, token) in tokens.iter().enumerate() {
            std::fs::write(place.join((n + 1).to_string()), token).unwrap();
        }
        let script = format!(
            "cd '{}' && echo >> asked && n=$(wc -l < asked) && n=$((n > {max} ? {max} : n)) && \
             if [ \"$(cat $n)\" = fails ]; then exit 7; fi && cat $n",
            place.display(),
            max = tokens.len()
        );
        let order: Vec<String> = order.split(' ').map(|name| format!("{name:?}")).collect();
        let text = format!(
            "stores = [{}]\nretries = 0\n[command]\nprogram = \"sh\"\narguments = [\"-c\", {script:?}, \"{{token_name}}\"]\n",
            order.join(", ")
        );
        world.ctx.settings = Settings { net: world.ctx.settings.net.clone(), ..Settings::of_site(&text).unwrap() };
        let name = TokenName::new("REDCapSync_T").unwrap();
        let value = if order.iter().any(|name| name == "\"env\"") { world.token.clone() } else { String::new() };
        world.ctx.env = Environment::with(&name, value.as_bytes()).for_stores(&world.ctx.settings, &world.ctx.net, &[]);
        Self { world, tokens: tokens.iter().map(|token| (*token).to_owned()).collect() }
    }

    /// How often the program was asked.
    fn asked(&self) -> usize {
        std::fs::read_to_string(self.world.folder.path().join("program/asked")).map_or(0, |text| text.lines().count())
    }

    fn fingerprints(&self) -> Vec<String> {
        let log = self.world.log();
        let intents = log.iter().filter(|entry| entry["phase"] == "intent");
        intents.map(|entry| entry["fingerprint"].as_str().unwrap().to_owned()).collect()
    }

    /// No part of a token stands in a text or a file, those of the program apart.
    fn assert_sealed(&self, text: &str) {
        std::fs::remove_dir_all(self.world.folder.path().join("program")).unwrap();
        self.world.assert_sealed(text);
        let all = format!("{text}{:?}", self.world.events.lock().unwrap()).to_ascii_uppercase();
        let log = super::log_text(self.world.folder.path()).to_ascii_uppercase();
        for token in self.tokens.iter().filter(|token| token.len() >= 32) {
            let parts = (0..=token.len() - 12).map(|at| &token[at..at + 12]);
            assert!(parts.into_iter().all(|part| !all.contains(part) && !log.contains(part)), "a part of a token");
        }
    }
}

/// A server that takes one token and refuses all others.
fn taking(good: &str) -> Server {
    Server::start(vec![by_token(good, 403, REFUSAL)])
}

fn by_token(good: &str, status: u16, otherwise: &str) -> Say {
    let (yes, no) = (say(200, "", "[]"), say(status, "", otherwise));
    let good = format!("token={good}");
    Box::new(move |request| if request.starts_with(&good) { yes(request) } else { no(request) })
}

fn field<'a>(error: &'a Error, name: &str) -> Option<&'a str> {
    error.fields.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.as_text())
}

#[tokio::test]
async fn a_name_is_looked_up_once_an_operation_however_many_calls_it_makes() {
    let good = token();
    let world = Counting::new(&[&good]);
    let server = taking(&good);
    let project = world.world.set_up(&server.uri);
    let mut operation = world.world.operation(&project);
    for _ in 0..200 {
        operation.collect(&read(), 1000).await.unwrap();
    }
    assert_eq!((server.count(), world.asked()), (200, 1));
    // The next operation asks anew.
    world.world.operation(&project).collect(&read(), 1000).await.unwrap();
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn a_refused_token_is_looked_up_once_more_and_another_one_is_tried_in_a_call_of_its_own_and_kept() {
    let (old, new) = (token(), token());
    let world = Counting::new(&[&old, &new]);
    let server = taking(&new);
    let project = world.world.set_up(&server.uri);
    let mut operation = world.world.operation(&project);
    for _ in 0..3 {
        assert_eq!(*operation.collect(&read(), 1000).await.unwrap(), b"[]");
    }
    assert_eq!((server.count(), world.asked()), (4, 2));
    assert_eq!(world.world.classes(), ["token_refused", "ok", "ok", "ok"]);
    let prints = world.fingerprints();
    assert!(prints[0] != prints[1] && prints[1..].iter().all(|print| *print == prints[1]), "{prints:?}");
    assert_eq!(operation.fingerprint().as_ref(), Some(&prints[1]));
    let events = format!("{:?}", world.world.events.lock().unwrap());
    assert!(events.contains("a new look-up found another one in `command`") && events.contains(&prints[1]), "{events}");
    world.assert_sealed("");
}

#[tokio::test]
async fn the_same_token_lets_the_refusal_stand_and_is_not_sent_again() {
    let old = token();
    // Letter case is none of REDCap's business.
    for again in [old.clone(), old.to_lowercase()] {
        let world = Counting::new(&[&old, &again]);
        let server = taking("none");
        let project = world.world.set_up(&server.uri);
        let mut operation = world.world.operation(&project);
        let error = operation.collect(&read(), 1000).await.unwrap_err();
        assert_eq!((error.kind, server.count(), world.asked()), (Kind::TokenRefused, 1, 2));
        // There is one new look-up an operation.
        let error = operation.collect(&read(), 1000).await.unwrap_err();
        assert_eq!((error.kind, server.count(), world.asked()), (Kind::TokenRefused, 2, 2));
        world.assert_sealed(&format!("{error:?}"));
    }
}

#[tokio::test]
async fn a_second_refused_token_is_the_last() {
    let tokens = [token(), token(), token()];
    let world = Counting::new(&tokens.each_ref().map(String::as_str));
    let server = taking(&tokens[2]);
    let project = world.world.set_up(&server.uri);
    let mut operation = world.world.operation(&project);
    let error = operation.collect(&read(), 1000).await.unwrap_err();
    assert_eq!((error.kind, server.count(), world.asked()), (Kind::TokenRefused, 2, 2));
    assert_eq!(world.world.classes(), ["token_refused", "token_refused"]);
}

#[tokio::test]
async fn calls_side_by_side_share_one_new_look_up() {
    let (old, new) = (token(), token());
    let world = Counting::new(&[&old, &new, &old]);
    let server = taking(&new);
    let project = world.world.set_up(&server.uri);
    let mut operation = world.world.operation(&project);
    let metadata = Request::read("metadata", Expect::Json);
    let (one, other) = operation.collect_both(&read(), &metadata, 1000).await.unwrap();
    assert_eq!((one.as_slice(), other.as_slice()), (&b"[]"[..], &b"[]"[..]));
    assert_eq!((server.count(), world.asked()), (4, 2));
    let log = world.world.log();
    let mut classes: Vec<_> = log.iter().filter_map(|entry| entry["class"].as_str()).collect();
    classes.sort_unstable();
    assert_eq!(classes, ["ok", "ok", "token_refused", "token_refused"]);

    // Both of them with a token that stays refused: neither is sent again.
    let world = Counting::new(&[&old]);
    let server = taking(&new);
    let project = world.world.set_up(&server.uri);
    let both = world.world.operation(&project).collect_both(&read(), &metadata, 1000).await;
    assert_eq!(both.map(drop).unwrap_err().kind, Kind::TokenRefused);
    assert_eq!((server.count(), world.asked()), (2, 2));
}

#[tokio::test]
async fn operations_side_by_side_look_up_anew_one_after_the_other() {
    let (old, new) = (token(), token());
    let world = Counting::new(&[&old, &old, &old, &new]);
    let server = taking(&new);
    let project = world.world.set_up(&server.uri);
    let turn = Arc::new(Mutex::new(()));
    let operations = (0..3).map(|_| {
        let mut operation = world.world.operation(&project).in_turn(&turn);
        async move { operation.collect(&read(), 1000).await.map(drop) }
    });
    let results = side_by_side(operations.collect()).await;
    assert!(results.iter().all(|(result, _)| result.is_ok()), "{results:?}");
    assert!(server.count() <= 6 && world.asked() <= 6, "{} {}", server.count(), world.asked());
}

#[tokio::test]
async fn a_write_is_sent_with_another_token_where_redcap_itself_refused_the_first() {
    let (old, new) = (token(), token());
    for (status, body) in
        [(403, REFUSAL.to_owned()), (401, format!("{{\"error\":{:?}}}", &REFUSAL[7..])), (403, format!("{REFUSAL}."))]
    {
        let world = Counting::new(&[&old, &new]);
        let server = Server::start(vec![by_token(&new, status, &body)]);
        let project = world.world.set_up(&server.uri);
        world.world.operation(&project).collect(&write(), 1000).await.unwrap();
        assert_eq!((server.count(), world.asked()), (2, 2), "{body}");
        assert_eq!(world.world.classes(), ["token_refused", "ok"]);
        // It was sent once with each.
        let requests = server.requests.lock().unwrap();
        assert!(requests[0].starts_with(&format!("token={old}")) && requests[1].starts_with(&format!("token={new}")));
    }
}

#[tokio::test]
async fn what_only_resembles_a_refusal_is_no_reason_to_send_a_write_again() {
    let (old, new) = (token(), token());
    let whole = |status, body: &str| say(status, "", body);
    let broken = |body: &str| -> Say {
        let answer = format!("HTTP/1.1 403 X\r\nContent-Length: 4000\r\nConnection: close\r\n\r\n{body}");
        Box::new(move |_| answer.clone().into_bytes())
    };
    for (what, answer) in [
        ("more than the sentence", whole(403, &format!("{REFUSAL} for record 7"))),
        (
            "the sentence within another",
            whole(403, "ERROR: \"1\",\"a\",\"You do not have permissions to use the API\",\"bad\""),
        ),
        ("no text", whole(403, "{\"error\":\"\"}")),
        ("not REDCap's form", whole(403, "You do not have permissions to use the API")),
        ("a page", whole(403, "<html>You do not have permissions to use the API</html>")),
        ("another status", whole(400, REFUSAL)),
        ("a gateway's status", whole(502, REFUSAL)),
        ("no import right", whole(403, "ERROR: You do not have API Import/Update privileges")),
        ("broken off", broken(REFUSAL)),
    ] {
        let mut world = Counting::new(&[&old, &new]);
        world.world.ctx.settings.net.timeout = std::time::Duration::from_millis(600);
        let server = Server::start(vec![answer]);
        let project = world.world.set_up(&server.uri);
        let answered = world.world.operation(&project).collect(&write(), 1000).await;
        assert!(answered.is_err(), "{what}");
        assert_eq!((server.count(), world.asked()), (1, 1), "{what}");
    }
}

#[tokio::test]
async fn a_new_look_up_that_gives_nothing_lets_the_refusal_stand_and_says_why() {
    let old = token();
    let short = &old[..31];
    for (next, why) in [("", "no token is found"), ("fails", "ended with status 7"), (short, "31 characters")] {
        let world = Counting::new(&[&old, next]);
        let server = taking("none");
        let project = world.world.set_up(&server.uri);
        let error = world.world.operation(&project).collect(&read(), 1000).await.unwrap_err();
        assert_eq!((error.kind, server.count(), world.asked()), (Kind::TokenRefused, 1, 2), "{why}");
        let hint = error.hints.last().unwrap();
        assert!(hint.contains("looked up anew") && hint.contains(why), "{hint}");
        assert_eq!(world.world.phases(), ["intent", "outcome"]);
        world.assert_sealed(&format!("{error:?}"));
    }
}

#[tokio::test]
async fn another_token_that_stands_in_the_data_is_not_sent_with_them() {
    let (old, new) = (token(), token());
    let world = Counting::new(&[&old, &new]);
    let server = taking(&new);
    let project = world.world.set_up(&server.uri);
    let request = Request::import("record", "csv").with("data", format!("record_id,note\n1,{new}\n"));
    let error = world.world.operation(&project).collect(&request, 1000).await.unwrap_err();
    assert_eq!((error.kind, server.count()), (Kind::TokenInArgument, 1));
    assert_eq!(world.world.phases(), ["intent", "outcome", "refused"]);
}

#[tokio::test]
async fn a_refusal_names_the_store_behind_that_holds_another_token_and_the_command_that_ends_it() {
    let behind = token();
    let world = Counting::in_order("env command", &[&behind]);
    let server = taking(&behind);
    let project = world.world.set_up(&server.uri);
    let mut operation = world.world.operation(&project);
    let error = operation.collect(&read(), 1000).await.unwrap_err();
    // The store behind is asked and its token is not used.
    assert_eq!((error.kind, server.count(), world.asked()), (Kind::TokenRefused, 1, 1));
    let first = operation.fingerprint().unwrap();
    let other = field(&error, "shadowed_fingerprint").unwrap().to_owned();
    assert!(other.starts_with("kc1:") && other != first);
    assert_eq!((field(&error, "source"), field(&error, "shadowed_source")), (Some("env"), Some("command")));
    assert_eq!(field(&error, "fingerprint"), Some(first.as_str()));
    let hint = error.hints.last().unwrap();
    for part in [
        format!("in `env` ({first}), which was refused"),
        format!("in `command` ({other}), which is not used"),
        "`remove_project_token(\"T\", store = \"env\")` ends that".to_owned(),
    ] {
        assert!(hint.contains(&part), "{hint}");
    }
    world.assert_sealed(&format!("{error:?}"));
}

#[tokio::test]
async fn a_refusal_names_no_store_behind_that_holds_the_same_token_or_none_or_fails() {
    for behind in [None, Some(""), Some("fails"), Some("no token")] {
        let (mut world, same) = (Counting::in_order("env command", &[behind.unwrap_or("x")]), behind.is_none());
        if same {
            std::fs::write(world.world.folder.path().join("program/1"), world.world.token.to_lowercase()).unwrap();
        }
        world.world.ctx.settings.retries = 0;
        let server = taking("none");
        let project = world.world.set_up(&server.uri);
        let error = world.world.operation(&project).collect(&read(), 1000).await.unwrap_err();
        assert_eq!((error.kind, world.asked()), (Kind::TokenRefused, 1), "{behind:?}");
        assert!(field(&error, "shadowed_source").is_none(), "{error:?}");
        assert!(!error.hints.iter().any(|hint| hint.contains("remove_project_token")), "{error:?}");
    }
}

#[tokio::test]
async fn the_environment_is_what_it_was_when_the_operation_began() {
    let world = World::new();
    let server = taking("none");
    let project = world.set_up(&server.uri);
    let error = world.operation(&project).collect(&read(), 1000).await.unwrap_err();
    assert_eq!((error.kind, server.count()), (Kind::TokenRefused, 1));
}

#[tokio::test]
async fn a_test_of_a_token_goes_on_with_the_one_that_took_its_place() {
    let (old, new) = (token(), token());
    let world = Counting::new(&[&old, &new]);
    let answers = vec![say(403, "", REFUSAL), super::version(), say(200, "", PROJECT)];
    let server = Server::start(answers);
    let project = world.world.set_up(&server.uri);
    let found = world.world.probe(&project).await.unwrap();
    assert_eq!(found.fingerprint.as_ref(), world.fingerprints().last());
    assert!(!matches!(world.world.events.lock().unwrap().first(), Some(Event::Warning(_))));
    assert_eq!((server.count(), world.asked()), (3, 2));
}
