//! The registry and project files, where others have put something else in their place.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use super::registry::{self, Kept, Registries};
use crate::ctx::Dirs;
use crate::error::{Kind, Result};

const EMPTY: &str = "{\"keycap_registry\": 1, \"projects\": []}\n";

fn dirs(folder: &Path) -> Dirs {
    let at = |name: &str| folder.join(name);
    Dirs { config: at("config"), data: at("data"), session: at("session"), site: at("site.toml") }
}

/// Fails, rather than hangs, where a call blocks.
fn soon<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(call()));
    receiver.recv_timeout(Duration::from_secs(10)).unwrap()
}

fn pipe(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
}

fn change(dirs: &Dirs, kept: Kept) -> Result<()> {
    let registries = Registries::new(dirs);
    soon(move || registries.change(kept, |_| Ok(())))
}

#[test]
fn a_pipe_or_a_device_in_the_place_of_a_registry_is_an_error_and_its_lock_is_free_again() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = dirs(folder.path());
    for (kept, dir) in [(Kept::User, &dirs.config), (Kept::Session, &dirs.session)] {
        fs::create_dir_all(dir).unwrap();
        let registry = dir.join("projects.json");
        pipe(&registry);
        assert_eq!(change(&dirs, kept).unwrap_err().kind, Kind::File);
        fs::remove_file(&registry).unwrap();
        symlink("/dev/zero", &registry).unwrap();
        assert_eq!(change(&dirs, kept).unwrap_err().kind, Kind::File);
        fs::remove_file(&registry).unwrap();
        assert!(change(&dirs, kept).is_ok());
        assert!(Registries::new(&dirs).read(kept).unwrap().is_empty());
    }
}

#[test]
fn a_registry_that_others_may_change_is_no_authority_on_where_tokens_go() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = dirs(folder.path());
    for (kept, dir) in [(Kept::User, &dirs.config), (Kept::Session, &dirs.session)] {
        fs::create_dir_all(dir).unwrap();
        let registry = dir.join("projects.json");
        fs::write(&registry, EMPTY).unwrap();
        fs::set_permissions(&registry, fs::Permissions::from_mode(0o660)).unwrap();
        let error = change(&dirs, kept).unwrap_err();
        assert_eq!(error.kind, Kind::File);
        assert!(error.hints[0].contains("chmod go-w"), "{:?}", error.hints);
        assert_eq!(fs::read_to_string(&registry).unwrap(), EMPTY);
        fs::set_permissions(&registry, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(change(&dirs, kept).is_ok());
    }
}

#[test]
fn a_registry_may_be_a_link_to_the_users_own_file_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = dirs(folder.path());
    fs::create_dir_all(&dirs.config).unwrap();
    let real = folder.path().join("dotfile");
    fs::write(&real, EMPTY).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
    symlink(&real, dirs.config.join("projects.json")).unwrap();
    assert!(Registries::new(&dirs).read(Kept::User).unwrap().is_empty());
}

#[test]
fn a_project_file_is_an_ordinary_and_a_small_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keycap_TEST.json");
    let read = || {
        let path = path.clone();
        soon(move || registry::read_project_file(&path))
    };
    assert!(read().unwrap().is_none());
    let target = folder.path().join("target");
    fs::write(&target, "{}").unwrap();
    for make in [pipe as fn(&Path), |path| symlink("/dev/zero", path).unwrap(), |path| symlink("target", path).unwrap()]
    {
        make(&path);
        let error = read().unwrap_err();
        assert_eq!(error.kind, Kind::File, "{}", error.message);
        assert!(error.message.contains("keycap_TEST.json"), "{}", error.message);
        fs::remove_file(&path).unwrap();
    }
    fs::write(&path, " ".repeat((64 << 10) + 1)).unwrap();
    assert!(read().unwrap_err().message.contains("64 KiB"));
    fs::write(&path, " ".repeat(64 << 10)).unwrap();
    assert_eq!(read().unwrap_err().kind, Kind::Damaged);
}
