skip_on_os("windows")

holds <- function(path, text, mode = "600") {
  writeLines(text, path)
  Sys.chmod(path, mode)
  path
}

# A project of this user's, and a store that takes tokens.
entry_world <- function(frame = parent.frame()) {
  dir <- local_world(frame)
  folder <- withr::local_tempdir(.local_envir = frame)
  folder <- normalizePath(folder)
  local_pass(folder, frame)
  withr::local_options(keycap.stores = "env,command", .local_envir = frame)
  setup_project("STUDY", file.path(dir, "study"), "https://redcap.example.org/api/")
  list(dir = dir, folder = folder, kept = file.path(folder, "kept-REDCapSync_STUDY"))
}

test_that("a token goes from a file into a store, is read back, and leaves two entries in the audit log", {
  world <- entry_world()
  token <- made_up_token()
  file <- holds(file.path(world$folder, "token"), token)
  value <- NULL
  told <- said(value <- withVisible(set_project_token("STUDY", "command", file = file, test = FALSE)))
  expect_match(told, "written to `command`, read back and compared", fixed = TRUE)
  expect_match(told, "test_project_token(\"STUDY\")", fixed = TRUE)
  expect_false(value$visible)
  set <- value$value
  expect_named(set, c("short_name", "token_name", "store", "from", "fingerprint", "replaced", "works"))
  expect_identical(unlist(set[c("token_name", "store", "from")], use.names = FALSE), c("REDCapSync_STUDY", "command", "file"))
  expect_true(is.na(set$replaced) && is.na(set$works))
  expect_identical(readLines(world$kept, warn = FALSE), token)
  expect_true(file.exists(file))
  expect_identical(view_project_token("STUDY")$fingerprint, set$fingerprint)

  entries <- audit_entries()
  expect_length(entries, 2)
  for (part in c("\"phase\":\"change\"", "\"action\":\"set_token\"", "\"store\":\"command\"", "\"from\":\"file\"", set$fingerprint)) {
    expect_match(entries[[1]], part, fixed = TRUE)
  }
  expect_match(entries[[2]], "\"phase\":\"outcome\".*\"class\":\"ok\"")
  id <- function(entry) sub(".*\"call_id\":\"([0-9a-f]+)\".*", "\\1", entry)
  expect_identical(id(entries[[1]]), id(entries[[2]]))

  # Another one in its place, and the file is wiped.
  holds(file, made_up_token())
  again <- set_project_token(load_project("STUDY"), "command", file = file, wipe = TRUE, test = FALSE)
  expect_identical(again$replaced, set$fingerprint)
  expect_false(file.exists(file))
  expect_match(audit_entries()[[3]], sprintf("\"replaced\":\"%s\"", set$fingerprint), fixed = TRUE)
})

test_that("what cannot be stored changes nothing, and the audit log says what was tried", {
  world <- entry_world()
  file <- file.path(world$folder, "token")
  set <- function(...) set_project_token("STUDY", "command", ..., test = FALSE)
  token <- made_up_token()
  expect_error(set(file = holds(file, substr(token, 1, 31)), wipe = TRUE), "31 characters", class = "keycap_error_token_form")
  expect_true(file.exists(file))
  expect_error(set(file = holds(file, token, "644")), "mode 0644", class = "keycap_error_file")
  expect_error(set(file = file.path(world$folder, "none")), class = "keycap_error_file")
  expect_error(set(from = "env"), class = "keycap_error_token_missing")
  expect_error(set(fd = 77), class = "keycap_error_argument")
  expect_error(set(from = "env", file = file), class = "keycap_error_argument")
  expect_error(set(wipe = TRUE), "file", class = "keycap_error_argument")
  expect_error(set_project_token("STUDY", "env", file = file), class = "keycap_error_store")
  expect_error(set_project_token("STUDY", "nowhere", file = file), class = "keycap_error_argument")
  error <- expect_error(set_project_token("STUDY", file = file), "no keyring", class = "keycap_error_store")
  # The store that takes tokens here, with the call to make.
  expect_match(conditionMessage(error), "set_project_token(\"STUDY\", store = \"command\")", fixed = TRUE)
  marked <- c(as.raw(c(0xef, 0xbb, 0xbf)), charToRaw(token))
  writeBin(marked, holds(file, ""))
  error <- expect_error(set(file = file), "byte order mark (BOM)", fixed = TRUE, class = "keycap_error_token_form")
  expect_match(conditionMessage(error), "without a byte order mark", fixed = TRUE)
  expect_error(set_project_token("NOWHERE", "command", file = file), class = "keycap_error_project")
  expect_false(file.exists(world$kept))
  expect_length(audit_entries(), 0)

  # The log comes first: where it takes no entry, nothing is stored.
  holds(file, token)
  withr::with_options(list(keycap.audit_dir = world$kept), {
    writeLines("in the way", world$kept)
    expect_error(set(file = file), class = "keycap_error_audit")
    expect_identical(readLines(world$kept), "in the way")
  })
})

