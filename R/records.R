#' Export records, or a report
#'
#' @description
#' * `export_records()` gives the records of a project as a data frame whose columns have the types that the project's
#'   dictionary says: see [keycap_types]. They are read while they download; R never holds the text.
#' * `export_report()` does the same with a report that somebody defined in REDCap. What it holds is said there. It may
#'   lack the column of the record ids.
#' * `conversion_problems()` shows the values that do not fit the type of their column.
#'
#' No conversion changes a value. What does not fit, missing-data codes included, is `NA` in its column and is kept as
#' it was, with one warning of class `keycap_warning_conversion`.
#'
#' @section Large exports:
#' All records come in one call, or, where more than 500 are named, in batches. Where the server runs out of memory over
#' that, or a firewall objects to a long list of records, keycap goes on in batches by itself; with `batch_size` it
#' begins so. A report cannot be had in parts. A record that the server lists and then does not give is named in a
#' warning.
#'
#' `to` writes the server's answer to a file as it comes, for what does not fit in memory: the bytes are those of
#' REDCap's CSV, with one header where there were batches. The file is written under another name beside it, for you
#' alone, and gets its name when it is whole. A file that is there is left alone, unless `overwrite` says that the new
#' one, once it is whole, comes in its place. `types` and `tz` have no meaning
#' then; with `choices = "label"` REDCap itself writes the labels.
#'
#' While it runs there is a progress bar, in an interactive session or with `options(keycap.progress = TRUE)`. Ctrl-C
#' is heard at any time; it leaves neither half a file nor memory.
#'
#' @param project A project from [setup_project()] or [load_project()], or its short name.
#' @param fields,forms,events Names of fields, forms and events. With fields or forms, the record id comes along. `NULL`
#'   is everything.
#' @param records Ids of records, as texts or whole numbers; `NULL` is all.
#' @param filter_logic REDCap's filter logic, such as `"[age] > 30"`.
#' @param choices What stands for a choice of a radio or dropdown field: its code, its label, or a factor with the
#'   labels as its levels in the dictionary's order.
#' @param types `FALSE` leaves every column a text, as it was sent.
#' @param tz The time zone that the server's clock shows: one of [OlsonNames()].
#' @param batch_size The number of records in a call, at most 500. `NULL` is all of them.
#' @param to The file to write to, instead of making a data frame.
#' @param overwrite `TRUE` replaces a file that is there, as a job that runs every night needs it. Only you may read the
#'   new one, whoever could read the old one.
#' @param report_id The number of the report, as REDCap's list of reports shows it.
#' @param df What `export_records()` or `export_report()` gave. What R makes of it by `df[rows, ]` or by changing
#'   columns keeps its problems; `df[columns]`, `merge()` and the like lose them, and then that is an error.
#'
#' @returns `export_records()` and `export_report()` return a data frame, without rows where there are none. With `to`
#'   they return the path, invisibly.
#'
#'   `conversion_problems()` returns a data frame with the columns `record`, `field` and `value`, all texts, and one
#'   row for each value that did not fit; `record` is `NA` where the data lack the record ids.
#' @seealso [keycap_types], [keycap_conditions]
#' @examples
#' sandbox <- start_sandbox()
#' project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
#'
#' patients <- export_records(project, fields = c("birth_date", "sex", "bmi"), choices = "factor")
#' str(patients, give.attr = FALSE)
#' conversion_problems(patients)
#'
#' export_records(project, fields = "pulse", records = 1:3)
#' export_records(project, fields = "bmi", filter_logic = "[bmi] > 62")
#' head(export_report(project, 117))
#'
#' # To a file, in batches.
#' file <- export_records(project, batch_size = 500, to = tempfile(fileext = ".csv"))
#' readLines(file, 1)
#'
#' unlink(file)
#' stop_sandbox(sandbox)
#' @export
export_records <- function(
  project,
  fields = NULL,
  forms = NULL,
  events = NULL,
  records = NULL,
  filter_logic = NULL,
  choices = c("code", "label", "factor"),
  types = TRUE,
  tz = "UTC",
  batch_size = NULL,
  to = NULL,
  overwrite = FALSE
) {
  call <- quote(export_records())
  if (missing(project)) {
    abort_missing("project", call)
  }
  selection <- export_selection(fields, forms, events, records, filter_logic, batch_size, call)
  wish <- export_wish(if (missing(choices)) choices[1] else choices, types, tz, to, overwrite, call)
  exported(c(list(project = check_project(project, call)), selection, wish), call)
}

