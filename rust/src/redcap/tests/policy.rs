//! Policies, against a clock that a test holds: what each rule says over months, and what the pipeline makes of it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::world::{PROJECT, Server, VERSION, World, read, say};
use crate::audit::{Unanchored, utc};
use crate::ctx::{Clock, Event};
use crate::error::Kind;
use crate::project::{Grant, Grants, Kept, Policies, Policy, Project};
use crate::redcap::age::{Age, Ages, Check, Checked, Evidence, seconds};
use crate::redcap::policy::{Call, Finding, Known, Rule, State, Use, judge};
use crate::redcap::request::{Expect, Request};

const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;
/// 2024-02-01 in UTC: February has 29 days.
const START: u64 = 1_706_745_600;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn policy(text: &str) -> Policy {
    Policy::parse(text.parse().unwrap()).unwrap()
}

fn project(dag: Option<&str>) -> Project {
    Project { dag: dag.map(str::to_owned), ..World::project("https://redcap.example.org/api/") }
}

/// A token of which everything is as it should be at [`START`].
fn good() -> Known {
    let checked = |asked: &str| {
        Some(Checked { asked: asked.into(), good: Some(true), says: "fine".into(), at: START, since: START })
    };
    Known {
        source: "vault".to_owned(),
        age: Age::Exact { since: at(START), evidence: Evidence::Log },
        used: Some(Use::At(at(START))),
        grant: None,
        rights: checked("export"),
        group: checked("site_a"),
    }
}

fn one(policy_text: &str, now: u64, known: &Known) -> Finding {
    let findings = judge(&policy(policy_text), &project(Some("site_a")), at(now), None, Some(known));
    assert_eq!(findings.len(), 1, "{policy_text}: {findings:?}");
    findings.into_iter().next().unwrap()
}

#[test]
fn a_token_grows_too_old_with_days_left_ahead_over_months_and_a_leap_day() {
    let (ok, warning, breach) = (State::Ok, State::Warning, State::Breach);
    let (made, warned, refused) = (Call::Made, Call::Warned, Call::Refused);
    // The policy, the seconds since the token was made, what is so, what becomes of a call, and the days that are left.
    for (text, after, state, call, left) in [
        // Weekly: the last fifth is told ahead, which is 1.4 days.
        ("max_age = \"7 days\"", 0, ok, made, 7.0),
        ("max_age = \"7 days\"", 5 * DAY + 14 * HOUR, ok, made, 1.4166),
        ("max_age = \"7 days\"", 5 * DAY + 15 * HOUR, warning, made, 1.375),
        ("max_age = \"7 days\"", 7 * DAY, warning, made, 0.0),
        ("max_age = \"7 days\"", 7 * DAY + 1, breach, warned, 0.0),
        ("max_age = \"7 days\"\non_breach = \"refuse\"", 7 * DAY, warning, made, 0.0),
        ("max_age = \"7 days\"\non_breach = \"refuse\"", 7 * DAY + 1, breach, refused, 0.0),
        // Two weeks ahead at most. From 1 February 2024, 90 days are over on 1 May.
        ("max_age = \"90 days\"", 75 * DAY, ok, made, 15.0),
        ("max_age = \"90 days\"", 76 * DAY, warning, made, 14.0),
        ("max_age = \"90 days\"", 89 * DAY, warning, made, 1.0),
        ("max_age = \"90 days\"", 91 * DAY, breach, warned, -1.0),
        ("max_age = \"365 days\"", 351 * DAY - 1, ok, made, 14.0),
        ("max_age = \"365 days\"", 351 * DAY, warning, made, 14.0),
        ("max_age = \"365 days\"", 366 * DAY, breach, warned, -1.0),
        ("max_age = \"12 hours\"", 9 * HOUR, ok, made, 0.125),
        ("max_age = \"12 hours\"", 10 * HOUR, warning, made, 2.0 / 24.0),
        ("max_age = \"12 hours\"", 13 * HOUR, breach, warned, -1.0 / 24.0),
        // A grace after the end.
        ("max_age = 7\non_breach = \"refuse\"\ngrace = 3", 10 * DAY, breach, warned, -3.0),
        ("max_age = 7\non_breach = \"refuse\"\ngrace = 3", 10 * DAY + 60, breach, refused, -3.0),
    ] {
        let found = one(text, START + after, &good());
        assert_eq!((found.rule, found.state, found.call), (Rule::MaxAge, state, call), "{text} after {after}");
        assert!((found.days_left.unwrap() - left).abs() < 0.001, "{text} after {after}: {:?}", found.days_left);
        assert_eq!(found.remedy.is_some(), state != ok);
        // Known only since keycap saw it, it is at least as old.
        let seen = Known { age: Age::AtLeast { days: after / DAY, since: at(START) }, ..good() };
        let least = one(text, START + after, &seen);
        assert_eq!((least.state, least.call, least.days_left), (found.state, found.call, found.days_left));
        let known = if after < 3_600 { "first saw" } else { "at least" };
        assert!(least.says.contains(known) && least.evidence.unwrap().contains("may be older"), "{}", least.says);
    }
    assert!(utc(at(START + 90 * DAY)).starts_with("2024-05-01T00:00:00"));
    let found = one("max_age = 7", START + 3 * DAY, &good());
    assert_eq!(
        (found.says.as_str(), found.evidence.as_deref()),
        ("the token is 3 days old, and may be 7 days", Some("REDCap's log"))
    );
}

