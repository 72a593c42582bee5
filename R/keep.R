#' Move, remove and list the tokens of projects
#'
#' @description
#' * `move_project_token()` takes a project's token from one store to another: it writes the token, reads it back,
#'   compares, and only then removes it from where it was.
#' * `remove_project_token()` removes it from one store.
#' * `list_project_tokens()` shows which store holds the token of which project, since when, and when it was last used.
#'
#' None of them shows a character of a token, and none returns one. Moving and removing change what is on this machine
#' (or in your vault); in REDCap the token stays valid until it is regenerated or deleted there.
#'
#' A project that is not set up here, or differently from what the object says, is an error: what an object from
#' elsewhere calls its token may be another project's. So is a token beside which either store holds another server than
#' the project's: elsewhere that bond would be lost. So is a store that is not on this machine: what it holds is not known.
#' A token is moved only into a store that is asked for tokens, see [configure_stores()]. Where an older version is pinned
#' (`vault.version`, `aws.stage`), nothing is removed.
#'
#' Two names for one place, such as `"keyring"` and a program that reads the same keyring, are an error too. That is found
#' out before anything is changed: where `"command"` is one of the two stores, something that is no token is put into the
#' other one, under the name `keycap_probe_` and eight characters, looked for by the program, and removed again. The audit
#' log has its entries (`try_store`).
#'
#' @section When a move is interrupted:
#' The token is then in the old place, in the new one, or in both, and never in neither; the message says which. The
#' same call finishes what is left to do. If the new place holds *another* token already, nothing is changed, and the
#' error names both fingerprints; `overwrite = TRUE` replaces it.
#'
#' @section Out of `.Renviron`:
#' With `"env"` keycap looks for the line that sets the token in the file that R reads when it starts: the one in
#' `R_ENVIRON_USER`, or else `.Renviron` in the folder where R started, or else `.Renviron` in your home folder. It
#' takes out that line and leaves every other byte, the mode, the owner and links as they are. The file is replaced
#' whole, so that it is never half written. Then the variable is removed from this session.
#'
#' What keycap cannot take back:
#' * The old content of the file is overwritten where the device writes in place. Journals of the file system, snapshots,
#'   solid state disks, backups, synchronised folders and git keep older versions. **If the file was in one of these,
#'   regenerate the token in REDCap.** A git repository, and copies beside the file that hold the token
#'   (`.Renviron~`, `.Rhistory`), are named in a warning.
#' * Programs that run already, and programs that they started, keep the variable until they end.
#' * A file that sets the name more than once to different values, or by way of another variable, is left alone: the
#'   error names the lines.
#' * A variable that comes from elsewhere (`Renviron.site`, `.Rprofile`, a script with `Sys.setenv()`, the system) is
#'   removed from this session, with a warning: it comes back with the next one.
#'
#' @section keyring:
#' An item bears the service `REDCapSync` and the token name as its user name, as R's keyring package and users of
#' REDCapSync have it: `keyring::key_get("REDCapSync", "REDCapSync_TEST")` finds what keycap puts there, and keycap finds
#' what `keyring::key_set("REDCapSync", "REDCapSync_TEST")` puts there, also under the short name (`"TEST"`). With the
#' setting `keyring.short_name = true` what keycap puts there stands under the short name too. When it is removed, the
#' item under the short name goes as well if it is the same token.
#'
#' @param project A project from [setup_project()] or [load_project()], or its short name.
#' @param from,to,store The name of a store: `"env"`, `"keyring"`, `"vault"`, …. Nothing is ever moved to `"env"`.
#' @param overwrite `TRUE` replaces another token that `to` holds under the name.
#' @param projects The projects to look at: a list of projects, short names, or the data frame of [get_projects()]. All
#'   that are set up by default; those of a sandbox while it runs.
#'
#' @returns `move_project_token()` returns `TRUE` invisibly, or `FALSE` if an earlier call had done it all.
#'   `remove_project_token()` returns `TRUE` invisibly, or `FALSE` if the store held nothing.
#'
#'   `list_project_tokens()` returns a data frame with a row for each store of the order of look-up that holds a token,
#'   and one for each project whose token is in none: `project`, `token_name`, `store`, `is_set` (`NA` where a store
#'   failed), `fingerprint`, `set_on` and `last_used` (as this machine's audit log has them, in UTC; `NA` where it tells
#'   nothing), and `remark`, such as why a store failed.
#' @seealso [view_project_token()], [setup_project()], [keycap_conditions]
#' @examples
#' sandbox <- start_sandbox()
#' project <- setup_project("MINE", redcap_uri = sandbox$redcap_uri)
#' setup_project("TEST", redcap_uri = sandbox$redcap_uri)
#'
#' # A made-up token in an `.Renviron`, as it may be found.
#' renviron <- tempfile("Renviron")
#' writeLines(c("EDITOR=nano", "REDCapSync_MINE=0123456789ABCDEF0123456789ABCDEF"), renviron)
#' Sys.chmod(renviron, "600")
#' before <- Sys.getenv("R_ENVIRON_USER", NA)
#' Sys.setenv(R_ENVIRON_USER = renviron)
#' readRenviron(renviron)
#'
#' list_project_tokens(c("MINE", "TEST"))
#'
#' # Out of the file. In earnest it goes `to = "keyring"`, `"vault"`, `"aws"` or `"command"`.
#' move_project_token(project, from = "env", to = "sandbox")
#' readLines(renviron)
#' list_project_tokens("MINE")
#'
#' remove_project_token(project, store = "sandbox")
#'
#' if (is.na(before)) Sys.unsetenv("R_ENVIRON_USER") else Sys.setenv(R_ENVIRON_USER = before)
#' stop_sandbox(sandbox)
#' @export
move_project_token <- function(project, from, to, overwrite = FALSE) {
  call <- quote(move_project_token())
  if (missing(project)) abort_missing("project", call)
  if (missing(from)) abort_missing("from", call)
  if (missing(to)) abort_missing("to", call)
  check_quoted(substitute(project), parent.frame(), "project", call)
  check_quoted(substitute(from), parent.frame(), "from", call)
  check_quoted(substitute(to), parent.frame(), "to", call)
  args <- list(
    project = check_project(project, call),
    from = check_string(from, "from", call),
    to = check_string(to, "to", call),
    overwrite = check_flag(overwrite, "overwrite", call)
  )
  moved <- core_call("move_token", args, call)
  unset_variable(moved$unset)
  if (moved$moved) {
    say_success(sprintf("moved the token (%s) from `%s` to `%s`", moved$fingerprint, args$from, args$to))
  }
  invisible(moved$moved)
}

