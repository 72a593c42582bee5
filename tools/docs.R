# Writes man/ and NAMESPACE from the comments in R/. The package is installed already, so it is not built again.
roxygen2::roxygenise(".", load_code = roxygen2::load_installed)
