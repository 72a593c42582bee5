# Every request gets its permit.
# file: rust/src/redcap/limiter.rs
# guard: redcap::limiter::tests::a_burst_passes_and_a_flood_waits_until_the_oldest_permit_is_a_minute_old
s/Some(at) => now.max(times\[at\] + window),/Some(_) => now,/
