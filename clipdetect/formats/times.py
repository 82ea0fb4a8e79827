"""Times as epoch seconds: every common way in which logs write them.

A time without a zone is UTC. One without a year begins in a fixed leap year, never today's, so that
the same input gives the same output; the year goes up where the time steps back by more than half a
year, and down again for a record that comes late over the turn of the year.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

FIRST_YEAR = 2000  # of times without a year; a leap year, so that each day exists
HALF_YEAR, HALF_DAY, DAY = 183 * 86400.0, 43200.0, 86400.0  # seconds
EPOCH_UNITS = ((1e11, 1.0), (1e14, 1e-3), (1e17, 1e-6), (math.inf, 1e-9))  # below, seconds in one unit
MOST_TEXTS = 1 << 14  # texts whose time is remembered
LONGEST = 64  # characters of a text that is remembered
CENTURY = 69  # two-digit years from here on are 19xx

MONTHS = {"janfebmaraprmayjunjulaugsepoctnovdec"[3 * i : 3 * i + 3]: i + 1 for i in range(12)}
LENGTHS = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
ZONES = {
    "z": 0, "utc": 0, "gmt": 0, "wet": 0, "west": 1, "bst": 1, "cet": 1, "cest": 2, "eet": 2, "eest": 3, "msk": 3,
    "jst": 9, "kst": 9, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7,
}  # fmt: skip
NAMED_ZONE = "|".join(sorted((name.upper() for name in ZONES), key=len, reverse=True))

_MONTH = r"(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_ZONE = rf"(?P<zone>[+-]\d\d:?\d\d(?::?\d\d)?|[+-]\d\d(?!\d)|(?:{NAMED_ZONE}|z)(?![A-Za-z0-9]))"
_CLOCK = r"(?P<hour>\d\d?):(?P<minute>\d\d)"
_PART = r"(?:(?P<mark>[.,:])(?P<part>\d+))?"
_HALF = r"(?:[ ]?(?P<half>[AaPp]\.?[Mm])\b\.?)?"

# What stands for a time in a line. The order matters where one form is the beginning of another.
FORMS = (
    # 2016-09-28 04:30:30, 2015-10-18T18:01:47.978+02:00, 2025/03/04 05:06:07, 2005-06-03-15.42.50.675872
    r"(?P<year>\d{4})(?P<d>[-/.])(?P<month>\d\d?)(?P=d)(?P<day>\d\d?)(?:[Tt _-]|,[ ]?|:)[ ]?(?P<hour>\d\d?)(?P<c>[:.])"
    rf"(?P<minute>\d\d)(?:(?P=c)(?P<second>\d\d){_PART})?{_HALF}(?:[ ]?{_ZONE})?",
    # 10/Jul/2023:13:55:36 +0200, 01 Jan 2023 10:00:00.123, Mon, 02 Jan 2006 15:04:05 GMT
    rf"(?:{_WEEKDAY},?[ ])?(?P<day>\d\d?)(?P<d>[/ -]){_MONTH}(?P=d)(?P<year>\d{{4}})[: T]{_CLOCK}"
    rf"(?::(?P<second>\d\d){_PART})?{_HALF}(?:[ ]?{_ZONE})?",
    # Sun Dec 04 04:47:44 2005, Fri Sep 09 10:42:29.902022 2011, Tue Jan  3 10:00:00 UTC 2023
    rf"{_WEEKDAY},?[ ]{_MONTH}[ ]+(?P<day>\d\d?)[ ]{_CLOCK}:(?P<second>\d\d){_PART}(?:[ ]{_ZONE})?[ ](?P<year>\d{{4}})",
    # Jan 01, 2023 10:00:00 AM, Jan  1 2023 10:00:00
    rf"(?:{_WEEKDAY},?[ ])?{_MONTH}[ ]+(?P<day>\d\d?),?[ ](?P<year>\d{{4}}),?[ ]{_CLOCK}"
    rf"(?::(?P<second>\d\d){_PART})?{_HALF}(?:[ ]?{_ZONE})?",
    # Dec 10 06:55:46, Dec  1 06:55:46.123, Sun Dec 04 04:47:44
    rf"(?:{_WEEKDAY},?[ ])?{_MONTH}[ ]+(?P<day>\d\d?)[ ]{_CLOCK}:(?P<second>\d\d){_PART}(?:[ ]{_ZONE})?",
    # 20171223-22:15:29:606, 20230102T030405.123Z, 20230102 03:04:05
    r"(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)[-T_ ](?P<hour>\d\d?)(?::(?P<minute>\d\d?):(?P<second>\d\d?)|"
    rf"(?P<minute2>\d\d)(?P<second2>\d\d)){_PART}(?:{_ZONE})?",
    # 17/06/09 20:10:40
    rf"(?P<short>\d\d)/(?P<month>\d\d)/(?P<day>\d\d)[ ]{_CLOCK}:(?P<second>\d\d){_PART}",
    # 081109 203615, 081109  8:36:15
    r"(?P<short>\d\d)(?P<month>\d\d)(?P<day>\d\d)[ ]{1,2}(?:(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)|"
    r"(?P<hour2>\d\d?):(?P<minute2>\d\d):(?P<second2>\d\d))",
    # 03-17 16:13:38.811, 10.30 16:49:06
    rf"(?P<month>\d\d)[-./](?P<day>\d\d)[ ]{_CLOCK}:(?P<second>\d\d){_PART}",
    # I0704 12:34:56.789012
    rf"[IWEF](?P<month>\d\d)(?P<day>\d\d)[ ]{_CLOCK}:(?P<second>\d\d){_PART}",
    # 10:00:00.123
    rf"{_CLOCK}:(?P<second>\d\d){_PART}{_HALF}",
)
_FORMS = [re.compile(form, re.IGNORECASE | re.ASCII) for form in FORMS]
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,]\d{1,9}\Z", re.ASCII)


class Yearless(NamedTuple):
    """A time of which the year is not known; with month 0 a time of which the day is not known either."""

    month: int
    day: int
    seconds: float  # since midnight


def epoch(value: float) -> float:
    """Epoch seconds of a number of s, ms, us or ns, by its size."""
    return value * next((unit for below, unit in EPOCH_UNITS if abs(value) < below), math.nan)


def seconds(text: str) -> float:
    """Epoch seconds of a time's text; NaN where it is none. Without a year it is in 2000, without a day 1 January."""
    found = parse(text)
    if not isinstance(found, Yearless):
        return found
    return days(FIRST_YEAR, found.month or 1, found.day or 1) * DAY + found.seconds


