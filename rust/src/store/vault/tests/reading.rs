//! Every answer to a look-up.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;

use super::super::*;
use super::kit::*;
use crate::net::Origin;
use crate::project::Template;
use crate::store::testing::{block_on, ctx, no_trace, wanted};
use crate::store::{look_everywhere, look_up};

#[test]
fn a_token_is_found_with_the_id_of_the_request_and_with_its_origin() {
    let server = Server::start();
    let store = server.store(|_| {});
    assert!(found(&store).unwrap().is_none());
    let token = token();
    server.holds(&token);
    finds(&store, &token);
    let hit = found(&store).unwrap().unwrap();
    assert_eq!(hit.request_id.as_ref().map(String::len), Some(36));
    assert!(hit.origin.is_none());
    no_trace(&token, &format!("{hit:?}"));

    let with = |origin: &str| {
        server.root("POST", &format!("secret/data/{PATH}"), json!({"data": {"token": token, "origin": origin}}));
    };
    with("https://redcap.example.org");
    assert_eq!(found(&store).unwrap().unwrap().origin, Some(Origin::parse("https://redcap.example.org").unwrap()));
    with("http://redcap.example.org");
    no_trace(&token, &format!("{:?}", fails(&store, "field")));

    // A blank value is no token, and a secret without the field is a slip that is told.
    server.holds("\n");
    assert!(found(&store).unwrap().is_none());
    server.root("POST", &format!("secret/data/{PATH}"), json!({"data": {"password": token}}));
    no_trace(&token, &format!("{:?}", fails(&store, "field")));
    finds(&server.store(|settings| settings.field = "password".to_owned()), &token);
    server.root("POST", &format!("secret/data/{PATH}"), json!({"data": {"token": 7}}));
    assert!(fails(&store, "field").message.contains("not a text"));
}

#[test]
fn path_mount_and_the_first_version_of_the_engine_are_settings() {
    let server = Server::start();
    let (token, other) = (token(), token());
    server.root("POST", "sys/mounts/team/kv", json!({"type": "kv", "options": {"version": "1"}}));
    server.root("POST", "team/kv/pid/V/redcap", json!({"token": token, "origin": "https://redcap.example.org"}));
    let store = server.store(|settings| {
        settings.kv = KvVersion::One;
        settings.mount = "team/kv".to_owned();
        settings.path = Template::parse("pid/{short_name}/redcap").unwrap();
    });
    finds(&store, &token);
    assert!(found(&store).unwrap().unwrap().origin.is_some());
    server.root("DELETE", "team/kv/pid/V/redcap", json!({}));
    assert!(found(&store).unwrap().is_none());

    server.root("POST", "secret/data/kv/REDCapSync-V", json!({"data": {"token": other}}));
    finds(&server.store(|settings| settings.path = Template::parse("kv/{token-name}").unwrap()), &other);

    // Where the project is not known by its short name, nothing is asked under it.
    let mut nameless = wanted(NAME_V);
    nameless.short_name = String::new();
    let answer = block_on(store.get(&nameless)).unwrap();
    assert!(answer.value.is_none() && answer.remark.unwrap().contains("short_name"));

    // The wrong version and a mount that is not there are told from an absent name.
    server.holds(&token);
    assert!(fails(&server.store(|settings| settings.kv = KvVersion::One), "mount").hints[0].contains("vault.kv"));
    assert!(
        fails(&server.store(|settings| settings.mount = "secrets".to_owned()), "mount").message.contains("`secrets`")
    );
    let pinned = server.store(|settings| (settings.kv, settings.version) = (KvVersion::One, Some(1)));
    assert_eq!(found(&pinned).unwrap_err().kind, Kind::Argument);
}

#[test]
fn versions_are_pinned_deleted_destroyed_and_absent_each_with_its_own_answer() {
    let server = Server::start();
    let (first, second) = (token(), token());
    server.holds(&first);
    server.holds(&second);
    let pinned = |version| server.store(move |settings| settings.version = Some(version));
    finds(&server.store(|_| {}), &second);
    finds(&pinned(1), &first);
    finds(&pinned(2), &second);
    let answer = block_on(pinned(7).get(&wanted(NAME_V))).unwrap();
    assert!(answer.value.is_none() && answer.remark.unwrap().contains("version 7"));

    server.root("DELETE", &format!("secret/data/{PATH}"), json!({}));
    let error = fails(&server.store(|_| {}), "deleted");
    assert!(error.message.contains("version 2") && error.message.contains("deleted on 20"), "{}", error.message);
    assert!(error.message.ends_with(" UTC"), "{}", error.message);
    assert!(error.hints[0].contains("undelete"));
    finds(&pinned(1), &first);

    server.root("POST", &format!("secret/destroy/{PATH}"), json!({"versions": [1, 2]}));
    assert!(fails(&server.store(|_| {}), "destroyed").message.contains("version 2"));
    assert!(fails(&pinned(1), "destroyed").message.contains("version 1"));

    server.root("DELETE", &format!("secret/metadata/{PATH}"), json!({}));
    assert!(found(&server.store(|_| {})).unwrap().is_none());
}

