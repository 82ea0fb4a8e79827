"""JSON objects to rows, with care: record by record, leaf by leaf. What is read here defines what is readable."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import orjson

from clipdetect.errors import ConfigError
from clipdetect.formats.annotate import names
from clipdetect.formats.beside import beside
from clipdetect.formats.codes import coded
from clipdetect.formats.select import Selection, leaves
from clipdetect.formats.values import ABSENT, look_up, number, said
from clipdetect.numerics.categories import field_of, is_text
from clipdetect.records import BOM, Batch, FormatOptions, Problem, ValueProblem

DEEPEST = 950  # levels of nesting, a little less than Python's own limit, which depends on the moment
_OPENING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*"?|([\[{])|[\]}]', re.DOTALL)


class Unreadable(Exception):
    """Why a record cannot be read: kind and message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message


def parse(text: bytes) -> dict[str, Any]:
    """What `json.loads` reads as one object, faster where orjson agrees. Raises Unreadable."""
    if text.startswith(BOM):
        text = text[3:]
    if len(text) > DEEPEST and too_deep(text):
        raise Unreadable("nested too deep", f"nested deeper than {DEEPEST} levels")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = _plainly(text)
    if type(value) is not dict:
        raise Unreadable("not an object", f"not a JSON object but {type(value).__name__}")
    return value


def _plainly(text: bytes) -> Any:
    """What the standard library reads. Raises Unreadable."""
    try:
        return json.loads(text.decode("utf-8"), parse_int=_integer)
    except UnicodeDecodeError as error:
        raise Unreadable("not UTF-8", f"not UTF-8 at byte {error.start + 1}") from None
    except RecursionError:
        raise Unreadable("nested too deep", "nested too deep") from None
    except json.JSONDecodeError as error:
        cut = not text.rstrip().endswith(b"}") and error.msg != "Extra data"
        kind = "truncated JSON" if cut and error.pos >= len(text.rstrip()) - 1 else "invalid JSON"
        raise Unreadable(kind, f"{kind}: {error.msg} at column {error.colno}") from None


