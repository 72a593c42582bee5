# The intent is written a little later.
# file: rust/src/redcap/pipeline.rs
# guard: redcap::tests::the_intent_is_on_disk_before_the_request_arrives
s/blocking(move || audit.begin(&\[intent\])).await?;/tokio::spawn(async move {\n            tokio::time::sleep(Duration::from_millis(300)).await;\n            blocking(move || audit.begin(\&[intent])).await\n        });/
