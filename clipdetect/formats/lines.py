"""What formats with one record a line share: cutting at newlines, over-long lines, joining the output."""

from __future__ import annotations

from typing import Any

import numpy as np

from clipdetect.records import Annotation, Batch, Format, FormatOptions, Problem, concatenated
from clipdetect.wall import fault, is_fault


class Lines(Format):
    """A format of lines. Subclasses turn complete lines into a batch, and a batch into annotated lines."""

    def __init__(self, options: FormatOptions, selection: object) -> None:
        super().__init__(options, selection)
        self.source = ""
        self.line = 1
        self._rest: list[bytes] = []
        self._size = 0
        self._skipping = False

    def start(self, name: str) -> None:
        self.source, self.line = name, 1
        self._rest, self._size, self._skipping = [], 0, False

    def resume(self, name: str, line: int, inside: bool) -> None:
        """What comes next is of this file, from this line on; `inside` an over-long line that was given up."""
        self.source, self.line, self._skipping = name, line, inside or self._skipping

    def adopt(self, line: bytes) -> None:
        """Take a file's first line as read already, where it says how the rest is to be read."""

    def decode(self, data: bytes, final: bool) -> Batch:
        if not self._skipping:
            return self._complete(data, final)
        end = data.find(b"\n")
        if end < 0:
            batch = self.nothing()
            batch.pieces, batch.unended = [data], not final
        else:
            self._skipping = False
            self.line += 1
            batch = self._complete(data[end + 1 :], final)
            prepend(batch, [data[:end]])
        batch.continued = True
        return batch

    def _complete(self, data: bytes, final: bool) -> Batch:
        """The complete lines; what follows them waits, but not beyond the limit of a line."""
        end = len(data) if final else data.rfind(b"\n") + 1
        if end or final:
            head = b"".join((*self._rest, data[:end]))
            self._rest, self._size = ([data[end:]], len(data) - end) if end < len(data) else ([], 0)
            lines = head.split(b"\n")
            if not lines[-1]:
                lines.pop()
            first, self.line = self.line, self.line + len(lines)
            batch = self._walled(lines, head, first) if lines else self.nothing()
        else:
            self._rest.append(data)
            self._size += len(data)
            batch = self.nothing()
        limit = self.options.max_line
        if self._size > limit:  # it passes through in pieces, as one problem, until its end
            message = f"longer than --max-line ({limit:,} bytes)"
            batch.problems.append(Problem(len(batch.pieces), self.line, "too long", message))
            batch.pieces = [*batch.pieces, b"".join(self._rest)]
            batch.unended = self._skipping = True
            self._rest, self._size = [], 0
        return batch

    def _walled(self, lines: list[bytes], text: bytes, first: int) -> Batch:
        """`block`; where that raises, line by line, so that only the record is lost that raises by itself."""
        before = self.mark()
        try:
            return self.block(lines, text, first)
        except Exception as error:
            if not is_fault(error):
                raise
        self.back(before)
        parts = []
        for number, line in enumerate(lines, first):
            before = self.mark()
            try:
                parts.append(self.block([line], line + b"\n", number))
            except Exception as error:
                if not is_fault(error):
                    raise
                self.back(before)
                part = self.nothing()
                part.pieces, part.problems = [self.given_up(line)], [fault(error, 0, number)]
                parts.append(part)
        return concatenated(parts)

    def longer(self, lines: list[bytes], text: bytes) -> bool:
        """Whether one of the lines is longer than a record may be; `text` is all of them."""
        limit = self.options.max_line
        return len(text) > limit and max(map(len, lines)) > limit

    def given_up(self, line: bytes) -> bytes:
        """All of the record that ends with this line, when it has raised and nothing of it is to wait any longer."""
        return line

    def mark(self) -> Any:
        return super().mark(), self.selection.mark()

    def back(self, mark: Any) -> None:
        super().back(mark[0])
        self.selection.back(mark[1])

    def line_of(self, batch: Batch, piece: int) -> int:
        lines = len(batch.pieces) - piece + sum(each.count(b"\n") for each in batch.pieces[piece:])
        return self.line - lines - self.waiting() + batch.unended

    def nothing(self) -> Batch:
        """An empty block."""
        d, options = len(self.selection.columns), self.options
        return Batch(
            pieces=[],
            rows=np.empty(0, np.int64),
            X=np.empty((0, d)),
            keys=[] if options.by else None,
            time=np.empty(0) if options.time or self.timed else None,
            label=np.empty(0) if options.label else None,
            numbers={name: np.empty(0) for name in options.numbers},
            categories={name: np.empty(0, np.int64) for name in options.categories},
            objects=[] if options.objects else None,
        )

    def block(self, lines: list[bytes], text: bytes, first_line: int) -> Batch:
        """A batch of complete lines, without their newlines; `text` is all of them."""
        raise NotImplementedError

    def annotated(self, batch: Batch, annotation: Annotation) -> list[bytes]:
        """The n rows with their annotation, without newlines."""
        raise NotImplementedError

    def splice(self, batch: Batch, annotation: Annotation) -> bytes:
        return self.joined(batch, annotation, self.annotated(batch, annotation))

    def joined(self, batch: Batch, annotation: Annotation, done: list[bytes], converting: bool = False) -> bytes:
        """Output of a block: `done` for its rows; other pieces as they came, where they are wanted.

        converting : what is neither record nor problem (blank lines, a header) stays behind.
        """
        pieces = batch.pieces
        if len(done) == len(pieces) and annotation.keep is None and not (batch.unended or batch.continued):
            return b"\n".join(done) + b"\n" if done else b""
        out: list[bytes | None] = list(pieces)
        bad = [problem.piece for problem in batch.problems] + ([0] if batch.continued else [])
        if annotation.keep is not None or converting:
            keep = set(batch.verbatim) | (set(bad) if annotation.keep is None else set())
            out = [piece if place in keep else None for place, piece in enumerate(pieces)]
        if not self.options.pass_bad:
            for place in bad:
                out[place : place + 1] = [None] if place < len(out) else []
        for i, place in enumerate(batch.rows.tolist()):
            out[place] = done[i] if annotation.keep is None or annotation.keep[i] else None
        text = b"".join([piece + b"\n" for piece in out if piece is not None])
        return text[:-1] if batch.unended and out and out[-1] is not None else text


def prepend(batch: Batch, pieces: list[bytes]) -> None:
    """Put pieces that are no records in front of a batch."""
    shift = len(pieces)
    batch.pieces = pieces + batch.pieces
    batch.rows = batch.rows + shift
    batch.problems = [each._replace(piece=each.piece + shift) for each in batch.problems]
    batch.verbatim = frozenset(place + shift for place in batch.verbatim)
