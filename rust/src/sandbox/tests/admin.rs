//! The administrator's pipe.

use serde_json::json;

use super::{Site, field};
use crate::sandbox::{Config, SAMPLES};

#[test]
fn the_first_line_says_that_it_is_not_redcap_and_the_second_where_it_is() {
    let site = Site::start();
    assert!(site.first_line.starts_with("This is not REDCap"));
    let uri = site.ready["redcap_uri"].as_str().unwrap();
    assert!(uri.starts_with("http://127.0.0.1:") && uri.ends_with("/redcap/api/"));
    assert_eq!(field(&site.ready["projects"], "short_name"), ["TEST", "TEST_LONG", "TEST_REPEAT", "TEST_SITES"]);
    assert_eq!(field(&site.ready["projects"], "token_name")[0], "REDCapSync_TEST");
    assert_eq!(field(&site.ready["projects"], "kind"), ["classic", "longitudinal", "repeating", "classic"]);
}

#[test]
fn it_ends_when_its_input_does_and_when_it_is_told_to() {
    assert!(Site::start().close().is_ok());
    let mut site = Site::start();
    assert_eq!(site.try_admin(&json!({"do": "stop", "id": 9})), json!({"ok": true, "id": 9}));
    assert!(site.close().is_ok());
}

#[test]
fn a_new_token_goes_into_a_new_file_of_its_owners_and_nowhere_else() {
    let mut site = Site::start();
    let path = site.path("token");
    let answer = site.admin(json!({"do": "issue", "project": "TEST", "user": "exporter", "to": path}));
    let token = std::fs::read_to_string(&path).unwrap();
    assert_eq!(token.len(), 33);
    assert!(!answer.to_string().contains(token.trim_end()));
    assert_eq!(site.post(&[("token", token.trim_end()), ("content", "version")]).status, 200);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Neither an existing file nor a link is written to, and then nothing has changed.
    let (existing, link) = (site.path("existing"), site.path("link"));
    std::fs::write(&existing, "precious").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(site.path("target"), &link).unwrap();
    for to in [&existing, &link] {
        let answer = site.try_admin(&json!({"do": "regenerate", "project": "TEST", "user": "exporter", "to": to}));
        assert_eq!(answer["ok"], false);
    }
    assert_eq!(std::fs::read_to_string(existing).unwrap(), "precious");
    assert!(!std::path::Path::new(&site.path("target")).exists());
    assert_eq!(site.post(&[("token", token.trim_end()), ("content", "version")]).status, 200);
}

#[test]
fn no_answer_ever_holds_a_token() {
    let mut site = Site::with(Config::default());
    let random = site.token("TEST", "exporter");
    for command in [
        json!({"do": "projects"}),
        json!({"do": "users"}),
        json!({"do": "count"}),
        json!({"do": "issue", "project": "TEST", "user": "importer"}),
        json!({"do": "regenerate", "project": "TEST", "user": "importer"}),
        json!({"do": random}),
        json!({"do": "issue", "project": random, "user": random}),
        json!({"do": "suspend", "user": [random]}),
        json!({"do": "fault", "fault": {"kind": random}}),
        json!({"do": "adopt", "project": "TEST", "user": "admin", "from": random}),
        json!([random]),
    ] {
        let answer = site.try_admin(&command).to_string();
        assert!(!answer.contains(&random), "{command}");
        assert!(SAMPLES.iter().all(|sample| !answer.contains(sample.token)), "{command}");
    }
}

#[test]
fn an_adopted_token_is_one_users_in_one_project_only() {
    let mut site = Site::start();
    let path = site.path("broker");
    std::fs::write(&path, "an/institutions+own=form-of-a-token\n").unwrap();
    let title = |site: &Site| {
        let token = "an/institutions+own=form-of-a-token";
        site.post(&[("token", token), ("content", "project"), ("format", "json")]).json()["project_id"].clone()
    };
    site.admin(json!({"do": "adopt", "project": "TEST", "user": "admin", "from": path}));
    assert_eq!(title(&site), 17);
    // The same token for another project: what a client sees when its project was exchanged.
    site.admin(json!({"do": "adopt", "project": "TEST_LONG", "user": "admin", "from": path}));
    assert_eq!(title(&site), 18);
    let device = site.try_admin(&json!({"do": "adopt", "project": "TEST", "user": "admin", "from": "/dev/zero"}));
    assert!(device["error"].as_str().unwrap().contains("no ordinary file"), "{device}");
    for bad in ["", "too short", "with a blank in the middle of it", &"x".repeat(600)] {
        std::fs::write(&path, bad).unwrap();
        let answer = site.try_admin(&json!({"do": "adopt", "project": "TEST", "user": "admin", "from": path}));
        assert_eq!(answer["ok"], false, "{bad}");
    }
}

