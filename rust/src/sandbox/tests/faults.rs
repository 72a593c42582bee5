//! Misbehaviour on demand, as it looks on the wire.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Site;
use crate::sandbox::Config;

/// A sandbox, a token, and a request for the project's title, which has umlauts.
fn asked() -> (Site, String) {
    let mut site = Site::start();
    let token = site.token("TEST", "admin");
    (site, token)
}

fn fields(token: &str) -> [(&str, &str); 3] {
    [("token", token), ("content", "project"), ("format", "json")]
}

fn length(answer: &super::site::Answer) -> usize {
    answer.header("content-length").unwrap().parse().unwrap()
}

#[test]
fn a_fault_lasts_for_its_number_of_requests_and_its_content() {
    let (mut site, token) = asked();
    site.admin(json!({"do": "fault", "fault": {"kind": "html", "status": 503}, "times": 2, "content": "project"}));
    assert_eq!(site.post(&[("token", &token), ("content", "version")]).status, 200);
    assert_eq!([0, 1, 2].map(|_| site.post(&fields(&token)).status), [503, 503, 200]);
    site.admin(json!({"do": "fault", "fault": {"kind": "ban"}}));
    assert_eq!([0, 1, 2].map(|_| site.post(&fields(&token)).status), [403, 403, 403]);
    site.admin(json!({"do": "clear"}));
    assert_eq!(site.post(&fields(&token)).status, 200);
}

#[test]
fn front_ends_answer_html() {
    let (mut site, token) = asked();
    for status in [200, 403, 502, 503, 504] {
        site.fault(json!({"kind": "html", "status": status}));
        let answer = site.post(&fields(&token));
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(answer.text().starts_with("<!DOCTYPE html>") && !answer.text().contains("ERROR"));
    }
    site.fault(json!({"kind": "ban"}));
    let answer = site.post(&fields(&token));
    assert!(answer.status == 403 && answer.text().contains("banned"));
}

#[test]
fn redirects_have_every_code_and_any_address() {
    let (mut site, token) = asked();
    for status in [301, 302, 303, 307, 308] {
        for location in ["http://127.0.0.1:9/elsewhere/?query=1", "/redcap/api/", "../other", "//example.org/"] {
            site.fault(json!({"kind": "redirect", "status": status, "location": location}));
            let answer = site.post(&fields(&token));
            assert_eq!((answer.status, answer.header("location")), (status, Some(location)));
        }
    }
}

