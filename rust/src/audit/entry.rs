//! What an entry says: intents, outcomes, refusals, changes, and what the log says of itself.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use crate::error::Kind;

/// What is about to be sent: written, durably, before the token goes on the wire.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Intent {
    /// The call's id, the same in its outcome.
    pub call_id: String,
    /// `content` or `content/action` and the names (never the values) of the parameters.
    pub action: String,
    /// The project's short name.
    pub project: String,
    /// The number that REDCap gave the project, where it is pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<u64>,
    /// Whose token it is in REDCap, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redcap_user: Option<RedcapUser>,
    /// The origin that the token goes to.
    pub origin: String,
    /// What says that it may go there: `registry`, the site's list (`site`), or the `store` that holds the origin too.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub bound_by: &'static str,
    /// The token's name.
    pub token_name: String,
    /// The store that the token came from.
    pub source: String,
    /// What that store calls the request that gave the token, where it says so: its audit log has the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_request_id: Option<String>,
    /// The token's fingerprint.
    pub fingerprint: String,
    /// The records that are written or deleted, where they are known. In the log as digests, or as they are if the
    /// site says so.
    #[serde(skip)]
    pub record_ids: Vec<String>,
}

/// A user name in REDCap, and how it is known. In the log: `{"declared":"…"}` or `{"verified":"…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RedcapUser {
    /// The site or the user says so.
    Declared(String),
    /// REDCap's answers proved it for this very token: of the project's users, this one alone may do what it does.
    Verified(String),
}

/// What became of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// The intent's call id.
    pub call_id: String,
    /// The HTTP status, where there was an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `ok` or the error's kind.
    pub class: String,
    /// The server's own time, as its `Date` header had it (scrubbed by the caller, as every text of a server).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_date: Option<String>,
    /// Number of records in the answer, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From intent to end of the answer.
    #[serde(rename = "duration_us", serialize_with = "microseconds")]
    pub duration: Duration,
}

/// A call that was not made, and why: another origin, a policy, no token or a malformed one.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    /// What was asked for, as in [`Intent::action`].
    pub action: String,
    /// The project's short name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The origin that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The token's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_name: Option<String>,
    /// The store that the token came from, where it was looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The token's fingerprint, where it was looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Why.
    #[serde(serialize_with = "kind")]
    pub reason: Kind,
}

/// A change of what is kept here (a token in a store, settings, policy) that is about to be made. Its [`Outcome`], with
/// the same id, says what became of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Change {
    /// The change's id, the same in its outcome.
    pub call_id: String,
    /// What is changed: `set_token`, `move_token`, `remove_token`, `configure_stores`, ….
    pub action: &'static str,
    /// The project's short name, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The token's name, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_name: Option<String>,
    /// The store that is written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Where the token comes from: another store, or how it was entered (`terminal`, `dialog`, `descriptor`, `file`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The token's fingerprint; of a removal that of the token that is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The fingerprint of what stood there before, where something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// What else there is to say: names of settings, never a value that may be secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What made R call: stands at the end of intents, refusals and changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Program {
    /// The script's absolute path; `interactive` where a person types, `expression` for `Rscript -e`, `stdin` where R
    /// reads its commands from standard input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The SHA-256 of the script as it was when the operation began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_sha256: Option<String>,
    /// `rstudio`, `positron`, `vscode`, `jupyter`, `terminal`, a scheduler (`slurm`, `pbs`, `lsf`, `sge`), or
    /// `background` (no terminal: cron, a service).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The scheduler's number for the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Who logged in, where the system keeps that through `su` and `sudo` (Linux with auditing).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_uid: Option<u32>,
}

/// The first entry of a segment that follows another.
#[derive(Clone, Debug, Serialize)]
pub struct Opening {
    /// `size`, or `archive` where somebody closed the one before.
    pub reason: &'static str,
    /// The name of the file before.
    pub after: String,
    /// Its size in bytes.
    pub after_size: u64,
    /// The SHA-256 of its last line.
    pub after_hash: String,
}

/// A device of the log was lost, or is back.
#[derive(Clone, Debug, Serialize)]
pub struct Device {
    /// `first`, `second` or `syslog`.
    pub device: &'static str,
    /// Its folder or socket.
    pub path: String,
    /// `lost` or `back`.
    pub state: &'static str,
    /// Why it was lost: the cause's name, such as `full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// A checkpoint was signed: it vouches for the lines before this one.
#[derive(Clone, Debug, Serialize)]
pub struct Checkpoint {
    /// The log: `audit-<uid>@<host>`.
    pub origin: String,
    /// The number of entries that it vouches for: `seq` of the last.
    pub entries: u64,
    /// The SHA-256 of that line.
    pub hash: String,
    /// The key's id: the first 8 hexadecimal characters as the signed note has them.
    pub key: String,
    /// The signature in base64.
    pub signature: String,
}

/// What an anchor did with a checkpoint.
#[derive(Clone, Debug, Serialize)]
pub struct Anchoring {
    /// The anchor's name in the settings.
    pub anchor: String,
    /// The checkpoint's number of entries.
    pub entries: u64,
    /// `kept`, `queued` (out of reach; tried again) or `failed`.
    pub state: &'static str,
    /// Why it was not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// An entry that is not a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Entry {
    /// A call that was not made.
    Refused(Refused),
    /// A change that is about to be made.
    Change(Change),
    /// What became of it.
    Changed(Outcome),
    /// A device was lost or is back.
    Device(Device),
    /// A checkpoint was signed.
    Checkpoint(Checkpoint),
    /// A checkpoint was given to an anchor.
    Anchor(Anchoring),
}

/// A torn tail that was moved out of the log.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Recover {
    /// Where in the file the tail began: the size that the file was cut to.
    pub(super) offset: u64,
    /// The tail's length.
    pub(super) bytes: u64,
    /// The tail's SHA-256.
    pub(super) sha256: String,
    /// The name of the file beside the log that the tail is kept in.
    pub(super) kept_as: String,
}

/// The part of a line that depends on its phase.
#[derive(Clone, Copy, Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub(super) enum Body<'a> {
    Intent(&'a Intent),
    Outcome(&'a Outcome),
    Refused(&'a Refused),
    Change(&'a Change),
    Segment(&'a Opening),
    Recover(&'a Recover),
    Device(&'a Device),
    Checkpoint(&'a Checkpoint),
    Anchor(&'a Anchoring),
}

impl Body<'_> {
    /// Whether it says what made R call.
    pub(super) fn is_of_a_program(&self) -> bool {
        matches!(self, Self::Intent(_) | Self::Refused(_) | Self::Change(_))
    }
}

impl<'a> From<&'a Entry> for Body<'a> {
    fn from(entry: &'a Entry) -> Self {
        match entry {
            Entry::Refused(refused) => Self::Refused(refused),
            Entry::Change(change) => Self::Change(change),
            Entry::Changed(outcome) => Self::Outcome(outcome),
            Entry::Device(device) => Self::Device(device),
            Entry::Checkpoint(checkpoint) => Self::Checkpoint(checkpoint),
            Entry::Anchor(anchoring) => Self::Anchor(anchoring),
        }
    }
}

fn microseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the shape that serde asks for
fn kind<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}
