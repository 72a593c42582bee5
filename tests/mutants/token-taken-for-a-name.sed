# A token passes where a name belongs.
# file: rust/src/token/name.rs
# guard: token::name::tests::a_token_in_place_of_a_name_is_refused_without_repeating_it
s/matches!(text.len(), 32 | 64) &&/matches!(text.len(), 64) \&\&/
