"""What must come out of a stream that stays in its own format: its own bytes, and an annotation that is valid."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.fuzz.flags import LOGS, TABLES
from tests.fuzz.material import APPENDED
from tests.fuzz.reading import BOM, Piece, appended, finite, line_text, pieces
from tests.fuzz.streams import Stream
from tests.fuzz.table_streams import DELIMITERS

STRICT = json.JSONDecoder(
    object_pairs_hook=list,
    parse_constant=lambda text: 1 / 0,
    parse_int=lambda text: int(text) if len(text) < 4000 else float(text),  # Python converts no more digits
)
LOOSE = json.JSONDecoder(object_pairs_hook=list, parse_int=str, parse_float=str)


class Wrong(Exception):
    """What is wrong with an output: a short name of the fault, what came, what should have come; place: in the code."""

    def __init__(self, kind: str, got: object = b"", wanted: object = b"", place: str = "") -> None:
        super().__init__(kind)
        self.kind, self.got, self.wanted, self.place = kind, got, wanted, place


class Chunk(NamedTuple):
    """The output of one piece of the input. verdict : what was appended, by name without prefix."""

    out: bytes
    piece: Piece
    verdict: dict[str, Any]

    @property
    def flagged(self) -> bool:
        return bool(self.verdict.get("anomaly"))


def chunks(stream: Stream, flags: dict[str, Any], out: bytes) -> list[Chunk]:
    """The output, piece by piece, of a run that passes on what it cannot read. Raises Wrong."""
    parts = pieces(stream, flags)
    if stream.format == "json":
        return list(_array(stream, parts, flags, out))
    if stream.format in LOGS and flags.get("output_format") != "text":
        return list(_log(parts, flags, out))
    if stream.format in TABLES:
        return list(_table(parts, flags, out, DELIMITERS[stream.format].encode()))
    if stream.format == "plain":
        return list(_plain(parts, flags, out))
    if stream.format in ("jsonl", "journald"):
        return list(_lines(parts, flags, out))
    return list(_bare(parts, out))


def _rows(parts: list[Piece], out: bytes) -> Iterator[tuple[Piece, bytes]]:
    """Piece by piece with its line, where each gives one. Raises Wrong for lines lost or added."""
    if out and not out.endswith(b"\n"):
        raise Wrong("no newline at the end", out[-80:])
    lines = out.split(b"\n")[:-1]
    if len(lines) != len(parts):
        raise Wrong("lines were lost or added", len(lines), len(parts))
    yield from zip(parts, lines, strict=True)


def _lines(parts: list[Piece], flags: dict[str, Any], out: bytes) -> Iterator[Chunk]:
    for piece, line in _rows(parts, out):
        verdict = {}
        if piece.kind == "record":
            verdict = judged(parsed(_members(piece.own, line), line), flags, line)
        elif line != piece.own:
            raise Wrong(f"a {piece.kind} line changed", line, piece.own)
        yield Chunk(line + b"\n", piece, verdict)


def _members(own: bytes, line: bytes) -> bytes:
    """What was put in before an object's closing brace. Raises Wrong where its own bytes changed."""
    end = own.rindex(b"}")
    head, tail = own[:end], own[end:]
    if line == own:
        raise Wrong("a readable record has no score", line)
    if not (line.startswith(head) and line.endswith(tail)):
        raise Wrong("own bytes changed", line, own)
    found = line[end : len(line) - len(tail)]
    empty = head.removeprefix(BOM).strip(b" \t\r\n") == b"{"
    if found.startswith(b",") == empty:
        raise Wrong("comma before the annotation", line, own)
    return found.removeprefix(b",")


def parsed(members: bytes, line: bytes) -> list[tuple[str, Any]]:
    """Names and values of members, in order. Raises Wrong."""
    try:
        pairs: list[tuple[str, Any]] = STRICT.decode("{" + members.decode() + "}")
    except (ValueError, ZeroDivisionError) as error:
        raise Wrong("no valid JSON", line, str(error)) from None
    return pairs


def judged(pairs: list[tuple[str, Any]], flags: dict[str, Any], line: bytes) -> dict[str, Any]:
    """The members of an annotation by name, without the prefix. Raises Wrong where they are not of the right form."""
    prefix = flags.get("prefix", "")
    names = [name.removeprefix(prefix) if name.startswith(prefix) else "" for name, _ in pairs]
    places = [APPENDED.index(name) if name in APPENDED else -1 for name in names]
    if -1 in places or places != sorted(set(places)) or not {prefix + name for name in names} <= appended(flags):
        raise Wrong("names of the annotation, or their order", line, names)
    verdict = {name: value for name, (_, value) in zip(names, pairs, strict=True)}
    _sound(verdict, flags, line)
    return verdict


