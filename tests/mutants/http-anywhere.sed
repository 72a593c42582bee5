# http is taken for any host.
# file: rust/src/net/origin.rs
# guard: net::origin::tests::http_is_for_this_machine_by_number_only_and_localhost_is_resolved_by_us
s/if scheme == Scheme::Http && !by_number {/if false \&\& scheme == Scheme::Http \&\& !by_number {/
