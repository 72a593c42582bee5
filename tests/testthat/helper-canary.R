# A canary: a token made for this run, put where a user would put it. Nothing that keycap shows, returns, raises or
# writes may hold 8 characters of it in a row, in any letter case.

# The parts of 8 characters of one or more tokens that stand in `text` (texts, or raw bytes). Tokens are made of
# hexadecimal digits, so only runs of these are looked at.
hits <- function(text, token) {
  bytes <- if (is.raw(text)) text else charToRaw(paste(text, collapse = "\n"))
  bytes[bytes == 0] <- as.raw(0x20)
  text <- rawToChar(bytes)
  runs <- regmatches(text, gregexpr("[0-9A-Fa-f]{8,}", text, perl = TRUE, useBytes = TRUE))[[1]]
  as.character(intersect(unlist(lapply(tolower(token), parts)), unlist(lapply(tolower(runs), parts))))
}

parts <- function(text, n = 8) {
  substring(text, 1:(nchar(text) - n + 1), n:nchar(text))
}

# The same in anything that R can hold: as it is serialised, as it prints, as its code reads.
hits_in <- function(x, token) {
  seen <- list(
    serialize(x, NULL),
    tryCatch(utils::capture.output(print(x)), error = function(e) ""),
    tryCatch(utils::capture.output(utils::str(x)), error = function(e) ""),
    tryCatch(deparse(x), error = function(e) "")
  )
  unique(unlist(lapply(seen, hits, token)))
}

hits_in_files <- function(files, token) {
  files <- files[file.exists(files) & !dir.exists(files)]
  as.character(unique(unlist(lapply(files, hits_in_file, token))))
}

# A hash may hold 8 characters of a token by chance, once in some dozens of walks. So where there is a hit in an audit
# log, the hashes of its chain are worked out anew, and those that are what they must be are left out.
hits_in_file <- function(file, token) {
  found <- hits(readBin(file, "raw", file.size(file)), token)
  if (length(found) > 0L && grepl("[.]jsonl$", file)) {
    found <- hits(without_chain(readLines(file, warn = FALSE), last_line_before(file)), token)
  }
  found
}

# The last line of the segment before.
last_line_before <- function(file) {
  if (!grepl("-[0-9]{6,}[.]jsonl$", file)) {
    return(NULL)
  }
  number <- as.integer(sub(".*-([0-9]{6,})[.]jsonl$", "\\1", basename(file)))
  before <- sub("[0-9]{6,}[.]jsonl$", sprintf("%06d.jsonl", number - 1L), file)
  if (file.exists(before)) utils::tail(readLines(before, warn = FALSE), 1L)
}

without_chain <- function(lines, before = NULL) {
  whole <- lines
  for (n in seq_along(lines)) {
    check <- sha256_of(sub(",\"check\":\"[0-9a-f]{16}\"}$", "", whole[[n]]))
    lines[[n]] <- sub(sprintf(",\"check\":\"%s\"}", substr(check, 1, 16)), "}", lines[[n]], fixed = TRUE)
    previous <- if (n > 1L) whole[[n - 1L]] else before
    if (!is.null(previous)) {
      hash <- sha256_of(paste0(previous, "\n"))
      lines[[n]] <- sub(sprintf("\"prev\":\"%s\"", hash), "", lines[[n]], fixed = TRUE)
      lines[[n]] <- sub(sprintf("\"after_hash\":\"%s\"", hash), "", lines[[n]], fixed = TRUE)
    }
  }
  lines
}

sha256_of <- function(text) {
  file <- tempfile()
  on.exit(unlink(file))
  writeBin(charToRaw(text), file)
  substr(system2("openssl", c("dgst", "-sha256", "-r", shQuote(file)), stdout = TRUE), 1, 64)
}

# Does something with keycap and keeps what comes of it: printed output, value, every condition with the calls that
# were under way, and how the call stack prints. Returns where parts of the token were found, and the classes of the
# conditions.
#
# `typed`: the caller typed the token into the call on purpose. R keeps that call, and nobody can undo it; the frames
# below it are keycap's and must be clean.
watch <- function(action, token, typed = FALSE) {
  found <- list()
  classes <- character()
  look <- function(place, x) {
    parts <- hits_in(x, token)
    if (length(parts)) found[[place]] <<- unique(c(found[[place]], parts))
  }
  witness <- function(condition) {
    classes <<- c(classes, class(condition))
    look("condition", unclass(condition))
    look("message", conditionMessage(condition))
    look("call", conditionCall(condition))
    look("attributes", attributes(condition))
    own <- Filter(function(n) is_keycap(sys.function(n)), seq_len(sys.nframe()))
    for (n in if (typed) own[-1] else own) {
      look("frames", code(sys.call(n)))
    }
    if (!typed) {
      look("sys.calls", lapply(sys.calls(), code))
      trace <- rlang::trace_back()
      look("trace", c(format(trace), lapply(trace$call, code)))
    }
  }
  printed <- utils::capture.output({
    messages <- utils::capture.output(type = "message", {
      value <- tryCatch(
        withCallingHandlers(
          {
            outcome <- withVisible(action())
            if (outcome$visible) print(outcome$value)
            outcome$value
          },
          condition = witness,
          message = function(m) {
            cat(conditionMessage(m), file = stderr())
            invokeRestart("muffleMessage")
          },
          warning = function(w) {
            cat(conditionMessage(w), file = stderr())
            invokeRestart("muffleWarning")
          }
        ),
        interrupt = function(i) "interrupted",
        error = identity
      )
      look("traceback", tryCatch(.traceback(), error = function(e) NULL))
    })
  })
  look("printed", printed)
  look("messages", messages)
  look("value", value)
  if (!inherits(value, "condition")) look("value as text", tryCatch(format(value), error = function(e) ""))
  list(found = found, classes = unique(classes), value = value, said = c(printed, messages))
}

