"""What a block of records has beside its columns: keys, times, labels, and what features take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clipdetect.formats.shape import shape
from clipdetect.formats.values import category, joint_key, number, seconds, truth
from clipdetect.records import FormatOptions

Column = Callable[[str], Sequence[Any]]


def subject(name: str) -> str:
    """The field that a category is made of: `shape(message)` of `message`."""
    return name[6:-1] if name.startswith("shape(") and name.endswith(")") else name


def wanted(options: FormatOptions) -> list[str]:
    """The fields that `beside` asks for, each once."""
    names = [*options.by, options.time, options.label, *options.numbers, *map(subject, options.categories)]
    return [name for name in dict.fromkeys(names) if name]


def beside(options: FormatOptions, column: Column, times: Sequence[float] | None = None) -> dict[str, Any]:
    """Fields of a `Batch`. column : a field's value in each record, ABSENT or None where it has none.

    times : the records' times where the format has its own; `--time` goes before it. [epoch seconds]
    """
    keys = time = label = None
    by = [column(name) for name in options.by]
    if len(by) == 1:
        keys = [v if type(v) is str and v[:1] != "\x00" else joint_key([v]) for v in by[0]]
    elif by:
        keys = [joint_key(values) for values in zip(*by, strict=True)]
    if options.time:
        time = np.array(list(map(seconds, column(options.time))), np.float64)
    elif times is not None:
        time = np.array(times, np.float64)
    if options.label:
        label = np.array(list(map(truth, column(options.label))), np.float64)
    return {
        "keys": keys,
        "time": time,
        "label": label,
        "numbers": {
            name: np.array([number(value, True)[0] for value in column(name)], np.float64) for name in options.numbers
        },
        "categories": {name: np.array(_described(name, column), np.int64) for name in options.categories},
    }


def _described(name: str, column: Column) -> list[int]:
    """Categories of a field, or of the shapes of its texts."""
    if subject(name) == name:
        return list(map(category, column(name)))
    return [category(shape(value) if type(value) is str else value) for value in column(subject(name))]
