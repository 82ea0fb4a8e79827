"""Any log line with a time near its beginning."""

from __future__ import annotations

import re
from typing import Any

from clipdetect.formats.extract import typed
from clipdetect.formats.log_lines import LogLines
from clipdetect.formats.objects import Unreadable
from clipdetect.formats.times import FORMS
from clipdetect.records import SURE, UNLIKE, Head

__all__ = ["Log"]

NEAR = 160  # characters within which the time must begin and end

_LEVEL = (
    r"TRACE|DEBUG|INFORMATION|INFO|NOTICE|NOTE|WARNING|WARN|ERROR|ERR|SEVERE|CRITICAL|CRIT|ALERT|EMERGENCY|EMERG|FATAL|"
    r"PANIC|FINEST|FINER|FINE|CONFIG|VERBOSE|AUDIT|LOG|STATEMENT|DETAIL|HINT|QUERY|SYSTEM|DBG|INF|WRN|FTL|"
    r"[Tt]race\d?|[Dd]ebug[1-5]?|[Ii]nfo|[Nn]otice|Note|[Ww]arning|[Ww]arn|[Ee]rror|[Cc]ritical|[Cc]rit|[Aa]lert|"
    r"[Ee]merg|[Ff]atal|[Ss]evere|[Vv]erbose|System"
)
_LEVEL_END = r"(?=[\s:\]|,/)>-]|\Z)"
_NAME = r"[A-Za-z_](?:[\w.$/@<>*-]|::|:(?=\d))*"
_BOX = r"[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*"  # between brackets, with brackets inside
_REST = r"(?P<message>.*)\Z"


def _stamp() -> re.Pattern[str]:
    """Everything in `times` that stands as a word of its own; a time of day, or a bare epoch, only where it is sure."""
    *dated, clock = [re.sub(r"\(\?P<\w+>", "(?:", form) for form in FORMS]
    separators = ({"d": "[-/.]", "c": "[:.]"}, {"d": "[/ -]"})
    for i, marks in enumerate(separators):
        for name, mark in marks.items():
            dated[i] = dated[i].replace(f"(?P={name})", mark)
    epochs = r"1\d{9}(?:[.,]\d{1,9}|\d{3}|\d{6}|\d{9})?"
    return re.compile(
        rf"(?:(?<![\w.:/-])(?=[\dA-Z])(?P<time>{'|'.join(dated)}|{epochs})|\A[\[(]?(?P<clock>{clock}))"
        r"(?=[\s\])|,;:#\"'-]|\Z)",
        re.ASCII,
    )


_STAMP = _stamp()


def _rule(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern + _REST, re.DOTALL | re.ASCII)


