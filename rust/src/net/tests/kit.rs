//! Listeners that do what they are told, and what a test needs to call them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use zeroize::Zeroizing;

use crate::net::{Answer, Client, Fault, Net, NetSettings, ServerUrl, WipedBody};

/// The body of most requests, with a token in it that is made up.
pub(crate) const BODY: &str = "token=F4KE0000F4KE1111F4KE2222F4KE3333&content=version&format=json";

/// What servers say in these tests; it must not be found in any message.
pub(crate) const EVIL: &str = "EV1L{system('id')}%s%n";

/// Runs a future to its end, on a thread like the I/O thread.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await });
    runtime.shutdown_background();
    result.expect("the call hangs")
}

/// A listener on loopback that serves each connection on a thread of its own.
pub(crate) struct Listener {
    pub(crate) addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Listener {
    /// How many connections there were.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// All bytes that were read, of all connections.
    pub(crate) fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }

    /// How many requests were read.
    pub(crate) fn requests(&self) -> usize {
        self.received().windows(5).filter(|bytes| bytes == b"POST ").count()
    }

    pub(crate) fn http(&self) -> ServerUrl {
        ServerUrl::parse(&format!("http://{}/api/", self.addr)).unwrap()
    }

    pub(crate) fn https(&self, host: &str) -> ServerUrl {
        ServerUrl::parse(&format!("https://{host}:{}/api/", self.addr.port())).unwrap()
    }
}

/// One connection of a listener.
pub(crate) struct Conn {
    stream: Box<dyn Stream>,
    tcp: TcpStream,
    /// Counted from zero.
    pub(crate) number: usize,
    received: Arc<Mutex<Vec<u8>>>,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Conn {
    /// Reads some bytes; none at the end of the connection.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 65_536];
        let length = self.stream.read(&mut buffer).unwrap_or(0);
        buffer.truncate(length);
        self.received.lock().unwrap().extend_from_slice(&buffer);
        buffer
    }

    /// Reads one request: its head and its body. Nothing at the end of the connection.
    pub(crate) fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let mut bytes = Vec::new();
        loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
                let length =
                    head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                let body = at + 4..at + 4 + length.unwrap_or(0);
                if bytes.len() >= body.end {
                    return Some((head, bytes[body].to_vec()));
                }
            }
            let more = self.read();
            if more.is_empty() {
                return None;
            }
            bytes.extend(more);
        }
    }

    /// Writes. False if the other side is gone.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Answers with 200 and a body, on a connection that stays.
    pub(crate) fn answer(&mut self, body: &str) {
        self.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// Ends the connection by a reset.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Waits for the other side to end the connection.
    pub(crate) fn wait_for_end(&mut self) {
        while !self.read().is_empty() {}
    }

    /// The connection below, for proxies.
    pub(crate) fn tcp(&self) -> TcpStream {
        self.tcp.try_clone().unwrap()
    }
}

/// Listens without TLS.
pub(crate) fn listen(script: impl Fn(Conn) + Send + Sync + 'static) -> Listener {
    listen_with(None, script)
}

/// Listens with TLS.
pub(crate) fn listen_tls(tls: &Arc<ServerConfig>, script: impl Fn(Conn) + Send + Sync + 'static) -> Listener {
    listen_with(Some(Arc::clone(tls)), script)
}

fn listen_with(tls: Option<Arc<ServerConfig>>, script: impl Fn(Conn) + Send + Sync + 'static) -> Listener {
    serve(TcpListener::bind("127.0.0.1:0").unwrap(), tls, script)
}

/// Listens without TLS on another address of this machine, where the system has more than one of them.
pub(crate) fn listen_elsewhere(script: impl Fn(Conn) + Send + Sync + 'static) -> Listener {
    let listener = TcpListener::bind("127.0.0.2:0").or_else(|_| TcpListener::bind("127.0.0.1:0"));
    serve(listener.unwrap(), None, script)
}

fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    script: impl Fn(Conn) + Send + Sync + 'static,
) -> Listener {
    let addr = listener.local_addr().unwrap();
    let (accepted, received) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (count, record, script) = (Arc::clone(&accepted), Arc::clone(&received), Arc::new(script));
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let tcp = tcp.unwrap();
            tcp.set_nodelay(true).unwrap();
            // No test waits longer; a thread that is stuck ends.
            tcp.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let number = count.fetch_add(1, Ordering::SeqCst);
            let (tls, record, script) = (tls.clone(), Arc::clone(&record), Arc::clone(&script));
            std::thread::spawn(move || {
                let own = tcp.try_clone().unwrap();
                let stream: Box<dyn Stream> = match tls {
                    None => Box::new(tcp),
                    Some(tls) => Box::new(StreamOwned::new(ServerConnection::new(tls).unwrap(), tcp)),
                };
                script(Conn { stream, tcp: own, number, received: record });
            });
        }
    });
    Listener { addr, accepted, received }
}

/// A server that answers every request with `ok`.
pub(crate) fn friendly(mut conn: Conn) {
    while conn.request().is_some() {
        conn.answer("ok");
    }
}

/// A certificate authority of the test's own, with its certificate in a file.
pub(crate) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Ca {
    pub(crate) fn new() -> Self {
        Self::named("the test's CA")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("{EVIL} {name}"));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A server's side for some names.
    pub(crate) fn server(&self, names: &[&str]) -> Arc<ServerConfig> {
        self.server_with(names, |_| {})
    }

    /// A server's side with a certificate that is changed before it is signed.
    pub(crate) fn server_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        server(certificate.der().clone(), &key)
    }
}

pub(crate) fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

pub(crate) fn server(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}

/// Clients for which every name is an address of this machine.
pub(crate) fn net() -> Net {
    Net::looking_up(Arc::new(|_| Ok(vec![([127, 0, 0, 1], 0).into()])))
}

/// Settings with room for a slow machine: a test that waits for a time-out sets its own.
pub(crate) fn settings() -> NetSettings {
    NetSettings { connect_timeout: Duration::from_secs(20), timeout: Duration::from_secs(25), ..NetSettings::default() }
}

pub(crate) fn trusting(ca: &Ca) -> NetSettings {
    NetSettings { ca_file: Some(ca.file()), ..settings() }
}

pub(crate) fn body(text: impl AsRef<[u8]>) -> WipedBody {
    WipedBody::new(Zeroizing::new(text.as_ref().to_vec()))
}

pub(crate) async fn post(client: &Client, url: &ServerUrl) -> Result<Answer, Fault> {
    client.post(url, "application/x-www-form-urlencoded", body(BODY)).await
}

/// The whole body of an answer.
pub(crate) async fn whole(mut answer: Answer) -> Result<Vec<u8>, Fault> {
    let mut all = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// One call with its whole answer.
pub(crate) async fn call(client: &Client, url: &ServerUrl) -> Result<Vec<u8>, Fault> {
    whole(post(client, url).await?).await
}

/// The fault of one call from a new client.
pub(crate) fn fault(settings: &NetSettings, url: &ServerUrl) -> Fault {
    let client = net().client(settings).unwrap();
    let fault = run(call(&client, url)).expect_err("the call did not fail");
    let shown = format!("{fault:?}");
    assert!(!shown.contains("EV1L") && !shown.contains("F4KE"), "{shown}");
    assert!(!fault.error.hints.is_empty(), "{shown}");
    fault
}
