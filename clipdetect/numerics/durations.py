"""Durations: what people write (`60s`, `1h30m`), and seconds in people's words."""

from __future__ import annotations

import math
import re
from itertools import pairwise

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*+([a-zA-Z]*)\s*")
_WORDS = (
    (604800.0, "week", "a week"),
    (86400.0, "day", "a day"),
    (3600.0, "hour", "an hour"),
    (60.0, "minute", "a minute"),
)
_SHORT = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def seconds(value: str | float, name: str = "duration") -> float:
    """Seconds >= 0.001 of `60s`, `500ms`, `5m`, `1h30m`, `1d`, `1w`, or a number of seconds.

    name : the parameter, for the message. Raises ValueError on anything else.

    >>> seconds("1h30m")
    5400.0
    """
    total = float(value) if isinstance(value, int | float) else _read(value)
    if not (0.001 <= total < 1e11):
        raise ValueError(f"{name} must be a duration of at least 1ms such as 60s, 5m, 1h or 1d, got {value!r}")
    return total


def _read(text: str) -> float:
    """Seconds of a text, NaN where it is none. A bare number is in seconds and stands alone."""
    total, at = 0.0, 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            return math.nan
        number, unit = part.groups()
        if not unit and (at > 0 or part.end() < len(text)):
            return math.nan
        total += float(number) * UNITS.get(unit.lower() or "s", math.nan)
        at = part.end()
    return total


def said(duration: float) -> str:
    """A window in words: `a minute`, `an hour`, `10 minutes`, `a day`, `30 s`, `1.5 s`.

    >>> said(60.0), said(600.0), said(90.0)
    ('a minute', '10 minutes', '90 s')
    """
    for unit, word, one in _WORDS:
        if duration == unit:
            return one
        if duration > unit and duration % unit == 0.0:
            return f"{duration / unit:.0f} {word}s"
    return f"{duration:g} s"


def span(duration: float) -> str:
    """A time that has passed, in its two largest units: `3 s`, `0.25 s`, `5 min 12 s`, `11 h`, `3 d 4 h`.

    >>> span(312.0), span(39600.0), span(0.0025)
    ('5 min 12 s', '11 h', '0.0025 s')
    """
    if duration < 10.0:
        return f"{duration:.2g} s"
    whole = round(duration)
    for (unit, word), (below, smaller) in pairwise(_SHORT):
        if whole >= unit:
            rest = (whole % int(unit)) // int(below)
            return f"{whole // int(unit)} {word}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"
