# Verifying does not compare the hash of the line before.
# file: rust/src/audit/verify.rs
# guard: audit::verify::tests::an_edited_line_with_a_right_check_breaks_the_chain_at_the_next
s/if entry.prev != place.hash {/if false {/
