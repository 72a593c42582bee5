//! Moving a token from the environment into a real keyring, killed at each step, and the entries that it leaves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;
use crate::audit::{Verdict, verify};
use crate::border::world::World as Host;
use crate::store::step::DIES_AT;
use crate::store::testing::{self, again_under, block_on, heard, inside, no_trace, random_token, token_name};

const HARNESS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/keyring/with-keyring.sh");

const NAME: &str = "REDCapSync_X";

/// Runs the calling test again inside a session with a keyring. True: this is the outer run, all is done.
#[track_caller]
fn done_in_a_session(test: &str) -> bool {
    if inside() {
        return false;
    }
    again_under(&[HARNESS], &format!("border::keep::tests::{test}"), |command| {
        command.env_remove(NAME);
    });
    true
}

struct World {
    folder: tempfile::TempDir,
    token: String,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), token: random_token() };
        world.write(&format!("A=1\n{NAME}={}\nB=2\n", world.token));
        world
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("renviron")
    }

    fn write(&self, content: &str) {
        crate::file::replace(&self.file(), content.as_bytes(), crate::file::Readers::Owner).unwrap();
    }

    fn content(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    /// In the file as it stood, or in the keyring: which.
    fn places(&self) -> (bool, bool) {
        (self.content().contains(&self.token), in_keyring() == self.token)
    }

    /// A move in a process of its own, which may die at a step.
    fn moved_in_a_child(&self, test: &str, dies_at: Option<&str>) -> std::process::Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&format!("border::keep::tests::{test}"), "--exact", "--nocapture", "--test-threads=1"]);
        // R would have the variable from the file.
        if self.places().0 {
            command.env(NAME, &self.token)
        } else {
            command.env_remove(NAME)
        };
        if let Some(step) = dies_at {
            command.env(DIES_AT, step);
        }
        command.env("R_ENVIRON_USER", self.file()).env("TEST_WORLD", self.folder.path()).output().unwrap()
    }

    /// The lines of the audit log, which is intact: phase, action or class, store, whether the fingerprint is right.
    fn entries(&self) -> Vec<String> {
        let folder = self.folder.path().join("data/audit");
        let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let log = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).max().unwrap();
        assert!(matches!(verify(&log).unwrap(), Verdict::Intact { .. }));
        let text = std::fs::read_to_string(log).unwrap();
        let mut entries = Vec::new();
        for line in text.lines() {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            let parts = [text("action"), text("class"), text("from"), text("store")];
            entries.push(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "));
            // The hashes of the chain may hold anything by chance.
            no_trace(&self.token, &[text("action"), text("fingerprint"), text("detail"), text("replaced")].join(" "));
        }
        entries
    }
}

fn ctx_at(folder: &Path) -> Ctx {
    let mut ctx = testing::ctx();
    ctx.dirs.config = folder.join("config");
    ctx.dirs.data = folder.join("data");
    ctx.dirs.session = folder.join("session");
    ctx.env = Environment::take(&token_name(NAME));
    ctx
}

fn project() -> Project {
    let texts = [("short_name", "X"), ("redcap_uri", "https://redcap.example.org/api/"), ("token_name", NAME)];
    Project::from_value(&Value::list(texts.map(|(name, text)| (name, text.into())))).unwrap()
}

fn go(ctx: &Ctx, from: &str, to: &str, overwrite: bool) -> Result<Moved> {
    let (project, progress) = (project(), Progress::new());
    let wanted = Wanted { token_name: token_name(NAME), short_name: "X".to_owned(), sandbox: false };
    let (from, to) = (from.to_owned(), to.to_owned());
    block_on(Way { project, wanted, from, to, overwrite }.go(ctx, &progress))
}

fn in_keyring() -> String {
    let found =
        Command::new("secret-tool").args(["lookup", "service", "REDCapSync", "username", NAME]).output().unwrap();
    String::from_utf8(found.stdout).unwrap()
}

