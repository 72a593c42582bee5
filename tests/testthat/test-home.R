# Examples and tests write under `tempdir()` only. This file runs a road through every function and each example
# in a process with a home of its own, and looks what is in there afterwards.

test_that("examples leave the home folder as it was", {
  home <- withr::local_tempdir("home")
  writeLines("mine", file.path(home, "mine.txt"))
  pages <- tools::Rd_db("keycap")
  code <- unlist(lapply(pages, function(page) {
    file <- withr::local_tempfile()
    tools::Rd2ex(page, file, commentDontrun = TRUE)
    if (file.exists(file)) readLines(file)
  }))
  expect_match(code, "start_sandbox()", fixed = TRUE, all = FALSE)
  env <- paste0(c("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), "=", shQuote(home))
  unset <- c("R_USER_CONFIG_DIR", "R_USER_DATA_DIR", "R_USER_CACHE_DIR")
  withr::local_envvar(stats::setNames(rep(NA_character_, 3), unset))
  out <- run_script(c("library(keycap)", code, "cat('all examples ran')"), env = env)
  expect_identical(attr(out, "status"), 0L)
  expect_match(out, "all examples ran", all = FALSE)
  expect_identical(list.files(home, recursive = TRUE, all.files = TRUE, include.dirs = TRUE), "mine.txt")
})

test_that("the look at the home folder would see a project that is kept for the user", {
  home <- withr::local_tempdir("home")
  env <- paste0(c("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), "=", shQuote(home))
  unset <- c("R_USER_CONFIG_DIR", "R_USER_DATA_DIR", "R_USER_CACHE_DIR")
  withr::local_envvar(stats::setNames(rep(NA_character_, 3), unset))
  code <- "keycap::setup_project('STUDY', file.path(tempdir(), 'x'), 'https://redcap.example.org/api/')"
  out <- run_script(code, env = env)
  expect_identical(attr(out, "status"), 0L)
  expect_match(list.files(home, recursive = TRUE), "projects.json", fixed = TRUE, all = FALSE)
})
