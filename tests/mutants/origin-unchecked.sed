# The token goes to whatever origin the project names.
# file: rust/src/redcap/bound.rs
# guard: redcap::tests::a_token_goes_only_to_the_origin_that_it_is_bound_to
s/Bound::Elsewhere(others) => Err(unbound(hint, &others)),/Bound::Elsewhere(_) => Ok((hint.clone(), BoundBy::Site)),/
