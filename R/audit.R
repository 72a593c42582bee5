#' The audit log: read it, verify it, file it
#'
#' @description
#' keycap writes one entry before and one after every call that it makes. The first one is on disk before the token
#' leaves the machine; if it cannot be written, nothing is sent.
#'
#' * `audit_log()` reads the log: one row a call, refusal or change. `plot()` draws its calls per day, by project and
#'   outcome.
#' * `verify_audit_log()` says whether the log is as it was written.
#' * `archive_audit_log()` closes the file that is written to, so that it can be filed; entries go on in a new one, which
#'   begins with name, size and last hash of the one before. Nothing is deleted or moved.
#'
#' @section Where it is:
#' One log a user and host, in the folder `audit` of `tools::R_user_dir("keycap", "data")`, or where the setting
#' `audit_dir` says; a second one where `audit_second` says. When `audit_dir` changes, move the files of the log into the new
#' folder before the next call: a log that begins anew contradicts its own checkpoints. A sandbox has its own, which goes with the session. It has to
#' be on a disk of the machine or on NFS; on network shares (SMB), FUSE, 9P, AFS and Coda, where locks and durable
#' writing cannot be relied upon, keycap refuses it and makes no call. See [keycap_settings].
#'
#' @section What `verify_audit_log()` answers:
#' For each log one of:
#'
#' * `"anchored"`: intact, and a checkpoint from outside vouches for every call.
#' * `"unanchored"`: nothing shows that anything was altered. Without a checkpoint that was kept elsewhere it cannot be
#'   told whether the end of the log was cut off, its last line edited, or the whole of it written anew.
#' * `"tampered"`: `bad_entry`, `bad_line` and `bad_file` say where first, and `fault` what it is: `"altered"`,
#'   `"not_an_entry"`, `"sequence"` (an entry is missing, doubled or moved), `"previous"` (the line before is another
#'   one), `"segment"` (a file is missing or exchanged), `"anchor"` (a checkpoint says that another entry stood there),
#'   `"short"` (a checkpoint vouches for more entries than there are).
#' * `"unreadable"`.
#'
#' A call without an outcome is evidence, not an error: R was killed, or the machine lost power, while it was under way;
#' or it is under way now. `attr(, "open")` lists them. A torn tail (`torn` bytes) is a write that was cut short; the next
#' entry says so and keeps it.
#'
#' The log of a second folder (`audit_second`) is verified by itself, under the name `audit-<user>@<host>@second`; no
#' checkpoint of the first folder's log is held against it. Both are held against each other: `lacking` is the number of
#' entries that the other one has and this one has not, although no entry says that its folder was lost.
#'
#' The log is tamper-evident: who can write to its files can alter them, and that shows, if not in the log itself then
#' against a checkpoint that is out of reach.
#'
#' @param project A project, or its short name; `NULL` for all.
#' @param since,until From this moment on, and before that moment: dates or date-times; `NULL` for all.
#' @param action Content and action as REDCap names them, such as `"record/export"`, or the content alone, such as
#'   `"record"`; or a change of keycap's, such as `"set_token"`. `NULL` for all.
#' @param paths Folders or files with logs, of any number of hosts and users; `NULL` for your own log.
#' @param checkpoints What was kept elsewhere of these logs: a data frame with `origin`, `entries` and `hash`, such as
#'   an earlier answer of `verify_audit_log()` that you kept; `NULL` for none.
#' @param anchors Files with notes of [checkpoint_audit_log()] that were kept elsewhere; `NULL` for none. The anchors of
#'   the settings are read in any case, but for a sandbox's log.
#' @param sandbox `TRUE` for the log of this session's sandboxes.
#'
#' @returns
#' `audit_log()` returns a data frame of class `keycap_audit_log`, in the order of time: `time`; `kind` (`"call"`,
#' `"refused"`, `"change"`); `project`; `action`, with the names of the parameters and never their values; `outcome` (`"ok"`,
#' or the kind of the condition as in [keycap_conditions]; `NA` if the log does not say); `status`, `records`, `bytes` and
#' `seconds` of the answer; `host`, `user`, `login_uid`, `session` and `job`; `script` (its path, or `"interactive"`) and
#' `script_sha256`; `project_id`, `redcap_user` and whether that is `"declared"` or `"verified"`; `origin` of the server;
#' `token_name`, `source`, `store`, `fingerprint`; `detail`; the server's `server_date`; `source_request_id`, which the
#' store's own audit log has too; `pid`, `uid`, `keycap`, `call_id`; `entry`, its
#' sequence number in its log; and `record_ids`: digests of the ids of the records that
#' the call wrote or deleted, where keycap knows them.
#'
#' `verify_audit_log()` returns, invisibly, a data frame with one row a log: `origin` (`audit-<user>@<host>`), `verdict`,
#' `first`, `entries`, `anchored`, `open`, `torn`, `lacking`, `bytes`, `hash`, `bad_file`, `bad_line`, `bad_entry`, `fault`, `folder`. It
#' prints the verdicts; `options(keycap.quiet = TRUE)` silences it.
#'
#' `archive_audit_log()` returns a data frame with one row for each file that was closed: `file`, `entries`, `bytes`,
#' `hash`, `next_file`; no row where nothing was written since.
#' @seealso [keycap_settings]; `exec/keycap verify` does it from the shell, with an exit code.
#' @examples
#' sandbox <- start_sandbox()
#' project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
#' test_project_token(project)
#' patients <- export_records(project)
#'
#' log <- audit_log(sandbox = TRUE)
#' log[c("time", "project", "action", "outcome")]
#' plot(log)
#' nrow(audit_log("TEST", since = Sys.Date(), action = "record", sandbox = TRUE))
#'
#' # Kept elsewhere, this answer is a checkpoint.
#' today <- verify_audit_log(sandbox = TRUE)
#' verify_audit_log(checkpoints = today, sandbox = TRUE)$verdict
#'
#' archive_audit_log(sandbox = TRUE)[c("entries", "bytes")]
#' verify_audit_log(checkpoints = today, sandbox = TRUE)$verdict
#'
#' stop_sandbox(sandbox)
#' @export
audit_log <- function(project = NULL, since = NULL, until = NULL, action = NULL, paths = NULL, sandbox = FALSE) {
  call <- quote(audit_log())
  check_quoted(substitute(project), parent.frame(), "project", call)
  args <- list(
    project = if (!is.null(project)) check_short_name(project, call),
    since = check_moment(since, "since", call),
    until = check_moment(until, "until", call),
    action = check_string(action, "action", call, null = TRUE),
    paths = as.list(check_paths(paths, "paths", call)),
    sandbox = check_flag(sandbox, "sandbox", call)
  )
  table <- core_call("audit_log", args, call)
  class(table) <- c("keycap_audit_log", "data.frame")
  table
}

