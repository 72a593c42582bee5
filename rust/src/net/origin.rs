//! Where a token may go: the address of a server, and its origin.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Host, Url};

use crate::error::{Error, Kind, Result};

/// Longest address that is taken.
const MAX_LENGTH: usize = 2000;

/// Number of hexadecimal characters in a row that are taken for a token (a project token has 32, a super token 64).
const TOKEN_LENGTH: usize = 32;

/// Longest host name, and longest part of one, that the domain name system knows. So an origin fits into any message.
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

/// Most of an address that a message repeats.
const MAX_SHOWN: usize = 200;

/// Scheme, host and port of a server. Two addresses have the same origin if and only if these are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Scheme {
    Https,
    Http,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

impl Origin {
    /// Reads an origin such as `https://redcap.example.org` or `https://redcap.example.org:8443`; a trailing slash
    /// is allowed, a path is not.
    ///
    /// # Errors
    /// `argument` or `token_in_argument`, as [`ServerUrl::parse`], with the argument `origin`.
    pub fn parse(text: &str) -> Result<Self> {
        let (url, origin) = read(text, "origin")?;
        if url.path() == "/" {
            Ok(origin)
        } else {
            Err(refusal("origin", "has a path")
                .hint("give scheme, host and port only, as `https://redcap.example.org`"))
        }
    }

    /// The host: a name in lower case (punycode, where it is not ASCII), or an IP address, IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted and the server proves who it is. False only for loopback.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// Host, and port where it is not the default: as messages name a server.
    pub(super) fn authority(&self) -> String {
        if self.port == self.scheme.default_port() { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| serde::de::Error::custom(error.message))
    }
}

/// The address of a server's API, as it was checked once.
///
/// https only, but for this machine by number: `http://127.0.0.0/8` and `http://[::1]`; `http://localhost` becomes
/// `http://127.0.0.1`, so that no look-up decides where a token goes in clear. No user info, query or fragment;
/// a path that ends in a slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    url: Url,
    origin: Origin,
}

impl ServerUrl {
    /// Reads the address that a user gave as `redcap_uri`.
    ///
    /// # Errors
    /// `argument` with what to do instead; `token_in_argument` if a token stands anywhere in it. What was given is
    /// not repeated but for its host.
    pub fn parse(text: &str) -> Result<Self> {
        Self::named(text, "redcap_uri")
    }

    /// Reads the address of another server by the same rules; `argument` is what errors call it.
    pub(crate) fn named(text: &str, argument: &str) -> Result<Self> {
        let (mut url, origin) = read(text, argument)?;
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        // It is stored as text: what would not be read again as the same address is refused now, not later.
        let (again, _) = read(url.as_str(), argument)?;
        if again != url {
            return Err(refusal(argument, "is not a usable web address"));
        }
        Ok(Self { url, origin })
    }

    /// A server in clear that is not this machine: one of the addresses at which a cloud gives a machine its
    /// credentials, and which do not leave that machine's host. No setting names such an address as a server of tokens.
    pub(crate) fn of_the_cloud(root: &Url) -> Option<Self> {
        const HOSTS: [&str; 5] =
            ["169.254.169.254", "169.254.170.2", "169.254.170.23", "[fd00:ec2::254]", "[fd00:ec2::23]"];
        let host = root.host_str().filter(|host| HOSTS.contains(host))?;
        let origin = Origin { scheme: Scheme::Http, host: host.to_owned(), port: Scheme::Http.default_port() };
        (root.as_str() == format!("{origin}/")).then(|| Self { url: root.clone(), origin })
    }

    /// The address in its one form, with a trailing slash.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The address as messages repeat it: what is longer than a line or two ends in `…`.
    pub(crate) fn shown(&self) -> String {
        shown(self.as_str())
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        self.origin.is_loopback()
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A piece of an address as messages repeat it.
fn shown(piece: &str) -> String {
    if piece.chars().count() <= MAX_SHOWN {
        return piece.to_owned();
    }
    piece.chars().take(MAX_SHOWN).chain("…".chars()).collect()
}

/// Whether a text is a host name, as the domain name system has them.
fn is_host_name(name: &str) -> bool {
    name.len() <= MAX_HOST && name.split('.').all(is_label)
}

/// Whether a text is one part of a host name.
fn is_label(part: &str) -> bool {
    (1..=MAX_LABEL).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Whether a host, as it stands in a parsed URL, is this machine: 127.0.0.0/8, `[::1]`, `localhost` and what lies
/// below it (RFC 6761).
pub(super) fn is_loopback(host: &str) -> bool {
    if let Ok(v4) = host.parse::<Ipv4Addr>() {
        return v4.is_loopback();
    }
    if let Some(v6) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return v6.parse() == Ok(Ipv6Addr::LOCALHOST);
    }
    is_localhost(host)
}

/// `localhost` and what lies below it: names that we resolve ourselves.
pub(super) fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host);
    last.eq_ignore_ascii_case("localhost")
}

