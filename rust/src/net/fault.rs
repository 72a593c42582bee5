//! What went wrong on the way to a server and back, by what the user can do about it.
//!
//! The kind comes from the types of the errors below reqwest, never from their text, and no text of a server's
//! goes into a message.

use std::error::Error as StdError;
use std::io::ErrorKind;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use super::look_up::NotResolved;
use super::tls::SelfSigned;
use crate::error::{Error, Kind};

/// A call that failed without an answer, or in the midst of one.
#[derive(Debug)]
pub(crate) struct Fault {
    /// What to tell the user.
    pub(crate) error: Error,
    /// Whether bytes of the request's body may have gone out. If not, the server cannot have acted on it.
    pub(crate) sent: bool,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

/// How far a call had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The body had not begun to go out.
    Connecting,
    /// The body may have gone out, no answer had begun.
    Waiting,
    /// The answer had begun.
    Reading,
}

/// The place of a fault: what messages need to know besides the error itself.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The server's host, with the port where it is not the default.
    pub(super) server: String,
    /// The proxy's host and port, if the way leads through one.
    pub(super) proxy: Option<String>,
    pub(super) connect_timeout: Duration,
    pub(super) timeout: Duration,
}

/// reqwest's connector for proxies fails with a type that has no public path; this is its name.
type TunnelError = <Tunnel<HttpConnector> as tower_service::Service<hyper::Uri>>::Error;

impl Place {
    /// The fault behind an error of reqwest's.
    pub(super) fn fault(&self, error: reqwest::Error, stage: Stage) -> Fault {
        // The URL holds nothing secret, but what is not kept cannot be shown.
        let error = error.without_url();
        Fault { error: self.error(&error, stage), sent: stage != Stage::Connecting }
    }

    /// The fault of a call that took too long as a whole. `looking_up` says that a name is still not resolved.
    pub(super) fn too_late(&self, stage: Stage, looking_up: bool) -> Fault {
        let error = match stage {
            Stage::Connecting => self.no_connection(self.timeout, looking_up),
            Stage::Waiting => self
                .timed_out(format!("`{}` did not answer within {}", self.server, seconds(self.timeout)), self.timeout)
                .hint("try again later, or ask for less at a time"),
            Stage::Reading => self
                .timed_out(
                    format!("the answer of `{}` was not complete within {}", self.server, seconds(self.timeout)),
                    self.timeout,
                )
                .hint("ask for less at a time, in batches"),
        };
        let error = if stage == Stage::Connecting { error } else { error.hint("or allow more time with `timeout`") };
        Fault { error, sent: stage != Stage::Connecting }
    }

    /// A connection that took too long.
    pub(super) fn connect_too_late(&self, looking_up: bool) -> Fault {
        Fault { error: self.no_connection(self.connect_timeout, looking_up), sent: false }
    }

    fn no_connection(&self, limit: Duration, looking_up: bool) -> Error {
        let next = self.proxy.as_ref().unwrap_or(&self.server);
        if looking_up {
            return self
                .timed_out(format!("the name of `{next}` was not resolved within {}", seconds(limit)), limit)
                .hint(
                    "check that this machine is online, and for a server inside your institution that the VPN is up",
                );
        }
        let way = self.proxy.as_ref().map_or_else(String::new, |proxy| format!(" through the proxy `{proxy}`"));
        self.timed_out(format!("no connection to `{}`{way} within {}", self.server, seconds(limit)), limit)
            .hint("check the address; a firewall may be in between, or the VPN is down")
            .hint("or allow more time with `connect_timeout`")
    }

    fn timed_out(&self, message: String, limit: Duration) -> Error {
        self.of(Kind::Timeout, message).field("seconds", crate::Value::Real(limit.as_secs_f64()))
    }

    fn of(&self, kind: Kind, message: String) -> Error {
        let error = Error::new(kind, message).field("server", self.server.as_str());
        match &self.proxy {
            Some(proxy) => error.field("proxy", proxy.as_str()),
            None => error,
        }
    }

    /// The proxy that the environment names is of no use.
    pub(super) fn unusable_proxy(&self) -> Fault {
        let error = self
            .of(Kind::Connection, format!("the proxy on the way to `{}` is not an http proxy", self.server))
            .hint("set `https_proxy` to an address such as `http://proxy.example.org:3128`; SOCKS proxies are not supported")
            .hint("if the server is reached without a proxy, add its host to `no_proxy`");
        Fault { error, sent: false }
    }