def _sound(verdict: dict[str, Any], flags: dict[str, Any], line: bytes) -> None:
    """Raises Wrong where members of an annotation do not go together."""
    if not {"score", "anomaly"} <= verdict.keys():
        raise Wrong("no score, or no flag", line)
    score, anomaly = verdict["score"], verdict["anomaly"]
    if score is not None and not (type(score) in (int, float) and finite(score) and score >= 0.0):
        raise Wrong("score", line, score)
    if score is not None and float(f"{score:.6g}") != score:
        raise Wrong("digits of the score", line, score)
    if type(anomaly) is not bool:
        raise Wrong("anomaly is neither true nor false", line, anomaly)
    alarms = "flatline" in flags or any("gap" in each for each in flags.get("derive", ()))
    if anomaly and score is None and not alarms:
        raise Wrong("flagged without a score", line)
    if anomaly and not alarms and "threshold" not in flags and score < -math.log10(flags.get("rate", 0.001)) - 1e-5:
        raise Wrong("flagged below the limit", line, score)
    if ("why" in verdict) != (anomaly or bool(verdict.get("changepoint"))):
        raise Wrong("why without a flag, or a flag without why", line)
    for reason in verdict.get("why", ()):
        _reason(dict(reason), line)
    bands = [verdict.get(name) for name in APPENDED[6:]]
    if any(each is None for each in bands) == bool(flags.get("bands")):
        raise Wrong("bands", line)
    if flags.get("bands"):
        names = [[name for name, _ in each] for each in bands]
        values = [value for each in bands for _, value in each]
        if names[0] != names[1] or names[1] != names[2] or len(set(names[0])) != len(names[0]):
            raise Wrong("fields of the bands", line, names)
        if not all(each is None or (type(each) in (int, float) and finite(each)) for each in values):
            raise Wrong("values of the bands", line)


def _reason(reason: dict[str, Any], line: bytes) -> None:
    if (
        not {"field", "value", "expected", "deviation"}
        <= reason.keys()
        <= {"field", "value", "expected", "deviation", "text", "share"}
    ):
        raise Wrong("names of a reason", line, list(reason))
    if not isinstance(reason["field"], str) or not isinstance(reason.get("text", ""), str):
        raise Wrong("texts of a reason", line, reason)
    if not all(reason[name] is None or finite(reason[name]) for name in ("value", "expected", "deviation")):
        raise Wrong("numbers of a reason", line, reason)


# -- arrays -----------------------------------------------------------------------------------


def _array(stream: Stream, parts: list[Piece], flags: dict[str, Any], out: bytes) -> Iterator[Chunk]:
    """The document around it as it was; each element with its members."""
    text, at = out.decode("utf-8", "surrogateescape"), 0

    def pass_over(own: bytes) -> None:
        nonlocal at
        wanted = own.decode("utf-8", "surrogateescape")
        if not text.startswith(wanted, at):
            raise Wrong("what stands around the records changed", text[at : at + 80], own)
        at += len(wanted)

    pass_over(stream.head)
    for i, piece in enumerate(parts):
        pass_over(stream.between if i else b"")
        verdict, start = {}, at
        if piece.kind == "record":
            try:
                _, at = LOOSE.raw_decode(text, at)
            except ValueError as error:
                raise Wrong("an element is no valid JSON", text[at : at + 400], str(error)) from None
            own = text[start:at].encode("utf-8", "surrogateescape")
            verdict = judged(parsed(_members(piece.own, own), own), flags, own)
        else:
            pass_over(piece.own)
        yield Chunk(text[start:at].encode("utf-8", "surrogateescape"), piece, verdict)
    pass_over(stream.tail if stream.tail.endswith(b"\n") else stream.tail + b"\n")
    if at != len(text):
        raise Wrong("something behind the document", text[at : at + 80])


# -- tables and numbers -----------------------------------------------------------------------


