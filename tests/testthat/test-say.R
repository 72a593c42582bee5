test_that("texts from outside are data: neither braces nor percent signs are read", {
  text <- "{system('id')} {.val x} %s%n <b> \\n"
  expect_identical(said(say(text)), paste0(text, "\n"))
  expect_identical(said(say_lines(list(label = text))), paste0("label: ", text, "\n"))
  expect_match(said(say_failure(text, text)), text, fixed = TRUE)
  warning <- expect_warning(warn_token(text, text, "token_refused"), class = "keycap_warning_token")
  expect_match(conditionMessage(warning), text, fixed = TRUE)
  error <- expect_error(raise_error("project", text, text, list(), NULL), class = "keycap_error_project")
  expect_match(conditionMessage(error), text, fixed = TRUE)
})

test_that("a text cannot steer the terminal or add lines", {
  expect_identical(one_line("a\033[31mred\033[0m\r\nb\001"), "ared b ")
})

test_that("lines are aligned, and long ones are not broken", {
  long <- strrep("x", 300)
  expect_identical(said(say_lines(list(a = long, `b c` = "y"))), paste0("a:   ", long, "\nb c: y\n"))
})

test_that("options(keycap.quiet = TRUE) silences what is said", {
  withr::local_options(keycap.quiet = TRUE)
  expect_silent(say("x"))
  expect_silent(say_lines(list(a = "x")))
  expect_silent(say_failure("x"))
})

test_that("what is said goes to the stream of messages", {
  withr::local_options(keycap.quiet = FALSE)
  expect_output(suppressMessages(say("x")), NA)
  expect_message(say("x"))
})

test_that("hints look the same in messages, warnings and errors, and no line is broken", {
  withr::local_options(cli.width = 40, width = 40, warning.length = 8170)
  hint <- paste(rep("do this", 20), collapse = " ")
  line <- paste(cli::symbol$info, hint)
  lines <- function(text) strsplit(cli::ansi_strip(text), "\n", fixed = TRUE)[[1]]
  expect_identical(lines(said(say_failure("m", hint)))[[2]], line)
  expect_identical(lines(said(say_hints(hint))), line)
  expect_identical(lines(said(show_event(list(kind = "note", text = hint)))), line)
  warning <- expect_warning(warn_token("m", hint, "token_refused"), class = "keycap_warning_token")
  expect_identical(lines(conditionMessage(warning)), c("m", line))
  error <- expect_error(raise_error("project", "m", hint, list(), NULL), class = "keycap_error_project")
  expect_identical(lines(conditionMessage(error)), c("m", line))
})
