//! Rotations against a sandbox in a process of its own: every state, every way in which what comes is not the new token,
//! and, in a real keyring, a kill at every step.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value as Json, json};

use super::*;
use crate::audit::{Verdict, verify};
use crate::ctx::{Clock, Event, SystemClock};
use crate::project::{Settings, Wish, set_up};
use crate::redcap::Age;
use crate::redcap::{Expect, Probe, Request, probe, wanted};
use crate::sandbox::Child;
use crate::sandbox::tests::program;
use crate::store::Environment;
use crate::store::step::DIES_AT;
use crate::store::testing::{self, again_under, heard, inside, no_trace, random_token, token_name};
use crate::value::Value;

const NAME: &str = "REDCapSync_X";

const HARNESS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/keyring/with-keyring.sh");

/// A clock that can be put forward.
struct Forward(SystemClock, AtomicU64);

impl Clock for Forward {
    fn now(&self) -> SystemTime {
        self.0.now() + Duration::from_secs(self.1.load(Ordering::SeqCst))
    }
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A folder, a sandbox, and a project whose token is in a store that is a program: the file `kept` in the folder.
struct World {
    folder: tempfile::TempDir,
    sandbox: Child,
    ctx: Ctx,
    clock: Arc<Forward>,
    events: Arc<Mutex<Vec<Event>>>,
    project: Project,
    /// Every token that there was.
    tokens: Vec<String>,
}

/// A program in the place of `pass`.
fn keeper(folder: &Path, preset: &str) -> String {
    let place = folder.display();
    let program = folder.join("keeper");
    let script = format!(
        "#!/bin/sh\nfile={place}/kept\ncase $1 in\nshow) test -e \"$file\" || exit 1; cat \"$file\" ;;\n\
         insert) cat > \"$file\" ;;\nrm) rm \"$file\" ;;\nesac\n"
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("stores = [\"env\", \"command\"]\nretries = 0\n[command]\nprogram = \"{}\"\n{preset}\n", program.display())
}

const WRITABLE: &str = "preset = \"pass\"";
const READ_ONLY: &str = "arguments = [\"show\", \"{token_name}\"]\nabsent_status = [1]";

fn ctx_at(folder: &Path) -> Ctx {
    let mut ctx = testing::ctx();
    ctx.dirs.config = folder.join("config");
    ctx.dirs.data = folder.join("data");
    ctx.dirs.session = folder.join("session");
    ctx.net = crate::net::Net::new();
    ctx
}

fn described(uri: &str, user: Option<&str>, folder: &Path) -> Project {
    Project::from_value(&Value::list([
        ("short_name", "X".into()),
        ("redcap_uri", uri.into()),
        ("token_name", NAME.into()),
        ("dir_path", folder.join("project").display().to_string().into()),
        ("redcap_user", user.map(str::to_owned).into()),
    ]))
    .unwrap()
}

impl World {
    /// The project `TEST_SITES` with the token of one of its users.
    fn new(user: &str) -> Self {
        Self::with(user, Some(user), WRITABLE)
    }

    fn with(user: &str, declared: Option<&str>, preset: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Child::start(program(), ["--no-sample-tokens"]).unwrap();
        let mut ctx = ctx_at(folder.path());
        let clock = Arc::new(Forward(SystemClock::new(), AtomicU64::new(0)));
        ctx.clock = clock.clone();
        ctx.settings = Settings::of_site(&keeper(folder.path(), preset)).unwrap();
        ctx.env = Environment::with(&token_name(NAME), b"").for_stores(&ctx.settings, &ctx.net, &[]);
        let events = heard(&mut ctx);
        let project = described(sandbox.redcap_uri(), declared, folder.path());
        let wish = Wish { project, overwrite: true, sandboxes: Vec::new() };
        let project = set_up(&ctx, wish).unwrap().project;
        let mut world = Self { folder, sandbox, ctx, clock, events, project, tokens: Vec::new() };
        world.token("issue", "TEST_SITES", user, "kept");
        world
    }

    fn admin(&mut self, command: Json) {
        self.sandbox.command(command).unwrap();
    }

    /// What a click on the page does: a user's new token, in a file that is the user's alone.
    fn token(&mut self, how: &str, sandbox_project: &str, user: &str, file: &str) -> PathBuf {
        let file = self.folder.path().join(file);
        let _ = std::fs::remove_file(&file);
        self.admin(json!({"do": how, "project": sandbox_project, "user": user, "to": file}));
        self.tokens.push(std::fs::read_to_string(&file).unwrap().trim_end().to_owned());
        file
    }

    fn click(&mut self, user: &str) -> PathBuf {
        self.token("regenerate", "TEST_SITES", user, "new")
    }

    fn kept(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("kept")).unwrap_or_default().trim_end().to_owned()
    }

    fn last(&self) -> &str {
        self.tokens.last().unwrap()
    }

    fn forward(&self, seconds: u64) {
        self.clock.1.fetch_add(seconds, Ordering::SeqCst);
    }

    fn operation(&self, project: &Project) -> Operation {
        Operation::new(&self.ctx, project.clone(), false, self.ctx.net.client(&self.ctx.settings.net).unwrap())
    }

    fn rotation(&self, checker: Option<Token>) -> Rotation {
        rotation(&self.ctx, &self.project, checker)
    }

    async fn begin(&self) -> Result<Stand> {
        self.rotation(None).begin(None).await
    }

    async fn finish(&self, file: &Path) -> Result<Done> {
        let way = Way::File { path: file.to_owned(), wipe: false };
        self.rotation(None).finish(way, Place::take(""), &Hold::default()).await
    }

    /// Without a file: what the store has, or a person, of whom there is none here.
    async fn finish_alone(&self) -> Result<Done> {
        self.rotation(None).finish(Way::Person, Place::take("RStudio"), &Hold::default()).await
    }

    fn begun(&self) -> Option<Begun> {
        Rotations::new(&self.ctx.dirs, false).find(&self.project).unwrap()
    }

    fn step(&self) -> Option<Step> {
        self.begun().map(|begun| begun.step)
    }

    async fn probe(&self) -> Result<Probe> {
        probe(&self.ctx, &self.project, &mut self.operation(&self.project)).await
    }

    fn said(&self) -> String {
        format!("{:?}", self.events.lock().unwrap())
    }

    /// The changes in the audit log, which is intact: action and class of the outcome, and both fingerprints.
    fn changes(&self) -> Vec<(String, String, String)> {
        let lines = log_of(&self.folder.path().join("data/audit"));
        let text = |entry: &Json, key: &str| entry[key].as_str().unwrap_or("-").to_owned();
        let class = |id: &Json| {
            let outcome = lines.iter().find(|entry| entry["phase"] == "outcome" && entry["call_id"] == *id);
            outcome.map_or_else(|| "open".to_owned(), |entry| text(entry, "class"))
        };
        let changes = lines.iter().filter(|entry| entry["phase"] == "change");
        changes
            .map(|entry| {
                let what = format!("{} {}", text(entry, "action"), class(&entry["call_id"]));
                (what, text(entry, "fingerprint"), text(entry, "replaced"))
            })
            .collect()
    }

    fn actions(&self) -> Vec<String> {
        self.changes().into_iter().map(|(what, ..)| what).collect()
    }

    /// No part of any token in what was said or written, the store's own file and the user's apart.
    fn assert_sealed(&self, text: &str) {
        let mut all = format!("{text}{}", self.said());
        for folder in ["data", "config"] {
            texts(&self.folder.path().join(folder), &mut all);
        }
        for token in &self.tokens {
            for at in 0..=token.len() - 12 {
                assert!(!all.to_uppercase().contains(&token[at..at + 12]), "a part of a token stands somewhere");
            }
        }
    }
}

fn texts(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, all);
        } else {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
        }
    }
}

