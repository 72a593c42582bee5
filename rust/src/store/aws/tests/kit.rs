//! A moto of a test's own, and what a test needs to set it up without the code that is tested.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::super::*;
use crate::store::testing::{block_on, ctx, random_token, token_name, wanted};
use crate::store::{Environment, Found, look_up};
use crate::token::FormRule;

/// The name that these tests look up.
pub(in crate::store) const NAME_A: &str = "REDCapSync_A";

/// Where its token is by default.
pub(in crate::store) const SECRET: &str = "redcap/REDCapSync_A";

pub(in crate::store) const REGION: &str = "eu-central-1";

/// More than any test asks for.
const FREE: &str = "1000000";

/// A server on loopback, gone with this value.
pub(in crate::store) struct Server {
    child: Child,
    pub(in crate::store) port: u16,
    pub(in crate::store) home: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keys of a user's.
#[derive(Clone)]
pub(in crate::store) struct Keys {
    pub(in crate::store) id: String,
    pub(in crate::store) secret: String,
}

/// The folder of the programs `moto_server` and `aws`.
pub(in crate::store) fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("KEYCAP_TEST_MOTO").map(PathBuf::from).expect(
        "`KEYCAP_TEST_MOTO` does not name the folder of the program `moto_server`: `sh tools/setup.sh test` installs \
         it, and `sh tools/test.sh core` sets the variable",
    );
    let path = folder.join(name);
    assert!(path.is_file(), "`KEYCAP_TEST_MOTO` names a folder without `{name}`: {}", folder.display());
    path
}

