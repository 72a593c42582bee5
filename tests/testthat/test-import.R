# Imports: what is checked, what is said, and that nothing is written or sent twice.

# What the sandbox has seen since the last time.
counts <- function(sandbox) {
  command <- list(do = "count", reset = TRUE)
  keycap:::core_call("sandbox_command", list(pid = unclass(sandbox)$pid, command = command))
}

# The imports in the project's log: the lines of the audit log that say so.
imports_sent <- function() {
  files <- list.files(file.path(tempdir(), "keycap", "audit"), "[.]jsonl$", full.names = TRUE)
  lines <- unlist(lapply(files, readLines, warn = FALSE))
  sum(grepl("\"intent\"", lines, fixed = TRUE) & grepl("record/import?", lines, fixed = TRUE) & grepl("overwriteBehavior", lines, fixed = TRUE))
}

# Answers what is asked for before an import, and never the import itself.
interrupted_import_answers <- function() {
  answer <- function(body, n) {
    if (n > 2) Sys.sleep(600)
    http(200, if (n == 1) project else metadata, "application/json")
  }
  served_by(answer)
}

# An answer for `local_server()`, with what it needs in its other process.
served_by <- function(answer) {
  plain <- http
  environment(plain) <- baseenv()
  metadata <- "[{\"field_name\":\"id\",\"field_type\":\"text\"},{\"field_name\":\"a\",\"field_type\":\"text\"}]"
  needs <- list(http = plain, project = "{\"project_id\":1}", metadata = metadata)
  environment(answer) <- list2env(needs, parent = baseenv())
  answer
}

local_test_project <- function(sandbox, short_name = "TEST") {
  setup_project(short_name, redcap_uri = sandbox$redcap_uri)
}

# The error that something ends in, done once.
caught <- function(expr, class) {
  error <- tryCatch({
    expr
    NULL
  }, error = identity)
  expect_s3_class(error, class)
  error
}

test_that("a dry run is the default, says what would change and writes nothing", {
  local_world()
  sandbox <- local_sandbox()
  project <- local_test_project(sandbox)
  data <- data.frame(record_id = c(4, 1e5), first_name = c("Neu", "Ada"), consent = c(NA, TRUE), pulse = c(NA, 61L))
  sent <- imports_sent()
  shown <- said(changes <- import_records(project, data))
  expect_match(shown, "1 new record, 1 changed value in 2 records; nothing was written", fixed = TRUE)
  expect_match(shown, "dry_run = FALSE", fixed = TRUE)
  expect_named(changes, c("record", "event", "repeat_instrument", "repeat_instance", "field", "old", "new", "kind"))
  expect_identical(changes$record, c("4", rep("100000", 4)))
  expect_identical(changes$field, c("first_name", "record_id", "first_name", "consent", "pulse"))
  expect_identical(changes$new, c("Neu", "100000", "Ada", "1", "61"))
  expect_identical(changes$kind, c("change", rep("new record", 4)))
  expect_identical(is.na(changes$old), c(FALSE, TRUE, TRUE, TRUE, TRUE))
  expect_identical(imports_sent(), sent)
  expect_identical(import_records(project, data), changes)

  # Done for real; then nothing would change.
  counts(sandbox)
  shown <- said(taken <- withVisible(import_records(project, data, dry_run = FALSE)))
  expect_false(taken$visible)
  expect_identical(taken$value, data.frame(record = c("4", "100000"), sent = c("4", "100000")))
  expect_match(shown, "2 records were imported", fixed = TRUE)
  expect_identical(imports_sent(), sent + 1L)
  # On a connection of its own.
  count <- counts(sandbox)
  expect_identical(c(count$total, count$connections), c(3L, 2L))
  expect_match(said(changes <- import_records(project, data)), "nothing would change", fixed = TRUE)
  expect_identical(nrow(changes), 0L)
})

