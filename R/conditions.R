#' The conditions of keycap, and what to do about each
#'
#' @description
#' Every error of keycap has the class `keycap_error_<kind>` and the class `keycap_error`; every warning has the
#' class `keycap_warning`. The list of kinds is closed, so that a script can decide by class:
#'
#' ```r
#' tryCatch(
#'   test_project_token(project),
#'   keycap_error_connection = function(e) "try again tonight",
#'   keycap_error = function(e) stop(e)
#' )
#' ```
#'
#' An error says what happened, then what to do. As fields it carries `kind`, `hints` (what to do, one sentence
#' each) and facts that depend on the kind. It never holds a character of a token. Its call is the name of the
#' function alone, without arguments, and it has no backtrace: what you typed may have been a token.
#'
#' @section Arguments and set-up:
#' * `keycap_error_argument`: An argument has not the form that is asked for. *What to do:* Give it the form that
#'   the message names.
#' * `keycap_error_token_in_argument`: A value that looks like a token was given where a name belongs. It stands in
#'   R's history and call stack now. *What to do:* Regenerate the token in REDCap, store the new one under a name,
#'   give the name.
#' * `keycap_error_project`: The project is not set up, or set up differently. *What to do:* [setup_project()];
#'   `overwrite = TRUE` if the server really changed.
#' * `keycap_error_origin`: The project names another server than your registry binds the token to, or than the store
#'   that holds the server's origin beside the token. Nothing was sent. *What to do:* Do not trust the file or object
#'   until you know where it came from; `setup_project()` if the new server is right.
#' * `keycap_error_damaged`: A file of keycap's own cannot be read. It was left as it is. *What to do:* Mend the
#'   named file or move it away, then `setup_project()`.
#' * `keycap_error_file`: A file or folder cannot be read or written. *What to do:* Mend its permissions, or free
#'   some space.
#'
#' @section The token:
#' * `keycap_error_token_missing`: Nothing is set under the name, in any store. *What to do:* Set it:
#'   `vignette("tokens", package = "keycap")`.
#' * `keycap_error_token_form`: What is set is no project token: the message says what is wrong with it. *What to
#'   do:* Copy it again from REDCap; 64 characters are a super token, which keycap does not take.
#' * `keycap_error_token_refused`: REDCap refused the token: revoked, regenerated, or its user is suspended. *What
#'   to do:* Regenerate it in REDCap and store the new one; ask the project's owner for the API right. The token was
#'   looked up once more before you see this. Where a later store holds another one, the error says so, with the command
#'   that ends it.
#' * `keycap_error_store`: A store is there and fails: locked, denied, unreachable. *What to do:* Unlock the
#'   keyring, or do what the message says.
#' * `keycap_error_project_changed`: The token opens another project than before. *What to do:* Find out why.
#'   Delete the project and set it up anew if it is right.
#'
#' @section The way to the server:
#' * `keycap_error_name_lookup`: The server's name cannot be resolved. *What to do:* Look for a typing error; is
#'   the VPN on?
#' * `keycap_error_connection`: No connection to the server, or it broke off. *What to do:* Is the server up? Does
#'   a firewall or a proxy stand between?
#' * `keycap_error_timeout`: The server did not answer in time. *What to do:* Try again later; the time-outs are
#'   settings.
#' * `keycap_error_certificate`: The server's certificate is not trusted. *What to do:* Give your institution's CA
#'   file as a setting. There is no way to switch the check off.
#' * `keycap_error_redirect`: The server sends callers to another address. Redirects are never followed, the token
#'   went nowhere else. *What to do:* If the new address is right, `setup_project()` with it.
#' * `keycap_error_not_redcap`: Something answered, but not REDCap: a login page, a firewall. *What to do:* Check
#'   the address, it usually ends with `/api/`; use the VPN.
#' * `keycap_error_server`: The server or its gateway reports a failure of its own. *What to do:* Try again later;
#'   tell the server's administrator.
#' * `keycap_error_redcap`: REDCap answered with an error about the request. *What to do:* Read the message; often
#'   a right is missing.
#' * `keycap_error_token_echo`: A body of data held the token. It was withheld. *What to do:* Tell the server's
#'   administrator; regenerate the token.
#' * `keycap_error_outcome_unknown`: An import, or another call that may change something, was sent and its outcome is
#'   not known. It is not sent again. *What to do:* Look in REDCap whether it arrived; a dry run of [import_records()]
#'   with the same data shows what of it is not there.
#'
#' @section Safeguards:
#' * `keycap_error_audit`: The audit log takes no entry, so no call was made. *What to do:* Free space, or mend the
#'   permissions of the log's folder.
#' * `keycap_error_policy`: A policy refuses the call: the field `rule` says which rule, the message what is so.
#'   *What to do:* As the message says: a new token, a grant, another store, fewer rights. [policy_status()] shows all rules.
#' * `keycap_error_rotation`: What came is not the new token, or a rotation is not where it would have to be; the field
#'   `state` says which. Nothing was stored. *What to do:* Read the message; [rotate_project_token()] goes on.
#' * `keycap_error_limit`: The limit of calls gave no permit. *What to do:* Wait. REDCap bans an address that calls
#'   too often.
#' * `keycap_error_sandbox`: The sandbox does not start or does not answer. *What to do:* Start another with
#'   [start_sandbox()].
#' * `keycap_error_interrupted`: The operation was interrupted. *What to do:* Call again.
#' * `keycap_error_memory`: The computer has no memory for this much data, or a limit that is set for R leaves none.
#'   *What to do:* Export to a file with `to`, or fewer fields or records; ask for more memory.
#' * `keycap_error_internal`: A fault in keycap itself. *What to do:* Please report it.
#'
#' @section Warnings:
#' `keycap_warning`: something you should know, such as two stores that hold different tokens under one name.
#' `keycap_warning_token`: [test_project_token()] answered `FALSE` in a script. Its field `reason` is the attribute
#' of the answer. `keycap_warning_conversion`: values of an export do not fit the type of their column;
#' [conversion_problems()] shows them, and the field `problems` is their number.
#'
#' @name keycap_conditions
#' @aliases keycap_error keycap_warning
#' @examples
#' # A project that is not set up:
#' answer <- tryCatch(load_project("NOT_SET_UP"), keycap_error_project = function(e) e$kind)
#' answer
#'
#' # A token where a name belongs (this one is made up): the message does not repeat it.
#' tryCatch(
#'   load_project("0123456789ABCDEF0123456789ABCDEF"),
#'   keycap_error_token_in_argument = function(e) writeLines(conditionMessage(e))
#' )
NULL

# Raises an error of keycap. Neither a backtrace nor arguments go into the condition, since what the user typed may
# have been a token: `rlang::abort()`, which records a backtrace, is not used. The texts may come from a server: they
# are data, and neither cli nor glue sees them as a format.
raise_error <- function(kind, message, hints, fields, call) {
  hints <- as.character(unlist(hints))
  stop(rlang::error_cnd(
    class = c(paste0("keycap_error_", kind), "keycap_error"),
    message = paste(with_hints(message, hints), collapse = "\n"),
    call = bare_call(call),
    use_cli_format = FALSE,
    kind = kind,
    hints = hints,
    !!!condition_fields(fields)
  ))
}

# The facts of an error become fields of the condition, beside `kind` and `hints`; the names that conditions use
# themselves get a prefix.
condition_fields <- function(fields) {
  taken <- c("message", "call", "trace", "parent", "class", "body", "footer", "use_cli_format", "kind", "hints")
  clash <- names(fields) %in% taken
  names(fields)[clash] <- paste0("field_", names(fields)[clash])
  fields
}

# The name of the function that the user called, as a call without arguments.
bare_call <- function(call) {
  if (is.environment(call)) {
    call <- rlang::frame_call(call)
  }
  if (is.call(call)) call[1]
}
