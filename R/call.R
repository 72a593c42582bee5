#' Any call of REDCap's API
#'
#' @description
#' `redcap_call()` reaches every method of REDCap's API, with REDCap's own names: its help pages say which `content`,
#' actions and parameters there are. The token is looked up by its name, as in all functions of this package, and the
#' audit log gets an entry with content, action and the names of the parameters, never their values.
#'
#' @section Parameters:
#' * Texts go as they are; numbers with all their digits, never as `1e+05`.
#' * Vectors and lists go as REDCap's arrays: `fields = c("age", "sex")` is sent as `fields[0]` and `fields[1]`.
#' * `TRUE` and `FALSE` go as `true` and `false`, dates as `YYYY-MM-DD`, times as `YYYY-MM-DD HH:MM:SS` in the zone in
#'   which R shows them. REDCap takes times as those of its own clock.
#' * `NULL` leaves a parameter out. An empty vector is an error: REDCap would take it for "all".
#' * `action` is `"export"` where the content knows actions, and `"import"` where `data` come along. `format` is not
#'   given for a data frame; for what is imported it says what `data` is.
#' * `file` with `action = "import"` is the path of the file to send.
#'
#' @section What is sent once:
#' Whatever changes something on the server, or is not known to this package, is sent once and never again. If
#' nobody can know what became of it, that is an error of the class `keycap_error_outcome_unknown`.
#'
#' Projects cannot be created: REDCap takes a super token for that, and super tokens are refused.
#'
#' @param project A project from [setup_project()] or [load_project()], or its short name.
#' @param content REDCap's name for what the call is about, such as `"record"` or `"metadata"`.
#' @param ... REDCap's parameters for it, by name.
#' @param as What the answer becomes: a data frame of texts (blank is `NA`), one text, or a file on disk. Without it the
#'   answer decides: rows become a data frame, files a file, everything else a text.
#' @param to With `as = "file"`: the file to write, or a folder, in which it gets the server's name for it, made safe.
#'   Nothing is written over, and a file is there whole or not at all. Only you may read it.
#'
#' @returns A data frame, a text, or the path of the file that was written.
#' @seealso [export_metadata()] and its kin, [export_file()], [keycap_conditions]
#' @examples
#' sandbox <- start_sandbox()
#' project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
#'
#' redcap_call(project, "record", fields = c("record_id", "sex"), records = 1:3)
#'
#' # As it comes, in any format that REDCap has:
#' cat(redcap_call(project, "instrument", format = "json", as = "text"))
#'
#' # What writes answers with a text, here the number of records:
#' redcap_call(project, "record", data = "record_id,pulse\n1,72\n", format = "csv")
#'
#' # A file, under the server's name for it:
#' file <- redcap_call(project, "pdf", instrument = "health", to = tempdir())
#' basename(file)
#'
#' unlink(file)
#' stop_sandbox(sandbox)
#' @export
redcap_call <- function(project, content, ..., as = c("data.frame", "text", "file"), to = NULL) {
  call <- quote(redcap_call())
  if (missing(project)) {
    abort_missing("project", call)
  }
  if (missing(content)) {
    abort_missing("content", call)
  }
  parameters <- list(...)
  args <- list(
    project = check_project(project, call),
    content = check_string(content, "content", call),
    parameters = check_parameters(parameters, call),
    as = if (!missing(as)) check_string(as, "as", call),
    to = check_path(to, "to", call),
    # What is a path, and for whom, is the core's to say; that it may be relative only R knows.
    file = if (is.character(parameters[["file"]])) check_path(parameters[["file"]], "file", call)
  )
  core_call("call", args, call)$data
}

