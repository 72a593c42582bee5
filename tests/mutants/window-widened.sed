# Eight characters of the token pass, nine do not.
# file: rust/src/token/scrub.rs
# guard: token::scrub::tests::eight_characters_of_the_token_do_not_pass_and_seven_do
s|^const WINDOW: usize = 8;|const WINDOW: usize = 9;|
