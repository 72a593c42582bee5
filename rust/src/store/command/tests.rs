//! The store against programs that misbehave, and against the real `pass` and `secret-tool`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::*;
use crate::project::Settings;
use crate::store::testing::{again_under, block_on, ctx, inside, no_trace, random_token, token_name, wanted};
use crate::store::{Environment, Found, look_up};
use crate::token::FormRule;

const NAME_C: &str = "REDCapSync_C";

/// The settings of a file with this table.
fn settings(table: &str) -> Settings {
    Settings::of_site(&format!("stores = [\"command\"]\n[command]\n{table}\n")).unwrap()
}

/// A world with this table, and with this process's environment and some variables more.
fn ctx_of(table: &str, more: &[(&str, &str)]) -> Ctx {
    let mut ctx = ctx();
    ctx.settings = settings(table);
    let own = std::env::vars().filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
    let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let all = own.chain(more).map(|(name, value)| (name.into_bytes(), Zeroizing::new(value.into_bytes())));
    ctx.env = Environment::with(&token_name(NAME_C), b"");
    ctx.env.command = Some(Surroundings::of(all));
    ctx
}

fn found_in(ctx: &Ctx) -> Result<Option<Found>> {
    block_on(look_up(ctx, &wanted(NAME_C)))
}

/// A look-up through a script of `sh`; `{token_name}` is its `$1`.
fn script(text: &str) -> Ctx {
    ctx_of(&format!("program = \"sh\"\narguments = [\"-c\", {text:?}, \"sh\", \"{{token_name}}\"]"), &[])
}

fn sealed(token: &str) -> Secret {
    Secret::seal(Raw::copy_of(token.as_bytes()).into_inner(), &FormRule::Redcap).0
}

#[track_caller]
fn finds(ctx: &Ctx, token: &str) {
    let found = found_in(ctx).unwrap().expect("the token is found");
    assert_eq!(found.source, "command");
    assert_eq!(found.secret.fingerprint(), sealed(token).fingerprint());
}

#[track_caller]
fn in_state(error: Error, state: &str) -> Error {
    assert_eq!(error.kind, Kind::Store, "{error:?}");
    assert!(error.fields.contains(&("state".to_owned(), state.into())), "{error:?}");
    assert!(!error.hints.is_empty(), "{error:?}");
    error
}

#[track_caller]
fn fails(ctx: &Ctx, state: &str) -> Error {
    in_state(found_in(ctx).unwrap_err(), state)
}

/// Whether a process is there, and is no zombie.
fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

fn becomes(what: impl Fn() -> bool) -> bool {
    (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        what()
    })
}

#[test]
fn one_line_is_the_token_and_the_name_is_an_argument_of_its_own() {
    let token = random_token();
    finds(&script(&format!("echo {token}")), &token);
    finds(&script(&format!("printf {token}")), &token);
    finds(&script(&format!("printf '{token}\\r\\n'")), &token);
    finds(&script(&format!("[ \"$1\" = {NAME_C} ] && echo {token}")), &token);
    // There is no shell in between: what would be one's is a text.
    let plain = ctx_of("program = \"echo\"\narguments = [\"$(id)\", \"`id`\", \"{token_name}; id\"]", &[]);
    let found = found_in(&plain).unwrap().unwrap();
    assert_eq!(found.secret.n_chars(), "$(id) `id` REDCapSync_C; id".len());

    for blank in ["true", "echo", "printf '\\r\\n'"] {
        assert!(found_in(&script(blank)).unwrap().is_none(), "{blank}");
    }
    let two = script(&format!("echo {token}; echo url: x"));
    no_trace(&token, &format!("{:?}", fails(&two, "output")));
    let mut first = two;
    first.settings.stores.command.as_mut().unwrap().first_line = true;
    finds(&first, &token);
}

#[test]
fn a_status_is_absent_where_the_settings_say_so_and_a_failure_otherwise() {
    let token = random_token();
    let text = format!("echo {token} >&2; echo {token}; exit 4");
    let error = fails(&script(&text), "failed");
    assert!(error.message.ends_with("ended with status 4"), "{}", error.message);
    assert!(error.fields.contains(&("status".to_owned(), 4_i64.into())));
    no_trace(&token, &format!("{error:?}"));
    let absent =
        format!("program = \"sh\"\narguments = [\"-c\", {text:?}, \"{{token_name}}\"]\nabsent_status = [1, 4]");
    assert!(found_in(&ctx_of(&absent, &[])).unwrap().is_none());
    assert!(fails(&script("kill -TERM $$"), "failed").message.ends_with("signal 15"));
}

