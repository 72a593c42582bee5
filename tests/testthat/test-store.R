config_file <- function() file.path(tools::R_user_dir("keycap", "config"), "config.toml")

test_that("the order and the settings of a store are written, kept, and taken out again", {
  local_world()
  file <- configure_stores(
    order = c("env", "command"),
    vault = list(address = "https://vault.example.org:8200", kv = 1, role = NULL),
    command = list(program = "/opt/vend", arguments = "{token_name}", absent_status = c(3, 4), first_line = TRUE)
  )
  expect_identical(file, config_file())
  text <- readLines(file)
  lines <- c(
    "stores = [\"env\", \"command\"]", "address = \"https://vault.example.org:8200\"", "kv = 1",
    "arguments = [\"{token_name}\"]", "absent_status = [3, 4]", "first_line = true"
  )
  expect_true(all(lines %in% text))
  expect_false(any(grepl("role", text)))
  if (.Platform$OS.type == "unix") expect_identical(format(file.mode(file)), "600")

  writeLines(c("# mine", text, "# the end"), file)
  expect_invisible(configure_stores(vault = list(mount = "kv")))
  text <- readLines(file)
  expect_identical(text[c(1, length(text))], c("# mine", "# the end"))
  expect_true(all(c("mount = \"kv\"", "stores = [\"env\", \"command\"]") %in% text))
  expect_false(any(grepl("address", text)))
  configure_stores(order = character(), vault = list(), command = list())
  expect_false(any(grepl("stores =|vault|command\\]", readLines(file))))

  # What changed is in the audit log, by name.
  log <- unlist(lapply(grep("[.]jsonl$", audit_files(), value = TRUE), readLines))
  changes <- grep("\"phase\":\"change\"", log, value = TRUE)
  expect_length(changes, 3)
  expect_match(changes[1], "\"detail\":\"stores, vault.address, vault.kv, command\"", fixed = TRUE)
  expect_false(any(grepl("vault.example.org", log)))
})

test_that("what was written is what a look-up does", {
  testthat::skip_on_os("windows")
  world <- local_world()
  token <- made_up_token()
  writeLines(token, file.path(world, "REDCapSync_AWAY"))
  project <- local_project("https://redcap.example.org/api/")
  expect_false(view_project_token(project)$is_set)
  configure_stores(
    order = c("command", "env"),
    command = list(program = "/bin/cat", arguments = file.path(world, "{token_name}"))
  )
  expect_identical(view_project_token(project)$source, "command")
  # Gone: this program says so with a status that stands for failures too, so it is an error with its store.
  unlink(file.path(world, "REDCapSync_AWAY"))
  withr::local_envvar(REDCapSync_AWAY = token)
  error <- expect_error(test_project_token(project), class = "keycap_error_store")
  expect_identical(error$store, "command")
  expect_gt(length(error$hints), 0)
  # A status that says "no such name" leaves it to the next store.
  configure_stores(
    command = list(program = "/bin/cat", arguments = file.path(world, "{token_name}"), absent_status = 1)
  )
  expect_identical(view_project_token(project)$source, "env")
})

test_that("slips are errors that name the setting, and the file stays as it was", {
  local_world()
  file <- configure_stores(order = "env")
  text <- readLines(file)
  wrong <- function(..., class = "keycap_error_argument") expect_error(configure_stores(...), class = class)
  expect_match(conditionMessage(wrong(order = c("env", "keyrings"))), "`keyrings`", fixed = TRUE)
  expect_match(conditionMessage(wrong(order = c("env", "env"))), "twice")
  expect_match(conditionMessage(wrong(vault = list(adress = "https://a.example"))), "`adress`", fixed = TRUE)
  expect_match(conditionMessage(wrong(vault = list("https://a.example"))), "has its name")
  expect_match(conditionMessage(wrong(vault = list(token = "s.x"))), "no secret stands in settings")
  expect_match(conditionMessage(wrong(aws = list(region = "Frankfurt!"))), "region")
  wrong(order = 1)
  wrong(order = NA_character_)
  wrong(vault = "https://a.example")
  wrong(vault = list(kv = NA))
  wrong(vault = list(address = list("https://a.example")))
  wrong(command = data.frame(preset = "pass"))
  wrong(vault = list(role = made_up_token()), class = "keycap_error_token_in_argument")
  expect_identical(readLines(file), text)
})

test_that("an option that outranks what is written is told", {
  local_world()
  withr::local_options(keycap.stores = "env")
  expect_match(said(configure_stores(order = c("keyring", "env"))), "option `keycap.stores`, which outranks it", fixed = TRUE)
})

