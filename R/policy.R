#' Policies: how old, how idle, from where, with which rights
#'
#' @description
#' A policy says what tokens have to comply with. It stands in your settings file, in your institution's, or in both, and
#' is asked before each call.
#'
#' * `token_policy()` makes a policy, and `set_policy()` writes it into your file: for all projects, or for one.
#' * `policy_status()` tells how things stand with each rule for each project, and what to do. It asks REDCap for what only
#'   REDCap knows, and keeps the answers: a call itself asks for nothing but what it is for. It is made for `cron`; from
#'   the shell it is `exec/keycap policy`, with exit codes.
#' * `reauthorize_project()` writes down that a named person lets a token go on that nobody used for longer than
#'   `max_idle`.
#'
#' @section The rules:
#' \describe{
#'   \item{`max_age`}{How old a token may be. Weekly rotation is `max_age = "7 days"`. When a token was made is known from
#'     a rotation by keycap, or from the project's log in REDCap, where the declared `redcap_user` of [setup_project()]
#'     made it: read with the token itself, or with that of `checked_by`. The log has no time zone: its time is taken for
#'     UTC, and may be wrong by 14 hours at most. Else the age is "at least" the time since keycap first saw the token,
#'     which counts as its age: it may be older.}
#'   \item{`max_idle`}{How long a token may go unused. The audit log tells when it was last used. Tests, checks of rights
#'     and a rotation are no use. After that a person has to let it go on by `reauthorize_project()`: a grant up to a day,
#'     a year from now at most, with an entry in the audit log.}
#'   \item{`stores`}{The stores that a token may come from. The sandbox's own tokens are in none, and may always be used.}
#'   \item{`needs`}{What tokens are needed for, as [check_project_rights()] takes it: a token that may do more is in
#'     breach. One that may do less is not.}
#'   \item{`dag`}{`TRUE`: each project is set up with a Data Access Group, and its token is confined to it, as
#'     [check_project_dag()] says.}
#'   \item{`anchor`}{For how long calls may stand in the audit log without an anchor that keeps them: see
#'     [checkpoint_audit_log()].}
#' }
#'
#' What `policy_status()` found of rights and group counts for 30 days, and is unknown then.
#'
#' @section What becomes of a call:
#' In a breach a call is made with a warning (`on_breach = "warn"`), or refused with `keycap_error_policy` and an entry in
#' the audit log (`"refuse"`). For `grace` after the breach began it is only warned of, where that has a date: after the
#' end of `max_age`, `max_idle` and `anchor`, and after `policy_status()` found too many rights or the wrong group.
#' `unknown` says what becomes of a call where it is not known: it is made with a warning, refused, or just made. That is
#' so where rights were not checked, and where the computer's clock was set back: no age is ever negative.
#'
#' What will be a breach soon is told ahead, once a session: in the last fifth of the time, 14 days at most.
#'
#' [test_project_token()], [check_project_rights()], [check_project_dag()] (without `read_ids`), `policy_status()` and a
#' rotation are always allowed, or a token that is too old could never be replaced.
#'
#' @section Whose policy counts:
#' Of each field the strictest value counts, wherever it stands. You can make your institution's policy stricter, and
#' never laxer: `set_policy()` refuses that, and what stands in your file by another way does not count, with a note.
#' Of `stores` and `needs` the shorter list is the stricter. What your institution's policy leaves out of `unknown` and
#' `grace` has the built-in value (`"warn"`, none), and that counts too. A policy of one project adds to that of all.
#' Where `locked` names `policy` or `project_policies`, your file does not count for it at all. In a file it is
#'
#' ```
#' [policy]
#' max_age = "90 days"
#' stores = ["keyring", "vault"]
#' on_breach = "refuse"
#'
#' [project_policies]
#' HEART = { max_age = "7 days" }
#' ```
#'
#' A short name is the user's own to choose: what must hold for every project belongs into `[policy]`.
#'
#' A policy binds keycap, not the user, who may call REDCap with anything else. And some rules rest on what lies in the user's
#' folders: when a token was first seen and last used (`max_age` where REDCap's log was not read, `max_idle`) stands in the
#' data folder and in the audit log, and `anchor` counts the anchors that the settings name. Where it matters, an institution
#' locks `audit_dir` and `anchors` as well, and has `policy_status()` run under an account of its own.
#'
#' @param max_age,max_idle,anchor,grace A length of time: a text such as `"7 days"`, `"12 hours"` or `"2 weeks"`, a number
#'   of days, or a `difftime`. Months and years are not equally long, and are refused. `NULL` asks for nothing.
#' @param stores Names of stores, such as `c("keyring", "vault")`.
#' @param needs Rights and purposes: see [check_project_rights()].
#' @param dag `TRUE` if tokens have to be confined to the group of their project.
#' @param on_breach,unknown What becomes of a call: see below. What is not given is not written.
#' @param policy A policy from `token_policy()`. What it does not ask for, your file does not ask for any more:
#'   `token_policy()` without arguments takes the policy out.
#' @param project For `set_policy()`, the project whose policy it is; `NULL` for all. For `reauthorize_project()`, the
#'   project. A project or its short name.
#' @param projects The projects, as [test_project_tokens()] takes them.
#' @param checked_by Another project on the same REDCap project, whose token may list users and read the log: see
#'   [check_project_rights()]. For projects of another REDCap project its word does not count.
#' @param until The last day of the grant, as `"2027-01-31"`, or a `Date`.
#' @param by The name of the person who gives it.
#'
#' @returns
#' `token_policy()` returns a list of class `keycap_policy`. `set_policy()` returns, invisibly, the policy that counts now,
#' your institution's included.
#'
#' `policy_status()` returns a data frame of class `keycap_policy_status` with one row for each rule of each project:
#' `short_name`; `rule`, `NA` where there is no policy or something could not be asked; `limit`, what the policy says;
#' `state`: `ok`, `warning`, `breach` or `unknown`; `days_left`, negative where it is over; `calls`: `made`, `warned` or
#' `refused`; `evidence`; `message`; and `remedy`, what to do.
#'
#' `reauthorize_project()` returns `NULL`, invisibly.
#' @seealso [check_project_rights()], [check_project_dag()], [keycap_settings], [audit_log()]
#' @examples
#' # Settings for this example, in place of yours.
#' before <- Sys.getenv(c("R_USER_CONFIG_DIR", "R_USER_DATA_DIR"), unset = NA, names = TRUE)
#' home <- tempfile("home")
#' Sys.setenv(R_USER_CONFIG_DIR = file.path(home, "config"), R_USER_DATA_DIR = file.path(home, "data"))
#'
#' sandbox <- start_sandbox()
#' project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
#'
#' # For all projects, and weekly rotation for one.
#' set_policy(token_policy(max_age = "90 days", max_idle = "60 days"))
#' policy <- set_policy(token_policy(max_age = "7 days"), project = "TEST")
#' policy
#' policy_status("TEST")
#'
#' # A laxer one would not count.
#' tryCatch(
#'   set_policy(token_policy(max_age = "180 days"), project = "TEST"),
#'   keycap_error_argument = function(e) writeLines(conditionMessage(e))
#' )
#'
#' # Exports only, and nothing that nobody has checked.
#' set_policy(token_policy(needs = "export", unknown = "refuse"), project = "TEST")
#' tryCatch(export_records(project), keycap_error_policy = function(e) e$rule)
#' status <- policy_status("TEST")
#' status[c("rule", "state", "calls", "days_left")]
#'
#' # A person lets an idle token go on.
#' reauthorize_project("TEST", until = Sys.Date() + 30, by = "Dr. Ada Admin")
#'
#' # No policy any more.
#' set_policy(token_policy(), project = "TEST")
#' set_policy(token_policy())
#' policy_status("TEST")$message
#'
#' stop_sandbox(sandbox)
#' unlink(home, recursive = TRUE)
#' if (!all(is.na(before))) do.call(Sys.setenv, as.list(before[!is.na(before)]))
#' Sys.unsetenv(names(before)[is.na(before)])
#' @export
set_policy <- function(policy, project = NULL) {
  call <- quote(set_policy())
  if (missing(policy)) {
    abort_missing("policy", call)
  }
  check_quoted(substitute(policy), parent.frame(), "policy", call)
  check_quoted(substitute(project), parent.frame(), "project", call)
  if (!inherits(policy, "keycap_policy") || !is.list(policy)) {
    message <- sprintf("`policy` must be a policy of `token_policy()`, not %s", describe(policy))
    abort_argument(message, "policy", call)
  }
  args <- list(
    policy = check_members(unclass(policy), "policy", call),
    project = if (!is.null(project)) check_short_name(project, call)
  )
  invisible(as_policy(core_call("set_policy", args, call)$policy))
}

