# One client in one fresh R process: makes the same data frame several times and says how long each took. Run by run.py:
#
#   Rscript --vanilla worker.R JOB ADDRESS FILE TIMES
#
# Prints a line of JSON for each time: seconds by the clock, seconds of CPU (all threads of this process), and for the
# first one the peak of memory above what R had before, and the size of the data frame. Nothing is compiled or loaded
# while the clock runs, and R's garbage of the time before is gone.
args <- commandArgs(TRUE)
job <- args[1]
address <- args[2]
file <- args[3]
times <- as.integer(args[4])
form <- "token=FA4EFA4EFA4EFA4EFA4EFA4EFA4EFA4E&content=record&format=csv&type=flat"
download <- tempfile(fileext = ".csv")

memory <- function(what) {
  line <- grep(what, readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("\\D", "", line)) / 1024
}

keycap <- function(to) {
  Sys.setenv(REDCapSync_BENCH = strrep("FA4EFA4E", 4))
  home <- tempfile("keycap")
  Sys.setenv(R_USER_CONFIG_DIR = home, R_USER_DATA_DIR = home, R_USER_CACHE_DIR = home)
  options(keycap.quiet = TRUE)
  project <- keycap::setup_project("BENCH", redcap_uri = address)
  # The audit log is on, in a folder of this run's own.
  function() keycap::export_records(project, to = to, overwrite = !is.null(to))
}

make <- switch(
  job,
  keycap = keycap(NULL),
  keycap_file = keycap(download),
  # As many threads as data.table takes by itself: half of the processors.
  fread = {
    loadNamespace("data.table")
    function() data.table::fread(file, encoding = "UTF-8", data.table = FALSE)
  },
  fread_all = {
    data.table::setDTthreads(parallel::detectCores())
    function() data.table::fread(file, encoding = "UTF-8", data.table = FALSE)
  },
  readr = {
    loadNamespace("readr")
    function() readr::read_csv(file, show_col_types = FALSE, progress = FALSE)
  },
  curl_fread = {
    loadNamespace("data.table")
    handle <- curl::new_handle()
    function() {
      curl::handle_setopt(handle, copypostfields = form)
      curl::curl_fetch_disk(address, download, handle)
      data.table::fread(download, encoding = "UTF-8", data.table = FALSE)
    }
  },
  httr2_readr = {
    loadNamespace("readr")
    function() {
      request <- httr2::req_body_raw(httr2::request(address), form, "application/x-www-form-urlencoded")
      readr::read_csv(I(httr2::resp_body_string(httr2::req_perform(request))), show_col_types = FALSE, progress = FALSE)
    }
  }
)

for (time in seq_len(times)) {
  invisible(gc())
  # The kernel's mark of the highest use is set back to what is used now.
  cat("5", file = "/proc/self/clear_refs")
  before <- memory("VmRSS")
  cpu <- sum(proc.time()[1:2])
  # To the microsecond, where proc.time() has milliseconds.
  begin <- as.numeric(Sys.time())
  data <- make()
  took <- as.numeric(Sys.time()) - begin
  cpu <- sum(proc.time()[1:2]) - cpu
  peak <- memory("VmHWM") - before
  size <- if (is.data.frame(data)) as.numeric(utils::object.size(data)) / 2^20 else 0
  shape <- if (is.data.frame(data)) dim(data) else c(0, 0)
  line <- sprintf(
    "{\"seconds\": %.6f, \"cpu\": %.3f, \"peak\": %.2f, \"frame\": %.2f, \"rows\": %d, \"columns\": %d}\n",
    took, cpu, peak, size, shape[1], shape[2]
  )
  cat(line)
  data <- NULL
  unlink(download)
}
