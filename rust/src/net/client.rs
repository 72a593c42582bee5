//! The HTTPS client: one POST, one answer.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use reqwest::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    TRANSFER_ENCODING,
};
use reqwest::{Method, Version};
use tokio::time::{Instant, timeout_at};
use url::Url;
use zeroize::Zeroizing;

use super::fault::{Fault, Place, Stage};
use super::look_up::{self, LookUp, Resolver};
use super::process::Own;
use super::proxy::{Route, Way};
use super::tls::Tls;
use super::{NetSettings, ServerUrl};
use crate::error::{Error, Kind, Result};

/// How long a connection is kept for the next call. Apache closes at 5 s; a call on a connection that the server is
/// just closing fails.
const IDLE: Duration = Duration::from_secs(3);

/// How many clients are kept warm. A session has one server and one set of settings, or few.
const WARM: usize = 4;

/// How many connections to one server are kept: as many as operations run side by side.
const KEPT: usize = 25;

/// Longer than any call.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How we introduce ourselves.
const USER_AGENT: &str = concat!("keycap/", env!("CARGO_PKG_VERSION"));

/// The process's clients. Clones share them.
///
/// Used on the host's thread only: no lock of it can be held by another thread when the host forks.
#[derive(Clone)]
pub struct Net {
    look_up: LookUp,
    cache: Arc<Mutex<Option<Own<Cache>>>>,
}

/// The warm clients of one process, the latest first.
struct Cache {
    resolver: Resolver,
    warm: Vec<(Key, Client)>,
}

/// What a client is made of. Trusted certificates are read when it is made, so where they come from belongs to it.
#[derive(PartialEq, Eq)]
struct Key {
    settings: NetSettings,
    ca_file: Option<(SystemTime, u64)>,
}

impl Key {
    fn of(settings: &NetSettings) -> Self {
        let stamp = |file: &Path| {
            let file = std::fs::metadata(file).ok()?;
            Some((file.modified().ok()?, file.len()))
        };
        Self { settings: settings.clone(), ca_file: settings.ca_file.as_deref().and_then(stamp) }
    }
}

impl Default for Net {
    fn default() -> Self {
        Self::new()
    }
}

impl Net {
    /// No client yet.
    pub fn new() -> Self {
        Self::looking_up(look_up::system())
    }

    /// With another resolver of names.
    pub(super) fn looking_up(look_up: LookUp) -> Self {
        Self { look_up, cache: Arc::default() }
    }

    /// The warm client with these settings: its connections are used again. To be called on the host's thread.
    ///
    /// # Errors
    /// `certificate` where the CA file cannot be used.
    pub(crate) fn client(&self, settings: &NetSettings) -> Result<Client> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.as_ref().is_none_or(|cache| cache.get().is_none()) {
            // The first client here, or we are a forked child: then the parent's are forgotten. Using them would
            // garble its connections, dropping them would end the registrations of its sockets.
            let resolver = Resolver::new(Arc::clone(&self.look_up));
            *cache = Some(Own::new(Cache { resolver, warm: Vec::new() }));
        }
        let cache = cache.as_mut().and_then(Own::get_mut);
        let cache = cache.ok_or_else(|| Error::new(Kind::Internal, "there is no place for clients"))?;
        let key = Key::of(settings);
        let at = cache.warm.iter().position(|(other, _)| *other == key);
        let entry = match at {
            Some(at) => cache.warm.remove(at),
            None => (
                key,
                Client::new(
                    settings,
                    Tls::new(settings.ca_file.as_deref(), &settings.trust)?,
                    cache.resolver.clone(),
                    IDLE,
                )?,
            ),
        };
        let client = entry.1.clone();
        cache.warm.insert(0, entry);
        cache.warm.truncate(WARM);
        Ok(client)
    }

    /// A client that uses no connection twice, for imports: on a connection that went stale a request may be lost
    /// after its bytes went out, and an import is not sent again. To be called on the host's thread.
    ///
    /// # Errors
    /// As [`Net::client`].
    pub(crate) fn fresh_client(&self, settings: &NetSettings) -> Result<Client> {
        let warm = self.client(settings)?;
        let parts = warm.parts()?;
        Client::new(settings, parts.tls.clone(), parts.resolver.clone(), Duration::ZERO)
    }
}

