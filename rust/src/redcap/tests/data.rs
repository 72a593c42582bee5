//! Data is never altered: it comes through byte for byte, or it holds the token and is withheld.

use std::sync::{Arc, Mutex};

use super::world::World;
use crate::error::{Kind, Result};
use crate::net::tests::kit::listen;
use crate::numbers::Numbers;
use crate::redcap::answer::Sink;
use crate::redcap::request::{Expect, Request};

/// A sink that keeps what it was given.
#[derive(Default)]
struct Kept(Vec<u8>);

impl Sink for Kept {
    fn restart(&mut self) -> bool {
        self.0.clear();
        true
    }

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        self.0.extend_from_slice(chunk);
        Ok(())
    }
}

#[tokio::test]
async fn the_whole_token_in_data_is_found_over_all_borders_of_chunks_in_any_case() {
    let next = Arc::new(Mutex::new((Vec::new(), 1)));
    let said = Arc::clone(&next);
    let server = listen(move |mut conn| {
        while conn.request().is_some() {
            let (body, size): (Vec<u8>, usize) = said.lock().unwrap().clone();
            let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in body.chunks(size) {
                answer.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            }
            conn.send([answer.as_slice(), b"0\r\n\r\n"].concat());
        }
    });
    let world = World::new();
    let project = world.set_up(server.http().as_str());
    let mut operation = world.operation(&project);
    let mut calls = 0;
    for size in (1..=40).chain([63, 64, 65, 1000]) {
        // Right at the start, over the border of the first bytes that decide what the body is, and behind it.
        for before in [2, 40, 64, 200] {
            let token = if before % 3 == 0 { world.token.clone() } else { world.token.to_lowercase() };
            let body = format!("[\"{}{token}\"]", "7".repeat(before - 2)).into_bytes();
            *next.lock().unwrap() = (body.clone(), size);
            let mut kept = Kept::default();
            let answered = operation.call(&Request::read("record", Expect::Json), &mut kept).await;
            let error = answered.expect_err("the token came through");
            assert_eq!(error.kind, Kind::TokenEcho);
            assert!(!format!("{error:?}").to_uppercase().contains(&world.token[..8]));
            // What came before the hit was not altered, and the token's end is not in it.
            assert!(body.starts_with(&kept.0) && kept.0.len() < before + token.len(), "chunks of {size}");
            calls += 1;
        }
    }
    assert_eq!(world.classes(), vec!["token_echo"; calls]);
    world.assert_sealed("");
}