    fn error(&self, error: &reqwest::Error, stage: Stage) -> Error {
        let causes = causes(error);
        let tunnel = causes.iter().find_map(|cause| cause.downcast_ref::<TunnelError>());
        let peer = Peer { place: self, proxy: if tunnel.is_some() { self.proxy.as_deref() } else { None } };
        for cause in &causes {
            if cause.is::<NotResolved>() {
                return peer.not_resolved();
            }
            if let Some(error) = cause.downcast_ref::<rustls::Error>() {
                return peer.tls(error);
            }
        }
        // From the innermost: an outer layer may give a broken connection a kind of its own.
        let io = causes.iter().rev().find_map(|cause| cause.downcast_ref::<std::io::Error>());
        match tunnel {
            None | Some(TunnelError::ConnectFailed(_) | TunnelError::Io(_)) => {}
            Some(TunnelError::ProxyAuthRequired) => return peer.proxy_wants_password(),
            Some(_) => return peer.proxy_refuses(),
        }
        if stage == Stage::Connecting && error.is_connect() && error.is_timeout() {
            return self.no_connection(self.connect_timeout, false);
        }
        if causes.iter().any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)) {
            return peer.not_http();
        }
        match (io.map(std::io::Error::kind), stage) {
            (Some(ErrorKind::ConnectionRefused), _) => peer.refused(),
            (Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown), _) => {
                peer.unreachable()
            }
            (Some(ErrorKind::InvalidData | ErrorKind::InvalidInput), Stage::Reading) => peer.not_http(),
            (_, stage) => peer.broken_off(stage),
        }
    }
}

/// Whom the connection was to: the server, or the proxy before it.
struct Peer<'a> {
    place: &'a Place,
    proxy: Option<&'a str>,
}

impl Peer<'_> {
    fn name(&self) -> String {
        match self.proxy {
            Some(proxy) => format!("the proxy `{proxy}`"),
            None => format!("`{}`", self.place.server),
        }
    }

    fn connection(&self, message: String) -> Error {
        self.place.of(Kind::Connection, message)
    }

    fn proxy_hint(&self, error: Error) -> Error {
        if self.proxy.is_none() {
            return error;
        }
        error.hint("check `https_proxy`; if the server is reached without a proxy, add its host to `no_proxy`")
    }

    fn not_resolved(&self) -> Error {
        let error = self.place.of(Kind::NameLookup, format!("the name of {} could not be resolved", self.name()));
        self.proxy_hint(error)
            .hint("check the spelling of the address")
            .hint("check that this machine is online, and for a server inside your institution that the VPN is up")
    }

    fn proxy_wants_password(&self) -> Error {
        self.connection(format!("{} wants a user name and a password", self.name()))
            .hint("set `https_proxy` to `http://<user>:<password>@<proxy>:<port>`, or ask for an exception for the server")
            .hint("if the server is reached without a proxy, add its host to `no_proxy`")
    }

    fn proxy_refuses(&self) -> Error {
        self.connection(format!("{} does not let the connection to `{}` through", self.name(), self.place.server))
            .hint("ask those who run the proxy to allow the server's address")
            .hint("if the server is reached without a proxy, add its host to `no_proxy`")
    }

    fn refused(&self) -> Error {
        let error = self.connection(format!("{} refuses the connection", self.name()));
        self.proxy_hint(error)
            .hint("check host and port of the address; the server may be down, or a firewall in between")
    }

    fn unreachable(&self) -> Error {
        let error = self.connection(format!("{} cannot be reached from this machine's network", self.name()));
        self.proxy_hint(error)
            .hint("check that this machine is online, and for a server inside your institution that the VPN is up")
    }

    fn broken_off(&self, stage: Stage) -> Error {
        let message = match stage {
            Stage::Connecting => format!("the connection to {} broke off before the request was sent", self.name()),
            Stage::Waiting => format!("the connection to {} broke off before an answer came", self.name()),
            Stage::Reading => format!("the answer of {} broke off before its end", self.name()),
        };
        let error = self.connection(message);
        self.proxy_hint(error).hint("try again; if it stays so, tell the server's administrator")
    }

    fn not_http(&self) -> Error {
        self.connection(format!("the answer of {} is not valid HTTP", self.name()))
            .hint("check host and port of the address: another service may be listening there")
    }

    fn tls(&self, error: &rustls::Error) -> Error {
        match error {
            rustls::Error::InvalidCertificate(error) => self.certificate(error),
            rustls::Error::NoCertificatesPresented => {
                self.untrusted(format!("{} shows no certificate", self.name())).hint(TELL_ADMINISTRATOR)
            }
            rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. } => self
                .connection(format!("{} does not speak TLS", self.name()))
                .hint("check host and port of the address: another service may be listening there"),
            _ => self
                .connection(format!("{} and keycap found no common way of encryption", self.name()))
                .hint("keycap speaks TLS 1.2 and 1.3; tell the server's administrator"),
        }
    }

    fn certificate(&self, error: &CertificateError) -> Error {
        let name = self.name();
        match error {
            CertificateError::Expired => self.untrusted(format!("the certificate of {name} has expired")).hint(RENEW),
            CertificateError::ExpiredContext { not_after, .. } => self
                .untrusted(format!("the certificate of {name} expired on {}", date(*not_after)))
                .hint(RENEW)
                .hint(CLOCK),
            CertificateError::NotValidYet => {
                self.untrusted(format!("the certificate of {name} is not valid yet")).hint(CLOCK)
            }
            CertificateError::NotValidYetContext { not_before, .. } => self
                .untrusted(format!("the certificate of {name} is not valid before {}", date(*not_before)))
                .hint(CLOCK)
                .hint(TELL_ADMINISTRATOR),
            CertificateError::NotValidForName => {
                self.untrusted(format!("the certificate of {name} is for another host")).hint(OTHER_HOST)
            }
            CertificateError::NotValidForNameContext { expected, presented } => {
                let expected = expected.to_str();
                let names = presented_names(presented);
                let names = if names.is_empty() { String::new() } else { format!(": it is for {names}") };
                self.untrusted(format!("the certificate of {name} is not for `{expected}`{names}")).hint(OTHER_HOST)
            }
            // A bad signature is that of an authority with the name of a trusted one and another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                let message = format!("the certificate of {name} is from a certificate authority that is not trusted here");
                self.untrusted(message).hint(CA_FILE).hint("somebody may be listening in: do not go on without asking")
            }
            CertificateError::Other(other) if other.0.is::<SelfSigned>() => self
                .untrusted(format!("the certificate of {name} is self-signed: nobody vouches for it"))
                .hint("ask the server's administrator for a certificate of a certificate authority")
                .hint("or, if this is how your institution runs it, for the certificate as a file, and name it as `ca_file`"),
            CertificateError::Revoked => {
                self.untrusted(format!("the certificate of {name} was revoked")).hint(TELL_ADMINISTRATOR)
            }
            _ => self
                .untrusted(format!("the certificate of {name} is not trusted"))
                .hint(TELL_ADMINISTRATOR)
                .hint(CA_FILE),
        }
    }

    fn untrusted(&self, message: String) -> Error {
        self.place.of(Kind::Certificate, message)
    }
}

