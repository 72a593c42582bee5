# A project that goes to workers, or to another machine, with the same vault. There is no registry there, and the store
# that holds the server's origin beside the token is what binds it. Nothing of the token travels.

# Scheme, host and port of its server.
origin_of <- function(sandbox) sub("^(https?://[^/]+)/.*", "\\1", sandbox$redcap_uri)

# A sandbox with a token in a vault, and a session whose only store is that vault.
local_cluster <- function(origin = TRUE, frame = parent.frame()) {
  local_world(frame)
  vault <- local_vault(frame)
  sandbox <- local_sandbox(frame)
  file <- withr::local_tempfile(.local_envir = frame)
  sandbox_issue_token(sandbox, "TEST", "exporter", to = file)
  store <- function(file, origin) {
    vault$put("REDCapSync_STUDY", file, if (isTRUE(origin)) c(origin = origin_of(sandbox)) else origin)
  }
  store(file, if (isTRUE(origin)) TRUE else c(owner = "nobody"))
  withr::local_envvar(
    KEYCAP_STORES = "vault", VAULT_ADDR = vault$address, VAULT_TOKEN = vault$root, .local_envir = frame
  )
  # Of this session alone: no file that a worker could read knows it.
  project <- setup_project("STUDY", redcap_uri = sandbox$redcap_uri)
  withr::defer(delete_project("STUDY"), envir = frame)
  list(vault = vault, sandbox = sandbox, project = project, token = readLines(file), store = store)
}

# What a machine has that nobody used before.
fresh_machine <- function(frame = parent.frame()) {
  dir <- withr::local_tempdir("machine", .local_envir = frame)
  places <- c("HOME", "R_USER_CONFIG_DIR", "R_USER_DATA_DIR", "R_USER_CACHE_DIR", "TMPDIR")
  paths <- file.path(normalizePath(dir), tolower(places))
  for (path in paths) dir.create(path)
  stats::setNames(paths, places)
}

# What such a machine sees of a project; it carries everything that it needs.
ask_there <- function(project) {
  options(keycap.quiet = TRUE, keycap.retries = 0)
  tryCatch(
    {
      seen <- keycap::view_project_token(project)
      list(
        works = isTRUE(suppressWarnings(keycap::test_project_token(project))),
        rows = nrow(keycap::export_records(project)),
        source = seen$source, bound_by = seen$bound_by, fingerprint = seen$fingerprint,
        registry = nrow(keycap::get_projects())
      )
    },
    keycap_error = function(e) class(e)[[1]]
  )
}

expect_served <- function(there, here, rows) {
  expect_identical(there$works, TRUE)
  expect_identical(there$rows, rows)
  expect_identical(there$source, "vault")
  expect_identical(there$bound_by, "store")
  expect_identical(there$fingerprint, here$fingerprint)
  expect_identical(there$registry, 0L)
}

test_that("a project works in a multisession future, with the vault alone, and nothing of the token travels", {
  testthat::skip_on_os("windows")
  cluster <- local_cluster()
  project <- cluster$project
  here <- view_project_token(project)
  expect_identical(here$bound_by, "registry")
  rows <- nrow(export_records(project))
  expect_gt(rows, 0L)

  # The control: a scan that finds a token where there is one.
  expect_gt(length(hits(serialize(list(cluster$token), NULL), cluster$token)), 0)
  expect_identical(hits(serialize(project, NULL), cluster$token), character())

  old <- future::plan(future::multisession, workers = 2)
  withr::defer(future::plan(old))
  ask <- ask_there
  environment(ask) <- globalenv()
  futures <- lapply(1:2, function(i) {
    future::future(ask(project), globals = list(ask = ask, project = project), lazy = FALSE)
  })
  travels <- unlist(lapply(futures, function(one) {
    c(hits(serialize(one$globals, NULL), cluster$token), hits(serialize(one$expr, NULL), cluster$token))
  }))
  expect_identical(as.character(travels), character())
  for (one in futures) {
    there <- future::value(one)
    expect_served(there, here, rows)
    expect_identical(hits(serialize(there, NULL), cluster$token), character())
  }
})

