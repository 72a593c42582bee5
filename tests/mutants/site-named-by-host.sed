# The host says where the site's settings are.
# file: rust/src/border/arguments.rs
# guard: border::arguments::tests::no_host_can_name_another_file_of_the_sites
s/site: site_file(),/site: folder("site")?,/
