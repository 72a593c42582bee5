//! Proxies: who goes through one, what it sees, and how it fails.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::kit::*;
use crate::error::Kind;
use crate::net::{Fault, Net, NetSettings, ProxyEnv, ServerUrl};

/// A proxy that records every byte of its clients and lets every connection through to one server.
fn recording(to: SocketAddr) -> (Listener, Arc<Mutex<Vec<u8>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let proxy = listen(move |mut conn| {
        conn.request();
        let mut server = TcpStream::connect(to).unwrap();
        conn.send("HTTP/1.1 200 Connection established\r\n\r\n");
        let (mut back, mut client) = (server.try_clone().unwrap(), conn.tcp());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut back, &mut client);
            let _ = client.shutdown(Shutdown::Both);
        });
        let (mut tcp, mut buffer) = (conn.tcp(), [0; 4096]);
        while let Ok(length) = tcp.read(&mut buffer) {
            record.lock().unwrap().extend_from_slice(&buffer[..length]);
            if length == 0 || server.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    });
    (proxy, seen)
}

fn through(proxy: &str, settings: NetSettings) -> NetSettings {
    with_env(&[("https_proxy", proxy), ("http_proxy", proxy), ("all_proxy", proxy)], settings)
}

fn with_env(variables: &[(&str, &str)], settings: NetSettings) -> NetSettings {
    let proxy = ProxyEnv::of(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()));
    NetSettings { proxy, ..settings }
}

/// A proxy's address with credentials that must not be seen.
fn secret_address(proxy: &Listener) -> String {
    format!("http://someone:hunter2@{}", proxy.addr)
}

/// The fault of a call through a proxy; it names the proxy and not its credentials.
fn proxy_fault(settings: &NetSettings, proxy: &str) -> Fault {
    let fault = fault(settings, &ServerUrl::parse("https://redcap.example/api/").unwrap());
    let shown = format!("{fault:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("someone"), "{shown}");
    assert!(fault.error.message.contains(&format!("`{proxy}`")), "{shown}");
    assert!(!fault.sent);
    fault
}

#[test]
fn a_server_elsewhere_goes_through_the_proxy_which_sees_nothing_of_the_call() {
    let ca = Ca::new();
    let server = listen_tls(&ca.server(&["redcap.example"]), friendly);
    let (proxy, seen) = recording(server.addr);
    let client = net().client(&through(&secret_address(&proxy), trusting(&ca))).unwrap();
    assert_eq!(run(call(&client, &server.https("redcap.example"))).unwrap(), b"ok");
    assert_eq!((proxy.accepted(), server.requests()), (1, 1));
    let asked = String::from_utf8(proxy.received()).unwrap();
    assert!(asked.starts_with(&format!("CONNECT redcap.example:{} HTTP/1.1\r\n", server.addr.port())), "{asked}");
    assert!(asked.to_lowercase().contains("proxy-authorization: basic "), "{asked}");
    assert!(!asked.contains("F4KE") && !asked.contains("/api/"));
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 100, "the proxy saw the encrypted call");
    assert!(!seen.windows(4).any(|four| four == b"F4KE"));
    // The control: the server, who decrypts, does see it.
    assert!(server.received().windows(4).any(|four| four == b"F4KE"));
}

#[test]
fn loopback_never_goes_through_a_proxy_whatever_the_settings() {
    let ca = Ca::new();
    let tls = ca.server(&["localhost", "127.0.0.1"]);
    let (plain, tls) = (listen(friendly), listen_tls(&tls, friendly));
    let (proxy, _) = recording(tls.addr);
    let address = format!("http://{}", proxy.addr);
    let settings = [
        through(&address, trusting(&ca)),
        with_env(&[("HTTPS_PROXY", &address), ("HTTP_PROXY", &address), ("no_proxy", "")], trusting(&ca)),
        with_env(&[("ALL_PROXY", &address), ("no_proxy", "other.example")], trusting(&ca)),
    ];
    for (through_proxy, settings) in settings.into_iter().enumerate() {
        let client = net().client(&settings).unwrap();
        let localhost = ServerUrl::parse(&format!("http://localhost:{}/api/", plain.addr.port())).unwrap();
        for url in [plain.http(), localhost, tls.https("127.0.0.1"), tls.https("localhost")] {
            assert_eq!(run(call(&client, &url)).unwrap(), b"ok", "{url}");
        }
        assert_eq!(proxy.accepted(), through_proxy);
        // The control: the same client goes through the proxy for a server elsewhere.
        let fault = run(call(&client, &tls.https("redcap.example"))).unwrap_err();
        assert_eq!(fault.error.kind, Kind::Certificate);
        assert_eq!(proxy.accepted(), through_proxy + 1);
    }
}

/// The process's own environment names a proxy for everything: the test runs itself as a child with one.
#[test]
fn of_the_processs_environment_nothing_is_read_but_what_was_taken() {
    const CHILD: &str = "KEYCAP_TEST_PROXY_CHILD";
    let elsewhere = ServerUrl::parse("https://redcap.example/api/").unwrap();
    if std::env::var_os(CHILD).is_some() {
        let server = listen(friendly);
        let taken = net().client(&NetSettings { proxy: ProxyEnv::take(), ..settings() }).unwrap();
        assert_eq!(run(call(&taken, &server.http())).unwrap(), b"ok");
        let fault = run(call(&taken, &elsewhere)).unwrap_err();
        assert!(fault.error.message.starts_with("the proxy `127.0.0.1:"), "{fault:?}");
        // Nothing was taken: where the operating system has no settings of its own, nothing goes through a proxy.
        if cfg!(target_os = "linux") {
            let silent = net().client(&settings()).unwrap();
            assert_eq!(run(call(&silent, &server.http())).unwrap(), b"ok");
            let direct = listen(drop);
            assert!(run(call(&silent, &direct.https("redcap.example"))).is_err());
            assert_eq!(direct.accepted(), 1);
        }
        return;
    }
    let proxy = listen(|mut conn| {
        conn.request();
        conn.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    });
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, format!("http://{}", proxy.addr));
    }
    let child = child
        .args(["--exact", "net::tests::proxies::of_the_processs_environment_nothing_is_read_but_what_was_taken"])
        .env(CHILD, "1")
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success() && printed.contains("1 passed"), "{printed}");
    assert_eq!(proxy.accepted(), 1, "once for the server elsewhere");
    assert!(!proxy.received().windows(4).any(|four| four == b"F4KE"));
}

