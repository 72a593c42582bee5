#' Set up the projects of a study
#'
#' @description
#' `setup_projects()` sets many projects up in one call, such as the sites of a study, each with the name of a token of
#' its own. What is wrong with one project stands in its row and keeps no other from being set up; each is set up whole or
#' not at all. Test them all with [test_project_tokens()].
#'
#' @param table A data frame with one row a project, and these columns, as [setup_project()] has its arguments:
#'   `short_name`, and where they are wanted `dir_path`, `redcap_uri`, `token_name`, `redcap_user` (whose token it is) and
#'   `dag` (the unique name of the Data Access Group that the token is confined to). `NA`, or an empty cell, stands for what is not given. No
#'   other column, and no short name twice.
#' @param overwrite `TRUE` binds short names that exist to another `redcap_uri`.
#'
#' @returns A data frame with one row a project: `short_name`, `ok`, `reason` (the kind of the condition: see
#'   [keycap_conditions]) and `message`.
#' @seealso [setup_project()], [test_project_tokens()], [check_project_dag()]
#' @examples
#' sandbox <- start_sandbox()
#' study <- setup_projects(data.frame(
#'   short_name = c("SITE_A", "SITE_B", "not a name"),
#'   redcap_uri = sandbox$redcap_uri,
#'   token_name = c("STUDY_SITE_A", "STUDY_SITE_B", NA),
#'   redcap_user = c("site_a", "site_b", NA),
#'   dag = c("site_a", "site_b", NA)
#' ))
#' study
#' get_projects()[c("short_name", "token_name", "redcap_user", "dag")]
#' stop_sandbox(sandbox)
#' @export
setup_projects <- function(table, overwrite = FALSE) {
  call <- quote(setup_projects())
  if (missing(table)) {
    abort_missing("table", call)
  }
  overwrite <- check_flag(overwrite, "overwrite", call)
  rows <- check_study(table, call)
  done <- core_call("setup_projects", list(table = rows, overwrite = overwrite), call)
  set_up <- data.frame(
    short_name = mask_tokens(rows$short_name),
    ok = is.na(done$reason),
    reason = done$reason,
    message = one_line(done$message)
  )
  set_up$message[set_up$ok] <- NA_character_
  say_rows(set_up, set_up$ok, sprintf("%d of %d projects are set up", sum(set_up$ok), nrow(set_up)))
  set_up
}

# The table as the core takes it: texts, with absolute paths. What is `NA` is not given.
check_study <- function(table, call) {
  known <- c("short_name", "dir_path", "redcap_uri", "token_name", "redcap_user", "dag")
  if (!is.data.frame(table)) {
    abort_argument(sprintf("`table` must be a data frame, not %s", describe(table)), "table", call)
  }
  if (!"short_name" %in% names(table) || !all(names(table) %in% known) || anyDuplicated(names(table))) {
    message <- "`table` must have the column `short_name`, and none that `setup_projects()` does not know"
    abort_argument(message, "table", call, sprintf("its columns are among %s", paste0("`", known, "`", collapse = ", ")))
  }
  columns <- lapply(unclass(table)[names(table)], function(column) if (is.factor(column)) as.character(column) else column)
  for (name in names(columns)) {
    column <- columns[[name]]
    if (!is.character(column) && !(is.logical(column) && all(is.na(column)))) {
      abort_argument(sprintf("the column `%s` of `table` must hold texts, not %s", name, describe(column)), "table", call)
    }
  }
  if (anyNA(columns$short_name) || anyDuplicated(columns$short_name)) {
    abort_argument("each row of `table` must have a `short_name` of its own", "table", call)
  }
  # An empty cell of a file that was read is no text.
  columns <- lapply(columns, function(column) {
    column <- enc2utf8(as.character(column))
    replace(column, !nzchar(trimws(column)), NA_character_)
  })
  if (!is.null(columns$dir_path)) {
    given <- !is.na(columns$dir_path)
    columns$dir_path[given] <- vapply(columns$dir_path[given], absolute_path, "", USE.NAMES = FALSE)
  }
  data.frame(columns)
}
