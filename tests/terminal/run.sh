#!/bin/sh
# A person at a terminal, played by tmux: types and pastes a token into a real R session, gives up once with Ctrl-C and
# once with Ctrl-Z, and runs the line for RStudio's tab `Terminal`. Afterwards the token is in a real keyring, the
# terminal is as it was, and nothing of the token stands on the screen or above it. The package has to be installed in
# build/library (`make install`).
set -eu
cd "$(dirname "$0")/../.."
if [ "${1:-}" != inside ]; then
  for program in tmux secret-tool Rscript; do
    if ! command -v "$program" >/dev/null; then
      echo "terminal: \`$program\` is missing (Debian: apt install tmux libsecret-tools r-base-core)" >&2
      exit 2
    fi
  done
  exec sh tools/with-r.sh sh tests/keyring/with-keyring.sh sh tests/terminal/run.sh inside
fi

place=$(mktemp -d /tmp/keycap-terminal.XXXXXX)
tmux() { command tmux -S "$place/tmux" "$@"; }
# The server is ours alone: it listens at our own socket.
trap 'tmux kill-server 2>/dev/null || true; rm -rf "$place"' EXIT
trap 'exit 130' HUP INT TERM
R_USER_CONFIG_DIR=$place/config R_USER_DATA_DIR=$place/data
# No profile, no history, and no variable that would count before the keyring.
HISTFILE=/dev/null TERM=screen PS1='shell$ '
export R_USER_CONFIG_DIR R_USER_DATA_DIR HISTFILE TERM PS1
unset RSTUDIO REDCapSync_TEST ENV 2>/dev/null || true
Rscript --vanilla -e 'options(keycap.quiet = TRUE)' \
  -e 'invisible(keycap::setup_project("TEST", commandArgs(TRUE)[1], "https://redcap.example.org/api/"))' "$place/project"

screen() { tmux capture-pane -p -J -S -; }
keys() { tmux send-keys -t 0 "$@"; }
fail() {
  echo "terminal: $*; the screen:" >&2
  screen | sed '/^ *$/d' >&2
  exit 1
}
# shows TEXT [TIMES]: waits until it stands on the screen that often.
shows() {
  n=0
  while [ "$(screen | grep -cF -- "$1")" -lt "${2:-1}" ]; do
    n=$((n + 1))
    [ "$n" -lt 300 ] || fail "not seen: $1"
    sleep 0.1
  done
}
made_up() { tr -dc 0-9A-F < /dev/urandom | head -c 32; }
kept() { secret-tool lookup service REDCapSync username REDCapSync_TEST; }
paste() { tmux load-buffer -b token "$1" && tmux paste-buffer -d -p -b token -t 0; }
asks="not shown while you enter it: "
tokens=$place/tokens
new_token() {
  token=$(made_up)
  printf '%s\n' "$token" >> "$tokens"
  printf '%s\n' "$token" > "$place/token"
}

# Wide, so that no line is broken.
tmux -f /dev/null new-session -d -x 200 -y 50 sh
keys "stty -a > $place/before; stty -a | grep -c . " Enter
keys "R --vanilla --quiet" Enter
shows "> "
keys "library(keycap)" Enter
keys "set_project_token('TEST', test = FALSE)" Enter
shows "Token for \`TEST\` (REDCapSync_TEST, goes into \`keyring\`), $asks"
# Typed, with a slip and the key that mends it.
new_token
keys -l "x"
keys BSpace
keys -l "$token"
keys Enter
shows "read back and compared"
[ "$(kept)" = "$token" ] || fail "the keyring does not hold the token that was typed"
keys "1000 + 1" Enter
shows "[1] 1001"
shows "> 1000 + 1"

# Pasted, with lines behind it that must not run.
keys "set_project_token('TEST', test = FALSE)" Enter
shows "$asks" 2
new_token
printf 'cat(6 * 7, "ran\\n")\nq("no")\n' >> "$place/token"
paste "$place/token"
shows "which is replaced"
[ "$(kept)" = "$token" ] || fail "the keyring does not hold the token that was pasted"
keys "2000 + 2" Enter
shows "[1] 2002"
screen | grep -q "42 ran" && fail "what was pasted behind the token ran as code"

# Given up, in the middle of a token.
before=$token
keys "set_project_token('TEST', test = FALSE)" Enter
shows "$asks" 3
new_token
keys -l "$(printf %s "$token" | cut -c 1-20)"
keys C-c
shows "interrupted: nothing was stored under \`REDCapSync_TEST\`"
keys "3000 + 3" Enter
shows "> 3000 + 3"
shows "[1] 3003"
[ "$(kept)" = "$before" ] || fail "an entry that was given up has changed the keyring"

# The terminal as R's own programs find it, in the middle of a session.
keys "system('stty -a > $place/within')" Enter
keys "4000 + 4" Enter
shows "[1] 4004"

# Stopped. A shell without job control would not take R back; this one has it.
keys "set_project_token('TEST', test = FALSE)" Enter
shows "$asks" 4
keys -l "$(printf %s "$token" | cut -c 1-20)"
keys C-z
shows "Stopped"
keys "echo back in the shell; stty -a > $place/stopped; fg" Enter
shows "the entry was cancelled; nothing was stored"
keys "5000 + 5" Enter
shows "[1] 5005"
keys "q('no')" Enter
keys "stty -a > $place/after; echo left R" Enter
shows "left R" 2

# The line that the error prints where nobody can be asked.
keys "Rscript -e 'keycap::set_project_token(\"TEST\")'" Enter
shows "$asks" 5
new_token
paste "$place/token"
shows "which is replaced" 2
[ "$(kept)" = "$token" ] || fail "the keyring does not hold the token of the line"
keys "Rscript -e 'keycap::set_project_token(\"TEST\")'; echo ended" Enter
shows "$asks" 6
keys C-c
shows "ended" 2
keys "stty -a > $place/last; echo at the end" Enter
shows "at the end" 2
[ "$(kept)" = "$token" ] || fail "an entry that was given up has changed the keyring"

for state in stopped after last; do
  cmp -s "$place/before" "$place/$state" || {
    diff "$place/before" "$place/$state" >&2 || true
    fail "the terminal is not as it was ($state)"
  }
done
for flag in echo icanon isig; do
  grep -qE "(^| )$flag( |\$)" "$place/within" || fail "the terminal is not as it was within R: $flag"
done

. tests/terminal/rotation.sh

# No 8 characters of a token in a row, on the screen or above it, nor in a file that keycap wrote.
screen > "$place/screen"
[ "$(grep -c . "$place/screen")" -gt 30 ] || fail "there is no screen to look at"
while read -r token; do
  n=1
  while [ "$n" -le 25 ]; do
    part=$(printf %s "$token" | cut -c "$n-$((n + 7))")
    if grep -qiF -- "$part" "$place/screen"; then fail "a part of a token stands on the screen"; fi
    if grep -rqiF -- "$part" "$place/config" "$place/data" "$place/project"; then fail "a part of a token is in a file"; fi
    n=$((n + 1))
  done
done < "$tokens"
entries=$(grep '"project":"TEST"' "$place"/data/R/keycap/audit/*.jsonl | grep -c '"action":"set_token"')
[ "$entries" = 3 ] || fail "the audit log has $entries entries of tokens that were set"
echo "3 tokens entered, 3 entries given up, 1 rotated with a kill in between; the terminal is as it was, and no part of a token on the screen"
