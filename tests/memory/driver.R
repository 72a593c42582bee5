# What R does in the memory tests. Commands come over standard input, words separated by tabs, and each is answered by
# one line. No token is among them: it comes from where keycap finds it, or from a file that only this user can read.

library(keycap)
options(keycap.retries = "1", keycap.connect_timeout = "30")
kept <- new.env()

# What a user sees of a call, in one line.
seen <- function(call) {
  tryCatch(
    suppressWarnings({
      value <- call
      if (is.character(value)) value else if (isTRUE(value)) "TRUE" else paste("FALSE", attr(value, "reason"))
    }),
    interrupt = function(condition) "interrupt",
    keycap_error = function(condition) paste("error", sub("keycap_error_", "", class(condition)[[1]])),
    error = function(condition) paste("another error:", conditionMessage(condition))
  )
}

commands <- list(
  # From outside keycap: R's own copies are made here, before the first scan.
  "setenv" = function(name, file) {
    do.call(Sys.setenv, stats::setNames(list(readLines(file, warn = FALSE)), name))
    "done"
  },
  "option" = function(name, value) {
    do.call(options, stats::setNames(list(value), name))
    "done"
  },
  "set-up" = function(short_name, uri) {
    seen({
      kept[[short_name]] <- setup_project(short_name, redcap_uri = uri)
      "set up"
    })
  },
  "view" = function(short_name) {
    seen(if (view_project_token(kept[[short_name]])$is_set) "seen" else "blank")
  },
  "export" = function(short_name) {
    seen(paste(nrow(export_records(kept[[short_name]], types = FALSE)), "rows"))
  },
  "test" = function(short_name) seen(test_project_token(kept[[short_name]])),
  # One project three times, side by side.
  "test-many" = function(short_name) {
    seen({
      tested <- test_project_tokens(rep(list(kept[[short_name]]), 3))
      if (all(tested$works %in% TRUE)) "TRUE" else toString(unique(tested$reason))
    })
  },
  "call" = function(short_name) {
    seen({
      redcap_call(kept[[short_name]], "project", format = "json", as = "text")
      "called"
    })
  },
  "rights" = function(short_name) {
    seen({
      check_project_rights(kept[[short_name]])
      "checked"
    })
  },
  # The new token comes from a file, and is the old one: it is looked up, sent, read from the file and compared. The
  # keyring is there for every source.
  "rotate" = function(short_name, file) {
    seen(rotate_project_token(kept[[short_name]], store = "keyring", file = file)$state)
  },
  "reconcile" = function(short_name) {
    seen({
      reconcile_audit_log(kept[[short_name]], Sys.Date())
      "reconciled"
    })
  },
  "file" = function(short_name) {
    seen({
      unlink(export_file(kept[[short_name]], 1, "letter", to = tempfile()))
      "written"
    })
  },
  "send" = function(short_name) {
    seen({
      file <- tempfile()
      writeLines("a letter", file)
      redcap_call(kept[[short_name]], "file", action = "import", record = 1, field = "letter", file = file)
      "sent"
    })
  },
  # So large that the request does not fit into the buffers that are wiped anyway.
  "import" = function(short_name) {
    seen({
      import_records(kept[[short_name]], data.frame(id = 1, a = strrep("a b ", 5e5)), dry_run = FALSE)
      "imported"
    })
  },
  # Files with this token in them, plain and compressed, which were put there by another program.
  "scan" = function(short_name) {
    seen(paste(nrow(scan_for_tokens(file.path(Sys.getenv("TMPDIR"), "litter"))), "places"))
  },
  # Into the keyring: from the environment it is moved, from a store it is copied, since not every one may be written to.
  # Where the keyring has it already, there is nothing left to move.
  "move" = function(short_name) {
    seen({
      project <- kept[[short_name]]
      source <- view_project_token(project)$source
      if (source %in% c("env", "keyring")) {
        move_project_token(project, "env", "keyring", overwrite = TRUE)
      } else {
        set_project_token(project, "keyring", from = source)
      }
      "moved"
    })
  },
  # Out of the environment or the keyring; where the token comes from elsewhere there is nothing to remove. Where it is,
  # keycap is asked: `Sys.getenv()` would make a copy of R's own.
  "remove" = function(short_name) {
    seen({
      project <- kept[[short_name]]
      source <- view_project_token(project)$source
      store <- if (identical(source, "env")) "env" else "keyring"
      removed <- remove_project_token(project, store)
      if (removed || !identical(source, store)) "removed" else "nothing there"
    })
  },
  # A copy that must be found, so that a scan that finds nothing has something to find.
  "decoy" = function(file) {
    kept$decoy <- readLines(file, warn = FALSE)
    "done"
  },
  # As people do it without keycap; what R was asked for is thrown away and swept up.
  "naive" = function(name, uri) {
    local({
      connection <- url(paste0(uri, "?content=version&token=", Sys.getenv(name)))
      on.exit(close(connection))
      readLines(connection, warn = FALSE)
    })
    gc()
    "done"
  }
)

input <- file("stdin", "r")
repeat {
  words <- strsplit(readLines(input, 1L), "\t", fixed = TRUE)
  if (length(words) == 0L) {
    break
  }
  words <- words[[1]]
  answer <- do.call(commands[[words[[1]]]], as.list(words[-1]))
  writeLines(paste0("=", gsub("[[:space:]]+", " ", answer)))
  flush(stdout())
}
