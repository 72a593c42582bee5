//! Every login.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value as Json, json};

use super::super::*;
use super::kit::*;
use crate::store::testing::{block_on, wanted};

/// Reads what the tests look up, and nothing else.
fn reader(server: &Server) {
    let policy = "path \"secret/data/redcap/*\" { capabilities = [\"read\"] }";
    server.root("POST", "sys/policies/acl/reader", json!({"policy": policy}));
}

#[test]
fn a_token_comes_from_the_environment_or_from_a_file_that_is_not_for_everybody() {
    let server = Server::start();
    let token = token();
    server.holds(&token);
    let alone = |change: &dyn Fn(&mut VaultSettings)| server.store_of("", change);
    let error = fails(&alone(&|_| {}), "login");
    assert!(error.message.contains("VAULT_TOKEN") && error.hints[0].contains("vault login"), "{error:?}");

    let file = server.file(".vault-token", &format!("{ROOT}\n"));
    finds(&alone(&|_| {}), &token);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    finds(&alone(&|_| {}), &token);
    for (mode, part) in [(0o644, "chmod 600"), (0o660, "chmod go-w")] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(fails(&alone(&|_| {}), "login").hints[0].contains(part));
    }
    // The environment goes first, and the file is not looked at.
    finds(&server.store(|_| {}), &token);

    let elsewhere = server.file("token", ROOT);
    finds(&alone(&|settings| settings.token_file = Some(elsewhere.clone())), &token);
}

/// What a store says of itself, in the order or out of it.
fn said(store: &VaultStore) -> (Reach, String) {
    let State { reach, hints, .. } = block_on(store.state()).unwrap();
    (reach, hints.join("; "))
}

#[test]
fn a_vault_is_ready_only_where_it_knows_who_asks() {
    let server = Server::start();
    reader(&server);
    let store = server.store(|_| {});
    assert_eq!(said(&store), (Reach::Ready, String::new()));
    // Nobody decided to use it: its login is not looked at.
    assert!(matches!(block_on(store.idle_state()).unwrap().reach, Reach::NotAsked(why) if why.contains("not among")));
    let (reach, hint) = said(&server.store_of("", |_| {}));
    assert!(matches!(&reach, Reach::NoLogin(why) if why.contains("`VAULT_TOKEN` is not set")), "{reach:?}");
    assert!(hint.contains("vault login"), "{hint}");
    let (reach, hint) = said(&server.store_of("never-was-one", |_| {}));
    assert!(matches!(&reach, Reach::Untried(why) if why.contains("has expired, was revoked")), "{reach:?}");
    assert!(hint.contains("log in again") && !format!("{reach:?}{hint}").contains("never-was-one"), "{hint}");
    assert_eq!(said(&server.store(|settings| settings.version = Some(1))).0, Reach::ReadOnly);

    // A login by a role is not made for the asking: it uses secret ids up.
    let (role_id, secret_id) = app_role(&server);
    let path = server.folder.path().join("secret-id");
    let by_role = |wrapped: Option<std::path::PathBuf>| {
        server.store_of("", |settings| {
            (settings.auth, settings.role_id) = (Login::AppRole, Some(role_id.clone()));
            (settings.secret_id_file, settings.wrapped_secret_id_file) = (Some(path.clone()), wrapped);
        })
    };
    let (reach, _) = said(&by_role(None));
    assert!(matches!(&reach, Reach::NoLogin(why) if why.contains("should hold the secret id")), "{reach:?}");
    let wrapped = server.file("wrapped", "a-wrapping-token");
    assert!(matches!(said(&by_role(Some(wrapped.clone()))).0, Reach::Untried(_)));
    assert!(wrapped.exists());
    server.file("secret-id", &secret_id());
    let before = sessions(&server);
    let (reach, _) = said(&by_role(None));
    assert!(matches!(&reach, Reach::Untried(why) if why.contains("`approle`")), "{reach:?}");
    assert_eq!(sessions(&server), before);
    let unfinished = server.store_of("", |settings| settings.auth = Login::Jwt);
    assert!(matches!(said(&unfinished).0, Reach::NoLogin(why) if why.contains("`vault.role`")));
}

