"""A JSON array of objects, alone or within a document, read and written element by element."""

from __future__ import annotations

import json
import re

from clipdetect.formats.annotate import texts
from clipdetect.formats.json_text import dumps, exact
from clipdetect.formats.jsonl import Jsonl, append
from clipdetect.formats.objects import Rows, Unreadable
from clipdetect.formats.select import Selection, nearest
from clipdetect.records import BOM, SURE, UNLIKE, Annotation, Batch, FormatOptions, Head, Incomplete, concatenated
from clipdetect.wall import fault, is_fault

__all__ = ["Json"]

_TEXT = rb'[^"\\]*+(?:\\.[^"\\]*+)*(")?'  # of a string to its end, where that is there
TOKEN = re.compile(rb'"%b|[\[\]{},]' % _TEXT, re.DOTALL)
WITHIN = re.compile(_TEXT, re.DOTALL)
NAMED = re.compile(rb'"([^"\\]{1,64})"[ \t\r\n]*:[ \t\r\n]*\[')  # arrays of a document
COLON = re.compile(rb"[ \t\r\n]*(:)?")
BLANKS = b" \t\r\n"
LOOKED = 1 << 16  # bytes of a document in which other arrays are looked for
USUAL = "Records"  # where the array of a document stands, if not told otherwise
DOCUMENT = f'{{"{USUAL}":['.encode()  # how such a document begins


