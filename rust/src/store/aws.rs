//! AWS Secrets Manager.
//!
//! The chain of credentials and the signature are `reqsign`'s; whatever it sends, reads or starts goes through our own
//! client, files and processes ([`carrier`]), and so does the one request for the secret. Credentials of AWS are secrets
//! like any other: they are read into buffers that wipe themselves and are shown nowhere. What `reqsign` copies of them
//! it frees unwiped, which the package's allocator wipes.

mod answer;
mod carrier;
mod chain;
mod files;
mod request;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::command::Surroundings;
use super::raw::Raw;
use super::{Answer, Pending, Reach, State, Store, Wanted, json};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::net::{Client, Net, NetSettings, ServerUrl};
use crate::project::{AwsSettings, Settings, Stage};
use crate::token::{Secret, TokenName};

use answer::Said;
use carrier::Carrier;
use chain::{Chain, Identity};
use files::Files;
use request::{Action, Reply, Service};
use trouble::{Trouble, error};

#[cfg(any(test, fuzzing))]
pub(crate) use trouble::given;

pub(super) const NAME: &str = "aws";

const WHAT: &str = "AWS Secrets Manager";

const NOT_HERE: &str =
    "no AWS on this machine: neither the setting `aws.region` nor `AWS_REGION` nor a profile says a region";

/// What is told where credentials are missing, and some are in the environment.
const SILENCED: &str = "your institution has locked `aws.profile`, so variables of the environment give no credentials: a \
                        profile in `~/.aws` has to, or the role of the instance; ask those who wrote the site's file";

/// What the chain of credentials takes from the environment.
const VARIABLES: [&str; 20] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_ENDPOINT_URL",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Those that say who asks: keys, a role, where a platform gives credentials, a profile and the files that it stands in.
const WHO_ASKS: [&str; 15] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    INSTANCE_AT,
];