fn app_role(server: &Server) -> (String, impl Fn() -> String) {
    reader(server);
    server.root("POST", "sys/auth/approle", json!({"type": "approle"}));
    let role = json!({"token_policies": ["reader"], "token_ttl": "1h", "secret_id_num_uses": 2});
    server.root("POST", "auth/approle/role/r", role);
    let id =
        server.root("GET", "auth/approle/role/r/role-id", json!({}))["data"]["role_id"].as_str().unwrap().to_owned();
    let secret_id = || {
        let made = server.root("POST", "auth/approle/role/r/secret-id", json!({}));
        made["data"]["secret_id"].as_str().unwrap().to_owned()
    };
    (id, secret_id)
}

fn sessions(server: &Server) -> usize {
    let list = server.root("LIST", "auth/token/accessors", json!({}));
    list["data"]["keys"].as_array().unwrap().len()
}

#[test]
fn app_role_logs_in_with_a_secret_id_and_gives_its_token_back() {
    let server = Server::start();
    let token = token();
    server.holds(&token);
    let (role_id, secret_id) = app_role(&server);
    let path = server.file("secret-id", &format!("{}\n", secret_id()));
    let with = |role_id: &str| {
        let role_id = role_id.to_owned();
        server.store_of("", |settings| {
            (settings.auth, settings.role_id) = (Login::AppRole, Some(role_id));
            settings.secret_id_file = Some(path.clone());
        })
    };
    let before = sessions(&server);
    finds(&with(&role_id), &token);
    assert_eq!(sessions(&server), before, "a token of the login was left behind");

    // Used twice, the secret id is used up.
    finds(&with(&role_id), &token);
    let error = fails(&with(&role_id), "login");
    assert!(
        error.message.contains("refuses the login `approle`") && error.hints[1].contains("secret_id_file"),
        "{error:?}"
    );
    let secret = server.file("secret-id", "bad-secret-id");
    assert!(!format!("{:?}", fails(&with(&role_id), "login")).contains("bad-secret-id"));
    server.file("secret-id", &secret_id());
    fails(&with("another-role"), "login");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o604)).unwrap();
    assert!(fails(&with(&role_id), "login").message.contains("everybody"));
    std::fs::remove_file(&secret).unwrap();
    assert!(fails(&with(&role_id), "login").message.contains("not there"));

    let unfinished = server.store_of("", |settings| settings.auth = Login::AppRole);
    let error = found(&unfinished).unwrap_err();
    assert_eq!(error.kind, Kind::Argument);
    assert!(error.message.contains("`vault.role_id`"));
    let nowhere = server.store_of("", |settings| {
        (settings.auth, settings.auth_mount) = (Login::AppRole, Some("approle2".to_owned()));
        (settings.role_id, settings.secret_id_file) = (Some(role_id.clone()), Some(server.file("s", "s")));
    });
    fails(&nowhere, "login");
}

#[test]
fn a_wrapped_secret_id_is_unwrapped_once_into_its_file_and_a_used_one_is_an_incident() {
    let server = Server::start();
    let token = token();
    server.holds(&token);
    let (role_id, _) = app_role(&server);
    let wrap = || {
        let headers = [("X-Vault-Wrap-TTL", "60")];
        server.root_with("POST", "auth/approle/role/r/secret-id", &headers, json!({}))
    };
    let into = server.folder.path().join("secret-id");
    let with = |wrapped: &Path| {
        let wrapped = wrapped.to_owned();
        server.store_of("", |settings| {
            (settings.auth, settings.role_id) = (Login::AppRole, Some(role_id.clone()));
            settings.secret_id_file = Some(into.clone());
            settings.wrapped_secret_id_file = Some(wrapped);
        })
    };
    // The whole reply, as `vault write -wrap-ttl=60s -format=json` prints it.
    let reply = wrap();
    let wrapped = server.file("wrapped", &reply.to_string());
    finds(&with(&wrapped), &token);
    assert!(!wrapped.exists());
    assert_eq!(std::fs::metadata(&into).unwrap().permissions().mode() & 0o777, 0o600);
    finds(&with(&wrapped), &token);

    // The token alone; and then once more, when it is used up.
    let alone = wrap()["wrap_info"]["token"].as_str().unwrap().to_owned();
    finds(&with(&server.file("wrapped", &format!("{alone}\n"))), &token);
    let error = fails(&with(&server.file("wrapped", &alone)), "login");
    assert!(error.hints.iter().any(|hint| hint.contains("somebody else has")), "{error:?}");
    assert!(!format!("{error:?}").contains(&alone) && wrapped.exists());
    fails(&with(&server.file("wrapped", "{\"data\":{}}")), "login");
}

