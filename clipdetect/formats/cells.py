"""CSV cells to numbers, many at once. Gives up on anything that is not plainly a number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson

from clipdetect.formats.json_text import cell_number
from clipdetect.formats.values import LARGEST, cell

NUMERIC = b"0123456789+-.eE "


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
