//! See `keycap::fuzzing::url`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| keycap::fuzzing::url(input));
