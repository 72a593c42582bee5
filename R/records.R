# An export of the core's as a data frame; what did not fit the type of its column comes along.
as_export <- function(answer) {
  structure(answer$data, keycap_problems = answer$problems)
}
