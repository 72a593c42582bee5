#' keycap: REDCap API tokens by name, sealed from R
#'
#' R code names a token; the compiled core finds it, makes the call to REDCap, wipes the token from memory and
#' writes an audit entry. R never holds the token.
#'
#' @section Where to begin:
#' 1. [start_sandbox()]: a server on this machine that answers as REDCap's API does, with made-up projects. Try
#'    everything there first.
#' 2. [setup_project()]: write a project down, with its server and the *name* of its token. Then store the token
#'    under that name: `vignette("tokens", package = "keycap")` tells where and how.
#' 3. [view_project_token()]: what is stored under the name, without a character of it; nothing is sent.
#' 4. [test_project_token()]: does REDCap take it, and which project does it open?
#'
#' `vignette("exports", package = "keycap")` goes on from there. `vignette("stores", package = "keycap")` has a page for
#' each place where tokens can live, `vignette("governance", package = "keycap")` is about rights, rotation and policies.
#'
#' @section Functions by task:
#' - Projects: [setup_project()], [load_project()], [get_projects()], [delete_project()].
#' - Tokens: [view_project_token()], [test_project_token()], and [test_project_tokens()] for those of many projects.
#' - Where tokens are kept: [set_project_token()], [move_project_token()], [remove_project_token()],
#'   [list_project_tokens()]; [stores()], [configure_stores()]. [rotate_project_token()] replaces one.
#' - What tokens may and must: [setup_projects()] for the sites of a study, [check_project_rights()],
#'   [check_project_dag()], [declare_account()]; [set_policy()], [token_policy()], [policy_status()],
#'   [reauthorize_project()].
#' - Records: [export_records()], [export_report()], [conversion_problems()], and [export_many()] for many projects;
#'   [keycap_types] has the types of their columns. [import_records()] shows first what would change.
#' - What a project is: [project_info()], [export_metadata()], [export_instruments()], [export_users()],
#'   [export_log()], [next_record_name()], [redcap_version()].
#' - Files: [export_file()].
#' - The audit log: [audit_log()], [verify_audit_log()], [archive_audit_log()]; [reconcile_audit_log()] sets it
#'   against REDCap's own.
#' - Tokens that lie about in files: [scan_for_tokens()].
#' - Everything else that REDCap's API can do: [redcap_call()].
#' - A server to try with: [start_sandbox()], [stop_sandbox()], [run_sandbox()]; its administrator:
#'   [sandbox_issue_token()] and its kin.
#'
#' @section When something goes wrong:
#' Each error says what happened and what to do; [keycap_conditions] lists their classes. [keycap_settings] has the
#' settings: certificates of your institution, time-outs, the limit of calls, the audit log.
#'
#' @section What is protected:
#' `vignette("protection", package = "keycap")`: each claim with the test that holds it, and the limits in plain
#' words.
#'
#' @section Options:
#' `keycap.quiet`: when `TRUE`, remarks on the way are not shown; warnings and errors are. `keycap.progress`: whether an
#' export shows its progress, which it does otherwise in an interactive session.
#'
#' @useDynLib keycap, .registration = TRUE, .fixes = "C_"
"_PACKAGE"

# When R ends, outcomes of calls that were interrupted may still wait for the audit log.
.onLoad <- function(libname, pkgname) {
  the$script <- started_with()
  reg.finalizer(the, function(the) if (!isTRUE(the$unloaded)) kc_shutdown(), onexit = TRUE)
}

.onUnload <- function(libpath) {
  the$unloaded <- TRUE
  stop_all_sandboxes()
  # Code that a thread still runs (a look-up of a host cannot be cancelled) must stay in memory.
  if (isTRUE(kc_shutdown()$value)) {
    library.dynam.unload("keycap", libpath)
  }
}
