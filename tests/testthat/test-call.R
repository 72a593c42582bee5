# Any call, and the named ones.

# The last intent in the audit log of this session's sandboxes.
last_action <- function() {
  files <- list.files(file.path(tempdir(), "keycap", "audit"), pattern = "jsonl$", full.names = TRUE)
  intents <- grep("\"phase\":\"intent\"", unlist(lapply(files, readLines, encoding = "UTF-8")), value = TRUE, fixed = TRUE)
  sub(".*\"action\":\"([^\"]*)\".*", "\\1", intents[length(intents)])
}

# A value that a method of the sandbox must have.
is_frame <- function(...) {
  columns <- c(...)
  function(x) is.data.frame(x) && nrow(x) > 0L && all(columns %in% names(x)) && all(vapply(x, is.character, NA))
}
is_text <- function(pattern) function(x) rlang::is_string(x) && grepl(pattern, x)
is_file <- function(name, begins) {
  function(x) basename(x) == name && identical(readBin(x, "raw", nchar(begins, "bytes")), charToRaw(enc2utf8(begins)))
}

test_that("every method that the sandbox speaks is reached through redcap_call()", {
  local_world()
  sandbox <- local_sandbox()
  test <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  long <- setup_project("TEST_LONG", redcap_uri = sandbox$redcap_uri)
  repeated <- setup_project("TEST_REPEAT", redcap_uri = sandbox$redcap_uri)
  folder <- withr::local_tempdir()
  own <- file.path(withr::local_tempdir(), "Gr\u00f6\u00dfe.bin")
  bytes <- as.raw(c(0:255, 13, 10, 0))
  writeBin(bytes, own)
  into <- function(name) {
    dir.create(file.path(folder, name))
    file.path(folder, name)
  }
  survey <- list(record = "1", instrument = "enrolment", event = "enrolment_arm_1")

  # In this order: what is deleted was there before. Each has the project, the parameters, and what must come.
  methods <- list(
    "version/export" = list(test, list(), is_text("^14[.]")),
    "project/export" = list(test, list(), is_frame("project_id", "project_title", "missing_data_codes")),
    "project_xml/export" = list(test, list(returnMetadataOnly = TRUE), is_text("^<[?]xml.*</ODM>")),
    "record/export" = list(test, list(fields = c("record_id", "sex"), records = 1:3), function(x) {
      is_frame("record_id", "sex")(x) && identical(x$record_id, c("1", "2", "3")) && ncol(x) == 2L
    }),
    "record/import" = list(test, list(data = "record_id,pulse\n1,72\n2,73\n", format = "csv"), is_text("^2$")),
    "record/rename" = list(test, list(action = "rename", record = "3", new_record_name = "1e5"), is_text("^1$")),
    "record/delete" = list(test, list(action = "delete", records = "1e5"), is_text("^1$")),
    "report/export" = list(test, list(report_id = 117L), is_frame("record_id", "bmi")),
    "metadata/export" = list(test, list(forms = list("health")), is_frame("field_name", "field_annotation")),
    "exportFieldNames/export" = list(test, list(), is_frame("original_field_name", "export_field_name")),
    "instrument/export" = list(test, list(), is_frame("instrument_name", "instrument_label")),
    "pdf/export" = list(test, list(instrument = "health", to = into("pdf")), is_file("health_TEST.pdf", "%PDF-1.4\n")),
    "arm/export" = list(long, list(arms = 1), is_frame("arm_num", "name")),
    "event/export" = list(long, list(), is_frame("unique_event_name")),
    "formEventMapping/export" = list(long, list(), is_frame("unique_event_name", "form")),
    "repeatingFormsEvents/export" = list(repeated, list(), is_frame("event_name", "form_name")),
    "file/import" = list(test, list(action = "import", record = 1, field = "letter", file = own), is_text("^$")),
    "file/export" = list(test, list(record = 1, field = "letter", to = into("file")), function(x) {
      basename(x) == "Gr\u00f6\u00dfe.bin" && identical(readBin(x, "raw", 1000), bytes)
    }),
    "file/delete" = list(test, list(action = "delete", record = 1, field = "letter"), is_text("^$")),
    "fileRepository/import" = list(test, list(action = "import", folder_id = 1, file = own), is_text("^$")),
    "fileRepository/list" = list(test, list(action = "list", folder_id = 1), function(x) {
      is_frame("folder_id", "doc_id", "name")(x) && identical(x$name, c("protocol.pdf", "Gr\u00f6\u00dfe.bin"))
    }),
    "fileRepository/export" = list(test, list(doc_id = 3, to = into("repository")), is_file("protocol.pdf", "%PDF-1.4\n")),
    "fileRepository/delete" = list(test, list(action = "delete", doc_id = 3), is_text("^$")),
    "fileRepository/createFolder" = list(
      test, list(action = "createFolder", name = "New", format = "json"), is_text("folder_id")
    ),
    "log/export" = list(test, list(beginTime = Sys.Date() - 1, logtype = "manage"), is_frame("timestamp", "details")),
    "user/export" = list(test, list(), is_frame("username", "email", "forms")),
    "userRole/export" = list(test, list(), is_frame("unique_role_name", "role_label")),
    "userRoleMapping/export" = list(test, list(), is_frame("username", "unique_role_name")),
    "dag/export" = list(test, list(), is_frame("unique_group_name")),
    "userDagMapping/export" = list(test, list(), is_frame("username", "redcap_data_access_group")),
    "dag/switch" = list(test, list(action = "switch", dag = "north"), is_text("^1$")),
    "surveyLink/export" = list(repeated, survey, is_text("^https://.*[?]s=")),
    "surveyQueueLink/export" = list(repeated, list(record = "1"), is_text("^https://.*[?]sq=")),
    "surveyReturnCode/export" = list(repeated, survey, is_text("^[A-Z0-9]{8}$")),
    "surveyAccessCode/export" = list(repeated, survey, is_text("^[A-Z0-9]{9}$")),
    "participantList/export" = list(repeated, survey[-1], is_frame("email", "survey_link")),
    "generateNextRecordName/export" = list(repeated, list(), is_text("^[0-9]+$"))
  )
  spoken <- core_call("sandbox_command", list(pid = sandbox$pid, command = list(do = "methods")), quote(test()))
  expect_setequal(names(methods), unlist(spoken$methods))

  for (name in names(methods)) {
    method <- methods[[name]]
    content <- sub("/.*", "", name)
    value <- do.call(redcap_call, c(list(method[[1]], content), method[[2]]))
    expect_true(method[[3]](value), label = paste(name, "gave", deparse1(value)))
    # What went out is what the test says, and no value stands in the log.
    action <- last_action()
    expect_true(sub("[?].*", "", action) %in% c(name, content), label = action)
    logged <- gsub("\\[[0-9-]+\\]", "", strsplit(sub("^[^?]*[?]?", "", action), "&")[[1]])
    given <- setdiff(as.character(names(method[[2]])), c("to", "action", "format"))
    expect_setequal(setdiff(logged, c("format", "returnFormat")), given)
  }
})

