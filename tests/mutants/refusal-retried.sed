# A refusal is tried again.
# file: rust/src/redcap/pipeline.rs
# guard: redcap::tests::faults::what_another_try_cannot_help_is_not_tried_again
s/matches!(answer.status, 408 | 500/matches!(answer.status, 403 | 408 | 500/
