# A user's own rights are taken for what counts, although a role takes their place.
# file: rust/src/rights/listed.rs
# guard: rights::tests::each_user_gets_the_verdict_that_the_documented_codes_demand
s/Role::Some { codes, .. } => Some(codes),/Role::Some { .. } => Some(\&self.codes),/
