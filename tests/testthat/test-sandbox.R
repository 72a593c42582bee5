test_that("a sandbox starts, says that it is not REDCap, and stops", {
  local_world()
  sandbox <- NULL
  text <- said(sandbox <- start_sandbox())
  withr::defer(try(stop_sandbox(sandbox), silent = TRUE))
  expect_match(strsplit(text, "\n")[[1]][1], "not REDCap")
  expect_s3_class(sandbox, "keycap_sandbox", exact = TRUE)
  expect_match(sandbox$redcap_uri, "^http://127\\.0\\.0\\.1:[0-9]+/redcap/api/$")
  expect_identical(sandbox$projects$short_name, c("TEST", "TEST_LONG", "TEST_REPEAT", "TEST_SITES"))
  expect_identical(sandbox$projects$kind, c("classic", "longitudinal", "repeating", "classic"))
  expect_true(sandbox$redcap_uri %in% unlist(the$sandboxes))
  expect_true(alive(sandbox$pid))
  expect_null(stop_sandbox(sandbox))
  expect_false(sandbox$redcap_uri %in% unlist(the$sandboxes))
  wait_for(!alive(sandbox$pid))
  error <- expect_error(sandbox_revoke_token(sandbox, "TEST"), class = "keycap_error_sandbox")
})

test_that("a sandbox prints what it is", {
  local_world()
  sandbox <- local_sandbox()
  expect_snapshot(print(sandbox), transform = function(lines) gsub("127\\.0\\.0\\.1:[0-9]+", "127.0.0.1:PORT", lines))
})

test_that("a sandbox ends with its parent", {
  local_world()
  file <- withr::local_tempfile()
  child <- callr::r_bg(
    function(file) {
      sandbox <- keycap::start_sandbox()
      writeLines(as.character(sandbox$pid), paste0(file, "~"))
      file.rename(paste0(file, "~"), file)
      Sys.sleep(600)
    },
    list(file),
    libpath = .libPaths()
  )
  withr::defer(child$kill())
  wait_for(file.exists(file))
  pid <- readLines(file)
  expect_true(alive(pid))
  child$kill()
  wait_for(!alive(pid))
  expect_false(alive(pid))
})

test_that("a sandbox ends when the package is unloaded", {
  gone <- callr::r(
    function() {
      sandbox <- keycap::start_sandbox()
      unloadNamespace("keycap")
      !tools::pskill(sandbox$pid, 0L)
    },
    libpath = .libPaths()
  )
  expect_true(gone)
})

test_that("two sandboxes do not mix", {
  local_world()
  one <- local_sandbox()
  two <- local_sandbox()
  expect_false(one$redcap_uri == two$redcap_uri)
  first <- setup_project("TEST", redcap_uri = one$redcap_uri)
  second <- setup_project("TEST_LONG", redcap_uri = two$redcap_uri)
  sandbox_revoke_token(two, "TEST_LONG")
  expect_true(test_project_token(first))
  expect_false(suppressWarnings(test_project_token(second)))
})

test_that("a sandbox's project may be set up again with the next sandbox", {
  local_world()
  for (i in 1:2) {
    sandbox <- start_sandbox()
    project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
    expect_true(test_project_token(project))
    stop_sandbox(sandbox)
  }
})

test_that("a sandbox leaves the user's registry, log and tokens alone", {
  local_world()
  withr::local_options(keycap.stores = "env")
  mine <- local_server()
  own <- local_project(mine$uri, "TEST")
  token <- made_up_token()
  withr::local_envvar(REDCapSync_TEST = token)
  before <- readLines(registry_file())
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  row <- view_project_token(project)
  expect_identical(row$source, "sandbox")
  expect_true(test_project_token(project))
  expect_identical(readLines(registry_file()), before)
  expect_identical(audit_files(), character())
  expect_identical(Sys.getenv("REDCapSync_TEST"), token)
  expect_identical(mine$connections(), 0L)
  delete_project("TEST")
  expect_identical(load_project("TEST")$redcap_uri, mine$uri)
})

test_that("sample tokens are known for a sandbox of this session and for nothing else", {
  local_world()
  withr::local_options(keycap.stores = "env")
  server <- local_server()
  project <- local_project(server$uri, "TEST")
  answer <- warned(test_project_token(project))
  expect_identical(attr(answer, "reason"), "token_missing")
  expect_identical(server$connections(), 0L)
})

test_that("the administrator's functions show and return no token", {
  local_world()
  sandbox <- local_sandbox()
  file <- withr::local_tempfile()
  text <- said(value <- sandbox_issue_token(sandbox, "TEST", "exporter", to = file))
  expect_identical(value, sandbox)
  token <- readLines(file)
  expect_match(token, "^[0-9A-F]{32}$")
  expect_identical(as.character(file.mode(file)), "600")
  expect_identical(hits_in(list(text, value), token), character())
  other <- withr::local_tempfile()
  expect_invisible(sandbox_regenerate_token(sandbox, "TEST", "exporter", to = other))
  expect_false(readLines(other) == token)
  # A file that is there already is not written to.
  expect_error(sandbox_regenerate_token(sandbox, "TEST", "exporter", to = other), class = "keycap_error_sandbox")
})

