# A project whose server is never asked, and an `.Renviron` that this session has read.
local_renviron <- function(lines, frame = parent.frame(), eol = "\n", keyring = FALSE) {
  dir <- local_world(frame, keyring = keyring)
  file <- file.path(dir, "Renviron")
  writeBin(charToRaw(paste0(paste(lines, collapse = eol), eol)), file)
  Sys.chmod(file, "600")
  withr::local_envvar(R_ENVIRON_USER = file, REDCapSync_STUDY = NA, .local_envir = frame)
  suppressWarnings(readRenviron(file))
  withr::local_options(keycap.stores = "env", .local_envir = frame)
  file
}

study <- function(frame = parent.frame()) local_project("https://redcap.example.org/api/", "STUDY", frame = frame)

content <- function(file) readChar(file, file.size(file), useBytes = TRUE)

warnings_of <- function(expr) {
  texts <- character()
  withCallingHandlers(expr, warning = function(w) {
    texts <<- c(texts, conditionMessage(w))
    invokeRestart("muffleWarning")
  })
  texts
}

test_that("a line is read as R itself reads it, however it is written", {
  token <- made_up_token()
  forms <- c(
    "REDCapSync_STUDY=%s", "  REDCapSync_STUDY  =  %s  ", "REDCapSync_STUDY='%s'", "REDCapSync_STUDY=\"%s\" ",
    "REDCapSync_STUDY=%s\r", "\vREDCapSync_STUDY=%s\v", "REDCapSync_STUDY=\"%s", "REDCapSync_STUDY='%s'\"\""
  )
  for (form in forms) {
    file <- local_renviron(c("A=1", sprintf(form, token), "# end"))
    expect_identical(Sys.getenv("REDCapSync_STUDY"), token, info = form)
    expect_true(remove_project_token(study(), "env"), info = form)
    expect_identical(content(file), "A=1\n# end\n", info = form)
    expect_identical(Sys.getenv("REDCapSync_STUDY", NA), NA_character_)
  }
})

test_that("the table of lines that the core is tested with is R's own", {
  table <- list(
    list("A=x", "x"), list("A=\"x y\" ", "x y"), list("A='x'", "x"), list("  A  =  x  ", "x"), list("A=x # c", "x # c"),
    list("export A=x", NA), list("A=a\"b\"c", "abc"), list("A=a\\b", "ab"), list("A=a\\\\b", "a\\b"),
    list("A=\"a\\b\"", "a\\b"), list("A=\"a\\\"b\"", "a\"b"), list("A=\"open", "open"), list("A=x=y", "x=y"),
    list("#A=x", NA), list(" # A=x", NA), list("A=", NA), list("AB=x", NA), list("A=\"\"", ""), list("A=x\r", "x"),
    list("A=\vx\v", "x"), list("A=a'b\"c'd", "ab\"cd"), list("A=$HOME", "$HOME"), list("A=${open", "${open"),
    list("A=x\\", "x")
  )
  for (one in table) {
    withr::local_envvar(A = NA)
    file <- withr::local_tempfile(lines = one[[1]])
    suppressWarnings(readRenviron(file))
    expect_identical(Sys.getenv("A", NA), as.character(one[[2]]), info = one[[1]])
  }
})

test_that("remove_project_token() takes the line out, unsets the variable, and says the fingerprint", {
  token <- made_up_token()
  file <- local_renviron(c("A=1", paste0("REDCapSync_STUDY=", token), "B=2"), eol = "\r\n")
  project <- study()
  print <- view_project_token(project)$fingerprint
  text <- said(removed <- remove_project_token(project, "env"))
  expect_true(removed)
  expect_match(text, print, fixed = TRUE)
  expect_match(text, "took line 2 out of", fixed = TRUE)
  expect_identical(hits(text, token), character())
  expect_identical(content(file), "A=1\r\nB=2\r\n")
  expect_identical(file.mode(file), as.octmode("600"))
  expect_identical(Sys.getenv("REDCapSync_STUDY", NA), NA_character_)
  expect_false(view_project_token(project)$is_set)
  text <- said(removed <- remove_project_token("STUDY", "env"))
  expect_false(removed)
  expect_match(text, "holds nothing", fixed = TRUE)
  expect_invisible(remove_project_token(project, "env"))
})

