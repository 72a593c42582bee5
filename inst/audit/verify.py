#!/usr/bin/env python3
"""Verifies audit logs of keycap without keycap. Python 3.8 or newer, standard library only.

    python3 verify.py [--key KEY-OR-FILE]... [--anchors FILE]... LOG...

LOG       a folder with logs, or single segments (audit-<uid>@<host>-000001.jsonl)
--anchors a file with checkpoints that were kept elsewhere, any number
--key     a public key (`audit-...+........+AQ...`), or a file that has some; without it, those of the files
          `audit-....pub` beside the logs are taken

Prints one line a log, and what else there is to know indented below it. Exit status: that of the worst log.

    0  intact and anchored up to N, or intact but unanchored since N
    1  tampered at N (kind)
    2  the command line is wrong
    3  unreadable

The format is described in FORMAT.md, which stands beside this file.
"""

import base64
import binascii
import hashlib
import json
import os
import re
import sys

VERSION = 1
WHAT = "keycap chain-head sha256"
DASH = "\u2014 "
NAME = re.compile(r"[A-Za-z0-9@._/-]{1,256}\Z")
SEGMENT = re.compile(r"(audit-.*@.*)-([0-9]{6,})\.jsonl\Z")
NEWER = re.compile(rb'\{"v":([0-9]+)')
HEAD = re.compile(rb'\{"v":1,"seq":([1-9][0-9]*),"prev":"([0-9a-f]{64})","')
PHASE = re.compile(rb'"phase":"([^"]*)"')
# The log's own words about itself need no checkpoint that vouches for them.
OWN = ("segment", "recover", "device", "checkpoint", "anchor")
OPENING = re.compile(
    rb'"phase":"segment","reason":"[a-z]+","after":"([^"]*)","after_size":([0-9]+),"after_hash":"([0-9a-f]{64})"'
)
CHECK = re.compile(rb',"check":"(.{16})"\}\n\Z', re.DOTALL)
ZEROS = "0" * 64


# Ed25519, RFC 8032, in plain integers: slow, and enough for a few signatures.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def point_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def point(data):
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    if y >= P:
        return None
    x = point_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def add(a, b):
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number, a):
    total = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = add(total, a)
        a = add(a, a)
        number >>= 1
    return total


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = point_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def signed_by(public, text, signature):
    """Whether a signature of 64 bytes is that of a public key of 32 bytes under a text."""
    if len(signature) != 64 or len(public) != 32:
        return False
    a, s = point(public), int.from_bytes(signature[32:], "little")
    if a is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + text).digest(), "little") % L
    # R is compared as it is written, as the other verifiers do.
    minus_a = (P - a[0], a[1], 1, (P - a[0]) * a[1] % P)
    x, y, z, _ = add(times(s, BASE), times(k, minus_a))
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# Notes: C2SP signed notes that say how far a log was.


