//! The pipeline against raw listeners that say whatever a test wants: the server is not trusted.

#![allow(clippy::unwrap_used)]

mod bodies;
#[cfg(unix)]
mod bound;
mod data;
mod echoes;
mod faults;
#[cfg(target_os = "linux")]
mod memory;
mod missing;
mod names;
mod policy;
mod redirects;
#[cfg(unix)]
mod refusal;
mod sources;
mod world;
mod writes;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::world::{PROJECT, Say, Server, VERSION, World, log_text, say, token, version};
use super::limiter;
use super::request::{Expect, Request};
use crate::ctx::Event;
use crate::error::{Error, Kind};
use crate::file::SideLock;
use crate::net::ServerUrl;
use crate::token::TokenName;

#[tokio::test]
async fn a_token_that_works_gives_version_and_project_and_pins_the_id() {
    let server = Server::start(vec![
        version(),
        say(200, "", PROJECT),
        version(),
        say(200, "", PROJECT.replace("77", "78").as_str()),
    ]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    let found = world.probe(&project).await.unwrap();
    assert_eq!((found.version.as_str(), found.project_id.as_deref()), (VERSION, Some("77")));
    assert!(found.api_page.ends_with("/redcap_v14.5.1/API/project_api.php?pid=77"));
    assert_eq!(world.phases(), ["intent", "outcome", "intent", "outcome"]);
    assert!(server.requests.lock().unwrap()[0].starts_with(&format!("token={}&content=version", world.token)));
    // The same token name opens another project now.
    let Err(error) = world.probe(&project).await else { panic!("another project passed") };
    assert_eq!(error.kind, Kind::ProjectChanged);
    world.assert_sealed(&format!("{error:?}"));
}

#[tokio::test]
async fn the_intent_is_on_disk_before_the_request_arrives() {
    let world = World::new();
    let folder = world.folder.path().to_owned();
    let on_disk = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&on_disk);
    let look: Say = Box::new(move |_| {
        seen.lock().unwrap().push(log_text(&folder));
        b"HTTP/1.1 200 X\r\nContent-Length: 6\r\n\r\n14.5.1".to_vec()
    });
    let server = Server::start(vec![look, say(200, "", PROJECT)]);
    let project = world.set_up(&server.uri);
    world.probe(&project).await.unwrap();
    let on_disk = on_disk.lock().unwrap();
    assert!(on_disk[0].contains("\"intent\"") && !on_disk[0].contains("\"outcome\""), "{}", on_disk[0]);
}

