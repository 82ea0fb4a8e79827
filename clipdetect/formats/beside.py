"""What a block of records has beside its columns: keys, times, labels, and what features take."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from clipdetect.formats.select import Selection
from clipdetect.formats.shape import shape
from clipdetect.formats.values import (
    ABSENT,
    LONGEST,
    category,
    joint_key,
    key_text,
    look_up,
    number,
    quoted,
    said,
    seconds,
    truth,
)
from clipdetect.numerics.categories import field_of
from clipdetect.numerics.hashing import MISSING
from clipdetect.records import FormatOptions

Column = Callable[[str], list[Any]]
TIMES = "times are epoch seconds (ms, us, ns too), 2026-03-04T05:06:07Z, 04/Mar/2026:05:06:07 +0100 and the like"
LABELS = "labels are 0, 1, true or false"
_MADE = re.compile(r"(?P<make>shape|keys)\((?P<of>.+)\)|(?P<field>[^~]+)~(?P<expression>.+)", re.DOTALL)
FOUND = category("found")


class Problems(Protocol):
    """Where values that cannot be read are counted."""

    def add(self, kind: str, line: int, field: str, message: str, count: int = 1) -> None: ...


def subject(name: str) -> str:
    """The field that a category is made of: `message` for `shape(message)`, `error` for `error~Denied`."""
    found = _MADE.fullmatch(name)
    return (found["of"] or found["field"]) if found else field_of(name)


def wanted(options: FormatOptions) -> list[str]:
    """The fields that `beside` asks for, each once."""
    names = [*options.by, options.time, options.label, *options.numbers, *map(subject, options.categories)]
    return [name for name in dict.fromkeys(names) if name]


def beside(
    options: FormatOptions,
    column: Column,
    selection: Selection,
    problems: Problems,
    line: Callable[[int], int],
    times: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Fields of a `Batch`. column : a field's value in each record, ABSENT or None where it has none.

    selection : is told of fields that are there. problems : of values that cannot be read. line : of a record.
    times : the records' times where the format has its own; `--time` goes before it. [epoch seconds]
    """
    found = {name: column(name) for name in wanted(options)}
    for name, values in found.items():
        if name not in selection.known and values.count(ABSENT) < len(values):
            selection.came(name)

    def read(name: str, kind: str, how: Callable[[Any], float], says: Callable[[Any], str]) -> np.ndarray:
        values = found[name]
        numbers = np.array(list(map(how, values)), np.float64)
        gone = np.flatnonzero(np.isnan(numbers))
        if len(gone) > values.count(ABSENT) + values.count(None):
            odd = [i for i in gone.tolist() if not _nothing(values[i])]
            if odd:
                problems.add(kind, line(odd[0]), name, says(values[odd[0]]), len(odd))
        return numbers

    keys = time = label = None
    by = [found[name] for name in options.by]
    if len(by) == 1:
        keys = [v if type(v) is str and v[:1] != "\x00" and len(v) <= LONGEST else joint_key([v]) for v in by[0]]
    elif by:
        keys = [joint_key(values) for values in zip(*by, strict=True)]
    if options.time:
        time = read(options.time, "not a time", seconds, lambda value: f"{quoted('not a time', value)}; {TIMES}")
    elif times is not None:
        time = np.array(times, np.float64)
    if options.label:
        label = read(options.label, "not a label", truth, lambda value: f"{quoted('not a label', value)}; {LABELS}")
    return {
        "keys": keys,
        "time": time,
        "label": label,
        "numbers": {name: read(name, "not a number", _number, _no_number) for name in options.numbers},
        "categories": {name: np.array(_described(name, found), np.int64) for name in options.categories},
    }


def _number(value: Any) -> float:
    return number(value, True)[0]


def _no_number(value: Any) -> str:
    return said(number(value, True)[1], value)


def _nothing(value: Any) -> bool:
    return value is ABSENT or value is None or (type(value) is str and not value.strip(" \t"))


def text_of(value: Any) -> str:
    """A field's value as text for people; empty where there is none."""
    if value is ABSENT or value is None:
        return ""
    value = unlisted(value)
    return value if type(value) is str else key_text(value).removeprefix("\x00")


def unlisted(value: Any) -> Any:
    """The text behind a list of bytes, as the journal writes what is no UTF-8; any other value as it is."""
    if type(value) is list and value and all(type(each) is int and 0 <= each < 256 for each in value):
        return bytes(value).decode("utf-8", "replace")
    return value


def told(record: dict[str, Any], name: str) -> str:
    """The text that a feature's input has in a record, for people: of a shape, the shape; of an object, its names."""
    value = look_up(record, subject(name))
    found = _MADE.fullmatch(name)
    if found and found["make"]:
        value = (_shape if found["make"] == "shape" else _keys)(value)
    return text_of(value)


def _described(name: str, fields: dict[str, list[Any]]) -> list[int]:
    """Categories of a field, of the shapes of its texts, of the sets of names in its objects, or of what is found."""
    found, values = _MADE.fullmatch(name), fields[subject(name)]
    if found is None:
        return list(map(category, values))
    if found["field"]:
        search = re.compile(found["expression"]).search
        return [FOUND if search(text_of(value)) else MISSING for value in values]
    make = _shape if found["make"] == "shape" else _keys
    return [category(make(value)) for value in values]


def _shape(value: Any) -> Any:
    value = unlisted(value)
    return shape(value) if type(value) is str else value


def _keys(value: Any) -> Any:
    return " ".join(sorted(value)) if type(value) is dict else value
