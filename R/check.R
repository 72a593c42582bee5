# Arguments are checked here for their type, and for nothing else: every rule is the core's.
#
# What a user gives as an argument may be a token by mistake. So no message here repeats a value, and the call
# that a condition carries is the function's name without arguments (`quote(setup_project())`).

# One text, as plain as can be: without names, classes or other attributes.
check_string <- function(x, argument, call, null = FALSE) {
  if (null && is.null(x)) {
    return(NULL)
  }
  if (!is.character(x) || length(x) != 1L || is.na(x)) {
    abort_argument(sprintf("`%s` must be a single text, not %s", argument, describe(x)), argument, call)
  }
  enc2utf8(as.vector(x))
}

# One or more texts, or `NULL`. No text at all would be taken for everything, which is seldom what is meant by it.
check_texts <- function(x, argument, call) {
  if (is.null(x)) {
    return(NULL)
  }
  if (!is.character(x) || length(x) == 0L || anyNA(x)) {
    abort_argument(sprintf("`%s` must be one or more texts, not %s", argument, describe(x)), argument, call)
  }
  enc2utf8(as.vector(x))
}

# Ids of records: one or more texts or whole numbers, or `NULL`.
check_ids <- function(x, argument, call) {
  if (is.null(x)) {
    return(NULL)
  }
  ids <- (is.character(x) || is.numeric(x)) && length(x) > 0L && !anyNA(x)
  if (!ids) {
    message <- sprintf("`%s` must be one or more record ids, texts or whole numbers, not %s", argument, describe(x))
    abort_argument(message, argument, call)
  }
  if (is.character(x)) enc2utf8(as.vector(x)) else as.vector(x)
}

check_flag <- function(x, argument, call) {
  if (!is.logical(x) || length(x) != 1L || is.na(x)) {
    abort_argument(sprintf("`%s` must be `TRUE` or `FALSE`, not %s", argument, describe(x)), argument, call)
  }
  as.vector(x)
}

check_whole <- function(x, argument, call) {
  whole <- is.numeric(x) && length(x) == 1L && !is.na(x) && x == trunc(x) && abs(x) <= .Machine$integer.max
  if (!whole) {
    abort_argument(sprintf("`%s` must be a single whole number, not %s", argument, describe(x)), argument, call)
  }
  as.integer(x)
}

# A name that was typed without quotes and stands for nothing. R's own error would tell it with a frame of ours, and
# repeat what was typed, which may have been a token.
check_quoted <- function(typed, frame, argument, call) {
  if (is.symbol(typed) && !exists(as.character(typed), envir = frame)) {
    abort_argument(
      sprintf("`%s` is the name of an object that does not exist", argument),
      argument,
      call,
      sprintf("a short name is written in quotes, such as `%s(\"TEST\")`", as.character(call[[1]]))
    )
  }
}

# A short name, or that of a project.
check_short_name <- function(short_name, call) {
  if (inherits(short_name, "keycap_project") && is.list(short_name)) {
    return(check_string(unclass(short_name)$short_name, "project$short_name", call))
  }
  check_string(short_name, "short_name", call)
}

# The project as the core takes it. A short name is loaded, for convenience.
check_project <- function(project, call) {
  if (is.character(project)) {
    short_name <- check_string(project, "project", call)
    return(core_call("load_project", list(short_name = short_name), call)$project)
  }
  if (!inherits(project, "keycap_project") || !is.list(project)) {
    abort_argument(
      sprintf("`project` must be a project or the short name of one, not %s", describe(project)),
      "project",
      call,
      "make a project with `setup_project()`, or load one with `load_project()`"
    )
  }
  fields <- unclass(project)[project_fields]
  names(fields) <- project_fields
  for (field in project_fields) {
    required <- field %in% c("short_name", "redcap_uri", "token_name")
    fields[field] <- list(check_string(fields[[field]], paste0("project$", field), call, null = !required))
  }
  fields
}

# An absolute path, so that it still holds after `setwd()`. What could be a token is left as it is: the core
# refuses it, and must see it to do so.
absolute_path <- function(path) {
  if (is.null(path) || !nzchar(path) || looks_like_token(path)) {
    return(path)
  }
  path <- path.expand(path)
  if (!grepl("^(/|[A-Za-z]:[/\\\\]|\\\\\\\\)", path)) {
    path <- file.path(getwd(), path)
  }
  enc2utf8(normalizePath(path, winslash = "/", mustWork = FALSE))
}

looks_like_token <- function(text) {
  grepl("^\\s*([0-9A-Fa-f]{32}|[0-9A-Fa-f]{64})\\s*$", text)
}

# For printing what a user may have put a token into.
mask_tokens <- function(text) {
  gsub("[0-9A-Fa-f]{32,}", "<looks like a token, not shown>", text)
}

# What a value is, without a word of what it holds.
describe <- function(x) {
  if (is.null(x)) {
    "`NULL`"
  } else if (is.atomic(x) && length(x) == 1L && is.na(x)) {
    "a missing value"
  } else if (is.character(x)) {
    if (length(x) == 1L) "a text" else sprintf("%d texts", length(x))
  } else if (is.atomic(x) && is.null(attributes(x))) {
    sprintf("%s of type `%s`", if (length(x) == 1L) "a value" else paste(length(x), "values"), typeof(x))
  } else {
    sprintf("an object of type `%s`", typeof(x))
  }
}

# R's own error for an argument that there is not would repeat what was typed, which is a token perhaps.
check_no_more <- function(n, hint, call) {
  if (n > 0L) {
    typed <- "if you typed a token, it stands in R's history now: regenerate it in REDCap"
    abort_argument("there is an argument too many, and it is not looked at", "...", call, c(hint, typed))
  }
}

abort_missing <- function(argument, call) {
  abort_argument(sprintf("`%s` is missing", argument), argument, call)
}

abort_argument <- function(message, argument, call, hints = character()) {
  raise_error("argument", message, hints, list(argument = argument), call)
}
