# A call that runs while another one waits, as in the callbacks of `later`, on which Shiny's loop is built too.

test_that("a call in a `later` callback, run while another call waits, is safe", {
  local_world()
  local_refusing()
  failing <- local_answer(503, "ERROR: down", "text/plain")
  local_project(failing$uri, "FAILING")
  withr::local_envvar(REDCapSync_FAILING = made_up_token())
  result <- in_session(function() {
    inner <- list()
    again <- function(n) {
      later::later(function() {
        inner[[length(inner) + 1L]] <<- attr(suppressWarnings(keycap::test_project_token("WORKS")), "reason")
        if (n > 1) again(n - 1)
      })
    }
    again(3)
    options(keycap.quiet = FALSE, keycap.retries = 1)
    # The remark that a call is tried again is shown while the call waits.
    notes <- 0
    outer <- tryCatch(
      withCallingHandlers(
        keycap::test_project_token("FAILING"),
        cliMessage = function(m) {
          notes <<- notes + 1
          while (!later::loop_empty()) later::run_now(1)
          invokeRestart("cli_message_handled")
        }
      ),
      error = function(e) class(e)[1]
    )
    list(outer = outer, inner = inner, notes = notes)
  })
  expect_gt(result$notes, 0)
  expect_identical(result$inner, rep(list("token_refused"), 3))
  expect_identical(result$outer, "keycap_error_server")
})

test_that("Ctrl-C in such a callback ends both calls, and the next call works", {
  local_world()
  local_refusing()
  failing <- local_answer(503, "ERROR: down", "text/plain")
  silent <- local_server()
  local_project(failing$uri, "FAILING")
  local_project(silent$uri, "SILENT")
  withr::local_envvar(REDCapSync_FAILING = made_up_token(), REDCapSync_SILENT = made_up_token())
  session <- start_session(function() {
    works <- function() attr(suppressWarnings(keycap::test_project_token("WORKS")), "reason")
    works()
    later::later(function() NULL)
    later::run_now(1)
    before <- settled()
    options(keycap.quiet = FALSE, keycap.retries = 1)
    later::later(function() keycap::test_project_token("SILENT"))
    outcome <- tryCatch(
      withCallingHandlers(
        keycap::test_project_token("FAILING"),
        cliMessage = function(m) {
          later::run_now(1)
          invokeRestart("cli_message_handled")
        }
      ),
      interrupt = function(i) "interrupted",
      error = function(e) class(e)[1]
    )
    back <- as.numeric(Sys.time())
    list(outcome = outcome, back = back, next_call = works(), before = before, after = back_to(before))
  })
  wait_for(silent$connections() > 0 || !session$is_alive())
  Sys.sleep(0.3)
  session$interrupt()
  result <- finished(session)
  expect_identical(result$outcome, "interrupted")
  expect_identical(result$next_call, "token_refused")
  expect_true(all(result$after <= result$before), info = toString(result))
  # The log holds the inner call as interrupted, and no call is left open.
  text <- unlist(lapply(audit_files(), readLines, warn = FALSE))
  outcomes <- grep("\"phase\":\"outcome\"", text, fixed = TRUE, value = TRUE)
  expect_match(outcomes, "\"interrupted\"", fixed = TRUE, all = FALSE)
  expect_length(outcomes, sum(grepl("\"phase\":\"intent\"", text, fixed = TRUE)))
})
