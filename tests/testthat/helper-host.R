# What keycap does to the R process that it lives in, seen from inside: threads, descriptors, memory. Read from
# Linux's /proc; sessions that are looked at read this file too.

# What this process has of keycap's threads, and of descriptors.
held <- function() {
  tasks <- list.files("/proc/self/task", full.names = TRUE)
  names <- vapply(tasks, function(task) tryCatch(readLines(file.path(task, "comm")), error = function(e) ""), "")
  c(threads = sum(startsWith(names, "keycap")), descriptors = length(list.files("/proc/self/fd")))
}

# The same once it has come to rest, with `idle` threads: helper threads end after a second, connections after three.
settled <- function(idle = 1, seconds = 20) {
  end <- Sys.time() + seconds
  last <- held()
  since <- Sys.time()
  repeat {
    Sys.sleep(0.05)
    now <- held()
    if (!identical(now, last)) since <- Sys.time()
    last <- now
    at_rest <- now[["threads"]] <= idle && Sys.time() - since > 0.3
    if (at_rest || Sys.time() > end) {
      return(now)
    }
  }
}

# Waits until this process holds no more than `before`; returns what it holds.
back_to <- function(before, seconds = 20) {
  end <- Sys.time() + seconds
  while (any(held() > before) && Sys.time() < end) Sys.sleep(0.05)
  held()
}

# Bytes of memory of this process, now (`VmRSS`) or at its peak since `reset_peak()` (`VmHWM`).
memory <- function(field = "VmRSS") {
  line <- grep(paste0("^", field, ":"), readLines("/proc/self/status"), value = TRUE)
  1024 * as.numeric(gsub("[^0-9]", "", line))
}

# Bytes that the C library has lent out, to R and to Rust. Unlike the memory of the process they do not hold what
# both have given back, and so they do not move in steps of megabytes. R gives its pages back little by little.
allocated <- function(library) {
  for (i in 1:10) gc()
  if (!is.loaded("keycap_test_allocated")) dyn.load(library)
  .C("keycap_test_allocated", bytes = double(1))$bytes
}

# The library that this takes; made in the folder `dir`.
allocated_library <- function(dir) {
  compiled(dir, "allocated", c(
    "#include <malloc.h>",
    "void keycap_test_allocated(double *bytes) {",
    "  struct mallinfo2 info = mallinfo2();",
    "  *bytes = (double) info.uordblks + (double) info.hblkhd;",
    "}"
  ))
}

# A shared library from a few lines of C.
compiled <- function(dir, name, lines) {
  writeLines(lines, file.path(dir, paste0(name, ".c")))
  old <- setwd(dir)
  on.exit(setwd(old))
  out <- system2(
    file.path(R.home("bin"), "R"), c("CMD", "SHLIB", paste0(name, ".c"), "-ldl"),
    stdout = TRUE, stderr = TRUE
  )
  library <- file.path(dir, paste0(name, ".so"))
  if (!file.exists(library)) stop(name, " does not compile: ", paste(out, collapse = "\n"))
  library
}

reset_peak <- function() {
  cat("5", file = "/proc/self/clear_refs")
}

# Runs a function in an R session of its own that has this file, and gives its value; one that hangs is an error.
in_session <- function(fun, ..., seconds = 60, env = character()) {
  helpers <- normalizePath(testthat::test_path("helper-host.R"))
  callr::r(
    function(helpers, fun, args) {
      sys.source(helpers, globalenv())
      options(keycap.quiet = TRUE, keycap.retries = 0)
      environment(fun) <- globalenv()
      do.call(fun, args)
    },
    list(helpers, fun, list(...)),
    libpath = .libPaths(),
    env = c(callr::rcmd_safe_env(), env),
    timeout = seconds
  )
}

# As `in_session()`, in the background.
start_session <- function(fun, ..., env = character(), frame = parent.frame()) {
  helpers <- normalizePath(testthat::test_path("helper-host.R"))
  session <- callr::r_bg(
    function(helpers, fun, args) {
      sys.source(helpers, globalenv())
      options(keycap.quiet = TRUE, keycap.retries = 0)
      environment(fun) <- globalenv()
      do.call(fun, args)
    },
    list(helpers, fun, list(...)),
    libpath = .libPaths(),
    env = c(callr::rcmd_safe_env(), env),
    stderr = withr::local_tempfile(.local_envir = frame)
  )
  withr::defer(session$kill(), envir = frame)
  session
}

