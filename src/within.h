#ifndef KEYCAP_WITHIN_H
#define KEYCAP_WITHIN_H

#include <stddef.h>
#include <R.h>
#include <Rinternals.h>

void kc_within_init(void);
/* Lets the jump go on that waits, if there is one. No Rust frame may be on the stack above R's. */
void kc_go_on(void);
SEXP kc_vector(unsigned int type, R_xlen_t length);
int kc_fill(SEXP column, const unsigned int *ids, size_t rows, const char *text, const size_t *ends, size_t count);
SEXP kc_attribute(SEXP object, const char *name, SEXP value);

#endif