/// A vault that answers one request, with a secret id, once it is let; and what says that the request is there.
fn unwrapping() -> (ServerUrl, std::sync::mpsc::Receiver<()>, std::sync::mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = ServerUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let ((asked, request), (go, wait)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        asked.send(()).unwrap();
        let _: std::result::Result<(), _> = wait.recv();
        let body = json!({"data": {"secret_id": "a-secret-id"}}).to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
        let _ = stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n{body}").as_bytes());
    });
    (address, request, go)
}

/// A store that unwraps a secret id there.
fn unwraps(address: ServerUrl, folder: &Path) -> (VaultStore, std::path::PathBuf, std::path::PathBuf) {
    let (wrapped, into) = (folder.join("wrapped"), folder.join("secret-id"));
    std::fs::write(&wrapped, "a-wrapping-token").unwrap();
    std::fs::set_permissions(&wrapped, std::fs::Permissions::from_mode(0o600)).unwrap();
    let settings = VaultSettings {
        address: Some(address),
        auth: Login::AppRole,
        role_id: Some("role".to_owned()),
        secret_id_file: Some(into.clone()),
        wrapped_secret_id_file: Some(wrapped.clone()),
        ..VaultSettings::default()
    };
    (store(settings, None, None), wrapped, into)
}

#[test]
fn an_exchange_that_has_begun_is_carried_through_when_its_look_up_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let (address, request, go) = unwrapping();
    let (store, wrapped, into) = unwraps(address, folder.path());
    let wanted = wanted(NAME_V);
    block_on(async {
        let sent = async {
            while request.try_recv().is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            answer = store.get(&wanted) => panic!("it ended: {answer:?}"),
            () = sent => {}
        }
        go.send(()).unwrap();
        let begin = std::time::Instant::now();
        while wrapped.exists() && begin.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert_eq!(std::fs::read_to_string(&into).unwrap(), "a-secret-id");
    assert_eq!(std::fs::metadata(&into).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!wrapped.exists());
}

/// A store that exchanges in a process of its own, which dies at a step.
#[test]
fn killed_in_an_exchange_what_was_written_is_taken_up_and_what_was_lost_is_called_so() {
    const THIS: &str = concat!(
        "store::vault::tests::logins::",
        "killed_in_an_exchange_what_was_written_is_taken_up_and_what_was_lost_is_called_so"
    );
    use crate::store::step::DIES_AT;
    use crate::store::testing::INSIDE;
    if let Some(folder) = std::env::var_os("TEST_WORLD") {
        let address = ServerUrl::parse(&std::env::var("TEST_ADDRESS").unwrap()).unwrap();
        let (store, ..) = unwraps(address, Path::new(&folder));
        let _ = block_on(store.get(&wanted(NAME_V)));
        return;
    }
    // Killed once the vault has given the secret id, at a step.
    let killed = |step: &str| {
        let folder = tempfile::tempdir().unwrap();
        let (address, _request, go) = unwrapping();
        go.send(()).unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args([THIS, "--exact", "--test-threads=1"]).env(INSIDE, "1").env(DIES_AT, step);
        child.env("TEST_WORLD", folder.path()).env("TEST_ADDRESS", address.as_str());
        let status = child.output().unwrap().status;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{step}: {status:?}");
        folder
    };
    // A vault where every wrapping token is spent.
    let spent = || {
        let server = crate::store::aws::played::Scripted::start(|_| {
            (400, json!({"errors": ["wrapping token is not valid or does not exist"]}).to_string())
        });
        ServerUrl::parse(&server.address()).unwrap()
    };
    let look_up = |folder: &Path, token: &str| {
        let (store, wrapped, into) = unwraps(spent(), folder);
        server_file(&wrapped, token);
        let said = found(&store).unwrap_err();
        let beside = std::fs::read_dir(folder).unwrap().filter(|entry| {
            let path = entry.as_ref().unwrap().path();
            path.extension().is_some_and(|end| end == "new" || end == "exchange")
        });
        (said.message, std::fs::read_to_string(into).unwrap_or_default(), wrapped.exists(), beside.count())
    };
    // Lost: the error says that it was us. The trace stays, as long as this wrapping token does.
    let folder = killed("secret id given");
    let (said, into, wrapped, beside) = look_up(folder.path(), "a-wrapping-token");
    assert!(said.contains("from here before") && said.ends_with("so it is lost"), "{said}");
    assert_eq!((into.as_str(), wrapped, beside), ("", true, 1));
    // Of another wrapping token it says nothing.
    let (said, ..) = look_up(folder.path(), "another-wrapping-token");
    assert!(said.contains("was used before or has expired"), "{said}");

    // Written, and not cleared away: the login is what fails now.
    let folder = killed("secret id written");
    let (said, into, wrapped, beside) = look_up(folder.path(), "a-wrapping-token");
    assert!(said.contains("refuses the login `approle`"), "{said}");
    assert_eq!((into.as_str(), wrapped, beside), ("a-secret-id", false, 0));

    // Written beside, with its room behind it, and not in its place: it is taken up.
    let folder = killed("secret id given");
    let new = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let new = new.filter(|path| path.extension().is_some_and(|end| end == "new")).collect::<Vec<_>>();
    let room = std::fs::read(&new[0]).unwrap();
    assert!(new.len() == 1 && room.iter().all(|byte| *byte == 0));
    std::fs::write(&new[0], [b"a-secret-id", &room[11..]].concat()).unwrap();
    let (said, into, wrapped, beside) = look_up(folder.path(), "a-wrapping-token");
    assert!(said.contains("refuses the login `approle`"), "{said}");
    assert_eq!((into.as_str(), wrapped, beside), ("a-secret-id", false, 0));
}

fn server_file(path: &Path, content: &str) {
    crate::file::replace(path, content.as_bytes(), crate::file::Readers::Owner).unwrap();
}

#[test]
fn nothing_is_exchanged_where_the_secret_id_could_not_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let (address, request, _go) = unwrapping();
    let (store, wrapped, into) = unwraps(address, folder.path());
    std::fs::create_dir(&into).unwrap();
    fails(&store, "login");
    assert!(request.try_recv().is_err() && wrapped.exists());
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            out.push(char::from(DIGITS[(word >> (18 - 6 * at)) as usize & 63]));
        }
    }
    out
}

