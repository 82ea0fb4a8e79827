"""Any other lines: they pass through."""

from __future__ import annotations

from clipdetect.formats.lines import Lines
from clipdetect.records import Annotation, Batch

__all__ = ["Text"]


class Text(Lines):
    """Lines of no known format leave as they came, unscored."""

    name = "text"

    def block(self, lines: list[bytes], text: bytes, first_line: int) -> Batch:
        batch = self.nothing()
        batch.pieces = lines
        return batch

    def annotated(self, batch: Batch, annotation: Annotation) -> list[bytes]:
        return []
