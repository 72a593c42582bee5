/* The library's registration with R, and the one call in which R may jump. */

#include <R.h>
#include <Rinternals.h>
#include <R_ext/Rdynload.h>
#include <R_ext/Visibility.h>

/* Made by extendr in src/rust/src/lib.rs; they neither raise R errors nor panic. */
SEXP wrap__kc_start(SEXP op, SEXP args, SEXP session);
SEXP wrap__kc_poll(SEXP handle, SEXP wait_ms);
SEXP wrap__kc_cancel(SEXP handle);
SEXP wrap__kc_shutdown(void);
SEXP wrap__kc_selftest(SEXP what, SEXP value);
void keycapr_init(void);

/*
 * An interrupt leaves this function by a jump to R's prompt. It is in C, and called from R between two polls,
 * so that no Rust frame is on the stack whose destructors would be skipped.
 */
static SEXP kc_check_interrupt(void) {
  R_CheckUserInterrupt();
  return R_NilValue;
}

static const R_CallMethodDef routines[] = {
  {"kc_start", (DL_FUNC) &wrap__kc_start, 3},
  {"kc_poll", (DL_FUNC) &wrap__kc_poll, 2},
  {"kc_cancel", (DL_FUNC) &wrap__kc_cancel, 1},
  {"kc_shutdown", (DL_FUNC) &wrap__kc_shutdown, 0},
  {"kc_selftest", (DL_FUNC) &wrap__kc_selftest, 2},
  {"kc_check_interrupt", (DL_FUNC) &kc_check_interrupt, 0},
  {NULL, NULL, 0}
};

void attribute_visible R_init_keycap(DllInfo *dll) {
  keycapr_init();
  R_registerRoutines(dll, NULL, routines, NULL, NULL);
  R_useDynamicSymbols(dll, FALSE);
  R_forceSymbols(dll, TRUE);
}
