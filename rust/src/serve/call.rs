//! One request.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use super::answer::{Answer, whole};

/// One request. The body stays on the wire until [`Call::body`] asks for it.
pub(crate) struct Call {
    /// Method, path and headers.
    pub(crate) head: Parts,
    /// Who asks.
    pub(crate) peer: SocketAddr,
    pub(super) body: Option<Incoming>,
    pub(super) body_bytes: usize,
    pub(super) body_time: Duration,
}

impl Call {
    /// The path without the query.
    pub(crate) fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// A header as text; `None` where it is missing or not text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// Reads the body: bounded in length and in time.
    ///
    /// # Errors
    /// The answer to give when the body is too long, too slow or broken. A second reading finds nothing.
    pub(crate) async fn body(&mut self) -> Result<Bytes, Answer> {
        let Some(body) = self.body.take() else { return Ok(Bytes::new()) };
        let reading = Limited::new(body, self.body_bytes).collect();
        match tokio::time::timeout(self.body_time, reading).await {
            Err(_) => Err(refuse(StatusCode::REQUEST_TIMEOUT)),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(refuse(StatusCode::PAYLOAD_TOO_LARGE)),
            Ok(Err(_)) => Err(refuse(StatusCode::BAD_REQUEST)),
            Ok(Ok(body)) => Ok(body.to_bytes()),
        }
    }
}

/// An answer in plain words that ends the connection: what is left of the body is not read.
fn refuse(status: StatusCode) -> Answer {
    let mut response = Response::new(whole(format!("{status}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Answer::Http(response)
}