test_that("parameters are sent as REDCap wants them", {
  local_world()
  server <- local_answer(200, "a\n", "text/csv")
  local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  at <- as.POSIXct("2026-01-02 03:04:05", tz = "America/New_York")
  redcap_call(
    "STUDY", "record",
    records = c(1e5, 123456789012), fields = "a,b", forms = list("x", factor("y")), events = NULL,
    exportSurveyFields = TRUE, exportDataAccessGroups = FALSE, dateRangeBegin = at, dateRangeEnd = as.Date("2026-02-03"),
    decimalCharacter = c(note = "."), number = 0.1, filterLogic = "[a] = '\u00e4' & 1"
  )
  body <- utils::URLdecode(gsub("+", " ", sub(".*\r\n\r\n", "", server$heard()), fixed = TRUE))
  Encoding(body) <- "UTF-8"
  expect_identical(
    sub("^token=[^&]*&", "", body),
    paste0(
      "content=record&action=export&format=csv&returnFormat=json&records[0]=100000&records[1]=123456789012&fields[0]=a,b",
      "&forms[0]=x&forms[1]=y&exportSurveyFields=true&exportDataAccessGroups=false&dateRangeBegin=2026-01-02 03:04:05",
      "&dateRangeEnd=2026-02-03&decimalCharacter=.&number=0.1&filterLogic=[a] = '\u00e4' & 1"
    )
  )
})

