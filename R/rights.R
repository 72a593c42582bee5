#' Check what a token may do
#'
#' @description
#' `check_project_rights()` asks REDCap what the user of a project's token may do, and compares it with what the token
#' is needed for. It only reads.
#'
#' A token that is well confined cannot read its own rights. Then another project in `checked_by`, set up with the token
#' of a data manager for the same REDCap project, says what the list of users has. Its calls are in the audit log as its
#' own.
#'
#' @section Needs:
#' `needs` names rights as [export_users()] names its columns (`"api_export"`, `"logging"`, `"user_rights"`), or
#' purposes:
#'
#' | purpose | what it needs |
#' |---|---|
#' | `"export"` | `api_export`, and the export of all data of each form that is exported |
#' | `"export_deidentified"` | `api_export`, and the export without identifiers; a full export is too much |
#' | `"import"` | `api_import`, and `api_export` for the dictionary and what is there; new records may be made |
#' | `"survey"` | `api_export` and `manage_survey_participants` |
#'
#' `"api_export"` alone says nothing about data: any right to export them is fine then.
#'
#' @section Verdicts and evidence:
#' `ok`: as needed. `excess`: more than needed. `missing`: less than needed. `unknown`: nobody could say. A code that
#' keycap does not know, and a right that it does not know, count as excess.
#'
#' The evidence is `self` (the token could read the list of users), `checker` (that of `checked_by` could), `probe` (what
#' REDCap let the token do, and what it refused) or `declared` (what a person states).
#'
#' Where a role stands behind a user, its rights count, and none of the user's own. Whose token it is, REDCap does not
#' say: `redcap_user` of [setup_project()] declares it. It counts where the list of users has that user and the token does
#' what that user may, and nothing else; else the rights are `unknown`, never guessed. That a token may not list users is
#' good.
#'
#' Where of all users of the project one alone may do what the token was seen to do, the user is *verified*, and the audit
#' log says so from then on, of this very token. That takes a list of all users: whoever reads it has the right to Data
#' Access Groups and is in none.
#'
#' @section What REDCap does not say:
#' That nobody can log in with an account, REDCap's own rule for accounts that are not used, and whether the project's DAG
#' Switcher lists a user cannot be read. `declare_account()` writes down what a named administrator states, with an entry
#' in the audit log. It is shown as `declared`, never as `ok`.
#'
#' @param project A project from [setup_project()] or [load_project()], or its short name.
#' @param needs Rights and purposes: see below.
#' @param checked_by Another project on the same REDCap project, whose token may list users.
#' @param api_only Whether the account is for the API alone: nobody can log in with it.
#' @param inactivity After how long without use REDCap shuts the account, such as `"30 days"`.
#' @param by The name of the administrator who states it.
#' @param until The day up to which it is stated, as `"2027-01-31"`.
#' @param dag_switcher Whether the project's DAG Switcher lists the user.
#'
#' @returns `check_project_rights()` returns a data frame of class `keycap_rights` with one row for each right, and for
#'   the user, the role, the expiration and what is declared: `right`, `held`, `needed`, `verdict`, `evidence` and
#'   `remark`. Rights by form are `forms:<form>` and `forms_export:<form>`. The attribute `flags` has sentences about what
#'   somebody should look at. `declare_account()` returns `NULL`, invisibly.
#' @seealso [check_project_dag()], [setup_project()], [export_users()]
#' @examplesIf .Platform$OS.type == "unix"
#' sandbox <- start_sandbox()
#' study <- function(user) {
#'   file <- tempfile()
#'   sandbox_issue_token(sandbox, "TEST_SITES", user, to = file)
#'   project <- setup_project(user, redcap_uri = sandbox$redcap_uri, redcap_user = user)
#'   set_project_token(project, store = "sandbox", file = file, wipe = TRUE)
#'   project
#' }
#'
#' # A token for one site, checked with that of the data manager.
#' manager <- study("manager")
#' rights <- check_project_rights(study("site_a"), needs = "export", checked_by = manager)
#' rights
#' rights[rights$verdict != "ok", c("right", "verdict", "evidence")]
#'
#' # One with too many rights.
#' check_project_rights(study("service"), needs = "export_deidentified", checked_by = manager)
#'
#' # What REDCap does not say, an administrator can state.
#' declare_account(
#'   "site_a", api_only = TRUE, inactivity = "90 days",
#'   by = "Dr. Ada Admin", until = "2031-01-31"
#' )
#' rights <- check_project_rights("site_a", checked_by = manager)
#' rights[rights$evidence %in% "declared", c("right", "held", "remark")]
#'
#' stop_sandbox(sandbox)
#' @export
check_project_rights <- function(project, needs = c("api_export"), checked_by = NULL) {
  call <- quote(check_project_rights())
  if (missing(project)) {
    abort_missing("project", call)
  }
  check_quoted(substitute(project), parent.frame(), "project", call)
  args <- list(
    project = check_project(project, call),
    needs = as.list(check_texts(needs, "needs", call)),
    checked_by = check_checker(checked_by, call)
  )
  checked <- core_call("check_rights", args, call)
  structure(
    checked$rights,
    flags = as.character(unlist(checked$flags)),
    short_name = checked$short_name,
    class = c("keycap_rights", "data.frame")
  )
}

