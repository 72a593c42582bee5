# How far an export is, for whoever watches. The bar belongs to the frame that waits, and goes with it, however that
# frame is left.
show_progress <- function(event, frame) {
  if (!shows_progress()) {
    return(invisible())
  }
  if (is.null(frame$bar)) {
    frame$bar <- cli::cli_progress_bar(
      format = "{cli::pb_spin} {cli::pb_current_bytes}, {cli::pb_status} [{cli::pb_elapsed}]",
      total = NA,
      clear = TRUE,
      .envir = frame
    )
  }
  cli::cli_progress_update(set = event$bytes, status = rows_text(event$rows), id = frame$bar, .envir = frame)
}

shows_progress <- function() {
  !isTRUE(getOption("keycap.quiet")) && isTRUE(getOption("keycap.progress", rlang::is_interactive()))
}