impl Server {
    /// A server that from now on checks who asks.
    pub(in crate::store) fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command.env("INITIAL_NO_AUTH_ACTION_COUNT", "0").env("HOME", home.path()).env_remove("AWS_PROFILE");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self { child, port, home };
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "moto is not ready after a minute");
            assert!(server.child.try_wait().unwrap().is_none(), "moto ended before it was ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn http(&self, path: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        let request = format!("POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let status = reply.split(' ').nth(1).unwrap().parse().unwrap();
        (status, reply.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// One request that nobody checks, which has to be taken.
    #[track_caller]
    fn free(&self, service: &str, headers: &str, body: &str) -> String {
        let checks = |from: &str| assert_eq!(self.http("/moto-api/reset-auth", "", from).0, 200);
        checks(FREE);
        let scope = format!("20260101/{REGION}/{service}/aws4_request");
        let mut all = format!("Host: {service}.{REGION}.amazonaws.com\r\n{headers}");
        write!(all, "Authorization: AWS4-HMAC-SHA256 Credential=none/{scope}, SignedHeaders=host, Signature=none\r\n")
            .unwrap();
        let (status, reply) = self.http("/", &all, body);
        checks("0");
        assert_eq!(status, 200, "{body}: {reply}");
        reply
    }

    /// Lets one request pass as nobody's: moto has no answer to one that is not signed, as this one of AWS's is not.
    #[track_caller]
    pub(in crate::store) fn lets_one_pass(&self) {
        assert_eq!(self.http("/moto-api/reset-auth", "", "1").0, 200);
    }

    fn query(&self, service: &str, query: &[(&str, &str)]) -> String {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        self.free(service, "Content-Type: application/x-www-form-urlencoded\r\n", &body)
    }

    /// What others do with Secrets Manager.
    #[track_caller]
    pub(in crate::store) fn secrets(&self, action: &str, body: &Json) -> Json {
        let headers = format!("Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: secretsmanager.{action}\r\n");
        serde_json::from_str(&self.free("secretsmanager", &headers, &body.to_string())).unwrap()
    }

    /// Puts a secret there, as others do.
    #[track_caller]
    pub(in crate::store) fn holds(&self, text: &str) {
        self.secrets("CreateSecret", &json!({"Name": SECRET, "SecretString": text}));
    }

    #[track_caller]
    pub(in crate::store) fn now_holds(&self, text: &str) {
        self.secrets("PutSecretValue", &json!({"SecretId": SECRET, "SecretString": text}));
    }

    /// A user who may do these things with all secrets.
    #[track_caller]
    pub(in crate::store) fn user(&self, name: &str, actions: &[&str]) -> Keys {
        let version = ("Version", "2010-05-08");
        self.query("iam", &[("Action", "CreateUser"), ("UserName", name), version]);
        let policy = policy(actions);
        let put = [("Action", "PutUserPolicy"), ("UserName", name), ("PolicyName", "p"), ("PolicyDocument", &policy)];
        self.query("iam", &[put.as_slice(), &[version]].concat());
        let reply = self.query("iam", &[("Action", "CreateAccessKey"), ("UserName", name), version]);
        Keys { id: element(&reply, "AccessKeyId"), secret: element(&reply, "SecretAccessKey") }
    }

    /// A user who may do all that this store does.
    #[track_caller]
    pub(in crate::store) fn anyone(&self) -> Keys {
        self.user("anyone", &["secretsmanager:*"])
    }

    /// A role that may do these things, to be taken by everybody.
    #[track_caller]
    pub(in crate::store) fn role(&self, name: &str, actions: &[&str]) -> String {
        let version = ("Version", "2010-05-08");
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]})
        .to_string();
        let create = [("Action", "CreateRole"), ("RoleName", name), ("AssumeRolePolicyDocument", &trust), version];
        let reply = self.query("iam", &create);
        let policy = policy(actions);
        let put = [("Action", "PutRolePolicy"), ("RoleName", name), ("PolicyName", "p"), ("PolicyDocument", &policy)];
        self.query("iam", &[put.as_slice(), &[version]].concat());
        element(&reply, "Arn")
    }

    /// Keys for a while of a role, as AWS gives them: access key, secret key, session token.
    #[track_caller]
    pub(in crate::store) fn for_a_while(&self, role: &str) -> (Keys, String) {
        let query = [("Action", "AssumeRole"), ("RoleArn", role), ("RoleSessionName", "s"), ("Version", "2011-06-15")];
        let reply = self.query("sts", &query);
        let keys = Keys { id: element(&reply, "AccessKeyId"), secret: element(&reply, "SecretAccessKey") };
        (keys, element(&reply, "SessionToken"))
    }

    pub(in crate::store) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The store with a user's keys in the environment.
    pub(in crate::store) fn store(&self, keys: &Keys, change: impl FnOnce(&mut AwsSettings)) -> AwsStore {
        self.with(&[("AWS_ACCESS_KEY_ID", &keys.id), ("AWS_SECRET_ACCESS_KEY", &keys.secret)], change)
    }

    /// The store with these variables, and a home folder of the server's.
    pub(in crate::store) fn with(&self, variables: &[(&str, &str)], change: impl FnOnce(&mut AwsSettings)) -> AwsStore {
        let address = self.address();
        let place = [("AWS_ENDPOINT_URL", address.as_str()), ("AWS_EC2_METADATA_DISABLED", "true")];
        let place = place.into_iter().filter(|(name, _)| !variables.iter().any(|(other, _)| other == name));
        let all: Vec<(&str, &str)> = place.chain(variables.iter().copied()).collect();
        let mut settings = AwsSettings { region: Some(REGION.to_owned()), ..AwsSettings::default() };
        change(&mut settings);
        store(settings, &all, Some(self.home.path()))
    }

    /// Writes a file below the home folder, for the user alone.
    pub(in crate::store) fn file(&self, name: &str, content: &str) -> PathBuf {
        own_file(&self.home.path().join(name), content)
    }
}

pub(in crate::store) fn own_file(path: &Path, content: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_owned()
}

fn policy(actions: &[&str]) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}).to_string()
}

fn element(xml: &str, name: &str) -> String {
    let rest = xml.split_once(&format!("<{name}>")).expect(name).1;
    rest.split_once('<').unwrap().0.to_owned()
}

