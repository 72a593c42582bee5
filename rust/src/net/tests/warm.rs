//! Connections that are kept for the next call, and those that are not.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use super::kit::*;
use crate::error::Kind;
use crate::net::look_up::{self, Resolver};
use crate::net::tls::Tls;
use crate::net::{Client, TrustEnv};

#[test]
fn a_warm_client_uses_its_connection_again_and_a_fresh_one_never() {
    let ca = Ca::new();
    let net = net();
    let (warm, fresh) = (net.client(&trusting(&ca)).unwrap(), net.fresh_client(&trusting(&ca)).unwrap());
    let tls = ca.server(&["redcap.example"]);
    for (client, connections) in [(warm, 1), (fresh, 3)] {
        let (plain, tls) = (listen(friendly), listen_tls(&tls, friendly));
        run(async {
            for _ in 0..3 {
                assert_eq!(call(&client, &plain.http()).await.unwrap(), b"ok");
                assert_eq!(call(&client, &tls.https("redcap.example")).await.unwrap(), b"ok");
            }
        });
        assert_eq!((plain.accepted(), plain.requests()), (connections, 3));
        assert_eq!((tls.accepted(), tls.requests()), (connections, 3));
    }
}

#[test]
fn after_the_server_closed_an_idle_connection_the_next_call_goes_to_a_new_one() {
    let server = listen(|mut conn| {
        conn.request();
        conn.answer("ok");
    });
    let client = net().client(&settings()).unwrap();
    run(async {
        for calls in 1..=5 {
            assert_eq!(call(&client, &server.http()).await.unwrap(), b"ok");
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!((server.accepted(), server.requests()), (calls, calls));
        }
    });
}

#[test]
fn a_connection_that_nobody_uses_is_closed_by_us() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let server = listen(move |mut conn| {
        conn.request();
        conn.answer("ok");
        conn.wait_for_end();
        ended.lock().unwrap().send(()).unwrap();
    });
    let (tls, resolver) = (Tls::new(None, &TrustEnv::default()).unwrap(), Resolver::new(look_up::system()));
    let client = Client::new(&settings(), tls, resolver, Duration::from_millis(100)).unwrap();
    run(async {
        assert_eq!(call(&client, &server.http()).await.unwrap(), b"ok");
        let wait = tokio::task::spawn_blocking(move || end.recv_timeout(Duration::from_secs(20)));
        wait.await.unwrap().expect("the connection stays open");
    });
}

#[test]
fn connections_are_closed_on_demand_and_the_next_call_goes_to_a_new_one() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let server = listen(move |mut conn| {
        while conn.request().is_some() {
            conn.answer("ok");
        }
        ended.lock().unwrap().send(conn.number).unwrap();
    });
    let (tls, resolver) = (Tls::new(None, &TrustEnv::default()).unwrap(), Resolver::new(look_up::system()));
    let client = Client::new(&settings(), tls, resolver, Duration::from_secs(600)).unwrap();
    run(async {
        for calls in 1..=2 {
            assert_eq!(call(&client, &server.http()).await.unwrap(), b"ok");
            assert_eq!((server.accepted(), server.requests()), (1, calls));
        }
        client.close_connections();
        let wait = tokio::task::spawn_blocking(move || end.recv_timeout(Duration::from_secs(20)));
        assert_eq!(wait.await.unwrap().expect("the connection stays open"), 0);
        assert_eq!(call(&client, &server.http()).await.unwrap(), b"ok");
        assert_eq!((server.accepted(), server.requests()), (2, 3));
    });
}

/// The race that cannot be won: the server closes the kept connection when the next request is already on it. The
/// request was accepted, so it is a fault; it is not sent again.
#[test]
fn a_request_that_a_closing_connection_took_is_a_fault_and_not_sent_again() {
    for reset in [false, true] {
        let server = listen(move |mut conn| {
            conn.request();
            conn.answer("ok");
            conn.request();
            if reset {
                conn.reset();
            }
        });
        let client = net().client(&settings()).unwrap();
        run(async {
            assert_eq!(call(&client, &server.http()).await.unwrap(), b"ok");
            let fault = call(&client, &server.http()).await.unwrap_err();
            assert_eq!(fault.error.kind, Kind::Connection);
            assert!(fault.sent);
            tokio::time::sleep(Duration::from_millis(100)).await;
        });
        assert_eq!((server.accepted(), server.requests()), (1, 2));
    }
}

/// As above, but the server closes without reading: the bytes may have gone out, which is all we can know.
#[test]
fn however_a_kept_connection_ends_no_request_arrives_twice() {
    for delay in [0, 1, 2, 5] {
        let server = listen(move |mut conn| {
            conn.request();
            conn.answer("ok");
            if conn.number == 0 {
                std::thread::sleep(Duration::from_millis(delay));
            } else {
                conn.wait_for_end();
            }
        });
        let client = net().client(&settings()).unwrap();
        let (mut good, mut failed) = (0, 0);
        run(async {
            for _ in 0..2 {
                match call(&client, &server.http()).await {
                    Ok(_) => good += 1,
                    Err(fault) => {
                        assert!(fault.sent, "{fault:?}");
                        failed += 1;
                    }
                }
            }
        });
        assert_eq!(good + failed, 2);
        assert_eq!(server.requests(), good, "a failed request arrived after all");
    }
}

#[test]
fn bytes_behind_an_answer_are_never_taken_for_the_next_answer() {
    for late in [false, true] {
        let server = listen(move |mut conn| {
            conn.request();
            let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
            if conn.number == 0 && !late {
                conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{forged}"));
            } else {
                conn.answer("ok");
            }
            if conn.number == 0 && late {
                std::thread::sleep(Duration::from_millis(30));
                conn.send(forged);
            }
            while conn.request().is_some() {
                conn.answer("ok");
            }
        });
        let client = net().client(&settings()).unwrap();
        run(async {
            for _ in 0..3 {
                match call(&client, &server.http()).await {
                    Ok(answer) => assert_eq!(answer, b"ok"),
                    Err(fault) => assert_eq!(fault.error.kind, Kind::Connection),
                }
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
            assert_eq!(call(&client, &server.http()).await.unwrap(), b"ok");
        });
        assert!(server.accepted() >= 2, "the connection with surplus bytes was kept");
    }
}

#[test]
fn an_answer_that_is_not_read_to_its_end_takes_its_connection_with_it() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let server = listen(move |mut conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nhello");
        conn.wait_for_end();
        ended.lock().unwrap().send(()).unwrap();
    });
    let client = net().client(&settings()).unwrap();
    run(async {
        drop(post(&client, &server.http()).await.unwrap());
        let wait = tokio::task::spawn_blocking(move || end.recv_timeout(Duration::from_secs(20)));
        wait.await.unwrap().expect("the connection stays open");
    });
}