# What follows the time, by its first character that is no space.
_LEVEL_FIRST = _rule(
    rf"[\])\s,|]*(?:-\s+)?(?:(?P<pid>\d{{1,10}})\s+)?[\[(<]?(?P<level>{_LEVEL}){_LEVEL_END}\s*[\])>]?:?[\s|]*(?:--?\s+)?"
    rf"(?:(?P<pid2>\d{{1,10}})\s+---\s+)?(?:\[(?P<thread2>{_BOX}):(?P<component3>[A-Za-z_][\w.$]*)@\d+\][\s-]*|"
    rf"(?:\[(?P<thread>{_BOX})\][\s-]*)?(?:(?P<component>{_NAME})(?:\s{{0,60}}:\s+|\s+-\s+|\]\s+|\t+|"
    r"\s+(?=\[(?:req-|-\])))|(?P<component2>[A-Z]{2,8})\s\s+)?)"
)
_AFTER_BOX = (  # the time stood in brackets
    _rule(
        rf"\]\s?\[(?:(?P<component>[\w-]*):)?(?P<level>{_LEVEL})\](?: \[pid (?P<pid>\d+)(?::tid (?P<tid>\d+))?\])?"
        r"(?: \[client (?P<client>[^\]]*)\])? "
    ),
    _rule(rf"\]\s?\[(?P<level>{_LEVEL})\s*\]\[(?P<component>[^\]\s]+)\s*\] "),
    _rule(rf"\]\s?\[(?P<pid>\d+)\] \[(?P<level>{_LEVEL})\] "),
    _rule(r"\] (?P<component>[\w. -]+?\.exe) (?:\*64 )?- "),
)
_DIGIT = (
    _rule(r"\s+(?P<pid>\d+)\s+(?P<tid>\d+)\s+(?P<level>[VDIWEFA])\s++(?P<component>[^:\s]++(?:\s++[^:\s]++)*)\s*+:\s"),
    _rule(r"\s+(?P<pid>\d+) (?P<component>[\w.-]+\.\w+):\d+\] "),
    _rule(rf"\s+(?P<tid>\d+) \[(?P<level>{_LEVEL})\](?: \[(?P<code>MY-\d+)\])?(?: \[(?P<component>\w+)\])? "),
)
_BOXED = (
    _rule(rf"\s*\[(?P<level>{_LEVEL})\] (?P<pid>\d+)#(?P<tid>\d+): "),
    _rule(
        r"\s*\[(?P<pid>\d+)\](?::? \[[\d-]+\])?:?(?: (?P<user>[^\s@]*)@(?P<database>\S*))?\s+"
        rf"(?P<level>{_LEVEL}):\s+"
    ),
    _rule(rf"\s*\[(?P<thread>{_BOX})\]\s+(?P<level>{_LEVEL})\s+(?P<component>{_NAME})\s*(?:\[\S*\]\s*)?[-:]\s+"),
    _rule(rf"\s*\[(?P<thread>{_BOX})\]\s+[\[(]?(?P<level>{_LEVEL}){_LEVEL_END}[\])]?:?\s+"),
)
_DASHED = (_rule(rf"\s+-\s+(?P<component>{_NAME})\s+-\s+(?P<level>{_LEVEL})\s+-\s+"),)
_PIPED = (
    _rule(r"\s*\|\s*(?P<component>[A-Za-z_][^|]*)\|(?P<pid>\d+)\|"),
    _rule(rf"\s*\|\s*(?P<level>{_LEVEL})\s*\|\s*(?P<component>[\w.<>]+)(?::\S+)? - "),
)
_NAMED = (
    _rule(r"\s+(?P<component>[\w.-]+\.go):\d+: "),
    _rule(
        rf"\s+(?P<component>{_NAME})\s+\[?(?P<level>TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|SEVERE)\]?:?\s+"
    ),
)
_OTHER = (
    _rule(rf": (?P<level>{_LEVEL})/(?P<thread>[^\]]+)\] "),
    _rule(rf"\s+#(?P<pid>\d+)\]\s+(?P<level>{_LEVEL}) -- (?P<component>[^\s:]*)\s?: "),
    _rule(r"\s+(?P<level>[.*#-]) (?!-)"),
)
_RULES = {
    "]": (*_AFTER_BOX, _LEVEL_FIRST),
    "[": (*_BOXED, _LEVEL_FIRST),
    "-": (*_DASHED, _LEVEL_FIRST),
    "|": (*_PIPED, _LEVEL_FIRST),
    **dict.fromkeys("0123456789", (*_DIGIT, _LEVEL_FIRST)),
    **dict.fromkeys(",(<", (_LEVEL_FIRST,)),
    **dict.fromkeys(":#.*", _OTHER),
}
_LETTER = (_LEVEL_FIRST, *_NAMED)
_CLUSTER = re.compile(  # supercomputers: label, epoch, date, node, then their own line or one of syslog
    r"(?P<label>-|[A-Z][\w/-]*) (?P<epoch>1\d{9}) \d{4}\.\d\d\.\d\d (?P<node>\S+) "
    r"(?:(?P<time>\d{4}-\d\d-\d\d-[\d.]+) \S+ (?P<type>\S+) (?P<component>\S+) (?P<level>\S+) (?P<message>.*)|"
    r"[A-Z][a-z]{2} [ \d]?\d [\d:]{8} (?P<host>\S+) "
    r"(?:(?P<program>[^\s:\[\]]+)(?:\[(?P<pid>\d+)\])?:\s*)?(?P<text>.*))\Z",
    re.DOTALL | re.ASCII,
)
_NODES = re.compile(
    r"\d+ (?P<node>\S+) (?P<component>\S+) (?P<state>\S+) (?P<time>1\d{9}) (?P<flag>\d+) (?P<message>.*)\Z",
    re.DOTALL | re.ASCII,
)
_BEFORE = re.compile(rf"[\[( ]*(?P<level>{_LEVEL})[\]):,\s-]*[\[(]?\Z|(?P<pid>\d+):[A-Z] \Z|[A-Z], \[\Z", re.ASCII)
_SAME = {
    "pid2": "pid", "component2": "component", "component3": "component", "thread2": "thread",
    "text": "message", "program": "component",
}  # fmt: skip
_NUMBERS = ("pid", "tid", "flag")


