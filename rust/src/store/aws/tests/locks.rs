//! What the environment may not say: where the site locks it, and which program runs.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::super::*;
use super::kit::*;
use crate::store::keep::states;
use crate::store::testing::{block_on, ctx};

const KEYS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "a-secret-of-a-test"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// Where a store would ask: the server's address, and the region.
fn place(store: &AwsStore) -> Option<(String, String)> {
    let place = block_on(store.place()).unwrap()?;
    Some((place.server.as_str().to_owned(), place.region))
}

#[test]
fn what_is_locked_neither_a_variable_nor_a_profile_outranks() {
    let home = tempfile::tempdir().unwrap();
    own_file(
        &home.path().join(".aws/config"),
        "[default]\nregion = us-east-2\nendpoint_url = https://profile.example.org\n",
    );
    // Where all is locked, the variables give no keys either.
    own_file(
        &home.path().join(".aws/credentials"),
        "[default]\naws_access_key_id = AKIAMINE\naws_secret_access_key = a-secret-of-a-test\n",
    );
    let settings = || AwsSettings { region: Some(REGION.to_owned()), ..AwsSettings::default() };
    let at = |names: &[&str], settings: AwsSettings, more: &[(&str, &str)]| {
        place(&locked(names, settings, &[&KEYS[..], more].concat(), Some(home.path())))
    };
    let own = format!("https://secretsmanager.{REGION}.amazonaws.com");
    let address = |names: &[&str], more: &[(&str, &str)]| at(names, settings(), more).unwrap().0;
    // The address: by a variable, and by the profile.
    let variables = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER"];
    for names in [&["aws.endpoint"][..], &["aws"]] {
        for variable in variables {
            let set = [(variable, "https://evil.example.org")];
            assert!(address(&[], &set).starts_with("https://evil.example.org"), "the control");
            assert!(address(names, &set).starts_with(&own), "{names:?} {variable}");
        }
        assert!(address(&[], &[]).starts_with("https://profile.example.org"), "the control");
        assert!(address(names, &[]).starts_with(&own), "{names:?}");
    }
    // The region: what is locked and not said is not there.
    let region = |names: &[&str], more: &[(&str, &str)]| at(names, AwsSettings::default(), more).map(|at| at.1);
    for names in [&["aws.region"][..], &["aws"]] {
        for variable in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            assert_eq!(region(&[], &[(variable, "cn-north-1")]).as_deref(), Some("cn-north-1"));
            assert_eq!(region(names, &[(variable, "cn-north-1")]), None, "{names:?} {variable}");
        }
        assert_eq!(region(&[], &[]).as_deref(), Some("us-east-2"));
        assert_eq!(region(names, &[]), None, "{names:?}");
    }
    // Another lock, or one of another setting, changes nothing.
    assert!(address(&["aws.region", "aws.name"], &[("AWS_ENDPOINT_URL", "https://evil.example.org")]).contains("evil"));
}

#[test]
fn a_locked_profile_is_read_from_the_users_own_files() {
    let home = tempfile::tempdir().unwrap();
    let keys = |id: &str| format!("aws_access_key_id = {id}\naws_secret_access_key = a-secret-of-a-test\n");
    let mine = format!("[default]\n{}[other]\n{}", keys("AKIAMINE"), keys("AKIAOTHER"));
    own_file(&home.path().join(".aws/credentials"), &mine);
    let evil = own_file(&home.path().join("evil"), &format!("[default]\n{}", keys("AKIAEVIL")));
    let who = |names: &[&str], set: (&str, &str)| {
        let settings = AwsSettings { region: Some(REGION.to_owned()), ..AwsSettings::default() };
        let store = locked(names, settings, &[KEYS[2], set], Some(home.path()));
        let place = block_on(store.place()).unwrap().unwrap();
        place.identity.credential().access_key_id.clone()
    };
    let evil = evil.display().to_string();
    for (variable, value, id) in [
        ("AWS_PROFILE", "other", "AKIAOTHER"),
        ("AWS_DEFAULT_PROFILE", "other", "AKIAOTHER"),
        ("AWS_SHARED_CREDENTIALS_FILE", evil.as_str(), "AKIAEVIL"),
    ] {
        assert_eq!(who(&[], (variable, value)), id);
        for lock in ["aws.profile", "aws"] {
            assert_eq!(who(&[lock], (variable, value)), "AKIAMINE", "{lock} {variable}");
        }
    }
}