test_that("blanks leave what is there, unless they are to overwrite it", {
  local_world()
  sandbox <- local_sandbox()
  project <- local_test_project(sandbox)
  data <- data.frame(record_id = "4", first_name = NA, last_name = "")
  expect_identical(nrow(import_records(project, data)), 0L)
  changes <- import_records(project, data, blanks = "overwrite")
  expect_identical(changes$kind, c("blank", "blank"))
  expect_identical(changes$new, c(NA_character_, NA_character_))
  import_records(project, data, dry_run = FALSE)
  expect_identical(import_records(project, data, blanks = "overwrite"), changes)
  import_records(project, data, dry_run = FALSE, blanks = "overwrite")
  expect_identical(nrow(import_records(project, data, blanks = "overwrite")), 0L)
  expect_error(import_records(project, data, blanks = "erase"), "is `keep` or `overwrite`", class = "keycap_error_argument")
})

test_that("R's types are sent as REDCap writes them", {
  local_world()
  sandbox <- local_sandbox()
  project <- local_test_project(sandbox)
  data <- data.frame(
    record_id = factor(c("r2", "r1")),
    sex = factor(c("Diverse", NA), levels = c("Male", "Diverse")),
    consent = c(TRUE, FALSE),
    birth_date = as.Date(c("2000-02-29", NA)),
    height = c(170.25, 1e2),
    pulse = c(60, NA),
    smoker = c("False", "1"),
    symptoms____9 = c(TRUE, NA),
    remarks = c("Z\u00fcrich, \"x\"\r\ny", enc2native("\u00e4")),
    visit_time = as.POSIXct("2021-07-01 23:30", tz = "Europe/Vienna") + c(0, 3600)
  )
  wanted <- list(
    sex = c("2", NA), consent = c("1", "0"), birth_date = c("2000-02-29", NA), height = c("170.25", "100"),
    pulse = c("60", NA), smoker = c("0", "1"), symptoms____9 = c("1", NA),
    remarks = c("Z\u00fcrich, \"x\"\r\ny", "\u00e4"), visit_time = c("2021-07-01 23:30", "2021-07-02 00:30")
  )
  check <- function(data) {
    changes <- import_records(project, data)
    for (field in names(wanted)) {
      new <- changes$new[changes$field == field][match(c("r2", "r1"), changes$record[changes$field == field])]
      expect_identical(new, wanted[[field]], info = field)
    }
  }
  check(data)
  # The same from other classes of data frames and times; texts that another encoding is marked for.
  class(data) <- c("tbl_df", "tbl", "data.frame")
  data$visit_time <- as.POSIXlt(data$visit_time)
  data$remarks <- iconv(data$remarks, "UTF-8", "latin1")
  data$height <- I(data$height)
  check(data)
  # In a session of another zone, times without a zone are what they look like.
  withr::with_timezone("America/New_York", {
    data$visit_time <- as.POSIXct(c("2021-07-01 23:30", "2021-07-02 00:30"))
    check(data)
  })

  data$visit_time <- NULL
  import_records(project, data, dry_run = FALSE)
  expect_identical(nrow(import_records(project, data)), 0L)
})

test_that("columns that R can hold and REDCap cannot are refused by their number", {
  local_world()
  sandbox <- local_sandbox()
  project <- local_test_project(sandbox)
  bad <- function(column) {
    data <- data.frame(record_id = 1)
    data$pulse <- column
    conditionMessage(caught(import_records(project, data), "keycap_error_argument"))
  }
  expect_match(bad(as.difftime(1, units = "mins")), "column 2 of the data frame: a column of class `difftime`", fixed = TRUE)
  expect_match(bad(structure(1, class = "integer64")), "`integer64`", fixed = TRUE)
  expect_match(bad(list(1)), "column 2 of the data frame", fixed = TRUE)
  expect_match(bad(1i), "column 2 of the data frame", fixed = TRUE)
  expect_match(bad(as.raw(1)), "column 2 of the data frame", fixed = TRUE)
  # R would turn these into `<ff>`.
  raw <- "\xff"
  for (text in list(raw, factor(raw), structure(raw, class = "AsIs"), `Encoding<-`(raw, "bytes"), `Encoding<-`(raw, "UTF-8"))) {
    expect_match(bad(text), "column 2 of the data frame: a text is not valid in its encoding", fixed = TRUE)
  }
  for (data in list(1, "x", NULL, list(record_id = 1), matrix(1))) {
    expect_match(conditionMessage(caught(import_records(project, data), "keycap_error_argument")), "`data` must be a data frame", fixed = TRUE)
  }
  expect_error(import_records(project), "`data` is missing", class = "keycap_error_argument")
  expect_error(import_records(), "`project` is missing", class = "keycap_error_argument")
})

