# Only the first try of a request asks the limiter.
# file: rust/src/redcap/pipeline.rs
# guard: redcap::tests::faults::each_try_counts_for_the_limiter
s/let permit = \(limiter::reserve(.*, 1).await\);/let permit = if tries == 0 { \1 } else { Ok(()) };/