#[test]
fn what_is_not_known_is_what_the_policy_says_of_it() {
    let set_back = Known { age: Age::Unknown("it was set back"), ..good() };
    let unread = Known { used: None, ..good() };
    let ahead = Known { used: Some(Use::At(at(START + DAY))), ..good() };
    let unchecked = Known { rights: None, group: None, ..good() };
    let check = good().rights.unwrap();
    let open = Checked { good: None, ..check.clone() };
    let later = Checked { at: START + DAY, ..check.clone() };
    let (open, later) = (Known { rights: Some(open), ..good() }, Known { rights: Some(later), ..good() });
    let other = Known { rights: Some(Checked { asked: "import".into(), ..check }), ..good() };
    for (rule, now, known) in [
        ("max_age = 7", START, &set_back),
        ("max_idle = 7", START, &unread),
        ("max_idle = 7", START, &ahead),
        ("needs = \"export\"", START, &unchecked),
        ("needs = \"export\"", START, &other),
        ("needs = \"export\"", START, &open),
        ("needs = \"export\"", START, &later),
        ("needs = \"export\"", START + 30 * DAY + 1, &good()),
        ("dag = true", START, &unchecked),
        ("dag = true", START + 31 * DAY, &good()),
    ] {
        for (unknown, call) in [
            ("", Call::Warned),
            ("unknown = \"warn\"", Call::Warned),
            ("unknown = \"refuse\"", Call::Refused),
            ("unknown = \"allow\"", Call::Made),
        ] {
            // What a breach is, is another matter.
            let found = one(&format!("{rule}\n{unknown}\non_breach = \"refuse\"\ngrace = 7"), now, known);
            assert_eq!(
                (found.state, found.call, found.days_left),
                (State::Unknown, call, None),
                "{rule}, {unknown}: {found:?}"
            );
        }
    }
    assert!(one("max_age = 7", START, &set_back).says.contains("set back"));
    assert!(one("max_idle = 7", START, &ahead).says.contains("set back"));
}

#[test]
fn a_token_that_nobody_uses_needs_a_person_who_lets_it_go_on() {
    let text = "max_idle = \"30 days\"\non_breach = \"refuse\"";
    let found = |days: u64, known: &Known| {
        let found = one(text, START + days * DAY, known);
        (found.state, found.call, found.days_left.unwrap().round() as i64)
    };
    assert_eq!(found(23, &good()), (State::Ok, Call::Made, 7));
    assert_eq!(found(24, &good()), (State::Warning, Call::Made, 6));
    assert_eq!(found(30, &good()), (State::Warning, Call::Made, 0));
    assert_eq!(found(31, &good()), (State::Breach, Call::Refused, -1));
    let never = Known { used: Some(Use::NotSince(at(START))), ..good() };
    assert_eq!(found(31, &never), (State::Breach, Call::Refused, -1));
    // A grant up to and with 2024-04-30, which is the day 19843.
    let grant = Grant::of(&project(None), "Dr. Ada Admin".into(), "2024-04-30".into(), 19_843, at(START + 40 * DAY));
    let granted = Known { grant: Some(grant), ..good() };
    assert_eq!(found(20, &granted), (State::Ok, Call::Made, 10), "it is not needed before");
    assert_eq!(found(60, &granted), (State::Ok, Call::Made, 30));
    assert_eq!(found(76, &granted), (State::Warning, Call::Made, 14));
    assert_eq!(found(90, &granted), (State::Warning, Call::Made, 0));
    assert_eq!(found(91, &granted), (State::Breach, Call::Refused, -61));
    let said = one(text, START + 60 * DAY, &granted);
    assert_eq!(said.evidence.as_deref(), Some("reauthorized by Dr. Ada Admin"));
    assert!(said.says.contains("until 2024-04-30"), "{}", said.says);
    let remedy = one(text, START + 31 * DAY, &good()).remedy.unwrap();
    assert!(remedy.contains("reauthorize_project(\"T\""), "{remedy}");
}

