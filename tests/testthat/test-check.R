test_that("an argument of the wrong type is named, with what it is and never with its value", {
  local_world()
  refusals <- alist(
    setup_project(),
    setup_project(1L),
    setup_project(c("A", "B")),
    setup_project(NA_character_),
    setup_project("A", dir_path = 1),
    setup_project("A", redcap_uri = list()),
    setup_project("A", token_name = factor("A")),
    setup_project("A", redcap_user = mean),
    setup_project("A", overwrite = NA),
    load_project(),
    load_project(NULL),
    delete_project(),
    view_project_token(),
    view_project_token(list(short_name = "A")),
    test_project_token(),
    test_project_token(7),
    stop_sandbox(),
    stop_sandbox("here"),
    run_sandbox(port = 1.5)
  )
  messages <- vapply(refusals, FUN.VALUE = "", function(refusal) {
    error <- tryCatch(eval(refusal), keycap_error_argument = identity)
    paste0(deparse1(refusal), "\n  ", conditionMessage(error))
  })
  expect_snapshot(cat(messages, sep = "\n"))
})

test_that("an argument of the wrong type is an error of the class for arguments", {
  error <- expect_error(setup_project(short_name = 1), class = "keycap_error_argument")
  expect_s3_class(error, "keycap_error")
  expect_identical(error$kind, "argument")
  expect_identical(error$argument, "short_name")
})

test_that("the fields of an edited project are checked", {
  project <- as_project(list(short_name = "A", redcap_uri = "http://127.0.0.1:1/api/", token_name = "REDCapSync_A"))
  project$token_name <- 1
  error <- expect_error(view_project_token(project), class = "keycap_error_argument")
  expect_match(conditionMessage(error), "`project$token_name`", fixed = TRUE)
  project$token_name <- NULL
  expect_error(test_project_token(project), class = "keycap_error_argument")
})

test_that("paths are absolute, so that they hold after setwd()", {
  expect_null(absolute_path(NULL))
  withr::local_dir(withr::local_tempdir())
  expect_identical(absolute_path("new/folder"), file.path(normalizePath(getwd(), winslash = "/"), "new/folder"))
  expect_identical(absolute_path("~/x"), enc2utf8(normalizePath(path.expand("~/x"), "/", mustWork = FALSE)))
  expect_identical(absolute_path("/nowhere/at all"), "/nowhere/at all")
})

test_that("a path that looks like a token reaches the core as it is, to be refused", {
  token <- made_up_token()
  expect_identical(absolute_path(token), token)
})

test_that("texts reach the core in UTF-8 and without attributes", {
  latin1 <- "M\xfcnchen"
  Encoding(latin1) <- "latin1"
  expect_identical(check_string(c(name = latin1), "dag", NULL), "M\u00fcnchen")
})
