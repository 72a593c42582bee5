# An import that a gateway answered counts as failed.
# file: rust/src/redcap/pipeline.rs
# guard: redcap::tests::writes::an_import_that_failed_on_the_way_back_is_of_unknown_outcome_and_what_redcap_refused_is_not
s/if request.writes && !by_redcap {/if false \&\& !by_redcap {/
