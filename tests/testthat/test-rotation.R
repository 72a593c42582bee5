# Rotations as a user sees them. That every step is proved, and that a kill at any of them harms nothing, the core's tests
# show in a real keyring; the terminal is tests/terminal.

skip_on_os("windows")

# A project at the sandbox with a token of its own, in a store that is a program.
rotation_world <- function(user = "editor", frame = parent.frame()) {
  local_world(frame)
  folder <- normalizePath(withr::local_tempdir(.local_envir = frame))
  local_pass(folder, frame)
  withr::local_options(keycap.stores = "env,command", .local_envir = frame)
  sandbox <- local_sandbox(frame)
  file <- file.path(folder, "token")
  sandbox_issue_token(sandbox, "TEST", user, to = file)
  project <- setup_project("MINE", redcap_uri = sandbox$redcap_uri, redcap_user = user)
  set_project_token(project, "command", file = file, wipe = TRUE, test = FALSE)
  kept <- function() readLines(file.path(folder, "kept-REDCapSync_MINE"), warn = FALSE)
  click <- function() {
    unlink(file)
    sandbox_regenerate_token(sandbox, "TEST", user, to = file)
    file
  }
  list(project = project, sandbox = sandbox, folder = folder, file = file, kept = kept, click = click)
}

waits <- function(expr) {
  value <- NULL
  expect_warning(value <- expr, "waiting for the new token", class = "keycap_warning_rotation")
  value
}

rotation_files <- function() {
  list.files(file.path(tempdir(), "keycap"), "[.]json$", recursive = TRUE, full.names = TRUE)
}

test_that("a rotation is begun, waits, and is done with the new token of a file; every call says so meanwhile", {
  world <- rotation_world()
  old <- world$kept()
  told <- said(waits(begun <- withVisible(rotate_project_token(world$project))))
  expect_false(begun$visible)
  expect_identical(begun$value$state, "waiting")
  expect_match(told, "/redcap/redcap_v[0-9.]+/API/project_api[.]php[?]pid=17")
  expect_match(told, "the old token works until you click", fixed = TRUE)
  # Not clicked yet.
  told <- said(expect_true(isTRUE(test_project_token(world$project))))
  expect_match(told, "not regenerated yet", fixed = TRUE)
  expect_match(said(projects <- get_projects()), "the rotation of `MINE` is begun", fixed = TRUE)

  world$click()
  waiting <- "waiting for the new token"
  error <- expect_error(export_records("MINE"), waiting, class = "keycap_error_token_refused")
  expect_identical(error$rotation, "waiting")
  expect_match(conditionMessage(error), "rotate_project_token(\"MINE\")", fixed = TRUE)
  warned(test_project_token("MINE"), waiting)
  expect_match(test_project_tokens("MINE")$message, waiting, fixed = TRUE)
  expect_match(list_project_tokens("MINE")$remark, waiting, fixed = TRUE)
  expect_match(said(get_projects()), waiting, fixed = TRUE)
  expect_error(rotate_project_token("MINE", cancel = TRUE), "dead already", class = "keycap_error_rotation")

  told <- said(done <- rotate_project_token("MINE", file = world$file, wipe = TRUE))
  expect_match(told, "rotated: the new one is in `command` and was read back", fixed = TRUE)
  expect_false(file.exists(world$file))
  expect_identical(done$state, "done")
  expect_identical(done$old_fingerprint, begun$value$old_fingerprint)
  expect_identical(done$fingerprint, view_project_token("MINE")$fingerprint)
  expect_true(done$old_refused && done$same_project && done$from == "file")
  expect_true(done$seconds_at_most >= done$seconds_at_least && done$seconds_at_least >= 0)
  expect_true(is.na(done$still_in) && is.na(done$shadowed_by))
  expect_true(isTRUE(test_project_token("MINE")) && is.na(list_project_tokens("MINE")$remark))
  # Nothing of either token anywhere in what was written.
  tokens <- c(old, world$kept())
  expect_identical(hits_in_files(list.files(tempdir(), "[.]jsonl?$", recursive = TRUE, full.names = TRUE), tokens), character())
})

test_that("what is not the new token is an error with its state, and the rotation goes on", {
  world <- rotation_world()
  old <- file.path(world$folder, "old")
  writeLines(world$kept(), old)
  Sys.chmod(old, "600")
  waits(rotate_project_token("MINE"))
  state <- function(file, ...) {
    expect_error(rotate_project_token("MINE", file = file, ...), class = "keycap_error_rotation")$state
  }
  expect_identical(state(old), "same")
  other <- file.path(world$folder, "other")
  sandbox_issue_token(world$sandbox, "TEST", "importer", to = other)
  expect_identical(state(other), "two_valid")
  expect_error(rotate_project_token("MINE", file = other, fd = 3), class = "keycap_error_argument")
  expect_error(rotate_project_token("MINE", wipe = TRUE), class = "keycap_error_argument")
  expect_error(rotate_project_token("MINE", store = "nowhere"), class = "keycap_error_argument")
  expect_error(rotate_project_token("MINE", store = "keyring"), "no keyring", class = "keycap_error_store")
  expect_identical(rotate_project_token("MINE", file = world$click())$state, "done")
  expect_error(rotate_project_token("MINE", cancel = TRUE), class = "keycap_error_rotation")
  # Given up before the click.
  waits(rotate_project_token("MINE"))
  expect_identical(rotate_project_token("MINE", cancel = TRUE)$state, "cancelled")
  expect_true(isTRUE(test_project_token("MINE")))
  expect_error(rotate_project_token("TEST"), class = "keycap_error_project")
  setup_project("TEST", redcap_uri = world$sandbox$redcap_uri)
  expect_error(rotate_project_token("TEST"), "sandbox's own token", class = "keycap_error_argument")
})

