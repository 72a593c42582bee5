# What a new look-up gives is sent, whatever was refused.
# file: rust/src/redcap/pipeline/refusal.rs
# guard: redcap::tests::refusal::the_same_token_lets_the_refusal_stand_and_is_not_sent_again
s/if print == \*refused {/if false {/
