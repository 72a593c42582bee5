//! The server, a process of its own: what it has in memory is not the scanned process's.
//!
//! The first part of a path says how it behaves (`/reset/api/`). Standard input steers it: after `hold`, the next
//! request is not answered before `go`; once it is there the server says `held`. So the scan in the middle of a
//! call needs no luck. It ends when its standard input does.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A server that was started: its addresses.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub http: SocketAddr,
    pub https: SocketAddr,
    /// https with a certificate of a CA that nobody trusts.
    pub untrusted: SocketAddr,
}

/// Whether the next request is held.
#[derive(Clone, Copy, PartialEq)]
enum Hold {
    No,
    Next,
    Held,
}

struct Gate {
    hold: Mutex<Hold>,
    changed: Condvar,
}

impl Gate {
    fn hold(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, hold: Hold) {
        *self.hold() = hold;
        self.changed.notify_all();
    }

    /// Waits here if the next request is to be held.
    fn pass(&self) {
        let mut hold = self.hold();
        if *hold == Hold::Next {
            *hold = Hold::Held;
            say("held");
            while *hold == Hold::Held {
                hold = self.changed.wait(hold).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Serves until standard input ends. Writes the certificate that a client has to trust to `ca_file`.
pub fn serve(ca_file: &Path) -> io::Result<()> {
    let gate: &'static Gate = Box::leak(Box::new(Gate { hold: Mutex::new(Hold::No), changed: Condvar::new() }));
    let (trusted, ca) = tls()?;
    std::fs::write(ca_file, ca)?;
    let (untrusted, _) = tls()?;
    let (http, https, other) = (listener()?, listener()?, listener()?);
    say(&format!("{} {} {}", http.local_addr()?, https.local_addr()?, other.local_addr()?));
    spawn(http, gate, converse);
    spawn(https, gate, move |stream, gate| {
        let session = ServerConnection::new(Arc::clone(&trusted)).map_err(io::Error::other)?;
        converse(StreamOwned::new(session, stream), gate)
    });
    spawn(other, gate, move |stream, gate| {
        // Held before the certificate is shown: afterwards there is no call any more.
        gate.pass();
        let session = ServerConnection::new(Arc::clone(&untrusted)).map_err(io::Error::other)?;
        converse(StreamOwned::new(session, stream), gate)
    });
    for line in io::stdin().lines() {
        match line?.as_str() {
            "hold" => {
                gate.set(Hold::Next);
                say("holding");
            }
            "go" => {
                gate.set(Hold::No);
                say("going");
            }
            other => return Err(io::Error::other(format!("what is {other}?"))),
        }
    }
    Ok(())
}

fn listener() -> io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0))
}

fn spawn(
    listener: TcpListener,
    gate: &'static Gate,
    talk: impl Fn(TcpStream, &'static Gate) -> io::Result<()> + Send + Sync + 'static,
) {
    let talk = Arc::new(talk);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let talk = Arc::clone(&talk);
            // A connection that breaks is the client's affair, and often what a scenario is about.
            std::thread::spawn(move || talk(stream, gate));
        }
    });
}

/// A certificate for this machine, and its CA.
fn tls() -> io::Result<(Arc<ServerConfig>, String)> {
    let failed = io::Error::other::<rcgen::Error>;
    let mut ca = CertificateParams::new(Vec::new()).map_err(failed)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "a CA for one test");
    let ca_key = KeyPair::generate().map_err(failed)?;
    let ca_pem = ca.self_signed(&ca_key).map_err(failed)?.pem();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().map_err(failed)?;
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).map_err(failed)?;
    let leaf = leaf.signed_by(&key, &issuer).map_err(failed)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key.into()))
        .map_err(io::Error::other)?;
    Ok((Arc::new(config), ca_pem))
}