fn log_of(folder: &Path) -> Vec<Json> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let log = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).max().unwrap();
    assert!(matches!(verify(&log).unwrap(), Verdict::Intact { .. }));
    std::fs::read_to_string(log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn rotation(ctx: &Ctx, project: &Project, checker: Option<Token>) -> Rotation {
    let wanted = wanted(ctx, project, false).unwrap();
    let client = ctx.net.client(&ctx.settings.net).unwrap();
    Rotation::new(ctx.clone(), project.clone(), (project.clone(), wanted), client, checker, Progress::default())
}

fn finished(done: Done) -> Finished {
    match done {
        Done::Finished(finished) => *finished,
        Done::Waiting(waiting) => panic!("still waiting: {:?}", waiting.hints),
    }
}

fn state(error: &Error) -> &str {
    assert_eq!(error.kind, Kind::Rotation, "{error:?}");
    error.fields.iter().find(|(name, _)| name == "state").and_then(|(_, value)| value.as_text()).unwrap()
}

#[tokio::test]
async fn a_rotation_replaces_the_token_with_an_entry_and_both_fingerprints_at_each_step() {
    let mut world = World::new("manager");
    world.probe().await.unwrap();
    let stand = world.begin().await.unwrap();
    assert!(stand.works == Some(true) && stand.another.is_none() && !stand.resumed);
    let page = format!("{}redcap_v", world.sandbox.redcap_uri().strip_suffix("api/").unwrap());
    let link = stand.begun.api_page.clone().unwrap();
    assert!(link.starts_with(&page) && link.ends_with("/API/project_api.php?pid=20"), "{link}");
    assert_eq!(stand.begun.held.as_ref().unwrap().evidence, "self");
    assert_eq!(world.step(), Some(Step::Waiting));

    world.forward(100);
    let file = world.click("manager");
    world.forward(20);
    // Whoever calls meanwhile is told what is going on, and by what it ends.
    let error = world.probe().await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind, Kind::TokenRefused);
    assert!(error.message.contains("`X` is waiting for the new token"), "{error}");
    assert!(error.hints[0].contains("`rotate_project_token(\"X\")`"), "{error:?}");
    assert!(error.fields.iter().any(|(name, value)| name == "rotation" && value.as_text() == Some("waiting")));
    assert!(world.begun().unwrap().refused.is_some());
    assert!(world.begun().unwrap().told().contains("waiting for the new token"));

    world.forward(10);
    let way = Way::File { path: file.clone(), wipe: true };
    let done = world.rotation(None).finish(way, Place::take(""), &Hold::default()).await.unwrap();
    let done = finished(done);
    assert_eq!(world.kept(), world.last());
    assert!(done.wiped && !file.exists());
    let Evidence { same_project, user, rights, how, old_refused, ref lost } = done.evidence;
    assert!(lost.is_empty());
    assert_eq!((same_project, user, rights, how, old_refused), (true, "self", "self", "file", Some(true)));
    assert!(done.still.is_empty() && done.shadowed_by.is_none());
    let (most, least) = (done.at_most.unwrap(), done.at_least.unwrap());
    assert!((130.0..160.0).contains(&most) && (10.0..40.0).contains(&least), "{most} {least}");
    assert_eq!(world.step(), None);
    assert!(world.probe().await.unwrap().remark.is_none());

    let (old, new) = (done.begun.old.clone(), done.begun.new.clone().unwrap());
    let changes = world.changes();
    let expected =
        ["rotate_begin", "rotate_wait", "rotate_check", "rotate_confirm", "set_token", "rotate_search", "rotate_done"];
    for (n, action) in expected.into_iter().enumerate() {
        let (what, print, replaced) = &changes[n];
        assert_eq!(*what, format!("{action} ok"));
        let prints = if n < 2 { (old.as_str(), "-") } else { (new.as_str(), old.as_str()) };
        assert_eq!((print.as_str(), replaced.as_str()), prints, "{action}");
    }
    assert_eq!(changes.len(), expected.len());

    // Its age begins here: when the old one was last seen to work.
    let project = world.rotation(None).entry.clone();
    let age = Ages::of(&world.ctx, &project, false).age(&new, world.ctx.clock.now()).unwrap();
    assert!(matches!(age, Age::Exact { evidence: Born::Rotation, .. }), "{age:?}");
    assert!((130.0..160.0).contains(&(age.days(world.ctx.clock.now()).unwrap() * 86_400.0)), "{age:?}");
    world.assert_sealed(&done.time());
}

