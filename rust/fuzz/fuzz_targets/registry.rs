//! See `keycap::fuzzing::registry`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| keycap::fuzzing::registry(input));