/// Where the role of an instance is asked for.
const INSTANCE_AT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// The way to AWS, as the host's thread prepared it: the client, and what the environment holds.
pub(super) struct Entrance {
    client: Result<Client>,
    /// Some of them are secrets.
    variables: Vec<(&'static str, Zeroizing<String>)>,
    /// The user's home folder, where `~/.aws` is.
    home: Option<PathBuf>,
    /// What a program is started with that gives credentials.
    surroundings: Surroundings,
    locks: Locks,
}

/// What the site locks. There neither the environment nor a profile says where the secrets are or who asks, as no
/// option and no setting of the user's does.
#[derive(Clone, Debug, Default)]
struct Locks(Vec<&'static str>);

impl Locks {
    fn of(settings: &Settings) -> Self {
        let all = settings.locked.iter().any(|name| name == NAME);
        let keys = ["aws.endpoint", "aws.region", "aws.profile", "ca_file"];
        // Who locks all of the store's settings means those whom it trusts, too.
        Self(keys.into_iter().filter(|key| all || settings.is_locked(key)).collect())
    }

    fn has(&self, key: &str) -> bool {
        self.0.contains(&key)
    }

    /// Whether a variable counts for nothing.
    fn outrank(&self, variable: &str) -> bool {
        match variable {
            "AWS_ENDPOINT_URL"
            | "AWS_ENDPOINT_URL_SECRETS_MANAGER"
            | "AWS_ENDPOINT_URL_STS"
            | "AWS_ENDPOINT_URL_SSO" => self.has("aws.endpoint"),
            "AWS_REGION" | "AWS_DEFAULT_REGION" => self.has("aws.region"),
            name if WHO_ASKS.contains(&name) => self.has("aws.profile"),
            "AWS_CA_BUNDLE" => self.has("ca_file"),
            _ => false,
        }
    }
}

impl Entrance {
    /// To be called on the host's thread.
    pub(super) fn take(settings: &Settings, net: &Net) -> Arc<Self> {
        let locks = Locks::of(settings);
        let ca_bundle = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from);
        let ca_file = ca_file(settings, &locks, ca_bundle);
        // A connection's buffers keep what came over it: here that is a token, so none is kept.
        let client = net.fresh_client(&NetSettings { ca_file, ..settings.net.clone() });
        let home = std::env::var_os(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
        let home = home.filter(|home| !home.is_empty()).map(PathBuf::from);
        let surroundings = Surroundings::take();
        // `into_string()` takes the buffer over; what is not UTF-8 is none of AWS's.
        let variable = |name| std::env::var_os(name)?.into_string().ok().map(Zeroizing::new);
        Arc::new(Self { client, variables: variables(variable), home, surroundings, locks })
    }

    fn variable(&self, name: &str) -> Option<&str> {
        if self.locks.outrank(name) {
            return None;
        }
        let value = &self.variables.iter().find(|(known, _)| *known == name)?.1;
        Some(value.as_str())
    }

    /// Whether something in the environment says who asks, and counts for nothing.
    fn is_silenced(&self) -> bool {
        self.variables.iter().any(|(name, _)| WHO_ASKS.contains(name) && self.locks.outrank(name))
    }

    fn profile(&self) -> Option<&str> {
        self.variable("AWS_PROFILE").or_else(|| self.variable("AWS_DEFAULT_PROFILE"))
    }
}

/// The file with the authorities, if not the system's.
fn ca_file(settings: &Settings, locks: &Locks, ca_bundle: Option<PathBuf>) -> Option<PathBuf> {
    settings.net.ca_file.clone().or_else(|| ca_bundle.filter(|_| !locks.outrank("AWS_CA_BUNDLE")))
}

/// The variables that are set; a blank one is not.
fn variables(get: impl Fn(&'static str) -> Option<Zeroizing<String>>) -> Vec<(&'static str, Zeroizing<String>)> {
    const INSTANCE: [&str; 2] = ["AWS_EC2_METADATA_DISABLED", INSTANCE_AT];
    let names = VARIABLES.into_iter().chain(INSTANCE);
    names.filter_map(|name| Some((name, get(name)?))).filter(|(_, value)| !value.is_empty()).collect()
}

pub(super) fn open(ctx: &Ctx) -> Box<dyn Store> {
    Box::new(AwsStore { settings: ctx.settings.stores.aws.clone(), entrance: ctx.env.aws.clone() })
}

pub(in crate::store) struct AwsStore {
    settings: AwsSettings,
    entrance: Option<Arc<Entrance>>,
}

/// Where the secrets are and who asks, as settings, environment and files say.
struct Place<'a> {
    client: &'a Client,
    server: ServerUrl,
    region: String,
    identity: Identity,
}

impl Place<'_> {
    fn service(&self) -> Service<'_> {
        Service { client: self.client, server: &self.server, region: &self.region }
    }
}