test_that("everything that does not fit is said at once, and nothing is sent", {
  local_world()
  sandbox <- local_sandbox()
  project <- local_test_project(sandbox)
  sent <- imports_sent()
  error <- caught(import_records(project, data.frame(record_id = 1, plus = 1, hight = 2), dry_run = FALSE), "keycap_error_argument")
  expect_match(conditionMessage(error), "`plus`, `hight` (did you mean `height`?)", fixed = TRUE)
  expect_identical(error$columns, c("plus", "hight"))
  expect_identical(error$call, quote(import_records()))

  error <- caught(import_records(project, data.frame(record_id = 1, bmi = 1, letter = "x"), dry_run = FALSE), "keycap_error_argument")
  expect_match(conditionMessage(error), "`bmi` (REDCap calculates it), `letter` (files have a method of their own)", fixed = TRUE)
  expect_match(conditionMessage(error), "data[c(\"bmi\", \"letter\")] <- NULL", fixed = TRUE)

  data <- data.frame(record_id = c("1", "2"), sex = c("7", "Male"), birth_date = c("1.2.1980", NA), pulse = c(60.5, 61))
  for (dry_run in c(TRUE, FALSE)) {
    error <- caught(import_records(project, data, dry_run = dry_run), "keycap_error_argument")
    expect_match(conditionMessage(error), "3 values of `data` do not fit", fixed = TRUE)
    expect_named(error$problems, c("row", "record", "field", "value", "message"))
    expect_identical(error$problems$field, c("sex", "birth_date", "pulse"))
    expect_identical(error$problems$value, c("7", "1.2.1980", "60.5"))
  }
  error <- caught(import_records(project, data.frame(record_id = c(1, 1)), dry_run = FALSE), "keycap_error_argument")
  expect_match(conditionMessage(error), "rows 1 and 2", fixed = TRUE)
  long <- local_test_project(sandbox, "TEST_LONG")
  expect_error(import_records(long, data.frame(record_id = 1)), "redcap_event_name", class = "keycap_error_argument")
  expect_identical(imports_sent(), sent)

  # Beyond the range REDCap takes it too.
  expect_warning(import_records(project, data.frame(record_id = 1, pulse = 999L)), "record `1`, `pulse`", class = "keycap_warning")
})

test_that("a project's own token in the data is neither sent nor shown", {
  local_world()
  sandbox <- local_sandbox()
  file <- withr::local_tempfile()
  sandbox_issue_token(sandbox, "TEST", "editor", to = file)
  token <- readLines(file)
  withr::local_envvar(MY_IMPORT_TOKEN = token)
  project <- setup_project("MINE", redcap_uri = sandbox$redcap_uri, token_name = "MY_IMPORT_TOKEN")
  data <- data.frame(record_id = 1, remarks = paste("it is", tolower(token)))
  sent <- imports_sent()
  error <- caught(import_records(project, data, dry_run = FALSE), "keycap_error_token_in_argument")
  expect_identical(hits_in(unclass(error), token), character())
  expect_identical(imports_sent(), sent)
})