/// A byte stream with a socket below.
trait Stream: Read + Write {
    fn socket(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Stream for StreamOwned<ServerConnection, TcpStream> {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }
}

struct Request {
    behaviour: String,
    body: String,
}

fn converse(stream: impl Stream, gate: &Gate) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = request(&mut stream)? {
        gate.pass();
        let answer = match request.behaviour.as_str() {
            "answer" => answer(&request.body),
            "refused" => said(403, "", "{\"error\":\"You do not have permissions to use the API\"}"),
            "redirect" => said(307, "Location: https://elsewhere.invalid/redcap/api/\r\n", ""),
            "broken" => said(500, "", "<html>broken</html>"),
            // Ways in which a server can throw the token back.
            "echo-error" => said(400, "", &format!("{{\"error\":\"bad: {}\"}}", field(&request.body, "token"))),
            // So long that the client reads it into its largest buffers.
            "echo-long" => {
                let (blanks, token) = (" ".repeat(200_000), field(&request.body, "token"));
                said(400, "", &format!("{{\"error\":\"bad:{blanks}{token}{blanks}\"}}"))
            }
            "echo-long-data" if field(&request.body, "content") == "version" => answer(&request.body),
            "echo-long-data" => {
                let (blanks, token) = (" ".repeat(900_000), field(&request.body, "token"));
                said(200, "", &format!("[{{\"project_id\":7,{blanks}\"title\":\"{token}\"}}]{blanks}"))
            }
            "echo-cookie" => {
                let cookie = format!("Set-Cookie: token={}\r\n", field(&request.body, "token"));
                answer(&request.body).replacen("\r\n", &format!("\r\n{cookie}"), 1)
            }
            "echo-data" if field(&request.body, "content") == "version" => answer(&request.body),
            "echo-data" => {
                said(200, "", &format!("[{{\"project_id\":7,\"title\":\"{}\"}}]", field(&request.body, "token")))
            }
            "records" | "echo-records" => match field(&request.body, "content") {
                "metadata" => said(200, "", "[{\"field_name\":\"id\",\"form_name\":\"f\",\"field_type\":\"text\"}]"),
                "record" if request.behaviour == "records" => said(200, "", "id,x\n1,a\n2,b\n"),
                "record" => said(200, "", &format!("id,x\n1,a\n2,{}\n", field(&request.body, "token"))),
                _ => answer(&request.body),
            },
            "echo-header" => {
                let location = format!("Location: /moved/{}\r\n", field(&request.body, "token"));
                said(307, &location, "")
            }
            // Everything that is asked for is answered; the connection breaks once data have come.
            "reset-import" if field(&request.body, "content") != "record" => answer(&request.body),
            "reset" | "reset-import" => {
                let socket = stream.get_ref().socket();
                setsockopt(socket, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })?;
                return Ok(());
            }
            _ => said(404, "", "<html>no such behaviour</html>"),
        };
        stream.get_mut().write_all(answer.as_bytes())?;
        stream.get_mut().flush()?;
    }
    Ok(())
}

fn request(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let behaviour = line.split('/').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(Request { behaviour, body: String::from_utf8_lossy(&body).into_owned() }))
}

fn answer(body: &str) -> String {
    match field(body, "content") {
        "version" => said(200, "", "14.5.1"),
        "metadata" => said(
            200,
            "",
            "[{\"field_name\":\"id\",\"field_type\":\"text\"},{\"field_name\":\"a\",\"field_type\":\"notes\"}]",
        ),
        "record" => said(200, "", "[\"1\"]"),
        _ => said(200, "", "{\"project_id\":7,\"project_title\":\"A project to scan by\"}"),
    }
}

fn field<'a>(body: &'a str, name: &str) -> &'a str {
    let fields = body.split('&').filter_map(|field| field.split_once('='));
    fields.filter(|(key, _)| *key == name).map(|(_, value)| value).next().unwrap_or_default()
}

fn said(status: u16, headers: &str, body: &str) -> String {
    let kind = if body.starts_with(['{', '[']) { "application/json" } else { "text/html" };
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}; charset=utf-8\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// The server as its parent sees it.
pub struct Server {
    child: std::process::Child,
    lines: std::sync::mpsc::Receiver<String>,
    pub addresses: Addresses,
}

impl Server {
    /// Starts this very program as a server.
    pub fn start(ca_file: &Path) -> io::Result<Self> {
        let mut child = std::process::Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(ca_file)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()?;
        let lines = crate::lines(child.stdout.take());
        let first = lines.recv_timeout(Duration::from_secs(20)).map_err(io::Error::other)?;
        let addresses: Vec<SocketAddr> = first.split(' ').filter_map(|address| address.parse().ok()).collect();
        let [http, https, untrusted] = addresses[..] else { return Err(io::Error::other("no addresses")) };
        Ok(Self { child, lines, addresses: Addresses { http, https, untrusted } })
    }

    /// Holds the next request.
    pub fn hold(&mut self) -> io::Result<()> {
        self.tell("hold", "holding")
    }

    /// Lets the held request go on.
    pub fn go(&mut self) -> io::Result<()> {
        self.tell("go", "going")
    }

    /// Waits until a request is held.
    pub fn held(&mut self, limit: Duration) -> io::Result<()> {
        self.expect("held", limit)
    }

    fn tell(&mut self, line: &str, answer: &str) -> io::Result<()> {
        let input = self.child.stdin.as_mut().ok_or_else(|| io::Error::other("the server is gone"))?;
        writeln!(input, "{line}")?;
        self.expect(answer, Duration::from_secs(5))
    }

    fn expect(&mut self, wanted: &str, limit: Duration) -> io::Result<()> {
        match self.lines.recv_timeout(limit) {
            Ok(line) if line == wanted => Ok(()),
            Ok(line) => Err(io::Error::other(format!("the server says `{line}` and not `{wanted}`"))),
            Err(_) => Err(io::Error::other(format!("the server does not say `{wanted}`"))),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
