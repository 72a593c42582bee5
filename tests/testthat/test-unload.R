# Unloading and loading again: no thread of keycap's may run code that is gone.

test_that("the package can be unloaded and loaded again, also with an operation cancelled or under way", {
  local_world()
  local_refusing()
  rounds <- in_session(function() {
    loaded <- function() "keycap" %in% names(getLoadedDLLs())
    # What R, cli and rlang keep for themselves is there after the first round.
    round <- function(what) {
      reason <- attr(suppressWarnings(keycap::test_project_token("WORKS")), "reason")
      if (what != "idle") {
        handle <- keycap:::kc_selftest("endless", "on")$value
        keycap:::kc_poll(handle, 20L)
        if (what == "cancelled") keycap:::kc_cancel(handle)
      }
      during <- held()
      seconds <- system.time(unloadNamespace("keycap"))[["elapsed"]]
      list(reason = reason, during = during, after = held(), loaded = loaded(), seconds = seconds)
    }
    lapply(c("idle", "idle", "cancelled", "running", "idle", "running"), round)
  })
  for (round in rounds) {
    expect_identical(round$reason, "token_refused")
    # The control: there was a thread to end.
    expect_gte(round$during[["threads"]], 1)
    expect_equal(round$after[["threads"]], 0)
    expect_identical(round$after, rounds[[1]]$after)
    expect_false(round$loaded)
    expect_lt(round$seconds, 3)
  }
})

test_that("unloading stops the sandboxes, and their threads are gone before the library is", {
  local_world()
  result <- in_session(function() {
    sandbox <- keycap::start_sandbox()
    project <- keycap::setup_project("TEST", file.path(tempdir(), "test"), sandbox$redcap_uri)
    works <- isTRUE(keycap::test_project_token(project))
    during <- held()
    unloadNamespace("keycap")
    result <- list(
      works = works, during = during, after = held(), loaded = "keycap" %in% names(getLoadedDLLs()), pid = sandbox$pid
    )
    sandbox <- keycap::start_sandbox()
    project <- keycap::setup_project("TEST", file.path(tempdir(), "test"), sandbox$redcap_uri)
    result$again <- isTRUE(keycap::test_project_token(project))
    result
  })
  expect_true(result$works)
  expect_gt(result$during[["threads"]], 3)
  expect_equal(result$after[["threads"]], 0)
  expect_false(result$loaded)
  expect_true(result$again)
  expect_false(alive(result$pid))
})

test_that("a look-up that does not end keeps the library in memory, and R alive", {
  local_world()
  local_refusing()
  resolver <- local_resolver()
  local_project("https://hangs.example/api/", "HANGS")
  withr::local_envvar(REDCapSync_HANGS = made_up_token())
  result <- in_session(function(release) {
    loaded <- function() "keycap" %in% names(getLoadedDLLs())
    options(keycap.connect_timeout = 0.2)
    given_up <- tryCatch(keycap::test_project_token("HANGS"), error = function(e) class(e)[1])
    seconds <- system.time(unloadNamespace("keycap"))[["elapsed"]]
    pending <- list(loaded = loaded(), held = held())
    again <- attr(suppressWarnings(keycap::test_project_token("WORKS")), "reason")
    file.create(release)
    back_to(c(threads = 1, descriptors = 1000))
    unloadNamespace("keycap")
    list(
      given_up = given_up, seconds = seconds, pending = pending, again = again,
      after = list(loaded = loaded(), held = held())
    )
  }, resolver$release, env = resolver$env)
  expect_match(result$given_up, "^keycap_error_(name_lookup|timeout)$")
  expect_lt(result$seconds, 4)
  expect_true(result$pending$loaded)
  expect_gte(result$pending$held[["threads"]], 1)
  expect_identical(result$again, "token_refused")
  expect_false(result$after$loaded)
  expect_equal(result$after$held[["threads"]], 0)
})