#[test]
fn a_denied_and_an_expired_token_are_two_things() {
    let server = Server::start();
    let token = token();
    server.holds(&token);
    let weak = server.own_token(json!({"policies": ["default"], "ttl": "1h"}));
    let error = fails(&server.store_of(&weak, |_| {}), "denied");
    assert!(error.hints[0].contains("`read` on `secret/data/redcap/REDCapSync_V`"), "{:?}", error.hints);
    assert!(!format!("{error:?}").contains(&weak));

    let short = server.own_token(json!({"policies": ["root"], "ttl": "1s"}));
    finds(&server.store_of(&short, |_| {}), &token);
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let error = fails(&server.store_of(&short, |_| {}), "expired");
    assert!(error.hints[0].contains("log in again") && !format!("{error:?}").contains(&short), "{error:?}");

    fails(&server.store_of("hvs.never-was-one", |_| {}), "expired");
    // Neither prefix nor form of a vault's token is judged, but a header has to carry it.
    fails(&server.store_of("no\u{1}token", |_| {}), "login");
}

#[test]
fn a_sealed_vault_is_locked_until_it_is_unsealed() {
    let server = Server::start();
    server.holds(&token());
    let store = server.store(|_| {});
    let state = block_on(store.state()).unwrap();
    assert_eq!(state.reach, Reach::Ready);
    assert!(state.detail.unwrap().ends_with(&format!(":{}, secret/redcap/{{token_name}}", server.port)));
    server.root("POST", "sys/seal", json!({}));
    let error = fails(&store, "sealed");
    assert!(error.hints[0].contains("unsealed"), "{error:?}");
    let sealed = block_on(store.state()).unwrap();
    assert!(sealed.reach == Reach::Locked && sealed.hints[0].contains("unsealed"), "{sealed:?}");
    let app = server.store(|settings| {
        (settings.auth, settings.role_id) = (Login::AppRole, Some("r".to_owned()));
        settings.secret_id_file = Some(server.file("secret-id", "s"));
    });
    fails(&app, "sealed");
}

#[test]
fn a_namespace_is_a_world_of_its_own() {
    let server = Server::start();
    let (token, other) = (token(), token());
    server.holds(&token);
    server.root("POST", "sys/namespaces/team1", json!({}));
    let inside = [("X-Vault-Namespace", "team1")];
    server.root_with("POST", "sys/mounts/secret", &inside, json!({"type": "kv", "options": {"version": "2"}}));
    let within = server.store(|settings| settings.namespace = Some("team1".to_owned()));
    assert!(found(&within).unwrap().is_none());
    server.root_with("POST", &format!("secret/data/{PATH}"), &inside, json!({"data": {"token": other}}));
    finds(&within, &other);
    finds(&server.store(|_| {}), &token);
    assert_eq!(block_on(within.state()).unwrap().reach, Reach::Ready);
    let nowhere = server.store(|settings| settings.namespace = Some("team2".to_owned()));
    assert!(fails(&nowhere, "namespace").hints[0].contains("VAULT_NAMESPACE"));
}

#[test]
fn tls_is_verified_against_the_vaults_own_authority() {
    let server = Server::with_tls();
    let ca = std::fs::read_dir(server.folder.path()).unwrap().map(|file| file.unwrap().path());
    let ca = ca
        .filter(|path| path.to_string_lossy().contains("ca"))
        .find(|path| path.extension().is_some_and(|e| e == "pem"));
    let ca = ca.filter(|path| !path.to_string_lossy().contains("key")).expect("the CA's certificate");
    let trusting = server.store(|settings| settings.ca_file = Some(ca));
    assert!(found(&trusting).unwrap().is_none());
    assert_eq!(block_on(trusting.state()).unwrap().reach, Reach::Ready);

    let error = fails(&server.store(|_| {}), "unreachable");
    assert!(error.fields.contains(&("reason".to_owned(), "certificate".into())), "{error:?}");
    assert!(error.hints.iter().any(|hint| hint.contains("vault.ca_file")), "{error:?}");

    let absent = server.store(|settings| settings.ca_file = Some("/nonexistent/ca.pem".into()));
    assert!(fails(&absent, "unreachable").message.contains("/nonexistent/ca.pem"));
}

