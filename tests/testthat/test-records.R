header <- "id,age,weight,comma,day,moment,second,time,yes,box___1,box____2,grade,letter,note,f_complete"
full <- paste0(
  "007,42,-1.50,\"3,5\",2024-02-29,2024-07-01 08:30,2024-07-01 08:30:15,08:30,1,1,0,3,A,",
  "\"Zeile 1, \"\"zitiert\"\"\r\nZeile 2: \u00e4\u00f6\u00fc\",2"
)

test_that("each column has the type that the dictionary says, and its value", {
  local_world()
  df <- served(lines_of(header, full))
  expect_identical(df[0:1, ], df)
  expect_identical(lapply(df, function(column) column), list(
    id = "007", age = 42L, weight = -1.5, comma = 3.5, day = as.Date("2024-02-29"),
    moment = as.POSIXct("2024-07-01 08:30", tz = "UTC"), second = as.POSIXct("2024-07-01 08:30:15", tz = "UTC"),
    time = "08:30", yes = TRUE, box___1 = TRUE, box____2 = FALSE, grade = 3L, letter = "A",
    note = "Zeile 1, \"zitiert\"\r\nZeile 2: \u00e4\u00f6\u00fc", f_complete = 2L
  ))
  expect_identical(Encoding(df$note), "UTF-8")
  expect_identical(conversion_problems(df), data.frame(record = character(), field = character(), value = character()))
})

test_that("choices are codes, labels or factors in the order of the dictionary", {
  local_world()
  server <- local_redcap(lines_of("id,grade,letter,f_complete", "1,1,B,0", "2,9,A,", "3,8,,1"))
  codes <- export_records(server$project)
  expect_identical(codes$grade, c(1L, 9L, 8L))
  expect_identical(codes$letter, c("B", "A", NA))
  labels <- export_records(server$project, choices = "label")
  expect_identical(labels$grade, c("one", "other", "other"))
  expect_identical(labels$letter, c("b", "a, b", NA))
  expect_identical(labels$f_complete, c("Incomplete", NA, "Unverified"))
  factors <- export_records(server$project, choices = "factor")
  # Choices that share a label stay apart.
  levels <- c("three", "one", "other (8)", "other (9)")
  expect_identical(factors$grade, factor(c("one", "other (9)", "other (8)"), levels))
  expect_identical(factors$letter, factor(c("b", "a, b", NA), c("a, b", "b")))
  expect_identical(levels(factors$f_complete), c("Incomplete", "Unverified", "Complete"))
  expect_identical(table(factors$grade)[["three"]], 0L)
})

test_that("what does not fit is NA, is kept as it was, and gives one warning", {
  local_world()
  lines <- c(
    "id,age,weight,day,moment,yes,box___1,grade,note", "100000,1.5,1e+05,2023-02-29,2024-01-01,2,x,7,UNK",
    "1e5,UNK,-99,UNK,[not completed],UNK,,UNK,", "2,-99,0,2024-01-01,2024-01-01 00:00,0,0,1,-99"
  )
  server <- local_redcap(lines_of(lines))
  warnings <- list()
  df <- withCallingHandlers(export_records(server$project), warning = function(w) {
    warnings[[length(warnings) + 1]] <<- w
    invokeRestart("muffleWarning")
  })
  expect_length(warnings, 1)
  expect_s3_class(warnings[[1]], c("keycap_warning_conversion", "keycap_warning"), exact = FALSE)
  expect_match(conditionMessage(warnings[[1]]), "14 values do not fit .* `conversion_problems\\(\\)`")
  problems <- conversion_problems(df)
  expect_identical(warnings[[1]]$problems, nrow(problems))
  expected <- rbind(
    c("100000", "age", "1.5"), c("100000", "weight", "1e+05"), c("100000", "day", "2023-02-29"),
    c("100000", "moment", "2024-01-01"), c("100000", "yes", "2"), c("100000", "box___1", "x"),
    c("100000", "grade", "7"), c("1e5", "age", "UNK"), c("1e5", "weight", "-99"), c("1e5", "day", "UNK"),
    c("1e5", "moment", "[not completed]"), c("1e5", "yes", "UNK"), c("1e5", "grade", "UNK"), c("2", "age", "-99")
  )
  colnames(expected) <- c("record", "field", "value")
  expect_identical(problems, as.data.frame(expected))
  # A text column holds anything, and blank is NA in each.
  expect_identical(df$note, c("UNK", NA, "-99"))
  expect_identical(df$id, c("100000", "1e5", "2"))
  for (name in c("age", "weight", "day", "moment", "yes", "box___1", "grade")) {
    expect_identical(is.na(df[[name]]), c(TRUE, TRUE, name == "age"), info = name)
  }
  expect_false(any(grepl("problem|UNK", utils::capture.output(print(df[c("id", "age")])))))
  expect_false(any(grepl("keycap_problems|1e\\+05", utils::capture.output(print(df)))))
})