/// A key, and its tokens.
struct Issuer(rcgen::KeyPair);

impl Issuer {
    fn new() -> Self {
        Self(rcgen::KeyPair::generate().unwrap())
    }

    fn token(&self, claims: &Json) -> String {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.0.serialize_der(), &random).unwrap();
        let head = base64url(br#"{"alg":"ES256","typ":"JWT"}"#);
        let signed = format!("{head}.{}", base64url(claims.to_string().as_bytes()));
        let signature = key.sign(&random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64url(signature.as_ref()))
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_jwt_logs_in_and_one_of_another_issuer_does_not() {
    let server = Server::start();
    let token = token();
    server.holds(&token);
    reader(&server);
    let (issuer, other) = (Issuer::new(), Issuer::new());
    server.root("POST", "sys/auth/ci", json!({"type": "jwt"}));
    server.root("POST", "auth/ci/config", json!({"jwt_validation_pubkeys": [issuer.0.public_key_pem()]}));
    let role =
        json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["keycap"], "token_policies": ["reader"]});
    server.root("POST", "auth/ci/role/r", role);
    let with = |jwt: &str, role: &str| {
        let (path, role) = (server.file("jwt", jwt), role.to_owned());
        server.store_of("", |settings| {
            (settings.auth, settings.auth_mount) = (Login::Jwt, Some("ci".to_owned()));
            (settings.role, settings.jwt_file) = (Some(role), Some(path));
        })
    };
    let until = |exp: u64| json!({"sub": "cron", "aud": "keycap", "iat": 1, "nbf": 1, "exp": exp});
    let claims = until(now() + 3600);
    let jwt = issuer.token(&claims);
    let before = sessions(&server);
    finds(&with(&jwt, "r"), &token);
    assert_eq!(sessions(&server), before);
    let error = fails(&with(&other.token(&claims), "r"), "login");
    assert!(error.hints[0].contains("vault.role"), "{error:?}");
    fails(&with(&issuer.token(&until(now() - 3600)), "r"), "login");
    fails(&with(&jwt, "other"), "login");
    let unfinished =
        server.store_of("", |settings| (settings.auth, settings.role) = (Login::Jwt, Some("r".to_owned())));
    assert!(found(&unfinished).unwrap_err().message.contains("`vault.jwt_file`"));
}

