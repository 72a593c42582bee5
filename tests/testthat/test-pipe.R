# A child process that is gone: its pipes are closed, and writing to one raises SIGPIPE, for which R has a handler that
# jumps out of whatever code it meets. It must not meet keycap's: what it jumps over is not cleaned up.

test_that("a command to a sandbox that was killed is an error, and nothing of the sandbox stays behind", {
  testthat::skip_on_os("windows")
  local_world()
  result <- in_session(function() {
    # The first sandbox, so that what R and cli keep for themselves is there.
    keycap::stop_sandbox(keycap::start_sandbox())
    before <- settled()
    rounds <- lapply(1:2, function(i) {
      sandbox <- keycap::start_sandbox()
      project <- keycap::setup_project("TEST", file.path(tempdir(), "test"), sandbox$redcap_uri)
      works <- isTRUE(keycap::test_project_token(project))
      during <- held()
      tools::pskill(sandbox$pid, tools::SIGKILL)
      # At once, and again when it is surely gone.
      commands <- lapply(c(0, 0.3, 0), function(pause) {
        Sys.sleep(pause)
        tryCatch(keycap::sandbox_set_fault(sandbox, "ban"), error = function(e) class(e)[1])
      })
      asked <- tryCatch(keycap::test_project_token(project), error = function(e) class(e)[1])
      keycap::stop_sandbox(sandbox)
      zombies <- sum(vapply(system2("ps", c("-o", "stat=", "--ppid", Sys.getpid()), stdout = TRUE), startsWith, NA, "Z"))
      list(works = works, during = during, commands = commands, asked = asked, zombies = zombies)
    })
    list(rounds = rounds, before = before, after = back_to(before))
  })
  for (round in result$rounds) {
    expect_true(round$works)
    expect_gt(round$during[["threads"]], result$before[["threads"]])
    expect_gt(round$during[["descriptors"]], result$before[["descriptors"]])
    expect_identical(round$commands, rep(list("keycap_error_sandbox"), 3))
    expect_identical(round$asked, "keycap_error_connection")
    expect_identical(round$zombies, 0L)
  }
  expect_true(all(result$after <= result$before), info = toString(result[c("before", "after")]))
})

test_that("R's own writing to a closed pipe does meet the handler", {
  testthat::skip_on_os("windows")
  met <- in_session(function() {
    connection <- pipe("exec true", "w")
    on.exit(try(close(connection), silent = TRUE))
    Sys.sleep(0.5)
    tryCatch(
      {
        for (i in 1:100) {
          writeLines(strrep("x", 1e5), connection)
          flush(connection)
        }
        "went through"
      },
      error = conditionMessage
    )
  })
  expect_match(met, "SIGPIPE")
})
