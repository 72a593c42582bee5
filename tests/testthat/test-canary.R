# What the walk must meet. `interrupted` is R's own interrupt, `internal` has no way to be raised from outside; `token_refused` is the reason of a `FALSE`.
met <- c(
  "argument", "token_in_argument", "origin", "project", "damaged", "file", "audit", "limit", "name_lookup",
  "connection", "timeout", "certificate", "redirect", "not_redcap", "server", "redcap", "project_changed",
  "token_echo", "outcome_unknown", "sandbox", "token_missing", "token_form", "store", "policy", "rotation"
)

expect_sealed <- function(walk, met) {
  found <- Filter(function(step) length(step$found) > 0L, walk$steps)
  leaks <- vapply(found, function(step) paste0(step$fun, ": ", step$about, ": ", toString(names(step$found))), "")
  expect_identical(leaks, character())
  expect_identical(walk$in_files, character())
  expect_gt(walk$files, 10)
  expect_gt(walk$audit, 20)

  called <- unique(vapply(walk$steps, `[[`, "", "fun"))
  expect_setequal(called, getNamespaceExports("keycap"))
  classes <- unique(unlist(lapply(walk$steps, `[[`, "classes")))
  kinds <- setdiff(sub("keycap_error_", "", grep("^keycap_error_", classes, value = TRUE)), "")
  expect_setequal(kinds, met)
  expect_true(all(c("keycap_warning", "keycap_warning_token", "cliMessage") %in% classes))
}

test_that("no part of a token in the environment comes out of any function or condition", {
  expect_sealed(canary_walk("env"), met)
})

test_that("no part of a token in a real keyring comes out of any function or condition", {
  result <- withr::local_tempfile(fileext = ".rds")
  helpers <- normalizePath(list.files(test_path(), "^helper-.*[.]R$", full.names = TRUE))
  code <- readLines(test_path("canary", "keyring.R"))
  wrapper <- normalizePath(test_path("..", "keyring", "with-keyring.sh"))
  out <- run_script(code, args = c(result, helpers), wrapper = wrapper)
  expect_true(file.exists(result), info = paste(out, collapse = "\n"))
  expect_sealed(readRDS(result), met)
})

test_that("the search finds a token in each of the places where it looks", {
  token <- made_up_token()
  places <- function(action, ...) names(watch(action, token, ...)$found)
  expect_in <- function(place, action, ...) expect_true(place %in% places(action, ...), info = place)
  expect_in("printed", function() print(token))
  expect_in("printed", function() invisible(cat(tolower(token))))
  expect_in("messages", function() message("the token is ", token))
  expect_in("value", function() list(a = 1, b = list(substr(token, 5, 13))))
  expect_in("value", function() structure(1, note = token))
  expect_in("value", function() charToRaw(token))
  expect_in("value as text", function() token)
  expect_in("message", function() stop("bad token: ", token))
  expect_in("message", function() warning(substr(token, 1, 8)))
  expect_in("condition", function() rlang::abort("x", token = token))
  expect_in("call", function() do.call(function(token) stop("x"), list(token)))
  expect_in("sys.calls", function() do.call(function(token) stop("x"), list(token)))
  expect_in("trace", function() do.call(function(token) rlang::abort("x"), list(token)))
  careless <- function(token) do.call(raise_error, list("project", token, list(), list(), NULL))
  environment(careless) <- asNamespace("keycap")
  expect_in("frames", function() careless(token), typed = TRUE)
  expect_in("condition", function() careless(token), typed = TRUE)
  expect_identical(places(function() list("nothing", 1)), NULL)
  expect_identical(places(function() stop("nothing")), NULL)
})

test_that("the search knows parts of 8 characters, in any letter case, in raw bytes and in files", {
  token <- made_up_token()
  expect_length(hits(token, token), 25)
  expect_length(hits(tolower(token), token), 25)
  expect_length(hits(substr(token, 3, 10), token), 1)
  expect_identical(hits(substr(token, 3, 9), token), character())
  super <- made_up_token(64)
  expect_length(hits(super, super), 57)
  expect_length(hits(c(as.raw(c(0, 255)), charToRaw(token), as.raw(0)), token), 25)
  file <- withr::local_tempfile(lines = c("x", token))
  expect_length(hits_in_files(file, token), 25)
  expect_identical(hits_in_files(file, made_up_token()), character())
})

test_that("a hash of the log's chain is no hit, and whatever else stands in its place is one", {
  first <- "{\"seq\":1}"
  hash <- sha256_of(paste0(first, "\n"))
  expect_match(hash, "^[0-9a-f]{64}$")
  second <- function(hash) sprintf("{\"prev\":\"%s\",\"seq\":2}", hash)
  log <- withr::local_tempfile(fileext = ".jsonl", lines = c(first, second(hash)))
  expect_identical(hits_in_files(log, substr(hash, 10, 41)), character())
  token <- made_up_token()
  writeLines(c(first, second(paste0(substr(hash, 1, 32), tolower(token)))), log)
  expect_length(hits_in_files(log, token), 25)
  writeLines(c(first, sub("}", sprintf(",\"x\":\"%s\"}", token), second(hash))), log)
  expect_length(hits_in_files(log, token), 25)
})
