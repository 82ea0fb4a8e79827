"""Any other lines: they pass through."""

from __future__ import annotations

from clipdetect.errors import InputError
from clipdetect.formats.lines import Lines
from clipdetect.records import ANYTHING, UNLIKE, Annotation, Batch, Head

__all__ = ["Text"]


class Text(Lines):
    """Lines of no known format leave as they came, unscored, whatever their length. Binary never goes to a terminal."""

    name = "text"
    rank = 1000
    _last = b"\n"

    @classmethod
    def looks(cls, head: Head) -> float:
        return ANYTHING if head.line else UNLIKE

    def decode(self, data: bytes, final: bool) -> Batch:
        if self.options.terminal and b"\0" in data:
            raise InputError(f"{self.source}: no text from here on, so the rest is not shown; a pipe gets all of it")
        batch = self.nothing()
        self._last = data[-1:] or self._last
        if data or (final and self._last != b"\n"):
            batch.pieces = [data]
            batch.unended = not (final and self._last != b"\n")
        if final:
            self._last = b"\n"
        return batch

    def annotated(self, batch: Batch, annotation: Annotation) -> list[bytes]:
        return []
