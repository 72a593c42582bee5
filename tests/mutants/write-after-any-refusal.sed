# A write goes out again after whatever looks like a refusal.
# file: rust/src/redcap/pipeline.rs
# guard: redcap::tests::refusal::what_only_resembles_a_refusal_is_no_reason_to_send_a_write_again
s/(!request.writes || (whole && refuses_the_token(answer.status, &head)))/(whole || !refuses_the_token(answer.status, \&head))/
