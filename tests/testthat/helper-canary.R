# A canary: a token made for this run, put where a user would put it. Nothing that keycap shows, returns, raises or
# writes may hold 8 characters of it in a row, in any letter case.

# The parts of 8 characters of `token` that stand in `text` (texts, or raw bytes).
hits <- function(text, token) {
  if (is.raw(text)) {
    text[text == 0] <- charToRaw(" ")
    text <- rawToChar(text)
  }
  text <- tolower_bytes(paste(text, collapse = "\n"))
  token <- tolower(token)
  parts <- unique(substring(token, 1:(nchar(token) - 7), 8:nchar(token)))
  parts[vapply(parts, grepl, NA, x = text, fixed = TRUE, useBytes = TRUE)]
}

# Lower case byte by byte: what is searched need not be UTF-8.
tolower_bytes <- function(text) {
  bytes <- charToRaw(text)
  upper <- bytes >= as.raw(0x41) & bytes <= as.raw(0x5a)
  bytes[upper] <- as.raw(as.integer(bytes[upper]) + 32L)
  rawToChar(bytes)
}

# The same in anything that R can hold: as it is serialised, as it prints, as its code reads.
hits_in <- function(x, token) {
  seen <- list(
    serialize(x, NULL),
    tryCatch(utils::capture.output(print(x)), error = function(e) ""),
    tryCatch(utils::capture.output(utils::str(x)), error = function(e) ""),
    tryCatch(deparse(x), error = function(e) "")
  )
  unique(unlist(lapply(seen, hits, token)))
}

hits_in_files <- function(files, token) {
  files <- files[file.exists(files) & !dir.exists(files)]
  unique(unlist(lapply(files, function(file) hits(readBin(file, "raw", file.size(file)), token))))
}

# Does something with keycap and keeps what comes of it: printed output, value, every condition with the calls that
# were under way, and how the call stack prints. Returns where parts of the token were found, and the classes of the
# conditions.
#
# `typed`: the caller typed the token into the call on purpose. R keeps that call, and nobody can undo it; the frames
# below it are keycap's and must be clean.
watch <- function(action, token, typed = FALSE) {
  found <- list()
  classes <- character()
  look <- function(place, x) {
    parts <- hits_in(x, token)
    if (length(parts)) found[[place]] <<- unique(c(found[[place]], parts))
  }
  witness <- function(condition) {
    classes <<- c(classes, class(condition))
    look("condition", unclass(condition))
    look("message", conditionMessage(condition))
    look("call", conditionCall(condition))
    look("attributes", attributes(condition))
    own <- Filter(function(n) is_keycap(sys.function(n)), seq_len(sys.nframe()))
    for (n in if (typed) own[-1] else own) {
      look("frames", sys.call(n))
    }
    if (!typed) {
      look("sys.calls", lapply(sys.calls(), identity))
      look("trace", rlang::trace_back())
    }
  }
  printed <- utils::capture.output({
    messages <- utils::capture.output(type = "message", {
      value <- tryCatch(
        withCallingHandlers(
          {
            outcome <- withVisible(action())
            if (outcome$visible) print(outcome$value)
            outcome$value
          },
          condition = witness
        ),
        interrupt = function(i) "interrupted",
        error = identity
      )
      look("traceback", tryCatch(.traceback(), error = function(e) NULL))
    })
  })
  look("printed", printed)
  look("messages", messages)
  look("value", value)
  look("value as text", tryCatch(format(value), error = function(e) ""))
  list(found = found, classes = unique(classes), value = value, said = c(printed, messages))
}

is_keycap <- function(fun) {
  identical(topenv(environment(fun) %||% baseenv()), asNamespace("keycap"))
}