/// A client. Cheap to clone; known to its process, forgotten in a forked child.
#[derive(Clone)]
pub(crate) struct Client(Arc<Own<Parts>>);

struct Parts {
    /// Its connections are those of the client. Locked for a moment only, by the I/O thread; a forked child, which
    /// might inherit it locked, never gets here.
    http: Mutex<reqwest::Client>,
    idle: Duration,
    tls: Tls,
    resolver: Resolver,
    route: Arc<Route>,
    connect_timeout: Duration,
    timeout: Duration,
}

impl Client {
    /// A client; `idle` is how long it keeps a connection for the next call, zero for not at all.
    pub(super) fn new(settings: &NetSettings, tls: Tls, resolver: Resolver, idle: Duration) -> Result<Self> {
        let route = Arc::new(Route::new(&settings.proxy));
        let connect_timeout = settings.connect_timeout;
        let http = Mutex::new(http(&tls, &resolver, &route, connect_timeout, idle)?);
        let parts = Parts { http, idle, tls, resolver, route, connect_timeout, timeout: settings.timeout };
        Ok(Self(Arc::new(Own::new(parts))))
    }

    /// Closes the connections that are kept for the next call; those in use end with their call.
    ///
    /// A connection has buffers, and what a server sent stays in them until the next answer comes over it. A server
    /// can send anything, the token included, so a connection whose answer is not known to be clean is closed: its
    /// buffers are then freed, and wiped.
    pub(crate) fn close_connections(&self) {
        let Ok(parts) = self.parts() else { return };
        let fresh = http(&parts.tls, &parts.resolver, &parts.route, parts.connect_timeout, parts.idle);
        // One could be made before with these very parts.
        if let Ok(fresh) = fresh {
            *parts.http.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }

    fn parts(&self) -> Result<&Parts> {
        self.0.get().ok_or_else(|| Error::new(Kind::Internal, "this client was made by the parent process"))
    }

    /// Sends one POST and waits for the head of its answer. A redirect is an answer like any other.
    ///
    /// Nothing is sent twice. One thing is tried again below: a request that was queued on a kept connection which
    /// turns out to be closed, before a byte of it was written (hyper hands it back unread), goes to a new connection.
    ///
    /// # Errors
    /// A [`Fault`] that says whether the request may have reached the server.
    pub(crate) async fn post(
        &self,
        url: &ServerUrl,
        content_type: &str,
        body: WipedBody,
    ) -> std::result::Result<Answer, Fault> {
        let content_type = HeaderValue::from_str(content_type)
            .map_err(|_| Error::new(Kind::Internal, "the content type of the request is not usable"))
            .map_err(|error| Fault { error, sent: false })?;
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type)]);
        self.send(url, Outbound { method: Method::POST, url: url.url().clone(), headers, body: Some(body) }).await
    }

    /// Sends one request to an address of a server's and waits for the head of its answer, as [`Client::post`] does.
    ///
    /// # Errors
    /// A [`Fault`] that says whether the request may have reached the server.
    pub(crate) async fn send(&self, server: &ServerUrl, request: Outbound) -> std::result::Result<Answer, Fault> {
        let unsent = |error| Fault { error, sent: false };
        let parts = self.parts().map_err(unsent)?;
        // A time-out beyond what the clock can hold is none that anybody lives to see.
        let deadline = Instant::now().checked_add(parts.timeout).unwrap_or_else(|| Instant::now() + NEVER);
        let Outbound { method, url, headers, body } = request;
        if server.origin().is_https() {
            parts.tls.usable.clone().map_err(unsent)?;
        }
        let mut place = Place {
            server: server.origin().authority(),
            proxy: None,
            connect_timeout: parts.connect_timeout,
            timeout: parts.timeout,
        };
        match parts.route.way(&url) {
            Way::Direct => {}
            Way::Proxy(proxy) => place.proxy = Some(proxy),
            Way::Unusable => return Err(place.unusable_proxy()),
        }
        // Without a body nothing tells when the head goes out: it may have, as soon as there is a connection.
        let bodiless = body.is_none();
        let sent = Arc::new(AtomicBool::new(bodiless));
        let http = parts.http.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = http.request(method, url).headers(headers);
        if let Some(body) = body {
            let body = Outgoing { body: Some(Bytes::from_owner(body)), sent: Arc::clone(&sent) };
            request = request.body(reqwest::Body::wrap(body));
        }
        let response = timeout_at(deadline, request.send()).await;
        let unconnected = bodiless && matches!(&response, Ok(Err(error)) if error.is_connect());
        let sent = sent.load(Ordering::SeqCst) && !unconnected;
        let stage = if sent { Stage::Waiting } else { Stage::Connecting };
        let next = place.proxy.as_deref().map_or_else(|| server.origin().host(), host_of);
        let looking_up = || parts.resolver.is_pending(next);
        match response {
            Ok(Ok(response)) => Ok(Answer::new(response, place, deadline)),
            Ok(Err(error)) if stage == Stage::Connecting && error.is_timeout() && looking_up() => {
                Err(place.connect_too_late(true))
            }
            Ok(Err(error)) => Err(place.fault(error, stage)),
            Err(_) => Err(place.too_late(stage, looking_up())),
        }
    }
}

