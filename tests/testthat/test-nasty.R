# Answers that make a reader of CSV stumble: the right data or a clear error, and R is there afterwards.

test_that("quotes, line breaks of all kinds and commas come as they were sent", {
  local_world()
  texts <- c("\"", "\"\"", "a,b", "a\nb", "a\r\nb", "a\rb", "\r\n", " ", "{x}", "%s", "\u65e5\u672c \U0001f600", "NA", "=1+1")
  cells <- sprintf("\"%s\"", gsub("\"", "\"\"", texts))
  for (end in c("\n", "\r\n")) {
    df <- served(paste0(paste(c("id,note", paste0(seq_along(cells), ",", cells)), collapse = end), end))
    expect_identical(df$note, enc2utf8(texts))
    expect_identical(df$id, as.character(seq_along(cells)))
  }
})

test_that("Latin-1 is read as such with one warning, and what is UTF-8 beside it stays", {
  local_world()
  latin1 <- c(charToRaw("id,note\n1,Gr"), as.raw(c(0xfc, 0xdf)), charToRaw("e\n2,Z\u00fcrich\n3,"), as.raw(0x80), charToRaw("\n"))
  server <- local_redcap(latin1)
  warning <- expect_warning(df <- export_records(server$project), "2 cells were not UTF-8", class = "keycap_warning")
  expect_identical(df$note, c("Gr\u00fc\u00dfe", "Z\u00fcrich", "\u20ac"))
  expect_true(all(validUTF8(df$note)))
  expect_identical(Encoding(df$note), rep("UTF-8", 3))
})

test_that("a NUL, which R cannot hold, makes a value a problem", {
  local_world()
  bytes <- c(charToRaw("id,note,age\n1,a"), as.raw(0), charToRaw("b,5\n2,c,"), as.raw(0), charToRaw("\n"))
  df <- served(bytes)
  expect_identical(df$note, c(NA, "c"))
  expect_identical(df$age, c(5L, NA))
  expect_identical(conversion_problems(df)$value, c("a\\0b", "\\0"))
})

test_that("answers without rows give data frames without rows", {
  local_world()
  for (nothing in c("", "\n", "\r\n")) {
    df <- served(nothing)
    expect_identical(dim(df), c(0L, 0L))
    expect_identical(nrow(conversion_problems(df)), 0L)
  }
  df <- served("id,age,day,moment,grade\n", choices = "factor", tz = "Europe/Vienna")
  expect_identical(nrow(df), 0L)
  expect_identical(vapply(df, function(x) class(x)[1], ""), c(
    id = "character", age = "integer", day = "Date", moment = "POSIXct", grade = "factor"
  ))
  expect_identical(attr(df$moment, "tzone"), "Europe/Vienna")
})

test_that("columns may share a name", {
  local_world()
  df <- served(lines_of("id,age,age,moment,moment,x", "1,2,3,2024-07-01 00:00,2024-03-31 02:30,5"), tz = "Europe/Vienna")
  expect_identical(names(df), c("id", "age", "age", "moment", "moment", "x"))
  expect_identical(list(df[[2]], df[[3]]), list(2L, 3L))
  expect_identical(is.na(c(df[[4]], df[[5]])), c(FALSE, TRUE))
  expect_identical(conversion_problems(df)$value, "2024-03-31 02:30")
})

test_that("five thousand columns are read", {
  local_world()
  df <- served(lines_of(
    paste(c("id", paste0("x", 1:5000)), collapse = ","),
    vapply(1:3, function(row) paste(c(row, paste0("v", row, "-", 1:5000)), collapse = ","), "")
  ))
  expect_identical(dim(df), c(3L, 5001L))
  expect_identical(df$x5000, paste0("v", 1:3, "-5000"))
})

test_that("a cell of fifty megabytes is read", {
  local_world()
  piece <- charToRaw(strrep("abcdefghi\n", 1e5))
  server <- local_redcap("id,note\n1,\"", repeated = piece, times = 50, missing = 2)
  expect_error(export_records(server$project), "cut short|broke", class = "keycap_error_connection")
  server <- local_redcap(lines_of("id,note", paste0("1,\"", strrep("abcdefghi\n", 5e6), "\"")), short_name = "LARGE")
  df <- export_records(server$project)
  expect_identical(nchar(df$note, "bytes"), 50000000L)
  expect_identical(substr(df$note, 49999990, 50000000), "\nabcdefghi\n")
})

test_that("a body that is cut short is an error, never a shorter table", {
  local_world()
  body <- lines_of("id,age,note", "1,2,a", "2,3,\"b\nc\"", "3,4,d")
  # Less than was announced; or nothing announced, and an end in the middle of a line.
  for (end in c(5, 12, 18, 25, nchar(body) - 4)) {
    cut <- substr(body, 1, end)
    announced <- local_redcap(cut, missing = nchar(body) - end)
    expect_error(export_records(announced$project), class = "keycap_error_connection")
    silent <- local_redcap(cut, length = FALSE, short_name = "SILENT")
    if (!endsWith(cut, "\n") || end == 25) {
      error <- expect_error(export_records(silent$project), class = "keycap_error_connection")
      expect_match(conditionMessage(error), "cut short")
    }
  }
  uneven <- local_redcap(lines_of("id,age", "1,2,3"), short_name = "UNEVEN")
  expect_error(export_records(uneven$project), "row 1 .* 3 cells", class = "keycap_error_not_redcap")
})

test_that("what is no export is an error that does not show it", {
  local_world()
  sandbox <- local_sandbox()
  project <- local_project(sandbox$redcap_uri, "TEST")
  classes <- c(database = "server", truncated = "connection", reset_after_body = "connection", ban = "not_redcap")
  for (kind in names(classes)) {
    sandbox_set_fault(sandbox, kind, content = "record", times = 1)
    error <- expect_error(export_records(project), class = "keycap_error")
    expect_identical(error$kind, classes[[kind]], info = kind)
    expect_false(grepl("password|redcap_user|hunter", conditionMessage(error)), info = kind)
    sandbox_clear_faults(sandbox)
  }
  expect_identical(nrow(export_records(project, records = 1)), 1L)
})
