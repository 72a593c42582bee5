# The one way from R into the core: starts an operation and gives its value or raises its error.
core_call <- function(op, args = list(), error_call = rlang::caller_env()) {
  force(error_call)
  core_await(kc_start(op, as_utf8(args), session_info()), error_call)
}

# Waits for an operation that was started and shows what it says. While it runs R stays responsive: the core works
# on a thread of its own, and between two looks at it an interrupt is let through.
core_await <- function(started, error_call = rlang::caller_env()) {
  handle <- NULL
  frame <- environment()
  on.exit(if (!is.null(handle)) say_last_word(kc_cancel(handle)$value))
  # `started` is evaluated here, when whatever ends this function also cancels the operation.
  handle <- core_value(started, error_call)
  repeat {
    answer <- kc_poll(handle, 100L)
    if (answer$kind != "pending") {
      # The core has given the handle up; showing an event below may leave this function.
      handle <- NULL
    }
    lapply(answer$events, show_event, frame)
    if (is.null(handle)) {
      return(core_value(answer, error_call))
    }
    kc_check_interrupt()
  }
}

# The value of an answer, or its error as a condition of the classes `keycap_error_<kind>` and `keycap_error`.
core_value <- function(answer, error_call) {
  if (answer$kind == "error") {
    core_abort(answer$error, error_call)
  }
  answer$value
}

# Raises an error of the core.
core_abort <- function(error, error_call) {
  raise_error(error$kind, error$message, error$hints, error$fields, error_call)
}

# Shows what the core says on the way. The text is data here too. `frame` is the function that waits.
show_event <- function(event, frame = rlang::caller_env()) {
  if (event$kind == "progress") {
    show_progress(event, frame)
  } else if (event$kind == "warning") {
    rlang::warn(event$text, class = "keycap_warning", use_cli_format = FALSE)
  } else if (!isTRUE(getOption("keycap.quiet")) && !(event$kind == "once" && event$text %in% the$told)) {
    if (event$kind == "once") {
      the$told <- c(the$told, event$text)
    }
    say_hints(event$text)
  }
}

# What became of an operation that was interrupted while it changed files.
say_last_word <- function(word) {
  if (is.character(word)) say_hints(word)
}

# R marks texts with their encoding; the core takes UTF-8 only.
as_utf8 <- function(x) {
  if (is.list(x)) {
    x[] <- lapply(x, as_utf8)
  } else if (is.character(x)) {
    x[] <- enc2utf8(x)
  }
  if (!is.null(names(x))) {
    names(x) <- enc2utf8(names(x))
  }
  x
}