test_that("what cannot be sent is an error about the argument, before anything is looked up or sent", {
  local_world()
  server <- local_server()
  local_project(server$uri, "STUDY")
  ask <- function(content = "record", ...) redcap_call("STUDY", content, ...)
  refused <- function(expr, argument = NULL) {
    error <- expect_error(expr, class = "keycap_error_argument")
    if (!is.null(argument)) expect_identical(error$argument, argument)
    expect_identical(error$call, quote(redcap_call()))
  }
  refused(ask(1), "content")
  refused(ask("rec ord"), "content")
  refused(ask(fields = NA_character_), "fields")
  refused(ask(records = c(1, NA)), "records")
  refused(ask(records = character()), "records")
  refused(ask(data = data.frame(a = 1)), "data")
  refused(ask(fields = list(list("a"))), "fields")
  refused(ask(fields = quote(a)), "fields")
  refused(ask(n = structure(1, class = "integer64")), "n")
  refused(ask(n = 1e17), "n")
  refused(ask(n = NaN), "n")
  refused(ask(n = Inf), "n")
  refused(ask(n = 1i), "n")
  refused(ask("record", "unnamed"))
  refused(ask(`a b` = 1))
  refused(ask(token = "x"), "token")
  refused(ask(format = "json"), "format")
  refused(ask(as = "list"), "as")
  refused(ask(as = "file"), "to")
  refused(ask(as = "text", to = tempdir()), "to")
  refused(ask(data = "a"), "format")
  refused(ask("version", as = "data.frame"), "as")
  refused(ask("pdf"), "to")
  refused(redcap_call("STUDY"), "content")
  refused(redcap_call(), "project")
  for (token in list(made_up_token(), made_up_token(64), c("x", made_up_token()))) {
    expect_error(ask(records = token), class = "keycap_error_token_in_argument")
    named <- stats::setNames(list("STUDY", "record", 1), c("", "", token[length(token)]))
    expect_error(do.call(redcap_call, named), class = "keycap_error_token_in_argument")
  }
  expect_identical(server$connections(), 0L)
  expect_identical(grep("refused", unlist(lapply(audit_files(), readLines)), value = TRUE), character())
})

test_that("creating a project is refused before anything is looked up or sent", {
  local_world()
  server <- local_server()
  local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token(64))
  for (data in c("[{\"project_title\":\"x\",\"purpose\":0}]", "")) {
    error <- expect_error(redcap_call("STUDY", "project", data = data, format = "json"), class = "keycap_error_argument")
    expect_match(conditionMessage(error), "super token")
  }
  # A super token is of no use for anything else either.
  expect_error(redcap_call("STUDY", "project"), class = "keycap_error_token_form")
  expect_identical(server$connections(), 0L)
})

test_that("a file gets the server's name made safe, in the folder and nowhere else", {
  local_world()
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  names <- c("../../../evil.sh" = "evil.sh", "C:\\\\temp\\\\x.pdf" = "x.pdf", ".Rprofile" = "Rprofile", "nul.txt" = "_nul.txt", ".." = "redcap_file")
  for (name in names(names)) {
    server <- local_answer(200, "content", sprintf("application/octet-stream; name=\"%s\"", name))
    local_project(server$uri, "STUDY", overwrite = TRUE)
    folder <- withr::local_tempdir()
    path <- export_file("STUDY", 1, "letter", to = folder)
    expect_identical(path, file.path(normalizePath(folder, winslash = "/"), names[[name]]))
    expect_identical(list.files(folder, all.files = TRUE, no.. = TRUE), names[[name]])
    expect_identical(readLines(path, warn = FALSE), "content")
    if (.Platform$OS.type == "unix") expect_identical(file.mode(path), as.octmode("600"))
    expect_error(export_file("STUDY", 1, "letter", to = folder), class = "keycap_error_file")
    expect_error(export_file("STUDY", 1, "letter", to = path), class = "keycap_error_file")
    expect_identical(readLines(path, warn = FALSE), "content")
  }
  withr::local_dir(folder)
  expect_identical(export_file("STUDY", "1", "letter", to = "there.bin"), file.path(normalizePath(folder, winslash = "/"), "there.bin"))
  expect_error(export_file("STUDY", 1, "letter", to = "no/such/folder"), class = "keycap_error_file")
})

test_that("a token in a file is withheld, and no file stays", {
  local_world()
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  server <- local_echo(200, "%PDF-1.4 %token% ", "application/pdf; name=\"a.pdf\"")
  local_project(server$uri, "STUDY")
  folder <- withr::local_tempdir()
  expect_error(redcap_call("STUDY", "pdf", to = folder), class = "keycap_error_token_echo")
  expect_error(redcap_call("STUDY", "pdf", as = "text"), class = "keycap_error_token_echo")
  expect_error(redcap_call("STUDY", "generateNextRecordName"), class = "keycap_error_token_echo")
  expect_identical(list.files(folder, all.files = TRUE, no.. = TRUE), character())
})

