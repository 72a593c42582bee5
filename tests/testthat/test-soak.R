# Call after call in one session: threads, descriptors and memory do not grow. `make soak` calls 10,000 times.

test_that("300 calls, good and bad, leave no thread, no descriptor and no memory behind", {
  local_world()
  library <- allocated_library(withr::local_tempdir())
  grown <- in_session(function(library) {
    sandbox <- keycap::start_sandbox()
    good <- keycap::setup_project("TEST", file.path(tempdir(), "good"), sandbox$redcap_uri)
    bad <- keycap::setup_project("OTHER", file.path(tempdir(), "bad"), sandbox$redcap_uri, token_name = "NOT_SET")
    kept <- list()
    calls <- function(n, leak = 0) {
      for (i in seq_len(n)) {
        works <- if (i %% 3) isTRUE(keycap::test_project_token(good)) else keycap::view_project_token(bad)$is_set
        stopifnot(identical(works, i %% 3 > 0))
        if (leak > 0) kept[[length(kept) + 1L]] <<- as.raw(rep(1, leak))
      }
      allocated(library)
    }
    calls(50)
    # At rest there are the I/O thread, and three at the sandbox's pipes.
    before <- settled(idle = 4)
    # R keeps a little more or less each time, a leak grows in each round: the smallest growth counts.
    rounds <- vapply(rep(100, 4), calls, 0)
    leaking <- c(utils::tail(rounds, 1), vapply(c(40, 40), calls, 0, leak = 4096))
    c(settled(idle = 4) - before, memory = min(diff(rounds)), leaking = min(diff(leaking)))
  }, library)
  expect_lte(grown[["threads"]], 0)
  expect_lte(grown[["descriptors"]], 0)
  expect_lt(grown[["memory"]], 5e4)
  # The control: R keeps 4 kB for each call.
  expect_gt(grown[["leaking"]], 5e4)
})
