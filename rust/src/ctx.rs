//! What an operation needs of the world, built for each operation by the host's glue and faked in tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::audit::SharedLogs;
use crate::net::Net;
use crate::project::Settings;
use crate::redcap::Limits;
use crate::store::Environment;

/// The world of one operation. Cheap to clone.
#[derive(Clone)]
pub struct Ctx {
    /// The time of day and the passing of time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub random: Arc<dyn Random>,
    /// Where keycap reads and writes.
    pub dirs: Dirs,
    /// The merged settings (argument, option, environment, user file, site file).
    pub settings: Settings,
    /// The environment variable that may hold the token, as it stood on the host's thread at the start.
    pub env: Environment,
    /// What the operation tells the person who waits for it.
    pub log: Events,
    /// The process's HTTPS clients.
    pub net: Net,
    /// What the calls of the process do together.
    pub shared: Shared,
}

/// What the calls of one process do together: writing the audit log, and asking for permits. Clones share it. A forked
/// child makes its own.
#[derive(Clone, Default)]
pub struct Shared {
    pub(crate) audit: SharedLogs,
    pub(crate) limits: Limits,
}

/// Folders and files. `session` stands for this session only: projects without a folder, and everything that
/// belongs to a sandbox, so that the sandbox writes nowhere else.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// The user's settings and registry (`tools::R_user_dir("keycap", "config")`).
    pub config: PathBuf,
    /// The user's audit log (`tools::R_user_dir("keycap", "data")`).
    pub data: PathBuf,
    /// The session's own folder, gone with it.
    pub session: PathBuf,
    /// The site's settings file (`/etc/keycap/config.toml` or the platform's place).
    pub site: PathBuf,
}

/// The clock. Limiter, audit log, ageing and agent lifetimes take their time from it.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> SystemTime;
    /// Time since some fixed moment of this process; never goes back.
    fn elapsed(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock(std::time::Instant);

impl SystemClock {
    /// Starts now.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(std::time::Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Where random bytes come from.
pub trait Random: Send + Sync {
    /// Fills a buffer.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    fn fill(&self, bytes: &mut [u8]) -> crate::Result<()>;
}

/// The system's random bytes.
#[derive(Debug)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> crate::Result<()> {
        use ring::rand::SecureRandom;
        ring::rand::SystemRandom::new().fill(bytes).map_err(|_| {
            crate::Error::new(crate::Kind::Internal, "the system's random number generator gives no bytes")
        })
    }
}

/// Something an operation tells the person who waits, while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A remark.
    Note(String),
    /// A remark that is of interest once a session, such as "no keyring on this machine".
    Once(String),
    /// Something the person should know about: goes out as a warning.
    Warning(String),
    /// How far an export is; at most ten a second.
    Progress {
        /// Bytes of data that have come.
        bytes: u64,
        /// Rows that were complete in them.
        rows: u64,
    },
}

/// The way from a running operation to the person who waits.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(Event) + Send + Sync>);

impl Events {
    /// Events go to a function.
    pub fn new(sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Events go nowhere.
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    /// Tells a remark.
    pub fn note(&self, text: impl Into<String>) {
        (self.0)(Event::Note(text.into()));
    }

    /// Tells a remark that need not be repeated in a session.
    pub fn once(&self, text: impl Into<String>) {
        (self.0)(Event::Once(text.into()));
    }

    /// Tells a warning.
    pub fn warning(&self, text: impl Into<String>) {
        (self.0)(Event::Warning(text.into()));
    }

    /// Tells how far an export is.
    pub fn progress(&self, bytes: u64, rows: u64) {
        (self.0)(Event::Progress { bytes, rows });
    }
}
