# What `make demo` shows: the road from a token's name to a tested token, as a user sees it, against the sandbox. It
# exits with 0 only if each step ended as it must.

library(keycap)

# Nothing of this reaches the user's own registry and log.
home <- file.path(tempdir(), "demo")
Sys.setenv(R_USER_CONFIG_DIR = file.path(home, "config"), R_USER_DATA_DIR = file.path(home, "data"))
Sys.unsetenv("REDCapSync_AWAY")
options(width = 100)

failed <- FALSE
said <- character()

# Shows a line as if it was typed, then what comes of it, and returns that. A condition is shown as R shows it. What
# was said meanwhile is kept in `said`.
type <- function(line, comment = NULL) {
  said <<- character()
  if (!is.null(comment)) cat("\n# ", comment, "\n", sep = "")
  cat("> ", line, "\n", sep = "")
  flush(stdout())
  tryCatch(
    withCallingHandlers(
      {
        outcome <- withVisible(eval(str2lang(line), globalenv()))
        if (outcome$visible) print(outcome$value)
        flush(stdout())
        invisible(outcome$value)
      },
      message = function(m) said <<- c(said, conditionMessage(m)),
      warning = function(w) {
        message("Warning message:\n", conditionMessage(w))
        invokeRestart("muffleWarning")
      }
    ),
    error = function(e) {
      message("Error in ", deparse1(conditionCall(e)), ": ", conditionMessage(e))
      invisible(e)
    }
  )
}

must <- function(what, holds) {
  if (!isTRUE(holds)) {
    message("THE DEMO FAILED: ", what)
    failed <<- TRUE
  }
}

type("sandbox <- start_sandbox()", "A server to try with: it answers as REDCap does, and it is not REDCap.")
type("project <- setup_project(\"TEST\", dir_path = file.path(tempdir(), \"test\"), redcap_uri = sandbox$redcap_uri)",
  "A project knows the name of its token, and nothing more of it.")
type("project")

row <- type("view_project_token(project)", "What is known of the token. No character of it is shown.")
must("the token is seen, with its fingerprint", grepl("^kc1:[0-9a-f]{16}$", row$fingerprint))
must("the fingerprint is told", any(grepl(row$fingerprint, said, fixed = TRUE)))

works <- type("works <- test_project_token(project)", "Does REDCap take it?")
must("the token works", works)
must("the version is told", any(grepl("REDCap version: +[0-9]+[.][0-9]+", said)))
must("the project's title is told", any(grepl("project title: +Sandbox sample", said)))
must("the project's id is known", nzchar(attr(works, "project")$project_id))

type("sandbox_revoke_token(sandbox, \"TEST\")", "Somebody revokes the token in REDCap.")
works <- type("works <- test_project_token(project)")
must("a revoked token does not work", identical(as.vector(works), FALSE))
type("attr(works, \"reason\")")
must("the reason is that REDCap refused it", attr(works, "reason") == "token_refused")

type("away <- setup_project(\"AWAY\", redcap_uri = \"https://127.0.0.1:1/api/\")",
  "A server that cannot be reached is no statement about a token: it is an error.")
type("Sys.setenv(REDCapSync_AWAY = \"00000000000000000000000000000000\")  # made up")
error <- type("test_project_token(away)")
must("an unreachable server is an error of its own", inherits(error, "keycap_error_connection"))
cat("# Its class, for scripts: ", class(error)[1], "\n", sep = "")

type("delete_project(\"TEST\")", "Tidying up: keycap's own entry and file, never data, never a token.")
type("stop_sandbox(sandbox)")

quit(status = as.integer(failed))
