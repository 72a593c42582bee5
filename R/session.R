# What the core must know of this R session, read anew for each operation. Nothing is created here. Where the
# institution's settings are is the core's own knowledge: what R says, a user can change.
session_info <- function() {
  list(
    config = tools::R_user_dir("keycap", "config"),
    data = tools::R_user_dir("keycap", "data"),
    session = file.path(tempdir(), "keycap"),
    interactive = rlang::is_interactive(),
    options = session_options(),
    sandboxes = as.list(unlist(the$sandboxes, use.names = FALSE))
  )
}

# The options whose names start with "keycap.", as texts and without that prefix being taken off.
session_options <- function() {
  all <- options()
  own <- all[startsWith(names(all), "keycap.")]
  lapply(own, as.character)
}
