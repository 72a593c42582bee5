project_fields <- c("short_name", "dir_path", "redcap_uri", "token_name", "redcap_user", "dag", "project_id")

#' Set up, load, list and delete projects
#'
#' @description
#' A *project* is one REDCap project as it is set up on this machine, known by its `short_name`. It holds the
#' *name* of a token, never the token: you can print it, save it with [saveRDS()] and send it to workers.
#'
#' * `setup_project()` writes a project down. It needs neither the network nor a token. If no usable token is
#'   found under the name, it says so and tells how to set one.
#' * `load_project()` reads it again, in another session.
#' * `get_projects()` lists what is set up.
#' * `delete_project()` removes keycap's own entry and keycap's own file in `dir_path`; it never touches data,
#'   and never a token.
#'
#' @section Where it is kept:
#' In your registry, a file in [`tools::R_user_dir("keycap", "config")`][tools::R_user_dir], and, for others who
#' share the folder, as a small JSON file in `dir_path`. Your registry is the authority: it binds the name of the
#' token to the server. The file in `dir_path` and the object in R are hints. When they name another server than
#' your registry, you get `keycap_error_origin`, and nothing is looked up or sent.
#'
#' A worker or another machine may have no registry. There a store binds the token that holds the server's origin beside
#' it (the field `origin` in a vault, such as `https://redcap.example.org`): it goes to that server and to no other.
#' `env`, `keyring` and `command` cannot hold one, so they are not asked there. Where a registry and a store disagree,
#' nothing is sent.
#'
#' Stores are asked under the short name as well. So the two names of a project are names of its server alone, in any letter
#' case: no project at another server can be set up with one of them.
#'
#' Without `dir_path` the project lives in this R session only.
#'
#' @param short_name A name for the project on this machine: a letter, then letters, digits or `_`, 31
#'   characters at most. `load_project()` and `delete_project()` take a project as well: what it is called counts.
#' @param dir_path The folder of the project. It is made if it is not there. If missing, the project lives in
#'   this session only.
#' @param redcap_uri The address of the API, such as `"https://redcap.example.org/api/"`. If missing, the
#'   environment variable `REDCapSync_REDCAP_URI` is read. Only `https` is accepted, except on loopback.
#' @param token_name The name under which the token is looked up: letters, digits or `_`, no digit first, 50
#'   characters at most. **Never the token itself**: what has the form of a token is refused.
#' @param redcap_user,dag The REDCap user and the Data Access Group (by its unique name) that the token belongs to:
#'   [check_project_rights()] and [check_project_dag()] check them, and [test_project_token()] names a token in no group.
#' @param overwrite `TRUE` binds an existing `short_name` to another `redcap_uri`.
#'
#' @returns `setup_project()` and `load_project()` return a project, a list of class `keycap_project` with
#'   `short_name`, `dir_path`, `redcap_uri`, `token_name`, `redcap_user`, `dag` and `project_id`; what is not
#'   known is `NULL`. `get_projects()` returns a data frame with one row a project. `delete_project()` returns the
#'   names of the files that it removed, invisibly.
#' @seealso [view_project_token()], [test_project_token()], [keycap_conditions]
#' @examples
#' sandbox <- start_sandbox()
#'
#' project <- setup_project(
#'   short_name = "TEST",
#'   dir_path = file.path(tempdir(), "test"),
#'   redcap_uri = sandbox$redcap_uri
#' )
#' project
#' project$token_name
#'
#' load_project("TEST")
#' get_projects()
#' delete_project("TEST")
#'
#' stop_sandbox(sandbox)
#' @export
setup_project <- function(
  short_name,
  dir_path,
  redcap_uri,
  token_name = paste0("REDCapSync_", short_name),
  redcap_user = NULL,
  dag = NULL,
  overwrite = FALSE
) {
  call <- quote(setup_project())
  if (missing(short_name)) {
    abort_missing("short_name", call)
  }
  # The default of `token_name` is the core's too; it is not passed on, so that a token given as `short_name`
  # does not become a part of a legal name.
  check_quoted(substitute(short_name), parent.frame(), "short_name", call)
  args <- list(
    short_name = check_string(short_name, "short_name", call),
    dir_path = if (!missing(dir_path)) absolute_path(check_string(dir_path, "dir_path", call, null = TRUE)),
    redcap_uri = if (!missing(redcap_uri)) check_string(redcap_uri, "redcap_uri", call, null = TRUE),
    token_name = if (!missing(token_name)) check_string(token_name, "token_name", call, null = TRUE),
    redcap_user = check_string(redcap_user, "redcap_user", call, null = TRUE),
    dag = check_string(dag, "dag", call, null = TRUE),
    overwrite = check_flag(overwrite, "overwrite", call)
  )
  as_project(core_call("setup_project", args, call)$project)
}

#' @rdname setup_project
#' @export
load_project <- function(short_name) {
  call <- quote(load_project())
  if (missing(short_name)) {
    abort_missing("short_name", call)
  }
  check_quoted(substitute(short_name), parent.frame(), "short_name", call)
  short_name <- check_short_name(short_name, call)
  as_project(core_call("load_project", list(short_name = short_name), call)$project)
}

#' @rdname setup_project
#' @export
get_projects <- function() {
  core_call("get_projects", list(), quote(get_projects()))
}

#' @rdname setup_project
#' @export
delete_project <- function(short_name) {
  call <- quote(delete_project())
  if (missing(short_name)) {
    abort_missing("short_name", call)
  }
  check_quoted(substitute(short_name), parent.frame(), "short_name", call)
  short_name <- check_short_name(short_name, call)
  done <- core_call("delete_project", list(short_name = short_name), call)
  invisible(as.character(unlist(done$removed)))
}

as_project <- function(fields) {
  fields <- fields[project_fields]
  names(fields) <- project_fields
  structure(fields, class = "keycap_project")
}

#' @export
format.keycap_project <- function(x, ...) {
  labels <- c(
    short_name = "project",
    redcap_uri = "server",
    token_name = "token name",
    project_id = "project id",
    dir_path = "folder",
    redcap_user = "user",
    dag = "access group"
  )
  fields <- unclass(x)
  texts <- vapply(names(labels), function(field) shown(fields[[field]]), "")
  if (is.null(fields$dir_path)) {
    texts[["dir_path"]] <- "none: this session only"
  }
  here <- nzchar(texts)
  c("<keycap project>", paste0("  ", format(paste0(labels[here], ":")), " ", texts[here]))
}

#' @export
print.keycap_project <- function(x, ...) {
  cat(format(x), sep = "\n")
  invisible(x)
}

# A field for printing, whatever the user has put into it.
shown <- function(x) {
  if (is.null(x)) {
    return("")
  }
  text <- if (is.atomic(x)) paste(as.character(x), collapse = ", ") else sprintf("<%s>", typeof(x))
  one_line(mask_tokens(text))
}
