# Run by test-canary.R in a session of its own with an unlocked keyring: walks with canaries in the keyring.
helpers <- new.env(parent = asNamespace("keycap"))
# So that `topenv()` tells the helpers from the package.
helpers$.packageName <- "helpers"
for (file in commandArgs(TRUE)[-1]) sys.source(file, helpers)
saveRDS(helpers$canary_walk("keyring"), commandArgs(TRUE)[1])
