# What this session has running: the addresses of its sandboxes, by process id.
the <- new.env(parent = emptyenv())
the$sandboxes <- list()
# The remarks that were made and need not be made again.
the$told <- character()

#' A sandbox to try and test with
#'
#' @description
#' The sandbox answers as REDCap's API does. **It is not REDCap**: it is a small server on this machine's loopback
#' address with made-up projects, made-up records and sample tokens that are fake by name. It harms nothing:
#' its sample tokens are known only for the address of a sandbox that this session started, your own tokens are
#' never touched, and its projects are kept in a temporary registry and log.
#'
#' * `start_sandbox()` starts one in a child process, which ends with this R session or with `stop_sandbox()`.
#' * `run_sandbox()` runs one in this process until it is interrupted, for other programs to use:
#'   `Rscript -e 'keycap::run_sandbox(8080, keep = TRUE)'`.
#'
#' @param sandbox A sandbox from `start_sandbox()`.
#' @param port The port to listen at; 0 takes any free one.
#' @param keep Whether to go on when standard input is at its end. `FALSE` ties the sandbox to the process that
#'   holds the other end.
#'
#' @returns `start_sandbox()` returns a list of class `keycap_sandbox` with `redcap_uri`, `pid` and `projects`, a
#'   data frame of the sample projects. `stop_sandbox()` and `run_sandbox()` return `NULL`, invisibly.
#' @seealso [sandbox_issue_token()] and its kin, to act as the administrator of a sandbox.
#' @examples
#' sandbox <- start_sandbox()
#' sandbox
#' stop_sandbox(sandbox)
#' @export
start_sandbox <- function() {
  args <- list(program = file.path(R.home("bin"), "Rscript"), arguments = sandbox_arguments())
  started <- core_call("sandbox_start", args, quote(start_sandbox()))
  sandbox <- structure(
    list(redcap_uri = started$redcap_uri, pid = started$pid, projects = started$projects),
    class = "keycap_sandbox"
  )
  the$sandboxes[[as.character(sandbox$pid)]] <- sandbox$redcap_uri
  say("This is not REDCap: it is the sandbox of keycap, with made-up data and fake tokens, on loopback only.")
  sandbox
}

#' @rdname start_sandbox
#' @export
stop_sandbox <- function(sandbox) {
  call <- quote(stop_sandbox())
  pid <- check_sandbox(sandbox, call)
  core_call("sandbox_stop", list(pid = pid), call)
  the$sandboxes[[as.character(pid)]] <- NULL
  invisible(NULL)
}

#' @rdname start_sandbox
#' @export
run_sandbox <- function(port = 0, keep = interactive()) {
  call <- quote(run_sandbox())
  args <- list(port = check_whole(port, "port", call), keep = check_flag(keep, "keep", call))
  core_call("sandbox_run", args, call)
  invisible(NULL)
}