#' @rdname set_policy
#' @export
token_policy <- function(
  max_age = NULL,
  max_idle = NULL,
  stores = NULL,
  needs = NULL,
  dag = NULL,
  anchor = NULL,
  on_breach = c("warn", "refuse"),
  grace = NULL,
  unknown = c("warn", "refuse", "allow")
) {
  call <- quote(token_policy())
  policy <- list(
    max_age = check_span(max_age, "max_age", call),
    max_idle = check_span(max_idle, "max_idle", call),
    stores = check_texts(stores, "stores", call),
    needs = check_texts(needs, "needs", call),
    dag = if (!is.null(dag)) check_flag(dag, "dag", call),
    anchor = check_span(anchor, "anchor", call),
    on_breach = if (!missing(on_breach)) check_string(on_breach, "on_breach", call, null = TRUE),
    grace = check_span(grace, "grace", call),
    unknown = if (!missing(unknown)) check_string(unknown, "unknown", call, null = TRUE)
  )
  as_policy(core_call("token_policy", list(policy = policy), call))
}

#' @rdname set_policy
#' @export
policy_status <- function(projects = get_projects(), checked_by = NULL) {
  call <- quote(policy_status())
  args <- list(projects = check_projects(projects, call), checked_by = check_checker(checked_by, call))
  structure(core_call("policy_status", args, call), class = c("keycap_policy_status", "data.frame"))
}

