# A code that nobody knows counts as needed.
# file: rust/src/rights/need.rs
# guard: rights::tests::each_user_gets_the_verdict_that_the_documented_codes_demand
s/let Some(level) = held.level else { return Verdict::Excess };/let Some(level) = held.level else { return Verdict::Ok };/
