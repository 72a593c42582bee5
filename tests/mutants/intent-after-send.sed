# The intent is written a little later.
# file: rust/src/redcap/pipeline.rs
# guard: redcap::tests::the_intent_is_on_disk_before_the_request_arrives
s/self.audit.begin(intent).await?;/let audit = self.audit.clone();\n        tokio::spawn(async move {\n            tokio::time::sleep(Duration::from_millis(300)).await;\n            audit.begin(intent).await\n        });/
