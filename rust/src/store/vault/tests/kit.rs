//! A vault of a test's own, and what a test needs to set it up without the code that is tested.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::super::*;
use crate::net::NetSettings;
use crate::store::testing::{block_on, ctx, random_token, token_name, wanted};
use crate::store::{Environment, Found, look_up};
use crate::token::FormRule;

/// The name that these tests look up.
pub(super) const NAME_V: &str = "REDCapSync_V";

/// Where its token is by default.
pub(super) const PATH: &str = "redcap/REDCapSync_V";

/// The root token of these servers; it opens nothing else.
pub(crate) const ROOT: &str = "root-of-a-test";

/// A server on loopback, gone with this value.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    pub(crate) folder: tempfile::TempDir,
    tls: bool,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> PathBuf {
    let path = std::env::var_os("KEYCAP_TEST_BAO").map(PathBuf::from).expect(
        "`KEYCAP_TEST_BAO` does not name the program `bao` of OpenBao: `sh tools/setup.sh test` installs it, \
         and `sh tools/test.sh core` sets the variable",
    );
    assert!(path.is_file(), "`KEYCAP_TEST_BAO` names `{}`, which is not there", path.display());
    path
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::started(false)
    }

    pub(super) fn with_tls() -> Self {
        Self::started(true)
    }

    /// That keeps an audit log of its own, `log.audit` in its folder.
    pub(crate) fn with_audit_log() -> Self {
        Self::started_as(false, true)
    }

    fn started(tls: bool) -> Self {
        Self::started_as(tls, false)
    }

    fn started_as(tls: bool, audit: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(binary());
        command.args(["server", "-dev", "-dev-no-store-token"]).arg(format!("-dev-root-token-id={ROOT}"));
        command.arg(format!("-dev-listen-address=127.0.0.1:{port}"));
        if tls {
            command.arg("-dev-tls").arg(format!("-dev-tls-cert-dir={}", folder.path().display()));
        }
        if audit {
            let config = folder.path().join("audit.hcl");
            let log = folder.path().join("log.audit");
            let text =
                format!("audit \"file\" \"log\" {{\n  options {{\n    file_path = \"{}\"\n  }}\n}}\n", log.display());
            std::fs::write(&config, text).unwrap();
            command.arg(format!("-config={}", config.display()));
        }
        let child = command.env("HOME", folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self { child, port, folder, tls };
        let until = Instant::now() + Duration::from_secs(60);
        while !server.is_ready() {
            assert!(Instant::now() < until, "OpenBao is not ready after a minute");
            assert!(server.child.try_wait().unwrap().is_none(), "OpenBao ended before it was ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn is_ready(&self) -> bool {
        if self.tls {
            // Its certificates are written before it listens.
            return TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        }
        // The engine at `secret` comes last.
        matches!(self.try_http("GET", "secret/config", &[], None), Some((200, _)))
    }

    fn try_http(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Json>) -> Option<(u16, Json)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut request = format!("{method} /v1/{path} HTTP/1.0\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "X-Vault-Token") {
            let _ = write!(request, "X-Vault-Token: {ROOT}\r\n");
        }
        for (name, value) in headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        let status = reply.split(' ').nth(1)?.parse().ok()?;
        let body = reply.split_once("\r\n\r\n")?.1;
        Some((status, serde_json::from_str(body).unwrap_or(Json::Null)))
    }

    /// One request by the root, which has to be taken.
    #[track_caller]
    pub(crate) fn root(&self, method: &str, path: &str, body: Json) -> Json {
        self.root_with(method, path, &[], body)
    }

    #[track_caller]
    pub(super) fn root_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Json) -> Json {
        let body = (method == "POST").then_some(body);
        let (status, json) = self.try_http(method, path, headers, body).expect("a reply");
        assert!((200..300).contains(&status), "{method} {path}: {status} {json}");
        json
    }

    /// One request by the root, whatever comes of it.
    pub(crate) fn try_root(&self, method: &str, path: &str, body: Json) -> (u16, Json) {
        self.try_http(method, path, &[], Some(body)).expect("a reply")
    }

    /// Puts a token there, as others do.
    pub(super) fn holds(&self, token: &str) {
        self.root("POST", &format!("secret/data/{PATH}"), json!({"data": {"token": token}}));
    }

    /// A token of the server's own.
    pub(super) fn own_token(&self, options: Json) -> String {
        let json = self.root("POST", "auth/token/create", options);
        json["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn settings(&self) -> VaultSettings {
        let scheme = if self.tls { "https" } else { "http" };
        let address = ServerUrl::parse(&format!("{scheme}://127.0.0.1:{}", self.port)).unwrap();
        VaultSettings { address: Some(address), ..VaultSettings::default() }
    }

    /// The store as the settings have it, with the root's token in the environment.
    pub(super) fn store(&self, change: impl FnOnce(&mut VaultSettings)) -> VaultStore {
        self.store_of(ROOT, change)
    }

    pub(super) fn store_of(&self, token: &str, change: impl FnOnce(&mut VaultSettings)) -> VaultStore {
        let mut settings = self.settings();
        change(&mut settings);
        store(settings, (!token.is_empty()).then_some(token), Some(self.folder.path()))
    }

    /// Writes a file of this test's, for the user alone.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

/// A store with an entrance of the test's making.
pub(super) fn store(settings: VaultSettings, token: Option<&str>, home: Option<&Path>) -> VaultStore {
    let net =
        NetSettings { ca_file: settings.ca_file.clone(), timeout: Duration::from_secs(20), ..NetSettings::default() };
    let entrance = Entrance {
        client: Net::new().fresh_client(&net),
        token: token.map(|token| Raw::copy_of(token.as_bytes())),
        home: home.map(Path::to_owned),
    };
    VaultStore { settings, entrance: Some(Arc::new(entrance)) }
}

/// What a look-up through the whole room finds.
pub(super) fn found(store: &VaultStore) -> Result<Option<Found>> {
    let mut ctx = ctx();
    ctx.settings.order = vec!["vault".to_owned()];
    ctx.settings.stores.vault = store.settings.clone();
    ctx.env = Environment::with(&token_name(NAME_V), b"");
    ctx.env.vault.clone_from(&store.entrance);
    block_on(look_up(&ctx, &wanted(NAME_V)))
}

/// The token that a look-up finds, by its fingerprint.
#[track_caller]
pub(super) fn finds(store: &VaultStore, token: &str) {
    let found = found(store).unwrap().expect("the token is found");
    assert_eq!(found.source, "vault");
    assert_eq!(found.secret.fingerprint(), sealed(token).fingerprint());
}

pub(super) fn sealed(token: &str) -> Secret {
    Secret::seal(Raw::copy_of(token.as_bytes()).into_inner(), &FormRule::Redcap).0
}

/// The error of a look-up: of kind `store`, in this state, with a remedy.
#[track_caller]
pub(super) fn fails(store: &VaultStore, state: &str) -> Error {
    in_state(found(store).unwrap_err(), state)
}

#[track_caller]
pub(super) fn in_state(error: Error, state: &str) -> Error {
    assert_eq!(error.kind, Kind::Store, "{error:?}");
    let said = error.fields.iter().find(|(name, _)| name == "state").map(|(_, value)| value.as_text());
    assert_eq!(said, Some(Some(state)), "{error:?}");
    assert!(!error.hints.is_empty(), "{error:?}");
    assert!(!format!("{error:?}").contains(ROOT), "the vault's token is shown");
    error
}

pub(super) fn token() -> String {
    random_token()
}
