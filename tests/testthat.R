library(testthat)
library(keycap)

test_check("keycap")
