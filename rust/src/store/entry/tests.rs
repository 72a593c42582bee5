//! Entry over pseudo-terminals, by dialogs, descriptors and files. What happens at a terminal happens in a child
//! process of its own session: its keys send signals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use nix::unistd::{Pid, mkfifo, ttyname};

use super::dialog::Dialog;
use super::*;
use crate::store::testing::{
    INSIDE, block_on, ctx, found_in, inside, left_by, looked_into, no_trace, random_token, wanted,
};
use crate::token::{FormRule, Secret};

/// Set in a child: a file whose presence ends it.
const WAITS: &str = "TEST_WAITS";

/// Set in a child: that it keeps what it was given.
const KEEPS: &str = "TEST_KEEPS";

/// Set in a child: that it cancels.
const CANCELS: &str = "TEST_CANCELS";

fn question() -> Question {
    let name = |text: &str| text.to_owned();
    Question { project: name("TEST"), token_name: name("REDCapSync_TEST"), store: name("keyring"), kept: true }
}

fn print_of(token: &str) -> String {
    let (secret, _) = Secret::seal(Raw::copy_of(token.as_bytes()).into_inner(), &FormRule::Redcap);
    secret.fingerprint().to_string()
}

fn entered(way: Way) -> Result<Entered> {
    block_on(enter(&ctx(), way, &wanted("REDCapSync_TEST"), question(), Place::take(""), &Hold::default()))
}

fn told(result: &Result<Entered>) -> String {
    match result {
        Ok(entered) => format!("{} {}", entered.found.source, entered.found.secret.fingerprint()),
        Err(error) => format!("{} {} {:?}", error.kind.as_str(), error.message, error.hints),
    }
}

/// What the children of this file do.
#[test]
fn a_person_is_asked_in_a_process_of_its_own() {
    if !inside() {
        // Nobody is there where the tests run; a terminal of the person who runs them is not asked.
        let place = Place { screen: false, window: true, ..Place::take("") };
        let result = block_on(enter(&ctx(), Way::Person, &wanted("X_TEST"), question(), place, &Hold::default()));
        assert_eq!(result.unwrap_err().kind, Kind::Argument);
        return;
    }
    println!("pid: {}", std::process::id());
    if std::env::var_os(CANCELS).is_some() {
        let tty = File::open("/dev/tty").unwrap();
        let before = tcgetattr(&tty).unwrap();
        let hold = Hold::default();
        let its = hold.clone();
        let work = std::thread::spawn(move || {
            block_on(enter(&ctx(), Way::Person, &wanted("X_TEST"), question(), Place::take(""), &its)).map(drop)
        });
        let begin = Instant::now();
        while echoes(&tcgetattr(&tty).unwrap()) && begin.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let quiet = !echoes(&tcgetattr(&tty).unwrap());
        hold.cancel();
        let back = tcgetattr(&tty).unwrap() == before;
        println!("outcome: {quiet} {back} {:?}", work.join().unwrap().unwrap_err().kind);
        return;
    }
    let result = entered(Way::Person);
    let text = told(&result);
    if std::env::var_os(KEEPS).is_some() {
        std::mem::forget(result);
    } else {
        drop(result);
    }
    println!("outcome: {text}");
    if let Some(path) = std::env::var_os(WAITS) {
        let until = Instant::now() + Duration::from_secs(60);
        while !Path::new(&path).exists() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn echoes(state: &Termios) -> bool {
    state.local_flags.contains(LocalFlags::ECHO)
}

/// A pseudo-terminal with what it shows.
struct Pty {
    master: Option<File>,
    slave: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<(Arc<AtomicBool>, std::thread::JoinHandle<()>)>,
}

impl Pty {
    fn open() -> Self {
        // No child inherits either side by accident: a side that somebody holds never hangs up.
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname_r(&master).unwrap();
        let slave = File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(name).unwrap();
        let master = File::from(OwnedFd::from(master));
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (screen, mut side) = (Arc::clone(&shown), master.try_clone().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 1024];
            while !stopped.load(Ordering::SeqCst) {
                let mut fds = [PollFd::new(side.as_fd(), PollFlags::POLLIN)];
                if poll(&mut fds, 20_u8).is_ok_and(|ready| ready == 0) {
                    continue;
                }
                match side.read(&mut bytes) {
                    Ok(length) if length > 0 => screen.lock().unwrap().extend_from_slice(&bytes[..length]),
                    _ => break,
                }
            }
        });
        Self { master: Some(master), slave: slave.into(), shown, reader: Some((stop, reader)) }
    }

    /// Closes every descriptor of the person's side.
    fn hang_up(&mut self) {
        self.master = None;
        if let Some((stop, reader)) = self.reader.take() {
            stop.store(true, Ordering::SeqCst);
            reader.join().unwrap();
        }
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    fn types(&mut self, text: &[u8]) {
        self.master.as_mut().unwrap().write_all(text).unwrap();
    }

    fn state(&self) -> Termios {
        tcgetattr(&self.slave).unwrap()
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        assert!(soon(|| self.screen().contains(text)), "not shown: `{text}`, but:\n{}", self.screen());
    }
}

fn soon(what: impl Fn() -> bool) -> bool {
    (0..2000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        what()
    })
}

