# What a reader of data says of them goes into the message as it came.
# file: rust/src/redcap/pipeline.rs
# guard: redcap::tests::echoes::a_part_of_the_token_in_data_is_masked_in_what_is_said_of_the_data
s/error\.map_texts(|text| scrubber\.scrub(text))/error/