#[tokio::test]
async fn without_an_intent_there_is_no_call() {
    let server = Server::start(vec![version()]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    std::fs::create_dir_all(world.folder.path().join("data")).unwrap();
    std::fs::write(world.folder.path().join("data/audit"), "in the way").unwrap();
    let Err(error) = world.probe(&project).await else { panic!("called without an intent") };
    assert_eq!((error.kind, server.count()), (Kind::Audit, 0));
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_written_is_the_audit_logs_error_and_names_path_cause_and_remedy() {
    // Not loopback, so the limiter counts the request too, in the same folder.
    let server = "https://redcap.invalid/api/";
    let world = World::new();
    let project = world.set_up(server);
    std::fs::write(world.folder.path().join("data"), "in the way").unwrap();
    let Err(error) = world.probe(&project).await else { panic!("called without an intent") };
    assert_eq!(error.kind, Kind::Audit, "{error:?}");
    let path = world.folder.path().join("data");
    assert!(error.message.contains(&path.display().to_string()), "{error:?}");
    let field = |name: &str| error.fields.iter().any(|(known, _)| known == name);
    assert!(!error.hints.is_empty() && field("cause"), "{error:?}");
    // Where only the count is in the way it is the limiter's.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("limits"), "in the way").unwrap();
    let Err(error) = world.probe(&project).await else { panic!("called without a permit") };
    assert_eq!(error.kind, Kind::Limit, "{error:?}");
    assert_eq!(world.phases(), ["refused"]);
}

#[tokio::test]
async fn a_call_that_waits_for_its_permit_says_so_and_can_be_interrupted() {
    let mut world = World::new();
    world.ctx.settings.limit = 2;
    let server = ServerUrl::parse("https://redcap.invalid/api/").unwrap();
    limiter::reserve(&world.ctx, &server, 2).await.unwrap();
    assert!(world.events.lock().unwrap().is_empty());
    // An interrupt drops the operation, wherever it waits.
    let waited = tokio::time::timeout(Duration::from_millis(300), limiter::reserve(&world.ctx, &server, 1)).await;
    assert!(waited.is_err(), "a third permit within a minute");
    let events = world.events.lock().unwrap().clone();
    let [Event::Note(said)] = &events[..] else { panic!("{events:?}") };
    assert!(said.contains("waiting about") && said.contains("redcap.invalid"), "{said}");
    // Loopback is exempt.
    let here = ServerUrl::parse("http://127.0.0.1:1/api/").unwrap();
    for _ in 0..5 {
        limiter::reserve(&world.ctx, &here, 2).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_goes_only_to_the_origin_that_it_is_bound_to() {
    let (good, evil) = (Server::start(vec![version()]), Server::start(vec![version()]));
    let world = World::new();
    let mut project = world.set_up(&good.uri);
    project.redcap_uri = World::project(&evil.uri).redcap_uri;
    let Err(error) = world.probe(&project).await else { panic!("sent elsewhere") };
    assert_eq!((error.kind, good.count(), evil.count()), (Kind::Origin, 0, 0));
    project.token_name = TokenName::new("OTHER").unwrap();
    let Err(error) = world.probe(&project).await else { panic!("sent another token") };
    assert_eq!((error.kind, good.count(), evil.count()), (Kind::Origin, 0, 0));
    // The site's list of servers binds too.
    let mut world = World::new();
    let project = World::project(&good.uri);
    assert_eq!(world.probe(&project).await.err().map(|e| e.kind), Some(Kind::Origin));
    world.ctx.settings.servers = vec![project.redcap_uri.origin().clone()];
    world.ctx.settings.retries = 0;
    let _ = world.probe(&project).await;
    assert!(good.count() > 0);
}

#[tokio::test]
async fn a_blank_or_malformed_token_is_said_and_nothing_is_sent() {
    let server = Server::start(vec![version()]);
    let token = token();
    for (value, kind, part) in [
        (String::new(), Kind::TokenMissing, "no token is found"),
        (format!("{token}\n\n"), Kind::TokenForm, "33 characters, trailing newline"),
        (format!("{token}{token}"), Kind::TokenForm, "super token"),
    ] {
        let world = World::with(value.as_bytes(), &token);
        let project = world.set_up(&server.uri);
        let Err(error) = world.probe(&project).await else { panic!("{part}") };
        assert_eq!(error.kind, kind);
        assert!(error.message.contains(part), "{}", error.message);
        assert_eq!(
            (world.phases(), world.log()[0]["reason"].as_str()),
            (vec!["refused".to_owned()], Some(kind.as_str()))
        );
        world.assert_sealed(&format!("{error:?}"));
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn the_token_echoed_in_an_error_is_scrubbed_and_in_data_withheld() {
    let world = World::new();
    let echo = format!(r#"{{"error":"no field {}"}}"#, world.token.to_lowercase());
    let server = Server::start(vec![say(400, "", &echo)]);
    let project = world.set_up(&server.uri);
    let Err(error) = world.probe(&project).await else { panic!("no error") };
    assert_eq!(error.kind, Kind::Redcap);
    world.assert_sealed(&format!("{error:?}"));

    let world = World::new();
    let data = format!(r#"{{"project_id":1,"project_title":"{}"}}"#, world.token.to_lowercase());
    let server = Server::start(vec![version(), say(200, "", &data)]);
    let project = world.set_up(&server.uri);
    let Err(error) = world.probe(&project).await else { panic!("no error") };
    assert_eq!(error.kind, Kind::TokenEcho);
    world.assert_sealed(&format!("{error:?}"));
    assert_eq!(world.log().last().unwrap()["class"], "token_echo");
}

#[tokio::test]
async fn a_read_is_tried_again_after_a_gateway_error_and_each_try_is_a_call_of_its_own() {
    for status in [408, 500, 502, 503, 504] {
        let server = Server::start(vec![say(status, "", "<html>"), version(), say(200, "", PROJECT)]);
        let world = World::new();
        let project = world.set_up(&server.uri);
        assert!(world.probe(&project).await.is_ok(), "{status}");
        assert_eq!((server.count(), world.phases().len()), (3, 6));
        let ids: std::collections::HashSet<String> = world.log().iter().map(|e| e["call_id"].to_string()).collect();
        assert_eq!(ids.len(), 3);
    }
}

#[tokio::test]
async fn a_refusal_and_a_write_are_never_tried_again() {
    let refused = r#"{"error":"You do not have permissions to use the API"}"#;
    let server = Server::start(vec![say(403, "", refused)]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    assert_eq!(world.probe(&project).await.err().map(|e| e.kind), Some(Kind::TokenRefused));
    assert_eq!(server.count(), 1);

    let server = Server::start(vec![say(503, "", "<html>")]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    let mut write = Request::read("record", Expect::Json);
    write.writes = true;
    let answered = world.operation(&project).collect(&write, 1000).await;
    assert_eq!((answered.err().map(|e| e.kind), server.count()), (Some(Kind::OutcomeUnknown), 1));

    // The server takes the import and hangs up.
    let server = Server::start(vec![Box::new(|_| Vec::new()), Box::new(|_| Vec::new())]);
    let mut world = World::new();
    world.ctx.settings.net.timeout = std::time::Duration::from_millis(300);
    let project = world.set_up(&server.uri);
    let answered = world.operation(&project).collect(&write, 1000).await;
    assert_eq!((answered.err().map(|e| e.kind), server.count()), (Some(Kind::OutcomeUnknown), 1));
}

#[tokio::test]
async fn an_interrupted_call_leaves_an_outcome_that_says_so() {
    let server = Server::start(vec![Box::new(|_| Vec::new())]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    let mut operation = world.operation(&project);
    let request = Request::read("version", Expect::Version);
    let call = tokio::time::timeout(std::time::Duration::from_millis(300), operation.collect(&request, 1000)).await;
    assert!(call.is_err());
    assert_eq!(world.phases(), ["intent", "outcome"]);
    assert_eq!(world.log()[1]["class"], "interrupted");
}

#[tokio::test]
async fn a_call_that_is_interrupted_while_its_outcome_waits_for_a_busy_log_keeps_its_outcome() {
    let world = World::new();
    let folder = world.folder.path().join("data/audit");
    let held = Arc::new(Mutex::new(None));
    let taking = Arc::clone(&held);
    // Another process has the log as the answer arrives.
    let answer: Say = Box::new(move |_| {
        let mut paths = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        let lock = paths.find(|path| path.extension().is_some_and(|e| e == "lock")).unwrap();
        *taking.lock().unwrap() = Some(SideLock::take(&lock, false, Duration::from_secs(5)).unwrap());
        b"HTTP/1.1 200 X\r\nContent-Length: 6\r\n\r\n14.5.1".to_vec()
    });
    let server = Server::start(vec![answer]);
    let project = world.set_up(&server.uri);
    let mut operation = world.operation(&project);
    let request = Request::read("version", Expect::Version);
    let call = tokio::time::timeout(Duration::from_millis(500), operation.collect(&request, 1000)).await;
    assert!(call.is_err() && held.lock().unwrap().is_some());
    drop(operation);
    assert_eq!(log_text(world.folder.path()).lines().count(), 1);
    drop(held.lock().unwrap().take());
    assert_eq!(world.classes(), ["ok"]);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let server = Server::start(vec![say(200, "", &"1".repeat(200_000))]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    let Err(error) = world.probe(&project).await else { panic!("took it") };
    assert_eq!(error.kind, Kind::NotRedcap);
    let _: Error = error;
}

#[tokio::test]
async fn a_token_without_export_right_works_with_a_remark() {
    let no_right = r#"{"error":"You do not have API Export privileges"}"#;
    let server = Server::start(vec![version(), say(403, "", no_right)]);
    let world = World::new();
    let project = world.set_up(&server.uri);
    let found = world.probe(&project).await.unwrap();
    assert!(found.remark.unwrap().contains("API Export privileges"));
    assert_eq!(found.project_id, None);
}