def _table(parts: list[Piece], flags: dict[str, Any], out: bytes, delimiter: bytes) -> Iterator[Chunk]:
    """Own cells first, then those of the annotation; the header names them."""
    cell = re.compile(re.escape(delimiter) + rb'(?:"((?:[^"]|"")*)"|([^"\r\n' + delimiter + rb"]*))")
    names = ["score", "anomaly", "why", *_marks(flags)]
    width, at = 0, 0
    for piece in parts:
        own, start, verdict = piece.own, at, {}
        taken = own.removesuffix(b"\r") if piece.kind in ("record", "header") else own
        if not out.startswith(taken, at):
            raise Wrong("own bytes changed", out[at : at + len(own) + 80], own)
        at += len(taken)
        if piece.kind in ("record", "header"):
            cells = []
            while (found := cell.match(out, at)) is not None:
                cells.append((found[2] if found[1] is None else found[1].replace(b'""', b'"')).decode())
                at = found.end()
            if piece.kind == "header":
                _head(cells, names, flags)
            elif len(cells) < len(names) or (width and len(cells) != width):
                raise Wrong("number of cells", out[start : at + 80], width)
            width = len(cells)
            if piece.kind == "record":
                verdict = _cells(dict(zip(names, cells, strict=False)), out[start:at])
            end = b"\r\n" if own.endswith(b"\r") else b"\n"
        else:
            end = b"\n"
        if not out.startswith(end, at):
            raise Wrong("end of the row", out[start : at + 80], own)
        at += len(end)
        yield Chunk(out[start:at], piece, verdict)
    if at != len(out):
        raise Wrong("lines were added", out[at : at + 200])


def _marks(flags: dict[str, Any]) -> list[str]:
    prefix = flags.get("prefix", "")
    return [name for name in APPENDED[3:6] if prefix + name in appended(flags)]


def _head(cells: list[str], names: list[str], flags: dict[str, Any]) -> None:
    prefix = flags.get("prefix", "")
    if cells[: len(names)] != [prefix + name for name in names]:
        raise Wrong("names in the header", cells, names)
    bands = cells[len(names) :]
    ends = [each.rpartition("_")[2] for each in bands]
    if ends != ["expected", "lower", "upper"] * (len(bands) // 3) or (bands and not flags.get("bands")):
        raise Wrong("names of the bands in the header", cells)


def _cells(verdict: dict[str, Any], row: bytes) -> dict[str, Any]:
    """Verdict of a row as that of an object. Raises Wrong."""
    if verdict["anomaly"] not in ("true", "false"):
        raise Wrong("anomaly is neither true nor false", row, verdict)
    try:
        score = float(verdict["score"]) if verdict["score"] else None
    except ValueError:
        raise Wrong("score", row, verdict) from None
    if score is not None and not (math.isfinite(score) and score >= 0.0):
        raise Wrong("score", row, verdict)
    return {"score": score, "anomaly": verdict["anomaly"] == "true", "why": verdict.get("why", "")}


def _plain(parts: list[Piece], flags: dict[str, Any], out: bytes) -> Iterator[Chunk]:
    width = 2 + len(_marks(flags)) + (3 if flags.get("bands") else 0)
    for piece, line in _rows(parts, out):
        verdict = {}
        if piece.kind == "record":
            own = piece.own.removesuffix(b"\r")
            cells = line.removeprefix(own).removesuffix(b"\r").split(b"\t")
            if not line.startswith(own + b"\t") or line.endswith(b"\r") != piece.own.endswith(b"\r"):
                raise Wrong("own bytes changed", line, piece.own)
            if len(cells) != 1 + width:
                raise Wrong("number of cells", line, width)
            verdict = _cells({"score": cells[1].decode(), "anomaly": cells[2].decode()}, line)
        elif line != piece.own:
            raise Wrong(f"a {piece.kind} line changed", line, piece.own)
        yield Chunk(line + b"\n", piece, verdict)


# -- logs -------------------------------------------------------------------------------------


def _log(parts: list[Piece], flags: dict[str, Any], out: bytes) -> Iterator[Chunk]:
    """One object a line that is not blank: the line's text, what was read from it, the annotation."""
    for piece, line in _rows([each for each in parts if each.kind != "blank"], out):
        pairs = parsed(line[1:-1], line)
        if pairs[0] != ("line", line_text(piece.own)):
            raise Wrong("text of the line", line, piece.own)
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names):
            raise Wrong("a name comes twice", line, names)
        score = flags.get("prefix", "") + "score"
        own = names.index(score) if score in names else len(names)
        unread = names[:own] == ["line"] and pairs[own:] == [(names[own], None), (names[own + 1], False)]
        some = {name: value for name, value in flags.items() if name != "bands"} if unread else flags
        own_kind = piece._replace(kind="bad") if unread else piece
        yield Chunk(line + b"\n", own_kind, judged(pairs[own:], some, line))


def _bare(parts: list[Piece], out: bytes) -> Iterator[Chunk]:
    for piece, line in _rows(parts, out):
        if line != piece.own:
            raise Wrong("a line changed", line, piece.own)
        yield Chunk(line + b"\n", piece, {})