test_that("an administrator changes what a user is, and the version that writes it", {
  local_world()
  sandbox <- local_sandbox()
  project <- setup_project("TEST_SITES", redcap_uri = sandbox$redcap_uri)
  user <- function(name) {
    users <- export_users(project)
    users[users$username == name, ]
  }
  expect_identical(user("least")$api_import, 0L)
  value <- sandbox_set_rights(
    sandbox, "TEST_SITES", "least",
    api_import = 1, forms = list(outcome = 2), dag = "site_b", expiration = "2031-01-31", role = "", switcher = TRUE
  )
  expect_identical(value, sandbox)
  row <- user("least")
  expect_identical(row$api_import, 1L)
  expect_identical(row$api_export, 1L)
  expect_identical(row$forms, "inclusion:0,outcome:2")
  expect_identical(row$data_access_group, "site_b")
  expect_identical(as.character(row$expiration), "2031-01-31")
  expect_identical(sandbox_set_version(sandbox, "15.6.0"), sandbox)
  expect_identical(as.character(redcap_version(project)), "15.6.0")
  expect_identical(user("least")$forms, "inclusion:128,outcome:129")
  sandbox_set_rights(sandbox, "TEST_SITES", "least", dag = "", forms_export = 3)
  expect_identical(user("least")$forms_export, "inclusion:3,outcome:3")
  expect_identical(as.character(user("least")$data_access_group), NA_character_)
  expect_error(sandbox_set_rights(sandbox, "TEST_SITES", "least", desing = 1), class = "keycap_error_sandbox")
  expect_error(sandbox_set_rights(sandbox, "TEST_SITES"), class = "keycap_error_argument")
  expect_error(sandbox_set_version(sandbox), class = "keycap_error_argument")
  expect_error(sandbox_set_version(sandbox, "latest"), class = "keycap_error_sandbox")
})

test_that("what the sandbox does not know is an error", {
  local_world()
  sandbox <- local_sandbox()
  expect_error(sandbox_revoke_token(sandbox, "NO_SUCH"), class = "keycap_error_sandbox")
  expect_error(sandbox_suspend_user(sandbox, "nobody"), class = "keycap_error_sandbox")
  expect_error(sandbox_set_fault(sandbox, "no such fault"), class = "keycap_error_sandbox")
  expect_error(sandbox_issue_token(sandbox), class = "keycap_error_argument")
  expect_error(sandbox_issue_token(sandbox, "TEST", "exporter"), class = "keycap_error_argument")
})

test_that("a fault may be for some requests only", {
  local_world()
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  sandbox_set_fault(sandbox, "html", status = 503, content = "project", times = 1)
  expect_error(test_project_token(project), class = "keycap_error_server")
  expect_true(test_project_token(project))
})

test_that("a fault stays until it is cleared", {
  local_world()
  sandbox <- local_sandbox()
  project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
  sandbox_set_fault(sandbox, "html", status = 200)
  expect_error(test_project_token(project), class = "keycap_error_not_redcap")
  sandbox_clear_faults(sandbox)
  expect_true(test_project_token(project))
})

test_that("run_sandbox() serves other programs until it is interrupted", {
  local_world()
  child <- callr::r_bg(function() keycap::run_sandbox(keep = TRUE), libpath = .libPaths(), stdout = "|", stderr = "2>&1")
  withr::defer(child$kill())
  text <- character()
  wait_for({
    text <- c(text, child$read_output_lines())
    any(grepl("http://127.0.0.1:", text, fixed = TRUE))
  })
  expect_match(text[1], "not REDCap")
  uri <- regmatches(text, regexpr("http://127\\.0\\.0\\.1:[0-9]+/redcap/api/", text))[1]
  # For this session it is a server like any other: its sample token is only known if the user sets it.
  withr::local_envvar(REDCapSync_TEST = "FA4EFA4EFA4EFA4EFA4EFA4E00000001")
  project <- local_project(uri, "TEST")
  expect_true(test_project_token(project))
  expect_identical(view_project_token(project)$source, "env")
  child$interrupt()
  wait_for(!child$is_alive())
})

test_that("the child finds this package, whatever its library path", {
  arguments <- sandbox_arguments()
  expect_identical(arguments[1], "--vanilla")
  expect_match(arguments[3], dirname(getNamespaceInfo("keycap", "path")), fixed = TRUE)
  expect_no_match(arguments, "\"", fixed = TRUE)
  expect_no_error(str2lang(arguments[3]))
})
