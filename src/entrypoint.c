/* The library's registration with R, and what R may jump out of. */

#include <R.h>
#include <Rinternals.h>
#include <R_ext/Rdynload.h>
#include <R_ext/Visibility.h>
#include "within.h"

/* Made by extendr in src/rust/src/lib.rs; they neither raise R errors nor panic. */
SEXP wrap__kc_start(SEXP op, SEXP args, SEXP session);
SEXP wrap__kc_poll(SEXP handle, SEXP wait_ms);
SEXP wrap__kc_cancel(SEXP handle);
SEXP wrap__kc_shutdown(void);
SEXP wrap__kc_selftest(SEXP what, SEXP value);
SEXP wrap__kc_no_memory(void);
SEXP wrap__kc_unreadable(void);
void keycapr_init(void);

/* A call into Rust, and where it is. */
struct call { int arguments; SEXP (*rust)(void); SEXP argument[3]; int reading; };

/* Lists in lists; Rust reads them frame by frame. */
#define DEEPEST 200

/*
 * What R makes only when it is asked for (ALTREP) is made here, in C: it may allocate, or fail, and that is a jump.
 * Rust then finds ordinary vectors.
 */
static void read_ahead(SEXP x, int depth) {
  static const char *const with[] = {"names", "levels", "class"};
  R_xlen_t length = Rf_xlength(x);
  if (depth > DEEPEST) Rf_error("too deep");
  if (depth > 0) {
    for (size_t i = 0; i < sizeof(with) / sizeof(*with); i++) {
      read_ahead(Rf_getAttrib(x, Rf_install(with[i])), 0);
    }
  }
  switch (TYPEOF(x)) {
    case LGLSXP: (void) LOGICAL_RO(x); break;
    case INTSXP: (void) INTEGER_RO(x); break;
    case REALSXP: (void) REAL_RO(x); break;
    case STRSXP:
      if (ALTREP(x)) for (R_xlen_t i = 0; i < length; i++) (void) STRING_ELT(x, i);
      break;
    case VECSXP:
      for (R_xlen_t i = 0; i < length; i++) read_ahead(VECTOR_ELT(x, i), depth + 1);
      break;
    default: break;
  }
}

static SEXP called(void *data) {
  struct call *call = data;
  SEXP *a = call->argument;
  call->reading = 1;
  for (int i = 0; i < call->arguments; i++) read_ahead(a[i], 1);
  call->reading = 0;
  SEXP answer = R_NilValue;
  switch (call->arguments) {
    case 0: answer = call->rust(); break;
    case 1: answer = ((SEXP (*)(SEXP)) call->rust)(a[0]); break;
    case 2: answer = ((SEXP (*)(SEXP, SEXP)) call->rust)(a[0], a[1]); break;
    case 3: answer = ((SEXP (*)(SEXP, SEXP, SEXP)) call->rust)(a[0], a[1], a[2]); break;
  }
  kc_go_on();
  return answer;
}

static SEXP failed(SEXP condition, void *data) {
  return ((struct call *) data)->reading ? wrap__kc_unreadable() : wrap__kc_no_memory();
}

/* An error of R's becomes an answer like any other, silently. */
static SEXP answered(struct call call) {
  return R_tryCatchError(called, &call, failed, &call);
}

static SEXP kc_start(SEXP op, SEXP args, SEXP session) {
  return answered((struct call) {3, (SEXP (*)(void)) wrap__kc_start, {op, args, session}, 0});
}

static SEXP kc_poll(SEXP handle, SEXP wait_ms) {
  return answered((struct call) {2, (SEXP (*)(void)) wrap__kc_poll, {handle, wait_ms}, 0});
}

static SEXP kc_cancel(SEXP handle) {
  return answered((struct call) {1, (SEXP (*)(void)) wrap__kc_cancel, {handle}, 0});
}

static SEXP kc_shutdown(void) {
  return answered((struct call) {0, (SEXP (*)(void)) wrap__kc_shutdown, {NULL}, 0});
}

static SEXP kc_selftest(SEXP what, SEXP value) {
  return answered((struct call) {2, (SEXP (*)(void)) wrap__kc_selftest, {what, value}, 0});
}

/*
 * An interrupt leaves this function by a jump to R's prompt. It is in C, and called from R between two polls,
 * so that no Rust frame is on the stack whose destructors would be skipped.
 */
static SEXP kc_check_interrupt(void) {
  R_CheckUserInterrupt();
  return R_NilValue;
}

static const R_CallMethodDef routines[] = {
  {"kc_start", (DL_FUNC) &kc_start, 3},
  {"kc_poll", (DL_FUNC) &kc_poll, 2},
  {"kc_cancel", (DL_FUNC) &kc_cancel, 1},
  {"kc_shutdown", (DL_FUNC) &kc_shutdown, 0},
  {"kc_selftest", (DL_FUNC) &kc_selftest, 2},
  {"kc_check_interrupt", (DL_FUNC) &kc_check_interrupt, 0},
  {NULL, NULL, 0}
};

void attribute_visible R_init_keycap(DllInfo *dll) {
  keycapr_init();
  kc_within_init();
  R_registerRoutines(dll, NULL, routines, NULL, NULL);
  R_useDynamicSymbols(dll, FALSE);
  R_forceSymbols(dll, TRUE);
}