# The value of such a session; one that hangs is an error.
finished <- function(session, seconds = 60) {
  session$wait(seconds * 1000)
  if (session$is_alive()) stop("the session hangs")
  session$get_result()
}

# A server that answers each request with `pieces` (raw vectors) one by one, with a pause of `pause` seconds between
# them; with `endless`, the last one again and again.
local_bytes <- function(pieces, pause = 0, endless = FALSE, frame = parent.frame()) {
  dir <- withr::local_tempdir("bytes", .local_envir = frame)
  files <- file.path(dir, c("port", "connections"))
  serve <- function(pieces, pause, endless, files) {
    server <- NULL
    while (is.null(server)) {
      port <- sample(20000:60000, 1)
      server <- tryCatch(serverSocket(port), error = function(e) NULL)
    }
    file.create(files[2])
    writeLines(as.character(port), paste0(files[1], "~"))
    file.rename(paste0(files[1], "~"), files[1])
    repeat {
      connection <- tryCatch(socketAccept(server, open = "r+b", timeout = 600), error = function(e) NULL)
      if (is.null(connection)) next
      cat("accepted\n", file = files[2], append = TRUE)
      request <- raw()
      while (!grepl("content=", rawToChar(request), fixed = TRUE)) {
        chunk <- tryCatch(readBin(connection, "raw", 1), error = function(e) raw())
        if (!length(chunk)) break
        request <- c(request, chunk)
      }
      # R only warns when the other end is closed.
      options(warn = 2)
      try(suppressMessages({
        for (piece in pieces) {
          writeBin(piece, connection)
          Sys.sleep(pause)
        }
        n <- 0
        while (endless && n < 20000) {
          writeBin(piece, connection)
          Sys.sleep(pause)
          n <- n + 1
        }
      }), silent = TRUE)
      try(close(connection), silent = TRUE)
    }
  }
  process <- callr::r_bg(serve, list(pieces, pause, endless, files))
  withr::defer(process$kill(), envir = frame)
  wait_for(file.exists(files[1]) || !process$is_alive())
  list(
    uri = sprintf("http://127.0.0.1:%s/api/", readLines(files[1])),
    connections = function() length(readLines(files[2]))
  )
}

head_of <- function(status, more = character(), type = "text/plain") {
  lines <- c(sprintf("HTTP/1.1 %d Answer", status), paste0("Content-Type: ", type), more, "Connection: close")
  charToRaw(paste0(paste(lines, collapse = "\r\n"), "\r\n\r\n"))
}

# A server that refuses every token, and a project there; for the call that comes after.
local_refusing <- function(short_name = "WORKS", frame = parent.frame()) {
  server <- local_answer(403, "ERROR: You do not have permissions to use the API", "text/plain", frame = frame)
  local_project(server$uri, short_name, frame = frame)
  token <- made_up_token()
  withr::local_envvar(stats::setNames(token, paste0("REDCapSync_", short_name)), .local_envir = frame)
  list(server = server, token = token)
}

# The C library's resolver, which asks nobody about `hangs.example` and does not return either, until a file is
# there: environment variables for a session in which it takes the place of the real one. (A name server that never
# answers would do the same, but cannot be had without being root, nor told when to end.)
local_resolver <- function(frame = parent.frame()) {
  dir <- withr::local_tempdir("resolver", .local_envir = frame)
  library <- compiled(dir, "resolver", c(
    "#define _GNU_SOURCE",
    "#include <dlfcn.h>",
    "#include <netdb.h>",
    "#include <stdio.h>",
    "#include <string.h>",
    "#include <unistd.h>",
    "typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);",
    "int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {",
    "  if (node && !strcmp(node, \"hangs.example\")) {",
    sprintf("    FILE *asked = fopen(\"%s/asked\", \"a\");", dir),
    "    if (asked) { fputs(\"asked\\n\", asked); fclose(asked); }",
    sprintf("    while (access(\"%s/release\", F_OK)) usleep(10000);", dir),
    "    return EAI_NONAME;",
    "  }",
    "  return ((resolver *) dlsym(RTLD_NEXT, \"getaddrinfo\"))(node, service, hints, found);",
    "}"
  ))
  list(
    env = c(LD_PRELOAD = library),
    asked = function() if (file.exists(file.path(dir, "asked"))) length(readLines(file.path(dir, "asked"))) else 0L,
    release = file.path(dir, "release")
  )
}