/// A cluster cannot be had in a test, but the one question that the vault asks it can be answered.
#[test]
fn kubernetes_logs_in_with_the_token_of_a_pod() {
    let cluster = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", cluster.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in cluster.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 16_384]);
            let user = json!({"username": "system:serviceaccount:research:r", "uid": "u1", "groups": []});
            let status = json!({"authenticated": true, "user": user, "audiences": ["y"]});
            let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status});
            let body = review.to_string();
            let head = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nConnection: close\r\n";
            let _ = stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        }
    });
    let server = Server::start();
    let token = token();
    server.holds(&token);
    reader(&server);
    server.root("POST", "sys/auth/kubernetes", json!({"type": "kubernetes"}));
    let ca = rcgen::generate_simple_self_signed(["cluster".to_owned()]).unwrap().cert.pem();
    let config = json!({"kubernetes_host": host, "kubernetes_ca_cert": ca, "token_reviewer_jwt": "x.y.z",
                        "disable_local_ca_jwt": true});
    server.root("POST", "auth/kubernetes/config", config);
    let role = json!({"bound_service_account_names": ["r"], "bound_service_account_namespaces": ["research"],
                      "token_policies": ["reader"], "alias_name_source": "serviceaccount_uid"});
    server.root("POST", "auth/kubernetes/role/r", role);
    let pod = json!({"kubernetes.io": {"namespace": "research", "serviceaccount": {"name": "r", "uid": "u1"}},
                     "sub": "system:serviceaccount:research:r", "iat": 1, "exp": now() + 3600, "iss": "x", "aud": ["y"]});
    let path = server.file("pod", &Issuer::new().token(&pod));
    // As it is mounted into a pod.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let with = |role: &str| {
        let role = role.to_owned();
        server.store_of("", |settings| {
            (settings.auth, settings.role, settings.jwt_file) = (Login::Kubernetes, Some(role), Some(path.clone()));
        })
    };
    finds(&with("r"), &token);
    fails(&with("other"), "login");
    let outside =
        server.store_of("", |settings| (settings.auth, settings.role) = (Login::Kubernetes, Some("r".to_owned())));
    assert!(fails(&outside, "login").message.contains("/var/run/secrets/kubernetes.io"));
}

#[test]
fn the_variable_counts_for_nothing_where_the_site_locks_the_file_that_has_the_token() {
    let takes = |text: &str| takes_variable(&Settings::of_site(text).unwrap());
    assert!(takes("") && takes("[vault]\ntoken_file = \"/t\"\n"));
    // Locked and not said: the token is whosever it was.
    assert!(takes("locked = [\"vault\"]\n[vault]\naddress = \"https://vault.example.org\"\n"));
    for locked in ["vault", "vault.token_file"] {
        assert!(!takes(&format!("locked = [\"{locked}\"]\n[vault]\ntoken_file = \"/t\"\n")), "{locked}");
    }
    assert!(!takes("[vault]\nauth = \"approle\"\n"));
}
