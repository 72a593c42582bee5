//! What is told when AWS does not give what it is asked for.

use reqsign_core::ErrorKind;

use super::Answer;
use super::answer::Said;
use super::carrier::Seen;
use super::chain::Source;
use super::request::Action;
use crate::error::{Error, Kind, Result};
use crate::net::ServerUrl;
use crate::project::{AwsSettings, Stage};

/// The place of a trouble: what messages need to know.
pub(super) struct Trouble<'a> {
    pub(super) settings: &'a AwsSettings,
    pub(super) server: &'a ServerUrl,
    pub(super) region: &'a str,
    /// The name of the secret.
    pub(super) name: &'a str,
    pub(super) action: Action,
    pub(super) source: &'a Source,
}

/// An error of the store. `state` is the fact for programs.
pub(super) fn error(state: &str, message: impl Into<String>) -> Error {
    Error::new(Kind::Store, message).field("state", state)
}

/// The service is not reached. What the network's error says stays; its kind is a fact beside.
pub(super) fn unreachable(region: &str, why: Error) -> Error {
    let reason = why.kind.as_str();
    let message = format!("AWS Secrets Manager in the region `{region}` cannot be asked: {}", why.message);
    let mut told = error("unreachable", message).field("reason", reason);
    told.hints = why.hints;
    told.fields.extend(why.fields);
    told.hint("check the region (`aws.region`, `AWS_REGION`): each has an address of its own")
        .hint("in a network without a way out, `aws.endpoint` names the endpoint that the network has for it")
        .hint("where this machine has no AWS, take `aws` out of the order of stores (`stores`)")
}

/// No link of the chain is set up here.
pub(super) fn no_credentials(region: &str) -> Error {
    error("login", format!("AWS in the region `{region}` cannot be asked: this machine has no credentials for it"))
        .hint("log in in a terminal: `aws sso login`, after `aws configure sso` once")
        .hint("on a machine of AWS's own, give it a role; elsewhere, see `aws.profile` and `AWS_PROFILE`")
        .hint("where this machine has no AWS, take `aws` out of the order of stores (`stores`)")
}

/// Credentials whose time is over.
pub(super) fn expired(source: &Source) -> Error {
    error("expired", format!("the credentials for AWS have expired: {source}")).hint(again(source))
}

/// How to get credentials anew.
fn again(source: &Source) -> String {
    match source {
        Source::Sso(profile) => {
            format!("log in again in a terminal: `aws sso login --profile {}`", crate::token::as_name(profile))
        }
        Source::Environment => "set the three variables anew, the session token included".to_owned(),
        Source::Keys(_) => "put new keys into `~/.aws/credentials`, the session token included".to_owned(),
        Source::Program(_) => "run that program by hand in a terminal to see what it says".to_owned(),
        Source::Role(_) => "check the credentials that the role is taken with".to_owned(),
        Source::WebIdentity | Source::Container | Source::Instance => {
            "the platform gives these credentials: tell those who run it".to_owned()
        }
    }
}