test_that("problems stay with what R makes of an export by rows and columns", {
  local_world()
  df <- served(lines_of("id,age", "1,x", "2,3"))
  problems <- data.frame(record = "1", field = "age", value = "x")
  expect_identical(conversion_problems(df), problems)
  expect_identical(conversion_problems(df[2, ]), problems)
  # Where R itself drops attributes, that is said, and not that there were no problems.
  expect_error(conversion_problems(df["age"]), "has lost that", class = "keycap_error_argument")
  df$new <- 1
  expect_identical(conversion_problems(df), problems)
  expect_identical(conversion_problems(unserialize(serialize(df, NULL))), problems)
  expect_error(conversion_problems(data.frame(x = 1)), "no export", class = "keycap_error_argument")
  expect_error(conversion_problems(1), "not a value", class = "keycap_error_argument")
  expect_error(conversion_problems(), "missing", class = "keycap_error_argument")
})

test_that("without types every column is the text that was sent", {
  local_world()
  df <- served(lines_of("id,age,day,yes,grade,moment", "1,007,UNK,1,7,2024-03-31 02:30"), types = FALSE, tz = "Europe/Vienna")
  expect_identical(as.list(df)[1:6], list(id = "1", age = "007", day = "UNK", yes = "1", grade = "7", moment = "2024-03-31 02:30"))
  expect_identical(nrow(conversion_problems(df)), 0L)
})

test_that("date-times are moments in the server's zone; those that no clock showed are problems", {
  local_world()
  lines <- c(
    "id,moment,second", "1,2024-07-01 08:30,2024-03-31 02:59:59", "2,2024-03-31 02:30,2024-10-27 02:30:00",
    "3,,UNK"
  )
  df <- served(lines_of(lines), tz = "Europe/Vienna")
  expect_identical(attr(df$moment, "tzone"), "Europe/Vienna")
  expect_identical(format(df$moment), c("2024-07-01 08:30:00", NA, NA))
  expect_identical(format(df$moment, tz = "UTC")[1], "2024-07-01 06:30:00")
  # The clock showed it twice; the first time is meant.
  expect_identical(format(df$second, tz = "UTC"), c(NA, "2024-10-27 00:30:00", NA))
  expect_null(attr(df$moment, "keycap_tz"))
  problems <- conversion_problems(df)
  expect_identical(problems$record, c("3", "2", "1"))
  expect_identical(problems$field, c("second", "moment", "second"))
  expect_identical(problems$value, c("UNK", "2024-03-31 02:30", "2024-03-31 02:59:59"))
})

