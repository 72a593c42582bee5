//! The vault's own audit log beside ours: one call, two witnesses, joined by the request's id.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use super::kit::*;
use crate::ctx::{Ctx, Dirs, Events, Shared, SystemClock, SystemRandom};
use crate::net::tests::kit as web;
use crate::project::{Project, Settings, Wish, set_up};
use crate::redcap::{Expect, Operation, Request};
use crate::store::Environment;
use crate::store::testing::{block_on, token_name};
use crate::value::Value;

#[test]
fn the_id_in_our_intent_is_that_of_the_reading_in_the_vaults_audit_log() {
    let server = Server::with_audit_log();
    let token = token();
    server.holds(&token);
    let redcap = web::listen(move |mut conn| {
        while conn.request().is_some() {
            if !conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]") {
                return;
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut settings = Settings { order: vec!["vault".to_owned()], ..Settings::default() };
    let store = server.store(|_| {});
    settings.stores.vault = store.settings.clone();
    let mut env = Environment::with(&token_name(NAME_V), b"");
    env.vault.clone_from(&store.entrance);
    let ctx = Ctx {
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SystemRandom),
        dirs: Dirs { config: at("config"), data: at("data"), session: at("session"), site: at("site.toml") },
        settings,
        env,
        log: Events::none(),
        net: web::net(),
        shared: Shared::default(),
    };
    let project = Project::from_value(&Value::list([
        ("short_name", "V".into()),
        ("redcap_uri", redcap.http().as_str().into()),
        ("token_name", NAME_V.into()),
    ]));
    let wish = Wish { project: project.unwrap(), overwrite: false, sandboxes: Vec::new() };
    let project = set_up(&ctx, wish).unwrap().project;
    block_on(async {
        let mut operation = Operation::new(&ctx, project, false, ctx.net.client(&ctx.settings.net).unwrap());
        operation.collect(&Request::read("record", Expect::Json), 1000).await.unwrap();
        operation.finish().await.unwrap();
    });

    let ours = files(&at("data/audit"), "jsonl");
    let intent = ours.iter().find(|entry| entry["phase"] == "intent").unwrap();
    let id = intent["source_request_id"].as_str().expect("the intent has the vault's id");
    let theirs = files(server.folder.path(), "audit");
    let joined: Vec<_> = theirs.iter().filter(|entry| entry["request"]["id"] == id).collect();
    let types: Vec<_> = joined.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["request", "response"]);
    for entry in joined {
        assert_eq!(entry["request"]["operation"], "read");
        assert_eq!(entry["request"]["path"], format!("secret/data/{PATH}"));
    }
    assert_eq!(intent["source"], "vault");
}

/// The lines of all files of a folder with an ending.
fn files(folder: &Path, ending: &str) -> Vec<Json> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|e| e == ending));
    let texts: Vec<_> = texts.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    texts.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).unwrap()).collect()
}