test_that("a project works in a callr worker on a machine of its own, and its audit log says what bound it", {
  testthat::skip_on_os("windows")
  cluster <- local_cluster()
  here <- view_project_token(cluster$project)
  machine <- fresh_machine()
  ask <- ask_there
  environment(ask) <- globalenv()
  there <- callr::r(ask, list(cluster$project), libpath = .libPaths(), env = c(callr::rcmd_safe_env(), machine))
  expect_served(there, here, nrow(export_records(cluster$project)))
  logs <- list.files(machine[["R_USER_DATA_DIR"]], "[.]jsonl$", recursive = TRUE, full.names = TRUE)
  intents <- grep('"phase":"intent"', unlist(lapply(logs, readLines)), value = TRUE, fixed = TRUE)
  expect_gt(length(intents), 2)
  expect_match(intents, '"bound_by":"store"', fixed = TRUE, all = TRUE)
  expect_identical(hits_in_files(list.files(machine, recursive = TRUE, full.names = TRUE), cluster$token), character())
})

test_that("a project that was saved works where it is loaded, and another address in it is refused", {
  testthat::skip_on_os("windows")
  cluster <- local_cluster()
  file <- withr::local_tempfile(fileext = ".rds")
  saveRDS(cluster$project, file, compress = FALSE)
  expect_identical(hits(readBin(file, "raw", file.size(file)), cluster$token), character())
  evil <- local_answer(200, "14.5.1", "text/plain")
  edited <- cluster$project
  edited$redcap_uri <- evil$uri
  other <- withr::local_tempfile(fileext = ".rds")
  saveRDS(edited, other)

  machine <- fresh_machine()
  code <- c(
    paste0("ask <- ", paste(deparse(ask_there), collapse = "\n")),
    "for (file in commandArgs(TRUE)) cat('seen:', unlist(ask(readRDS(file))), '\\n')"
  )
  env <- paste0(names(machine), "=", shQuote(machine))
  out <- run_script(code, c(file, other), env)
  seen <- trimws(sub("^seen: ", "", grep("^seen: ", out, value = TRUE)))
  here <- view_project_token(cluster$project)
  rows <- nrow(export_records(cluster$project))
  expect_identical(
    seen, c(paste("TRUE", rows, "vault store", here$fingerprint, "0"), "keycap_error_origin"),
    info = paste(out, collapse = "\n")
  )
  expect_identical(evil$bytes(), 0)
})

test_that("a vault that holds no origin binds nothing, and a worker without a registry is refused", {
  testthat::skip_on_os("windows")
  cluster <- local_cluster(origin = FALSE)
  ask <- ask_there
  environment(ask) <- globalenv()
  there <- function() {
    callr::r(ask, list(cluster$project), libpath = .libPaths(), env = c(callr::rcmd_safe_env(), fresh_machine()))
  }
  expect_identical(there(), "keycap_error_origin")
  # The registry here binds it all the same.
  expect_identical(view_project_token(cluster$project)$bound_by, "registry")
  expect_true(isTRUE(test_project_token(cluster$project)))
  # One that names another server stops both.
  file <- withr::local_tempfile()
  sandbox_regenerate_token(cluster$sandbox, "TEST", "exporter", to = file)
  cluster$store(file, c(origin = "https://redcap.example.org"))
  expect_identical(there(), "keycap_error_origin")
  error <- expect_error(test_project_token(cluster$project), class = "keycap_error_origin")
  expect_match(conditionMessage(error), "https://redcap.example.org", fixed = TRUE)
  expect_match(conditionMessage(error), origin_of(cluster$sandbox), fixed = TRUE)
  text <- said(seen <- suppressWarnings(view_project_token(cluster$project)))
  expect_identical(seen$bound_by, NA_character_)
  expect_match(text, "a call would be refused", fixed = TRUE)
})