test_that("what an export could not convert is not blanked", {
  local_world()
  sandbox <- local_sandbox()
  project <- local_test_project(sandbox)
  data <- data.frame(record_id = c("3", "4"), pulse = NA_integer_)
  attr(data, "keycap_problems") <- data.frame(record = "4", field = "pulse", value = "UNK")
  expect_no_error(import_records(project, data))
  error <- caught(import_records(project, data, blanks = "overwrite"), "keycap_error_argument")
  expect_identical(error$problems$value, "UNK")
  expect_match(conditionMessage(error), "record `4`, `pulse`", fixed = TRUE)
  attr(data, "keycap_problems") <- NULL
  expect_identical(unique(import_records(project, data, blanks = "overwrite")$kind), "blank")
})

test_that("a time-out in the middle of an import leaves its outcome unknown, and it is not sent again", {
  local_world()
  withr::local_options(keycap.retries = 2, keycap.timeout = 1)
  sandbox <- local_sandbox()
  project <- local_test_project(sandbox)
  # The server gives the first one up when the client does; the second one it has done, and is slow to say so.
  faults <- list(lost = list("latency", ms = 2500L), done = list("slow", bytes = 1L, ms = 400L))
  for (what in names(faults)) {
    data <- data.frame(record_id = paste0(what, 1:2), pulse = 60:61)
    counts(sandbox)
    sent <- imports_sent()
    do.call(sandbox_set_fault, c(list(sandbox), faults[[what]], content = "record", times = 1L))
    error <- caught(import_records(project, data, dry_run = FALSE), "keycap_error_outcome_unknown")
    records <- sprintf("the import of 2 records (`%s1`, `%s2`) was sent and its outcome is not known", what, what)
    expect_match(conditionMessage(error), records, fixed = TRUE)
    expect_identical(error$in_doubt, data$record_id)
    expect_length(error$imported, 0)
    expect_length(error$not_sent, 0)
    Sys.sleep(2)
    # One arrival, one intent.
    expect_identical(counts(sandbox)$contents$record, 1L)
    expect_identical(imports_sent(), sent + 1L)
    # As the error says: a dry run shows where it stands.
    expect_match(conditionMessage(error), "dry_run = TRUE", fixed = TRUE)
    left <- import_records(project, data)
    expect_identical(nrow(left), if (what == "lost") 4L else 0L)
  }
})

test_that("a connection that is torn behind the data leaves the outcome unknown, although the data arrived", {
  local_world()
  withr::local_options(keycap.retries = 2)
  sandbox <- local_sandbox()
  project <- local_test_project(sandbox)
  data <- data.frame(record_id = c("y1", "y2", "y3", "y4"), pulse = 60:63)
  counts(sandbox)
  sandbox_set_fault(sandbox, "reset_after_body", content = "record", times = 1L)
  error <- caught(import_records(project, data, dry_run = FALSE, batch_size = 2), "keycap_error_outcome_unknown")
  expect_identical(error$in_doubt, c("y1", "y2"))
  expect_identical(error$not_sent, c("y3", "y4"))
  expect_identical(counts(sandbox)$contents$record, 1L)
  left <- import_records(project, data)
  expect_identical(unique(left$record), c("y3", "y4"))
  counts(sandbox)
  # Going on, in batches.
  taken <- import_records(project, data[data$record_id %in% error$not_sent, ], dry_run = FALSE, batch_size = 1)
  expect_identical(taken$record, c("y3", "y4"))
  expect_identical(counts(sandbox)$contents$record, 2L)
  expect_identical(nrow(import_records(project, data)), 0L)
})