/// A link of the chain that is set up and gives no credentials.
pub(super) fn login_failed(source: &Source, seen: Option<Seen>, kind: ErrorKind) -> Error {
    let told = |state: &str, what: &str| error(state, format!("{source} {what}"));
    match (seen, source) {
        (Some(Seen::File(why)), _) => why,
        (Some(Seen::NoFile(_)), Source::Sso(_)) => {
            error("login", format!("nobody has logged in yet: {source}")).hint(again(source))
        }
        (Some(Seen::NoFile(path)), _) => told("login", &format!("needs `{}`, which is not there", path.display()))
            .hint("the platform puts this file there: tell those who run it"),
        (Some(Seen::Program(how)), _) => {
            told("login", &how).hint(again(source)).hint("keycap does not show what it says, it may hold secrets")
        }
        (Some(Seen::NotAllowed), _) => told("login", "is to be asked for at an address that is not safe")
            .hint("https, this machine by number, and the addresses at which AWS gives a machine its credentials"),
        (Some(Seen::Unreached(why)), _) => {
            let mut unreached = told("unreachable", &format!("cannot be asked for: {}", why.message));
            unreached.hints = why.hints;
            unreached.fields.extend(why.fields);
            unreached.hint("a proxy or a firewall may stand in the way; AWS's own programs show more")
        }
        (Some(Seen::Status(status)), Source::Sso(_)) if status == 401 => {
            expired(source).field("status", i64::from(status))
        }
        (Some(Seen::Status(status @ 500..)), _) => {
            told("failed", &format!("could not be had: the service answered with status {status}"))
                .hint("try again later; if it stays so, tell those who run it")
                .field("status", i64::from(status))
        }
        (Some(Seen::Status(status)), _) => {
            let refused =
                told("login", &format!("was refused with status {status}")).field("status", i64::from(status));
            match source {
                Source::Role(_) => refused
                    .hint("the role has to trust whoever takes it: see its trust policy, and `external_id`")
                    .hint("the one who takes it has to be allowed `sts:AssumeRole` on it"),
                Source::WebIdentity => refused
                    .hint("the role has to trust the issuer of the token, and the token's subject")
                    .hint("the token in that file may have expired"),
                Source::Sso(_) => refused
                    .hint("the account and the role of that profile have to be assigned to you")
                    .hint(again(source)),
                _ => refused.hint(again(source)),
            }
        }
        // Nothing went over the wire: what lies here is not of use any more.
        (None, Source::Sso(_)) => expired(source),
        (None, _) if kind == ErrorKind::CredentialInvalid => expired(source),
        (None, _) => told("login", "did not give credentials that can be used")
            .hint("check `~/.aws/config` and the role's name in it")
            .hint(again(source)),
    }
}