#[tokio::test]
async fn the_token_in_the_escapes_of_json_is_found_before_anybody_parses_it() {
    let said = Arc::new(Mutex::new((String::new(), 1)));
    let next = Arc::clone(&said);
    let server = listen(move |mut conn| {
        while conn.request().is_some() {
            let (body, size) = said.lock().unwrap().clone();
            let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in body.as_bytes().chunks(size) {
                answer.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            }
            conn.send([answer.as_slice(), b"0\r\n\r\n"].concat());
        }
    });
    let world = World::new();
    let escaped = |text: &str| text.bytes().map(|byte| format!("\\u{byte:04x}")).collect::<Vec<_>>().concat();
    let whole = escaped(&world.token);
    let one = [&world.token[..9], &escaped(&world.token[9..10]), &world.token[10..].to_lowercase()].concat();
    let project = world.set_up(server.http().as_str());
    let mut operation = world.operation(&project);
    let (mut calls, mut classes) = (0, Vec::new());
    for hidden in [&whole, &one] {
        // A label of the dictionary, an id after an import, a name of what is there.
        for body in [
            format!(r#"[{{"field_name":"a","select_choices_or_calculations":"1, {hidden} | 2, b"}}]"#),
            format!(r#"["{hidden},1"]"#),
            format!(r#"[{{"{hidden}":"\n"}}]"#),
        ] {
            for size in [1, 5, 64, 4000] {
                *next.lock().unwrap() = (body.clone(), size);
                let error = operation.collect(&Request::read("metadata", Expect::Json), 100_000).await.unwrap_err();
                assert_eq!(error.kind, Kind::TokenEcho, "chunks of {size}");
                calls += 1;
                classes.push("token_echo");
            }
        }
    }
    // Escapes of anything else come through as they are.
    let body = format!(r#"["{}\n\u00e4\"{}"]"#, &whole[..150], &world.token[..7]);
    *next.lock().unwrap() = (body.clone(), 7);
    let got = operation.collect(&Request::read("metadata", Expect::Json), 100_000).await.unwrap();
    assert_eq!(got.as_slice(), body.as_bytes());
    classes.push("ok");
    assert_eq!((world.classes(), calls), (classes.iter().map(|class| (*class).to_owned()).collect(), 24));
}

/// Data that is as near to a token as data can be: hexadecimal digits, and ever again the token but for one
/// character. A stream of pieces that depends on the seed alone.
struct Near {
    numbers: Numbers,
    token: String,
}

/// By which a body is taken for JSON.
const OPENING: &[u8] = b"[\"";

impl Near {
    fn new(seed: u64, token: &str) -> Self {
        Self { numbers: Numbers(seed), token: token.to_owned() }
    }

    fn piece(&mut self) -> Vec<u8> {
        let numbers = &mut self.numbers;
        if numbers.below(8) > 0 {
            let digits: &[u8; 22] = b"0123456789abcdefABCDEF";
            let length = 8 * (1 + numbers.below(200));
            let mut piece = Vec::with_capacity(length + 8);
            while piece.len() < length {
                piece.extend(numbers.next().to_le_bytes().map(|byte| digits[usize::from(byte) % 22]));
            }
            return piece;
        }
        let mut piece = self.token.clone().into_bytes();
        if numbers.below(2) == 0 {
            piece.make_ascii_lowercase();
        }
        match numbers.below(3) {
            0 => piece[numbers.below(32)] = b'x',
            1 => {
                piece.truncate(1 + numbers.below(31));
                piece.push(b',');
            }
            _ => {
                piece.drain(..=numbers.below(31));
                piece.insert(0, b'"');
            }
        }
        piece
    }
}

/// A sink that compares with the stream that the server sends, made anew here.
struct Compared {
    near: Near,
    expected: Vec<u8>,
    at: usize,
    total: u64,
}

impl Sink for Compared {
    fn restart(&mut self) -> bool {
        false
    }

    fn take(&mut self, mut chunk: &[u8]) -> Result<()> {
        self.total += chunk.len() as u64;
        while !chunk.is_empty() {
            if self.at == self.expected.len() {
                self.expected = self.near.piece();
                self.at = 0;
            }
            let length = chunk.len().min(self.expected.len() - self.at);
            assert!(chunk[..length] == self.expected[self.at..self.at + length], "altered within {} bytes", self.total);
            self.at += length;
            chunk = &chunk[length..];
        }
        Ok(())
    }
}

/// Megabytes of the property below: few by default, as many as `KEYCAP_ADVERSARY_MB` says (`make adversary`).
fn megabytes() -> u64 {
    std::env::var("KEYCAP_ADVERSARY_MB").map_or(4, |text| text.parse().unwrap())
}

#[tokio::test]
#[allow(clippy::print_stdout)] // the figure of the long run
async fn data_rich_in_digits_without_the_token_comes_through_byte_for_byte() {
    let started = std::time::Instant::now();
    let most = megabytes() * 1_000_000;
    let mut total = 0;
    for (body, sizes) in [1, 100, 8_000, 100_000].into_iter().enumerate() {
        let mut world = World::new();
        world.ctx.settings.net.timeout = std::time::Duration::from_secs(3600);
        let seed = u64::from_str_radix(&world.token[..16], 16).unwrap();
        let token = world.token.clone();
        // A byte at a time is slow and says all that it has to say early.
        let length = if sizes == 1 { 250_000 } else { most / 3 + 1 };
        let server = listen(move |mut conn| {
            conn.request();
            let (mut stream, mut cuts) = (Near::new(seed, &token), Numbers(!seed));
            let mut buffer = OPENING.to_vec();
            let mut sent = 0;
            let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            while sent < length {
                let size = 1 + cuts.below(sizes);
                while buffer.len() < size {
                    buffer.extend(stream.piece());
                }
                answer.extend(format!("{size:x}\r\n").as_bytes());
                answer.extend(buffer.drain(..size));
                answer.extend(b"\r\n");
                sent += size as u64;
                if answer.len() > 100_000 {
                    conn.send(&answer);
                    answer.clear();
                }
            }
            conn.send([answer.as_slice(), b"0\r\n\r\n"].concat());
            conn.wait_for_end();
        });
        let project = world.set_up(server.http().as_str());
        let near = Near::new(seed, &world.token);
        let mut compared = Compared { near, expected: OPENING.to_vec(), at: 0, total: 0 };
        world.operation(&project).call(&Request::read("record", Expect::Json), &mut compared).await.unwrap();
        assert!(compared.total >= length, "body {body}: {} of {length} bytes", compared.total);
        assert_eq!(world.log()[1]["bytes"], compared.total);
        total += compared.total;
    }
    println!("{total} bytes came through unaltered in {:.1} s", started.elapsed().as_secs_f64());
}
