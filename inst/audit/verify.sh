#!/bin/sh
# Verifies audit logs of keycap without keycap: POSIX sh, awk, sha256sum, and openssl 3 for signatures.
#
#     sh verify.sh [--key KEY-OR-FILE]... [--anchors FILE]... LOG...
#
# LOG       a folder with logs, or single segments (audit-<uid>@<host>-000001.jsonl)
# --anchors a file with checkpoints that were kept elsewhere, any number
# --key     a public key (`audit-...+........+AQ...`), or a file that has some; without it, those of the files
#           `audit-....pub` beside the logs are taken
#
# Prints one line a log, and what else there is to know indented below it. Exit status: that of the worst log.
#
#     0  intact and anchored up to N, or intact but unanchored since N
#     1  tampered at N (kind)
#     2  the command line is wrong
#     3  unreadable
#
# The format is described in FORMAT.md, which stands beside this file.
set -u
LC_ALL=C
export LC_ALL

# Lines that are hashed at a time, each as a small file.
CHUNK=2000

usage() { sed -n '2,18s/^# \{0,1\}//p' "$0"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/keycap-verify.XXXXXX") || exit 3
trap 'rm -rf "$work"' EXIT
trap 'exit 3' HUP INT TERM
mkdir "$work/keys" "$work/notes" "$work/lines"
: > "$work/given-notes"
: > "$work/key-lines"
: > "$work/paths"
: > "$work/segments"
given=no

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --key | --anchors)
      [ $# -gt 1 ] || { echo "$1 is followed by a file" >&2; exit 2; }
      if [ "$1" = --key ] && [ ! -f "$2" ]; then
        given=yes
        printf '%s\n' "$2" >> "$work/key-lines"
      elif [ ! -r "$2" ] || [ ! -f "$2" ]; then
        printf 'unreadable\n  %s\n' "$2"
        exit 3
      elif [ "$1" = --key ]; then
        given=yes
        { cat "$2"; echo; } >> "$work/key-lines"
      else
        { cat "$2"; echo; } >> "$work/given-notes"
      fi
      shift 2 ;;
    *) printf '%s\n' "$1" >> "$work/paths"; shift ;;
  esac
done
[ -s "$work/paths" ] || { usage >&2; exit 2; }

