"""What PyCap gets from the sandbox, against what keycap had from it: flat, long, as a pandas frame, and the report.

Usage: pycap.py URI FOLDER, while export.R holds the sandbox.
"""

import datetime
import os
import re
import sys

import redcap

from frames import read_frame

NUMBERS = ("integer", "numeric", "logical")
checks = 0


def check(what, holds):
    global checks
    checks += 1
    if not holds:
        sys.exit(f"pycap: FAILED: {what}")


def written(column, row):
    """A value of R's as REDCap writes it, as texts of numbers may be written in more than one way: those as numbers."""
    value = column.values[row]
    if value is None:
        return ""
    if column.kind == "Date":
        return (datetime.date(1970, 1, 1) + datetime.timedelta(days=value)).isoformat()
    if column.kind == "POSIXct":
        return datetime.datetime.fromtimestamp(value, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    return value


def alike(column, row, text):
    mine = written(column, row)
    if mine == "" or text == "":
        return mine == text
    if column.kind == "POSIXct":
        return mine[: len(str(text))] == text
    if column.kind in NUMBERS:
        return float(mine) == float(text)
    return mine == text


def compare(what, frame, rows, problems):
    """PyCap's rows (dictionaries of texts) and the frame are equal, cell by cell."""
    names = [column.name for column in frame]
    check(f"{what}: there are rows", len(rows) > 10)
    check(f"{what}: the columns", names == list(rows[0]))
    check(f"{what}: the rows", all(len(column.values) == len(rows) for column in frame))
    for column in frame:
        for row, line in enumerate(rows):
            if not alike(column, row, line[column.name]):
                problem = (str(line[names[0]]), column.name, str(line[column.name]))
                check(f"{what}: {problem} and {column.values[row]!r}", column.values[row] is None and problem in problems)
    # The control: another value in a cell of each column is seen.
    check(f"{what}: a changed cell is seen", not any(alike(column, 0, "another") for column in frame if column.kind not in NUMBERS))
    check(f"{what}: a changed number is seen", not any(alike(column, 0, "-77123") for column in frame))
    return len(rows) * len(frame)


def long(frame, front):
    """The frame as REDCap's long list: record, field, value, and what stands in front."""
    found = set()
    records = frame[0].values
    for column in frame:
        if column.name in front:
            continue
        for row, record in enumerate(records):
            value = written(column, row)
            place = tuple(str(other.values[row] or "") for other in frame if other.name in front)
            if value == "" or ("___" in column.name and value == 0):
                continue
            # In the names of columns `_` stands for the minus of a code.
            field, _, code = column.name.partition("___")
            code = code.replace("_", "-")
            found.add((record, *place, field, code or value))
    return found


def main():
    uri, folder = sys.argv[1:]
    os.environ["NO_PROXY"] = "127.0.0.1"
    cells = 0
    for name in ("TEST", "TEST_LONG", "TEST_REPEAT"):
        with open(os.path.join(folder, "token-" + name), encoding="ascii") as file:
            project = redcap.Project(uri, file.read())
        frame = read_frame(os.path.join(folder, name + "-code", "frame"))
        problems = set(zip(*(c.values for c in read_frame(os.path.join(folder, name + "-code", "problems")))))
        flat = project.export_records()
        cells += compare(f"{name}, flat", frame, flat, problems)

        # As a pandas frame, its texts left as they are: pandas guesses types, where keycap reads the dictionary.
        pandas = project.export_records(format_type="df", df_kwargs={"dtype": str, "keep_default_na": False})
        pandas = pandas.reset_index() if pandas.index.name or pandas.index.names != [None] else pandas
        cells += compare(f"{name}, pandas", frame, pandas.to_dict("records"), problems)

        eav = project.export_records(record_type="eav")
        front = {c.name for c in frame if c.name.startswith("redcap_")}
        places = [n for n in ("redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance") if n in front]
        theirs = {
            (r["record"], *(str(r.get(p, "")) for p in places), r["field_name"], plain(r["value"])) for r in eav
        }
        status = {c.name for c in frame if c.name.endswith("_complete")}
        own = {(*rest, plain(value)) for *rest, value in long(frame, front)} | {
            (p[0], *[""] * len(places), p[1], plain(p[2])) for p in problems if not places
        }
        # The record's id is a value in the long list as well, once an event; forms without data have no status there.
        keep = lambda rows: {r for r in rows if r[-2] not in status | {frame[0].name}}
        check(f"{name}, long: {list(keep(theirs) ^ keep(own))[:3]}", keep(theirs) == keep(own) and len(theirs) > 100)
        cells += len(theirs)

        report = read_frame(os.path.join(folder, name + "-report", "frame"))
        number = {"TEST": "117", "TEST_LONG": "118", "TEST_REPEAT": "119"}[name]
        cells += compare(f"{name}, report", report, project.export_report(number), set())
    print(f"pycap: {checks} checks of {cells} values: PyCap and keycap have the same records")


def plain(value):
    """One way of writing for each value: numbers as Python does, times with seconds."""
    try:
        return str(float(value))
    except ValueError:
        return value + ":00" if re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", value) else value


main()
