# A person rotates a token at the terminal: gives up, is killed while asked, gives the old token by mistake, and ends it
# with the new one. Part of run.sh, which reads it and has the functions; the sandbox is a process of its own here.

sandbox() { printf '%s\n' "$1" >&9; }
mkfifo "$place/orders"
Rscript --vanilla -e 'keycap::run_sandbox(0)' < "$place/orders" > "$place/answers" 2>/dev/null &
exec 9> "$place/orders"
n=0
until grep -q redcap_uri "$place/answers"; do
  n=$((n + 1))
  [ "$n" -lt 300 ] || fail "the sandbox does not start"
  sleep 0.1
done
uri=$(sed -n 's/.*"redcap_uri":"\([^"]*\)".*/\1/p' "$place/answers" | head -n 1)
# click ACTION FILE: what a click on the project's API page does. The new token goes into a file.
click() {
  sandbox "{\"do\":\"$1\",\"project\":\"TEST\",\"user\":\"editor\",\"to\":\"$2\"}"
  n=0
  until [ -s "$2" ]; do
    n=$((n + 1))
    [ "$n" -lt 100 ] || fail "no token came: $1"
    sleep 0.1
  done
  cat "$2" >> "$tokens"
}
in_keyring() { secret-tool lookup service REDCapSync username REDCapSync_ROT; }
state() { sed -n 's/.*"step": "\([a-z]*\)".*/\1/p' "$place/data/R/keycap/rotation/ROT.json" 2>/dev/null || true; }

click issue "$place/old"
Rscript --vanilla -e 'options(keycap.quiet = TRUE)' \
  -e 'a <- commandArgs(TRUE)' \
  -e 'invisible(keycap::setup_project("ROT", a[1], a[2], redcap_user = "editor"))' \
  -e 'invisible(keycap::set_project_token("ROT", file = a[3], test = FALSE))' "$place/rot" "$uri" "$place/old"
[ "$(in_keyring)" = "$(cat "$place/old")" ] || fail "the old token is not in the keyring"

asked="(REDCapSync_ROT, goes into \`keyring\`), $asks"
# A plain shell takes the terminal as a killed program leaves it, for which `stty sane` is the cure.
keys "R --vanilla --quiet; stty sane; printf 'R is %s\\n' gone" Enter
keys "cat('in R', 6 * 7)" Enter
shows "in R 42"
keys "library(keycap)" Enter
keys "rotate_project_token('ROT')" Enter
shows "$asked"
shows "/API/project_api.php?pid=17"
[ "$(state)" = waiting ] || fail "the state is not told truly: $(state)"
# Given up.
keys C-c
shows "the rotation is begun; \`rotate_project_token(\"ROT\")\` goes on"
keys "isTRUE(test_project_token('ROT'))" Enter
shows "not regenerated yet"

# The old token by mistake.
keys "rotate_project_token('ROT')" Enter
shows "$asked" 2
shows "the rotation of \`ROT\` goes on"
paste "$place/old"
shows "this is the old token of \`ROT\`"

# Clicked, and killed while asked: the terminal is as the kill leaves it, and the keyring has the old token.
keys "cat('process', Sys.getpid(), '\\n'); rotate_project_token('ROT')" Enter
shows "$asked" 3
click regenerate "$place/new"
Rscript -e 'keycap::test_project_token("ROT")' > "$place/told" 2>&1 || true
grep -qF "\`ROT\` is waiting for the new token" "$place/told" || fail "a test does not tell that the new token is waited for"
grep -qF "rotate_project_token(\"ROT\")" "$place/told" || fail "a test does not tell what ends it"
kill -9 "$(screen | sed -n 's/^process \([0-9]*\) *$/\1/p' | tail -n 1)"
shows "R is gone"
[ "$(in_keyring)" = "$(cat "$place/old")" ] || fail "a kill has changed the keyring"
[ "$(state)" = waiting ] || fail "the state is not told truly after a kill: $(state)"

# Taken up again in another session.
keys "R --vanilla --quiet -e 'keycap::rotate_project_token(\"ROT\")'" Enter
shows "\`ROT\` is waiting for the new token: REDCap refuses the old one"
shows "$asked" 4
paste "$place/new"
shows "the token of \`ROT\` is rotated: the new one is in \`keyring\` and was read back"
[ "$(in_keyring)" = "$(cat "$place/new")" ] || fail "the keyring does not hold the new token"
[ -z "$(state)" ] || fail "a rotation that is done is still begun"
Rscript -e 'stopifnot(isTRUE(keycap::test_project_token("ROT")))' > /dev/null 2>&1 || fail "the new token does not work"
log=$(cat "$place"/data/R/keycap/audit/*.jsonl)
for action in rotate_begin rotate_wait rotate_check rotate_confirm set_token rotate_search rotate_done; do
  printf '%s' "$log" | grep '"project":"ROT"' | grep -q "\"action\":\"$action\"" || fail "no entry of \`$action\`"
done
exec 9>&-