impl AwsStore {
    /// The place; `None` where none is set up. Nothing is kept of it: files change, and logins end.
    async fn place(&self) -> Result<Option<Place<'_>>> {
        let Some(entrance) = self.entrance.as_deref() else { return Ok(None) };
        let (files, locks) = (Files::read(entrance).await?, &entrance.locks);
        let by_settings = self.settings.profile.is_some();
        let profile = self.settings.profile.as_deref().or_else(|| entrance.profile()).unwrap_or("default");
        let region = self
            .settings
            .region
            .as_deref()
            .or_else(|| entrance.variable("AWS_REGION"))
            .or_else(|| entrance.variable("AWS_DEFAULT_REGION"))
            .or_else(|| files.either(profile, "region").filter(|_| !locks.has("aws.region")));
        let Some(region) = region else {
            if self.settings.endpoint.is_some() || by_settings {
                return Err(error("region", "the store `aws` is set up, and its region is not said anywhere")
                    .hint("set `aws.region`, or `AWS_REGION`, or `region` in the profile"));
            }
            return Ok(None);
        };
        // It becomes a part of the host's name.
        if !is_region(region) {
            return Err(error("region", "what `AWS_REGION` or the profile says is not the name of a region")
                .hint("write it as `eu-central-1`"));
        }
        let client = entrance.client.as_ref().map_err(|why| trouble::unreachable(region, why.clone()))?;
        let general = entrance.variable("AWS_ENDPOINT_URL");
        let set = if let Some(server) = &self.settings.endpoint {
            Some(server.clone())
        } else {
            let address = entrance.variable("AWS_ENDPOINT_URL_SECRETS_MANAGER").or(general);
            let address =
                address.or_else(|| files.either(profile, "endpoint_url").filter(|_| !locks.has("aws.endpoint")));
            address.map(|address| endpoint(address, "AWS_ENDPOINT_URL")).transpose()?
        };
        let server = if let Some(server) = set {
            server
        } else {
            let address = format!("https://secretsmanager.{region}.{}", domain(region));
            ServerUrl::named(&address, "aws.region").map_err(|why| error("region", why.message))?
        };
        let sts = entrance.variable("AWS_ENDPOINT_URL_STS").or(general);
        let sts = sts.map(|address| endpoint(address, "AWS_ENDPOINT_URL_STS")).transpose()?;
        let carrier = Carrier::new(client, sts, entrance);
        let chain = Chain { entrance, files: &files, profile, by_settings, region, carrier };
        let identity = chain.find().await?.ok_or_else(|| {
            let none = trouble::no_credentials(region);
            if entrance.is_silenced() { none.hint(SILENCED) } else { none }
        })?;
        Ok(Some(Place { client, server, region: region.to_owned(), identity }))
    }

    fn trouble<'a>(&'a self, place: &'a Place<'_>, name: &'a str, action: Action) -> Trouble<'a> {
        let (server, region, source) = (&place.server, place.region.as_str(), &place.identity.source);
        Trouble { settings: &self.settings, server, region, name, action, source }
    }

    /// What a secret's name is; `None` where that takes a short name and there is none.
    fn secret_name(&self, token_name: &str, short_name: &str) -> Option<String> {
        self.settings.name.fill(token_name, short_name)
    }

    async fn get_value(&self, place: &Place<'_>, name: &str) -> Result<Reply> {
        let stage = if self.settings.stage == Stage::Previous { "AWSPREVIOUS" } else { "AWSCURRENT" };
        let members = [("SecretId", name.as_bytes()), ("VersionStage", stage.as_bytes())];
        self.ask(place, Action::Get, &members).await
    }

    async fn ask(&self, place: &Place<'_>, action: Action, members: &[(&str, &[u8])]) -> Result<Reply> {
        let body =
            json::object(members).ok_or_else(|| error("field", "the token is not UTF-8").hint("check its form"))?;
        place.service().ask(action, body, Some(&place.identity)).await
    }

    async fn read(&self, wanted: &Wanted) -> Result<Answer> {
        let Some(name) = self.secret_name(wanted.token_name.as_str(), &wanted.short_name) else {
            let why = "`aws.name` has `{short_name}` in it, and the project is not set up here";
            return Ok(Answer::none(Some(why.to_owned())));
        };
        let Some(place) = self.place().await? else { return Ok(Answer::none(Some(NOT_HERE.to_owned()))) };
        let reply = self.get_value(&place, &name).await?;
        let said = answer::secret(reply.status, &reply.body, self.settings.field.as_deref());
        self.trouble(&place, &name, Action::Get).answer(said, reply.request_id)
    }

    /// The text that stands under a name now.
    async fn current(&self, place: &Place<'_>, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let reply = self.get_value(place, name).await?;
        let told = |said: Said| self.trouble(place, name, Action::Get).error(&said);
        answer::current(reply.status, &reply.body).map_err(told)
    }

    /// The name of a secret that is to be written or removed. Where the version before is read, the newest is none that
    /// anybody has looked at: it is neither replaced nor removed.
    fn to_change(&self, name: &TokenName) -> Result<String> {
        let name = self.secret_name(name.as_str(), "").ok_or_else(by_short_name)?;
        if self.settings.stage == Stage::Previous {
            let message =
                "`aws.stage` is `AWSPREVIOUS`, so a token that is put there would not be read, and none is removed";
            return Err(error("read_only", message).hint("take `aws.stage` out of the settings to use the newest"));
        }
        Ok(name)
    }

    async fn write(&self, name: &TokenName, secret: &Secret) -> Result<()> {
        let name = self.to_change(name)?;
        let place = self.place().await?.ok_or_else(not_here)?;
        let there = self.current(&place, &name).await?;
        let value = Raw::new(std::mem::take(&mut *secret.for_store()));
        let told = |action| move |said| (action, said);
        let text = answer::with_token(there.as_ref(), self.settings.field.as_deref(), &value)
            .map_err(|said| self.trouble(&place, &name, Action::Put).error(&said))?;
        drop(value);
        let written = match there {
            Some(_) => self.put_value(&place, &name, &text).await?.map_err(told(Action::Put)),
            None => match self.create(&place, &name, &text).await? {
                // There, and without a value yet.
                Err(Said::Exists) => self.put_value(&place, &name, &text).await?.map_err(told(Action::Put)),
                created => created.map_err(told(Action::Create)),
            },
        };
        written.map_err(|(action, said)| self.trouble(&place, &name, action).error(&said))
    }

    async fn put_value(&self, place: &Place<'_>, name: &str, text: &[u8]) -> Result<std::result::Result<(), Said>> {
        let once = request::once()?;
        let members = [("SecretId", name.as_bytes()), ("ClientRequestToken", once.as_bytes()), ("SecretString", text)];
        let reply = self.ask(place, Action::Put, &members).await?;
        Ok(answer::done(reply.status, &reply.body))
    }

    async fn create(&self, place: &Place<'_>, name: &str, text: &[u8]) -> Result<std::result::Result<(), Said>> {
        let once = request::once()?;
        let members = [("Name", name.as_bytes()), ("ClientRequestToken", once.as_bytes()), ("SecretString", text)];
        let reply = self.ask(place, Action::Create, &members).await?;
        Ok(answer::done(reply.status, &reply.body))
    }

    /// Removes a secret at once, with all of its versions: one that is marked for deletion makes each look-up an error,
    /// and no other can have its name for a month.
    async fn take_away(&self, name: &TokenName) -> Result<bool> {
        let name = self.to_change(name)?;
        let place = self.place().await?.ok_or_else(not_here)?;
        if !self.is_alone(&place, &name).await? {
            return Ok(false);
        }
        let trouble = self.trouble(&place, &name, Action::Delete);
        let mut body = json::room(name.len() * 6 + 80);
        let members = json::object(&[("SecretId", name.as_bytes())]).unwrap_or_default();
        body.extend_from_slice(members.strip_suffix(b"}").unwrap_or(&members));
        body.extend_from_slice(b",\"ForceDeleteWithoutRecovery\":true}");
        let reply = place.service().ask(Action::Delete, body, Some(&place.identity)).await?;
        answer::done(reply.status, &reply.body).map(|()| true).map_err(|said| trouble.error(&said))
    }

    /// Whether a secret is there; an error where it holds more than a token.
    async fn is_alone(&self, place: &Place<'_>, name: &str) -> Result<bool> {
        let Some(there) = self.current(place, name).await? else { return Ok(false) };
        if answer::has_other_fields(&there, self.settings.field.as_deref()) {
            return Err(self.trouble(place, name, Action::Delete).other_fields());
        }
        Ok(true)
    }

    async fn can_take_away(&self, name: &TokenName) -> Result<()> {
        let name = self.to_change(name)?;
        let place = self.place().await?.ok_or_else(not_here)?;
        self.is_alone(&place, &name).await.map(drop)
    }

    async fn look(&self) -> Result<State> {
        let what = WHAT;
        let Some(place) = self.place().await? else {
            return Ok(State::new(what, None, Reach::NotHere(NOT_HERE.to_owned())));
        };
        let detail = Some(format!("{}, {}, with {}", place.region, self.settings.name, place.identity.source));
        // Unsigned, so that it stands in nobody's log: it is refused, as only AWS refuses.
        let body = json::object(&[("SecretId", b"keycap")]).unwrap_or_default();
        let reply = place.service().ask(Action::Get, body, None).await?;
        let told = |said: Said| self.trouble(&place, "", Action::Get).error(&said);
        answer::is_aws(reply.status, &reply.body).map_err(told)?;
        let reach = if self.settings.stage == Stage::Previous {
            Reach::ReadOnly
        } else if place.identity.source.is_known_to_aws() {
            Reach::Ready
        } else {
            Reach::Untried("it answers; whether it takes these keys shows with the first look-up".to_owned())
        };
        Ok(State::new(what, detail, reach))
    }
}

