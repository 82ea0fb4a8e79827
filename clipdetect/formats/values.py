"""What a value is: a number, or which kind of unreadable; the text of a key; a time; a label."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
from collections.abc import Sequence
from typing import Any

from clipdetect.formats import times
from clipdetect.numerics import hashing

NUMBER = re.compile(r"[ \t]*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t]*\Z")
NOT_FINITE = re.compile(r"[ \t]*[+-]?(?:nan|inf|infinity)[ \t]*\Z", re.IGNORECASE)
NULL_KEY = "\x00null"
LARGEST = 1e150  # its square is still a double; larger values count as missing
LABELS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}


_PATH = re.compile(r"\.|(\[\d+\])")


class Absent:
    """Stands for a field that a record does not have."""


ABSENT = Absent()


def look_up(record: Any, path: str) -> Any:
    """The value at a dotted path, the exact key first; ABSENT where there is none."""
    if type(record) is dict and path in record:
        return record[path]
    value = record
    for part in _parts(path):
        if part.startswith("[") and type(value) is list and int(part[1:-1]) < len(value):
            value = value[int(part[1:-1])]
        elif type(value) is dict and part in value:
            value = value[part]
        else:
            return ABSENT
    return value


@functools.lru_cache(1024)
def _parts(path: str) -> list[str]:
    return [part for part in _PATH.split(path) if part]


def number(value: Any, coerce: bool = False) -> tuple[float, str]:
    """The value as a finite double and "", or NaN and the kind of what it is instead."""
    kind = type(value)
    if kind is float:
        return _finite(value)
    if kind is int:
        try:
            return _finite(float(value))
        except OverflowError:
            return math.nan, "not finite"
    if kind is str:
        return cell(value) if coerce and value else (math.nan, "text")
    if value is None:
        return math.nan, "null"
    if value is ABSENT:
        return math.nan, "missing"
    return math.nan, "boolean" if kind is bool else "object"


def cell(text: str) -> tuple[float, str]:
    """The same for a CSV cell."""
    if NUMBER.match(text):
        return _finite(float(text))
    if not text.strip(" \t"):
        return math.nan, "null"
    return math.nan, "not finite" if NOT_FINITE.match(text) else "text"


def _finite(value: float) -> tuple[float, str]:
    if abs(value) < LARGEST:
        return value, ""
    return math.nan, "too large" if math.isfinite(value) else "not finite"  # NaN, Infinity, 1e999


def said(kind: str, value: Any) -> str:
    """What to tell a person about an unreadable value."""
    if kind == "missing":
        return "the field is missing"
    if kind == "null":
        return "no value"
    if kind == "too large":
        return f"{_short(str(value))} is 1e150 or more"
    if kind == "not finite":
        return "not a finite number" if not isinstance(value, str) else f'not a finite number: "{_short(value)}"'
    return quoted("not a number", value)


def quoted(what: str, value: Any) -> str:
    """What a value is, and its text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f'{what}: "{_short(text)}"'


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def key_text(value: Any) -> str:
    """Text of a key: a string is itself, any other value its JSON text behind a NUL."""
    if type(value) is str:
        return value if not value.startswith("\x00") else "\x00" + json.dumps(value)
    if value is None or value is ABSENT:
        return NULL_KEY
    if type(value) is int and not -(2**63) <= value < 2**64:  # as the faster parser reads it
        value = number(value)[0]
    return "\x00" + json.dumps(value, separators=(",", ":"))


_CATEGORIES: dict[str, int] = {}
MOST_CATEGORIES = 1 << 16  # texts whose hash is remembered
LONGEST = 256  # characters of a text that is remembered, here and elsewhere; a longer one is hashed each time
SHOWN = 64  # characters of a longer key that stand behind its hash


def category(value: Any) -> int:
    """The category of a value, by its text as a key; -1 for none."""
    text = value if type(value) is str and value[:1] != "\x00" else key_text(value)
    found = _CATEGORIES.get(text)
    if found is None:
        if text == NULL_KEY:
            return hashing.MISSING
        found = hashing.category(text)
        if len(text) <= LONGEST:
            if len(_CATEGORIES) >= MOST_CATEGORIES:
                _CATEGORIES.clear()
            _CATEGORIES[text] = found
    return found


def joint_key(values: Sequence[Any]) -> str:
    """Text of the key that one or several `--by` values make, of at most `LONGEST` characters."""
    if len(values) == 1:
        return _bounded(key_text(values[0]))
    return _bounded("\x00" + json.dumps(list(map(key_text, values)), separators=(",", ":")))


def _bounded(text: str) -> str:
    """A key's text, of a long one 160 bits of its hash and its beginning: no other value has such a text."""
    if len(text) <= LONGEST:
        return text
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
    return f"\x00#{digest} {text[:SHOWN]}"


def seconds(value: Any) -> float:
    """Epoch seconds of a time: a number in s, ms, us or ns by its size, or text in any form of `times`; else NaN."""
    if isinstance(value, str):
        read, kind = cell(value)
        if kind:
            return times.seconds(value)
        value = read
    read, kind = number(value)
    return math.nan if kind else times.epoch(read)


def truth(value: Any) -> float:
    """0.0 or 1.0 of a label, else NaN."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        return float(value) if value in (0, 1) else math.nan
    return LABELS.get(value.strip().lower(), math.nan) if isinstance(value, str) else math.nan
