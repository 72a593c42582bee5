//! The sandbox in a process of its own: its birth, its commands and its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Kind;
use crate::sandbox::Child;
use crate::sandbox::child::without_tokens;

/// The example program `sandbox`, built if it is not there or not up to date. `cargo test --lib` alone does
/// not build examples, and an old one would test old code.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // This test's own program is <target>/<profile folder>/deps/<name>.
        let own = std::env::current_exe().unwrap();
        let folder = own.parent().unwrap().parent().unwrap();
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
        // What cargo tells a test of its package: a build script that looks at it would have its crate built anew.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(&name);
            }
        }
        let built = cargo
            .args(["build", "--quiet", "--example", "sandbox", "--profile", profile, "--target-dir"])
            .arg(folder.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        folder.join("examples").join(format!("sandbox{}", std::env::consts::EXE_SUFFIX))
    })
}

const NO_ARGS: [&str; 0] = [];

fn address(uri: &str) -> String {
    uri.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned()
}

fn answers(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let request = format!("GET /redcap/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.contains("This is not REDCap")
}

/// Whether a server stops answering within 10 seconds.
fn falls_silent(address: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if TcpStream::connect(address).is_err() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn a_child_serves_obeys_and_ends() {
    let mut child = Child::start(program(), ["--no-sample-tokens"]).unwrap();
    let address = address(child.redcap_uri());
    assert!(answers(&address));
    assert_eq!(child.projects().len(), 4);
    assert!(child.is_running() && child.process_id().is_some());
    let answer = child.command(json!({"do": "count"})).unwrap();
    assert_eq!(answer["total"], 0);
    let error = child.command(json!({"do": "revoke", "project": "TEST", "user": "admin"})).unwrap_err();
    assert_eq!(error.kind, Kind::Sandbox);
    assert!(error.message.contains("`admin` has no token in `TEST`"), "{error}");
    assert_eq!(child.command(json!("stop")).unwrap_err().kind, Kind::Sandbox);
    child.end();
    assert!(falls_silent(&address));
    assert!(!child.is_running());
    assert_eq!(child.command(json!({"do": "count"})).unwrap_err().kind, Kind::Sandbox);
}

#[test]
fn dropping_a_child_ends_it() {
    let child = Child::start(program(), NO_ARGS).unwrap();
    let address = address(child.redcap_uri());
    drop(child);
    assert!(falls_silent(&address));
}

#[test]
fn a_program_that_cannot_be_a_sandbox_is_an_error_with_its_last_words() {
    let error = Child::start("/nowhere/at/all", NO_ARGS).unwrap_err();
    assert_eq!(error.kind, Kind::Sandbox);
    let began = Instant::now();
    let error = Child::start("sh", ["-c", "echo noise; echo there is no package >&2; exit 3"]).unwrap_err();
    assert_eq!(error.kind, Kind::Sandbox);
    assert!(error.hints.iter().any(|hint| hint.contains("there is no package")), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "an early end is noticed at once");
}

#[test]
fn a_program_that_says_nothing_is_given_up_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("echo $$ > {}; trap '' TERM INT; sleep 60", file.display());
    let began = Instant::now();
    let error = Child::start_within(Duration::from_millis(300), "sh".as_ref(), ["-c", &script]).unwrap_err();
    assert!(error.message.contains("not ready in time"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20));
    let pid = std::fs::read_to_string(file).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "the program is gone and was waited for");
}

#[test]
fn a_child_that_does_not_answer_is_given_up_in_time_and_late_answers_are_passed_over() {
    let script = "echo '{\"ready\":true}'; read a; sleep 0.5; echo '{\"ok\":true,\"id\":1}'; read b; \
                  echo '{\"ok\":true,\"id\":2,\"right\":true}'; cat >/dev/null";
    let mut child = Child::start("sh", ["-c", script]).unwrap();
    let error = child.command_within(Duration::from_millis(50), json!({"do": "count"})).unwrap_err();
    assert!(error.message.contains("does not answer"), "{error}");
    assert_eq!(child.command(json!({"do": "count"})).unwrap()["right"], true);
}

