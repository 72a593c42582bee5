//! Every answer to a look-up.

use std::net::TcpListener;

use serde_json::json;

use super::super::*;
use super::kit::*;
use crate::net::Origin;
use crate::project::Template;
use crate::store::testing::{block_on, no_trace, wanted};

#[test]
fn a_token_is_found_as_a_plain_text_with_the_id_of_the_request() {
    let server = Server::start();
    let keys = server.user("reader", &["secretsmanager:GetSecretValue"]);
    let store = server.store(&keys, |_| {});
    assert!(found(&store).unwrap().is_none());
    let token = token();
    server.holds(&token);
    finds(&store, &token);
    let hit = found(&store).unwrap().unwrap();
    assert!(hit.request_id.as_ref().is_some_and(|id| id.len() >= 16), "{:?}", hit.request_id);
    assert!(hit.origin.is_none());
    no_trace(&token, &format!("{hit:?}"));

    // A blank value is no token. A record of somebody's is not sealed as one.
    server.now_holds("\n");
    assert!(found(&store).unwrap().is_none());
    server.now_holds(&json!({"token": token}).to_string());
    let error = fails(&store, "field");
    assert!(error.hints[0].contains("aws.field"), "{error:?}");
    no_trace(&token, &format!("{error:?}"));
}

#[test]
fn a_field_of_a_json_secret_is_the_token_and_the_field_beside_it_binds_it() {
    let server = Server::start();
    let token = token();
    server.holds(&json!({"token": token, "origin": "https://redcap.example.org"}).to_string());
    let store = server.store(&server.anyone(), |settings| settings.field = Some("token".to_owned()));
    finds(&store, &token);
    assert_eq!(found(&store).unwrap().unwrap().origin, Some(Origin::parse("https://redcap.example.org").unwrap()));
    for (secret, said) in [
        (json!({"token": token, "origin": "http://redcap.example.org"}).to_string(), "`origin`"),
        (json!({"password": token}).to_string(), "has no field"),
        (json!({"token": [token]}).to_string(), "not a text"),
        (token.clone(), "no JSON object"),
    ] {
        server.now_holds(&secret);
        let error = fails(&store, "field");
        assert!(error.message.contains(said), "{}", error.message);
        no_trace(&token, &format!("{error:?}"));
    }
}

#[test]
fn name_and_stage_are_settings() {
    let server = Server::start();
    let keys = server.anyone();
    let (first, second, other) = (token(), token(), token());
    server.holds(&first);
    let previous = server.store(&keys, |settings| settings.stage = Stage::Previous);
    let answer = block_on(previous.get(&wanted(NAME_A))).unwrap();
    assert!(answer.value.is_none() && answer.remark.unwrap().contains("AWSPREVIOUS"));
    server.now_holds(&second);
    finds(&server.store(&keys, |_| {}), &second);
    finds(&previous, &first);

    server.secrets("CreateSecret", &json!({"Name": "lab/A/redcap", "SecretString": other}));
    let short = server.store(&keys, |settings| settings.name = Template::parse("lab/{short_name}/redcap").unwrap());
    finds(&short, &other);
    // Where the project is not known by its short name, nothing is asked under it.
    let mut nameless = wanted(NAME_A);
    nameless.short_name = String::new();
    let answer = block_on(short.get(&nameless)).unwrap();
    assert!(answer.value.is_none() && answer.remark.unwrap().contains("short_name"));
}

#[test]
fn a_secret_that_is_deleted_bytes_or_without_a_value_is_told_from_an_absent_one() {
    let server = Server::start();
    let store = server.store(&server.anyone(), |_| {});
    server.secrets("CreateSecret", &json!({"Name": SECRET}));
    assert!(found(&store).unwrap().is_none());
    server.secrets("PutSecretValue", &json!({"SecretId": SECRET, "SecretBinary": "c2VjcmV0"}));
    assert!(fails(&store, "field").message.contains("SecretBinary"));
    server.secrets("DeleteSecret", &json!({"SecretId": SECRET}));
    let error = fails(&store, "deleted");
    assert!(error.message.contains("marked for deletion"), "{}", error.message);
    assert!(error.hints[0].contains("restore-secret"), "{:?}", error.hints);
    server.secrets("RestoreSecret", &json!({"SecretId": SECRET}));
    fails(&store, "field");
}

