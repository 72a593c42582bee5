//! Places where the log cannot or must not be written: the error says why, and nothing is written.
//!
//! Mode bits and owners do not stop root, and only root can give files away or mount. So some states are
//! brought about in one way as root and in another as anybody else; each test says which.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use keycap::audit::{AuditLog, Entry, Refused};
use keycap::{Error, Kind};
use serde_json::{Value, json};

use crate::common::{contents, entries, folder, intact, intent, log, outcome, written};
use crate::worker::{answer, as_worker, lines, worker};

const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn refused() -> Entry {
    Entry::Refused(Refused {
        action: "version".into(),
        project: None,
        origin: None,
        token_name: None,
        source: None,
        fingerprint: None,
        reason: Kind::Policy,
    })
}

/// Checks that no entry of any kind is taken, that the error is of use, and that nothing under `around` is
/// written.
fn refuses(log: &AuditLog, cause: &str, around: &Path) -> Error {
    let before = contents(around);
    let errors = [log.begin(&[intent("c")]), log.finish(&[outcome("c")]), log.note(&[refused()])];
    assert_eq!(contents(around), before);
    let [error, ..] = errors.map(|result| {
        let error = result.unwrap_err();
        assert_eq!(error.kind, Kind::Audit);
        assert_eq!(error.fields[1], ("cause".into(), cause.into()), "{}", error.message);
        assert!(error.message.contains(error.fields[0].1.as_text().unwrap()), "{}", error.message);
        assert_eq!(error.hints.len(), 1);
        error
    });
    error
}

#[test]
fn a_symbolic_link_in_place_of_the_log_the_lock_or_the_folder_is_refused() {
    let (dir, log, path) = written(1);
    let target = dir.path().join("target");
    std::fs::rename(&path, &target).unwrap();
    symlink(&target, &path).unwrap();
    refuses(&log, "symlink", dir.path());
    log.sync().unwrap_err();
    std::fs::remove_file(&target).unwrap(); // a link that leads nowhere must not make a file there
    refuses(&log, "symlink", dir.path());

    let (dir, log, path) = written(1);
    let lock = path.with_file_name(path.file_name().unwrap().to_str().unwrap().replace("-000001.jsonl", ".lock"));
    std::fs::rename(&lock, dir.path().join("target")).unwrap();
    symlink(dir.path().join("target"), &lock).unwrap();
    refuses(&log, "symlink", dir.path());

    let (dir, _log, _path) = written(1);
    let outer = folder();
    let link = outer.path().join("link");
    symlink(dir.path(), &link).unwrap();
    let error = refuses(&crate::common::log(&link), "symlink", dir.path());
    assert!(error.hints[0].contains(&format!("`ls -ld {}`", link.display())), "{:?}", error.hints);
    refuses(&crate::common::log(&outer.path().join("link/")), "symlink", dir.path());
}

/// As root the files are given to somebody else; anybody else is a stranger in root's folders.
#[test]
fn a_folder_or_a_file_of_somebody_else_is_refused() {
    if is_root() {
        let (dir, log, path) = written(1);
        std::os::unix::fs::chown(&path, Some(NOBODY), None).unwrap();
        let error = refuses(&log, "foreign_owner", dir.path());
        assert!(error.message.contains("65534"), "{}", error.message);
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        std::os::unix::fs::chown(dir.path(), Some(NOBODY), None).unwrap();
        refuses(&log, "foreign_owner", dir.path());
    } else {
        let empty = folder();
        let error = refuses(&log(Path::new("/usr")), "foreign_owner", empty.path());
        assert!(error.message.contains("(`root`)"), "{}", error.message);
    }
}

#[test]
fn a_folder_or_a_file_that_others_may_write_to_is_refused() {
    for mode in [0o770, 0o707, 0o777] {
        let (dir, log, path) = written(1);
        set_mode(dir.path(), mode);
        let error = refuses(&log, "writable_by_others", dir.path());
        assert!(error.hints[0].contains("`chmod go-w "), "{:?}", error.hints);
        set_mode(dir.path(), 0o755);
        set_mode(&path, mode & 0o666);
        refuses(&log, "writable_by_others", dir.path());
        set_mode(&path, 0o644);
        log.begin(&[intent("c")]).unwrap();
    }
}