test_that("a redirect is not followed by any call", {
  local_world()
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  other <- local_server()
  server <- local_answer(307, "", headers = paste("Location:", other$uri))
  local_project(server$uri, "STUDY")
  expect_error(redcap_call("STUDY", "record"), class = "keycap_error_redirect")
  expect_error(redcap_call("STUDY", "record", action = "delete", records = 1), class = "keycap_error_redirect")
  expect_error(export_file("STUDY", 1, "letter", to = tempdir()), class = "keycap_error_redirect")
  expect_identical(other$connections(), 0L)
})

test_that("a write whose outcome nobody knows is sent once and says so", {
  local_world()
  withr::local_options(keycap.retries = 3)
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  server <- local_answer(502, "<html>")
  local_project(server$uri, "STUDY")
  expect_error(redcap_call("STUDY", "record", action = "delete", records = 1), class = "keycap_error_outcome_unknown")
  expect_error(redcap_call("STUDY", "nobodyKnows"), class = "keycap_error_outcome_unknown")
  expect_identical(server$connections(), 2L)
})

test_that("Ctrl-C while a file comes leaves no half file", {
  local_world()
  head <- head_of(200, "Content-Length: 100000000", "application/pdf; name=\"a.pdf\"")
  server <- local_bytes(list(head, charToRaw("%PDF")), pause = 0.02, endless = TRUE)
  local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  folder <- withr::local_tempdir()
  child <- callr::r_bg(
    function(folder) {
      options(keycap.quiet = TRUE, keycap.retries = 0)
      outcome <- tryCatch(keycap::export_file("STUDY", 1, "letter", to = folder), interrupt = function(i) "interrupted")
      list(outcome = outcome, row = keycap::view_project_token("STUDY"))
    },
    list(folder),
    libpath = .libPaths()
  )
  withr::defer(child$kill())
  wait_for(isTRUE(file.size(file.path(folder, "a.pdf.partial")) > 0) || !child$is_alive())
  child$interrupt()
  child$wait(20000)
  result <- child$get_result()
  expect_identical(result$outcome, "interrupted")
  expect_identical(result$row$form, "project token")
  expect_identical(list.files(folder, all.files = TRUE, no.. = TRUE), character())
  expect_match(unlist(lapply(audit_files(), readLines)), "interrupted", fixed = TRUE, all = FALSE)
})

test_that("the named functions give what they say", {
  local_world()
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)

  version <- redcap_version(project)
  expect_s3_class(version, "numeric_version")
  expect_true(version > "9.1" && version == "14.5.5")

  info <- project_info("TEST")
  expect_identical(dim(info), c(1L, 26L))
  expect_identical(info$project_id, 17L)
  expect_identical(info$is_longitudinal, FALSE)
  expect_identical(info$display_today_now_button, TRUE)
  expect_identical(info$project_title, "Sandbox sample: Gr\u00f6\u00dfe und Gewicht (classic)")
  expect_identical(info$missing_data_codes, NA_character_)
  expect_identical(info$purpose, "0")
  expect_identical(load_project("TEST")$project_id, "17")

  metadata <- export_metadata(project)
  expect_identical(metadata$field_name[1:2], c("record_id", "first_name"))
  expect_true(all(vapply(metadata, is.character, NA)))
  expect_identical(nrow(export_metadata(project, fields = c("sex", "bmi"))), 2L)
  expect_identical(unique(export_metadata(project, forms = "health")$form_name), "health")

  expect_identical(export_instruments(project)$instrument_name, c("demographics", "health"))

  users <- export_users(project)
  expect_true(all(c("admin", "exporter") %in% users$username))
  expect_type(users$api_export, "integer")
  expect_s3_class(users$expiration, "Date")
  expect_type(users$forms, "character")

  name <- next_record_name(project)
  expect_match(name, "^[0-9]+$")
})

test_that("a write that is answered in XML is no failure", {
  local_world()
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  answer <- redcap_call(
    project, "record", data = "record_id,pulse\n1,72\n", format = "csv", returnFormat = "xml"
  )
  expect_match(answer, "<hash>", fixed = TRUE)
})

test_that("an empty list of fields or forms is an error, and not all of them", {
  local_world()
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  expect_error(export_metadata(project, fields = character()), class = "keycap_error_argument")
  expect_error(export_metadata(project, forms = character()), class = "keycap_error_argument")
  expect_identical(export_metadata(project, fields = "sex")$field_name, "sex")
})