fn put_by_others(token: &str) {
    let mut command = Command::new("secret-tool");
    command.args(["store", "--label=x", "service", "REDCapSync", "username", NAME]);
    let mut tool = command.args(["xdg:schema", "com.rstudio.keyring.password"]).stdin(Stdio::piped()).spawn().unwrap();
    tool.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    assert!(tool.wait().unwrap().success());
}

fn clear() {
    let _ = Command::new("secret-tool").args(["clear", "service", "REDCapSync", "username", NAME]).status();
}

#[test]
fn killed_at_any_step_the_token_is_somewhere_and_the_same_call_finishes() {
    const THIS: &str = "killed_at_any_step_the_token_is_somewhere_and_the_same_call_finishes";
    if let Some(folder) = std::env::var_os("TEST_WORLD") {
        let moved = go(&ctx_at(Path::new(&folder)), "env", "keyring", false).unwrap();
        return println!("moved: {}", moved.moved);
    }
    if done_in_a_session(THIS) {
        return;
    }
    let finished = "A=1\nB=2\n";
    for (step, file, keyring) in [
        ("before put", true, false),
        ("put", true, true),
        ("written beside", true, true),
        ("renamed", false, true),
        ("wiped", false, true),
        ("removed", false, true),
    ] {
        let world = World::new();
        let died = world.moved_in_a_child(THIS, Some(step));
        assert_eq!(died.status.signal(), Some(9), "{step}: {died:?}");
        assert_eq!(world.places(), (file, keyring), "{step}");
        let again = world.moved_in_a_child(THIS, None);
        let said = String::from_utf8_lossy(&again.stdout).into_owned();
        assert!(again.status.success() && said.contains(&format!("moved: {file}")), "{step}: {again:?}");
        assert_eq!((world.content().as_str(), in_keyring()), (finished, world.token.clone()), "{step}");
        no_trace(&world.token, &said);
        clear();
    }
}

#[test]
fn a_move_leaves_an_entry_before_and_an_outcome_after_each_of_its_two_steps() {
    if done_in_a_session("a_move_leaves_an_entry_before_and_an_outcome_after_each_of_its_two_steps") {
        return;
    }
    let world = World::new();
    let mut ctx = ctx_at(world.folder.path());
    ctx.env = ctx.env.clone().holding(&token_name(NAME), world.token.as_bytes(), &[world.file()]);
    let events = heard(&mut ctx);
    assert!(go(&ctx, "env", "keyring", false).unwrap().moved);
    assert_eq!((world.places(), world.content().as_str()), ((false, true), "A=1\nB=2\n"));
    let entries = ["move_token env keyring", "ok", "remove_token env", "ok"];
    assert_eq!(world.entries(), entries);
    let told = format!("{:?}", events.lock().unwrap());
    assert!(told.contains("took line 2 out of"), "{told}");
    no_trace(&world.token, &told);

    // What broke off between the two goes on to the second one, and what is done is not done again.
    world.write(&format!("{NAME}={}", world.token));
    assert!(go(&ctx, "env", "keyring", false).unwrap().moved);
    assert_eq!(world.content(), "");
    assert_eq!(world.entries()[4..], ["remove_token env", "ok"]);
    ctx.env = ctx.env.clone().holding(&token_name(NAME), b"", &[world.file()]);
    assert!(!go(&ctx, "env", "keyring", false).unwrap().moved);
    assert_eq!(world.entries().len(), 6);
}

#[test]
fn another_token_in_the_target_is_an_error_with_both_fingerprints_unless_it_may_be_replaced() {
    if done_in_a_session("another_token_in_the_target_is_an_error_with_both_fingerprints_unless_it_may_be_replaced") {
        return;
    }
    let world = World::new();
    let other = random_token();
    put_by_others(&other);
    let mut ctx = ctx_at(world.folder.path());
    ctx.env = ctx.env.clone().holding(&token_name(NAME), world.token.as_bytes(), &[world.file()]);
    let error = go(&ctx, "env", "keyring", false).unwrap_err();
    assert_eq!((error.kind, world.places(), in_keyring()), (Kind::Store, (true, false), other.clone()));
    assert_eq!(error.message.matches("kc1:").count(), 2, "{error}");
    assert!(error.hints[0].contains("overwrite = TRUE"));
    for token in [&world.token, &other] {
        no_trace(token, &format!("{error:?}"));
    }
    assert!(!world.folder.path().join("data").exists());
    assert!(go(&ctx, "env", "keyring", true).unwrap().moved);
    assert_eq!(world.places(), (false, true));
}

