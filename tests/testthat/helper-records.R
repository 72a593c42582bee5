# A server that answers as REDCap's project and dictionary, and gives any bytes for records: what no sandbox sends.

# Columns that the dictionary of such a server knows: `id`, and one of each kind.
fields_served <- '[
  {"field_name":"id","form_name":"f","field_type":"text"},
  {"field_name":"age","form_name":"f","field_type":"text","text_validation_type_or_show_slider_number":"integer"},
  {"field_name":"weight","form_name":"f","field_type":"text","text_validation_type_or_show_slider_number":"number"},
  {"field_name":"comma","form_name":"f","field_type":"text",
   "text_validation_type_or_show_slider_number":"number_comma_decimal"},
  {"field_name":"day","form_name":"f","field_type":"text","text_validation_type_or_show_slider_number":"date_dmy"},
  {"field_name":"moment","form_name":"f","field_type":"text",
   "text_validation_type_or_show_slider_number":"datetime_ymd"},
  {"field_name":"second","form_name":"f","field_type":"text",
   "text_validation_type_or_show_slider_number":"datetime_seconds_mdy"},
  {"field_name":"time","form_name":"f","field_type":"text","text_validation_type_or_show_slider_number":"time"},
  {"field_name":"yes","form_name":"f","field_type":"yesno"},
  {"field_name":"box","form_name":"f","field_type":"checkbox","select_choices_or_calculations":"1, one | -2, minus"},
  {"field_name":"grade","form_name":"f","field_type":"radio",
   "select_choices_or_calculations":"3, three | 1, one | 8, other | 9, other"},
  {"field_name":"letter","form_name":"f","field_type":"dropdown","select_choices_or_calculations":"A, a, b | B, b"},
  {"field_name":"note","form_name":"f","field_type":"notes"}]'

# `record` is what follows the head of the answer to `record` and `report`: raw bytes, a text, or a function of the
# request's body and its number that gives one of these or an `http()` answer as text. `repeated` bytes follow so
# many times, with a pause between them. `missing` bytes of the length that is announced do not come; without
# `length` none is. Returns also what was asked.
local_redcap <- function(record, repeated = raw(), times = 0, pause = 0, missing = 0, length = TRUE,
                         short_name = "SERVED", frame = parent.frame()) {
  dir <- withr::local_tempdir("redcap", .local_envir = frame)
  if (is.function(record)) environment(record) <- list2env(as.list(environment(record)), parent = baseenv())
  answers <- list(
    record = record, repeated = repeated, times = times, pause = pause, missing = missing, length = length,
    metadata = fields_served, project = '{"project_id":7,"missing_data_codes":"UNK, Unknown | -99, Not asked"}'
  )
  process <- callr::r_bg(serve_redcap, list(answers, dir), package = FALSE)
  withr::defer(process$kill(), envir = frame)
  wait_for(file.exists(file.path(dir, "port")) || !process$is_alive())
  uri <- sprintf("http://127.0.0.1:%s/api/", readLines(file.path(dir, "port")))
  withr::local_envvar(stats::setNames(made_up_token(), paste0("REDCapSync_", short_name)), .local_envir = frame)
  asked <- function() {
    bodies <- readLines(file.path(dir, "asked"), warn = FALSE)
    grep("content=(record|report)", utils::URLdecode(bodies), value = TRUE)
  }
  list(uri = uri, asked = asked, project = local_project(uri, short_name, overwrite = TRUE, frame = frame))
}

serve_redcap <- function(answers, dir) {
  server <- NULL
  while (is.null(server)) {
    port <- sample(20000:60000, 1)
    server <- tryCatch(serverSocket(port), error = function(e) NULL)
  }
  file.create(file.path(dir, "asked"))
  writeLines(as.character(port), file.path(dir, "port~"))
  file.rename(file.path(dir, "port~"), file.path(dir, "port"))
  head <- function(status, length) {
    lines <- c(sprintf("HTTP/1.1 %d Answer", status), "Content-Type: text/csv; charset=utf-8", "Connection: close")
    lines <- c(lines, if (!is.null(length)) sprintf("Content-Length: %.0f", length))
    charToRaw(paste0(paste(lines, collapse = "\r\n"), "\r\n\r\n"))
  }
  read <- function(connection) {
    head <- raw()
    while (!grepl("\r\n\r\n", rawToChar(head), fixed = TRUE)) {
      byte <- readBin(connection, "raw", 1)
      if (!base::length(byte)) return(NULL)
      head <- c(head, byte)
    }
    length <- regmatches(rawToChar(head), regexec("content-length: *([0-9]+)", rawToChar(head), ignore.case = TRUE))
    rawToChar(readBin(connection, "raw", as.integer(length[[1]][2])))
  }
  records <- 0
  # R only warns when the other end is closed.
  options(warn = 2)
  repeat {
    connection <- tryCatch(socketAccept(server, open = "r+b", blocking = TRUE, timeout = 600), error = function(e) NULL)
    if (is.null(connection)) next
    try({
      body <- read(connection)
      if (!is.null(body)) {
        cat(body, "\n", sep = "", file = file.path(dir, "asked"), append = TRUE)
        content <- sub("&.*", "", sub(".*content=", "", body))
        if (content %in% c("project", "metadata")) {
          answer <- charToRaw(answers[[content]])
          writeBin(c(head(200, base::length(answer)), answer), connection)
        } else {
          records <- records + 1
          record <- answers$record
          if (is.function(record)) record <- record(utils::URLdecode(body), records)
          record <- if (is.raw(record)) record else charToRaw(enc2utf8(record))
          if (identical(rawToChar(record[seq_len(min(5, base::length(record)))]), "HTTP/")) {
            writeBin(record, connection)
          } else {
            size <- base::length(record) + answers$times * base::length(answers$repeated) + answers$missing
            writeBin(head(200, if (answers$length) size), connection)
            writeBin(record, connection)
            sent <- 0
            while (sent < answers$times) {
              writeBin(answers$repeated, connection)
              Sys.sleep(answers$pause)
              sent <- sent + 1
            }
          }
        }
      }
    }, silent = TRUE)
    try(close(connection), silent = TRUE)
  }
}

# The export of a text or of bytes, without a warning about what does not fit.
served <- function(record, ..., frame = parent.frame()) {
  server <- local_redcap(record, frame = frame)
  withCallingHandlers(
    export_records(server$project, ...),
    keycap_warning_conversion = function(w) invokeRestart("muffleWarning")
  )
}

lines_of <- function(...) paste0(paste(c(...), collapse = "\n"), "\n")
