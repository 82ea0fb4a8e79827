"""What must come out of a stream that is written in another format: every readable record, its values as they were."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from tests.fuzz.checks import STRICT, Wrong, judged
from tests.fuzz.flags import LOGS, TABLES
from tests.fuzz.reading import Piece, appended, finite, is_number
from tests.fuzz.streams import Stream
from tests.fuzz.table_streams import DELIMITERS

MISSING = {"csv": "", "tsv": "", "ssv": "-"}  # the cell that stands for no value
LIKE_AN_ID = re.compile(r"[+-]?0[0-9]")  # leading zeros mean something


class Written(str):
    """A number by the text in which it was written."""


EXACT = json.JSONDecoder(
    object_pairs_hook=list, parse_int=Written, parse_float=Written, parse_constant=lambda text: 1 / 0
)


def check(stream: Stream, flags: dict[str, Any], parts: Sequence[Piece], out: bytes) -> list[bool]:
    """Which records are flagged, of a run that drops what it cannot read. Raises Wrong."""
    records = [piece for piece in parts if piece.kind in ("record", "line")]
    target = flags["output_format"]
    if target in ("csv", "tsv"):
        return _table(stream, flags, records, out, DELIMITERS[target])
    if target == "jsonl":
        texts = out.decode().split("\n")
        if texts.pop():
            raise Wrong("no newline at the end", out[-80:])
    else:
        texts = [_again(each) for each in _decoded(out.decode(), out)]
    if stream.format not in LOGS and len(texts) != len(records):
        raise Wrong("records were lost or added", len(texts), len(records))
    found = []
    for i, text in enumerate(texts):
        pairs = _decoded(text, out)
        own = [pair for pair in pairs if pair[0] not in appended(flags)]
        if stream.format not in LOGS:
            _same_members(records[i], dict(own), stream.format)
        members = STRICT.decode(text)[len(own) :]
        found.append(bool(judged(members, flags, text.encode("utf-8", "surrogatepass"))["anomaly"]))
    return found


def _decoded(text: str, out: bytes) -> list[Any]:
    try:
        found: list[Any] = EXACT.decode(text)
    except (ValueError, ZeroDivisionError) as error:
        raise Wrong("no valid JSON", text[:400], str(error)) from None
    return found


def _again(pairs: Any) -> str:
    """JSON text of decoded pairs, numbers as they were written."""
    if isinstance(pairs, Written):
        return str(pairs)
    if isinstance(pairs, list) and pairs and isinstance(pairs[0], tuple):
        return "{" + ",".join(f"{json.dumps(name)}:{_again(value)}" for name, value in pairs) + "}"
    if isinstance(pairs, list):
        return "[" + ",".join(map(_again, pairs)) + "]"
    return json.dumps(pairs)


def _same_members(piece: Piece, found: dict[str, Any], source: str) -> None:
    if list(piece.value) != list(found):
        raise Wrong("names of the fields", list(found), list(piece.value))
    for name, value in piece.value.items():
        if source == "plain":
            same = found[name] is None if not is_number(value) else same_cell(value, found[name], "")
        elif source in TABLES:
            same = same_cell(value, found[name], MISSING[source])
        else:
            same = same_value(value, found[name])
        if not same:
            raise Wrong("a value changed", {name: found[name]}, {name: value})


def same_value(own: Any, found: Any) -> bool:
    """Whether a value written as JSON, with numbers by their texts, is the one read: null for what no number can be."""
    if isinstance(own, dict):
        return isinstance(found, list) and [same_pair(a, b) for a, b in zip(own.items(), found, strict=False)] == [
            True
        ] * max(len(own), len(found))
    if isinstance(own, list):
        return isinstance(found, list) and len(own) == len(found) and all(map(same_value, own, found))
    if type(own) is int:
        return isinstance(found, Written) and number(found) == own
    if type(own) is float:
        return (found is None and not finite(own)) or (isinstance(found, Written) and float(found) == own)
    return type(own) is type(found) and bool(own == found)


def _is(text: str, value: float) -> bool:
    """Whether a text is this number, such as 1e999 infinity."""
    try:
        return float(text) == value
    except ValueError:
        return False


def same_pair(own: tuple[str, Any], found: Any) -> bool:
    return isinstance(found, tuple) and own[0] == found[0] and same_value(own[1], found[1])


def same_cell(own: str, found: Any, missing: str) -> bool:
    """Whether a cell written as JSON is what stood there: a number in its digits or equal to them, else the text."""
    if found is None:
        return own in ("", missing)
    if isinstance(found, Written):
        text = own.strip(" \t")
        return text == found or (is_number(own) and number(text) == number(found) and not LIKE_AN_ID.match(text))
    return type(found) is str and own == found


def number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


# -- tables ---------------------------------------------------------------------------------------


def _table(stream: Stream, flags: dict[str, Any], records: Sequence[Piece], out: bytes, delimiter: str) -> list[bool]:
    try:
        rows = list(csv.reader(io.StringIO(out.decode(), newline=""), delimiter=delimiter, strict=True))
    except (ValueError, csv.Error) as error:
        raise Wrong("no valid table", out[:400], str(error)) from None
    if not rows:
        if records and stream.format not in LOGS:
            raise Wrong("records were lost or added", 0, len(records))
        return []
    header, *body = rows
    anomaly = flags.get("prefix", "") + "anomaly"
    if anomaly not in header:
        raise Wrong("no flag in the header", header)
    if stream.format not in LOGS and len(body) != len(records):
        raise Wrong("records were lost or added", len(body), len(records))
    added = header.index(anomaly) - 1  # here what is appended begins
    known = [name for name in header[:added] if header.count(name) == 1]
    for i, row in enumerate(body):
        if len(row) != len(header):
            raise Wrong("number of cells", row, header)
        cells = dict(zip(header, row, strict=True))
        if cells[anomaly] not in ("true", "false"):
            raise Wrong("anomaly is neither true nor false", row)
        if stream.format not in LOGS:
            own = dict(records[i].value) if stream.format in (*TABLES, "plain") else flat(records[i].value)
            for name in known:
                shown = next((value for key, value in own.items() if encoded(key) == name), None)
                if name in own and not same_text(shown, cells[name], stream.format):
                    raise Wrong("a value changed", {name: cells[name]}, {name: shown})
    return [row[header.index(anomaly)] == "true" for row in body]


def flat(record: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Leaves by dotted names."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        found.update(flat(value, f"{before}{name}.") if isinstance(value, dict) and value else {before + name: value})
    return found


def encoded(text: str) -> str:
    """As UTF-8 can have it."""
    return text.encode("utf-8", "replace").decode()


def same_text(own: Any, cell: str, source: str) -> bool:
    """Whether a cell holds the value: a text as it is, a number in its digits, null as nothing."""
    if source == "plain" and not is_number(own):
        return cell == ""
    if source in (*TABLES, "plain"):
        return cell == own or same_cell(
            own, Written(cell) if is_number(cell) else cell or None, MISSING.get(source, "")
        )
    if own is None or (type(own) is float and not finite(own)):
        return cell in ("", "null") or (own is not None and _is(cell, own))
    if isinstance(own, str):
        return cell == encoded(own)
    try:
        found = EXACT.decode(cell)
    except (ValueError, ZeroDivisionError):
        return False
    return same_value(own, found)
