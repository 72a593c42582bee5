# Projects side by side: whatever happens to one is its row.

names_of_tested <- c(
  "short_name", "works", "reason", "message", "redcap_version", "project_id", "project_title", "fingerprint", "source",
  "seconds"
)

# Three projects of a sandbox, set up under their sample names.
local_three <- function(frame = parent.frame()) {
  local_world(frame = frame)
  sandbox <- local_sandbox(frame = frame)
  sandbox$projects <- sandbox$projects[1:3, ]
  projects <- lapply(sandbox$projects$short_name, setup_project, redcap_uri = sandbox$redcap_uri)
  list(sandbox = sandbox, names = sandbox$projects$short_name, projects = projects)
}

test_that("projects are given as objects, short names, a data frame or one project, with the same outcome", {
  three <- local_three()
  tested <- test_project_tokens()
  expect_named(tested, names_of_tested)
  expect_identical(tested$short_name, three$names)
  expect_identical(tested$works, rep(TRUE, 3))
  expect_identical(tested$reason, rep(NA_character_, 3))
  expect_identical(tested$project_id, three$sandbox$projects$project_id)
  expect_identical(tested$project_title, three$sandbox$projects$title)
  expect_identical(tested$source, rep("sandbox", 3))
  expect_match(tested$fingerprint, "^kc1:[0-9a-f]{16}$")
  expect_true(all(tested$seconds > 0 & tested$seconds < 30))
  same <- function(projects) test_project_tokens(projects)[setdiff(names_of_tested, "seconds")]
  needed <- get_projects()[c("short_name", "redcap_uri", "token_name")]
  for (projects in list(three$projects, three$names, as.list(three$names), get_projects(), needed)) {
    expect_identical(same(projects), tested[setdiff(names_of_tested, "seconds")])
  }
  expect_identical(same(three$projects[[2]])$short_name, three$names[2])
  expect_identical(same(list("TEST", three$projects[[1]], "TEST"))$works, rep(TRUE, 3))
})

test_that("what goes wrong with one token is its row, and it is said", {
  three <- local_three()
  silent <- local_server()
  withr::local_envvar(REDCapSync_SILENT = made_up_token(), REDCapSync_SHORT = substr(made_up_token(), 1, 9))
  withr::local_envvar(REDCapSync_CLOSED = made_up_token())
  withr::local_options(keycap.timeout = 4)
  sandbox_revoke_token(three$sandbox, "TEST_LONG")
  silent <- local_project(silent$uri, "SILENT")
  blank <- setup_project("BLANK", redcap_uri = three$sandbox$redcap_uri)
  short <- setup_project("SHORT", redcap_uri = three$sandbox$redcap_uri)
  closed <- local_project(sprintf("http://127.0.0.1:%d/api/", closed_port()), "CLOSED")
  all <- list(silent, "TEST", "TEST_LONG", blank, short, closed, "STRANGER", "TEST")
  message <- said(tested <- test_project_tokens(all))
  expect_identical(tested$works, c(NA, TRUE, FALSE, FALSE, FALSE, NA, NA, TRUE))
  expect_identical(
    tested$reason,
    c("timeout", NA, "token_refused", "token_missing", "token_form", "connection", "project", NA)
  )
  expect_identical(is.na(tested$message), is.na(tested$reason))
  expect_match(message, "2 of 8 tokens work", fixed = TRUE)
  for (bad in tested$short_name[is.na(tested$project_id)]) {
    expect_match(message, paste0(bad, ":"), fixed = TRUE)
  }
  # The hanging one holds nobody up: the others were done long before, with the pauses of 1.3 seconds in which the one
  # where nobody listens is tried again.
  expect_gt(tested$seconds[1], 3.9)
  expect_lt(max(tested$seconds[-1]), 3.9)
})

test_that("there may be no projects, and what is no project is an error that repeats nothing", {
  local_world()
  message <- said(tested <- test_project_tokens())
  expect_identical(dim(tested), c(0L, 10L))
  expect_named(tested, names_of_tested)
  expect_match(message, "setup_project()", fixed = TRUE)
  exports <- export_many()
  expect_identical(nrow(exports), 0L)
  expect_identical(exports$data, list())
  token <- made_up_token()
  for (wrong in list(1, NULL, TRUE, NA_character_, list(1), list(c("A", "B")), data.frame(short_name = "A"), sum)) {
    expect_error(test_project_tokens(wrong), class = "keycap_error_argument")
    expect_error(export_many(wrong), class = "keycap_error_argument")
  }
  error <- expect_error(test_project_tokens(c("A", token)), class = "keycap_error_token_in_argument")
  expect_length(hits_in(unclass(error), token), 0)
})

