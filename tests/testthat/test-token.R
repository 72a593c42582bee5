# A project whose server is never asked: for looking.
local_view <- function(frame = parent.frame()) {
  local_world(frame)
  local_project("https://redcap.example.org/api/", "STUDY", frame = frame)
}

test_that("view_project_token() returns one row of facts and shows no character of the token", {
  project <- local_view()
  token <- made_up_token()
  withr::local_envvar(REDCapSync_STUDY = token)
  text <- said(row <- view_project_token(project))
  expect_s3_class(row, "data.frame", exact = TRUE)
  expect_identical(names(row), c("token_name", "source", "is_set", "form", "n_chars", "fingerprint", "bound_by"))
  expect_identical(row$token_name, "REDCapSync_STUDY")
  expect_identical(row$source, "env")
  expect_identical(row$is_set, TRUE)
  expect_identical(row$form, "project token")
  expect_identical(row$n_chars, 32L)
  expect_match(row$fingerprint, "^kc1:[0-9a-f]{16}$")
  expect_match(text, row$fingerprint, fixed = TRUE)
  expect_identical(hits(text, token), character())
  expect_identical(hits_in(row, token), character())
})

test_that("what view_project_token() prints is what it says it is", {
  project <- local_view()
  # A constant, so that the fingerprint is; it opens nothing.
  withr::local_envvar(REDCapSync_STUDY = strrep("00", 16))
  withr::local_options(keycap.stores = "env")
  expect_snapshot(cat(said(view_project_token(project))))
  withr::local_envvar(REDCapSync_STUDY = NA)
  expect_snapshot(cat(said(view_project_token(project))))
})

test_that("the return value is invisible and quiet is quiet", {
  project <- local_view()
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  expect_invisible(view_project_token(project))
  expect_silent(view_project_token(project))
})

test_that("a name is looked up at each use: set, changed, emptied, unset", {
  project <- local_view()
  withr::local_options(keycap.stores = "env")
  withr::local_envvar(REDCapSync_STUDY = NA)
  blank <- view_project_token(project)
  expect_identical(blank$is_set, FALSE)
  expect_true(all(is.na(blank[c("source", "form", "n_chars", "fingerprint")])))
  Sys.setenv(REDCapSync_STUDY = made_up_token())
  first <- view_project_token(project)$fingerprint
  Sys.setenv(REDCapSync_STUDY = made_up_token())
  second <- view_project_token(project)$fingerprint
  expect_false(first == second)
  Sys.setenv(REDCapSync_STUDY = "")
  expect_identical(view_project_token(project)$is_set, FALSE)
  Sys.unsetenv("REDCapSync_STUDY")
  expect_identical(view_project_token(project)$is_set, FALSE)
})

test_that("the fingerprint does not depend on the letter case, and one trailing newline is trimmed", {
  project <- local_view()
  token <- made_up_token()
  prints <- vapply(c(token, tolower(token), paste0(token, "\n"), paste0(token, "\r\n")), FUN.VALUE = "", function(value) {
    withr::local_envvar(REDCapSync_STUDY = value)
    row <- view_project_token(project)
    expect_identical(row$form, "project token")
    row$fingerprint
  })
  expect_length(unique(prints), 1)
})

test_that("what is no project token is named precisely", {
  project <- local_view()
  withr::local_options(keycap.stores = "env")
  token <- made_up_token()
  cases <- list(
    list(paste0(token, made_up_token()), "super token", 64L, "super token"),
    list(paste0(token, "\n\n"), "malformed", 33L, "trailing newline"),
    list(substr(token, 1, 31), "malformed", 31L, "31 characters"),
    list(paste0("\"", token, "\""), "malformed", 34L, "quotes"),
    list(paste0(token, " # mine"), "malformed", 39L, "comment"),
    list(paste0(" ", token), "malformed", 33L, "leading blank"),
    list("change me", "malformed", 9L, "9 characters")
  )
  for (case in cases) {
    withr::local_envvar(REDCapSync_STUDY = case[[1]])
    text <- said(row <- view_project_token(project))
    expect_identical(row$form, case[[2]])
    expect_identical(row$n_chars, case[[3]])
    expect_match(text, case[[4]])
    expect_identical(hits(text, token), character())
    answer <- warned(test_project_token(project), case[[4]])
    expect_false(answer)
    expect_identical(attr(answer, "reason"), "token_form")
  }
})

