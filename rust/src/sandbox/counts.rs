//! What the server has seen, for tests that must know what a client sent.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Numbers of requests to the API's path.
#[derive(Default)]
pub(super) struct Counts {
    total: u64,
    /// Requests that carried something in the field `token`.
    with_token: u64,
    contents: BTreeMap<String, u64>,
    statuses: BTreeMap<String, u64>,
    /// Client addresses with port: one entry is one connection.
    peers: BTreeMap<String, u64>,
}

impl Counts {
    /// A request has come in.
    pub(super) fn arrived(&mut self, peer: std::net::SocketAddr) {
        self.total += 1;
        *self.peers.entry(peer.to_string()).or_default() += 1;
    }

    /// Its body was read.
    pub(super) fn read(&mut self, content: &str, with_token: bool) {
        // The name comes from outside: what is not a plain word is counted as "other".
        let word = content.len() <= 40 && content.bytes().all(|b| b.is_ascii_alphanumeric());
        let content = if word { content } else { "other" };
        *self.contents.entry(content.to_owned()).or_default() += 1;
        self.with_token += u64::from(with_token);
    }

    /// It was answered: a status, or the name of a fault.
    pub(super) fn answered(&mut self, how: &str) {
        *self.statuses.entry(how.to_owned()).or_default() += 1;
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "total": self.total,
            "with_token": self.with_token,
            "connections": self.peers.len(),
            "contents": self.contents,
            "statuses": self.statuses,
        })
    }
}
