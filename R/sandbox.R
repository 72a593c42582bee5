# What this session has running: the addresses of its sandboxes, by process id.
the <- new.env(parent = emptyenv())
the$sandboxes <- list()

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
#' * `sandbox_issue_token()` gives a user of a project a further token.
#' * `sandbox_regenerate_token()` gives a new one in place of the old one, which is dead at once: there is no time
#'   in which both work.
#' * `sandbox_revoke_token()` deletes it.
#' * `sandbox_suspend_user()` suspends a user in all projects, or ends the suspension.
#' * `sandbox_set_fault()` makes the next calls fail in one way, until `sandbox_clear_faults()`.
#'
#' @param sandbox A sandbox from [start_sandbox()].
#' @param short_name The short name of one of its projects: see `sandbox$projects`.
#' @param user A REDCap user name; the sample user of the project if `NULL`.
#' @param to A file that the new token is written to, readable by you alone. Without it, the new token becomes the
#'   project's sample token.
#' @param suspended `FALSE` ends the suspension.
#' @param fault The name of a fault.
#' @param ... Details of the fault, as named values.
#'
#' @returns The sandbox, invisibly.
#' @examples
#' sandbox <- start_sandbox()
#' project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
#'
#' sandbox_revoke_token(sandbox, "TEST")
#' suppressWarnings(test_project_token(project))
#'
#' sandbox_regenerate_token(sandbox, "TEST")
#' test_project_token(project)
#'
#' stop_sandbox(sandbox)
#' @export
sandbox_issue_token <- function(sandbox, short_name, user = NULL, to = NULL) {
  sandbox_tokens("issue", sandbox, short_name, user, to, quote(sandbox_issue_token()))
}

#' @rdname sandbox_issue_token
#' @export
sandbox_regenerate_token <- function(sandbox, short_name, user = NULL, to = NULL) {
  sandbox_tokens("regenerate", sandbox, short_name, user, to, quote(sandbox_regenerate_token()))
}

#' @rdname sandbox_issue_token
#' @export
sandbox_revoke_token <- function(sandbox, short_name, user = NULL) {
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
  sandbox_command(sandbox, list(do = if (suspended) "suspend" else "resume", user = user), call)
}

#' @rdname sandbox_issue_token
#' @export
sandbox_set_fault <- function(sandbox, fault, ...) {
  call <- quote(sandbox_set_fault())
  if (missing(fault)) {
    abort_missing("fault", call)
  }
  fault <- check_string(fault, "fault", call)
  sandbox_command(sandbox, list(do = "fault", fault = fault, ...), call)
}

#' @rdname sandbox_issue_token
#' @export
sandbox_clear_faults <- function(sandbox) {
  sandbox_command(sandbox, list(do = "clear"), quote(sandbox_clear_faults()))
}

sandbox_tokens <- function(do, sandbox, short_name, user, to, call) {
  if (missing(short_name)) {
    abort_missing("short_name", call)
  }
  command <- list(
    do = do,
    short_name = check_string(short_name, "short_name", call),
    user = check_string(user, "user", call, null = TRUE),
    to = absolute_path(check_string(to, "to", call, null = TRUE))
  )
  sandbox_command(sandbox, command[lengths(command) > 0L], call)
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

# When the session ends or the package is unloaded.
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