#' @rdname audit_log
#' @export
verify_audit_log <- function(paths = NULL, anchors = NULL, checkpoints = NULL, sandbox = FALSE) {
  call <- quote(verify_audit_log())
  if (!is.null(checkpoints) && !is.data.frame(checkpoints)) {
    abort_argument(sprintf("`checkpoints` must be a data frame, not %s", describe(checkpoints)), "checkpoints", call)
  }
  args <- list(
    paths = as.list(check_paths(paths, "paths", call)),
    anchors = as.list(check_paths(anchors, "anchors", call)),
    checkpoints = if (!is.null(checkpoints)) plain_checkpoints(checkpoints, call),
    sandbox = check_flag(sandbox, "sandbox", call)
  )
  answer <- core_call("verify_audit_log", args, call)
  lines <- as.character(unlist(answer$lines))
  if (length(lines) > 0L) say(one_line(lines))
  invisible(structure(answer$logs, open = answer$open))
}

#' @rdname audit_log
#' @export
archive_audit_log <- function(sandbox = FALSE) {
  call <- quote(archive_audit_log())
  core_call("archive_audit_log", list(sandbox = check_flag(sandbox, "sandbox", call)), call)
}

#' @rdname audit_log
#' @param x What `audit_log()` returned.
#' @param ... Further arguments of [graphics::barplot()].
#' @export
plot.keycap_audit_log <- function(x, ...) {
  day <- as.Date(x$time)
  project <- ifelse(is.na(x$project), "(none)", x$project)
  outcome <- ifelse(is.na(x$outcome), "no outcome", ifelse(x$outcome == "ok", "ok", "failed"))
  outcome[x$kind == "refused"] <- "refused"
  calls <- x$kind %in% c("call", "refused")
  if (!any(calls)) {
    graphics::plot.new()
    graphics::title(main = "no calls")
    return(invisible(x))
  }
  days <- seq(min(day[calls]), max(day[calls]), by = "day")
  groups <- paste(project, outcome, sep = ": ")[calls]
  counts <- table(groups, factor(as.character(day[calls]), levels = as.character(days)))
  projects <- sub(": [^:]*$", "", rownames(counts))
  outcomes <- sub("^.*: ", "", rownames(counts))
  # A colour for each project, a hatch for each outcome that is not well.
  known <- unique(projects)
  colours <- grDevices::hcl.colors(max(3L, length(known)), "Dark 3")[seq_along(known)]
  density <- c(ok = -1, failed = 40, refused = 25, "no outcome" = 12)
  angle <- c(ok = 0, failed = 45, refused = 135, "no outcome" = 90)
  most <- max(colSums(counts))
  settings <- list(
    height = counts,
    col = colours[match(projects, known)],
    density = density[outcomes],
    angle = angle[outcomes],
    border = NA,
    ylab = "calls per day",
    # One day alone is a bar and no wall.
    xlim = c(0, max(8, 1.2 * ncol(counts) + 0.2)),
    ylim = c(0, most),
    axes = FALSE
  )
  given <- list(...)
  settings[names(given)] <- given
  do.call(graphics::barplot, settings)
  graphics::axis(2L, at = unique(round(pretty(c(0, most)))), las = 1L)
  # Above the bars, where it hides none.
  others <- setdiff(names(density), c("ok", setdiff(names(density), outcomes)))
  graphics::legend(
    "bottomleft",
    legend = c(known, others),
    fill = c(colours, rep("grey30", length(others))),
    density = c(rep(-1, length(known)), density[others]),
    angle = c(rep(0, length(known)), angle[others]),
    border = NA,
    bty = "n",
    ncol = min(6L, length(c(known, others))),
    inset = c(0, 1),
    xpd = NA
  )
  invisible(x)
}

