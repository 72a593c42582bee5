//! A server that says the token back: in what is shown no 8 characters of it pass.

use super::world::{World, read};
use crate::error::{Error, Kind, Result};
use crate::net::tests::kit::{Listener, listen};
use crate::redcap::Sink;

/// A server that answers each request with a head and a body, in pieces of a size.
fn server(head: String, body: Vec<u8>, size: usize) -> Listener {
    listen(move |mut conn| {
        while conn.request().is_some() {
            conn.send(format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n"));
            for chunk in body.chunks(size) {
                conn.send([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            }
            conn.send("0\r\n\r\n");
        }
    })
}

/// The token in other letter cases.
fn cases(token: &str) -> [String; 3] {
    let mixed = token.char_indices().map(|(at, c)| if at % 2 == 0 { c.to_ascii_lowercase() } else { c }).collect();
    [token.to_owned(), token.to_lowercase(), mixed]
}

/// The token with each character in another spelling.
fn spelled(token: &str, spell: impl Fn(u8) -> String) -> String {
    token.bytes().map(spell).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn a_token_in_an_error_text_is_masked_in_whatever_form_chunks_and_case_it_comes() {
    for size in [1, 7, 8, 31, 100_000] {
        for case in 0..3 {
            for form in 0..6 {
                let world = World::new();
                let token = cases(&world.token)[case].clone();
                let escaped = spelled(&token, |byte| format!("\\u{byte:04x}"));
                let entities = spelled(&token, |byte| format!("&#{byte};"));
                let body = match form {
                    0 => format!(r#"{{"error":"there is no field {token} in this project"}}"#),
                    1 => format!("ERROR: the value {token}{token} is not valid"),
                    2 => format!("<?xml version=\"1.0\"?><hash><error><![CDATA[no field {token}]]></error></hash>"),
                    3 => format!(r#"{{"error":"there is no field {escaped}"}}"#),
                    // Cut off, so that it is no JSON.
                    4 => format!(r#"{{"error":"there is no field {escaped}, nor {token}"#),
                    _ => format!("<hash><error>no field {entities}</error></hash>"),
                };
                let server = server("HTTP/1.1 400 Bad Request".to_owned(), body.into_bytes(), size);
                let error = world.error(server.http().as_str(), &read()).await;
                assert_eq!(error.kind, Kind::Redcap);
                assert!(error.message.contains("[token]"), "form {form}: {}", error.message);
                assert_eq!(world.classes(), ["redcap"]);
            }
        }
    }
}

/// Says of the data what stands in them.
struct Quoting;

impl Sink for Quoting {
    fn restart(&mut self) -> bool {
        false
    }

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(chunk).into_owned();
        Err(Error::new(Kind::NotRedcap, format!("a strange column: {text}")).hint(text.clone()).field("column", text))
    }
}

#[tokio::test]
async fn a_part_of_the_token_in_data_is_masked_in_what_is_said_of_the_data() {
    for case in 0..3 {
        let world = World::new();
        let half = cases(&world.token)[case][..16].to_owned();
        let body = format!("[\"{half}\"]").into_bytes();
        let server = server("HTTP/1.1 200 OK".to_owned(), body, 100);
        let project = world.set_up(server.http().as_str());
        let answered = world.operation(&project).call(&read(), &mut Quoting).await;
        let error = answered.unwrap_err();
        world.assert_sealed(&format!("{error:?}"));
        assert!(error.message.starts_with("a strange column") && error.message.contains("[token]"), "{error:?}");
    }
}

#[tokio::test]
async fn a_token_in_a_header_is_masked_in_the_message_and_in_the_log() {
    for case in 0..3 {
        for form in 0..3 {
            let world = World::new();
            let token = cases(&world.token)[case].clone();
            let percent = spelled(&token, |byte| format!("%{byte:02X}"));
            let location = match form {
                0 => format!("/{token}/?{token}#{token}"),
                1 => format!("https://{token}.example/%{:02x}{}", token.as_bytes()[0], &token[1..]),
                _ => format!("https://{token}@other.example/{percent}"),
            };
            let head = format!(
                "HTTP/1.1 302 {token}\r\nDate: {token}\r\nLocation: {location}\r\nServer: {token}\r\n\
                 Content-Type: text/{token}\r\nContent-Disposition: attachment; filename={token}\r\nX-{token}: {token}"
            );
            let server = server(head, format!("{token}<html>{token}").into_bytes(), 100);
            let error = world.error(server.http().as_str(), &read()).await;
            assert_eq!(error.kind, Kind::Redirect);
            assert!(error.message.contains("[token]"), "{}", error.message);
            assert_eq!(world.log()[1]["server_date"], "[token]");
        }
    }
}

#[tokio::test]
async fn a_token_in_what_the_front_end_wrote_is_not_shown_nor_kept() {
    for (status, kind) in [(200, Kind::NotRedcap), (403, Kind::NotRedcap), (404, Kind::NotRedcap), (500, Kind::Server)]
    {
        let world = World::trying_again(0);
        let token = &world.token;
        let body = format!("<html>{token} {token}</html>").into_bytes();
        let server = server(format!("HTTP/1.1 {status} {token}\r\nContent-Type: text/html; {token}"), body, 3);
        assert_eq!(world.error(server.http().as_str(), &read()).await.kind, kind);
    }
}

#[tokio::test]
async fn a_token_hidden_in_the_projects_title_is_not_shown() {
    let world = World::new();
    let part = &world.token[..31];
    let escaped = spelled(part, |byte| format!("\\u{byte:04x}"));
    let title = format!(r#"{{"project_id":77,"project_title":"A {escaped} or {part}x"}}"#);
    let server = super::Server::start(vec![super::version(), super::say(200, "", &title)]);
    let project = world.set_up(&server.uri);
    let found = world.probe(&project).await.unwrap();
    assert_eq!(found.project_title.as_deref(), Some("A [token] or [token]x"));
    world.assert_sealed("");
    // The whole of it is an incident.
    let whole = spelled(&world.token, |byte| format!("\\u{byte:04x}"));
    let title = format!(r#"{{"project_id":77,"project_title":"A {whole}"}}"#);
    let server = super::Server::start(vec![super::version(), super::say(200, "", &title)]);
    let world = World::with(world.token.as_bytes(), &world.token);
    let project = world.set_up(&server.uri);
    let error = world.probe(&project).await.err().unwrap();
    assert_eq!((error.kind, world.classes()), (Kind::TokenEcho, vec!["ok".to_owned(), "token_echo".to_owned()]));
    world.assert_sealed(&format!("{error:?}"));
}

#[tokio::test]
async fn an_id_of_the_project_that_is_a_part_of_the_token_is_refused_and_not_pinned() {
    let digits = "12345678";
    let token = format!("{digits}{}", &super::token()[8..]);
    let world = World::with(token.as_bytes(), &token);
    let project = format!(r#"{{"project_id":{digits},"project_title":"A"}}"#);
    let server = super::Server::start(vec![super::version(), super::say(200, "", &project)]);
    let project = world.set_up(&server.uri);
    let error = world.probe(&project).await.err().unwrap();
    assert_eq!(error.kind, Kind::NotRedcap);
    world.assert_sealed(&format!("{error:?}"));
}