#[test]
fn standard_error_is_not_shown_and_nothing_is_asked() {
    let token = random_token();
    // In a child, whose whole output is seen: nothing of the program's may come through, and no terminal is asked.
    if inside() {
        finds(
            &script("echo SHOWN >&2; cat; echo $KEYCAP_COMMAND_TEST$COMMAND_TEST"),
            &std::env::var("COMMAND_TEST").unwrap(),
        );
        return;
    }
    let said = again_under(&[], "store::command::tests::standard_error_is_not_shown_and_nothing_is_asked", |command| {
        // Not the form of a token, or it would not be passed on.
        command.env("COMMAND_TEST", format!("{token}x")).env("KEYCAP_COMMAND_TEST", "y").stdin(Stdio::piped());
    });
    assert!(!said.contains("SHOWN"), "{said}");
}

#[test]
fn the_program_gets_the_users_environment_without_keycaps_and_without_tokens() {
    let token = random_token();
    let table = "program = \"env\"\narguments = [\"-u{token_name}\"]\nfirst_line = true";
    let more = [
        ("GNUPGHOME", "/g"),
        ("KEYCAP_TIMEOUT", "9"),
        ("REDCapSync_D", "x"),
        ("OTHER", token.as_str()),
        // As R's launcher sets them: the folders of R's own libraries.
        ("LD_LIBRARY_PATH", "/usr/lib/R/lib"),
        ("DYLD_FALLBACK_LIBRARY_PATH", "/Library/R"),
    ];
    let ctx = ctx_of(table, &more);
    let store = CommandStore::new(&ctx, LIMIT);
    let end = block_on(store.run(&store.program.clone().unwrap(), Vec::new(), None)).unwrap();
    let End::Exited(0, output) = end else { panic!("{end:?}") };
    let output = String::from_utf8(output.to_vec()).unwrap();
    assert!(output.contains("GNUPGHOME=/g\n") && output.contains("PATH="), "{output}");
    assert!(!output.contains("KEYCAP_") && !output.contains("REDCapSync_") && !output.contains("OTHER"), "{output}");
    assert!(!output.contains("LD_LIBRARY_PATH") && !output.contains("DYLD_"), "{output}");
    assert!(!format!("{:?}", ctx.env).contains("/g"));
}

#[test]
fn the_program_has_a_group_of_its_own_and_no_signal_blocked_or_ignored() {
    let one = |text: &str| {
        let ctx = script(text);
        let store = CommandStore::new(&ctx, LIMIT);
        let arguments = filled(&store.line.as_ref().unwrap().read, NAME_C, "").unwrap();
        match block_on(store.run(&store.program.clone().unwrap(), arguments, None)).unwrap() {
            End::Exited(0, output) => String::from_utf8(output.to_vec()).unwrap(),
            end => panic!("{end:?}"),
        }
    };
    let stat = one("echo $$; cat /proc/$$/stat");
    let (pid, stat) = stat.split_once('\n').unwrap();
    assert_eq!(stat.split(' ').nth(4), Some(pid), "{stat}");
    let status = one("exec cat /proc/self/status");
    for mask in ["SigBlk:", "SigIgn:"] {
        let line = status.lines().find_map(|line| line.strip_prefix(mask)).unwrap();
        let mask = u64::from_str_radix(line.trim(), 16).unwrap();
        // The two above are the C library's own.
        assert_eq!(mask & 0x7FFF_FFFF, 0, "{line}");
    }
}

#[test]
fn what_takes_too_long_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    // A child and a grandchild that hold the output open, and do not listen to polite signals.
    let text = format!(
        "trap '' TERM HUP INT; (sleep 300 & echo $! >> {0}; wait) & echo $! >> {0}; echo $$ >> {0}; wait",
        pids.display()
    );
    let ctx = script(&text);
    let store = CommandStore::new(&ctx, Duration::from_millis(700));
    let begin = Instant::now();
    let error = in_state(block_on(store.get(&wanted(NAME_C))).unwrap_err(), "no_answer");
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert!(error.message.contains("0.7 s") && error.message.contains("killed"), "{}", error.message);
    let started = std::fs::read_to_string(&pids).unwrap();
    assert_eq!(started.lines().count(), 3, "{started}");
    for pid in started.lines() {
        assert!(becomes(|| !lives(pid)), "process {pid} lives on");
    }
}

