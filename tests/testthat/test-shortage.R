# Memory ends, by a limit such as a scheduler sets: an error, after which R is there with all that it had.

# In a session of its own: a small export, then limits that leave so many MB above what the session has, with the large
# export each time, and at last the same without a limit.
under_limits <- function(large, small, leave) {
  script <- c(
    "size <- function(what) {",
    "  line <- grep(what, readLines('/proc/self/status'), value = TRUE)",
    "  as.numeric(gsub('[^0-9]', '', line)) / 1024",
    "}",
    "limit <- function(to) {",
    "  stopifnot(system2('prlimit', c('--pid', Sys.getpid(), paste0('--as=', to, ':'))) == 0)",
    "}",
    "options(keycap.quiet = TRUE, keycap.retries = 0)",
    "tell <- function(...) cat('told', ..., '\\n')",
    "try_large <- function() {",
    sprintf("  tryCatch(nrow(keycap::export_records('%s')), error = function(e) class(e)[1])", large),
    "}",
    sprintf("small <- function() nrow(keycap::export_records('%s'))", small),
    "kept <- 'the workspace'",
    "invisible(small())",
    "before <- size('VmRSS')",
    sprintf("for (left in c(%s)) {", paste(leave, collapse = ", ")),
    "  invisible(gc())",
    "  limit(format((size('VmSize') + left) * 2^20, scientific = FALSE, digits = 15, nsmall = 0))",
    "  outcome <- try_large()",
    "  # R gives its own pages back by and by.",
    "  for (n in 1:10) gc()",
    "  again <- small()",
    "  tell(left, outcome, again, kept, round(size('VmRSS') - before))",
    "  limit('unlimited')",
    "}",
    "tell('unlimited', try_large())"
  )
  file <- withr::local_tempfile(lines = script, fileext = ".R")
  out <- withr::local_tempfile()
  err <- withr::local_tempfile()
  withr::local_envvar(R_LIBS = paste(.libPaths(), collapse = ":"))
  rscript <- file.path(R.home("bin"), "Rscript")
  status <- system2(rscript, c("--vanilla", shQuote(file)), stdout = out, stderr = err, timeout = 300)
  told <- grep("^told ", readLines(out, warn = FALSE), value = TRUE)
  list(status = status, told = trimws(sub("^told ", "", told)), err = paste(readLines(err, warn = FALSE), collapse = "\n"))
}

expect_survived <- function(ran, leave, rows) {
  testthat::expect_identical(ran$status, 0L, info = ran$err)
  testthat::expect_length(ran$told, length(leave) + 1)
  expected <- sprintf("^%d keycap_error_memory 1 the workspace", leave)
  for (n in seq_along(leave)) testthat::expect_match(ran$told[n], expected[n])
  # The control: it was the limit alone.
  testthat::expect_identical(ran$told[length(leave) + 1], paste("unlimited", format(rows, scientific = FALSE)))
  given_back <- as.numeric(sub(".* ", "", ran$told[seq_along(leave)]))
  testthat::expect_true(all(given_back < 120), info = paste(ran$told, collapse = "; "))
  # R says nothing of its own error.
  testthat::expect_no_match(ran$err, "cannot allocate|Error")
}

test_that("memory that ends while rows come, or when R makes its vectors, is an error and not the end of R", {
  testthat::skip_on_os(c("windows", "mac", "solaris"))
  local_world()
  local_redcap("id,age\n1,2\n", short_name = "SMALL")
  local_redcap("id,age\n", repeated = charToRaw(strrep("1,2\n", 50000)), times = 360, short_name = "LARGE")
  # Rows take 270 MB here, and 216 MB more in R.
  expect_survived(under_limits("LARGE", "SMALL", c(200, 400)), c(200, 400), 18000000)
})

test_that("memory that ends while R makes its texts is an error and not the end of R", {
  testthat::skip_on_os(c("windows", "mac", "solaris"))
  local_world()
  local_redcap("id,age\n1,2\n", short_name = "SMALL")
  body <- paste0("id\n", paste(sprintf("%07d", seq_len(3e6)), collapse = "\n"), "\n")
  local_redcap(body, short_name = "LARGE")
  expect_survived(under_limits("LARGE", "SMALL", 210), 210, 3000000)
})