impl Store for AwsStore {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Whether a region is said in a file is not known before the store is asked; without one it has no answer.
    fn binds(&self) -> bool {
        self.entrance.is_some()
    }

    fn get<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, Answer> {
        Box::pin(self.read(wanted))
    }

    fn put<'a>(&'a self, name: &'a TokenName, secret: &'a Secret) -> Pending<'a, ()> {
        Box::pin(self.write(name, secret))
    }

    fn remove<'a>(&'a self, name: &'a TokenName) -> Pending<'a, bool> {
        Box::pin(self.take_away(name))
    }

    fn removable<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, ()> {
        Box::pin(self.can_take_away(&wanted.token_name))
    }

    fn state(&self) -> Pending<'_, State> {
        Box::pin(self.look())
    }

    /// No link of the chain of credentials is tried: it may ask servers and start programs.
    fn idle_state(&self) -> Pending<'_, State> {
        let AwsSettings { region, profile, endpoint, .. } = &self.settings;
        let by_variables = |entrance: &Arc<Entrance>| {
            entrance.variable("AWS_REGION").or_else(|| entrance.variable("AWS_DEFAULT_REGION")).is_some()
        };
        let set_up = region.is_some() || profile.is_some() || endpoint.is_some();
        let reach = if set_up || self.entrance.as_ref().is_some_and(by_variables) {
            Reach::NotAsked("`aws` is not among the stores that are asked for a token, so no login is tried".to_owned())
        } else {
            Reach::NotHere(NOT_HERE.to_owned())
        };
        Box::pin(std::future::ready(Ok(State::new(WHAT, None, reach))))
    }
}

/// An address of the environment or of a profile, by the rules that hold for all servers.
fn endpoint(address: &str, argument: &str) -> Result<ServerUrl> {
    ServerUrl::named(address, argument).map_err(|mut why| {
        why.kind = Kind::Store;
        why.field("state", "unreachable")
    })
}

/// Whether a text is of the form of a region's name.
fn is_region(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The part of AWS that a region belongs to.
fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        Some("eusc") => "aws-eusc",
        _ => "aws",
    }
}

/// The domain of a region's services.
fn domain(region: &str) -> &'static str {
    match partition(region) {
        "aws-cn" => "amazonaws.com.cn",
        "aws-eusc" => "amazonaws.eu",
        _ => "amazonaws.com",
    }
}

fn not_here() -> Error {
    error("not_here", NOT_HERE).hint("set `aws.region` where tokens are to be kept in AWS")
}

fn by_short_name() -> Error {
    error("read_only", "`aws.name` has `{short_name}` in it, so no token can be put there under its own name")
        .hint("write `{token_name}` for `{short_name}` in `aws.name`")
}

#[cfg(all(test, unix))]
mod tests;

/// AWS as moto plays it, for the tests of its program too.
#[cfg(all(test, unix))]
pub(super) use tests::kit as played;
