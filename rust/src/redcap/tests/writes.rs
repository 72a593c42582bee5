//! A request that changes data goes out once. When nobody can know what became of it, that is what is said.

use std::time::Duration;

use super::world::{World, write};
use crate::error::Kind;
use crate::net::tests::kit::{Conn, listen};
use crate::redcap::request::{Expect, Request, Upload};

type Script = fn(Conn);

/// The kind of error that a write to a server ends in. It was sent once.
async fn kind_of(what: &str, script: impl Fn(Conn) + Send + Sync + 'static) -> Kind {
    let server = listen(script);
    let mut world = World::trying_again(2);
    world.ctx.settings.net.timeout = Duration::from_millis(800);
    let error = world.error(server.http().as_str(), &write()).await;
    assert!(server.accepted() == 1 && server.requests() <= 1, "{what}: sent again");
    assert_eq!(world.classes(), [error.kind.as_str()], "{what}");
    error.kind
}

#[tokio::test]
async fn an_import_that_broke_off_is_of_unknown_outcome_and_not_sent_again() {
    let scripts: [(&str, Script); 6] = [
        ("reset", |mut conn| {
            conn.request();
            conn.reset();
        }),
        ("end", |mut conn| drop(conn.request())),
        ("no answer", |mut conn| {
            conn.request();
            conn.wait_for_end();
        }),
        ("cut off", |mut conn| {
            conn.request();
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[\"1\"");
        }),
        ("garbage", |mut conn| {
            conn.request();
            conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
        }),
        ("no HTTP", |mut conn| {
            conn.request();
            conn.send("nonsense\r\n\r\n");
        }),
    ];
    for (what, script) in scripts {
        assert_eq!(kind_of(what, script).await, Kind::OutcomeUnknown, "{what}");
    }
}

#[tokio::test]
async fn an_import_that_failed_on_the_way_back_is_of_unknown_outcome_and_what_redcap_refused_is_not() {
    let refused = "ERROR: You do not have API Import/Update privileges";
    for (status, body, kind) in [
        (408, "", Kind::OutcomeUnknown),
        (500, "<html>", Kind::OutcomeUnknown),
        (500, "ERROR: something broke", Kind::OutcomeUnknown),
        (502, "<html>", Kind::OutcomeUnknown),
        (503, "", Kind::OutcomeUnknown),
        (504, "<html>", Kind::OutcomeUnknown),
        // It ran out of memory in the midst of it, or another page came in between.
        (200, "<br><b>Fatal</b> Allowed memory size of 1 bytes", Kind::OutcomeUnknown),
        (200, "<html>", Kind::OutcomeUnknown),
        (200, "", Kind::OutcomeUnknown),
        (200, "ERROR: There were errors in the data", Kind::Redcap),
        (400, "ERROR: There were errors in the data", Kind::Redcap),
        (403, refused, Kind::Redcap),
        (403, "ERROR: You do not have permissions to use the API", Kind::TokenRefused),
        (403, "<html>", Kind::NotRedcap),
        (404, "<html>", Kind::NotRedcap),
        (302, "", Kind::Redirect),
    ] {
        let what = format!("{status} {body}");
        let script = move |mut conn: Conn| {
            while conn.request().is_some() {
                conn.send(format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
            }
        };
        assert_eq!(kind_of(&what, script).await, kind, "{what}");
    }
}

#[tokio::test]
async fn an_import_that_never_left_has_a_known_outcome_and_is_not_sent_again_either() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = World::trying_again(2);
    let error = world.error(&format!("http://{free}/api/"), &write()).await;
    assert_eq!(error.kind, Kind::Connection);
    assert_eq!(world.classes(), ["connection"]);
}

#[tokio::test]
async fn the_token_in_any_text_of_a_request_is_not_sent_as_data() {
    let server = listen(|mut conn| drop(conn.request()));
    let world = World::new();
    let token = world.token.to_lowercase();
    let within = format!("record_id,note\n1,\"my token: {token}.\"\n");
    let import = |data: &str| Request::import("record", "csv").with("data", data);
    let mut uploaded = Request::new("file", Some("import"), Expect::Text, true).with("record", "1");
    uploaded.attach(Upload::new(&*world.ctx.random, "a.txt", within.clone()).unwrap());
    let read = || Request::read("record", Expect::Csv);
    let mut count = 0;
    for (request, argument) in [
        (import(&within), "data"),
        (import(&token), "data"),
        (read().with("filterLogic", format!("[a] = '{token}'")), "filterLogic"),
        (read().with("records", vec!["1".to_owned(), within.clone()]), "records"),
        (uploaded, "file"),
        // Even where nothing but names is asked for, none of it goes into the log.
        (read().with(format!("x{token}"), "1"), "x[token]"),
        (Request::new(format!("x{token}"), None::<&str>, Expect::Text, true), "content"),
    ] {
        let error = world.error(server.http().as_str(), &request).await;
        assert_eq!(error.kind, Kind::TokenInArgument, "{argument}");
        assert_eq!(error.message, format!("`{argument}` contains this project's token, and nothing was sent"));
        assert_eq!(error.fields, [("argument".to_owned(), argument.into())]);
        count += 1;
        let log = world.log();
        assert_eq!(
            (world.phases(), log[count - 1]["reason"].as_str()),
            (vec!["refused".to_owned(); count], Some("token_in_argument"))
        );
    }
    assert_eq!(server.accepted(), 0);
    // Half of it is no token.
    let _ = world.ask(server.http().as_str(), &import(&token[..20])).await;
    assert_eq!(server.requests(), 1);
}
