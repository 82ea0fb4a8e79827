"""JSON Lines: one object a line."""

from __future__ import annotations

from itertools import repeat
from typing import Any, ClassVar

import numpy as np

from clipdetect.formats.annotate import JsonAnnotator, texts
from clipdetect.formats.beside import text_of
from clipdetect.formats.extract import Extract
from clipdetect.formats.fast import Fast
from clipdetect.formats.json_text import dumps, exact
from clipdetect.formats.lines import Lines
from clipdetect.formats.objects import Rows, Taken, Unreadable, parse
from clipdetect.formats.select import Selection
from clipdetect.formats.values import look_up
from clipdetect.records import BOM, SURE, UNLIKE, Annotation, Batch, FormatOptions, Head
from clipdetect.wall import fault, is_fault

__all__ = ["Jsonl"]


MAYBE_EMPTY = np.frombuffer(b"{ \t\r", np.uint8)  # what may stand before the closing brace of an object without members


class Jsonl(Lines):
    """JSON Lines. The annotation goes in front of each object's closing brace."""

    name = "jsonl"
    rank = 30
    opens = b"{"
    message: ClassVar[str] = "message"  # the field in which `--extract` looks

    def __init__(self, options: FormatOptions, selection: Selection) -> None:
        super().__init__(options, selection)
        self.taken = Taken(options)
        self.fast = Fast(options, selection, sorted(self.taken.names))
        self.annotator = JsonAnnotator(options)
        self.extract = Extract(options.extract)
        self.first = selection.records == 0

    @classmethod
    def looks(cls, head: Head) -> float:
        return SURE if head.line else UNLIKE

    def block(self, lines: list[bytes], text: bytes, first_line: int) -> Batch:
        faults = []
        if self.fast.wanted() and not self.longer(lines, text):
            before = self.selection.mark()
            try:
                batch = self.fast.decode(lines, text, first_line, self._line)
            except Exception as error:
                if not is_fault(error):
                    raise
                self.selection.back(before)
                self.fast.usable, batch = False, None
                faults = [fault(error, 0, first_line, False)]
            if batch is not None:
                return batch
            self.fast.refused()
        rows = Rows(self.options, self.selection)
        for place, line in enumerate(lines):
            self._line(rows, line, place, first_line + place)
        batch = rows.batch(lines)
        batch.faults = faults
        return batch

    def _line(self, rows: Rows, line: bytes, place: int, number: int) -> None:
        """Read one line with care."""
        if blank(line):
            return
        try:
            if len(line) > self.options.max_line:
                raise Unreadable("too long", f"longer than --max-line ({self.options.max_line:,} bytes)")
            record = self.record(line)
            self.taken.check(record, self.first, f"{self.source}:{number}")
        except Unreadable as error:
            rows.bad(error, place, number)
        else:
            rows.add(record, place, number)
            if self.options.objects:
                rows.objects[-1] = exact(line, record)
            self.first = False

    def record(self, piece: bytes) -> dict[str, Any]:
        record = parse(piece)
        if self.extract:
            self.extract.into(record, text_of(look_up(record, self.message)))
        return record

    def annotated(self, batch: Batch, annotation: Annotation) -> list[bytes]:
        scores = texts(annotation.score)
        lines = batch.pieces if len(batch.rows) == len(batch.pieces) else [batch.pieces[p] for p in batch.rows.tolist()]
        if annotation.bands is None:
            glue, tail = b"," + self.annotator.score, self.annotator.clear + b"}"
            done = [
                b"%b%b%b%b" % four
                for four in zip([line[:-1] for line in lines], repeat(glue), scores, repeat(tail), strict=False)
            ]
            plain = b"".join([line[-1:] for line in lines]) == b"}" * len(lines)
            odd: Any = range(len(lines))
            if plain:
                before = np.frombuffer(b"".join([line[-2:-1] for line in lines]), np.uint8)
                odd = np.flatnonzero(annotation.remarkable() | np.isin(before, MAYBE_EMPTY))
            for i in odd:
                done[i] = append(lines[i], self.annotator.members(annotation, i, scores[i]))
            return done
        return [append(lines[i], self.annotator.members(annotation, i, scores[i])) for i in range(len(lines))]

    def render(self, batch: Batch, annotation: Annotation) -> bytes:
        assert batch.objects is not None
        scores = texts(annotation.score)
        done = [
            append(dumps(record), self.annotator.members(annotation, i, scores[i]))
            for i, record in enumerate(batch.objects)
        ]
        return self.joined(batch, annotation, done, converting=True)


def blank(line: bytes) -> bool:
    """Whether a line holds no record."""
    return not line.strip(b" \t\r") or line.strip(b" \t\r") == BOM


def append(line: bytes, members: bytes) -> bytes:
    """A JSON object's own bytes with members inserted before its closing brace."""
    end = line.rindex(b"}")
    empty = line[:end].rstrip(b" \t\r\n").removeprefix(BOM).strip(b" \t\r\n") == b"{"
    return line[:end] + (b"" if empty else b",") + members + line[end:]
