//! The keyring store against a real GNOME Keyring, and against every way in which there is none.
//!
//! Each test runs itself again in a child process (libdbus reads the session's address once a process), inside
//! a session of its own. Items that "others" wrote are written by libsecret's `secret-tool`, with the attributes
//! and the schema of R's keyring package, which goes through libsecret too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::*;
use crate::store::testing::{
    again, again_under, block_on, ctx, heard, inside, no_trace, random_token, token_name, wanted,
};
use crate::store::{Environment, Found, look_everywhere, look_up};
use crate::token::FormRule;

const HARNESS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/keyring/with-keyring.sh");

const R_SCHEMA: [&str; 2] = ["xdg:schema", "com.rstudio.keyring.password"];

const NAME_X: &str = "REDCapSync_X";

/// Runs the calling test again inside a session with a keyring. True: this is the outer run, all is done.
#[track_caller]
fn done_in_a_session(test: &str) -> bool {
    if inside() {
        return false;
    }
    again_under(&[HARNESS], &format!("store::keyring::tests::{test}"), |command| {
        command.env_remove(NAME_X);
    });
    true
}

fn ctx_here(interactive: bool) -> Ctx {
    let mut ctx = ctx();
    ctx.env = Environment::take(&token_name(NAME_X));
    ctx.settings.interactive = interactive;
    ctx
}

fn store(interactive: bool) -> KeyringStore {
    let access = Access { bus: SessionBus::take(), interactive, rule: crate::token::FormRule::Redcap };
    KeyringStore { access, limit: LIMIT, also_short: false }
}

fn found() -> Result<Option<Found>> {
    block_on(look_up(&ctx_here(false), &wanted(NAME_X)))
}

fn sealed(token: &str) -> Secret {
    Secret::seal(Raw::copy_of(token.as_bytes()).into_inner(), &FormRule::Redcap).0
}

/// Whether the look-up gives this token, from the keyring.
#[track_caller]
fn finds(token: &str) {
    let found = found().unwrap().expect("the token is found");
    assert_eq!(found.source, "keyring");
    assert_eq!(found.secret.fingerprint(), sealed(token).fingerprint());
}

/// Runs a program with a text on its standard input; returns what it printed.
fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect(program);
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Writes an item as another program does.
fn written_by_others(label: &str, username: &str, more: [&str; 2], value: &str) {
    let label = format!("--label={label}");
    run("secret-tool", &["store", &label, "service", "REDCapSync", "username", username, more[0], more[1]], value);
}

/// What libsecret finds as R's keyring package asks for it.
fn read_by_r(username: &str) -> String {
    let [key, schema] = R_SCHEMA;
    run("secret-tool", &["lookup", "service", "REDCapSync", "username", username, key, schema], "")
}

/// Number of items under a name.
fn items(username: &str) -> usize {
    let found = run("secret-tool", &["search", "--all", "service", "REDCapSync", "username", username], "");
    found.lines().filter(|line| line.starts_with("secret =")).count()
}

fn call(object: &str, method: &str, argument: &str) -> String {
    let arguments = ["call", "--session", "-d", "org.freedesktop.secrets", "-o", object, "-m", method, argument];
    run("gdbus", &arguments, "")
}

fn lock() {
    let path = "[objectpath '/org/freedesktop/secrets/collection/login']";
    let locked = call("/org/freedesktop/secrets", "org.freedesktop.Secret.Service.Lock", path);
    assert!(locked.contains("collection/login"), "{locked}");
}

fn state(error: &Error) -> String {
    let state = error.fields.iter().find(|(name, _)| name == "state");
    format!("{:?}", state.unwrap().1)
}

#[test]
fn an_item_is_found_under_the_token_name_then_under_the_short_name() {
    if done_in_a_session("an_item_is_found_under_the_token_name_then_under_the_short_name") {
        return;
    }
    assert!(found().unwrap().is_none());
    let (short, long) = (random_token(), random_token());
    written_by_others("mine", "X", R_SCHEMA, &short);
    finds(&short);
    written_by_others("blank", NAME_X, R_SCHEMA, "\n");
    finds(&short);
    written_by_others("mine", NAME_X, R_SCHEMA, &format!("{long}\n"));
    finds(&long);

    // Another service, another user: not ours.
    run("secret-tool", &["store", "--label=x", "service", "other", "username", "REDCapSync_Y"], &short);
    assert!(block_on(store(false).get(&wanted("REDCapSync_Y"))).unwrap().value.is_none());
    assert_eq!(block_on(store(false).state()).unwrap().reach, Reach::Ready);
}