def _integer(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:  # of more digits than Python converts
        return float(text)


def too_deep(text: bytes) -> bool:
    """Whether brackets open deeper than `DEEPEST`."""
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for token in _OPENING.finditer(text):
        if token.group(1):
            depth += 1
            if depth > DEEPEST:
                return True
        elif token.group() in (b"]", b"}"):
            depth -= 1
    return False


class Values:
    """Counts unreadable values of a block by kind and field, with the first of each."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], ValueProblem] = {}

    def add(self, kind: str, line: int, field: str, message: str, count: int = 1) -> None:
        """One more, or `count` more, of a kind."""
        old = self._found.get((kind, field))
        if old is None:
            self._found[kind, field] = ValueProblem(kind, count, line, field, message)
        elif old.line <= line:
            self._found[kind, field] = old._replace(count=old.count + count)
        else:
            self._found[kind, field] = ValueProblem(kind, old.count + count, line, field, message)

    def forget(self, kind: str) -> None:
        """Leave out a kind."""
        self._found = {key: each for key, each in self._found.items() if key[0] != kind}

    def list(self) -> list[ValueProblem]:
        """All of them, the first line first."""
        return sorted(self._found.values(), key=lambda each: each.line)


class Rows:
    """Collects the rows of one block; columns may open on the way.

    timed : whether the format gives each record's time itself. first_line : of the block, where a piece is a line.
    """

    def __init__(self, options: FormatOptions, selection: Selection, timed: bool = False, first_line: int = 1) -> None:
        self.options, self.selection = options, selection
        self.timed, self.first_line = timed, first_line
        self.places: list[int] = []
        self.rows: list[list[float]] = []
        self.times: list[float] = []
        self.lines: list[int] = []
        self.records: list[dict[str, Any]] = []
        self.objects: list[dict[str, Any]] = []
        self.opened: list[tuple[int, int]] = []
        self.problems: list[Problem] = []
        self.values = Values()

    def add(self, record: dict[str, Any], place: int, line: int, time: float = math.nan) -> None:
        """A readable record; `time` is the format's own. [epoch seconds]"""
        selection, options = self.selection, self.options
        if selection.careful:
            before = len(selection.columns)
            for name, value in leaves(record, "", selection.lists):
                selection.learn(name)
                read, kind = number(value, options.coerce)
                if not kind:
                    selection.number(name, read)
                elif selection.seeks and kind in ("text", "boolean"):
                    selection.text(name, value)
            if len(selection.columns) > before:
                self.opened.append((len(self.rows), len(selection.columns)))
        else:
            for name, value in leaves(record, "", selection.lists):
                if name not in selection.known:
                    selection.learn(name)
                    read, kind = number(value, options.coerce)
                    if not kind:
                        selection.number(name, read)
        selection.records += 1
        row = []
        for name in selection.columns:
            if is_text(name):
                value = look_up(record, field_of(name))
                if value is not ABSENT:
                    selection.met.add(name)
                row.append(coded(value))
                continue
            value = record.get(name, ABSENT)
            if value is ABSENT:
                value = look_up(record, name)
            read, kind = number(value, options.coerce)
            if kind:
                self.values.add(kind, line, name, said(kind, value))
            if value is not ABSENT:
                selection.met.add(name)
            row.append(read)
        self.rows.append(row)
        self.places.append(place)
        self.beside(record, line, time)
        if options.objects:
            self.objects.append(record)

    def beside(self, record: dict[str, Any], line: int, time: float = math.nan) -> None:
        """Keep what is read from a record beside its columns; `time` is the format's own. [epoch seconds]"""
        self.records.append(record)
        self.lines.append(line)
        self.times.append(time)

    def bad(self, error: Unreadable, place: int, line: int) -> None:
        """A record that cannot be read."""
        self.problems.append(Problem(place, line, error.kind, error.message))

    def batch(self, pieces: list[bytes], places: np.ndarray | None = None, X: np.ndarray | None = None) -> Batch:
        """The block; `places` and `X` where these were read in another way."""
        options = self.options
        times = self.times if self.timed else None
        found = beside(options, self._column, self.selection, self.values, self._line, times)
        return Batch(
            pieces=pieces,
            rows=np.array(self.places, np.int64) if places is None else places,
            X=self._matrix() if X is None else X,
            **found,
            opened=self.opened,
            problems=self.problems,
            values=self.values.list(),
            objects=self.objects if options.objects else None,
        )

    def _line(self, i: int) -> int:
        return self.lines[i] if self.lines else self.first_line + self.places[i]

    def _column(self, name: str) -> list[Any]:
        return [look_up(record, name) for record in self.records]

    def _matrix(self) -> np.ndarray:
        n, d = len(self.rows), len(self.selection.columns)
        X = np.full((n, d), np.nan)
        start = 0
        edges = [*[row for row, _ in self.opened], n]
        for stop in edges:
            if stop > start:
                X[start:stop, : len(self.rows[start])] = self.rows[start:stop]
                start = stop
        X += 0.0  # -0.0 is 0.0, whichever way it was read
        return X


class Taken:
    """Refuses records that already have a field of an appended name: the first by the run, later ones each."""

    def __init__(self, options: FormatOptions) -> None:
        self.names = frozenset(names(options))

    def check(self, record: dict[str, Any], first: bool, where: str) -> None:
        """Raises ConfigError for the first record of the stream, Unreadable for a later one."""
        if self.names.isdisjoint(record):
            return
        name = next(name for name in record if name in self.names)
        if first:
            raise ConfigError(f"{where}: the records have a field {name!r} already; choose other names with --prefix")
        raise Unreadable("name taken", f"has a field {name!r} already; see --prefix")