/// A session at a pseudo-terminal: a shell that runs the test above, as `"$@"`, and says more on its standard output.
struct Session {
    pty: Pty,
    before: Termios,
    child: Child,
    said: mpsc::Receiver<String>,
    all: String,
}

impl Session {
    fn begin(shell: &str, change: impl FnOnce(&mut Command)) -> Self {
        let pty = Pty::open();
        let mut command = Command::new("setsid");
        command.args(["-c", "-w", "sh", "-c", shell, "sh"]).arg(std::env::current_exe().unwrap());
        let test = "store::entry::tests::a_person_is_asked_in_a_process_of_its_own";
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        change(&mut command);
        command.stdin(pty.slave.try_clone().unwrap()).stdout(Stdio::piped()).stderr(Stdio::null());
        let before = pty.state();
        let mut child = command.spawn().unwrap();
        let (tell, said) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(std::result::Result::ok).try_for_each(|line| tell.send(line)));
        Self { pty, before, child, said, all: String::new() }
    }

    fn asked(shell: &str) -> Self {
        let session = Self::begin(shell, |_| {});
        session.is_quiet();
        session
    }

    #[track_caller]
    fn is_quiet(&self) {
        self.pty.shows("not shown while you enter it: ");
        assert!(!echoes(&self.pty.state()));
    }

    /// The rest of the first line that is said with this beginning.
    #[track_caller]
    fn says(&mut self, beginning: &str) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        while let Ok(line) = self.said.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.all.push_str(&line);
            self.all.push('\n');
            // The test harness writes on the same line.
            if let Some((_, rest)) = line.split_once(beginning) {
                return rest.trim().to_owned();
            }
        }
        panic!("`{beginning}` was not said, but:\n{}", self.all);
    }

    #[track_caller]
    fn is_as_before(&self) {
        assert!(soon(|| self.pty.state() == self.before), "{:?}\n{:?}", self.before, self.pty.state());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.pty.hang_up();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_token_is_typed_with_corrections_and_not_shown_and_the_terminal_is_as_it_was() {
    let token = random_token();
    let mut session = Session::asked("\"$@\"; exit $?");
    session.pty.shows("Token for `TEST` (REDCapSync_TEST, goes into `keyring`)");
    session.pty.types(format!("no\x15x\x7f {}y\x7f{}\r", &token[..7], &token[7..]).as_bytes());
    assert_eq!(session.says("outcome: "), format!("terminal {}", print_of(&token)));
    session.is_as_before();
    no_trace(&token, &session.pty.screen());
    no_trace(&token, &session.all);
}

#[test]
fn what_is_pasted_behind_the_line_reaches_nobody() {
    let token = random_token();
    for (begin, end) in [("", ""), ("\x1b[200~", "\x1b[201~")] {
        let shell = "\"$@\"; stty -icanon -echo min 0 time 3; echo \"left: [$(cat)]\"";
        let mut session = Session::asked(shell);
        session.pty.types(format!("{begin}{token}\nrm(list = ls())\n").as_bytes());
        std::thread::sleep(Duration::from_millis(150));
        session.pty.types(format!("q()\nand more{end}\n").as_bytes());
        assert_eq!(session.says("outcome: "), format!("terminal {}", print_of(&token)));
        assert_eq!(session.says("left: "), "[]");
        no_trace(&token, &session.pty.screen());
        assert!(!session.pty.screen().contains("rm("), "{}", session.pty.screen());
    }
}

#[test]
fn what_was_typed_ahead_is_no_token() {
    let token = random_token();
    let mut session = Session::begin("sleep 1; \"$@\"; exit $?", |_| {});
    session.pty.types(format!("{}\r", random_token()).as_bytes());
    session.is_quiet();
    session.pty.types(format!("{token}\r").as_bytes());
    assert_eq!(session.says("outcome: "), format!("terminal {}", print_of(&token)));
}

#[test]
fn what_is_no_token_is_refused_by_its_form() {
    let token = random_token();
    let cases = [
        (format!("{}\r", &token[..31]), "31 characters"),
        ("\r".to_owned(), "blank"),
        (format!("{token}{token}\r"), "super token"),
        (format!("{}\r", "a".repeat(1100)), "more than 1024 characters"),
    ];
    for (typed, what) in cases {
        let mut session = Session::asked("\"$@\"; exit $?");
        session.pty.types(typed.as_bytes());
        let outcome = session.says("outcome: ");
        assert!(outcome.starts_with("token_form ") && outcome.contains(what), "{outcome}");
        session.is_as_before();
        no_trace(&token, &outcome);
        no_trace(&token, &session.pty.screen());
    }
}

#[test]
fn ctrl_c_cancels_and_sends_its_signal_once_the_terminal_is_as_it_was() {
    let mut session = Session::asked("trap '' INT; \"$@\"; exit $?");
    session.pty.types(b"0123\x03");
    assert!(session.says("outcome: ").starts_with("interrupted "));
    session.is_as_before();
    let mut session = Session::asked("trap 'stty -a | grep -o \"[-]*echo \"; echo heard:' INT; \"$@\"; echo after: $?");
    session.pty.types(b"\x03");
    assert_eq!(session.says("after: "), "130", "{}", session.all);
    assert!(!session.all.contains("outcome") && !session.all.contains("-echo"), "{}", session.all);
    session.is_as_before();
}

#[test]
fn ctrl_d_is_a_no() {
    let mut session = Session::asked("trap '' INT; \"$@\"; exit $?");
    session.pty.types(b"\x04");
    assert!(session.says("outcome: ").starts_with("interrupted "));
    session.is_as_before();
}

#[test]
fn ctrl_z_cancels_and_stops_with_the_terminal_as_it_was() {
    let mut session =
        Session::asked("set -m; \"$@\"; echo \"stopped: $?\"; stty -a | tr '\\n' ' '; echo :stty; fg; exit");
    session.pty.types(b"0123\x1a");
    assert_eq!(session.says("stopped: "), "148");
    session.says(":stty");
    assert!(session.all.contains(" echo ") && session.all.contains(" icanon "), "{}", session.all);
    assert!(session.says("outcome: ").starts_with("interrupted "));
    session.is_as_before();
}

#[test]
fn who_is_stopped_and_finds_the_terminal_set_back_ends_the_entry_and_lets_it_be() {
    let token = random_token();
    // What bash does with the terminal when a job of its own stops.
    let shell = "set -m; \"$@\"; echo \"stopped: $?\"; stty icanon echo; fg; exit";
    let mut session = Session::begin(shell, |_| {});
    let pid = session.says("pid: ").parse().unwrap();
    session.is_quiet();
    session.pty.types(token.as_bytes());
    std::thread::sleep(Duration::from_millis(100));
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    assert_eq!(session.says("stopped: "), "147");
    let outcome = session.says("outcome: ");
    assert!(outcome.starts_with("argument the terminal cannot be used to enter a token (its mode was"), "{outcome}");
    no_trace(&token, &session.pty.screen());
    // Not as it was before the entry: as the shell has set it.
    let after = session.pty.state();
    assert!(echoes(&after) && after.local_flags.contains(LocalFlags::ICANON), "{after:?}");
    assert!(!after.local_flags.contains(LocalFlags::ISIG), "{after:?}");
}

#[test]
fn who_goes_on_in_the_background_ends_the_entry_and_takes_the_terminal_from_nobody() {
    let shell = "set -m; \"$@\"; echo \"stopped: $?\"; stty icanon -echo isig iexten; bg; wait; sleep 20";
    let mut session = Session::begin(shell, |_| {});
    let pid = session.says("pid: ").parse().unwrap();
    session.is_quiet();
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    assert_eq!(session.says("stopped: "), "147");
    let outcome = session.says("outcome: ");
    assert!(outcome.contains("(it is not this process's any more)"), "{outcome}");
    let after = session.pty.state();
    assert!(!echoes(&after) && after.local_flags.contains(LocalFlags::ICANON), "{after:?}");
}

#[test]
fn a_process_that_is_ended_leaves_the_terminal_as_it_was() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        let mut session = Session::begin("\"$@\"; sleep 20", |_| {});
        let pid = session.says("pid: ").parse().unwrap();
        session.is_quiet();
        session.pty.types(b"0123");
        kill(Pid::from_raw(pid), signal).unwrap();
        session.is_as_before();
    }
}