impl Trouble<'_> {
    fn at(&self) -> String {
        format!("`{}` in AWS Secrets Manager (`{}`)", self.name, self.region)
    }

    fn doing(&self) -> &'static str {
        match self.action {
            Action::Get => "read",
            Action::Create | Action::Put => "written",
            Action::Delete => "removed",
        }
    }

    /// What a policy has to allow, and on what.
    fn right(&self) -> String {
        let (action, name) = (self.action.as_str(), self.name);
        let partition = super::partition(self.region);
        let region = self.region;
        format!(
            "its policy has to allow `secretsmanager:{action}` on `arn:{partition}:secretsmanager:{region}:*:secret:{name}-??????`"
        )
    }

    /// The reply to a look-up.
    pub(super) fn answer(&self, said: Said, request_id: Option<String>) -> Result<Answer> {
        match said {
            Said::Secret { value, origin } => Ok(Answer { request_id, origin, ..Answer::hit(value) }),
            Said::Absent => {
                Ok(Answer::none((self.settings.stage == Stage::Previous).then(|| {
                    format!("{} has no version `AWSPREVIOUS` (`aws.stage`), or is not there at all", self.at())
                })))
            }
            said => Err(self.error(&said)),
        }
    }

    pub(super) fn error(&self, said: &Said) -> Error {
        let (at, source) = (self.at(), self.source);
        let failed = |what: String| error("failed", what);
        match said {
            Said::Deleted => error("deleted", format!("{at} is marked for deletion"))
                .hint(format!("`aws secretsmanager restore-secret --secret-id {}` brings it back", self.name))
                .hint("until it is gone for good, no other can have its name"),
            Said::Binary => error("field", format!("{at} is bytes (`SecretBinary`) and no text"))
                .hint("write it anew as a text: `--secret-string file://...` in place of `--secret-binary`"),
            Said::NotJson => error("field", format!("{at} is no JSON object, so it has no field"))
                .hint("take `aws.field` out of the settings if the whole secret is the token"),
            Said::IsJson => {
                error("field", format!("{at} is a JSON object, so it is not clear which field is the token"))
                    .hint("name the field in the settings: `aws.field = \"token\"`")
            }
            Said::NoField | Said::NotText => {
                let field = crate::token::as_name(self.settings.field.as_deref().unwrap_or_default());
                let what = if matches!(said, Said::NoField) { "has no field" } else { "holds what is not a text in" };
                error("field", format!("{at} {what} `{field}`"))
                    .hint("check `aws.field`, and what stands in the secret")
            }
            Said::BadOrigin => error("field", format!("the field `origin` of {at} is not the origin of a server"))
                .hint("write scheme, host and port only, as `https://redcap.example.org`, or remove the field"),
            Said::Denied => {
                error("denied", format!("{at} may not be {} with {source}", self.doing())).hint(self.right())
            }
            Said::KeyDenied => {
                let action = if self.action == Action::Get { "kms:Decrypt" } else { "kms:GenerateDataKey" };
                error("denied", format!("the key that encrypts {at} may not be used with {source}"))
                    .hint(format!("the policy of that key in KMS has to allow `{action}` for this identity"))
            }
            Said::Expired => expired(source),
            Said::UnknownKey => error("login", format!("AWS does not know the access key: {source}"))
                .hint("it was removed, is switched off, or belongs to another partition of AWS")
                .hint(again(source)),
            Said::BadSignature => error("login", format!("the secret key does not belong to the access key: {source}"))
                .hint("a blank or a line break may have come with it when it was copied")
                .hint("a gateway between that changes requests makes the same error"),
            Said::Clock => error("clock", "AWS refuses the time of the request: the clock of this machine is wrong")
                .hint("set it by the network (`timedatectl set-ntp true`); five minutes are the most that is taken"),
            Said::Region => {
                error("region", format!("`{}` is not of the region `{}`", self.server.origin(), self.region))
                    .hint("check `aws.region` and `aws.endpoint`: they have to fit")
            }
            Said::Throttled => failed("AWS Secrets Manager was asked too often, by all of this account".to_owned())
                .hint("try again in a minute; an operation on many records asks once"),
            Said::Exists => failed(format!("somebody else has made {at} meanwhile; nothing was written"))
                .hint("look at what is there now, and try again"),
            Said::Bad => failed(format!("AWS does not understand what it was asked for {at}"))
                .hint("check `aws.name`: letters, digits and `/_+=.@-` make a name"),
            Said::Redirected => {
                failed(format!("`{}` sends us to another server, which keycap does not follow", self.server.origin()))
                    .hint("check `aws.endpoint`")
            }
            Said::Failing(status) => failed(format!("AWS Secrets Manager fails with status {status}"))
                .hint("try again later; if it stays so, see the health page of AWS")
                .field("status", i64::from(*status)),
            Said::NotAws(status) => {
                error("not_aws", format!("what answers at `{}` (status {status}) is not AWS", self.server.origin()))
                    .hint(
                        "check `aws.endpoint` and `AWS_ENDPOINT_URL`; a sign-on page or a gateway may stand before it",
                    )
                    .field("status", i64::from(*status))
            }
            Said::Secret { .. } | Said::Absent => {
                failed(format!("AWS gave an answer to another question than that for {at}")).hint("try again")
            }
        }
    }

    pub(super) fn other_fields(&self) -> Error {
        error("field", format!("{} holds more than a token, so it is not removed", self.at()))
            .hint("remove the field by hand: the console of AWS, or `aws secretsmanager put-secret-value`")
    }
}

/// What a look-up makes of a reply of AWS's.
#[cfg(any(test, fuzzing))]
pub(crate) fn given(
    status: u16,
    body: &[u8],
    field: Option<&str>,
    rule: &crate::token::FormRule,
) -> Result<Option<crate::store::Found>> {
    let server = ServerUrl::parse("https://secretsmanager.eu-central-1.amazonaws.com/")?;
    let settings = AwsSettings { field: field.map(str::to_owned), ..AwsSettings::default() };
    let trouble = Trouble {
        settings: &settings,
        server: &server,
        region: "eu-central-1",
        name: "redcap/REDCapSync_T",
        action: Action::Get,
        source: &Source::Environment,
    };
    let answer = trouble.answer(super::answer::secret(status, body, field), None)?;
    Ok(crate::store::found(answer, rule, super::NAME).0)
}