#[tokio::test]
async fn another_session_finds_the_new_token_by_its_next_look_up() {
    let mut world = World::new("manager");
    world.begin().await.unwrap();
    // An operation that is under way has the old one.
    let mut other = world.operation(&world.project);
    other.collect(&Request::read("version", Expect::Version), 1000).await.unwrap();
    let file = world.click("manager");
    let done = finished(world.finish(&file).await.unwrap());
    other.collect(&Request::read("version", Expect::Version), 1000).await.unwrap();
    assert_eq!(other.fingerprint(), done.begun.new);
}

#[tokio::test]
async fn before_the_click_all_works_the_old_token_is_no_new_one_and_the_rotation_can_be_given_up() {
    let mut world = World::new("manager");
    let before = world.kept();
    world.begin().await.unwrap();
    let remark = world.probe().await.unwrap().remark.unwrap();
    assert!(remark.contains("not regenerated yet") && remark.contains("cancel = TRUE"), "{remark}");
    let copy = world.folder.path().join("copy");
    crate::file::replace(&copy, before.as_bytes(), crate::file::Readers::Owner).unwrap();
    let error = world.finish(&copy).await.map(|_| ()).unwrap_err();
    assert_eq!((state(&error), world.step()), ("same", Some(Step::Waiting)));
    let again = world.begin().await.unwrap();
    assert!(again.resumed && again.works == Some(true) && again.begun.held.is_some());
    world.rotation(None).cancel().await.unwrap();
    assert_eq!((world.step(), world.kept()), (None, before));
    assert_eq!(state(&world.rotation(None).cancel().await.map(|_| ()).unwrap_err()), "not_begun");
    assert_eq!(state(&world.finish(&copy).await.map(|_| ()).unwrap_err()), "not_begun");
    assert_eq!(world.actions().last().unwrap(), "rotate_cancel ok");

    // After the click there is nothing to go back to.
    world.begin().await.unwrap();
    let file = world.click("manager");
    let error = world.rotation(None).cancel().await.map(|_| ()).unwrap_err();
    assert_eq!((state(&error), world.step()), ("waiting", Some(Step::Waiting)));
    assert!(error.hints[0].contains("`rotate_project_token(\"X\")`"));
    // Unless somebody has set another token meanwhile.
    std::fs::copy(&file, world.folder.path().join("kept")).unwrap();
    let given_up = world.rotation(None).cancel().await.unwrap();
    assert!(given_up.new.is_some() && world.step().is_none());
    world.assert_sealed(&format!("{error:?}"));
}

