//! The credentials that AWS users expect to be found: environment, web identity, profile (a role, the identity centre,
//! keys, a program), container, instance. The first that is set up counts; one that is set up and fails is an error, so
//! that nobody goes on as somebody else.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, AssumeRoleWithWebIdentityCredentialProvider, Credential, ECSCredentialProvider,
    IMDSv2CredentialProvider, ProcessCredentialProvider, RequestSigner, SSOCredentialProvider,
    StaticCredentialProvider,
};
use reqsign_core::{Context, ErrorKind, ProvideCredentialDyn, Signer};
use zeroize::Zeroize;

use super::carrier::{Carrier, Seen};
use super::files::{Files, expanded};
use super::trouble::{error, expired, login_failed};
use super::{Entrance, is_region};
use crate::error::{Error, Result};

/// How many profiles may name each other as the source of a role.
const DEEP: usize = 5;

/// How a session of ours is called where nothing says otherwise: it stands in AWS's own log.
const SESSION: &str = "keycap";

/// Where credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Environment,
    WebIdentity,
    Keys(String),
    Role(String),
    Sso(String),
    Program(String),
    Container,
    Instance,
}

impl Source {
    /// Whether AWS itself has just given these credentials. Others stood somewhere, and may be of long ago.
    pub(super) fn is_known_to_aws(&self) -> bool {
        matches!(self, Self::WebIdentity | Self::Role(_) | Self::Sso(_) | Self::Container | Self::Instance)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = crate::token::as_name;
        match self {
            Self::Environment => f.write_str("the variables `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`"),
            Self::WebIdentity => f.write_str("the web identity of `AWS_ROLE_ARN` and `AWS_WEB_IDENTITY_TOKEN_FILE`"),
            Self::Keys(profile) => write!(f, "the keys of the profile `{}`", shown(profile)),
            Self::Role(profile) => write!(f, "the role of the profile `{}`", shown(profile)),
            Self::Sso(profile) => write!(f, "the login to the identity centre of the profile `{}`", shown(profile)),
            Self::Program(profile) => write!(f, "the `credential_process` of the profile `{}`", shown(profile)),
            Self::Container => f.write_str("the role of this container"),
            Self::Instance => f.write_str("the role of this instance"),
        }
    }
}

/// Credentials, wiped when they are dropped.
pub(super) struct Identity {
    credential: Credential,
    pub(super) source: Source,
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.credential.secret_access_key.zeroize();
        self.credential.access_key_id.zeroize();
        self.credential.session_token.zeroize();
    }
}

impl Identity {
    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The request could not be signed.
    pub(super) fn not_signed(&self, kind: ErrorKind) -> Error {
        if kind == ErrorKind::CredentialInvalid {
            return expired(&self.source);
        }
        error("login", format!("{} cannot sign a request", self.source))
            .hint("look for blanks, quotes or line breaks in the keys or the session token")
    }
}

/// What stands in a profile or in variables, as a fresh copy.
fn keys(id: &str, secret: &str, session: Option<&str>, source: Source) -> Identity {
    let credential = Credential {
        access_key_id: id.to_owned(),
        secret_access_key: secret.to_owned(),
        session_token: session.map(str::to_owned),
        expires_in: None,
    };
    Identity { credential, source }
}

type Later<'a> = Pin<Box<dyn Future<Output = Result<Option<Identity>>> + Send + 'a>>;

/// Where credentials are looked for.
pub(super) struct Chain<'a> {
    pub(super) entrance: &'a Entrance,
    pub(super) files: &'a Files,
    /// The profile, and whether the settings name it: then the variables of the environment give no keys.
    pub(super) profile: &'a str,
    pub(super) by_settings: bool,
    pub(super) region: &'a str,
    pub(super) carrier: Carrier,
}

