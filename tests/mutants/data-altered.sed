# Data come through in lower case.
# file: rust/src/redcap/pipeline.rs
# guard: redcap::tests::data::data_rich_in_digits_without_the_token_comes_through_byte_for_byte
s|^    sink.take(chunk)$|    sink.take(\&chunk.to_ascii_lowercase())|
