#![allow(clippy::unwrap_used)]

mod programs;

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use super::*;
use crate::ctx::{Clock, Dirs, Event, Events, Shared, SystemRandom};
use crate::net::Net;
use crate::project::Settings;
use crate::store::Environment;

/// A clock that is set.
#[derive(Default)]
struct Hands(Mutex<Duration>);

impl Clock for Hands {
    fn now(&self) -> SystemTime {
        SystemTime::now() + *self.0.lock().unwrap()
    }
    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

struct World {
    folder: tempfile::TempDir,
    clock: Arc<Hands>,
    events: Arc<Mutex<Vec<Event>>>,
    ctx: Ctx,
}

impl World {
    fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        let place = |name: &str| folder.path().join(name);
        let clock = Arc::new(Hands::default());
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        let mut settings = Settings::of_site(&settings.replace("HERE", &folder.path().display().to_string())).unwrap();
        // What this machine has of stores is no part of these tests.
        settings.order = vec!["env".to_owned()];
        let ctx = Ctx {
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
            dirs: Dirs {
                config: place("config"),
                data: place("data"),
                session: place("session"),
                site: place("site.toml"),
            },
            env: Environment::empty().for_stores(&settings, &Net::default(), &[]),
            settings,
            log: Events::new(move |event| sink.lock().unwrap().push(event)),
            net: Net::default(),
            shared: Shared::default(),
        };
        Self { folder, clock, events, ctx }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(&self.ctx, &self.place("data/audit"), false)
    }

    fn entries(&self, n: usize) {
        let refused = |n| Entry::Change(crate::audit::Change { call_id: format!("call {n}"), ..Default::default() });
        self.checkpoints().log.note(&(0..n).map(refused).collect::<Vec<_>>()).unwrap();
    }