# Calls as text: a call can hold this file's own functions, and with these their environments.
code <- function(call) deparse(call, width.cutoff = 500L)

is_keycap <- function(fun) {
  identical(topenv(environment(fun) %||% baseenv()), asNamespace("keycap"))
}

# Walks every exported function through every condition that it can raise, with canaries in `store` (`env` or
# `keyring`). Returns one row for each step: the function, what it was about, the classes of the conditions, and the
# parts of a canary that were found, with their places.
canary_walk <- function(store) {
  world <- local_world(keyring = store == "keyring")
  withr::local_options(keycap.quiet = FALSE, keycap.stores = store)
  steps <- list()
  tokens <- character()
  canary <- function(...) {
    token <- made_up_token(...)
    tokens <<- c(tokens, token)
    token
  }
  give <- switch(
    store,
    env = function(name, value) do.call(Sys.setenv, stats::setNames(list(value), name)),
    keyring = function(name, value) {
      tool <- pipe(paste("secret-tool store --label=canary service REDCapSync username", name), "w")
      cat(value, file = tool)
      close(tool)
    }
  )
  step <- function(fun, about, action, token = tokens, typed = FALSE) {
    watched <- watch(action, token, typed = typed)
    steps[[length(steps) + 1L]] <<- list(fun = fun, about = about, found = watched$found, classes = watched$classes)
    watched$value
  }
  setup <- function(short_name, uri, ...) {
    suppressMessages(setup_project(short_name, file.path(world, short_name), uri, ...))
  }

  # Setting up, listing, deleting; the token is there all the time.
  uri <- "https://redcap.example.org/api/"
  give("CANARY_A", canary())
  dir <- file.path(world, "a")
  step("setup_project", "a usable token", function() setup_project("A", dir, uri, token_name = "CANARY_A"))
  step("setup_project", "no token", function() setup_project("B", file.path(world, "b"), uri))
  step("setup_project", "another address", function() setup_project("A", dir, "https://other.example.org/api/"))
  step("setup_project", "a name that is bound", function() {
    setup_project("C", dir, "https://other.example.org/api/", token_name = "CANARY_A")
  })
  step("setup_project", "a folder that cannot be made", function() {
    setup_project("D", file.path(registry_file(), "below"), uri, token_name = "CANARY_A")
  })
  step("setup_project", "a wrong type", function() setup_project(1))
  project <- step("load_project", "a known project", function() load_project("A"))
  step("load_project", "an unknown project", function() load_project("NOWHERE"))
  step("get_projects", "the list", function() get_projects())
  registry <- readLines(registry_file())
  writeLines(c(registry[1:2], "damaged"), registry_file())
  step("get_projects", "a damaged registry", function() get_projects())
  step("test_project_token", "a damaged registry", function() test_project_token(project))
  writeLines(registry, registry_file())

  # The stores themselves.
  step("configure_stores", "order and settings", function() {
    configure_stores(order = "env", vault = list(mount = "kv"), command = list(preset = "pass"))
  })
  step("stores", "all of them", function() stores())
  step("configure_stores", "a slip", function() configure_stores(vault = list(adress = "https://a.example.org")))
  step("configure_stores", "taken out", function() configure_stores(character(), list(), list(), list()))
  withr::with_envvar(c(R_USER_DATA_DIR = registry_file()), {
    step("configure_stores", "no audit log", function() configure_stores(order = "env"))
  })

  # Viewing.
  step("view_project_token", "a project token", function() view_project_token(project))
  step("view_project_token", "by short name", function() view_project_token("A"))
  malformed <- list(
    newline = paste0(canary(), "\n"), newlines = paste0(canary(), "\n\n"), quoted = paste0("'", canary(), "'"),
    comment = paste(canary(), "# mine"), long = canary(33), super = canary(64), braces = paste0("{", canary(), "}%s")
  )
  for (name in names(malformed)) {
    give("CANARY_M", malformed[[name]])
    setup("M", uri, token_name = "CANARY_M")
    step("view_project_token", name, function() view_project_token("M"))
    if (name != "newline") step("test_project_token", name, function() test_project_token("M"))
  }
  if (store == "keyring") {
    withr::local_envvar(CANARY_A = canary())
    withr::local_options(keycap.stores = "env,keyring")
    step("view_project_token", "two stores that differ", function() view_project_token(project))
    withr::local_options(keycap.stores = store)
    Sys.unsetenv("CANARY_A")
  }

  # Testing: every way in which it can end.
  ask <- function(about, server_uri, options = list()) {
    withr::local_options(options)
    name <- sprintf("T%d", length(steps))
    give(paste0("CANARY_", name), canary())
    asked <- setup(name, server_uri, token_name = paste0("CANARY_", name))
    step("test_project_token", about, function() test_project_token(asked))
  }
  refused <- "ERROR: You do not have permissions to use the API"
  echo <- "ERROR: bad value '%TOKEN%' %token% {%TOKEN%} %s %TOKEN%%token%"
  page <- "<html><body>%TOKEN% <form action='?token=%token%'></body></html>"
  title <- "{\"project_id\":1,\"project_title\":\"%TOKEN%\"}"
  lists <- list(
    list("refused", 403, refused, "text/plain"),
    list("refused, and echoed", 403, paste(refused, "%TOKEN%"), "text/plain"),
    list("an error that echoes", 400, echo, "text/plain"),
    list("an error that echoes, as JSON", 400, sprintf("{\"error\":\"%s\"}", echo), "application/json"),
    list("an error that echoes, as XML", 400, sprintf("<hash><error>%s</error></hash>", echo), "text/xml"),
    list("HTML that echoes", 200, page, "text/html"),
    list("a firewall that echoes", 403, page, "text/html"),
    list("too many", 429, page, "text/html"),
    list("a gateway that echoes", 502, page, "text/html"),
    list("a server that echoes", 500, echo, "text/plain"),
    list("a header that echoes", 400, "ERROR: x", "text/plain", "X-Token: %TOKEN%"),
    list("a redirect that echoes", 302, page, "text/html", "Location: http://%TOKEN%.example.org/%token%?t=%TOKEN%"),
    list("a redirect that echoes, to nowhere", 307, page, "text/html", "Location: %TOKEN%://%token%")
  )
  for (one in lists) ask(one[[1]], do.call(local_echo, one[-1])$uri)
  ask("data that echo", local_echo(200, title, "application/json", version = TRUE)$uri)
  ask("a title that steers", local_echo(200, sub("%TOKEN%", "{1}%s\\\\u001b[31m", title), "application/json", version = TRUE)$uri)
  ask("nobody listens", sprintf("http://127.0.0.1:%d/api/", closed_port()))
  ask("no such host", "https://redcap.x.invalid/api/")
  ask("no answer in time", local_server()$uri, list(keycap.timeout = 0.3))
  ask("a certificate that nobody signed", local_tls())
  silent <- local_server()
  interrupter <- local_interrupter(silent)
  ask("interrupted", silent$uri)
  interrupter$kill()

  echoing <- list(
    "a file that echoes" = list(200, "%PDF %token% %TOKEN%", "application/pdf; name=\"%TOKEN%.pdf\""),
    "rows that echo" = list(200, "username,%token%\na,b\n", "text/csv"),
    "an error that echoes" = list(400, echo, "text/plain"),
    "a gateway" = list(502, page, "text/html")
  )
  for (about in names(echoing)) {
    give("CANARY_ECHO", canary())
    asked <- setup("ECHO", do.call(local_echo, echoing[[about]])$uri, token_name = "CANARY_ECHO")
    canary_calls(step, asked, world, about, some = TRUE)
    suppressMessages(delete_project("ECHO"))
  }

  changed <- setup("CHANGED", local_echo(200, sub("%TOKEN%", "x", title), "application/json", version = TRUE)$uri, token_name = "CANARY_CH")
  give("CANARY_CH", canary())
  changed$project_id <- "2"
  step("test_project_token", "another project", function() test_project_token(changed))
  edited <- project
  edited$redcap_uri <- "https://other.example.org/api/"
  step("test_project_token", "another origin", function() test_project_token(edited))
  withr::with_envvar(c(R_USER_DATA_DIR = registry_file()), {
    ask("no audit log", local_server()$uri)
  })
  step("test_project_token", "no token", function() test_project_token("B"))
  side_by_side <- list(changed, edited, "B", "NOWHERE", changed)
  step("test_project_tokens", "whatever can go wrong", function() test_project_tokens(side_by_side))
  step("export_many", "whatever can go wrong", function() export_many(side_by_side))
  step("test_project_tokens", "a wrong type", function() test_project_tokens(1))
  step("export_many", "a wrong type", function() export_many(list(project, 1)))

  # The sandbox, and a token of its making.
  sandbox <- step("start_sandbox", "start", function() start_sandbox())
  live <- function(file) {
    token <- readLines(file.path(world, file))
    tokens <<- c(tokens, token)
    give("CANARY_LIVE", token)
  }
  step("sandbox_issue_token", "into a file", function() {
    sandbox_issue_token(sandbox, "TEST", "exporter", to = file.path(world, "issued"))
  })
  live("issued")
  on_sandbox <- setup("LIVE", sandbox$redcap_uri, token_name = "CANARY_LIVE")
  step("test_project_token", "it works", function() test_project_token(on_sandbox))
  step("view_project_token", "it works", function() view_project_token(on_sandbox))
  canary_entries(step, canary, give, setup("SET", uri, token_name = "CANARY_SET"), store)
  exported <- step("export_records", "records", function() export_records(on_sandbox, choices = "factor", tz = "Europe/Vienna"))
  step("conversion_problems", "of an export", function() conversion_problems(exported))
  step("conversion_problems", "of something else", function() conversion_problems(on_sandbox))
  step("export_records", "to a file", function() export_records(on_sandbox, to = file.path(world, "records.csv")))
  step("export_records", "in batches", function() export_records(on_sandbox, records = 1:5, batch_size = 2))
  step("export_records", "a field that is not there", function() export_records(on_sandbox, fields = "nothing"))
  step("export_records", "a zone that is not there", function() export_records(on_sandbox, tz = "Mars/Olympus"))
  step("export_report", "a report", function() export_report(on_sandbox, 117))
  step("export_report", "no such report", function() export_report(on_sandbox, 1))
  for (content in c("record", "report")) {
    export <- function(...) if (content == "record") export_records(on_sandbox, ...) else export_report(on_sandbox, 117, ...)
    for (place in c("error", "header", "reason", "data")) {
      sandbox_set_fault(sandbox, "echo", place = place, content = content)
      step(paste0("export_", if (content == "record") "records" else "report"), paste("echoed in", place), function() export())
      step("export_records", paste("echoed in", place, "to a file"), function() export(to = file.path(world, "echo.csv")))
      sandbox_clear_faults(sandbox)
    }
    sandbox_set_fault(sandbox, "truncated", content = content)
    step("export_records", "cut short", function() export())
    sandbox_clear_faults(sandbox)
  }
  both <- list(on_sandbox, "LIVE", "B")
  step("test_project_tokens", "it works", function() test_project_tokens(both))
  step("export_many", "it works", function() export_many(both, fields = "sex", records = 1:3))
  step("export_many", "to files", function() export_many(both, fields = "sex", to = file.path(world, "exports")))
  canary_calls(step, on_sandbox, world)
  canary_rotate(step, canary, sandbox)
  step("check_project_rights", "alone", function() check_project_rights(on_sandbox))
  step("check_project_rights", "printed", function() print(check_project_rights(on_sandbox, "export", on_sandbox)))
  step("check_project_rights", "no such need", function() check_project_rights(on_sandbox, "everything"))
  step("reconcile_audit_log", "alone", function() print(reconcile_audit_log(on_sandbox, Sys.time() - 3600)))
  step("reconcile_audit_log", "read by another", function() {
    reconcile_audit_log(on_sandbox, Sys.time() - 3600, read_by = on_sandbox)
  })
  step("check_project_dag", "alone", function() print(check_project_dag(on_sandbox, "north", read_ids = TRUE)))
  step("check_project_dag", "without a group", function() check_project_dag(on_sandbox))
  step("declare_account", "stated", function() {
    declare_account(on_sandbox, api_only = TRUE, by = "Dr. X", until = "2031-01-31")
  })
  step("declare_account", "nothing stated", function() declare_account(on_sandbox, by = "Dr. X", until = "2031-01-31"))
  policy <- step("token_policy", "made", function() token_policy("7 days", 30, needs = "export", dag = TRUE, unknown = "refuse"))
  step("token_policy", "a slip", function() token_policy(max_age = "3 months"))
  step("set_policy", "for one project", function() print(set_policy(policy, "LIVE")))
  step("set_policy", "no policy", function() set_policy(list(max_age = 7)))
  step("export_records", "refused by a policy", function() export_records(on_sandbox))
  step("policy_status", "alone", function() policy_status(list(on_sandbox, "B", "NOWHERE")))
  step("policy_status", "with a checker", function() policy_status("LIVE", checked_by = on_sandbox))
  step("reauthorize_project", "granted", function() reauthorize_project("LIVE", Sys.Date() + 9, by = "Dr. X"))
  step("reauthorize_project", "too long", function() reauthorize_project("LIVE", "2099-01-31", by = "Dr. X"))
  for (place in c("error", "data")) {
    sandbox_set_fault(sandbox, "echo", place = place)
    step("policy_status", paste("echoed in", place), function() print(policy_status("LIVE")))
    sandbox_clear_faults(sandbox)
  }
  step("set_policy", "none any more", function() set_policy(token_policy(), "LIVE"))
  step("setup_projects", "a study", function() {
    setup_projects(data.frame(short_name = c("S1", "not a name"), redcap_uri = sandbox$redcap_uri, dag = c("north", NA)))
  })
  for (place in c("error", "data")) {
    sandbox_set_fault(sandbox, "echo", place = place)
    step("reconcile_audit_log", paste("echoed in", place), function() reconcile_audit_log(on_sandbox, Sys.Date()))
    step("check_project_rights", paste("echoed in", place), function() check_project_rights(on_sandbox))
    step("check_project_dag", paste("echoed in", place), function() check_project_dag(on_sandbox, "north"))
    sandbox_clear_faults(sandbox)
  }
  step("sandbox_regenerate_token", "into a file", function() {
    sandbox_regenerate_token(sandbox, "TEST", "exporter", to = file.path(world, "issued again"))
  })
  step("test_project_token", "regenerated", function() test_project_token(on_sandbox))
  live("issued again")
  step("sandbox_set_rights", "another group", function() {
    sandbox_set_rights(sandbox, "TEST_SITES", "least", api_import = 1, dag = "site_b")
  })
  step("sandbox_set_rights", "no such right", function() sandbox_set_rights(sandbox, "TEST_SITES", "least", none = 1))
  step("sandbox_set_version", "another version", function() sandbox_set_version(sandbox, "15.6.0"))
  step("sandbox_suspend_user", "suspended", function() sandbox_suspend_user(sandbox, "exporter"))
  step("test_project_token", "suspended", function() test_project_token(on_sandbox))
  step("sandbox_suspend_user", "no longer", function() sandbox_suspend_user(sandbox, "exporter", suspended = FALSE))
  step("sandbox_set_fault", "an echo", function() sandbox_set_fault(sandbox, "echo", place = "error"))
  step("test_project_token", "the sandbox echoes", function() test_project_token(on_sandbox))
  step("test_project_tokens", "the sandbox echoes", function() test_project_tokens(both))
  step("export_many", "the sandbox echoes", function() export_many(both, fields = "sex", records = 1:3))
  step("sandbox_clear_faults", "cleared", function() sandbox_clear_faults(sandbox))
  # Imports: what is refused, what is done, what breaks.
  sandbox_issue_token(sandbox, "TEST", "editor", to = file.path(world, "issued for imports"))
  live("issued for imports")
  importing <- setup("IMPORTING", sandbox$redcap_uri, token_name = "CANARY_LIVE")
  bring <- function(about, ..., data = list(pulse = 60L), fault = NULL) {
    data <- as.data.frame(c(list(record_id = "1"), data))
    if (!is.null(fault)) suppressMessages(do.call(sandbox_set_fault, c(list(sandbox), fault)))
    step("import_records", about, function() import_records(importing, data, ...))
    if (!is.null(fault)) suppressMessages(sandbox_clear_faults(sandbox))
  }
  bring("a dry run")
  bring("it works", dry_run = FALSE)
  bring("an unknown column", data = list(puls = 1))
  bring("a value that may be a token", data = list(sex = canary()), dry_run = FALSE)
  bring("the token as data", data = list(remarks = tokens[length(tokens) - 1L]), dry_run = FALSE)
  bring("an error that echoes", fault = list("echo", place = "error", content = "record"), dry_run = FALSE)
  bring("an answer that echoes", fault = list("echo", place = "data", content = "record"), dry_run = FALSE)
  bring("an outcome that nobody knows", fault = list("reset_after_body", content = "record"), dry_run = FALSE)
  live("issued again")
  step("sandbox_revoke_token", "revoked", function() sandbox_revoke_token(sandbox, "TEST", "exporter"))
  step("test_project_token", "revoked", function() test_project_token(on_sandbox))
  step("delete_project", "a sandbox's", function() delete_project("LIVE"))
  port <- as.integer(sub(".*:([0-9]+)/.*", "\\1", sandbox$redcap_uri))
  step("audit_log", "the user's", function() audit_log())
  step("audit_log", "a sandbox's", function() audit_log("TEST", since = Sys.Date(), sandbox = TRUE))
  step("reconcile_audit_log", "a sandbox's, with a token that is refused", function() {
    reconcile_audit_log(on_sandbox, Sys.Date())
  })
  step("verify_audit_log", "the user's", function() verify_audit_log())
  step("verify_audit_log", "nothing there", function() verify_audit_log(file.path(world, "nowhere")))
  step("checkpoint_audit_log", "a sandbox's", function() checkpoint_audit_log(print = TRUE, sandbox = TRUE))
  step("checkpoint_audit_log", "the user's", function() checkpoint_audit_log(new_key = TRUE))
  step("verify_audit_log", "no such notes", function() verify_audit_log(anchors = file.path(world, "nowhere")))
  step("archive_audit_log", "a sandbox's", function() archive_audit_log(sandbox = TRUE))
  # Tokens that lie about.
  litter <- file.path(world, "litter")
  dir.create(litter)
  writeLines(sprintf("token <- '%s'", tolower(tokens)), file.path(litter, "script.R"))
  saveRDS(list(tokens), file.path(litter, "saved.rds"))
  file.create(file.path(litter, paste0(tokens[[1]], ".txt")))
  saveRDS(tokens, file.path(litter, "unread.rds"), compress = "bzip2")
  step("scan_for_tokens", "a folder", function() print(attributes(scan_for_tokens(litter))))
  step("scan_for_tokens", "by default", function() withr::with_dir(litter, print(scan_for_tokens())))
  step("scan_for_tokens", "nothing there", function() scan_for_tokens(file.path(world, "nowhere")))
  step("scan_for_tokens", "a token for a path", function() scan_for_tokens(tokens[[1]]), typed = TRUE)
  unlink(litter, recursive = TRUE)
  step("run_sandbox", "a port that is taken", function() run_sandbox(port))
  step("stop_sandbox", "stop", function() stop_sandbox(sandbox))
  step("sandbox_revoke_token", "of a sandbox that is gone", function() sandbox_revoke_token(sandbox, "TEST"))

  # A token where a name belongs: first in a variable, then typed into the call. Project tokens, super tokens and
  # tokens in lower case by turns.
  spoilt <- function(field, value) {
    project[[field]] <- value
    project
  }
  mistakes <- list(
    setup_project = function(token) list(token),
    setup_project = function(token) list("X", token, uri),
    setup_project = function(token) list("X", dir, token),
    setup_project = function(token) list("X", dir, paste0(uri, "?token=", token)),
    setup_project = function(token) list("X", dir, sprintf("https://u:%s@redcap.example.org/", token)),
    setup_project = function(token) list("X", dir, uri, token_name = token),
    setup_project = function(token) list("X", dir, uri, redcap_user = token),
    setup_project = function(token) list("X", dir, uri, dag = token),
    setup_project = function(token) list("X", dir, uri, overwrite = token),
    setup_project = function(token) list(c(token, token)),
    configure_stores = function(token) list(token),
    configure_stores = function(token) list(vault = list(role = token)),
    configure_stores = function(token) list(aws = stats::setNames(list("x"), token)),
    configure_stores = function(token) list(command = list(program = "x", arguments = c("{token_name}", token))),
    load_project = function(token) list(token),
    delete_project = function(token) list(token),
    view_project_token = function(token) list(token),
    view_project_token = function(token) list(spoilt("token_name", token)),
    test_project_token = function(token) list(token),
    test_project_token = function(token) list(spoilt("token_name", token)),
    test_project_token = function(token) list(spoilt("short_name", token)),
    test_project_token = function(token) list(spoilt("redcap_uri", token)),
    test_project_token = function(token) list(spoilt("dag", list(token))),
    export_records = function(token) list(token),
    export_records = function(token) list(spoilt("token_name", token)),
    export_records = function(token) list(project, fields = token),
    export_records = function(token) list(project, fields = c("age", token)),
    export_records = function(token) list(project, forms = token),
    export_records = function(token) list(project, events = token),
    export_records = function(token) list(project, records = token),
    export_records = function(token) list(project, filter_logic = token),
    export_records = function(token) list(project, choices = token),
    export_records = function(token) list(project, types = token),
    export_records = function(token) list(project, tz = token),
    export_records = function(token) list(project, batch_size = token),
    export_records = function(token) list(project, to = token),
    export_report = function(token) list(token, 1),
    export_report = function(token) list(project, token),
    conversion_problems = function(token) list(token),
    reconcile_audit_log = function(token) list(token, Sys.Date()),
    reconcile_audit_log = function(token) list(project, token),
    reconcile_audit_log = function(token) list(project, Sys.Date(), read_by = token),
    reconcile_audit_log = function(token) list(project, Sys.Date(), paths = token),
    audit_log = function(token) list(token),
    audit_log = function(token) list(since = token),
    audit_log = function(token) list(action = token),
    audit_log = function(token) list(paths = token),
    verify_audit_log = function(token) list(token),
    verify_audit_log = function(token) list(checkpoints = token),
    archive_audit_log = function(token) list(token),
    verify_audit_log = function(token) list(anchors = token),
    checkpoint_audit_log = function(token) list(token),
    checkpoint_audit_log = function(token) list(new_key = token),
    test_project_tokens = function(token) list(token),
    test_project_tokens = function(token) list(c("A", token)),
    test_project_tokens = function(token) list(list(project, spoilt("token_name", token))),
    test_project_tokens = function(token) list(data.frame(short_name = "A", redcap_uri = uri, token_name = token)),
    export_many = function(token) list(token),
    export_many = function(token) list(project, fields = token),
    export_many = function(token) list(project, records = c("1", token)),
    export_many = function(token) list(project, choices = token),
    export_many = function(token) list(project, tz = token),
    export_many = function(token) list(project, to = token),
    set_project_token = function(token) list(token),
    set_project_token = function(token) list(project, token),
    set_project_token = function(token) list(project, from = token),
    set_project_token = function(token) list(project, fd = token),
    set_project_token = function(token) list(project, file = token),
    set_project_token = function(token) list(project, wipe = token),
    set_project_token = function(token) list(spoilt("token_name", token), "command"),
    rotate_project_token = function(token) list(token),
    rotate_project_token = function(token) list(project, token),
    rotate_project_token = function(token) list(project, file = token),
    rotate_project_token = function(token) list(project, fd = token),
    rotate_project_token = function(token) list(project, wipe = token),
    rotate_project_token = function(token) list(project, checked_by = token),
    rotate_project_token = function(token) list(project, cancel = token),
    rotate_project_token = function(token) list(project, token = token),
    redcap_call = function(token) list(token, "record"),
    redcap_call = function(token) list(project, token),
    redcap_call = function(token) list(project, "record", token),
    redcap_call = function(token) list(project, "record", token = token),
    redcap_call = function(token) list(project, "record", fields = c("a", token)),
    redcap_call = function(token) list(project, "record", data = list(token)),
    redcap_call = function(token) list(project, "record", as = token),
    redcap_call = function(token) list(project, "pdf", to = token),
    export_metadata = function(token) list(project, fields = token),
    export_instruments = function(token) list(token),
    export_users = function(token) list(token),
    export_log = function(token) list(project, user = token),
    export_log = function(token) list(project, begin = token),
    export_log = function(token) list(project, tz = token),
    export_file = function(token) list(project, token, token),
    export_file = function(token) list(project, 1, "letter", to = token),
    next_record_name = function(token) list(token),
    project_info = function(token) list(spoilt("project_id", token)),
    redcap_version = function(token) list(spoilt("redcap_uri", token)),
    check_project_rights = function(token) list(token),
    check_project_rights = function(token) list(project, token),
    check_project_rights = function(token) list(project, "export", token),
    check_project_dag = function(token) list(token),
    check_project_dag = function(token) list(project, token),
    check_project_dag = function(token) list(project, "a", token),
    declare_account = function(token) list(token, TRUE, by = "x", until = "2031-01-31"),
    declare_account = function(token) list(project, TRUE, by = token, until = "2031-01-31"),
    declare_account = function(token) list(project, TRUE, token, by = "x", until = token),
    token_policy = function(token) list(token),
    token_policy = function(token) list(stores = c("env", token)),
    token_policy = function(token) list(on_breach = token),
    set_policy = function(token) list(token),
    set_policy = function(token) list(policy, token),
    policy_status = function(token) list(token),
    policy_status = function(token) list(project, token),
    reauthorize_project = function(token) list(token, "2031-01-31", "x"),
    reauthorize_project = function(token) list(project, token, "x"),
    reauthorize_project = function(token) list(project, Sys.Date(), token),
    setup_projects = function(token) list(token),
    setup_projects = function(token) list(data.frame(short_name = token, redcap_uri = uri)),
    setup_projects = function(token) list(data.frame(short_name = "X", redcap_uri = uri, dag = token)),
    import_records = function(token) list(token, data.frame(record_id = 1)),
    import_records = function(token) list(project, token),
    import_records = function(token) list(project, stats::setNames(data.frame(1), token)),
    import_records = function(token) list(project, data.frame(record_id = 1), blanks = token),
    stop_sandbox = function(token) list(token),
    run_sandbox = function(token) list(token),
    sandbox_issue_token = function(token) list(sandbox, token, "exporter", to = token),
    sandbox_regenerate_token = function(token) list(sandbox, token),
    sandbox_revoke_token = function(token) list(sandbox, "TEST", token),
    sandbox_suspend_user = function(token) list(sandbox, token),
    sandbox_set_fault = function(token) list(sandbox, token),
    sandbox_set_rights = function(token) list(sandbox, "TEST_SITES", token),
    sandbox_set_rights = function(token) list(sandbox, "TEST_SITES", "least", forms = token),
    sandbox_set_version = function(token) list(sandbox, token)
  )
  for (n in seq_along(mistakes)) {
    name <- names(mistakes)[n]
    fun <- get(name, asNamespace("keycap"))
    forms <- list(canary(), canary(64), tolower(canary()))
    for (token in forms[1 + c(n, n + 1) %% 3]) {
      args <- mistakes[[n]](token)
      step(name, "a token as argument", function() mistaken(fun, args), token)
      step(name, "a token typed as argument", function() do.call(fun, args), token, typed = TRUE)
    }
  }

  if (store == "keyring") {
    lock_keyring()
    step("view_project_token", "a locked keyring", function() view_project_token(project))
    step("test_project_token", "a locked keyring", function() test_project_token(project))
  }
  canary_keep(step, store, canary, give, setup)
  step("delete_project", "the project", function() delete_project("A"))

  files <- c(
    list.files(world, recursive = TRUE, full.names = TRUE, all.files = TRUE),
    list.files(file.path(tempdir(), "keycap"), recursive = TRUE, full.names = TRUE, all.files = TRUE)
  )
  files <- setdiff(files, file.path(world, c("issued", "issued again", "issued for imports")))
  list(
    store = store,
    steps = steps,
    files = length(files),
    in_files = hits_in_files(files, tokens),
    audit = sum(lengths(lapply(audit_files(), readLines, warn = FALSE)))
  )
}

