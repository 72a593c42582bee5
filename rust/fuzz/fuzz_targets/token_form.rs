//! See `keycap::fuzzing::token_form`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| keycap::fuzzing::token_form(input));
