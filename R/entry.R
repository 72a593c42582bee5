#' Set the token of a project
#'
#' @description
#' Takes a token in and puts it into a store, without R ever seeing it: there is no argument for it, and it comes back
#' to no variable. You enter it where nothing is shown of it, or a script gives it through a file or a descriptor.
#'
#' keycap judges its form before anything is written, writes it under the project's token name, reads it back and
#' compares fingerprints. The audit log has an entry before the change and its outcome afterwards.
#'
#' @section Where the token comes from:
#' * **You**, by default. In a terminal you are asked at the terminal, and nothing is shown of what you type or paste;
#'   Enter ends it, Ctrl-U begins anew, Ctrl-C gives up. Further lines that were pasted with it are thrown away and are
#'   not run as code. Whatever ends the entry leaves the terminal as it was. In RStudio and elsewhere on a desktop a
#'   dialog opens: `pinentry` on Linux (install `pinentry-gnome3` or `pinentry-qt` if it is not there), the system's
#'   own on macOS and Windows.
#' * **RStudio Server** and other places without a terminal or a desktop cannot ask. The error then prints the line to
#'   run in RStudio's tab *Terminal*, such as `Rscript -e 'keycap::set_project_token("TEST")'`.
#' * `file`: a file with the token and nothing else, which is yours and readable by you alone (mode 0600), and no link.
#'   `wipe = TRUE` overwrites and removes it once the token is stored. (A file system that keeps old blocks, as on solid
#'   state disks or with snapshots, may still have them.)
#' * `fd`: a descriptor that the shell has opened for R, as in
#'   `Rscript -e 'keycap::set_project_token("TEST", fd = 3)' 3< <(pass show redcap/test)`. Of a pipe one line is read.
#' * `from`: another store. The token stays there too.
#'
#' Blanks around the token are cut off; everything else must be a project token, or nothing is stored.
#'
#' @param project A project from [setup_project()] or [load_project()], or its short name.
#' @param store The store that the token goes into: `"keyring"`, or `"vault"`, `"aws"` or `"command"` where your
#'   settings set it up. A locked keyring asks for its password where you are there. Where the store takes no token on this
#'   machine, the error names those that do, each with the call to make. To try things out at a sandbox: `"sandbox"`, which
#'   is this session's and takes nothing for another server.
#' @param from The store that the token is taken from, such as `"env"`.
#' @param fd The number of a descriptor.
#' @param file The path of a file.
#' @param wipe `TRUE` overwrites and removes `file` once the token is stored.
#' @param test `TRUE` asks REDCap at once whether the token works, as [test_project_token()] does.
#' @param ... Nothing: whatever stands here is an error that does not repeat it.
#'
#' @returns Invisibly, a data frame with one row: `short_name`, `token_name`, `store`, `from` (`terminal`, `dialog`,
#'   `file`, `descriptor` or a store), `fingerprint`, `replaced` (the fingerprint of the token that stood there before,
#'   or `NA`) and `works` (`NA` where it was not tested).
#' @seealso [view_project_token()], [test_project_token()], [keycap_settings]
#' @examplesIf .Platform$OS.type == "unix"
#' # The sandbox issues a token into a file that is ours alone; R does not read it. For what goes
#' # to a sandbox there is a store `sandbox`, which lasts as long as the sandbox.
#' sandbox <- start_sandbox()
#' file <- tempfile()
#' sandbox_issue_token(sandbox, "TEST", "exporter", to = file)
#' project <- setup_project("MINE", redcap_uri = sandbox$redcap_uri)
#'
#' set <- set_project_token(project, store = "sandbox", file = file, wipe = TRUE, test = TRUE)
#' set
#' file.exists(file)
#' view_project_token(project)
#'
#' # What has not the form of a token is not stored.
#' file <- tempfile()
#' writeLines("not a token", file)
#' Sys.chmod(file, "600")
#' tryCatch(
#'   set_project_token(project, store = "sandbox", file = file),
#'   keycap_error_token_form = function(e) writeLines(conditionMessage(e))
#' )
#'
#' unlink(file)
#' stop_sandbox(sandbox)
#' @export
set_project_token <- function(
  project,
  store = "keyring",
  from = NULL,
  fd = NULL,
  file = NULL,
  wipe = FALSE,
  test = interactive(),
  ...
) {
  call <- quote(set_project_token())
  check_no_more(...length(), "the token is no argument: it is asked for, or comes by `file`, `fd` or `from`", call)
  if (missing(project)) {
    abort_missing("project", call)
  }
  check_quoted(substitute(project), parent.frame(), "project", call)
  # What may be a token is looked at first: nothing of it goes further than here.
  args <- list(
    store = check_string(store, "store", call),
    from = check_string(from, "from", call, null = TRUE),
    fd = if (!is.null(fd)) check_whole(fd, "fd", call),
    file = absolute_path(check_string(file, "file", call, null = TRUE)),
    wipe = check_flag(wipe, "wipe", call),
    gui = .Platform$GUI
  )
  test <- check_flag(test, "test", call)
  args$project <- check_project(project, call)
  set <- core_call("set_token", args, call)
  say_success(set$message)
  say_lines(set$lines)
  works <- NA
  if (test) {
    # The token is stored, whatever the server says.
    works <- tryCatch(
      isTRUE(test_project_token(project)),
      keycap_error = function(e) {
        say_hints(c("the token is stored; whether REDCap takes it is not known:", conditionMessage(e)))
        NA
      }
    )
  } else {
    say_hints(as.character(unlist(set$hints)))
  }
  invisible(cbind(set$row, works = works))
}
