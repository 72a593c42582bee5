"""The file of an export read with the options that the manual gives for Arrow and DuckDB: each cell is what Python's
csv module reads. Both are installed by `run.sh readers`; R's own packages of them wrap the same libraries.

Usage: readers.py FILE.csv ...
"""

import csv
import sys

import duckdb
import pyarrow
import pyarrow.csv

csv.field_size_limit(2**31 - 1)


def arrow(path, names):
    return pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: pyarrow.string() for name in names},
            strings_can_be_null=True,
            null_values=[""],
        ),
    ).to_pydict()


def duck(path, names):
    options = "header = true, all_varchar = true, delim = ',', quote = '\"', escape = '\"', nullstr = '', parallel = false"
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT * FROM read_csv(?, {options})", [path])
        found = [column[0] for column in rows.description]
        return dict(zip(found, zip(*rows.fetchall())))


def main():
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8", newline="") as file:
            names, *lines = csv.reader(file, strict=True)
        for reader in (arrow, duck):
            table = reader(path, names)
            if list(table) != names:
                sys.exit(f"readers: FAILED: {reader.__name__}: the columns of {path}")
            for index, name in enumerate(names):
                wanted = [line[index] or None for line in lines]
                for row, (one, other) in enumerate(zip(table[name], wanted, strict=True)):
                    if one != other:
                        sys.exit(f"readers: FAILED: {reader.__name__}: {name}, row {row + 1}: {one!r} instead of {other!r}")
            print(f"readers: {reader.__name__}: {len(lines) * len(names)} cells of {path.rsplit('/', 1)[-1]} are equal")


main()