/// What the environment says of who asks, in each of the ways that the chain knows.
#[test]
fn where_the_profile_is_locked_no_variable_says_who_asks() {
    let home = tempfile::tempdir().unwrap();
    let platform = Scripted::start(|_| {
        let soon = "2099-01-01T00:00:00Z";
        let given = json!({"AccessKeyId": "AKIAEVIL", "SecretAccessKey": "a-secret-of-a-test", "Token": "t",
                           "Expiration": soon, "Code": "Success"});
        (200, given.to_string())
    });
    let (container, jwt) = (format!("{}/role", platform.address()), own_file(&home.path().join("jwt"), "a-token"));
    let (jwt, sts) = (jwt.display().to_string(), platform.address());
    let keys = [("AWS_ACCESS_KEY_ID", "AKIAEVIL"), ("AWS_SECRET_ACCESS_KEY", "a-secret-of-a-test")];
    let role = [
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/evil"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", jwt.as_str()),
        ("AWS_ENDPOINT_URL_STS", sts.as_str()),
    ];
    let container = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.as_str())];
    let at = |locks: &[&str], set: &[(&str, &str)]| {
        let settings = AwsSettings { region: Some(REGION.to_owned()), ..AwsSettings::default() };
        locked(locks, settings, &[&[KEYS[2]], set].concat(), Some(home.path()))
    };
    for set in [&keys[..], &role, &container] {
        for locks in [&["aws.profile"][..], &["aws"]] {
            let before = platform.asked().len();
            let store = at(locks, set);
            let Err(error) = block_on(store.place()) else { panic!("{locks:?}: {}", set[0].0) };
            assert!(error.hints.iter().any(|hint| hint.contains("has locked `aws.profile`")), "{error:?}");
            assert_eq!(platform.asked().len(), before, "{locks:?}: {}", set[0].0);
        }
        // The control: there, each of them is used.
        let used = match block_on(at(&["aws.region"], set).place()) {
            Ok(place) => place.unwrap().identity.credential().access_key_id == "AKIAEVIL",
            Err(error) => !error.hints.iter().any(|hint| hint.contains("has locked")) && !platform.asked().is_empty(),
        };
        assert!(used, "{}", set[0].0);
    }
    // The user's own profile, and what is asked of an instance where it is known to be.
    let mine = "[default]\naws_access_key_id = AKIAMINE\naws_secret_access_key = a-secret-of-a-test\n";
    own_file(&home.path().join(".aws/credentials"), mine);
    for set in [&keys[..], &role, &container] {
        let store = at(&["aws"], set);
        assert_eq!(block_on(store.place()).unwrap().unwrap().identity.credential().access_key_id, "AKIAMINE");
    }
    let locks = Locks::of(&Settings { locked: vec!["aws.profile".to_owned()], ..Settings::default() });
    assert!(WHO_ASKS.iter().all(|name| locks.outrank(name)) && !locks.outrank("AWS_REGION"));
    assert!(!locks.outrank("AWS_EC2_METADATA_DISABLED"));
}

#[test]
fn where_the_authorities_are_locked_no_variable_of_awss_names_others() {
    let bundle = || Some(PathBuf::from("/evil.pem"));
    let of = |names: &[&str]| {
        let locked = names.iter().map(|name| (*name).to_owned()).collect();
        let settings = Settings { locked, ..Settings::default() };
        ca_file(&settings, &Locks::of(&settings), bundle())
    };
    assert_eq!(of(&[]), bundle());
    assert_eq!(of(&["aws.region"]), bundle());
    assert_eq!((of(&["ca_file"]), of(&["aws"])), (None, None));
}

#[test]
fn no_variable_says_where_a_locked_store_logs_in() {
    let locks = Locks::of(&Settings { locked: vec!["aws.endpoint".to_owned()], ..Settings::default() });
    assert!(locks.outrank("AWS_ENDPOINT_URL_STS") && locks.outrank("AWS_ENDPOINT_URL_SSO"));
    assert!(VARIABLES.iter().filter(|name| name.contains("ENDPOINT")).all(|name| locks.outrank(name)));
    assert!(VARIABLES.iter().all(|name| !Locks::default().outrank(name)));
}

/// A program that gives credentials and leaves a trace, and the line that names it.
fn program(home: &std::path::Path) -> (PathBuf, String) {
    let ran = home.join("ran");
    let answer = json!({"Version": 1, "AccessKeyId": "AKIAPROGRAM", "SecretAccessKey": "a-secret-of-a-test"});
    let script = own_file(&home.join("program"), &format!("#!/bin/sh\ntouch '{}'\necho '{answer}'\n", ran.display()));
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    (ran, format!("[default]\ncredential_process = {}\n", script.display()))
}

#[test]
fn a_program_is_run_from_the_users_own_files_and_from_none_that_a_variable_names() {
    for (variable, name) in [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")] {
        let home = tempfile::tempdir().unwrap();
        let (ran, lines) = program(home.path());
        let named = own_file(&home.path().join("named"), &lines);
        let of = |set: &[(&str, &str)]| {
            let settings = AwsSettings { region: Some(REGION.to_owned()), ..AwsSettings::default() };
            store(settings, &[&[KEYS[2]], set].concat(), Some(home.path()))
        };
        let error = fails(&of(&[(variable, &named.display().to_string())]), "login");
        assert!(error.message.contains(&format!("`{variable}`")) && error.message.ends_with("not run"), "{error:?}");
        assert!(!ran.exists(), "{variable}");
        // The user's own, whether a variable says so or not.
        let own = own_file(&home.path().join(".aws").join(name), &lines).display().to_string();
        for set in [&[(variable, own.as_str())][..], &[]] {
            let store = of(set);
            assert_eq!(block_on(store.place()).unwrap().unwrap().identity.credential().access_key_id, "AKIAPROGRAM");
            std::fs::remove_file(&ran).unwrap();
        }
    }
}

#[test]
fn a_store_that_is_not_in_the_order_logs_in_nowhere_and_runs_nothing_to_say_what_it_is() {
    let home = tempfile::tempdir().unwrap();
    let (ran, lines) = program(home.path());
    own_file(&home.path().join(".aws/config"), &lines);
    let service = Scripted::start(|_| (503, String::new()));
    let address = service.address();
    let store = store(
        AwsSettings::default(),
        &[("AWS_REGION", REGION), ("AWS_ENDPOINT_URL", &address), KEYS[2]],
        Some(home.path()),
    );
    let state = |order: &[&str]| {
        let mut ctx = ctx();
        ctx.settings.order = order.iter().map(|name| (*name).to_owned()).collect();
        ctx.env.aws.clone_from(&store.entrance);
        block_on(states(&ctx)).into_iter().find(|(name, _)| *name == NAME).unwrap().1
    };
    assert!(matches!(state(&["env"]).unwrap().reach, Reach::NotAsked(_)));
    assert!(!ran.exists() && service.asked().is_empty());
    // The control.
    state(&["env", "aws"]).unwrap_err();
    assert!(ran.exists());
}