#[test]
fn stores_rights_and_groups_are_as_they_were_found() {
    let is = |text: &str, known: &Known| {
        let found = one(text, START + DAY, known);
        (found.state, found.call)
    };
    let (ok, warned, refused) =
        ((State::Ok, Call::Made), (State::Breach, Call::Warned), (State::Breach, Call::Refused));
    let from = |source: &str| Known { source: source.to_owned(), ..good() };
    assert_eq!(is("stores = [\"keyring\", \"vault\"]", &good()), ok);
    assert_eq!(is("stores = [\"vault\"]", &from("sandbox")), ok, "the sandbox's tokens are in no store");
    assert_eq!(is("stores = [\"vault\"]", &from("env")), warned);
    assert_eq!(is("stores = [\"vault\"]\non_breach = \"refuse\"\ngrace = 9", &from("env")), refused);
    let remedy = one("stores = [\"vault\"]", START, &from("env")).remedy.unwrap();
    assert!(remedy.contains("move_project_token(\"T\", from = \"env\", to = \"vault\")"), "{remedy}");
    let bad = |since| {
        let found = |asked: &str| {
            Some(Checked { asked: asked.into(), good: Some(false), says: "too much".into(), at: START, since })
        };
        Known { rights: found("export"), group: found("site_a"), ..good() }
    };
    for rule in ["needs = \"export\"", "dag = true"] {
        assert_eq!(is(rule, &good()), ok);
        assert_eq!(is(rule, &bad(START)), warned);
        assert_eq!(is(&format!("{rule}\non_breach = \"refuse\""), &bad(START)), refused);
        // The grace begins when it was found.
        assert_eq!(is(&format!("{rule}\non_breach = \"refuse\"\ngrace = 2"), &bad(START)), warned);
        assert_eq!(is(&format!("{rule}\non_breach = \"refuse\"\ngrace = 2"), &bad(START - 2 * DAY)), refused);
    }
    let bare = judge(&policy("dag = true"), &project(None), at(START), None, None);
    assert_eq!((bare.len(), bare[0].state), (1, State::Breach));
    assert!(judge(&policy("dag = true"), &project(Some("site_a")), at(START), None, None).is_empty());
    assert!(judge(&policy("dag = false"), &project(None), at(START), None, Some(&good())).is_empty());
}

#[test]
fn the_audit_log_is_anchored_as_often_as_the_policy_says() {
    let found = |text: &str, anchored: std::result::Result<Unanchored, String>, now: u64| {
        let found = judge(&policy(text), &project(None), at(now), Some(&anchored), None);
        assert_eq!(found.len(), 1);
        (found[0].state, found[0].call)
    };
    let text = "anchor = \"2 days\"\non_breach = \"refuse\"";
    assert_eq!(found(text, Ok(Unanchored::Nothing), START + 400 * DAY), (State::Ok, Call::Made));
    assert_eq!(found(text, Ok(Unanchored::Everything), START), (State::Breach, Call::Refused));
    for (after, expected) in [
        (DAY, (State::Ok, Call::Made)),
        (2 * DAY - HOUR, (State::Warning, Call::Made)),
        (2 * DAY + 1, (State::Breach, Call::Refused)),
    ] {
        assert_eq!(found(text, Ok(Unanchored::Since(at(START))), START + after), expected, "{after}");
    }
    assert_eq!(found(text, Ok(Unanchored::Since(at(START + DAY))), START).0, State::Unknown);
    assert_eq!(found(text, Err("it is damaged".into()), START), (State::Unknown, Call::Warned));
    assert!(judge(&policy(text), &project(None), at(START), None, Some(&good())).is_empty());
}

/// A clock that a test sets.
struct Hand(Mutex<SystemTime>, std::time::Instant);

impl Clock for Hand {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
    fn elapsed(&self) -> Duration {
        self.1.elapsed()
    }
}

struct Ruled {
    world: World,
    hand: Arc<Hand>,
    server: Server,
    project: Project,
}

impl Ruled {
    fn new(text: &str) -> Self {
        let mut world = World::new();
        let hand = Arc::new(Hand(Mutex::new(at(START)), std::time::Instant::now()));
        world.ctx.clock = hand.clone();
        *world.ctx.settings.policies = Policies { all: policy(text), ..Policies::default() };
        world.ctx.settings.found.push(("policy".into(), String::new(), "/etc/keycap/config.toml".into()));
        let server = Server::start(vec![Box::new(|request: &str| {
            let body = if request.contains("content=version") {
                VERSION
            } else if request.contains("content=project") {
                PROJECT
            } else {
                "[]"
            };
            say(200, "", body)(request)
        })]);
        let project = world.set_up(&server.uri);
        Self { world, hand, server, project }
    }

