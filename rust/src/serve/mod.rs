//! A small HTTP/1 server: the sandbox stands on it now, the agent will.
//!
//! It holds nothing against its owner: bodies are bounded, every read and write has a time-out, the number of
//! connections is limited, and it binds loopback addresses only. It holds no statics and runs on one thread
//! (a current-thread runtime and a [`LocalSet`](tokio::task::LocalSet)), so it lives as well in a child
//! process as in a thread of its own.
//!
//! - [`serve`] answers the connections of a listener until it is told to stop.
//! - [`Call`] is one request; its body is read when the handler asks for it.
//! - [`Answer`] is what goes back: a response, or raw bytes for those who must break the protocol on purpose.

mod answer;
mod call;
mod server;
mod wire;

pub(crate) use answer::{Answer, Body, End, Piece, Raw, whole};
pub(crate) use call::Call;
pub(crate) use server::{Limits, block_on, serve};

#[cfg(test)]
mod tests;
