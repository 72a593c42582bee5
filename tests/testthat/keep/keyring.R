# Run by test-keep.R in a session of its own with an unlocked keyring: R's keyring package and keycap find each other's
# items, and a token moves out of `.Renviron`. Each step is a TRUE.
library(keycap)
helpers <- new.env()
for (file in commandArgs(TRUE)[-1]) sys.source(file, helpers)
made_up_token <- helpers$made_up_token
options(keycap.quiet = TRUE, keycap.stores = "env,keyring")
home <- file.path(tempdir(), "home")
Sys.setenv(R_USER_CONFIG_DIR = file.path(home, "config"), R_USER_DATA_DIR = file.path(home, "data"))
Sys.unsetenv(c("REDCapSync_MINE", "REDCapSync_THEIRS", "REDCapSync_SHORT"))
uri <- "https://redcap.example.org/api/"
fingerprint <- function(project) view_project_token(project)$fingerprint
print_of <- function(token) {
  Sys.setenv(REDCapSync_PRINT = token)
  on.exit(Sys.unsetenv("REDCapSync_PRINT"))
  fingerprint(setup_project("PRINT", redcap_uri = uri))
}
# R's keyring package, where it can speak to the Secret Service; Debian builds it without libsecret. There libsecret's own
# program does the same, with the same attributes and the same schema.
schema <- c("xdg:schema", "com.rstudio.keyring.password")
if (keyring::backend_secret_service$new()$is_available()) {
  options(keyring_backend = "secret_service")
  theirs <- function(name) tryCatch(keyring::key_get("REDCapSync", name), error = function(e) NA_character_)
  put_by_them <- function(name, value) keyring::key_set_with_value("REDCapSync", name, value)
  listed_by_them <- function() keyring::key_list("REDCapSync")$username
} else {
  tool <- function(..., input = "") {
    suppressWarnings(system2("secret-tool", c(...), stdout = TRUE, stderr = FALSE, input = input))
  }
  theirs <- function(name) {
    found <- tool("lookup", "service", "REDCapSync", "username", name, schema)
    if (length(found) == 1L) as.character(found) else NA_character_
  }
  put_by_them <- function(name, value) {
    pipe <- pipe(paste("secret-tool store --label=REDCapSync service REDCapSync username", name, schema[1], schema[2]), "w")
    cat(value, file = pipe)
    close(pipe)
  }
  listed_by_them <- function() {
    found <- system2("secret-tool", c("search", "--all", "service", "REDCapSync", schema), stdout = TRUE, stderr = TRUE)
    sub("attribute.username = ", "", grep("attribute.username", found, value = TRUE), fixed = TRUE)
  }
}
seen <- list()

# From `.Renviron` into the keyring.
token <- made_up_token()
renviron <- file.path(tempdir(), "Renviron")
writeLines(c("A=1", paste0("REDCapSync_MINE=", token), "B=2"), renviron)
Sys.chmod(renviron, "600")
Sys.setenv(R_ENVIRON_USER = renviron)
readRenviron(renviron)
mine <- setup_project("MINE", redcap_uri = uri)
seen$moved <- isTRUE(move_project_token(mine, "env", "keyring"))
seen$line_is_gone <- identical(readLines(renviron), c("A=1", "B=2"))
seen$variable_is_gone <- is.na(Sys.getenv("REDCapSync_MINE", NA))
seen$found_by_keyring <- identical(theirs("REDCapSync_MINE"), token)
seen$listed_by_keyring <- "REDCapSync_MINE" %in% listed_by_them()
listed <- list_project_tokens(mine)
seen$listed <- identical(listed$store, "keyring") && identical(listed$fingerprint, print_of(token)) &&
  abs(as.numeric(listed$set_on) - as.numeric(Sys.time())) < 60
seen$finished <- isFALSE(move_project_token(mine, "env", "keyring"))

# What R's keyring package wrote, under the token name and under the short name.
token <- made_up_token()
put_by_them("REDCapSync_THEIRS", token)
seen$theirs_is_found <- identical(fingerprint(setup_project("THEIRS", redcap_uri = uri)), print_of(token))
token <- made_up_token()
put_by_them("SHORT", token)
short <- setup_project("SHORT", redcap_uri = uri)
seen$short_is_found <- identical(fingerprint(short), print_of(token))
options(keycap.quiet = FALSE)
told <- utils::capture.output(removed <- remove_project_token(short, "keyring"), type = "message")
options(keycap.quiet = TRUE)
seen$short_is_removed <- isTRUE(removed) && is.na(theirs("SHORT"))
seen$short_is_named <- any(grepl("under `SHORT` from `keyring`", told, fixed = TRUE))

# Under both names, where that is asked for.
options(keycap.keyring.short_name = TRUE)
token <- made_up_token()
writeLines(paste0("REDCapSync_SHORT=", token), renviron)
readRenviron(renviron)
move_project_token(short, "env", "keyring")
seen$both_are_written <- identical(theirs("REDCapSync_SHORT"), token) && identical(theirs("SHORT"), token)

# Another token in its place.
writeLines(paste0("REDCapSync_SHORT=", made_up_token()), renviron)
readRenviron(renviron)
error <- tryCatch(move_project_token(short, "env", "keyring"), keycap_error_store = conditionMessage)
seen$another_is_refused <- is.character(error) && length(gregexpr("kc1:", error, fixed = TRUE)[[1]]) == 2L
move_project_token(short, "env", "keyring", overwrite = TRUE)
seen$both_are_removed <- isTRUE(remove_project_token(short, "keyring")) &&
  is.na(theirs("REDCapSync_SHORT")) && is.na(theirs("SHORT"))

# A keyring of R's that is a file is named where nothing is found.
Sys.unsetenv("REDCapSync_SHORT")
files <- keyring::backend_file$new()
files$keyring_create("system", "a password")
files$set_with_value("REDCapSync", "REDCapSync_SHORT", made_up_token(), keyring = "system")
options(keycap.quiet = FALSE)
told <- paste(utils::capture.output(view_project_token(short), type = "message"), collapse = " ")
seen$file_is_named <- grepl("system.keyring", told, fixed = TRUE) && grepl("does not read", told, fixed = TRUE)

saveRDS(seen, commandArgs(TRUE)[1])
