study_project <- function(sandbox, user, ..., frame = parent.frame()) {
  name <- paste0("STUDY_", user)
  file <- withr::local_tempfile()
  suppressMessages(sandbox_issue_token(sandbox, "TEST_SITES", user, to = file))
  withr::local_envvar(stats::setNames(readLines(file), name), .local_envir = frame)
  setup_project(user, redcap_uri = sandbox$redcap_uri, token_name = name, redcap_user = user, ...)
}

settings_file <- function() file.path(tools::R_user_dir("keycap", "config"), "config.toml")

rows <- function(status) {
  status <- plain_frame(status)
  rownames(status) <- paste(status$short_name, status$rule)
  status
}

test_that("lengths of time are given as people say them", {
  local_world()
  for (week in list("7 days", 7, 7L, "1 week", as.difftime(1, units = "weeks"), as.difftime(168, units = "hours"))) {
    expect_identical(token_policy(max_age = week)$max_age, "7 days")
  }
  expect_identical(token_policy(max_idle = "12 hours")$max_idle, "12 hours")
  expect_error(token_policy(max_age = "3 months"), "90 days", class = "keycap_error_argument")
  for (wrong in list("soon", -1, 0, NA, c(1, 2), TRUE, list(7), Sys.Date(), "")) {
    expect_error(token_policy(max_age = wrong), class = "keycap_error_argument")
  }
  expect_error(token_policy(stores = "nowhere"), class = "keycap_error_argument")
  expect_error(token_policy(needs = "everything"), class = "keycap_error_argument")
  expect_error(token_policy(dag = "site_a"), class = "keycap_error_argument")
  expect_error(token_policy(on_breach = "stop"), class = "keycap_error_argument")
  expect_error(token_policy(unknown = c("warn", "allow")), class = "keycap_error_argument")
  expect_identical(format(token_policy()), "<keycap policy> asks for nothing")
  expect_output(print(token_policy(7, stores = c("vault", "aws"))), "stores: +aws, vault")
})

test_that("a policy is set for all and for one project, and refuses what it must with an entry", {
  local_world()
  begun <- Sys.time()
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  expect_identical(policy_status("TEST")$state, "ok")
  counts <- set_policy(token_policy(max_age = "90 days", max_idle = "60 days"))
  expect_identical(counts$max_age, "90 days")
  expect_identical(set_policy(token_policy("7 days"), project)$max_idle, "60 days")
  expect_match(readLines(settings_file()), "TEST = { max_age = \"7 days\" }", fixed = TRUE, all = FALSE)
  expect_error(set_policy(token_policy("91 days"), "TEST"), "would not count", class = "keycap_error_argument")
  expect_error(set_policy(token_policy("7 days"), "NOWHERE"), class = "keycap_error_project")
  expect_error(set_policy(list(max_age = 7)), class = "keycap_error_argument")
  status <- rows(policy_status("TEST"))
  expect_identical(status["TEST max_age", "limit"], "7 days")
  expect_identical(status$state, c("ok", "ok"))
  expect_true(all(status$days_left > c(6.9, 59.9) & status$days_left <= c(7, 60)))
  expect_match(status["TEST max_age", "evidence"], "since keycap first saw it")

  set_policy(token_policy(needs = "export", unknown = "refuse"), "TEST")
  refusal <- expect_error(export_records(project), class = "keycap_error_policy")
  expect_identical(refusal$rule, "needs")
  expect_match(refusal$fingerprint, "^kc1:")
  expect_true(test_project_token(project))
  expect_s3_class(check_project_rights(project), "keycap_rights")
  expect_true(all(test_project_tokens("TEST")$works))
  expect_identical(export_many("TEST")$reason, "policy")
  set_policy(token_policy(), "TEST")
  set_policy(token_policy())
  expect_s3_class(export_records(project), "data.frame")

  changes <- audit_log()
  changes <- changes[changes$action == "set_policy", ]
  expect_identical(changes$project, c(NA, "TEST", "TEST", "TEST", NA))
  expect_identical(changes$detail[c(2, 5)], c("max_age = 7 days", "none"))
  expect_true(all(changes$outcome == "ok"))
  # The session's log has what other tests did before.
  refused <- audit_log("TEST", since = begun, sandbox = TRUE)
  refused <- refused[refused$kind == "refused", ]
  expect_identical(unique(refused$outcome), "policy")
  expect_identical(refused$fingerprint[[1]], refusal$fingerprint)
})

