"""Syslog lines: RFC 3164 as it is found in files, and RFC 5424."""

from __future__ import annotations

import re
from typing import Any

from clipdetect.formats.extract import typed
from clipdetect.formats.log_lines import BOM, LogLines
from clipdetect.formats.objects import Unreadable
from clipdetect.records import SURE, UNLIKE, Head

__all__ = ["Syslog"]

_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_OLD = r"[A-Z][a-z]{2} [ \d]?\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d+)?(?: [A-Z]{3,4}(?=:))?"
_USUAL = re.compile(
    rf"(?:<(\d{{1,3}})>)?\*?({_OLD}|{_ISO}):? +"
    r"(?:([^\s:\[\]]+|[0-9A-Fa-f:.]{0,39}:[0-9A-Fa-f:.]{0,39}[0-9A-Fa-f]) +)?"  # host, maybe an IPv6 address
    r"(?:([^\s:\[\]]+)(?: [0-9][0-9.]*(?=: )|\[([^\[\]\s]*)\])?:(?:\s+|\Z)|"  # program[pid]: or syslogd 1.4.1:
    r"([^\s:\[\]]+)\[([^\[\]\s]*)\] +|"  # program[pid] without a colon
    r"(?:-- )?([^\s:\[\]][^:\[\]]{0,47})\[(\d+)\](?: \([^\s()]*\))?: +)?"  # a program's name with spaces
    r"(.*)\Z",
    re.DOTALL | re.ASCII,
)
_NEW = re.compile(
    rf"(?:\d+ )?<(\d{{1,3}})>(\d{{1,2}}) (-|{_ISO}) (\S+) (\S+) (\S+) (\S+) (?:-|(?=\[))",
    re.ASCII,
)
_ELEMENT = re.compile(r'\[([^\s=\]"]+)((?: +[^\s=\]"]+="[^"\\]*(?:\\.[^"\\]*)*")*) ?\]', re.DOTALL)
_PARAM = re.compile(r'(?<![^\s=\]"])([^\s=\]"]++)="([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ZONED = re.compile(r"\d{4}-\d\d-\d\dT\S+(?:Z|[+-]\d\d:?\d\d)\Z", re.ASCII)
_LEVEL = re.compile(r"(?:trace|debug|info|notice|warn(?:ing)?|err(?:or)?|severe|crit(?:ical)?|fatal|\W+|\d+)\Z", re.I)
_ESCAPED = re.compile(r'\\(["\\\]])')
LARGEST_PRIORITY = 191


class Syslog(LogLines):
    """Syslog, one message a line: RFC 3164 with and without `<PRI>`, or with times as rsyslog writes them; RFC 5424.

    Fields: priority with facility and severity where the line has one, time, host, program, pid,
    message; of RFC 5424 also version, msgid and structured_data, an object of objects. `-` is left
    out. A line without a tag, such as `last message repeated 2 times`, has no program.

    The time of RFC 3164 has no year: see `times`. Not for messages of several lines.
    """

    name = "syslog"
    rank = 60
    derive = ("template:field=message", "rare:field=program", "rate:window=60s", "interval")

    def read(self, text: str) -> dict[str, Any]:
        found = _USUAL.match(text)
        if found is None:
            return _new(text)
        priority, time, host, program, pid, program2, pid2, program3, pid3, message = found.groups()
        record: dict[str, Any] = _priority(priority) if priority is not None else {}
        record["time"] = time
        if host is not None:
            record["host"] = host
        if program is None:
            program, pid = (program2, pid2) if program2 is not None else (program3, pid3)
        if program is not None:
            record["program"] = program
            if pid:
                record["pid"] = typed(pid)
        record["message"] = message
        return record

    @classmethod
    def looks(cls, head: Head) -> float:
        return SURE if _begins(head.row) else UNLIKE


def _begins(text: str) -> bool:
    """Whether a first line is one: `<PRI>`, or a time without a year or with a zone, a host and more."""
    found = _USUAL.match(text)
    if found is None:
        return _NEW.match(text) is not None
    priority, time, host, program, *_ = found.groups()
    if priority is not None:
        return True
    if host is None or _LEVEL.match(host):
        return False
    return bool(found[10]) and (time[0].isalpha() or (program is not None and bool(_ZONED.match(time))))


def _priority(text: str) -> dict[str, Any]:
    priority = int(text)
    if priority > LARGEST_PRIORITY:
        return {"priority": priority}
    return {"priority": priority, "facility": priority >> 3, "severity": priority & 7}


def _new(text: str) -> dict[str, Any]:
    """RFC 5424."""
    found = _NEW.match(text)
    if found is None:
        raise Unreadable(
            "not a syslog line", "does not begin with a time such as `Dec 10 06:55:46` or 2026-01-02T03:04:05Z"
        )
    priority, version, time, host, program, pid, msgid = found.groups()
    record = _priority(priority)
    record["version"] = int(version)
    for name, value in (("time", time), ("host", host), ("program", program), ("pid", typed(pid)), ("msgid", msgid)):
        if value != "-":
            record[name] = value
    end, data = found.end(), {}
    while (element := _ELEMENT.match(text, end)) is not None:
        params = _PARAM.findall(element[2])
        data[element[1]] = {name: _ESCAPED.sub(r"\1", value) for name, value in params}
        end = element.end()
    if data:
        record["structured_data"] = data
    elif text[end : end + 1] == "[":
        raise Unreadable("not a syslog line", f"structured data that cannot be read at column {end + 1}")
    record["message"] = text[end + 1 :].removeprefix(BOM)
    return record