test_that("an institution's own form of token is a setting", {
  project <- local_view()
  withr::local_envvar(REDCapSync_STUDY = paste0(made_up_token(38), "+/"))
  expect_identical(view_project_token(project)$form, "malformed")
  withr::local_options(keycap.token_form = "40:+/=")
  expect_identical(view_project_token(project)$form, "project token")
})

test_that("a token in .Renviron is found by the next session", {
  local_world()
  project <- local_project("https://redcap.example.org/api/", "STUDY")
  token <- made_up_token()
  renviron <- withr::local_tempfile(lines = paste0("REDCapSync_STUDY=", token))
  code <- "row <- keycap::view_project_token('STUDY'); cat(row$source, row$form, row$fingerprint)"
  there <- run_script(code, env = paste0("R_ENVIRON_USER=", shQuote(renviron)), vanilla = FALSE)
  expect_identical(attr(there, "status"), 0L)
  Sys.setenv(REDCapSync_STUDY = token)
  withr::defer(Sys.unsetenv("REDCapSync_STUDY"))
  here <- view_project_token(project)
  expect_match(there, paste("env project token", here$fingerprint), fixed = TRUE, all = FALSE)
  expect_identical(hits(there, token), character())
})

test_that("a project may be given by its short name", {
  project <- local_view()
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  expect_identical(view_project_token("STUDY"), view_project_token(project))
  expect_error(view_project_token("NOWHERE"), class = "keycap_error_project")
})

test_that("a sample token of the sandbox works, and REDCap's answers are told", {
  local_world()
  sandbox <- local_sandbox()
  for (n in seq_len(nrow(sandbox$projects))) {
    sample <- sandbox$projects[n, ]
    project <- setup_project(sample$short_name, redcap_uri = sandbox$redcap_uri)
    expect_identical(project$token_name, sample$token_name)
    text <- said(works <- test_project_token(project))
    expect_true(isTRUE(works))
    expect_null(attr(works, "reason"))
    expect_match(text, sample$title, fixed = TRUE)
    expect_match(text, "14\\.[0-9]+\\.[0-9]+")
    expect_match(text, "kc1:[0-9a-f]{16}")
    expect_match(text, "API/project_api.php?pid=", fixed = TRUE)
    expect_identical(attr(works, "project")$project_id, as.character(sample$project_id))
    expect_identical(load_project(sample$short_name)$project_id, as.character(sample$project_id))
  }
})

test_that("a revoked token is FALSE with its reason and one warning", {
  local_world()
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  expect_true(test_project_token(project))
  sandbox_revoke_token(sandbox, "TEST")
  answer <- warned(test_project_token(project))
  expect_false(answer)
  expect_identical(attr(answer, "reason"), "token_refused")
})

test_that("a regenerated token is dead at once, and the new one lives", {
  local_world()
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri, token_name = "CANARY_OWN")
  file <- withr::local_tempfile()
  sandbox_issue_token(sandbox, "TEST", "exporter", to = file)
  withr::local_envvar(CANARY_OWN = readLines(file))
  expect_true(test_project_token(project))
  other <- withr::local_tempfile()
  sandbox_regenerate_token(sandbox, "TEST", "exporter", to = other)
  answer <- warned(test_project_token(project))
  expect_identical(attr(answer, "reason"), "token_refused")
  withr::local_envvar(CANARY_OWN = readLines(other))
  expect_true(test_project_token(project))
})

test_that("a suspended user's token is refused until the suspension ends", {
  local_world()
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  sandbox_suspend_user(sandbox, "admin")
  answer <- warned(test_project_token(project))
  expect_identical(attr(answer, "reason"), "token_refused")
  sandbox_suspend_user(sandbox, "admin", suspended = FALSE)
  expect_true(test_project_token(project))
})

test_that("a token that is missing is FALSE, and tells how to set one", {
  local_world()
  withr::local_options(keycap.stores = "env")
  server <- local_server()
  project <- local_project(server$uri, "STUDY")
  answer <- warned(test_project_token(project), "Sys.setenv")
  expect_false(answer)
  expect_identical(attr(answer, "reason"), "token_missing")
  expect_identical(server$connections(), 0L)
})

