"""`make bench`: measures, and prints the table of what is to be reached.

Each figure is a ratio within one run on one machine: the clients take turns, round by round, each in a fresh process,
whose first export is `cold` and whose others are `warm`. A ratio is made of the medians of one round; told are the
median of the rounds and the least and greatest. The report is bench/results.md, everything measured bench/results.json.
"""

import argparse
import datetime
import glob
import json
import os
import platform
import statistics
import subprocess
import sys
import time

from prepare import prepare

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = os.path.join(ROOT, "build", "bench")
HERE = os.path.join(ROOT, "bench")
EXTENT = {"S": (1_000, 30), "M": (20_000, 50), "L": (200_000, 60)}
R = ["Rscript", "--vanilla"]


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command, **more):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **more)
    if done.returncode != 0:
        raise SystemExit(f"bench: `{' '.join(command)}` failed")
    return done.stdout


def programs():
    """The static server, the sandbox and the floor; built without the long optimisation over all crates."""
    env = {**os.environ, "CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16"}
    target = os.path.join(WORK, "target")
    names = ["static_server", "sandbox", "floor"]
    examples = [part for name in names for part in ("--example", name)]
    run(["cargo", "build", "--quiet", "--locked", "--release", "--manifest-path", "rust/Cargo.toml", "--target-dir", target]
        + examples, env=env)
    return {name: os.path.join(target, "release", "examples", name) for name in names}


class Bench:
    def __init__(self, programs, uri, python, rounds):
        self.programs, self.uri, self.python, self.rounds = programs, uri, python, rounds
        self.runs = []

    def command(self, job, size, times):
        address = f"{self.uri}/{size}/api/"
        if job == "pycap":
            return [self.python, os.path.join(HERE, "worker.py"), address, str(times)]
        if job == "floor":
            return [self.programs["floor"], address, str(times)]
        file = os.path.join(WORK, "data", size, "record.csv")
        return R + [os.path.join(HERE, "worker.R"), job, address, file, str(times)]

    def measure(self, size, jobs, times):
        """Rounds of fresh processes, one for each client, by turns."""
        for number in range(self.rounds):
            for job in jobs if number % 2 == 0 else jobs[::-1]:
                say(f"  {size}, round {number + 1} of {self.rounds}: {job}")
                lines = run(self.command(job, size, times)).splitlines()
                if job == "floor":
                    facts = [{"seconds": float(line.split()[0])} for line in lines]
                else:
                    facts = [json.loads(line) for line in lines if line.startswith("{")]
                for facts_of_one in facts:
                    self.check(job, size, facts_of_one)
                self.runs.append({"size": size, "round": number, "job": job, "times": facts})

    @staticmethod
    def check(job, size, facts):
        rows, columns = EXTENT[size]
        # PyCap makes the record's id the index.
        wanted = {(rows, columns), (rows, columns - 1)}
        if facts.get("rows") and (facts["rows"], facts["columns"]) not in wanted:
            raise SystemExit(f"bench: {job} made {facts['rows']} rows and {facts['columns']} columns of {size}")

    def of(self, size, job, when, what="seconds"):
        """A figure of each round: of the first export, or the median of the others."""
        for found in self.runs:
            if (found["size"], found["job"]) == (size, job):
                times = found["times"][:1] if when == "cold" else found["times"][1:]
                yield statistics.median(facts[what] for facts in times)

    def ratios(self, size, ours, theirs, when):
        return [a / b for a, b in zip(self.of(size, ours, when), self.of(size, theirs, when))]


