#' Which stores are asked for a token, and in which order
#'
#' @description
#' A *store* is a place where tokens live: `env` (environment variables, `.Renviron`), `keyring` (the system's own),
#' `vault` (HashiCorp Vault, OpenBao), `aws` (AWS Secrets Manager) and `command` (a program that prints a token, such as
#' `pass`). keycap asks them in an order, and the first that has the name ends the look-up.
#'
#' * `stores()` shows each store: its place in the order, whether it can be used now, and if not, what helps. It also
#'   shows in which file each setting was found and what your institution has locked. It asks no store for a token.
#' * `configure_stores()` writes the order, and where your vault, AWS or program is, into your file `config.toml` in
#'   [`tools::R_user_dir("keycap", "config")`][tools::R_user_dir].
#'
#' `vignette("stores", package = "keycap")` has a page for each store to copy from.
#'
#' @section What a look-up does:
#' A store that has no such name, or that is not on this machine (no desktop, no vault set up: the same script on laptop
#' and cluster), is passed over. A store that is there and fails (locked, sealed, denied, unreachable) is an error of
#' class `keycap_error_store`, which names the store and what helps: the token of another store might be an old one.
#'
#' @section Files, and what outranks them:
#' A setting is found at the first of these: an option of the session, an environment variable, your file, your
#' institution's file, a built-in value. For one session alone no file is needed: `options(keycap.stores = "vault,env")`,
#' `options(keycap.vault.address = "https://vault.example.org:8200")`. The store `command` names a program to run, so it
#' comes from the two files only. [keycap_settings] has all settings.
#'
#' What your institution's file names in `locked`, nobody outranks, and what it names in `forbidden_stores` is never
#' asked. `configure_stores()` refuses to write either, and names that file.
#'
#' Your file is changed line by line: comments, other settings and their order stay. It is replaced as a whole, readable
#' for you alone, after everything in it was checked; on an error it stays as it was. Each change has its entry in the
#' audit log, with the names of the settings.
#'
#' No token stands in settings, and no other secret: what has the form of a token is refused.
#'
#' @param order The stores in the order of look-up, such as `c("env", "keyring")`. `character()` takes the order out of
#'   your file.
#' @param vault,aws,command,keyring Settings of one store, as a list with names: those of `vault.`, `aws.`, `keyring.` and
#'   of `command` in
#'   [keycap_settings], such as `list(address = "https://vault.example.org:8200")`. What you give is what the store's table
#'   in the file then holds; `list()` takes the table out. `NULL` leaves things as they are, for each argument.
#'
#' @returns `configure_stores()` returns the path of your file, invisibly.
#'
#'   `stores()` returns a data frame of class `keycap_stores` with one row a store and the columns `store`, `order` (`NA`
#'   when it is not asked), `reachable` (`"ready"`, `"read only"`, `"untried"`, `"no login"`, `"locked"`, `"not asked"`,
#'   `"not here"`, `"forbidden"` or `"failing"`), `what`, `detail` (which program, which server), `remark`, `remedy` and `site_locked` (whether your institution has
#'   locked the order or settings of this store). Its attribute `settings` is a data frame with the columns `setting`,
#'   `value`, `found_in` and `locked`; its attribute `files` is one with `file`, `path` and `there`.
#' @seealso [keycap_settings], [view_project_token()]
#' @examples
#' # A settings folder for this example, in place of yours.
#' before <- Sys.getenv(c("R_USER_CONFIG_DIR", "R_USER_DATA_DIR"), unset = NA, names = TRUE)
#' home <- tempfile("home")
#' Sys.setenv(R_USER_CONFIG_DIR = file.path(home, "config"), R_USER_DATA_DIR = file.path(home, "data"))
#'
#' configure_stores(
#'   order = c("env", "command"),
#'   command = list(preset = "pass")
#' )
#' stores()
#' attr(stores(), "settings")
#'
#' # Away with the command again; the order without it.
#' file <- configure_stores(order = c("env", "keyring"), command = list())
#' cat(readLines(file), sep = "\n")
#'
#' # For this session alone, without a file.
#' options(keycap.stores = "keyring,env")
#' subset(stores(), !is.na(order), c("store", "order"))
#'
#' options(keycap.stores = NULL)
#' unlink(home, recursive = TRUE)
#' if (!all(is.na(before))) do.call(Sys.setenv, as.list(before[!is.na(before)]))
#' Sys.unsetenv(names(before)[is.na(before)])
#' @export
configure_stores <- function(order = NULL, vault = NULL, aws = NULL, command = NULL, keyring = NULL) {
  call <- quote(configure_stores())
  args <- list(
    order = check_order(order, call),
    vault = check_members(vault, "vault", call),
    aws = check_members(aws, "aws", call),
    command = check_members(command, "command", call),
    keyring = check_members(keyring, "keyring", call)
  )
  invisible(core_call("configure_stores", args, call)$path)
}

