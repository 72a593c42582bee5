//! The stores, filled with tokens: the real ones, started here and gone with [`Ready`].

use std::io::{Error, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::aws::{Aws, REGION, ROLE};
use crate::scenario::Source;
use crate::token;
use crate::vault::Vault;

/// A store that has the tokens of some names, and what R has to be told to find it.
#[derive(Default)]
pub struct Ready {
    /// Variables that R is started with.
    pub variables: Vec<(String, String)>,
    /// What stands in `.Renviron`.
    pub renviron: String,
    /// What stands in the settings file `config.toml`.
    pub settings: String,
    /// Secrets of the store's own, which R's process must not have either.
    own: Vec<String>,
    vault: Option<Vault>,
    aws: Option<Aws>,
    /// Kept until the store is gone.
    _agent: Option<Agent>,
}

impl Ready {
    /// Fills a store. `tokens`: names and tokens.
    pub fn with(source: Source, tokens: &[(String, String)], place: &Path) -> Result<Self> {
        match source {
            Source::Environment => Ok(Self { variables: tokens.to_vec(), ..Self::default() }),
            Source::SetByR => Ok(Self::default()),
            Source::Renviron => {
                let lines = tokens.iter().map(|(name, token)| format!("{name}={token}\n"));
                Ok(Self { renviron: lines.collect(), ..Self::default() })
            }
            Source::Keyring => keyring(tokens),
            Source::Vault => vault(tokens, place, false),
            Source::VaultAppRole => vault(tokens, place, true),
            Source::Aws => aws(tokens, place),
            Source::Command => command(tokens, place),
            Source::Pass => pass(tokens, place),
        }
    }

    /// The store's own secrets, with those that it made for R on the way.
    pub fn own_secrets(&self) -> Vec<String> {
        let made = self.vault.as_ref().map(Vault::tokens_made).unwrap_or_default();
        let given = self.aws.as_ref().map(Aws::given).unwrap_or_default();
        self.own.iter().cloned().chain(made).chain(given).collect()
    }
}

fn keyring(tokens: &[(String, String)]) -> Result<Ready> {
    for (name, token) in tokens {
        let mut store = Command::new("secret-tool");
        store.args(["store", "--label", name, "service", "REDCapSync", "username", name]);
        token::feed(&mut store, token)?;
    }
    Ok(Ready::default())
}

fn vault(tokens: &[(String, String)], place: &Path, by_role: bool) -> Result<Ready> {
    let vault = Vault::start(place)?;
    for (name, token) in tokens {
        vault.put(name, token)?;
    }
    let address = vault.address();
    let (own, login) = if by_role {
        let (role_id, secret_id) = vault.role()?;
        let file = private(place, "secret-id", &secret_id)?;
        (secret_id, format!("auth = \"approle\"\nrole_id = {role_id:?}\nsecret_id_file = {file:?}\n"))
    } else {
        let own = vault.own_token()?;
        let file = private(place, "vault-token", &own)?;
        (own, format!("token_file = {file:?}\n"))
    };
    let settings = format!("stores = [\"vault\"]\n[vault]\naddress = {address:?}\n{login}");
    Ok(Ready { settings, own: vec![own], vault: Some(vault), ..Ready::default() })
}

fn aws(tokens: &[(String, String)], place: &Path) -> Result<Ready> {
    let aws = Aws::start(place)?;
    for (name, token) in tokens {
        aws.put(name, token)?;
    }
    let secret = format!("{}{}", token::random()?, token::random()?);
    let keys = format!("[keys]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {secret}\n");
    let credentials = private(place, "credentials", &keys)?;
    let config = private(place, "config", &format!("[profile reader]\nrole_arn = {ROLE}\nsource_profile = keys\n"))?;
    let address = aws.address();
    let variables = [
        ("AWS_CONFIG_FILE", config.as_str()),
        ("AWS_SHARED_CREDENTIALS_FILE", &credentials),
        ("AWS_ENDPOINT_URL_STS", &address),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let settings =
        format!("stores = [\"aws\"]\n[aws]\nregion = {REGION:?}\nprofile = \"reader\"\nendpoint = {address:?}\n");
    Ok(Ready {
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        settings,
        own: vec![secret],
        aws: Some(aws),
        ..Ready::default()
    })
}

/// A program like `pass`: it prints what it has under a name, and then what else is to be known.
fn command(tokens: &[(String, String)], place: &Path) -> Result<Ready> {
    let folder = place.join("tokens");
    std::fs::create_dir(&folder)?;
    for (name, token) in tokens {
        private(&folder, name, &format!("{token}\nurl: https://redcap.example.org\n"))?;
    }
    let program = place.join("program");
    std::fs::write(&program, format!("#!/bin/sh\nexec cat '{}'/\"$1\"\n", folder.display()))?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700))?;
    let settings = format!(
        "stores = [\"command\"]\n[command]\nprogram = {program:?}\narguments = [\"{{token_name}}\"]\nfirst_line = true\n"
    );
    Ok(Ready { settings, ..Ready::default() })
}

fn pass(tokens: &[(String, String)], place: &Path) -> Result<Ready> {
    let (gnupg, store) = (place.join("gnupg"), place.join("pass"));
    std::fs::create_dir(&gnupg)?;
    std::fs::set_permissions(&gnupg, std::fs::Permissions::from_mode(0o700))?;
    let at = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).env("GNUPGHOME", &gnupg).env("PASSWORD_STORE_DIR", &store);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command
    };
    let user = "memory@example.org";
    let key = ["--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--quick-gen-key", user];
    token::feed(&mut at("gpg", &[&key[..], &["default", "default", "never"]].concat()), "")?;
    let agent = Agent(gnupg.clone());
    token::feed(&mut at("pass", &["init", user]), "")?;
    for (name, token) in tokens {
        token::feed(&mut at("pass", &["insert", "--echo", "--force", &format!("redcap/{name}")]), token)?;
    }
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Ok(Ready {
        variables: vec![("GNUPGHOME".into(), text(&gnupg)), ("PASSWORD_STORE_DIR".into(), text(&store))],
        settings: "stores = [\"command\"]\n[command]\npreset = \"pass\"\n".to_owned(),
        _agent: Some(agent),
        ..Ready::default()
    })
}

/// The agent of a GnuPG home, which ends with this.
struct Agent(PathBuf);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", &self.0).status();
    }
}

/// A file for this user alone.
fn private(place: &Path, name: &str, text: &str) -> Result<String> {
    let path = place.join(name);
    token::write(&path, text)?;
    path.to_str().map(str::to_owned).ok_or_else(|| Error::other("a path that is no text"))
}
