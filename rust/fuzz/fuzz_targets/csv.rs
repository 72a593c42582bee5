//! See `keycap::fuzzing::csv`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| keycap::fuzzing::csv(input));