#' What a project is, and what is in it
#'
#' @description
#' * `export_metadata()` gives the data dictionary: one row a field, all columns texts.
#' * `export_instruments()` gives the forms.
#' * `export_users()` gives the users with their rights. It holds names and e-mail addresses. The codes of rights are
#'   whole numbers, `expiration` is a date; `forms` and `forms_export` are texts such as `"health:1,visit:2"`.
#' * `export_log()` gives the project's log, newest first.
#' * `project_info()` gives one row about the project: `project_id` is a whole number, what is `0` or `1` is a logical
#'   value, the rest is text.
#' * `next_record_name()` gives the name that REDCap would give the next record. It reserves nothing: another client may
#'   take the name first.
#' * `redcap_version()` gives the server's version, which can be compared: `redcap_version(project) >= "14.0"`.
#'
#' A column with a value that does not fit its type stays text, with a warning. Blank is `NA`.
#'
#' @section Times of the log:
#' REDCap writes times as its own clock shows them and does not say in which zone. `tz` is that zone; `timestamp` is in
#' it, and `begin` and `end`, where they are times, are sent in it. Where a day is given instead of a time, `begin`
#' means its beginning and `end` its end.
#'
#' @param project A project from [setup_project()] or [load_project()], or its short name.
#' @param fields,forms Names of fields and forms; all if `NULL`.
#' @param begin,end The time span, as a time (`POSIXct`), a date, or a text (`"2026-01-31"`, `"2026-01-31 08:00"`).
#' @param type The kind of entries: `"export"`, `"manage"`, `"user"`, `"record"`, `"record_add"`, `"record_edit"`,
#'   `"record_delete"`, `"lock_record"` or `"page_view"`; all if `NULL`.
#' @param user,record,dag Entries of this user, about this record, of this Data Access Group.
#' @param tz The time zone of the server's clock.
#'
#' @returns A data frame. `next_record_name()` returns a text, `redcap_version()` a [numeric_version()].
#' @seealso [redcap_call()] for any other method
#' @examples
#' sandbox <- start_sandbox()
#' project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
#'
#' redcap_version(project) >= "14.0"
#' project_info(project)[c("project_id", "project_title", "is_longitudinal")]
#' export_instruments(project)
#' export_metadata(project, forms = "demographics")[1:3, c("field_name", "field_type", "field_label")]
#' export_users(project)[c("username", "api_export", "user_rights")]
#' log <- export_log(project, begin = Sys.Date() - 1, type = "manage")
#' log[1:2, c("timestamp", "username", "details")]
#' next_record_name(project)
#'
#' stop_sandbox(sandbox)
#' @export
export_metadata <- function(project, fields = NULL, forms = NULL) {
  call <- quote(export_metadata())
  args <- list(fields = check_texts(fields, "fields", call), forms = check_texts(forms, "forms", call))
  project_call("export_metadata", project, args, call)
}

#' @rdname export_metadata
#' @export
export_instruments <- function(project) {
  project_call("export_instruments", project, list(), quote(export_instruments()))
}

#' @rdname export_metadata
#' @export
export_users <- function(project) {
  project_call("export_users", project, list(), quote(export_users()))
}

#' @rdname export_metadata
#' @export
export_log <- function(project, begin = NULL, end = NULL, type = NULL, user = NULL, record = NULL, dag = NULL, tz = "UTC") {
  call <- quote(export_log())
  tz <- check_zone(tz, "tz", call)
  args <- list(
    begin = check_time(begin, "begin", tz, call),
    end = check_time(end, "end", tz, call),
    type = check_string(type, "type", call, null = TRUE),
    user = check_string(user, "user", call, null = TRUE),
    record = if (!is.null(record)) check_id(record, "record", call),
    dag = check_string(dag, "dag", call, null = TRUE),
    tz = tz
  )
  log <- project_call("export_log", project, args, call)
  log[] <- lapply(log, at_its_zone)
  log
}

#' @rdname export_metadata
#' @export
project_info <- function(project) {
  project_call("project_info", project, list(), quote(project_info()))
}

#' @rdname export_metadata
#' @export
next_record_name <- function(project) {
  project_call("next_record_name", project, list(), quote(next_record_name()))
}

#' @rdname export_metadata
#' @export
redcap_version <- function(project) {
  numeric_version(project_call("redcap_version", project, list(), quote(redcap_version())))
}

#' A file from a file field
#'
#' @description
#' Downloads the file in a file field of one record, straight to disk. It is there whole or not at all: while it
#' comes, it has the ending `.partial`, and an error or Ctrl-C removes it. Nothing is written over, and only you may
#' read the file.
#'
#' In a folder the file gets the name that the server gives, made safe: without folders, control characters, a leading
#' dot or names that Windows reserves, and not too long.
#'
#' @param project A project from [setup_project()] or [load_project()], or its short name.
#' @param record The record's id.
#' @param field The name of the file field.
#' @param event The unique name of the event, in a longitudinal project.
#' @param repeat_instance The number of the instance, where the form or the event repeats.
#' @param to The file to write, or a folder.
#'
#' @returns The full path of the file.
#' @seealso [redcap_call()] for files of the file repository (`"fileRepository"`) and for sending files
#' @examples
#' sandbox <- start_sandbox()
#' project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
#'
#' file <- export_file(project, record = 1, field = "letter", to = tempdir())
#' basename(file)
#' readBin(file, "raw", 4)
#'
#' unlink(file)
#' stop_sandbox(sandbox)
#' @export
export_file <- function(project, record, field, event = NULL, repeat_instance = NULL, to = ".") {
  call <- quote(export_file())
  if (missing(project)) {
    abort_missing("project", call)
  }
  if (missing(record)) {
    abort_missing("record", call)
  }
  if (missing(field)) {
    abort_missing("field", call)
  }
  args <- list(
    record = check_id(record, "record", call),
    field = check_string(field, "field", call),
    event = check_string(event, "event", call, null = TRUE),
    repeat_instance = if (!is.null(repeat_instance)) check_whole(repeat_instance, "repeat_instance", call),
    to = check_path(to, "to", call)
  )
  project_call("export_file", project, args, call)
}

