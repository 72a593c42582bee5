//! Servers and networks that fail: each failure has its kind and its message, and none hangs.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::kit::*;
use crate::error::Kind;
use crate::net::{Fault, Net, NetSettings, ServerUrl};

/// Settings with a short time-out as a whole, or to connect.
fn short(connect: bool) -> NetSettings {
    let limit = Duration::from_millis(300);
    if connect {
        NetSettings { connect_timeout: limit, ..settings() }
    } else {
        NetSettings { timeout: limit, ..settings() }
    }
}

/// A server that reads a request and then does something.
fn after_request(script: impl Fn(Conn) + Send + Sync + 'static) -> Listener {
    listen(move |mut conn| {
        conn.request();
        script(conn);
    })
}

fn message(fault: &Fault, server: &ServerUrl) -> String {
    fault.error.message.replace(server.origin().to_string().split("//").nth(1).unwrap(), "SERVER")
}

#[track_caller]
fn connection_fault(server: &Listener, expected: &str, sent: bool) {
    let fault = fault(&settings(), &server.http());
    assert_eq!(fault.error.kind, Kind::Connection, "{fault:?}");
    assert_eq!(message(&fault, &server.http()), expected);
    assert_eq!(fault.sent, sent);
    assert!(server.requests() <= 1, "sent {} times", server.requests());
    assert_eq!(server.accepted(), 1, "connected again");
}

#[test]
fn nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = ServerUrl::parse(&format!("http://{free}/api/")).unwrap();
    let fault = fault(&settings(), &url);
    assert_eq!(fault.error.kind, Kind::Connection);
    assert_eq!(message(&fault, &url), "`SERVER` refuses the connection");
    assert!(!fault.sent);
}

#[test]
fn a_reset_before_the_request_was_read() {
    // The kernel takes the connection and a part of the body before the server resets it.
    let server = listen(Conn::reset);
    let fault = fault(&settings(), &server.http());
    assert_eq!(fault.error.kind, Kind::Connection, "{fault:?}");
    assert!(message(&fault, &server.http()).starts_with("the connection to `SERVER` broke off before"));
    assert_eq!((server.accepted(), server.requests()), (1, 0));
}

#[test]
fn a_reset_after_the_request_was_read() {
    let server = after_request(Conn::reset);
    connection_fault(&server, "the connection to `SERVER` broke off before an answer came", true);
}

#[test]
fn an_end_without_an_answer() {
    let server = after_request(drop);
    connection_fault(&server, "the connection to `SERVER` broke off before an answer came", true);
}

#[test]
fn an_end_within_the_head_of_the_answer() {
    let server = after_request(|mut conn| {
        conn.send(format!("HTTP/1.1 200 OK\r\nX: {EVIL}"));
    });
    connection_fault(&server, "the connection to `SERVER` broke off before an answer came", true);
}

#[test]
fn an_answer_shorter_than_its_length() {
    let server = after_request(|mut conn| {
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{EVIL}"));
    });
    connection_fault(&server, "the answer of `SERVER` broke off before its end", true);
}

#[test]
fn an_answer_reset_within_its_body() {
    let server = after_request(|mut conn| {
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{EVIL}"));
        std::thread::sleep(Duration::from_millis(50));
        conn.reset();
    });
    connection_fault(&server, "the answer of `SERVER` broke off before its end", true);
}

#[test]
fn chunks_without_the_last_one() {
    let server = after_request(|mut conn| {
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    });
    connection_fault(&server, "the answer of `SERVER` broke off before its end", true);
}