#[test]
fn a_hang_up_ends_the_entry_of_a_process_that_goes_on() {
    let mut session = Session::asked("trap '' HUP; \"$@\"; exit $?");
    session.pty.hang_up();
    let outcome = session.says("outcome: ");
    assert!(outcome.starts_with("argument the terminal cannot be used"), "{outcome}");
}

#[test]
fn in_the_background_nobody_is_asked() {
    let mut session = Session::begin("set -m; \"$@\" & wait $!", |_| {});
    let outcome = session.says("outcome: ");
    assert!(outcome.starts_with("argument this R runs in the background of its terminal"), "{outcome}");
    assert!(outcome.contains("`Rscript -e 'keycap::set_project_token(\\\"TEST\\\")'`"), "{outcome}");
    session.is_as_before();
    assert_eq!(session.pty.screen(), "");
}

#[test]
fn without_terminal_and_desktop_the_line_for_another_place_is_told() {
    let error = nowhere(&question(), false);
    let line = "Rscript -e 'keycap::set_project_token(\"TEST\")'";
    assert!(error.fields.contains(&("line".to_owned(), line.into())) && error.hints[0].contains(line), "{error:?}");
    let error = nowhere(&Question { store: "vault".to_owned(), ..question() }, false);
    let line = "Rscript -e 'keycap::set_project_token(\"TEST\", store = \"vault\")'";
    assert!(error.hints[0].contains(line), "{error:?}");
    // Another process would not find it.
    let error = nowhere(&Question { kept: false, ..question() }, false);
    assert!(error.hints[0].contains("dir_path") && !format!("{error:?}").contains("Rscript"), "{error:?}");
}

