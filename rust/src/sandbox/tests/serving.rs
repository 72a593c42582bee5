//! Serving without the pipe, and what keeps a sandbox from serving.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::Kind;
use crate::sandbox::{Config, SAMPLES, run, serve};

#[test]
fn a_sandbox_serves_a_listener_until_it_is_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || serve(Config::default(), listener, async { drop(stopped.await) }));
    let body = format!("token={}&content=version", SAMPLES[0].token);
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /redcap/api/ HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\n14.5.5"), "{answer}");
    drop(stop);
    assert!(thread.join().unwrap().is_ok());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_listener_that_others_can_reach_is_refused() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let error = serve(Config::default(), listener, std::future::pending()).unwrap_err();
    assert_eq!(error.kind, Kind::Sandbox);
    assert!(error.message.contains("loopback"), "{error}");
}

#[test]
fn a_port_that_is_taken_is_an_error_with_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config { port: taken.local_addr().unwrap().port(), ..Config::default() };
    let error = run(config, std::io::empty(), std::io::sink(), std::future::pending()).unwrap_err();
    assert_eq!(error.kind, Kind::Sandbox);
    assert!(error.hints.iter().any(|hint| hint.contains("port 0")));
}

#[test]
fn a_host_can_stop_a_sandbox_whose_input_never_ends() {
    let (input, _held_open) = std::io::pipe().unwrap();
    let stopped = run(Config::default(), input, std::io::sink(), std::future::ready(()));
    assert!(stopped.is_ok());
}