def exact(text):
    """The bytes of a text in base64 that has no second way to be written."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        return None
    return data if base64.b64encode(data).decode() == text else None


def key_of(text):
    """(name, id, public key) of a verifier key."""
    parts = text.split("+", 2)
    if len(parts) != 3 or not NAME.match(parts[0]):
        return None
    data = exact(parts[2])
    if data is None or len(data) != 33 or data[0] != 1:
        return None
    identity = hashlib.sha256(parts[0].encode() + b"\n" + data).digest()[:4]
    return (parts[0], identity, data[1:]) if identity.hex() == parts[1] else None


def keys_in(text):
    found = (key_of(line.rstrip()) for line in text.split("\n"))
    return [key for key in found if key]


def note_at(lines):
    """The note that some lines begin with: origin, entries, hash, further key, text, signatures."""
    if "" not in lines[5:7] or "" in lines[:5]:
        return None
    blank = lines.index("", 5)
    origin, entries, digest, what, time = lines[:5]
    data = exact(digest)
    if not NAME.match(origin) or what != WHAT or data is None or len(data) != 32 or not time.startswith("time "):
        return None
    if not re.match(r"(0|[1-9][0-9]{0,18})\Z", entries):
        return None
    further = None
    if blank == 6:
        further = key_of(lines[5][4:]) if lines[5].startswith("key ") else None
        if further is None:
            return None
    signatures = []
    for line in lines[blank + 1 : blank + 17]:
        if not line.startswith(DASH):
            break
        name, _, rest = line[len(DASH) :].partition(" ")
        data = exact(rest)
        if data is not None and len(data) >= 4:
            signatures.append((name, data[:4], data[4:]))
    text = "".join(line + "\n" for line in lines[:blank]).encode()
    return (origin, int(entries), data_hex(digest), further, text, signatures) if signatures else None


def data_hex(text):
    return exact(text).hex()


def anchored(text, keys):
    """What notes say: (origin, entries, hash, whether a known key has signed it)."""
    keys, states = list(keys), []
    lines = text.split("\n")
    # The last line has an end of its own, or it is no whole line.
    lines = lines[:-1]
    for at in range(3, len(lines)):
        if lines[at] != WHAT:
            continue
        note = note_at(lines[at - 3 :])
        if note is None:
            continue
        origin, entries, digest, further, body, signatures = note
        right, wrong = False, False
        for name, identity, signature in signatures:
            for key in keys:
                if key[:2] == (name, identity):
                    good = signed_by(key[2], body, signature)
                    right, wrong = right or good, wrong or not good
        known = right and not wrong
        if known and further and further not in keys:
            keys.append(further)
        if (origin, entries, digest, known) not in states:
            states.append((origin, entries, digest, known))
    return states


# Logs.


class Tampered(Exception):
    def __init__(self, entry, kind, where):
        super().__init__(kind)
        self.entry, self.kind, self.where = entry, kind, where


class Unreadable(Exception):
    pass


def call_of(line):
    """The id of the call that a line is about."""
    try:
        entry = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return entry.get("call_id") if isinstance(entry, dict) else None


class Log:
    """One log: its segments in their order."""

    def __init__(self, origin, segments, states):
        self.origin, self.segments = origin, sorted(segments)
        self.states = [state[1:] for state in states if state[0] == origin]
        self.seq, self.prev, self.first = 0, ZEROS, None
        self.open, self.torn, self.anchored, self.last_call = {}, 0, 0, 0
        self.wanted = {}
        for entries, digest, known in self.states:
            self.wanted.setdefault(entries, []).append((digest, known))

    def verify(self):
        """The entries, and how far they are anchored."""
        before = None
        for at, (number, path) in enumerate(self.segments):
            last = at == len(self.segments) - 1
            try:
                with open(path, "rb") as file:
                    data = file.read()
            except OSError as error:
                raise Unreadable("%s: %s" % (path, error.strerror))
            if before is not None and number != before[0] + 1:
                raise Tampered(self.seq + 1, "segment", "%s: the one before is missing" % path)
            if not data and not last:
                raise Tampered(self.seq + 1, "segment", "%s: it is empty" % path)
            self.segment(path, data, last, before, number)
            before = (number, os.path.basename(path), len(data))
        longest = max(self.wanted, default=0)
        if longest > self.seq:
            raise Tampered(self.seq + 1, "short", "a checkpoint names %d entries" % longest)

    def segment(self, path, data, last, before, number):
        lines = data.split(b"\n")
        tail = lines.pop()
        for at, line in enumerate(lines):
            where = "%s, line %d" % (path, at + 1)
            self.line(line + b"\n", where, before, number if at == 0 else None)
        if tail and last:
            self.torn = len(tail)
        elif tail:
            raise Tampered(self.seq + 1, "not_an_entry", "%s, line %d" % (path, len(lines) + 1))

    def line(self, line, where, before, number):
        newer = NEWER.match(line)
        if newer and int(newer.group(1)) > VERSION:
            raise Unreadable("%s: it has the newer format %d" % (where, int(newer.group(1))))
        head, check = HEAD.match(line), CHECK.search(line)
        if not check:
            raise Tampered(self.seq + 1, "not_an_entry", where)
        if hashlib.sha256(line[: check.start()]).hexdigest()[:16].encode() != check.group(1):
            raise Tampered(self.seq + 1, "altered", where)
        if not head:
            raise Tampered(self.seq + 1, "not_an_entry", where)
        phase = PHASE.search(line)
        phase = phase.group(1).decode() if phase else ""
        opens = number is not None and number > 1
        if opens and phase != "segment":
            raise Tampered(self.seq + 1, "segment", where)
        seq, prev = int(head.group(1)), head.group(2).decode()
        if self.first is None:
            # Older segments may be filed elsewhere: then the first line is taken as it is.
            if opens:
                self.seq, self.prev = seq - 1, prev
                self.anchor(self.seq, self.prev)
            self.first = self.seq + 1
        if seq != self.seq + 1:
            raise Tampered(self.seq + 1, "sequence", where)
        if prev != self.prev:
            raise Tampered(self.seq + 1, "previous", where)
        if opens and before is not None:
            opening = OPENING.search(line)
            told = opening and (opening.group(1).decode("utf-8", "replace"), int(opening.group(2)), opening.group(3).decode())
            if told != (before[1], before[2], self.prev):
                raise Tampered(self.seq + 1, "segment", where)
        self.seq, self.prev = seq, hashlib.sha256(line).hexdigest()
        self.anchor(self.seq, self.prev)
        call = call_of(line)
        if phase not in OWN:
            self.last_call = seq
        if phase in ("intent", "change"):
            self.open[call] = self.seq
        elif phase == "outcome":
            self.open.pop(call, None)

    def anchor(self, entries, digest):
        """What checkpoints say of an entry."""
        for named, known in self.wanted.get(entries, []):
            if named != digest:
                raise Tampered(entries, "anchor", "a checkpoint of %d entries names another hash" % entries)
            if known:
                self.anchored = max(self.anchored, entries)


def verdict(log):
    """The line for a log, what else there is to say, and the exit status."""
    try:
        log.verify()
    except Unreadable as error:
        return "unreadable", [str(error)], 3
    except Tampered as found:
        return "tampered at %d (%s)" % (found.entry, found.kind), [found.where], 1
    more = ["%d entries" % log.seq]
    if log.first is not None and log.first > 1:
        more.append("begins with entry %d: earlier segments are filed elsewhere" % log.first)
    if log.torn:
        more.append("%d bytes of a write that was cut short stand at the end; they are no entry" % log.torn)
    if log.open:
        more.append("without an outcome: entries %s" % ", ".join(str(seq) for seq in sorted(log.open.values())))
    if any(not known for _, _, known in log.states):
        more.append("a checkpoint was passed over: no known key has signed it")
    if log.anchored == 0 or log.anchored < log.last_call:
        return "intact but unanchored since %d" % log.anchored, more, 0
    return "intact and anchored up to %d" % log.anchored, more, 0


def text_of(path):
    with open(path, "rb") as file:
        return file.read().decode("utf-8", "replace")


def main(arguments):
    keys, notes, paths, given = [], "", [], False
    while arguments:
        argument = arguments.pop(0)
        if argument in ("-h", "--help"):
            print(__doc__.strip())
            return 0
        if argument in ("--key", "--anchors"):
            if not arguments:
                print("%s is followed by a file" % argument, file=sys.stderr)
                return 2
            value = arguments.pop(0)
            try:
                if argument == "--key":
                    given = True
                    keys += keys_in(value if key_of(value) else text_of(value))
                else:
                    notes += text_of(value) + "\n"
            except OSError as error:
                print("unreadable\n  %s: %s" % (value, error.strerror))
                return 3
        else:
            paths.append(argument)
    if not paths:
        print(__doc__.strip(), file=sys.stderr)
        return 2

    logs, folders = {}, []
    for path in paths:
        if os.path.isdir(path):
            folders.append(path)
            for name in os.listdir(path):
                found = SEGMENT.match(name)
                if found and int(found.group(2)) > 0:
                    log = logs.setdefault((path, found.group(1)), [])
                    log.append((int(found.group(2)), os.path.join(path, name)))
                elif name.startswith("audit-") and name.endswith(".pub"):
                    logs.setdefault((path, name[: -len(".pub")]), [])
        else:
            folders.append(os.path.dirname(path) or ".")
            found = SEGMENT.match(os.path.basename(path))
            origin, number = (found.group(1), int(found.group(2))) if found else (os.path.basename(path), 1)
            logs.setdefault((folders[-1], origin), []).append((number, path))
    if not given:
        for folder in sorted(set(folders)):
            names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
            for name in names:
                if name.startswith("audit-") and name.endswith(".pub"):
                    keys += keys_in(text_of(os.path.join(folder, name)))
    states = anchored(notes, keys)
    if not logs:
        # Nothing is left of a log: what a checkpoint names is missing.
        logs = {("", origin): [] for origin, _, _, _ in states}
    if not logs:
        print("unreadable\n  there is no log in %s" % ", ".join(paths))
        return 3
    worst = 0
    for folder, origin in sorted(logs):
        line, more, status = verdict(Log(origin, logs[folder, origin], states))
        print(line)
        print("  %s" % origin)
        for text in more:
            print("  %s" % text.encode("unicode_escape").decode())
        # Tampered counts for more than unreadable.
        if status and worst != 1:
            worst = status
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
