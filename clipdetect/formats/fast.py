"""The fast way from JSON lines to rows: typed decoding of the watched fields only.

It accepts a block only where it reads exactly what `objects` reads; anything odd sends the block
back there. Fields outside the known ones are noticed, because a newcomer has to be named once.
"""

from __future__ import annotations

import gc
import math
import operator
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Annotated, Any

import msgspec
import numpy as np

from clipdetect.formats.beside import beside, wanted
from clipdetect.formats.codes import Codes
from clipdetect.formats.objects import DEEPEST, Rows, Values, too_deep
from clipdetect.formats.select import Selection
from clipdetect.formats.values import ABSENT, LARGEST, said
from clipdetect.numerics.categories import field_of, is_text
from clipdetect.records import Batch, FormatOptions

MISSING: float = struct.unpack("<d", struct.pack("<Q", 0xFFF8000000000000))[0]  # NaN with its sign bit set
STRAYS = 50  # blocks with odd lines but no new field, after which unknown fields are no longer noticed
UNNAMEABLE = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')
REST = 16  # blocks read with care, at most, before the fast way is tried again
WORTH = 4  # names that are put into a decoder in the time in which one record is read with care


Never = Annotated[int, msgspec.Meta(ge=1, le=0)]  # no value fits: the field refuses its record


Careful = Callable[[Rows, bytes, int, int], None]


def nameable(name: str) -> bool:
    """Whether the typed decoder takes a field of this name; it refuses what JSON writes with escapes.

    A path with an empty part (`a..b`) means another thing to `look_up`.
    """
    return not UNNAMEABLE.search(name) and all(name.split("."))


class Node:
    """One level of the object: watched leaves, levels below, and names that are known and skipped."""

    def __init__(self) -> None:
        self.inner: dict[str, Node] = {}
        self.types: dict[str, Any] = {}

    def ambiguous(self) -> bool:
        """Whether some name is watched both as a value and as an object."""
        both = any(self.types[name][0] is not msgspec.Raw for name in self.inner if name in self.types)
        return both or any(inner.ambiguous() for inner in self.inner.values())

    def struct(self, forbid: bool, level: str) -> tuple[type[msgspec.Struct], dict[str, str]]:
        """The type, and the attribute of each name."""
        attributes = {name: f"a{i}" for i, name in enumerate({**self.types, **self.inner})}
        fields = []
        for name, attribute in attributes.items():
            if name in self.inner:
                inner, _ = self.inner[name].struct(forbid, level + "_")
                fields.append((attribute, inner, msgspec.field(default_factory=inner, name=name)))
            else:
                kind, default = self.types[name]
                fields.append((attribute, kind, msgspec.field(default=default, name=name)))
        made = msgspec.defstruct(f"Record{level}", fields, forbid_unknown_fields=forbid, gc=False)
        return made, attributes


