"""logfmt: `name=value` pairs."""

from __future__ import annotations

import re
from typing import Any

from clipdetect.clocks import AMBIGUOUS, MOMENTS
from clipdetect.formats.extract import typed
from clipdetect.formats.log_lines import LogLines
from clipdetect.formats.objects import Unreadable
from clipdetect.records import SURE, UNLIKE, Head

__all__ = ["Logfmt"]

_TEXT = r'[^"\\]*(?:\\.[^"\\]*)*'
_PAIR = re.compile(rf'([^\s="]+)(?:(=)(?:"({_TEXT})"?|([^\s"]\S*))?)?|\S+', re.DOTALL)
_FIRST = re.compile(r'[A-Za-z_@][\w.@/-]*=(?:"|[^\s,;&]+(?:\s|\Z))', re.ASCII)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class Logfmt(LogLines):
    """Lines of `name=value` pairs, such as `ts=2026-01-02T03:04:05Z level=info msg="slow query" ms=950`.

    A value in quotes may hold spaces and the escapes of JSON; a name without a value is true; a number
    is one, quoted or not; of a name that comes twice the last counts. The time is the first of time,
    ts, timestamp, @timestamp, datetime, t. A line needs one pair with `=`; words between pairs are names.
    """

    name = "logfmt"
    rank = 70
    derive = ("template:field=msg", "rare:field=level", "rate:window=60s", "interval")
    measures = True
    time_fields = (*MOMENTS, AMBIGUOUS)

    def read(self, text: str) -> dict[str, Any]:
        record: dict[str, Any] = {}
        pairs = False
        for name, equals, quoted, bare in _PAIR.findall(text):
            if equals:
                pairs = True
                if "\\" in quoted:
                    quoted = _ESCAPE.sub(_unescaped, quoted)
                record[name] = typed(bare or quoted)
            elif name:
                record[name] = True
        if not pairs:
            raise Unreadable("not logfmt", "no name=value pair")
        return record

    @classmethod
    def looks(cls, head: Head) -> float:
        return SURE if _begins(head.row) else UNLIKE


def _begins(text: str) -> bool:
    """Whether a first line is one: it begins with a pair, and at least two pairs are most of it."""
    if not _FIRST.match(text):
        return False
    found = _PAIR.findall(text)
    pairs = sum(bool(equals) for _, equals, _, _ in found)
    return pairs >= 2 and 2 * pairs > len(found)


def _unescaped(found: re.Match[str]) -> str:
    mark = found[1]
    if len(mark) > 1:
        code = int(mark[1:], 16)
        return chr(code) if not 0xD800 <= code < 0xE000 else "\ufffd"
    return _LETTERS.get(mark, mark)
