# What `make demo` shows.
value <- keycap:::core_call("echo", list(greeting = "The doorway into the core is open."))
cat(value$greeting, "\n", sep = "")
