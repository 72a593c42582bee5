#' Import records
#'
#' @description
#' `import_records()` sends a data frame to a project, in the columns that [export_records()] gives. Export, change,
#' import is a round trip, once the columns are left out that REDCap fills by itself (calculated fields) or that hold
#' files: `data$bmi <- NULL`. It begins as a **dry run**, which writes nothing and returns what would change, value by
#' value; `dry_run = FALSE` does it.
#'
#' The data are checked against the project's dictionary before anything is sent, and everything that is wrong is said
#' at once: columns that the project does not have, values that are none of the field's choices, no number or no date,
#' rows without a record's id, two rows for one place.
#'
#' @section How values are written:
#' * Whole numbers and doubles with all their digits, never with an exponent: a record is `100000` and not `1e+05`.
#' * `TRUE` and `FALSE` as `1` and `0`, in yes-no and true-false fields and checkboxes.
#' * Factors and labels as the code that they stand for. Where a text could mean two codes, the import is refused.
#' * `Date` as `YYYY-MM-DD`. Date-times as the clock in their own time zone shows them, with or without seconds as the
#'   field has it; nothing is moved to another zone, and seconds that a field does not take are refused, not cut off.
#' * Text as it is, and missing-data codes (as texts) in any field.
#' * `NA` and `""` are blank, and blanks change nothing unless `blanks = "overwrite"`.
#'
#' Calculated fields, files and what REDCap sets itself cannot be imported: drop these columns. Values beyond a field's
#' smallest or largest value are named in a warning and sent: REDCap takes them too.
#'
#' @section What an export could not convert:
#' Values that did not fit the type of their column stand as `NA` in the data frame of an export, and as texts in
#' `conversion_problems()`. As blanks they change nothing. With `blanks = "overwrite"` they would be lost, so that the
#' import is refused as long as the data frame has its attribute `keycap_problems`. **R drops that attribute, and the
#' guard with it, in `data[columns]`, `merge()`, `subset()` and `transform()`**: before you overwrite with blanks, take
#' columns out one by one (`data$bmi <- NULL`), or look through the dry run.
#'
#' @section When an import fails:
#' Nothing is ever sent twice. If the connection fails after data went out, nobody can know whether they arrived: the
#' error is of class `keycap_error_outcome_unknown` and names the records. A dry run with the same data then shows what
#' of it is not there. Every error of an import that was sent has the fields `imported`, `in_doubt` and `not_sent`, with
#' the ids of the records, so that a script can go on. What REDCap itself objects to is in the field `problems` (record,
#' field, value, message); REDCap then has imported nothing of that request. Ctrl-C while data are on their way leaves
#' the outcome unknown too.
#'
#' An import may take an hour, unless the setting `timeout` was changed: to give up on one leaves its outcome unknown.
#' One request has 64 MB at most; larger data go in batches.
#'
#' The token needs the API Import right, and the API Export right for the dictionary and the dry run. Whether it may
#' import, a dry run cannot tell.
#'
#' @param project A project from [setup_project()] or [load_project()], or its short name.
#' @param data A data frame with the column of the record's id, `redcap_event_name` in a longitudinal project,
#'   `redcap_repeat_instrument` and `redcap_repeat_instance` where something repeats (the instance may be `"new"`), and
#'   the fields to import.
#' @param dry_run `TRUE` writes nothing and returns what would change.
#' @param blanks What `NA` and `""` do: `"keep"` leaves what is there (REDCap's `normal`), `"overwrite"` makes it blank
#'   (REDCap's `overwrite`). Values that are not blank always replace what is there.
#' @param auto_number `TRUE` lets REDCap give all records new ids. Those in `data` tell only which rows belong together.
#' @param batch_size Records in one request; all of them if `NULL`. A batch that fails ends the import.
#'
#' @returns A dry run returns a data frame, a row for each value that would change: `record`, `event`,
#'   `repeat_instrument`, `repeat_instance`, `field`, `old`, `new` (texts, as REDCap has them) and `kind`:
#'   `"new record"` (the record is not there; its first row is that of the id), `"new row"` (the record is there, this
#'   event or instance of it is not), `"new value"` (blank now), `"change"` (another value now), `"blank"` (would be
#'   blanked) or `"unknown"` (the token may not read what is there).
#'
#'   An import returns, invisibly, a data frame with a row for each record that REDCap says it has taken: `record` (its
#'   id in the project) and `sent` (its id in `data`).
#' @seealso [keycap_conditions]
#' @examples
#' sandbox <- start_sandbox()
#' project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
#'
#' data <- data.frame(
#'   record_id = c(1, 2, 100000),
#'   sex = factor(c("Male", NA, "Diverse")),
#'   birth_date = as.Date(c("1980-02-29", NA, "1999-12-31")),
#'   consent = c(NA, FALSE, TRUE)
#' )
#'
#' # What would change? Nothing is written.
#' import_records(project, data)
#'
#' # Do it.
#' import_records(project, data, dry_run = FALSE)
#' import_records(project, data)
#'
#' # Everything that does not fit is named at once.
#' data$sex <- c("male", "Male", "7")
#' problems <- tryCatch(import_records(project, data), keycap_error_argument = function(e) e$problems)
#' problems
#'
#' stop_sandbox(sandbox)
#' @export
import_records <- function(
  project,
  data,
  dry_run = TRUE,
  blanks = c("keep", "overwrite"),
  auto_number = FALSE,
  batch_size = NULL
) {
  call <- quote(import_records())
  if (missing(project)) {
    abort_missing("project", call)
  }
  if (missing(data)) {
    abort_missing("data", call)
  }
  if (!is.data.frame(data)) {
    abort_argument(sprintf("`data` must be a data frame, not %s", describe(data)), "data", call)
  }
  args <- list(
    project = check_project(project, call),
    data = plain_data(data, call),
    problems = attr(data, "keycap_problems", exact = TRUE),
    dry_run = check_flag(dry_run, "dry_run", call),
    blanks = if (!missing(blanks)) check_string(blanks, "blanks", call),
    auto_number = check_flag(auto_number, "auto_number", call),
    batch_size = if (!is.null(batch_size)) check_whole(batch_size, "batch_size", call)
  )
  if (args$dry_run) {
    return(core_call("import_records", args, call))
  }
  # A script that is stopped here should not leave its user in the belief that nothing has happened.
  stopped <- function(condition) {
    say_failure(
      "the import was interrupted, and its outcome is not known",
      "a dry run with the same data shows what of it is not there yet"
    )
  }
  invisible(withCallingHandlers(core_call("import_records", args, call), interrupt = stopped))
}

