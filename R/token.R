#' View and test the token of a project
#'
#' @description
#' Neither function shows a character of the token, and neither returns one.
#'
#' * `view_project_token()` looks the token's name up in every store and tells what it finds: where the token is
#'   kept, whether it is set, its form, its length and its fingerprint. It warns when the same name holds
#'   different tokens in two stores. Nothing is sent.
#' * `test_project_token()` asks REDCap: first for its version, then for the project. It says which server,
#'   version, project id and title the token opens, or exactly what is wrong.
#'
#' @section What the answers of `test_project_token()` mean:
#' `TRUE`: REDCap accepted the token. `FALSE`: the token will not work, and a new one is needed; the attribute
#' `reason` says why: `"token_refused"` (REDCap refused it: revoked, regenerated, or the user is suspended),
#' `"token_missing"` (nothing is set under the name), `"token_form"` (what is set is not a token; nothing was
#' sent). Whatever leaves the question open, such as a server that cannot be reached, is an error with a class
#' of its own: see [keycap_conditions].
#'
#' The first success pins the project id: in your registry, and in the project that comes as attribute
#' `project`. When the same token name later opens another project, you get `keycap_error_project_changed`.
#'
#' A token that REDCap refuses is looked up once more. If another one is found by then, because somebody has replaced it
#' meanwhile, that one is tried, once.
#'
#' When R is not interactive, `FALSE` also gives one warning of class `keycap_warning_token`.
#'
#' @param project A project from [setup_project()] or [load_project()], or its short name.
#'
#' @returns `view_project_token()` returns, invisibly, a data frame with one row and the columns `token_name`,
#'   `source` (the store it came from), `is_set`, `form`, `n_chars`, `fingerprint` and `bound_by`: what says that the
#'   token may go to the project's server (`"registry"`, the institution's list of servers `"site"`, or the `"store"`
#'   itself; `NA` when a call would be refused). `source`, `form`, `n_chars` and `fingerprint` are `NA` when nothing is
#'   set.
#'
#'   `test_project_token()` returns `TRUE` or `FALSE` invisibly, of class `keycap_test`, with the attributes `reason`
#'   (with `FALSE`) and `project` (the project with its id). Use `isTRUE()` on it; printed, it shows the reason.
#'
#'   What they print goes to [message()]'s stream; `options(keycap.quiet = TRUE)` silences it.
#' @seealso [setup_project()], [keycap_conditions]
#' @examples
#' sandbox <- start_sandbox()
#' project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
#'
#' view_project_token(project)
#'
#' works <- test_project_token(project)
#' isTRUE(works)
#' works
#' attr(works, "project")$project_id
#'
#' # A revoked token is refused, and the reason says so.
#' sandbox_revoke_token(sandbox, "TEST")
#' works <- suppressWarnings(test_project_token(project))
#' attr(works, "reason")
#'
#' stop_sandbox(sandbox)
#' @export
view_project_token <- function(project) {
  call <- quote(view_project_token())
  if (missing(project)) {
    abort_missing("project", call)
  }
  check_quoted(substitute(project), parent.frame(), "project", call)
  seen <- core_call("view_token", list(project = check_project(project, call)), call)
  say_lines(seen$lines)
  say_hints(as.character(unlist(seen$hints)))
  invisible(seen$row)
}

#' @rdname view_project_token
#' @export
test_project_token <- function(project) {
  call <- quote(test_project_token())
  if (missing(project)) {
    abort_missing("project", call)
  }
  check_quoted(substitute(project), parent.frame(), "project", call)
  tested <- core_call("test_token", list(project = check_project(project, call)), call)
  hints <- as.character(unlist(tested$hints))
  say_lines(tested$lines)
  if (tested$works) {
    say_success(tested$message, hints)
  } else if (rlang::is_interactive()) {
    say_failure(tested$message, hints)
  } else {
    warn_token(tested$message, hints, tested$reason)
  }
  project <- as_project(tested$project)
  invisible(structure(tested$works, reason = tested$reason, project = project, class = "keycap_test"))
}

#' @export
format.keycap_test <- function(x, ...) {
  facts <- c(project = shown(attr(x, "project")$short_name), reason = shown(attr(x, "reason")))
  facts <- facts[nzchar(facts)]
  lines <- sprintf("  %s %s", format(paste0(names(facts), ":")), facts)
  c(paste("<keycap test>", as.logical(x)), if (length(facts) > 0L) lines)
}

#' @export
print.keycap_test <- function(x, ...) {
  cat(format(x), sep = "\n")
  invisible(x)
}

warn_token <- function(message, hints, reason) {
  rlang::warn(
    paste(with_hints(one_line(message), hints), collapse = "\n"),
    use_cli_format = FALSE,
    class = c("keycap_warning_token", "keycap_warning"),
    reason = reason
  )
}
