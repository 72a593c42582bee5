# Every store is asked for a token that nothing binds.
# file: rust/src/redcap/bound.rs
# guard: redcap::tests::bound::without_a_registry_a_store_binds_a_token_to_the_origin_beside_it_and_to_no_other
s/Self::Store => Asked::Binding,/Self::Store => Asked::All,/