test_that("times of the log that no clock in the zone has shown are not moved", {
  clock <- function(text) {
    structure(as.POSIXct(text, tz = "UTC"), keycap_tz = "Europe/Vienna")
  }
  shown <- c("2026-03-29 01:59", "2026-03-29 03:00", "2026-10-25 02:30")
  fine <- at_its_zone(clock(shown))
  expect_s3_class(fine, "POSIXct")
  expect_identical(format(fine, "%Y-%m-%d %H:%M"), shown)
  expect_warning(gap <- at_its_zone(clock(c("2026-03-29 02:30", shown))), class = "keycap_warning")
  expect_identical(gap, c("2026-03-29 02:30", shown))
})

test_that("the log's times are those of the server's clock, in the zone that is said", {
  local_world()
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  redcap_call(project, "record", action = "delete", records = 7)
  utc <- export_log(project, begin = Sys.time() - 3600, record = 7, type = "record_delete")
  expect_identical(names(utc), c("timestamp", "username", "action", "details", "record"))
  expect_s3_class(utc$timestamp, "POSIXct")
  expect_identical(attr(utc$timestamp, "tzone"), "UTC")
  expect_identical(utc$record, "7")
  vienna <- export_log(project, begin = Sys.Date() - 1, end = Sys.Date() + 1, record = "7", tz = "Europe/Vienna")
  expect_identical(attr(vienna$timestamp, "tzone"), "Europe/Vienna")
  expect_null(attr(vienna$timestamp, "keycap_tz"))
  # The clock on the wall showed the same.
  shown <- format(utc$timestamp[1], "%Y-%m-%d %H:%M", tz = "UTC")
  expect_true(shown %in% format(vienna$timestamp, "%Y-%m-%d %H:%M"))
  none <- export_log(project, begin = "2001-01-01", end = "2001-01-01 12:00")
  expect_identical(nrow(none), 0L)
  expect_s3_class(none$timestamp, "POSIXct")
  for (call in list(
    quote(export_log(project, type = "all")), quote(export_log(project, tz = "Nowhere")),
    quote(export_log(project, begin = "yesterday")), quote(export_log(project, begin = 1)),
    quote(export_log(project, end = as.POSIXct(NA))), quote(export_log(project, record = NA)),
    quote(export_log(project, user = 1))
  )) {
    expect_error(eval(call), class = "keycap_error_argument")
  }
})

test_that("a time is sent as the server's clock shows it", {
  local_world()
  server <- local_answer(200, "\n", "text/csv")
  local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  at <- as.POSIXct("2026-01-02 23:30:10", tz = "UTC")
  export_log("STUDY", begin = at, end = as.Date("2026-01-04"), tz = "Europe/Vienna")
  heard <- utils::URLdecode(gsub("+", " ", server$heard(), fixed = TRUE))
  expect_match(heard, "beginTime=2026-01-03 00:30&endTime=2026-01-04 23:59", fixed = TRUE)
})

test_that("values that are not of their usual type stay as they are", {
  local_world()
  server <- local_answer(200, "username,api_export,design,expiration\na,1,0,\nb,full,2,2027-01-31\n", "text/csv")
  local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  expect_warning(users <- export_users("STUDY"), "`api_export`", class = "keycap_warning")
  expect_identical(users$api_export, c("1", "full"))
  expect_identical(users$design, c(0L, 2L))
  expect_identical(users$expiration, as.Date(c(NA, "2027-01-31")))
})

test_that("a token that opens another project is noticed by project_info()", {
  local_world()
  server <- local_answer(200, "project_id,project_title\n2,x\n", "text/csv")
  project <- local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  project$project_id <- "1"
  expect_error(project_info(project), class = "keycap_error_project_changed")
})

test_that("arguments of the named functions are checked for their type", {
  local_world()
  server <- local_server()
  local_project(server$uri, "STUDY")
  for (call in list(
    quote(export_metadata()), quote(export_metadata("STUDY", fields = 1)), quote(export_metadata("STUDY", forms = NA_character_)),
    quote(export_instruments(1)), quote(export_users(NULL)), quote(project_info(c("a", "b"))), quote(next_record_name()),
    quote(redcap_version()), quote(export_file("STUDY")), quote(export_file("STUDY", 1)), quote(export_file("STUDY", 1.5, "f")),
    quote(export_file("STUDY", 1, "f", repeat_instance = 0)), quote(export_file("STUDY", 1, "f", repeat_instance = "1")),
    quote(export_file("STUDY", 1, "f", to = NULL)), quote(export_file("STUDY", NULL, "f"))
  )) {
    error <- expect_error(eval(call), class = "keycap_error_argument", info = deparse1(call))
    expect_identical(error$call, call[1])
  }
  expect_identical(server$connections(), 0L)
})
