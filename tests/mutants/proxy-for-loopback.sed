# Loopback goes through the proxy too.
# file: rust/src/net/proxy.rs
# guard: net::tests::proxies::loopback_never_goes_through_a_proxy_whatever_the_settings
s/if url.scheme() != "https" || url.host_str().is_none_or(is_loopback) {/if url.host_str().is_none() {/