#[test]
fn an_environment_variable_is_asked_first() {
    if done_in_a_session("an_environment_variable_is_asked_first") {
        return;
    }
    let (env, keyring) = (random_token(), random_token());
    written_by_others("mine", NAME_X, R_SCHEMA, &keyring);
    finds(&keyring);
    lock();
    let mut ctx = ctx_here(false);
    assert_eq!(block_on(look_up(&ctx, &wanted(NAME_X))).unwrap_err().kind, Kind::Store);
    let bus = ctx.env.bus.clone();
    ctx.env = Environment::with(&token_name(NAME_X), env.as_bytes());
    ctx.env.bus = bus;
    assert_eq!(block_on(look_up(&ctx, &wanted(NAME_X))).unwrap().unwrap().source, "env");
}

#[test]
fn two_items_with_different_tokens_are_an_error_that_lists_them_without_secrets() {
    if done_in_a_session("two_items_with_different_tokens_are_an_error_that_lists_them_without_secrets") {
        return;
    }
    let (one, two) = (random_token(), random_token());
    written_by_others("from R", NAME_X, R_SCHEMA, &one);
    // The same token twice, once in lower case and with a line break, is one token.
    written_by_others("from Python", NAME_X, ["application", "python"], &format!("{}\n", one.to_lowercase()));
    finds(&one);

    // Labels are what people type: some type the token.
    written_by_others(&format!("key {two}"), NAME_X, ["application", "by hand"], &two);
    let error = found().unwrap_err();
    let text = format!("{error} {error:?}");
    assert_eq!((error.kind, state(&error).as_str()), (Kind::Store, "Text(\"differing\")"));
    assert!(error.message.contains("3 items"), "{text}");
    let prints = [&one, &two].map(|token| sealed(token).fingerprint().to_string());
    let attributes = ["xdg:schema `com.rstudio.keyring.password`", "application `python`", "application `by hand`"];
    let listed = ["`from R` in the collection", "`from Python`", "`key [token]`", "modified 20"];
    for listed in prints.iter().map(String::as_str).chain(attributes).chain(listed) {
        assert!(error.hints.iter().any(|hint| hint.contains(listed)), "{listed}: {text}");
    }
    no_trace(&one, &text);
    no_trace(&two, &text);

    let seen = block_on(look_everywhere(&ctx_here(false), &wanted(NAME_X)));
    assert!(seen[1].answer.is_err());
    no_trace(&one, &format!("{seen:?}"));
}

#[test]
fn a_locked_keyring_is_an_error_and_asks_nobody_in_a_script() {
    if done_in_a_session("a_locked_keyring_is_an_error_and_asks_nobody_in_a_script") {
        return;
    }
    let token = random_token();
    written_by_others("mine", NAME_X, R_SCHEMA, &token);
    lock();
    let error = found().unwrap_err();
    assert_eq!((error.kind, state(&error).as_str()), (Kind::Store, "Text(\"locked\")"));
    assert!(error.hints.iter().any(|hint| hint.starts_with("unlock it")));
    no_trace(&token, &format!("{error:?}"));

    let name = token_name(NAME_X);
    let put = block_on(store(false).put(&name, &sealed(&random_token()))).unwrap_err();
    let removed = block_on(store(false).remove(&name)).unwrap_err();
    let new = block_on(store(false).put(&token_name("REDCapSync_NEW"), &sealed(&token))).unwrap_err();
    for error in [put, removed, new] {
        assert_eq!(state(&error), "Text(\"locked\")");
    }
    let locked = block_on(store(false).state()).unwrap();
    assert_eq!(locked.reach, Reach::Locked);
    assert!(locked.hints[0].starts_with("unlock it"), "{locked:?}");

    // No prompter was started, and the collection is still locked.
    let names = run(
        "gdbus",
        &["call", "--session", "-d", "org.freedesktop.DBus", "-o", "/", "-m", "org.freedesktop.DBus.ListNames"],
        "",
    );
    assert!(names.contains("org.freedesktop.secrets") && !names.contains("Prompter"), "{names}");

    // Absent is another state than locked, with a remark that says what cannot be seen.
    let mut ctx = ctx_here(false);
    let events = heard(&mut ctx);
    ctx.env = Environment::take(&token_name("REDCapSync_Y"));
    assert!(block_on(look_up(&ctx, &wanted("REDCapSync_Y"))).unwrap().is_none());
    let told = format!("{:?}", events.lock().unwrap());
    assert!(told.contains("is locked and may hold it unseen"), "{told}");
}