/// Reads an address by the rules that hold for servers and origins alike.
fn read(text: &str, argument: &str) -> Result<(Url, Origin)> {
    if holds_token(text) {
        return Err(token_inside(argument));
    }
    let text = text.trim();
    let wrong = |what: &str| refusal(argument, what);
    let example = "write it as `https://redcap.example.org/api/`";
    if text.is_empty() {
        return Err(wrong("is empty").hint(example));
    }
    let too_long = || wrong(&format!("is longer than {MAX_LENGTH} characters")).hint(example);
    if text.len() > MAX_LENGTH {
        return Err(too_long());
    }
    // The parser of URLs would silently drop or turn these; what a reader sees and what is used must be the same.
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(wrong("contains blanks, control characters or backslashes").hint(example));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(wrong("has no scheme").hint("begin it with `https://`, as in `https://redcap.example.org/api/`"));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // The parser would take what stands behind the slashes for the host.
    if authority.is_empty() {
        return Err(wrong("has no host").hint(example));
    }
    if authority.contains('@') {
        return Err(wrong("contains a user name or password").hint("leave out everything up to the `@`"));
    }
    if rest.contains('?') {
        return Err(wrong("contains a query").hint("leave out the `?` and everything behind it"));
    }
    if rest.contains('#') {
        return Err(wrong("contains a fragment").hint("leave out the `#` and everything behind it"));
    }
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        _ => return Err(wrong("is neither https nor http").hint(example)),
    };
    let mut url = Url::parse(text).map_err(|_| wrong("is not a web address").hint(example))?;
    // A host with and without the root's dot is the same server, but not to certificates.
    if let Some(Host::Domain(name)) = url.host()
        && let Some(name) = name.strip_suffix('.').map(str::to_owned)
    {
        url.set_host(Some(&name)).map_err(|_| wrong("has no host").hint(example))?;
    }
    if scheme == Scheme::Http && matches!(url.host(), Some(Host::Domain("localhost"))) {
        url.set_host(Some("127.0.0.1")).map_err(|_| wrong("has no host").hint(example))?;
    }
    // Written out, it may be longer than it was given; what is stored must be readable again, slash included.
    if url.as_str().len() >= MAX_LENGTH {
        return Err(too_long());
    }
    if let Some(Host::Domain(name)) = url.host()
        && !is_host_name(name)
    {
        return Err(wrong("has a host that is no host name").hint(example));
    }
    // The host may have become a token only now (full-width digits are mapped to ASCII).
    if holds_token(url.as_str()) {
        return Err(token_inside(argument));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("has no host").hint(example))?;
    let origin =
        Origin { scheme, host: host.to_ascii_lowercase(), port: url.port().unwrap_or_else(|| scheme.default_port()) };
    if origin.port == 0 {
        return Err(wrong("has the port 0").hint("leave out the port, or give the one that the server listens on"));
    }
    let by_number = url.host().is_some_and(|host| match host {
        Host::Ipv4(v4) => v4.is_loopback(),
        Host::Ipv6(v6) => v6 == Ipv6Addr::LOCALHOST,
        Host::Domain(_) => false,
    });
    if scheme == Scheme::Http && !by_number {
        return Err(wrong("is not encrypted: over `http://` everyone on the way could read the token")
            .hint(format!("write `https://{}`", shown(&origin.host)))
            .hint("`http://` is allowed for this machine only, as `http://127.0.0.1` or `http://localhost`"));
    }
    Ok((url, origin))
}

fn refusal(argument: &str, what: &str) -> Error {
    Error::new(Kind::Argument, format!("`{argument}` is not usable: it {what}")).field("argument", argument)
}

fn token_inside(argument: &str) -> Error {
    Error::new(Kind::TokenInArgument, format!("`{argument}` contains what looks like a REDCap token"))
        .hint("give the address of the server alone, as `https://redcap.example.org/api/`")
        .hint("what was typed now stands in R's history and call stack: if it was a token, regenerate it in REDCap")
        .field("argument", argument)
}