test_that("REDCap's log, the checker and the declared group say how things stand", {
  local_world()
  sandbox <- local_sandbox()
  manager <- study_project(sandbox, "manager")
  site <- study_project(sandbox, "site_a", dag = "site_a")
  free <- study_project(sandbox, "site_c", dag = "site_c")
  service <- study_project(sandbox, "service")
  set_policy(token_policy("90 days", needs = "export", dag = TRUE, stores = "env"))
  alone <- rows(policy_status(list(site)))
  expect_identical(alone["site_a needs", "state"], "unknown")
  expect_match(alone["site_a max_age", "evidence"], "no log that could be read")
  status <- rows(policy_status(list(site, free, service), checked_by = manager))
  expect_identical(status["site_a needs", "state"], "ok")
  expect_identical(status[paste(c("site_a", "site_c", "service"), "dag"), "state"], c("ok", "breach", "breach"))
  expect_match(status["service dag", "message"], "set up without")
  expect_identical(status["service needs", "state"], "breach")
  expect_match(status["site_a max_age", "evidence"], "read by the checker")
  expect_identical(status["site_a stores", "state"], "ok")
  # What was found is what a call goes by.
  expect_warning(export_records(free, fields = "record_id"), "policy `dag`", class = "keycap_warning")
  expect_no_warning(export_records(site))
  set_policy(token_policy(needs = "export", on_breach = "refuse"))
  expect_error(export_records(service), class = "keycap_error_policy")
  expect_output(print(policy_status(list(service), checked_by = manager)), "BREACH +needs")
  expect_output(print(policy_status("service")["state"]), "breach")
  # A checker of another REDCap project has no word.
  other <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  least <- study_project(sandbox, "least")
  expect_identical(rows(policy_status(list(least), checked_by = other))["least needs", "state"], "unknown")
  # What was found once counts for its 30 days, also where nobody could say it this time.
  expect_identical(rows(policy_status(list(site)))["site_a needs", "state"], "ok")
  # A token that is gone is a line that says so.
  sandbox_revoke_token(sandbox, "TEST_SITES", "site_a")
  gone <- policy_status(list(site, "NOWHERE"))
  expect_identical(is.na(gone$rule), c(TRUE, FALSE, TRUE))
  expect_match(gone$message[c(1, 3)], "REDCap could not be asked|no project")
})

test_that("a person lets an idle token go on up to a day, with an entry", {
  local_world()
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  set_policy(token_policy(max_idle = "30 days"))
  until <- Sys.Date() + 30
  expect_null(reauthorize_project(project, until, by = "Dr. Ada Admin"))
  log <- audit_log(sandbox = TRUE)
  granted <- log[log$action == "reauthorize_project", ]
  expect_identical(granted$detail, sprintf("granted by Dr. Ada Admin until %s", until))
  for (wrong in c("soon", "2020-01-31", "2099-01-31")) {
    expect_error(reauthorize_project("TEST", wrong, "Dr. X"), class = "keycap_error_argument")
  }
  expect_error(reauthorize_project("TEST", until), class = "keycap_error_argument")
  expect_error(reauthorize_project("NOWHERE", until, "Dr. X"), class = "keycap_error_project")
})

test_that("what was stated or granted goes with the project", {
  local_world()
  dir <- withr::local_tempdir()
  uri <- "https://redcap.example.org/api/"
  setup_project("A", dir, uri, redcap_user = "u")
  declare_account("A", api_only = TRUE, by = "Dr. X", until = "2031-01-31")
  reauthorize_project("A", Sys.Date(), by = "Dr. X")
  kept <- function() {
    files <- list.files(dirname(registry_file()), "^(accounts|reauthorizations)[.]json$", full.names = TRUE)
    sum(grepl("Dr. X", unlist(lapply(files, readLines)), fixed = TRUE))
  }
  expect_identical(kept(), 2L)
  delete_project("A")
  expect_identical(kept(), 0L)
})
