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

test_that("the site's settings are where an administrator writes", {
  withr::local_envvar(ProgramData = "C:\\ProgramData")
  expect_identical(site_file("Linux"), "/etc/keycap/config.toml")
  expect_identical(site_file("Darwin"), "/Library/Application Support/keycap/config.toml")
  expect_identical(site_file("Windows"), "C:/ProgramData/keycap/config.toml")
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
