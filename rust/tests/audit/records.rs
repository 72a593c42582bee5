//! Digests of record ids, what made R call, and who may read the log.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use keycap::audit::{Intent, Program, Setup};

use crate::common::{contents, entries, folder, intent, log};

fn import(ids: &[&str]) -> Intent {
    Intent { record_ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..intent("write") }
}

fn key(dir: &Path) -> Option<String> {
    contents(dir)
        .into_iter()
        .find(|(path, _)| path.extension().is_some_and(|e| e == "key"))
        .map(|(_, bytes)| String::from_utf8(bytes).unwrap().trim_end().to_owned())
}

#[test]
fn a_write_names_its_records_by_digests_with_a_key_of_the_folder_and_not_by_their_ids() {
    let dir = folder();
    let log = log(dir.path());
    log.begin(&[intent("read")]).unwrap();
    assert_eq!(key(dir.path()), None, "made when it is needed");
    log.begin(&[import(&["Patient-17", "\u{e4}"]), import(&["Patient-17"])]).unwrap();
    log.begin(&[import(&["Patient-17"])]).unwrap();
    let written = entries(&log.path());
    let digests = |at: usize| written[at]["record_digests"].as_array().unwrap().clone();
    assert!(written[0].get("record_digests").is_none());
    assert_eq!((digests(1).len(), &digests(1)[0], &digests(2)), (2, &digests(2)[0], &digests(3)));
    assert!(!std::fs::read_to_string(log.path()).unwrap().contains("Patient-17"));
    // As `openssl` computes it.
    let key = key(dir.path()).unwrap();
    let mut child = std::process::Command::new("openssl")
        .args(["dgst", "-sha256", "-mac", "HMAC", "-macopt", &format!("hexkey:{key}")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"Patient-17").unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let digest = digests(2)[0].as_str().unwrap().to_owned();
    assert_eq!(digest.len(), 16);
    assert!(said.contains(&format!("= {digest}")), "{said}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let path = contents(dir.path()).into_keys().find(|path| path.extension().is_some_and(|e| e == "key"));
        assert_eq!(std::fs::metadata(path.unwrap()).unwrap().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_key_that_was_cut_short_is_made_anew_and_one_that_is_none_is_refused() {
    let dir = folder();
    let log = log(dir.path());
    log.begin(&[import(&["1"])]).unwrap();
    let path = contents(dir.path()).into_keys().find(|path| path.extension().is_some_and(|e| e == "key")).unwrap();
    std::fs::write(&path, &key(dir.path()).unwrap()[..20]).unwrap();
    log.begin(&[import(&["1"])]).unwrap();
    assert_eq!(key(dir.path()).unwrap().len(), 64);
    std::fs::write(&path, "no key\n").unwrap();
    let error = log.begin(&[import(&["1"])]).unwrap_err();
    assert_eq!(error.fields[1].1.as_text(), Some("damaged"));
    assert_eq!(entries(&log.path()).len(), 2);
}

#[test]
fn a_site_may_want_the_ids_and_the_program_stands_in_what_it_made_happen() {
    let dir = folder();
    let program = Program {
        script: Some("/srv/report.R".into()),
        script_sha256: Some("a".repeat(64)),
        session: Some("slurm".into()),
        job: Some("17".into()),
        login_uid: Some(1000),
    };
    let setup = Setup { plain_record_ids: true, program, ..Setup::default() };
    let log = log(dir.path()).with_setup(Arc::new(setup));
    log.begin(&[import(&["a\u{202e}b"])]).unwrap();
    log.finish(&[crate::common::outcome("write")]).unwrap();
    let text = std::fs::read_to_string(log.path()).unwrap();
    let zeros = "a".repeat(64);
    assert!(
        text.contains(&format!(
            r#""fingerprint":"kc1:0011223344556677","record_ids":["a\u202eb"],"script":"/srv/report.R","script_sha256":"{zeros}","session":"slurm","job":"17","login_uid":1000,"check":""#
        )),
        "{text}"
    );
    assert_eq!(text.matches("script_sha256").count(), 1, "an outcome says its call");
    assert_eq!(key(dir.path()), None);
}

#[cfg(unix)]
#[test]
fn an_officers_group_may_read_where_the_site_wants_it_and_nobody_else_may() {
    use std::os::unix::fs::MetadataExt;
    let outer = folder();
    let dir = outer.path().join("log");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    let own = log(&dir);
    own.begin(&[import(&["1"])]).unwrap();
    assert_eq!((mode(&dir), mode(&own.path())), (0o700, 0o600));
    let shared = own.with_setup(Arc::new(Setup { group_readable: true, ..Setup::default() }));
    shared.begin(&[intent("b")]).unwrap();
    assert_eq!((mode(&dir), mode(&shared.path())), (0o750, 0o640));
    // A write that was cut short is kept for whoever may read the rest.
    std::fs::OpenOptions::new().append(true).open(shared.path()).unwrap().write_all(b"{\"v\":1").unwrap();
    shared.begin(&[intent("c")]).unwrap();
    let torn = contents(&dir).into_keys().find(|path| path.to_string_lossy().contains(".torn-")).unwrap();
    assert_eq!(mode(&torn), 0o640);
    let key = contents(&dir).into_keys().find(|path| path.extension().is_some_and(|e| e == "key")).unwrap();
    assert_eq!(mode(&key), 0o600);
}