#[test]
fn who_cancels_finds_the_terminal_as_it_was() {
    let mut session = Session::begin("\"$@\"; exit $?", |command| {
        command.env(CANCELS, "1");
    });
    assert_eq!(session.says("outcome: "), "true true Interrupted");
    session.is_as_before();
}

#[test]
fn nothing_of_a_token_is_left_in_memory_after_entry_at_a_terminal() {
    for keeps in [false, true] {
        let token = random_token();
        let folder = tempfile::tempdir().unwrap();
        let end = folder.path().join("end");
        let mut session = Session::begin("\"$@\"; exit $?", |command| {
            command.env(WAITS, &end);
            if keeps {
                command.env(KEEPS, "1");
            }
        });
        let pid = session.says("pid: ").parse().unwrap();
        session.is_quiet();
        session.pty.types(format!("{token}\nmore\n").as_bytes());
        session.says("outcome: terminal");
        let found = found_in(pid, &token);
        assert_eq!(found > 0, keeps, "{found} parts");
        fs::write(&end, "").unwrap();
    }
}

/// A program that takes the place of pinentry.
fn pinentry(folder: &Path, answers: &str) -> Dialog {
    let path = folder.join("pinentry");
    let log = folder.join("log");
    let script = format!(
        "#!/bin/sh\necho OK Pleased\nwhile read -r line; do echo \"$line\" >> {}; case $line in\n{answers}\nBYE) echo OK \
         closing; exit 0;;\n*) echo OK;; esac; done\n",
        log.display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    Dialog { program: path, options: Vec::new() }
}

#[test]
fn a_dialog_gives_what_was_entered_and_is_told_names_only() {
    let folder = tempfile::tempdir().unwrap();
    let token = random_token();
    let answers =
        format!("SETTIMEOUT*) echo ERR 536871187 Unknown IPC command;;\nGETPIN) echo 'D {token}%25'; echo OK;;");
    let dialog = pinentry(folder.path(), &answers);
    let raw = dialog.ask(&question(), &Place::take(""), &Hold::default()).unwrap();
    assert_eq!(raw.bytes(), format!("{token}%").as_bytes());
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("SETDESC The REDCap API token of `TEST`, to be kept in `keyring` under REDCapSync_TEST"));
    no_trace(&token, &log);
}