#[test]
fn an_exception_is_reached_without_the_proxy() {
    let ca = Ca::new();
    let server = listen_tls(&ca.server(&["redcap.example"]), friendly);
    let (proxy, _) = recording(server.addr);
    let address = format!("http://{}", proxy.addr);
    let settings = with_env(&[("https_proxy", &address), ("no_proxy", "a.example, example")], trusting(&ca));
    let client = net().client(&settings).unwrap();
    assert_eq!(run(call(&client, &server.https("redcap.example"))).unwrap(), b"ok");
    assert_eq!(proxy.accepted(), 0);
}

#[test]
fn a_proxy_that_wants_a_password_or_refuses_or_breaks_off_is_told_apart() {
    for (answer, message) in [
        ("407 Proxy Authentication Required", "wants a user name and a password"),
        ("403 Forbidden", "does not let the connection to `redcap.example` through"),
        ("502 Bad Gateway", "does not let the connection to `redcap.example` through"),
        ("", "does not let the connection to `redcap.example` through"),
    ] {
        let proxy = listen(move |mut conn| {
            conn.request();
            if !answer.is_empty() {
                conn.send(format!("HTTP/1.1 {answer}\r\nX: {EVIL}\r\nContent-Length: 0\r\n\r\n"));
            }
        });
        let fault = proxy_fault(&through(&secret_address(&proxy), settings()), &proxy.addr.to_string());
        assert_eq!(fault.error.kind, Kind::Connection);
        assert_eq!(fault.error.message, format!("the proxy `{}` {message}", proxy.addr));
    }
}

#[test]
fn a_proxy_that_resets_is_named() {
    let proxy = listen(|mut conn| {
        conn.request();
        conn.reset();
    });
    let fault = proxy_fault(&through(&secret_address(&proxy), settings()), &proxy.addr.to_string());
    assert_eq!(
        fault.error.message,
        format!("the connection to the proxy `{}` broke off before the request was sent", proxy.addr)
    );
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fault = proxy_fault(&through(&format!("someone:hunter2@{free}"), settings()), &free.to_string());
    assert_eq!(fault.error.kind, Kind::Connection);
    assert_eq!(fault.error.message, format!("the proxy `{free}` refuses the connection"));
}

#[test]
fn a_proxy_without_an_address_is_named() {
    let net = Net::looking_up(Arc::new(|_| Err(std::io::Error::other("no such name"))));
    let settings = through("http://someone:hunter2@proxy.example:3128", settings());
    let client = net.client(&settings).unwrap();
    let fault = run(post(&client, &ServerUrl::parse("https://redcap.example/api/").unwrap())).unwrap_err();
    assert_eq!(fault.error.kind, Kind::NameLookup);
    assert_eq!(fault.error.message, "the name of the proxy `proxy.example:3128` could not be resolved");
    assert!(!format!("{fault:?}").contains("hunter2"));
}

#[test]
fn a_proxy_that_stalls_ends_at_the_time_out_to_connect() {
    let proxy = listen(|mut conn| conn.wait_for_end());
    let settings = NetSettings { connect_timeout: Duration::from_millis(300), ..settings() };
    let fault = proxy_fault(&through(&secret_address(&proxy), settings), &proxy.addr.to_string());
    assert_eq!(fault.error.kind, Kind::Timeout);
    assert_eq!(
        fault.error.message,
        format!("no connection to `redcap.example` through the proxy `{}` within 0.3 s", proxy.addr)
    );
}

#[test]
fn a_proxy_that_answers_in_the_servers_place_is_found_out() {
    let (ca, other) = (Ca::new(), Ca::new());
    let server = listen_tls(&other.server(&["redcap.example"]), friendly);
    let (proxy, _) = recording(server.addr);
    let fault = fault(&through(&secret_address(&proxy), trusting(&ca)), &server.https("redcap.example"));
    assert_eq!(fault.error.kind, Kind::Certificate);
    assert!(fault.error.message.starts_with("the certificate of `redcap.example:"), "{fault:?}");
    assert!(server.received().is_empty());
}

#[test]
fn a_proxy_that_cannot_be_used_is_an_error_and_not_passed_by() {
    let server = listen(friendly);
    for address in ["socks5://someone:hunter2@127.0.0.1:1080", "not a proxy:hunter2"] {
        let settings = through(address, settings());
        let fault = fault(&settings, &server.https("redcap.example"));
        assert_eq!(fault.error.kind, Kind::Connection);
        assert!(fault.error.message.contains("is not an http proxy"));
        assert!(!format!("{fault:?} {settings:?}").contains("hunter2"));
        assert_eq!(server.accepted(), 0);
        // Loopback works all the same.
        assert_eq!(run(call(&net().client(&settings).unwrap(), &listen(friendly).http())).unwrap(), b"ok");
    }
}
