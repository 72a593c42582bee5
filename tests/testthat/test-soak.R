# Call after call in one session: threads, descriptors and memory do not grow. `make soak` does it 10,000 times.

test_that("300 calls, good and bad, leave no thread, no descriptor and no memory behind", {
  local_world()
  result <- in_session(function() {
    sandbox <- keycap::start_sandbox()
    good <- keycap::setup_project("TEST", file.path(tempdir(), "good"), sandbox$redcap_uri)
    bad <- keycap::setup_project("OTHER", file.path(tempdir(), "bad"), sandbox$redcap_uri, token_name = "NOT_SET")
    calls <- function(n) {
      for (i in seq_len(n)) {
        works <- if (i %% 3) isTRUE(keycap::test_project_token(good)) else keycap::view_project_token(bad)$is_set
        stopifnot(identical(works, i %% 3 > 0))
      }
      gc()
      c(settled(), memory = memory())
    }
    list(before = calls(150), after = calls(300))
  })
  grown <- result$after - result$before
  expect_lte(grown[["threads"]], 0)
  expect_lte(grown[["descriptors"]], 0)
  expect_lt(grown[["memory"]], 4e6)
})