#[test]
fn a_late_answer_is_the_right_one_and_faults_add_to_latency() {
    let (mut site, token) = asked();
    site.fault(json!({"kind": "latency", "ms": 200}));
    site.fault(json!({"kind": "html", "status": 504}));
    let began = Instant::now();
    assert_eq!(site.post(&fields(&token)).status, 504);
    assert!(began.elapsed() >= Duration::from_millis(200));
    // One late answer does not hold up the others.
    site.admin(json!({"do": "fault", "fault": {"kind": "latency", "ms": 3000}, "times": 1, "content": "project"}));
    let mut late = site.connect();
    late.write_all(&site.request(&fields(&token))).unwrap();
    let began = Instant::now();
    assert_eq!(site.post(&[("token", &token), ("content", "version")]).text(), "14.5.5");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn slow_bytes_are_the_right_ones_in_the_end() {
    let (mut site, token) = asked();
    let right = site.post(&fields(&token));
    site.fault(json!({"kind": "slow", "bytes": 50, "ms": 10}));
    let began = Instant::now();
    assert_eq!(site.post(&fields(&token)).bytes, right.bytes);
    assert!(began.elapsed() >= Duration::from_millis(100));
}

#[test]
fn truncated_and_miscounted_bodies_contradict_their_heads() {
    let (mut site, token) = asked();
    let right = site.post(&fields(&token)).bytes.len();
    site.fault(json!({"kind": "truncated"}));
    let answer = site.post(&fields(&token));
    assert_eq!((length(&answer), answer.bytes.len()), (right, right / 2));
    site.fault(json!({"kind": "truncated", "chunked": true}));
    let answer = site.post(&fields(&token));
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert!(!answer.bytes.ends_with(b"0\r\n\r\n"));
    for by in [-5_isize, 7] {
        site.fault(json!({"kind": "wrong_length", "by": by}));
        let answer = site.post(&fields(&token));
        assert_eq!(answer.bytes.len(), right);
        assert_eq!(length(&answer), right.checked_add_signed(by).unwrap());
    }
}

#[test]
fn resets_tear_the_connection_before_or_after_the_body() {
    let (mut site, token) = asked();
    site.fault(json!({"kind": "reset_after_body"}));
    assert_eq!(site.exchange(&site.request(&fields(&token))).unwrap_err().kind(), ErrorKind::ConnectionReset);
    // Before: the head is enough; the body never needs to come.
    site.fault(json!({"kind": "reset_before_body"}));
    let mut stream = site.connect();
    stream.write_all(site.head("POST", "/redcap/api/", "application/x-www-form-urlencoded", 500).as_bytes()).unwrap();
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(rest.is_empty());
    let counts = site.admin(json!({"do": "count"}));
    assert_eq!(counts["statuses"]["reset_after_body"], 1);
    assert_eq!(counts["statuses"]["reset_before_body"], 1);
    assert_eq!(counts["with_token"], 1, "the second request's body was never read");
}

#[test]
fn latin1_is_declared_as_utf8_and_is_not() {
    let (mut site, token) = asked();
    site.fault(json!({"kind": "latin1"}));
    let answer = site.post(&fields(&token));
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    assert!(std::str::from_utf8(&answer.bytes).is_err());
    assert!(answer.bytes.windows(5).any(|window| window == b"Gr\xF6\xDFe"));
}

#[test]
fn the_token_comes_back_wherever_and_however_it_is_asked_to() {
    let (mut site, token) = asked();
    for (place, status) in [("error", 400), ("header", 200), ("reason", 400), ("data", 200)] {
        for (case, echoed) in
            [("as_sent", token.clone()), ("lower", token.to_lowercase()), ("upper", token.to_uppercase())]
        {
            site.fault(json!({"kind": "echo", "place": place, "case": case}));
            let answer = site.post(&fields(&token));
            assert_eq!(answer.status, status);
            let head = place == "header" || place == "reason";
            assert_eq!(answer.head.contains(&echoed), head, "{place}");
            assert_eq!(answer.text().contains(&echoed), !head, "{place}");
        }
    }
    site.fault(json!({"kind": "echo", "place": "error", "chunk": 5}));
    let answer = site.post(&fields(&token));
    assert!(!answer.text().contains(&token), "chunk headers stand between its pieces");
    assert_eq!(
        unchunked(answer.text()),
        format!("{{\"error\":\"The request with the token {token} could not be understood\"}}")
    );
}

fn unchunked(text: &str) -> String {
    let (mut rest, mut out) = (text, String::new());
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        out.push_str(&tail[..size]);
        rest = &tail[size + 2..];
        if size == 0 {
            break;
        }
    }
    out
}

#[test]
fn out_of_memory_and_a_lost_database_come_with_200() {
    let (mut site, token) = asked();
    site.fault(json!({"kind": "out_of_memory"}));
    let answer = site.post(&fields(&token));
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().starts_with("<br />") && answer.text().contains("{\"error\":\"REDCap ran out of server memory")
    );
    site.fault(json!({"kind": "database"}));
    let answer = site.post(&fields(&token));
    assert!(answer.status == 200 && answer.text().contains("password"));
}

#[test]
fn an_endless_body_goes_on_until_the_client_has_enough() {
    let (mut site, token) = asked();
    site.fault(json!({"kind": "endless"}));
    let mut stream = site.connect();
    stream.write_all(&site.request(&fields(&token))).unwrap();
    let mut buffer = vec![0; 8 << 20];
    stream.read_exact(&mut buffer).unwrap();
    drop(stream);
    assert_eq!(site.post(&fields(&token)).status, 200);
}

#[test]
fn any_body_can_be_asked_for() {
    let (mut site, token) = asked();
    let nasty = "ERROR: %s%n {system('id')} \u{1b}[31m \u{0}";
    site.fault(json!({"kind": "body", "status": 400, "text": nasty, "repeat": 3}));
    let answer = site.post(&fields(&token));
    assert_eq!((answer.status, answer.text()), (400, &*nasty.repeat(3)));
    site.fault(json!({"kind": "body", "text": "\u{ff}\u{fe}", "latin1": true, "content_type": "application/json"}));
    let answer = site.post(&fields(&token));
    assert_eq!((&*answer.bytes, answer.header("content-type")), (&b"\xff\xfe"[..], Some("application/json")));
}

#[test]
fn an_address_that_asks_too_often_is_banned_until_the_ban_is_lifted() {
    let mut site = Site::with(Config { ban_after: Some(600), ..Config::default() });
    let token = site.token("TEST", "admin");
    let version = [("token", token.as_str()), ("content", "version")];
    assert!((0..600).all(|_| site.post(&version).status == 200));
    let answer = site.post(&version);
    assert_eq!(answer.status, 403);
    assert!(answer.text().starts_with("<!DOCTYPE html>"));
    site.admin(json!({"do": "clear"}));
    assert_eq!(site.post(&version).status, 200);
}
