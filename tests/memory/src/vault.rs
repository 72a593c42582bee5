//! A vault: a real OpenBao, behind a relay. What R's process is given to log in with is a secret as well, and must not be
//! left in its memory.

use std::io::{Error, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::relay::Relay;

/// The root token of these servers; it opens nothing else.
const ROOT: &str = "root-of-a-test";

pub struct Vault {
    child: Child,
    server: SocketAddr,
    relay: Relay,
}

impl Vault {
    /// Starts it, with a home of its own.
    pub fn start(home: &Path) -> Result<Self> {
        let program = std::env::var_os("KEYCAP_TEST_BAO")
            .ok_or_else(|| Error::other("`KEYCAP_TEST_BAO` does not name the program `bao` of OpenBao"))?;
        let server = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let child = Command::new(program)
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={ROOT}"))
            .arg(format!("-dev-listen-address={server}"))
            .env("HOME", home)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut vault = Self { child, server, relay: Relay::start(server)? };
        let until = Instant::now() + Duration::from_secs(60);
        // The engine at `secret` comes last.
        while vault.ask("GET", "secret/config", "").is_err() {
            if Instant::now() > until || vault.child.try_wait()?.is_some() {
                return Err(Error::other("OpenBao did not start"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(vault)
    }

    /// Where R finds it.
    pub fn address(&self) -> String {
        self.relay.address()
    }

    pub fn put(&self, name: &str, token: &str) -> Result<()> {
        let data = format!("{{\"data\":{{\"token\":\"{token}\"}}}}");
        self.ask("POST", &format!("secret/data/redcap/{name}"), &data).map(drop)
    }

    /// A token of its own that reads everything.
    pub fn own_token(&self) -> Result<String> {
        let said = self.ask("POST", "auth/token/create", "{\"no_parent\":true}")?;
        member(&said, "client_token").ok_or_else(|| Error::other("no token of the vault's own"))
    }

    /// A role that reads everything: its id, and a secret id.
    pub fn role(&self) -> Result<(String, String)> {
        let rules = "{\"policy\":\"path \\\"secret/*\\\" { capabilities = [\\\"read\\\"] }\"}";
        self.ask("POST", "sys/policies/acl/readers", rules)?;
        self.ask("POST", "sys/auth/approle", "{\"type\":\"approle\"}")?;
        self.ask("POST", "auth/approle/role/r", "{\"token_policies\":[\"readers\"]}")?;
        let id = self.ask("GET", "auth/approle/role/r/role-id", "")?;
        let secret = self.ask("POST", "auth/approle/role/r/secret-id", "{}")?;
        match (member(&id, "role_id"), member(&secret, "secret_id")) {
            (Some(id), Some(secret)) => Ok((id, secret)),
            _ => Err(Error::other("no role")),
        }
    }

    /// The tokens of its own that it made for R's logins.
    pub fn tokens_made(&self) -> Vec<String> {
        self.relay.between("\"client_token\":\"", "\"")
    }

    /// One request by the root, past the relay.
    fn ask(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.server)?;
        let length = body.len();
        let head = format!("{method} /v1/{path} HTTP/1.0\r\nX-Vault-Token: {ROOT}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes())?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        match said.split(' ').nth(1) {
            Some(status) if status.starts_with('2') => Ok(said),
            _ => Err(Error::other(format!("OpenBao refused {method} {path}"))),
        }
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A member of a JSON text, which is a text without escapes.
fn member(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
    rest.split('"').next().map(str::to_owned)
}
