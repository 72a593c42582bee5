# A copy of the request as a String, never freed.
# file: rust/src/redcap/pipeline.rs
# guard: redcap::tests::memory::a_call_leaves_nothing_of_the_token_in_memory
s|let body = WipedBody::new(request.body(&found.secret));|&\n        std::mem::forget(String::from_utf8_lossy(\&request.body(\&found.secret)).into_owned());|
