uri <- "https://redcap.example.org/api/"

test_that("setup_project() needs neither network nor token, and says how to set one", {
  local_world()
  dir <- file.path(withr::local_tempdir(), "new")
  text <- said(project <- setup_project("STUDY", dir, uri))
  expect_match(text, "REDCapSync_STUDY", fixed = TRUE)
  expect_match(text, "Sys.setenv", fixed = TRUE)
  expect_s3_class(project, "keycap_project", exact = TRUE)
  expect_identical(names(project), project_fields)
  expect_identical(project$short_name, "STUDY")
  expect_identical(project$token_name, "REDCapSync_STUDY")
  expect_identical(project$redcap_uri, uri)
  expect_identical(project$dir_path, normalizePath(dir, winslash = "/"))
  expect_null(project$project_id)
})

test_that("setup_project() says nothing of setting a token when a usable one is there", {
  local_world()
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  text <- said(setup_project("STUDY", withr::local_tempdir(), uri))
  expect_no_match(text, "Sys.setenv", fixed = TRUE)
})

test_that("a project is written into its folder and into the registry, with the token's name alone", {
  local_world()
  dir <- withr::local_tempdir()
  token <- made_up_token()
  withr::local_envvar(REDCapSync_STUDY = token)
  setup_project("STUDY", dir, uri, redcap_user = "m\u00fcller", dag = "site \"a\"")
  files <- c(registry_file(), file.path(dir, "keycap_STUDY.json"))
  for (file in files) {
    text <- paste(readLines(file, encoding = "UTF-8"), collapse = "\n")
    expect_match(text, "\"token_name\": \"REDCapSync_STUDY\"", fixed = TRUE)
    expect_match(text, "m\u00fcller", fixed = TRUE)
    expect_identical(hits(text, token), character())
  }
  expect_identical(load_project("STUDY")$dag, "site \"a\"")
})

test_that("a project without a folder lives in this session only, and says so", {
  local_world()
  withr::defer(delete_project("FLEETING"))
  text <- said(project <- setup_project("FLEETING", redcap_uri = uri))
  expect_match(text, "session")
  expect_null(project$dir_path)
  expect_identical(load_project("FLEETING"), project)
  projects <- get_projects()
  expect_identical(projects$kept[projects$short_name == "FLEETING"], "session")
  expect_false(file.exists(registry_file()))
})

test_that("what is set up in one process is there in another", {
  local_world()
  project <- setup_project("STUDY", withr::local_tempdir(), uri)
  there <- callr::r(function() keycap::load_project("STUDY"), libpath = .libPaths())
  expect_identical(there, project)
})

test_that("every legal name works, and others are refused", {
  local_world()
  longest <- strrep("a", 31)
  project <- setup_project(longest, withr::local_tempdir(), uri)
  expect_identical(project$token_name, paste0("REDCapSync_", longest))
  expect_identical(setup_project("Z", withr::local_tempdir(), uri, token_name = "_x1")$token_name, "_x1")
  for (name in list("", "1A", "_A", "A B", "A-B", "\u00c4", "A\n", strrep("a", 33))) {
    expect_error(setup_project(name, redcap_uri = uri), class = "keycap_error_argument")
  }
  for (name in list("", "1A", "A B", "A=B", strrep("a", 51))) {
    expect_error(setup_project("A", redcap_uri = uri, token_name = name), class = "keycap_error_argument")
  }
})

test_that("redcap_uri is https, or loopback, without user info, query and fragment, and ends with a slash", {
  local_world()
  dir <- withr::local_tempdir()
  expect_identical(setup_project("A", dir, "https://redcap.example.org/api")$redcap_uri, uri)
  expect_identical(setup_project("B", dir, "http://127.0.0.1:8080/api/")$redcap_uri, "http://127.0.0.1:8080/api/")
  refused <- c(
    "http://redcap.example.org/api/", "https://user:secret@redcap.example.org/api/", "ftp://redcap.example.org/",
    "https://redcap.example.org/api/?a=b", "https://redcap.example.org/api/#x", "redcap.example.org", ""
  )
  for (address in refused) {
    error <- expect_error(setup_project("C", dir, address), class = "keycap_error_argument")
    expect_no_match(conditionMessage(error), "secret")
  }
})

test_that("redcap_uri comes from the environment when it is missing", {
  local_world()
  expect_error(setup_project("A", withr::local_tempdir()), "REDCapSync_REDCAP_URI", class = "keycap_error_argument")
  withr::local_envvar(REDCapSync_REDCAP_URI = uri)
  expect_identical(setup_project("A", withr::local_tempdir())$redcap_uri, uri)
})

