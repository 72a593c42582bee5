# A sandbox whose log of keycap's begins with it.
new_sandbox <- function(frame = parent.frame()) {
  log <- file.path(tempdir(), "keycap", "audit")
  unlink(log, recursive = TRUE)
  withr::defer(unlink(log, recursive = TRUE), envir = frame)
  local_sandbox(frame)
}

# A call as another program makes it, past keycap.
call_directly <- function(sandbox, ...) {
  body <- c(token = "FA4EFA4EFA4EFA4EFA4EFA4E00000001", format = "csv", ...)
  body <- paste(names(body), body, sep = "=", collapse = "&")
  address <- regmatches(sandbox$redcap_uri, regexec("^http://([^:/]+):([0-9]+)(/.*)$", sandbox$redcap_uri))[[1]]
  connection <- socketConnection(address[2], as.integer(address[3]), blocking = TRUE, open = "r+b", timeout = 10)
  on.exit(close(connection))
  writeLines(c(
    sprintf("POST %s HTTP/1.1", address[4]), paste0("Host: ", address[2]), "Connection: close",
    "Content-Type: application/x-www-form-urlencoded", sprintf("Content-Length: %d", nchar(body)), "", body
  ), connection, sep = "\r\n")
  answer <- readLines(connection, warn = FALSE)
  expect_match(answer[1], " 200 ")
}

hour_ago <- function() Sys.time() - 3600

test_that("what was called through keycap matches REDCap's log, and nothing is left over", {
  local_world()
  project <- local_project(new_sandbox()$redcap_uri, "TEST")
  test_project_token(project)
  data <- export_records(project, fields = c("record_id", "sex"), records = 1:2)
  expect_identical(nrow(data), 2L)
  redcap_call(project, "record", data = "record_id,pulse\n1,71\n2,72\n", format = "csv")
  unlink(export_file(project, 1, "letter", to = withr::local_tempfile()))

  found <- reconcile_audit_log(project, since = hour_ago())
  expect_s3_class(found, c("keycap_reconciliation", "data.frame"), exact = TRUE)
  expect_named(found, c("time", "what", "user", "verdict", "entry", "remark"))
  expect_setequal(found$verdict, "matched")
  expect_identical(attr(found, "ahead"), 0L)
  expect_true("Data export (API): Export records (API) / record/export" %in% found$what)
  expect_true(all(c("Update record (API) 1 / record/import", "Update record (API) 2 / record/import") %in% found$what))
  expect_true("Manage/Design: Download file (API) / file/export" %in% found$what)
  expect_setequal(found$user, "admin")
  expect_s3_class(found$time, "POSIXct")
  log <- audit_log(sandbox = TRUE)
  expect_true(all(found$entry %in% log$entry))
  expect_identical(unique(sub("[?].*", "", log$action[match(found$entry, log$entry)])), unique(sub(".* / ", "", found$what)))
  expect_match(paste(format(found), collapse = "\n"), "0 only in REDCap, 0 only here.*UTC[+]00:00")
  # Reading REDCap's log is a call with entries of its own.
  expect_true("log" %in% sub("[?].*", "", log$action))
  expect_identical(nrow(reconcile_audit_log(project, since = hour_ago() - 7200, until = hour_ago())), 0L)
})

test_that("a call past keycap is found as the token's use elsewhere, once", {
  local_world()
  sandbox <- new_sandbox()
  project <- local_project(sandbox$redcap_uri, "TEST", redcap_user = "admin")
  export_records(project, fields = "sex")
  call_directly(sandbox, content = "record", action = "export")
  call_directly(sandbox, content = "report", report_id = 117)
  found <- reconcile_audit_log("TEST", since = hour_ago())
  elsewhere <- found[found$verdict == "only in REDCap", ]
  expect_identical(
    sort(elsewhere$what),
    c("Data export (API): Export records (API)", "Data export (API): Export report (API)")
  )
  expect_match(elsewhere$remark, "used elsewhere", all = TRUE)
  expect_true(all(is.na(elsewhere$entry)))
  expect_identical(sum(grepl("/ record/export", found$what, fixed = TRUE)), 1L)
  expect_match(paste(capture.output(print(found)), collapse = "\n"), "the token was used elsewhere")
})