#[test]
fn what_cannot_be_removed_is_not_doubled_and_what_cannot_be_audited_is_not_moved() {
    if done_in_a_session("what_cannot_be_removed_is_not_doubled_and_what_cannot_be_audited_is_not_moved") {
        return;
    }
    let world = World::new();
    let mut ctx = ctx_at(world.folder.path());
    ctx.env = ctx.env.clone().holding(&token_name(NAME), world.token.as_bytes(), &[world.file()]);
    let two = format!("{NAME}={}\n{NAME}={}\n", random_token(), world.token);
    world.write(&two);
    let error = go(&ctx, "env", "keyring", false).unwrap_err();
    assert!(error.kind == Kind::File && error.message.contains("lines 1, 2"), "{error}");
    assert_eq!((world.content(), in_keyring()), (two, String::new()));

    // A file where the log's folder belongs.
    world.write(&format!("{NAME}={}\n", world.token));
    std::fs::create_dir(world.folder.path().join("data")).unwrap();
    std::fs::write(world.folder.path().join("data/audit"), "").unwrap();
    let error = go(&ctx, "env", "keyring", false).unwrap_err();
    assert_eq!((error.kind, world.places()), (Kind::Audit, (true, false)));

    // Nothing there to move, and no token.
    ctx.env = ctx.env.clone().holding(&token_name(NAME), b"", &[]);
    assert_eq!(go(&ctx, "env", "keyring", false).unwrap_err().kind, Kind::TokenMissing);
    ctx.env = ctx.env.clone().holding(&token_name(NAME), &world.token.as_bytes()[..31], &[]);
    assert_eq!(go(&ctx, "env", "keyring", false).unwrap_err().kind, Kind::TokenForm);
}

#[test]
fn a_move_that_is_interrupted_says_where_the_token_is() {
    let progress = Progress::new();
    let mut words = Vec::new();
    for stage in [Stage::Looking, Stage::Putting, Stage::Removing, Stage::Moved] {
        progress.is(stage);
        words.push(progress.word("env", "keyring"));
    }
    assert!(words[0].contains("nothing was moved") && words[3].contains("is moved to `keyring`"));
    assert!(words[1].contains("is in `env`, and may be in `keyring` too"));
    assert!(words[2].contains("is in `keyring`, and may be in `env` still"));
}

#[test]
fn a_change_that_is_given_up_has_an_outcome_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let ctx = ctx_at(folder.path());
    block_on(async {
        let change = Change { action: "set_token", ..Change::default() };
        let work = audited(&ctx, false, change, async {
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
            Ok(())
        });
        assert!(tokio::time::timeout(std::time::Duration::from_millis(300), work).await.is_err());
        ctx.shared.audit.settled(std::time::Instant::now() + std::time::Duration::from_secs(10));
    });
    let world = World { folder, token: random_token() };
    assert_eq!(world.entries(), ["set_token", "interrupted"]);
}

#[test]
fn stores_that_make_every_name_wait_are_asked_once_and_others_for_each_name() {
    let error = |state: &str| Error::new(Kind::Store, "x").field("state", state);
    for state in ["no_answer", "unreachable", "sealed"] {
        assert!(is_for_all_names(&error(state), false));
    }
    assert!(is_for_all_names(&error("locked"), true) && !is_for_all_names(&error("locked"), false));
    assert!(!is_for_all_names(&error("denied"), true));
}

/// What the environment of a test's own has for the store `command`, with settings as a file has them.
fn with_program(ctx: &mut Ctx, table: &str) {
    ctx.settings = crate::project::Settings::of_site(table).unwrap();
    ctx.settings.order = store::names().map(str::to_owned).collect();
    ctx.env = ctx.env.clone().for_stores(&ctx.settings, &ctx.net, &["command"]);
}

