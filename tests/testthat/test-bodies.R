# What a server sends by way of an error never crashes R, never acts on it, and never fills its memory.

# Calls once for each fault of a sandbox and once for each server; what became of it, and the growth of the peak of
# memory.
hostile_session <- function(faults, servers) {
  options(keycap.timeout = 20)
  sandbox <- keycap::start_sandbox()
  project <- keycap::setup_project("TEST", file.path(tempdir(), "test"), sandbox$redcap_uri)
  call <- function(project) {
    gc()
    reset_peak()
    before <- memory()
    error <- tryCatch(
      {
        keycap::test_project_token(project)
        NULL
      },
      error = identity
    )
    list(class = class(error), message = conditionMessage(error), growth = memory("VmHWM") - before)
  }
  works <- isTRUE(keycap::test_project_token(project))
  results <- lapply(faults, function(fault) {
    do.call(keycap::sandbox_set_fault, c(list(sandbox, fault$kind), fault[-1]))
    result <- call(project)
    keycap::sandbox_clear_faults(sandbox)
    result
  })
  results <- c(results, lapply(servers, call))
  list(works = works, results = results, alive = isTRUE(keycap::test_project_token(project)))
}

test_that("bodies of any content and any length are a clear error in bounded memory, and R is alive", {
  local_world()
  withr::local_envvar(REDCapSync_NUL = made_up_token(), REDCapSync_INVALID = made_up_token(), REDCapSync_CHUNKS = made_up_token())
  body <- function(text, status = 400, ...) list(kind = "body", text = text, status = status, ...)
  faults <- list(
    format = body("ERROR: %s%s%s%n%n%999999d"),
    format_json = body("{\"error\":\"%s%n {system('id')}\"}", content_type = "application/json"),
    braces = body("ERROR: {system('id')} {.val {stop('run')}} {{x}}"),
    ansi = body("ERROR: \u001b[31mred\u001b[2J\u001b]0;title\u0007 \u009b31m"),
    latin1 = body("ERROR: Gr\u00f6\u00dfe \u00ff\u00fe", latin1 = TRUE),
    small = body("ERROR: no"),
    huge = body(paste(rep("ERROR: %s {x} ", 1024), collapse = ""), `repeat` = 7500L),
    huge_ok = body(paste(rep("a lot of text ", 1024), collapse = ""), 200, `repeat` = 7500L),
    huge_html = body(paste(rep("<p>ERROR %n</p>", 1024), collapse = ""), 500, `repeat` = 6900L, content_type = "text/html"),
    endless = list(kind = "endless")
  )
  nul <- c(charToRaw("ERROR: a"), as.raw(0), charToRaw("b%n"))
  bytes <- as.raw(c(0xff, 0xfe, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0xf4, 0x90, 0x80, 0x80))
  length_of <- function(x) paste("Content-Length:", length(x))
  invalid <- c(charToRaw("{\"error\":\"x"), bytes, charToRaw("\"}"))
  chunk <- c(charToRaw("10000\r\n"), rep(charToRaw("ERROR %n"), 8192), charToRaw("\r\n"))
  servers <- list(
    NUL = local_bytes(list(head_of(400, length_of(nul)), nul)),
    INVALID = local_bytes(list(head_of(400, length_of(invalid), "application/json"), invalid)),
    CHUNKS = local_bytes(list(head_of(400, "Transfer-Encoding: chunked"), chunk), endless = TRUE)
  )
  projects <- Map(function(server, name) local_project(server$uri, name), servers, names(servers))
  session <- in_session(hostile_session, faults, projects, seconds = 120)
  expect_true(session$works)
  expect_true(session$alive)
  results <- session$results
  for (name in names(results)) {
    result <- results[[name]]
    expect_true("keycap_error" %in% result$class, info = name)
    expect_true(result$class[1] %in% paste0("keycap_error_", c("redcap", "server", "not_redcap", "connection", "timeout")), info = name)
    expect_lt(nchar(result$message), 4000, label = name)
    expect_true(validUTF8(result$message), info = name)
    expect_false(grepl("[\u0001-\u0008\u000b-\u001f\u007f-\u009f]", result$message, perl = TRUE), info = name)
    # Bounded: 100 MB of text cost no more than a few.
    expect_lt(result$growth, results$small$growth + 24e6, label = name)
  }
  # The texts of REDCap's errors come through as they are.
  expect_match(results$format$message, "%s%s%s%n%n", fixed = TRUE)
  expect_match(results$format_json$message, "{system('id')}", fixed = TRUE)
  expect_match(results$braces$message, "{system('id')} {.val {stop('run')}}", fixed = TRUE)
})

test_that("the measure of memory sees a body that is kept whole", {
  growth <- in_session(function() {
    reset_peak()
    before <- memory()
    body <- strrep("ERROR: %s {x} ", 1024 * 2500)
    nchar(body)
    memory("VmHWM") - before
  })
  expect_gt(growth, 24e6)
})