# Every function that makes a call, once; with `some`, those that differ in what they do with the answer.
canary_calls <- function(step, project, world, about = "it works", some = FALSE) {
  folder <- file.path(world, "files")
  unlink(folder, recursive = TRUE)
  dir.create(folder)
  own <- tempfile(tmpdir = world)
  writeLines("a letter", own)
  write <- list(project, "file", action = "import", record = 1, field = "letter", file = own)
  calls <- list(
    redcap_call = function() redcap_call(project, "user"),
    redcap_call = function() redcap_call(project, "pdf", to = folder),
    redcap_call = function() redcap_call(project, "pdf", as = "text"),
    redcap_call = function() do.call(redcap_call, write),
    redcap_call = function() redcap_call(project, "nobodyKnows"),
    # Up to here where only some are wanted.
    export_file = function() export_file(project, 1, "letter", to = folder),
    export_metadata = function() export_metadata(project),
    export_instruments = function() export_instruments(project),
    export_users = function() export_users(project),
    export_log = function() export_log(project, type = "manage"),
    project_info = function() project_info(project),
    next_record_name = function() next_record_name(project),
    redcap_version = function() redcap_version(project)
  )
  for (n in seq_len(if (some) 5L else length(calls))) step(names(calls)[n], about, calls[[n]])
}

