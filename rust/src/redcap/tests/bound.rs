//! What binds a token to an origin: the registry, the site's list, or the store, which is a real OpenBao here.

use serde_json::json;

use super::world::{Server, World, read, say};
use crate::error::{Error, Kind, Result};
use crate::net::{NetSettings, Origin};
use crate::project::Project;
use crate::redcap::pipeline::Operation;
use crate::store::Environment;
use crate::store::vault_kit::{ROOT, Server as Vault};
use crate::token::TokenName;

/// A fresh user with a vault, as a worker has it: nothing is set up.
fn worker(vault: &Vault, order: &[&str]) -> World {
    let mut world = World::new();
    let settings = &mut world.ctx.settings;
    settings.order = order.iter().map(|name| (*name).to_owned()).collect();
    settings.stores.vault = vault.settings();
    settings.stores.vault.token_file = Some(vault.file("own-token", ROOT));
    settings.net = NetSettings { timeout: std::time::Duration::from_secs(20), ..settings.net.clone() };
    // The environment holds another token than the vault: where it is used, that shows.
    let name = TokenName::new("REDCapSync_T").unwrap();
    let value = super::token();
    world.ctx.env = Environment::with(&name, value.as_bytes()).for_stores(&world.ctx.settings, &world.ctx.net, &[]);
    world
}

/// Puts the token of a world there, with or without an origin.
fn holds(vault: &Vault, world: &World, origin: Option<&str>) {
    let data = match origin {
        Some(origin) => json!({"token": world.token, "origin": origin}),
        None => json!({"token": world.token}),
    };
    vault.root("POST", "secret/data/redcap/REDCapSync_T", json!({ "data": data }));
}

fn origin_of(uri: &str) -> String {
    Origin::parse(uri.trim_end_matches("/api/")).unwrap().to_string()
}

async fn call(world: &World, project: &Project) -> (Result<()>, Operation) {
    let mut operation = world.operation(project);
    let answered = operation.collect(&read(), 1000).await.map(drop);
    (answered, operation)
}

/// The error of a call that sends nothing, with its one entry.
async fn refused(world: &World, project: &Project, server: &Server) -> Error {
    let before = server.count();
    let (answered, _) = call(world, project).await;
    let error = answered.unwrap_err();
    assert_eq!((error.kind, server.count()), (Kind::Origin, before), "{error:?}");
    assert!(!error.hints.is_empty());
    let log = world.log();
    assert_eq!(
        (log.last().unwrap()["phase"].as_str(), log.last().unwrap()["reason"].as_str()),
        (Some("refused"), Some("origin"))
    );
    world.assert_sealed(&format!("{error:?}"));
    error
}

#[tokio::test]
async fn without_a_registry_a_store_binds_a_token_to_the_origin_beside_it_and_to_no_other() {
    let vault = Vault::start();
    let (server, evil) = (Server::start(vec![say(200, "", "[]")]), Server::start(vec![say(200, "", "[]")]));
    let world = worker(&vault, &["env", "vault"]);
    let (project, elsewhere) = (World::project(&server.uri), World::project(&evil.uri));
    let mine = origin_of(&server.uri);

    // Equal: it goes there, and neither the environment nor what the object says besides counts.
    holds(&vault, &world, Some(&mine));
    let mut told = project.clone();
    (told.project_id, told.redcap_user) = (Some("77".into()), Some("miller".into()));
    let (answered, operation) = call(&world, &told).await;
    answered.unwrap();
    assert_eq!((operation.source(), server.count()), (Some("vault"), 1));
    let intent = &world.log()[0];
    assert_eq!((intent["bound_by"].as_str(), intent["origin"].as_str()), (Some("store"), Some(mine.as_str())));
    assert!(
        intent["project_id"].is_null() && intent["redcap_user"].is_null() && !intent["source_request_id"].is_null()
    );

    // Another: the object names a server, and the store another one.
    let error = refused(&world, &elsewhere, &evil).await;
    assert!(error.message.contains(&format!("is bound to `{mine}` by `vault`")), "{}", error.message);
    assert!(error.message.contains(&origin_of(&evil.uri)), "{}", error.message);

    // None at all.
    holds(&vault, &world, None);
    let error = refused(&world, &project, &server).await;
    assert!(error.message.contains("no origin stands beside it in `vault`"), "{}", error.message);
    assert!(error.hints[0].contains("the field `origin`"), "{:?}", error.hints);

    // No such name there: nothing binds it, whatever another store holds.
    vault.root("DELETE", "secret/metadata/redcap/REDCapSync_T", json!({}));
    let error = refused(&world, &project, &server).await;
    assert!(error.message.ends_with("for this user"), "{}", error.message);
}

