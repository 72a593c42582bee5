hostile <- c("%s%s%s%n", "{stop('run')}", "{.val {stop('run')}}", "a\\b", "<b>&amp;", "\u00fc\u4e2d\U1F600", "line\nline")

test_that("values come out of the doorway as they went in", {
  echo <- function(x) core_value(kc_selftest("echo", as_utf8(x)), rlang::current_env())
  same <- list(
    "text", "", "\u00fc\u4e2d\U1F600", TRUE, FALSE, 1L, -2147483647L, 1.5, -Inf, NULL, list(),
    c("a", "b"), list(a = 1L, b = list(c = "x")), list(a = 1L, 2L), list(1L, "x"),
    data.frame(i = c(1L, NA), r = c(NA, 0.5), f = c(TRUE, NA), t = c("a", NA)),
    data.frame(t = rep(c("u", "\u00fc"), 1000)), data.frame(), data.frame(x = integer()),
    data.frame(x = factor(c("b", NA, "a"), levels = c("b", "a")))
  )
  for (x in same) expect_identical(echo(x), x)
  for (x in hostile) expect_identical(echo(x), x)
  latin1 <- iconv("\u00fc", "UTF-8", "latin1")
  expect_identical(Encoding(latin1), "latin1")
  expect_identical(echo(list(latin1)), "\u00fc")
  for (x in list(NA, NA_character_, NA_integer_, NA_real_)) expect_null(echo(x))
  expect_identical(echo(c(a = 1L, b = NA)), list(a = 1L, b = NULL))
})

test_that("a factor is a column of a data frame, and comes back with its levels", {
  data <- data.frame(x = factor(c("b", NA, "a"), levels = c("b", "a", "c")))
  expect_identical(kc_selftest("echo", data)$value, data)
})

test_that("what the core has no word for is an error and not a guess", {
  unknown <- list(factor("a"), 1i, as.raw(1), quote(x), globalenv(), mean, data.frame(x = 1i), list(list(sum)))
  for (x in unknown) expect_identical(kc_selftest("echo", x)$error$kind, "argument")
  invalid <- "\xff\xfe"
  Encoding(invalid) <- "UTF-8"
  expect_identical(kc_selftest("echo", invalid)$error$kind, "argument")
  expect_identical(kc_selftest("echo", setNames(list(1), invalid))$error$kind, "argument")
})

test_that("a NUL never reaches R", {
  expect_identical(kc_selftest("nul", NULL)$value, setNames(list("c\ufffdd"), "a\ufffdb"))
})

test_that("a panic is an internal error that tells nothing of what it was about", {
  withr::local_envvar(RUST_BACKTRACE = "full", EXTENDR_BACKTRACE = "1")
  script <- c(
    'value <- paste0("can", "ary")',
    'print(keycap:::kc_selftest("panic", value))',
    'print(try(keycap:::core_await(keycap:::kc_selftest("panicked", value))))'
  )
  ran <- callr::rscript_process$new(callr::rscript_process_options(
    script = withr::local_tempfile(lines = script), stdout = "|", stderr = "|"
  ))
  ran$wait(30000)
  out <- ran$read_all_output()
  expect_match(out, "\"internal\"", fixed = TRUE)
  expect_match(out, "keycap_error_internal", fixed = TRUE)
  expect_false(grepl("canary", paste(out, ran$read_all_error()), fixed = TRUE))
})

test_that("an error's texts are data, and its facts are fields", {
  raise <- function(x, value = NULL) core_value(kc_selftest(x, value), rlang::current_env())
  for (x in hostile) {
    error <- expect_error(raise(x, x), class = "keycap_error_argument")
    expect_s3_class(error, "keycap_error")
    expect_identical(error$kind, "argument")
    expect_identical(error$hints, x)
    expect_identical(error$field_message, x)
    expect_identical(error$value, x)
    expect_identical(conditionMessage(error), paste0(x, "\n", cli::symbol$info, " ", one_line(x)))
    expect_identical(as.character(conditionCall(error)[[1]]), "raise")
  }
})

