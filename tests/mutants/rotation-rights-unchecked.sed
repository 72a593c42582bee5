# A rotation takes a token that may do more than the one before.
# file: rust/src/rotation/mod.rs
# guard: rotation::tests::a_token_with_more_rights_than_the_one_before_is_not_stored
s/map(|before| more(before, &after))/map(|before| more(before, before))/