#[test]
fn a_dialog_is_dismissed_fails_or_is_cancelled_with_its_program() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |answers: &str, hold: &Hold| {
        pinentry(folder.path(), answers).ask(&question(), &Place::take(""), hold).unwrap_err()
    };
    let none = Hold::default();
    assert_eq!(ask("GETPIN) echo ERR 83886179 Operation cancelled;;", &none).kind, Kind::Interrupted);
    let error = ask("GETPIN) echo ERR 83918950 Inappropriate ioctl for device;;", &none);
    assert!(error.kind == Kind::Argument && error.message.contains("error 32870"), "{error:?}");
    assert!(error.hints[0].contains("Rscript -e"), "{error:?}");
    assert_eq!(ask("GETPIN) head -c 9000 /dev/zero | tr '\\0' a;;", &none).kind, Kind::TokenForm);
    let error = ask("SETTITLE*) kill -KILL $$;;", &none);
    assert!(error.message.contains("signal 9"), "{error:?}");
    let hold = Hold::default();
    let its = hold.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        its.cancel();
    });
    let begin = Instant::now();
    assert_eq!(ask("GETPIN) sleep 30;;", &hold).kind, Kind::Interrupted);
    assert!(begin.elapsed() < Duration::from_secs(10));
    thread.join().unwrap();
}

#[test]
fn the_real_pinentry_asks_at_a_terminal_of_its_own() {
    let mut pty = Pty::open();
    let token = random_token();
    let place = Place::take("");
    let program = place.surroundings.find("pinentry-curses").expect("Debian: apt install pinentry-curses");
    let tty = ttyname(&pty.slave).unwrap();
    let options = vec![format!("OPTION ttyname={}", tty.display()), "OPTION ttytype=xterm".to_owned()];
    let dialog = Dialog { program, options };
    let asked = {
        let place = place.clone();
        std::thread::spawn(move || dialog.ask(&question(), &place, &Hold::default()))
    };
    pty.shows("REDCapSync_TEST");
    pty.types(format!("{token}\r").as_bytes());
    assert_eq!(asked.join().unwrap().unwrap().bytes(), token.as_bytes());
    no_trace(&token, &pty.screen());
}

/// A file with this mode.
fn file_of(folder: &Path, text: &str, mode: u32) -> std::path::PathBuf {
    let path = folder.join("token");
    let _ = fs::remove_file(&path);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn a_file_is_read_that_is_the_users_alone() {
    let folder = tempfile::tempdir().unwrap();
    let token = random_token();
    let read = |path: &Path, wipe| entered(Way::File { path: path.to_owned(), wipe });
    for text in [token.clone(), format!("{token}\n"), format!(" {token} \r\n\r\n")] {
        let path = file_of(folder.path(), &text, 0o600);
        assert_eq!(told(&read(&path, false)), format!("file {}", print_of(&token)));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    for mode in [0o640, 0o604, 0o620, 0o601, 0o644] {
        let path = file_of(folder.path(), &token, mode);
        let error = read(&path, false).unwrap_err();
        assert!(error.kind == Kind::File && error.message.contains("mode"), "{error:?}");
        assert!(error.hints[0].contains("chmod 600"), "{error:?}");
    }
    let path = file_of(folder.path(), &token, 0o600);
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(read(&link, false).unwrap_err().message.contains("symbolic link"));
    fs::hard_link(&path, folder.path().join("other")).unwrap();
    assert!(read(&path, true).unwrap_err().message.contains("several names"));
    assert!(read(folder.path(), false).unwrap_err().message.contains("not an ordinary file"));
    assert!(read(&folder.path().join("nothing"), false).unwrap_err().message.contains("not there"));
    let path = file_of(folder.path(), &format!("{token}\n{token}\n"), 0o600);
    let error = read(&path, false).unwrap_err();
    assert_eq!(error.kind, Kind::TokenForm);
    no_trace(&token, &format!("{error:?}"));
    let path = file_of(folder.path(), "", 0o600);
    assert!(read(&path, false).unwrap_err().message.contains("blank"));
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut path, mut owner) = (std::path::PathBuf::from("/etc/passwd"), 0);
    if nix::unistd::Uid::effective().is_root() {
        // Root's own would be this user's: one is given away.
        (path, owner) = (file_of(folder.path(), &random_token(), 0o600), 65534);
        nix::unistd::chown(&path, Some(nix::unistd::Uid::from_raw(owner)), None).unwrap();
    }
    let error = entered(Way::File { path, wipe: false }).unwrap_err();
    assert!(error.kind == Kind::File && error.message.contains(&format!("belongs to user {owner}")), "{error:?}");
}

#[test]
fn a_file_is_wiped_when_that_is_asked_for_and_only_if_it_is_still_the_one() {
    let folder = tempfile::tempdir().unwrap();
    let token = random_token();
    let path = file_of(folder.path(), &token, 0o600);
    // Open, so that its bytes can be looked at once its name is gone.
    let mut still = File::open(&path).unwrap();
    let wipe = entered(Way::File { path: path.clone(), wipe: true }).unwrap().wipe.unwrap();
    wipe.carry_out().unwrap();
    assert!(!path.exists());
    let mut bytes = Vec::new();
    still.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, vec![0; token.len()]);

    let path = file_of(folder.path(), &token, 0o600);
    let wipe = entered(Way::File { path: path.clone(), wipe: true }).unwrap().wipe.unwrap();
    fs::rename(&path, folder.path().join("moved")).unwrap();
    fs::write(&path, "another file").unwrap();
    assert_eq!(wipe.carry_out().unwrap_err().kind, Kind::File);
    assert_eq!(fs::read_to_string(&path).unwrap(), "another file");
}