#[tokio::test]
async fn what_comes_and_is_not_the_new_token_of_this_project_and_user_is_not_stored() {
    let mut world = World::new("manager");
    let before = world.kept();
    world.begin().await.unwrap();
    // Another user's, while the old one still works: two tokens are valid.
    let of_least = world.token("issue", "TEST_SITES", "least", "least");
    let error = world.finish(&of_least).await.map(|_| ()).unwrap_err();
    assert_eq!(state(&error), "two_valid", "{error}");
    assert!(error.message.contains("two tokens are valid"));
    assert_eq!(world.actions().last().unwrap(), "rotate_confirm rotation");
    // Another user's, whose deeds are not those of the declared one.
    let of_service = world.token("issue", "TEST_SITES", "service", "service");
    let error = world.finish(&of_service).await.map(|_| ()).unwrap_err();
    assert_eq!(state(&error), "other_user", "{error}");
    // Of another project.
    let strange = world.token("issue", "TEST", "admin", "strange");
    let error = world.finish(&strange).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind, Kind::ProjectChanged, "{error}");
    // None that REDCap knows, and what is none.
    let unknown = world.folder.path().join("unknown");
    crate::file::replace(&unknown, random_token().as_bytes(), crate::file::Readers::Owner).unwrap();
    assert_eq!(state(&world.finish(&unknown).await.map(|_| ()).unwrap_err()), "refused");
    crate::file::replace(&unknown, b"not a token", crate::file::Readers::Owner).unwrap();
    assert_eq!(world.finish(&unknown).await.map(|_| ()).unwrap_err().kind, Kind::TokenForm);
    assert_eq!(world.kept(), before);
    // The right one is taken all the same.
    let file = world.click("manager");
    finished(world.finish(&file).await.unwrap());
    assert_eq!(world.kept(), world.last());
    world.assert_sealed(&format!("{error:?}"));
}