class Json(Jsonl):
    """One JSON array; its elements are the records, and the array stays one.

    It may stand in a document, as in `{"Records": [...]}`: `--records-at` names it. What is around it
    leaves as it came.
    """

    name = "json"
    rank = 10
    opens = b"[{"

    def __init__(self, options: FormatOptions, selection: Selection) -> None:
        super().__init__(options, selection)
        self._written = False  # whether the output has an element yet
        self._reached = self._dropped = False  # whether the input had one, and the last one was left out
        self._separator = b""  # what stands behind the last element

    @classmethod
    def looks(cls, head: Head) -> float:
        text = head.data
        if text[:1] == b"[":
            rest = text[1:].lstrip(BLANKS)
            if rest[:1] in (b"{", b"]") or (not rest and head.final):
                return SURE
            if not rest or b"\n" not in rest:
                if not head.final:
                    raise Incomplete
            return SURE if _is_element(rest.partition(b"\n")[0].rstrip(b"\r ,]")) else UNLIKE
        if text[:1] == b"{":
            compact = b"".join(text[:256].split())[: len(DOCUMENT)]
            if compact == DOCUMENT:
                return SURE
            if DOCUMENT.startswith(compact) and not head.final:
                raise Incomplete
        return UNLIKE

    def start(self, name: str) -> None:
        super().start(name)
        self._buffer = self._separator = b""
        self._inside = self._closed = self._lost = False
        self._around = 0  # objects around the array
        self._last = b"\n"  # byte of the input
        self._scanned = (
            0,
            0,
            False,
        )  # of an element not complete yet: depth, how far it was looked through, in a string
        self._written = self._reached = self._dropped = False

    def decode(self, data: bytes, final: bool) -> Batch:
        buffer = self._buffer + data
        self._last = data[-1:] or self._last
        if self._inside and not final and not any(mark in data for mark in (b",", b"]", b"}")):
            if len(buffer) <= self.options.max_line:  # nothing can have ended here
                self._buffer = buffer
                return self.nothing()
        pieces: list[bytes] = []
        elements: list[int] = []
        trouble = ""
        at = 0
        while at < len(buffer) and not self._lost:
            size, is_element = (0, False) if trouble else self._next(buffer, at)
            if is_element and size > self.options.max_line:
                trouble = "too long"
            elif is_element and (self._closed or self._around < 0):
                trouble = "invalid JSON" if self._closed else "no records"
            elif not size:
                break
            else:
                if is_element:
                    elements.append(len(pieces))
                pieces.append(buffer[at : at + size])
                at += size
                continue
            break
        self._buffer = buffer[at:]
        if not trouble and not self._lost:
            if len(self._buffer) > self.options.max_line:
                trouble = "too long"
            elif final and self._buffer.strip(BLANKS):
                trouble = "truncated JSON"
        if trouble:  # from here on the input passes through unread: where the next element begins is not known
            self._lost = True
            elements.append(len(pieces))
            pieces.append(self._buffer)
        elif self._buffer and (self._lost or final):
            pieces.append(self._buffer if self.options.pass_bad or not self._lost else b"")
        if trouble or self._lost or final:
            self._buffer = b""
        if final and self._inside and not self._closed and (not self.options.pass_bad or self.options.only_anomalies):
            pieces.append(b"]" + b"}" * self._around + b"\n")  # what is left out must not leave the array open
            self._closed, self._last = True, b"\n"
        elif final and self._inside and not self._closed:
            pieces.append(b"")  # the end of an array that is torn
        if final and self._last != b"\n":
            pieces.append(b"\n")
        batch = self._rows_walled(pieces, elements, trouble)
        batch.continued = self._lost and not trouble and bool(pieces)
        batch.unended = self._lost and not final
        return batch

    def _next(self, buffer: bytes, at: int) -> tuple[int, bool]:
        """Length of the next piece of the array and whether it is an element; 0 where more bytes are needed."""
        lead = at
        while lead < len(buffer) and buffer[lead] in BLANKS + b",":
            lead += 1
        if lead > at:
            return lead - at, False
        if self._closed:
            return len(buffer) - at, self._around == 0
        if not self._inside:
            if buffer.startswith(BOM, at):
                return 3, False
            if buffer[at] == ord("[") and not self.options.records_at:
                self._inside = True
                return 1, False
            if buffer[at] == ord("{"):
                path = self.options.records_at or USUAL
                end = opening(buffer, at, path)
                if end > 0:
                    self._inside, self._around = True, path.count(".") + 1
                    return end - at, False
                if end == 0:
                    return 0, False
            if self.options.records_at and not BOM.startswith(buffer[at : at + 3]):
                self._around = -1
                return len(buffer) - at, True
            return (0, False) if BOM.startswith(buffer[at:]) else (len(buffer) - at, True)
        if buffer[at] == ord("]"):
            self._closed = True
            return 1, False
        (depth, place, text), self._scanned = self._scanned, (0, 0, False)
        start = at + place
        if text:
            found = WITHIN.match(buffer, start)
            assert found is not None
            start = found.end()
            if not found.group(1):
                self._scanned = (depth, start - at, True)
                return 0, False
        for token in TOKEN.finditer(buffer, start):
            mark = token.group()
            if mark[:1] == b'"':
                if not token.group(1):
                    self._scanned = (depth, token.end() - at, True)
                    return 0, False
            elif mark in (b"{", b"["):
                depth += 1
            elif depth == 0:  # a comma or the closing bracket ends an element
                return len(buffer[at : token.start()].rstrip(BLANKS)) or 1, True
            elif mark != b",":
                depth -= 1
                if depth == 0 and buffer[at] in b"{[":
                    return token.end() - at, True
            start = token.end()
        self._scanned = (depth, start - at, False)
        return 0, False

    def _rows_walled(self, pieces: list[bytes], elements: list[int], trouble: str) -> Batch:
        """`_rows`; where that raises, element by element, so that only that is lost which raises by itself."""
        before = self.mark()
        try:
            return self._rows(pieces, elements, trouble)
        except Exception as error:
            if not (elements and is_fault(error)):
                raise
        self.back(before)
        parts, start = [], 0
        for place in elements:
            own, last = pieces[start : place + 1], place == elements[-1]
            if last:
                own = pieces[start:]
            before = self.mark()
            try:
                parts.append(self._rows(own, [place - start], trouble if last else ""))
            except Exception as error:
                if not is_fault(error):
                    raise
                self.back(before)
                part = self._rows(own, [], "")
                part.problems = [fault(error, place - start, self.line_of(part, place - start))]
                parts.append(part)
            start = place + 1
        return concatenated(parts)

    def line_of(self, batch: Batch, piece: int) -> int:
        return self.line - sum(each.count(b"\n") for each in batch.pieces[piece:])

    def _rows(self, pieces: list[bytes], elements: list[int], trouble: str) -> Batch:
        """Read the elements; the last one is the trouble, if there is any."""
        messages = {
            "too long": f"an element longer than --max-line ({self.options.max_line:,} bytes); the rest passes unread",
            "invalid JSON": "something after the end of the array",
            "truncated JSON": "the array ends within an element" if self._inside else "it ends before its array",
            "no records": f"no array at {self.options.records_at!r} (--records-at), so all of it passes unread",
        }
        rows, done = Rows(self.options, self.selection), 0
        for place in elements:
            self.line += sum(piece.count(b"\n") for piece in pieces[done:place])
            done = place
            try:
                if trouble and place == elements[-1]:
                    more = self._instead(pieces[place]) if trouble == "no records" else ""
                    raise Unreadable(trouble, messages[trouble] + more)
                record = self.record(pieces[place])
                self.taken.check(record, self.first, f"{self.source}:{self.line}")
            except Unreadable as error:
                rows.bad(error, place, self.line)
            else:
                rows.add(record, place, self.line)
                if self.options.objects:
                    rows.objects[-1] = exact(pieces[place], record)
                self.first = False
        self.line += sum(piece.count(b"\n") for piece in pieces[done:])
        return rows.batch(pieces)

    def _instead(self, document: bytes) -> str:
        """Which arrays there are instead of the one that is not there."""
        arrays = list(dict.fromkeys(name.decode("utf-8", "replace") for name in NAMED.findall(document[:LOOKED])))
        near = nearest(self.options.records_at, arrays)
        return f"; did you mean {near!r}?" if near else f" (there are: {', '.join(arrays[:12])})" if arrays else ""

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
                elif piece[:1] == b"]" or not piece:
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
            if self._lost and place == max(bad, default=-1):
                self._reached = False  # all that follows is not part of the array
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
                out.append(
                    (b",\n" if self._written else b"\n")
                    + append(dumps(record), self.annotator.members(annotation, i, scores[i]))
                )
                self._written = True
        return b"".join(out)

    def finish(self) -> bytes:
        return b"\n]\n"


def _is_element(line: bytes) -> bool:
    """Whether what follows an opening bracket is an array's element, not a log line like `[12:03] started`."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def opening(buffer: bytes, at: int, path: str) -> int:
    """Where the array at a dotted path of the document at `at` begins: the offset behind its bracket.

    0 where more bytes are needed, -1 where there is none.
    """
    keys: list[str] = []  # of the open objects; NUL for a list
    for token in TOKEN.finditer(buffer, at):
        mark = token.group()
        if mark[:1] == b'"':
            if token.end() == len(buffer):
                return 0
            colon = COLON.match(buffer, token.end())
            if colon and colon.group(1) and keys:
                keys[-1] = mark[1:-1].decode("utf-8", "replace")
            elif colon and colon.end() == len(buffer):
                return 0
        elif mark == b"[" and ".".join(keys) == path:
            return token.end()
        elif mark in (b"[", b"{"):
            keys.append("\0" if mark == b"[" else "")
        elif mark != b",":
            if not keys or not keys[:-1]:
                return -1
            keys.pop()
    return 0
