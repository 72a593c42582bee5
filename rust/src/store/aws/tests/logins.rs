//! The chain of credentials, link by link: against moto what it plays, against a server of the test's own what only a
//! machine of AWS's has.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::super::*;
use super::kit::*;
use crate::store::aws::chain::kept_in;
use crate::store::testing::no_trace;

const READ: &str = "secretsmanager:GetSecretValue";

/// A time that no test lives to see.
const LATER: &str = "2099-01-01T00:00:00Z";

#[test]
fn the_environment_gives_keys_and_session_tokens_and_goes_before_all_but_a_profile_of_the_settings() {
    let server = Server::start();
    let token = token();
    server.holds(&token);
    let (keys, session) = server.for_a_while(&server.role("reader", &[READ]));
    let set = |session: &str| {
        let (id, secret, session) = (keys.id.clone(), keys.secret.clone(), session.to_owned());
        move |server: &Server| {
            let set = [
                ("AWS_ACCESS_KEY_ID", id.as_str()),
                ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
                ("AWS_SESSION_TOKEN", session.as_str()),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"),
                ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/nobody"),
            ];
            server.with(&set, |_| {})
        }
    };
    finds(&set(&session)(&server), &token);
    fails(&set("not-that-session-token")(&server), "login");

    let half = server.with(&[("AWS_ACCESS_KEY_ID", &keys.id)], |_| {});
    assert!(fails(&half, "login").message.contains("`AWS_SECRET_ACCESS_KEY` is not"));

    // The profile that settings name is meant, whatever stands in the environment.
    let user = server.anyone();
    server.file(
        ".aws/credentials",
        &format!("[lab]\naws_access_key_id={}\naws_secret_access_key={}\n", user.id, user.secret),
    );
    let strangers = [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "somebody-elses-key")];
    finds(&server.with(&strangers, |settings| settings.profile = Some("lab".to_owned())), &token);
    let named = [&strangers[..], &[("AWS_PROFILE", "lab")]].concat();
    fails(&server.with(&named, |_| {}), "login");
}

