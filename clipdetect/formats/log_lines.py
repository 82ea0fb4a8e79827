"""What log formats share: a line is a record, read into fields; out as JSON Lines, or as the line itself."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from itertools import repeat
from typing import Any, ClassVar

import numpy as np

from clipdetect.formats.annotate import JsonAnnotator, texts, words
from clipdetect.formats.extract import Extract
from clipdetect.formats.json_text import dumps
from clipdetect.formats.lines import Lines
from clipdetect.formats.objects import Rows, Taken, Unreadable
from clipdetect.formats.select import Selection, leaves
from clipdetect.formats.times import Clock, epoch
from clipdetect.formats.values import ABSENT, LARGEST, look_up, number, said
from clipdetect.printable import printable
from clipdetect.records import Annotation, Batch, FormatOptions

BOM = "\ufeff"
BLANKS = " \t\r"
RED, PLAIN = "\x1b[1;31m", "\x1b[0m"
NUMERIC = frozenset((int, float, type(None)))


class LogLines(Lines):
    """A format of log lines. Subclasses say how a line is read.

    The record is `line`, the text without its line end, and the fields read from it; `time` keeps
    the log's own text. A line that cannot be read is a problem, yet gives `line` with a null score.
    """

    timed = True
    derive: ClassVar[tuple[str, ...]] = ()
    time_fields: ClassVar[tuple[str, ...]] = ("time",)  # the first of these that a record has is its time

    def __init__(self, options: FormatOptions, selection: Selection) -> None:
        super().__init__(options, selection)
        self.taken = Taken(options)
        self.annotator = JsonAnnotator(options)
        self.extract = Extract(options.extract)
        self.clock = Clock(selection.memory)
        self.first = selection.records == 0
        self._unread = b"," + self.annotator.score + b"null" + self.annotator.clear + b"}"
        self._long: Any = None  # decoder of an over-long line that is on its way out
        self._cr = ""  # a carriage return at the end of what has come of it

    def read(self, text: str) -> dict[str, Any]:
        """The fields of a line without its line end. Raises Unreadable."""
        raise NotImplementedError

    def nothing(self) -> Batch:
        batch = super().nothing()
        batch.objects = []
        return batch

    # -- in -----------------------------------------------------------------------------------

    def record(self, piece: bytes) -> dict[str, Any]:
        return self._parsed(decoded(piece))

    def _parsed(self, text: str) -> dict[str, Any]:
        record = {"line": text, **self.read(text)}
        if self.extract:
            message = record.get("message")
            self.extract.into(record, message if type(message) is str else text)
        return record

    def block(self, lines: list[bytes], text: bytes, first_line: int) -> Batch:
        rows = Rows(self.options, self.selection, timed=True, first_line=first_line)
        careful, limit, keeps = (
            self.selection.careful,
            self.options.max_line,
            not self.options.as_text or self.options.objects,
        )
        objects: list[dict[str, Any]] = []
        own, taken, seconds = not self.options.time, self.taken.names.isdisjoint, self.clock.seconds
        for place, line in enumerate(self._texts(lines, text, rows, first_line)):
            if not line.strip(BLANKS):
                continue
            try:
                if len(lines[place]) > limit:
                    raise Unreadable("too long", f"longer than --max-line ({limit:,} bytes)")
                record = self._parsed(line)
                if not taken(record):
                    self.taken.check(record, self.first, f"{self.source}:{first_line + place}")
            except Unreadable as error:
                rows.bad(error, place, first_line + place)
                continue
            self.first = False
            moment = record.get("time") if own else None
            time = seconds(moment) if type(moment) is str else self._time(record)
            if careful:
                rows.add(record, place, first_line + place, time)
            else:
                rows.places.append(place)
                rows.records.append(record)
                rows.times.append(time)
            if keeps:
                objects.append(record if record["line"] is line else {**record, "line": line})
        X = None if careful else self._matrix(rows, first_line)
        rows.values.forget("missing")  # a log leaves out what there is not
        batch = rows.batch(lines, np.array(rows.places, np.int64), X)
        batch.time = np.array(rows.times, np.float64)
        if keeps:
            batch.objects = objects
        return batch

    def _texts(self, lines: list[bytes], text: bytes, rows: Rows, first_line: int) -> Sequence[str]:
        """The lines as text, without carriage return and byte order mark; what is no UTF-8 as U+FFFD."""
        try:
            found = text.decode().split("\n")
        except UnicodeDecodeError:
            found = []
            for place, line in enumerate(lines):
                try:
                    found.append(line.decode())
                except UnicodeDecodeError as error:
                    found.append(line.decode("utf-8", "replace"))
                    if len(line) <= self.options.max_line:
                        message = f"not UTF-8 at byte {error.start + 1}, read as U+FFFD"
                        rows.values.add("not UTF-8", first_line + place, "line", message)
        else:
            del found[len(lines) :]
        if b"\r" in text:
            found = [line[:-1] if line[-1:] == "\r" else line for line in found]
        if b"\xef\xbb\xbf" in text:
            found = [line.removeprefix(BOM) for line in found]
        return found

    def _time(self, record: dict[str, Any]) -> float:
        if self.options.time:
            return self._seconds(look_up(record, self.options.time))
        for name in self.time_fields:
            if name in record:
                return self._seconds(record[name])
        return float("nan")

    def _seconds(self, value: Any) -> float:
        return self.clock.seconds(value) if type(value) is str else epoch(number(value)[0])

    def _matrix(self, rows: Rows, first_line: int) -> np.ndarray:
        """(n, d) of the columns, column by column; gives what `Rows.add` gives."""
        selection, options, records = self.selection, self.options, rows.records
        known = selection.known.keys()
        for record in records:
            if not record.keys() <= known or dict in map(type, record.values()):
                for name, value in leaves(record, "", selection.lists):
                    if name not in known:
                        selection.learn(name)
                        read, kind = number(value, options.coerce)
                        if not kind:
                            selection.number(name, read)
        selection.records += len(records)
        X = np.full((len(records), len(selection.columns)), np.nan)
        for j, name in enumerate(selection.columns):
            if "." in name or "[" in name:
                values = [look_up(record, name) for record in records]
                values = [None if value is ABSENT else value for value in values]
            else:
                values = [record.get(name) for record in records]
            if not set(map(type, values)) <= NUMERIC:
                self._odd(X[:, j], name, values, rows, first_line)
                continue
            column = np.array(values, np.float64)
            missing = np.isnan(column)
            if not missing.all():
                selection.met.add(name)
                if not (np.abs(column[~missing]) < LARGEST).all():
                    self._odd(X[:, j], name, values, rows, first_line)
                    continue
            X[:, j] = column + 0.0
        return X

    def _odd(self, column: np.ndarray, name: str, values: list[Any], rows: Rows, first_line: int) -> None:
        """A column with values that are no numbers."""
        for i, value in enumerate(values):
            read, kind = number(ABSENT if value is None else value, self.options.coerce)
            if kind and value is not None:
                rows.values.add(kind, first_line + rows.places[i], name, said(kind, value))
            if value is not None:
                self.selection.met.add(name)
            column[i] = read + 0.0

    # -- out ----------------------------------------------------------------------------------

    def annotated(self, batch: Batch, annotation: Annotation) -> list[bytes]:
        lines = [batch.pieces[place] for place in batch.rows.tolist()]
        if self.options.as_text:
            return lines if not self.options.terminal else self._shown_rows(lines, annotation)
        assert batch.objects is not None
        scores = texts(annotation.score)
        glue, tail, simple = b"," + self.annotator.score, self.annotator.clear + b"}", annotation.bands is None
        if annotation.keep is not None:  # the others are not looked at
            done = [b""] * len(lines)
            wanted: Any = np.flatnonzero(annotation.keep).tolist()
        else:
            heads = list(map(objects_head, batch.objects)) if simple else []
            done = [b"%b%b%b%b" % four for four in zip(heads, repeat(glue), scores, repeat(tail), strict=False)]
            done = done if simple else [b""] * len(lines)
            wanted = np.flatnonzero(annotation.remarkable()) if simple else range(len(lines))
        for i in wanted:
            members = self.annotator.members(annotation, i, scores[i])
            done[i] = objects_head(batch.objects[i]) + b"," + members + b"}"
        return done

    def splice(self, batch: Batch, annotation: Annotation) -> bytes:
        done = self.annotated(batch, annotation)
        if self.options.as_text and not self.options.terminal:
            return self.joined(batch, annotation, done)
        pieces = batch.pieces
        if len(done) == len(pieces) and annotation.keep is None and not (batch.unended or batch.continued):
            return b"\n".join(done) + b"\n" if done else b""
        out: dict[int, bytes] = {}
        if annotation.keep is None:
            if self.options.as_text:
                out = {place: shown(piece) + b"\n" for place, piece in enumerate(pieces)}  # blank lines stay
            bad = {problem.piece for problem in batch.problems} | ({0} if batch.continued else set())
            for place in bad:
                starts, ends = place > 0 or not batch.continued, place < len(pieces) - 1 or not batch.unended
                text = self._problem(pieces[place], starts, ends)
                out[place] = text if self.options.pass_bad else b""
        for i, place in enumerate(batch.rows.tolist()):
            if annotation.keep is None or annotation.keep[i]:
                out[place] = done[i] + b"\n"
        return b"".join([out[place] for place in sorted(out)])

    def _problem(self, piece: bytes, starts: bool, ends: bool) -> bytes:
        """Output of a line that is no record; of an over-long one, of the part that is here."""
        as_text = self.options.as_text
        if starts:
            errors = "backslashreplace" if as_text else "replace"
            self._long, self._cr = codecs.getincrementaldecoder("utf-8")(errors), ""
        text = self._cr + self._long.decode(piece, ends)
        self._cr = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r")
        if as_text:
            return _visible(text) + (b"\n" if ends else b"")
        out = dumps(text.removeprefix(BOM) if starts else text)[1:-1]
        return (b'{"line":"' if starts else b"") + out + (b'"' + self._unread + b"\n" if ends else b"")

    def _shown_rows(self, lines: list[bytes], annotation: Annotation) -> list[bytes]:
        """The rows for a person's screen: flagged ones begin with score and why."""
        done = list(map(shown, lines))
        for i in annotation.why:
            found = [f"{annotation.score[i]:.2f}"] if np.isfinite(annotation.score[i]) else []
            if "changepoint" in annotation.marks and annotation.marks["changepoint"][i]:
                found.append("change point")
            why = " ".join([*found, printable(words(annotation.why[i]))]).strip()
            done[i] = (f"{RED}{why}{PLAIN} | " if self.options.color else f"{why} | ").encode() + done[i]
        return done


def objects_head(record: dict[str, Any]) -> bytes:
    """A record as JSON without the closing brace."""
    return dumps(record)[:-1]


def decoded(piece: bytes) -> str:
    """A line's text, without carriage return and byte order mark."""
    return piece.removesuffix(b"\r").decode("utf-8", "replace").removeprefix(BOM)


def shown(line: bytes) -> bytes:
    """A line that can go to a screen: a tab as spaces, control characters and what is no UTF-8 as escapes."""
    return _visible(line.removesuffix(b"\r").decode("utf-8", "backslashreplace"))


def _visible(text: str) -> bytes:
    return printable(text.replace("\t", "    ")).encode()
