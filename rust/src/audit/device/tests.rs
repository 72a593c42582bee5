#![allow(clippy::unwrap_used)]
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::audit::entry::{Intent, Outcome};
use crate::audit::lock::Lock;
use crate::audit::{AnchorState, State, check, lacking};
use crate::ctx::SystemClock;

/// Two folders, or a folder and a socket.
struct World {
    folder: tempfile::TempDir,
    devices: Devices,
    setup: Arc<Setup>,
}

impl World {
    fn new(second: impl FnOnce(&Path) -> Second) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup { second: Some(second(folder.path())), ..Setup::default() };
        let log = AuditLog::new(&folder.path().join("one"), Arc::new(SystemClock::new()));
        let devices = Devices::new(log.with_patience(Duration::from_millis(300)));
        Self { folder, devices, setup: Arc::new(setup) }
    }

    fn folders() -> Self {
        Self::new(|dir| Second::Folder(dir.join("two")))
    }

    /// An intent, durable.
    fn begin(&self, id: &str) -> Result<()> {
        let intent = Intent { call_id: id.to_owned(), ..Intent::default() };
        let written = self.devices.append(&[Body::Intent(&intent)], &self.setup)?;
        self.devices.sync(&written.unwrap())
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What stands in a folder's log, which has to be intact: call ids, and what is said of devices.
    fn said(&self, name: &str) -> Vec<String> {
        let checked = check(&[self.place(name)], &[]).remove(0);
        assert_eq!(checked.verdict, State::Unanchored, "{checked:?}");
        let text = std::fs::read_to_string(&checked.segments[0]).unwrap();
        text.lines().map(|line| say(&serde_json::from_str(line).unwrap())).collect()
    }

    fn break_it(&self, name: &str) {
        std::fs::rename(self.place(name), self.place("aside")).unwrap();
        std::fs::write(self.place(name), "in the way").unwrap();
    }

    fn mend(&self, name: &str) {
        std::fs::remove_file(self.place(name)).unwrap();
        std::fs::rename(self.place("aside"), self.place(name)).unwrap();
    }
}

fn say(entry: &Value) -> String {
    let text = |key: &str| entry[key].as_str().unwrap_or("-").to_owned();
    match entry["phase"].as_str().unwrap() {
        "device" => format!("{} {} {}", text("device"), text("state"), text("cause")),
        _ => text("call_id"),
    }
}

#[test]
fn both_folders_have_every_entry_in_a_chain_of_their_own() {
    let world = World::folders();
    world.begin("a").unwrap();
    let outcome = Outcome { call_id: "a".to_owned(), ..Outcome::default() };
    world.devices.append(&[Body::Outcome(&outcome)], &world.setup).unwrap();
    world.devices.sync_all(&world.setup).unwrap();
    assert_eq!(world.said("one"), ["a", "a"]);
    assert_eq!(world.said("two"), ["a", "a"]);
    assert!(world.devices.warnings().is_empty());
}

#[test]
fn the_loss_of_either_folder_is_an_entry_in_the_other_and_a_warning_and_so_is_its_return() {
    for (lost, left, name) in [("one", "two", "first"), ("two", "one", "second")] {
        let world = World::folders();
        world.begin("a").unwrap();
        world.break_it(lost);
        world.begin("b").unwrap();
        world.begin("c").unwrap();
        let warnings = world.devices.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(world.place(lost).to_str().unwrap()), "{warnings:?}");
        let mut there = world.said(left);
        there.sort();
        assert_eq!(there, ["a", "b", "c", &format!("{name} lost not_a_folder")]);
        world.mend(lost);
        world.begin("d").unwrap();
        world.begin("e").unwrap();
        let back = format!("{name} back -");
        assert_eq!(world.said(lost), ["a", &back, "d", "e"]);
        assert!(world.devices.warnings().is_empty());
    }
}

#[test]
fn a_call_that_no_device_takes_is_refused_with_both_reasons() {
    let world = World::folders();
    world.begin("a").unwrap();
    world.break_it("one");
    std::fs::set_permissions(world.place("two"), PermissionsExt::from_mode(0o777)).unwrap();
    let error = world.begin("b").unwrap_err();
    assert!(error.message.contains("one") && error.hints.iter().any(|hint| hint.contains("two")), "{error:?}");
    assert_eq!(error.fields[1].1.as_text(), Some("not_a_folder"));
    std::fs::set_permissions(world.place("two"), PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(world.said("two"), ["a"]);
}

#[test]
fn a_lock_that_somebody_holds_loses_a_device_and_the_next_calls_do_not_wait_long_for_it() {
    let world = World::folders();
    world.begin("a").unwrap();
    let log = world.devices.first();
    let held = Lock::acquire(&log.files().lock(), Duration::from_secs(1), log.who()).unwrap();
    world.begin("b").unwrap();
    let start = std::time::Instant::now();
    world.begin("c").unwrap();
    assert!(start.elapsed() < Duration::from_millis(290), "{:?}", start.elapsed());
    drop(held);
    world.begin("d").unwrap();
    assert_eq!(world.said("one"), ["a", "first back -", "d"]);
    assert_eq!(world.said("two"), ["a", "first lost locked", "b", "c", "d"]);
}

#[test]
fn the_systems_log_has_the_lines_as_they_stand_in_the_file_and_stands_in_for_it() {
    let world = World::new(|dir| Second::Syslog(dir.join("socket")));
    let socket = UnixDatagram::bind(world.place("socket")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let next = || {
        let mut bytes = vec![0; 1 << 16];
        let n = socket.recv(&mut bytes).unwrap();
        let text = String::from_utf8(bytes[..n].to_vec()).unwrap();
        let head = format!("<86>keycap[{}]: ", std::process::id());
        text.strip_prefix(&head).unwrap().to_owned()
    };
    world.begin("a").unwrap();
    let log = world.devices.first().path();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), format!("{}\n", next()));
    world.break_it("one");
    world.begin("b").unwrap();
    let lines: Vec<Value> = (0..2).map(|_| serde_json::from_str(&next()).unwrap()).collect();
    assert_eq!(lines.iter().map(say).collect::<Vec<_>>(), ["first lost not_a_folder", "b"]);
    assert!(lines.iter().all(|line| line["seq"] == 0));
    world.mend("one");
    // Nobody listens any more: the file has it, and says so.
    drop(socket);
    std::fs::remove_file(world.place("socket")).unwrap();
    world.begin("c").unwrap();
    assert_eq!(world.said("one"), ["a", "first back -", "c", "syslog lost missing"]);
    world.break_it("one");
    assert_eq!(world.begin("d").unwrap_err().fields[1].1.as_text(), Some("not_a_folder"));
}