# Calls a function with a list of arguments in such a way that no call holds a value.
mistaken <- function(fun, args) {
  n <- length(args)
  names <- names(args) %||% rep("", n)
  call <- as.call(c(quote(fun), stats::setNames(lapply(seq_len(n), function(i) bquote(args[[.(i)]])), names)))
  eval(call)
}

# A server that puts the token that it gets into its answer: `%TOKEN%` in upper case, `%token%` in lower case. With
# `version`, it answers the question for the version as REDCap does.
local_echo <- function(status, body, type, headers = character(), version = FALSE, frame = parent.frame()) {
  answer <- function(request, n) {
    if (version && grepl("content=version", request, fixed = TRUE)) {
      return(http(200, "14.5.1", "text/plain"))
    }
    token <- sub(".*(^|&)token=([^&]*).*", "\\2", request)
    fill <- function(text) gsub("%token%", tolower(token), gsub("%TOKEN%", toupper(token), text, fixed = TRUE), fixed = TRUE)
    http(status, fill(body), type, fill(headers))
  }
  plain <- http
  environment(plain) <- baseenv()
  all <- list(http = plain, status = status, body = body, type = type, headers = headers, version = version)
  environment(answer) <- list2env(all, parent = baseenv())
  local_server(answer, frame = frame)
}

