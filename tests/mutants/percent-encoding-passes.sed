# Percent-encoding is not undone before the token is looked for.
# file: rust/src/token/scrub.rs
# guard: token::scrub::tests::neither_blanks_nor_foreign_characters_nor_percent_encoding_hold_two_halves_apart
s|(b'%', Some(high), Some(low)) =>|(b'%', Some(high), Some(low)) if false =>|