#' @rdname move_project_token
#' @export
remove_project_token <- function(project, store) {
  call <- quote(remove_project_token())
  if (missing(project)) abort_missing("project", call)
  if (missing(store)) abort_missing("store", call)
  check_quoted(substitute(project), parent.frame(), "project", call)
  check_quoted(substitute(store), parent.frame(), "store", call)
  args <- list(project = check_project(project, call), store = check_string(store, "store", call))
  removed <- core_call("remove_token", args, call)
  unset_variable(removed$unset)
  if (removed$removed) {
    what <- if (is.null(removed$fingerprint)) "what was set and was no token" else sprintf("the token (%s)", removed$fingerprint)
    # As it stood there: a keyring may have it under the short name, or under both.
    names <- paste0("`", unlist(removed$names), "`", collapse = " and ")
    say_success(
      sprintf("removed %s under %s from `%s`", what, names, args$store),
      "in REDCap it is valid until it is regenerated or deleted there"
    )
  } else {
    say_hints(sprintf("`%s` holds nothing under `%s`", args$store, removed$token_name))
  }
  invisible(removed$removed)
}

#' @rdname move_project_token
#' @export
list_project_tokens <- function(projects = NULL) {
  call <- quote(list_project_tokens())
  check_quoted(substitute(projects), parent.frame(), "projects", call)
  projects <- if (!is.null(projects)) check_projects(projects, call)
  core_call("list_tokens", list(projects = projects), call)
}

# A variable is taken away here, on R's own thread: the core never changes the environment.
unset_variable <- function(name) {
  if (!is.null(name)) Sys.unsetenv(name)
}
