"""What a stream must be read as, by Python's own readers: `json.loads`, `csv.reader`, and a few lines for the rest."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.fuzz.flags import LOGS, OBJECTS, TABLES
from tests.fuzz.material import APPENDED
from tests.fuzz.streams import Stream
from tests.fuzz.table_streams import DELIMITERS

BOM = b"\xef\xbb\xbf"
DEEPEST = 950  # levels of nesting that can be read
NUMBER = re.compile(r"[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*", re.ASCII)
NOT_FINITE = re.compile(r"[ \t]*[+-]?(nan|inf|infinity)[ \t]*", re.IGNORECASE | re.ASCII)
LARGEST = 1e150
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}
STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)


class Piece(NamedTuple):
    """A part of the input, without the newline behind it.

    kind : record, bad, blank, header; of a log also line, which may be a record or bad.
    value : of a record: a dict, or the text of a line.
    """

    own: bytes
    kind: str
    value: Any = None


def pieces(stream: Stream, flags: dict[str, Any]) -> list[Piece]:
    """All of a stream, in order; of an array its elements."""
    limit = most(flags.get("max_line", "16M"))
    if stream.format == "json":
        return [_object(each, flags, limit) for each in stream.records]
    if stream.format in TABLES:
        return list(_table(split(stream.data), stream.format, limit))
    read = {"jsonl": _object, "journald": _object, "plain": _number, "text": _text}
    return [read.get(stream.format, _line)(line, flags, limit) for line in split(stream.data)]


def split(data: bytes) -> list[bytes]:
    """Lines without their newlines."""
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def most(text: str) -> int:
    """Bytes of a `--max-line`."""
    return int(text.rstrip("KM")) * UNITS[text.lstrip("0123456789")]


def appended(flags: dict[str, Any], csv_too: bool = False) -> set[str]:
    """Names that a run appends."""
    marks = {"changepoint": "changepoint" in flags, "incident": bool(flags.get("episode") or flags.get("group"))}
    marks["abstain"] = str(flags.get("threshold", "")).startswith("confidence")
    own = [name for name in APPENDED[:6] if marks.get(name, True)]
    own += [] if csv_too or not flags.get("bands") else APPENDED[6:]
    return {flags.get("prefix", "") + name for name in own}


# -- JSON -----------------------------------------------------------------------------------------


def _object(line: bytes, flags: dict[str, Any], limit: int) -> Piece:
    if line.strip(b" \t\r") in (b"", BOM):
        return Piece(line, "blank")
    found = None if len(line) > limit else read_object(line)
    if found is None or not appended(flags).isdisjoint(found):
        return Piece(line, "bad")
    return Piece(line, "record", found)


def read_object(line: bytes) -> dict[str, Any] | None:
    """What `json.loads` reads as one object; None where it does not, or where it is nested too deep."""
    try:
        found = json.loads(line.removeprefix(BOM).decode(), parse_int=whole)
    except ValueError:
        return None
    return found if isinstance(found, dict) and depth(line) <= DEEPEST else None


def whole(text: str) -> float | int:
    """An integer; of more digits than Python converts, as a float."""
    return int(text) if len(text) < 4000 else float(text)


def depth(line: bytes) -> int:
    """The deepest level of brackets outside of strings."""
    if line.count(b"[") + line.count(b"{") <= DEEPEST:
        return 0
    level = deepest = 0
    for mark in STRINGS.sub(b"", line):
        level += (mark in b"[{") - (mark in b"]}")
        deepest = max(deepest, level)
    return deepest


# -- tables ---------------------------------------------------------------------------------------


def _table(lines: list[bytes], name: str, limit: int) -> Iterator[Piece]:
    delimiter, header, at = DELIMITERS[name], None, 0
    while at < len(lines):
        if lines[at].strip(b"\r") in (b"", BOM):
            yield Piece(lines[at], "blank")
            at += 1
            continue
        size = extent(lines, at, delimiter, limit)
        own = b"\n".join(lines[at : at + size])
        at += size
        cells = read_cells(own, delimiter, strict=header is not None)
        if header is None and cells is not None:
            headed = not all(map(is_number, cells))
            header = unique(cells) if headed else [f"c{j + 1}" for j in range(len(cells))]
            if headed:
                yield Piece(own, "header", header)
                continue
        if cells is None or header is None or len(cells) != len(header) or len(own) > limit:
            yield Piece(own, "bad")
        else:
            yield Piece(own, "record", dict(zip(header, cells, strict=True)))


def extent(lines: list[bytes], at: int, delimiter: str, limit: int) -> int:
    """Lines of the record that begins here; one where its quotes never close, too late, or where it is none."""
    if b'"' not in lines[at]:
        return 1
    reader = csv.reader((line.decode("latin-1") + "\n" for line in lines[at:]), delimiter=delimiter, strict=True)
    try:
        next(reader)
    except csv.Error:
        return 1
    n = reader.line_num
    return 1 if n > 1 and len(b"\n".join(lines[at : at + n - 1])) > limit else n


def read_cells(own: bytes, delimiter: str, strict: bool = True) -> list[str] | None:
    """Cells of one record, None where it is none; not strict: whatever they are."""
    try:
        text = own.removesuffix(b"\r").removeprefix(BOM).decode("utf-8", "strict" if strict else "replace")
        lines = text.split("\n")
        reader = csv.reader([*(line + "\n" for line in lines[:-1]), lines[-1]], delimiter=delimiter, strict=strict)
        return next(reader, [])
    except csv.Error:
        return None if strict else text.split(delimiter)
    except UnicodeDecodeError:
        return None


def is_number(text: str) -> bool:
    return bool(NUMBER.fullmatch(text)) and abs(float(text)) < LARGEST


def unique(names: list[str]) -> list[str]:
    """A name that comes again gets a number."""
    found: list[str] = []
    for name in names:
        again, n = name, 2
        while again in found:
            again, n = f"{name}_{n}", n + 1
        found.append(again)
    return found


# -- the rest -------------------------------------------------------------------------------------


def _number(line: bytes, flags: dict[str, Any], limit: int) -> Piece:
    if line.strip(b" \t\r") in (b"", BOM):
        return Piece(line, "blank")
    text = line.removeprefix(BOM).removesuffix(b"\r").decode("utf-8", "replace")
    fits = len(line) <= limit and (NUMBER.fullmatch(text) or NOT_FINITE.fullmatch(text))
    return Piece(line, "record", {"value": text}) if fits else Piece(line, "bad")


def _line(line: bytes, flags: dict[str, Any], limit: int) -> Piece:
    """A line of a log, by its text; whether it can be read as one is not known here."""
    text = line_text(line)
    if not text.strip(" \t\r"):
        return Piece(line, "blank")
    return Piece(line, "line" if len(line) <= limit else "bad", text)


def line_text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace").removeprefix("\ufeff")


def _text(line: bytes, flags: dict[str, Any], limit: int) -> Piece:
    return Piece(line, "bad")


def finite(value: Any) -> bool:
    """Whether a JSON number can be written as one."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return True  # an integer beyond doubles


KNOWN = {*LOGS, *OBJECTS, *TABLES, "journald", "plain", "text"}