/// A program that keeps what it is given in a file of its folder, in the place of `pass`. `show` is said before a look-up.
fn program_in(folder: &Path, show: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let (place, program) = (folder.display(), folder.join("keeper"));
    let script = format!(
        "#!/bin/sh\nfile={place}/kept\ncase $1 in\nshow) {show}\n test -e \"$file\" || exit 1; cat \"$file\" ;;\n\
         insert) cat > \"$file\" ;;\nrm) test -e \"$file\" || exit 1; rm \"$file\" ;;\nesac\n"
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("[command]\npreset = \"pass\"\nprogram = \"{}\"\n", program.display())
}

fn state(error: &Error) -> String {
    let found = error.fields.iter().find(|(name, _)| name == "state");
    found.and_then(|(_, value)| value.as_text()).unwrap_or_default().to_owned()
}

#[test]
fn between_two_names_for_one_place_the_token_stays_and_the_error_says_so() {
    if done_in_a_session("between_two_names_for_one_place_the_token_stays_and_the_error_says_so") {
        return;
    }
    let world = World::new();
    for (from, to) in [("keyring", "command"), ("command", "keyring")] {
        put_by_others(&world.token);
        let mut ctx = ctx_at(world.folder.path());
        with_program(&mut ctx, "[command]\npreset = \"secret-tool\"\n");
        let before = if from == "keyring" { 0 } else { 2 };
        let error = go(&ctx, from, to, false).unwrap_err();
        assert_eq!(in_keyring(), world.token, "{from}");
        assert_eq!((error.kind, state(&error).as_str()), (Kind::Store, "one_place"), "{error}");
        assert!(error.message.contains("one place under two names") && error.message.ends_with("nothing was moved"));
        // Nothing was removed, so that there was nothing to put back, and what was tried with is gone.
        assert_eq!(world.entries()[before..], ["try_store keyring", "ok"]);
        assert_eq!(items_of_ours(), 1);
        no_trace(&world.token, &format!("{error:?}"));
        clear();
    }
}

/// How many items there are of R's keyring package's form.
fn items_of_ours() -> usize {
    let mut command = Command::new("secret-tool");
    command.args(["search", "--all", "service", "REDCapSync", "xdg:schema", "com.rstudio.keyring.password"]);
    let found = command.output().unwrap();
    String::from_utf8_lossy(&found.stdout).matches("\nlabel = ").count()
}

#[test]
fn killed_at_any_step_between_two_names_for_one_place_the_token_is_there() {
    const THIS: &str = "killed_at_any_step_between_two_names_for_one_place_the_token_is_there";
    if let Some(folder) = std::env::var_os("TEST_WORLD") {
        let mut ctx = ctx_at(Path::new(&folder));
        with_program(&mut ctx, "[command]\npreset = \"secret-tool\"\n");
        return println!("{}", go(&ctx, "keyring", "command", false).unwrap_err());
    }
    if done_in_a_session(THIS) {
        return;
    }
    let world = World::new();
    put_by_others(&world.token);
    for (step, dies) in [("probe put", true), ("before put", false), ("put", false), ("removed", false)] {
        let ended = world.moved_in_a_child(THIS, Some(step));
        assert_eq!(ended.status.signal() == Some(9), dies, "{step}: {ended:?}");
        assert_eq!(in_keyring(), world.token, "{step}");
    }
}

/// A program that gives this one token out of the keyring, and nothing under another name: what no trial shows.
#[test]
fn what_a_removal_took_from_the_target_too_is_put_back() {
    if done_in_a_session("what_a_removal_took_from_the_target_too_is_put_back") {
        return;
    }
    let world = World::new();
    put_by_others(&world.token);
    let mut ctx = ctx_at(world.folder.path());
    let gives = format!("case $2 in redcap/{NAME}) exec secret-tool lookup service REDCapSync username {NAME};; esac");
    with_program(&mut ctx, &program_in(world.folder.path(), &gives));
    let error = go(&ctx, "keyring", "command", false).unwrap_err();
    assert_eq!((error.kind, state(&error).as_str()), (Kind::Store, "one_place"), "{error}");
    assert!(error.message.ends_with("the token was put back into `keyring`"), "{error}");
    assert_eq!(in_keyring(), world.token);
    let entries = ["try_store keyring", "ok", "remove_token keyring", "ok", "set_token keyring", "ok"];
    assert_eq!(world.entries(), entries);
    no_trace(&world.token, &format!("{error:?}"));
}

#[test]
fn a_token_is_moved_only_into_a_store_that_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let token = random_token();
    let mut ctx = ctx_at(folder.path());
    with_program(&mut ctx, &program_in(folder.path(), ""));
    ctx.env = ctx.env.clone().holding(&token_name(NAME), token.as_bytes(), &[]);
    ctx.settings.order = vec!["env".to_owned(), "keyring".to_owned()];
    let error = go(&ctx, "env", "command", false).unwrap_err();
    assert_eq!(error.kind, Kind::Argument);
    assert!(error.message.contains("not among the stores that are asked"), "{error}");
    assert!(error.hints[0].contains("`configure_stores(order = c(\"env\", \"keyring\", \"command\"))`"), "{error:?}");
    ctx.settings.locked = vec!["stores".to_owned()];
    let error = go(&ctx, "env", "command", false).unwrap_err();
    assert!(error.hints[0].contains("institution has locked"), "{error:?}");
    assert!(!folder.path().join("kept").exists() && !folder.path().join("data").exists());
}

