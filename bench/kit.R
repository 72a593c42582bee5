# What the benchmarks of calls share: a sandbox with so many tokens in a world of its own, and how figures are written.
library(keycap)

figures <- commandArgs(TRUE)[1]
if (!is.na(figures)) cat("", file = figures)

start_bench <- function(tokens) {
  world <- tempfile("bench")
  dir.create(world)
  homes <- file.path(world, c("config", "data", "cache"))
  Sys.setenv(R_USER_CONFIG_DIR = homes[1], R_USER_DATA_DIR = homes[2], R_USER_CACHE_DIR = homes[3])
  options(keycap.quiet = TRUE, keycap.retries = 0)
  sandbox <- keycap::start_sandbox()
  # The sandbox's users have so many tokens; the names are as many as are asked for.
  pairs <- expand.grid(user = c("exporter", "editor"), project = sandbox$projects$short_name, stringsAsFactors = FALSE)
  values <- apply(pairs, 1, function(pair) {
    file <- tempfile(tmpdir = world)
    keycap::sandbox_issue_token(sandbox, pair[["project"]], pair[["user"]], to = file)
    readLines(file)
  })
  names <- sprintf("BENCH%02d", seq_len(tokens))
  values <- rep_len(values, tokens)
  for (n in seq_along(names)) {
    do.call(Sys.setenv, stats::setNames(list(values[n]), paste0("REDCapSync_", names[n])))
    keycap::setup_project(names[n], redcap_uri = sandbox$redcap_uri)
  }
  list(sandbox = sandbox, names = names, world = world)
}

stop_bench <- function(bench) {
  keycap::stop_sandbox(bench$sandbox)
  unlink(bench$world, recursive = TRUE)
}

# Each answer of the server comes so many milliseconds later.
distance <- function(bench, ms) {
  keycap::sandbox_clear_faults(bench$sandbox)
  if (ms > 0) keycap::sandbox_set_fault(bench$sandbox, "latency", ms = ms)
}

expect_works <- function(tested, n) stopifnot(identical(tested$works, rep(TRUE, n)))

# The two calls of a test, as a user of R's curl makes them: with the token in R.
ask_by_curl <- function(bench, name, handle) {
  token <- Sys.getenv(paste0("REDCapSync_", name))
  for (body in c(sprintf("token=%s&content=version", token), sprintf("token=%s&content=project&format=json", token))) {
    curl::handle_setopt(handle, copypostfields = body)
    answer <- curl::curl_fetch_memory(bench$sandbox$redcap_uri, handle)
    stopifnot(answer$status_code == 200)
  }
}

# How long it takes, so many times.
seconds <- function(times, expr) {
  expr <- substitute(expr)
  frame <- parent.frame()
  vapply(seq_len(times), function(n) system.time(eval(expr, frame), gcFirst = FALSE)[["elapsed"]] |> as.numeric(), 0)
}

figure <- function(what, seconds, target = NULL) {
  line <- sprintf("%-62s median %.4f s (%.4f to %.4f, n = %d)", what, stats::median(seconds), min(seconds), max(seconds), length(seconds))
  cat(line, verdict(stats::median(seconds), target), "\n", sep = "")
  write_figure(what, "seconds", seconds)
}

ratio <- function(what, ours, theirs, target = NULL) {
  one <- stats::median(ours) / stats::median(theirs)
  cat(sprintf("%-62s %.3f", what, one), verdict(one, target), "\n", sep = "")
  write_figure(what, "ratio", one)
}

verdict <- function(value, target) {
  if (is.null(target)) {
    ""
  } else if (value <= target) {
    sprintf("; at most %g: reached", target)
  } else {
    sprintf("; at most %g: falls short by %.0f %%", target, 100 * (value / target - 1))
  }
}

write_figure <- function(what, unit, values) {
  if (!is.na(figures)) {
    text <- sprintf("{\"what\": \"%s\", \"%s\": [%s]}", what, unit, paste(sprintf("%.6f", values), collapse = ", "))
    cat(text, "\n", sep = "", file = figures, append = TRUE)
  }
}
