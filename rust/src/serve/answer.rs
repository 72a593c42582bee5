//! What goes back to a client.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::Response;

/// A response's body. Boxed, so that a handler may stream.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A body that is there as a whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What a handler answers.
pub(crate) enum Answer {
    /// A proper response.
    Http(Response<Body>),
    /// Bytes as they are, then the end of the connection. For servers that must misbehave on purpose.
    Raw(Raw),
}

/// Bytes that go out as they are, head included.
pub(crate) struct Raw {
    /// What is written, in order.
    pub(crate) pieces: Vec<Piece>,
    /// How the connection ends.
    pub(crate) end: End,
}

/// A piece of a raw answer.
pub(crate) enum Piece {
    /// Bytes, all at once.
    Bytes(Bytes),
    /// Bytes in pieces of `by`, with a pause after each.
    Slowly {
        /// What is written.
        bytes: Bytes,
        /// Bytes in one piece, at least 1.
        by: usize,
        /// The pause behind each piece.
        pause: Duration,
    },
    /// The same bytes again and again, until the client has gone.
    Forever(Bytes),
}

/// How a connection ends behind a raw answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In order (FIN).
    Close,
    /// Torn (RST).
    Reset,
}

impl Raw {
    /// Nothing is sent; the connection is torn.
    pub(crate) fn reset() -> Self {
        Self { pieces: Vec::new(), end: End::Reset }
    }
}
