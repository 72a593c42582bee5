# Ctrl-C in each stage of a call: R is back at once, the next call works, and nothing is left behind.

# Calls, is interrupted, calls again: in a session of its own.
interrupted <- function(short_name, markers, release) {
  ask <- function(name) keycap::test_project_token(name)
  works <- function() attr(suppressWarnings(ask("WORKS")), "reason")
  works()
  before <- settled()
  rounds <- lapply(markers, function(marker) {
    outcome <- tryCatch(
      {
        file.create(marker)
        ask(short_name)
        "went through"
      },
      interrupt = function(i) "interrupted",
      error = function(e) class(e)[1]
    )
    list(outcome = outcome, back = as.numeric(Sys.time()), next_call = works())
  })
  pending <- held()
  if (!is.null(release)) file.create(release)
  list(rounds = rounds, before = before, pending = pending, after = back_to(before))
}

test_that("Ctrl-C during name look-up, connecting and a slow body returns at once and leaves nothing behind", {
  local_world()
  local_refusing()
  resolver <- local_resolver()
  silent <- local_server()
  slow <- local_bytes(list(head_of(200, "Content-Length: 1000000"), charToRaw("1")), pause = 0.05, endless = TRUE)
  marker <- withr::local_tempdir()
  stages <- list(
    look_up = list(uri = "https://hangs.example/api/", reached = function(n) resolver$asked() > 0),
    connect = list(uri = sprintf("https://127.0.0.1:%d/api/", silent$port), reached = function(n) silent$connections() >= n),
    body = list(uri = slow$uri, reached = function(n) slow$connections() >= n)
  )
  for (name in names(stages)) {
    stage <- stages[[name]]
    local_project(stage$uri, name)
    withr::local_envvar(stats::setNames(made_up_token(), paste0("REDCapSync_", name)))
    # Twice, and the quicker one counts: another process may hold the machine for a moment. One stage after the other: a
    # call that has to wait for another stage's interrupts comes to its own time-out.
    stage$markers <- file.path(marker, paste0(name, 1:2))
    stage$session <- start_session(
      interrupted, name, stage$markers, if (name == "look_up") resolver$release,
      env = resolver$env
    )
    sent <- vapply(1:2, function(n) {
      wait_for(file.exists(stage$markers[n]) || !stage$session$is_alive())
      wait_for(stage$reached(n) || !stage$session$is_alive())
      Sys.sleep(0.3)
      now <- as.numeric(Sys.time())
      stage$session$interrupt()
      now
    }, 0)
    result <- finished(stage$session)
    outcomes <- vapply(result$rounds, `[[`, "", "outcome")
    expect_identical(outcomes, rep("interrupted", 2), info = name)
    expect_lt(min(vapply(result$rounds, `[[`, 0, "back") - sent), 0.5, label = name)
    expect_identical(lapply(result$rounds, `[[`, "next_call"), rep(list("token_refused"), 2), info = name)
    expect_true(all(result$after <= result$before), info = paste(name, toString(result)))
    if (name == "look_up") {
      # The control: the look-up was under way in a thread of its own, and there was only one of them.
      expect_gt(result$pending[["threads"]], result$before[["threads"]])
      expect_identical(resolver$asked(), 1L)
    }
  }
})
