# Calls 10,000 times (or as often as the argument says) in one session, and writes down what the process holds on the
# way: bench/soak.md. Fails if threads, descriptors or memory grow. Linux only: it reads /proc.
n <- as.integer(c(commandArgs(TRUE), "10000")[1])
source("tests/testthat/helper-host.R")
place <- tempfile("soak")
dir.create(place)
Sys.setenv(R_USER_CONFIG_DIR = file.path(place, "config"), R_USER_DATA_DIR = file.path(place, "data"))
options(keycap.quiet = TRUE, keycap.retries = 0, keycap.stores = "env")

sandbox <- keycap::start_sandbox()
good <- keycap::setup_project("TEST", file.path(place, "good"), sandbox$redcap_uri)
bad <- keycap::setup_project("BAD", file.path(place, "bad"), sandbox$redcap_uri, token_name = "NOT_SET")
library <- allocated_library(place)
issued <- file.path(place, "issued")
keycap::sandbox_issue_token(sandbox, "TEST", "exporter", to = issued)
Sys.setenv(SOAK = readLines(issued))
keycap::sandbox_revoke_token(sandbox, "TEST", "exporter")
revoked <- keycap::setup_project("REVOKED", file.path(place, "revoked"), sandbox$redcap_uri, token_name = "SOAK")

# Of five calls three work, one is refused by the server, one finds no token.
reason <- function(project) {
  attr(suppressWarnings(keycap::test_project_token(project)), "reason")
}
call <- function(i) {
  switch(i %% 5 + 1, reason(good), reason(revoked), reason(good), reason(bad), reason(good))
}
expected <- list(NULL, "token_refused", NULL, "token_missing", NULL)
run <- function(indices) {
  started <- proc.time()[["elapsed"]]
  for (i in indices) stopifnot(identical(call(i), expected[[i %% 5 + 1]]))
  seconds <- proc.time()[["elapsed"]] - started
  allocated <- allocated(library)
  resident <- memory()
  # At rest there are the I/O thread, and three at the sandbox's pipes.
  data.frame(calls = max(indices), allocated = allocated, resident = resident, t(settled(idle = 4)), ms = 1000 * seconds / length(indices))
}

step <- max(n %/% 10L, 1L)
rows <- do.call(rbind, lapply(seq_len(n %/% step), function(k) run((k - 1L) * step + seq_len(step))))
keycap::stop_sandbox(sandbox)

# R grows at first: it loads and compiles what it meets. So the second step is the start.
first <- rows[min(2, nrow(rows)), ]
last <- rows[nrow(rows), ]
# A leak grows in each step, so the median tells. A table grows in one: extendr's table of the R objects that it holds
# is made anew, about 11 MB larger, once 100,000 different addresses have stood in it (then at 300,000).
step_bytes <- stats::median(diff(rows$allocated[-1])) / step
grown <- last$allocated - first$allocated
ok <- last$threads <= first$threads && last$descriptors <= first$descriptors && step_bytes < 50 && grown < 16e6

lines <- c(
  "# Call after call in one session",
  "",
  "Written by `make soak` (`tools/soak.R`): `test_project_token()` against the sandbox, of five calls three that work,",
  "one with a revoked token, one without a token. Figures are those of the R process once it has come to rest. What",
  "is allocated is what C's library has lent out, to R and to Rust; what is resident also holds what R has freed and",
  "not given back, which grows in steps and says little.",
  "",
  sprintf("%s calls, R %s, %s.", format(n, big.mark = ","), getRversion(), Sys.info()[["sysname"]]),
  "",
  "| calls | allocated, MB | resident, MB | threads of keycap | descriptors | ms a call |",
  "|---:|---:|---:|---:|---:|---:|",
  sprintf(
    "| %d | %.3f | %.1f | %d | %d | %.1f |",
    rows$calls, rows$allocated / 1e6, rows$resident / 1e6, rows$threads, rows$descriptors, rows$ms
  ),
  "",
  sprintf(
    "From %d calls on: %+.1f bytes allocated for each call (median of the steps), %+d threads, %+d descriptors: %s.",
    first$calls, step_bytes,
    as.integer(last$threads - first$threads), as.integer(last$descriptors - first$descriptors),
    if (ok) "no growth" else "GROWTH"
  ),
  "",
  "The one step of about 11 MB is extendr's table of the R objects that Rust holds: it is made anew, and larger, once",
  "100,000 different addresses have stood in it, and again at 300,000. It cannot have more entries than R's heap has",
  "addresses for small objects, however many calls there are."
)
dir.create("bench", showWarnings = FALSE)
writeLines(lines, "bench/soak.md")
writeLines(lines)
quit(status = if (ok) 0L else 1L)