#[test]
fn without_an_address_there_is_no_vault_and_the_look_up_goes_on() {
    let mut ctx = ctx();
    ctx.settings.order = vec!["vault".to_owned()];
    ctx.env = ctx.env.for_stores(&ctx.settings, &ctx.net, &[]);
    assert!(block_on(look_up(&ctx, &wanted(NAME_V))).unwrap().is_none());
    let seen = block_on(look_everywhere(&ctx, &wanted(NAME_V)));
    assert!(seen[0].remark.as_ref().unwrap().contains("`vault.address`"));
    let state = block_on(open(&ctx).state()).unwrap();
    assert!(matches!(state.reach, Reach::NotHere(_)));

    // With an address, and with nobody there, it is a failure.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    ctx.settings.stores.vault.address = Some(ServerUrl::parse(&format!("http://127.0.0.1:{port}")).unwrap());
    ctx.settings.stores.vault.token_file = Some("/dev/null".into());
    ctx.env = ctx.env.for_stores(&ctx.settings, &ctx.net, &[]);
    let error = block_on(look_up(&ctx, &wanted(NAME_V))).unwrap_err();
    assert_eq!(error.kind, Kind::Store);
    assert!(error.fields.contains(&("store".to_owned(), "vault".into())));
    let settings = ctx.settings.stores.vault.clone();
    let error = fails(&kit_store(settings), "unreachable");
    assert!(error.fields.contains(&("reason".to_owned(), "connection".into())), "{error:?}");
}

fn kit_store(settings: VaultSettings) -> VaultStore {
    store(settings, Some("any"), None)
}

/// One reply to whoever connects.
fn says(reply: &'static str) -> VaultStore {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = ServerUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(reply.as_bytes());
        }
    });
    kit_store(VaultSettings { address: Some(address), ..VaultSettings::default() })
}

/// What a vault cannot be made to show: another service, a standby, a gateway, an answer without an end.
#[test]
fn what_is_no_vault_is_not_taken_for_one_and_no_redirect_is_followed() {
    let error = fails(&says("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n<html>EV1L{x}</html>"), "not_vault");
    assert!(!format!("{error:?}").contains("EV1L"));
    fails(&says("HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found"), "not_vault");
    let error =
        fails(&says("HTTP/1.1 307 T\r\nLocation: http://127.0.0.1:1/v1/x\r\nContent-Length: 0\r\n\r\n"), "failed");
    assert!(error.hints[0].contains("standby"), "{error:?}");
    fails(&says("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"), "failed");
    fails(&says("SSH-2.0-OpenSSH\r\n"), "unreachable");
    let long: &'static str =
        Box::leak(format!("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n{}", "x".repeat(70_000)).into_boxed_str());
    fails(&says(long), "output");
}

/// Our own buffers wipe themselves. What is left is in those that the network's layers have freed: here nobody wipes
/// them, in the package the allocator does.
#[cfg(target_os = "linux")]
#[test]
fn a_look_up_leaves_nothing_of_the_token_in_memory_but_in_the_networks_buffers() {
    use crate::store::testing::{left_by, looked_into};
    const THIS: &str =
        "store::vault::tests::reading::a_look_up_leaves_nothing_of_the_token_in_memory_but_in_the_networks_buffers";
    let looked = looked_into(|place| {
        let (address, file) = place.split_once(' ').unwrap();
        let address = ServerUrl::parse(address).ok();
        let settings = VaultSettings { address, token_file: Some(file.into()), ..VaultSettings::default() };
        let store = store(settings, None, None);
        let found = found(&store).unwrap().unwrap();
        (store, found)
    });
    if looked {
        return;
    }
    let server = Server::start();
    let token = token();
    server.holds(&token);
    let place = format!("http://127.0.0.1:{} {}", server.port, server.file("own", ROOT).display());
    // The parts of one copy that was read, and of one that was moved while more was read.
    let copies = |secret: &str| 2 * (secret.len() - 11);
    assert!(left_by(THIS, &place, false, &token) <= copies(&token));
    assert!(left_by(THIS, &place, false, ROOT) <= copies(ROOT));
    assert!(left_by(THIS, &place, true, &token) > 0, "what is there is not seen");
}