#[test]
fn a_pipe_gives_one_line_and_leaves_the_next() {
    let (one, two) = (random_token(), random_token());
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(format!("{one}\n{two}").as_bytes()).unwrap();
    let number = i64::from(reader.as_raw_fd());
    assert_eq!(told(&entered(Way::Descriptor(number))), format!("descriptor {}", print_of(&one)));
    drop(writer);
    assert_eq!(told(&entered(Way::Descriptor(number))), format!("descriptor {}", print_of(&two)));
    let error = entered(Way::Descriptor(number)).unwrap_err();
    assert!(error.kind == Kind::TokenForm && error.message.contains("blank"), "{error:?}");
}

#[test]
fn a_pipe_that_keeps_silent_can_be_cancelled_and_one_that_says_too_much_is_refused() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let number = i64::from(reader.as_raw_fd());
    let hold = Hold::default();
    let its = hold.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        its.cancel();
    });
    assert_eq!(descriptor::read(number, &hold).unwrap_err().kind, Kind::Interrupted);
    thread.join().unwrap();
    writer.write_all(&[b'a'; MOST + 1]).unwrap();
    assert_eq!(entered(Way::Descriptor(number)).unwrap_err().kind, Kind::TokenForm);
}

#[test]
fn a_descriptor_that_is_none_or_a_terminal_is_refused_and_a_file_is_read_whole() {
    for number in [-1, 1, 2, 9999] {
        assert_eq!(entered(Way::Descriptor(number)).unwrap_err().kind, Kind::Argument, "{number}");
    }
    let pty = Pty::open();
    let error = entered(Way::Descriptor(pty.slave.as_raw_fd().into())).unwrap_err();
    assert!(error.message.contains("is a terminal"), "{error:?}");
    let folder = tempfile::tempdir().unwrap();
    let token = random_token();
    let file = File::open(file_of(folder.path(), &format!("{token}\n"), 0o600)).unwrap();
    assert_eq!(told(&entered(Way::Descriptor(file.as_raw_fd().into()))), format!("descriptor {}", print_of(&token)));
    let file = File::open(file_of(folder.path(), &format!("{token}\n{token}\n"), 0o600)).unwrap();
    assert_eq!(entered(Way::Descriptor(file.as_raw_fd().into())).unwrap_err().kind, Kind::TokenForm);
}

#[test]
fn nothing_of_a_token_is_left_in_memory_after_entry_by_file() {
    let here = "store::entry::tests::nothing_of_a_token_is_left_in_memory_after_entry_by_file";
    if looked_into(|place| entered(Way::File { path: place.into(), wipe: false }).unwrap()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let token = random_token();
    let path = file_of(folder.path(), &format!("{token}\n"), 0o600);
    let path = path.to_str().unwrap();
    assert_eq!(left_by(here, path, false, &token), 0);
    assert!(left_by(here, path, true, &token) > 0);
}

#[test]
fn nothing_of_a_token_is_left_in_memory_after_entry_by_descriptor() {
    let here = "store::entry::tests::nothing_of_a_token_is_left_in_memory_after_entry_by_descriptor";
    let way = |place: String| {
        let pipe = File::options().read(true).write(true).open(place).unwrap();
        let entered = entered(Way::Descriptor(pipe.as_raw_fd().into()));
        entered.unwrap()
    };
    if looked_into(way) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let token = random_token();
    let path = folder.path().join("pipe");
    mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut pipe = File::options().read(true).write(true).open(&path).unwrap();
    for keeps in [false, true] {
        pipe.write_all(format!("{token}\n").as_bytes()).unwrap();
        let found = left_by(here, path.to_str().unwrap(), keeps, &token);
        assert_eq!(found > 0, keeps, "{found} parts");
    }
}