#[test]
fn a_token_is_bound_by_what_stands_beside_it_in_the_store_that_it_is_set_in() {
    let (here, there) = (project(), crate::net::Origin::parse("https://redcap.other.example").unwrap());
    for beside in [None, Some(here.redcap_uri.origin())] {
        bond_of_target(&here, "vault", beside).unwrap();
    }
    let error = bond_of_target(&here, "vault", Some(&there)).unwrap_err();
    assert_eq!(error.kind, Kind::Origin);
    assert!(error.message.contains("`https://redcap.other.example`") && error.message.ends_with("nothing was stored"));
}

/// A host whose project `X` has its token in no store.
fn host(options: &[(&str, &str)]) -> Host {
    let host = Host::new(options, &[]);
    let folder = host.at("X").display().to_string();
    let args = [
        ("short_name", "X"),
        ("dir_path", folder.as_str()),
        ("redcap_uri", "https://redcap.example.org/api/"),
        ("token_name", NAME),
    ];
    host.run("setup_project", Value::list(args.map(|(name, text)| (name, text.into())))).1.unwrap();
    host
}

/// An operation on it, with further arguments.
fn on_x(more: &[(&str, &str)]) -> Value {
    let object = [("short_name", "X"), ("redcap_uri", "https://redcap.example.org/api/"), ("token_name", NAME)];
    let object = Value::list(object.map(|(name, text)| (name, text.into())));
    let more = more.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text)));
    Value::List(more.chain([("project".to_owned(), object)]).collect())
}

fn of_file(host: &Host, token: &str) -> String {
    let file = host.at("token");
    crate::file::replace(&file, token.as_bytes(), crate::file::Readers::Owner).unwrap();
    file.display().to_string()
}

#[test]
fn a_token_is_not_set_beside_another_servers_origin() {
    use crate::store::vault_kit::{ROOT, Server as Vault};
    let vault = Vault::start();
    let address = vault.settings().address.unwrap().as_str().to_owned();
    let own = vault.file("own-token", ROOT).display().to_string();
    let options =
        [("keycap.stores", "vault"), ("keycap.vault.address", &address), ("keycap.vault.token_file", own.as_str())];
    let host = host(&options);
    let (token, at) = (random_token(), format!("secret/data/redcap/{NAME}"));
    let file = of_file(&host, &token);
    // With a token beside the origin, and prepared with a blank one.
    for before in [random_token(), String::new()] {
        let data = serde_json::json!({"token": before, "origin": "https://redcap.other.example"});
        vault.root("POST", &at, serde_json::json!({ "data": data }));
        let error = host.run("set_token", on_x(&[("store", "vault"), ("file", &file)])).1.unwrap_err();
        assert_eq!(error.kind, Kind::Origin, "{error}");
        assert!(error.message.contains("`https://redcap.other.example`"), "{error}");
        assert_eq!(vault.root("GET", &at, serde_json::json!({}))["data"]["data"], data);
        assert!(host.log("data/audit").is_empty());
        no_trace(&token, &format!("{error:?}"));
    }
    let data = serde_json::json!({"token": "", "origin": "https://redcap.example.org"});
    vault.root("POST", &at, serde_json::json!({ "data": data }));
    host.run("set_token", on_x(&[("store", "vault"), ("file", &file)])).1.unwrap();
    assert_eq!(vault.root("GET", &at, serde_json::json!({}))["data"]["data"]["token"], token.as_str());
}

