#' keycap: REDCap API tokens by name, sealed from R
#'
#' R code names a token; the compiled core finds it, makes the call to REDCap, wipes the token from memory and
#' writes an audit entry. R never holds the token.
#'
#' @section Options:
#' `keycap.quiet`: when `TRUE`, remarks on the way are not shown; warnings and errors are. `keycap.progress`: whether an
#' export shows its progress, which it does otherwise in an interactive session.
#'
#' @keywords internal
#' @useDynLib keycap, .registration = TRUE, .fixes = "C_"
"_PACKAGE"

.onUnload <- function(libpath) {
  stop_all_sandboxes()
  # Code that a thread still runs (a look-up of a host cannot be cancelled) must stay in memory.
  if (isTRUE(kc_shutdown()$value)) {
    library.dynam.unload("keycap", libpath)
  }
}