#[test]
fn a_profile_gives_keys_and_region_from_both_files_and_a_wrong_one_is_told() {
    let server = Server::start();
    let (token, keys) = (token(), server.anyone());
    server.holds(&token);
    let members = format!("aws_access_key_id = {}\naws_secret_access_key = {}\n", keys.id, keys.secret);
    server.file(".aws/config", &format!("[default]\nregion = {REGION}\n[profile work]\nregion = {REGION}\n{members}"));
    let credentials = server.file(".aws/credentials", &format!("[default]\n{members}"));
    let no_region = |settings: &mut AwsSettings| settings.region = None;
    finds(&server.with(&[], no_region), &token);
    finds(&server.with(&[("AWS_PROFILE", "work")], no_region), &token);
    finds(&server.with(&[("AWS_DEFAULT_PROFILE", "work")], no_region), &token);
    let error = fails(&server.with(&[("AWS_PROFILE", "elsewhere")], |_| {}), "login");
    assert!(error.message.contains("`elsewhere`"), "{}", error.message);
    // A name that may be a token is not repeated.
    let odd = fails(&server.with(&[("AWS_PROFILE", &token)], |_| {}), "login");
    no_trace(&token, &format!("{odd:?}"));

    let moved = server.file("elsewhere/keys", &format!("[default]\n{members}"));
    std::fs::remove_file(&credentials).unwrap();
    finds(&server.with(&[("AWS_SHARED_CREDENTIALS_FILE", "~/elsewhere/keys")], |_| {}), &token);
    // What everybody may read is no place for keys.
    std::fs::set_permissions(&moved, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = server.with(&[("AWS_SHARED_CREDENTIALS_FILE", &moved.display().to_string())], |_| {});
    assert!(fails(&open, "login").message.contains("keys"));
    server.file(".aws/credentials", "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n");
    assert!(fails(&server.with(&[], |_| {}), "login").message.contains("not whole"));
}

#[test]
fn a_role_is_taken_with_the_keys_of_another_profile_and_with_its_own() {
    let server = Server::start();
    let token = token();
    server.holds(&token);
    let user = server.user("user", &["sts:AssumeRole"]);
    let role = server.role("reader", &[READ]);
    let keys = format!("aws_access_key_id = {}\naws_secret_access_key = {}\n", user.id, user.secret);
    server.file(".aws/credentials", &format!("[base]\n{keys}[self]\n{keys}"));
    server.file(
        ".aws/config",
        &format!(
            "[profile role]\nrole_arn = {role}\nsource_profile = base\nexternal_id = 42\nrole_session_name = test\n\
             [profile self]\nrole_arn = {role}\nsource_profile = self\n\
             [profile chain]\nrole_arn = {role}\nsource_profile = round\n\
             [profile round]\nrole_arn = {role}\nsource_profile = chain\n\
             [profile device]\nrole_arn = {role}\nsource_profile = base\nmfa_serial = x\n\
             [profile nothing]\nrole_arn = {role}\ncredential_source = Environment\n\
             [profile base]\n"
        ),
    );
    let of = |profile: &str| server.with(&[("AWS_PROFILE", profile)], |_| {});
    finds(&of("role"), &token);
    finds(&of("self"), &token);
    // Without the role, that user may do nothing here.
    fails(&of("base"), "denied");
    for (profile, said) in [("chain", "each other"), ("device", "code of a device"), ("nothing", "not there")] {
        assert!(fails(&of(profile), "login").message.contains(said), "{profile}");
    }
    server.file(
        ".aws/credentials",
        "[base]\naws_access_key_id=AKIAIOSFODNN7EXAMPLE\naws_secret_access_key=a-wrong-key\n",
    );
    let error = fails(&of("role"), "login");
    assert!(error.message.contains("was refused with status 403"), "{}", error.message);
    assert!(error.hints.iter().any(|hint| hint.contains("sts:AssumeRole")), "{:?}", error.hints);
}

#[test]
fn a_web_identity_is_exchanged_for_a_role_from_variables_and_from_a_profile() {
    let server = Server::start();
    let token = token();
    server.holds(&token);
    let role = server.role("pod", &[READ]);
    let file = server.file("identity", "a.web.identity-token-of-a-test\n").display().to_string();
    let set = [("AWS_ROLE_ARN", role.as_str()), ("AWS_WEB_IDENTITY_TOKEN_FILE", file.as_str())];
    server.lets_one_pass();
    finds(&server.with(&set, |_| {}), &token);
    server.file(".aws/config", &format!("[profile pod]\nrole_arn = {role}\nweb_identity_token_file = {file}\n"));
    server.lets_one_pass();
    finds(&server.with(&[("AWS_PROFILE", "pod")], |_| {}), &token);

    let nowhere = [("AWS_ROLE_ARN", role.as_str()), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/identity")];
    assert!(fails(&server.with(&nowhere, |_| {}), "login").message.contains("`/nowhere/identity`"));
    let sts = Scripted::start(|_| {
        (403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>".to_owned())
    });
    let address = sts.address();
    let refused = [&set[..], &[("AWS_ENDPOINT_URL_STS", address.as_str())]].concat();
    let error = fails(&server.with(&refused, |_| {}), "login");
    assert!(error.hints[0].contains("trust the issuer"), "{:?}", error.hints);
    assert!(!format!("{error:?}").contains("identity-token-of-a-test"));
    assert!(sts.asked()[0].contains("WebIdentityToken=a.web.identity-token-of-a-test"));
}

/// Answers with these keys, and what else such answers have.
fn keys_as_json(keys: &Keys, session: &str) -> String {
    json!({"Code": "Success", "AccessKeyId": keys.id, "SecretAccessKey": keys.secret, "Token": session,
        "Expiration": LATER, "RoleArn": "arn:aws:iam::123456789012:role/reader", "LastUpdated": "2026-01-01T00:00:00Z"})
    .to_string()
}

#[test]
fn a_container_gives_the_keys_of_its_role_for_its_token() {
    let server = Server::start();
    let token = token();
    server.holds(&token);
    let (keys, session) = server.for_a_while(&server.role("task", &[READ]));
    let reply = keys_as_json(&keys, &session);
    let agent = Scripted::start(move |request| {
        let allowed = request.to_ascii_lowercase().contains("authorization: bearer-of-a-test\r\n");
        if allowed { (200, reply.clone()) } else { (401, "no".to_owned()) }
    });
    let address = format!("{}/v1/credentials", agent.address());
    let full = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", address.as_str());
    finds(&server.with(&[full, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "bearer-of-a-test")], |_| {}), &token);
    let file = server.file("bearer", "bearer-of-a-test\n").display().to_string();
    finds(&server.with(&[full, ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file)], |_| {}), &token);
    assert!(agent.asked()[0].starts_with("GET /v1/credentials "));
    let error = fails(&server.with(&[full, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "another-bearer")], |_| {}), "login");
    assert!(error.message.contains("status 401"), "{}", error.message);
    // In clear to nobody but this machine and the addresses of clouds.
    let far = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://credentials.example.org/")];
    assert!(fails(&server.with(&far, |_| {}), "login").message.contains("not safe"));
}

