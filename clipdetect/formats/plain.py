"""Plain numbers, one a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from clipdetect.formats.annotate import mark_cells, texts
from clipdetect.formats.beside import wanted
from clipdetect.formats.json_text import cell_number
from clipdetect.formats.lines import Lines
from clipdetect.formats.objects import Rows, Unreadable
from clipdetect.formats.select import Selection
from clipdetect.formats.values import LARGEST, NUMBER, cell, said
from clipdetect.records import BOM, SURE, UNLIKE, Annotation, Batch, FormatOptions, Head

__all__ = ["Plain"]

FIELD = "value"
NUMERIC = b"0123456789+-.eE\n"


class Plain(Lines):
    """One number a line; the answer is the line, a tab, the score, a tab and the flag."""

    name = "plain"
    rank = 40
    opens = b"+-.0123456789NnIi"

    def __init__(self, options: FormatOptions, selection: Selection) -> None:
        super().__init__(options, selection)
        selection.learn(FIELD)

    @classmethod
    def looks(cls, head: Head) -> float:
        row = head.row
        return SURE if NUMBER.match(row) or row.strip().lower() in ("nan", "inf", "-inf") else UNLIKE

    def block(self, lines: list[bytes], text: bytes, first_line: int) -> Batch:
        selection, options = self.selection, self.options
        beside = options.objects or wanted(options)
        usual = selection.columns == [FIELD] and not beside
        if usual and not text.translate(None, NUMERIC) and not self.longer(lines, text):
            try:
                X = np.array(list(map(float, lines)), np.float64)[:, None] + 0.0
            except ValueError:  # a blank line, two signs
                X = np.full((1, 1), np.nan)
            if (np.abs(X) < LARGEST).all():
                selection.records += len(lines)
                selection.met.add(FIELD)
                return Batch(lines, np.arange(len(lines)), X)
        return self._careful(lines, first_line)

    def _careful(self, lines: list[bytes], first_line: int) -> Batch:
        selection, options = self.selection, self.options
        rows = Rows(options, selection)
        for place, line in enumerate(lines):
            if line.strip(b" \t\r") in (b"", BOM):
                continue
            number = first_line + place
            if len(line) > options.max_line:
                rows.bad(Unreadable("too long", f"longer than --max-line ({options.max_line:,} bytes)"), place, number)
                continue
            text = line.removeprefix(BOM).removesuffix(b"\r").decode("utf-8", "replace")
            value, kind = cell(text)
            if kind == "text":
                rows.bad(Unreadable("not a number", said(kind, text)), place, number)
                continue
            if not kind:
                before = len(selection.columns)
                selection.number(FIELD, value)
                if len(selection.columns) > before:
                    rows.opened.append((len(rows.rows), len(selection.columns)))
            selection.records += 1
            rows.rows.append([value if name == FIELD else float("nan") for name in selection.columns])
            if kind and FIELD in selection.columns:
                rows.values.add(kind, number, FIELD, said(kind, text))
            rows.places.append(place)
            rows.beside({FIELD: None if kind else value}, number)
            if options.objects:
                rows.objects.append({FIELD: None if kind else cell_number(text)})
        return rows.batch(lines)

    def record(self, piece: bytes) -> dict[str, Any]:
        return {FIELD: cell(piece.removeprefix(BOM).removesuffix(b"\r").decode("utf-8", "replace"))[0]}

    def annotated(self, batch: Batch, annotation: Annotation) -> list[bytes]:
        scores = texts(annotation.score)
        lines = batch.pieces if len(batch.rows) == len(batch.pieces) else [batch.pieces[p] for p in batch.rows.tolist()]
        clear = b"\tfalse" + b"\t" * len(self.options.marks)
        done = [line + b"\t" + score + clear for line, score in zip(lines, scores, strict=True)]
        cr = b"\r" in b"".join([line[-1:] for line in lines])
        odd = np.arange(len(lines)) if cr or annotation.bands else np.flatnonzero(annotation.remarkable())
        for i in odd.tolist():
            score = b"" if np.isnan(annotation.score[i]) else scores[i]
            line, end = (lines[i][:-1], b"\r") if lines[i].endswith(b"\r") else (lines[i], b"")
            done[i] = line + b"\t" + score + (b"\ttrue" if annotation.anomaly[i] else b"\tfalse")
            done[i] += b"".join(b"\t" + each for each in mark_cells(self.options, annotation, i))
            for values in annotation.bands or ():
                value = values[i, 0] if values.shape[1] else float("nan")
                done[i] += b"\t" + (b"" if np.isnan(value) else orjson.dumps(float(f"{value:.6g}")))
            done[i] += end
        return done
