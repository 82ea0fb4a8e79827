"""Access logs of web servers: common, combined, and what is often added to them."""

from __future__ import annotations

import re
from typing import Any

from clipdetect.formats.extract import typed
from clipdetect.formats.log_lines import LogLines
from clipdetect.formats.objects import Unreadable
from clipdetect.records import SURE, UNLIKE, Head

__all__ = ["Access"]

_TEXT = r'[^"\\]*(?:\\.[^"\\]*)*'  # between quotes
_WHEN = r"\[(\d\d?/[A-Za-z]{3}/\d{4}[: ]\d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})?)\]"
_REST = (
    rf' "(?:([A-Za-z]+) ([^" \\]+) (HTTP/[0-9.]+)|({_TEXT}))" (\d\d\d|-) (\d+|-)'
    rf'(?: "({_TEXT})" "({_TEXT})")?(?: (.*))?\Z'
)
_USUAL = re.compile(rf"(\S+) (\S+) (\S+) {_WHEN}{_REST}", re.DOTALL | re.ASCII)
_TIME = re.compile(f" {_WHEN}", re.ASCII)
_AFTER_TIME = re.compile(_REST, re.DOTALL | re.ASCII)
_REQUEST = re.compile(r"(\S+) (.*) (HTTP/[0-9.]+)\Z", re.DOTALL)
_OLD_REQUEST = re.compile(r"([A-Z]{3,}) (\S+)\Z")
_EXTRA = re.compile(
    rf'(?P<name>[A-Za-z_][\w.-]*)=(?:"(?P<text>{_TEXT})"|(?P<bare>[^\s"]*))|"(?P<quoted>{_TEXT})"?'
    r"|(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s)?(?!\S)|\S+",
    re.ASCII,
)
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}\Z|[0-9A-Fa-f.]*+:[0-9A-Fa-f:.]*+\Z")
_NAMES = {"rt": "request_time", "vhost": "host"}


class Access(LogLines):
    """Access logs of Apache, nginx and their like: common or combined format, each with more behind it.

    Fields: remote_addr, remote_user, time, method, path, protocol, status, bytes, referer, agent;
    vhost where the line begins with one; request instead of method, path and protocol where the
    request line is none; forwarded_for, a quoted text behind the agent; request_time, a number behind
    it, in the log's own unit, or `rt=`; upstream_time, a second number; other `name=value` pairs by
    their names. What is `-` is left out. Texts keep the escapes of the log.

    Not for other layouts: name their parts with `pattern`.
    """

    name = "access"
    rank = 50
    derive = (
        "rare:field=method+status",
        "rate:window=60s",
        "rate:window=60s,where=status>=400,per=remote_addr,name=errors",
        "rate:window=60s,of=bytes,per=remote_addr,name=bytes",
    )

    def read(self, text: str) -> dict[str, Any]:
        found = _USUAL.match(text)
        if found is not None:
            addr, _ident, user, time, *rest = found.groups()
            record: dict[str, Any] = {"remote_addr": addr, "remote_user": user, "time": time}
            if addr == "-" or user == "-":
                record = {name: value for name, value in record.items() if value != "-"}
        else:
            record, rest = _unusual(text)
        method, path, protocol, request, status, size, referer, agent, more = rest
        if method is not None:
            record["method"], record["path"], record["protocol"] = method, path, protocol
        elif request != "-":
            _request(record, request)
        if status != "-":
            record["status"] = int(status)
        if size != "-":
            record["bytes"] = typed(size)
        if agent is not None:
            if referer != "-":
                record["referer"] = referer
            if agent != "-":
                record["agent"] = agent
        if more:
            _extras(record, more, agent is not None)
        return record

    @classmethod
    def looks(cls, head: Head) -> float:
        return SURE if _begins(head.row) else UNLIKE


def _begins(text: str) -> bool:
    """Whether a first line is one."""
    if _USUAL.match(text):
        return True
    found = _TIME.search(text)
    return found is not None and _AFTER_TIME.match(text, found.end()) is not None


def _unusual(text: str) -> tuple[dict[str, Any], list[Any]]:
    """The same for lines with a virtual host in front, or a user's name with spaces."""
    found = _TIME.search(text)
    if found is None:
        raise Unreadable("not an access log line", "no time in brackets, such as [10/Oct/2000:13:55:36 -0700]")
    after = _AFTER_TIME.match(text, found.end())
    if after is None:
        raise Unreadable("not an access log line", "no quoted request with status and size behind the time")
    first, *words = text[: found.start()].split(" ")
    record: dict[str, Any] = {}
    if len(words) >= 3 and words[0] != "-" and (words[1] == "-" or _ADDRESS.match(words[0])):
        record["vhost"], first, words = first, words[0], words[1:]
    record["remote_addr"], record["remote_user"] = first, " ".join(words[1:])
    record["time"] = found.group(1)
    return {name: value for name, value in record.items() if value not in ("-", "")}, list(after.groups())


def _request(record: dict[str, Any], request: str) -> None:
    """A request line with spaces in the path, of HTTP/0.9, or none."""
    found = _REQUEST.match(request) or _OLD_REQUEST.match(request)
    if found is None:
        record["request"] = request
    else:
        for name, value in zip(("method", "path", "protocol"), found.groups(), strict=False):
            record[name] = value


def _extras(record: dict[str, Any], more: str, combined: bool) -> None:
    """What stands behind the size, or behind the agent."""
    texts = ["forwarded_for"] if combined else ["referer", "agent", "forwarded_for"]
    numbers, whole = [], []
    for found in _EXTRA.finditer(more):
        name = found["name"]
        if name is not None:
            value = found["bare"] if found["text"] is None else found["text"]
            if value not in ("-", ""):
                record.setdefault(_NAMES.get(name, name), typed(value))
        elif found["quoted"] is not None:
            value = found["quoted"]
            if value != "-" and isinstance(typed(value), str):
                if texts:
                    record[texts.pop(0)] = value
            elif value != "-":
                numbers.append(typed(value))
            elif texts:
                texts.pop(0)
        elif found["number"] is not None:
            number = typed(found["number"])
            if found["unit"] == "ms" and not isinstance(number, str):
                numbers.insert(0, number / 1000)
            elif "." in found["number"] or found["unit"]:
                numbers.append(number)
            else:
                whole.append(number)
    for name, number in zip(("request_time", "upstream_time"), numbers + whole, strict=False):
        if not isinstance(number, str):
            record.setdefault(name, number)
