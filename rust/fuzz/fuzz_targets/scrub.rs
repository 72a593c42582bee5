//! See `keycap::fuzzing::scrub`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| keycap::fuzzing::scrub(input));