class Log(LogLines):
    """Any lines with a time near their beginning: errors of web servers, Java, Python, Go, databases, ...

    Fields: time, level in the log's own spelling, component (a class, module, program or tag), pid, tid,
    thread, message, the rest of the line; of supercomputer logs also label, node, type, host, state. Only
    time and message are always there; the others where the layout is known.

    A line without a time, such as one of a stack trace, cannot be read. For a layout of your own, `pattern`.
    """

    name = "log"
    rank = 80
    derive = ("template:field=message", "rare:field=level", "rate:window=60s", "interval")

    def read(self, text: str) -> dict[str, Any]:
        found = _STAMP.search(text, 0, NEAR)
        if found is None:
            raise Unreadable("no time stamp", f"no time within the first {NEAR} characters")
        time = found["time"]
        if time is None:
            time = found["clock"]
        elif time[0] == "1" and time.isdecimal():
            whole = _CLUSTER.match(text) or _NODES.match(text)
            if whole is not None:
                return _whole(whole.groupdict())
        record: dict[str, Any] = {"time": time}
        if found.start() > 1 and (before := _BEFORE.match(text[: found.start()])) is not None:
            record.update((name, value) for name, value in before.groupdict().items() if value)
        elif time[0] in "IWEF" and time[1].isdecimal():
            record["level"] = time[0]
        rest = text[found.end() :]
        for rule in _RULES.get(rest.lstrip()[:1], _LETTER):
            parts = rule.match(rest)
            if parts is not None:
                for name, value in parts.groupdict().items():
                    if value:
                        record.setdefault(_SAME.get(name, name), value)
                break
        else:
            record["message"] = rest.lstrip("])|,;: \t-")
        return _finished(record)

    @classmethod
    def looks(cls, head: Head) -> float:
        return SURE if _begins(head.row) else UNLIKE


def _begins(text: str) -> bool:
    """Whether a first line is one: its time stands among the first two words, and no `name:` before it."""
    found = _STAMP.search(text, 0, NEAR)
    if found is None or text[0] == '"':
        return False
    if _CLUSTER.match(text) or _NODES.match(text):
        return True
    before, rest = text[: found.start()], text[found.end() :]
    if found["time"] is None:  # a time of day: only with a level
        return any(rule.match(rest) for rule in (_LEVEL_FIRST, *_BOXED))
    if len(before) > 1 and not _BEFORE.match(before):
        if len(before.split()) > 1 or before.rstrip()[-1:] in ":=" or before[:1].isspace():
            return False
    if rest[:1] in (",", "\t", ";"):  # the first cell of a table, unless a level follows
        return rest[1:2] in (" ", "\t") or bool(_LEVEL_FIRST.match(rest))
    return any(map(str.isalpha, rest))


def _whole(parts: dict[str, Any]) -> dict[str, Any]:
    """A line of a supercomputer."""
    record: dict[str, Any] = {"time": parts.get("time") or parts["epoch"]}
    for name, value in parts.items():
        if value is not None and name not in ("time", "epoch") and value != "-":
            record[_SAME.get(name, name)] = value
    return _finished(record)


def _finished(record: dict[str, Any]) -> dict[str, Any]:
    message = record.pop("message", "")
    for name in _NUMBERS:
        if name in record:
            record[name] = typed(record[name])
    if "thread" in record:
        record["thread"] = record["thread"].strip()
    record["message"] = message
    return record
