# What is told of the progress of an export, and Ctrl-C on the way.

test_that("progress tells bytes and rows, to people alone", {
  # In a session of its own, as the bars of testthat and of cli share a clock.
  out <- run_script(c(
    "options(cli.progress_show_after = 0, cli.dynamic = TRUE, cli.num_colors = 1)",
    "tell <- function(about, ...) {",
    "  options(keycap.quiet = NULL, keycap.progress = NULL, rlang_interactive = FALSE)",
    "  options(...)",
    "  message('<', about, '>')",
    "  wait <- function() for (n in c(1e4, 2e4, 1)) {",
    "    keycap:::show_event(list(kind = 'progress', bytes = n * 300, rows = n))",
    "    Sys.sleep(0.3)",
    "  }",
    "  wait()",
    "  message('', appendLF = TRUE)",
    "}",
    "tell('script')",
    "tell('asked for', keycap.progress = TRUE)",
    "tell('person', rlang_interactive = TRUE)",
    "tell('not wanted', rlang_interactive = TRUE, keycap.progress = FALSE)",
    "tell('quiet', rlang_interactive = TRUE, keycap.progress = TRUE, keycap.quiet = TRUE)"
  ))
  told <- strsplit(paste(cli::ansi_strip(out), collapse = " "), "<", fixed = TRUE)[[1]][-1]
  names(told) <- sub(">.*", "", told)
  for (shows in c("asked for", "person")) {
    expect_match(told[[shows]], "3.0 MB, 10,000 rows", fixed = TRUE)
    expect_match(told[[shows]], "6.0 MB, 20,000 rows", fixed = TRUE)
    expect_match(told[[shows]], "0.3 kB, 1 row ", fixed = TRUE)
  }
  for (silent in c("script", "not wanted", "quiet")) {
    expect_identical(trimws(sub(".*>", "", told[[silent]])), "", info = silent)
  }
})

test_that("an export shows its progress, and nothing of a bar is left", {
  local_world()
  rows <- charToRaw(strrep("1,2\n", 5000))
  server <- local_redcap("id,age\n", repeated = rows, times = 12, pause = 0.05)
  withr::local_options(keycap.progress = TRUE, cli.progress_show_after = 0, cli.dynamic = TRUE)
  text <- said(df <- export_records(server$project))
  expect_identical(nrow(df), 60000L)
  expect_match(text, "k?B, [0-9,]+ rows")
  expect_identical(cli::cli_progress_num(), 0L)
  # The control: without the option nothing is said.
  withr::local_options(keycap.progress = NULL)
  expect_identical(said(export_records(server$project)), "")
})

# Exports, is interrupted, exports something else: in a session of its own.
interrupted_export <- function(to, starts, library) {
  works <- function() nrow(keycap::export_records("WORKS"))
  endless <- function(to) keycap::export_records("ENDLESS", to = to)
  attempt <- function(start, to) {
    outcome <- tryCatch(
      {
        file.create(start)
        endless(to)
        "went through"
      },
      interrupt = function(i) "interrupted",
      error = function(e) conditionMessage(e)
    )
    list(outcome = outcome, back = as.numeric(Sys.time()), rows = works(), files = list.files(dirname(starts[1])))
  }
  works()
  # The first one of each kind also loads what comes with it.
  rounds <- list(attempt(starts[1], to), attempt(starts[2], NULL))
  before <- settled()
  bytes <- allocated(library)
  rounds <- c(rounds, list(attempt(starts[3], to), attempt(starts[4], NULL)))
  list(rounds = rounds, before = before, after = back_to(before), grown = allocated(library) - bytes)
}

test_that("Ctrl-C in an export returns at once and leaves no half file, no memory, and a next call that works", {
  local_world()
  dir <- withr::local_tempdir()
  works <- local_redcap(lines_of("id,age", "1,2", "2,3"), short_name = "WORKS")
  rows <- charToRaw(paste0(sprintf("%d,%d,%s\n", 1:2000, 1:2000, strrep("x", 40)), collapse = ""))
  endless <- local_redcap("id,age,note\n", repeated = rows, times = 1e6, pause = 0.005, length = FALSE, short_name = "ENDLESS")
  library <- allocated_library(withr::local_tempdir())
  starts <- file.path(dir, paste0("start-", 1:4))
  session <- start_session(interrupted_export, file.path(dir, "file.csv"), starts, library)
  sent <- vapply(seq_along(starts), function(n) {
    wait_for(file.exists(starts[n]) || !session$is_alive())
    wait_for(length(endless$asked()) >= n || !session$is_alive())
    # Data are on their way; with a file, it is there under its other name.
    if (n %in% c(1, 3)) wait_for(isTRUE(file.size(file.path(dir, "file.csv.partial")) > 1e6) || !session$is_alive())
    Sys.sleep(0.5)
    now <- as.numeric(Sys.time())
    session$interrupt()
    now
  }, 0)
  result <- finished(session)
  expect_identical(vapply(result$rounds, `[[`, "", "outcome"), rep("interrupted", 4))
  expect_identical(vapply(result$rounds, `[[`, 0L, "rows"), rep(2L, 4))
  expect_lt(min(vapply(result$rounds, `[[`, 0, "back") - sent), 0.5)
  for (n in 1:4) expect_identical(result$rounds[[n]]$files, basename(starts[1:n]))
  expect_true(all(result$after <= result$before), info = toString(result[c("before", "after")]))
  expect_lt(result$grown, 1e6)
})
