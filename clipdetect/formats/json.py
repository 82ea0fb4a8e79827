"""A JSON array of objects, read and written element by element."""

from __future__ import annotations

import re

import orjson

from clipdetect.formats.annotate import texts
from clipdetect.formats.jsonl import Jsonl, append
from clipdetect.formats.objects import BOM, Rows, Unreadable, parse
from clipdetect.formats.select import Selection
from clipdetect.records import Annotation, Batch, FormatOptions

__all__ = ["Json"]

TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{},]', re.DOTALL)
BLANKS = b" \t\r\n"


class Json(Jsonl):
    """One JSON array; its elements are the records, and the array stays one."""

    name = "json"

    def __init__(self, options: FormatOptions, selection: Selection) -> None:
        super().__init__(options, selection)
        self._written = False  # whether the output has an element yet
        self._reached = self._dropped = False  # whether the input had one, and the last one was left out
        self._separator = b""  # what stands behind the last element

    def start(self, name: str) -> None:
        super().start(name)
        self._buffer = b""
        self._inside = self._closed = False
        self._written = self._reached = self._dropped = False

    def decode(self, data: bytes, final: bool) -> Batch:
        buffer = self._buffer + data
        pieces: list[bytes] = []
        elements: list[int] = []
        at = 0
        while True:
            piece, is_element = self._next(buffer, at)
            if piece is None:
                break
            if is_element:
                elements.append(len(pieces))
            pieces.append(piece)
            at += len(piece)
        self._buffer = buffer[at:]
        tail = 0
        if len(self._buffer) > self.options.max_line or (final and self._buffer.strip(BLANKS)):
            tail = 1  # an element without end
            pieces.append(self._buffer)
            self._buffer = b""
        elif final and self._buffer:
            pieces.append(self._buffer)
            self._buffer = b""
        return self._rows(pieces, elements, tail)

    def _next(self, buffer: bytes, at: int) -> tuple[bytes | None, bool]:
        """The next piece of the array and whether it is an element; None where more bytes are needed."""
        if at >= len(buffer):
            return None, False
        if self._closed:
            end = len(buffer) if not buffer[at:].strip(BLANKS) else len(buffer)
            return buffer[at:end], bool(buffer[at:end].strip(BLANKS))
        lead = at
        while lead < len(buffer) and buffer[lead] in b" \t\r\n,[" and not (buffer[lead] in b"[" and self._inside):
            self._inside = self._inside or buffer[lead] in b"["
            lead += 1
        if buffer.startswith(BOM, lead) and not self._inside:
            return buffer[at : lead + 3], False
        if lead > at:
            return buffer[at:lead], False
        if not self._inside and not BOM.startswith(buffer[at : at + 3]):
            return buffer[at:], True  # no array at all
        if buffer[at] in b"]":
            self._closed = True
            return buffer[at : at + 1], False
        depth = 0
        for token in TOKEN.finditer(buffer, at):
            mark = token.group()
            if mark[:1] == b'"':
                if token.end() == len(buffer) and (len(mark) == 1 or mark[-1:] != b'"' or _escaped(mark)):
                    return None, False
            elif mark in (b"{", b"["):
                depth += 1
            elif depth == 0:  # a comma or the closing bracket ends an element
                end = len(buffer[at : token.start()].rstrip(BLANKS))
                return buffer[at : at + end], True
            elif mark != b",":
                depth -= 1
                if depth == 0 and buffer[at] in b"{[":
                    return buffer[at : token.end()], True
        return None, False

    def _rows(self, pieces: list[bytes], elements: list[int], tail: int) -> Batch:
        rows, done = Rows(self.options, self.selection), 0
        for place in [*elements, *([len(pieces) - 1] if tail else [])]:
            self.line += sum(piece.count(b"\n") for piece in pieces[done:place])
            done = place
            try:
                if tail and place == len(pieces) - 1:
                    long = len(pieces[place]) > self.options.max_line
                    raise Unreadable(*(("too long", "longer than --max-line") if long else ("truncated JSON", "the array ends within an element")))
                if self._closed and place > 0 and pieces[place - 1].endswith(b"]"):
                    raise Unreadable("invalid JSON", "something after the end of the array")
                record = parse(pieces[place])
                self.taken.check(record, self.first, f"{self.source}:{self.line}")
            except Unreadable as error:
                rows.bad(error, place, self.line)
            else:
                rows.add(record, place, self.line)
                self.first = False
        self.line += sum(piece.count(b"\n") for piece in pieces[done:])
        return rows.batch(pieces)

    def splice(self, batch: Batch, annotation: Annotation) -> bytes:
        scores = texts(annotation.score)
        row_of = {place: i for i, place in enumerate(batch.rows.tolist())}
        bad = {each.piece for each in batch.problems}
        out = []
        for place, piece in enumerate(batch.pieces):
            i = row_of.get(place)
            if i is None and place not in bad:
                if not self._reached:
                    out.append(piece)
                elif piece == b"]":
                    out += [self._separator.replace(b",", b"") if self._dropped else self._separator, piece]
                    self._reached, self._separator = False, b""
                else:
                    self._separator += piece
                continue
            self._reached = True
            separator, self._separator = self._separator, b""
            if i is not None:
                kept = annotation.keep is None or bool(annotation.keep[i])
                piece = append(piece, self.annotator.members(annotation, i, scores[i]))
            else:
                kept = annotation.keep is None and self.options.pass_bad
            self._dropped = not kept
            if kept:
                out += [separator if self._written else separator.replace(b",", b""), piece]
                self._written = True
        return b"".join(out)

    def begin(self) -> bytes:
        return b"["

    def render(self, batch: Batch, annotation: Annotation) -> bytes:
        assert batch.objects is not None
        scores = texts(annotation.score)
        out = []
        for i, record in enumerate(batch.objects):
            if annotation.keep is None or annotation.keep[i]:
                out.append((b",\n" if self._written else b"\n") + append(orjson.dumps(record), self.annotator.members(annotation, i, scores[i])))
                self._written = True
        return b"".join(out)

    def finish(self) -> bytes:
        return b"\n]\n"


def _escaped(mark: bytes) -> bool:
    """Whether the last quote of a string is an escaped one."""
    body = mark[1:-1]
    return (len(body) - len(body.rstrip(b"\\"))) % 2 == 1
