# Moving, removing and listing tokens, on the walk with canaries. The `.Renviron` is outside the walk's world: it holds a
# canary by right until keycap takes it out.
canary_keep <- function(step, store, canary, give, setup) {
  uri <- "https://redcap.example.org/api/"
  project <- setup("KEEP", uri, token_name = "CANARY_KEEP")
  file <- withr::local_tempfile()
  withr::local_envvar(R_ENVIRON_USER = file, CANARY_KEEP = NA)
  withr::local_options(keycap.stores = "env,keyring")
  renviron <- function(...) {
    writeLines(c(...), file)
    Sys.chmod(file, "600")
    readRenviron(file)
  }
  line <- function() paste0("CANARY_KEEP=", canary())

  step("move_project_token", "nothing to move", function() move_project_token(project, "env", "keyring"))
  renviron(paste0(line(), " # mine"))
  step("move_project_token", "no token", function() move_project_token(project, "env", "keyring"))
  step("remove_project_token", "no token", function() remove_project_token(project, "env"))
  renviron(line(), line())
  step("remove_project_token", "two values", function() remove_project_token(project, "env"))
  renviron(line())
  writeLines(readLines(file), paste0(file, "~"))
  withr::defer(unlink(paste0(file, "~")))
  step("list_project_tokens", "all", function() list_project_tokens())
  step("remove_project_token", "a copy beside it", function() remove_project_token(project, "env"))
  step("remove_project_token", "nothing there", function() remove_project_token("KEEP", "env"))
  Sys.setenv(CANARY_KEEP = canary())
  step("remove_project_token", "set by the session", function() remove_project_token("KEEP", "env"))
  if (store == "keyring") {
    renviron(line())
    step("move_project_token", "into the keyring", function() move_project_token(project, "env", "keyring"))
    renviron(line())
    step("move_project_token", "another token there", function() move_project_token(project, "env", "keyring"))
    step("move_project_token", "replaced", function() {
      move_project_token(project, "env", "keyring", overwrite = TRUE)
    })
    step("list_project_tokens", "in the keyring", function() list_project_tokens("KEEP"))
    step("remove_project_token", "from the keyring", function() remove_project_token(project, "keyring"))
  } else {
    step("remove_project_token", "no such store here", function() remove_project_token(project, "keyring"))
  }
  step("move_project_token", "a store that is not asked", function() move_project_token(project, "env", "vault"))
  step("remove_project_token", "a slip", function() remove_project_token(project, "keyrin"))
  step("list_project_tokens", "a wrong type", function() list_project_tokens(1))
}
