# A token goes only to the origin that this user's own registry binds its name to. What could say otherwise is a
# project file on a shared drive, an object from anybody, or an edited object. The second listener must hear nothing.

local_bound <- function(frame = parent.frame()) {
  local_world(frame)
  withr::local_envvar(REDCapSync_STUDY = made_up_token(), .local_envir = frame)
  first <- local_answer(200, "14.5.1", "text/plain", frame = frame)
  second <- local_answer(200, "14.5.1", "text/plain", frame = frame)
  project <- local_project(first$uri, "STUDY", frame = frame)
  list(project = project, first = first, second = second)
}

expect_nothing_heard <- function(server) {
  expect_identical(server$bytes(), 0)
  expect_identical(server$connections(), 0L)
}

test_that("the listener hears what is sent to it, so that its silence means something", {
  world <- local_bound()
  try(test_project_token(world$project), silent = TRUE)
  expect_gt(world$first$bytes(), 100)
  expect_match(world$first$heard(), Sys.getenv("REDCapSync_STUDY"), fixed = TRUE)
  expect_nothing_heard(world$second)
})

test_that("an edited list is refused, and nothing is sent", {
  world <- local_bound()
  project <- world$project
  project$redcap_uri <- world$second$uri
  expect_error(test_project_token(project), class = "keycap_error_origin")
  expect_nothing_heard(world$second)
  expect_nothing_heard(world$first)
})

test_that("an edited project file is refused, and nothing is sent", {
  world <- local_bound()
  file <- file.path(world$project$dir_path, "keycap_STUDY.json")
  writeLines(gsub(world$first$uri, world$second$uri, readLines(file), fixed = TRUE), file)
  expect_match(readLines(file), world$second$uri, fixed = TRUE, all = FALSE)
  try(test_project_token(load_project("STUDY")), silent = TRUE)
  try(test_project_token("STUDY"), silent = TRUE)
  try(test_project_token(world$project), silent = TRUE)
  expect_error(setup_project("STUDY", world$project$dir_path, world$first$uri), class = "keycap_error_project")
  expect_nothing_heard(world$second)
})

test_that("an RDS from somebody else is refused, and nothing is sent", {
  world <- local_bound()
  foreign <- world$project
  foreign$short_name <- "GIFT"
  foreign$redcap_uri <- world$second$uri
  foreign$project_id <- "1"
  file <- withr::local_tempfile()
  saveRDS(foreign, file)
  expect_error(test_project_token(readRDS(file)), class = "keycap_error_origin")
  expect_nothing_heard(world$second)
})

test_that("another token's name in an object is refused, and nothing is sent", {
  world <- local_bound()
  withr::local_envvar(OTHER = made_up_token())
  mine <- local_project(world$second$uri, "MINE", token_name = "OTHER")
  project <- world$project
  project$token_name <- "OTHER"
  error <- expect_error(test_project_token(project), class = "keycap_error_origin")
  expect_identical(error$token_name, "OTHER")
  expect_nothing_heard(world$first)
  project$token_name <- "NEVER_SET_UP"
  expect_error(test_project_token(project), class = "keycap_error_origin")
  expect_nothing_heard(world$first)
  expect_nothing_heard(world$second)
})

test_that("the refusal comes before any look-up", {
  world <- local_bound()
  project <- world$project
  project$redcap_uri <- world$second$uri
  withr::local_envvar(REDCapSync_STUDY = NA)
  expect_error(test_project_token(project), class = "keycap_error_origin")
})

test_that("scheme, host and port must match; the path may differ", {
  world <- local_bound()
  for (address in c(
    sub("http:", "https:", world$first$uri),
    sub("127.0.0.1", "localhost.example.org", sub("http:", "https:", world$first$uri), fixed = TRUE),
    sub("127.0.0.1", "127.0.0.2", world$first$uri, fixed = TRUE),
    "http://127.0.0.1/api/"
  )) {
    project <- world$project
    project$redcap_uri <- address
    expect_error(test_project_token(project), class = "keycap_error_origin")
  }
  expect_nothing_heard(world$first)
})

test_that("a token name is bound to one origin: a second project may not take it elsewhere", {
  world <- local_bound()
  dir <- withr::local_tempdir()
  expect_error(
    setup_project("THIEF", dir, world$second$uri, token_name = "REDCapSync_STUDY"),
    class = "keycap_error_origin"
  )
  expect_nothing_heard(world$second)
})

test_that("a worker binds by the registry of its own user", {
  world <- local_bound()
  ask <- function(project) {
    tryCatch(
      {
        keycap::test_project_token(project)
        "asked"
      },
      keycap_error = function(e) class(e)[1]
    )
  }
  there <- function(env = character()) callr::r(ask, list(world$project), libpath = .libPaths(), env = env)
  expect_identical(there(), "keycap_error_not_redcap")
  heard <- world$first$bytes()
  expect_gt(heard, 0)
  elsewhere <- withr::local_tempdir()
  expect_identical(there(c(R_USER_CONFIG_DIR = elsewhere)), "keycap_error_origin")
  expect_identical(world$first$bytes(), heard)
})
