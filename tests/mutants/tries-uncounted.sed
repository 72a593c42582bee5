# Only the first try of a request asks the limiter.
# file: rust/src/redcap/pipeline.rs
# guard: redcap::tests::faults::each_try_counts_for_the_limiter
s/limiter::reserve(&self.ctx, &self.project.redcap_uri, 1).await?;/if tries == 0 {\n                limiter::reserve(\&self.ctx, \&self.project.redcap_uri, 1).await?;\n            }/
