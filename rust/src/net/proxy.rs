//! The proxy on the way to a server.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::origin::is_loopback;

/// The environment's word on proxies, taken once on the host's thread: reading the environment elsewhere would
/// race with `Sys.setenv()`.
///
/// As curl reads it: the lower-case name goes before the upper-case one, `https_proxy` before `all_proxy`, and empty
/// is unset. `http_proxy` is not read: plain http goes to this machine only, and that never through a proxy.
///
/// The address may hold a password, so `Debug` shows the proxy's host only.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ProxyEnv {
    address: Option<String>,
    exceptions: Option<String>,
}

impl ProxyEnv {
    /// Takes the environment's proxy variables. To be called on the host's thread.
    pub fn take() -> Self {
        Self::of(|name| std::env::var_os(name))
    }

    /// As [`ProxyEnv::take`], from a given environment.
    pub(super) fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let first = |names: &[&str]| {
            let values = names.iter().filter_map(|name| variable(name));
            values.map(|value| value.to_string_lossy().trim().to_owned()).find(|value| !value.is_empty())
        };
        Self {
            address: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            exceptions: first(&["no_proxy", "NO_PROXY"]),
        }
    }
}

impl fmt::Debug for ProxyEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.as_deref().map(|text| match Address::read(text) {
            Address::Usable(url) => authority(&url),
            Address::Unusable => "(not an http proxy)".to_owned(),
        });
        f.debug_struct("ProxyEnv").field("address", &address).field("exceptions", &self.exceptions).finish()
    }
}

/// The address of a proxy.
#[derive(Clone)]
enum Address {
    /// An http or https proxy.
    Usable(Url),
    /// Not an address, or of a kind that keycap cannot use (SOCKS).
    Unusable,
}

impl Address {
    /// Without a scheme, `http://` is meant, as everywhere.
    fn read(text: &str) -> Self {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Self::Usable(url),
            _ => Self::Unusable,
        }
    }
}

/// How a server is reached.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Without a proxy.
    Direct,
    /// Through the proxy with this host and port.
    Proxy(String),
    /// Through a proxy that cannot be used.
    Unusable,
}

/// The rule that says which servers are reached through which proxy.
pub(super) struct Route(Rule);

enum Rule {
    /// None through any.
    Direct,
    /// All but the exceptions through the proxy that the environment names. The matcher answers for the exceptions
    /// only: what it would intercept is not excepted.
    Env(Box<(Address, Matcher)>),
    /// As the operating system's settings say, where the environment says nothing.
    #[cfg(any(target_os = "macos", windows))]
    System(Box<Matcher>),
}

impl Route {
    /// The rule of an environment. On macOS and Windows it asks the operating system if the environment is silent,
    /// and is to be called on the host's thread.
    pub(super) fn new(env: &ProxyEnv) -> Self {
        Self(match &env.address {
            Some(text) => {
                let exceptions = env.exceptions.as_deref().unwrap_or_default();
                let exceptions = Matcher::builder().https("http://proxy.invalid").no(exceptions).build();
                Rule::Env(Box::new((Address::read(text), exceptions)))
            }
            #[cfg(any(target_os = "macos", windows))]
            None => Rule::System(Box::new(Matcher::from_system())),
            #[cfg(not(any(target_os = "macos", windows)))]
            None => Rule::Direct,
        })
    }

    /// How an address is reached. Loopback and plain http (which is loopback only) never go through a proxy,
    /// whatever the settings.
    pub(super) fn way(&self, url: &Url) -> Way {
        match self.address(url) {
            None => Way::Direct,
            Some(Address::Usable(proxy)) => Way::Proxy(authority(&proxy)),
            Some(Address::Unusable) => Way::Unusable,
        }
    }

    /// The rule as reqwest takes it.
    pub(super) fn to_reqwest(self: &Arc<Self>) -> reqwest::Proxy {
        let route = Arc::clone(self);
        reqwest::Proxy::custom(move |url| match route.address(url) {
            Some(Address::Usable(proxy)) => Some(proxy),
            Some(Address::Unusable) | None => None,
        })
    }

