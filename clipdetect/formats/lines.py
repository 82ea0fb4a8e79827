"""What formats with one record a line share: cutting at newlines, over-long lines, joining the output."""

from __future__ import annotations

import numpy as np

from clipdetect.records import Annotation, Batch, Format, FormatOptions, Problem


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

    def decode(self, data: bytes, final: bool) -> Batch:
        cut = len(data) if final else data.rfind(b"\n") + 1
        if not cut and not final:
            self._rest.append(data)
            self._size += len(data)
            if self._skipping or self._size > self.options.max_line:
                return self._overflow(b"", False)
            return self.nothing()
        head = b"".join((*self._rest, data[:cut]))
        self._rest, self._size = ([data[cut:]], len(data) - cut) if cut < len(data) else ([], 0)
        if self._skipping:
            return self._overflow(head, final)
        if not head:
            return self.nothing()
        lines = head.split(b"\n")
        if not lines[-1]:
            lines.pop()
        first, self.line = self.line, self.line + len(lines)
        batch = self.block(lines, head, first)
        if self._size > self.options.max_line:
            more = self._overflow(b"", False)
            batch.problems += [each._replace(piece=each.piece + len(batch.pieces)) for each in more.problems]
            batch.pieces = batch.pieces + more.pieces
            batch.unended = True
        return batch

    def _overflow(self, head: bytes, final: bool) -> Batch:
        """A line over the limit passes through in pieces, as one problem, until its end."""
        batch = self.nothing()
        if not self._skipping:
            self._skipping = True
            limit = self.options.max_line
            batch.problems = [Problem(0, self.line, "too long", f"longer than --max-line ({limit:,} bytes)")]
            batch.pieces, batch.unended = [b"".join(self._rest)], True
            self._rest, self._size = [], 0
            return batch
        end = head.find(b"\n")
        if end < 0 and not final:
            batch.pieces, batch.unended = [b"".join((head, *self._rest))], True
            self._rest, self._size = [], 0
        else:
            self._skipping = False
            end = len(head) if end < 0 else end
            batch.pieces = [head[:end]]
            self.line += 1
            if head[end + 1 :]:
                rest, self._rest, self._size = [*self._rest], [], 0
                later = self.decode(head[end + 1 :], final)
                self._rest, self._size = self._rest + rest, self._size + sum(map(len, rest))
                later.pieces = batch.pieces + later.pieces
                later.rows = later.rows + 1
                later.problems = [each._replace(piece=each.piece + 1) for each in later.problems]
                batch = later
                batch.continued = True
                return batch
        batch.continued = True
        return batch

    def nothing(self) -> Batch:
        """An empty block."""
        d, options = len(self.selection.columns), self.options
        return Batch(
            pieces=[],
            rows=np.empty(0, np.int64),
            X=np.empty((0, d)),
            keys=[] if options.by else None,
            time=np.empty(0) if options.time else None,
            label=np.empty(0) if options.label else None,
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

    def joined(self, batch: Batch, annotation: Annotation, done: list[bytes]) -> bytes:
        """Output of a block: `done` for its rows; other pieces as they came, where they are wanted."""
        pieces = batch.pieces
        if len(done) == len(pieces) and annotation.keep is None and not batch.unended:
            return b"\n".join(done) + b"\n" if done else b""
        out: list[bytes | None] = list(pieces)
        if annotation.keep is not None:
            out = [piece if place in batch.verbatim else None for place, piece in enumerate(pieces)]
        elif not self.options.pass_bad:
            for problem in batch.problems:
                out[problem.piece] = None
            if batch.continued:
                out[0] = None
        for i, place in enumerate(batch.rows.tolist()):
            out[place] = done[i] if annotation.keep is None or annotation.keep[i] else None
        text = b"".join([piece + b"\n" for piece in out if piece is not None])
        return text[:-1] if batch.unended and out and out[-1] is not None else text
