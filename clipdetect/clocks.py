"""Clocks among the fields of records: what they are called, and what their values look like.

A field that holds the time of its record is no measure. Some names are a clock's whatever the values; others only
where the values are: `t` may be a temperature, `start` a number of places.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

MOMENTS = ("time", "ts", "timestamp", "@timestamp", "datetime")  # in the order in which a log's own time is looked for
CLOCKS = frozenset((*MOMENTS, "date", "epoch"))  # these whatever the values
AMBIGUOUS = "t"
DATED = frozenset(  # last words of names that are a clock's where the values are times: `event_ts`, `start`, `lastSeen`
    (
        AMBIGUOUS, "time", "ts", "timestamp", "timestampms", "datetime", "date", "epoch", "unix", "unixtime",
        "epochtime", "clock", "when", "at", "created", "updated", "modified", "changed", "received", "sent", "start",
        "started", "begin", "end", "ended", "stop", "stopped", "finish", "finished", "completed", "expires", "expiry",
        "expiration", "since", "until", "seen", "login",
    )
)  # fmt: skip
COUNTED = frozenset((AMBIGUOUS, "tick", "ticks", "elapsed"))  # clocks that may begin at 0
UNITS = frozenset(
    ("s", "ms", "us", "ns", "sec", "secs", "seconds", "millis", "milliseconds", "micros", "microseconds", "nanos")
)
EARLIEST, LATEST = 631152000.0, 4102444800.0  # the years 1990 to 2099 [epoch seconds]
IN_SECONDS = (1.0, 1e-3, 1e-6, 1e-9)  # s, ms, us, ns
LEAST_TICKS = 4  # values that have to rise evenly
UNEVEN = 2.0  # times the shortest step; a longer one is no clock's

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def is_clock(name: str) -> bool:
    """Whether a field is a clock by its name alone; upper and lower case alike, the last part of a dotted name."""
    last = name.rpartition(".")[2].lower()
    return last in CLOCKS or last.endswith("_at")


def holds_times(name: str, value: float) -> bool:
    """Whether a field is a clock by its name and this value: epoch seconds, ms, us or ns of the years 1990 to 2099."""
    words, _ = _words(name)
    return bool(words) and words[-1] in DATED and is_epoch(value)


def is_epoch(value: float) -> bool:
    """Whether a number is as large as the epoch seconds, ms, us or ns of our time."""
    return any(EARLIEST <= value * unit < LATEST for unit in IN_SECONDS)


def may_count(name: str) -> bool:
    """Whether a field may be a clock that counts from any number: `t`, `tick`, `elapsed_s`, `time_ms`."""
    words, unit = _words(name)
    return len(words) == 1 and (words[0] in COUNTED or (unit and words[0] == "time"))


def rises_evenly(values: Sequence[float]) -> bool:
    """Whether every step is up, and none much longer than another."""
    steps = [after - before for before, after in pairwise(values)]
    return not steps or 0.0 < max(steps) <= UNEVEN * min(steps)


def _words(name: str) -> tuple[list[str], bool]:
    """The words of a name's last part in lower case, without the unit that it may end with; whether it does."""
    last = _HUMP.sub("_", name.rpartition(".")[2]).lower()
    words = re.findall(r"[a-z0-9]+", last)
    unit = len(words) > 1 and words[-1] in UNITS
    return (words[:-1] if unit else words), unit
