# Three megabytes of an error text are read.
# file: rust/src/redcap/classify.rs
# guard: redcap::tests::bodies::of_a_hundred_megabytes_that_are_no_data_few_are_read
s/const MOST_TEXT: usize = 64 \* 1024;/const MOST_TEXT: usize = 3 << 20;/
