# A project goes to other processes as a plain list of names; each process looks the token up for itself.

test_that("a project works in a callr worker, which inherits the environment and reads the registry", {
  local_world()
  answer <- http(403, "ERROR: You do not have permissions to use the API", "text/plain")
  server <- local_server(always(answer))
  project <- local_project(server$uri, "STUDY")
  token <- made_up_token()
  withr::local_envvar(REDCapSync_STUDY = token)
  there <- callr::r(
    function(project) {
      works <- suppressWarnings(keycap::test_project_token(project))
      list(reason = attr(works, "reason"), fingerprint = keycap::view_project_token(project)$fingerprint)
    },
    list(project),
    libpath = .libPaths()
  )
  expect_identical(there$reason, "token_refused")
  expect_identical(there$fingerprint, view_project_token(project)$fingerprint)
  expect_match(server$heard(), token, fixed = TRUE)
})

test_that("a project works in a future", {
  local_world()
  answer <- http(403, "ERROR: You do not have permissions to use the API", "text/plain")
  server <- local_server(always(answer))
  project <- local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  old <- future::plan(future::multisession, workers = 2)
  withr::defer(future::plan(old))
  there <- future::future({
    works <- suppressWarnings(keycap::test_project_token(project))
    attr(works, "reason")
  }, packages = "keycap")
  expect_identical(future::value(there), "token_refused")
})

test_that("a session's project is unknown to a worker", {
  local_world()
  withr::defer(delete_project("FLEETING"))
  setup_project("FLEETING", redcap_uri = "https://redcap.example.org/api/")
  there <- callr::r(
    function() tryCatch(keycap::load_project("FLEETING"), keycap_error = class),
    libpath = .libPaths()
  )
  expect_identical(there[1], "keycap_error_project")
})

test_that("forked children call, and the parent calls on undisturbed", {
  local_world()
  answer <- http(403, "ERROR: You do not have permissions to use the API", "text/plain")
  server <- local_server(always(answer))
  project <- local_project(server$uri, "STUDY")
  withr::local_envvar(REDCapSync_STUDY = made_up_token())
  reason <- function(i) attr(suppressWarnings(test_project_token(project)), "reason")
  expect_identical(reason(), "token_refused")
  children <- parallel::mclapply(1:2, reason, mc.cores = 2)
  expect_identical(children, list("token_refused", "token_refused"))
  expect_identical(reason(), "token_refused")
})
