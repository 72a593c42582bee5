# Settings of a world, with an anchor that is there.
local_anchor <- function(more = character(), frame = parent.frame()) {
  share <- withr::local_tempfile(.local_envir = frame)
  file.create(share)
  config <- tools::R_user_dir("keycap", "config")
  dir.create(config, recursive = TRUE, showWarnings = FALSE)
  file <- file.path(config, "config.toml")
  writeLines(c(more, "[[anchors]]", "name = \"share\"", sprintf("file = \"%s\"", share)), file)
  Sys.chmod(file, "600")
  share
}

# A project on a server that answers anything, whose calls stand in the user's own log.
away <- function(frame = parent.frame()) {
  withr::local_envvar(REDCapSync_AWAY = made_up_token(), .local_envir = frame)
  local_project(local_echo(200, "14.5.1", "text/plain", frame = frame)$uri, "AWAY", frame = frame)
}

call_away <- function(project) try(redcap_version(project), silent = TRUE)

user_log <- function(pattern) {
  list.files(file.path(tools::R_user_dir("keycap", "data"), "audit"), pattern, full.names = TRUE)
}

shipped <- function(name) system.file("audit", name, package = "keycap", mustWork = TRUE)

first_line <- function(program, ...) {
  out <- suppressWarnings(system2(program, c(...), stdout = TRUE, stderr = TRUE))
  out[[1]]
}

test_that("a checkpoint says what the log's own lines say, and its note is a signed one", {
  local_world()
  project <- away()
  call_away(project)
  taken <- checkpoint_audit_log()
  lines <- readLines(user_log("[.]jsonl$"), warn = FALSE)
  expect_s3_class(taken, "keycap_checkpoint")
  expect_identical(taken$entries, 2)
  expect_identical(taken$hash, sha256_of(paste0(lines[[2]], "\n")))
  expect_identical(taken$kept_in, "file")
  expect_match(lines[[3]], "\"phase\":\"checkpoint\"", fixed = TRUE)
  note <- strsplit(taken$note, "\n", fixed = TRUE)[[1]]
  expect_identical(note[1:2], c(taken$origin, "2"))
  expect_match(note[[7]], paste0("\u2014 ", taken$origin, " "), fixed = TRUE)
  expect_identical(nrow(taken$anchors), 0L)
  expect_output(checkpoint_audit_log(print = TRUE), "keycap chain-head sha256")
})

test_that("an anchor is read back, and a log that was written anew is found by it, also by the shipped verifiers", {
  local_world()
  share <- local_anchor()
  project <- away()
  call_away(project)
  taken <- checkpoint_audit_log()
  expect_true(taken$anchors$kept)
  verdict <- verify_audit_log()
  expect_identical(verdict$verdict, "anchored")
  expect_gte(verdict$anchored, taken$entries)
  folder <- dirname(user_log("[.]jsonl$"))
  says <- function(program, file, ...) first_line(program, shQuote(c(shipped(file), ..., "--anchors", share, folder)))
  anchored <- sprintf("intact and anchored up to %d", verdict$anchored)
  expect_identical(says("sh", "verify.sh"), anchored)
  expect_identical(says("python3", "verify.py"), anchored)
  expect_identical(says("python3", "verify.py", "--key", taken$key), anchored)

  # Emptied, and begun anew.
  unlink(user_log("[.]jsonl$"))
  call_away(project)
  verdict <- verify_audit_log()
  expect_identical(verdict$verdict, "tampered")
  found <- sprintf("tampered at %d (%s)", verdict$bad_entry, verdict$fault)
  expect_identical(says("sh", "verify.sh"), found)
  expect_identical(says("python3", "verify.py"), found)
})

test_that("a note that was kept elsewhere is taken, and one of nobody's key anchors nothing", {
  local_world()
  project <- away()
  call_away(project)
  taken <- checkpoint_audit_log()
  elsewhere <- withr::local_tempfile()
  writeLines(enc2utf8(taken$note), elsewhere, sep = "", useBytes = TRUE)
  expect_identical(verify_audit_log(anchors = elsewhere)$verdict, "anchored")
  expect_identical(verify_audit_log()$verdict, "unanchored")
  unlink(taken$public_file)
  expect_identical(verify_audit_log(anchors = elsewhere)$verdict, "unanchored")
  expect_error(verify_audit_log(anchors = "/nonexistent/notes"), class = "keycap_error_file")
})

