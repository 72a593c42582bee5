//! Seeded canaries in each kind of file.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::ctx::Ctx;
use crate::store::Environment;
use crate::store::testing::{block_on, ctx, no_trace, random_token};
use crate::token::Fingerprint;

struct World {
    folder: tempfile::TempDir,
    token: String,
    sought: Sought,
}

impl World {
    /// A folder, and a token that is known as that of project `A`.
    fn new() -> Self {
        Self::with(random_token(), FormRule::Redcap)
    }

    fn with(token: String, rule: FormRule) -> Self {
        let mut known = Known::default();
        known.add(Fingerprint::of(token.as_bytes()).to_string(), Some("A".to_owned()));
        Self { folder: tempfile::tempdir().unwrap(), token, sought: Sought { known, rule } }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        std::fs::write(self.at(name), content).unwrap();
    }

    fn search(&self) -> Found {
        let found = search(&self.sought, &[self.folder.path().to_owned()], &AtomicBool::new(false)).unwrap();
        no_trace(&self.token, &format!("{found:?}"));
        found
    }

    /// What was found: name, line, what it is.
    fn told(&self) -> Vec<String> {
        self.search().findings.iter().map(|one| self.said(one)).collect()
    }

    fn said(&self, one: &Finding) -> String {
        let name = Path::new(&one.path).strip_prefix(self.folder.path()).unwrap().display().to_string();
        let line = one.line.map_or("-".to_owned(), |line| line.to_string());
        format!("{name} {line} {}", one.what.as_str())
    }