test_that("a variable that no file sets is unset, with a warning that says what to do", {
  file <- local_renviron("A=1")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  project <- study()
  texts <- warnings_of(expect_true(remove_project_token(project, "env")))
  expect_match(texts, "comes back with the next one", fixed = TRUE)
  expect_match(texts, file, fixed = TRUE)
  expect_identical(Sys.getenv("REDCapSync_STUDY", NA), NA_character_)
  expect_identical(content(file), "A=1\n")
})

test_that("several values, copies and git are told by line and file, and nothing is lost", {
  token <- made_up_token()
  other <- made_up_token()
  lines <- c(paste0("REDCapSync_STUDY=", other), "A=1", paste0("REDCapSync_STUDY=", token))
  file <- local_renviron(lines)
  project <- study()
  error <- expect_error(remove_project_token(project, "env"), class = "keycap_error_file")
  expect_match(conditionMessage(error), "lines 1, 3", fixed = TRUE)
  expect_identical(hits_in(error, c(token, other)), character())
  expect_identical(readLines(file), lines)
  expect_identical(Sys.getenv("REDCapSync_STUDY"), token)

  writeLines(lines[2:3], file)
  writeLines(lines, paste0(file, "~"))
  dir.create(file.path(dirname(file), ".git"))
  texts <- warnings_of(remove_project_token(project, "env"))
  expect_match(texts, "git repository", fixed = TRUE, all = FALSE)
  expect_match(texts, "Renviron~", fixed = TRUE, all = FALSE)
  expect_identical(hits(texts, c(token, other)), character())
})

test_that("the working folder's .Renviron is found where nothing names another", {
  token <- made_up_token()
  dir <- local_world()
  withr::local_envvar(R_ENVIRON_USER = NA, HOME = file.path(dir, "config"), PWD = dir, REDCapSync_STUDY = token)
  dir.create(file.path(dir, "config"))
  writeLines(c(paste0("REDCapSync_STUDY=", token), "A=1"), file.path(dir, ".Renviron"))
  Sys.chmod(file.path(dir, ".Renviron"), "600")
  expect_true(remove_project_token(study(), "env"))
  expect_identical(readLines(file.path(dir, ".Renviron")), "A=1")
})

test_that("stores and arguments that are not fit are errors without what was typed", {
  local_renviron("A=1")
  project <- study()
  for (call in list(
    function() remove_project_token(project, "wallet"), function() remove_project_token(project),
    function() remove_project_token(project, 1), function() move_project_token(project, "env", "env"),
    function() move_project_token(project, "env"), function() move_project_token(project, "env", "keyring", NA),
    function() list_project_tokens(1), function() remove_project_token(1, "env")
  )) {
    expect_error(call(), class = "keycap_error_argument")
  }
  token <- made_up_token()
  error <- expect_error(remove_project_token(project, token), class = "keycap_error_token_in_argument")
  expect_no_match(conditionMessage(error), substr(token, 1, 8), fixed = TRUE)
  expect_error(move_project_token(project, "env", "keyring"), "configure_stores", class = "keycap_error_argument")
  withr::local_options(keycap.stores = "env,keyring")
  expect_error(move_project_token(project, "env", "keyring"), class = "keycap_error_token_missing")
})

test_that("a store that is not on this machine is an error, and one that holds nothing is none", {
  local_renviron("A=1")
  project <- study()
  error <- expect_error(remove_project_token(project, "command"), class = "keycap_error_store")
  expect_match(conditionMessage(error), "no program gives tokens on this machine", fixed = TRUE)
  expect_match(conditionMessage(error), "`stores()` shows", fixed = TRUE)
  expect_false(remove_project_token(project, "env"))
  error <- expect_error(remove_project_token(project, "keyrin"), class = "keycap_error_argument")
  expect_match(conditionMessage(error), "did you mean `keyring`?", fixed = TRUE)
})