#' Act as the administrator of a sandbox
#'
#' @description
#' What an administrator or a user does in REDCap's web pages, for demonstrations and tests: issue, regenerate
#' and revoke tokens, suspend a user, and make the server misbehave. None of these functions shows or returns a
#' token.
#'
#' * `sandbox_issue_token()` gives a user a token in a project where the user has none.
#' * `sandbox_regenerate_token()` gives a new one in place of the old one, which is dead at once: there is no time
#'   in which both work.
#' * `sandbox_revoke_token()` deletes it.
#' * `sandbox_suspend_user()` suspends a user in all projects, or ends the suspension.
#' * `sandbox_set_rights()` changes what a user is in a project: rights, role, Data Access Group, expiration, and
#'   whether the DAG Switcher lists the user. What is not named stays as it is.
#' * `sandbox_set_version()` makes the sandbox claim another REDCap version, and write users' rights as that one does:
#'   one code for all data before 12.5.2, one for each form from then on, and codes for viewing forms that are bits
#'   from 15.6.
#' * `sandbox_set_fault()` makes calls fail in one way, until `sandbox_clear_faults()`.
#'
#' The sandbox's users are `admin` (to whom the sample tokens belong), `exporter`, `importer`, `editor`, `deidentified`
#' and `site_north`. The project `TEST_SITES`, a study of three sites, has more: `manager` (reads users, groups and the
#' log), `least` (exports without identifiers), `site_a`, `site_b` and `site_c` (whose groups are their sites', but
#' `site_c` is in none), `switcher` (in a group, and in the DAG Switcher), `expired`, `leaving` (expires soon),
#' `service` (a service account with too many rights), `role_over` and `role_under` (whose role says less, and more,
#' than they have themselves).
#'
#' @section Faults:
#' Among the kinds are `"latency"` (with `ms`), `"html"` (a page of a login or a firewall, with `status`),
#' `"redirect"` (with `status` and `location`), `"ban"`, `"out_of_memory"`, `"database"`, `"truncated"`,
#' `"reset_after_body"` and `"echo"` (the server sends the token back, with `place`: `"error"`, `"header"`,
#' `"reason"` or `"data"`).
#'
#' @param sandbox A sandbox from [start_sandbox()].
#' @param short_name The short name of one of its projects: see `sandbox$projects`.
#' @param user The name of one of its users.
#' @param to The new file that the new token is written to, readable by you alone.
#' @param days_ago How many days ago the token was made, as the project's log has it: up to 65535.
#' @param suspended `FALSE` ends the suspension.
#' @param kind The kind of fault.
#' @param ... For `sandbox_set_fault()` its details, by name. For `sandbox_set_rights()` rights by their names in a user
#'   export, each with its code; `forms` and `forms_export` take one code for all forms, or a list with one for each.
#' @param role The unique name of a role; `""` takes the user out of it.
#' @param dag The unique name of a Data Access Group; `""` for none, that is, all records.
#' @param expiration The day from which on the user is refused, as `"2027-01-31"`; `""` for never.
#' @param switcher Whether the user stands in the project's DAG Switcher.
#' @param version The version, such as `"14.5.5"`.
#' @param content Only requests for this content fail, such as `"project"`.
#' @param times The number of requests that fail; all if `NULL`.
#'
#' @returns The sandbox, invisibly.
#' @examples
#' sandbox <- start_sandbox()
#'
#' # A token of our own. It is good for this sandbox and for nothing else.
#' file <- tempfile()
#' sandbox_issue_token(sandbox, "TEST", "exporter", to = file)
#' project <- setup_project("MINE", redcap_uri = sandbox$redcap_uri)
#' set_project_token(project, store = "sandbox", file = file, wipe = TRUE)
#' isTRUE(test_project_token(project))
#'
#' sandbox_suspend_user(sandbox, "exporter")
#' isTRUE(suppressWarnings(test_project_token(project)))
#' sandbox_suspend_user(sandbox, "exporter", suspended = FALSE)
#'
#' sandbox_set_fault(sandbox, "html", status = 200)
#' tryCatch(test_project_token(project), keycap_error_not_redcap = conditionMessage)
#' sandbox_clear_faults(sandbox)
#'
#' # What a user may do, and how REDCap's newer versions write it.
#' sandbox_set_rights(
#'   sandbox, "TEST_SITES", "least",
#'   api_import = 1, dag = "site_b", forms = list(outcome = 2)
#' )
#' sandbox_set_version(sandbox, "15.6.0")
#' sites <- setup_project("TEST_SITES", redcap_uri = sandbox$redcap_uri)
#' users <- export_users(sites)
#' users[users$username == "least", c("username", "data_access_group", "api_import", "forms")]
#'
#' sandbox_revoke_token(sandbox, "TEST", "exporter")
#' isTRUE(suppressWarnings(test_project_token(project)))
#'
#' stop_sandbox(sandbox)
#' @export
sandbox_issue_token <- function(sandbox, short_name, user, to, days_ago = 0) {
  call <- quote(sandbox_issue_token())
  if (missing(to)) {
    abort_missing("to", call)
  }
  sandbox_tokens("issue", sandbox, short_name, user, to, call, days_ago = check_whole(days_ago, "days_ago", call))
}

#' @rdname sandbox_issue_token
#' @export
sandbox_regenerate_token <- function(sandbox, short_name, user = "admin", to = NULL) {
  sandbox_tokens("regenerate", sandbox, short_name, user, to, quote(sandbox_regenerate_token()))
}

#' @rdname sandbox_issue_token
#' @export
sandbox_revoke_token <- function(sandbox, short_name, user = "admin") {
  sandbox_tokens("revoke", sandbox, short_name, user, NULL, quote(sandbox_revoke_token()))
}

#' @rdname sandbox_issue_token
#' @export
sandbox_suspend_user <- function(sandbox, user, suspended = TRUE) {
  call <- quote(sandbox_suspend_user())
  if (missing(user)) {
    abort_missing("user", call)
  }
  user <- check_string(user, "user", call)
  suspended <- check_flag(suspended, "suspended", call)
  sandbox_command(sandbox, list(do = if (suspended) "suspend" else "unsuspend", user = user), call)
}