#[test]
fn who_may_not_read_who_is_not_known_and_whose_key_is_wrong_are_three_things() {
    let server = Server::start();
    let token = token();
    server.holds(&token);
    let weak = server.user("weak", &["secretsmanager:ListSecrets"]);
    let error = fails(&server.store(&weak, |_| {}), "denied");
    assert!(error.message.contains("may not be read with the variables"), "{}", error.message);
    let right = "`secretsmanager:GetSecretValue` on `arn:aws:secretsmanager:eu-central-1:*:secret:redcap/REDCapSync_A-";
    assert!(error.hints[0].contains(right), "{:?}", error.hints);

    let keys = server.anyone();
    finds(&server.store(&keys, |_| {}), &token);
    let forged = Keys { secret: format!("{}x", &keys.secret[1..]), ..keys.clone() };
    let error = fails(&server.store(&forged, |_| {}), "login");
    assert!(error.message.contains("does not belong to the access key"), "{}", error.message);
    let stranger = Keys { id: "AKIAIOSFODNN7EXAMPLE".to_owned(), ..keys };
    let error = fails(&server.store(&stranger, |_| {}), "login");
    assert!(error.message.contains("does not know the access key"), "{}", error.message);
}

/// What moto cannot be made to say, by a server with AWS's own answers.
#[test]
fn each_failure_of_the_service_has_its_remedy() {
    let coded = |code: &str, message: &str| json!({"__type": code, "message": message}).to_string();
    let token = token();
    for (status, body, state, hint) in [
        (400, coded("ExpiredTokenException", "The security token included is expired"), "expired", "set the three"),
        (400, coded("AccessDeniedException", "Access to KMS is not allowed"), "denied", "kms:Decrypt"),
        (400, coded("InvalidSignatureException", "Signature expired: a is now earlier than b"), "clock", "timedatectl"),
        (
            400,
            coded("InvalidSignatureException", "Credential should be scoped to a valid region"),
            "region",
            "aws.region",
        ),
        (400, coded("ThrottlingException", "Rate exceeded"), "failed", "in a minute"),
        (400, coded("ValidationException", "Invalid name"), "failed", "aws.name"),
        (500, coded("InternalServiceError", ""), "failed", "health page"),
        (503, "<html>".to_owned(), "failed", "health page"),
        (307, String::new(), "failed", "aws.endpoint"),
        (200, format!("<html>{token}</html>"), "not_aws", "sign-on page"),
        (403, format!("<html>{token}</html>"), "not_aws", "sign-on page"),
        (200, "x".repeat(500 << 10), "output", "secret of its own"),
    ] {
        let service = Scripted::start(move |_| (status, body.clone()));
        let settings = AwsSettings { region: Some(REGION.to_owned()), ..AwsSettings::default() };
        let (address, secret) = (service.address(), "of-a-test".repeat(4));
        let set = [
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", address.as_str()),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
            ("AWS_SESSION_TOKEN", "session-of-a-test"),
        ];
        let store = store(settings, &set, None);
        let error = fails(&store, state);
        assert!(error.hints.iter().any(|text| text.contains(hint)), "{status} {state}: {:?}", error.hints);
        no_trace(&token, &format!("{error:?}"));
        let asked = service.asked();
        assert!(asked.len() == 1 && asked[0].contains("x-amz-security-token: session-of-a-test"), "{asked:?}");
        assert!(!asked[0].contains(&secret));
    }
}

