"""Compares every cell of keycap's exports with what Python's csv module reads in the same bytes.

Usage: compare.py FOLDER, which export.R has filled. Nothing of keycap is used here: texts become numbers, dates and
moments by Python's own means. A cell that does not fit its type must be NA and stand among the problems, and nothing
else may. At the end of each export comes the control: one changed cell in each column has to be found.
"""

import calendar
import csv
import datetime
import json
import os
import random
import sys
import zoneinfo

from frames import read_frame

csv.field_size_limit(2**31 - 1)
EPOCH = datetime.date(1970, 1, 1).toordinal()
# Texts of which at least two fit each type.
OTHERS = ("", "0", "1", "2", "10", "20", "1999-09-09", "1999-09-10", "1999-09-09 09:09", "1999-09-09 09:10", "x")


def integer(text):
    number = int(text) if text.lstrip("+-").isascii() and text.lstrip("+-").isdigit() else None
    return number if number is not None and abs(number) < 2**31 else None


def real(text):
    if set(text) <= set("0123456789.+-"):
        try:
            return float(text)
        except ValueError:
            return None
    return None


def day(text):
    try:
        return float(datetime.date.fromisoformat(text).toordinal() - EPOCH) if len(text) == 10 else None
    except ValueError:
        return None


def moment(zone):
    """Texts to seconds since 1970; what the zone's clock never showed is `None`, what it showed twice the first."""
    place, utc = zoneinfo.ZoneInfo(zone), datetime.timezone.utc

    def read(text):
        for form in ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"):
            try:
                clock = datetime.datetime.strptime(text, form)
            except ValueError:
                continue
            if zone == "UTC":
                return float(calendar.timegm(clock.timetuple()))
            at = clock.replace(tzinfo=place, fold=0).astimezone(utc)
            shown = at.astimezone(place).replace(tzinfo=None)
            return at.timestamp() if shown == clock else None
        return None

    return read


def choices(metadata):
    """For each field with choices, its codes and labels."""
    found = {}
    for line in metadata:
        if line["field_type"] in ("radio", "dropdown"):
            parts = [part.split(",", 1) for part in line["select_choices_or_calculations"].split("|")]
            found[line["field_name"]] = {code.strip(): label.strip() for code, label in parts}
        found[line["form_name"] + "_complete"] = {"0": "Incomplete", "1": "Unverified", "2": "Complete"}
    return found


def expected(column, how, declared):
    """The function from the text of a cell to the value that R must have; `None` is NA."""
    labels = declared.get(column.name)
    if how == "text" and column.kind != "character":
        sys.exit(f"compare: FAILED: `{column.name}` has a type, and should have none")
    if labels and how in ("factor", "label"):
        if column.kind != {"factor": "factor", "label": "character"}[how]:
            sys.exit(f"compare: FAILED: `{column.name}` is of class {column.kind}")
        if how == "factor" and column.levels != list(labels.values()):
            sys.exit(f"compare: FAILED: the levels of `{column.name}` are not the labels in their order")
        return labels.get
    if labels and how == "code":
        return lambda text: (integer(text) if column.kind == "integer" else text) if text in labels else None
    return {
        "character": lambda text: text,
        "integer": integer,
        "numeric": real,
        "logical": lambda text: {"1": 1, "0": 0}.get(text),
        "Date": day,
        "POSIXct": moment(column.zone or "UTC"),
    }[column.kind]


def shown(column, row):
    """The value of a cell, a factor's as its level."""
    value = column.values[row]
    return value if value is None or column.levels is None else column.levels[value - 1]


def differences(column, texts, read, records, problems, rows):
    """The cells of a column that are not what their text says. Problems that are found are taken off the list."""
    wrong = []
    known = {}
    for row in rows:
        text = texts[row]
        if text not in known:
            known[text] = None if text == "" else read(text)
        value, wanted = shown(column, row), known[text]
        if value != wanted:
            wrong.append((row, column.name, text, value))
        elif wanted is None and text != "":
            if problems.pop((records[row], column.name, text), None) is None:
                wrong.append((row, column.name, text, "no problem"))
    return wrong


def one(folder, name):
    project, how = name.rsplit("-", 1)
    with open(os.path.join(folder, project + ".csv"), encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file, strict=True)
    with open(os.path.join(folder, project + ".json"), encoding="utf-8") as file:
        declared = choices(json.load(file))
    frame = read_frame(os.path.join(folder, name, "frame"))
    rows = range(len(lines))
    if [column.name for column in frame] != header:
        sys.exit(f"compare: FAILED: {name}: the columns are not those of the file")
    if any(len(column.values) != len(lines) for column in frame):
        sys.exit(f"compare: FAILED: {name}: the rows are not those of the file")
    records = [line[0] for line in lines]
    listed = read_frame(os.path.join(folder, name, "problems"))
    problems = {}
    for problem in zip(*(column.values for column in listed)):
        problems[problem] = problems.get(problem, 0) + 1
    many = len(problems)
    kinds = {}
    for index, column in enumerate(frame):
        texts = [line[index] for line in lines]
        read = expected(column, how, declared)
        wrong = differences(column, texts, read, records, problems, rows)
        if wrong:
            sys.exit(f"compare: FAILED: {name}: {len(wrong)} cells of `{column.name}` differ, first {wrong[0]}")
        kinds[column.kind] = kinds.get(column.kind, 0) + 1
        # The control: another text in one cell must be seen as another value.
        row = random.choice(rows)
        texts[row] = next(text for text in OTHERS if not same(read, text, texts[row]))
        if len(differences(column, texts, read, records, {}, [row])) != 1:
            sys.exit(f"compare: FAILED: {name}: a changed cell of `{column.name}` was not seen")
    if problems:
        sys.exit(f"compare: FAILED: {name}: problems that are none: {list(problems)[:3]}")
    types = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    print(f"compare: {name}: {len(lines) * len(frame)} cells of {len(lines)} rows are equal ({types}), {many} problems")
    return len(lines) * len(frame), len(frame)


def same(read, one, other):
    return (read(one) if one else None) == (read(other) if other else None)


def main():
    folder = sys.argv[1]
    names = [name for name in sorted(os.listdir(folder)) if name.rsplit("-", 1)[-1] in ("code", "factor", "label", "text")]
    if not names:
        sys.exit("compare: FAILED: there is nothing to compare")
    cells, controls = map(sum, zip(*(one(folder, name) for name in names)))
    print(f"compare: {cells} cells in {len(names)} exports are equal, none differs; {controls} changed cells were seen")


main()