# A moment, as seconds since 1970. A day alone begins at midnight here.
check_moment <- function(x, argument, call) {
  if (is.null(x)) {
    return(NULL)
  }
  if (is.character(x) && length(x) == 1L && !is.na(x)) {
    x <- tryCatch(as.POSIXct(x, tz = ""), error = function(condition) NULL)
  } else if (inherits(x, "Date")) {
    x <- as.POSIXct(format(x), tz = "")
  }
  if (!inherits(x, "POSIXct") || length(x) != 1L || is.na(x)) {
    abort_argument(sprintf("`%s` must be a single date or time", argument), argument, call)
  }
  as.numeric(x)
}

check_paths <- function(paths, argument, call) {
  unname(vapply(as.character(check_texts(paths, argument, call)), absolute_path, ""))
}

# The three columns that count, each as the core takes it.
plain_checkpoints <- function(checkpoints, call) {
  columns <- c("origin", "entries", "hash")
  if (!all(columns %in% names(checkpoints))) {
    abort_argument("`checkpoints` must have the columns `origin`, `entries` and `hash`", "checkpoints", call)
  }
  data.frame(
    origin = as.character(checkpoints$origin),
    entries = suppressWarnings(as.numeric(checkpoints$entries)),
    hash = as.character(checkpoints$hash),
    stringsAsFactors = FALSE
  )
}
