#!/usr/bin/env python3
"""Makes audit logs, good and bad, each in a folder of its own with what the verdict has to be.

    python3 generate.py FOLDER COUNT [SEED]

A log is written by code that shares nothing with the verifiers; keys are made and notes signed by OpenSSL. Each folder
has `log/` (segments and public keys), `anchors` (what was kept elsewhere; empty for some) and `expected`: the verdict,
or `?` where only agreement is asked for (a flipped bit may do anything but pass).
"""

import base64
import hashlib
import os
import random
import subprocess
import sys

ORIGIN = "audit-1000@db01"
ZEROS = "0" * 64


def digest(data):
    return hashlib.sha256(data).hexdigest()


def sealed(body):
    """A line, from its JSON without the closing brace."""
    data = body.encode()
    return data + b',"check":"%s"}\n' % digest(data)[:16].encode()


class Key:
    """An Ed25519 key of OpenSSL's; they are few, since each takes a process to make."""

    def __init__(self, folder, name):
        self.pem = os.path.join(folder, name + ".pem")
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.pem)
        der = run("openssl", "pkey", "-in", self.pem, "-pubout", "-outform", "DER")
        data = b"\x01" + der[-32:]
        self.identity = hashlib.sha256(ORIGIN.encode() + b"\n" + data).digest()[:4]
        self.text = "%s+%s+%s" % (ORIGIN, self.identity.hex(), base64.b64encode(data).decode())
        self.public = run("openssl", "pkey", "-in", self.pem, "-pubout").decode()
        self.scratch = os.path.join(folder, name)

    def line(self, text):
        with open(self.scratch, "wb") as file:
            file.write(text)
        signature = run("openssl", "pkeyutl", "-sign", "-inkey", self.pem, "-rawin", "-in", self.scratch)
        return "\u2014 %s %s\n" % (ORIGIN, base64.b64encode(self.identity + signature).decode())