#[tokio::test]
async fn where_no_store_can_bind_none_is_asked_for_an_unbound_project() {
    let server = Server::start(vec![say(200, "", "[]")]);
    let mut world = World::new();
    let asked = world.folder.path().join("asked");
    let script = format!("touch '{}'; echo {}", asked.display(), world.token);
    let text = format!(
        "stores = [\"env\", \"vault\", \"command\"]\n[command]\nprogram = \"sh\"\narguments = [\"-c\", {script:?}, \"{{token_name}}\"]\n"
    );
    world.ctx.settings.order = ["env", "vault", "command"].map(str::to_owned).to_vec();
    world.ctx.settings.stores.command = crate::project::Settings::of_site(&text).unwrap().stores.command;
    world.ctx.env = world.ctx.env.clone().for_stores(&world.ctx.settings, &world.ctx.net, &[]);
    let error = refused(&world, &World::project(&server.uri), &server).await;
    assert!(error.message.contains("is not bound to"), "{}", error.message);
    assert!(!asked.exists());
    // The control: a project that is set up has it asked.
    world.ctx.settings.order = vec!["command".into()];
    let project = world.set_up(&server.uri);
    call(&world, &project).await.0.unwrap();
    assert!(asked.exists());
}

#[tokio::test]
async fn a_store_that_says_another_origin_than_the_registry_or_the_site_stops_the_call_and_the_error_names_both() {
    let vault = Vault::start();
    let server = Server::start(vec![say(200, "", "[]")]);
    let mine = origin_of(&server.uri);
    let mut world = worker(&vault, &["vault"]);
    holds(&vault, &world, Some("https://redcap.example.org"));

    // The site's list.
    let project = World::project(&server.uri);
    world.ctx.settings.servers = vec![project.redcap_uri.origin().clone()];
    let error = refused(&world, &project, &server).await;
    assert!(error.message.contains(&mine) && error.message.contains("`https://redcap.example.org` by `vault`"));

    // The registry.
    world.ctx.settings.servers.clear();
    let project = world.set_up(&server.uri);
    let error = refused(&world, &project, &server).await;
    let message = &error.message;
    assert!(message.contains(&format!("`{mine}` by your registry")), "{message}");
    assert!(message.contains("`https://redcap.example.org` by `vault`"), "{message}");

    // They agree, or the store says nothing: the registry binds it.
    for origin in [Some(mine.as_str()), None] {
        holds(&vault, &world, origin);
        call(&world, &project).await.0.unwrap();
        let log = world.log();
        let intent = log.iter().rfind(|entry| entry["phase"] == "intent").unwrap();
        assert_eq!(intent["bound_by"], "registry");
    }
    // And so does the site.
    let mut world = worker(&vault, &["vault"]);
    world.ctx.settings.servers = vec![project.redcap_uri.origin().clone()];
    holds(&vault, &world, None);
    call(&world, &World::project(&server.uri)).await.0.unwrap();
    assert_eq!(world.log()[0]["bound_by"], "site");
}

#[tokio::test]
async fn what_the_registry_knows_of_a_name_no_store_outranks() {
    let vault = Vault::start();
    let (server, other) = (Server::start(vec![say(200, "", "[]")]), Server::start(vec![say(200, "", "[]")]));
    let world = worker(&vault, &["vault"]);
    world.set_up(&server.uri);
    // The store says what the object says, and the registry says otherwise.
    holds(&vault, &world, Some(&origin_of(&other.uri)));
    let error = refused(&world, &World::project(&other.uri), &other).await;
    assert!(error.message.contains(&format!("is bound to `{}`", origin_of(&server.uri))), "{}", error.message);
    // Nor is the store asked: it is gone.
    drop(vault);
    refused(&world, &World::project(&other.uri), &other).await;
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_store_that_fails_is_said_of_an_unbound_project_too() {
    let vault = Vault::start();
    let server = Server::start(vec![say(200, "", "[]")]);
    let world = worker(&vault, &["vault"]);
    drop(vault);
    let (answered, _) = call(&world, &World::project(&server.uri)).await;
    assert_eq!((answered.unwrap_err().kind, server.count()), (Kind::Store, 0));
}

#[tokio::test]
async fn a_new_look_up_that_gives_a_token_of_another_origin_does_not_use_it() {
    let vault = std::sync::Arc::new(Vault::start());
    let world = worker(&vault, &["vault"]);
    let new = super::token();
    let (at, refusal) =
        (std::sync::Arc::downgrade(&vault), say(403, "", "ERROR: You do not have permissions to use the API"));
    // While the call is under way, somebody stores the token of another server.
    let server = Server::start(vec![Box::new(move |request| {
        let data = json!({"token": new, "origin": "https://redcap.example.org"});
        // The listener outlives the test; the vault must not.
        at.upgrade().unwrap().root("POST", "secret/data/redcap/REDCapSync_T", json!({ "data": data }));
        refusal(request)
    })]);
    holds(&vault, &world, Some(&origin_of(&server.uri)));
    let (answered, _) = call(&world, &World::project(&server.uri)).await;
    let error = answered.unwrap_err();
    assert_eq!((error.kind, server.count()), (Kind::TokenRefused, 1));
    assert!(error.hints.last().unwrap().contains("`https://redcap.example.org` by `vault`"), "{error:?}");
}