/// What one of the two folders lacks: its log, and how much.
fn told(world: &World) -> Vec<(bool, u64)> {
    let found = lacking(&[world.place("one"), world.place("two")]);
    found.iter().map(|lacking| (lacking.origin.ends_with("@second"), lacking.entries)).collect()
}

/// Takes the line of a call out of the only segment of a folder's log, and chains the rest anew, as a forger would.
fn forge(world: &World, name: &str, call: &str) {
    let segment = check(&[world.place(name)], &[]).remove(0).segments.remove(0);
    let text = std::fs::read_to_string(&segment).unwrap();
    let (mut forged, mut prev) = (String::new(), "0".repeat(64));
    for (at, line) in text.lines().filter(|line| !line.contains(call)).enumerate() {
        let content = line.split_once(",\"time\"").unwrap().1.rsplit_once(",\"check\"").unwrap().0;
        let content = format!("{{\"v\":1,\"seq\":{},\"prev\":\"{prev}\",\"time\"{content}", at + 1);
        let check = &crate::audit::line::sha256(content.as_bytes())[..16];
        let line = format!("{content},\"check\":\"{check}\"}}\n");
        prev = crate::audit::line::sha256(line.as_bytes());
        forged.push_str(&line);
    }
    std::fs::write(segment, forged).unwrap();
}

#[test]
fn no_checkpoint_of_the_first_folder_is_held_against_the_second_which_has_its_own_verdict() {
    let world = World::folders();
    let log = world.devices.first().clone();
    // The second one begins later: its chain is another one from the first line on.
    log.begin(&[Intent { call_id: "before".to_owned(), ..Intent::default() }]).unwrap();
    for id in ["a", "b", "c"] {
        world.begin(id).unwrap();
    }
    let kept = log.state().unwrap().unwrap();
    let verdicts = |kept: &AnchorState| -> Vec<_> {
        let kept = std::slice::from_ref(kept);
        check(&[world.place("one"), world.place("two")], kept)
            .into_iter()
            .map(|one| (one.origin, one.verdict))
            .collect()
    };
    let second = format!("{}@second", log.origin());
    assert_eq!(verdicts(&kept), [(log.origin(), State::Anchored), (second.clone(), State::Unanchored)]);
    // A checkpoint of its own counts.
    let own = world.devices.other(&world.setup).unwrap().state().unwrap().unwrap();
    assert_eq!((own.origin.clone(), own.entries), (second.clone(), 3));
    assert_eq!(verdicts(&own), [(log.origin(), State::Unanchored), (second, State::Anchored)]);
    forge(&world, "two", "\"b\"");
    assert!(matches!(&verdicts(&own)[1].1, State::Tampered(_)));
    assert_eq!(verdicts(&kept)[0].1, State::Anchored);
}

#[test]
fn what_one_folder_lacks_is_told_unless_an_entry_says_that_it_was_lost_or_began_later_or_the_writer_was_killed() {
    for (lost, left) in [("one", "two"), ("two", "one")] {
        let world = World::folders();
        // It began later.
        let early =
            if left == "one" { world.devices.first().clone() } else { world.devices.other(&world.setup).unwrap() };
        early.begin(&[Intent { call_id: "early".to_owned(), ..Intent::default() }]).unwrap();
        world.begin("a").unwrap();
        world.break_it(lost);
        world.begin("b").unwrap();
        world.begin("c").unwrap();
        world.mend(lost);
        world.begin("d").unwrap();
        world.begin("e").unwrap();
        world.begin("f").unwrap();
        assert_eq!(told(&world), [], "{lost}");
        // Killed between the two.
        early.begin(&[Intent { call_id: "last".to_owned(), ..Intent::default() }]).unwrap();
        assert_eq!(told(&world), [], "{lost}");
        forge(&world, lost, "\"e\"");
        assert_eq!(told(&world), [(lost == "two", 1)], "{lost}");
        // A copy, whose twin nobody can tell, says nothing; nor does one alone.
        assert_eq!(lacking(&[world.place(lost)]), []);
    }
}