test_that("a sandbox's own token is in no store, and a real one of its name is left alone", {
  token <- made_up_token()
  file <- local_renviron(paste0("REDCapSync_TEST=", token))
  withr::local_envvar(REDCapSync_TEST = token)
  sandbox <- local_sandbox()
  test <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  expect_error(remove_project_token(test, "env"), class = "keycap_error_argument")
  expect_error(move_project_token(test, "env", "keyring"), class = "keycap_error_argument")
  expect_identical(Sys.getenv("REDCapSync_TEST"), token)
  expect_identical(readLines(file), paste0("REDCapSync_TEST=", token))
})

test_that("list_project_tokens() has a row for each store that has a token and one where none has", {
  token <- made_up_token()
  local_renviron("A=1")
  withr::local_envvar(REDCapSync_STUDY = token, REDCapSync_BAD = "short")
  project <- study()
  local_project("https://redcap.example.org/api/", "NONE")
  local_project("https://redcap.example.org/api/", "BAD")
  sandbox <- local_sandbox()
  test <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  expect_true(test_project_token(test))
  listed <- list_project_tokens()
  expect_s3_class(listed, "data.frame")
  columns <- c("project", "token_name", "store", "is_set", "fingerprint", "set_on", "last_used", "remark")
  expect_identical(names(listed), columns)
  rownames(listed) <- listed$project
  expect_setequal(listed$project, c("STUDY", "NONE", "BAD", "TEST"))
  expect_identical(listed[c("STUDY", "NONE", "BAD", "TEST"), "store"], c("env", NA, "env", "sandbox"))
  expect_identical(listed[c("STUDY", "NONE", "BAD", "TEST"), "is_set"], c(TRUE, FALSE, TRUE, TRUE))
  expect_identical(listed["STUDY", "fingerprint"], view_project_token(project)$fingerprint)
  expect_identical(listed[c("NONE", "BAD"), "fingerprint"], c(NA_character_, NA_character_))
  expect_match(listed["BAD", "remark"], "malformed", fixed = TRUE)
  expect_s3_class(listed$last_used, "POSIXct")
  expect_lt(abs(as.numeric(listed["TEST", "last_used"]) - as.numeric(Sys.time())), 60)
  expect_true(all(is.na(listed[c("STUDY", "NONE", "BAD"), "last_used"])) && all(is.na(listed$set_on)))
  expect_identical(hits_in(listed, token), character())
  expect_identical(list_project_tokens(list(project, "NONE"))$project, c("STUDY", "NONE"))
  expect_error(list_project_tokens("NOWHERE"), class = "keycap_error_project")
  stop_sandbox(sandbox)
  expect_setequal(list_project_tokens()$project, c("STUDY", "NONE", "BAD"))
})

test_that("a store that fails is a row with a remark and ends nothing", {
  local_renviron("A=1")
  project <- study()
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  config <- file.path(tools::R_user_dir("keycap", "config"), "config.toml")
  dir.create(dirname(config), recursive = TRUE, showWarnings = FALSE)
  writeLines(c("[command]", "program = \"sh\"", "arguments = [\"-c\", \"exit 7\", \"{token_name}\"]"), config)
  Sys.chmod(config, "600")
  withr::local_options(keycap.stores = "env,command")
  listed <- list_project_tokens()
  expect_identical(listed$store, c("env", "command"))
  expect_identical(listed$is_set, c(TRUE, NA))
  expect_match(listed$remark[[2]], "status 7", fixed = TRUE)
})

test_that("with a real keyring: out of .Renviron, as R's keyring package reads and writes it, and away again", {
  result <- withr::local_tempfile(fileext = ".rds")
  code <- readLines(test_path("keep", "keyring.R"))
  wrapper <- normalizePath(test_path("..", "keyring", "with-keyring.sh"))
  helpers <- normalizePath(list.files(test_path(), "^helper-.*[.]R$", full.names = TRUE))
  out <- run_script(code, args = c(result, helpers), wrapper = wrapper)
  expect_true(file.exists(result), info = paste(out, collapse = "\n"))
  seen <- readRDS(result)
  expect_identical(seen, lapply(seen, function(one) TRUE))
  expect_length(seen, 15)
})
