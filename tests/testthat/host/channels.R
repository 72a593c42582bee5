# A session in which a call fails, and which then writes down whatever R shows, stores or sends of it: a file for each
# channel. Run by test-channels.R, once with keycap and once (`naive`) with a client as they are usually written,
# which holds the token as a text.
arguments <- commandArgs(TRUE)
naive <- arguments[1] == "naive"
place <- arguments[2]

# An error ends nothing here, as at a prompt; where nothing else is said.
options(error = expression(NULL), keycap.retries = 0)

if (naive) {
  connect <- function(token) list(uri = "https://redcap.example.org/api/", token = token)
  project <- connect(Sys.getenv("REDCapSync_STUDY"))
  post <- function(token) stop("ERROR: bad token ", token)
  ask <- function(project) do.call(post, list(token = project$token))
  refused <- function(project) warning("not a token: ", project$token)
  broken <- function(token) stop("panicked at ", token)
} else {
  # The server answers with an error that holds the token.
  project <- keycap::load_project("STUDY")
  ask <- function(project) keycap::test_project_token(project)
  # And here it refuses it.
  refused <- function(project) keycap::test_project_token("REFUSED")
  # A panic that is about the token, which stands in the environment.
  broken <- function(token) keycap:::core_await(keycap:::kc_selftest("panicked", token))
}

# Writes a channel down: text, or bytes.
channel <- function(name, x) {
  file <- file(file.path(place, name), "wb")
  on.exit(close(file))
  writeBin(if (is.raw(x)) x else charToRaw(paste(enc2utf8(as.character(x)), collapse = "\n")), file)
}
bytes <- function(file) readBin(file, "raw", file.size(file))
printed <- function(...) capture.output(print(...))

# What a user has of it.
row <- if (naive) as.data.frame(project) else keycap::view_project_token(project)
error <- tryCatch(ask(project), error = identity)
answer <- if (naive) project else suppressWarnings(refused(project))
all <- list(project = project, row = row, answer = answer)

channel("print", unlist(lapply(all, printed)))
channel("str", capture.output(str(all)))
channel("format", unlist(lapply(all, format)))
channel("dput", capture.output(dput(all)))
channel("deparse", deparse(all))
# `View()` up to where it would open a window.
viewed <- utils::View
body(viewed)[[length(body(viewed))]] <- quote(return(list(x, title)))
Sys.setenv("_R_CHECK_SCREEN_DEVICE_" = "")
channel("view", unlist(c(viewed(row), viewed(lapply(unclass(project), function(x) if (is.null(x)) NA else x)))))
channel("serialize", serialize(list(all, error), NULL))
saveRDS(list(all, error), file.path(place, "saved"), compress = FALSE)
channel("saveRDS", bytes(file.path(place, "saved")))
channel("conditionCall", c(deparse(conditionCall(error)), printed(error)))
channel("conditionMessage", conditionMessage(error))
caught <- file(file.path(place, "sunk"), "w")
sink(caught)
sink(caught, type = "message")
try(print(ask(project)))
print(project)
sink(type = "message")
sink()
close(caught)
channel("sink", bytes(file.path(place, "sunk")))

# A call that fails at the prompt, and what R keeps of it.
answer <- ask(project)
channel("geterrmessage", geterrmessage())
channel("traceback", capture.output(traceback()))
channel("traceback_calls", unlist(lapply(.traceback(), paste)))
options(warn = 2)
answer <- refused(project)
channel("warn", c(geterrmessage(), capture.output(traceback())))
options(warn = 0)
rlang::global_entrace()
answer <- ask(project)
last <- tryCatch(rlang::last_error(), error = function(e) "none")
channel("last_error", c(printed(last), capture.output(print(last, simplify = "none"))))
trace <- tryCatch(rlang::last_trace(), error = function(e) "none")
channel("last_trace", c(printed(trace), rawToChar(serialize(trace, NULL, ascii = TRUE))))
rlang::global_entrace(FALSE)

# Handlers of errors.
options(error = quote(utils::dump.frames(file.path(place, "dumped"), TRUE)))
answer <- ask(project)
frames <- new.env()
load(file.path(place, "dumped.rda"), frames)
channel("dump.frames", serialize(as.list(frames), NULL))
options(error = function() {
  calls <- sys.calls()
  values <- lapply(sys.frames(), function(frame) mget(ls(frame, all.names = TRUE), frame, ifnotfound = NA))
  channel("error_option", c(serialize(calls, NULL), serialize(values, NULL)))
})
answer <- ask(project)
options(error = expression(NULL))

# Workers. What a future takes along, and what is in callr's files while a worker runs.
globals <- future::getGlobalsAndPackages(quote(ask(project)), envir = globalenv())
channel("future", serialize(globals, NULL))
before <- list.files(tempdir(), full.names = TRUE)
worker <- callr::r_bg(function(project) Sys.sleep(60), list(project))
sent <- setdiff(list.files(tempdir(), full.names = TRUE), before)
channel("callr", unlist(lapply(sent[!dir.exists(sent)], bytes)))
worker$kill()

# A panic of the core, with the variables set that would make Rust print it.
channel("panic", c(
  capture.output(tryCatch(broken(Sys.getenv("REDCapSync_STUDY")), error = function(e) print(conditionMessage(e)))),
  if (!naive) unlist(keycap:::kc_selftest("panic", Sys.getenv("REDCapSync_STUDY")))
))

# A document.
document <- file.path(place, "document.Rmd")
writeLines(c(
  "```{r}", "project", "str(project)", "```",
  "```{r, error=TRUE}", "answer <- ask(project)", "```",
  "```{r, cache=TRUE}", "kept <- project", "kept_answer <- tryCatch(ask(kept), error = identity)", "```"
), document)
local({
  old <- setwd(place)
  on.exit(setwd(old))
  knitr::opts_chunk$set(cache.path = "cache/")
  knitr::knit(document, "document.md", quiet = TRUE, envir = globalenv())
})
channel("knitr", bytes(file.path(place, "document.md")))
cache <- list.files(file.path(place, "cache"), "[.]rdb$", full.names = TRUE)
cached <- new.env()
for (file in cache) lazyLoad(sub("[.]rdb$", "", file), cached)
channel("knitr_cache", serialize(mget(ls(cached, all.names = TRUE), cached), NULL))

# What is left in the session: the workspace, its options, its description. The naive client is a package here, with
# the token in its description.
if (naive) {
  package <- file.path(place, "source", "careless")
  dir.create(package, recursive = TRUE)
  writeLines(c(
    "Package: careless", "Version: 0.1", "Title: T", paste("Description: Uses the token", project$token),
    "License: none", "Author: A", "Maintainer: A <a@example.org>"
  ), file.path(package, "DESCRIPTION"))
  writeLines("", file.path(package, "NAMESPACE"))
  utils::install.packages(package, place, repos = NULL, type = "source", quiet = TRUE)
  loadNamespace("careless", lib.loc = place)
  options(careless.token = project$token)
}
channel("sessionInfo", serialize(utils::sessionInfo(), NULL))
channel("options", serialize(options(), NULL))
# Without what the lines above made of it.
keep <- c("project", "ask", "row", "all", "error", "answer", ".Last.value", "last", "trace")
rm(list = setdiff(ls(), c(keep, "place", "channel", "bytes", "connect", "post", "refused")))
save.image(file.path(place, "workspace"), compress = FALSE)
channel("save.image", bytes(file.path(place, "workspace")))