    fn set(&self, days: u64) {
        *self.hand.0.lock().unwrap() = at(START + days * DAY);
    }

    /// The warnings of one read, or the error's kind.
    async fn read(&self) -> std::result::Result<Vec<String>, crate::error::Error> {
        self.world.events.lock().unwrap().clear();
        self.world.operation(&self.project).collect(&read(), 1000).await?;
        let events = self.world.events.lock().unwrap();
        Ok(events
            .iter()
            .filter_map(|event| match event {
                Event::Warning(text) => Some(text.clone()),
                _ => None,
            })
            .collect())
    }
}

#[tokio::test]
async fn a_call_with_a_token_that_is_too_old_is_warned_of_or_refused_and_a_test_of_it_never() {
    let ruled = Ruled::new("max_age = 30");
    for (days, warnings) in [(0, 0), (20, 0), (30, 0), (31, 1)] {
        ruled.set(days);
        let said = ruled.read().await.unwrap();
        assert_eq!(said.len(), warnings, "{days}: {said:?}");
    }
    ruled.set(27);
    ruled.read().await.unwrap();
    let events = format!("{:?}", ruled.world.events.lock().unwrap());
    assert!(events.contains("Once") && events.contains("3 days left"), "{events}");
    assert_eq!(ruled.server.count(), 5);

    let mut ruled = ruled;
    ruled.world.ctx.settings.policies.all = policy("max_age = 30\non_breach = \"refuse\"");
    ruled.set(31);
    let error = ruled.read().await.unwrap_err();
    assert_eq!(error.kind, Kind::Policy);
    assert!(error.message.contains("at least 31 days old"), "{}", error.message);
    let hints = error.hints.join(" ");
    assert!(hints.contains("rotate_project_token") && hints.contains("/etc/keycap/config.toml"), "{hints}");
    assert_eq!(ruled.server.count(), 5, "nothing was sent");
    let last = ruled.world.log().pop().unwrap();
    assert_eq!((last["phase"].as_str(), last["reason"].as_str()), (Some("refused"), Some("policy")));
    assert!(last["fingerprint"].as_str().unwrap().starts_with("kc1:") && last["source"] == "env", "{last}");
    ruled.world.assert_sealed(&format!("{error:?}"));
    // A test is allowed; what is no check is not, also in the same operation.
    assert_eq!(ruled.world.probe(&ruled.project).await.unwrap().project_id.as_deref(), Some("77"));
    let mut operation = ruled.world.operation(&ruled.project);
    operation.as_check();
    operation.collect(&Request::read("user", Expect::Json), 1000).await.unwrap();
    assert_eq!(operation.collect(&read(), 1000).await.unwrap_err().kind, Kind::Policy);
    let mut write = Request::read("user", Expect::Json);
    write.writes = true;
    assert_eq!(operation.collect(&write, 1000).await.unwrap_err().kind, Kind::Policy);
    // A check does not make the token young, and a new one is.
    assert_eq!(ruled.read().await.unwrap_err().kind, Kind::Policy);
    let print = last["fingerprint"].as_str().unwrap();
    let ages = Ages::of(&ruled.world.ctx, &ruled.project, false);
    assert_eq!(ages.age(print, ruled.hand.now()).unwrap(), Age::AtLeast { days: 31, since: at(START) });
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_no_token_young() {
    let ruled = Ruled::new("max_age = 30\nmax_idle = 30\nunknown = \"refuse\"\non_breach = \"refuse\"");
    ruled.set(10);
    assert!(ruled.read().await.unwrap().is_empty());
    ruled.set(9);
    let error = ruled.read().await.unwrap_err();
    assert!(error.kind == Kind::Policy && error.message.contains("set back"), "{}", error.message);
    ruled.set(10);
    assert!(ruled.read().await.is_ok());
}

#[tokio::test]
async fn an_idle_token_is_refused_until_a_person_lets_it_go_on_and_no_test_wakes_it() {
    let ruled = Ruled::new("max_idle = 30\non_breach = \"refuse\"");
    for days in [0, 25, 50] {
        ruled.set(days);
        assert!(ruled.read().await.is_ok(), "{days}");
    }
    ruled.set(79);
    ruled.world.probe(&ruled.project).await.unwrap();
    ruled.set(81);
    let error = ruled.read().await.unwrap_err();
    assert!(error.kind == Kind::Policy && error.message.contains("last used 31 days ago"), "{}", error.message);
    let grants = Grants::new(&ruled.world.ctx.dirs, Kept::User);
    let day = i64::try_from((START + 85 * DAY) / DAY).unwrap();
    let grant = Grant::of(&ruled.project, "Dr. X".into(), "2024-04-26".into(), day, ruled.hand.now());
    // The project has no folder: it is the session's, and so is its grant.
    grants.put(&ruled.project, grant.clone()).unwrap();
    assert_eq!(ruled.read().await.unwrap_err().kind, Kind::Policy);
    Grants::new(&ruled.world.ctx.dirs, Kept::Session).put(&ruled.project, grant).unwrap();
    assert!(ruled.read().await.is_ok());
    // It is in use again.
    ruled.set(110);
    assert!(ruled.read().await.is_ok());
    ruled.set(141);
    assert_eq!(ruled.read().await.unwrap_err().kind, Kind::Policy);
}

#[tokio::test]
async fn a_store_that_is_not_allowed_and_rights_that_nobody_checked_stop_a_call_before_its_intent() {
    let ruled = Ruled::new("stores = [\"vault\"]\non_breach = \"refuse\"");
    let error = ruled.read().await.unwrap_err();
    assert!(error.message.contains("comes from `env`"), "{}", error.message);
    assert_eq!((ruled.world.phases(), ruled.server.count()), (vec!["refused".to_owned()], 0));

    let ruled = Ruled::new("needs = [\"export\"]\nunknown = \"refuse\"");
    let error = ruled.read().await.unwrap_err();
    assert!(error.message.contains("were not checked yet") && error.hints[0].contains("policy_status"), "{error:?}");
    let print = ruled.world.log()[0]["fingerprint"].as_str().unwrap().to_owned();
    let ages = Ages::of(&ruled.world.ctx, &ruled.project, false);
    let now = seconds(ruled.hand.now());
    let found = |good| Checked { asked: "export".into(), good: Some(good), says: "x".into(), at: now, since: now };
    ages.checked(&print, Check::Rights, found(true)).unwrap();
    assert!(ruled.read().await.unwrap().is_empty());
    ages.checked(&print, Check::Rights, found(false)).unwrap();
    assert_eq!(ruled.read().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_known_without_a_token_is_said_before_any_look_up() {
    let mut ruled = Ruled::new("dag = true\non_breach = \"refuse\"");
    ruled.world.ctx.env = crate::store::Environment::empty();
    let error = ruled.read().await.unwrap_err();
    assert!(error.kind == Kind::Policy && error.message.contains("without a Data Access Group"), "{error:?}");
    ruled.world.ctx.settings.policies.all = policy("anchor = 1\non_breach = \"refuse\"");
    let error = ruled.read().await.unwrap_err();
    assert!(error.kind == Kind::Policy && error.message.contains("no anchor"), "{error:?}");
    ruled.world.ctx.settings.policies.all = Policy::default();
    assert_eq!(ruled.read().await.unwrap_err().kind, Kind::TokenMissing);
    // A policy of another project is none of this one's business.
    ruled.world.ctx.settings.policies.projects.insert("OTHER".into(), policy("dag = true\non_breach = \"refuse\""));
    assert_eq!(ruled.read().await.unwrap_err().kind, Kind::TokenMissing);
}

#[tokio::test]
async fn what_of_a_users_file_does_not_count_is_told() {
    let mut ruled = Ruled::new("max_age = 30");
    ruled.world.ctx.settings.policies.ignored.push("`max_age = 90 days` does not count".to_owned());
    ruled.read().await.unwrap();
    let events = format!("{:?}", ruled.world.events.lock().unwrap());
    assert!(events.contains("Once(\"`max_age = 90 days` does not count\")"), "{events}");
}

#[tokio::test]
async fn without_a_policy_a_token_is_noted_and_nothing_is_asked() {
    let mut ruled = Ruled::new("");
    ruled.read().await.unwrap();
    let file = ruled.world.ctx.dirs.data.join("known_tokens.json");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"kc1:") && text.contains(&START.to_string()), "{text}");
    ruled.world.assert_sealed("");
    // Where it cannot be noted, the call goes on all the same; a policy that needs it says what then.
    std::fs::write(&file, "damaged").unwrap();
    assert!(ruled.read().await.unwrap().is_empty());
    ruled.world.ctx.settings.policies.all = policy("max_age = 30\nunknown = \"refuse\"");
    assert_eq!(ruled.read().await.unwrap_err().kind, Kind::Policy);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "damaged");
}
