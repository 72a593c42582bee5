"""What R had in its data frames: see export.R."""

import array
import math
import os

NO_INT = -(2**31)


def read_texts(path, n):
    with open(path, "rb") as file:
        lengths = array.array("i", file.read(4 * n))
        data = file.read()
    texts, at = [], 0
    for length in lengths:
        if length < 0:
            texts.append(None)
        else:
            texts.append(data[at : at + length].decode("utf-8"))
            at += length
    if len(texts) != n or at != len(data):
        raise ValueError(f"{path} does not hold {n} texts")
    return texts


def read_numbers(path, code, n):
    with open(path, "rb") as file:
        numbers = array.array(code, file.read())
    if len(numbers) != n:
        raise ValueError(f"{path} does not hold {n} numbers")
    if code == "i":
        return [None if number == NO_INT else number for number in numbers]
    return [None if math.isnan(number) else number for number in numbers]


class Column:
    """Name, R's class, zone and values, `None` for NA."""

    def __init__(self, folder, index, facts, n):
        self.name, self.kind, self.zone = facts.split("\t")
        path = os.path.join(folder, str(index))
        if self.kind == "character":
            self.values = read_texts(path, n)
        elif self.kind in ("integer", "logical", "factor"):
            self.values = read_numbers(path, "i", n)
        else:
            self.values = read_numbers(path, "d", n)
        self.levels = None
        if self.kind == "factor":
            levels = path + ".levels"
            with open(levels, "rb") as file:
                size = file.read()
            # The lengths come first and say where the texts begin: their sum and their own size make the file.
            count = next(c for c in range(len(size) // 4 + 1) if 4 * c + sum(array.array("i", size[: 4 * c])) == len(size) and c)
            self.levels = read_texts(levels, count)


def read_frame(folder):
    """The columns of a data frame."""
    with open(os.path.join(folder, "columns"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    n = int(lines[0])
    return [Column(folder, index, facts, n) for index, facts in enumerate(lines[1:], 1)]