test_that("the stores are shown with their place, their state and the places of their settings", {
  local_world()
  configure_stores(order = c("command", "env"), command = list(program = "/nonexistent/program", arguments = "{token_name}"))
  port <- closed_port()
  withr::local_options(keycap.vault.address = sprintf("https://127.0.0.1:%d", port))
  shown <- stores()
  expect_s3_class(shown, c("keycap_stores", "data.frame"), exact = TRUE)
  row <- function(store) as.list(as.data.frame(shown)[shown$store == store, ])
  expect_identical(c(row("command")$order, row("env")$order, row("keyring")$order), c(1L, 2L, NA))
  expect_identical(row("env")$reachable, "read only")
  expect_identical(row("command")$reachable, "not here")
  expect_match(row("command")$remark, "/nonexistent/program", fixed = TRUE)
  expect_identical(row("vault")$reachable, "failing")
  expect_match(row("vault")$remark, as.character(port))
  expect_false(is.na(row("vault")$remedy))
  if (Sys.info()[["sysname"]] == "Linux") expect_identical(row("keyring")$reachable, "not here")
  expect_false(any(shown$site_locked))

  settings <- attr(shown, "settings")
  found <- stats::setNames(settings$found_in, settings$setting)
  expect_identical(found[["stores"]], config_file())
  expect_identical(found[["vault.address"]], "option `keycap.vault.address`")
  expect_identical(attr(shown, "files")$path[1], config_file())

  lines <- format(shown)
  expect_identical(lines[1], "<keycap stores>")
  expect_match(lines[2], "^ 1[.] +command +not here")
  expect_match(lines, "(your file)", fixed = TRUE, all = FALSE)
  expect_match(lines, "the institution's file: ", fixed = TRUE, all = FALSE)
  expect_output(print(shown), "settings")
  # A part of the rows prints the same way, a part of the columns as a data frame.
  expect_output(print(shown[shown$store == "env", ]), "<keycap stores>")
  expect_s3_class(shown[c("store", "order")], "data.frame", exact = TRUE)
  expect_identical(shown$store[1], "env")
})

test_that("looking at the stores reads no token and writes nothing", {
  world <- local_world()
  token <- made_up_token()
  withr::local_envvar(REDCapSync_AWAY = token)
  shown <- stores()
  expect_length(hits_in(list(shown, attributes(shown), format(shown)), token), 0)
  expect_identical(list.files(world, recursive = TRUE), character())
})

test_that("looking at the stores can be interrupted while one keeps silent", {
  testthat::skip_on_os("windows")
  local_world()
  # It takes connections and never says anything.
  port <- closed_port()
  silent <- serverSocket(port)
  withr::defer(close(silent))
  withr::local_options(keycap.vault.address = sprintf("http://127.0.0.1:%d", port))
  interrupter <- callr::r_bg(function(pid) {
    Sys.sleep(1)
    tools::pskill(pid, 2L)
  }, list(Sys.getpid()))
  begin <- Sys.time()
  stopped <- tryCatch(stores(), interrupt = function(i) "interrupted")
  interrupter$kill()
  expect_identical(stopped, "interrupted")
  expect_lt(as.numeric(Sys.time() - begin, units = "secs"), 12)
})

test_that("what the institution locks and forbids is shown with its file, and refused with it", {
  testthat::skip_on_os(c("windows", "mac", "solaris"))
  world <- local_world()
  site <- file.path(world, "site")
  dir.create(site)
  writeLines(c(
    "locked = [\"stores\", \"vault\"]", "forbidden_stores = [\"command\"]", "stores = [\"env\"]",
    "[vault]", "mount = \"kv\""
  ), file.path(site, "config.toml"))
  result <- file.path(world, "result.rds")
  code <- c(
    "library(keycap)",
    "options(keycap.stores = 'keyring', keycap.vault.mount = 'mine')",
    "message_of <- function(expr) tryCatch(expr, keycap_error = conditionMessage)",
    "shown <- stores()",
    "saveRDS(list(",
    "  shown = as.data.frame(shown), settings = attr(shown, 'settings'), lines = format(shown),",
    "  order = message_of(configure_stores(order = 'keyring')),",
    "  vault = message_of(configure_stores(vault = list(field = 'f'))),",
    "  command = message_of(configure_stores(command = list(preset = 'pass'))),",
    "  removed = message_of(configure_stores(command = list()))",
    "), commandArgs(TRUE))"
  )
  # The institution's file is where the system has it, so this process gets an /etc of its own.
  etc <- file.path(world, "etc")
  within <- withr::local_tempfile(fileext = ".sh", lines = c(
    sprintf("mkdir %s", shQuote(etc)),
    sprintf("cp -a /etc/. %s 2>/dev/null", shQuote(etc)),
    sprintf("mkdir -p %s", shQuote(file.path(etc, "keycap"))),
    sprintf("cp %s %s", shQuote(file.path(site, "config.toml")), shQuote(file.path(etc, "keycap", "config.toml"))),
    sprintf("mount --bind %s /etc && exec \"$@\"", shQuote(etc))
  ))
  as_root <- if (system2("id", "-u", stdout = TRUE) == "0") "" else "--map-root-user"
  outer <- withr::local_tempfile(fileext = ".sh", lines = sprintf(
    "exec unshare --mount %s -- sh %s \"$@\"", as_root, shQuote(within)
  ))
  out <- run_script(code, args = result, wrapper = outer)
  expect_true(file.exists(result), info = paste(out, collapse = "\n"))
  seen <- readRDS(result)
  at <- "/etc/keycap/config.toml"
  expect_identical(seen$shown$order[seen$shown$store == "env"], 1L)
  expect_identical(seen$shown$reachable[seen$shown$store == "command"], "forbidden")
  expect_true(all(seen$shown$site_locked))
  mount <- seen$settings[seen$settings$setting == "vault.mount", ]
  expect_identical(list(mount$value, mount$found_in, mount$locked), list("kv", at, TRUE))
  expect_match(seen$lines, "forbids command; locks stores, vault", fixed = TRUE, all = FALSE)
  for (message in c(seen$order, seen$vault, seen$command)) expect_match(message, at, fixed = TRUE)
  expect_match(seen$order, "locked `stores`", fixed = TRUE)
  expect_match(seen$command, "forbids the store `command`", fixed = TRUE)
})
