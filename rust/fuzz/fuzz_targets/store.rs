//! See `keycap::fuzzing::store`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| keycap::fuzzing::store(input));
