# The doors into the compiled library, one line for each routine that src/entrypoint.c registers. Kept by hand.
# Each but the last answers with a list whose `kind` says what the rest holds; none raises an error.

kc_start <- function(op, args, session) .Call(C_kc_start, op, args, session)
kc_poll <- function(handle, wait_ms) .Call(C_kc_poll, handle, wait_ms)
kc_cancel <- function(handle) .Call(C_kc_cancel, handle)
kc_shutdown <- function() .Call(C_kc_shutdown)
kc_selftest <- function(what, value) .Call(C_kc_selftest, what, value)
kc_check_interrupt <- function() .Call(C_kc_check_interrupt)
