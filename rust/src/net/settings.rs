//! What a client is made of.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ProxyEnv;

/// The settings of a client. Equal settings share one warm client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NetSettings {
    /// The institution's CA certificates (PEM, one or several), trusted besides the operating system's.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take: look-up, TCP and TLS, through a proxy or not.
    pub connect_timeout: Duration,
    /// How long a call may take as a whole, the last byte of the answer included.
    pub timeout: Duration,
    /// The proxy, as the environment named it.
    pub proxy: ProxyEnv,
    /// The operating system's certificates, where the environment names others.
    pub trust: TrustEnv,
}

/// Where the environment says that trusted certificates are, taken once on the host's thread: `SSL_CERT_FILE` and
/// `SSL_CERT_DIR`, as OpenSSL has them. What they name is read with them, so another word is another client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TrustEnv {
    file: Option<OsString>,
    folders: Option<OsString>,
}

impl TrustEnv {
    /// Takes the environment's word. To be called on the host's thread.
    pub fn take() -> Self {
        Self::of(|name| std::env::var_os(name))
    }

    /// As [`TrustEnv::take`], from a given environment.
    pub(crate) fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        Self { file: variable("SSL_CERT_FILE"), folders: variable("SSL_CERT_DIR") }
    }

    /// The file that is named.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref().map(Path::new)
    }
}

impl Default for NetSettings {
    fn default() -> Self {
        Self {
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
            proxy: ProxyEnv::default(),
            trust: TrustEnv::default(),
        }
    }
}