# An https server with a certificate that it signed itself; its address.
local_tls <- function(frame = parent.frame()) {
  dir <- withr::local_tempdir("tls", .local_envir = frame)
  port <- closed_port()
  script <- file.path(dir, "serve.sh")
  writeLines(c(
    sprintf("cd '%s' || exit 1", dir),
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key -out cert -days 2 \\",
    "  -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 >log 2>&1 || exit 1",
    "echo $$ > pid",
    sprintf("exec openssl s_server -accept 127.0.0.1:%d -key key -cert cert -www >log 2>&1", port)
  ), script)
  system2("sh", shQuote(script), wait = FALSE)
  withr::defer(tools::pskill(as.integer(readLines(file.path(dir, "pid")))), envir = frame)
  wait_for(tryCatch({
    close(socketConnection("127.0.0.1", port, timeout = 1))
    TRUE
  }, warning = function(w) FALSE, error = function(e) FALSE))
  sprintf("https://127.0.0.1:%d/api/", port)
}

# Interrupts this process once `server` has a connection.
local_interrupter <- function(server) {
  callr::r_bg(
    function(pid, connections, heard) {
      while (file.size(connections) == 0 || file.size(heard) == 0) Sys.sleep(0.02)
      Sys.sleep(0.2)
      tools::pskill(pid, 2L)
    },
    list(Sys.getpid(), server$files[3], server$files[2])
  )
}