#' @rdname set_policy
#' @export
reauthorize_project <- function(project, until, by) {
  call <- quote(reauthorize_project())
  if (missing(project)) {
    abort_missing("project", call)
  }
  if (missing(until)) {
    abort_missing("until", call)
  }
  if (missing(by)) {
    abort_missing("by", call)
  }
  check_quoted(substitute(project), parent.frame(), "project", call)
  args <- list(
    project = check_project(project, call),
    until = check_string(if (inherits(until, "Date")) format(until) else until, "until", call),
    by = check_string(by, "by", call)
  )
  done <- core_call("reauthorize_project", args, call)
  message <- "%s may go on until %s, however long nobody used its token; the other rules of a policy stay as they are"
  say_success(sprintf(message, done$short_name, done$until))
  invisible(NULL)
}

# A length of time as the core takes it: a text, or a number of days.
check_span <- function(x, argument, call) {
  if (is.null(x)) {
    return(NULL)
  }
  if (inherits(x, "difftime")) {
    x <- as.double(x, units = "days")
  }
  if (!(is.character(x) || is.numeric(x)) || is.object(x) || length(x) != 1L || is.na(x)) {
    message <- sprintf("`%s` must be a single length of time, such as `\"7 days\"`, not %s", argument, describe(x))
    abort_argument(message, argument, call)
  }
  if (is.character(x)) enc2utf8(as.vector(x)) else as.double(x)
}

as_policy <- function(fields) {
  structure(lapply(fields, function(field) if (is.list(field)) as.character(unlist(field)) else field), class = "keycap_policy")
}

#' @export
format.keycap_policy <- function(x, ...) {
  fields <- unclass(x)
  if (length(fields) == 0L) {
    return("<keycap policy> asks for nothing")
  }
  c("<keycap policy>", paste0("  ", format(paste0(names(fields), ":")), " ", vapply(fields, shown, "")))
}

#' @export
print.keycap_policy <- function(x, ...) {
  cat(format(x), sep = "\n")
  invisible(x)
}

#' @export
format.keycap_policy_status <- function(x, ...) {
  x <- plain_frame(x)
  left <- format(abs(round(x$days_left, 1)), trim = TRUE)
  days <- ifelse(is.na(x$days_left), "", sprintf(ifelse(x$days_left < 0, "; %s days over", "; %s days left"), left))
  said <- ifelse(is.na(x$rule), x$message, paste0(x$rule, " (", x$limit, "): ", x$message))
  more <- ifelse(is.na(x$evidence), "", paste0(" [", x$evidence, "]"))
  heads <- paste0(format(x$short_name), "  ", format(toupper(x$state)), "  ", said, days, more)
  lines <- Map(
    function(head, remedy) c(head, if (!is.na(remedy)) paste0("    ", hint_lines(remedy))),
    one_line(mask_tokens(heads)),
    one_line(mask_tokens(x$remedy))
  )
  c("<keycap policy status>", paste0("  ", unlist(lines, use.names = FALSE)))
}

#' @export
print.keycap_policy_status <- function(x, ...) {
  if (nrow(x) > 0L && all(policy_columns %in% names(x))) {
    cat(format(x), sep = "\n")
  } else {
    print(plain_frame(x), ...)
  }
  invisible(x)
}

policy_columns <- c("short_name", "rule", "limit", "state", "days_left", "evidence", "message", "remedy")
