# A set-up begins although it was cancelled.
# file: rust/src/border/change.rs
# guard: border::change::tests::a_change_that_is_cancelled_before_it_begins_never_begins
s/if \*state == State::Cancelled {/if false {/
