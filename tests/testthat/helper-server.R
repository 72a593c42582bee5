# A listener on loopback in a process of its own, which counts what arrives. `answer(body, n)` gives the whole HTTP
# answer to the n-th request as one text; without it the listener hears and never answers.
local_server <- function(answer = NULL, frame = parent.frame()) {
  files <- file.path(withr::local_tempdir("server", .local_envir = frame), c("port", "heard", "connections"))
  process <- callr::r_bg(serve, list(answer, files[1], files[2], files[3]), package = FALSE)
  withr::defer(process$kill(), envir = frame)
  wait_for(file.exists(files[1]) || !process$is_alive())
  port <- as.integer(readLines(files[1]))
  list(
    port = port,
    uri = sprintf("http://127.0.0.1:%d/api/", port),
    bytes = function() file.size(files[2]),
    heard = function() rawToChar(readBin(files[2], "raw", file.size(files[2]))),
    connections = function() length(readLines(files[3])),
    files = files
  )
}

serve <- function(answer, port_file, heard, connections) {
  server <- NULL
  while (is.null(server)) {
    port <- sample(20000:60000, 1)
    server <- tryCatch(serverSocket(port), error = function(e) NULL)
  }
  file.create(heard, connections)
  writeLines(as.character(port), paste0(port_file, "~"))
  file.rename(paste0(port_file, "~"), port_file)
  whole <- function(request) {
    text <- rawToChar(request[request != 0])
    head <- regexpr("\r\n\r\n", text, fixed = TRUE)
    length <- regmatches(text, regexec("content-length: *([0-9]+)", text, ignore.case = TRUE))[[1]][2]
    if (head > 0 && nchar(text, "bytes") >= head + 3 + as.integer(length)) substring(text, head + 4)
  }
  n <- 0
  repeat {
    connection <- tryCatch(socketAccept(server, blocking = FALSE, open = "r+b", timeout = 600), error = function(e) NULL)
    if (is.null(connection)) next
    n <- n + 1
    cat("accepted\n", file = connections, append = TRUE)
    request <- raw()
    repeat {
      if (!socketSelect(list(connection), FALSE, 600)) break
      chunk <- tryCatch(readBin(connection, "raw", 65536), error = function(e) raw())
      if (length(chunk) == 0) break
      log <- file(heard, "ab")
      writeBin(chunk, log)
      close(log)
      request <- c(request, chunk)
      body <- whole(request)
      if (!is.null(body) && !is.null(answer)) {
        try(writeBin(charToRaw(answer(body, n)), connection), silent = TRUE)
        break
      }
    }
    close(connection)
  }
}

# One HTTP answer as text, for `answer` functions (which run in another process: they get it as an argument).
http <- function(status, body = "", type = "text/html", headers = character()) {
  head <- c(
    sprintf("HTTP/1.1 %d Answer", status),
    sprintf("Content-Type: %s", type),
    sprintf("Content-Length: %d", nchar(body, "bytes")),
    "Connection: close",
    headers
  )
  paste0(paste(head, collapse = "\r\n"), "\r\n\r\n", body)
}

# A server that always gives the same answer.
local_answer <- function(..., frame = parent.frame()) {
  text <- http(...)
  local_server(always(text), frame = frame)
}

always <- function(text) {
  answer <- function(body, n) text
  environment(answer) <- list2env(list(text = text), parent = baseenv())
  answer
}

wait_for <- function(condition, seconds = 20) {
  condition <- substitute(condition)
  frame <- parent.frame()
  end <- Sys.time() + seconds
  while (!isTRUE(eval(condition, frame))) {
    if (Sys.time() > end) stop("waited in vain for ", deparse1(condition))
    Sys.sleep(0.02)
  }
}
