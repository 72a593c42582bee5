# Redirects are followed.
# file: rust/src/net/client.rs
# guard: redcap::tests::redirects::a_redirect_is_refused_and_nothing_is_sent_there
s|redirect::Policy::none()|redirect::Policy::limited(5)|