# A data frame and nothing else, whatever class it had: plain columns, times as the clock of their zone shows them. Only
# R knows the zones, and only R knows in which encoding its texts are; what is not valid there it would quietly change.
plain_data <- function(data, call) {
  columns <- lapply(unclass(data), plain_column)
  texts <- lapply(columns, function(column) if (is.factor(column)) levels(column) else if (is.character(column)) column)
  bad <- which(!vapply(texts, is_text, NA))
  if (length(bad) > 0L) {
    abort_argument(
      sprintf("column %d of the data frame: a text is not valid in its encoding", bad[[1]]),
      "data",
      call,
      "read the file again with its true encoding, or convert the column with `iconv()`"
    )
  }
  columns <- lapply(columns, function(column) {
    if (is.factor(column)) levels(column) <- enc2utf8(levels(column))
    column
  })
  structure(columns, names = names(data), class = "data.frame", row.names = .set_row_names(nrow(data)))
}

plain_column <- function(column) {
  if (inherits(column, "POSIXt")) {
    return(as.POSIXct(as.POSIXlt(column), tz = "UTC"))
  }
  column
}

# Whether texts are what their encoding says; what is no text at all is.
is_text <- function(text) {
  is.null(text) || (all(validEnc(text)) && !any(Encoding(text) == "bytes"))
}