test_that("a new version that somebody put into the store is checked and taken, and another store is named", {
  world <- rotation_world()
  do.call(Sys.setenv, list(REDCapSync_MINE = world$kept()))
  withr::defer(Sys.unsetenv("REDCapSync_MINE"))
  waits(rotate_project_token("MINE", store = "command"))
  file.copy(world$click(), file.path(world$folder, "kept-REDCapSync_MINE"), overwrite = TRUE)
  expect_warning(
    done <- rotate_project_token("MINE"),
    "`env` is asked before `command`.*remove_project_token\\(\"MINE\", store = \"env\"\\)",
    class = "keycap_warning"
  )
  expect_identical(c(done$state, done$from, done$still_in, done$shadowed_by), c("done", "command", "env", "env"))
  Sys.unsetenv("REDCapSync_MINE")
  expect_true(isTRUE(test_project_token("MINE")))
})

test_that("scripts rotate: one begins, one is killed, one ends it, and a session that runs goes on", {
  dir <- local_world()
  folder <- normalizePath(withr::local_tempdir())
  local_pass(folder)
  sandbox <- local_sandbox()
  file <- file.path(folder, "token")
  kept <- file.path(folder, "kept-REDCapSync_MINE")
  sandbox_issue_token(sandbox, "TEST", "editor", to = kept)
  dirs <- Sys.getenv(c("R_USER_CONFIG_DIR", "R_USER_DATA_DIR", "R_USER_CACHE_DIR"))
  script <- withr::local_tempfile(lines = "exec setsid -w \"$@\" </dev/null", fileext = ".sh")
  env <- c(paste0(names(dirs), "=", shQuote(dirs)), "KEYCAP_STORES=command", "DISPLAY=", "WAYLAND_DISPLAY=")
  run <- function(...) paste(run_script(c("library(keycap)", ...), wrapper = script, env = env), collapse = "\n")
  set_up <- sprintf("invisible(setup_project('MINE', '%s', '%s', redcap_user = 'editor'))", file.path(dir, "mine"), sandbox$redcap_uri)
  out <- run(set_up, "cat('state:', suppressWarnings(rotate_project_token('MINE'))$state)")
  expect_match(out, "state: waiting", fixed = TRUE)
  expect_true(file.exists(file.path(tools::R_user_dir("keycap", "data"), "rotation", "MINE.json")))

  # A session that has called before, and calls again afterwards.
  running <- callr::r_session$new(options = callr::r_session_options(env = c(dirs, KEYCAP_STORES = "command")))
  withr::defer(running$close())
  version <- function() running$run(function() keycap::redcap_version("MINE"))
  expect_s3_class(version(), "numeric_version")

  sandbox_regenerate_token(sandbox, "TEST", "editor", to = file)
  expect_error(version(), "waiting for the new token")
  # Killed while it asks REDCap about the new token.
  sandbox_set_fault(sandbox, "latency", ms = 60000)
  killed <- callr::r_bg(
    function(file) keycap::rotate_project_token("MINE", file = file),
    list(file),
    env = c(callr::rcmd_safe_env(), dirs, KEYCAP_STORES = "command")
  )
  state <- file.path(tools::R_user_dir("keycap", "data"), "rotation", "MINE.json")
  # The old token is looked at first, as slowly.
  wait_for(length(grep("rotate_begin", audit_entries())) == 2L)
  killed$kill()
  sandbox_clear_faults(sandbox)
  expect_match(paste(readLines(state), collapse = ""), "\"step\": \"waiting\"", fixed = TRUE)
  out <- run("e <- tryCatch(redcap_version('MINE'), error = conditionMessage)", "writeLines(e)")
  expect_match(out, "`MINE` is waiting for the new token", fixed = TRUE)
  out <- run(sprintf("cat('state:', rotate_project_token('MINE', file = '%s', wipe = TRUE)$state)", file))
  expect_match(out, "state: done", fixed = TRUE)
  expect_s3_class(version(), "numeric_version")
  entries <- grep("\"phase\":\"change\"", audit_entries(), value = TRUE)
  actions <- sub(".*\"action\":\"([a-z_]+)\".*", "\\1", entries)
  expect_identical(
    unique(actions),
    c("rotate_begin", "rotate_wait", "rotate_check", "rotate_confirm", "set_token", "rotate_search", "rotate_done")
  )
})