#[tokio::test]
async fn a_token_that_works_and_was_put_into_the_store_meanwhile_is_not_overwritten() {
    let mut world = World::new("manager");
    world.begin().await.unwrap();
    let file = world.click("manager");
    // Somebody puts another project's token into the same place, perhaps its only copy.
    world.token("issue", "TEST", "editor", "kept");
    let kept = world.kept();
    let way = || Way::File { path: file.clone(), wipe: true };
    let error = world.rotation(None).finish(way(), Place::take(""), &Hold::default()).await.map(|_| ()).unwrap_err();
    assert_eq!(state(&error), "another_there", "{error:?}");
    assert!(world.kept() == kept && file.exists());
    // A dead one is nobody's loss.
    world.admin(json!({"do": "revoke", "project": "TEST", "user": "editor"}));
    finished(world.rotation(None).finish(way(), Place::take(""), &Hold::default()).await.unwrap());
    assert_ne!(world.kept(), kept);
}

#[tokio::test]
async fn a_token_with_more_rights_than_the_one_before_is_not_stored() {
    for (user, checker) in [("manager", false), ("site_a", true)] {
        let mut world = World::new(user);
        let check = |world: &mut World| {
            checker.then(|| {
                let name = token_name("T_manager");
                let file = world.folder.path().join("checker");
                if !file.exists() {
                    world.token("issue", "TEST_SITES", "manager", "checker");
                }
                let value = std::fs::read(&file).unwrap();
                let mut ctx = world.ctx.clone();
                ctx.env = Environment::with(&name, value.trim_ascii_end());
                ctx.settings.order = vec!["env".into()];
                let object = Value::list([
                    ("short_name", "MANAGER".into()),
                    ("redcap_uri", world.sandbox.redcap_uri().into()),
                    ("token_name", "T_manager".into()),
                ]);
                let project = Project::from_value(&object).unwrap();
                let wish = Wish { project, overwrite: true, sandboxes: Vec::new() };
                let project = set_up(&ctx, wish).unwrap().project;
                let client = ctx.net.client(&ctx.settings.net).unwrap();
                Token::new(ctx.clone(), Operation::new(&ctx, project.clone(), false, client), project)
            })
        };
        let by = check(&mut world);
        world.rotation(by).begin(None).await.unwrap();
        world.admin(json!({"do": "set_rights", "project": "TEST_SITES", "user": user, "rights": {"design": 1}}));
        let file = world.click(user);
        let way = || Way::File { path: file.clone(), wipe: false };
        let by = check(&mut world);
        let error = world.rotation(by).finish(way(), Place::take(""), &Hold::default()).await.map(|_| ()).unwrap_err();
        assert_eq!(state(&error), "more_rights", "{error}");
        assert!(error.message.contains("`design`: yes, before: no"), "{error}");
        assert_ne!(world.kept(), world.last());
        world.admin(json!({"do": "set_rights", "project": "TEST_SITES", "user": user, "rights": {"design": 0}}));
        let by = check(&mut world);
        let done = world.rotation(by).finish(way(), Place::take(""), &Hold::default()).await.unwrap();
        let expected = if checker { "checker" } else { "self" };
        let evidence = finished(done).evidence;
        assert_eq!((evidence.rights, evidence.user), (expected, expected));
    }
    // Where nobody can read a list, what REDCap allows is all that is compared, and that is said.
    let mut world = World::new("least");
    world.begin().await.unwrap();
    world.admin(json!({"do": "set_rights", "project": "TEST_SITES", "user": "least", "rights": {"logging": 1}}));
    let file = world.click("least");
    assert_eq!(state(&world.finish(&file).await.map(|_| ()).unwrap_err()), "more_rights");
    world.admin(json!({"do": "set_rights", "project": "TEST_SITES", "user": "least", "rights": {"logging": 0}}));
    let evidence = finished(world.finish(&file).await.unwrap()).evidence;
    assert_eq!((evidence.rights, evidence.user, evidence.same_project), ("probe", "declared", true));
}

