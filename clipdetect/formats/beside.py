"""What a block of records has beside its columns: keys, times, labels, and what features take."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clipdetect.formats.shape import shape
from clipdetect.formats.values import (
    ABSENT,
    LONGEST,
    category,
    joint_key,
    key_text,
    look_up,
    number,
    seconds,
    truth,
)
from clipdetect.numerics.categories import field_of
from clipdetect.numerics.hashing import MISSING
from clipdetect.records import FormatOptions

Column = Callable[[str], Sequence[Any]]
_MADE = re.compile(r"(?P<make>shape|keys)\((?P<of>.+)\)|(?P<field>[^~]+)~(?P<expression>.+)", re.DOTALL)
FOUND = category("found")


def subject(name: str) -> str:
    """The field that a category is made of: `message` for `shape(message)`, `error` for `error~Denied`."""
    found = _MADE.fullmatch(name)
    return (found["of"] or found["field"]) if found else field_of(name)


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
        keys = [v if type(v) is str and v[:1] != "\x00" and len(v) <= LONGEST else joint_key([v]) for v in by[0]]
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


def _described(name: str, column: Column) -> list[int]:
    """Categories of a field, of the shapes of its texts, of the sets of names in its objects, or of what is found."""
    found = _MADE.fullmatch(name)
    if found is None:
        return list(map(category, column(name)))
    if found["field"]:
        search = re.compile(found["expression"]).search
        return [FOUND if search(text_of(value)) else MISSING for value in column(found["field"])]
    make = _shape if found["make"] == "shape" else _keys
    return [category(make(value)) for value in column(found["of"])]


def _shape(value: Any) -> Any:
    value = unlisted(value)
    return shape(value) if type(value) is str else value


def _keys(value: Any) -> Any:
    return " ".join(sorted(value)) if type(value) is dict else value
