//! What is sent, and what comes back.

use std::sync::Mutex;
use std::sync::mpsc;

use super::kit::*;

#[test]
fn the_body_goes_out_once_byte_for_byte_with_its_length_and_nothing_that_tells_more_than_it_must() {
    let server = listen(friendly);
    let bytes: Vec<u8> = (0..300_000_u32).map(|number| (number * 7 % 256) as u8).collect();
    let client = net().client(&settings()).unwrap();
    let answer = run(async { whole(client.post(&server.http(), "text/csv; x=y", body(&bytes)).await.unwrap()).await });
    assert_eq!(answer.unwrap(), b"ok");
    let received = server.received();
    let at = received.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    assert_eq!(&received[at + 4..], bytes);
    let mut head: Vec<_> = std::str::from_utf8(&received[..at]).unwrap().lines().collect();
    assert_eq!(head.remove(0), "POST /api/ HTTP/1.1");
    head.sort_unstable();
    assert_eq!(
        head,
        [
            "accept: */*".to_owned(),
            "content-length: 300000".to_owned(),
            "content-type: text/csv; x=y".to_owned(),
            format!("host: {}", server.addr),
            format!("user-agent: keycap/{}", env!("CARGO_PKG_VERSION")),
        ]
    );
}

#[test]
fn an_empty_body_is_sent_as_one() {
    let server = listen(friendly);
    let client = net().client(&settings()).unwrap();
    let answer = run(async { whole(client.post(&server.http(), "text/csv", body("")).await.unwrap()).await });
    assert_eq!(answer.unwrap(), b"ok");
    assert_eq!(server.requests(), 1);
}

#[test]
fn the_head_of_an_answer_is_handed_on_as_it_came() {
    let server = listen(|mut conn| {
        conn.request();
        conn.send(
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html; charset=utf-8\r\nDate: Tue, 05 Mar 2024 10:00:00 GMT\r\n\
             Content-Disposition: attachment; filename=\"a.pdf\"\r\nContent-Length: 5\r\n\r\nhello",
        );
    });
    let client = net().client(&settings()).unwrap();
    run(async {
        let answer = post(&client, &server.http()).await.unwrap();
        assert_eq!(answer.status, 403);
        assert_eq!(answer.content_type.as_deref(), Some("text/html; charset=utf-8"));
        assert_eq!(answer.date.as_deref(), Some("Tue, 05 Mar 2024 10:00:00 GMT"));
        assert_eq!(answer.content_disposition.as_deref(), Some("attachment; filename=\"a.pdf\""));
        assert_eq!(answer.location, None);
        assert_eq!(format!("{answer:?}"), "Answer { status: 403, .. }");
        assert_eq!(whole(answer).await.unwrap(), b"hello");
    });
}

#[test]
fn a_redirect_of_any_code_to_anywhere_is_an_answer_and_nothing_is_sent_there() {
    let ca = Ca::new();
    let second = listen(friendly);
    let port = second.addr.port();
    let targets = [
        format!("http://127.0.0.1:{port}/api/"),
        format!("http://other.example:{port}/api/"),
        format!("//127.0.0.1:{port}/api/"),
        "/elsewhere/".to_owned(),
        "/api/".to_owned(),
        "?loop".to_owned(),
    ];
    for code in [301, 302, 303, 307, 308] {
        for target in &targets {
            let location = target.clone();
            let script = move |mut conn: Conn| {
                while conn.request().is_some() {
                    conn.send(format!("HTTP/1.1 {code} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"));
                }
            };
            let (plain, tls) = (listen(script.clone()), listen_tls(&ca.server(&["redcap.example"]), script));
            let client = net().client(&trusting(&ca)).unwrap();
            for (server, url) in [(&plain, plain.http()), (&tls, tls.https("redcap.example"))] {
                run(async {
                    let answer = post(&client, &url).await.unwrap();
                    assert_eq!(answer.status, code);
                    assert_eq!(answer.location.as_deref(), Some(target.as_str()));
                    assert_eq!(whole(answer).await.unwrap(), b"");
                });
                assert_eq!((server.accepted(), server.requests()), (1, 1), "{code} {target}");
            }
        }
    }
    assert_eq!((second.accepted(), second.received().len()), (0, 0));
}

#[test]
fn endless_chunks_stay_a_stream_and_end_when_nobody_reads_on() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let server = listen(move |mut conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("{:x}\r\n{}\r\n", 100_000, "x".repeat(100_000));
        while conn.send(&chunk) {}
        ended.lock().unwrap().send(()).unwrap();
    });
    let client = net().client(&settings()).unwrap();
    run(async {
        let mut answer = post(&client, &server.http()).await.unwrap();
        let (mut total, mut largest) = (0, 0);
        while total < 50_000_000 {
            let chunk = answer.chunk().await.unwrap().unwrap();
            total += chunk.len();
            largest = largest.max(chunk.len());
        }
        assert!(largest < 1_000_000, "{largest} bytes at once");
        drop(answer);
        // The connection's own task sees that nobody reads and closes.
        let wait = tokio::task::spawn_blocking(move || end.recv_timeout(std::time::Duration::from_secs(20)));
        wait.await.unwrap().expect("the server could write on");
    });
}