#' @rdname check_project_rights
#' @export
declare_account <- function(project, api_only = NULL, inactivity = NULL, by, until, dag_switcher = NULL) {
  call <- quote(declare_account())
  if (missing(project)) {
    abort_missing("project", call)
  }
  if (missing(by)) {
    abort_missing("by", call)
  }
  if (missing(until)) {
    abort_missing("until", call)
  }
  check_quoted(substitute(project), parent.frame(), "project", call)
  args <- list(
    project = check_project(project, call),
    api_only = if (!is.null(api_only)) check_flag(api_only, "api_only", call),
    inactivity = check_string(inactivity, "inactivity", call, null = TRUE),
    dag_switcher = if (!is.null(dag_switcher)) check_flag(dag_switcher, "dag_switcher", call),
    by = check_string(by, "by", call),
    until = check_string(if (inherits(until, "Date")) format(until) else until, "until", call)
  )
  core_call("declare_account", args, call)
  invisible(NULL)
}

#' Check whether a token is confined to a Data Access Group
#'
#' @description
#' `check_project_dag()` finds out whether the token of a project sees the records of one Data Access Group and no
#' others. It only reads. What it goes by:
#'
#' * what REDCap answers to the token that asks for the groups: their list (it is in none), that its user is in a group,
#'   or that it may not ask;
#' * the group that the list of users has for the declared `redcap_user`, read by the token itself or by that of
#'   `checked_by`, and whether that user may import;
#' * whether the log shows that the user moved itself to another group, where `checked_by` may read it;
#' * with `read_ids = TRUE`, whether records come with their groups, and of which groups those are that the token sees.
#'
#' A token that may import can move itself to any group where the project's DAG Switcher lists its user, and REDCap does
#' not say who is listed: then the answer is `cannot tell`, unless an administrator states it (see [declare_account()]).
#'
#' Where a project is set up with `dag`, [test_project_token()] and [test_project_tokens()] say when the token itself shows
#' that it is in no group. One that has not the right to groups shows nothing: then this check with `checked_by` tells.
#'
#' @param project A project from [setup_project()] or [load_project()], or its short name.
#' @param dag The unique name of the group; that of the project if `NULL`.
#' @param checked_by Another project on the same REDCap project, whose token may list users, groups and the log, and is in
#'   no group.
#' @param read_ids `TRUE` reads the ids of all records that the token sees, and that `checked_by` sees.
#'
#' @returns A data frame of class `keycap_dag` with one row: `short_name`, `dag`; `answer`: `confined to <dag>`, `confined
#'   to another`, `not confined`, `can move itself` or `cannot tell`; `confined`: `TRUE`, `FALSE`, or `NA` if it cannot be
#'   told; `group`, the group that it is confined to. The attribute `evidence` is a data frame with `source`, `evidence`
#'   (`self`, `checker`, `declared` or `probe`) and `says`.
#' @seealso [check_project_rights()], [setup_projects()]
#' @examplesIf .Platform$OS.type == "unix"
#' sandbox <- start_sandbox()
#' users <- c("manager", "site_a", "site_c")
#' study <- setup_projects(data.frame(
#'   short_name = users,
#'   redcap_uri = sandbox$redcap_uri,
#'   redcap_user = users,
#'   dag = c(NA, "site_a", "site_c")
#' ))
#' study
#' for (user in users) {
#'   file <- tempfile()
#'   sandbox_issue_token(sandbox, "TEST_SITES", user, to = file)
#'   set_project_token(user, store = "sandbox", file = file, wipe = TRUE)
#' }
#'
#' check_project_dag("site_a", checked_by = "manager")
#' # Nobody put this user into its group.
#' check_project_dag("site_c", checked_by = "manager", read_ids = TRUE)
#' test_project_tokens(c("site_a", "site_c"))[c("short_name", "works", "message")]
#'
#' stop_sandbox(sandbox)
#' @export
check_project_dag <- function(project, dag = NULL, checked_by = NULL, read_ids = FALSE) {
  call <- quote(check_project_dag())
  if (missing(project)) {
    abort_missing("project", call)
  }
  check_quoted(substitute(project), parent.frame(), "project", call)
  args <- list(
    project = check_project(project, call),
    dag = check_string(dag, "dag", call, null = TRUE),
    checked_by = check_checker(checked_by, call),
    read_ids = check_flag(read_ids, "read_ids", call)
  )
  checked <- core_call("check_dag", args, call)
  row <- data.frame(
    short_name = checked$short_name,
    dag = checked$dag,
    answer = checked$answer,
    confined = if (is.null(checked$confined)) NA else checked$confined,
    group = if (is.null(checked$group)) NA_character_ else checked$group
  )
  structure(row, evidence = checked$evidence, class = c("keycap_dag", "data.frame"))
}

