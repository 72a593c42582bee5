# What the core must know of this R session, read anew for each operation. Nothing is created here. Where the
# institution's settings are is the core's own knowledge: what R says, a user can change.
session_info <- function() {
  list(
    config = tools::R_user_dir("keycap", "config"),
    data = tools::R_user_dir("keycap", "data"),
    session = file.path(tempdir(), "keycap"),
    interactive = rlang::is_interactive(),
    options = session_options(),
    script = session_script(),
    gui = .Platform$GUI,
    sandboxes = as.list(unlist(the$sandboxes, use.names = FALSE))
  )
}

# The options whose names start with "keycap.", as texts and without that prefix being taken off.
session_options <- function() {
  all <- options()
  own <- all[startsWith(names(all), "keycap.")]
  lapply(own, as.character)
}

# What makes R call, for the audit log: the document that is being knitted, the script that R was started with, or in
# a word how R gets its commands.
session_script <- function() {
  if (isTRUE(getOption("knitr.in.progress")) && isNamespaceLoaded("knitr")) {
    input <- tryCatch(getExportedValue("knitr", "current_input")(dir = TRUE), error = function(condition) NULL)
    if (is.character(input) && length(input) == 1L) {
      return(normalizePath(input, winslash = "/", mustWork = FALSE))
    }
  }
  the$script
}

# As R's command line has it. A path there is meant from where R was started, so it is asked when the package is loaded.
started_with <- function(args = commandArgs(trailingOnly = FALSE)) {
  before <- args[seq_len(match("--args", args, nomatch = length(args) + 1L) - 1L)]
  file <- sub("^--file=", "", grep("^--file=", before, value = TRUE))
  if (length(file) > 0L && file[[1]] != "-") {
    # R's front end writes blanks so.
    path <- gsub("~+~", " ", file[[1]], fixed = TRUE)
    from <- c(path, file.path(Sys.getenv("PWD"), path))
    found <- from[file.exists(from)]
    return(normalizePath(if (length(found) > 0L) found[[1]] else path, winslash = "/", mustWork = FALSE))
  }
  if (interactive()) {
    "interactive"
  } else if (any(before == "-e")) {
    "expression"
  } else {
    "stdin"
  }
}