test_that("exports side by side are what each is alone, and a failure is a row", {
  three <- local_three()
  sandbox_revoke_token(three$sandbox, "TEST_LONG")
  message <- said(exports <- export_many(choices = "factor", tz = "Europe/Vienna"))
  expect_named(exports, c("short_name", "ok", "rows", "bytes", "reason", "message", "seconds", "data"))
  expect_identical(exports$ok, c(TRUE, FALSE, TRUE))
  expect_identical(exports$reason, c(NA, "token_refused", NA))
  expect_null(exports$data[[2]])
  for (n in c(1, 3)) {
    alone <- export_records(three$names[n], choices = "factor", tz = "Europe/Vienna")
    expect_identical(exports$data[[n]], alone)
    expect_identical(conversion_problems(exports$data[[n]]), conversion_problems(alone))
    expect_equal(exports$rows[n], nrow(alone))
  }
  expect_match(message, "2 of 3 projects are exported", fixed = TRUE)
  few <- export_many("TEST", fields = "sex", records = 1:2)
  expect_identical(dim(few$data[[1]]), c(2L, 2L))
})

test_that("to a folder, each project has a file that is whole or not there", {
  three <- local_three()
  folder <- file.path(withr::local_tempdir(), "new", "exports")
  sandbox_set_fault(three$sandbox, "truncated", content = "record", times = 1)
  exports <- export_many(c(three$names, "TEST"), to = folder)
  expect_named(exports, c("short_name", "ok", "rows", "bytes", "reason", "message", "seconds", "file"))
  expect_identical(sum(exports$ok), 2L)
  expect_identical(exports$reason[4], "argument")
  expect_identical(is.na(exports$file), !exports$ok)
  expect_setequal(list.files(folder, all.files = TRUE, no.. = TRUE), basename(exports$file[exports$ok]))
  for (n in which(exports$ok)) {
    expect_identical(basename(exports$file[n]), paste0(three$names[n], ".csv"))
    alone <- export_records(three$names[n], to = withr::local_tempfile())
    expect_identical(readLines(exports$file[n]), readLines(alone))
    expect_equal(file.size(exports$file[n]), exports$bytes[n])
  }
  again <- export_many(three$names, to = folder)
  expect_setequal(again$reason[!again$ok], "file")
  expect_identical(sum(again$ok), 1L)
  expect_true(all(export_many(three$names, to = folder, overwrite = TRUE)$ok))
})

test_that("each project has its own entries, and intents come before their outcomes", {
  three <- local_three()
  test_project_tokens(rep(three$projects, 10))
  files <- list.files(file.path(tempdir(), "keycap", "audit"), "jsonl$", full.names = TRUE)
  entries <- unlist(lapply(files, readLines))
  ids <- sub('.*"call_id":"([0-9a-f]+)".*', "\\1", entries)
  last <- utils::tail(unique(ids[grepl('"phase":"intent"', entries)]), 60)
  for (id in last) {
    of <- entries[ids == id]
    expect_length(of, 2)
    expect_match(of[1], '"phase":"intent"', fixed = TRUE)
    expect_match(of[2], '"phase":"outcome"', fixed = TRUE)
  }
  for (name in three$names) {
    expect_identical(sum(grepl(sprintf('"project":"%s"', name), entries[ids %in% last], fixed = TRUE)), 20L)
  }
})

test_that("Ctrl-C ends all of them at once", {
  local_world()
  server <- local_server()
  names <- sprintf("STUDY%d", 1:30)
  for (name in names) local_project(server$uri, name, token_name = "REDCapSync_STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  back <- vapply(1:2, function(round) {
    marker <- withr::local_tempfile()
    child <- callr::r_bg(
      function(names, marker) {
        options(keycap.quiet = TRUE, keycap.retries = 0)
        file.create(marker)
        outcome <- tryCatch(keycap::test_project_tokens(names), interrupt = function(i) "interrupted", error = class)
        list(outcome = outcome, back = as.numeric(Sys.time()))
      },
      list(names, marker),
      libpath = .libPaths()
    )
    withr::defer(child$kill())
    heard <- server$connections()
    wait_for(file.exists(marker))
    wait_for(server$connections() > heard)
    Sys.sleep(0.3)
    sent <- as.numeric(Sys.time())
    child$interrupt()
    child$wait(20000)
    result <- child$get_result()
    expect_identical(result$outcome, "interrupted")
    result$back - sent
  }, 0)
  # Twice, and the quicker one counts: another process may hold the machine for a moment.
  expect_lt(min(back), 0.5)
})