#[test]
fn a_prompt_that_cannot_be_shown_is_an_error_and_no_hang() {
    if done_in_a_session("a_prompt_that_cannot_be_shown_is_an_error_and_no_hang") {
        return;
    }
    let token = random_token();
    written_by_others("mine", NAME_X, R_SCHEMA, &token);
    lock();
    let start = Instant::now();
    let error = block_on(look_up(&ctx_here(true), &wanted(NAME_X))).unwrap_err();
    assert_eq!((error.kind, state(&error).as_str()), (Kind::Store, "Text(\"locked\")"));
    assert!(start.elapsed() < LIMIT + Duration::from_secs(PROMPT_SECONDS));
    no_trace(&token, &format!("{error:?}"));
}

#[test]
fn what_is_put_here_is_found_by_rs_keyring_and_replaces_what_stood_there() {
    if done_in_a_session("what_is_put_here_is_found_by_rs_keyring_and_replaces_what_stood_there") {
        return;
    }
    let (store, name) = (store(false), token_name(NAME_X));
    let (one, two, three) = (random_token(), random_token(), random_token());

    block_on(store.put(&name, &sealed(&one))).unwrap();
    assert_eq!(read_by_r(NAME_X), one);
    finds(&one);

    // Over an item of one's own, and over one of R's: still one item.
    block_on(store.put(&name, &sealed(&two))).unwrap();
    assert_eq!((read_by_r(NAME_X), items(NAME_X)), (two.clone(), 1));
    written_by_others("REDCapSync", NAME_X, R_SCHEMA, &one);
    assert_eq!(items(NAME_X), 1);
    finds(&one);

    // Beside an item that R does not find: both get the new token, so that there is no ambiguity.
    written_by_others("mine", NAME_X, ["application", "python"], &two);
    block_on(store.put(&name, &sealed(&three))).unwrap();
    assert_eq!((read_by_r(NAME_X), items(NAME_X)), (three.clone(), 2));
    finds(&three);

    assert!(block_on(store.remove(&name)).unwrap());
    assert!(!block_on(store.remove(&name)).unwrap());
    assert_eq!((read_by_r(NAME_X), items(NAME_X)), (String::new(), 0));
    assert!(found().unwrap().is_none());

    // Where only another program's item is, R gets one of its own.
    written_by_others("mine", NAME_X, ["application", "python"], &one);
    block_on(store.put(&name, &sealed(&two))).unwrap();
    assert_eq!(read_by_r(NAME_X), two);
    finds(&two);
}

#[test]
fn a_keyring_without_a_default_collection_is_asked_and_takes_nothing() {
    if done_in_a_session("a_keyring_without_a_default_collection_is_asked_and_takes_nothing") {
        return;
    }
    let default = "/org/freedesktop/secrets/aliases/default";
    run(
        "gdbus",
        &[
            "call",
            "--session",
            "-d",
            "org.freedesktop.secrets",
            "-o",
            default,
            "-m",
            "org.freedesktop.Secret.Collection.Delete",
        ],
        "",
    );
    assert!(found().unwrap().is_none());
    let token = random_token();
    let error = block_on(store(false).put(&token_name(NAME_X), &sealed(&token))).unwrap_err();
    assert_eq!(state(&error), "Text(\"failed\")");
    assert!(error.message.contains("default collection"), "{error}");
    no_trace(&token, &format!("{error:?}"));
}

/// What a child process is told by a look-up: `found`, the notes, or the error.
fn told() -> String {
    let mut ctx = ctx_here(false);
    let events = heard(&mut ctx);
    match block_on(look_up(&ctx, &wanted(NAME_X))) {
        Ok(found) => format!("told: found={} {:?}", found.is_some(), events.lock().unwrap()),
        Err(error) => format!("told: {:?} {}", error.kind, state(&error)),
    }
}

