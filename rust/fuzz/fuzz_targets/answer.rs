//! See `keycap::fuzzing::answer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| keycap::fuzzing::answer(input));