#[test]
fn a_store_that_is_not_on_this_machine_is_not_one_that_holds_nothing() {
    let host = host(&[("keycap.stores", "env,command")]);
    for (op, more) in [
        ("remove_token", &[("store", "command")][..]),
        ("move_token", &[("from", "vault"), ("to", "command")]),
        ("move_token", &[("from", "command"), ("to", "env")]),
    ] {
        let error = host.run(op, on_x(more)).1.unwrap_err();
        assert_eq!(error.kind, Kind::Store, "{op} {more:?}: {error}");
        assert!(!error.message.contains("nothing under"), "{op} {more:?}: {error}");
    }
    let error = host.run("remove_token", on_x(&[("store", "command")])).1.unwrap_err();
    assert_eq!(state(&error), "not_here");
    assert!(error.message.contains("no program gives tokens on this machine"), "{error}");
    // The control: what is here and holds nothing.
    let nothing = host.run("remove_token", on_x(&[("store", "env")])).1.unwrap();
    assert_eq!(nothing.get("removed"), Some(&Value::Flag(false)));
}

/// It may print the line of the very file that the token is to leave.
#[test]
fn into_a_program_that_only_gives_tokens_none_is_moved_also_if_it_gives_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let token = random_token();
    let file = folder.path().join("renviron");
    let line = format!("{NAME}={token}\n");
    crate::file::replace(&file, line.as_bytes(), crate::file::Readers::Owner).unwrap();
    let mut ctx = ctx_at(folder.path());
    let prints = format!("sed -n 's/^'$1'=//p' '{}'", file.display());
    let table = format!("[command]\nprogram = \"sh\"\narguments = [\"-c\", {prints:?}, \"sh\", \"{{token_name}}\"]\n");
    with_program(&mut ctx, &table);
    ctx.env = ctx.env.clone().holding(&token_name(NAME), token.as_bytes(), std::slice::from_ref(&file));
    let error = go(&ctx, "env", "command", false).unwrap_err();
    assert_eq!((error.kind, state(&error).as_str()), (Kind::Store, "read_only"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), line);
    assert!(!folder.path().join("data").exists());
}

#[test]
fn a_source_that_is_not_on_this_machine_is_named_before_the_target_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kept"), random_token()).unwrap();
    let mut ctx = ctx_at(folder.path());
    with_program(&mut ctx, &program_in(folder.path(), ""));
    let error = go(&ctx, "vault", "command", false).unwrap_err();
    assert_eq!((error.kind, state(&error).as_str()), (Kind::Store, "not_here"), "{error}");
}

#[test]
fn a_slip_in_the_name_of_a_store_brings_what_was_meant() {
    let host = host(&[]);
    for (op, more, argument) in [
        ("remove_token", &[("store", "keyrin")][..], "store"),
        ("move_token", &[("from", "keyrin"), ("to", "env")], "from"),
        ("move_token", &[("from", "env"), ("to", "Keyring")], "to"),
        ("set_token", &[("store", "keyrings")], "store"),
        ("set_token", &[("store", "env"), ("from", "keyrnig")], "from"),
    ] {
        let error = host.run(op, on_x(more)).1.unwrap_err();
        assert_eq!(error.kind, Kind::Argument, "{error}");
        assert!(error.message.starts_with(&format!("`{argument}` names a store that does not exist")), "{error}");
        assert_eq!(error.hints[0], "did you mean `keyring`?");
    }
    let error = host.run("remove_token", on_x(&[("store", "pass")])).1.unwrap_err();
    assert!(error.hints[0].contains("the store is `command`"), "{error:?}");
}