test_that("checkpoints come by themselves, and past the limit without an anchor calls are refused", {
  local_world()
  share <- local_anchor(c("checkpoint_every_entries = 1", "anchor_limit_entries = 6"))
  project <- away()
  call_away(project)
  expect_identical(sum(readLines(share, warn = FALSE) == "keycap chain-head sha256"), 1L)
  unlink(share)
  conditions <- list()
  for (n in 1:6) {
    result <- withCallingHandlers(
      tryCatch(redcap_version(project), error = identity),
      keycap_warning = function(w) {
        conditions[[length(conditions) + 1L]] <<- w
        invokeRestart("muffleWarning")
      }
    )
    if (inherits(result, "keycap_error_audit")) break
  }
  expect_s3_class(result, "keycap_error_audit")
  expect_match(conditionMessage(result), "no anchor has kept a checkpoint", fixed = TRUE)
  expect_match(conditionMessage(conditions[[1]]), "`share`", fixed = TRUE)
  # It is back, and gets all that it missed.
  file.create(share)
  result <- tryCatch(suppressWarnings(redcap_version(project)), error = identity)
  expect_false(inherits(result, "keycap_error_audit"))
  expect_gt(sum(readLines(share, warn = FALSE) == "keycap chain-head sha256"), 1L)
})

test_that("a sandbox's checkpoint goes to no anchor", {
  local_world()
  share <- local_anchor()
  sandbox <- local_sandbox()
  project <- local_project(sandbox$redcap_uri, "TEST")
  test_project_token(project)
  taken <- checkpoint_audit_log(sandbox = TRUE)
  expect_identical(nrow(taken$anchors), 0L)
  expect_identical(readLines(share), character())
  expect_identical(user_log("."), character())
})

test_that("a log whose files were moved with its folder goes on, and one that begins anew contradicts its checkpoints", {
  dir <- local_world()
  local_anchor()
  project <- away()
  call_away(project)
  checkpoint_audit_log()
  old <- dirname(user_log("[.]jsonl$"))
  moved <- file.path(dir, "moved")
  dir.create(moved, mode = "0700")
  file.rename(list.files(old, full.names = TRUE), file.path(moved, list.files(old)))
  withr::local_envvar(KEYCAP_AUDIT_DIR = moved)
  call_away(project)
  checkpoint_audit_log()
  verdict <- verify_audit_log()
  expect_identical(c(verdict$verdict, basename(verdict$folder)), c("anchored", "moved"))
  expect_identical(list.files(old), character())
  withr::local_envvar(KEYCAP_AUDIT_DIR = file.path(dir, "anew"))
  call_away(project)
  expect_identical(verify_audit_log()$verdict, "tampered")
})

test_that("the log of a second folder is judged by itself, also by the shipped verifiers", {
  dir <- local_world()
  share <- local_anchor()
  second <- file.path(dir, "second")
  withr::local_options(keycap.audit_second = second)
  project <- away()
  for (n in 1:3) call_away(project)
  checkpoint_audit_log()
  verdict <- verify_audit_log()
  expect_identical(verdict$verdict, c("anchored", "unanchored"))
  expect_identical(verdict$origin[[2]], paste0(verdict$origin[[1]], "@second"))
  expect_identical(verdict$lacking, c(0, 0))
  expect_identical(verify_audit_log(second)$verdict, "unanchored")
  says <- function(program, file) first_line(program, shQuote(c(shipped(file), "--anchors", share, second)))
  expect_identical(says("sh", "verify.sh"), "intact but unanchored since 0")
  expect_identical(says("python3", "verify.py"), "intact but unanchored since 0")
  # It is filed as a log of its own.
  expect_identical(nrow(archive_audit_log()), 2L)
  expect_identical(sum(grepl("@second-000002[.]jsonl$", list.files(second))), 1L)
  segment <- file.path(second, grep("-000001[.]jsonl$", list.files(second), value = TRUE))
  lines <- readLines(segment)
  writeLines(lines[-3], segment)
  verdict <- verify_audit_log()
  expect_identical(verdict$verdict, c("anchored", "tampered"))
  expect_identical(verdict$lacking, c(0, 1))
})