test_that("a wish is sent to REDCap as it is made", {
  local_world()
  server <- local_redcap(lines_of("id,age", "1,2"))
  export_records(
    server$project, fields = c("age", "n\u00f6te"), forms = "f", events = "e_arm_1", records = c(1e5, 7),
    filter_logic = "[age] > 30"
  )
  fields <- strsplit(server$asked(), "&", fixed = TRUE)[[1]]
  wanted <- c(
    "content=record", "type=flat", "fields[0]=id", "fields[1]=age", "fields[2]=n\u00f6te", "forms[0]=f",
    "events[0]=e_arm_1", "records[0]=100000", "records[1]=7"
  )
  expect_identical(setdiff(enc2utf8(wanted), `Encoding<-`(fields, "UTF-8")), character())
  expect_true(any(startsWith(fields, "filterLogic=")))
})

test_that("arguments of a wrong type are named, and nothing is sent", {
  local_world()
  server <- local_redcap(lines_of("id,age", "1,2"))
  wrong <- list(
    list(fields = 1), list(fields = character()), list(forms = NA_character_), list(events = list("a")),
    list(records = character()), list(records = NA), list(records = TRUE), list(records = factor("a")),
    list(records = 1.5), list(filter_logic = c("a", "b")), list(choices = "levels"), list(choices = 1),
    list(types = NA), list(tz = "Mars/Olympus"), list(tz = ""), list(tz = NULL), list(batch_size = 0),
    list(batch_size = "10"), list(to = 1), list(to = "")
  )
  for (args in wrong) {
    error <- expect_error(do.call(export_records, c(list(server$project), args)), class = "keycap_error_argument")
    expect_match(conditionMessage(error), paste0("^`", names(args), "`"))
    expect_identical(error$call, quote(export_records()))
  }
  expect_error(export_records(), "`project`", class = "keycap_error_argument")
  expect_error(export_report(server$project), "`report_id`", class = "keycap_error_argument")
  for (id in list("12a", 1.5, NA, c(1, 2), -1)) {
    expect_error(export_report(server$project, id), "`report_id`", class = "keycap_error_argument")
  }
  expect_identical(server$asked(), character())
})

test_that("a report is asked for by its number and may lack the record id", {
  local_world()
  server <- local_redcap(lines_of("age,moment", "UNK,2024-03-31 02:30", "4,2024-07-01 00:00"))
  expect_warning(
    df <- export_report(server$project, 117, tz = "Europe/Vienna"), "2 values", class = "keycap_warning_conversion"
  )
  expect_match(server$asked(), "content=report&.*report_id=117(&|$)")
  expect_identical(df$age, c(NA, 4L))
  expect_identical(conversion_problems(df), data.frame(
    record = NA_character_, field = c("age", "moment"), value = c("UNK", "2024-03-31 02:30")
  ))
  expect_identical(suppressWarnings(export_report(server$project, "117"))$age, df$age)
})

test_that("batches bring what one call brings, with record ids that stay text", {
  local_world()
  ids <- c("100000", "007", "1e5", paste0("r", 1:7))
  server <- local_redcap(local({
    ids <- ids
    function(body, n) {
      wanted <- regmatches(body, gregexpr("(?<=records\\[[0-9]\\]=)[^&]*", body, perl = TRUE))[[1]]
      if (!length(wanted)) wanted <- ids
      rows <- if (grepl("fields[0]=id", body, fixed = TRUE)) wanted else paste0(wanted, ",", nchar(wanted))
      paste0(paste(c(if (grepl("fields[0]=id", body, fixed = TRUE)) "id" else "id,age", rows), collapse = "\n"), "\n")
    }
  }))
  whole <- export_records(server$project)
  expect_identical(whole$id, ids)
  parts <- export_records(server$project, batch_size = 4)
  expect_identical(parts, whole)
  batches <- tail(server$asked(), 3)
  expect_match(batches[1], "records[0]=100000&records[1]=007&records[2]=1e5&records[3]=r1", fixed = TRUE)
  expect_match(batches[3], "records[1]=r7", fixed = TRUE)
  expect_false(any(grepl("1e+05", server$asked(), fixed = TRUE)))
  expect_warning(some <- export_records(server$project, records = c(100000, 7), batch_size = 1), "`7`", fixed = TRUE)
  expect_identical(some$id, "100000")
})