#[tokio::test]
async fn a_rotation_that_begins_after_the_click_says_what_it_cannot_know() {
    let mut world = World::with("manager", None, WRITABLE);
    let file = world.click("manager");
    let stand = world.begin().await.unwrap();
    assert!(stand.works == Some(false) && stand.begun.held.is_none() && stand.begun.refused.is_some());
    let done = finished(world.finish(&file).await.unwrap());
    assert_eq!((done.evidence.rights, done.evidence.user, done.evidence.same_project), ("unknown", "unknown", false));
    assert!(done.at_most.is_none() && done.time().starts_with("at least"), "{}", done.time());
    assert_eq!(world.kept(), world.last());
}

#[tokio::test]
async fn where_the_store_is_only_read_the_token_is_put_there_by_a_person_and_checked() {
    let mut world = World::with("manager", Some("manager"), READ_ONLY);
    world.begin().await.unwrap();
    let waiting = |done: Done| match done {
        Done::Waiting(waiting) => waiting.hints.join(" "),
        Done::Finished(_) => panic!("done"),
    };
    let hints = waiting(world.finish_alone().await.unwrap());
    assert!(hints.contains("put the new token into `command`") && hints.contains("`rotate_project_token(\"X\")`"));
    let file = world.click("manager");
    assert_eq!(world.finish(&file).await.map(|_| ()).unwrap_err().kind, Kind::Store);
    // Something that is not it.
    std::fs::write(world.folder.path().join("kept"), random_token()).unwrap();
    assert!(world.begin().await.unwrap().another.is_some());
    waiting(world.finish_alone().await.unwrap());
    assert!(world.said().contains("which REDCap refuses"));
    std::fs::copy(&file, world.folder.path().join("kept")).unwrap();
    let stand = world.begin().await.unwrap();
    assert!(stand.another.is_some() && stand.works.is_none());
    let done = finished(world.finish_alone().await.unwrap());
    assert_eq!((done.evidence.how, done.evidence.old_refused, done.evidence.rights), ("command", None, "self"));
    assert!(world.step().is_none() && !world.actions().iter().any(|action| action.starts_with("set_token")));
}

#[tokio::test]
async fn stores_that_still_have_the_old_token_are_found_and_named() {
    let mut world = World::new("manager");
    let old = world.kept();
    world.ctx.env = world.ctx.env.clone().holding(&token_name(NAME), old.as_bytes(), &[]);
    let stand = world.rotation(None).begin(Some("command".to_owned())).await.unwrap();
    assert_eq!(stand.begun.store, "command");
    for (store, kind) in [("nowhere", Kind::Argument), ("keyring", Kind::Store)] {
        let error = world.rotation(None).begin(Some(store.to_owned())).await.map(|_| ()).unwrap_err();
        assert_eq!((error.kind, world.begun().unwrap().store.as_str()), (kind, "command"), "{error}");
    }
    let file = world.click("manager");
    let done = finished(world.finish(&file).await.unwrap());
    assert_eq!((done.still.as_slice(), done.shadowed_by.as_deref()), (&["env".to_owned()][..], Some("env")));
    assert!(done.detail().contains("still in: env") && done.detail().contains("not used before `env`"));
    // Behind it in the order, the old one is only left over.
    world.ctx.settings.order = vec!["command".into(), "env".into()];
    let mut old_env = world.kept();
    world.ctx.env = world.ctx.env.clone().holding(&token_name(NAME), old_env.as_bytes(), &[]);
    world.begin().await.unwrap();
    let file = world.click("manager");
    let done = finished(world.finish(&file).await.unwrap());
    assert_eq!((done.still.as_slice(), done.shadowed_by), (&["env".to_owned()][..], None));
    old_env.clear();
}