# Segments as `folder<TAB>origin<TAB>number<TAB>path`; a log of which only the key is left, with number 0.
add_segment() { # <folder> <path>
  folder_name=$1
  shift
  name=${1##*/}
  stem=${name%.jsonl}
  number=${stem##*-}
  case $number in
    *[!0-9]* | "" | ? | ?? | ??? | ???? | ?????) stem=$name-1 number=1 ;;
  esac
  [ "$stem" = "$name" ] && { stem=$name-1 number=1; }
  while [ "${number#0}" != "$number" ] && [ "$number" != 0 ]; do number=${number#0}; done
  printf '%s\t%s\t%s\t%s\n' "$folder_name" "${stem%-*}" "$number" "$1" >> "$work/segments"
}

while IFS= read -r path; do
  folder=$path
  if [ -d "$path" ]; then
    for file in "$path"/audit-*@*-[0-9][0-9][0-9][0-9][0-9][0-9]*.jsonl; do
      [ -e "$file" ] && add_segment "$path" "$file"
    done
    for file in "$path"/audit-*.pub; do
      [ -e "$file" ] || continue
      name=${file##*/}
      printf '%s\t%s\t0\t-\n' "$path" "${name%.pub}" >> "$work/segments"
    done
  else
    folder=$(dirname "$path")
    add_segment "$folder" "$path"
  fi
  if [ $given = no ]; then
    for file in "$folder"/audit-*.pub; do
      [ -f "$file" ] && { cat "$file"; echo; } >> "$work/key-lines"
    done
  fi
done < "$work/paths"

# Keys: each line that is one becomes a file with the key as openssl takes it, listed as `name id file`.
canonical() { # <base64> <file>: decodes, and says whether the text is the only one for these bytes
  printf '%s' "$1" | openssl base64 -d -A > "$2" 2>/dev/null && [ "$(openssl base64 -A < "$2")" = "$1" ]
}

keys=0
: > "$work/keys/list"
: > "$work/keys/known"
is_key() { # <name+id+base64>; takes it apart
  case $1 in *+????????+A*) ;; *) return 1 ;; esac
  key_name=${1%%+*}
  key_rest=${1#*+}
  key_id=${key_rest%%+*}
  key_text=${key_rest#*+}
  case $key_name in "" | *[!A-Za-z0-9@._/-]*) return 1 ;; esac
  [ "${#key_name}" -le 256 ] && [ "${#key_text}" -eq 44 ] && canonical "$key_text" "$work/key" || return 1
  [ "$(wc -c < "$work/key")" -eq 33 ] && [ "$(head -c 1 "$work/key" | od -An -tx1 | tr -d ' \n')" = 01 ] || return 1
  [ "$({ printf '%s\n' "$key_name"; cat "$work/key"; } | sha256sum | cut -c 1-8)" = "$key_id" ]
}
add_key() {
  is_key "$1" || return 1
  grep -qxF -e "$1" "$work/keys/known" && return 0
  printf '%s\n' "$1" >> "$work/keys/known"
  keys=$((keys + 1))
  { printf '\060\052\060\005\006\003\053\145\160\003\041\000'; tail -c 32 "$work/key"; } > "$work/keys/$keys.der"
  printf '%s %s %s\n' "$key_name" "$key_id" "$work/keys/$keys.der" >> "$work/keys/list"
}
sort -u "$work/key-lines" | tr -d '\r' | grep '^[A-Za-z0-9@._/-][A-Za-z0-9@._/-]*+' > "$work/candidates"
while IFS= read -r line; do
  add_key "$line"
done < "$work/candidates"

# Notes: the fourth line says what they are. Each becomes a text, its signatures, and a line of facts.
tr '\000' '\001' < "$work/given-notes" | awk -v dir="$work/notes" '
  { line[NR] = $0 }
  function is_name(s) { return s ~ /^[A-Za-z0-9@._\/-]+$/ && length(s) <= 256 }
  function note(at,   i, blank, text, n, file) {
    for (i = 0; i < 5; i++) if (line[at + i] == "") return
    if (line[at + 5] == "") blank = 5
    else if (line[at + 6] == "" && substr(line[at + 5], 1, 4) == "key ") blank = 6
    else return
    if (at + blank > NR || !is_name(line[at]) || line[at + 1] !~ /^(0|[1-9][0-9]*)$/ || length(line[at + 1]) > 19) return
    if (line[at + 2] !~ /^[A-Za-z0-9+\/]+=$/ || length(line[at + 2]) != 44) return
    if (substr(line[at + 4], 1, 5) != "time ") return
    n = ++count
    file = dir "/" n ".text"
    for (i = 0; i < blank; i++) printf "%s\n", line[at + i] > file
    close(file)
    file = dir "/" n ".signatures"
    printf "" > file
    for (i = 1; i <= 16; i++) {
      text = line[at + blank + i]
      if (substr(text, 1, 4) != "\342\200\224 ") break
      print substr(text, 5) > file
    }
    close(file)
    print n, line[at], line[at + 1], line[at + 2], (blank == 6 ? substr(line[at + 5], 5) : "-")
  }
  END { for (i = 4; i <= NR; i++) if (line[i] == "keycap chain-head sha256") note(i - 3) }
' > "$work/notes/list"

# What they say, as `origin entries hash known`.
: > "$work/anchors"
while read -r n origin entries digest further; do
  canonical "$digest" "$work/digest" || continue
  # A further key that is none makes the note none.
  [ "$further" = - ] || is_key "$further" || continue
  right=no wrong=no some=no
  while IFS= read -r signature; do
    name=${signature%% *}
    rest=${signature#* }
    canonical "$rest" "$work/signature" || continue
    [ "$(wc -c < "$work/signature")" -ge 4 ] || continue
    some=yes
    id=$(head -c 4 "$work/signature" | od -An -tx1 | tr -d ' \n')
    tail -c +5 "$work/signature" > "$work/signature.bytes"
    while read -r key_name key_id key_file; do
      [ "$key_name" = "$name" ] && [ "$key_id" = "$id" ] || continue
      if openssl pkeyutl -verify -pubin -keyform DER -inkey "$key_file" -rawin -in "$work/notes/$n.text" \
        -sigfile "$work/signature.bytes" > /dev/null 2>&1; then
        right=yes
      else
        wrong=yes
      fi
    done < "$work/keys/list"
  done < "$work/notes/$n.signatures"
  [ $some = yes ] || continue
  known=0
  [ $right = yes ] && [ $wrong = no ] && known=1
  [ $known = 1 ] && [ "$further" != - ] && add_key "$further"
  printf '%s %s %s %s\n' "$origin" "$entries" "$(od -An -v -tx1 "$work/digest" | tr -d ' \n')" $known >> "$work/anchors"
done < "$work/notes/list"

# Nothing is left of a log: what a checkpoint names is missing.
[ -s "$work/segments" ] || awk '{ print ".\t" $1 "\t0\t-" }' "$work/anchors" > "$work/segments"
if [ ! -s "$work/segments" ]; then
  printf 'unreadable\n  there is no log\n'
  exit 3
fi

# Takes the lines of a piece apart: `kind seq prev check after size hash call phase`, and each line and what its check is of as files.
# shellcheck disable=SC2016
apart='
  {
    file = sprintf("%s/%06d", dir, NR)
    printf "%s\n", $0 > (file ".l")
    close(file ".l")
    n = length($0)
    printf "%s", substr($0, 1, n - 28) > (file ".c")
    close(file ".c")
    kind = "entry"; seq = prev = check = after = size = hash = "-"
    if (match($0, /^[{]"v":[0-9]+/) && substr($0, 6, RLENGTH - 5) + 0 > 1) kind = "newer"
    else {
      tail = substr($0, n - 27)
      head = 0
      if (match($0, /^[{]"v":1,"seq":[1-9][0-9]*,"prev":"/)) {
        head = RLENGTH
        seq = substr($0, 14, RLENGTH - 22)
        prev = substr($0, head + 1, 64)
        if (prev !~ /^[0-9a-f]+$/ || length(prev) != 64 || substr($0, head + 65, 3) != "\",\"") head = 0
      }
      check = substr(tail, 11, 16)
      if (!head) { kind = "headless"; seq = prev = "-" }
      if (substr(tail, 1, 10) != ",\"check\":\"" || substr(tail, 27) != "\"}") {
        kind = "none"; seq = prev = check = "-"
      }
      gsub(/[^0-9a-f]/, "?", check)
    }
    if (match($0, /"phase":"segment","reason":"[a-z]+","after":"[^"]*","after_size":[0-9]+,"after_hash":"[0-9a-f]+"/)) {
      part = substr($0, RSTART, RLENGTH)
      sub(/^.*"after":"/, "", part); after = part; sub(/".*$/, "", after)
      sub(/^[^"]*","after_size":/, "", part); size = part; sub(/,.*$/, "", size)
      sub(/^.*"after_hash":"/, "", part); hash = part; sub(/".*$/, "", hash)
      gsub(/[ \t]/, "?", after); if (after == "") after = "?"
    }
    call = phase = "-"
    if (match($0, /"phase":"[^"]*"/)) {
      phase = substr($0, RSTART + 9, RLENGTH - 10); gsub(/[ \t]/, "?", phase); if (phase == "") phase = "-"
    }
    if (match($0, /"phase":"(intent|change|outcome)","call_id":"[^"]*"/)) {
      part = substr($0, RSTART + 9, RLENGTH - 9)
      call = part; sub(/^[a-z]*","call_id":"/, "", call); sub(/"$/, "", call); gsub(/[ \t]/, "?", call)
      call = substr(part, 1, 1) ":" call
    }
    print kind, seq, prev, check, after, size, hash, call, phase
  }'

# Follows the chain through a piece. The state is `seq prev first anchored last`; a fault goes to a file and ends it.
# shellcheck disable=SC2016
follow='
  function bad(kind, n) { print "tampered " n " " kind > fault; exit }
  function anchors(n, digest,   i) {
    for (i = 1; i <= states; i++) if (named[i] == n "") {
      if (value[i] != digest) bad("anchor", n)
      if (known[i] == 1 && n + 0 > anchored + 0) anchored = n
    }
  }
  BEGIN {
    while ((getline text < list) > 0) {
      split(text, part, " ")
      if (part[1] == origin) { states++; named[states] = part[2]; value[states] = part[3]; known[states] = part[4] }
    }
  }
  {
    want = sprintf("%.0f", seq + 1)
    if ($1 == "newer") { print "newer" > fault; exit }
    if ($1 == "none") bad("not_an_entry", want)
    if (substr($11, 1, 16) != $4) bad("altered", want)
    if ($1 == "headless") bad("not_an_entry", want)
    opening = NR == 1 && opens && number > 1
    if (opening && $9 != "segment") bad("segment", want)
    if (first == 0) {
      if (opening) {
        seq = $2 - 1; prev = $3; want = $2
        anchors(sprintf("%.0f", seq), prev)
      }
      first = want
    }
    if ($2 != want) bad("sequence", want)
    if ($3 != prev) bad("previous", want)
    if (opening && before != "-" && ($5 != before || $6 != size || $7 != prev)) bad("segment", want)
    seq = want; prev = $10
    anchors(want, prev)
    # The log has its own words about itself, which need no checkpoint that vouches for them.
    if ($9 !~ /^(segment|recover|device|checkpoint|anchor)$/) last = want
    if ($8 != "-") print want, $8 > calls
  }
  END { print seq, prev, first, anchored, last > state }'

verify_log() { # <folder> <origin>
  origin=$2
  rm -f "$work/fault"
  : > "$work/calls"
  echo "0 0000000000000000000000000000000000000000000000000000000000000000 0 0 0" > "$work/state"
  torn=0 last_number="" before=- before_size=0
  tab=$(printf '\t')
  awk -F '\t' -v folder="$1" -v origin="$origin" '$1 == folder && $2 == origin && $3 > 0' "$work/segments" |
    cut -f 3,4 | sort -t "$tab" -k 1,1n > "$work/mine"
  newest=$(tail -n 1 "$work/mine" | cut -f 1)
  while IFS=$tab read -r number path; do
    read -r seq prev first anchored last < "$work/state"
    if [ ! -f "$path" ] || ! cat "$path" > "$work/segment" 2>/dev/null; then
      echo unreadable > "$work/fault"
      where=$path
      return
    fi
    where=$path
    if [ -n "$last_number" ] && [ "$number" -ne $((last_number + 1)) ]; then
      echo "tampered $((seq + 1)) segment" > "$work/fault"
      return
    fi
    size=$(($(wc -c < "$work/segment")))
    if [ "$size" -eq 0 ] && [ "$number" -ne "$newest" ]; then
      echo "tampered $((seq + 1)) segment" > "$work/fault"
      return
    fi
    rm -f "$work"/piece.*
    cut_short=no
    if [ "$size" -gt 0 ]; then
      whole=$(($(wc -l < "$work/segment")))
      head -n "$whole" "$work/segment" > "$work/whole"
      rest=$((size - $(wc -c < "$work/whole")))
      [ "$rest" -gt 0 ] && cut_short=yes
      [ "$whole" -gt 0 ] && split -l $CHUNK -a 6 "$work/whole" "$work/piece."
    fi
    opens=1
    for piece in "$work"/piece.*; do
      [ -e "$piece" ] || continue
      rm -rf "$work/lines"
      mkdir "$work/lines"
      tr '\000' '\001' < "$piece" | awk -v dir="$work/lines" "$apart" > "$work/facts"
      (cd "$work/lines" && sha256sum ./*.l | cut -c 1-64 > ../hashes && sha256sum ./*.c | cut -c 1-64 > ../checks)
      read -r seq prev first anchored last < "$work/state"
      paste -d ' ' "$work/facts" "$work/hashes" "$work/checks" |
        awk -v seq="$seq" -v prev="$prev" -v first="$first" -v anchored="$anchored" -v last="$last" -v number="$number" -v opens=$opens \
          -v before="$before" -v size="$before_size" -v origin="$origin" -v list="$work/anchors" -v fault="$work/fault" \
          -v state="$work/state" -v calls="$work/calls.new" "$follow"
      [ -f "$work/calls.new" ] && cat "$work/calls.new" >> "$work/calls"
      rm -f "$work/calls.new"
      [ -s "$work/fault" ] && return
      opens=0
    done
    if [ $cut_short = yes ]; then
      if [ "$number" -ne "$newest" ]; then
        read -r seq prev first anchored last < "$work/state"
        echo "tampered $((seq + 1)) not_an_entry" > "$work/fault"
        return
      fi
      torn=$rest
    fi
    last_number=$number before=${path##*/} before_size=$size
  done < "$work/mine"
  read -r seq prev first anchored last < "$work/state"
  longest=$(awk -v origin="$origin" '$1 == origin && $2 + 0 > most { most = $2 + 0 } END { printf "%.0f\n", most }' "$work/anchors")
  if [ "$longest" -gt "$seq" ]; then
    echo "tampered $((seq + 1)) short" > "$work/fault"
    where="a checkpoint names $longest entries"
  fi
}

worst=0
cut -f 1,2 "$work/segments" | sort -u > "$work/origins"
while IFS=$(printf '\t') read -r folder origin; do
  verify_log "$folder" "$origin"
  found=""
  [ -s "$work/fault" ] && found=$(cat "$work/fault")
  case $found in
    tampered*)
      # shellcheck disable=SC2086
      set -- $found
      printf 'tampered at %s (%s)\n  %s\n  %s\n' "$2" "$3" "$origin" "$where"
      status=1 ;;
    newer | unreadable)
      printf 'unreadable\n  %s\n  %s\n' "$origin" "$where"
      status=3 ;;
    *)
      if [ "$anchored" -gt 0 ] && [ "$anchored" -ge "$last" ]; then
        echo "intact and anchored up to $anchored"
      else
        echo "intact but unanchored since $anchored"
      fi
      status=0
      printf '  %s\n  %s entries\n' "$origin" "$seq"
      [ "$first" -gt 1 ] && echo "  begins with entry $first: earlier segments are filed elsewhere"
      [ "$torn" -gt 0 ] && echo "  $torn bytes of a write that was cut short stand at the end; they are no entry"
      awk '{ id = substr($2, 3) } $2 ~ /^o/ { delete at[id]; next } { at[id] = $1 }
        END { for (id in at) print at[id] }' "$work/calls" | sort -n | tr '\n' ' ' > "$work/open"
      [ -s "$work/open" ] && echo "  without an outcome: entries $(cat "$work/open")"
      awk -v origin="$origin" '$1 == origin && $4 == 0 { found = 1 } END { exit !found }' "$work/anchors" &&
        echo "  a checkpoint was passed over: no known key has signed it" ;;
  esac
  # Tampered counts for more than unreadable.
  [ "$worst" -eq 1 ] || [ "$status" -eq 0 ] || worst=$status
done < "$work/origins"
exit "$worst"