class Fast:
    """Typed decoding for the columns of a settled selection.

    Made anew for further known fields once the records that have them have cost as much: a stream in which every
    record brings a new name costs twice what reading it with care does, at most.
    """

    def __init__(self, options: FormatOptions, selection: Selection, taken: Sequence[str]) -> None:
        self.options, self.selection, self.taken = options, selection, taken
        self.usable = not (selection.lists or options.objects or options.coerce or options.extract)
        self.forbid = True
        self.codes = Codes()
        self._made_for: tuple[int, int] | None = None
        self._refused = self._wait = self._since = self._blocks = 0
        self._owed = 0  # records read with care since it was made

    def wanted(self) -> bool:
        """Whether the next block should be tried."""
        if not self.usable or self.selection.careful or not (self.selection.columns or wanted(self.options)):
            return False
        if self._wait:
            self._wait -= 1
            return False
        return True

    def refused(self) -> None:
        """The whole block was odd: try again later, the later the more often that happens in a row."""
        self._wait = min(REST, 1 << min(self._blocks, 4))
        self._blocks = self._blocks + 1 if self._since < REST else 0
        self._since = 0

    def _make(self) -> None:
        selection, options = self.selection, self.options
        root = Node()
        self._numbers = [name for name in selection.columns if not is_text(name)]
        self._texts = [field_of(name) for name in selection.columns if is_text(name)]
        self._beside = list(dict.fromkeys([*self._texts, *wanted(options)]))
        self._paths = [*self._numbers, *self._beside]
        number: tuple[Any, Any] = (float | None, MISSING)
        for name in self.taken:
            root.types[name] = (Never, None)
        for path in self._paths:
            kind = (Any, ABSENT) if path in self._beside else number
            *levels, last = path.split(".")
            node = root
            for level in levels:
                node = node.inner.setdefault(level, Node())
            node.types[last] = kind
            if levels:
                root.types[path] = kind  # the same name may stand there literally, and then counts
        forbid = self.forbid and all(map(nameable, selection.known))
        if forbid:
            for name in selection.known:
                node = root
                for level in name.split("."):
                    if level in node.inner:
                        node = node.inner[level]
                    else:
                        node.types.setdefault(level, (msgspec.Raw, None))
                        break
                if "." in name:
                    root.types.setdefault(name, (msgspec.Raw, None))
        both = not set(self._beside).isdisjoint(self._numbers)  # watched, and taken by a feature as it stands
        plain = all(map(nameable, [*self._paths, *self.taken]))
        self.usable = self.usable and plain and not (both or root.ambiguous())
        if not self.usable:
            return
        made, _ = root.struct(forbid, "")
        self._decode = msgspec.json.Decoder(made).decode
        self._nested = any("." in path for path in self._paths)
        self._getters = [self._getter(root, path) for path in self._paths]
        flat = [self._attribute(root, path) for path in self._numbers]
        self._all: Callable[[Any], Any] = operator.attrgetter(*flat) if flat else lambda record: ()
        self._made_for, self._owed = (len(selection.columns), len(selection.known)), 0
        gc.collect()  # a type refers to itself, and nobody else collects

    @staticmethod
    def _attribute(root: Node, path: str) -> str:
        """Dotted attribute path of the nested place of a name."""
        *levels, last = path.split(".")
        node, parts = root, []
        for name in (*levels, last):
            parts.append(f"a{list({**node.types, **node.inner}).index(name)}")
            node = node.inner.get(name, node)
        return ".".join(parts)

    def _getter(self, root: Node, path: str) -> Callable[[Any], Any]:
        inner = operator.attrgetter(self._attribute(root, path))
        if "." not in path:
            return inner
        outer = operator.attrgetter(f"a{list({**root.types, **root.inner}).index(path)}")

        def get(record: Any) -> Any:
            value = outer(record)
            literal = value is not ABSENT and value is not MISSING
            return value if literal else inner(record)

        return get

    def decode(self, lines: list[bytes], text: bytes, first_line: int, careful: Careful) -> Batch | None:
        """The block, or None where all of it has to be read with care.

        careful : reads one odd line into rows; called for the few that are refused here.
        """
        if self._outdated():
            self._make()
        if not self.usable or (max(map(len, lines)) > DEEPEST and any(map(too_deep, lines))):
            return None
        if not text.isascii():
            try:
                text.decode("utf-8")
            except UnicodeDecodeError:
                return None
        records: list[Any] = []
        odd: list[int] = []
        left = iter(lines)
        while True:
            try:
                records.extend(map(self._decode, left))
                break
            except (msgspec.MsgspecError, RecursionError):  # `left` stands behind the line refused
                odd.append(len(records) + len(odd))
                self._owed += 1
                if len(odd) > 8 + len(lines) // 8:
                    return None
        rows = Rows(self.options, self.selection)
        places = np.delete(np.arange(len(lines)), odd) if odd else np.arange(len(lines))
        batch = self._batch(lines, records, places, first_line, rows.values)
        if batch is None:
            return None
        known = len(self.selection.known)
        for place in odd:
            careful(rows, lines[place], place, first_line + place)
        self._learn(odd, len(self.selection.known) > known)
        whole = merged(batch, rows.batch(lines)) if odd else batch
        whole.values = rows.values.list()
        return whole

    def _outdated(self) -> bool:
        """Whether the decoder is to be made anew."""
        columns, known = len(self.selection.columns), len(self.selection.known)
        if self._made_for is None or self._made_for[0] != columns:
            return True
        return self._made_for[1] != known and WORTH * self._owed >= known

    def _learn(self, odd: list[int], news: bool) -> None:
        """Where odd lines come in block after block without a newcomer, unknown fields are no longer noticed."""
        if odd and not news and self.forbid:
            self._refused += 1
            if self._refused >= STRAYS:
                self.forbid, self._made_for = False, None
        self._since += 1

    def _batch(
        self, lines: list[bytes], records: list[Any], places: np.ndarray, first_line: int, values: Values
    ) -> Batch | None:
        selection, options = self.selection, self.options
        n, d = len(records), len(self._numbers)
        if self._nested:
            X = np.array([[get(record) for get in self._getters[:d]] for record in records], np.float64)
        else:
            rows = map(self._all, records)
            try:
                X = np.fromiter(rows if d == 1 else chain.from_iterable(rows), np.float64, n * d)
            except TypeError:  # a null among them
                X = np.array(list(map(self._all, records)), np.float64)
        X = X.reshape(n, d)
        if not np.nanmax(np.abs(X), initial=0.0) < LARGEST:
            return None
        self._problems(X, places, first_line, values)
        X += 0.0  # -0.0 is 0.0, whichever way it was read
        selection.records += n

        def column(name: str) -> list[Any]:
            return list(map(self._getters[d + self._beside.index(name)], records))

        if self._texts:
            X = self._with_codes(X, [column(name) for name in self._texts])

        def line(i: int) -> int:
            return first_line + int(places[i])

        return Batch(lines, places, X, **beside(options, column, selection, values, line))

    def _with_codes(self, numbers: np.ndarray, texts: list[list[Any]]) -> np.ndarray:
        """All columns, from those of numbers and the values of the text fields."""
        selection = self.selection
        X = np.empty((len(numbers), len(selection.columns)))
        own = np.array([is_text(name) for name in selection.columns])
        X[:, ~own] = numbers
        for j, values in zip(np.flatnonzero(own).tolist(), texts, strict=True):
            X[:, j] = self.codes.of(values)
            if selection.columns[j] not in selection.met and any(each is not ABSENT for each in values):
                selection.met.add(selection.columns[j])
        return X

    def _problems(self, X: np.ndarray, places: np.ndarray, first_line: int, values: Values) -> None:
        """Count what is missing or null."""
        selection = self.selection
        gone = np.isnan(X)
        if not gone.any():
            if len(X) and len(selection.met) < len(selection.columns):
                selection.met.update(self._numbers)
            return
        missing = gone & np.signbit(X)
        selection.met.update(name for name, some in zip(self._numbers, ~missing.all(axis=0), strict=True) if some)
        for kind, found in (("missing", missing), ("null", gone & ~missing)):
            first = np.argmax(found, axis=0).tolist()
            for j, count in enumerate(np.count_nonzero(found, axis=0).tolist()):
                if count:
                    line = first_line + int(places[first[j]])
                    values.add(kind, line, self._numbers[j], said(kind, None), count)
        X[gone] = math.nan


def merged(fast: Batch, odd: Batch) -> Batch:
    """One batch of rows read fast and rows read with care, in the order of the stream."""
    rows = np.concatenate([fast.rows, odd.rows])
    order = np.argsort(rows, kind="stable")

    def both(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
        return None if a is None or b is None else np.concatenate([a, b])[order]

    keys = None
    if fast.keys is not None and odd.keys is not None:
        every = fast.keys + odd.keys
        keys = [every[i] for i in order.tolist()]
    X = both(fast.X, odd.X)
    assert X is not None
    return replace(
        fast,
        rows=rows[order],
        X=np.ascontiguousarray(X),
        keys=keys,
        time=both(fast.time, odd.time),
        label=both(fast.label, odd.label),
        numbers={name: np.concatenate([each, odd.numbers[name]])[order] for name, each in fast.numbers.items()},
        categories={
            name: np.concatenate([each, odd.categories[name]])[order] for name, each in fast.categories.items()
        },
        problems=odd.problems,
    )