def run(*line):
    return subprocess.run(line, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def note(entries, value, *keys, further=None):
    hashed = base64.b64encode(bytes.fromhex(value)).decode()
    text = "%s\n%d\n%s\nkeycap chain-head sha256\ntime 2025-11-21T23:56:06.123456Z\n" % (ORIGIN, entries, hashed)
    if further:
        text += "key %s\n" % further.text
    return text + "\n" + "".join(key.line(text.encode()) for key in keys)


class Log:
    def __init__(self, rng, size, segments, origin):
        self.rng, self.origin = rng, origin
        self.segments = [[]]
        self.seq, self.prev = 0, ZEROS
        cuts = set(rng.sample(range(2, size), min(segments - 1, size - 2))) if size > 2 else set()
        open_calls = []
        while self.seq < size:
            if self.seq + 1 in cuts:
                self.roll()
            elif open_calls and rng.random() < 0.5:
                call = open_calls.pop(0)
                self.add("outcome", '"call_id":"%s","status":200,"class":"ok","bytes":%d,"duration_us":5' % (call, self.seq))
            elif rng.random() < 0.08:
                self.add("recover", '"offset":%d,"bytes":7,"sha256":"%s","kept_as":"x"' % (self.seq, digest(b"torn")))
            elif rng.random() < 0.05:
                self.add("refused", '"action":"version","reason":"policy"')
            else:
                call = "%08x" % rng.getrandbits(32)
                open_calls.append(call)
                action = rng.choice(["record/export(fields)", "metadata", 'a \\"phase\\":\\"x\\" text', "\\u202e", "ü"])
                self.add("intent", '"call_id":"%s","action":"%s","project":"TEST"' % (call, action))

    def add(self, phase, rest):
        body = (
            '{"v":1,"seq":%d,"prev":"%s","time":"2025-11-21T23:56:06.123456Z","host":"db01","uid":1000,"pid":7,'
            '"keycap":"0.1.0","phase":"%s",%s' % (self.seq + 1, self.prev, phase, rest)
        )
        line = sealed(body)
        self.segments[-1].append(line)
        self.seq, self.prev = self.seq + 1, digest(line)

    def roll(self):
        name = "%s-%06d.jsonl" % (self.origin, len(self.segments))
        size = sum(map(len, self.segments[-1]))
        self.segments.append([])
        told = '"reason":"size","after":"%s","after_size":%d,"after_hash":"%s"' % (name, size, self.prev)
        self.add("segment", told)

    def lines(self):
        return [line for segment in self.segments for line in segment]

    def write(self, folder):
        for number, segment in enumerate(self.segments, 1):
            with open(os.path.join(folder, "%s-%06d.jsonl" % (self.origin, number)), "wb") as file:
                file.writelines(segment)

    def last_call(self):
        own = (b'"phase":"segment"', b'"phase":"recover"', b'"phase":"checkpoint"')
        calls = [at for at, line in enumerate(self.lines(), 1) if not any(phase in line for phase in own)]
        return calls[-1] if calls else 0

    def at(self, entry):
        """Where an entry stands: segment and place in it."""
        for number, segment in enumerate(self.segments):
            if entry <= len(segment):
                return number, entry - 1
            entry -= len(segment)
        raise IndexError(entry)

    def rechain(self, start=1):
        """Makes checks, numbers and links right again from an entry on, as a forger would."""
        prev, seq, before = ZEROS, 0, None
        for number, segment in enumerate(self.segments):
            for at, line in enumerate(segment):
                seq += 1
                if seq >= start:
                    body = line[: line.rindex(b',"check":"')].decode()
                    rest = body[body.index(',"time"') :]
                    if at == 0 and before is not None and '"phase":"segment"' in body:
                        told = '"reason":"size","after":"%s","after_size":%d,"after_hash":"%s"'
                        name = "%s-%06d.jsonl" % (self.origin, number)
                        rest = rest[: rest.index('"reason"')] + told % (name, sum(map(len, before)), prev)
                    line = segment[at] = sealed('{"v":1,"seq":%d,"prev":"%s"' % (seq, prev) + rest)
                prev = digest(line)
            before = segment
        self.seq, self.prev = seq, prev


def replaced(line, old, new):
    assert old in line
    return line.replace(old, new, 1)


# The attacks: each alters a log, and gives what a verifier has to find without an anchor and with one. `None`: it is
# missed. The entry that an attack with an anchor is found at is that of the anchor, or the first one that is missing.


def edit(log, rng, anchor):
    """Another project's name in a line in the middle."""
    entry = rng.randint(1, max(1, anchor - 1))
    number, at = log.at(entry)
    log.segments[number][at] = replaced(log.segments[number][at], b'"pid":7', b'"pid":8')
    return "tampered at %d (altered)" % entry, None


def delete(log, rng, anchor):
    entry = rng.randint(1, max(1, anchor - 1))
    number, at = log.at(entry)
    if at == 0 and number > 0 or at == len(log.segments[number]) - 1:
        return edit(log, rng, anchor)
    del log.segments[number][at]
    return "tampered at %d (sequence)" % entry, None


def cut_tail(log, rng, anchor):
    keep = rng.randint(1, max(1, anchor - 1))
    number, at = log.at(keep)
    del log.segments[number + 1 :]
    del log.segments[number][at + 1 :]
    log.seq = keep
    return None, "tampered at %d (short)" % (keep + 1)


def edit_last(log, rng, anchor):
    """The last line, with its check made right again."""
    log.segments[-1][-1] = replaced(log.segments[-1][-1], b'"pid":7', b'"pid":9')
    log.rechain(log.seq)
    return None, "tampered at %d (anchor)" % anchor if anchor == log.seq else None


def delete_and_rechain(log, rng, anchor):
    entry = rng.randint(1, anchor)
    number, at = log.at(entry)
    if at == 0 and number > 0 or len(log.segments[number]) == 1:
        return edit_last(log, rng, anchor)
    del log.segments[number][at]
    log.rechain()
    return None, "tampered at %d (%s)" % ((anchor, "short") if anchor > log.seq else (anchor, "anchor"))


def roll_back(log, rng, anchor):
    """An older copy of the log in its place."""
    return cut_tail(log, rng, anchor)


def empty(log, rng, anchor):
    log.segments = [[]]
    log.seq = 0
    return None, "tampered at 1 (short)"


def swap(log, rng, anchor):
    """Two lines exchange their places."""
    for _ in range(100):
        entry = rng.randint(1, max(1, log.seq - 1))
        (number, at), (other, _) = log.at(entry), log.at(entry + 1)
        if number == other and not (at == 0 and number > 0):
            segment = log.segments[number]
            segment[at], segment[at + 1] = segment[at + 1], segment[at]
            return "tampered at %d (sequence)" % entry, None
    return edit(log, rng, anchor)


def replay(log, rng, anchor):
    """An old line once more at the end, its number and link made right."""
    number, at = log.at(rng.randint(1, log.seq))
    log.segments[-1].append(log.segments[number][at])
    return "tampered at %d (sequence)" % (log.seq + 1), None


def fork(log, rng, anchor):
    """From some entry on another story, in itself without fault."""
    entry = rng.randint(1, anchor)
    number, at = log.at(entry)
    del log.segments[number + 1 :]
    del log.segments[number][at:]
    if number > 0 and not log.segments[number]:
        del log.segments[number]
    while sum(map(len, log.segments)) < anchor + 2:
        log.segments[-1].append(sealed('{"v":1,"seq":1,"prev":"%s","time":"t","pid":1,"phase":"intent","call_id":"f"' % ZEROS))
    log.rechain()
    return None, "tampered at %d (anchor)" % anchor


def insert(log, rng, anchor):
    """A line that was never written, and all that follows chained anew."""
    entry = rng.randint(1, anchor)
    number, at = log.at(entry)
    if at == 0 and number > 0:
        return fork(log, rng, anchor)
    log.segments[number].insert(at, sealed('{"v":1,"seq":1,"prev":"%s","time":"t","pid":1,"phase":"intent","call_id":"i"' % ZEROS))
    log.rechain()
    return None, "tampered at %d (anchor)" % anchor


def reseal(log, rng, anchor):
    """Edited, chained anew, and a checkpoint of that signed with today's key: here, a new one beside the log."""
    number, at = log.at(rng.randint(1, anchor))
    log.segments[number][at] = replaced(log.segments[number][at], b'"pid":7', b'"pid":6')
    log.rechain()
    return None, "tampered at %d (anchor)" % anchor


ATTACKS = [
    edit, delete, cut_tail, edit_last, delete_and_rechain, roll_back, empty, swap, replay, fork, insert, reseal,
]


def main(folder, count, seed):
    os.makedirs(folder, exist_ok=True)
    keys = [Key(folder, "key%d" % n) for n in range(3)]
    for n in range(count):
        rng = random.Random("%s %d" % (seed, n))
        make(rng, n, os.path.join(folder, "%04d" % n), keys)


def make(rng, n, folder, keys):
    old, new, stranger = keys
    os.makedirs(os.path.join(folder, "log"))
    kind = n % 30
    # The log of a second folder, which no checkpoint of the first is held against.
    origin = ORIGIN + "@second" if kind == 21 else ORIGIN
    log = Log(rng, rng.randint(5, 40), rng.choice([1, 1, 1, 2, 3]), origin)
    size, attack = log.seq, None
    # An anchor in every other log, not always at the end.
    with_anchor = n // 30 % 2 == 0
    anchor = rng.choice([size, size, rng.randint(2, size)])
    lines = log.lines()
    notes, public = [], [old]
    if with_anchor:
        first = rng.randint(1, anchor)
        notes.append(note(first, digest(lines[first - 1]), old))
        if rng.random() < 0.2:
            # A new key takes over, and the auditor has the first one alone.
            notes.append(note(anchor, digest(lines[anchor - 1]), old, new, further=new))
            if rng.random() < 0.5:
                notes.append(note(anchor, digest(lines[anchor - 1]), new))
        else:
            notes.append(note(anchor, digest(lines[anchor - 1]), old))
    expected = None
    if kind < 12:
        attack = ATTACKS[kind]
        if attack is edit_last:
            anchor = size
            if with_anchor:
                notes.append(note(size, digest(lines[-1]), old))
        if attack is reseal and rng.random() < 0.5:
            public = [new]
        before, after = attack(log, rng, anchor)
        # Notes below the anchor may find it earlier: then the three have to agree, and it has to be found.
        expected = before or (("tampered" if len(notes) > 1 else after) if with_anchor else None)
        if attack is reseal and not with_anchor:
            notes = []
    elif kind < 18:
        attack = damage
        expected = damage(log, rng)
    elif kind == 18 and with_anchor:
        # A note of a key that nobody knows: it anchors nothing.
        notes = [note(anchor, digest(lines[anchor - 1]), stranger)]
        expected = "intact but unanchored since 0"
    elif kind == 19 and with_anchor:
        # And where it contradicts the log, it is an alarm.
        notes = [note(anchor, digest(b"another line"), stranger)]
        expected = "tampered at %d (anchor)" % anchor
    elif kind == 20 and with_anchor:
        # A signature that is not the note's, and a note of another log.
        text = note(anchor, digest(lines[anchor - 1]), old)
        other = note(anchor, digest(b"x"), old).rsplit("\n", 2)[1]
        notes = [text.rsplit("\n", 2)[0] + "\n" + other + "\n", notes[0].replace(ORIGIN, "audit-1000@db02")]
        expected = "intact but unanchored since 0"
    elif kind == 21 and with_anchor:
        # Notes of the first folder's log, which is another chain.
        notes = [note(anchor, digest(b"a line of the first folder"), old)]
        expected = "intact but unanchored since 0"
    tail = b""
    if expected is None and rng.random() < 0.2:
        # A write that was cut short stands at the end, and is no fault.
        tail = lines[0][: rng.randint(1, len(lines[0]) - 1)]
    filed = expected is None and attack is None and len(log.segments) > 1 and rng.random() < 0.3
    log.write(os.path.join(folder, "log"))
    if tail:
        with open(os.path.join(folder, "log", "%s-%06d.jsonl" % (origin, len(log.segments))), "ab") as file:
            file.write(tail)
    if filed:
        os.remove(os.path.join(folder, "log", "%s-000001.jsonl" % origin))
    with open(os.path.join(folder, "log", origin + ".pub"), "w") as file:
        file.writelines("%s\n%s" % (key.text, key.public) for key in public)
    with open(os.path.join(folder, "anchors"), "w", encoding="utf-8") as file:
        file.write("".join("\n" + text for text in notes))
    if expected is None:
        unsigned = attack is not None or not with_anchor
        first_here = len(log.segments[0]) + 1 if filed else 1
        named = [int(text.split("\n")[1]) for text in notes]
        anchored = max([entries for entries in named if entries >= first_here - 1], default=0)
        if unsigned or not anchored:
            expected = "?"
        elif anchored >= log.last_call():
            expected = "intact and anchored up to %d" % anchored
        else:
            expected = "intact but unanchored since %d" % anchored
        if attack is not None and with_anchor:
            expected = "tampered"
        elif not with_anchor:
            expected = "intact but unanchored since 0"
    with open(os.path.join(folder, "expected"), "w") as file:
        file.write("%s\n%s\n" % (expected, attack.__name__ if attack else "none"))
        file.write("%s\n" % ("anchor" if with_anchor else "no anchor"))


def damage(log, rng):
    """What disks and slips do: a flipped bit, a lost segment, a newer format, junk, blank lines."""
    what = rng.choice(["bit", "bit", "bit", "bit", "junk", "newer", "segment", "nul", "blank"])
    entry = rng.randint(1, log.seq)
    number, at = log.at(entry)
    segment = log.segments[number]
    if what == "bit":
        data = bytearray(segment[at])
        place = rng.randrange(len(data) - 1)
        data[place] ^= 1 << rng.randrange(8)
        segment[at] = bytes(data)
        return "?!"
    if what == "junk":
        segment.insert(at, b"no entry at all\n")
        return "tampered at %d (not_an_entry)" % entry
    if what == "blank":
        segment.insert(at, b"\n")
        return "tampered at %d (not_an_entry)" % entry
    if what == "newer":
        segment[at] = replaced(segment[at], b'{"v":1', b'{"v":2')
        return "unreadable"
    if what == "nul":
        segment[at] = replaced(segment[at], b"db01", b"d\x0001")
        return "tampered at %d (altered)" % entry
    if len(log.segments) > 2:
        before = len(log.segments[0])
        del log.segments[1][:]
        return "tampered at %d (segment)" % (before + 1)
    segment[at] = segment[at][:-1] + b" \n"
    return "tampered at %d (not_an_entry)" % entry


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "1")