const TELL_ADMINISTRATOR: &str = "tell the server's administrator; keycap never connects without a valid certificate";
const RENEW: &str = "tell the server's administrator to renew it; keycap never connects without a valid certificate";
const CLOCK: &str = "check this machine's clock";
const OTHER_HOST: &str = "check the host in the address; if it is right, tell the server's administrator";
const CA_FILE: &str = "if your institution has its own certificate authority, or inspects encrypted connections, ask for its \
     certificates and name the file as `ca_file`";

/// An error and everything that caused it, outermost first. `io::Error` hides its own cause from `source()`.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    let mut causes = vec![error];
    let mut last = error;
    while let Some(next) = match last.downcast_ref::<std::io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => last.source(),
    } {
        causes.push(next);
        last = next;
    }
    causes
}

/// The names of a certificate, as far as they are nothing but names: the server wrote them, and it may have had the
/// token before. No name with eight hexadecimal characters in a row, and three names at most.
fn presented_names(presented: &[String]) -> String {
    let names = presented.iter().filter_map(|name| {
        // rustls gives names as `DnsName("...")` and addresses as `IpAddress(...)`.
        let inner = name.split_once('(')?.1.strip_suffix(')')?.trim_matches('"');
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'*' | b':');
        let harmless = inner.len() <= 253 && inner.bytes().all(legal);
        let hexadecimal = inner.as_bytes().windows(8).any(|run| run.iter().all(u8::is_ascii_hexdigit));
        (harmless && !hexadecimal && !inner.is_empty()).then(|| format!("`{inner}`"))
    });
    names.take(3).collect::<Vec<_>>().join(", ")
}

/// A duration in seconds, as short as it can be written.
fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// The date of a time, in UTC (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date(time: UnixTime) -> String {
    let days = time.as_secs() / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days_and_centuries() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (1_709_251_199, "2024-02-29"),
            (1_709_251_200, "2024-03-01"),
            (1_735_689_599, "2024-12-31"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(UnixTime::since_unix_epoch(Duration::from_secs(seconds))), expected);
        }
    }

    #[test]
    fn of_a_certificates_names_only_names_are_shown_and_none_that_could_carry_a_token() {
        let shown = presented_names(&[
            "DnsName(\"a.example\")".to_owned(),
            "DnsName(\"0123456789abcdefABCDEF0123456789.example\")".to_owned(),
            "DnsName(\"\u{1b}[31m{system('id')}\")".to_owned(),
            "DirectoryName".to_owned(),
            "IpAddress(10.0.0.1)".to_owned(),
            "DnsName(\"*.b.example\")".to_owned(),
            "DnsName(\"c.example\")".to_owned(),
        ]);
        assert_eq!(shown, "`a.example`, `10.0.0.1`, `*.b.example`");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(seconds(Duration::from_secs(10)), "10 s");
        assert_eq!(seconds(Duration::from_millis(300)), "0.3 s");
    }
}
