# Ctrl-C while a call waits: R is back at once, and the next call works.

# Interrupts a call that waits for `server`; returns the seconds until R was back, and what the next call gave.
interrupt_once <- function(server, options = list()) {
  files <- file.path(withr::local_tempdir(), c("waiting", "back"))
  child <- callr::r_bg(
    function(files, options) {
      options(c(keycap.quiet = TRUE, keycap.retries = 0, options))
      file.create(files[1])
      outcome <- tryCatch(keycap::test_project_token("STUDY"), interrupt = function(i) "interrupted", error = class)
      back <- as.numeric(Sys.time())
      list(outcome = outcome, back = back, row = keycap::view_project_token("STUDY"))
    },
    list(files, options),
    libpath = .libPaths()
  )
  withr::defer(child$kill())
  heard <- server$connections()
  wait_for(file.exists(files[1]))
  wait_for(server$connections() > heard)
  Sys.sleep(0.2)
  sent <- as.numeric(Sys.time())
  child$interrupt()
  child$wait(20000)
  result <- child$get_result()
  c(result, seconds = result$back - sent)
}

test_that("Ctrl-C while the server is silent returns at once, and the next call works", {
  local_world()
  server <- local_server()
  local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  # Three times, of which the quickest counts: another process may hold the machine for a moment.
  results <- lapply(1:3, function(i) interrupt_once(server))
  for (result in results) {
    expect_identical(result$outcome, "interrupted")
    expect_identical(result$row$form, "project token")
  }
  expect_lt(min(vapply(results, `[[`, 0, "seconds")), 0.5)
})

test_that("an interrupted call stands in the audit log as interrupted", {
  local_world()
  server <- local_server()
  local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  interrupt_once(server)
  text <- unlist(lapply(audit_files(), readLines, warn = FALSE))
  expect_match(text, "interrupted", fixed = TRUE, all = FALSE)
})