test_that("after a server without memory, and after a firewall's 403, it goes on in batches", {
  local_world()
  sandbox <- local_sandbox()
  project <- local_project(sandbox$redcap_uri, "TEST")
  everything <- export_records(project)
  to <- withr::local_tempfile(fileext = ".csv")
  # More than the first size of batches, and all records by name.
  for (fault in list(list("out_of_memory"), list("html", status = 403))) {
    # More of them would go out in batches by themselves.
    records <- if (fault[[1]] == "html") everything$record_id[1:500]
    whole <- export_records(project, records = records)
    export_records(project, records = records, to = to, overwrite = TRUE)
    bytes <- tools::md5sum(to)[[1]]
    misbehave <- function() do.call(sandbox_set_fault, c(list(sandbox), fault, list(content = "record", times = 1)))
    misbehave()
    expect_match(said(df <- export_records(project, records = records)), "going on in\\s+batches\\s+of\\s+500\\s+records")
    expect_identical(df, whole)
    misbehave()
    export_records(project, records = records, to = to, overwrite = TRUE)
    expect_identical(tools::md5sum(to)[[1]], bytes)
  }
  # Without names there is no list that a firewall could object to.
  sandbox_set_fault(sandbox, "html", status = 403, content = "record", times = 1)
  expect_error(export_records(project), class = "keycap_error_not_redcap")
})

test_that("a file holds the bytes that were sent, and replaces another only when it is whole", {
  local_world()
  dir <- withr::local_tempdir()
  withr::local_dir(dir)
  body <- c(charToRaw(lines_of(header, full)), charToRaw("8,,,,,,,,,,,,,Gr"), as.raw(c(0xfc, 0x00)), charToRaw("n,\r\n"))
  server <- local_redcap(body)
  writeLines("before", "file.csv")
  error <- expect_error(export_records(server$project, to = "file.csv"), class = "keycap_error_file")
  expect_match(conditionMessage(error), "overwrite = TRUE", fixed = TRUE)
  expect_identical(readLines("file.csv"), "before")
  expect_error(export_report(server$project, 1, to = "file.csv"), class = "keycap_error_file")
  text <- said(shown <- withVisible(export_records(server$project, to = "file.csv", overwrite = TRUE)))
  expect_false(shown$visible)
  expect_identical(shown$value, file.path(normalizePath(dir, "/"), "file.csv"))
  expect_match(text, sprintf("2 rows, %d bytes, to .*file.csv", length(body)))
  expect_identical(readBin("file.csv", "raw", 1e6), body)
  expect_identical(list.files(), "file.csv")

  short <- local_redcap(lines_of("id,age", "1,2", "3"), missing = 10, short_name = "SHORT")
  expect_error(export_records(short$project, to = "file.csv", overwrite = TRUE), class = "keycap_error_connection")
  expect_error(export_records(short$project, to = "new.csv"), class = "keycap_error_connection")
  expect_identical(list.files(), "file.csv")
  expect_identical(readBin("file.csv", "raw", 1e6), body)

  error <- expect_error(export_records(server$project, to = "none/file.csv"), class = "keycap_error_file")
  expect_match(conditionMessage(error), "none/file.csv", fixed = TRUE)
  expect_error(export_records(server$project, to = dir), "is a folder", class = "keycap_error_file")
})

test_that("files named by people of all languages, with braces, are written and told as they are", {
  local_world()
  dir <- withr::local_tempdir()
  server <- local_redcap(lines_of("id,age", "1,2"))
  to <- file.path(dir, "\u00fc {stop('run')} %s.csv")
  expect_match(said(export_records(server$project, to = to, overwrite = TRUE)), "{stop('run')} %s.csv", fixed = TRUE)
  expect_identical(readLines(to), c("id,age", "1,2"))
})