test_that("the same short name with another address is refused unless overwrite = TRUE", {
  local_world()
  dir <- withr::local_tempdir()
  setup_project("STUDY", dir, uri)
  expect_identical(setup_project("STUDY", dir, uri)$redcap_uri, uri)
  before <- readLines(registry_file())
  error <- expect_error(setup_project("STUDY", dir, "https://other.example.org/api/"), class = "keycap_error_project")
  expect_match(conditionMessage(error), "overwrite = TRUE", fixed = TRUE)
  expect_identical(readLines(registry_file()), before)
  moved <- setup_project("STUDY", dir, "https://other.example.org/api/", overwrite = TRUE)
  expect_identical(moved$redcap_uri, "https://other.example.org/api/")
  expect_identical(load_project("STUDY")$redcap_uri, "https://other.example.org/api/")
})

test_that("a damaged registry is an error that names it, and is never overwritten", {
  local_world()
  dir <- withr::local_tempdir()
  setup_project("STUDY", dir, uri)
  for (content in list("{", "", "[1]", "{\"keycap_registry\": 99, \"projects\": []}", "\xff\xfe")) {
    writeBin(charToRaw(content), registry_file())
    before <- readBin(registry_file(), "raw", 1e4)
    for (call in list(
      function() setup_project("OTHER", dir, uri), function() load_project("STUDY"), function() get_projects(),
      function() delete_project("STUDY")
    )) {
      error <- expect_error(call(), class = "keycap_error_damaged")
      expect_match(conditionMessage(error), "projects.json", fixed = TRUE)
    }
    expect_identical(readBin(registry_file(), "raw", 1e4), before)
  }
})

test_that("a damaged project file is an error that names it, and is never overwritten", {
  local_world()
  dir <- withr::local_tempdir()
  file <- file.path(dir, "keycap_STUDY.json")
  writeLines("{ half", file)
  error <- expect_error(setup_project("STUDY", dir, uri), class = "keycap_error_damaged")
  expect_match(conditionMessage(error), "keycap_STUDY.json", fixed = TRUE)
  expect_identical(readLines(file), "{ half")
  expect_identical(nrow(get_projects()), 0L)
})

test_that("several R processes at once lose no project", {
  local_world()
  dirs <- file.path(withr::local_tempdir(), 1:4)
  workers <- lapply(seq_along(dirs), function(i) {
    callr::r_bg(
      function(i, dir, uri) {
        for (j in 1:10) keycap::setup_project(sprintf("P%d_%d", i, j), dir, uri)
      },
      list(i, dirs[[i]], uri),
      libpath = .libPaths()
    )
  })
  for (worker in workers) {
    worker$wait()
    worker$get_result()
  }
  expect_setequal(get_projects()$short_name, outer(1:4, 1:10, function(i, j) sprintf("P%d_%d", i, j)))
})

test_that("a folder that cannot be made is an error", {
  local_world()
  file <- withr::local_tempfile(lines = "a file, not a folder")
  expect_error(setup_project("STUDY", file.path(file, "below"), uri), class = "keycap_error_file")
  expect_identical(nrow(get_projects()), 0L)
})

test_that("load_project() knows what is set up, and says so of the rest", {
  local_world()
  project <- setup_project("STUDY", withr::local_tempdir(), uri)
  expect_identical(load_project("STUDY"), project)
  error <- expect_error(load_project("OTHER"), class = "keycap_error_project")
  expect_match(conditionMessage(error), "get_projects()", fixed = TRUE)
})

test_that("get_projects() is a data frame with one row a project", {
  local_world()
  columns <- c("short_name", "redcap_uri", "token_name", "dir_path", "redcap_user", "dag", "project_id", "kept")
  expect_identical(names(get_projects()), columns)
  expect_identical(nrow(get_projects()), 0L)
  dir <- withr::local_tempdir()
  setup_project("A", dir, uri, dag = "west")
  setup_project("B", dir, uri)
  projects <- get_projects()
  expect_s3_class(projects, "data.frame", exact = TRUE)
  expect_identical(projects$short_name, c("A", "B"))
  expect_identical(projects$dag, c("west", NA))
  expect_identical(projects$kept, c("user", "user"))
})

test_that("delete_project() removes keycap's own entry and file, never data or a token, and says so", {
  local_world()
  dir <- withr::local_tempdir()
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  before <- Sys.getenv("REDCapSync_STUDY")
  setup_project("STUDY", dir, uri)
  writeLines("data", file.path(dir, "data.csv"))
  text <- said(removed <- delete_project("STUDY"))
  expect_match(text, "token")
  expect_match(text, "data")
  expect_identical(basename(removed), "keycap_STUDY.json")
  expect_identical(list.files(dir), "data.csv")
  expect_identical(Sys.getenv("REDCapSync_STUDY"), before)
  expect_identical(nrow(get_projects()), 0L)
  expect_error(delete_project("STUDY"), class = "keycap_error_project")
})