#[tokio::test]
async fn a_token_in_the_environment_is_rotated_into_another_store_or_by_hand() {
    let mut world = World::new("manager");
    let old = world.kept();
    std::fs::remove_file(world.folder.path().join("kept")).unwrap();
    world.ctx.env = world.ctx.env.clone().holding(&token_name(NAME), old.as_bytes(), &[]);
    assert_eq!(world.begin().await.unwrap().begun.store, "env");
    let Done::Waiting(waiting) = world.finish_alone().await.unwrap() else { panic!("done") };
    assert!(waiting.hints[0].contains("readRenviron") && waiting.hints[1].contains("store = \"keyring\""));
    let file = world.click("manager");
    assert_eq!(world.finish(&file).await.map(|_| ()).unwrap_err().kind, Kind::Store);
    // Another store, in the middle of it.
    world.rotation(None).begin(Some("command".to_owned())).await.unwrap();
    let done = finished(world.finish(&file).await.unwrap());
    assert_eq!((world.kept().as_str(), done.shadowed_by.as_deref()), (world.last(), Some("env")));
    // By hand: the next session, or this one after `readRenviron()`, has the new one.
    let old = world.kept();
    std::fs::remove_file(world.folder.path().join("kept")).unwrap();
    let holds = |world: &mut World, token: &str| {
        world.ctx.env = world.ctx.env.clone().holding(&token_name(NAME), token.as_bytes(), &[]);
    };
    holds(&mut world, &old);
    world.begin().await.unwrap();
    world.click("manager");
    let new = world.last().to_owned();
    holds(&mut world, &new);
    world.begin().await.unwrap();
    let done = finished(world.finish_alone().await.unwrap());
    assert_eq!((done.evidence.how, done.begun.store.as_str(), done.shadowed_by), ("env", "env", None));
}

#[tokio::test]
async fn nothing_is_begun_where_there_is_no_token_or_redcap_cannot_be_asked() {
    let mut world = World::new("manager");
    world.admin(json!({"do": "fault", "fault": {"kind": "html", "status": 200}}));
    assert_eq!(world.begin().await.map(|_| ()).unwrap_err().kind, Kind::NotRedcap);
    assert_eq!((world.step(), world.actions()), (None, vec!["rotate_begin not_redcap".to_owned()]));
    world.admin(json!({"do": "clear"}));
    // In the middle: what is begun stays, and goes on.
    world.begin().await.unwrap();
    let file = world.click("manager");
    world.admin(json!({"do": "fault", "fault": {"kind": "html", "status": 200}}));
    assert_eq!(world.finish(&file).await.map(|_| ()).unwrap_err().kind, Kind::NotRedcap);
    assert_eq!(world.step(), Some(Step::Waiting));
    world.admin(json!({"do": "clear"}));
    finished(world.finish(&file).await.unwrap());
    std::fs::remove_file(world.folder.path().join("kept")).unwrap();
    assert_eq!(world.begin().await.map(|_| ()).unwrap_err().kind, Kind::TokenMissing);
    std::fs::write(world.folder.path().join("kept"), "short").unwrap();
    assert_eq!(world.begin().await.map(|_| ()).unwrap_err().kind, Kind::TokenForm);
    assert_eq!(world.step(), None);
    let held = Rotations::new(&world.ctx.dirs, false).lock(&world.project).unwrap();
    assert_eq!(state(&world.begin().await.map(|_| ()).unwrap_err()), "elsewhere");
    drop(held);
}

#[test]
fn who_interrupts_is_told_how_far_it_is() {
    let progress = Progress::default();
    assert!(progress.word("X").contains("nothing was changed"));
    progress.is(Step::Waiting);
    assert!(progress.word("X").contains("the rotation is begun; `rotate_project_token(\"X\")` goes on"));
    progress.is(Step::Storing);
    assert!(progress.word("X").contains("may be stored already"));
}

/// What the child of the test below does: the whole of a rotation, as R does it, in a real keyring.
async fn in_a_child(folder: &Path) {
    let mut ctx = ctx_at(folder);
    ctx.settings.order = vec!["keyring".into()];
    ctx.settings.retries = 0;
    ctx.env = Environment::take(&token_name(NAME));
    let registries = crate::project::Registries::new(&ctx.dirs);
    let (_, project) = registries.read_both().unwrap().remove(0);
    let stand = rotation(&ctx, &project, None).begin(None).await.unwrap();
    println!("stands: {:?} {:?} {}", stand.works, stand.another, stand.resumed);
    let file = folder.join("new");
    let way = if file.exists() { Way::File { path: file, wipe: true } } else { Way::Person };
    let done = rotation(&ctx, &project, None).finish(way, Place::take("RStudio"), &Hold::default()).await;
    match done.unwrap() {
        Done::Finished(_) => println!("rotated"),
        Done::Waiting(_) => println!("waits"),
    }
}