test_that("an import that never left is a failure of the connection, and known not to have arrived", {
  local_world()
  withr::local_options(keycap.retries = 2)
  # A server that is gone once it has told what is needed to check the data.
  answer <- function(body, n) {
    # In the loop of `serve()`.
    if (n == 2) close(parent.frame()$server)
    http(200, if (n == 1) project else metadata, "application/json")
  }
  server <- local_server(served_by(answer))
  project <- local_project(server$uri, "GONE")
  withr::local_envvar(REDCapSync_GONE = made_up_token())
  error <- tryCatch(import_records(project, data.frame(id = 1, a = 2), dry_run = FALSE), error = identity)
  expect_s3_class(error, "keycap_error_connection")
  expect_identical(error$not_sent, "1")
  expect_length(error$in_doubt, 0)
  expect_identical(server$connections(), 2L)
  expect_no_match(server$heard(), "action=import", fixed = TRUE)
})

test_that("what REDCap objects to is a table of the condition", {
  local_world()
  sandbox <- local_sandbox()
  project <- local_test_project(sandbox)
  # An e-mail address is REDCap's to check.
  error <- caught(import_records(project, data.frame(record_id = c("3", "4"), email = "no \"body\""), dry_run = FALSE), "keycap_error_redcap")
  expect_identical(error$problems$record, c("3", "4"))
  expect_identical(error$problems$value, rep("no \"body\"", 2))
  expect_match(error$problems$message, "could not be validated")
  expect_identical(error$not_sent, c("3", "4"))
})

test_that("a token without the right to import is told so", {
  local_world()
  sandbox <- local_sandbox()
  file <- withr::local_tempfile()
  sandbox_issue_token(sandbox, "TEST", "exporter", to = file)
  withr::local_envvar(EXPORTER = readLines(file))
  project <- setup_project("EXPORTER", redcap_uri = sandbox$redcap_uri, token_name = "EXPORTER")
  data <- data.frame(record_id = "4", pulse = 60L)
  expect_no_error(import_records(project, data))
  error <- caught(import_records(project, data, dry_run = FALSE), "keycap_error_redcap")
  expect_match(conditionMessage(error), "API Import/Update privileges", fixed = TRUE)
  expect_match(conditionMessage(error), "lacks a right", fixed = TRUE)

  file <- withr::local_tempfile()
  sandbox_issue_token(sandbox, "TEST", "importer", to = file)
  withr::local_envvar(IMPORTER = readLines(file))
  project <- setup_project("IMPORTER", redcap_uri = sandbox$redcap_uri, token_name = "IMPORTER")
  expect_error(import_records(project, data), "needs the API Export right", class = "keycap_error_redcap")
})

test_that("REDCap numbers the records when it is asked to", {
  local_world()
  sandbox <- local_sandbox()
  project <- local_test_project(sandbox)
  data <- data.frame(record_id = c("a", "b"), pulse = 60:61)
  expect_identical(unique(import_records(project, data, auto_number = TRUE)$kind), "new record")
  taken <- import_records(project, data, dry_run = FALSE, auto_number = TRUE)
  expect_identical(taken, data.frame(record = c("1201", "1202"), sent = c("a", "b")))
})

test_that("Ctrl-C while data are on their way says that the outcome is not known", {
  local_world()
  server <- local_server(interrupted_import_answers())
  local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  child <- callr::r_bg(
    function() {
      options(keycap.retries = 0)
      said <- character()
      outcome <- tryCatch(
        withCallingHandlers(
          keycap::import_records("STUDY", data.frame(id = 1, a = 2), dry_run = FALSE),
          message = function(m) said <<- c(said, conditionMessage(m))
        ),
        interrupt = function(i) "interrupted"
      )
      list(outcome = outcome, said = said)
    },
    libpath = .libPaths()
  )
  withr::defer(child$kill())
  wait_for(grepl("action=import", server$heard(), fixed = TRUE))
  Sys.sleep(0.3)
  child$interrupt()
  child$wait(20000)
  result <- child$get_result()
  expect_identical(result$outcome, "interrupted")
  expect_match(result$said, "its outcome is not known", fixed = TRUE, all = FALSE)
  text <- unlist(lapply(audit_files(), readLines, warn = FALSE))
  expect_match(text, "interrupted", fixed = TRUE, all = FALSE)
})