    fn run(&self, line: &str) {
        let done = Command::new("sh").arg("-c").arg(line).current_dir(self.folder.path()).output().unwrap();
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

fn utf16(text: &str, big: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

#[test]
fn a_known_token_is_found_in_every_kind_of_file_and_in_any_letter_case() {
    let world = World::new();
    let token = &world.token;
    world.put(".Renviron", format!("A=1\nREDCapSync_A={token}\n"));
    world.put(".Rhistory", format!("x <- 1\n\n  Sys.setenv(REDCapSync_A = \"{}\")\n", token.to_lowercase()));
    world.put("a/deep/er/script.R", format!("# in the middle of words: x{token}y\n"));
    world.put("b.log", format!("POST token%3D{token}%26content%3Drecord"));
    world.put("c.json", format!("{{\"text\":\"a line\\n{token}\\nanother\"}}"));
    world.put("d/UTF-16LE.txt", [b"\xff\xfe".to_vec(), utf16(&format!("a\nb {token} c"), false)].concat());
    world.put("d/UTF-16BE.txt", utf16(&format!("a\nb\n{token}"), true));
    world.put("e.RData", [b"RDX3\nX\n\0\0\0\x03\0\x04\0\x09\0\0\0\x20", token.as_bytes(), b"\0\0\0\xfe"].concat());
    world.put("f.txt", [".".repeat(262_130), token.clone(), "\n".repeat(300_000), token.clone()].concat());
    // Where one look ends and the next begins.
    world.put("g.txt", format!("{}{token}", ".".repeat(1498)).repeat(40));
    world.put("h.txt", [".".repeat(61_425), token.clone(), ".".repeat(60_925), token.clone()].concat());
    let expected = [
        ".Renviron 2 token",
        ".Rhistory 3 token",
        "a/deep/er/script.R 1 token",
        "b.log 1 token",
        "c.json 1 token",
        "d/UTF-16BE.txt 3 token",
        "d/UTF-16LE.txt 2 token",
        "e.RData - token",
        "f.txt 1 token",
        "f.txt 300001 token",
    ];
    let expected: Vec<_> = expected.iter().chain(&["g.txt 1 token"; 40]).chain(&["h.txt 1 token"; 2]).collect();
    assert_eq!(world.told().iter().collect::<Vec<_>>(), expected);
    let found = world.search();
    assert_eq!((found.files, found.unread.len()), (11, 0));
    assert!(found.findings.iter().all(|one| one.project.as_deref() == Some("A")));
    let at = |n: usize| found.findings[n].offset as usize;
    assert_eq!((at(0), at(8), at(9)), (17, 262_130, 262_130 + 32 + 300_000));
    assert_eq!(found.findings[0].fingerprint, Fingerprint::of(token.as_bytes()).to_string());
}

#[test]
fn what_r_and_offices_save_compressed_is_read_and_what_is_not_read_is_named() {
    let world = World::new();
    let token = &world.token;
    world.put("plain", format!("{}{token}\n", "text \n".repeat(20_000)));
    world.run("gzip -c plain > a.rds && cat a.rds a.rds > b.rds && gzip -N -c plain > c.RData");
    world.run("head -c 60 a.rds > damaged.rds");
    world.run(
        "python3 -c '
import struct, zipfile, zlib
data = open(\"plain\", \"rb\").read()
with zipfile.ZipFile(\"d.xlsx\", \"w\") as archive:
    archive.writestr(\"stored.txt\", data, zipfile.ZIP_STORED)
    archive.writestr(\"xl/sheet.xml\", data, zipfile.ZIP_DEFLATED)
class Pipe:
    def __init__(self, file): self.file = file
    def write(self, data): return self.file.write(data)
    def flush(self): pass
with open(\"e.zip\", \"wb\") as file, zipfile.ZipFile(Pipe(file), \"w\") as archive:
    for name in (\"one\", \"two\"):
        archive.writestr(name, data, zipfile.ZIP_DEFLATED)
piece = lambda data: struct.pack(\">I\", len(data)) + zlib.compress(data)
open(\"f.rdb\", \"wb\").write(piece(b\"nothing\") + piece(data))
open(\"g.rdb\", \"wb\").write(piece(data) + struct.pack(\">I\", 9) + b\"2BZh\")
'",
    );
    world.run("rm plain");
    world.put("h.rds", b"BZh91AY&SY");
    world.put("i.rds", b"\xfd7zXZ\0\0\x04");
    let found = world.search();
    let told: Vec<_> = found
        .findings
        .iter()
        .map(|one| format!("{} {}", world.said(one), one.inside.as_deref().unwrap_or("-")))
        .collect();
    let expected = [
        "a.rds 20001 token -",
        "b.rds 20001 token -",
        "b.rds 20001 token -",
        "c.RData 20001 token -",
        "d.xlsx 20001 token stored.txt",
        "d.xlsx 20001 token xl/sheet.xml",
        "e.zip 20001 token one",
        "e.zip 20001 token two",
        "f.rdb 20001 token -",
        "g.rdb 20001 token -",
    ];
    assert_eq!(told, expected);
    let unread: Vec<_> = found
        .unread
        .iter()
        .map(|one| (Path::new(&one.path).file_name().unwrap().to_str().unwrap(), one.reason.as_str()))
        .collect();
    let names: Vec<_> = unread.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["damaged.rds", "g.rdb", "h.rds", "i.rds"]);
    assert!(unread[2].1.contains("bzip2") && unread[3].1.contains("xz"), "{unread:?}");
}

#[test]
fn what_is_damaged_anywhere_ends_no_search_and_tells_no_character() {
    let world = World::new();
    world.put("plain", format!("{}{}\n", "a line of text\n".repeat(50), world.token));
    world.run(
        "gzip -c plain > a.rds && python3 -c '
import struct, zipfile, zlib
data = open(\"plain\", \"rb\").read()
with zipfile.ZipFile(\"b.zip\", \"w\") as archive:
    archive.writestr(\"stored.txt\", data, zipfile.ZIP_STORED)
    archive.writestr(\"other.txt\", data, zipfile.ZIP_DEFLATED)
open(\"c.rdb\", \"wb\").write((struct.pack(\">I\", len(data)) + zlib.compress(data)) * 2)
'",
    );
    let never = AtomicBool::new(false);
    for name in ["a.rds", "b.zip", "c.rdb"] {
        let whole = std::fs::read(world.at(name)).unwrap();
        let place = content::Place { path: name, inside: None };
        for at in (0..whole.len()).step_by(3) {
            for flip in [None, Some(0xff), Some(0x04)] {
                let mut bytes = whole.clone();
                match flip {
                    Some(bits) => bytes[at] ^= bits,
                    None => bytes.truncate(at),
                }
                let mut findings = Vec::new();
                let mut input = input::Input::new(&bytes[..], &never);
                let done = content::look(&world.sought, &mut input, &place, &mut findings);
                if at % 16 == 0 || flip.is_none() {
                    no_trace(&world.token, &format!("{findings:?} {done:?}"));
                }
            }
        }
    }
}

#[test]
fn what_looks_like_a_token_is_upper_case_or_named_so_and_sums_and_samples_are_none() {
    let world = World::new();
    let (unknown, other) = (random_token(), random_token());
    let lower = unknown.to_lowercase();
    let mixed = format!("{}{}", &unknown[..16], &lower[16..]);
    let lines = [
        (unknown.clone(), true),
        (format!("x = '{unknown}',"), true),
        (format!("\\n{unknown}\\n"), true),
        (format!("%3D{unknown}&"), true),
        (format!("{unknown}{}", random_token()), true),
        (format!("token = \"{lower}\""), true),
        (format!("  \"api_token\" : \"{lower}\""), true),
        (format!("<token>{lower}</token>"), true),
        (format!("REDCapSync_B={lower}"), true),
        (format!("--data token={lower}"), true),
        (format!("API_KEY <- '{lower}'"), true),
        // An MD5 sum, and the like.
        (lower.clone(), false),
        (format!("md5: {lower}"), false),
        (format!("{lower}  token.R"), false),
        (format!("x = '{mixed}'"), false),
        (format!("{unknown}0"), false),
        (format!("Z{unknown}"), false),
        (unknown[..31].to_owned(), false),
        (format!("{unknown}{other}{other}"), false),
        // A sample: few characters differ.
        ("FA4EFA4EFA4EFA4EFA4EFA4E00000001".to_owned(), false),
        ("token = 00000000000000000000000000000000".to_owned(), false),
        ("12345678901234567890123456789012".to_owned(), false),
        ("token: 0123456789ABCDEF0123456789ABCDEF".to_owned(), false),
        ("A1B2C3D4E5F600000000000000000001".to_owned(), false),
    ];
    for (line, found) in &lines {
        world.put("file.txt", line);
        let told = world.search().findings;
        assert_eq!(told.len(), usize::from(*found), "{line}");
        no_trace(&unknown, &format!("{told:?}"));
        let of = if line.len() == 64 { What::LikeSuper } else { What::Like };
        assert!(told.iter().all(|one| one.what == of && one.project.is_none()), "{line}: {told:?}");
    }
    // A known one is found all the same.
    world.put("file.txt", format!("md5: {}", world.token.to_lowercase()));
    assert_eq!(world.told(), ["file.txt 1 token"]);
}

#[test]
fn tokens_of_an_institutions_own_form_are_found_where_they_are_known_or_named() {
    let own = format!("{}+{}/x=", random_token().to_lowercase(), &random_token()[..4]);
    let world = World::with(own.clone(), FormRule::parse("40:+/=").unwrap());
    for (line, found) in [
        (format!("token={own}"), Some(What::Token)),
        (format!("a {own} b"), Some(What::Token)),
        (format!("u='{own}'"), Some(What::Token)),
        (format!("token=\"{}\"", own.replace('/', "+").replace("x=", "y=")), Some(What::Like)),
        (format!("hash=\"{}\"", own.replace('/', "+").replace("x=", "y=")), None),
    ] {
        world.put("file.txt", &line);
        assert_eq!(world.search().findings.first().map(|one| one.what), found, "{line}");
    }
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_not_followed_pipes_are_not_waited_for_and_names_are_not_shown() {
    let world = World::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), &world.token).unwrap();
    std::os::unix::fs::symlink(outside.path(), world.at("link")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), world.at("file")).unwrap();
    std::os::unix::fs::symlink(".", world.at("loop")).unwrap();
    world.run("mkfifo pipe");
    assert_eq!(world.told(), [""; 0]);
    // Named itself, it is looked into.
    let found = search(&world.sought, &[world.at("file")], &AtomicBool::new(false)).unwrap();
    assert_eq!(found.findings.len(), 1);
    world.put(&format!("{}/x.txt", world.token), &world.token);
    let found = world.search();
    let inside: Vec<_> = found.findings.iter().map(|one| one.inside.as_deref()).collect();
    assert_eq!(inside, [Some("the file's name"), None]);
    assert!(found.findings[1].path.ends_with("/****/x.txt"));
    // Missing, and forbidden.
    let found = search(&world.sought, &[world.at(&world.token.repeat(2))], &AtomicBool::new(false)).unwrap();
    assert_eq!(found.unread[0].reason, "it is not there");
    no_trace(&world.token, &format!("{found:?}"));
}

#[test]
fn a_search_that_nobody_waits_for_ends() {
    let world = World::new();
    world.put("a", "x".repeat(1 << 20));
    assert!(search(&world.sought, &[world.at("a")], &AtomicBool::new(true)).is_err());
}

#[test]
fn every_version_that_a_repository_keeps_is_looked_into_also_what_no_branch_has() {
    let world = World::new();
    let git = "git -c user.name=x -c user.email=x@example.org -c gc.auto=0 -c init.defaultBranch=main";
    world.run(&format!("{git} init -q repo && cd repo && echo 1 > a && git add a && {git} commit -qm first"));
    world.put("repo/a", format!("token: {}\n", world.token));
    world.run(&format!("cd repo && gzip -c a > a.rds && git add . && {git} commit -qm second && git rm -q a a.rds"));
    world.run(&format!("cd repo && {git} commit -qm third -m '{}' && git gc -q", random_token().to_lowercase()));
    world.put("repo/b", format!("{} and more\n", world.token));
    world.run(&format!("cd repo && git add b && {git} commit -qm lost && git reset -q --hard HEAD~1"));
    let mut found = world.search();
    assert_eq!(found.findings, []);
    assert_eq!(found.repositories, [world.at("repo/.git")]);
    let (mut ctx, sought, stop) = (ctx(), Arc::new(world.sought.clone()), Arc::default());
    ctx.env = Environment::empty().for_programs();
    let session = tempfile::tempdir().unwrap();
    ctx.dirs.session = session.path().to_owned();
    block_on(search_repository(&ctx, &sought, &world.at("repo/.git"), &mut found, &stop)).unwrap();
    assert_eq!(std::fs::read_dir(session.path()).unwrap().count(), 0);
    no_trace(&world.token, &format!("{found:?}"));
    let mut told: Vec<_> = found.findings.iter().map(|one| world.said(one)).collect();
    told.sort();
    assert_eq!(told, ["repo/.git/objects 1 token"; 3]);
    let objects: Vec<_> = found.findings.iter().map(|one| one.inside.clone().unwrap()).collect();
    assert!(objects.iter().all(|object| object.starts_with("blob ") && object.len() == 17), "{objects:?}");
    assert_eq!(found.unread, []);
    // Where there is no git, that is told.
    let mut found = Found::default();
    let without = Ctx { env: Environment::empty(), ..ctx.clone() };
    block_on(search_repository(&without, &sought, &world.at("repo/.git"), &mut found, &stop)).unwrap();
    assert!(found.unread[0].reason.contains("git does not read"), "{:?}", found.unread);
    // Given up, it does not go on.
    let mut found = Found::default();
    stop.store(true, Ordering::Relaxed);
    block_on(search_repository(&ctx, &sought, &world.at("repo/.git"), &mut found, &stop)).unwrap();
    assert_eq!(found.findings, []);
}

#[test]
fn a_repositorys_own_settings_are_read_by_nobody_and_its_borrowed_objects_are_told() {
    let world = World::new();
    world.run("git init -q --bare repo.git && mkdir -p repo.git/objects/aa");
    // An empty object looks missing, and this repository would have it fetched, by a program of its own.
    world.put(&format!("repo.git/objects/aa/{}", "a".repeat(38)), "");
    let fetch = world.at("fetched");
    for (key, value) in [
        ("core.repositoryformatversion", "1".to_owned()),
        ("extensions.partialClone", "origin".to_owned()),
        ("remote.origin.promisor", "true".to_owned()),
        ("remote.origin.url", format!("ext::sh -c touch% {}", fetch.display())),
        ("protocol.ext.allow", "always".to_owned()),
    ] {
        world.run(&format!("git --git-dir=repo.git config {key} '{value}'"));
    }
    let (mut ctx, sought, stop) = (ctx(), Arc::new(world.sought.clone()), Arc::default());
    ctx.env = Environment::empty().for_programs();
    let session = tempfile::tempdir().unwrap();
    ctx.dirs.session = session.path().to_owned();
    let mut found = Found::default();
    block_on(search_repository(&ctx, &sought, &world.at("repo.git"), &mut found, &stop)).unwrap();
    assert!(!fetch.exists(), "a program of the repository's was run");

    world.put("repo.git/objects/info/alternates", "/etc\n");
    let mut found = Found::default();
    block_on(search_repository(&ctx, &sought, &world.at("repo.git"), &mut found, &stop)).unwrap();
    assert!(found.unread[0].reason.contains("in another place too"), "{:?}", found.unread);
}

/// The sources of keycap are full of hashes, samples and words about tokens.
#[test]
fn nothing_is_found_in_the_sources_of_keycap() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let known = Known::default();
    let sought = Sought { known, rule: FormRule::Redcap };
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(&root).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let paths: Vec<_> = listed.split('\0').filter(|name| !name.is_empty()).map(|name| root.join(name)).collect();
    assert!(paths.len() > 300, "{}", paths.len());
    let found = search(&sought, &paths, &AtomicBool::new(false)).unwrap();
    // What the core's own tests take for a token looks like one.
    let sample = "kc1:0ada52ab14f6a48c";
    let others: Vec<_> = found.findings.iter().filter(|one| one.fingerprint != sample).collect();
    assert_eq!(others, Vec::<&Finding>::new());
    assert!(found.findings.iter().all(|one| Path::new(&one.path).extension().is_some_and(|end| end == "rs")));
}

#[test]
fn all_that_the_audit_log_names_is_known() {
    let world = World::new();
    let [set, before] = [random_token(), random_token()].map(|token| (Fingerprint::of(token.as_bytes()), token));
    let line = |more: &str| format!("{{\"v\":1,\"phase\":\"change\",{more}}}\n");
    let log = line(&format!("\"project\":\"B\",\"fingerprint\":\"{}\",\"replaced\":\"{}\"", set.0, before.0));
    world.put("log/audit-1@x-000001.jsonl", format!("no entry\n{log}{}", line("\"project\":7")));
    let mut sought = world.sought.clone();
    sought.known.read_logs(&world.at("log"));
    world.put("text", format!("{}\n{}\n{}\n", set.1.to_lowercase(), before.1.to_lowercase(), world.token));
    let found = search(&sought, &[world.at("text")], &AtomicBool::new(false)).unwrap();
    let told: Vec<_> = found.findings.iter().map(|one| (one.line, one.project.as_deref().unwrap())).collect();
    assert_eq!(told, [(Some(1), "B"), (Some(2), "B"), (Some(3), "A")]);
}
