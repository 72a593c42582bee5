# The project's title is shown as it came.
# file: rust/src/redcap/probe.rs
# guard: redcap::tests::echoes::a_token_hidden_in_the_projects_title_is_not_shown
s|scrub(&plain(title)).chars()|plain(title).chars()|