/// A request to a server.
pub(crate) struct Outbound {
    pub(crate) method: Method,
    /// Where to: an address on the server.
    pub(crate) url: Url,
    /// A value that is secret is marked as sensitive and wipes itself ([`WipedBody::header`]).
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<WipedBody>,
}

/// reqwest's client, as everything here needs it.
fn http(
    tls: &Tls,
    resolver: &Resolver,
    route: &Arc<Route>,
    connect_timeout: Duration,
    idle: Duration,
) -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls.config.clone())
        .http1_only()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        // Switches the system's proxies off: reqwest would send plain http to loopback through `http_proxy`.
        .no_proxy()
        .proxy(route.to_reqwest())
        .dns_resolver(Arc::new(resolver.clone()))
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        .pool_idle_timeout(idle)
        .pool_max_idle_per_host(if idle.is_zero() { 0 } else { KEPT })
        .build()
        .map_err(|_| Error::new(Kind::Internal, "the HTTPS client could not be made"))
}

/// The host of `host:port`.
fn host_of(authority: &str) -> &str {
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// The body of a request: one buffer that wipes itself, handed down to the socket without a copy.
pub(crate) struct WipedBody(Zeroizing<Vec<u8>>);

impl WipedBody {
    /// Takes over a buffer. It was sized exactly before it was filled: one that grew has left copies behind.
    pub(crate) fn new(buffer: Zeroizing<Vec<u8>>) -> Self {
        Self(buffer)
    }

    /// The buffer as the value of a header: marked as sensitive, and not copied before it is written to the wire.
    /// `None` where a header cannot carry it.
    pub(crate) fn header(self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(self)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl AsRef<[u8]> for WipedBody {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for WipedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WipedBody(**** {} bytes)", self.0.len())
    }
}

/// The body on its way. hyper asks for it when the connection stands and the head is written, so that being asked is
/// the moment from which bytes may go out. Not being cloneable, it cannot be sent twice by any layer.
struct Outgoing {
    body: Option<Bytes>,
    sent: Arc<AtomicBool>,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        self.sent.store(true, Ordering::SeqCst);
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| body.len() as u64))
    }
}

/// An answer, its body still to come. Header values are as the server wrote them: scrub before showing.
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// `Content-Type`.
    pub(crate) content_type: Option<String>,
    /// `Date`.
    pub(crate) date: Option<String>,
    /// `Location`, where the server redirects to.
    pub(crate) location: Option<String>,
    /// `Content-Disposition`.
    pub(crate) content_disposition: Option<String>,
    response: reqwest::Response,
    place: Place,
    deadline: Instant,
}

