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
use crate::audit::{State, check};
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