#' @rdname sandbox_issue_token
#' @export
sandbox_set_fault <- function(sandbox, kind, ..., content = NULL, times = NULL) {
  call <- quote(sandbox_set_fault())
  if (missing(kind)) {
    abort_missing("kind", call)
  }
  command <- list(
    do = "fault",
    fault = c(list(kind = check_string(kind, "kind", call)), list(...)),
    content = check_string(content, "content", call, null = TRUE),
    times = if (!is.null(times)) check_whole(times, "times", call)
  )
  sandbox_command(sandbox, command, call)
}

#' @rdname sandbox_issue_token
#' @export
sandbox_set_rights <- function(sandbox, short_name, user, ..., role = NULL, dag = NULL, expiration = NULL,
                               switcher = NULL) {
  call <- quote(sandbox_set_rights())
  if (missing(short_name)) {
    abort_missing("short_name", call)
  }
  if (missing(user)) {
    abort_missing("user", call)
  }
  command <- list(
    do = "set_rights",
    project = check_string(short_name, "short_name", call),
    user = check_string(user, "user", call),
    rights = list(...),
    role = role,
    group = dag,
    expiration = expiration,
    switcher = switcher
  )
  sandbox_command(sandbox, command, call)
}

#' @rdname sandbox_issue_token
#' @export
sandbox_set_version <- function(sandbox, version) {
  call <- quote(sandbox_set_version())
  if (missing(version)) {
    abort_missing("version", call)
  }
  sandbox_command(sandbox, list(do = "set_version", version = check_string(version, "version", call)), call)
}

#' @rdname sandbox_issue_token
#' @export
sandbox_clear_faults <- function(sandbox) {
  sandbox_command(sandbox, list(do = "clear"), quote(sandbox_clear_faults()))
}

sandbox_tokens <- function(do, sandbox, short_name, user, to, call, ...) {
  if (missing(short_name)) {
    abort_missing("short_name", call)
  }
  if (missing(user)) {
    abort_missing("user", call)
  }
  command <- list(
    do = do,
    project = check_string(short_name, "short_name", call),
    user = check_string(user, "user", call),
    to = absolute_path(check_string(to, "to", call, null = TRUE)),
    ...
  )
  sandbox_command(sandbox, command, call)
}

sandbox_command <- function(sandbox, command, call) {
  core_call("sandbox_command", list(pid = check_sandbox(sandbox, call), command = command), call)
  invisible(sandbox)
}

check_sandbox <- function(sandbox, call) {
  if (missing(sandbox)) {
    abort_missing("sandbox", call)
  }
  if (!inherits(sandbox, "keycap_sandbox") || !is.list(sandbox)) {
    message <- sprintf("`sandbox` must be a sandbox from `start_sandbox()`, not %s", describe(sandbox))
    abort_argument(message, "sandbox", call)
  }
  check_whole(unclass(sandbox)$pid, "sandbox$pid", call)
}

# The child finds this very package: the library paths are set in its first expression. Single quotes, and
# slashes instead of backslashes, go through every command line.
sandbox_arguments <- function() {
  here <- dirname(getNamespaceInfo("keycap", "path"))
  paths <- encodeString(normalizePath(unique(c(here, .libPaths())), winslash = "/"), quote = "'")
  paths <- sprintf(".libPaths(c(%s))", paste(paths, collapse = ", "))
  c("--vanilla", "-e", paths, "-e", "keycap::run_sandbox()")
}

# When the package is unloaded. With the session a sandbox ends by itself.
stop_all_sandboxes <- function() {
  for (pid in names(the$sandboxes)) {
    try(core_call("sandbox_stop", list(pid = as.integer(pid)), quote(stop_sandbox())), silent = TRUE)
    the$sandboxes[[pid]] <- NULL
  }
}

#' @export
format.keycap_sandbox <- function(x, ...) {
  state <- if (as.character(x$pid) %in% names(the$sandboxes)) "" else " (stopped)"
  projects <- x$projects
  lines <- sprintf("  %s  %s", format(projects$short_name), projects$title)
  c(
    paste0("<keycap sandbox> This is not REDCap: made-up projects, fake tokens", state),
    paste("  address:", x$redcap_uri),
    "  projects:",
    paste0("  ", lines)
  )
}

#' @export
print.keycap_sandbox <- function(x, ...) {
  cat(one_line(format(x)), sep = "\n")
  invisible(x)
}
