"""What a detector changes, kept so that it can go back: to undo a block, or the one record that raised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clipdetect.components import Rows
from clipdetect.derive import Place
from clipdetect.keys import Mark as TableMark
from clipdetect.parts import Parts
from clipdetect.plan import First

if TYPE_CHECKING:
    from clipdetect.detector import Detector

FEW_KEYS = 256  # up to here what a block changes is always kept until the next one; it costs next to nothing


class Mark(NamedTuple):
    """A moment of a detector: changes noted so far, its columns and its plan, and the marks of its key tables."""

    changes: int
    base: list[str]
    columns: list[str]
    parts: Parts
    first: First
    kept: Rows
    tables: dict[str, TableMark]


class Journal:
    """The changes of a detector since `begin`.

    keep_rows : whether the rows of the arrays are kept however many keys there are. Without it, and with more than
        `FEW_KEYS`, going back leaves learned what the rows since have taught; from then on they are kept.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.keep_rows = False
        self._changes: list[tuple[Any, ...]] | None = None

    def begin(self) -> None:
        """Note changes from here on."""
        self._changes = []
        for table in self.detector.tables().values():
            table.begin()

    def mark(self) -> Mark:
        """This moment, for `back`."""
        own = self.detector
        tables = {name: table.mark() for name, table in own.tables().items()}
        return Mark(len(self._changes or ()), own.base, own.columns, own.parts, own.first, own.kept, tables)

    def arrays(self) -> None:
        """The arrays are about to be made anew."""
        if self._changes is not None:
            own = self.detector
            self._changes.append(("arrays", own.state, own.shared, own.capacity, own.arrays_of))

    def rows(self, places: Mapping[str, Place]) -> None:
        """Rows of the arrays are about to change: those at `places`, by key table."""
        if self._changes is None:
            return
        own = self.detector
        if not self.keep_rows and sum(map(len, own.tables().values())) > FEW_KEYS:
            self._changes.append(("not kept",))
            return
        saved: list[tuple[str, Any, np.ndarray]] = []
        for table, names in own.arrays_of.items():
            slots = places[table].slots
            if len(slots) > 1:
                slots = np.unique(slots)
            every = own.capacity.get(table, 0) <= 2 * len(slots)
            for name in names:
                array = own.state[name]
                saved.append((name, slice(None), array.copy()) if every else (name, slots, array[slots]))
        self._changes.append(("rows", saved))
        if own.shared:
            self._changes.append(("shared", {name: array.copy() for name, array in own.shared.items()}))

    def back(self, mark: Mark) -> None:
        """Undo everything since a moment after the last `begin`."""
        own, changes = self.detector, self._changes or []
        while len(changes) > mark.changes:
            what, *old = changes.pop()
            if what == "rows":
                for name, slots, values in old[0]:
                    own.state[name][slots] = values
            elif what == "shared":
                for name, values in old[0].items():
                    own.shared[name][...] = values
            elif what == "arrays":
                own.state, own.shared, own.capacity, own.arrays_of = old
            else:
                self.keep_rows = True
        planned = own.parts is not mark.parts
        own.first, own.kept = mark.first, mark.kept
        if planned:
            own.take(mark.parts)
        for name, table in own.tables().items():
            table.back(mark.tables[name])
        if planned or own.columns != mark.columns or own.base != mark.base:
            own.base, own.columns = mark.base, mark.columns
            own.bind()