#' @rdname export_records
#' @export
export_report <- function(
  project,
  report_id,
  choices = c("code", "label", "factor"),
  types = TRUE,
  tz = "UTC",
  to = NULL,
  overwrite = FALSE
) {
  call <- quote(export_report())
  if (missing(project)) {
    abort_missing("project", call)
  }
  if (missing(report_id)) {
    abort_missing("report_id", call)
  }
  report_id <- if (is.numeric(report_id)) check_whole(report_id, "report_id", call) else check_string(report_id, "report_id", call)
  wish <- export_wish(if (missing(choices)) choices[1] else choices, types, tz, to, overwrite, call)
  exported(c(list(project = check_project(project, call), report_id = report_id), wish), call)
}

#' @rdname export_records
#' @export
conversion_problems <- function(df) {
  call <- quote(conversion_problems())
  if (missing(df)) {
    abort_missing("df", call)
  }
  problems <- attr(df, "keycap_problems", exact = TRUE)
  if (!is.data.frame(df) || !is.data.frame(problems)) {
    message <- if (is.data.frame(df)) {
      "`df` does not say what did not fit: it is no export of keycap's, or what was made of it since has lost that"
    } else {
      sprintf("`df` must be what `export_records()` gave, not %s", describe(df))
    }
    abort_argument(message, "df", call, "give the data frame as `export_records()` or `export_report()` returned it")
  }
  problems
}

# Which part of a project is asked for.
export_selection <- function(fields, forms, events, records, filter_logic, batch_size, call) {
  list(
    fields = check_texts(fields, "fields", call),
    forms = check_texts(forms, "forms", call),
    events = check_texts(events, "events", call),
    records = check_ids(records, "records", call),
    filter_logic = check_string(filter_logic, "filter_logic", call, null = TRUE),
    batch_size = if (!is.null(batch_size)) check_whole(batch_size, "batch_size", call)
  )
}

# How every export gives what it has.
export_wish <- function(choices, types, tz, to, overwrite, call) {
  list(
    choices = check_string(choices, "choices", call),
    types = check_flag(types, "types", call),
    tz = check_zone(tz, "tz", call),
    to = absolute_path(check_string(to, "to", call, null = TRUE)),
    overwrite = check_flag(overwrite, "overwrite", call)
  )
}

exported <- function(args, call) {
  answer <- core_call("export_records", args, call)
  if (is.null(args$to)) {
    return(as_export(answer))
  }
  say(sprintf("%s, %s bytes, to %s", rows_text(answer$rows), count(answer$bytes), one_line(args$to)))
  invisible(args$to)
}

# The data frame of an export, from the core's answer; one warning for all that did not fit.
as_export <- function(answer) {
  moved <- to_zones(answer$data, answer$record_id)
  problems <- rbind(answer$problems, moved$problems)
  data <- moved$data
  attr(data, "keycap_problems") <- problems
  warn_problems(nrow(problems))
  data
}

warn_problems <- function(n) {
  if (n > 0L) {
    what <- if (n == 1L) "1 value does not fit the type of its column and is" else
      sprintf("%s values do not fit the type of their column and are", count(n))
    rlang::warn(
      paste(what, "`NA` there; `conversion_problems()` shows what was sent"),
      class = c("keycap_warning_conversion", "keycap_warning"),
      problems = n,
      use_cli_format = FALSE
    )
  }
}

# A number for people.
count <- function(n) format(n, big.mark = ",", scientific = FALSE, trim = TRUE)

rows_text <- function(n) paste(count(n), if (n == 1) "row" else "rows")