/// A store with an entrance of the test's making.
pub(in crate::store) fn store(settings: AwsSettings, set: &[(&str, &str)], home: Option<&Path>) -> AwsStore {
    locked(&[], settings, set, home)
}

/// The same, where the site locks settings.
pub(super) fn locked(names: &[&str], settings: AwsSettings, set: &[(&str, &str)], home: Option<&Path>) -> AwsStore {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let locks = Locks::of(&Settings { locked: names, ..Settings::default() });
    let net = NetSettings { timeout: Duration::from_secs(20), ..NetSettings::default() };
    let get = |name: &str| {
        let value = set.iter().find(|(known, _)| *known == name)?.1;
        Some(Zeroizing::new(value.to_owned()))
    };
    let of_program = [("PATH", std::env::var("PATH").unwrap())];
    let of_program = of_program.into_iter().map(|(name, value)| (name.into(), Zeroizing::new(value.into_bytes())));
    let entrance = Entrance {
        client: Net::new().fresh_client(&net),
        variables: variables(get),
        home: home.map(Path::to_owned),
        surroundings: Surroundings::of(of_program),
        locks,
    };
    AwsStore { settings, entrance: Some(Arc::new(entrance)) }
}

/// What a look-up through the whole room finds.
pub(in crate::store) fn found(store: &AwsStore) -> Result<Option<Found>> {
    let mut ctx = ctx();
    ctx.settings.order = vec!["aws".to_owned()];
    ctx.settings.stores.aws = store.settings.clone();
    ctx.env = Environment::with(&token_name(NAME_A), b"");
    ctx.env.aws.clone_from(&store.entrance);
    block_on(look_up(&ctx, &wanted(NAME_A)))
}

/// The token that a look-up finds, by its fingerprint.
#[track_caller]
pub(in crate::store) fn finds(store: &AwsStore, token: &str) {
    let found = found(store).unwrap().expect("the token is found");
    assert_eq!(found.source, "aws");
    assert_eq!(found.secret.fingerprint(), sealed(token).fingerprint());
}

pub(in crate::store) fn sealed(token: &str) -> Secret {
    Secret::seal(Raw::copy_of(token.as_bytes()).into_inner(), &FormRule::Redcap).0
}

/// The error of a look-up: of kind `store`, in this state, with a remedy.
#[track_caller]
pub(in crate::store) fn fails(store: &AwsStore, state: &str) -> Error {
    in_state(store, found(store).unwrap_err(), state)
}

/// And with nothing in it of what is secret in the environment.
#[track_caller]
pub(in crate::store) fn in_state(store: &AwsStore, error: Error, state: &str) -> Error {
    assert_eq!(error.kind, Kind::Store, "{error:?}");
    let said = error.fields.iter().find(|(name, _)| name == "state").map(|(_, value)| value.as_text());
    assert_eq!(said, Some(Some(state)), "{error:?}");
    assert!(!error.hints.is_empty(), "{error:?}");
    let shown = format!("{error:?}");
    for name in ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"] {
        let value = store.entrance.as_ref().and_then(|entrance| entrance.variable(name));
        assert!(value.is_none_or(|value| !shown.contains(value)), "{name} is shown");
    }
    error
}

pub(in crate::store) fn token() -> String {
    random_token()
}

/// A small server with answers that a test gives, one a connection, for what no program here gives: what was asked, it
/// remembers.
pub(in crate::store) struct Scripted {
    pub(in crate::store) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// The answer to a request, by its head and body: a status and a body.
    pub(in crate::store) fn start(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let request = one_request(&mut stream);
                let (status, body) = answer(&request);
                list.lock().unwrap().push(request);
                let length = body.len();
                let reply =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
                let _ = stream.write_all(reply.as_bytes());
            }
        });
        Self { port, asked }
    }

    pub(in crate::store) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The requests so far.
    pub(in crate::store) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn one_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).unwrap_or(0);
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:").map(|text| text.trim().parse().unwrap())
            });
            body.len() >= length.unwrap_or(0)
        });
        if whole || read == 0 {
            return text;
        }
    }
}
