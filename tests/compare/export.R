# Exports records with keycap from the sandbox and leaves, in a folder for each export, what the Python programs beside
# this file compare: the values of R's vectors, byte for byte, and the server's own answer as curl saved it.
#
#   Rscript export.R FOLDER SIZES PYTHON
#
# SIZES is a list such as `S,M`. With PYTHON (one that has PyCap) it runs pycap.py while the sandbox is there.

library(keycap)
args <- commandArgs(TRUE)
folder <- args[1]
sizes <- strsplit(args[2], ",", fixed = TRUE)[[1]]
options(keycap.quiet = TRUE, warn = 1)
sandbox <- start_sandbox()

# A token of the administrator's, made now: in a file for others, and in the environment under its usual name.
token <- function(short_name, renew) {
  file <- file.path(folder, paste0("token-", short_name))
  make <- if (renew) sandbox_regenerate_token else sandbox_issue_token
  make(sandbox, short_name, "admin", to = file)
  text <- readLines(file)
  cat(text, file = file)
  do.call(Sys.setenv, stats::setNames(list(text), paste0("COMPARE_", short_name)))
  setup_project(short_name, redcap_uri = sandbox$redcap_uri, token_name = paste0("COMPARE_", short_name))
}

curl <- function(short_name, to, ...) {
  fields <- c(content = "record", format = "csv", ...)
  status <- system2("curl", c(
    "--silent", "--show-error", "--fail", "--noproxy", "'*'", "--output", shQuote(to),
    "--data-urlencode", shQuote(paste0("token@", file.path(folder, paste0("token-", short_name)))),
    rbind("--data-urlencode", shQuote(paste0(names(fields), "=", fields))),
    shQuote(sandbox$redcap_uri)
  ))
  stopifnot(status == 0)
}

# Texts as their lengths in bytes (-1: NA), then all of their bytes.
dump_texts <- function(texts, file) {
  stopifnot(all(Encoding(texts) %in% c("unknown", "UTF-8")), all(validUTF8(texts[!is.na(texts)])))
  to <- file(file, "wb")
  on.exit(close(to))
  writeBin(ifelse(is.na(texts), -1L, nchar(texts, "bytes")), to, endian = "little")
  writeBin(charToRaw(paste(texts[!is.na(texts)], collapse = "")), to)
}

dump_column <- function(column, file) {
  if (is.character(column)) {
    return(dump_texts(column, file))
  }
  if (is.factor(column)) dump_texts(levels(column), paste0(file, ".levels"))
  attributes(column) <- NULL
  to <- file(file, "wb")
  on.exit(close(to))
  writeBin(column, to, endian = "little")
}

dump_frame <- function(frame, into) {
  dir.create(into)
  for (i in seq_along(frame)) dump_column(frame[[i]], file.path(into, i))
  zone <- function(column) if (inherits(column, "POSIXct")) attr(column, "tzone") else ""
  facts <- paste(names(frame), vapply(frame, function(x) class(x)[1], ""), vapply(frame, zone, ""), sep = "\t")
  writeLines(c(nrow(frame), facts), file.path(into, "columns"), useBytes = TRUE)
}

# `short_name` is the project; `...` goes to the export.
leave <- function(name, project, exported, ...) {
  into <- file.path(folder, name)
  dir.create(into)
  begin <- proc.time()[["elapsed"]]
  frame <- withCallingHandlers(
    exported(project, ...),
    keycap_warning_conversion = function(w) invokeRestart("muffleWarning")
  )
  cat(sprintf("%s: %d x %d in %.2f s\n", name, nrow(frame), ncol(frame), proc.time()[["elapsed"]] - begin))
  dump_frame(frame, file.path(into, "frame"))
  dump_frame(conversion_problems(frame), file.path(into, "problems"))
  into
}

for (size in sizes) {
  keycap:::sandbox_command(sandbox, list(do = "generate", size = size), NULL)
  short_name <- paste0("SIZE_", size)
  project <- token(short_name, renew = FALSE)
  raw <- file.path(folder, paste0(short_name, ".csv"))
  curl(short_name, raw)
  curl(short_name, sub("csv$", "json", raw), content = "metadata", format = "json")
  leave(paste0(short_name, "-code"), project, export_records)
  leave(paste0(short_name, "-factor"), project, export_records, choices = "factor", tz = "Europe/Vienna")
  if (size != "L") {
    leave(paste0(short_name, "-label"), project, export_records, choices = "label", tz = "America/New_York", batch_size = 300)
    leave(paste0(short_name, "-text"), project, export_records, types = FALSE)
  }
  # A file holds the bytes that curl got.
  to <- export_records(project, to = file.path(folder, paste0(short_name, "-to.csv")))
  stopifnot(tools::md5sum(to) == tools::md5sum(raw))
}

for (short_name in if (length(args) > 2) c("TEST", "TEST_LONG", "TEST_REPEAT")) {
  project <- token(short_name, renew = TRUE)
  raw <- file.path(folder, paste0(short_name, ".csv"))
  curl(short_name, raw)
  curl(short_name, sub("csv$", "json", raw), content = "metadata", format = "json")
  leave(paste0(short_name, "-code"), project, export_records)
  leave(paste0(short_name, "-factor"), project, export_records, choices = "factor", tz = "Europe/Vienna")
  # The sandbox gives its reports the project's number and 100.
  leave(paste0(short_name, "-report"), project, export_report, 100 + as.integer(c(TEST = 17, TEST_LONG = 18, TEST_REPEAT = 19)[[short_name]]))
}
if (length(args) > 2) {
  here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
  status <- system2(args[3], c("-B", shQuote(file.path(here, "pycap.py")), sandbox$redcap_uri, shQuote(folder)))
  if (status != 0) quit(status = 1)
}
stop_sandbox(sandbox)
