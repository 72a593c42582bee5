test_that("an error carries its classes, its kind, its hints and its facts, and no backtrace", {
  raise <- function(short_name) raise_error("project", "it is so", list("do this"), list(short_name = "A", call = 1), quote(f()))
  # Not by expect_error(), which adds a backtrace.
  error <- tryCatch(raise("typed"), error = identity)
  expect_s3_class(error, c("keycap_error_project", "keycap_error", "rlang_error", "error", "condition"), exact = TRUE)
  expect_identical(error$kind, "project")
  expect_identical(error$hints, "do this")
  expect_identical(error$short_name, "A")
  expect_identical(error$field_call, 1)
  expect_identical(conditionCall(error), quote(f()))
  expect_null(error$trace)
})

test_that("the help page tells each kind of error that the core can raise, and no other", {
  kinds <- c(
    "argument", "token_in_argument", "token_missing", "token_form", "token_refused", "origin", "project", "damaged",
    "file", "store", "audit", "policy", "rotation", "limit", "name_lookup", "connection", "timeout", "certificate",
    "redirect", "not_redcap", "server", "redcap", "project_changed", "token_echo", "outcome_unknown", "sandbox", "interrupted",
    "memory", "internal"
  )
  page <- utils::capture.output(tools::Rd2txt(
    tools::Rd_db("keycap")[["keycap_conditions.Rd"]],
    options = list(underline_titles = FALSE, width = 500)
  ))
  told <- unlist(regmatches(page, gregexpr("keycap_error_[a-z_]+", page)))
  expect_setequal(setdiff(told, "keycap_error_"), paste0("keycap_error_", kinds))
})

test_that("an error names the function that the user called", {
  local_world()
  error <- expect_error(load_project("NOWHERE"), class = "keycap_error_project")
  expect_identical(conditionCall(error), quote(load_project()))
})