def load_times(rounds):
    """Fresh processes with and without the package; seconds of each."""
    programs = {"R": "invisible()", "keycap": "library(keycap)", "rlang": "loadNamespace('rlang')",
                "cli and rlang": "loadNamespace('cli'); loadNamespace('rlang')"}
    took = {name: [] for name in programs}
    for number in range(rounds + 1):
        for name, code in programs.items():
            begin = time.perf_counter()
            subprocess.run(R + ["-e", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # The first round brings the files into the machine's memory.
            if number > 0:
                took[name].append(time.perf_counter() - begin)
    above = {name: [a - b for a, b in zip(times, took["R"])] for name, times in took.items() if name != "R"}
    return took, above


def script(name):
    """What another benchmark's script says: {what: values}. Nothing if there is no such script."""
    path = os.path.join(HERE, name)
    if not os.path.exists(path):
        return {}
    say(f"  {name}")
    out = os.path.join(WORK, name + ".jsonl")
    run(R + [path, out])
    found = {}
    with open(out) as lines:
        for line in lines:
            facts = json.loads(line)
            values = facts.get("ratio", facts.get("seconds"))
            found[facts["what"]] = values if isinstance(values, list) else [values]
    return found


def megabytes(path):
    return os.path.getsize(path) / 1e6


class Report:
    def __init__(self):
        self.rows = []

    def add(self, what, values, most, form="{:.2f}", unit=""):
        values = list(values)
        row = {"what": what, "values": values, "most": most}
        if not values:
            row.update(shown="", verdict="not measured")
        else:
            middle = statistics.median(values)
            shown = form.format(middle) + unit
            if len(values) > 1:
                shown += f" ({form.format(min(values))} to {form.format(max(values))})"
            short = f"falls short by {100 * (middle / most - 1):.0f} %" if most else ""
            row.update(shown=shown, median=middle, verdict="" if most is None else "reached" if middle <= most else short)
        row["target"] = "" if most is None else form.format(most) + unit
        self.rows.append(row)

    def table(self):
        lines = ["| | measured: median (least to greatest) | at most | |", "|---|---|---|---|"]
        return lines + [f"| {r['what']} | {r['shown']} | {r['target']} | {r['verdict']} |" for r in self.rows]


def seconds_table(bench):
    lines = ["| | client | cold, s | warm, s | CPU warm, s | peak above the process before, MB | data frame, MB |",
             "|---|---|---|---|---|---|---|"]
    for size, job in dict.fromkeys((found["size"], found["job"]) for found in bench.runs):
        def middle(when, what, form):
            try:
                return form.format(statistics.median(bench.of(size, job, when, what)))
            except (KeyError, statistics.StatisticsError):
                return ""
        cells = [middle("cold", "seconds", "{:.4f}"), middle("warm", "seconds", "{:.4f}"), middle("warm", "cpu", "{:.3f}"),
                 middle("cold", "peak", "{:.0f}"), middle("cold", "frame", "{:.1f}")]
        lines.append(f"| {size} | {NAMES[job]} | {' | '.join(cells)} |")
    return lines


NAMES = {
    "keycap": "keycap, download and types, audit log on",
    "keycap_file": "keycap, `to` = file, audit log on",
    "fread": "fread of the saved file, its own number of threads",
    "fread_all": "fread of the saved file, all processors",
    "readr": "readr of the saved file",
    "curl_fread": "R's curl to a file, then fread",
    "httr2_readr": "httr2, then readr",
    "pycap": "PyCap with pandas, download included",
    "floor": "bare reqwest, bytes thrown away",
}

NOTES = """
Machine: {machine}.

How: the server is `rust/examples/static_server.rs`, which has every answer ready in memory, in a process of its own on
the loopback address; the data are the sandbox's generated projects (seeded: the same bytes everywhere). keycap asks
it for the project, the dictionary and the records, and writes an intent and an outcome of each call to its audit log,
durable. "fread of the saved file" reads the same bytes from a file that lies in the machine's memory, without download.
Peak: the kernel's `VmHWM`, set back right before the call, less `VmRSS` before the call, of the first export of a
fresh process. `library(keycap)`: fresh processes by turns with R that loads nothing. REDCapR and redcapAPI are not in
Debian and CRAN was not reachable: not measured here.
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="S only, one round: whether it runs")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    os.makedirs(WORK, exist_ok=True)
    built = programs()
    sizes = ["S"] if options.quick else ["S", "M", "L"]
    data = os.path.join(WORK, "data")
    os.makedirs(data, exist_ok=True)
    prepare(built["sandbox"], data, sizes)
    server = subprocess.Popen([built["static_server"], data], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    rounds = 1 if options.quick else options.rounds
    python = os.path.join(WORK, "venv", "bin", "python")
    bench = Bench(built, server.stdout.readline().strip(), python, rounds)
    report = Report()
    scripts = {}
    try:
        # Others that read the same, for comparison; what the table is about comes with every round.
        more = [] if options.quick else ["readr", "httr2_readr", "pycap"]
        bench.measure("S", ["keycap", "curl_fread", "fread", "floor"] + more, 4 if options.quick else 15)
        if not options.quick:
            bench.measure("M", ["keycap", "fread", "fread_all", "curl_fread", "floor"] + more, 7)
            bench.measure("L", ["keycap", "fread", "fread_all", "curl_fread", "keycap_file", "floor"] + more, 4)
            for name in ("one-token.R", "many.R"):
                scripts.update(script(name))
    finally:
        server.stdin.close()
        server.wait(10)
    took, above = load_times(3 if options.quick else 15)

    for when in ("warm", "cold"):
        if not options.quick:
            report.add(f"L into a typed data frame, {when}: × fread of the saved file",
                       bench.ratios("L", "keycap", "fread", when), 0.5)
            report.add(f"L, {when}: × fread with all processors", bench.ratios("L", "keycap", "fread_all", when), None)
            report.add(f"L, {when}: × PyCap", bench.ratios("L", "keycap", "pycap", when), 0.25)
            report.add(f"M, {when}: × fread of the saved file", bench.ratios("M", "keycap", "fread", when), 1.0)
        report.add(f"S, {when}: × (curl + fread)", bench.ratios("S", "keycap", "curl_fread", when),
                   1.5 if when == "warm" else None)
    if not options.quick:
        peaks = zip(bench.of("L", "keycap", "cold", "peak"), bench.of("L", "keycap", "cold", "frame"))
        report.add("peak memory on L: × the data frame", [peak / frame for peak, frame in peaks], 1.6)
        report.add("`to` = file on L: memory above R", bench.of("L", "keycap_file", "cold", "peak"), 60, "{:.0f}", " MB")
        report.add("one test of a token, warm, 50 ms away: × R's curl",
                   scripts.get("one token, two calls, 50 ms away: keycap / R's curl", []), 1.05, "{:.3f}")
        report.add("50 tokens tested, two calls each, 50 ms away, 25 connections",
                   scripts.get("50 tokens, two calls each, 50 ms away: warm", []), 0.4, "{:.2f}", " s")
    report.add("`library(keycap)` above R", above["keycap"], 0.12, "{:.3f}", " s")
    report.add("of this cli and rlang alone", above["cli and rlang"], None, "{:.3f}", " s")
    library = os.environ.get("KEYCAP_LIBRARY", os.path.join(ROOT, "build", "library"))
    report.add("installed shared object", [megabytes(p) for p in glob.glob(f"{library}/keycap/libs/keycap.*")], 6, "{:.1f}", " MB")
    tarballs = sorted(glob.glob(os.path.join(ROOT, "build", "dist", "keycap_*.tar.gz")), key=os.path.getmtime)[-1:]
    report.add("source tarball with vendored crates", [megabytes(p) for p in tarballs], 10, "{:.1f}", " MB")

    table = report.table()
    print("\n".join(table))
    if options.quick:
        return
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    with open("/proc/cpuinfo") as cpuinfo:
        machine += ", " + next((line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name")), "")
    machine += f"; load at the end {os.getloadavg()[0]:.1f}; {datetime.date.today()}"
    text = ["# Benchmarks", "", "Written by `make bench`; do not edit.", ""] + table
    text += ["", "## Seconds", ""] + seconds_table(bench) + NOTES.format(machine=machine).splitlines()
    with open(os.path.join(HERE, "results.md"), "w") as file:
        file.write("\n".join(text) + "\n")
    with open(os.path.join(HERE, "results.json"), "w") as file:
        json.dump({"machine": machine, "table": report.rows, "runs": bench.runs, "load": took, "scripts": scripts}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
