# A world of its own for a test: settings, registry and audit log under `tempdir()`, no tokens, no proxies, no
# retries (their pauses would only cost time), nothing printed, and no keyring unless asked for.
local_world <- function(frame = parent.frame(), keyring = FALSE) {
  dir <- withr::local_tempdir("world", .local_envir = frame)
  dir <- normalizePath(dir, winslash = "/")
  blank <- grep("^(REDCapSync_|KEYCAP_|CANARY)|_proxy$", names(Sys.getenv()), value = TRUE, ignore.case = TRUE)
  blank <- c(blank, if (!keyring) c("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"))
  blank <- stats::setNames(rep(NA_character_, length(blank)), blank)
  homes <- file.path(dir, c(config = "config", data = "data", cache = "cache"))
  names(homes) <- c("R_USER_CONFIG_DIR", "R_USER_DATA_DIR", "R_USER_CACHE_DIR")
  withr::local_envvar(c(as.list(blank), as.list(homes)), .local_envir = frame)
  withr::local_options(keycap.quiet = TRUE, keycap.retries = 0, rlang_interactive = FALSE, .local_envir = frame)
  dir
}

registry_file <- function() file.path(tools::R_user_dir("keycap", "config"), "projects.json")

audit_files <- function() {
  list.files(tools::R_user_dir("keycap", "data"), recursive = TRUE, full.names = TRUE, all.files = TRUE)
}

local_sandbox <- function(frame = parent.frame()) {
  sandbox <- start_sandbox()
  withr::defer(stop_sandbox(sandbox), envir = frame)
  sandbox
}

# A token name that is bound to `redcap_uri`, in a world of its own.
local_project <- function(redcap_uri, short_name = "AWAY", ..., frame = parent.frame()) {
  dir <- withr::local_tempdir("project", .local_envir = frame)
  setup_project(short_name, dir, redcap_uri, ...)
}

# The value of a test that warns.
warned <- function(expr, regexp = NULL) {
  value <- NULL
  testthat::expect_warning(value <- expr, regexp, class = "keycap_warning_token")
  value
}

# What was said, as one text.
said <- function(expr) {
  withr::local_options(keycap.quiet = FALSE)
  texts <- character()
  withCallingHandlers(expr, message = function(m) {
    texts <<- c(texts, conditionMessage(m))
    invokeRestart("muffleMessage")
  })
  cli::ansi_strip(paste(texts, collapse = ""))
}

made_up_token <- function(n = 32) {
  paste(sample(c(0:9, LETTERS[1:6]), n, replace = TRUE), collapse = "")
}

# The tests run without a seed of their own, so that tokens are new in each run.
set.seed(NULL)

# A port at which nobody listens.
closed_port <- function() {
  for (port in sample(20000:60000, 50)) {
    server <- tryCatch(serverSocket(port), error = function(e) NULL)
    if (!is.null(server)) {
      close(server)
      return(port)
    }
  }
  stop("no free port")
}

# A script in a fresh R process, with this very package; returns what it printed, with its exit status.
run_script <- function(code, args = character(), env = character(), wrapper = character(), vanilla = TRUE) {
  script <- withr::local_tempfile(fileext = ".R")
  writeLines(code, script)
  rscript <- file.path(R.home("bin"), "Rscript")
  args <- c(if (vanilla) "--vanilla" else "--no-init-file", shQuote(c(script, args)))
  command <- if (length(wrapper)) c(shQuote(c(wrapper, rscript)), args) else args
  program <- if (length(wrapper)) "sh" else rscript
  libs <- paste0("R_LIBS=", shQuote(paste(.libPaths(), collapse = .Platform$path.sep)))
  out <- suppressWarnings(system2(program, command, stdout = TRUE, stderr = TRUE, env = c(libs, env)))
  structure(as.character(out), status = attr(out, "status") %||% 0L)
}

`%||%` <- function(x, y) if (is.null(x)) y else x

# Whether a process is there, and not merely waiting to be reaped.
alive <- function(pid) {
  if (!file.exists("/proc/self/stat")) {
    return(tools::pskill(as.integer(pid), 0L))
  }
  state <- tryCatch(readLines(sprintf("/proc/%s/stat", pid), warn = FALSE), error = function(e) ") Z", warning = function(w) ") Z")
  !grepl(") Z", state, fixed = TRUE)
}

# A store `command` in a folder: a stand-in for `pass`, which keeps its items as files there, and fails on demand.
local_pass <- function(folder, frame = parent.frame()) {
  pass <- file.path(folder, "pass")
  writeLines(c(
    "#!/bin/sh",
    "[ \"$PASS_FAILS\" = yes ] && { cat; exit 2; }",
    sprintf("cd '%s' || exit 2", folder),
    "for item; do :; done",
    "item=kept-$(basename \"$item\")",
    "case $1 in",
    "show) [ -f \"$item\" ] || exit 1; cat \"$item\" ;;",
    "insert) cat > \"$item\" ;;",
    "rm) rm \"$item\" ;;",
    "esac"
  ), pass)
  Sys.chmod(pass, "700")
  config <- file.path(tools::R_user_dir("keycap", "config"), "config.toml")
  dir.create(dirname(config), recursive = TRUE, showWarnings = FALSE)
  writeLines(c("[command]", "preset = \"pass\"", sprintf("program = \"%s\"", pass)), config)
  withr::defer(unlink(config), envir = frame)
  invisible(folder)
}

# The entries of the user's audit log.
audit_entries <- function() {
  lines <- unlist(lapply(grep("[.]jsonl$", audit_files(), value = TRUE), readLines, warn = FALSE))
  grep("\"phase\":", lines, value = TRUE)
}
