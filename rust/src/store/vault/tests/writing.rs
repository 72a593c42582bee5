//! Putting tokens there and removing them.

use serde_json::json;

use super::super::*;
use super::kit::*;
use crate::store::testing::{block_on, no_trace, token_name, wanted};

#[test]
fn a_token_is_put_read_replaced_and_removed_with_all_of_its_versions() {
    let server = Server::start();
    let (first, second) = (token(), token());
    for kv in [KvVersion::Two, KvVersion::One] {
        let mount = if kv == KvVersion::One { "old" } else { "secret" };
        if kv == KvVersion::One {
            server.root("POST", "sys/mounts/old", json!({"type": "kv", "options": {"version": "1"}}));
        }
        let store = server.store(|settings| (settings.kv, settings.mount) = (kv, mount.to_owned()));
        let name = token_name(NAME_V);
        assert!(!block_on(store.remove(&name)).unwrap());
        block_on(store.put(&name, &sealed(&first))).unwrap();
        finds(&store, &first);
        block_on(store.put(&name, &sealed(&second))).unwrap();
        finds(&store, &second);
        assert!(block_on(store.remove(&name)).unwrap());
        assert!(found(&store).unwrap().is_none());
        assert!(!block_on(store.remove(&name)).unwrap());
    }
}

#[test]
fn other_fields_stay_where_they_are_and_keep_the_secret_from_being_removed() {
    let server = Server::start();
    let (first, second) = (token(), token());
    let (name, at) = (token_name(NAME_V), format!("secret/data/{PATH}"));
    let fields = json!({"token": first, "origin": "https://redcap.example.org", "owner": "A \"B\"", "pid": 7});
    server.root("POST", &at, json!({"data": fields}));
    let store = server.store(|_| {});
    block_on(store.put(&name, &sealed(&second))).unwrap();
    let there = server.root("GET", &at, json!({}));
    let mut expected = fields.clone();
    expected["token"] = second.clone().into();
    assert_eq!(there["data"]["data"], expected);
    assert_eq!(there["data"]["metadata"]["version"], 2);
    block_on(store.removable(&wanted("REDCapSync_NOT_THERE"))).unwrap();
    in_state(block_on(store.removable(&wanted(NAME_V))).unwrap_err(), "field");
    let by_short =
        server.store(|settings| settings.path = crate::project::Template::parse("lab/{short_name}").unwrap());
    in_state(block_on(by_short.removable(&wanted(NAME_V))).unwrap_err(), "read_only");
    let error = in_state(block_on(store.remove(&name)).unwrap_err(), "field");
    no_trace(&second, &format!("{error:?}"));

    // What was deleted is written anew, and a deleted secret can be removed.
    server.root("POST", &at, json!({"data": {"token": first}}));
    server.root("DELETE", &at, json!({}));
    fails(&store, "deleted");
    block_on(store.put(&name, &sealed(&second))).unwrap();
    finds(&store, &second);
    server.root("DELETE", &at, json!({}));
    assert!(block_on(store.remove(&name)).unwrap());
    assert!(found(&store).unwrap().is_none());
}

#[test]
fn what_may_not_be_written_is_not_and_the_right_that_is_missing_is_named() {
    let server = Server::start();
    let token = token();
    server.holds(&token);
    let policy = "path \"secret/data/redcap/*\" { capabilities = [\"read\"] }";
    server.root("POST", "sys/policies/acl/reader", json!({"policy": policy}));
    let reader = server.own_token(json!({"policies": ["reader"]}));
    let store = server.store_of(&reader, |_| {});
    finds(&store, &token);
    let name = token_name(NAME_V);
    let error = in_state(block_on(store.put(&name, &sealed(&token))).unwrap_err(), "denied");
    assert!(error.hints[0].contains("update"), "{error:?}");
    let error = in_state(block_on(store.remove(&name)).unwrap_err(), "denied");
    assert!(error.hints[0].contains("`delete` on `secret/metadata/redcap/"), "{error:?}");
    finds(&store, &token);

    let pinned = server.store(|settings| settings.version = Some(1));
    in_state(block_on(pinned.put(&name, &sealed(&token))).unwrap_err(), "read_only");
    // The newest version is not the one that is read.
    in_state(block_on(pinned.remove(&name)).unwrap_err(), "read_only");
    in_state(block_on(pinned.removable(&wanted(NAME_V))).unwrap_err(), "read_only");
    finds(&store, &token);

    // Somebody writes between our reading and our writing.
    let settings = server.settings();
    let trouble = |said| {
        Trouble { settings: &settings, server: settings.address.as_ref().unwrap(), path: PATH, doing: Doing::Writing }
            .error(said)
    };
    let stale = answer::with_field(b"{}", KvVersion::Two, "token", &Raw::copy_of(b"x"), Some(0)).unwrap();
    let body = serde_json::from_slice(&stale).unwrap();
    let (status, reply) = server.try_root("POST", &format!("secret/data/{PATH}"), body);
    let said = answer::done(status, reply.to_string().as_bytes()).unwrap_err();
    in_state(trouble(said), "changed");
    finds(&store, &token);
}
