# A forked run: children of one R, with the core loaded and used before, write one log. Prints a row of a table.
library(keycap)
world <- tempfile("forked")
Sys.setenv(R_USER_DATA_DIR = file.path(world, "data"), R_USER_CONFIG_DIR = file.path(world, "config"))
Sys.setenv(REDCapSync_T = "0123456789ABCDEF0123456789ABCDEF") # made up
options(keycap.quiet = TRUE, keycap.retries = 0)
# Nobody listens there: what counts are the entries.
invisible(setup_project("T", file.path(world, "project"), "http://127.0.0.1:9/api/"))
call <- function() try(redcap_version("T"), silent = TRUE)
call()
children <- 8L
calls <- 250L
answers <- parallel::mclapply(seq_len(children), mc.cores = children, function(n) {
  for (i in seq_len(calls)) call()
})
log <- audit_log()
checked <- verify_audit_log()
expected <- 1L + children * calls
lost <- expected - length(unique(log$call_id))
doubled <- sum(duplicated(log$call_id))
holds <- lost == 0L && doubled == 0L && checked$verdict == "unanchored" && checked$open == 0 &&
  length(unique(log$pid)) == children + 1L
cat(sprintf(
  "| %d forked children × %d calls | %d lost, %d doubled, log %s | %s |\n",
  children, calls, lost, doubled, if (checked$verdict == "unanchored") "intact" else checked$verdict,
  if (holds) "holds" else "**does not hold**"
))
quit(save = "no", status = if (holds) 0L else 1L)
