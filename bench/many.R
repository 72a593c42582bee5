# 50 tokens tested side by side (two calls each), the server 50 ms away, 25 connections, the audit log durable. As a
# reference, what it takes to make the same calls one after the other, as a loop over clients does it.
#
#   sh tools/with-r.sh Rscript --vanilla bench/many.R figures.jsonl
#
# Figures go to that file as JSON lines: {"what": "...", "seconds": [...]}.
source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "kit.R"))

runs <- 10
tokens <- 50
bench <- start_bench(tokens)
distance(bench, 50)

cold <- seconds(1, expect_works(keycap::test_project_tokens(bench$names), tokens))
warm <- seconds(runs, expect_works(keycap::test_project_tokens(bench$names), tokens))
figure("50 tokens, two calls each, 50 ms away: cold", cold)
figure("50 tokens, two calls each, 50 ms away: warm", warm, target = 0.4)

handle <- curl::new_handle()
one_by_one <- seconds(1, for (name in bench$names) ask_by_curl(bench, name, handle))
figure("50 tokens, two calls each, 50 ms away: R's curl, one by one", one_by_one)

# The same without the distance: what keycap and the sandbox themselves take.
distance(bench, 0)
figure("50 tokens, two calls each, next door: warm", seconds(runs, expect_works(keycap::test_project_tokens(bench$names), tokens)))

stop_bench(bench)
