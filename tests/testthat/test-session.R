test_that("the session tells the core where to read and write, and creates nothing", {
  home <- withr::local_tempdir()
  withr::local_envvar(R_USER_CONFIG_DIR = file.path(home, "config"), R_USER_DATA_DIR = file.path(home, "data"))
  withr::local_options(keycap.quiet = TRUE, keycap.timeout = 60, other = "x")
  session <- session_info()
  expect_identical(session$config, tools::R_user_dir("keycap", "config"))
  expect_true(startsWith(session$data, file.path(home, "data")))
  expect_identical(dirname(session$session), tempdir())
  expect_identical(session$options$keycap.quiet, "TRUE")
  expect_identical(session$options$keycap.timeout, "60")
  expect_false("other" %in% names(session$options))
  expect_identical(list.files(home), character())
})

test_that("nothing that R says moves the settings of the site", {
  local_world()
  mine <- withr::local_tempfile(lines = "timeout = 7", fileext = ".toml")
  found <- function(session) core_await(kc_start("info", list(), session))$settings$timeout
  expect_false("site" %in% names(session_info()))
  expect_null(found(session_info()))
  withr::local_envvar(ProgramData = dirname(mine), PROGRAMDATA = dirname(mine))
  expect_null(found(c(session_info(), list(site = mine))))
  # The control: the user's own file is read, from where R says that it is.
  dir.create(session_info()$config, recursive = TRUE)
  file.copy(mine, file.path(session_info()$config, "config.toml"))
  Sys.chmod(file.path(session_info()$config, "config.toml"), "600")
  expect_match(found(session_info()), "^7 ")
})

test_that("the package can be unloaded and loaded again", {
  script <- paste(
    "for (i in 1:3) { loadNamespace('keycap'); unloadNamespace('keycap') }",
    "cat(is.null(getLoadedDLLs()[['keycap']]), keycap:::kc_selftest('echo', 'again')$value)",
    sep = "\n"
  )
  out <- callr::rscript(withr::local_tempfile(lines = script), show = FALSE)$stdout
  expect_identical(out, "TRUE again")
})
