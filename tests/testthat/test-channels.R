# The ways in which R shows, keeps or sends what it has: none holds 8 characters of a token in a row. For each the
# same search finds the token of a client that holds it as a text.

# Two sessions, of which one is naive: the folder in which each has written its channels down.
sessions <- function() {
  if (is.null(seen$folders)) {
    world <- local_world(frame = seen$frame)
    token <- made_up_token()
    echo <- "ERROR: the token %TOKEN% %token% {%TOKEN%} is bad"
    echoing <- local_echo(400, echo, "text/plain", frame = seen$frame)
    refusing <- local_answer(403, "ERROR: You do not have permissions to use the API", "text/plain", frame = seen$frame)
    local_project(echoing$uri, "STUDY", frame = seen$frame)
    local_project(refusing$uri, "REFUSED", frame = seen$frame)
    withr::local_envvar(REDCapSync_STUDY = token, REDCapSync_REFUSED = token, .local_envir = seen$frame)
    code <- readLines(test_path("host", "channels.R"))
    # What would make libraries talk.
    talkative <- c("RUST_LOG=trace", "RUST_BACKTRACE=full", "EXTENDR_BACKTRACE=1", "REQWEST_LOG=trace", "SSLKEYLOGFILE=")
    talkative[5] <- paste0("SSLKEYLOGFILE=", file.path(world, "keys"))
    seen$folders <- lapply(c(sealed = "sealed", naive = "naive"), function(kind) {
      folder <- file.path(world, kind)
      dir.create(folder)
      out <- run_script(code, args = c(kind, folder), env = talkative)
      writeLines(out, file.path(folder, "terminal"))
      folder
    })
    seen$token <- token
    seen$heard <- echoing$heard()
    seen$keys <- file.exists(file.path(world, "keys"))
  }
  seen
}
seen <- new.env()
seen$frame <- seen
withr::defer(withr::deferred_run(seen))

expect_channel <- function(name) {
  sessions <- sessions()
  files <- file.path(unlist(sessions$folders), name)
  expect_true(all(file.exists(files)), info = name)
  expect_true(file.size(files[1]) > 0, info = name)
  expect_identical(hits_in_files(files[1], sessions$token), character(), info = name)
  # The control.
  expect_gt(length(hits_in_files(files[2], sessions$token)), 0, label = name)
}

test_that("the session with keycap sent its token and got it back, so that there was something to leak", {
  expect_match(sessions()$heard, sessions()$token, fixed = TRUE)
  terminal <- readLines(file.path(sessions()$folders[["sealed"]], "terminal"))
  expect_match(terminal, "is bad", fixed = TRUE, all = FALSE)
})

test_that("print() shows no part of a token", {
  expect_channel("print")
})

test_that("str() shows no part of a token", {
  expect_channel("str")
})

test_that("format() gives no part of a token", {
  expect_channel("format")
})

test_that("View() gets no part of a token", {
  expect_channel("view")
})

test_that("dput() writes no part of a token", {
  expect_channel("dput")
})

test_that("deparse() gives no part of a token", {
  expect_channel("deparse")
})

test_that("serialize() stores no part of a token", {
  expect_channel("serialize")
})

test_that("saveRDS() stores no part of a token", {
  expect_channel("saveRDS")
})

test_that("save.image() stores no part of a token", {
  expect_channel("save.image")
})

test_that("dump.frames() stores no part of a token", {
  expect_channel("dump.frames")
})

test_that("traceback() shows no part of a token", {
  expect_channel("traceback")
  expect_channel("traceback_calls")
})
test_that("conditionCall() holds no part of a token", {
  expect_channel("conditionCall")
})

test_that("conditionMessage() holds no part of a token", {
  expect_channel("conditionMessage")
})

test_that("rlang::last_error() and last_trace() hold no part of a token", {
  expect_channel("last_error")
  expect_channel("last_trace")
})
test_that("geterrmessage() gives no part of a token", {
  expect_channel("geterrmessage")
})

test_that("knitr's output shows no part of a token", {
  expect_channel("knitr")
})

test_that("knitr's cache stores no part of a token", {
  expect_channel("knitr_cache")
})

test_that("sink() catches no part of a token", {
  expect_channel("sink")
})

test_that("a warning that becomes an error shows no part of a token", {
  expect_channel("warn")
})

test_that("a handler in options(error = ) sees no part of a token in any frame", {
  expect_channel("error_option")
})

test_that("a future takes no part of a token along", {
  expect_channel("future")
})

test_that("callr's files hold no part of a token", {
  expect_channel("callr")
})

test_that("sessionInfo() holds no part of a token", {
  expect_channel("sessionInfo")
})

test_that("options() hold no part of a token", {
  expect_channel("options")
})

test_that("a panic of the core shows no part of a token", {
  expect_channel("panic")
})

test_that("a terminal sees no part of a token, whatever is set to make libraries talk", {
  expect_channel("terminal")
  # Nor can the traffic be deciphered: no session keys are written down.
  expect_false(sessions()$keys)
})