/// Whether a run of hexadecimal characters, as long as a token, stands anywhere in a text, percent-encoded or not.
fn holds_token(text: &str) -> bool {
    let run = |bytes: &[u8]| {
        let mut length = 0;
        bytes.iter().any(|byte| {
            length = if byte.is_ascii_hexdigit() { length + 1 } else { 0 };
            length >= TOKEN_LENGTH
        })
    };
    run(text.as_bytes()) || run(&percent_decoded(text.as_bytes()))
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> String {
        ServerUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}")).as_str().to_owned()
    }

    fn refused(text: &str) -> Error {
        ServerUrl::parse(text).map(|url| panic!("{text} was taken as {url}")).unwrap_err()
    }

    #[test]
    fn what_is_no_host_name_and_what_grows_too_long_when_written_out_is_refused() {
        for host in ["r%22u.example.org", "redcap..", "redcap..org", ".redcap.org"] {
            assert!(refused(&format!("https://{host}/api/")).message.contains("no host name"), "{host}");
        }
        let label = "x".repeat(MAX_LABEL);
        let longest = format!("{label}.{label}.{label}.{}", &label[..MAX_HOST - 3 * (MAX_LABEL + 1)]);
        assert_eq!(url(&format!("https://{longest}")), format!("https://{longest}/"));
        for host in [format!("{longest}x"), format!("x{label}.org"), "x.".repeat(400)] {
            for scheme in ["https", "http"] {
                assert!(refused(&format!("{scheme}://{host}")).message.contains("no host name"), "{host}");
            }
        }
        let grows = format!("https://redcap.example.org/{}", "\u{fffd}".repeat(MAX_LENGTH / 4));
        assert!(refused(&grows).message.contains("longer"));
        let most = format!("https://redcap.example.org/{}", "x".repeat(MAX_LENGTH / 2));
        assert_eq!(url(&url(&most)), url(&most));
    }

    #[test]
    fn what_a_message_repeats_of_an_address_is_short() {
        let host = format!("{}example.org", "y.".repeat(120));
        for hint in refused(&format!("http://{host}/")).hints {
            assert!(hint.chars().count() < MAX_SHOWN + 30, "{hint}");
        }
        let long = ServerUrl::parse(&format!("https://{host}/{}", "x/".repeat(800))).unwrap();
        assert_eq!(long.shown().chars().count(), MAX_SHOWN + 1);
        assert!(long.as_str().starts_with(long.shown().trim_end_matches('…')));
        assert_eq!(ServerUrl::parse("https://a.example/api/").unwrap().shown(), "https://a.example/api/");
    }

    #[test]
    fn an_address_has_one_form_with_a_trailing_slash() {
        assert_eq!(url("https://redcap.example.org/api"), "https://redcap.example.org/api/");
        assert_eq!(url("HTTPS://REDCap.Example.ORG:443"), "https://redcap.example.org/");
        assert_eq!(url(" https://redcap.example.org/redcap/api/\n"), "https://redcap.example.org/redcap/api/");
        assert_eq!(url("https://redcap.example.org.:8443/api/"), "https://redcap.example.org:8443/api/");
        assert_eq!(url("https://klinik-münchen.example/api/"), "https://xn--klinik-mnchen-3ob.example/api/");
        assert_eq!(url("https://a.example/x/../api/"), "https://a.example/api/");
    }

    #[test]
    fn http_is_for_this_machine_by_number_only_and_localhost_is_resolved_by_us() {
        for (text, form) in [
            ("http://127.0.0.1:8080/api/", "http://127.0.0.1:8080/api/"),
            ("http://127.200.3.4/", "http://127.200.3.4/"),
            ("http://127.1/", "http://127.0.0.1/"),
            ("http://[::1]:80/api", "http://[::1]/api/"),
            ("http://localhost:8000/api/", "http://127.0.0.1:8000/api/"),
            ("http://LOCALHOST./", "http://127.0.0.1/"),
        ] {
            assert_eq!(url(text), form);
            assert!(ServerUrl::parse(text).unwrap().is_loopback(), "{text}");
        }
        for text in [
            "http://redcap.example.org/api/",
            "http://128.0.0.1/",
            "http://0.0.0.0/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::2]/",
            "http://a.localhost/",
            "http://localhost.example.org/",
            "http://127.0.0.1.example.org/",
            "http://10.0.0.1/",
        ] {
            let error = refused(text);
            assert_eq!(error.kind, Kind::Argument, "{text}");
            assert!(error.hints.iter().any(|hint| hint.contains("https://")), "{text}: {error:?}");
        }
        assert!(ServerUrl::parse("https://localhost/").unwrap().is_loopback());
        assert!(!ServerUrl::parse("https://redcap.example.org/").unwrap().is_loopback());
    }

    #[test]
    fn what_does_not_belong_into_an_address_is_refused_with_what_to_do_and_not_repeated() {
        for text in [
            "",
            "  ",
            "redcap.example.org/api/",
            "ftp://redcap.example.org/",
            "https://",
            "https:///api/",
            "https://name:hunter2@redcap.example.org/",
            "https://hunter2@redcap.example.org/",
            "https://@redcap.example.org/",
            "https://redcap.example.org/api/?hunter2=1",
            "https://redcap.example.org/api/?",
            "https://redcap.example.org/api/#hunter2",
            "https://redcap.example.org\\@hunter2.example/",
            "https://red\tcap.example.org/",
            "https://red cap.example.org/",
            "https://redcap.example.org:99999/",
            "https://redcap.example.org:0/",
            "https://[::1/",
            "https://exa%00mple.org/",
            "file:///etc/passwd",
        ] {
            let error = refused(text);
            assert_eq!(error.kind, Kind::Argument, "{text}");
            assert!(!error.hints.is_empty(), "{text}");
            assert_eq!(error.fields, [("argument".to_owned(), "redcap_uri".into())]);
            assert!(!format!("{error:?}").contains("hunter2"), "{text}");
        }
        assert_eq!(refused(&format!("https://a.example/{}", "x/".repeat(1000))).kind, Kind::Argument);
    }

    #[test]
    fn a_token_anywhere_in_an_address_is_refused_without_being_repeated() {
        let project = "0123456789abcdefABCDEF0123456789"; // made up
        let double = project.repeat(2);
        let encoded = project.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        let wide: String = project.chars().map(|c| char::from_u32(c as u32 + 0xFEE0).unwrap()).collect();
        for text in [
            project.to_owned(),
            format!(" {double}\n"),
            format!("https://redcap.example.org/api/?token={project}"),
            format!("https://redcap.example.org/{project}/"),
            format!("https://{project}@redcap.example.org/"),
            format!("https://{project}.example.org/"),
            format!("https://{wide}.example.org/"),
            format!("https://redcap.example.org/{encoded}/"),
            format!("https://redcap.example.org/#{double}"),
        ] {
            for error in [refused(&text), Origin::parse(&text).unwrap_err()] {
                assert_eq!(error.kind, Kind::TokenInArgument, "{text}");
                assert!(!format!("{error:?}").to_lowercase().contains(&project.to_lowercase()[..8]), "{text}");
            }
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_else() {
        let origin = |text: &str| ServerUrl::parse(text).unwrap().origin().clone();
        assert_eq!(origin("https://a.example/api/"), origin("HTTPS://A.EXAMPLE:443/other/"));
        assert_ne!(origin("https://a.example/"), origin("https://a.example:8443/"));
        assert_ne!(origin("https://a.example/"), origin("https://b.example/"));
        assert_ne!(origin("https://127.0.0.1:8080/"), origin("http://127.0.0.1:8080/"));
        assert_eq!(origin("https://a.example:8443/api/").to_string(), "https://a.example:8443");
        assert_eq!(origin("http://[::1]:80/").to_string(), "http://[::1]");
        assert_eq!(Origin::parse("https://a.example/").unwrap(), origin("https://a.example/api/"));
        assert_eq!(Origin::parse("https://a.example/api/").unwrap_err().kind, Kind::Argument);
        assert_eq!(Origin::parse("http://a.example").unwrap_err().kind, Kind::Argument);
    }

    #[test]
    fn an_origin_is_stored_as_text_and_read_by_the_same_rules() {
        let origin = Origin::parse("https://a.example:8443").unwrap();
        let text = serde_json::to_string(&origin).unwrap();
        assert_eq!(text, "\"https://a.example:8443\"");
        assert_eq!(serde_json::from_str::<Origin>(&text).unwrap(), origin);
        assert!(serde_json::from_str::<Origin>("\"http://a.example\"").is_err());
    }

    proptest! {
        #[test]
        fn whatever_the_text_an_address_that_is_taken_is_https_or_this_machine(
            text in "(https?://)?[a-zA-Z0-9.@:/?#%\\[\\]\\\\ äß\u{ff10}-\u{ff19}-]{0,60}"
        ) {
            if let Ok(url) = ServerUrl::parse(&text) {
                prop_assert!(url.origin().is_https() || url.is_loopback());
                prop_assert!(url.as_str().ends_with('/'));
                prop_assert!(!url.as_str().contains(['@', '?', '#']) || url.as_str().find('@') > url.as_str().find("//"));
                prop_assert_eq!(url.url().username(), "");
                let again = ServerUrl::parse(url.as_str()).unwrap();
                prop_assert_eq!(&again, &url);
                let origin = Origin::parse(&url.origin().to_string()).unwrap();
                prop_assert_eq!(&origin, url.origin());
            }
        }
    }
}
