//! Networks and servers that fail: no hang, each try has its own entries, and only reads are tried again.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::world::{World, read, write};
use crate::error::Kind;
use crate::net::NetSettings;
use crate::net::tests::kit::{Ca, Conn, Listener, friendly, listen, listen_tls, settings, trusting};

type Script = fn(Conn);

/// What a server does to a request, where a read may be tried again: a name, and the script.
const BROKEN: [(&str, Script); 9] = [
    ("reset before the request was read", Conn::reset),
    ("end before the request was read", drop),
    ("reset before an answer", |mut conn| {
        conn.request();
        conn.reset();
    }),
    ("end before an answer", |mut conn| drop(conn.request())),
    ("end within the head", |mut conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Le");
    }),
    ("a body shorter than its length", |mut conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[\"the first try's data, cut off somewhere");
    }),
    ("reset within a long body", |mut conn| {
        conn.request();
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n[\"{}", "1".repeat(50_000)));
        std::thread::sleep(Duration::from_millis(50));
        conn.reset();
    }),
    ("garbage for the size of a chunk", |mut conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[\"1\",\r\nEV1L\r\n");
        conn.wait_for_end();
    }),
    ("no HTTP", |mut conn| {
        conn.request();
        conn.send("SSH-2.0-EV1L\r\n");
        conn.wait_for_end();
    }),
];

/// A server that does something to its first connections, and serves the others well.
fn first(number: usize, script: Script) -> Listener {
    listen(move |mut conn| {
        if conn.number < number {
            return script(conn);
        }
        while conn.request().is_some() {
            conn.answer("[\"good\"]");
        }
    })
}

#[tokio::test]
async fn a_read_is_tried_again_after_a_broken_connection_and_nothing_of_the_first_try_is_left() {
    for (what, script) in BROKEN {
        let server = first(1, script);
        let world = World::trying_again(1);
        let answered = world.ask(server.http().as_str(), &read()).await;
        assert_eq!(answered.map_err(|error| format!("{what}: {error:?}")).unwrap(), b"[\"good\"]");
        assert_eq!(server.accepted(), 2, "{what}");
        assert_eq!(world.classes(), ["connection", "ok"], "{what}");
        assert_eq!(world.events.lock().unwrap().len(), 1, "{what}: the person who waits is told");
    }
}

#[tokio::test]
async fn tries_end_after_their_number_with_the_error_of_the_last() {
    for (what, script) in BROKEN {
        let server = first(usize::MAX, script);
        let world = World::trying_again(1);
        let error = world.error(server.http().as_str(), &read()).await;
        assert_eq!(error.kind, Kind::Connection, "{what}");
        assert!(!format!("{error:?}").contains("EV1L"), "{what}");
        assert_eq!(server.accepted(), 2, "{what}");
        assert_eq!(world.classes(), ["connection", "connection"], "{what}");
        assert!(world.log().iter().all(|entry| entry["status"].is_null() || entry["status"] == 200), "{what}");
    }
}

