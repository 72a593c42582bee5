# The watch over data looks at each chunk by itself.
# file: rust/src/token/scrub.rs
# guard: redcap::tests::data::the_whole_token_in_data_is_found_over_all_borders_of_chunks_in_any_case
s|if !self.tail.is_empty() {|if false {|
