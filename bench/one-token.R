# One test of a token (two calls), the server 50 ms away, warm, the audit log durable: against R's curl that makes the
# same two calls on a kept connection. By turns, so that what else the machine does falls on both.
#
#   sh tools/with-r.sh Rscript --vanilla bench/one-token.R figures.jsonl
source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "kit.R"))

runs <- 20
bench <- start_bench(1)
name <- bench$names
project <- keycap::load_project(name)
handle <- curl::new_handle()
by_keycap <- by_curl <- numeric()

for (ms in c(50, 0)) {
  distance(bench, ms)
  where <- if (ms > 0) sprintf("%d ms away", ms) else "next door"
  seconds(1, keycap::test_project_token(project))
  seconds(1, ask_by_curl(bench, name, handle))
  for (run in seq_len(runs)) {
    by_keycap[run] <- seconds(1, stopifnot(keycap::test_project_token(project)))
    by_curl[run] <- seconds(1, ask_by_curl(bench, name, handle))
  }
  figure(sprintf("one token, two calls, %s: keycap", where), by_keycap)
  figure(sprintf("one token, two calls, %s: R's curl", where), by_curl)
  ratio(sprintf("one token, two calls, %s: keycap / R's curl", where), by_keycap, by_curl, target = if (ms > 0) 1.05)
}

stop_bench(bench)