#[test]
fn a_signing_key_of_the_audit_log_is_no_token_of_a_project() {
    let host = host(&[]);
    let named = |short_name: &str, token_name: &str| {
        let texts =
            [("short_name", short_name), ("redcap_uri", "https://redcap.example.org/api/"), ("token_name", token_name)];
        Value::list(texts.map(|(name, text)| (name, text.into())))
    };
    for (short_name, token_name, argument) in [
        ("K", "keycap_audit_key_1000_db01", "token_name"),
        ("K", "KEYCAP_AUDIT_KEY_x", "token_name"),
        ("keycap_audit_key_1000_db01", "K", "short_name"),
    ] {
        let object = named(short_name, token_name);
        let list = Value::list([("projects", Value::List(vec![(String::new(), object.clone())]))]);
        let removal = Value::list([("store", "keyring".into()), ("project", object.clone())]);
        for (op, args) in [("setup_project", object), ("list_tokens", list), ("remove_token", removal)] {
            let error = host.run(op, args).1.unwrap_err();
            assert_eq!(error.kind, Kind::Argument, "{op}: {error}");
            assert!(error.message.starts_with(&format!("`{argument}` begins as the names of")), "{op}: {error}");
        }
    }
    host.run("setup_project", named("L", "keycap_audit")).1.unwrap();
}

#[test]
fn a_source_that_was_changed_meanwhile_is_not_removed() {
    if done_in_a_session("a_source_that_was_changed_meanwhile_is_not_removed") {
        return;
    }
    let world = World::new();
    let (folder, rotated) = (world.folder.path(), random_token());
    std::fs::write(folder.join("kept"), &world.token).unwrap();
    // Somebody rotates the token behind the first look at it.
    let counts = format!("test -e {0}/seen && printf {rotated} > \"$file\"; touch {0}/seen", folder.display());
    let mut ctx = ctx_at(folder);
    with_program(&mut ctx, &program_in(folder, &counts));
    let error = go(&ctx, "command", "keyring", false).unwrap_err();
    assert_eq!((error.kind, state(&error).as_str()), (Kind::Store, "changed"), "{error}");
    assert_eq!(std::fs::read_to_string(folder.join("kept")).unwrap(), rotated);
    assert_eq!(in_keyring(), world.token);
    assert_eq!(world.entries(), ["try_store keyring", "ok", "move_token command keyring", "ok"]);
    for token in [&world.token, &rotated] {
        no_trace(token, &format!("{error:?}"));
    }
}

/// Where letter case counts, another token in the target is another one, whatever its fingerprint.
#[test]
fn a_token_in_another_letter_case_is_not_there_already_where_case_counts() {
    if done_in_a_session("a_token_in_another_letter_case_is_not_there_already_where_case_counts") {
        return;
    }
    let world = World::new();
    let folder = world.folder.path();
    let upper = "ABCDEF".repeat(5);
    std::fs::write(folder.join("kept"), &upper).unwrap();
    put_by_others(&upper.to_lowercase());
    let mut ctx = ctx_at(folder);
    with_program(&mut ctx, &program_in(folder, ""));
    ctx.settings.token_form = crate::token::FormRule::parse("30").unwrap();
    assert_eq!(state(&go(&ctx, "command", "keyring", false).unwrap_err()), "taken");
    assert_eq!(std::fs::read_to_string(folder.join("kept")).unwrap(), upper);
    assert!(go(&ctx, "command", "keyring", true).unwrap().moved);
    assert_eq!((in_keyring(), folder.join("kept").exists()), (upper, false));
}

