//! Over raw sockets: what a client sees, and what a hostile one cannot do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use hyper::Response;

use super::*;

/// A server that answers each call with its method, path and number of body bytes.
struct Server {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let stopped = async { drop(stopped.await) };
            block_on(serve(listener, limits, stopped, |mut call: Call| async move {
                let raw = |pieces, end| Answer::Raw(Raw { pieces, end });
                match call.path() {
                    "/reset" => return Answer::Raw(Raw::reset()),
                    "/half" => return raw(vec![Piece::Bytes("half".into())], End::Reset),
                    "/raw" => return raw(vec![Piece::Bytes("not HTTP at all".into())], End::Close),
                    "/forever" => return raw(vec![Piece::Forever(vec![b'x'; 1 << 16].into())], End::Close),
                    "/slow" => tokio::time::sleep(Duration::from_secs(600)).await,
                    "/panic" => panic!("a handler's fault"),
                    _ => {}
                }
                let body = match call.body().await {
                    Ok(body) => body,
                    Err(answer) => return answer,
                };
                let text = format!("{} {} {}", call.head.method, call.path(), body.len());
                Answer::Http(Response::new(whole(text)))
            }))
            .unwrap()
            .unwrap();
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Sends bytes and reads until the server ends the connection.
    fn exchange(&self, bytes: &str) -> std::io::Result<String> {
        let mut stream = self.connect();
        stream.write_all(bytes.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn is_well(&self) {
        let answer = self.exchange("GET /well HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        assert!(answer.ends_with("GET /well 0"), "{answer}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let joined = thread.join();
            assert!(joined.is_ok() || std::thread::panicking());
        }
    }
}

fn quick() -> Limits {
    Limits {
        head_time: Duration::from_millis(150),
        body_time: Duration::from_millis(150),
        write_time: Duration::from_millis(150),
        body_bytes: 1000,
        connections: 4,
        grace: Duration::from_millis(200),
    }
}

#[test]
fn two_requests_share_a_connection() {
    let server = Server::start(Limits::default());
    let mut stream = server.connect();
    for n in [3_usize, 5] {
        write!(stream, "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: {n}\r\n\r\n{}", "y".repeat(n)).unwrap();
        let mut answer = String::new();
        let mut byte = [0];
        while !answer.ends_with(&format!("POST /a {n}")) {
            stream.read_exact(&mut byte).unwrap();
            answer.push(char::from(byte[0]));
        }
    }
}

#[test]
fn a_body_that_is_too_long_is_refused_declared_or_chunked() {
    let server = Server::start(quick());
    let long = "z".repeat(2000);
    let declared = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n{long}");
    let chunked = format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n{long}\r\n0\r\n\r\n");
    for request in [declared, chunked] {
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 413");
    }
    server.is_well();
}

#[test]
fn a_slow_client_cannot_hold_the_server_for_ever() {
    let server = Server::start(quick());
    // Neither a head that never ends, nor a body that never comes, nor an idle connection.
    let began = Instant::now();
    let answer = server.exchange("GET / HTTP/1.1\r\nHost: x\r\n").unwrap();
    assert!(!answer.contains("200 OK"), "{answer}");
    let answer = server.exchange("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nfew").unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let answer = server.exchange("GET /idle HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(answer.ends_with("GET /idle 0"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(8));
    server.is_well();
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_gives_its_place_back() {
    let server = Server::start(quick());
    let mut lazy: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for stream in &mut lazy {
        stream.write_all(b"GET /forever HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    // All four places are taken; the fifth client is answered once they have been thrown out.
    server.is_well();
}

#[test]
fn raw_answers_go_out_as_they_are_and_resets_are_resets() {
    let server = Server::start(quick());
    assert_eq!(server.exchange("GET /raw HTTP/1.1\r\nHost: x\r\n\r\n").unwrap(), "not HTTP at all");
    for path in ["/reset", "/half"] {
        let error = server.exchange(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{path}");
    }
    server.is_well();
}

#[test]
fn garbage_and_a_panicking_handler_harm_nobody_else() {
    let server = Server::start(quick());
    let _ = server.exchange("\u{0}\u{1}\u{2}garbage\r\n\r\n");
    let _ = server.exchange("GET /panic HTTP/1.1\r\nHost: x\r\n\r\n");
    server.is_well();
}

#[test]
fn stopping_waits_for_the_grace_time_and_not_longer() {
    let server = Server::start(quick());
    let mut stream = server.connect();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    drop(server);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let handler = |_: Call| async { Answer::Raw(Raw::reset()) };
    let served = block_on(serve(listener, Limits::default(), std::future::pending(), handler)).unwrap();
    assert_eq!(served.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
