"""What is known in advance, from a CSV file: when, of which records, and what is done then.

start,end,selector,action
2024-11-29T00:00:00Z,2024-11-30T06:00:00Z,region=eu,mute freeze
2024-12-24,2024-12-27,,widen:3
"""

from __future__ import annotations

import csv
import fnmatch
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from clipdetect.errors import ConfigError
from clipdetect.formats import times

COLUMNS = ("start", "end", "selector", "action")


class Event(NamedTuple):
    """One line of the file.

    start, end : epoch seconds, the end not included. terms : categories that a record must all have.
    """

    start: float
    end: float
    terms: tuple[str, ...]
    mute: bool
    freeze: bool
    widen: float


class Applied(NamedTuple):
    """What events do to n records: (n,) bool, bool, and float64 by which raw scores are divided."""

    mute: np.ndarray
    freeze: np.ndarray
    widen: np.ndarray


class Events:
    """Events of one file, in its order."""

    def __init__(self, events: tuple[Event, ...] = ()) -> None:
        self.events = events

    def categories(self) -> list[str]:
        """What is to be read from each record."""
        return list(dict.fromkeys(term for event in self.events for term in event.terms))

    @property
    def widens(self) -> bool:
        """Whether any of them widens the limits."""
        return any(event.widen != 1.0 for event in self.events)

    def of(self, time: np.ndarray | None, categories: Mapping[str, np.ndarray]) -> Applied | None:
        """What they do to n records with these times (NaN: none applies); None where nothing."""
        if not self.events or time is None or not np.isfinite(time).any():
            return None
        first, last = np.nanmin(time), np.nanmax(time)
        found = None
        for event in self.events:
            if event.end <= first or event.start > last:
                continue
            applies = (time >= event.start) & (time < event.end)
            for term in event.terms:
                applies &= categories[term] >= 0
            if applies.any():
                if found is None:
                    found = Applied(np.zeros(len(time), bool), np.zeros(len(time), bool), np.ones(len(time)))
                found.mute[applies] |= event.mute
                found.freeze[applies] |= event.freeze
                found.widen[applies] = np.maximum(found.widen[applies], event.widen)
        return found


def read(path: str) -> Events:
    """Events of a CSV file. Raises ConfigError that says where it is wrong."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = [name.strip().lower() for name in next(lines, [])]
            if sorted(header) != sorted(COLUMNS):
                raise ConfigError(f"{path}:1: the columns must be {', '.join(COLUMNS)}, got {', '.join(header)}")
            found = []
            for cells in lines:
                if any(cell.strip() for cell in cells):
                    if len(cells) != len(header):
                        raise ConfigError(f"{path}:{lines.line_num}: {len(cells)} cells, the header has {len(header)}")
                    found.append(_event(dict(zip(header, map(str.strip, cells), strict=True)), path, lines.line_num))
            return Events(tuple(found))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the events: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: not a CSV file of events: {error}") from error


def _event(cells: dict[str, str], path: str, line: int) -> Event:
    try:
        start = _time(cells["start"], "start", -math.inf)
        end = _time(cells["end"], "end", math.inf)
        if not start < end:
            raise ValueError(f"end {cells['end']} is not after start {cells['start']}")
        return Event(start, end, _terms(cells["selector"]), *_actions(cells["action"]))
    except ValueError as error:
        raise ConfigError(f"{path}:{line}: {error}") from error


def _time(text: str, name: str, missing: float) -> float:
    """Epoch seconds; a bound that is left out is far away."""
    if not text:
        return missing
    found = times.parse(text)
    if isinstance(found, times.Yearless) or math.isnan(found):
        raise ValueError(f"{name} must be a time such as 2024-11-29T08:00:00Z or epoch seconds, got {text!r}")
    return found


def _terms(text: str) -> tuple[str, ...]:
    """Categories from `field=pattern&field=pattern`; none of an empty text or `*`."""
    if text in ("", "*"):
        return ()
    found = []
    for term in text.split("&"):
        name, equals, pattern = (part.strip() for part in term.partition("="))
        if not (name and equals and pattern) or "~" in name:
            raise ValueError(f"selector must be field=pattern, several joined by &, got {text!r}")
        found.append(f"{name}~\\A{fnmatch.translate(pattern)}")
    return tuple(found)


def _actions(text: str) -> tuple[bool, bool, float]:
    """mute, freeze and the factor of widen from words."""
    mute = freeze = False
    widen = 1.0
    for word in text.lower().split():
        if word == "mute":
            mute = True
        elif word == "freeze":
            freeze = True
        elif word.startswith("widen:"):
            try:
                widen = float(word[6:])
            except ValueError:
                widen = math.nan
            if not 1.0 <= widen < math.inf:
                raise ValueError(f"widen needs a factor of 1 or more, such as widen:3, got {word!r}")
        else:
            raise ValueError(f"action must be mute, freeze, widen:K or several of them with spaces, got {text!r}")
    if not text.split():
        raise ValueError("action is missing: mute, freeze or widen:K")
    return mute, freeze, widen