impl Chain<'_> {
    /// The credentials, or `None` where this machine has none.
    pub(super) async fn find(&self) -> Result<Option<Identity>> {
        let named = self.by_settings || self.entrance.profile().is_some();
        if !self.by_settings {
            if let Some(identity) = self.environment()? {
                return Ok(Some(identity));
            }
            if let Some(identity) = self.web_identity().await? {
                return Ok(Some(identity));
            }
        }
        if named && !self.files.knows(self.profile) {
            let profile = crate::token::as_name(self.profile);
            let message = format!("no profile `{profile}` stands in the AWS configuration files of this user");
            return Err(error("login", message)
                .hint("check `aws.profile` and `AWS_PROFILE`; `aws configure list-profiles` shows what there is")
                .hint(
                    "`AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE` say where the files are, if not in `~/.aws`",
                ));
        }
        if let Some(identity) = self.profile(self.profile, 0).await? {
            return Ok(Some(identity));
        }
        if let Some(identity) = self.container().await? {
            return Ok(Some(identity));
        }
        self.instance().await
    }

    fn environment(&self) -> Result<Option<Identity>> {
        let variable = |name| self.entrance.variable(name);
        match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => Ok(Some(keys(id, secret, variable("AWS_SESSION_TOKEN"), Source::Environment))),
            (None, None) => Ok(None),
            (id, _) => {
                let (set, unset) = if id.is_some() {
                    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
                } else {
                    ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")
                };
                Err(error(
                    "login",
                    format!("`{set}` is set and `{unset}` is not, and one is nothing without the other"),
                )
                .hint("set both, or neither"))
            }
        }
    }

    async fn web_identity(&self) -> Result<Option<Identity>> {
        let variable = |name| self.entrance.variable(name);
        let (Some(role), Some(file)) = (variable("AWS_ROLE_ARN"), variable("AWS_WEB_IDENTITY_TOKEN_FILE")) else {
            return Ok(None);
        };
        self.with_web_identity(role, file, variable("AWS_ROLE_SESSION_NAME"), Source::WebIdentity).await.map(Some)
    }

    async fn with_web_identity(
        &self,
        role: &str,
        file: &str,
        session: Option<&str>,
        source: Source,
    ) -> Result<Identity> {
        let file = expanded(file, self.entrance.home.as_deref());
        let provider = AssumeRoleWithWebIdentityCredentialProvider::with_config(role.to_owned(), file)
            .with_role_session_name(session.unwrap_or(SESSION).to_owned())
            .with_region(self.region.to_owned())
            .with_regional_sts_endpoint();
        self.provided(&provider, &self.carrier, source).await
    }

    /// What a profile gives.
    fn profile<'a>(&'a self, name: &'a str, depth: usize) -> Later<'a> {
        Box::pin(async move {
            if depth > DEEP {
                return Err(error("login", "the profiles in `~/.aws/config` name each other by `source_profile`")
                    .hint("one of them has to have keys of its own, or a login"));
            }
            // A role whose source is its own profile is taken with the keys that stand there.
            if let Some(role) = self.files.either(name, "role_arn") {
                return self.role(name, role, depth).await.map(Some);
            }
            self.own(name).await
        })
    }

    /// What a profile gives without a role.
    async fn own(&self, name: &str) -> Result<Option<Identity>> {
        if let Some(identity) = self.sso(name).await? {
            return Ok(Some(identity));
        }
        if let Some(identity) = keys_of(name, |key| self.files.credentials(name, key))? {
            return Ok(Some(identity));
        }
        if let Some(program) = self.files.program(name) {
            // No variable of the environment names a program to run, nor a file that does.
            if program.is_named {
                let source = Source::Program(name.to_owned());
                let message = format!(
                    "{source} stands in a file that `AWS_CONFIG_FILE` or `AWS_SHARED_CREDENTIALS_FILE` names, so it is \
                     not run"
                );
                return Err(error("login", message).hint(
                    "a program to run is taken from `~/.aws/config` and `~/.aws/credentials` alone: write it there",
                ));
            }
            let carrier = self.carrier.running(program.line);
            // The line is the carrier's; this word stands for it.
            let provider = ProcessCredentialProvider::new().with_command("credential_process");
            return self.provided(&provider, &carrier, Source::Program(name.to_owned())).await.map(Some);
        }
        keys_of(name, |key| self.files.config(name, key))
    }

    async fn role(&self, name: &str, role: &str, depth: usize) -> Result<Identity> {
        let member = |key| self.files.either(name, key);
        let source = Source::Role(name.to_owned());
        let session = member("role_session_name");
        if let Some(file) = member("web_identity_token_file") {
            return self.with_web_identity(role, file, session, source).await;
        }
        if member("mfa_serial").is_some() {
            return Err(error(
                "login",
                format!("{source} asks for the code of a device, which nobody is there to type"),
            )
            .hint("use a profile of the identity centre (`aws configure sso`)")
            .hint("or log in by other means and use the preset `aws` of the store `command`"));
        }
        let base = match (member("source_profile"), member("credential_source")) {
            (Some(of), _) if of == name => self.own(name).await?,
            (Some(of), _) => self.profile(of, depth + 1).await?,
            (None, Some("Environment")) => self.environment()?,
            (None, Some("EcsContainer")) => self.container().await?,
            (None, Some("Ec2InstanceMetadata")) => self.instance().await?,
            (None, _) => None,
        };
        let base = base.ok_or_else(|| {
            error("login", format!("{source} is to be taken with credentials that are not there"))
                .hint("`source_profile` or `credential_source` in `~/.aws/config` says whose they are")
        })?;
        let own = base.credential();
        let mut fixed = StaticCredentialProvider::new(&own.access_key_id, &own.secret_access_key);
        if let Some(token) = &own.session_token {
            fixed = fixed.with_session_token(token);
        }
        let signer = Signer::new(Context::new(), fixed, RequestSigner::new("sts", self.region));
        let mut provider = AssumeRoleCredentialProvider::new(role.to_owned(), signer)
            .with_role_session_name(session.unwrap_or(SESSION).to_owned())
            .with_region(self.region.to_owned())
            .with_regional_sts_endpoint();
        if let Some(id) = member("external_id") {
            provider = provider.with_external_id(id.to_owned());
        }
        if let Some(seconds) = member("duration_seconds").and_then(|text| text.parse().ok()) {
            provider = provider.with_duration_seconds(seconds);
        }
        self.provided(&provider, &self.carrier, source).await
    }

    async fn sso(&self, name: &str) -> Result<Option<Identity>> {
        let member = |key| self.files.either(name, key);
        let (Some(account), Some(role)) = (member("sso_account_id"), member("sso_role_name")) else {
            return Ok(None);
        };
        // Its login is kept under the name of the session; one that is older, under the address.
        let (kept_under, region) = match member("sso_session") {
            Some(session) => (Some(session), self.files.session(session, "sso_region")),
            None => (member("sso_start_url"), member("sso_region")),
        };
        let source = Source::Sso(name.to_owned());
        let (Some(kept_under), Some(region)) = (kept_under, region.filter(|region| is_region(region))) else {
            return Err(
                error("login", format!("{source} is not set up as a whole")).hint("set it up by `aws configure sso`")
            );
        };
        let endpoint = match self.entrance.variable("AWS_ENDPOINT_URL_SSO") {
            Some(address) => address.trim_end_matches('/').to_owned(),
            None => format!("https://portal.sso.{region}.{}", super::domain(region)),
        };
        let provider = SSOCredentialProvider::new()
            .with_account_id(account)
            .with_region(region)
            .with_role_name(role)
            .with_start_url(kept_under)
            .with_endpoint(format!("{endpoint}/federation/credentials"));
        self.provided(&provider, &self.carrier, source).await.map(Some)
    }

    async fn container(&self) -> Result<Option<Identity>> {
        let variable = |name| self.entrance.variable(name);
        let full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").filter(|path| path.starts_with('/'));
        let mut provider = match (relative, full) {
            (Some(path), _) => ECSCredentialProvider::new().with_relative_uri(path),
            (None, Some(address)) => ECSCredentialProvider::new().with_endpoint(address),
            (None, None) => return Ok(None),
        };
        // The file goes first, as AWS's own libraries have it: its token is changed from time to time.
        if let Some(file) = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            provider = provider.with_auth_token_file(file);
        } else if let Some(token) = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN") {
            provider = provider.with_auth_token(token);
        }
        self.provided(&provider, &self.carrier, Source::Container).await.map(Some)
    }

    /// A machine that is no instance has nothing that answers; one without a role says so. Both have no credentials.
    async fn instance(&self) -> Result<Option<Identity>> {
        if self.entrance.variable("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let mut provider = IMDSv2CredentialProvider::new();
        if let Some(address) = self.entrance.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
            provider = provider.with_endpoint(address.trim_end_matches('/'));
        }
        match provider.provide_credential_dyn(&self.carrier.context()).await {
            Ok(credential) => Ok(credential.map(|credential| Identity { credential, source: Source::Instance })),
            Err(why) => match self.carrier.seen() {
                Some(Seen::Unreached(_) | Seen::Status(400..=499)) => Ok(None),
                seen => Err(login_failed(&Source::Instance, seen, why.kind())),
            },
        }
    }

    /// What a link of the chain gives that is set up, so that it has to.
    async fn provided(
        &self,
        provider: &dyn ProvideCredentialDyn<Credential = Credential>,
        carrier: &Carrier,
        source: Source,
    ) -> Result<Identity> {
        // Its error may quote whatever it was answered: only its kind is read, and what the carrier saw.
        let kind = match provider.provide_credential_dyn(&carrier.context()).await {
            Ok(Some(credential)) => return Ok(Identity { credential, source }),
            Ok(None) => ErrorKind::ConfigInvalid,
            Err(why) => why.kind(),
        };
        Err(login_failed(&source, carrier.seen(), kind))
    }
}

/// Keys as a profile has them: both or none.
fn keys_of<'f>(name: &str, member: impl Fn(&str) -> Option<&'f str>) -> Result<Option<Identity>> {
    let source = Source::Keys(name.to_owned());
    match (member("aws_access_key_id"), member("aws_secret_access_key")) {
        (Some(id), Some(secret)) => Ok(Some(keys(id, secret, member("aws_session_token"), source))),
        (None, None) => Ok(None),
        _ => Err(error("login", format!("{source} are not whole"))
            .hint("`aws_access_key_id` and `aws_secret_access_key` belong together in `~/.aws/credentials`")),
    }
}

/// Where the login to the identity centre is kept: a folder that `aws sso login` makes.
#[cfg(test)]
pub(super) fn kept_in(home: &std::path::Path, under: &str) -> std::path::PathBuf {
    let name = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, under.as_bytes());
    home.join(".aws/sso/cache").join(format!("{}.json", crate::hex::hex(name.as_ref())))
}
