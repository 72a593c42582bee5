# A forked child uses its parent's client.
# file: rust/src/net/process.rs
# guard: net::process::tests::in_a_forked_child_a_value_is_out_of_reach_and_forgotten
s/self.value.as_ref().filter(|_| self.process == process())/self.value.as_ref()/
