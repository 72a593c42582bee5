#' The audit log against REDCap's own log
#'
#' @description
#' keycap's audit log tells what was called through keycap; REDCap's log tells what was called. `reconcile_audit_log()` reads
#' both and sets one against the other. A call in REDCap's log that no entry here has was made without keycap, or from
#' a host whose log is not among `paths`: **the token was used elsewhere**. Somebody may have copied it.
#'
#' @section How events are matched:
#' By what was done, by time, and by user where the project declares its `redcap_user`. No event is matched twice.
#'
#' * REDCap writes times as its own clock shows them, in minutes and without a zone. The zone is estimated: of all quarters
#'   of an hour from UTC-12 to UTC+14 the one at which most calls find their line. Two minutes are near enough; of two like
#'   events within them, which one is whose cannot be told. Where the server's clock was put forward or back (summer
#'   time), reconcile what was before and what was after apart.
#' * What was done: exports of records and of reports, imports, deletions, files, and everything else that writes. An
#'   import has a line in REDCap's log for each record that it changed, and each line is a row; one that changed
#'   nothing has none.
#' * Not every REDCap logs reading a project's version, its dictionary and the like. Such calls are matched where REDCap's log
#'   has them and left out where it has not; so are calls that REDCap refused or that failed. `attr(, "not_logged")` is their
#'   number.
#' * A call without an outcome is evidence and not an error: R was ended while it was under way. REDCap's log tells
#'   whether it was made.
#' * What people do on REDCap's pages is no event here, but for what was done to tokens: created, requested, regenerated,
#'   deleted. Other users' calls are left out where `redcap_user` is declared; `attr(, "of_others")` is their number.
#'
#' Reading REDCap's log is a call like all others, with its entries. It takes the right `logging` in REDCap. A token
#' should not have more rights than its work takes: let somebody else's read the log, with `read_by`.
#'
#' @param project A project from [setup_project()] or [load_project()], or its short name.
#' @param since,until From this moment on, and before that moment: dates or date-times; `until = NULL` for now.
#' @param read_by A project, or its short name, whose token reads REDCap's log: set up for the same REDCap project, with the
#'   token of somebody who has the right `logging`. `NULL`: the token of `project` reads it.
#' @param paths Folders or files with audit logs of all hosts and users that use the token; `NULL` for your own log.
#'
#' @returns A data frame of class `keycap_reconciliation` with a row for each event, in the order of time: `time` (UTC);
#'   `what`, REDCap's action and keycap's, as `"Data export (API) / record/export"`; `user` in REDCap; `verdict`:
#'   `"matched"`, `"only in REDCap"` or `"only here"`; `entry`, the sequence number of the call's entry; `remark`. The attribute
#'   `ahead` is how far the server's clock is ahead of UTC, in minutes (`NA` if nothing matches).
#' @seealso [audit_log()], [export_log()]
#' @examples
#' sandbox <- start_sandbox()
#' project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
#' patients <- export_records(project, fields = "record_id")
#'
#' reconcile_audit_log(project, since = Sys.time() - 3600)
#'
#' # What is done to tokens shows, too.
#' sandbox_issue_token(sandbox, "TEST", "exporter", to = tempfile())
#' found <- reconcile_audit_log(project, since = Sys.time() - 3600)
#' found[found$verdict != "matched", c("what", "verdict", "remark")]
#'
#' stop_sandbox(sandbox)
#' @export
reconcile_audit_log <- function(project, since, until = NULL, read_by = NULL, paths = NULL) {
  call <- quote(reconcile_audit_log())
  if (missing(project)) {
    abort_missing("project", call)
  }
  check_quoted(substitute(project), parent.frame(), "project", call)
  if (missing(since)) {
    abort_missing("since", call)
  }
  args <- list(
    project = check_project(project, call),
    since = check_moment(since, "since", call),
    until = check_moment(until, "until", call),
    read_by = check_reader(read_by, call),
    paths = as.list(check_paths(paths, "paths", call))
  )
  found <- core_call("reconcile_audit_log", args, call)
  structure(
    found$events,
    short_name = args$project$short_name,
    ahead = if (is.null(found$ahead)) NA_integer_ else as.integer(found$ahead),
    not_logged = found$not_logged,
    of_others = found$of_others,
    class = c("keycap_reconciliation", "data.frame")
  )
}

# The reader's project as the core takes it.
check_reader <- function(read_by, call) {
  if (is.null(read_by)) {
    return(NULL)
  }
  if (!is.character(read_by) && !inherits(read_by, "keycap_project")) {
    message <- sprintf("`read_by` must be a project or the short name of one, not %s", describe(read_by))
    abort_argument(message, "read_by", call)
  }
  check_project(read_by, call)
}

#' @export
format.keycap_reconciliation <- function(x, ...) {
  x <- plain_frame(x)
  name <- attr(x, "short_name")
  lines <- paste0("<keycap reconciliation>", if (length(name)) paste0(" of ", name))
  count <- function(verdict) sum(x$verdict %in% verdict)
  ahead <- attr(x, "ahead")
  clock <- if (is.null(ahead)) {
    NULL
  } else if (is.na(ahead)) {
    "nothing matches at any time zone; times are as if REDCap's clock showed UTC"
  } else {
    sprintf("REDCap's clock: UTC%s%02d:%02d (estimated)", if (ahead < 0) "-" else "+", abs(ahead) %/% 60, abs(ahead) %% 60)
  }
  token <- x$remark %in% "token event"
  used <- x$verdict %in% "only in REDCap" & !token
  named <- function(rows) sprintf("    %s  %s  %s", format(x$time[rows], "%Y-%m-%d %H:%M", tz = "UTC"), x$what[rows], x$user[rows])
  c(
    lines,
    sprintf("  %d matched, %d only in REDCap, %d only here", count("matched"), count("only in REDCap"), count("only here")),
    if (any(used)) c("  only in REDCap: the token was used elsewhere, without this log", some(named(used))),
    if (any(token)) c("  what was done to tokens", some(named(token))),
    if (count("only here") > 0L) {
      rows <- which(x$verdict %in% "only here")
      c("  only here", some(sprintf("    entry %s  %s: %s", x$entry[rows], x$what[rows], x$remark[rows])))
    },
    if (isTRUE(attr(x, "not_logged") > 0)) {
      sprintf("  left out: %s calls that failed or that REDCap does not have to log", attr(x, "not_logged"))
    },
    if (isTRUE(attr(x, "of_others") > 0)) sprintf("  left out: %s calls of other users", attr(x, "of_others")),
    if (!is.null(clock)) paste0("  ", clock)
  )
}

#' @export
print.keycap_reconciliation <- function(x, ...) {
  if (all(c("time", "what", "user", "verdict", "entry", "remark") %in% names(x))) {
    cat(one_line(format(x)), sep = "\n")
  } else {
    print(plain_frame(x), ...)
  }
  invisible(x)
}

# The first lines of many.
some <- function(lines, most = 10L) {
  c(lines[seq_len(min(most, length(lines)))], if (length(lines) > most) sprintf("    and %d more", length(lines) - most))
}
