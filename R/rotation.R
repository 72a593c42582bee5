#' Replace the token of a project by a new one
#'
#' @description
#' REDCap's API cannot make a token: a person clicks `Regenerate` on the project's API page, and at that click the old
#' token is dead. `rotate_project_token()` leads through it and proves each step before the next. R never sees a token,
#' neither the old one nor the new one.
#'
#' 1. The old token is looked at: whether it works, which project it opens, what it may do, how old it is.
#' 2. The link to the page is shown, and the new token is waited for.
#' 3. The new one is checked before anything has it: it has the form of a token, is another one than the old one, works,
#'    opens the same project, and may do no more than the old one.
#' 4. REDCap refuses the old one. If it does not, two tokens are valid: that is an error, and nothing is stored.
#' 5. The new one is written to the store, read back and compared.
#' 6. Stores that still have the old one are found and named, and one that is asked before the store of the new one is
#'    told: an `.Renviron` value shadows a new token in the keyring.
#' 7. The time without service is told.
#'
#' Each step is an entry in the audit log with the fingerprints of both tokens.
#'
#' @section Where the new token comes from:
#' * **You**, by default: you are asked for it as by [set_project_token()], at the terminal or in a dialog.
#' * `file` or `fd`, in a script.
#' * **The store.** Where the store has another token than when the rotation began, that one is checked and taken: put a
#'   new version there by the store's own means, and call again. This is the only way for a store that keycap only reads
#'   (`"env"`, a program that only gives tokens).
#'
#' Where nobody can be asked and the store has no new token, the rotation goes on waiting, and the value says so.
#' In a script a rotation is two calls: `rotate_project_token("TEST")` begins it while the old token still works, so that
#' its rights are known; then somebody regenerates; then `rotate_project_token("TEST", file = "new", wipe = TRUE)` ends
#' it.
#'
#' @section While the new token is waited for:
#' From the click until the new token is stored no call of the project works. Each call then fails with
#' `keycap_error_token_refused`, and says that the project is waiting for its new token and what ends that; so do
#' [test_project_token()], [test_project_tokens()], [list_project_tokens()] and [get_projects()]. Other R sessions need
#' not be restarted: their next call finds the new token, also in the middle of an operation, since a refused token is
#' looked up once more.
#'
#' When R is killed at any moment, the store has the old token or the new one, whole. Call again: the rotation goes on
#' where it was, or asks for the token again. How far it is stands in a small file of yours alone in
#' `tools::R_user_dir("keycap", "data")`, with fingerprints and times and without a token.
#'
#' Before the click a rotation can be given up with `cancel = TRUE`. After it there is nothing to go back to: that is an
#' error, unless [set_project_token()] has put another token into the store meanwhile.
#'
#' @section What is proved, and by what:
#' REDCap does not say whose token a token is, and a token that is well confined cannot read its own rights. So the
#' value says what the evidence is: `self` (the list of users, read by the token itself, has the declared `redcap_user`,
#' and both tokens do what that user may), `checker` (the same, read by the token of `checked_by`), `probe` (what
#' REDCap let each of the two do, and what it refused), `declared` or `unknown`. That two tokens work at the same time is
#' a proof that they are not of one user: a user has one token in a project.
#'
#' The errors are `keycap_error_rotation` with the field `state`: `same` (it is the old token), `refused` (REDCap refuses
#' the new one), `two_valid`, `another_there` (the store has a token that works and is none of the two), `other_user`, `more_rights`, `elsewhere` (another process is at it), `not_begun`, `waiting`
#' (too late to give it up); `keycap_error_project_changed` where the new one opens another project.
#'
#' @param project A project from [setup_project()] or [load_project()], or its short name.
#' @param store The store that the new token goes into; the one that the token is in now if `NULL`.
#' @param file The path of a file with the new token, which is yours and readable by you alone.
#' @param fd The number of a descriptor that gives the new token.
#' @param wipe `TRUE` overwrites and removes `file` once the token is stored.
#' @param checked_by Another project on the same REDCap project, whose token may list users.
#' @param cancel `TRUE` gives a rotation up that is begun.
#' @param ... Nothing: whatever stands here is an error that does not repeat it.
#'
#' @returns Invisibly, a data frame with one row: `short_name`, `token_name`, `store`, `state` (`"done"`, `"waiting"` or
#'   `"cancelled"`), `old_fingerprint`, `fingerprint`, `from` (how the new token came), `same_project` (`NA` where a token
#'   may not read it), `user_evidence`, `rights_evidence`, `old_refused` (`NA` where no store has the old one any more),
#'   `still_in` (stores that still have the old token), `shadowed_by`, and the time without service: `seconds_at_least`,
#'   from when the old token was first seen to be refused, and `seconds_at_most`, from when it was last seen to work, until
#'   the new one was read back. Where R is not interactive, `"waiting"` also gives a warning of class
#'   `keycap_warning_rotation`.
#' @seealso [set_project_token()], [test_project_token()], [check_project_rights()]
#' @examplesIf .Platform$OS.type == "unix"
#' sandbox <- start_sandbox()
#' file <- tempfile()
#' sandbox_issue_token(sandbox, "TEST", "editor", to = file)
#' project <- setup_project("MINE", redcap_uri = sandbox$redcap_uri, redcap_user = "editor")
#' set_project_token(project, store = "sandbox", file = file, wipe = TRUE, test = FALSE)
#'
#' # Begun. Nobody can be asked for the new token on this page, so it waits.
#' waiting <- suppressWarnings(rotate_project_token(project))
#' waiting$state
#'
#' # Somebody clicks: the old token is dead at once, and whoever calls is told why.
#' sandbox_regenerate_token(sandbox, "TEST", "editor", to = file)
#' works <- suppressWarnings(test_project_token(project))
#' isTRUE(works)
#' get_projects()$short_name
#'
#' # The new token, which R does not read either.
#' done <- rotate_project_token(project, file = file, wipe = TRUE)
#' done[c("state", "rights_evidence", "old_refused", "seconds_at_most")]
#' isTRUE(test_project_token(project))
#'
#' # Begun by mistake, and given up before the click.
#' suppressWarnings(rotate_project_token(project))
#' rotate_project_token(project, cancel = TRUE)
#'
#' stop_sandbox(sandbox)
#' @export
rotate_project_token <- function(
  project,
  store = NULL,
  file = NULL,
  fd = NULL,
  wipe = FALSE,
  checked_by = NULL,
  cancel = FALSE,
  ...
) {
  call <- quote(rotate_project_token())
  check_no_more(...length(), "the token is no argument: it is asked for, or comes by `file`, `fd` or the store", call)
  if (missing(project)) {
    abort_missing("project", call)
  }
  check_quoted(substitute(project), parent.frame(), "project", call)
  # What may be a token is looked at first: nothing of it goes further than here.
  args <- list(
    store = check_string(store, "store", call, null = TRUE),
    file = absolute_path(check_string(file, "file", call, null = TRUE)),
    fd = if (!is.null(fd)) check_whole(fd, "fd", call),
    wipe = check_flag(wipe, "wipe", call),
    gui = .Platform$GUI
  )
  cancel <- check_flag(cancel, "cancel", call)
  args$project <- check_project(project, call)
  args$checked_by <- check_checker(checked_by, call)
  if (cancel) {
    given_up <- core_call("rotate_cancel", args["project"], call)
    say_success(given_up$message, as.character(unlist(given_up$hints)))
    return(invisible(given_up$row))
  }
  begun <- core_call("rotate_begin", args[c("project", "store", "file", "checked_by")], call)
  # Before the new token is asked for, so that the link stands above the question.
  say_hints(begun$message)
  say_lines(begun$lines)
  say_hints(as.character(unlist(begun$hints)))
  done <- core_call("rotate_finish", args, call)
  hints <- as.character(unlist(done$hints))
  say_lines(done$lines)
  if (done$state == "done") {
    say_success(done$message, hints)
  } else if (rlang::is_interactive()) {
    say_hints(c(done$message, hints))
  } else {
    rlang::warn(
      paste(with_hints(one_line(done$message), hints), collapse = "\n"),
      use_cli_format = FALSE,
      class = c("keycap_warning_rotation", "keycap_warning")
    )
  }
  invisible(done$row)
}