# The checker's project as the core takes it.
check_checker <- function(checked_by, call) {
  if (is.null(checked_by)) {
    return(NULL)
  }
  if (!is.character(checked_by) && !inherits(checked_by, "keycap_project")) {
    message <- sprintf("`checked_by` must be a project or the short name of one, not %s", describe(checked_by))
    abort_argument(message, "checked_by", call)
  }
  check_project(checked_by, call)
}

#' @export
format.keycap_rights <- function(x, ...) {
  x <- plain_frame(x)
  if (!all(rights_columns %in% names(x))) {
    return(format(x, ...))
  }
  lines <- paste0("<keycap rights>", if (length(attr(x, "short_name"))) paste0(" of ", attr(x, "short_name")))
  counts <- vapply(c("ok", "excess", "missing", "unknown"), function(verdict) sum(x$verdict %in% verdict), 0L)
  lines <- c(lines, paste0("  ", paste(counts, names(counts), collapse = ", ")))
  for (verdict in c("missing", "excess", "unknown")) {
    rows <- x[x$verdict %in% verdict, , drop = FALSE]
    if (nrow(rows) > 0L) {
      held <- ifelse(is.na(rows$held), "", paste0(": ", rows$held))
      remark <- ifelse(is.na(rows$remark), "", paste0(" (", rows$remark, ")"))
      plain <- is.na(rows$held) & is.na(rows$remark)
      bare <- if (any(plain)) paste(rows$right[plain], collapse = ", ")
      lines <- c(lines, paste0("  ", verdict), paste0("    ", c(paste0(rows$right, held, remark)[!plain], bare)))
    }
  }
  flags <- attr(x, "flags")
  c(lines, if (length(flags) > 0L) c("  look at", paste0("    ", flags)))
}

rights_columns <- c("right", "held", "needed", "verdict", "evidence", "remark")

#' @export
print.keycap_rights <- function(x, ...) {
  if (nrow(x) == 0L || !all(rights_columns %in% names(x))) {
    print(plain_frame(x), ...)
  } else {
    cat(one_line(format(x)), sep = "\n")
  }
  invisible(x)
}

#' @export
format.keycap_dag <- function(x, ...) {
  evidence <- attr(x, "evidence")
  lines <- sprintf("<keycap access group> %s: %s", x$short_name, x$answer)
  c(lines, if (is.data.frame(evidence)) sprintf("  %s (%s): %s", evidence$source, evidence$evidence, evidence$says))
}

#' @export
print.keycap_dag <- function(x, ...) {
  if (all(c("short_name", "answer") %in% names(x))) {
    cat(one_line(format(x)), sep = "\n")
  } else {
    print(plain_frame(x), ...)
  }
  invisible(x)
}

plain_frame <- function(x) {
  class(x) <- "data.frame"
  x
}