#[test]
fn a_child_that_has_died_is_an_error_and_no_hang() {
    let script = "echo '{\"ready\":true}'; read a; echo last words >&2; exit 1";
    let mut child = Child::start("sh", ["-c", script]).unwrap();
    for _ in 0..3 {
        let error = child.command(json!({"do": "count"})).unwrap_err();
        assert_eq!(error.kind, Kind::Sandbox);
        assert!(error.hints.iter().any(|hint| hint.contains("last words")), "{error:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_copy_in_another_process_does_nothing_to_the_sandbox() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let mut child = Child::start(program(), NO_ARGS).unwrap();
    let (address, pid) = (address(child.redcap_uri()), child.process_id().unwrap());
    // What a forked process has: the same value under another process id.
    child.owner = std::process::id() + 1;
    assert!(!child.is_running());
    assert!(child.command(json!({"do": "stop"})).unwrap_err().message.contains("belongs to the process"));
    drop(child);
    std::thread::sleep(Duration::from_millis(100));
    assert!(answers(&address), "neither stopped, nor killed, nor its pipe closed");
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
    assert!(falls_silent(&address));
}

#[cfg(unix)]
#[test]
fn a_child_has_a_process_group_of_its_own() {
    let child = Child::start(program(), NO_ARGS).unwrap();
    let pid = child.process_id().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let group = stat.rsplit(") ").next().unwrap().split(' ').nth(2).unwrap();
    assert_eq!(group, pid.to_string());
}

#[test]
fn no_token_goes_to_the_child_by_its_environment() {
    let mut command = Command::new("x");
    let hex = "0123456789abcdef0123456789ABCDEF";
    let variables = [
        ("REDCapSync_TEST", "whatever"),
        ("MY_TOKEN", hex),
        ("MY_SUPER", &hex.repeat(2)),
        ("NEWLINE", &format!("{hex}\n")),
        ("QUOTED", &format!("\"{hex}\"")),
        ("SINGLE", &format!(" '{hex}' ")),
        ("COMMENT", &format!("{hex} # of the trial")),
        ("SEVERAL", &format!("A={hex};B={hex}")),
        // Of an institution's own form.
        ("OWN", "fake-7Gk2pQ9xLmVb41RtYc83"),
        ("OWN_BASE64", "'ZmFrZS0xMjM0NTY3ODkwYWJj+/=='"),
        ("HOSPITAL_API_KEY", "short"),
        ("redcap_token_old", "short"),
        // What a session needs.
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/bin"),
        ("R_HOME", "/usr/lib/R"),
        ("R_LIBS", "/home/someone/R/x86_64-pc-linux-gnu-library/4.2"),
        ("LANG", "en_US.UTF-8"),
        ("TZ", "America/Argentina/Buenos_Aires"),
        ("HOME", "C:\\Users\\someone.0123456789"),
        ("XDG_RUNTIME_DIR", "/run/user/1000"),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus"),
        ("TERM", "xterm-256color"),
        ("LS_COLORS", "rs=0:di=01;34:ln=01;36:mh=00:pi=40;33"),
    ];
    without_tokens(&mut command, variables.iter().map(|(name, value)| (name.into(), value.into())));
    let removed: Vec<_> = command.get_envs().map(|(name, value)| (name.to_str().unwrap(), value)).collect();
    assert!(removed.iter().all(|(_, value)| value.is_none()));
    let removed: Vec<_> = removed.iter().map(|(name, _)| *name).collect();
    let mut expected: Vec<_> = variables[..12].iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    assert_eq!(removed, expected);
}

/// Plays two parts: the test, and (when a variable says so) the parent that starts a sandbox and is killed.
#[test]
fn a_sandbox_dies_with_its_parent() {
    const PART: &str = "KEYCAP_TEST_PARENT";
    if std::env::var_os(PART).is_some() {
        let child = Child::start(program(), NO_ARGS).unwrap();
        writeln!(std::io::stdout(), "\nuri {}", child.redcap_uri()).unwrap();
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let name = concat!(module_path!(), "::a_sandbox_dies_with_its_parent").split_once("::").unwrap().1;
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(PART, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let uri = lines.find_map(|line| line.unwrap().strip_prefix("uri ").map(str::to_owned)).unwrap();
    let address = address(&uri);
    assert!(answers(&address));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(falls_silent(&address));
}

#[cfg(unix)]
#[test]
fn a_sandbox_dies_with_its_parent_even_if_somebody_else_holds_its_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (pipe, out) = (path("pipe"), path("out"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut holder = Command::new("sh").args(["-c", &format!("exec sleep 60 > {pipe}")]).spawn().unwrap();
    let script = format!("{} < {pipe} > {out} & sleep 60", program().display());
    let mut parent = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let uri = loop {
        let text = std::fs::read_to_string(&out).unwrap_or_default();
        let ready = text.lines().nth(1).and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        if let Some(ready) = ready {
            break ready["redcap_uri"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "not ready: {text}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let address = address(&uri);
    assert!(answers(&address));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(falls_silent(&address));
    assert!(holder.try_wait().unwrap().is_none(), "the pipe was open all the time");
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
fn a_sandbox_in_the_foreground_stays_when_its_input_ends() {
    let mut process =
        Command::new(program()).arg("--stay").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("not REDCap"));
    let ready: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let address = address(ready["redcap_uri"].as_str().unwrap());
    // Longer than the sandbox needs to look after its parent.
    std::thread::sleep(Duration::from_millis(800));
    assert!(answers(&address));
    process.kill().unwrap();
    process.wait().unwrap();
}
