//! Anchors as the documentation names them, each run for real: `logger`, `aws s3api put-object` with object lock, `curl`.
//! And the signing key in a real vault.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::*;
use crate::store::vault_kit::{ROOT, Server as Vault};

/// What the only anchor did with a checkpoint that is taken now, and its note.
fn taken(world: &World) -> (Option<String>, String) {
    let mut taken = run(world.checkpoints().take(false)).unwrap();
    (taken.anchors.remove(0).trouble.map(|trouble| trouble.message), taken.note)
}

#[test]
fn logger_gives_the_note_to_the_systems_log_line_by_line_and_it_can_be_taken_from_there() {
    let world = World::new(
        "[[anchors]]\ncommand = [\"logger\", \"--socket\", \"HERE/log\", \"-t\", \"keycap\", \"-p\", \"auth.notice\"]\n",
    );
    world.entries(3);
    let socket = UnixDatagram::bind(world.place("log")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let listener = std::thread::spawn(move || {
        let mut lines = String::new();
        // A note ends with its signature.
        while !lines.contains("\u{2014} ") {
            let mut message = vec![0; 4096];
            let length = socket.recv(&mut message).unwrap();
            let message = String::from_utf8_lossy(&message[..length]).into_owned();
            let (head, line) = message.split_once("keycap: ").unwrap_or((&message, ""));
            // Facility auth, level notice.
            assert!(head.starts_with("<37>"), "{message}");
            lines.push_str(line.trim_end_matches('\0'));
            lines.push('\n');
        }
        lines
    });
    let (trouble, note) = taken(&world);
    assert_eq!(trouble, None);
    let lines = listener.join().unwrap();
    assert_eq!(lines.trim_start(), note);
    std::fs::write(world.place("collected"), lines).unwrap();
    assert_eq!(world.known(&["collected"]), [(3, true)]);
    assert_eq!(world.said("anchor").pop().unwrap()["state"], "kept");
}

/// Answers requests with a status, and gives what came.
fn listen(answers: &'static [&'static str]) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let one = |answer: &&str| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            let mut bytes = [0; 4096];
            let whole = |request: &str| {
                let (head, body) = request.split_once("\r\n\r\n")?;
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?;
                Some(body.len() >= length.parse().ok()?)
            };
            while whole(&request) != Some(true) {
                let length = stream.read(&mut bytes).unwrap();
                assert!(length > 0, "{request}");
                request.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
            }
            let reply = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(reply.as_bytes()).unwrap();
            request
        };
        answers.iter().map(one).collect()
    };
    (port, std::thread::spawn(serve))
}

#[test]
fn curl_posts_the_note_and_what_the_server_refuses_waits() {
    let (port, server) = listen(&["503 Unavailable", "200 OK", "200 OK"]);
    let world = World::new(&format!(
        "[[anchors]]\ncommand = [\"curl\", \"-fsS\", \"--noproxy\", \"*\", \"--data-binary\", \"@{{file}}\", \
         \"http://127.0.0.1:{port}/notes/{{origin}}/{{entries}}\"]\n"
    ));
    world.entries(2);
    let (trouble, first) = taken(&world);
    // What curl calls an answer of 400 and more.
    assert!(trouble.unwrap().contains("status 22"));
    assert_eq!(world.said("anchor").pop().unwrap()["state"], "queued");
    let (trouble, second) = taken(&world);
    assert_eq!(trouble, None);
    let requests = server.join().unwrap();
    let origin = world.checkpoints().log.origin();
    let of = |n: usize| requests[n].split_once("\r\n\r\n").unwrap();
    assert!(of(0).0.starts_with(&format!("POST /notes/{origin}/2 ")), "{}", of(0).0);
    assert_eq!((of(0).1, of(1).1, of(2).1), (first.as_str(), first.as_str(), second.as_str()));
    assert!(!world.checkpoints().log.beside("note").exists(), "the file for the program is gone");
}

