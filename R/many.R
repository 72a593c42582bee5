#' Test tokens and export records of many projects side by side
#'
#' @description
#' Both work on up to 25 projects at a time, within the limit of requests to each server. What goes wrong with one
#' project stands in its row and never ends the others.
#'
#' * `test_project_tokens()` tests the token of each project, as [test_project_token()] does for one.
#' * `export_many()` exports the records of each project.
#'
#' An interrupt ends all of them.
#'
#' @param projects The projects: a list of projects from [setup_project()] or [load_project()], a character vector of
#'   short names, or the data frame that [get_projects()] gives.
#' @param fields,forms,events,records Names of fields, forms and events, and ids of records; `NULL` for all. The
#'   field with the record's id comes along in any case.
#' @param filter_logic REDCap's filter logic, such as `"[age] > 30"`.
#' @param choices What stands for a choice: its code, its label, or a factor of labels.
#' @param types `TRUE` gives each column the type that the project's dictionary says; `FALSE` gives texts.
#' @param tz The time zone that the server's clock shows.
#' @param batch_size The number of records in one call; `NULL` for all in one, and smaller calls where the server
#'   cannot give so many.
#' @param to A folder to write to instead: each project's records go to the file `<short_name>.csv` in it, as REDCap
#'   sends them. A file is whole or not there.
#' @param overwrite `TRUE` replaces files that are there. Else a project whose file is there is a row with the reason
#'   `file`.
#'
#' @returns
#' `test_project_tokens()` returns a data frame with one row a project: `short_name`; `works` (`TRUE`, `FALSE` if the
#' token will not work, `NA` if that is left open); `reason` (the kind of the condition: see [keycap_conditions]) and
#' `message`; `redcap_version`, `project_id` and `project_title`; the token's `fingerprint` and `source`; `seconds`. It
#' says how many work, and which do not; `options(keycap.quiet = TRUE)` silences it.
#'
#' `export_many()` returns a data frame with one row a project: `short_name`; `ok`; `rows` and `bytes`; `reason` and
#' `message` if it failed; `seconds`; and, if `to` is `NULL`, `data`, a list of data frames (`NULL` for what failed),
#' else `file`, the path of the file.
#' @seealso [test_project_token()], [keycap_conditions]
#' @examples
#' sandbox <- start_sandbox()
#' for (short_name in sandbox$projects$short_name) {
#'   setup_project(short_name, redcap_uri = sandbox$redcap_uri)
#' }
#'
#' tested <- test_project_tokens()
#' tested[c("short_name", "works", "project_id")]
#'
#' # One that is refused is a row like the others.
#' sandbox_revoke_token(sandbox, "TEST")
#' test_project_tokens(c("TEST", "TEST_LONG"))[c("short_name", "works", "reason")]
#'
#' exports <- export_many(c("TEST_LONG", "TEST_REPEAT"))
#' exports[c("short_name", "ok", "rows")]
#' exports$data[[1]][1:3, 1:3]
#'
#' # To files, one a project.
#' folder <- file.path(tempdir(), "exports")
#' export_many(c("TEST_LONG", "TEST_REPEAT"), to = folder)$ok
#' list.files(folder)
#'
#' stop_sandbox(sandbox)
#' unlink(folder, recursive = TRUE)
#' @export
test_project_tokens <- function(projects = get_projects()) {
  call <- quote(test_project_tokens())
  tested <- core_call("test_tokens", list(projects = check_projects(projects, call)), call)
  say_tested(tested)
  tested
}

#' @rdname test_project_tokens
#' @export
export_many <- function(
  projects = get_projects(),
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
  call <- quote(export_many())
  args <- c(
    list(projects = check_projects(projects, call)),
    export_selection(fields, forms, events, records, filter_logic, batch_size, call),
    export_wish(if (missing(choices)) choices[1] else choices, types, tz, to, overwrite, call)
  )
  done <- core_call("export_many", args, call)
  results <- done$results
  say_exported(results)
  if (is.null(to)) {
    results$file <- NULL
    results$data <- lapply(done$exports, function(answer) if (!is.null(answer)) as_export(answer))
  }
  structure(results, class = c("keycap_exports", "data.frame"))
}

# The data themselves would flood the console.
#' @export
print.keycap_exports <- function(x, ...) {
  shown <- as.data.frame(unclass(x[names(x) != "data"]), stringsAsFactors = FALSE)
  if (is.list(x$data)) {
    shown$data <- vapply(x$data, function(one) if (is.null(one)) "-" else sprintf("<%d x %d>", nrow(one), ncol(one)), "")
  }
  print(shown, ...)
  invisible(x)
}

# How many work, and a line for each other, with what is to be said of it.
say_tested <- function(tested) {
  works <- tested$works %in% TRUE
  say_rows(tested, works, sprintf("%d of %d tokens work", sum(works), length(works)))
}

say_exported <- function(results) {
  say_rows(results, results$ok, sprintf("%d of %d projects are exported", sum(results$ok), nrow(results)))
}

say_rows <- function(rows, good, summary) {
  if (nrow(rows) == 0L) {
    return(say_hints("there are no projects; set them up with `setup_project()`"))
  }
  if (all(good)) {
    return(say_success(summary))
  }
  say_failure(summary)
  bad <- rows[!good, ]
  lines <- sprintf("%s (%s)", bad$message, bad$reason)
  names(lines) <- bad$short_name
  say_lines(lines)
}

# The projects as the core takes them: a short name is a text, a project a list of its fields.
check_projects <- function(projects, call) {
  if (is.data.frame(projects)) {
    fields <- intersect(project_fields, names(projects))
    if (!all(c("short_name", "redcap_uri", "token_name") %in% fields)) {
      abort_projects(projects, call)
    }
    rows <- seq_len(nrow(projects))
    projects <- lapply(rows, function(n) as_project(lapply(unclass(projects)[fields], function(column) not_na(column[[n]]))))
  } else if (inherits(projects, "keycap_project")) {
    projects <- list(projects)
  } else if (is.character(projects) && !anyNA(projects)) {
    projects <- as.list(as.vector(projects))
  } else if (!is.list(projects)) {
    abort_projects(projects, call)
  }
  unname(lapply(projects, function(project) {
    if (is.character(project)) check_string(project, "projects", call) else check_project(project, call)
  }))
}

abort_projects <- function(projects, call) {
  message <- sprintf(
    "`projects` must be a list of projects, short names, or the data frame of `get_projects()`, not %s",
    describe(projects)
  )
  abort_argument(message, "projects", call)
}

not_na <- function(x) if (!is.atomic(x) || length(x) != 1L || !is.na(x)) x