test_that("nothing is sent for a malformed token", {
  local_world()
  server <- local_server()
  project <- local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token(64))
  answer <- warned(test_project_token(project))
  expect_identical(attr(answer, "reason"), "token_form")
  expect_identical(server$connections(), 0L)
})

test_that("a person is told, a script is warned", {
  local_world()
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  sandbox_revoke_token(sandbox, "TEST")
  withr::local_options(rlang_interactive = TRUE)
  expect_no_warning(text <- said(test_project_token(project)))
  expect_match(text, "refused the token")
})

test_that("a token that may not read project information is TRUE with that remark", {
  local_world()
  answer <- function(body, n) if (grepl("content=version", body)) version else refusal
  environment(answer) <- list2env(parent = baseenv(), list(
    version = http(200, "14.5.1", "text/plain"),
    refusal = http(403, "ERROR: You do not have API Export privileges", "text/plain")
  ))
  server <- local_server(answer)
  project <- local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  text <- said(works <- test_project_token(project))
  expect_true(isTRUE(works))
  expect_match(text, "may not read project information")
})

test_that("the first success pins the project id, and another id later is an error", {
  local_world()
  answers <- function(id) {
    answer <- function(body, n) if (grepl("content=version", body)) version else project
    environment(answer) <- list2env(parent = baseenv(), list(
      version = http(200, "14.5.1", "text/plain"),
      project = http(200, sprintf("{\"project_id\":%d,\"project_title\":\"P\"}", id), "application/json")
    ))
    answer
  }
  server <- local_server(answers(12))
  project <- local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  works <- test_project_token(project)
  expect_identical(attr(works, "project")$project_id, "12")
  expect_identical(load_project("STUDY")$project_id, "12")
  expect_true(test_project_token(project))
  text <- readLines(registry_file())
  writeLines(sub("\"project_id\": \"12\"", "\"project_id\": \"13\"", text), registry_file())
  error <- expect_error(test_project_token("STUDY"), class = "keycap_error_project_changed")
  expect_match(conditionMessage(error), "12.*13|13.*12")
})

# Whatever leaves the question open is an error with a class of its own.
local_asked <- function(uri, frame = parent.frame()) {
  withr::local_envvar(REDCapSync_STUDY = made_up_token(), .local_envir = frame)
  local_project(uri, "STUDY", frame = frame)
}

test_that("a name that does not resolve is an error of its own", {
  local_world()
  error <- expect_error(test_project_token(local_asked("https://redcap.x.invalid/api/")), class = "keycap_error_name_lookup")
  expect_match(conditionMessage(error), "redcap.x.invalid", fixed = TRUE)
})

test_that("a port at which nobody listens is an error of its own", {
  local_world()
  project <- local_asked(sprintf("http://127.0.0.1:%d/api/", closed_port()))
  expect_error(test_project_token(project), class = "keycap_error_connection")
})

test_that("a server that does not answer in time is an error of its own", {
  local_world()
  withr::local_options(keycap.timeout = 0.3)
  expect_error(test_project_token(local_asked(local_server()$uri)), class = "keycap_error_timeout")
})

test_that("a redirect is refused, the new address is told, and nothing is sent there", {
  local_world()
  second <- local_server()
  for (status in c(301, 302, 303, 307, 308)) {
    server <- local_answer(status, headers = paste0("Location: ", second$uri, "?token=x"))
    project <- local_asked(server$uri)
    error <- expect_error(test_project_token(project), class = "keycap_error_redirect")
    expect_match(conditionMessage(error), second$uri, fixed = TRUE)
    expect_match(conditionMessage(error), as.character(status))
    expect_no_match(conditionMessage(error), "token=x", fixed = TRUE)
    delete_project("STUDY")
  }
  expect_identical(second$connections(), 0L)
})

test_that("HTML is no answer of REDCap's, and its text is not shown", {
  local_world()
  for (status in c(200, 403, 404)) {
    project <- local_asked(local_answer(status, "<html><body>Sign in, hunter2</body></html>")$uri)
    error <- expect_error(test_project_token(project), class = "keycap_error_not_redcap")
    expect_no_match(conditionMessage(error), "hunter2")
    delete_project("STUDY")
  }
})

test_that("a failure of the server is an error of its own", {
  local_world()
  for (status in c(500, 502, 503, 504)) {
    project <- local_asked(local_answer(status, "<html>")$uri)
    error <- expect_error(test_project_token(project), class = "keycap_error_server")
    expect_match(conditionMessage(error), as.character(status))
    delete_project("STUDY")
  }
})