#[test]
fn something_else_in_place_of_the_folder_or_the_log_is_refused() {
    let dir = folder();
    let file = dir.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    refuses(&log(&file), "not_a_folder", dir.path());
    refuses(&log(&file.join("below")), "not_a_folder", dir.path());

    let (dir, log, path) = written(1);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    refuses(&log, "not_a_file", dir.path());
    std::fs::remove_dir(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refuses(&log, "not_a_file", dir.path());
    let _socket = {
        std::fs::remove_file(&path).unwrap();
        std::os::unix::net::UnixListener::bind(&path).unwrap()
    };
    refuses(&log, "not_a_file", dir.path());
}

#[test]
fn a_folder_that_is_missing_and_cannot_be_made_is_named() {
    let empty = folder();
    // Nobody makes folders in /proc.
    let error = refuses(&log(Path::new("/proc/keycap/log")), "missing", empty.path());
    assert_eq!(error.fields[0].1.as_text(), Some("/proc/keycap/log"));
    refuses(&log(Path::new("")), "missing", empty.path());
}

/// A worker that mode bits do stop: this user, or as root somebody else, to whom the folder is given. The
/// program is copied, since it may stand where nobody else comes.
fn without_rights(outer: &Path, dir: &Path) -> Value {
    let job = json!({ "job": "try", "dir": dir });
    if !is_root() {
        return answer(worker(&job));
    }
    let program = outer.join("program");
    // By another process: a descriptor that is open for writing here would be inherited by whatever other tests
    // start just now, and a program that somebody has open for writing cannot be run.
    assert!(Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap().success());
    set_mode(&program, 0o755);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).current_dir("/");
    let answer = answer(as_worker(command, &job));
    std::fs::remove_file(program).unwrap();
    answer
}

fn give(path: &Path) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

#[test]
fn a_folder_or_a_file_without_the_right_to_write_is_refused() {
    let outer = folder();
    give(outer.path());
    let dir = outer.path().join("dir");
    std::fs::create_dir(&dir).unwrap();
    give(&dir);

    set_mode(&dir, 0o500);
    for place in [dir.clone(), dir.join("below")] {
        let before = contents(&dir);
        let told = without_rights(outer.path(), &place);
        assert_eq!((&told["kind"], &told["cause"]), (&"audit".into(), &"permission".into()), "{told}");
        assert_eq!(told["path"], place.to_str().unwrap());
        assert!(told["hints"][0].as_str().unwrap().contains("`ls -ld "), "{told}");
        assert_eq!(contents(&dir), before);
    }

    set_mode(&dir, 0o700);
    assert_eq!(without_rights(outer.path(), &dir), "ok");
    let path = contents(&dir).into_keys().next().unwrap();
    set_mode(&path, 0o400);
    let before = contents(&dir);
    let told = without_rights(outer.path(), &dir);
    assert_eq!((&told["cause"], &told["path"]), (&"permission".into(), &path.to_str().unwrap().into()), "{told}");
    assert_eq!(contents(&dir), before);
}

