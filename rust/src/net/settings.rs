//! What a client is made of.

use std::path::PathBuf;
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
}

impl Default for NetSettings {
    fn default() -> Self {
        Self {
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
            proxy: ProxyEnv::default(),
        }
    }
}
