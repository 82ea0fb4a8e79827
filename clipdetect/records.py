"""What flows between formats and the pipeline: blocks of records in, annotations back.

A format turns bytes into a `Batch` and a `Batch` with its `Annotation` into bytes. It knows
nothing of models; the detector knows nothing of bytes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np


class Problem(NamedTuple):
    """A record that cannot be read: its place among the batch's pieces, line, kind and message.

    kind is one short stable phrase for counting (`invalid JSON`, `not UTF-8`, `ragged row`,
    `too long`, `too deep`, `truncated`, ...); message says more (`expected ',' at column 17`).
    fault : the program's own, see `wall`; line is 0 where it is not known.
    """

    piece: int
    line: int
    kind: str
    message: str
    fault: bool = False


class ValueProblem(NamedTuple):
    """Unreadable values of one kind and field in a block: how many, and where the first was.

    kind: `missing`, `null`, `text`, `not finite`, `too large`, `boolean`, `not a number` ...
    """

    kind: str
    count: int  # type: ignore[assignment]  # a tuple's own method is not wanted here
    line: int
    field: str
    message: str


class Reason(NamedTuple):
    """One field of `why`; `expected`, `deviation` and `share` are NaN where the estimator has none.

    text: what a derived column has to say for itself, such as `14 failed logins a minute from
    10.0.0.9, usually 0.2`; empty for a field of the record.
    """

    field: str
    value: float
    expected: float
    deviation: float
    text: str = ""
    share: float = math.nan


@dataclass(slots=True)
class Batch:
    """A block of input.

    pieces : every byte of the block in order: records, blank lines, headers, separators; in formats
        of lines without the newline that ends each.
    rows : (n,) int64, the pieces that are readable records.
    X : (n, d) float64, d = number of columns open at the end of the block; NaN missing.
    keys : key text per row, or None without `--by`.
    time, label : (n,) float64 or None where not asked for; time also where the format has its own.
    numbers : (n,) float64 by field name, NaN missing: what features take beside the columns.
    categories : (n,) int64 by field name, `values.category` of the value's text, -1 missing.
    opened : [(row, columns open from this row on)], ascending; columns before that are unchanged.
    problems : records that cannot be read, in order.
    values : unreadable values, one entry a kind and field, the first line first.
    faults : what was raised on the way without the loss of a record.
    objects : the records as dicts, where the output needs them, else None.
    verbatim : pieces that are always written, such as a header.
    continued : piece 0 goes on from an over-long line of the block before; unended : the last piece
        goes on in the next block.
    """

    pieces: list[bytes]
    rows: np.ndarray
    X: np.ndarray
    keys: list[str] | None = None
    time: np.ndarray | None = None
    label: np.ndarray | None = None
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    categories: dict[str, np.ndarray] = field(default_factory=dict)
    opened: list[tuple[int, int]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    values: list[ValueProblem] = field(default_factory=list)
    faults: list[Problem] = field(default_factory=list)
    objects: list[dict[str, Any]] | None = None
    verbatim: frozenset[int] = frozenset()
    continued: bool = False
    unended: bool = False

    def until(self, piece: int) -> Batch:
        """The part before one of its pieces, without problems."""
        n = int(np.searchsorted(self.rows, piece))

        def cut(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[:n]

        return replace(
            self,
            pieces=self.pieces[:piece],
            rows=self.rows[:n],
            X=self.X[:n],
            keys=None if self.keys is None else self.keys[:n],
            time=cut(self.time),
            label=cut(self.label),
            numbers={name: each[:n] for name, each in self.numbers.items()},
            categories={name: each[:n] for name, each in self.categories.items()},
            opened=[each for each in self.opened if each[0] < n],
            problems=[],
            values=[],
            objects=None if self.objects is None else self.objects[:n],
            unended=False,
        )

    def apart(self, columns: int) -> Iterator[Batch]:
        """The pieces, each a batch of its own; what was told of the whole batch (`values`, `faults`) stays behind.

        columns : open before the batch.
        """
        row_of = {place: i for i, place in enumerate(self.rows.tolist())}
        problems = {problem.piece: problem for problem in self.problems}
        opened = list(self.opened)
        for place, piece in enumerate(self.pieces):
            i = row_of.get(place)
            begin, end = (0, 0) if i is None else (i, i + 1)
            now = columns
            while opened and opened[0][0] < end:
                now = opened.pop(0)[1]
            part = self._between(begin, end, now)
            part.pieces = [piece]
            part.rows = np.zeros(end - begin, np.int64)
            part.opened = [(0, now)] if now > columns else []
            part.problems = [problems[place]._replace(piece=0)] if place in problems else []
            part.verbatim = frozenset({0} if place in self.verbatim else ())
            part.continued = self.continued and place == 0
            part.unended = self.unended and place == len(self.pieces) - 1
            columns = now
            yield part

    def _between(self, begin: int, end: int, columns: int) -> Batch:
        """Rows from `begin` to before `end`, with so many columns; of the pieces, all."""

        def cut(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[begin:end]

        return replace(
            self,
            X=np.ascontiguousarray(self.X[begin:end, :columns]),
            keys=None if self.keys is None else self.keys[begin:end],
            time=cut(self.time),
            label=cut(self.label),
            numbers={name: each[begin:end] for name, each in self.numbers.items()},
            categories={name: each[begin:end] for name, each in self.categories.items()},
            values=[],
            faults=[],
            objects=None if self.objects is None else self.objects[begin:end],
        )

    def refused(self, problem: Problem) -> Batch:
        """A batch of one piece without its record, which has a problem."""
        part = self._between(0, 0, self.X.shape[1])
        part.rows, part.problems = self.rows[:0], [problem]
        return part


def concatenated(batches: Sequence[Batch]) -> Batch:
    """One batch of several, at least one, that follow each other."""
    first, last = batches[0], batches[-1]
    pieces: list[bytes] = []
    rows: list[np.ndarray] = []
    problems: list[Problem] = []
    opened: list[tuple[int, int]] = []
    verbatim: set[int] = set()
    n, d = 0, last.X.shape[1]
    for each in batches:
        shift = len(pieces)
        rows.append(each.rows + shift)
        problems += [problem._replace(piece=problem.piece + shift) for problem in each.problems]
        opened += [(n + row, columns) for row, columns in each.opened]
        verbatim |= {place + shift for place in each.verbatim}
        pieces += each.pieces
        n += len(each.rows)

    def whole(arrays: Iterable[np.ndarray | None]) -> np.ndarray | None:
        found = [each for each in arrays if each is not None]
        return np.concatenate(found) if found else None

    X = [np.pad(each.X, ((0, 0), (0, d - each.X.shape[1])), constant_values=np.nan) for each in batches]
    return Batch(
        pieces=pieces,
        rows=np.concatenate(rows),
        X=np.concatenate(X),
        keys=None if first.keys is None else [key for each in batches for key in each.keys or ()],
        time=whole(each.time for each in batches),
        label=whole(each.label for each in batches),
        numbers={name: np.concatenate([each.numbers[name] for each in batches]) for name in first.numbers},
        categories={name: np.concatenate([each.categories[name] for each in batches]) for name in first.categories},
        opened=opened,
        problems=problems,
        values=[value for each in batches for value in each.values],
        faults=[problem for each in batches for problem in each.faults],
        objects=None if first.objects is None else [value for each in batches for value in each.objects or ()],
        verbatim=frozenset(verbatim),
        continued=first.continued,
        unended=last.unended,
    )


@dataclass(slots=True)
class Annotation:
    """What is appended to the n readable records of a batch.

    score : (n,) float64, already rounded to 6 significant digits, NaN = null.
    anomaly : (n,) bool.
    why : reasons by row, for flagged rows, largest deviation first, and for change points, behind those.
    marks : what else is said of records, by name in the order of `FormatOptions.marks`: (n,) bool, or
        int64 with 0 for none; a name without any mark may be left out.
    bands : expected, lower, upper (n, d) with NaN = null, or None without `--bands`.
    seen : (n, d) bool with bands: whether the key has ever had a number in that column.
    keep : (n,) bool or None; only these rows are written.
    faults : what was raised in putting a row's reasons into words, by row.
    """

    fields: list[str]
    score: np.ndarray
    anomaly: np.ndarray
    why: dict[int, list[Reason]]
    marks: dict[str, np.ndarray] = field(default_factory=dict)
    bands: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    seen: np.ndarray | None = None
    keep: np.ndarray | None = None
    faults: dict[int, Exception] = field(default_factory=dict)

    def remarkable(self) -> np.ndarray:
        """(n,) bool: the records that get more than a score and a false flag, or no score."""
        found: np.ndarray = self.anomaly | np.isnan(self.score)
        for each in self.marks.values():
            found |= each != 0
        return found


@dataclass(slots=True)
class Order:
    """Counts the records that are earlier than the one before them."""

    steps_back: int = 0
    latest: float = -np.inf  # time of the last record that had one

    def see(self, time: np.ndarray | None) -> None:
        """The times of the next records; NaN are skipped."""
        if time is None:
            return
        known = time[np.isfinite(time)]
        if len(known):
            self.steps_back += int(np.count_nonzero(np.diff(known, prepend=self.latest) < 0.0))
            self.latest = float(known[-1])


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """What a format needs to know of the run.

    by, time, label : dotted paths, or empty.
    coerce : numbers written as text are numbers (JSON).
    prefix : before the names of appended fields.
    pass_bad : an unreadable record leaves as it came (else it is dropped).
    only_anomalies : pieces that are no rows (but a header) are dropped too.
    bands : whether they are appended. judged : names of the columns that the detector has before any record.
    marks : names of the further appendices, such as `changepoint`.
    max_line : a longer record is a bad one. [bytes]
    objects : the batch must carry `objects`, because another format writes them.
    numbers, categories : dotted paths that features take; the batch carries them by these names. A
        category `shape(NAME)` is the shape of the text NAME, the text without its variable parts, and
        `keys(NAME)` the set of names in the object NAME; `NAME~REGEX` is one where the expression is found.
    pattern : regular expression of the format `pattern`. extract : regular expressions whose named
        groups, found in a record's message, become fields of the record. records_at : dotted path of
        the array of records in a JSON document.
    as_text : log lines are written as they came, not as JSON. terminal : these, or lines of no known
        format, go to a person's screen. color : with colours there.
    """

    by: tuple[str, ...] = ()
    time: str = ""
    label: str = ""
    coerce: bool = False
    prefix: str = ""
    pass_bad: bool = True
    only_anomalies: bool = False
    bands: bool = False
    judged: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    max_line: int = 16 * 1024 * 1024
    objects: bool = False
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    pattern: str = ""
    extract: tuple[str, ...] = ()
    records_at: str = ""
    as_text: bool = False
    terminal: bool = False
    color: bool = False


UNLIKE, ANYTHING, LIKELY, SURE = 0.0, 0.1, 0.5, 1.0  # how sure a format is that a stream is its own
BOM = b"\xef\xbb\xbf"
BLANKS = b" \t\r\n"


class Incomplete(Exception):
    """More bytes are needed."""


class Head:
    """The first bytes of a stream, for `Format.looks`.

    data : from the first record on, without byte order mark and blanks. final : whether nothing comes behind them.
    """

    def __init__(self, data: bytes, final: bool) -> None:
        self.data, self.final = data.removeprefix(BOM).lstrip(BLANKS), final

    @functools.cached_property
    def line(self) -> bytes:
        """The first line, without its newline. Raises Incomplete."""
        line, newline, _ = self.data.partition(b"\n")
        if not newline and not self.final:
            raise Incomplete
        return line

    @functools.cached_property
    def row(self) -> str:
        """The first line as text, without carriage return; what is no UTF-8 as U+FFFD. Raises Incomplete."""
        return self.line.decode("utf-8", "replace").rstrip("\r")


class Format:
    """Bytes <-> records, for one run over one or more files.

    `start` is called at the beginning of each file, then `decode` with whatever bytes have arrived,
    the last time with `final`. How the bytes are cut into calls never changes the joined output.
    """

    kind: ClassVar[str] = "format"
    name: ClassVar[str] = ""
    rank: ClassVar[int | None] = None  # when it is asked whether a stream is its own, lowest first; None: never
    opens: ClassVar[bytes] = b""  # the bytes with which its streams begin; it is asked of no others. Empty: with any
    timed: ClassVar[bool] = False  # whether records have a time without `--time`
    derive: ClassVar[tuple[str, ...]] = ()  # features that are judged where nothing is asked for
    measures: ClassVar[bool] = False  # whether all measures are, beside these

    def __init__(self, options: FormatOptions, selection: Any) -> None:
        self.options = options
        self.selection = selection

    @classmethod
    def looks(cls, head: Head) -> float:
        """How sure it is that a stream which begins so is its own: from 0, not at all, to `SURE`.

        By the first record and nothing behind it, so that the answer does not depend on how the bytes arrive. Raises
        Incomplete where they do not tell yet, as `head.line` and `head.row` do where the first line is not complete.
        """
        return UNLIKE

    def start(self, name: str) -> None:
        """A new file begins; `name` is for messages."""
        raise NotImplementedError

    def decode(self, data: bytes, final: bool) -> Batch:
        """The complete records in what was carried over and `data`; the rest is carried over.

        Raises InputError where the file cannot go on (a CSV header that differs from the first
        file's), ConfigError where a field of the first record has an appended name.
        """
        raise NotImplementedError

    def record(self, piece: bytes) -> dict[str, Any]:
        """One readable piece as a record, for what is said of it; the same fields that were read from it."""
        raise NotImplementedError

    def splice(self, batch: Batch, annotation: Annotation) -> bytes:
        """The output: the input's own bytes with the annotation inserted."""
        raise NotImplementedError

    def begin(self) -> bytes:
        """What `render` output starts with (a bracket, a header needing no record)."""
        return b""

    def render(self, batch: Batch, annotation: Annotation) -> bytes:
        """The output for records of another format, from `batch.objects`; bad pieces as they came."""
        raise NotImplementedError

    def finish(self) -> bytes:
        """What `render` output ends with."""
        return b""

    def waiting(self) -> int:
        """Lines that were taken and wait for the end of their record."""
        return 0

    def line_of(self, batch: Batch, piece: int) -> int:
        """Number of the line of the last batch's piece, for messages; 0 where it is not known."""
        return 0

    def mark(self) -> Any:
        """This moment of reading and writing, for `back`; attributes are replaced, never changed in place."""
        return dict(vars(self))

    def back(self, mark: Any) -> None:
        """Go back to the moment of a mark."""
        vars(self).update(mark)
