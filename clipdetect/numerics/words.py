"""Numbers, comparisons and lists of fields in words, for the reasons that features give."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence

SOURCES = (
    "addr",
    "address",
    "ip",
    "src",
    "srcaddr",
    "dstaddr",
    "source",
    "host",
    "client",
    "peer",
    "remote",
    "rhost",
    "hostname",
    "sourceipaddress",
)
MOST_TEXT = 80  # characters of a record's text that are repeated


def number(value: float, digits: int = 3) -> str:
    """A number for people: thousands apart, `digits` significant digits at least, whole numbers whole.

    >>> number(1203444.0), number(0.2), number(14.2), number(4999.6)
    ('1,203,444', '0.2', '14.2', '5,000')
    """
    if not math.isfinite(value):
        return "none" if math.isnan(value) else f"{value:g}"
    if abs(value) >= 1e15:
        return f"{value:.{digits}g}"
    if abs(value) >= 10.0 ** (digits - 1) or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def rough(value: float) -> str:
    """A number of which two digits are meant: `5,000`, `230`, `0.2`.

    >>> rough(4987.0), rough(0.1999), rough(13.6), rough(0.0)
    ('5,000', '0.2', '14', '0')
    """
    if not math.isfinite(value) or value == 0.0:
        return number(value)
    return number(float(f"{value:.1e}"), 2)


def usually(value: float, expected: float, text: str = "") -> str:
    """`, usually 5,000 (240 times)`; nothing where nothing is expected. text : of the expected value."""
    if math.isnan(expected):
        return ""
    return f", usually {text or rough(expected)}{times(value, expected)}"


def times(value: float, expected: float) -> str:
    """` (240 times)`, ` (a 12th)`: how many times as much, where that says something.

    >>> times(1200.0, 5.0), times(5.0, 60.0), times(5.0, 4.9)
    (' (240 times)', ' (12 times less)', '')
    """
    if not (value > 0.0 and expected > 0.0) or not math.isfinite(value / expected):
        return ""
    if value >= 1.95 * expected:
        return f" ({rough(value / expected)} times)"
    if expected >= 1.95 * value:
        return f" ({rough(expected / value)} times less)"
    return ""


def cut(text: str, most: int = MOST_TEXT) -> str:
    """The text on one line, no longer than `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def whose(per: str, texts: Mapping[str, str]) -> str:
    """` from 10.0.0.9` for an address or a source, ` for alice` for others; nothing without `per`."""
    text = texts.get("per", texts.get(per, "")) if per else ""
    if not text:
        return ""
    last = per.lower().replace("-", "_").rpartition(".")[2]
    source = last in SOURCES or any(each in SOURCES for each in last.split("_"))
    return f" {'from' if source else 'for'} {cut(text)}"


def spoken(name: str, amount: str = "") -> str:
    """A column's name as it is said after a number: without the brackets at its end, and of one thing.

    >>> spoken("failed logins (1h)"), spoken("errors", "1"), spoken("access", "1")
    ('failed logins', 'error', 'access')
    """
    noun = name.partition(" (")[0]
    return noun[:-1] if amount == "1" and noun.endswith("s") and not noun.endswith("ss") else noun


def is_pattern(field: str) -> bool:
    """Whether a field stands for several; brackets are list elements, not classes."""
    return "*" in field or "?" in field


def matching(field: str, columns: Sequence[str]) -> list[str]:
    """The columns that a pattern fits, in their order; a plain name is itself, watched or not."""
    if not is_pattern(field):
        return [field]
    return [name for name in columns if fnmatch.fnmatchcase(name, field.replace("[", "[[]"))]


def several(fields: str, parameter: str = "field") -> list[str]:
    """The names of `A+B`. Raises ValueError where one is empty or stands twice."""
    names = [name.strip() for name in fields.split("+")]
    if not all(names) or len(set(names)) != len(names):
        raise ValueError(f"{parameter} must name one field, or several different ones as A+B, got {fields!r}")
    return names