project_call <- function(op, project, args, call) {
  if (missing(project)) {
    abort_missing("project", call)
  }
  core_call(op, c(list(project = check_project(project, call)), args), call)$data
}

# REDCap's parameters as plain values: what they mean is the core's to say.
check_parameters <- function(parameters, call) {
  names <- names(parameters)
  if (is.null(names)) {
    names <- rep("", length(parameters))
  }
  # A name that the user mistyped may be anything, a token too: no message repeats it.
  shown <- ifelse(grepl("^[A-Za-z][A-Za-z0-9_]{0,30}$", names), names, "...")
  checked <- lapply(seq_along(parameters), function(i) check_parameter(parameters[[i]], shown[i], call))
  stats::setNames(checked, names)
}

check_parameter <- function(x, argument, call) {
  if (is.null(x)) {
    return(NULL)
  }
  if (is.list(x) && !is.object(x)) {
    single <- vapply(x, function(item) is.atomic(item) && length(item) == 1L, NA)
    if (!all(single)) {
      abort_argument(sprintf("`%s` must be a vector, or a list of single values", argument), argument, call)
    }
    return(lapply(unname(x), check_parameter, argument, call))
  }
  if (inherits(x, "Date")) {
    x <- format(x, "%Y-%m-%d")
  } else if (inherits(x, "POSIXt")) {
    x <- format(x, "%Y-%m-%d %H:%M:%S")
  } else if (is.factor(x)) {
    x <- as.character(x)
  }
  plain <- is.character(x) || (!is.object(x) && (is.logical(x) || is.numeric(x)))
  if (!plain || anyNA(x)) {
    abort_argument(
      sprintf("`%s` must be texts, numbers, logical values, dates or times, without missing values, not %s", argument, describe(x)),
      argument,
      call,
      "`NULL` leaves a parameter out"
    )
  }
  as.vector(x)
}

# The id of one record: a text or a whole number.
check_id <- function(x, argument, call) {
  if (is.factor(x)) {
    x <- as.character(x)
  }
  if (!(is.character(x) || (is.numeric(x) && !is.object(x))) || length(x) != 1L || is.na(x)) {
    abort_argument(sprintf("`%s` must be a single text or whole number, not %s", argument, describe(x)), argument, call)
  }
  as.vector(x)
}

check_path <- function(x, argument, call) {
  absolute_path(check_string(x, argument, call, null = TRUE))
}

# A time as the clock of a zone shows it.
check_time <- function(x, argument, tz, call) {
  if (is.null(x)) {
    return(NULL)
  }
  if (length(x) == 1L && !is.na(x)) {
    if (inherits(x, "POSIXt")) {
      return(format(as.POSIXct(x), "%Y-%m-%d %H:%M:%S", tz = tz))
    }
    if (inherits(x, "Date")) {
      return(format(x, "%Y-%m-%d"))
    }
    if (is.character(x)) {
      return(check_string(x, argument, call))
    }
  }
  abort_argument(sprintf("`%s` must be a single time, date or text, not %s", argument, describe(x)), argument, call)
}

# The core gives what the clock showed as if it were UTC, and names the zone where it is another.
at_its_zone <- function(column) {
  tz <- attr(column, "keycap_tz")
  if (is.null(tz)) {
    return(column)
  }
  attr(column, "keycap_tz") <- NULL
  clock <- as.numeric(column)
  moments <- moments_in(clock, tz)
  # What no clock of that zone has shown is no moment, and no other is made of it.
  if (anyNA(moments[!is.na(clock)])) {
    message <- sprintf("some times were never shown by a clock in the zone `%s`; `timestamp` stays as text", tz)
    rlang::warn(message, class = "keycap_warning", use_cli_format = FALSE)
    return(clock_text(clock, any(clock %% 60 != 0, na.rm = TRUE)))
  }
  .POSIXct(moments, tz)
}