test_that("a project prints what it has, and never a token that a user put into it", {
  project <- as_project(list(
    short_name = "STUDY", dir_path = "/studies/study", redcap_uri = uri, token_name = "REDCapSync_STUDY",
    redcap_user = "ada", project_id = "12"
  ))
  expect_snapshot(print(project))
  token <- made_up_token()
  for (field in project_fields) {
    spoilt <- project
    spoilt[[field]] <- token
    expect_identical(hits(capture.output(print(spoilt)), token), character())
    expect_identical(hits(format(spoilt), token), character())
  }
})

test_that("a project survives saveRDS() and says all that it is in plain texts", {
  local_world()
  project <- setup_project("STUDY", withr::local_tempdir(), uri)
  file <- withr::local_tempfile()
  saveRDS(project, file)
  expect_identical(readRDS(file), project)
  kinds <- vapply(unclass(project), typeof, "")
  expect_true(all(kinds %in% c("character", "NULL")))
})

test_that("a short name that is nearly one that is set up is told", {
  local_world()
  setup_project("TEST", withr::local_tempdir(), uri)
  for (near in c("TSET", "test", "TESTS")) {
    error <- expect_error(load_project(near), class = "keycap_error_project")
    expect_match(conditionMessage(error), "did you mean `TEST`?", fixed = TRUE)
    expect_identical(error$nearest, "TEST")
  }
  error <- expect_error(delete_project("TSET"), class = "keycap_error_project")
  expect_match(conditionMessage(error), "did you mean `TEST`?", fixed = TRUE)
  error <- expect_error(load_project("HEART"), class = "keycap_error_project")
  expect_no_match(conditionMessage(error), "did you mean")
})

test_that("load_project() and delete_project() take a project too", {
  local_world()
  project <- setup_project("STUDY", withr::local_tempdir(), uri)
  expect_identical(load_project(project), project)
  project$short_name <- 1
  expect_error(load_project(project), "`project$short_name`", fixed = TRUE, class = "keycap_error_argument")
  project$short_name <- made_up_token()
  error <- expect_error(delete_project(project), class = "keycap_error_token_in_argument")
  expect_identical(hits(conditionMessage(error), project$short_name), character())
  project$short_name <- "STUDY"
  expect_length(delete_project(project), 1)
  expect_identical(nrow(get_projects()), 0L)
})

test_that("a short name without quotes is told without being repeated, and with no frame of ours", {
  local_world()
  for (call in alist(
    setup_project(UNQUOTED_NAME), load_project(UNQUOTED_NAME), delete_project(UNQUOTED_NAME),
    view_project_token(UNQUOTED_NAME), test_project_token(UNQUOTED_NAME)
  )) {
    error <- expect_error(eval(call), class = "keycap_error_argument")
    expect_match(conditionMessage(error), "in quotes", fixed = TRUE)
    expect_no_match(conditionMessage(error), "UNQUOTED_NAME")
    expect_identical(conditionCall(error), call[1])
  }
  STUDY <- "STUDY"
  setup_project(STUDY, withr::local_tempdir(), uri)
  expect_identical(load_project(STUDY)$short_name, "STUDY")
  expect_identical(lapply("STUDY", load_project)[[1]]$short_name, "STUDY")
  # What goes wrong in an expression of the user's own is the user's own error.
  expect_error(load_project(stop("mine")), "mine", class = "simpleError")
})

test_that("a set-up that is interrupted says what became of it", {
  local_world()
  dir <- withr::local_tempdir()
  start <- function(name) {
    args <- list(short_name = name, dir_path = dir, redcap_uri = uri)
    core_value(kc_start("setup_project", as_utf8(args), session_info()), quote(f()))
  }
  # At rest, so that it is done: only the look-up of the token may be under way.
  handle <- start("DONE")
  while (!file.exists(registry_file())) Sys.sleep(0.01)
  word <- kc_cancel(handle)$value
  expect_match(word, "`DONE` is set up", fixed = TRUE)
  expect_identical(load_project("DONE")$short_name, "DONE")
  expect_identical(said(say_last_word("a word")), paste0(cli::symbol$info, " a word\n"))
  expect_silent(say_last_word(NULL))
  # Another process holds the registry.
  testthat::skip_on_os(c("windows", "mac"))
  lock <- paste0(registry_file(), ".lock")
  held <- callr::process$new("flock", c(lock, "-c", "echo held; sleep 20"), stdout = "|")
  withr::defer(held$kill_tree())
  held$poll_io(5000)
  handle <- start("NOT_DONE")
  Sys.sleep(0.3)
  word <- kc_cancel(handle)$value
  expect_match(word, "`NOT_DONE` was not set up", fixed = TRUE)
  held$kill_tree()
  held$wait(5000)
  Sys.sleep(0.5)
  expect_error(load_project("NOT_DONE"), class = "keycap_error_project")
  expect_false(file.exists(file.path(dir, "keycap_NOT_DONE.json")))
})