#[test]
fn an_instance_gives_the_keys_of_its_role_and_a_machine_that_is_none_has_no_credentials() {
    let server = Server::start();
    let token = token();
    server.holds(&token);
    let (keys, session) = server.for_a_while(&server.role("machine", &[READ]));
    let reply = keys_as_json(&keys, &session);
    let metadata = Scripted::start(move |request| {
        let with_token = request.to_ascii_lowercase().contains("x-aws-ec2-metadata-token: of-the-instance\r\n");
        match request.split(' ').nth(1).unwrap() {
            "/latest/api/token" if request.starts_with("PUT ") => (200, "of-the-instance".to_owned()),
            "/latest/meta-data/iam/security-credentials/" if with_token => (200, "machine".to_owned()),
            "/latest/meta-data/iam/security-credentials/machine" if with_token => (200, reply.clone()),
            _ => (401, String::new()),
        }
    });
    let at = |address: &str| {
        let set = [("AWS_EC2_METADATA_DISABLED", "false"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", address)];
        server.with(&set, |_| {})
    };
    finds(&at(&metadata.address()), &token);
    assert_eq!(metadata.asked().len(), 3);

    let roleless =
        Scripted::start(
            |request| if request.starts_with("PUT ") { (200, "t".to_owned()) } else { (404, String::new()) },
        );
    let error = fails(&at(&roleless.address()), "login");
    assert!(error.message.contains("no credentials"), "{}", error.message);
    assert!(error.hints[0].contains("aws sso login"), "{:?}", error.hints);
    let failing = Scripted::start(|_| (500, String::new()));
    fails(&at(&failing.address()), "failed");
    fails(&at("http://127.0.0.1:9"), "login");
    let asked = metadata.asked().len();
    let off = [("AWS_EC2_METADATA_DISABLED", "TRUE"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.address())];
    fails(&server.with(&off, |_| {}), "login");
    assert_eq!(metadata.asked().len(), asked);
}

#[test]
fn a_login_to_the_identity_centre_is_used_as_long_as_it_lasts() {
    let server = Server::start();
    let token = token();
    server.holds(&token);
    let (keys, session) = server.for_a_while(&server.role("person", &[READ]));
    let reply = json!({"roleCredentials": {"accessKeyId": keys.id, "secretAccessKey": keys.secret,
        "sessionToken": session, "expiration": 4_070_908_800_000_i64}})
    .to_string();
    let portal = Scripted::start(move |request| {
        let allowed = request.to_ascii_lowercase().contains("x-amz-sso_bearer_token: login-of-a-test\r\n");
        if allowed { (200, reply.clone()) } else { (401, "{}".to_owned()) }
    });
    let address = portal.address();
    server.file(
        ".aws/config",
        "[profile new]\nsso_session = us\nsso_account_id = 123456789012\nsso_role_name = Reader\n\
         [sso-session us]\nsso_start_url = https://x.awsapps.com/start\nsso_region = eu-west-1\n\
         [profile old]\nsso_start_url = https://y.awsapps.com/start\nsso_region = eu-west-1\n\
         sso_account_id = 123456789012\nsso_role_name = Reader\n\
         [profile half]\nsso_session = gone\nsso_account_id = 123456789012\nsso_role_name = Reader\n",
    );
    let of = |profile: &str| server.with(&[("AWS_PROFILE", profile), ("AWS_ENDPOINT_URL_SSO", &address)], |_| {});
    let login = |under: &str, token: &str, until: &str| {
        let kept = kept_in(server.home.path(), under);
        own_file(&kept, &json!({"accessToken": token, "expiresAt": until, "region": "eu-west-1"}).to_string())
    };
    for (profile, under) in [("new", "us"), ("old", "https://y.awsapps.com/start")] {
        let error = fails(&of(profile), "login");
        assert!(error.message.contains("nobody has logged in yet"), "{}", error.message);
        login(under, "login-of-a-test", LATER);
        finds(&of(profile), &token);
        login(under, "login-of-a-test", "2020-01-01T00:00:00Z");
        let error = fails(&of(profile), "expired");
        assert!(error.hints[0].contains(&format!("`aws sso login --profile {profile}`")), "{:?}", error.hints);
        login(under, "another-login", LATER);
        assert!(!format!("{:?}", fails(&of(profile), "expired")).contains("another-login"));
    }
    let asked = &portal.asked()[0];
    assert!(asked.starts_with("GET /federation/credentials?"), "{asked}");
    assert!(asked.contains("role_name=Reader") && asked.contains("account_id=123456789012"), "{asked}");
    assert!(fails(&of("half"), "login").hints[0].contains("aws configure sso"));
}

#[test]
fn a_program_gives_keys_and_what_else_it_says_is_not_shown() {
    let server = Server::start();
    let (token, keys) = (token(), server.anyone());
    server.holds(&token);
    let answer = json!({"Version": 1, "AccessKeyId": keys.id, "SecretAccessKey": keys.secret, "Expiration": LATER});
    let good = server.file("a folder/good", &format!("#!/bin/sh\n[ \"$1\" = 'two words' ] && echo '{answer}'\n"));
    let bad = server.file("bad", &format!("#!/bin/sh\necho '{answer}'; echo {} >&2; exit 3\n", keys.secret));
    for program in [&good, &bad] {
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    server.file(
        ".aws/config",
        &format!(
            "[profile good]\ncredential_process = \"{}\" 'two words'\n[profile bad]\ncredential_process = {}\n\
             [profile none]\ncredential_process = /nowhere/program\n[profile empty]\ncredential_process = true\n",
            good.display(),
            bad.display()
        ),
    );
    let of = |profile: &str| server.with(&[("AWS_PROFILE", profile)], |_| {});
    finds(&of("good"), &token);
    let error = fails(&of("bad"), "login");
    assert!(error.message.contains("ended with status 3"), "{}", error.message);
    assert!(!format!("{error:?}").contains(&keys.secret));
    assert!(fails(&of("none"), "login").message.contains("is not on this machine"));
    fails(&of("empty"), "login");
}
