# A breach that a policy refuses is no refusal.
# file: rust/src/redcap/policy.rs
# guard: redcap::tests::policy::a_call_with_a_token_that_is_too_old_is_warned_of_or_refused_and_a_test_of_it_never
s/find(|finding| finding.call == Call::Refused)/find(|finding| finding.call == Call::Refused \&\& finding.says.is_empty())/
