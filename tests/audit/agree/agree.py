#!/usr/bin/env python3
"""Runs three verifiers over the logs of generate.py: each has to say what is expected, and all have to say the same.

    python3 agree.py FOLDER RUST [SHELL ...]

RUST is the program of rust/examples/audit_verify.rs. Prints a table of the attacks, with and without an anchor.
"""

import collections
import multiprocessing.pool
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
AUDIT = os.path.join(HERE, "..", "..", "..", "inst", "audit")


def said(line, folder):
    notes = os.path.join(folder, "anchors")
    done = subprocess.run([*line, "--anchors", notes, os.path.join(folder, "log")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode("utf-8", "replace")
    return text.split("\n")[0], done.returncode, text


def fits(expected, verdict):
    if expected == "?!":
        return verdict.startswith("tampered at ") or verdict == "unreadable"
    if expected == "tampered":
        return verdict.startswith("tampered at ")
    return expected in ("?", verdict)


def status_of(verdict):
    return 1 if verdict.startswith("tampered") else 3 if verdict == "unreadable" else 0


def main(folder, rust, shells):
    verifiers = {"rust": [rust], "python": [sys.executable, os.path.join(AUDIT, "verify.py")]}
    for shell in shells or ["sh"]:
        verifiers[shell] = [*shell.split(), os.path.join(AUDIT, "verify.sh")]
    spent, wrong, seen = collections.Counter(), 0, collections.Counter()
    table = collections.defaultdict(lambda: [0, 0])
    logs = sorted(name for name in os.listdir(folder) if name.isdigit())

    def ask(name):
        verdicts, times = {}, {}
        for verifier, line in verifiers.items():
            start = time.monotonic()
            verdicts[verifier] = said(line, os.path.join(folder, name))
            times[verifier] = time.monotonic() - start
        return name, verdicts, times

    for name, verdicts, times in multiprocessing.pool.ThreadPool(2).imap(ask, logs):
        spent.update(times)
        with open(os.path.join(folder, name, "expected")) as file:
            expected, attack, anchored = file.read().split("\n")[:3]
        first = verdicts["rust"][0]
        same = len({verdict[:2] for verdict in verdicts.values()}) == 1
        if not same or not fits(expected, first) or verdicts["rust"][1] != status_of(first):
            wrong += 1
            print("%s: %s (%s): expected `%s`" % (name, attack, anchored, expected))
            for verifier, verdict in verdicts.items():
                print("  %-8s %s, exit code %d" % (verifier, verdict[0], verdict[1]))
        seen[first.split(" at ")[0].split(" since ")[0].split(" up to ")[0]] += 1
        table[attack, anchored][0] += first.startswith("tampered")
        table[attack, anchored][1] += 1
    print("\n%-20s %-20s %s" % ("attack", "without an anchor", "with an anchor"))
    caught = {"anchor": 0, "no anchor": 0}
    for attack in dict.fromkeys(attack for attack, _ in table):
        if attack in ("none", "damage"):
            continue
        cells = []
        for anchored in ("no anchor", "anchor"):
            found, of = table[attack, anchored]
            caught[anchored] += found == of and of > 0
            cells.append("%d of %d" % (found, of))
        print("%-20s %-20s %s" % (attack, *cells))
    print("attacks always found: %d without an anchor, %d with one" % (caught["no anchor"], caught["anchor"]))
    print("%d logs: %s" % (len(logs), ", ".join("%d %s" % (count, what) for what, count in sorted(seen.items()))))
    print("seconds: %s" % ", ".join("%s %.1f" % item for item in spent.items()))
    print("%d logs of %d on which the verifiers differ, or say what is not so" % (wrong, len(logs)))
    return 1 if wrong or not logs or (len(logs) >= 360 and caught["anchor"] != 12) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