#[test]
fn a_server_that_is_not_there_names_region_and_endpoint() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = AwsSettings {
        region: Some(REGION.to_owned()),
        endpoint: Some(ServerUrl::parse(&format!("http://127.0.0.1:{port}")).unwrap()),
        ..AwsSettings::default()
    };
    let store =
        store(settings, &[("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "a-secret-of-a-test")], None);
    let error = fails(&store, "unreachable");
    assert!(error.message.contains("`eu-central-1`"), "{}", error.message);
    assert!(error.hints.iter().any(|hint| hint.contains("order of stores")), "{:?}", error.hints);
    assert!(error.fields.iter().any(|(name, _)| name == "reason"));
}

#[test]
fn without_a_region_there_is_no_aws_here_and_the_look_up_goes_on() {
    let none = |set: &[(&str, &str)]| store(AwsSettings::default(), set, None);
    let nowhere = none(&[]);
    assert!(found(&nowhere).unwrap().is_none());
    let answer = block_on(nowhere.get(&wanted(NAME_A))).unwrap();
    assert_eq!(answer.remark.as_deref(), Some(NOT_HERE));
    assert!(matches!(block_on(nowhere.state()).unwrap().reach, Reach::NotHere(_)));

    // Set up by halves is a slip that is told.
    let endpoint = Some(ServerUrl::parse("https://aws.example.org").unwrap());
    let half = store(AwsSettings { endpoint, ..AwsSettings::default() }, &[], None);
    assert!(fails(&half, "region").hints[0].contains("AWS_REGION"));
    fails(&none(&[("AWS_REGION", "eu.example.org/")]), "region");
    // No region's own address, which nobody asks here, is anything but https.
    fails(&none(&[("AWS_REGION", REGION), ("AWS_ENDPOINT_URL", "http://aws.example.org")]), "unreachable");
}

#[test]
fn a_secret_names_the_domain_of_its_region() {
    for (region, host) in [
        ("eu-central-1", "amazonaws.com"),
        ("us-gov-west-1", "amazonaws.com"),
        ("cn-north-1", "amazonaws.com.cn"),
        ("eusc-de-east-1", "amazonaws.eu"),
    ] {
        assert_eq!(domain(region), host, "{region}");
    }
    assert_eq!(
        [partition("cn-north-1"), partition("us-gov-west-1"), partition("us-east-1")],
        ["aws-cn", "aws-us-gov", "aws"]
    );
}

/// Our own buffers wipe themselves. What is left is in those that the network's layers and `reqsign` have freed: here
/// nobody wipes them, in the package the allocator does.
#[cfg(target_os = "linux")]
#[test]
fn a_look_up_leaves_no_more_of_token_and_secret_key_than_what_libraries_have_freed() {
    use crate::store::testing::{left_by, looked_into};
    const THIS: &str = "store::aws::tests::reading::\
                        a_look_up_leaves_no_more_of_token_and_secret_key_than_what_libraries_have_freed";
    let looked = looked_into(|home| {
        let address = std::fs::read_to_string(format!("{home}/address")).unwrap();
        let settings = AwsSettings { region: Some(REGION.to_owned()), ..AwsSettings::default() };
        let store = store(settings, &[("AWS_ENDPOINT_URL", &address)], Some(home.as_ref()));
        let found = found(&store).unwrap().unwrap();
        (store, found)
    });
    if looked {
        return;
    }
    let server = Server::start();
    let (keys, token) = (server.anyone(), token());
    server.holds(&token);
    server.file("address", &server.address());
    let profile = format!("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n", keys.id, keys.secret);
    server.file(".aws/credentials", &profile);
    let home = server.home.path().display().to_string();
    // The parts of a copy that was read, and of one that was moved while more was read.
    let copies = |count: usize, secret: &str| count * (secret.len() - 11);
    assert!(left_by(THIS, &home, false, &token) <= copies(2, &token));
    // `reqsign` puts `AWS4` before the key, in a text that it frees as it is.
    assert!(left_by(THIS, &home, false, &keys.secret) <= copies(1, &keys.secret));
    assert!(left_by(THIS, &home, true, &token) > 0, "what is there is not seen");
}
