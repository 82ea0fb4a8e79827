"""The fast way from JSON lines to rows: typed decoding of the watched fields only.

It accepts a block only where it reads exactly what `objects` reads; anything odd sends the block
back there. Fields outside the known ones are noticed, because a newcomer has to be named once.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np

from clipdetect.formats.objects import Values
from clipdetect.formats.select import Selection
from clipdetect.formats.values import ABSENT, joint_key, said, seconds, truth
from clipdetect.records import Batch, FormatOptions

MISSING: float = struct.unpack("<d", struct.pack("<Q", 0xFFF8000000000000))[0]  # NaN with its sign bit set
STRAYS = 3  # blocks refused for no lasting reason before unknown fields are no longer noticed
REST = 16  # blocks read with care after a refusal that follows closely on another


Never = Annotated[int, msgspec.Meta(ge=1, le=0)]  # no value fits: the field refuses its record


class Node:
    """One level of the object: watched leaves, levels below, and names that are known and skipped."""

    def __init__(self) -> None:
        self.inner: dict[str, Node] = {}
        self.types: dict[str, Any] = {}

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
    """Typed decoding for the columns of a settled selection; made anew when the known fields change."""

    def __init__(self, options: FormatOptions, selection: Selection, taken: Sequence[str]) -> None:
        self.options, self.selection, self.taken = options, selection, taken
        self.usable = not (selection.lists or options.objects or options.coerce)
        self.forbid = True
        self._made_for: tuple[int, int] | None = None
        self._refused = self._wait = self._since = 0

    def wanted(self) -> bool:
        """Whether the next block should be tried."""
        if not self.usable or self.selection.careful or not self.selection.columns:
            return False
        if self._wait:
            self._wait -= 1
            return False
        return True

    def refused(self, known_before: int) -> None:
        """The block went to the careful path; back off where that happens in a row, not for a rare one."""
        if len(self.selection.known) == known_before:
            self._refused += 1
            if self._refused >= STRAYS and self.forbid:
                self.forbid, self._made_for = False, None
            self._wait = 0 if self._since > REST else min(REST, 1 << min(self._refused, 4))
        self._since = 0

    def _make(self) -> None:
        selection, options = self.selection, self.options
        root = Node()
        self._paths = [*selection.columns, *options.by]
        self._paths += [path for path in (options.time, options.label) if path]
        number: tuple[Any, Any] = (float | None, MISSING)
        for name in self.taken:
            root.types[name] = (Never, None)
        for path in self._paths:
            kind = number if path in selection.columns else (Any, ABSENT)
            *levels, last = path.split(".")
            node = root
            for level in levels:
                node = node.inner.setdefault(level, Node())
            node.types[last] = kind
            if levels:
                root.types[path] = kind  # the same name may stand there literally, and then counts
        if self.forbid:
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
        made, _ = root.struct(self.forbid, "")
        self._decode = msgspec.json.Decoder(made).decode
        self._nested = any("." in path for path in self._paths)
        self._getters = [self._getter(root, path) for path in self._paths]
        flat = [self._attribute(root, path) for path in selection.columns]
        self._all: Callable[[Any], Any] = operator.attrgetter(*flat)
        self._made_for = (len(selection.columns), len(selection.known))

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
            literal = value is not ABSENT and not (value is MISSING)
            return value if literal else inner(record)

        return get

    def decode(self, lines: list[bytes], text: bytes, first_line: int) -> Batch | None:
        """The block, or None where it has to be read with care."""
        selection, options = self.selection, self.options
        if self._made_for != (len(selection.columns), len(selection.known)):
            self._make()
        if not text.isascii():
            try:
                text.decode("utf-8")
            except UnicodeDecodeError:
                return None
        try:
            records = list(map(self._decode, lines))
        except (msgspec.MsgspecError, RecursionError):
            return None
        n, d = len(records), len(selection.columns)
        if self._nested:
            X = np.array([[get(record) for get in self._getters[:d]] for record in records], np.float64)
        else:
            X = np.array(list(map(self._all, records)), np.float64)
        X = X.reshape(n, d)
        values = self._problems(X, first_line)
        self._since += 1
        self._refused = 0 if self._since > REST else self._refused
        selection.records += n
        at, by = d, len(options.by)
        keys = None
        if by == 1:
            get = self._getters[at]
            keys = [v if type(v) is str and v[:1] != "\x00" else joint_key([v]) for v in map(get, records)]
        elif by:
            keys = [joint_key([get(record) for get in self._getters[at : at + by]]) for record in records]
        at += by
        time = label = None
        if options.time:
            time = np.array([seconds(self._getters[at](record)) for record in records], np.float64)
            at += 1
        if options.label:
            label = np.array([truth(self._getters[at](record)) for record in records], np.float64)
        return Batch(lines, np.arange(n), X, keys, time, label, values=values.list())

    def _problems(self, X: np.ndarray, first_line: int) -> Values:
        values = Values()
        selection = self.selection
        gone = np.isnan(X)
        if not gone.any():
            if len(selection.met) < len(selection.columns):
                selection.met.update(selection.columns)
            return values
        missing = gone & np.signbit(X)
        selection.met.update(name for name, some in zip(selection.columns, ~missing.all(axis=0), strict=True) if some)
        order = []
        for kind, places in (("missing", missing), ("null", gone & ~missing)):
            count = int(np.count_nonzero(places))
            if count:
                i, j = divmod(int(np.argmax(places)), X.shape[1])
                order.append((i, j, kind, count))
        for i, j, kind, count in sorted(order):
            values.add(kind, first_line + i, selection.columns[j], said(kind, None), count)
        X[gone] = math.nan
        return values