#[test]
fn a_look_up_that_nobody_waits_for_ends_its_program_too() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let ctx = script(&format!("sleep 300 & echo $! > {0}.new; mv {0}.new {0}; wait", pids.display()));
    let wanted = wanted(NAME_C);
    block_on(async {
        let until = async {
            while !pids.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            _ = look_up(&ctx, &wanted) => panic!("it ended"),
            () = until => {}
        }
    });
    let pid = std::fs::read_to_string(&pids).unwrap();
    assert!(becomes(|| !lives(pid.trim())));
}

#[test]
fn what_stays_in_the_background_is_not_waited_for() {
    let token = random_token();
    let begin = Instant::now();
    finds(&script(&format!("sleep 30 & echo {token}")), &token);
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn more_than_eight_kib_is_no_token() {
    let fits = script("head -c 8191 /dev/zero | tr '\\0' x; echo");
    assert_eq!(found_in(&fits).unwrap().unwrap().secret.n_chars(), 8191);
    assert!(fails(&script("head -c 8193 /dev/zero | tr '\\0' x"), "output").message.contains("8 KiB"));
    let begin = Instant::now();
    fails(&script("yes"), "output");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_program_is_found_once_and_shown_and_where_there_is_none_the_look_up_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("vend");
    let token = random_token();
    std::fs::write(&program, format!("#!/bin/sh\necho {token}\n")).unwrap();
    let path = format!("relative:.::{}:/usr/bin:/bin", folder.path().display());
    let table = "program = \"vend\"\narguments = [\"{token_name}\"]";
    let here = ctx_of(table, &[("PATH", &path)]);
    // It is there, but may not be run.
    assert!(found_in(&here).unwrap().is_none());
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    finds(&here, &token);
    let state = block_on(open(&here).state()).unwrap();
    assert_eq!((state.detail.as_deref(), state.reach), (program.to_str(), Reach::ReadOnly));
    finds(&ctx_of(&table.replace("vend", program.to_str().unwrap()), &[]), &token);

    let nowhere = ctx_of(table, &[]);
    assert!(found_in(&nowhere).unwrap().is_none());
    let store = open(&nowhere);
    let answer = block_on(store.get(&wanted(NAME_C))).unwrap();
    assert_eq!(answer.remark.unwrap(), "the program `vend` is not on this machine");
    assert!(matches!(block_on(store.state()).unwrap().reach, Reach::NotHere(_)));
    let answer = block_on(open(&ctx()).get(&wanted(NAME_C))).unwrap();
    assert!(answer.remark.unwrap().contains("`[command]`"));

    // Not a program at all.
    std::fs::write(&program, [0x7F, b'E', b'L', b'F', 0]).unwrap();
    fails(&here, "failed");
    let name = token_name(NAME_C);
    in_state(block_on(open(&here).put(&name, &sealed(&token))).unwrap_err(), "read_only");
    in_state(block_on(open(&here).remove(&name)).unwrap_err(), "read_only");
    in_state(block_on(open(&here).removable(&wanted(NAME_C))).unwrap_err(), "read_only");
    in_state(block_on(open(&nowhere).put(&name, &sealed(&token))).unwrap_err(), "not_here");
}

/// Runs a program of the test's, which has to succeed.
#[track_caller]
fn run(home: &Path, program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .envs([("GNUPGHOME", home.join("gnupg")), ("PASSWORD_STORE_DIR", home.join("store"))])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|_| panic!("`{program}` is missing: `sh tools/setup.sh test` installs it"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Ends the agent that gpg started, wherever the test ends.
struct Agent(tempfile::TempDir);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", self.0.path().join("gnupg")).output();
    }
}

#[test]
fn pass_gives_tokens_takes_them_and_tells_absent_from_locked() {
    // A short path: that of a socket has 108 characters at most.
    let home = Agent(tempfile::tempdir_in("/tmp").unwrap());
    let at = home.0.path().to_owned();
    let gnupg = at.join("gnupg");
    std::fs::create_dir(&gnupg).unwrap();
    std::fs::set_permissions(&gnupg, std::fs::Permissions::from_mode(0o700)).unwrap();
    let make = |name: &str, password: &str| {
        let arguments = ["--batch", "--pinentry-mode", "loopback", "--passphrase", password, "--quick-gen-key", name];
        run(&at, "gpg", &[&arguments[..], &["default", "default", "never"]].concat(), "");
    };
    make("open@example.org", "");
    make("locked@example.org", "open-sesame");
    run(&at, "gpgconf", &["--kill", "gpg-agent"], "");
    let store = at.join("store");
    let more = [("GNUPGHOME", gnupg.to_str().unwrap()), ("PASSWORD_STORE_DIR", store.to_str().unwrap())];
    let ctx = ctx_of("preset = \"pass\"", &more);
    // Without a store it is passed over like one that is not there, and says why.
    assert!(found_in(&ctx).unwrap().is_none());
    let State { reach, hints, .. } = block_on(open(&ctx).state()).unwrap();
    assert!(matches!(&reach, Reach::NotHere(why) if why.contains("no store yet")), "{reach:?}");
    assert!(hints[0].contains("`pass init`"), "{hints:?}");
    run(&at, "pass", &["init", "open@example.org"], "");
    assert!(found_in(&ctx).unwrap().is_none());
    let (first, second) = (random_token(), random_token());
    // As a person writes it: the token, and what else is to be known.
    run(
        &at,
        "pass",
        &["insert", "--multiline", "redcap/REDCapSync_C"],
        &format!("{first}\nurl: https://redcap.example.org\n"),
    );
    finds(&ctx, &first);

    let (name, opened) = (token_name(NAME_C), open(&ctx));
    assert_eq!(block_on(opened.state()).unwrap().reach, Reach::Ready);
    block_on(opened.put(&name, &sealed(&second))).unwrap();
    finds(&ctx, &second);
    let show = || run(&at, "pass", &["show", "redcap/REDCapSync_C"], "");
    // What the person keeps beside the token is neither lost nor removed.
    assert_eq!(show(), format!("{second}\nurl: https://redcap.example.org\n"));
    let error = in_state(block_on(opened.remove(&name)).unwrap_err(), "more_lines");
    no_trace(&second, &format!("{error:?}"));
    in_state(block_on(opened.removable(&wanted(NAME_C))).unwrap_err(), "more_lines");
    finds(&ctx, &second);
    // A slip in the settings does not lose them either.
    let one_line = ctx_of("preset = \"pass\"\nfirst_line = false", &more);
    block_on(open(&one_line).put(&name, &sealed(&first))).unwrap();
    assert_eq!(show(), format!("{first}\nurl: https://redcap.example.org\n"));
    run(&at, "pass", &["insert", "--multiline", "--force", "redcap/REDCapSync_C"], &first);
    block_on(opened.put(&name, &sealed(&second))).unwrap();
    assert_eq!(show(), format!("{second}\n"));
    block_on(opened.removable(&wanted(NAME_C))).unwrap();
    assert!(block_on(opened.remove(&name)).unwrap());
    assert!(!block_on(opened.remove(&name)).unwrap());
    assert!(found_in(&ctx).unwrap().is_none());

    let item = ctx_of("preset = \"pass\"\nitem = \"trial/{short_name}\"", &more);
    run(&at, "pass", &["insert", "--echo", "trial/C"], &second);
    finds(&item, &second);

    // A key that nobody unlocks is a failure, not an absent token.
    run(&at, "pass", &["init", "--path=redcap", "locked@example.org"], "");
    run(&at, "pass", &["insert", "--echo", "redcap/REDCapSync_C"], &first);
    std::fs::write(gnupg.join("gpg-agent.conf"), "pinentry-program /bin/false\n").unwrap();
    run(&at, "gpgconf", &["--kill", "gpg-agent"], "");
    let error = fails(&ctx, "failed");
    assert!(error.hints.iter().any(|hint| hint.contains("locked")), "{error:?}");
    no_trace(&first, &format!("{error:?}"));
    // What cannot be read may hold more than a token.
    let entry = store.join("redcap/REDCapSync_C.gpg");
    let before = std::fs::read(&entry).unwrap();
    in_state(block_on(opened.put(&name, &sealed(&second))).unwrap_err(), "failed");
    in_state(block_on(opened.remove(&name)).unwrap_err(), "failed");
    assert!(std::fs::read(&entry).unwrap() == before);
}

const HARNESS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/keyring/with-keyring.sh");

#[test]
fn secret_tool_gives_tokens_and_takes_them() {
    const THIS: &str = "store::command::tests::secret_tool_gives_tokens_and_takes_them";
    if !inside() {
        again_under(&[HARNESS], THIS, |_| {});
        return;
    }
    let ctx = ctx_of("preset = \"secret-tool\"", &[]);
    assert!(found_in(&ctx).unwrap().is_none());
    let token = random_token();
    let (name, opened) = (token_name(NAME_C), open(&ctx));
    block_on(opened.put(&name, &sealed(&token))).unwrap();
    finds(&ctx, &token);
    // The store `keyring` has it too, and so has R's keyring package.
    let mut keyring = ctx.clone();
    keyring.settings.order = vec!["keyring".to_owned()];
    keyring.env = Environment::take(&name);
    assert_eq!(found_in(&keyring).unwrap().unwrap().secret.fingerprint(), sealed(&token).fingerprint());
    assert!(block_on(opened.remove(&name)).unwrap());
    assert!(found_in(&ctx).unwrap().is_none());
}

/// The program of AWS itself, against moto with signatures checked.
#[test]
fn the_program_of_aws_gives_tokens_and_fails_where_there_is_none() {
    use crate::store::aws::played::{REGION, Server, program};
    let server = Server::start();
    let keys = server.user("reader", &["secretsmanager:GetSecretValue"]);
    let (token, aws, home) = (random_token(), program("aws"), server.home.path().display().to_string());
    let address = server.address();
    let of = |secret: &str| {
        let more = [
            ("AWS_ACCESS_KEY_ID", keys.id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_ENDPOINT_URL", &address),
            ("AWS_DEFAULT_REGION", REGION),
            ("HOME", &home),
        ];
        ctx_of(&format!("preset = \"aws\"\nprogram = \"{}\"", aws.display()), &more)
    };
    // Its status says the same of an absent name and of a failure, so it is one.
    assert!(fails(&of(&keys.secret), "failed").hints.iter().any(|hint| hint.contains("no such name")));
    server.secrets("CreateSecret", &serde_json::json!({"Name": format!("redcap/{NAME_C}"), "SecretString": token}));
    finds(&of(&keys.secret), &token);
    let error = fails(&of("a-wrong-secret-key"), "failed");
    no_trace(&token, &format!("{error:?}"));
}

/// Programs that need an account of somebody's: a double checks what each is given against its documentation.
#[test]
fn the_other_presets_call_their_programs_as_these_document_it() {
    let token = random_token();
    let folder = tempfile::tempdir().unwrap();
    for (preset, item, line) in [
        (
            "op",
            "item = \"op://Research/{token_name}/credential\"",
            "read --no-newline op://Research/REDCapSync_C/credential",
        ),
        ("bw", "", "--nointeraction --raw get password REDCapSync_C"),
        (
            "az",
            "item = \"https://v.vault.azure.net/secrets/{token-name}\"",
            "keyvault secret show --id https://v.vault.azure.net/secrets/REDCapSync-C --query value --output tsv",
        ),
        ("gcloud", "", "secrets versions access latest --secret=REDCapSync_C --quiet"),
    ] {
        let double = folder.path().join(preset);
        let words = line.split(' ').count();
        let text = format!("#!/bin/sh\n[ $# = {words} ] && [ \"$*\" = '{line}' ] && printf %s {token} || exit 9\n");
        std::fs::write(&double, text).unwrap();
        std::fs::set_permissions(&double, std::fs::Permissions::from_mode(0o700)).unwrap();
        let table = format!("preset = \"{preset}\"\nprogram = \"{}\"\n{item}", double.display());
        finds(&ctx_of(&table, &[]), &token);
        let ctx = ctx_of(&table, &[]);
        assert_eq!(block_on(open(&ctx).state()).unwrap().reach, Reach::ReadOnly, "{preset}");
        // What the double does not know is what another status of the program's is: no token, and no absent one.
        std::fs::write(&double, "#!/bin/sh\nexit 1\n").unwrap();
        assert!(fails(&ctx, "failed").hints.iter().any(|hint| hint.contains("log in")), "{preset}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_look_up_leaves_nothing_of_the_token_in_memory() {
    use crate::store::testing::{left_by, looked_into};
    const THIS: &str = "store::command::tests::a_look_up_leaves_nothing_of_the_token_in_memory";
    if looked_into(|file| found_in(&script(&format!("cat '{file}'"))).unwrap().unwrap()) {
        return;
    }
    let token = random_token();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    assert_eq!(left_by(THIS, file.to_str().unwrap(), false, &token), 0);
    assert!(left_by(THIS, file.to_str().unwrap(), true, &token) > 0, "what is there is not seen");
}