def parse(text: str) -> float | Yearless:
    """Epoch seconds of a time's text, or what there is of it without a year; NaN where it is no time.

    Cost: some microseconds; `Clock` remembers.
    """
    text = text.strip()
    for form in _FORMS:
        found = form.fullmatch(text)
        if found is not None:
            return _moment(found.groupdict())
    try:
        return epoch(float(text)) if text.replace(".", "", 1).isdecimal() and text.isascii() else _iso(text)
    except (ValueError, OverflowError):
        return math.nan


def _iso(text: str) -> float:
    """The rest of ISO 8601: dates alone, weeks, no separators."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _moment(parts: dict[str, Any]) -> float | Yearless:
    get = parts.get
    hour, minute = int(get("hour") or parts["hour2"]), int(get("minute") or parts["minute2"])
    second = int(get("second") or get("second2") or 0)
    half = get("half")
    if half:
        if not 1 <= hour <= 12:
            return math.nan
        hour = hour % 12 + (12 if half[0] in "Pp" else 0)
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        return math.nan
    clock = hour * 3600.0 + minute * 60.0 + second  # the 60th second is the next minute's first
    part = get("part")
    fraction = 0.0
    if part:  # after a colon it is a number of milliseconds, else the digits of a fraction
        fraction = int(part[:4]) * 1e-3 if parts["mark"] == ":" else int(part[:15]) / 10 ** min(len(part), 15)
    month, day = _month(get("month")), int(get("day") or 0)
    if month is None:
        return Yearless(0, 0, clock + fraction)
    year = int(get("year") or 0)
    if get("short"):
        year = int(parts["short"])
        year += 1900 if year >= CENTURY else 2000
    given = bool(get("year") or get("short"))
    if (
        not 1 <= month <= 12
        or not 1 <= day <= LENGTHS[month]
        or (given and day == 29 and month == 2 and not leap(year))
    ):
        return math.nan
    if not given:
        return Yearless(month, day, clock + fraction)
    if year < 1:
        return math.nan
    return days(year, month, day) * DAY + clock - offset(get("zone")) + fraction


def _month(text: str | None) -> int | None:
    if text is None:
        return None
    return int(text) if text.isdecimal() else MONTHS[text[:3].lower()]


def offset(zone: str | None) -> float:
    """Seconds by which a zone is ahead of UTC."""
    if not zone:
        return 0.0
    if zone[0] not in "+-":
        return ZONES[zone.lower()] * 3600.0
    digits = zone[1:].replace(":", "").ljust(6, "0")
    size = int(digits[:2]) * 3600.0 + int(digits[2:4]) * 60.0 + int(digits[4:])
    return -size if zone[0] == "-" else size


def leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


@lru_cache(maxsize=4096)
def days(year: int, month: int, day: int) -> int:
    """Days since 1 January 1970 in the Gregorian calendar; 29 February of a common year is 1 March."""
    year -= month <= 2
    era, months = year // 400, (month + 9) % 12
    of_era = year - era * 400
    of_year = (153 * months + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


class Clock:
    """Reads the times of a stream in order.

    memory : a dict of plain values in which it keeps what the year of the next time depends on;
        with it, another clock goes on where this one stopped.
    """

    def __init__(self, memory: dict[str, Any]) -> None:
        self.memory = memory
        self._known: dict[str, float | Yearless] = {}
        self._wholes: dict[str, float] = {}
        self._parts: dict[str, float] = {}

    def seconds(self, text: str) -> float:
        """Epoch seconds, NaN where the text is no time. Cost: well below a microsecond for a second met before."""
        found = self._known.get(text)
        if found is None:
            whole = self._wholes.get(text[:19])
            if whole is not None and (part := self._parts.get(text[19:])) is not None:
                return whole + part
            found = self._new(text)
        return found if type(found) is float else self._dated(found)  # type: ignore[arg-type]

    def _new(self, text: str) -> float | Yearless:
        if _ISO.match(text):  # the second and the fraction apart: each of them comes again
            whole, part = parse(text[:19]), int(text[20:]) / float(10 ** len(text[20:]))
            if type(whole) is float:
                _keep(self._wholes, text[:19], whole)
                _keep(self._parts, text[19:], part)
                return whole + part
        found = parse(text)
        _keep(self._known, text, found)
        return found

    def _dated(self, found: Yearless) -> float:
        """A time in the year, or on the day, that is nearest to the time before."""
        memory = self.memory
        if not found.month:
            day: int = memory.get("day", days(FIRST_YEAR, 1, 1))
            step = found.seconds - memory.get("clock", found.seconds)
            day += 1 if step < -HALF_DAY else -1 if step > HALF_DAY else 0
            memory["day"], memory["clock"] = day, found.seconds
            return float(day * DAY + found.seconds)
        year: int = memory.get("year", FIRST_YEAR)
        time = days(year, found.month, found.day) * DAY + found.seconds
        step = time - memory.get("last", time)
        if step < -HALF_YEAR or step > HALF_YEAR:
            year += 1 if step < 0 else -1
            time = days(year, found.month, found.day) * DAY + found.seconds
        memory["year"], memory["last"] = year, time
        return time


def _keep(known: dict[str, Any], text: str, value: Any) -> None:
    if len(text) <= LONGEST:
        if len(known) >= MOST_TEXTS:
            known.clear()
        known[text] = value