test_that("an object from elsewhere and a sample name set no token", {
  world <- entry_world()
  sandbox <- local_sandbox()
  file <- holds(file.path(world$folder, "token"), made_up_token())
  strange <- load_project("STUDY")
  strange$token_name <- "REDCapSync_OTHER"
  expect_error(set_project_token(strange, "command", file = file), class = "keycap_error_project")
  sample <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  expect_error(set_project_token(sample, "command", file = file), "constant", class = "keycap_error_store")
})

test_that("a token from another store, or shadowed by one, is told", {
  world <- entry_world()
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  set <- set_project_token("STUDY", "command", from = "env", test = FALSE)
  expect_identical(set$from, "env")
  expect_identical(readLines(world$kept, warn = FALSE), Sys.getenv("REDCapSync_STUDY"))
  file <- holds(file.path(world$folder, "token"), made_up_token())
  expect_warning(
    set_project_token("STUDY", "command", file = file, test = FALSE),
    "`env` is asked before `command`",
    class = "keycap_warning"
  )
  withr::local_options(keycap.stores = "env")
  expect_warning(
    set_project_token("STUDY", "command", file = file, test = FALSE),
    "not among the stores",
    class = "keycap_warning"
  )
})

test_that("a token that was set is tested at once where that is asked for", {
  world <- entry_world()
  sandbox <- local_sandbox()
  project <- setup_project("MINE", redcap_uri = sandbox$redcap_uri)
  file <- file.path(world$folder, "token")
  sandbox_issue_token(sandbox, "TEST", "exporter", to = file)
  expect_true(set_project_token(project, "command", file = file, test = TRUE)$works)
  expect_false(warned(set_project_token(project, "command", file = holds(file, made_up_token()), test = TRUE))$works)
})

# A script with a project in it, in a session of its own without a terminal.
run_alone <- function(code, wrapper) {
  dirs <- Sys.getenv(c("R_USER_CONFIG_DIR", "R_USER_DATA_DIR", "R_USER_CACHE_DIR"))
  script <- withr::local_tempfile(lines = wrapper, fileext = ".sh")
  env <- c(paste0(names(dirs), "=", shQuote(dirs)), "KEYCAP_STORES=env,command", "DISPLAY=", "WAYLAND_DISPLAY=")
  run_script(code, wrapper = script, env = env)
}

test_that("a descriptor that the shell opened gives a token", {
  world <- entry_world()
  token <- made_up_token()
  file <- holds(file.path(world$folder, "token"), c(token, "another line"))
  code <- "cat(\"set:\", keycap::set_project_token(\"STUDY\", \"command\", fd = 3, test = FALSE)$from)"
  out <- run_alone(code, sprintf("cat '%s' | \"$@\" 3<&0 </dev/null", file))
  expect_match(paste(out, collapse = "\n"), "set: descriptor", fixed = TRUE)
  expect_identical(readLines(world$kept, warn = FALSE), token)
})

test_that("where nobody can be asked, the error prints the line for a terminal", {
  skip_on_os("mac")
  world <- entry_world()
  code <- c(
    "e <- tryCatch(keycap::set_project_token(\"STUDY\", \"command\"), keycap_error_argument = identity)",
    "writeLines(c(conditionMessage(e), e$line))"
  )
  out <- run_alone(code, "exec setsid -w \"$@\" </dev/null")
  line <- "Rscript -e 'keycap::set_project_token(\"STUDY\", store = \"command\")'"
  expect_true(line %in% out, info = paste(out, collapse = "\n"))
  expect_match(paste(out, collapse = "\n"), "neither a terminal nor a desktop")
})

test_that("a token as an argument is refused and not repeated", {
  entry_world()
  token <- made_up_token()
  calls <- list(
    quote(set_project_token(token)), quote(set_project_token("STUDY", token)),
    quote(set_project_token("STUDY", from = token)), quote(set_project_token("STUDY", file = token))
  )
  for (call in calls) {
    error <- expect_error(eval(call), class = "keycap_error_token_in_argument")
    expect_identical(hits(conditionMessage(error), token), character())
  }
})

test_that("a token given as an argument that there is not is not repeated", {
  token <- made_up_token()
  for (attempt in list(
    function() set_project_token("TEST", token = token),
    function() set_project_token("TEST", "keyring", NULL, NULL, NULL, FALSE, FALSE, token)
  )) {
    error <- tryCatch(attempt(), error = identity)
    expect_s3_class(error, "keycap_error_argument")
    expect_false(grepl(substr(token, 1, 8), paste(conditionMessage(error), toString(conditionCall(error))), fixed = TRUE))
    expect_match(conditionMessage(error), "regenerate it", fixed = TRUE)
  }
})
