"""Cells of CSV: to numbers, many at once, where all are plainly numbers; and what a first row of them is."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson

from clipdetect.formats.json_text import cell_number
from clipdetect.formats.values import LARGEST, NUMBER, cell

NUMERIC = b"0123456789+-.eE "
LONGEST_HEADING = 64  # characters; a longer first cell is prose


def numeric_columns(lines: list[bytes], delimiter: bytes, places: Sequence[int], width: int) -> np.ndarray | None:
    """(n, len(places)) of the cells at `places`, or None where any of them is not plainly a number.

    Each line has exactly `width` cells, without quotes. orjson reads what it takes for numbers to the
    same doubles as `float`; whatever else it would accept is kept out by the characters.
    """
    n, first, last = len(lines), min(places), max(places)
    if delimiter == b"," and last == width - 1 and width - first == len(places):
        rest = lines if first == 0 else [line.split(b",", first)[first] for line in lines]
        text = b",".join(rest)
        if text.translate(None, NUMERIC + b",\r") == b"" and b",," not in text:
            try:
                values = orjson.loads(b"[" + text.replace(b"\r", b"") + b"]")
                X = np.fromiter(values, np.float64, n * len(places)).reshape(n, len(places))
            except (orjson.JSONDecodeError, OverflowError, ValueError):
                pass
            else:
                if list(places) != list(range(first, width)):
                    X = X[:, [place - first for place in places]]
                return np.ascontiguousarray(X) + 0.0 if _usual(X) else None
    return _cell_by_cell(lines, delimiter, places, n)


def _cell_by_cell(lines: list[bytes], delimiter: bytes, places: Sequence[int], n: int) -> np.ndarray | None:
    rows = [line.split(delimiter) for line in lines]
    cells = [[row[place] for row in rows] for place in places]
    if b"".join(chain.from_iterable(cells)).translate(None, NUMERIC + b"\r"):
        return None
    try:
        X = np.array([list(map(float, column)) for column in cells], np.float64)
    except ValueError:
        return None
    return np.ascontiguousarray(X.T) + 0.0 if _usual(X) else None


def _usual(X: np.ndarray) -> bool:
    return bool((np.abs(X) < LARGEST).all())


def as_json(text: str) -> Any:
    """A cell as a JSON value: a number with its own digits, empty as null, anything else as text."""
    if not text:
        return None
    return text if cell(text)[1] else cell_number(text)


def is_table(text: str, comma: str) -> bool:
    """Whether the first record is a header, or cells most of which are numbers or empty."""
    try:
        row = next(csv.reader((line + "\n" for line in text.split("\n")), delimiter=comma), [])
    except csv.Error:  # a carriage return within
        row = text.partition("\n")[0].split(comma)
    if len(row) < 2:
        return False
    numeric = sum(bool(NUMBER.match(each)) or not each.strip() for each in row)
    if 2 * numeric >= len(row):
        return True
    names = [each for each in row if each]
    tidy = all(len(name) <= LONGEST_HEADING and name[:1] != " " for name in names)
    return (
        tidy
        and len(names) >= 2
        and len(set(names)) == len(names)
        and sum(" " in name for name in names) <= len(names) / 2
    )


def ended(text: str) -> list[str]:
    """The lines of a record with their newlines; nothing else ends a line."""
    *lines, last = text.split("\n")
    return [line + "\n" for line in lines] + [last]


def unique(row: list[str]) -> list[str]:
    """Names of the columns; a name that comes again gets a number."""
    found: dict[str, None] = {}
    numbers: dict[str, int] = {}  # the next one to try
    for name in row:
        base = name
        while name in found:
            n = numbers.get(base, 2)
            name, numbers[base] = f"{base}_{n}", n + 1
        found[name] = None
    return list(found)