#[test]
fn a_token_bound_elsewhere_by_what_stands_beside_it_goes_to_no_other_store() {
    use crate::store::vault_kit::{ROOT, Server as Vault};
    let vault = Vault::start();
    let folder = tempfile::tempdir().unwrap();
    let (token, at) = (random_token(), format!("secret/data/redcap/{NAME}"));
    let mut ctx = ctx_at(folder.path());
    with_program(&mut ctx, &program_in(folder.path(), ""));
    ctx.settings.stores.vault = vault.settings();
    ctx.settings.stores.vault.token_file = Some(vault.file("own-token", ROOT));
    ctx.env = ctx.env.clone().for_stores(&ctx.settings, &ctx.net, &["command", "vault"]);
    let holds = |origin: &str| {
        let data = serde_json::json!({"token": token, "origin": origin});
        vault.root("POST", &at, serde_json::json!({ "data": data }))
    };
    holds("https://redcap.other.example");
    let error = go(&ctx, "vault", "command", false).unwrap_err();
    assert_eq!(error.kind, Kind::Origin, "{error}");
    assert!(error.message.contains("`https://redcap.other.example` by `vault`"), "{error}");
    assert!(!folder.path().join("kept").exists() && !folder.path().join("data").exists());
    // In the target, too: it would be refused there with each call.
    std::fs::write(folder.path().join("kept"), &token).unwrap();
    assert_eq!(go(&ctx, "command", "vault", true).unwrap_err().kind, Kind::Origin);
    assert!(folder.path().join("kept").exists());
    std::fs::remove_file(folder.path().join("kept")).unwrap();
    holds("https://redcap.example.org");
    assert!(go(&ctx, "vault", "command", false).unwrap().moved);
    assert_eq!(std::fs::read_to_string(folder.path().join("kept")).unwrap().trim_end(), token);
    assert_eq!(vault.try_root("GET", &at, serde_json::json!({})).0, 404);
}

#[test]
fn a_copy_into_another_store_keeps_the_bond_too() {
    let found = |origin: Option<&str>| {
        let found = store::given(random_token().as_bytes(), &crate::token::FormRule::Redcap).unwrap();
        Found { origin: origin.map(|origin| crate::net::Origin::parse(origin).unwrap()), ..found }
    };
    for good in [None, Some("https://redcap.example.org")] {
        bond_kept(&project(), &found(good)).unwrap();
    }
    let error = bond_kept(&project(), &found(Some("https://redcap.other.example"))).unwrap_err();
    assert_eq!(error.kind, Kind::Origin);
}

#[test]
fn an_object_that_is_no_entry_of_the_registry_moves_and_removes_nothing() {
    const THIS: &str = "border::keep::tests::an_object_that_is_no_entry_of_the_registry_moves_and_removes_nothing";
    let token = random_token();
    if !inside() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("renviron");
        let line = format!("{NAME}={token}\n");
        crate::file::replace(&file, line.as_bytes(), crate::file::Readers::Owner).unwrap();
        again_under(&[], THIS, |command| {
            command.env(NAME, &token).env("R_ENVIRON_USER", &file);
        });
        assert_eq!(std::fs::read_to_string(file).unwrap(), line);
        return;
    }
    let host = Host::new(&[], &[]);
    let object = || {
        Value::list([
            ("short_name", "X".into()),
            ("redcap_uri", "https://redcap.example.org/api/".into()),
            ("token_name", NAME.into()),
        ])
    };
    for (op, args) in [
        ("remove_token", vec![("store", "env".into())]),
        ("move_token", vec![("from", "env".into()), ("to", "keyring".into()), ("overwrite", Value::Flag(false))]),
        ("set_token", vec![("store", "keyring".into()), ("from", "env".into()), ("wipe", Value::Flag(false))]),
    ] {
        let args = args.into_iter().chain([("project", object())]);
        let args = Value::List(args.map(|(name, value)| (name.to_owned(), value)).collect());
        let error = host.run(op, args).1.unwrap_err();
        assert_eq!(error.kind, Kind::Project, "{op}: {error}");
        assert!(error.message.contains("not set up here as the object says"), "{op}: {error}");
    }
    assert!(!host.at("data").exists());
}