#' @rdname configure_stores
#' @export
stores <- function() {
  shown <- core_call("stores", list(), quote(stores()))
  files <- list(yours = shown$user_file, institution = shown$site_file)
  structure(
    shown$stores,
    settings = shown$settings,
    files = data.frame(
      file = names(files),
      path = vapply(files, `[[`, "", "path", USE.NAMES = FALSE),
      there = vapply(files, `[[`, NA, "there", USE.NAMES = FALSE)
    ),
    class = c("keycap_stores", "data.frame")
  )
}

# The order may be empty: that takes it out of the file.
check_order <- function(order, call) {
  if (is.null(order)) {
    return(NULL)
  }
  if (!is.character(order) || anyNA(order)) {
    abort_argument(sprintf("`order` must be the names of stores, not %s", describe(order)), "order", call)
  }
  as.list(enc2utf8(as.vector(order)))
}

# A list of settings with plain values; `NULL` leaves what there is.
check_members <- function(x, argument, call) {
  if (is.null(x)) {
    return(NULL)
  }
  if (!is.list(x) || is.object(x)) {
    abort_argument(sprintf("`%s` must be a list with names, not %s", argument, describe(x)), argument, call)
  }
  plain <- vapply(x, function(value) is.null(value) || is.atomic(value) && !is.object(value) && !anyNA(value), NA)
  if (!all(plain)) {
    message <- sprintf("`%s` must hold texts, numbers, `TRUE` or `FALSE`, and no missing values", argument)
    abort_argument(message, argument, call)
  }
  lapply(x, as.vector)
}

#' @export
format.keycap_stores <- function(x, ...) {
  files <- attr(x, "files")
  settings <- attr(x, "settings")
  # A part of it, or one that somebody has put together, prints as what it is.
  if (is.null(files) || is.null(settings) || !all(store_columns %in% names(x))) {
    return(utils::capture.output(print(as.data.frame(unclass(x)), row.names = FALSE)))
  }
  c("<keycap stores>", store_lines(x), "", setting_lines(settings, files), "", file_lines(files, settings))
}

#' @export
print.keycap_stores <- function(x, ...) {
  cat(format(x), sep = "\n")
  invisible(x)
}

# A part of the rows is a table of stores; a part of the columns is a plain data frame.
#' @export
`[.keycap_stores` <- function(x, ...) {
  part <- NextMethod()
  if (!is.data.frame(part)) {
    return(part)
  }
  whole <- all(store_columns %in% names(part))
  class(part) <- if (whole) class(x) else "data.frame"
  for (what in c("settings", "files")) {
    attr(part, what) <- if (whole) attr(x, what)
  }
  part
}

store_columns <- c("store", "order", "reachable", "what", "detail", "remark", "remedy")

# Those that are asked, in their order, and the others; what is to be said of one stands below it.
store_lines <- function(x) {
  x <- as.list(x)
  sequence <- order(x$order, na.last = TRUE)
  x <- lapply(x[store_columns], function(column) column[sequence])
  what <- ifelse(is.na(x$detail), x$what, paste0(x$what, ": ", x$detail))
  heads <- paste(
    "",
    format(ifelse(is.na(x$order), "-", paste0(x$order, "."))),
    format(x$store),
    format(x$reachable),
    one_line(ifelse(is.na(what), "", what))
  )
  more <- lapply(seq_along(heads), function(n) {
    texts <- c(x$remark[n], x$remedy[n])
    texts <- texts[!is.na(texts)]
    if (length(texts) > 0L) paste0("    ", hint_lines(mask_tokens(texts)))
  })
  unlist(Map(c, sub(" +$", "", heads), more), use.names = FALSE)
}

# Each setting with its place; the two files by the short names that the last lines explain.
setting_lines <- function(settings, files) {
  place <- settings$found_in
  for (n in seq_len(nrow(files))) {
    place[place == files$path[n]] <- c(yours = "your file", institution = "the institution's file")[[files$file[n]]]
  }
  place <- paste0("(", place, ifelse(settings$locked, ", locked", ""), ")")
  # Who locks a whole table locks more settings than there is to say about.
  bare <- is.na(settings$value)
  said <- settings[!bare, ]
  c(
    "settings",
    paste(" ", format(said$setting), one_line(mask_tokens(said$value)), one_line(place[!bare])),
    if (any(bare)) paste("  locked, with the built-in value:", paste(settings$setting[bare], collapse = ", "))
  )
}

file_lines <- function(files, settings) {
  of_site <- settings$setting %in% c("forbidden_stores", "locked")
  says <- sprintf("%s %s", c(forbidden_stores = "forbids", locked = "locks")[settings$setting[of_site]], settings$value[of_site])
  labels <- c(yours = "your file:", institution = "the institution's file:")[files$file]
  state <- ifelse(files$there, "", " (not there)")
  state[files$file == "institution" & length(says) > 0L] <- paste0(" (", paste(says, collapse = "; "), ")")
  paste0(format(labels), " ", one_line(files$path), one_line(state))
}
