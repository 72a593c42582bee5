# What a forked child inherits it forgets: it calls on connections and threads of its own, and the parent calls on.

test_that("forked children call while the parent keeps a connection, and the parent's sandbox stays the parent's", {
  testthat::skip_on_os("windows")
  local_world()
  result <- in_session(function() {
    sandbox <- keycap::start_sandbox()
    project <- keycap::setup_project("TEST", file.path(tempdir(), "test"), sandbox$redcap_uri)
    works <- function(i = NULL) isTRUE(keycap::test_project_token(project))
    sockets <- function() {
      links <- Sys.readlink(list.files("/proc/self/fd", full.names = TRUE))
      sum(grepl("^socket:", links))
    }
    before <- sockets()
    result <- list(parent = works(), inherited = sockets() - before)
    result$children <- parallel::mclapply(1:4, works, mc.cores = 2)
    result$after_children <- works()
    # A child that lets go of all that it inherited: finalizers run, the package is unloaded.
    leaving <- parallel::mcparallel({
      first <- works()
      unloadNamespace("keycap")
      gc()
      c(first, held()[["threads"]] == 0L)
    })
    result$leaving <- parallel::mccollect(leaving)[[1]]
    result$after_leaving <- works()
    stopping <- parallel::mcparallel({
      refused <- tryCatch(keycap::sandbox_clear_faults(sandbox), keycap_error_sandbox = function(e) "not its own")
      keycap::stop_sandbox(sandbox)
      refused
    })
    result$stopping <- parallel::mccollect(stopping)[[1]]
    result$after_stopping <- works()
    keycap::sandbox_revoke_token(sandbox, "TEST")
    result$revoked <- attr(suppressWarnings(keycap::test_project_token(project)), "reason")
    result
  })
  expect_true(result$parent)
  # The control: there was a connection to inherit.
  expect_gt(result$inherited, 0)
  expect_identical(result$children, rep(list(TRUE), 4))
  expect_true(result$after_children)
  expect_identical(result$leaving, c(TRUE, TRUE))
  expect_true(result$after_leaving)
  expect_identical(result$stopping, "not its own")
  expect_true(result$after_stopping)
  expect_identical(result$revoked, "token_refused")
})

test_that("forked children look up in the keyring after their parent did, and the parent goes on", {
  testthat::skip_on_os("windows")
  local_world()
  answer <- http(403, "ERROR: You do not have permissions to use the API", "text/plain")
  server <- local_server(always(answer))
  local_project(server$uri, "STUDY")
  token <- made_up_token()
  file <- withr::local_tempfile()
  cat(token, file = file)
  out <- run_script(
    c(
      "options(keycap.quiet = TRUE, keycap.retries = 0, keycap.stores = 'keyring')",
      "command <- 'secret-tool store --label=made-up service REDCapSync username REDCapSync_STUDY'",
      "stored <- system2('sh', c('-c', shQuote(command)), stdin = commandArgs(TRUE)[1])",
      "reason <- function(i) attr(suppressWarnings(keycap::test_project_token('STUDY')), 'reason')",
      "cat('parent', reason(), '\\n')",
      "children <- parallel::mclapply(1:4, reason, mc.cores = 2)",
      "cat('children', unlist(children), '\\n')",
      "cat('parent', reason(), '\\n')"
    ),
    args = file,
    wrapper = c(normalizePath(test_path("..", "keyring", "with-keyring.sh")), "timeout", "60")
  )
  said <- trimws(grep("^(parent|children) ", out, value = TRUE))
  refused <- "token_refused"
  expect_identical(
    said,
    c(paste("parent", refused), paste(c("children", rep(refused, 4)), collapse = " "), paste("parent", refused)),
    info = paste(out, collapse = "\n")
  )
  expect_identical(lengths(gregexpr(token, server$heard(), fixed = TRUE)), 6L)
})

test_that("a forked child does not speak on its parent's TLS connection", {
  testthat::skip_on_os("windows")
  local_world()
  dir <- withr::local_tempdir()
  status <- system2("openssl", c(
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
    "-keyout", file.path(dir, "key"), "-out", file.path(dir, "cert"), "-subj", "/CN=127.0.0.1",
    "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"
  ), stdout = FALSE, stderr = FALSE)
  expect_identical(status, 0L)
  script <- normalizePath(test_path("host", "tls.py"))
  # R's own library path is none for Python.
  environment <- c("current", LD_LIBRARY_PATH = "")
  server <- callr::process$new("python3", c(script, dir), env = environment, stderr = file.path(dir, "log"))
  withr::defer(server$kill())
  wait_for(file.exists(file.path(dir, "port")) || !server$is_alive())
  project <- local_project(sprintf("https://127.0.0.1:%s/api/", readLines(file.path(dir, "port"))), "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  result <- in_session(function(project, dir) {
    options(keycap.ca_file = file.path(dir, "cert"))
    works <- function(i = NULL) tryCatch(isTRUE(keycap::test_project_token(project)), error = conditionMessage)
    handshakes <- function() length(readLines(file.path(dir, "handshakes")))
    result <- list(parent = list(works(), works()), alone = handshakes())
    result$children <- parallel::mclapply(1:3, works, mc.cores = 2)
    result$after <- list(works(), works())
    result$with_children <- handshakes()
    result
  }, project, dir)
  expect_identical(result$parent, list(TRUE, TRUE))
  # The control: two calls of the parent, each of two requests, share a connection.
  expect_lt(result$alone, 4)
  expect_identical(result$children, list(TRUE, TRUE, TRUE))
  # Each of the two children shook hands itself.
  expect_gte(result$with_children, result$alone + 2)
  expect_identical(result$after, list(TRUE, TRUE))
})
