//! See `keycap::fuzzing::settings`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| keycap::fuzzing::settings(input));
