/*
 * What R allocates for keycap's answers. R tells by a jump that it has no memory, and a jump over Rust's frames skips
 * their destructors. Each function here ends such a jump where it began: it returns NULL, Rust unwinds its own frames,
 * and `kc_called()` in entrypoint.c lets the jump go on behind them. In the frames that R jumps over is C only.
 */

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include "within.h"

static SEXP token;

/* Whether a jump waits for Rust's frames to be gone. */
static int waiting = 0;

void kc_within_init(void) {
  token = R_MakeUnwindCont();
  R_PreserveObject(token);
}

static void back(void *place, Rboolean jump) {
  if (jump) longjmp(*(jmp_buf *) place, 1);
}

static SEXP within(SEXP (*body)(void *), void *data) {
  jmp_buf place;
  if (setjmp(place)) {
    waiting = 1;
    return NULL;
  }
  return R_UnwindProtect(body, data, back, &place, token);
}

void kc_go_on(void) {
  if (waiting) {
    waiting = 0;
    R_ContinueUnwind(token);
  }
}

struct vector { unsigned int type; R_xlen_t length; };

static SEXP make_vector(void *data) {
  struct vector *wanted = data;
  return Rf_allocVector(wanted->type, wanted->length);
}

/* A new vector, not protected. */
SEXP kc_vector(unsigned int type, R_xlen_t length) {
  struct vector wanted = {type, length};
  return within(make_vector, &wanted);
}

struct texts { SEXP column; const unsigned int *ids; size_t rows; const char *text; const size_t *ends; size_t count; SEXP *made; };

static SEXP fill_texts(void *data) {
  struct texts *from = data;
  for (size_t row = 0; row < from->rows; row++) {
    size_t id = from->ids[row];
    SEXP text = NA_STRING;
    if (id < from->count) {
      text = from->made[id];
      if (text == NULL) {
        size_t begin = id == 0 ? 0 : from->ends[id - 1];
        text = Rf_mkCharLenCE(from->text + begin, (int) (from->ends[id] - begin), CE_UTF8);
        /* The column points to it before R allocates again, and so keeps it alive. */
        from->made[id] = text;
      }
    }
    SET_STRING_ELT(from->column, (R_xlen_t) row, text);
  }
  return from->column;
}

/*
 * Fills a character vector of at least `rows` elements: `ids` are places in a dictionary of `count` texts, UTF-8
 * without NUL and none longer than R's texts may be, and any other place is NA. 0 is done, 1 no memory here, 2 R's jump.
 */
int kc_fill(SEXP column, const unsigned int *ids, size_t rows, const char *text, const size_t *ends, size_t count) {
  struct texts from = {column, ids, rows, text, ends, count, NULL};
  from.made = calloc(count + 1, sizeof(SEXP));
  if (from.made == NULL) return 1;
  SEXP done = within(fill_texts, &from);
  free(from.made);
  return done == NULL ? 2 : 0;
}

struct attribute { SEXP object; const char *name; SEXP value; };

static SEXP set_attribute(void *data) {
  struct attribute *set = data;
  Rf_setAttrib(set->object, Rf_install(set->name), set->value);
  return set->object;
}

/* Both objects are protected; the name is keycap's own. */
SEXP kc_attribute(SEXP object, const char *name, SEXP value) {
  struct attribute set = {object, name, value};
  return within(set_attribute, &set);
}
