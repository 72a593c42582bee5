# What the core must know of this R session, read anew for each operation. Nothing is created here.
session_info <- function() {
  list(
    config = tools::R_user_dir("keycap", "config"),
    data = tools::R_user_dir("keycap", "data"),
    session = file.path(tempdir(), "keycap"),
    site = site_file(),
    interactive = rlang::is_interactive(),
    options = session_options(),
    sandboxes = as.list(unlist(the$sandboxes, use.names = FALSE))
  )
}

# The settings file of the institution, where only an administrator writes.
site_file <- function(system = Sys.info()[["sysname"]]) {
  switch(
    system,
    Windows = file.path(gsub("\\", "/", Sys.getenv("ProgramData", "C:/ProgramData"), fixed = TRUE), "keycap", "config.toml"),
    Darwin = "/Library/Application Support/keycap/config.toml",
    "/etc/keycap/config.toml"
  )
}

# The options whose names start with "keycap.", as texts and without that prefix being taken off.
session_options <- function() {
  all <- options()
  own <- all[startsWith(names(all), "keycap.")]
  lapply(own, as.character)
}