/// A shell in a mount namespace of its own, as root there, if this machine lets this user have one.
fn namespace(script: &str, dir: &Path, job: &Value) -> Option<Command> {
    let mut unshare = vec!["--mount"];
    if !is_root() {
        unshare.extend(["--user", "--map-root-user"]);
    }
    let works = |extra: &[&str]| {
        Command::new("unshare").args(&unshare).args(extra).output().is_ok_and(|output| output.status.success())
    };
    if !works(&["mount", "-t", "tmpfs", "none", "/mnt"]) {
        assert!(!is_root(), "root can mount: `unshare` and `mount` are missing, or this is a sandbox");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(&unshare).args(["sh", "-ec", script, "sh"]).arg(dir).arg(std::env::current_exe().unwrap());
    Some(as_worker(command, job))
}

/// Where nothing can be mounted, the folder's mode bits must do, which the test above has.
#[test]
fn a_read_only_file_system_is_named() {
    let outer = folder();
    let dir = outer.path().join("log");
    std::fs::create_dir(&dir).unwrap();
    set_mode(&dir, 0o700);
    let script = r#"dir="$1"; shift; mount -t tmpfs -o ro,mode=700 none "$dir"; exec "$@""#;
    let Some(command) = namespace(script, &dir, &json!({ "job": "try", "dir": dir })) else {
        set_mode(&dir, 0o500);
        refuses(&log(&dir), "permission", outer.path());
        return;
    };
    let told = answer(command);
    assert_eq!((&told["kind"], &told["cause"]), (&"audit".into(), &"read_only".into()), "{told}");
    assert!(told["hints"][0].as_str().unwrap().contains("`findmnt -T "), "{told}");
}

/// On a small file system, where one can be mounted; else the size of a file stands for that of the disk,
/// which the test below has in any case.
#[test]
fn a_full_disk_refuses_the_call_and_leaves_a_log_that_goes_on_when_there_is_room() {
    let outer = folder();
    let dir = outer.path().join("log");
    let script = r#"outer="${1%/log}"; dir="$1"; shift; mount -t tmpfs -o mode=700,size=256k none "$outer"
        mkdir -m 700 "$dir"; head -c 65536 /dev/zero > "$outer/ballast"; exec "$@""#;
    let job = json!({ "job": "fill", "dir": dir });
    let command = namespace(script, &dir, &job).unwrap_or_else(|| limited(&job));
    let told = answer(command);
    assert!(told["acknowledged"].as_u64().unwrap() > 10, "{told}");
    assert_eq!(told["error"]["kind"], "audit");
    if told["again"].is_null() {
        assert_eq!(told["error"]["cause"], "too_large");
    } else {
        assert_eq!((&told["error"]["cause"], &told["again"]), (&"full".into(), &"ok".into()), "{told}");
        assert!(told["error"]["hints"][0].as_str().unwrap().contains("`df -h "), "{told}");
    }
}

/// A worker whose files may not grow beyond 20 blocks of 512 or 1024 bytes.
fn limited(job: &Value) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" XFSZ; ulimit -f 20; exec "$@""#, "sh"]).arg(std::env::current_exe().unwrap());
    as_worker(shell, job)
}

#[test]
fn a_write_that_stops_half_way_is_taken_back() {
    let dir = folder();
    let told = answer(limited(&json!({ "job": "fill", "dir": dir.path().join("log") })));
    assert_eq!((&told["error"]["kind"], &told["error"]["cause"]), (&"audit".into(), &"too_large".into()), "{told}");
    let path = log(&dir.path().join("log")).path();
    assert_eq!(Some(intact(&path)), told["acknowledged"].as_u64());
    assert!(entries(&path).iter().all(|entry| entry["phase"] == "intent"));
}

#[test]
fn a_lock_that_another_process_holds_is_waited_for_in_vain_and_that_process_is_named() {
    let (dir, log, path) = written(1);
    let lock = path.with_file_name(path.file_name().unwrap().to_str().unwrap().replace("-000001.jsonl", ".lock"));
    let mut child = worker(&json!({ "job": "hold", "dir": dir.path(), "lock": lock })).spawn().unwrap();
    let mut said = lines(&mut child);
    assert_eq!(said.next().unwrap(), "held");
    let hasty = log.clone().with_patience(Duration::from_millis(200));
    let error = refuses(&hasty, "locked", dir.path());
    assert!(error.message.contains(&format!("process {}", child.id())), "{}", error.message);
    assert_eq!(error.fields[2], ("holder".into(), i64::from(child.id()).into()));
    assert!(error.hints[0].contains("`fuser -v "), "{:?}", error.hints);
    drop(child.stdin.take());
    log.begin(&[intent("c")]).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(intact(&path), 2);
}