    fn address(&self, url: &Url) -> Option<Address> {
        if url.scheme() != "https" || url.host_str().is_none_or(is_loopback) {
            return None;
        }
        let uri: hyper::Uri = url.as_str().parse().ok()?;
        match &self.0 {
            Rule::Direct => None,
            Rule::Env(rule) => {
                let (address, exceptions) = &**rule;
                exceptions.intercept(&uri).map(|_| address.clone())
            }
            #[cfg(any(target_os = "macos", windows))]
            Rule::System(system) => system.intercept(&uri).map(|proxy| Address::read(&proxy.uri().to_string())),
        }
    }
}

/// Host and port of a proxy, without what else its address holds.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    pub(crate) fn env(variables: &[(&str, &str)]) -> ProxyEnv {
        ProxyEnv::of(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()))
    }

    fn way(env: &ProxyEnv, url: &str) -> Way {
        Route::new(env).way(&Url::parse(url).unwrap())
    }

    fn proxy(host: &str) -> Way {
        Way::Proxy(host.to_owned())
    }

    #[test]
    fn the_environment_is_read_as_curl_reads_it() {
        let server = "https://redcap.example.org/api/";
        for (variables, expected) in [
            (&[("https_proxy", "http://p:3128")][..], proxy("p:3128")),
            (&[("HTTPS_PROXY", "p:3128")], proxy("p:3128")),
            (&[("https_proxy", "http://a:1"), ("HTTPS_PROXY", "http://b:2")], proxy("a:1")),
            (&[("https_proxy", ""), ("ALL_PROXY", "http://b:2")], proxy("b:2")),
            (&[("all_proxy", "http://b:2"), ("HTTPS_PROXY", "http://a:1/")], proxy("a:1")),
            (&[("https_proxy", "https://p")], proxy("p:443")),
            (&[("https_proxy", "http://p")], proxy("p:80")),
            (&[("http_proxy", "http://p:3128")], Way::Direct),
            (&[("https_proxy", "socks5://p:1080")], Way::Unusable),
            (&[("https_proxy", "not a proxy")], Way::Unusable),
        ] {
            // Without a word of the environment's, macOS and Windows have their own.
            if expected == Way::Direct && cfg!(any(target_os = "macos", windows)) {
                continue;
            }
            assert_eq!(way(&env(variables), server), expected, "{variables:?}");
        }
    }

    #[test]
    fn no_proxy_takes_names_what_lies_below_them_addresses_and_networks() {
        let env = env(&[("https_proxy", "http://p:1"), ("no_proxy", "example.org, .inner.example.com,10.0.0.0/8")]);
        for excepted in
            ["https://example.org", "https://a.example.org", "https://x.inner.example.com", "https://10.1.2.3"]
        {
            assert_eq!(way(&env, excepted), Way::Direct, "{excepted}");
        }
        for through in ["https://notexample.org", "https://example.com", "https://11.1.2.3"] {
            assert_eq!(way(&env, through), proxy("p:1"), "{through}");
        }
        let all = self::env(&[("https_proxy", "http://p:1"), ("NO_PROXY", "*")]);
        assert_eq!(way(&all, "https://a.example"), Way::Direct);
    }

    #[test]
    fn loopback_never_goes_through_a_proxy_whatever_the_settings() {
        for name in ["https_proxy", "all_proxy", "ALL_PROXY"] {
            let env = env(&[(name, "http://p:1"), ("http_proxy", "http://p:1")]);
            for url in [
                "http://127.0.0.1:8080/",
                "https://127.9.9.9/",
                "https://[::1]:8443/",
                "https://localhost/",
                "https://a.localhost/",
                "http://[::1]/",
            ] {
                assert_eq!(way(&env, url), Way::Direct, "{name} {url}");
            }
            assert_eq!(way(&env, "https://128.0.0.1/"), proxy("p:1"));
        }
    }

    #[test]
    fn debug_shows_no_credentials() {
        for address in ["http://name:hunter2@p:3128", "name:hunter2@p:3128", "socks5://name:hunter2@p"] {
            let env = env(&[("https_proxy", address), ("no_proxy", "a.example")]);
            let shown = format!("{env:?} {env:#?}");
            assert!(!shown.contains("hunter2") && !shown.contains("name:"), "{shown}");
            assert!(shown.contains("a.example"));
        }
    }
}
