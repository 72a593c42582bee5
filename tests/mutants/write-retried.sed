# An import is tried again like a read.
# file: rust/src/redcap/pipeline.rs
# guard: redcap::tests::writes::an_import_that_broke_off_is_of_unknown_outcome_and_not_sent_again
s/failed.again && !request.writes &&/failed.again \&\&/
s/if writes && fault.sent {/if writes \&\& !fault.sent {/
