//! AWS as moto plays it, behind a relay: R takes a role with the keys of a profile. All that is secret of it, the keys and
//! what the role gives for a while, must not be left in R's memory.

use std::fmt::Write as _;
use std::io::{Error, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::relay::Relay;

/// The region of these servers.
pub const REGION: &str = "eu-central-1";

/// The role that R takes.
pub const ROLE: &str = "arn:aws:iam::123456789012:role/reader";

pub struct Aws {
    child: Child,
    server: SocketAddr,
    relay: Relay,
}

impl Aws {
    /// Starts it. It takes every key for good: whose is whose, the store's own tests see to.
    pub fn start(home: &Path) -> Result<Self> {
        let folder = std::env::var_os("KEYCAP_TEST_MOTO")
            .ok_or_else(|| Error::other("`KEYCAP_TEST_MOTO` does not name the folder of the program `moto_server`"))?;
        let server = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let mut child = Command::new(Path::new(&folder).join("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &server.port().to_string()])
            .env("HOME", home)
            .env_remove("INITIAL_NO_AUTH_ACTION_COUNT")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(server).is_err() {
            if Instant::now() > until || child.try_wait()?.is_some() {
                return Err(Error::other("moto did not start"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { child, server, relay: Relay::start(server)? })
    }

    /// Where R finds it.
    pub fn address(&self) -> String {
        self.relay.address()
    }

    /// Puts a secret there, past the relay.
    pub fn put(&self, name: &str, token: &str) -> Result<()> {
        let body = format!("{{\"Name\":\"redcap/{name}\",\"SecretString\":\"{token}\"}}");
        let scope = format!("20260101/{REGION}/secretsmanager/aws4_request");
        let mut request = format!("POST / HTTP/1.0\r\nHost: secretsmanager.{REGION}.amazonaws.com\r\n");
        let _ = write!(
            request,
            "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: secretsmanager.CreateSecret\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=none/{scope}, SignedHeaders=host, Signature=none\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.server)?;
        stream.write_all(request.as_bytes())?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        if said.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(Error::other("moto refused a secret")) }
    }

    /// What it gave R for a while: secret keys and session tokens.
    pub fn given(&self) -> Vec<String> {
        let mut given = self.relay.between("<SecretAccessKey>", "</SecretAccessKey>");
        given.extend(self.relay.between("<SessionToken>", "</SessionToken>"));
        given
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
