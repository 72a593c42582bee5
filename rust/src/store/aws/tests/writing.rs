//! Putting a token there, and taking it away.

use serde_json::json;

use super::super::*;
use super::kit::*;
use crate::store::testing::{block_on, no_trace, token_name, wanted};

fn put(store: &AwsStore, token: &str) -> Result<()> {
    block_on(store.put(&token_name(NAME_A), &sealed(token)))
}

fn removable(store: &AwsStore) -> Result<()> {
    block_on(store.removable(&wanted(NAME_A)))
}

fn remove(store: &AwsStore) -> Result<bool> {
    block_on(store.remove(&token_name(NAME_A)))
}

#[test]
fn what_is_put_is_found_replaced_and_removed_with_all_of_its_versions() {
    let server = Server::start();
    let store = server.store(&server.anyone(), |_| {});
    let (first, second) = (token(), token());
    assert!(!remove(&store).unwrap());
    put(&store, &first).unwrap();
    finds(&store, &first);
    put(&store, &second).unwrap();
    finds(&store, &second);
    finds(
        &AwsStore { settings: AwsSettings { stage: Stage::Previous, ..store.settings.clone() }, ..store_of(&store) },
        &first,
    );
    let previous =
        AwsStore { settings: AwsSettings { stage: Stage::Previous, ..store.settings.clone() }, ..store_of(&store) };
    in_state(&previous, remove(&previous).unwrap_err(), "read_only");
    finds(&store, &second);
    removable(&store).unwrap();
    assert!(remove(&store).unwrap());
    assert!(found(&store).unwrap().is_none());
    // Its name is free again at once.
    put(&store, &first).unwrap();
    finds(&store, &first);
}

fn store_of(store: &AwsStore) -> AwsStore {
    AwsStore { settings: store.settings.clone(), entrance: store.entrance.clone() }
}

#[test]
fn a_field_is_written_beside_the_others_and_what_holds_more_than_a_token_is_not_removed() {
    let server = Server::start();
    let store = server.store(&server.anyone(), |settings| settings.field = Some("token".to_owned()));
    let token = token();
    put(&store, &token).unwrap();
    finds(&store, &token);
    let inside = || {
        let reply = server.secrets("GetSecretValue", &json!({"SecretId": SECRET}));
        serde_json::from_str::<serde_json::Value>(reply["SecretString"].as_str().unwrap()).unwrap()
    };
    assert_eq!(inside(), json!({"token": token}));
    server.now_holds(&json!({"owner": "lab", "token": "old", "origin": "https://redcap.example.org"}).to_string());
    put(&store, &token).unwrap();
    assert_eq!(inside(), json!({"owner": "lab", "token": token, "origin": "https://redcap.example.org"}));
    in_state(&store, removable(&store).unwrap_err(), "field");
    let error = in_state(&store, remove(&store).unwrap_err(), "field");
    no_trace(&token, &format!("{error:?}"));
    finds(&store, &token);

    // What is no object has no place for a field, and a record is not overwritten by a plain token.
    let plain = AwsStore { settings: AwsSettings { field: None, ..store.settings.clone() }, ..store_of(&store) };
    in_state(&plain, put(&plain, &token).unwrap_err(), "field");
    server.now_holds("plain");
    in_state(&store, put(&store, &token).unwrap_err(), "field");
}

#[test]
fn a_secret_without_a_value_is_filled_and_one_that_is_marked_for_deletion_is_not() {
    let server = Server::start();
    let store = server.store(&server.anyone(), |_| {});
    let token = token();
    server.secrets("CreateSecret", &json!({"Name": SECRET}));
    put(&store, &token).unwrap();
    finds(&store, &token);
    server.secrets("DeleteSecret", &json!({"SecretId": SECRET}));
    let error = in_state(&store, put(&store, &token).unwrap_err(), "deleted");
    assert!(error.hints[0].contains("restore-secret"), "{error:?}");
    in_state(&store, remove(&store).unwrap_err(), "deleted");
}

#[test]
fn who_may_only_read_is_told_what_a_policy_has_to_allow() {
    let server = Server::start();
    let store = server.store(&server.user("reader", &["secretsmanager:GetSecretValue"]), |_| {});
    let token = token();
    let error = in_state(&store, put(&store, &token).unwrap_err(), "denied");
    assert!(error.hints[0].contains("`secretsmanager:CreateSecret`"), "{:?}", error.hints);
    server.holds("old");
    let error = in_state(&store, put(&store, &token).unwrap_err(), "denied");
    assert!(error.message.contains("may not be written"), "{}", error.message);
    assert!(error.hints[0].contains("`secretsmanager:PutSecretValue`"), "{:?}", error.hints);
    no_trace(&token, &format!("{error:?}"));
    let error = in_state(&store, remove(&store).unwrap_err(), "denied");
    assert!(error.hints[0].contains("`secretsmanager:DeleteSecret`"), "{:?}", error.hints);
}

#[test]
fn where_nothing_is_set_up_nothing_is_written() {
    let token = token();
    let nowhere = store(AwsSettings::default(), &[], None);
    in_state(&nowhere, put(&nowhere, &token).unwrap_err(), "not_here");
    in_state(&nowhere, remove(&nowhere).unwrap_err(), "not_here");
    let previous = store(AwsSettings { stage: Stage::Previous, ..AwsSettings::default() }, &[], None);
    in_state(&previous, put(&previous, &token).unwrap_err(), "read_only");
    let name = crate::project::Template::parse("lab/{short_name}").unwrap();
    let short = store(AwsSettings { name, ..AwsSettings::default() }, &[], None);
    in_state(&short, put(&short, &token).unwrap_err(), "read_only");
    // The newest version is not the one that is read.
    for store in [&previous, &short] {
        in_state(store, remove(store).unwrap_err(), "read_only");
        in_state(store, removable(store).unwrap_err(), "read_only");
    }
}

/// Asked for its state, the store says where it would ask and as whom, and signs nothing: as AWS refuses that, it is
/// played here.
#[test]
fn its_state_is_where_and_as_whom_it_asks_and_whether_that_is_aws() {
    let state = |status: u16, body: &'static str| {
        let service = Scripted::start(move |_| (status, body.to_owned()));
        let settings = AwsSettings { region: Some(REGION.to_owned()), ..AwsSettings::default() };
        let address = service.address();
        let set = [
            ("AWS_ENDPOINT_URL", address.as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "a-secret-of-a-test"),
        ];
        let store = store(settings, &set, None);
        let state = block_on(store.state());
        let asked = service.asked();
        assert!(asked.len() == 1 && !asked[0].to_ascii_lowercase().contains("authorization"), "{asked:?}");
        (store, state)
    };
    let missing = r#"{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}"#;
    let found = state(400, missing).1.unwrap();
    assert!(matches!(found.reach, Reach::Untried(_)), "whose keys these are, nobody has said");
    let detail = found.detail.unwrap();
    assert!(detail.starts_with("eu-central-1, redcap/{token_name}, with the variables"), "{detail}");
    let (store, error) = state(200, "<html>sign on</html>");
    in_state(&store, error.unwrap_err(), "not_aws");
    let (store, error) = state(503, "");
    in_state(&store, error.unwrap_err(), "failed");
}
