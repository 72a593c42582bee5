#' Sign how far the audit log is
#'
#' @description
#' `checkpoint_audit_log()` signs the number of entries in the audit log and the hash of the last one. Kept where the
#' log's writer cannot reach it, that shows later whether anything before it was altered, cut off or written anew.
#' Printed (`print = TRUE`), the note can be put into the trial master file.
#'
#' The note goes to each of the anchors of the settings too. An *anchor* is a place that keeps notes outside the user's
#' reach: a file elsewhere that can only be appended to, or a program that takes the note on its standard input.
#'
#' @section Anchors:
#' They are named in a settings file (yours, or the institution's; see [keycap_settings]), any number of them:
#'
#' ```
#' checkpoint_every_entries = 1000   # the built-in values, where there is an anchor
#' checkpoint_every_hours = 24
#' anchor_limit_hours = 72           # past that without an anchor, calls are refused; no limit by default
#' anchor_limit_entries = 20000
#'
#' [[anchors]]
#' name = "audit share"
#' file = "/mnt/audit/keycap-notes"
#'
#' [[anchors]]
#' name = "object lock"
#' command = ["aws", "s3api", "put-object", "--bucket", "audit", "--key", "{origin}/{entries}", "--body", "{file}"]
#' read = ["/usr/local/bin/keycap-notes", "{origin}"]
#' timeout = 10
#'
#' [[anchors]]
#' command = ["logger", "-t", "keycap", "-p", "auth.notice"]
#' ```
#'
#' A file has to be there: keycap does not make it, since the folder of a share that is not mounted looks like any other.
#' It should be one that the user may append to and not change (`chattr +a`, or a share with such rights). In a command,
#' `{origin}` stands for the name of the log, `{entries}` for its number of entries, and `{file}` for a file with the
#' note. There is no shell. What `read` prints is taken for the anchor's notes by [verify_audit_log()].
#'
#' Where there is an anchor, checkpoints are taken by themselves, at the end of an operation: after
#' `checkpoint_every_entries` entries or `checkpoint_every_hours` hours. That holds an operation up by 10 seconds at most.
#' When an anchor is out of reach, the notes wait in the file `....checkpoints` beside the log, you get a warning, and the
#' log an entry; the anchor gets all of them when it is back. One anchor in reach is enough. Where the institution sets
#' `anchor_limit_hours` or `anchor_limit_entries` and no anchor kept a note for that long, calls are refused with
#' `keycap_error_audit`, after one more try.
#'
#' @section The key:
#' It is made at the first checkpoint, and kept in the first store of the setting `stores` that takes it (a keyring,
#' HashiCorp Vault, ...) under the name `keycap_audit_key_<user>_<host>`; where none does, in a file of mode 0600 beside
#' your settings. `audit_key_store` names another store, or `"file"`. The public key is in `....pub` beside the log, as PEM
#' and as a verifier key.
#'
#' What a signature proves depends on that place. With the key in a file or in a keyring that is unlocked, whoever works
#' under the user's account can sign anything: then the signature says that keycap of this user and host made the note,
#' and only the anchor says when. With the key in a vault whose own log shows each reading of it, there is a trace
#' elsewhere of each checkpoint that was signed.
#'
#' With `new_key = TRUE` a new key takes over. The note then names the new key and is signed by both: who trusts the old
#' key can trust the new one.
#'
#' @param print `TRUE` to print the note.
#' @param new_key `TRUE` to make a new signing key, which the old one vouches for.
#' @param sandbox `TRUE` for the log of this session's sandboxes. Its key is gone with the session, and its notes go to
#'   no anchor.
#'
#' @returns
#' Invisibly, a list of class `keycap_checkpoint`: `note`, the signed note; `origin`, `entries` and `hash`, what it says;
#' `key`, the public key; `public_file`; `kept_in`, the store that has the signing key, or `"file"`; and `anchors`, a data
#' frame with `anchor`, `kept` and `reason`.
#' @seealso [verify_audit_log()], which takes notes; the vignette "Audit"; `system.file("audit", package = "keycap")` for
#'   the format and two verifiers that need neither keycap nor R.
#' @examples
#' sandbox <- start_sandbox()
#' project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
#' test_project_token(project)
#'
#' checkpoint <- checkpoint_audit_log(sandbox = TRUE)
#' checkpoint
#'
#' # Kept elsewhere, the note shows later that nothing before it was altered.
#' elsewhere <- tempfile()
#' writeLines(enc2utf8(checkpoint$note), elsewhere, sep = "", useBytes = TRUE)
#' verify_audit_log(anchors = elsewhere, sandbox = TRUE)
#'
#' stop_sandbox(sandbox)
#' @export
checkpoint_audit_log <- function(print = FALSE, new_key = FALSE, sandbox = FALSE) {
  call <- quote(checkpoint_audit_log())
  print <- check_flag(print, "print", call)
  args <- list(
    new_key = check_flag(new_key, "new_key", call),
    sandbox = check_flag(sandbox, "sandbox", call)
  )
  taken <- structure(core_call("checkpoint_audit_log", args, call), class = "keycap_checkpoint")
  lost <- taken$anchors[!taken$anchors$kept, ]
  if (nrow(lost) > 0L) {
    text <- sprintf("the anchor `%s` is out of reach, so the checkpoint waits: %s", lost$anchor, lost$reason)
    rlang::warn(paste(one_line(text), collapse = "\n"), class = "keycap_warning", use_cli_format = FALSE)
  }
  if (print) print(taken)
  invisible(taken)
}

#' @export
format.keycap_checkpoint <- function(x, ...) {
  c("keycap: checkpoint of an audit log", "", strsplit(x$note, "\n", fixed = TRUE)[[1]], "", paste("public key:", x$key))
}

#' @export
print.keycap_checkpoint <- function(x, ...) {
  cat(format(x), sep = "\n")
  invisible(x)
}
