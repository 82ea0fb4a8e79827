"""Texts of a block to codes, many at once; each distinct text is hashed once in a while."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from clipdetect.formats.cells import NUMERIC
from clipdetect.formats.values import LARGEST, LONGEST, category
from clipdetect.numerics.categories import code

MOST_TEXTS = 1 << 14  # texts whose code is remembered


def coded(value: Any) -> float:
    """The code of a field's value; NaN where it has none."""
    return code(category(value))


class Codes(dict[Any, float]):
    """The codes of texts, or of the cells of a CSV file as bytes; a key that is not there is put there, if not long."""

    def __init__(self, missing: str = "") -> None:
        super().__init__()
        self.missing = missing  # the cell that stands for no value, beside the empty one

    def __missing__(self, key: Any) -> float:
        text = key.decode() if type(key) is bytes else key
        found = coded(None if type(key) is bytes and text in ("", self.missing) else text)
        if len(key) <= LONGEST:
            if len(self) >= MOST_TEXTS:
                self.clear()
            self[key] = found
        return found

    def of(self, values: Sequence[Any]) -> list[float]:
        """The codes of a field's values in some records."""
        return [self[value] if type(value) is str else coded(value) for value in values]


def mixed_columns(
    lines: list[bytes], delimiter: bytes, places: Sequence[int], texts: Sequence[bool], codes: Codes
) -> np.ndarray | None:
    """(n, len(places)) of the cells at `places`: codes where `texts`, else numbers; None where one is not plainly one.

    The lines have no quotes, and all as many cells.
    """
    cells = list(zip(*[line.removesuffix(b"\r").split(delimiter) for line in lines], strict=True))
    plain = [cells[place] for place, text in zip(places, texts, strict=True) if not text]
    if b"".join(chain.from_iterable(plain)).translate(None, NUMERIC):
        return None
    read = [codes.__getitem__ if text else float for text in texts]
    try:
        columns = [list(map(one, cells[place])) for one, place in zip(read, places, strict=True)]
    except ValueError:
        return None
    X = np.array(columns, np.float64).T
    numbers = X[:, ~np.array(texts, bool)]
    return np.ascontiguousarray(X) + 0.0 if (np.abs(numbers) < LARGEST).all() else None