/// moto, gone with this value.
struct Moto {
    child: Child,
    folder: String,
    port: u16,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Moto {
    fn start(home: &Path) -> Self {
        let folder = std::env::var("KEYCAP_TEST_MOTO").unwrap_or_else(|_| {
            panic!("`KEYCAP_TEST_MOTO` does not name the folder of `moto_server`: `sh tools/test.sh core` sets it")
        });
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(format!("{folder}/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).env("HOME", home);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "moto is not ready after a minute");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, folder, port }
    }

    /// The program `aws` with an account of its own, and what comes behind it.
    fn line(&self, arguments: &[&str]) -> Vec<String> {
        let own =
            ["AWS_ACCESS_KEY_ID=fake", "AWS_SECRET_ACCESS_KEY=fake", "AWS_DEFAULT_REGION=eu-central-1", "NO_PROXY=*"];
        let mut line = vec!["/usr/bin/env".to_owned()];
        line.extend(own.map(str::to_owned));
        line.push(format!("{}/aws", self.folder));
        line.push(format!("--endpoint-url=http://127.0.0.1:{}", self.port));
        line.extend(arguments.iter().map(|text| (*text).to_owned()));
        line
    }

    fn aws(&self, arguments: &[&str]) -> (bool, String) {
        let line = self.line(arguments);
        let done = Command::new(&line[0]).args(&line[1..]).output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

#[test]
fn a_locked_object_of_an_object_store_holds_the_note_and_cannot_be_removed() {
    let mut world = World::new("");
    let moto = Moto::start(world.folder.path());
    let made = moto.aws(&[
        "s3api",
        "create-bucket",
        "--bucket=audit",
        "--object-lock-enabled-for-bucket",
        "--create-bucket-configuration=LocationConstraint=eu-central-1",
    ]);
    assert!(made.0, "{}", made.1);
    let line = moto.line(&[
        "s3api",
        "put-object",
        "--bucket",
        "audit",
        "--key",
        "{origin}/{entries}",
        "--body",
        "{file}",
        "--object-lock-mode",
        "COMPLIANCE",
        "--object-lock-retain-until-date",
        "2099-01-01T00:00:00Z",
    ]);
    let command = serde_json::to_string(&line).unwrap();
    let settings = Settings::of_site(&format!("[[anchors]]\ncommand = {command}\ntimeout = 60\n")).unwrap();
    world.ctx.env = Environment::empty().for_stores(&settings, &Net::default(), &[]);
    world.ctx.settings.checkpoints = settings.checkpoints;
    world.entries(5);
    let (trouble, note) = taken(&world);
    assert_eq!(trouble, None);
    let key = format!("--key={}/5", world.checkpoints().log.origin());
    let got = world.place("got");
    let read = moto.aws(&["s3api", "get-object", "--bucket=audit", &key, got.to_str().unwrap()]);
    assert!(read.0 && read.1.contains("\"ObjectLockMode\": \"COMPLIANCE\""), "{}", read.1);
    assert_eq!(std::fs::read_to_string(&got).unwrap(), note);
    assert_eq!(world.known(&["got"]), [(5, true)]);
    let version = serde_json::from_str::<serde_json::Value>(&read.1).unwrap()["VersionId"].as_str().unwrap().to_owned();
    let removed = moto.aws(&["s3api", "delete-object", "--bucket=audit", &key, &format!("--version-id={version}")]);
    assert!(!removed.0 && removed.1.contains("AccessDenied"), "{}", removed.1);
}

#[test]
fn the_signing_key_in_a_vault_is_read_for_each_checkpoint_and_the_vaults_own_log_says_so() {
    let vault = Vault::with_audit_log();
    let mut world = World::new("audit_key_store = \"vault\"\n");
    let settings = &mut world.ctx.settings;
    settings.stores.vault = vault.settings();
    settings.stores.vault.token_file = Some(vault.file("own-token", ROOT));
    world.ctx.env = Environment::empty().for_stores(&world.ctx.settings, &Net::default(), &[]);
    world.entries(2);
    let name = KeyPlace::new(&world.ctx, &world.checkpoints().log.origin(), false).name().unwrap();
    let readings = || {
        let text = std::fs::read_to_string(vault.folder.path().join("log.audit")).unwrap();
        let path = format!("secret/data/redcap/{}", name.as_str());
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let is_reading = |line: &serde_json::Value| {
            line["type"] == "response"
                && line["request"]["operation"] == "read"
                && line["request"]["path"] == path.as_str()
        };
        lines.filter(is_reading).count()
    };
    let first = run(world.checkpoints().take(false)).unwrap();
    assert_eq!(first.kept_in, "vault");
    assert!(!world.place("config").exists(), "no key lies about here");
    let before = readings();
    let second = run(world.checkpoints().take(false)).unwrap();
    assert_eq!((second.key, second.kept_in.as_str()), (first.key, "vault"));
    assert_eq!(readings(), before + 1);
    std::fs::write(world.place("kept"), second.note).unwrap();
    assert_eq!(world.known(&["kept"]), [(3, true)]);
    // A new one takes its place there, vouched for by the old one.
    let third = run(world.checkpoints().take(true)).unwrap();
    assert_eq!((third.kept_in.as_str(), third.note.matches("\u{2014} ").count()), ("vault", 2));
    // Without the vault nothing is signed, and no other key is made.
    drop(vault);
    assert_eq!(run(world.checkpoints().take(false)).unwrap_err().kind, Kind::Store);
    assert_eq!(world.said("checkpoint").len(), 3);
    assert!(!world.place("config").exists());
}
