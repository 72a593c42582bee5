# What is said to the person: by cli, so that it goes to the stream of messages, and as data. Text from the core
# can hold text from a server; `cli_verbatim()` interprets neither braces nor markup.

say <- function(text) {
  if (isTRUE(getOption("keycap.quiet"))) {
    return(invisible())
  }
  cli::cli_verbatim(text)
}

# Named texts, one a line, the texts aligned.
say_lines <- function(lines) {
  if (length(lines) == 0L) {
    return(invisible())
  }
  labels <- format(paste0(one_line(names(lines)), ":"))
  say(paste(labels, one_line(unlist(lines, use.names = FALSE))))
}

say_success <- function(message, hints = character()) {
  say(with_hints(paste(cli::col_green(cli::symbol$tick), one_line(message)), hints))
}

say_failure <- function(message, hints = character()) {
  say(with_hints(paste(cli::col_red(cli::symbol$cross), one_line(message)), hints))
}

say_hints <- function(hints) {
  if (length(hints) > 0L) say(hint_lines(hints))
}

# What happened and what to do, a line each: the one form of messages, warnings and errors. Lines are not broken: a
# terminal does that by itself, and who searches a log wants them whole.
with_hints <- function(message, hints) {
  c(message, hint_lines(hints))
}

hint_lines <- function(hints) {
  if (length(hints) > 0L) paste(cli::col_cyan(cli::symbol$info), one_line(hints))
}

# A text that stays on its line and cannot steer a terminal, keeping names.
one_line <- function(text) {
  keep <- names(text)
  text <- gsub("[[:cntrl:]]+", " ", cli::ansi_strip(enc2utf8(as.character(text))))
  names(text) <- keep
  text
}