    /// The log's lines of a phase.
    fn said(&self, phase: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.checkpoints().log.path()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["phase"] == phase).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        let text = |event| match event {
            Event::Warning(text) => Some(text),
            _ => None,
        };
        events.into_iter().filter_map(text).collect()
    }

    fn pass(&self, time: Duration) {
        *self.clock.0.lock().unwrap() += time;
    }

    /// What is known from outside: entries, and whether a known key signed that.
    fn known(&self, given: &[&str]) -> Vec<(u64, bool)> {
        let given: Vec<_> = given.iter().map(|name| self.place(name)).collect();
        let known = run(evidence(&self.ctx, &[self.place("data/audit")], &given, true)).unwrap();
        known.iter().map(|(state, signed)| (state.entries, *signed)).collect()
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.place("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }

    fn touch(&self, name: &str) {
        std::fs::write(self.place(name), "").unwrap();
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

const FILE: &str = "[[anchors]]\nname = \"share\"\nfile = \"HERE/share\"\n";

#[test]
fn a_checkpoint_is_signed_written_beside_the_log_and_into_it() {
    let world = World::new("");
    world.entries(3);
    let taken = run(world.checkpoints().take(false)).unwrap();
    assert_eq!((taken.state.entries, taken.kept_in.as_str()), (3, "file"));
    let origin = taken.state.origin.clone();
    let lines: Vec<_> = taken.note.lines().collect();
    assert_eq!(lines[..2], [origin.as_str(), "3"]);
    let log = world.checkpoints().log;
    let beside = |suffix| std::fs::read_to_string(log.beside(suffix)).unwrap();
    assert_eq!(beside("checkpoints"), format!("\n{}", taken.note));
    assert_eq!(VerifierKey::parse_all(&beside("pub")), std::slice::from_ref(&taken.key));
    assert!(beside("pub").contains("BEGIN PUBLIC KEY"));
    assert_eq!(mode(&world.place(&format!("config/{origin}.signing-key"))), 0o600);
    let entry = world.said("checkpoint").pop().unwrap();
    assert_eq!(entry["entries"], 3);
    assert_eq!(entry["prev"], taken.state.hash, "nothing came in between here");
    assert_eq!(entry["key"], taken.key.id_text());
    assert!(taken.note.contains(entry["signature"].as_str().unwrap()));
    // The next one is by the same key.
    let next = run(world.checkpoints().take(false)).unwrap();
    assert_eq!((next.key, next.state.entries), (taken.key, 4));
    assert_eq!(world.known(&[]), [], "what stands beside the log is no anchor");
    std::fs::write(world.place("printed"), taken.note).unwrap();
    assert_eq!(world.known(&["printed"]), [(3, true)]);
}

#[test]
fn an_empty_log_has_nothing_to_sign_and_no_key_is_made_for_it() {
    let world = World::new("");
    let error = run(world.checkpoints().take(false)).unwrap_err();
    assert_eq!(error.kind, Kind::Audit);
    assert!(!world.place("config").exists());
}

#[test]
fn a_sandboxs_checkpoint_goes_to_no_anchor_and_its_key_is_gone_with_the_session() {
    let world = World::new(FILE);
    world.touch("share");
    world.entries(1);
    let checkpoints = Checkpoints::new(&world.ctx, &world.place("data/audit"), true);
    let taken = run(checkpoints.take(false)).unwrap();
    assert!(taken.anchors.is_empty());
    assert_eq!(std::fs::read_to_string(world.place("share")).unwrap(), "");
    assert!(world.place("session").exists() && !world.place("config").exists());
}

#[test]
fn a_new_key_is_vouched_for_by_the_old_one() {
    let world = World::new(FILE);
    world.touch("share");
    world.entries(2);
    let old = run(world.checkpoints().take(false)).unwrap();
    let new = run(world.checkpoints().take(true)).unwrap();
    assert_ne!(old.key, new.key);
    assert!(new.note.contains(&format!("\nkey {}\n", new.key)));
    assert_eq!(new.note.matches("\u{2014} ").count(), 2);
    let later = run(world.checkpoints().take(false)).unwrap();
    assert_eq!(later.key, new.key);
    let notes = std::fs::read_to_string(world.place("share")).unwrap();
    let signed =
        |key: &VerifierKey| anchored(&notes, std::slice::from_ref(key)).iter().map(|(_, s)| *s).collect::<Vec<_>>();
    assert_eq!(signed(&old.key), [true, true, true], "who has the first key needs no other");
    assert_eq!(signed(&new.key), [false, true, true]);
}

#[test]
fn every_anchor_is_brought_every_checkpoint_and_can_be_read_back() {
    let program = "[[anchors]]\nname = \"program\"\ncommand = [\"HERE/bin/keep\", \"{origin}\", \"{entries}\", \"{file}\"]\n\
                   read = [\"HERE/bin/show\", \"{origin}\"]\n";
    let world = World::new(&format!("{FILE}{program}"));
    world.touch("share");
    let here = world.folder.path().display().to_string();
    world.program(
        "keep",
        &format!("cmp -s - \"$3\" || exit 3; cat \"$3\" > {here}/kept-\"$1\"-\"$2\"; env > {here}/env"),
    );
    world.program("show", &format!("cat {here}/kept-\"$1\"-*"));
    world.entries(2);
    let taken = run(world.checkpoints().take(false)).unwrap();
    let kept: Vec<_> = taken.anchors.iter().map(|d| (d.anchor.as_str(), d.trouble.is_none())).collect();
    assert_eq!(kept, [("share", true), ("program", true)]);
    let last = run(world.checkpoints().take(false)).unwrap();
    assert_eq!(world.known(&[]), [(2, true), (last.state.entries, true)]);
    std::fs::remove_file(world.place("share")).unwrap();
    assert_eq!(world.known(&[]).len(), 2, "the program's alone");
    assert_eq!(world.warnings().len(), 1, "the other anchor cannot be read");
    let said: Vec<_> = world.said("anchor").iter().map(|line| line["anchor"].clone()).collect();
    assert_eq!(said, ["share", "program", "share", "program"]);
    assert!(!world.checkpoints().log.beside("note").exists());
}

#[test]
fn what_no_anchor_has_kept_is_known_without_asking_one() {
    assert_eq!(run(World::new("").checkpoints().unanchored()).unwrap(), Unanchored::Everything);
    let world = World::new(FILE);
    let unanchored = || run(world.checkpoints().unanchored()).unwrap();
    assert_eq!(unanchored(), Unanchored::Nothing, "there is no log yet");
    world.touch("share");
    world.entries(2);
    let begun = world.ctx.clock.now();
    let Unanchored::Since(first) = unanchored() else { panic!() };
    assert!(begun.duration_since(first).unwrap() < Duration::from_secs(60));
    world.pass(Duration::from_secs(3600));
    run(world.checkpoints().take(false)).unwrap();
    assert_eq!(unanchored(), Unanchored::Nothing, "what the log says of itself waits for nothing");
    world.pass(Duration::from_secs(3600));
    world.checkpoints().log.archive().unwrap().unwrap();
    world.entries(1);
    let Unanchored::Since(second) = unanchored() else { panic!() };
    assert!(second.duration_since(first).unwrap() > Duration::from_secs(7000));
}

#[test]
fn an_anchor_out_of_reach_gets_all_it_missed_when_it_is_back() {
    let world = World::new(&format!("checkpoint_every_entries = 5\n{FILE}"));
    world.entries(6);
    run(world.checkpoints().at_end());
    assert_eq!(world.said("checkpoint").len(), 1);
    let warnings = world.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("`share`") && warnings[0].contains("waits"), "{warnings:?}");
    assert!(!world.place("share").exists(), "a share that is not mounted is no anchor");
    // It is left alone for a while.
    world.entries(6);
    run(world.checkpoints().at_end());
    assert_eq!((world.said("checkpoint").len(), world.warnings().len()), (2, 0));
    let queued: Vec<_> = world.said("anchor").iter().map(|line| line["state"].clone()).collect();
    assert_eq!(queued, ["queued"], "said once");
    world.touch("share");
    run(world.checkpoints().at_end());
    assert_eq!(world.known(&[]), []);
    world.pass(PAUSE);
    run(world.checkpoints().at_end());
    assert_eq!(world.known(&[]).len(), 2);
    let last = world.said("anchor").pop().unwrap();
    assert_eq!(last["state"], "kept");
    let size = std::fs::metadata(world.place("share")).unwrap().len();
    run(world.checkpoints().at_end());
    assert_eq!(std::fs::metadata(world.place("share")).unwrap().len(), size, "nothing is due");
}

#[test]
fn checkpoints_come_by_count_and_by_time_and_only_where_somebody_wants_them() {
    let world = World::new("");
    world.entries(3000);
    run(world.checkpoints().at_end());
    assert_eq!(world.said("checkpoint").len(), 0);
    let world = World::new("checkpoint_every_entries = 10\ncheckpoint_every_hours = 2\n");
    world.entries(1);
    let taken = |n: usize| {
        run(world.checkpoints().at_end());
        assert_eq!(world.said("checkpoint").len(), n);
    };
    taken(1);
    world.entries(8);
    taken(1);
    world.entries(1);
    taken(2);
    world.entries(1);
    taken(2);
    world.pass(Duration::from_secs(7201));
    taken(3);
}

#[test]
fn past_the_sites_limit_a_call_is_refused_until_an_anchor_is_back() {
    let world = World::new(&format!("anchor_limit_entries = 5\n{FILE}"));
    run(world.checkpoints().gate()).unwrap();
    world.entries(5);
    run(world.checkpoints().gate()).unwrap();
    world.entries(1);
    let error = run(world.checkpoints().gate()).unwrap_err();
    assert_eq!(error.kind, Kind::Audit);
    assert!(error.hints[0].contains("share"), "{:?}", error.hints);
    assert!(error.fields.iter().any(|(name, value)| name == "cause" && value.as_text() == Some("anchor")));
    world.touch("share");
    run(world.checkpoints().gate()).unwrap();
    assert!(!world.known(&[]).is_empty());
    // By time: what waits is counted from the last that was kept.
    let world = World::new(&format!("anchor_limit_hours = 48\n{FILE}"));
    world.entries(1);
    run(world.checkpoints().gate()).unwrap();
    world.pass(Duration::from_secs(47 * 3600));
    run(world.checkpoints().gate()).unwrap();
    world.pass(Duration::from_secs(2 * 3600));
    assert_eq!(run(world.checkpoints().gate()).unwrap_err().kind, Kind::Audit);
}

#[test]
fn whoever_may_read_the_log_may_read_keys_and_checkpoints_also_where_the_site_said_so_later() {
    let mut world = World::new("");
    let modes = |world: &World| {
        let log = world.checkpoints().log;
        [log.path(), log.beside("pub"), log.beside("checkpoints")].map(|path| mode(&path))
    };
    world.entries(1);
    run(world.checkpoints().take(false)).unwrap();
    assert_eq!(modes(&world), [0o600; 3]);
    world.ctx.settings.audit.group_readable = true;
    run(world.checkpoints().take(false)).unwrap();
    assert_eq!(modes(&world), [0o640; 3]);
    // The key that signs stays the user's alone.
    let key = world.place("config").join(format!("{}.signing-key", world.checkpoints().log.origin()));
    assert_eq!(mode(&key), 0o600);
}

#[test]
fn an_anchor_that_hangs_is_ended_with_all_it_started_and_holds_nobody_longer_than_its_limit() {
    let world = World::new("[[anchors]]\ncommand = [\"HERE/bin/hang\"]\ntimeout = 0.5\n");
    world.program("hang", "sleep 60 & sleep 60");
    world.entries(1);
    let start = std::time::Instant::now();
    let taken = run(world.checkpoints().take(false)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    let trouble = taken.anchors[0].trouble.as_ref().unwrap();
    assert!(trouble.message.contains("did not end within"), "{}", trouble.message);
}

#[test]
fn what_a_program_prints_or_fails_with_is_not_shown() {
    let world = World::new("[[anchors]]\ncommand = [\"HERE/bin/fail\"]\n");
    world.program("fail", "echo a secret; echo a secret >&2; exit 3");
    world.entries(1);
    let taken = run(world.checkpoints().take(false)).unwrap();
    let said = format!("{taken:?}");
    assert!(said.contains("status 3") && !said.contains("secret"), "{said}");
}

#[test]
fn the_name_in_a_store_is_a_legal_one_for_any_host() {
    let world = World::new("");
    let name = |origin: &str| KeyPlace::new(&world.ctx, origin, false).name().unwrap().as_str().to_owned();
    assert_eq!(name("audit-1000@db01"), "keycap_audit_key_1000_db01");
    let long = format!("audit-1000@{}", "x".repeat(64));
    assert_ne!(name(&long), name(&format!("{long}y")));
    assert_ne!(name("audit-1000@db-01"), name("audit-1000@db.01"));
}

#[test]
fn the_origin_of_a_file_is_that_of_its_log() {
    for (name, origin) in [
        ("audit-1000@db01-000001.jsonl", Some("audit-1000@db01")),
        ("audit-1000@db01.pub", Some("audit-1000@db01")),
        ("audit-1000@db-01.x.pub", Some("audit-1000@db-01.x")),
        ("audit-1000@db01@second-000001.jsonl", Some("audit-1000@db01@second")),
        ("audit-1000@db01.lock", None),
        ("audit-1000@db01-00001x.jsonl", None),
        ("other.pub", None),
        ("audit-x", None),
    ] {
        assert_eq!(origin_of(name), origin, "{name}");
    }
}