#[test]
fn commands_that_make_no_sense_are_refused_with_a_reason() {
    let mut site = Site::start();
    for (command, reason) in [
        (json!({"do": "nonsense"}), "there are `projects`"),
        (json!({"no": "do"}), "no such command"),
        (json!("do"), "no such command"),
        (json!({"do": "fault", "fault": {"kind": "nonsense"}}), "no such fault"),
        (json!({"do": "fault", "fault": {"kind": "html", "status": "many"}}), "these details"),
        (json!({"do": "fault", "fault": {"kind": "latency"}}), "lacks the detail `ms`"),
        (json!({"do": "revoke", "user": "admin"}), "lacks `project`"),
        (json!({"do": "revoke", "project": "TEST", "user": "admin"}), "has no token"),
        (json!({"do": "regenerate", "project": "TEST", "user": "admin"}), "`issue` makes one"),
        (json!({"do": "issue", "project": "NONE", "user": "admin"}), "no such project"),
        (json!({"do": "issue", "project": "TEST", "user": "nobody"}), "no such user"),
        (json!({"do": "suspend", "user": "nobody"}), "no such user"),
        (json!({"do": "fault", "fault": {"kind": "ban"}, "times": 0}), "1 at least"),
        (json!({"do": "fault", "fault": {"kind": "reset_before_body"}, "content": "version"}), "cannot know"),
        (json!({"do": "issue", "project": "TEST", "user": "site_a"}), "no such user"),
        (json!({"do": "set_rights", "project": "TEST", "user": "site_a"}), "no such user"),
        (json!({"do": "set_rights", "project": "TEST", "user": "editor", "rights": {"desing": 1}}), "no such right"),
        (
            json!({"do": "set_rights", "project": "TEST", "user": "editor", "rights": {"design": {"health": 1}}}),
            "one code",
        ),
        (json!({"do": "set_rights", "project": "TEST", "user": "editor", "rights": {"forms": {"none": 1}}}), "no form"),
        (json!({"do": "set_rights", "project": "TEST", "user": "editor", "group": "site_a"}), "no such group"),
        (json!({"do": "set_rights", "project": "TEST", "user": "editor", "role": "U-5S1TEREAD7"}), "no such role"),
        (json!({"do": "set_rights", "project": "TEST", "user": "editor", "expiration": "31.1.2027"}), "is a day"),
        (json!({"do": "set_version", "version": "new"}), "three numbers"),
        (json!({"do": "adopt", "project": "TEST", "user": "admin", "from": "/nowhere/at/all"}), "cannot be read"),
    ] {
        let answer = site.try_admin(&command);
        assert_eq!(answer["ok"], false, "{command}");
        assert!(answer["error"].as_str().unwrap().contains(reason), "{command}: {answer}");
        for word in ["JSON", "field", "expected", "line", "null"] {
            assert!(!answer["error"].as_str().unwrap().contains(word), "{command}: {answer}");
        }
    }
    site.admin(json!({"do": "issue", "project": "TEST", "user": "admin"}));
    let twice = site.try_admin(&json!({"do": "issue", "project": "TEST", "user": "admin"}));
    assert!(twice["error"].as_str().unwrap().contains("has a token"));
}

#[test]
fn requests_are_counted_by_content_answer_and_connection() {
    let mut site = Site::start();
    let token = site.token("TEST", "admin");
    site.post(&[("token", &token), ("content", "version")]);
    site.post(&[("token", &token), ("content", "version")]);
    site.post(&[("content", "project")]);
    site.post(&[("token", "x"), ("content", "not a \"word\"")]);
    let counts = site.admin(json!({"do": "count", "reset": true}));
    assert_eq!((&counts["total"], &counts["with_token"], &counts["connections"]), (&json!(4), &json!(3), &json!(4)));
    assert_eq!(counts["contents"], json!({"other": 1, "project": 1, "version": 2}));
    assert_eq!(counts["statuses"], json!({"200": 2, "403": 2}));
    assert_eq!(site.admin(json!({"do": "count"}))["total"], 0);
}

#[test]
fn users_are_listed_with_the_projects_of_their_tokens() {
    let mut site = Site::start();
    site.token("TEST_LONG", "exporter");
    site.admin(json!({"do": "suspend", "user": "exporter"}));
    let users = site.admin(json!({"do": "users"}));
    let exporter = users["users"].as_array().unwrap().iter().find(|user| user["user"] == "exporter").unwrap();
    assert_eq!(exporter["has_token_in"], json!(["TEST_LONG"]));
    assert_eq!(exporter["suspended"], true);
    assert_eq!(site.admin(json!({"do": "projects"}))["projects"], site.ready["projects"]);
}

#[test]
fn a_reset_brings_the_beginning_back() {
    let mut site = Site::with(Config::default());
    let sample = &SAMPLES[0];
    let version = [("token", sample.token), ("content", "version")];
    site.admin(json!({"do": "revoke", "project": sample.short_name, "user": sample.user}));
    site.admin(json!({"do": "fault", "fault": {"kind": "ban"}}));
    assert_eq!(site.post(&version).status, 403);
    site.admin(json!({"do": "reset"}));
    assert_eq!(site.post(&version).status, 200);
    assert_eq!(site.admin(json!({"do": "count"}))["total"], 1);
}
