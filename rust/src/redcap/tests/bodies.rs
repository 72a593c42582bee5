//! Bodies that no honest server sends: a clear error, bounded memory, a log that stays whole.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::world::{World, read};
use crate::audit::{Verdict, verify};
use crate::error::{Error, Kind};
use crate::net::tests::kit::{Listener, listen};

/// What stands in hostile bodies.
const HOSTILE: [&[u8]; 9] = [
    b"a\0b\0\0",
    b"%s%n%s%n%d %*.*s",
    b"x {system('id')} {1+1} {{x}} <<y>> `r 1` $(id) ${HOME}",
    b"\x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m \x9b31m \r\x08\x08",
    b"\xff\xfe\xf0\x80\x80\x80 \xc3 \xed\xa0\x80",
    b"M\xfcller \xe4\xf6\xfc",
    "\u{202e}desrever\u{2066} \u{200b}\u{feff} \u{2028}".as_bytes(),
    b"\"},{\"error\":\"x\"}\n{\"phase\":\"outcome\"}\n",
    b"",
];

type Wrap = fn(&[u8]) -> Vec<u8>;

#[track_caller]
fn assert_clear(error: &Error) {
    let all: String = std::iter::once(&error.message).chain(&error.hints).flat_map(|text| text.chars()).collect();
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    assert!(!all.contains(steers), "{error:?}");
    assert!(error.message.chars().count() < 800 && !error.message.is_empty(), "{error:?}");
}

#[tokio::test]
async fn a_hostile_body_is_a_clear_error_and_the_log_stays_whole() {
    let wrapped: [Wrap; 6] = [
        |bytes| [b"ERROR: ", bytes].concat(),
        |bytes| [b"{\"error\":\"", bytes, b"\"}"].concat(),
        |bytes| [b"{\"error\":", bytes].concat(),
        |bytes| [b"<hash><error>", bytes, b"</error></hash>"].concat(),
        |bytes| [b"<html>", bytes].concat(),
        <[u8]>::to_vec,
    ];
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let next = Arc::clone(&bodies);
    let server = listen(move |mut conn| {
        while conn.request().is_some() {
            let (status, body): (u16, Vec<u8>) = next.lock().unwrap().pop().unwrap();
            conn.send(format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len()));
            conn.send(&body);
        }
    });
    let world = World::trying_again(0);
    let project = world.set_up(server.http().as_str());
    let mut operation = world.operation(&project);
    let mut calls = 0;
    for hostile in HOSTILE {
        for wrap in wrapped {
            for status in [200, 400, 403, 500] {
                let body = wrap(hostile);
                let ours = body.starts_with(b"ERROR") || body.starts_with(b"{\"error\"") || body.starts_with(b"<hash>");
                bodies.lock().unwrap().push((status, body));
                let error = operation.collect(&read(), 1000).await.expect_err("taken for data");
                assert_clear(&error);
                let kinds: &[Kind] = match (status, ours) {
                    (500, _) => &[Kind::Server],
                    (_, false) => &[Kind::NotRedcap],
                    // A refusal without a text is the one of the token.
                    (403, true) => &[Kind::Redcap, Kind::TokenRefused],
                    (_, true) => &[Kind::Redcap],
                };
                assert!(kinds.contains(&error.kind), "{status} {:?}: {error:?}", String::from_utf8_lossy(hostile));
                if !ours {
                    let shown = format!("{error:?}");
                    assert!(!["system(", "%n", "ller", "desrever"].iter().any(|part| shown.contains(part)), "{shown}");
                }
                calls += 1;
            }
        }
    }
    assert_eq!(world.classes().len(), calls);
    let folder = std::fs::read_dir(world.folder.path().join("data/audit")).unwrap();
    let log = folder.map(|file| file.unwrap().path()).find(|path| path.extension().is_some_and(|e| e == "jsonl"));
    assert!(matches!(verify(&log.unwrap()).unwrap(), Verdict::Intact { entries, .. } if entries == 2 * calls as u64));
}

/// What a server got rid of that sends 100 MB or more: nothing else bounds it.
struct Flood {
    listener: Listener,
    sent: Arc<AtomicUsize>,
    ended: mpsc::Receiver<()>,
}

/// A server that sends a head and then `piece` for as long as it is taken, up to 120 MB.
fn flood(head: &'static str, piece: Vec<u8>) -> Flood {
    let (sent, (end, ended)) = (Arc::new(AtomicUsize::new(0)), mpsc::channel());
    let (count, end) = (Arc::clone(&sent), Mutex::new(end));
    let listener = listen(move |mut conn| {
        conn.request();
        conn.send(head);
        while count.load(Ordering::SeqCst) < 120_000_000 && conn.send(&piece) {
            count.fetch_add(piece.len(), Ordering::SeqCst);
        }
        end.lock().unwrap().send(()).unwrap();
    });
    Flood { listener, sent, ended }
}

#[tokio::test]
async fn of_a_hundred_megabytes_that_are_no_data_few_are_read() {
    let text = b"x%s%n{system('id')} ".repeat(2_000);
    let chunk = [format!("{:x}\r\n", text.len()).as_bytes(), text.as_slice(), b"\r\n"].concat();
    for (head, piece, kind) in [
        ("HTTP/1.1 400 X\r\nContent-Length: 100000000\r\n\r\nERROR: ", &text, Kind::Redcap),
        ("HTTP/1.1 400 X\r\nContent-Length: 100000000\r\n\r\n{\"error\":\"", &text, Kind::Redcap),
        ("HTTP/1.1 400 X\r\nContent-Length: 100000000\r\n\r\n<hash><error>", &text, Kind::Redcap),
        ("HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n", &chunk, Kind::Server),
        ("HTTP/1.1 403 X\r\nTransfer-Encoding: chunked\r\n\r\n", &chunk, Kind::NotRedcap),
        ("HTTP/1.1 302 X\r\nTransfer-Encoding: chunked\r\n\r\n", &chunk, Kind::Redirect),
        ("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<html>\r\n", &chunk, Kind::NotRedcap),
        // Data without end, of which the caller wants no more than 1,000,000 bytes.
        ("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n", &chunk, Kind::NotRedcap),
    ] {
        let flood = flood(head, piece.clone());
        let world = World::trying_again(0);
        let project = world.set_up(flood.listener.http().as_str());
        let error = world.operation(&project).collect(&read(), 1_000_000).await.expect_err("taken for data");
        assert_eq!(error.kind, kind, "{head}");
        assert_clear(&error);
        assert_eq!(world.classes().len(), 1);
        // The log counts what was read; how much more the kernel's buffers took is not known, but it is bounded.
        let bytes = world.log()[1]["bytes"].as_u64().unwrap();
        assert!(bytes < 2_000_000, "{bytes} bytes were read");
        let ended = tokio::task::spawn_blocking(move || flood.ended.recv_timeout(Duration::from_secs(20)));
        ended.await.unwrap().expect("the connection stays open");
        let sent = flood.sent.load(Ordering::SeqCst);
        assert!(sent < 50_000_000, "{sent} bytes were taken");
    }
}
