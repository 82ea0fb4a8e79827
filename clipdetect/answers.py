"""From a batch to its output: scored, judged, put into words, spliced; piece by piece where something raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from clipdetect.detector import Detector
from clipdetect.formats.beside import told
from clipdetect.records import Annotation, Batch, Format, Problem
from clipdetect.scored import Scored
from clipdetect.source import working
from clipdetect.verdicts import Verdicts
from clipdetect.wall import fault, is_fault


class Parts(NamedTuple):
    """What works on a batch; `writer` writes records of another format, else the reader splices its own."""

    detector: Detector
    verdicts: Verdicts
    reader: Format
    writer: Format | None
    columns: Sequence[str]

    def mark(self) -> Any:
        """This moment, for `back`; after `Detector.begin`."""
        return self.detector.mark(), self.verdicts.mark(), self.writer and self.writer.mark(), self.reader.mark()

    def back(self, mark: Any) -> None:
        """Go back to the moment of a mark, but for what has been read."""
        self.detector.back(mark[0])
        self.verdicts.back(mark[1])
        if self.writer is not None:
            self.writer.back(mark[2])
        self.reader.back(mark[3])


class Answer(NamedTuple):
    """The output of a batch.

    faults : of its records, whether these were lost by them or only not put into words. parts : what was scored.
    """

    out: bytes
    flagged: int
    faults: list[Problem]
    parts: list[tuple[Batch, Scored]]


def answer(parts: Parts, batch: Batch, *, learn: bool, writing: bool, strict: bool) -> Answer:
    """Score a batch, learn from it and write it, in memory.

    learn : whether it is learned. writing : whether there is output, as there is none of a history. strict : up to the
    first record that raises, which is not written; otherwise such a record passes like one that cannot be read.
    """
    before = parts.mark()
    try:
        return _answer(parts, batch, learn, writing, strict)
    except Exception as error:
        if not is_fault(error):
            raise
    parts.back(before)
    out, flagged, faults, scored = [], 0, [], []
    for place, part in enumerate(batch.apart(len(parts.detector.base))):
        before = parts.mark()
        try:
            done = _answer(parts, part, learn, writing, strict)
        except Exception as error:
            if not is_fault(error):
                raise
            parts.back(before)
            faults.append(fault(error, place, parts.reader.line_of(batch, place)))
            if strict:
                break
            done = _answer(parts, part.refused(faults[-1]._replace(piece=0)), learn, writing, strict)
        out.append(done.out)
        flagged += done.flagged
        scored += done.parts
        faults += [each._replace(piece=place, line=parts.reader.line_of(batch, place)) for each in done.faults]
    return Answer(b"".join(out), flagged, faults, scored)


def _answer(parts: Parts, batch: Batch, learn: bool, writing: bool, strict: bool) -> Answer:
    scored = _score(parts, batch, learn)
    with working:
        found = parts.verdicts.annotation(batch, parts.detector, scored, texts(parts.reader, batch), writing)
    if strict:
        for error in found.faults.values():
            raise error
    if not writing:
        return Answer(b"", 0, [], [(batch, scored)])
    out = parts.writer.render(batch, found) if parts.writer else parts.reader.splice(batch, found)
    return Answer(out, int(np.count_nonzero(found.anomaly)), _wordless(parts, batch, found), [(batch, scored)])


def _score(parts: Parts, batch: Batch, learn: bool) -> Scored:
    learned, widen = parts.verdicts.how(batch, learn)
    return parts.detector.step(
        batch.X,
        batch.keys,
        time=batch.time,
        label=batch.label,
        learn=learned,
        widen=widen,
        opened=batch.opened,
        fields=parts.columns[: batch.X.shape[1]],
        numbers=batch.numbers,
        categories=batch.categories,
    )


def _wordless(parts: Parts, batch: Batch, found: Annotation) -> list[Problem]:
    """The faults of records that were scored, but not put into words."""
    places = [(int(batch.rows[i]), error) for i, error in found.faults.items()]
    return [fault(error, place, parts.reader.line_of(batch, place), False) for place, error in places]


def texts(reader: Format, batch: Batch) -> Any:
    """Fetches the texts of fields back from a record, for what is said of it."""

    def fetch(i: int, names: Sequence[str]) -> Mapping[str, str]:
        record = reader.record(batch.pieces[int(batch.rows[i])])
        return {name: told(record, name) for name in names}

    return fetch
