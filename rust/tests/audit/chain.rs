//! What is written, and that anybody can check it.

use std::sync::Arc;

use keycap::Kind;
use keycap::audit::{AuditLog, Entry, Fault, RedcapUser, Refused, Verdict, verify};
use proptest::prelude::*;

use crate::common::{Still, contents, entries, folder, intact, intent, log, outcome, written};

#[test]
fn a_call_has_an_intent_and_an_outcome_with_one_call_id_and_a_refused_call_has_one_entry() {
    let dir = folder();
    let log = AuditLog::new(&dir.path().join("a/b"), Arc::new(Still(1_763_769_366_123_456)));
    log.begin(&[intent("c1"), intent("c2")]).unwrap();
    log.finish(&[outcome("c2"), outcome("c1")]).unwrap();
    let refused = Refused {
        action: "version".into(),
        project: Some("TEST".into()),
        origin: Some("https://elsewhere.example.org".into()),
        token_name: Some("REDCapSync_TEST".into()),
        source: None,
        fingerprint: None,
        reason: Kind::Origin,
    };
    log.note(&[Entry::Refused(refused)]).unwrap();
    log.sync().unwrap();
    let all = entries(&log.path());
    let of = |key: &str| all.iter().map(|entry| entry[key].as_str().unwrap_or("-")).collect::<Vec<_>>();
    assert_eq!(of("phase"), ["intent", "intent", "outcome", "outcome", "refused"]);
    assert_eq!(of("call_id"), ["c1", "c2", "c2", "c1", "-"]);
    assert_eq!(all[4]["reason"], "origin");
    for (at, entry) in all.iter().enumerate() {
        assert_eq!((&entry["v"], &entry["seq"]), (&1.into(), &(at + 1).into()));
        assert_eq!(entry["time"], "2025-11-21T23:56:06.123456Z");
        assert_eq!(entry["pid"], std::process::id());
        assert!(entry["host"].is_string());
        assert_eq!(entry["keycap"], env!("CARGO_PKG_VERSION"));
    }
    assert_eq!(intact(&log.path()), 5);
}

#[test]
fn an_empty_batch_and_a_log_that_was_never_made_ask_nothing_of_the_disk() {
    let dir = folder();
    let log = log(&dir.path().join("not made"));
    log.begin(&[]).unwrap();
    log.finish(&[]).unwrap();
    log.note(&[]).unwrap();
    log.sync().unwrap();
    assert!(contents(dir.path()).is_empty());
}

#[cfg(unix)]
#[test]
fn folders_and_files_are_this_users_alone_whatever_the_umask() {
    use crate::worker::{answer, as_worker};
    use std::os::unix::fs::PermissionsExt;
    let dir = folder();
    let inner = dir.path().join("a").join("b");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
    assert_eq!(answer(as_worker(shell, &serde_json::json!({ "job": "try", "dir": inner }))), "ok");
    let path = log(&inner).path();
    std::fs::File::options().append(true).open(&path).unwrap().set_len(10).unwrap();
    log(&inner).begin(&[intent("c")]).unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir.path().join("a")), mode(&inner)), (0o700, 0o700));
    let files: Vec<_> = std::fs::read_dir(&inner).unwrap().map(|item| item.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "log, lock and torn tail: {files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
}

#[test]
fn an_altered_entry_is_found_and_a_log_that_cannot_be_read_is_an_error() {
    let (dir, _log, path) = written(3);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("call 2", "call X", 1)).unwrap();
    let offset = text.find('\n').unwrap() as u64 + 1;
    assert_eq!(verify(&path).unwrap(), Verdict::Broken { line: 2, offset, fault: Fault::Altered });
    for unreadable in [dir.path(), &dir.path().join("missing")] {
        let error = verify(unreadable).unwrap_err();
        assert_eq!(error.kind, Kind::File);
        assert!(error.message.contains(unreadable.to_str().unwrap()));
    }
}

/// The commands of the module's documentation, as they stand there.
#[cfg(target_os = "linux")]
#[test]
fn the_documented_shell_commands_check_a_line() {
    let (_dir, _log, path) = written(17);
    let documentation = include_str!("../../src/audit/mod.rs");
    let run = |start: &str| {
        let line = documentation.lines().find_map(|line| line.strip_prefix("//! ").filter(|l| l.starts_with(start)));
        let command = line.unwrap().replace("FILE", "\"$1\"");
        let output = std::process::Command::new("sh").args(["-c", &command, "sh"]).arg(&path).output().unwrap().stdout;
        String::from_utf8(output).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    let line = &entries(&path)[16];
    assert_eq!(run("sed -n 16p"), line["prev"].as_str().unwrap());
    assert_eq!(run("sed -n 17p"), line["check"].as_str().unwrap());
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(any::<char>(), 0..20).prop_map(|chars| chars.into_iter().collect()),
        "[\0-\u{1f}\u{7f}-\u{9f}\"\\\\{},:\u{2028}\u{202e}]{0,20}",
        Just("\",\"check\":\"0123456789abcdef\"}\n{\"v\":1,\"seq\":1".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn whatever_the_fields_hold_an_entry_is_one_printable_line_that_gives_them_back(
        texts in proptest::collection::vec(text(), 10), status in any::<Option<u16>>(), bytes in any::<u64>(),
    ) {
        let dir = folder();
        let log = log(dir.path());
        let mut intent = intent(&texts[0]);
        intent.action.clone_from(&texts[1]);
        intent.project.clone_from(&texts[2]);
        intent.origin.clone_from(&texts[3]);
        intent.token_name.clone_from(&texts[4]);
        intent.source.clone_from(&texts[5]);
        intent.fingerprint.clone_from(&texts[6]);
        intent.redcap_user = Some(RedcapUser::Verified(texts[7].clone()));
        let mut outcome = outcome(&texts[0]);
        outcome.class.clone_from(&texts[8]);
        outcome.server_date = Some(texts[9].clone());
        outcome.status = status;
        outcome.bytes = bytes;
        log.begin(std::slice::from_ref(&intent)).unwrap();
        log.finish(std::slice::from_ref(&outcome)).unwrap();
        prop_assert_eq!(intact(&log.path()), 2);
        let written = std::fs::read_to_string(log.path()).unwrap();
        prop_assert_eq!(written.matches('\n').count(), 2);
        prop_assert!(written.chars().all(|c| c == '\n' || !c.is_control()));
        let all = entries(&log.path());
        for (key, text) in
            ["call_id", "action", "project", "origin", "token_name", "source", "fingerprint"].iter().zip(&texts)
        {
            prop_assert_eq!(&all[0][key], text);
        }
        prop_assert_eq!(&all[0]["redcap_user"]["verified"], &texts[7]);
        prop_assert_eq!(&all[1]["class"], &texts[8]);
        prop_assert_eq!(&all[1]["server_date"], &texts[9]);
        prop_assert_eq!(all[1].get("status").and_then(serde_json::Value::as_u64), status.map(u64::from));
        prop_assert_eq!(all[1]["bytes"].as_u64(), Some(bytes));
    }
}