test_that("what could steer a terminal is shown as an escape", {
  error <- kc_selftest("\u001b[31mred\r\u009b", NULL)$error
  expect_identical(error$message, "\\u{1b}[31mred\\u{d}\\u{9b}")
  expect_identical(error$hints, error$message)
})

test_that("events are shown as they are, and remarks can be silenced", {
  for (x in hostile) {
    shown <- cli::ansi_strip(paste(testthat::capture_messages(show_event(list(kind = "note", text = x))), collapse = ""))
    expect_identical(gsub("[[:space:]]+", " ", trimws(sub("^. ", "", shown))), gsub("\n", " ", x))
    warning <- expect_warning(show_event(list(kind = "warning", text = x)), class = "keycap_warning")
    expect_identical(conditionMessage(warning), x)
  }
  withr::local_options(keycap.quiet = TRUE)
  expect_silent(show_event(list(kind = "note", text = "x")))
  expect_warning(show_event(list(kind = "warning", text = "x")), class = "keycap_warning")
})

test_that("a handle that names nothing is an error, and cancelling it is none", {
  expect_identical(kc_poll(123456L, 0L)$error$kind, "internal")
  expect_identical(kc_poll("x", 0L)$error$kind, "internal")
  expect_identical(kc_poll(NULL, NULL)$error$kind, "internal")
  expect_identical(kc_cancel(123456L)$kind, "ok")
})

test_that("an operation that the core does not have is an internal error of the function that the user called", {
  outer <- function() core_call("no such operation")
  error <- expect_error(outer(), class = "keycap_error_internal")
  expect_identical(conditionCall(error), quote(outer()))
})

test_that("an operation tells what it has to say, and then gives its value or its error", {
  expect_message(expect_identical(core_await(kc_selftest("done", "{stop()}")), "{stop()}"), "{stop()}", fixed = TRUE)
  fails <- function() core_await(kc_selftest("failed", "%s"))
  warned <- expect_warning(error <- expect_error(fails(), class = "keycap_error_argument"), class = "keycap_warning")
  expect_identical(conditionMessage(warned), "%s")
  expect_identical(conditionMessage(error), "%s")
  expect_identical(conditionCall(error), quote(fails()))
})

test_that("a handle ends with its operation", {
  withr::local_options(keycap.quiet = TRUE)
  handle <- kc_selftest("endless", "on")$value
  first <- kc_poll(handle, 10L)
  expect_identical(first$kind, "pending")
  expect_identical(first$events, list(list(kind = "note", text = "on")))
  expect_identical(kc_poll(handle, 10L), list(kind = "pending", events = list()))
  expect_identical(kc_cancel(handle)$kind, "ok")
  expect_identical(kc_poll(handle, 10L)$error$kind, "internal")
})

test_that("whatever ends the wait cancels the operation", {
  handle <- kc_selftest("endless", "on")$value
  withr::local_options(warn = 2)
  stopper <- function(e) stop("left")
  expect_error(withCallingHandlers(core_await(list(kind = "ok", value = handle)), message = stopper), "left")
  expect_identical(kc_poll(handle, 0L)$error$kind, "internal")
})

test_that("an interrupt ends the wait at once and the operation with it", {
  marker <- withr::local_tempfile()
  waiting <- callr::r_bg(function(marker) {
    handle <- keycap:::kc_selftest("endless", "on")$value
    ended <- tryCatch(
      {
        file.create(marker)
        keycap:::core_await(list(kind = "ok", value = handle))
      },
      interrupt = function(e) Sys.time()
    )
    list(ended = ended, after = keycap:::kc_poll(handle, 0L)$error$kind)
  }, list(marker))
  for (i in 1:300) if (file.exists(marker)) break else Sys.sleep(0.1)
  Sys.sleep(0.5)
  expect_true(waiting$is_alive())
  sent <- Sys.time()
  waiting$interrupt()
  waiting$wait(30000)
  expect_s3_class(waiting$get_result()$ended, "POSIXct")
  expect_lt(as.numeric(waiting$get_result()$ended - sent, units = "secs"), 5)
  expect_identical(waiting$get_result()$after, "internal")
})

