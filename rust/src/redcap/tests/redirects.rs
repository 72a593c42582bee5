//! Redirects are never followed: an error that names the code and the new address, and nothing is sent there.

use super::world::{World, read, write};
use crate::error::{Error, Kind};
use crate::net::tests::kit::{Ca, Conn, friendly, listen, listen_elsewhere, listen_tls, trusting};
use crate::value::Value;

const CODES: [u16; 5] = [301, 302, 303, 307, 308];

/// A server that redirects every request.
fn redirecting(code: u16, location: String) -> impl Fn(Conn) + Clone + Send + Sync + 'static {
    move |mut conn| {
        while conn.request().is_some() {
            conn.send(format!("HTTP/1.1 {code} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"));
        }
    }
}

#[track_caller]
fn assert_named(error: &Error, code: u16, shown: &str) {
    assert_eq!(error.kind, Kind::Redirect);
    assert!(error.message.contains(&format!("status {code}")), "{}", error.message);
    assert!(error.message.contains(&format!("`{shown}`")), "{} instead of {shown}", error.message);
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    assert!(error.fields.contains(&("status".to_owned(), code.into())));
    assert!(error.fields.contains(&("location".to_owned(), Value::Text(shown.to_owned()))));
}

#[tokio::test]
async fn a_redirect_is_refused_and_nothing_is_sent_there() {
    let (port, host) = (listen(friendly), listen_elsewhere(friendly));
    for code in CODES {
        // What stands in `Location`, and what is shown of it; `SELF` is the server that was asked.
        for (location, shown) in [
            ("SELF/redcap/?hunter2=1#hunter2".to_owned(), "SELF/redcap/".to_owned()),
            (format!("http://hunter2:hunter2@{}/api/?token=hunter2", port.addr), format!("http://{}/api/", port.addr)),
            (format!("http://{}/api/?hunter2", host.addr), format!("http://{}/api/", host.addr)),
            (format!("//{}/api/#hunter2", host.addr), format!("http://{}/api/", host.addr)),
            ("/login?next=hunter2".to_owned(), "SELF/login".to_owned()),
            ("SELF/api/".to_owned(), "SELF/api/".to_owned()),
            ("?hunter2".to_owned(), "SELF/api/".to_owned()),
        ] {
            for request in [read(), write()] {
                let location = location.clone();
                let server = listen(move |conn| {
                    let own = conn.tcp().local_addr().unwrap();
                    redirecting(code, location.replace("SELF", &format!("http://{own}")))(conn);
                });
                let world = World::new();
                let error = world.error(server.http().as_str(), &request).await;
                assert_named(&error, code, &shown.replace("SELF", &format!("http://{}", server.addr)));
                assert_eq!((server.accepted(), server.requests()), (1, 1), "{code} {shown}");
                assert_eq!(world.classes(), ["redirect"]);
                assert_eq!(world.log()[1]["status"], code);
            }
        }
    }
    for second in [port, host] {
        assert_eq!((second.accepted(), second.received().len()), (0, 0));
    }
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_named_and_nothing_is_sent_in_clear() {
    let (ca, second) = (Ca::new(), listen(friendly));
    let tls = ca.server(&["redcap.example"]);
    for code in CODES {
        let shown = format!("http://{}/api/", second.addr);
        let server = listen_tls(&tls, redirecting(code, format!("{shown}?hunter2")));
        let mut world = World::new();
        world.ctx.settings.net = trusting(&ca);
        let error = world.error(server.https("redcap.example").as_str(), &read()).await;
        assert_named(&error, code, &shown);
        assert_eq!((server.accepted(), server.requests()), (1, 1));
        assert_eq!(world.classes(), ["redirect"]);
    }
    assert_eq!((second.accepted(), second.received().len()), (0, 0));
}