/// The same in a child process of the environment that is given.
fn told_with(test: &str, variables: &[(&str, &str)]) -> String {
    again(&format!("store::keyring::tests::{test}"), |command| {
        let theirs = ["DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY", "R_USER_CONFIG_DIR"];
        for name in theirs.into_iter().chain([NAME_X]) {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
    })
}

#[test]
fn without_a_d_bus_the_keyring_is_absent_and_that_is_noted_once() {
    const THIS: &str = "without_a_d_bus_the_keyring_is_absent_and_that_is_noted_once";
    if inside() {
        return println!("{}", told());
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bus"), "a file and no socket").unwrap();
    let dead = format!("unix:path={}/dead", dir.path().display());
    drop(UnixListener::bind(dir.path().join("dead")).unwrap());
    let told: Vec<String> = vec![
        told_with(THIS, &[]),
        told_with(THIS, &[("DBUS_SESSION_BUS_ADDRESS", "")]),
        // A display, as under `ssh -X`: no bus is launched for it.
        told_with(THIS, &[("DISPLAY", ":77")]),
        told_with(THIS, &[("XDG_RUNTIME_DIR", dir.path().to_str().unwrap())]),
        told_with(THIS, &[("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")]),
        told_with(THIS, &[("DBUS_SESSION_BUS_ADDRESS", "/dev/null")]),
        told_with(THIS, &[("DBUS_SESSION_BUS_ADDRESS", &dead)]),
    ];
    for told in told {
        assert!(told.contains("told: found=false [Once(\"no keyring on this machine: "), "{told}");
        assert_eq!(told.matches("Once(").count(), 1, "{told}");
    }
}

/// A D-Bus of its own rules; runs until it is dropped.
struct Bus {
    daemon: std::process::Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Bus {
    /// With the program that D-Bus starts for the Secret Service, and more rules.
    fn new(service: Option<&str>, rules: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        if let Some(program) = service {
            let file = format!("[D-BUS Service]\nName=org.freedesktop.secrets\nExec={program}\n");
            std::fs::write(dir.path().join("org.freedesktop.secrets.service"), file).unwrap();
        }
        let config = format!(
            "<busconfig><type>session</type><listen>unix:path={path}/bus</listen><servicedir>{path}</servicedir>\
             <policy context='default'><allow send_destination='*' eavesdrop='true'/><allow own='*'/>\
             <allow eavesdrop='true'/>{rules}</policy></busconfig>"
        );
        let file = dir.path().join("bus.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("dbus-daemon");
        command.arg(format!("--config-file={}", file.display())).args(["--nofork", "--print-address=1"]);
        let mut daemon = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { daemon, address: address.trim().to_owned(), _dir: dir }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

#[test]
fn a_d_bus_without_a_keyring_that_starts_is_absent_and_one_that_refuses_or_keeps_silent_is_an_error() {
    const THIS: &str =
        "a_d_bus_without_a_keyring_that_starts_is_absent_and_one_that_refuses_or_keeps_silent_is_an_error";
    if inside() {
        return println!("{}", told());
    }
    let told_on = |bus: &Bus| told_with(THIS, &[("DBUS_SESSION_BUS_ADDRESS", &bus.address)]);

    let told = told_on(&Bus::new(None, ""));
    assert!(told.contains("told: found=false") && told.contains("has no Secret Service"), "{told}");
    let told = told_on(&Bus::new(Some("/bin/false"), ""));
    assert!(told.contains("told: found=false") && told.contains("could not be started"), "{told}");
    let told = told_on(&Bus::new(Some("/bin/sleep 20"), "<deny send_destination='org.freedesktop.secrets'/>"));
    assert!(told.contains("told: Store Text(\"denied\")"), "{told}");
    let told = told_on(&Bus::new(Some("/bin/sleep 20"), ""));
    assert!(told.contains("told: Store Text(\"no_answer\")"), "{told}");
}

#[test]
fn a_d_bus_that_accepts_and_keeps_silent_is_an_error_in_time_and_holds_nothing_up() {
    const THIS: &str = "a_d_bus_that_accepts_and_keeps_silent_is_an_error_in_time_and_holds_nothing_up";
    if inside() {
        let mut store = store(false);
        store.limit = Duration::from_secs(1);
        let error = block_on(store.get(&wanted(NAME_X))).unwrap_err();
        return println!("told: {:?} {}", error.kind, state(&error));
    }
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("bus")).unwrap();
    let keep = std::thread::spawn(move || {
        // Accepts, reads and says nothing, until the other side ends.
        let (mut connection, _) = listener.accept().unwrap();
        let _ = connection.read_to_end(&mut Vec::new());
    });
    let start = Instant::now();
    let told = told_with(THIS, &[("XDG_RUNTIME_DIR", dir.path().to_str().unwrap())]);
    assert!(told.contains("told: Store Text(\"no_answer\")"), "{told}");
    // The process ended although libdbus itself waits for 25 s.
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    keep.join().unwrap();
}

/// Looks up in a child process, and looks for the token in the memory of that process afterwards.
fn windows_left_after(mode: &str, token: &str) -> usize {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["store::keyring::tests::after_a_look_up_the_token_is_not_in_memory", "--exact", "--nocapture"]);
    let mut child = command.env("KEYCAP_TEST_MODE", mode).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    while !said.contains("looked up") {
        assert_ne!(lines.read_line(&mut said).unwrap(), 0, "{said}");
    }
    let left = windows_in_memory(child.id(), token.as_bytes());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    left
}

/// How many of a token's windows of 12 characters stand in the readable memory of a process.
fn windows_in_memory(process: u32, token: &[u8]) -> usize {
    use std::os::unix::fs::FileExt;
    let memory = std::fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut left = vec![false; token.len() - 11];
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        for (window, left) in token.windows(12).zip(&mut left) {
            *left = *left || bytes.windows(12).any(|part| part == window);
        }
    }
    left.iter().filter(|left| **left).count()
}

#[test]
fn after_a_look_up_the_token_is_not_in_memory() {
    if let Ok(mode) = std::env::var("KEYCAP_TEST_MODE") {
        let found = found().unwrap().unwrap();
        assert_eq!(found.form, crate::token::Form::Project);
        let leak = (mode == "control").then(|| found.secret.for_store().to_vec());
        drop(found);
        println!("looked up");
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        return drop(leak);
    }
    if done_in_a_session("after_a_look_up_the_token_is_not_in_memory") {
        return;
    }
    let token = random_token();
    written_by_others("mine", NAME_X, R_SCHEMA, &token);
    assert_eq!(windows_left_after("control", &token), 21);
    assert_eq!(windows_left_after("look-up", &token), 0);
}

#[test]
fn a_token_is_put_under_the_short_name_too_where_that_is_asked_for_and_removed_where_it_is_the_same() {
    if done_in_a_session(
        "a_token_is_put_under_the_short_name_too_where_that_is_asked_for_and_removed_where_it_is_the_same",
    ) {
        return;
    }
    let (one, two) = (random_token(), random_token());
    let (plain, wanted) = (store(false), wanted(NAME_X));
    block_on(plain.put_for(&wanted, &sealed(&one))).unwrap();
    assert_eq!((read_by_r(NAME_X), read_by_r("X")), (one.clone(), String::new()));
    let both = KeyringStore { also_short: true, ..store(false) };
    block_on(both.put_for(&wanted, &sealed(&two))).unwrap();
    assert_eq!((read_by_r(NAME_X), read_by_r("X")), (two.clone(), two.clone()));
    let removed = || block_on(plain.remove_for(&wanted)).unwrap();
    assert_eq!(removed(), [NAME_X, "X"]);
    assert_eq!((items(NAME_X), items("X")), (0, 0));
    assert!(removed().is_empty());

    // Another token under the short name is another program's, as long as the token name has one of its own.
    written_by_others("theirs", "X", R_SCHEMA, &one);
    block_on(plain.put_for(&wanted, &sealed(&two))).unwrap();
    assert_eq!(removed(), [NAME_X]);
    assert_eq!((items(NAME_X), read_by_r("X")), (0, one));
    assert_eq!(removed(), ["X"]);
    assert_eq!(items("X"), 0);
}

#[test]
fn a_keyring_of_rs_that_is_a_file_is_named_with_the_step_to_move() {
    const THIS: &str = "a_keyring_of_rs_that_is_a_file_is_named_with_the_step_to_move";
    if inside() {
        return println!("{}", told());
    }
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    assert!(!told_with(THIS, &[("XDG_CONFIG_HOME", place)]).contains("does not read"));
    std::fs::create_dir(dir.path().join("r-keyring")).unwrap();
    assert!(!told_with(THIS, &[("XDG_CONFIG_HOME", place)]).contains("does not read"));
    std::fs::write(dir.path().join("r-keyring/system.keyring"), "x").unwrap();
    let told = told_with(THIS, &[("XDG_CONFIG_HOME", place)]);
    for part in ["no keyring on this machine", "r-keyring/system.keyring", "does not read", "backend_secret_service"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(told_with(THIS, &[("R_USER_CONFIG_DIR", place)]).contains("does not read"));
}