test_that("a forked child knows nothing of its parent's operations and leaves them alone", {
  testthat::skip_on_os("windows")
  withr::local_options(keycap.quiet = TRUE)
  handle <- kc_selftest("done", "the parent's")$value
  child <- parallel::mccollect(parallel::mcparallel({
    c(kc_poll(handle, 0L)$error$kind, kc_cancel(handle)$kind, kc_shutdown()$kind)
  }))
  expect_identical(child[[1]], c("internal", "ok", "ok"))
  expect_identical(core_await(list(kind = "ok", value = handle)), "the parent's")
})

test_that("a column that is more than a plain vector is refused and never cut down to its first part", {
  frame <- function(...) structure(list(...), class = "data.frame", row.names = c(NA, -2L))
  refused <- function(x, about) {
    error <- kc_selftest("echo", x)$error
    expect_identical(error$kind, "argument")
    expect_match(error$message, about, fixed = TRUE)
    expect_match(error$message, "column ", fixed = TRUE)
  }
  good <- c("a", "b")
  wide <- matrix(1:4, 2)
  for (x in list(wide, wide + 0.5, wide > 1, matrix(letters[1:4], 2), array(1:2, 2), array(1:8, c(2, 2, 2)))) {
    refused(frame(g = good, x = x), "column 2 of the data frame: a column with `dim`")
    refused(frame(x = x), "column 1 of the data frame: a column with `dim`")
    refused(frame(x = x, g = good), "column 1 of the data frame: a column with `dim`")
  }
  for (x in list(data.frame(a = 1:2, b = 3:4), list(1, 2), I(list(1, 2)))) {
    refused(frame(x = x, g = good), "column 1 of the data frame: a column that is a list or a data frame")
  }
  # Data frames that were put together by hand.
  for (x in list(1L, 1:3, "a", character(), TRUE, factor("a"), NULL)) {
    error <- kc_selftest("echo", frame(g = good, x = x))$error
    expect_identical(error$kind, "argument")
    error <- kc_selftest("echo", frame(x = x, g = good))$error
    expect_identical(error$kind, "argument")
  }
  refused(frame(g = good, x = 1:3), "column 2 of the data frame: it has 3 values where the data frame has 2 rows")
  # The control: the same as plain vectors.
  expect_identical(kc_selftest("echo", frame(g = good, x = 1:2))$value, data.frame(g = good, x = 1:2))
})

test_that("vectors that R makes only when they are asked for are read like others", {
  echo <- function(x) core_value(kc_selftest("echo", x), rlang::current_env())
  lazy <- data.frame(i = 1:1e5, t = as.character(1:1e5))
  expect_identical(echo(lazy), data.frame(i = c(1:1e5), t = sprintf("%d", 1:1e5)))
  expect_identical(echo(stats::setNames(as.list(1:3), as.character(1:3))), list(`1` = 1L, `2` = 2L, `3` = 3L))
})

test_that("a factor with a code beyond its levels is refused", {
  codes <- function(...) structure(c(...), levels = c("a", "b"), class = "factor")
  for (x in list(codes(1L, 3L), codes(0L, 1L), codes(-1L, 2L))) {
    data <- structure(list(x = x), class = "data.frame", row.names = c(NA, -2L))
    expect_match(kc_selftest("echo", data)$error$message, "beyond its levels", fixed = TRUE)
  }
})

test_that("lists in lists without end are an error and not the end of R", {
  x <- list()
  for (n in 1:5000) x <- list(x)
  expect_identical(kc_selftest("echo", x)$error$kind, "argument")
})
