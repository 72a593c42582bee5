#' Look for tokens in files
#'
#' @description
#' `scan_for_tokens()` looks for REDCap tokens where none belongs: in scripts and logs, `.Renviron` and `.Rhistory`, saved
#' workspaces and objects, caches of knitr, office files, and in every version that a git repository keeps. It tells
#' where each stands and its fingerprint, and no character of it.
#'
#' A token that is found where others can read it should be regenerated in REDCap: taking it out of a file does not take
#' it from whoever has read it, nor from copies, backups and other clones.
#'
#' @section What is found:
#' * `"token"`: 32 hexadecimal characters, whatever stands around them, whose fingerprint is known: your audit log names
#'   it, or the environment holds it for a project that is set up here. The one in `.Renviron` that a project uses is among
#'   them: [move_project_token()] takes it to a better place.
#' * `"looks like a token"` (64 characters: `"looks like a super token"`): a run of exactly that many hexadecimal characters
#'   that is not known, in upper case, as REDCap shows tokens, or in any letter case behind a word with `token`, `redcap`,
#'   `api_key` or `apikey` in it, such as `api_token: "..."`. At least 8 of the characters differ, and no 8 in a row are the same
#'   or counted up, so samples are not told of. MD5 sums are none as long as they are written in lower case, and behind another
#'   word.
#'
#' Where the institution has set a form of its own (`token_form`, see [keycap_settings]), tokens of that form are found if
#' they are known, or stand behind such a word.
#'
#' @section What is read:
#' Files of any kind, byte by byte, also as UTF-16; what is compressed with gzip (`.rds`, `.RData`), as zip (`.xlsx`,
#' `.docx`) or in a database of R's (`.rdb`, as knitr's cache has it). A repository's objects are read by `git`, also those
#' that no branch has any more; nothing is written or fetched. Of a file, no more than 1 GiB is read, compressed or not.
#' Symbolic links in a folder are not followed. What is not read is told, with the reason: bzip2, xz, zstd, 7z and rar,
#' what is encrypted, objects of more than 64 MiB, and what the system refuses. Streams inside PDF files and pictures are
#' looked at as they are, which finds nothing in what is compressed there.
#'
#' @param paths Files and folders, each with all that is in it. `NULL`: the working folder, the folders of the projects that
#'   are set up, and your own `.Renviron`, `.Rprofile`, `.Rhistory`, `.RData`, the histories and start-up files of shells, and
#'   what RStudio keeps.
#'
#' @returns
#' A data frame with one row for each place: `path`; `inside`, the git object or the archive's member; `line`, `NA` in what
#' is no text; `offset`, the number of bytes before it, after what is compressed was undone; `what`; `project`, whose token it
#' is; `fingerprint`. `attr(, "not_read")` is a data frame with `path` and `reason`, and `attr(, "files")` the number of
#' files that were looked into.
#' @seealso [set_project_token()] and [move_project_token()] for where tokens belong; `exec/keycap scan` does it from the
#'   shell, with an exit code.
#' @examples
#' sandbox <- start_sandbox()
#' folder <- tempfile()
#' dir.create(folder)
#'
#' # A token made up for this example, in a script and in a saved object.
#' made_up <- paste(sample(c(0:9, LETTERS[1:6]), 32, replace = TRUE), collapse = "")
#' writeLines(c("library(httr2)", sprintf('token <- "%s"', made_up)), file.path(folder, "export.R"))
#' connection <- list(url = "https://redcap.example.org", token = made_up)
#' saveRDS(connection, file.path(folder, "connection.rds"))
#'
#' found <- scan_for_tokens(folder)
#' data.frame(file = basename(found$path), line = found$line, what = found$what)
#' attr(found, "not_read")
#'
#' stop_sandbox(sandbox)
#' @export
scan_for_tokens <- function(paths = NULL) {
  call <- quote(scan_for_tokens())
  more <- Sys.getenv(c("R_ENVIRON_USER", "R_PROFILE_USER", "R_HISTFILE", "HISTFILE"), names = FALSE)
  args <- list(
    paths = as.list(check_paths(paths, "paths", call)),
    home = absolute_path(Sys.getenv("HOME", "~")),
    folder = getwd(),
    more = as.list(vapply(more[nzchar(more)], absolute_path, "", USE.NAMES = FALSE))
  )
  answer <- core_call("scan_for_tokens", args, call)
  # An empty table must not look like a clean folder where nothing was read.
  if (nrow(answer$unread) > 0L) {
    first <- answer$unread[seq_len(min(3L, nrow(answer$unread))), ]
    more <- nrow(answer$unread) - nrow(first)
    say_hints(c(
      sprintf("not read: %s (%s)", first$path, first$reason),
      if (more > 0L) sprintf("and %d more: see `attr(, \"not_read\")`", more)
    ))
  }
  structure(answer$findings, not_read = answer$unread, files = answer$files)
}