#[tokio::test]
async fn the_pauses_between_tries_grow() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&times);
    let server = listen(move |mut conn| {
        conn.request();
        seen.lock().unwrap().push(Instant::now());
        conn.send("HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    let world = World::trying_again(2);
    assert_eq!(world.error(server.http().as_str(), &read()).await.kind, Kind::Server);
    assert_eq!(world.classes(), ["server"; 3]);
    let times = times.lock().unwrap();
    let pauses: Vec<_> = times.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(pauses.len(), 2);
    assert!(pauses[0] >= Duration::from_millis(250) && pauses[1] > pauses[0].mul_f64(1.5), "{pauses:?}");
}

#[tokio::test]
async fn what_another_try_cannot_help_is_not_tried_again() {
    for (status, body) in [
        (200, "<html>"),
        (302, ""),
        (400, "ERROR: no such field"),
        (401, "ERROR: You do not have permissions to use the API"),
        (403, "ERROR: You do not have permissions to use the API"),
        (403, "<html>blocked</html>"),
        (404, "<html>"),
        (406, "ERROR: not acceptable"),
        (429, ""),
        (501, "ERROR: The requested method is not implemented."),
        (505, ""),
    ] {
        let server = listen(move |mut conn| {
            while conn.request().is_some() {
                conn.send(format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
            }
        });
        let world = World::trying_again(2);
        world.error(server.http().as_str(), &read()).await;
        assert_eq!((server.requests(), world.classes().len()), (1, 1), "{status} {body}");
    }
}

/// One call that has to end at a time-out of 0.3 s.
async fn timed_out(world: &World, uri: &str) -> crate::Error {
    let begin = Instant::now();
    let error = world.error(uri, &read()).await;
    assert_eq!(error.kind, Kind::Timeout);
    assert!(begin.elapsed() < Duration::from_secs(15));
    assert_eq!(world.classes(), ["timeout"]);
    error
}

#[tokio::test]
async fn silence_and_slowness_end_at_the_time_out_and_are_not_tried_again() {
    let slow: [Script; 5] = [
        |mut conn| conn.wait_for_end(),
        |mut conn| {
            conn.request();
            conn.wait_for_end();
        },
        |mut conn| {
            conn.request();
            while conn.send("HTTP/1.1 100 Continue\r\n\r\n") {
                std::thread::sleep(Duration::from_millis(20));
            }
        },
        |mut conn| {
            conn.request();
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n[");
            while conn.send("1") {
                std::thread::sleep(Duration::from_millis(20));
            }
        },
        |mut conn| {
            conn.request();
            conn.send(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n{}\r\n", "[".repeat(128)));
            conn.wait_for_end();
        },
    ];
    for script in slow {
        let server = listen(script);
        let mut world = World::trying_again(2);
        world.ctx.settings.net.timeout = Duration::from_millis(300);
        timed_out(&world, server.http().as_str()).await;
        assert_eq!(server.accepted(), 1);
    }
}

#[tokio::test]
async fn an_error_whose_text_never_ends_or_breaks_off_is_known_by_its_status() {
    let ends: [Script; 2] = [|mut conn| conn.wait_for_end(), Conn::reset];
    for (status, text, kind) in [
        (403, "<html>", Kind::NotRedcap),
        (403, "ERROR: You do not have permissions to use the API", Kind::TokenRefused),
        (400, "ERROR: no such field", Kind::Redcap),
        (307, "", Kind::Redirect),
    ] {
        for end in ends {
            let server = listen(move |mut conn| {
                conn.request();
                conn.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 1000\r\n\r\n{text}"));
                std::thread::sleep(Duration::from_millis(50));
                end(conn);
            });
            let mut world = World::trying_again(2);
            world.ctx.settings.net.timeout = Duration::from_millis(500);
            let begin = Instant::now();
            assert_eq!(world.error(server.http().as_str(), &read()).await.kind, kind, "{status} {text}");
            assert!(begin.elapsed() < Duration::from_secs(15));
            assert_eq!((server.accepted(), world.classes().len()), (1, 1), "{status} {text}");
            assert_eq!(world.log()[1]["status"], status);
        }
    }
}

#[tokio::test]
async fn a_tls_handshake_that_stalls_ends_at_the_time_out_to_connect_and_no_token_was_sent() {
    let server = listen(|mut conn| conn.wait_for_end());
    let mut world = World::trying_again(2);
    world.ctx.settings.net = NetSettings { connect_timeout: Duration::from_millis(300), ..settings() };
    timed_out(&world, server.https("redcap.example").as_str()).await;
    assert_eq!(server.accepted(), 1);
    assert!(world.log()[1]["status"].is_null());
    assert!(!String::from_utf8_lossy(&server.received()).contains(&world.token));
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_an_entry_and_nothing_was_sent() {
    let (ca, other) = (Ca::new(), Ca::named("another"));
    let server = listen_tls(&other.server(&["redcap.example"]), friendly);
    let mut world = World::trying_again(2);
    world.ctx.settings.net = trusting(&ca);
    let project = world.set_up(server.https("redcap.example").as_str());
    for request in [read(), write()] {
        let answered = world.operation(&project).collect(&request, 1000).await;
        let error = answered.expect_err("trusted");
        assert_eq!(error.kind, Kind::Certificate);
        world.assert_sealed(&format!("{error:?}"));
    }
    assert_eq!((server.accepted(), server.received().len()), (2, 0));
    assert_eq!(world.classes(), ["certificate", "certificate"]);
}

#[tokio::test]
async fn each_try_counts_for_the_limiter() {
    let ca = Ca::new();
    let server = listen_tls(&ca.server(&["redcap.example"]), |mut conn| {
        conn.request();
        if conn.number == 0 {
            conn.send("HTTP/1.1 502 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        } else {
            conn.answer("[]");
        }
    });
    let mut world = World::trying_again(2);
    world.ctx.settings.net = trusting(&ca);
    assert_eq!(world.ask(server.https("redcap.example").as_str(), &read()).await.unwrap(), b"[]");
    assert_eq!(world.classes(), ["server", "ok"]);
    let permits = std::fs::read_dir(world.folder.path().join("data/limits")).unwrap();
    let permits = permits.map(|file| file.unwrap().path()).find(|path| path.extension().is_none()).unwrap();
    assert_eq!(std::fs::metadata(permits).unwrap().len(), 2 * 8);
}
