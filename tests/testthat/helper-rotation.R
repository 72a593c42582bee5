# A rotation on the walk with canaries. The tokens are the sandbox's own, and pass for canaries too.
canary_rotate <- function(step, canary, sandbox) {
  folder <- withr::local_tempdir()
  file <- file.path(folder, "new")
  tokens <- character()
  click <- function(how) {
    unlink(file)
    how(sandbox, "TEST", "deidentified", to = file)
    tokens <<- c(tokens, readLines(file))
  }
  turn <- function(about, ...) step("rotate_project_token", about, function() rotate_project_token(...), c(tokens, canary()))
  click(sandbox_issue_token)
  project <- suppressMessages(setup_project("ROTATED", redcap_uri = sandbox$redcap_uri, redcap_user = "deidentified"))
  suppressMessages(set_project_token(project, store = "sandbox", file = file, test = FALSE))
  turn("nothing is begun", project, cancel = TRUE)
  turn("begun", project)
  turn("the old token", project, file = file)
  click(sandbox_regenerate_token)
  step("test_project_token", "rotated meanwhile", function() test_project_token(project), tokens)
  step("get_projects", "rotated meanwhile", function() get_projects(), tokens)
  step("list_project_tokens", "rotated meanwhile", function() list_project_tokens("ROTATED"), tokens)
  turn("too late to give up", project, cancel = TRUE)
  for (place in c("error", "data")) {
    sandbox_set_fault(sandbox, "echo", place = place)
    turn(paste("echoed in", place), project, file = file)
    sandbox_clear_faults(sandbox)
  }
  writeLines(canary(), file.path(folder, "other"))
  Sys.chmod(file.path(folder, "other"), "600")
  turn("a token that nobody knows", project, file = file.path(folder, "other"))
  turn("no such store", project, store = "nowhere")
  turn("done", project, file = file, wipe = TRUE)
  suppressMessages(delete_project("ROTATED"))
}