test_that("what REDCap says about a request is told", {
  local_world()
  body <- "{\"error\":\"The value of the parameter \\\"content\\\" is not valid\"}"
  project <- local_asked(local_answer(400, body, "application/json")$uri)
  expect_error(test_project_token(project), "\"content\" is not valid", class = "keycap_error_redcap")
})

test_that("text of the server is shown as data", {
  local_world()
  text <- "{system('id')} %s%n"
  project <- local_asked(local_answer(400, paste("ERROR:", text), "text/plain")$uri)
  expect_error(test_project_token(project), text, fixed = TRUE, class = "keycap_error_redcap")
})

test_that("without an entry in the audit log there is no call", {
  local_world()
  server <- local_answer(200, "14.5.1", "text/plain")
  project <- local_asked(server$uri)
  blocked <- withr::local_tempfile(lines = "a file where the folder should be")
  withr::local_envvar(R_USER_DATA_DIR = blocked)
  expect_error(test_project_token(project), class = "keycap_error_audit")
  expect_identical(server$bytes(), 0)
})

test_that("each call leaves an intent and an outcome in the audit log", {
  local_world()
  project <- local_asked(local_answer(403, "ERROR: You do not have permissions to use the API", "text/plain")$uri)
  suppressWarnings(test_project_token(project))
  text <- unlist(lapply(audit_files(), readLines, warn = FALSE))
  expect_match(text, view_project_token(project)$fingerprint, fixed = TRUE, all = FALSE)
  expect_match(text, "token_refused", fixed = TRUE, all = FALSE)
  expect_match(text, "REDCapSync_STUDY", fixed = TRUE, all = FALSE)
})

test_that("loopback never goes through a proxy", {
  local_world()
  proxy <- local_server()
  server <- local_answer(403, "ERROR: You do not have permissions to use the API", "text/plain")
  address <- sub("/api/$", "", proxy$uri)
  withr::local_envvar(http_proxy = address, https_proxy = address, HTTP_PROXY = address, ALL_PROXY = address)
  expect_warning(test_project_token(local_asked(server$uri)), class = "keycap_warning_token")
  expect_gt(server$bytes(), 0)
  expect_identical(proxy$connections(), 0L)
})

test_that("a super token, a token or anything like it is refused as an argument, without being repeated", {
  local_world()
  project <- local_project("https://redcap.example.org/api/", "STUDY")
  for (token in c(made_up_token(32), made_up_token(64), tolower(made_up_token(32)))) {
    spoilt <- project
    spoilt$token_name <- token
    calls <- list(
      function() setup_project(token), function() setup_project("A", token, "https://redcap.example.org/api/"),
      function() setup_project("A", redcap_uri = token),
      function() setup_project("A", redcap_uri = "https://redcap.example.org/api/", token_name = token),
      function() setup_project("A", redcap_uri = "https://redcap.example.org/api/", redcap_user = token),
      function() setup_project("A", redcap_uri = "https://redcap.example.org/api/", dag = token),
      function() load_project(token), function() delete_project(token), function() view_project_token(token),
      function() test_project_token(token), function() view_project_token(spoilt), function() test_project_token(spoilt)
    )
    for (call in calls) {
      error <- expect_error(call(), class = "keycap_error_token_in_argument")
      expect_identical(hits_in(error, token), character())
      expect_match(conditionMessage(error), "history", fixed = TRUE)
    }
  }
})

test_that("what a test answers prints TRUE or FALSE and the reason, and is TRUE to isTRUE()", {
  local_world()
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  works <- test_project_token(project)
  expect_true(isTRUE(works))
  expect_true(works)
  expect_identical(capture.output(print(works)), c("<keycap test> TRUE", "  project: TEST"))
  sandbox_revoke_token(sandbox, "TEST")
  works <- warned(test_project_token(project))
  expect_true(isFALSE(works))
  expect_identical(attr(works, "reason"), "token_refused")
  expect_identical(
    capture.output(print(works)),
    c("<keycap test> FALSE", "  project: TEST", "  reason:  token_refused")
  )
  # Edited by whom, it prints all the same.
  attr(works, "project") <- NULL
  attr(works, "reason") <- made_up_token()
  expect_identical(hits(capture.output(print(works)), attr(works, "reason")), character())
})