test_that("what was done to the token is a token event", {
  local_world()
  sandbox <- new_sandbox()
  file <- withr::local_tempfile()
  sandbox_regenerate_token(sandbox, "TEST", "admin", to = file)
  withr::local_envvar(ADMIN = readLines(file))
  project <- local_project(sandbox$redcap_uri, "MINE", token_name = "ADMIN")
  found <- reconcile_audit_log(project, since = hour_ago())
  event <- found[found$remark %in% "token event", ]
  expect_identical(event$what, "Manage/Design: User regenerate own API token")
  expect_identical(event$verdict, "only in REDCap")
  expect_match(paste(format(found), collapse = "\n"), "what was done to tokens\n.*regenerate own API token")
})

test_that("what only this log has is told with its entry", {
  local_world()
  sandbox <- new_sandbox()
  project <- local_project(sandbox$redcap_uri, "TEST")
  export_records(project, fields = "sex")
  # The same log, with a call that this REDCap has never seen.
  folder <- withr::local_tempdir()
  file <- list.files(verify_audit_log(sandbox = TRUE)$folder, "[.]jsonl$", full.names = TRUE)
  lines <- readLines(file)
  lines <- c(lines, gsub("\"call_id\":\"", "\"call_id\":\"another-", sub("\"action\":\"record/export", "\"action\":\"record/delete", lines)))
  writeLines(lines, file.path(folder, basename(file)))
  found <- reconcile_audit_log(project, since = hour_ago(), paths = folder)
  here <- found[found$verdict == "only here", ]
  expect_identical(unique(here$what), "record/delete")
  expect_false(anyNA(here$entry))
  expect_match(here$remark, "no line for it", all = TRUE)
  expect_match(paste(format(found), collapse = "\n"), "only here\n +entry [0-9]+  record/delete")
})

test_that("who may not read REDCap's log is told what to do, and somebody else's token reads it", {
  local_world()
  sandbox <- new_sandbox()
  file <- withr::local_tempfile()
  sandbox_issue_token(sandbox, "TEST", "exporter", to = file)
  withr::local_envvar(EXPORTER = readLines(file))
  project <- local_project(sandbox$redcap_uri, "MINE", token_name = "EXPORTER", redcap_user = "exporter")
  export_records(project, fields = "sex")
  error <- expect_error(reconcile_audit_log(project, since = hour_ago()), class = "keycap_error_redcap")
  expect_match(conditionMessage(error), "logging.*read_by")
  reader <- local_project(sandbox$redcap_uri, "TEST")
  # From here on the entries of both have the number of the one project.
  test_project_token(reader)
  test_project_token(project)
  export_records(reader, fields = "record_id")
  found <- reconcile_audit_log(project, since = hour_ago(), read_by = reader)
  expect_identical(sum(found$what == "Data export (API): Export records (API) / record/export"), 1L)
  expect_setequal(found$user[found$verdict == "matched"], "exporter")
  expect_false("only here" %in% found$verdict)
  expect_gt(attr(found, "of_others"), 0)
  expect_identical(found$what[found$verdict == "only in REDCap"], "Manage/Design: Create API token")
  other <- local_project(sandbox$redcap_uri, "TEST_LONG")
  error <- expect_error(reconcile_audit_log(project, hour_ago(), read_by = other), class = "keycap_error_argument")
  expect_match(conditionMessage(error), "another REDCap project")
})

test_that("arguments are checked", {
  local_world()
  project <- local_project(new_sandbox()$redcap_uri, "TEST")
  expect_error(reconcile_audit_log(project), class = "keycap_error_argument")
  expect_error(reconcile_audit_log(since = hour_ago()), class = "keycap_error_argument")
  expect_error(reconcile_audit_log(project, "soon"), class = "keycap_error_argument")
  expect_error(reconcile_audit_log(project, hour_ago(), read_by = 1), class = "keycap_error_argument")
  expect_error(reconcile_audit_log(project, Sys.time(), until = hour_ago()), "later", class = "keycap_error_argument")
})