impl Answer {
    fn new(response: reqwest::Response, place: Place, deadline: Instant) -> Self {
        let header = |name: HeaderName| {
            response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self {
            status: response.status().as_u16(),
            content_type: header(CONTENT_TYPE),
            date: header(DATE),
            location: header(LOCATION),
            content_disposition: header(CONTENT_DISPOSITION),
            response,
            place,
            deadline,
        }
    }

    /// Whether a body that breaks off is an error: where its length is said, or it comes in chunks of which the last
    /// is marked, or in frames. Else it ends with the connection, whatever ended that.
    pub(crate) fn proves_its_end(&self) -> bool {
        let headers = self.response.headers();
        self.response.version() >= Version::HTTP_2
            || headers.contains_key(CONTENT_LENGTH)
            || headers.get(TRANSFER_ENCODING).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"))
    }

    /// The value of a header, where it is ASCII.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The values of all headers, as the server wrote them.
    pub(crate) fn header_values(&self) -> impl Iterator<Item = &[u8]> {
        self.response.headers().values().map(HeaderValue::as_bytes)
    }

    /// The next piece of the body, as it comes off the wire; nothing at its end. Safe to cancel.
    ///
    /// # Errors
    /// A [`Fault`] if the body breaks off, is not valid HTTP, or is not complete within the time-out of the call.
    pub(crate) async fn chunk(&mut self) -> std::result::Result<Option<Bytes>, Fault> {
        match timeout_at(self.deadline, self.response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(self.place.fault(error, Stage::Reading)),
            Err(_) => Err(self.place.too_late(Stage::Reading, false)),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::net::process::pretended::in_child;

    fn same(one: &Client, other: &Client) -> bool {
        Arc::ptr_eq(&one.0, &other.0)
    }

    fn with_timeout(seconds: u64) -> NetSettings {
        NetSettings { timeout: Duration::from_secs(seconds), ..NetSettings::default() }
    }

    #[test]
    fn equal_settings_share_a_client_and_few_are_kept() {
        let net = Net::new();
        let first = net.client(&with_timeout(1)).unwrap();
        assert!(same(&first, &net.clone().client(&with_timeout(1)).unwrap()));
        assert!(!same(&first, &net.fresh_client(&with_timeout(1)).unwrap()));
        for seconds in 2..50 {
            assert!(!same(&first, &net.client(&with_timeout(seconds)).unwrap()));
            // Used again and again, it stays.
            assert!(same(&first, &net.client(&with_timeout(1)).unwrap()));
        }
        assert_eq!(net.cache.lock().unwrap().as_ref().unwrap().get().unwrap().warm.len(), WARM);
        let gone = Arc::downgrade(&net.client(&with_timeout(60)).unwrap().0);
        for seconds in 61..70 {
            net.client(&with_timeout(seconds)).unwrap();
        }
        assert!(gone.upgrade().is_none());
    }

    #[test]
    fn a_changed_ca_file_is_read_again_and_one_that_is_gone_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let certificate = || {
            let key = rcgen::KeyPair::generate().unwrap();
            rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap().pem()
        };
        std::fs::write(&file, certificate()).unwrap();
        let settings = NetSettings { ca_file: Some(file.clone()), ..NetSettings::default() };
        let net = Net::new();
        let first = net.client(&settings).unwrap();
        assert!(same(&first, &net.client(&settings).unwrap()));
        std::fs::write(&file, certificate() + "\n" + &certificate()).unwrap();
        assert!(!same(&first, &net.client(&settings).unwrap()));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(net.client(&settings).map(|_| ()).unwrap_err().kind, Kind::Certificate);
    }

    #[test]
    fn in_a_forked_child_what_was_inherited_is_forgotten_neither_used_nor_dropped() {
        let net = Net::new();
        let settings = NetSettings::default();
        let cached = net.client(&settings).unwrap();
        let single = net.fresh_client(&settings).unwrap();
        // What would be dropped with the clients.
        let alive = [&cached, &single].map(|client| Arc::downgrade(&client.parts().unwrap().route));
        in_child(|| {
            assert!(cached.parts().is_err());
            let url = ServerUrl::parse("http://127.0.0.1:9/").unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let body = WipedBody::new(Zeroizing::new(Vec::new()));
            let fault = runtime.block_on(cached.post(&url, "text/csv", body)).unwrap_err();
            assert_eq!((fault.error.kind, fault.sent), (Kind::Internal, false));
            let own = net.client(&settings).unwrap();
            assert!(own.parts().is_ok() && !same(&own, &cached));
            drop((cached, single));
            drop(net);
        });
        assert!(alive.iter().all(|route| route.upgrade().is_some()));
    }

    #[test]
    fn in_its_own_process_a_client_is_dropped() {
        let client = Net::new().fresh_client(&NetSettings::default()).unwrap();
        let route = Arc::downgrade(&client.parts().unwrap().route);
        drop(client);
        assert!(route.upgrade().is_none());
    }

    #[test]
    fn debug_of_a_body_shows_its_length_only() {
        let body = WipedBody::new(Zeroizing::new(b"token=1234".to_vec()));
        assert_eq!(format!("{body:?}"), "WipedBody(**** 10 bytes)");
    }
}