#[test]
fn chunks_with_garbage_for_a_size() {
    for garbage in [EVIL, "-1", "zz", "fffffffffffffffffff", ""] {
        let server = after_request(move |mut conn| {
            conn.send(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n{garbage}\r\n"));
            conn.wait_for_end();
        });
        connection_fault(&server, "the answer of `SERVER` is not valid HTTP", true);
    }
}

#[test]
fn something_that_is_not_http() {
    for greeting in [format!("SSH-2.0-{EVIL}\r\n"), format!("HTTP/1.1 2{EVIL}\r\n\r\n"), "\0\0\0\0\0".to_owned()] {
        let server = after_request(move |mut conn| {
            conn.send(&greeting);
            conn.wait_for_end();
        });
        connection_fault(&server, "the answer of `SERVER` is not valid HTTP", true);
    }
}

#[test]
fn a_length_that_is_none() {
    for length in [EVIL, "-5", "5, 6", "99999999999999999999999"] {
        let server = after_request(move |mut conn| {
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello"));
            conn.wait_for_end();
        });
        connection_fault(&server, "the answer of `SERVER` is not valid HTTP", true);
    }
}

#[test]
fn a_head_without_end_is_not_read_without_end() {
    let (total, taken) = mpsc::channel();
    let total = Mutex::new(total);
    let server = after_request(move |mut conn| {
        conn.send("HTTP/1.1 200 OK\r\n");
        let line = format!("X: {}\r\n", "x".repeat(10_000));
        let lines = (0..20_000).take_while(|_| conn.send(&line)).count();
        total.lock().unwrap().send(lines * line.len()).unwrap();
    });
    connection_fault(&server, "the answer of `SERVER` is not valid HTTP", true);
    // What the kernel's buffers take is not known, but it is far from the 200 MB that the server had to give.
    assert!(taken.recv_timeout(Duration::from_secs(20)).unwrap() < 50_000_000);
}

#[test]
fn a_body_without_length_ends_with_the_connection() {
    let server = after_request(|mut conn| {
        conn.send("HTTP/1.1 200 OK\r\n\r\nhello");
    });
    let client = net().client(&settings()).unwrap();
    assert_eq!(run(call(&client, &server.http())).unwrap(), b"hello");
}

#[test]
fn no_answer_ends_at_the_time_out() {
    let server = after_request(|mut conn| conn.wait_for_end());
    let begin = Instant::now();
    let fault = fault(&short(false), &server.http());
    assert!(begin.elapsed() < Duration::from_secs(15));
    assert_eq!(fault.error.kind, Kind::Timeout);
    assert_eq!(message(&fault, &server.http()), "`SERVER` did not answer within 0.3 s");
    assert!(fault.sent);
}

#[test]
fn slow_bytes_end_at_the_time_out_of_the_whole_call() {
    for head in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
        let server = after_request(move |mut conn| {
            conn.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n"));
            while conn.send(if head.starts_with('C') { "x" } else { "1\r\nx\r\n" }) {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let begin = Instant::now();
        let fault = fault(&short(false), &server.http());
        assert!(begin.elapsed() < Duration::from_secs(15));
        assert_eq!(fault.error.kind, Kind::Timeout);
        assert_eq!(message(&fault, &server.http()), "the answer of `SERVER` was not complete within 0.3 s");
        assert!(fault.sent);
    }
}

#[test]
fn a_server_that_does_not_read_the_body_ends_at_the_time_out() {
    let server = listen(|conn| {
        std::thread::sleep(Duration::from_secs(20));
        drop(conn);
    });
    let client = net().client(&short(false)).unwrap();
    let fault = run(client.post(&server.http(), "text/csv", body(vec![b'x'; 50_000_000]))).unwrap_err();
    assert_eq!(fault.error.kind, Kind::Timeout);
    assert!(fault.sent);
}

#[test]
fn a_tls_handshake_that_stalls_ends_at_the_time_out_to_connect() {
    let server = listen(|mut conn| conn.wait_for_end());
    let url = server.https("redcap.example");
    let begin = Instant::now();
    let fault = fault(&short(true), &url);
    assert!(begin.elapsed() < Duration::from_secs(15));
    assert_eq!(fault.error.kind, Kind::Timeout);
    assert_eq!(message(&fault, &url), "no connection to `SERVER` within 0.3 s");
    assert!(!fault.sent);
}

#[test]
fn a_time_out_of_the_whole_call_that_comes_first_is_said_so() {
    let server = listen(|mut conn| conn.wait_for_end());
    let url = server.https("redcap.example");
    let fault = fault(&short(false), &url);
    assert_eq!(fault.error.kind, Kind::Timeout);
    assert_eq!(message(&fault, &url), "no connection to `SERVER` within 0.3 s");
    assert!(!fault.sent);
}

/// A listener whose queue is full lets further connections wait, without an answer of any kind.
#[cfg(target_os = "linux")]
#[test]
fn a_connection_that_stalls_ends_at_the_time_out_to_connect() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let mut queue = Vec::new();
    while let Ok(waiting) = TcpStream::connect_timeout(&addr, Duration::from_millis(200)) {
        queue.push(waiting);
        assert!(queue.len() < 100, "the queue does not fill");
    }
    let url = ServerUrl::parse(&format!("http://{addr}/api/")).unwrap();
    let fault = fault(&short(true), &url);
    assert_eq!(fault.error.kind, Kind::Timeout);
    assert_eq!(message(&fault, &url), "no connection to `SERVER` within 0.3 s");
    assert!(!fault.sent);
}

#[test]
fn a_server_that_ends_the_tls_handshake() {
    for reset in [true, false] {
        let server = listen(move |mut conn| {
            conn.read();
            if reset {
                conn.reset();
            }
        });
        let url = server.https("redcap.example");
        let fault = fault(&settings(), &url);
        assert_eq!(fault.error.kind, Kind::Connection);
        assert_eq!(message(&fault, &url), "the connection to `SERVER` broke off before the request was sent");
        assert!(!fault.sent);
    }
}

#[test]
fn plain_http_where_tls_is_expected() {
    let server = listen(|mut conn| {
        conn.read();
        conn.send(format!("HTTP/1.1 400 Bad Request\r\n\r\n{EVIL}"));
    });
    let url = server.https("redcap.example");
    let fault = fault(&settings(), &url);
    assert_eq!(fault.error.kind, Kind::Connection);
    assert_eq!(message(&fault, &url), "`SERVER` does not speak TLS");
    assert!(!fault.sent);
}

#[test]
fn a_name_that_does_not_exist() {
    let url = ServerUrl::parse("https://keycap-test.invalid/api/").unwrap();
    let client = Net::new().client(&settings()).unwrap();
    let fault = run(post(&client, &url)).unwrap_err();
    assert_eq!(fault.error.kind, Kind::NameLookup, "{fault:?}");
    assert_eq!(fault.error.message, "the name of `keycap-test.invalid` could not be resolved");
    assert!(!fault.sent);
}

#[test]
fn a_resolver_that_hangs_ends_at_the_time_out_and_is_asked_once() {
    let (release, held) = mpsc::channel::<()>();
    let (held, asked) = (Mutex::new(held), Arc::new(Mutex::new(0)));
    let count = Arc::clone(&asked);
    let net = Net::looking_up(Arc::new(move |_| {
        *count.lock().unwrap() += 1;
        let _ = held.lock().unwrap().recv();
        Ok(Vec::new())
    }));
    let url = ServerUrl::parse("https://redcap.example/api/").unwrap();
    run(async {
        for settings in [short(true), short(false), short(true)] {
            let client = net.client(&settings).unwrap();
            let fault = post(&client, &url).await.unwrap_err();
            assert_eq!(fault.error.kind, Kind::Timeout);
            assert_eq!(fault.error.message, "the name of `redcap.example` was not resolved within 0.3 s");
            assert!(!fault.sent);
        }
        drop(release);
    });
    assert_eq!(*asked.lock().unwrap(), 1);
}

#[test]
fn localhost_is_this_machine_whatever_the_resolver_says() {
    let ca = Ca::new();
    let net = Net::looking_up(Arc::new(|_| Ok(vec![([127, 0, 0, 99], 1).into()])));
    let client = net.client(&trusting(&ca)).unwrap();
    let (plain, tls) = (listen(friendly), listen_tls(&ca.server(&["localhost"]), friendly));
    let http = ServerUrl::parse(&format!("http://localhost:{}/api/", plain.addr.port())).unwrap();
    assert_eq!(run(call(&client, &http)).unwrap(), b"ok");
    assert_eq!(run(call(&client, &tls.https("localhost"))).unwrap(), b"ok");
}

#[test]
fn a_call_that_is_cancelled_closes_its_connection() {
    let (ended, end) = mpsc::channel();
    let (ended, arrived) = (Mutex::new(ended), Arc::new(tokio::sync::Notify::new()));
    let notify = Arc::clone(&arrived);
    let server = after_request(move |mut conn| {
        notify.notify_one();
        conn.wait_for_end();
        ended.lock().unwrap().send(()).unwrap();
    });
    let client = net().client(&settings()).unwrap();
    run(async {
        let (client, url) = (client.clone(), server.http());
        let call = tokio::spawn(async move { call(&client, &url).await });
        arrived.notified().await;
        call.abort();
        let wait = tokio::task::spawn_blocking(move || end.recv_timeout(Duration::from_secs(20)));
        wait.await.unwrap().expect("the connection stays open");
    });
}