lock_keyring <- function() {
  system2("gdbus", c(
    "call", "--session", "--dest", "org.freedesktop.secrets", "--object-path", "/org/freedesktop/secrets",
    "--method", "org.freedesktop.Secret.Service.Lock", shQuote("['/org/freedesktop/secrets/collection/login']")
  ), stdout = TRUE)
}

# Tokens that come in by files, descriptors and other stores; what keycap keeps of them is in the store alone.
canary_entries <- function(step, canary, give, project, store) {
  folder <- withr::local_tempdir()
  local_pass(folder)
  file <- file.path(folder, "token")
  holds <- function(text) {
    writeLines(text, file)
    Sys.chmod(file, "600")
  }
  set <- function(...) set_project_token(project, ..., test = FALSE)
  holds(canary())
  step("set_project_token", "from a file", function() set("command", file = file))
  step("set_project_token", "a file that others may read", function() {
    Sys.chmod(file, "644")
    set("command", file = file)
  })
  holds(canary())
  step("set_project_token", "from a file that is wiped", function() set("command", file = file, wipe = TRUE))
  holds(canary())
  step("set_project_token", "a store that is only read", function() set("env", file = file))
  step("set_project_token", "no such store", function() set("nowhere", file = file))
  if (store == "keyring") {
    step("set_project_token", "into the keyring", function() set(file = file))
  }
  give("CANARY_SET", canary())
  step("set_project_token", "from another store", function() set("command", from = store))
  for (text in c(paste0(canary(), "x"), canary(64), paste(canary(), "# mine"), paste0("{", canary(), "}%s"))) {
    holds(text)
    step("set_project_token", "no token", function() set("command", file = file))
  }
  step("set_project_token", "no such descriptor", function() set("command", fd = 99))
  step("set_project_token", "nothing there", function() set("command", from = "vault"))
  withr::local_envvar(PASS_FAILS = "yes")
  holds(canary())
  step("set_project_token", "a store that fails", function() set("command", file = file))
}