fn tool(arguments: &[&str]) -> String {
    let found = Command::new("secret-tool").args(arguments).args(["service", "REDCapSync", "username", NAME]).output();
    String::from_utf8(found.unwrap().stdout).unwrap()
}

fn put_into_keyring(file: &Path) {
    let mut command = Command::new("secret-tool");
    command.args(["store", "--label=x", "service", "REDCapSync", "username", NAME]);
    command.args(["xdg:schema", "com.rstudio.keyring.password"]);
    let token = std::fs::read_to_string(file).unwrap().trim_end().to_owned();
    let plain = file.with_extension("plain");
    std::fs::write(&plain, token).unwrap();
    assert!(command.stdin(std::fs::File::open(&plain).unwrap()).status().unwrap().success());
    std::fs::remove_file(plain).unwrap();
}

const KILLED: &str = "rotation::tests::killed_at_any_step_the_keyring_has_one_token_whole_and_the_next_call_goes_on";

/// The rotation in a process of its own, which may die at a step: how it ended, and what it said.
fn ran(folder: &Path, dies_at: Option<&str>) -> (std::process::ExitStatus, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([KILLED, "--exact", "--nocapture", "--test-threads=1"]).env("TEST_WORLD", folder);
    let ran = command.envs(dies_at.map(|step| (DIES_AT, step))).output().unwrap();
    (ran.status, format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr)))
}

#[test]
fn killed_at_any_step_the_keyring_has_one_token_whole_and_the_next_call_goes_on() {
    if let Some(folder) = std::env::var_os("TEST_WORLD") {
        return testing::block_on(in_a_child(Path::new(&folder)));
    }
    if !inside() {
        again_under(&[HARNESS], KILLED, |command| {
            command.env_remove(NAME);
        });
        return;
    }
    let mut world = World::new("manager");
    // At which step, what the state file says then, whether the keyring has the new token.
    for (dies_at, step, is_new) in [
        ("begun", Some(Step::Begun), false),
        ("waiting", Some(Step::Waiting), false),
        ("entered", Some(Step::Waiting), false),
        ("checking", Some(Step::Checking), false),
        ("checked", Some(Step::Checking), false),
        ("confirming", Some(Step::Confirming), false),
        ("confirmed", Some(Step::Confirming), false),
        ("storing", Some(Step::Storing), false),
        ("before put", Some(Step::Storing), false),
        ("put", Some(Step::Storing), true),
        ("stored", Some(Step::Storing), true),
        ("searching", Some(Step::Searching), true),
        ("searched", Some(Step::Searching), true),
        ("noted", Some(Step::Searching), true),
    ] {
        let old = world.token("regenerate", "TEST_SITES", "manager", "old");
        put_into_keyring(&old);
        let old = world.last().to_owned();
        let before_click = matches!(dies_at, "begun" | "waiting");
        if !before_click {
            // Begun in a process that ends by itself: nobody can be asked there.
            let (status, said) = ran(world.folder.path(), None);
            assert!(status.success() && said.contains("waits"), "{dies_at}: {said}");
            world.token("regenerate", "TEST_SITES", "manager", "new");
        }
        let new = world.last().to_owned();
        let (status, said) = ran(world.folder.path(), Some(dies_at));
        assert_eq!(status.signal(), Some(9), "{dies_at}: {said}");
        assert_eq!(world.step(), step, "{dies_at}");
        let now = tool(&["lookup"]);
        assert_eq!(now, if is_new { new.clone() } else { old.clone() }, "{dies_at}");

        if before_click {
            world.token("regenerate", "TEST_SITES", "manager", "new");
        }
        let new = world.last().to_owned();
        if is_new {
            // The file is not needed any more.
            let _ = std::fs::remove_file(world.folder.path().join("new"));
        }
        let (status, said) = ran(world.folder.path(), None);
        assert!(status.success() && said.contains("rotated"), "{dies_at}: {said}");
        assert_eq!((tool(&["lookup"]), world.step()), (new.clone(), None), "{dies_at}");
        no_trace(&new, &said);
        no_trace(&old, &said);
    }
    tool(&["clear"]);
    world.assert_sealed("");
}
