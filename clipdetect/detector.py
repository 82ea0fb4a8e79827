"""Components for all keys: features, change-point detector, estimator and threshold over arrays.

The detector owns the state: one set of named arrays, first axis the key's slot. It gives each row
its slot, grows the arrays when keys or columns come, and calls each component once per block.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from clipdetect import arrays, registry
from clipdetect.components import (
    ChangePointDetector,
    Component,
    Estimator,
    Feature,
    Params,
    Rows,
    State,
    Threshold,
    child_state,
)
from clipdetect.derive import Derivation, Inputs, Place
from clipdetect.errors import FieldsError
from clipdetect.jit import Engine, EngineName
from clipdetect.keys import KeyTable
from clipdetect.keys import Mark as TableMark
from clipdetect.numerics.gates import carry, correct, gate
from clipdetect.scored import Scored, joined

BLOCK = 8192  # rows a kernel call handles at most; bounds the slots that wait to be given out again
WIDE = 1 << 19  # numbers likewise, so that many fields take no more memory
FEW_KEYS = 256  # up to here what a block changes is always kept until the next one; it costs next to nothing

C = TypeVar("C", bound=Component)


class Mark(NamedTuple):
    """A moment of a detector: changes in its journal so far, its columns, and the marks of its key tables."""

    changes: int
    base: list[str]
    columns: list[str]
    tables: dict[str, TableMark]


class Detector:
    """Scores rows of numbers, one model per key, and learns from each after scoring it.

    Parameters
    ----------
    estimator, threshold, changepoint, features : a name, `name:param=value,...`, a mapping as in the
        YAML file, or an instance; `changepoint` may be None.
    hidden : names or patterns of derived columns that only other features take.
    fields : names of the columns; found from the first rows (`c1`, `c2`, ...) if None.
    rate : wanted share of flagged records on clean data, in (0, 1).
    warmup : raw scores a key must have given before it is scored, >= 8.
    max_keys : live keys at most; the least recently used one is evicted.
    rebase : a declared change point restarts the key's estimator.
    labelled : `step` will be given labels. feedback : they move the limit of their key.
    bands : also compute low and high.
    seed : of every random choice.
    engine : `auto`, `python` or `numba`; the result is the same.

    Raises ValueError on bad parameters. Memory: the components' arrays for the live keys.
    """

    def __init__(
        self,
        estimator: Any = "level",
        threshold: Any = "tail",
        *,
        changepoint: Any = None,
        features: Sequence[Any] = (),
        hidden: Sequence[str] = (),
        fields: Sequence[str] | None = None,
        rate: float = 0.001,
        warmup: int = 32,
        max_keys: int = 100_000,
        rebase: bool = False,
        labelled: bool = False,
        feedback: bool = False,
        bands: bool = False,
        seed: int = 0,
        engine: EngineName | Engine = "auto",
    ) -> None:
        if not 0.0 < rate < 1.0:
            raise ValueError(f"rate must be between 0 and 1, got {rate}")
        if warmup < 8:
            raise ValueError(f"warmup must be at least 8, got {warmup}")
        self.engine = engine if isinstance(engine, Engine) else Engine(engine)
        self.estimator = _component("estimator", estimator, Estimator)
        self.threshold = _component("threshold", threshold, Threshold)
        self.changepoint = None if changepoint is None else _component("changepoint", changepoint, ChangePointDetector)
        self.features = Derivation([_component("feature", each, Feature) for each in features], max_keys, hidden)
        self.params = Params(self.engine, float(rate), int(warmup), self.estimator.raw_kind, labelled=labelled)
        self.params.steady = self.estimator.steady
        self.rebase, self.bands, self.seed, self.feedback = rebase, bands, seed, feedback and self.threshold.calibrated
        self.keys = KeyTable(max_keys)
        self.base: list[str] = []  # columns that the caller hands in
        self.columns: list[str] = []  # those watched and the derived ones, in order of appearance
        self.state: State = {}
        self.shared: State = {}
        self.capacity: dict[str, int] = {}  # rows of the arrays, by table: "" is the model's
        self._arrays: dict[str, list[str]] = {}  # names of the arrays, by table
        self._viewed: State | None = None
        self._views: dict[str, State] = {}
        self.paces_engine = True  # whether it starts the compiler itself, when that pays
        self.keep_rows = False  # whether the journal has what a block changes, however many keys there are
        self._journal: list[tuple[Any, ...]] | None = None
        self._fields_given = fields is not None
        for component in self.stages().values():
            component.check(self.params)
        if fields is not None:
            self.open_columns(fields)

    def stages(self) -> dict[str, Component]:
        """Every component by the prefix of its arrays."""
        stages: dict[str, Component] = dict(self.features.stages())
        if self.changepoint is not None:
            stages["changepoint"] = self.changepoint
        return {**stages, "estimator": self.estimator, "threshold": self.threshold}

    def tables(self) -> dict[str, KeyTable]:
        """Every key table by name: "" is the model's, the others belong to features."""
        return {"": self.keys, **self.features.tables}

    def table_of(self, array: str) -> str:
        """The table whose slots are the rows of an array."""
        stage = self.features.stages().get(array.partition("/")[0])
        return "" if stage is None else stage.per

    def news(self) -> list[str]:
        """What components have to tell people of what has happened so far."""
        return [text for prefix, component in self.stages().items() for text in component.news(self._view(prefix))]

    def lacks(self) -> list[str]:
        """What components still need from the fields seen so far, a message each."""
        found = [(prefix, component.lacks()) for prefix, component in self.stages().items()]
        return [f"{prefix}: {text}" for prefix, text in found if text]

    # -- columns and rows of the state --------------------------------------------------------

    def open_columns(self, fields: Sequence[str]) -> None:
        """Add columns; `fields` starts with those that are open already."""
        if list(fields[: len(self.base)]) != self.base:
            raise ValueError(f"columns can only be added: have {self.base}, got {list(fields)}")
        self.base = list(fields)
        self._bind()
        self.resize({})

    def _bind(self) -> None:
        """Tell every component the columns."""
        self.features.bind(self.base, self.params)
        for name in self.features.watched + self.features.derived:
            if name not in self.columns:
                self.columns = [*self.columns, name]
        self.params.decades = self.features.decades()
        for prefix, component in self.stages().items():
            if not prefix.startswith("feature"):
                _bind(component, self.columns, self.params)

    def resize(self, capacity: dict[str, int]) -> None:
        """Arrays for `capacity` keys a table and the open columns; what was there keeps its place."""
        if self._journal is not None:
            self._journal.append(("arrays", self.state, self.shared, self.capacity))
        self.capacity = {**self.capacity, **capacity}
        spec, shared_spec = arrays.specs(self)
        tables, state = self.tables(), {}
        for name, (shape, dtype) in spec.items():
            table = self.table_of(name)
            rows = self.capacity.get(table, 0)
            used = min(rows, tables[table].capacity)
            state[name] = _padded(self.state.get(name), (rows, *shape), dtype, used)
        self.state = state
        self._arrays = {table: [name for name in state if self.table_of(name) == table] for table in tables}
        self.shared = {
            name: _padded(self.shared.get(name), shape, dtype, shape[0] if shape else 0)
            for name, (shape, dtype) in shared_spec.items()
        }

    def _view(self, prefix: str) -> State:
        """A stage's arrays under its own names; remembered until the arrays are made anew."""
        if self._viewed is not self.state:
            self._viewed, self._views = self.state, {}
        if prefix not in self._views:
            self._views[prefix] = {**child_state(self.state, prefix), **child_state(self.shared, prefix)}
        return self._views[prefix]

    # -- scoring ------------------------------------------------------------------------------

    def step(
        self,
        X: Any,
        keys: Sequence[str] | None = None,
        *,
        time: np.ndarray | None = None,
        label: np.ndarray | None = None,
        learn: np.ndarray | bool = True,
        widen: np.ndarray | None = None,
        opened: Sequence[tuple[int, int]] = (),
        fields: Sequence[str] | None = None,
        numbers: Mapping[str, np.ndarray] | None = None,
        categories: Mapping[str, np.ndarray] | None = None,
    ) -> Scored:
        """Score n rows in order, learning from each after it is scored.

        X : (n, d) or (n,) float64, NaN missing. keys : (n,) text or None. time, label : (n,) or None.
        learn : bool or (n,) bool. widen : (n,) by what raw scores are divided before they are judged, or None.
        opened : [(row, columns open from this row on)] with `fields` the
        names of all columns at the end of the block. numbers, categories : what features take, by field:
        (n,) float64, NaN missing, and (n,) int64 of `numerics.hashing.category`, -1 missing.
        """
        X = np.asarray(X, dtype=np.float64)
        X = X[:, None] if X.ndim == 1 else X
        n = len(X)
        if not self._fields_given and not self.base and fields is None:
            fields = [f"c{j + 1}" for j in range(X.shape[1])]
        names = list(fields) if fields is not None else self.base
        if not self.state:  # features alone need no column to be opened
            self.open_columns(self.base)
        if X.shape[1] != len(names):
            raise ValueError(f"X has {X.shape[1]} columns, the detector {len(names)}: {', '.join(names)}")
        if keys is not None and len(keys) != n:
            raise ValueError(f"{n} rows but {len(keys)} keys")
        rows = Rows(
            X,
            _column(time, n, np.nan),
            _column(label, n, np.nan),
            np.array(np.broadcast_to(learn, n), dtype=bool),
            np.zeros(n, bool),
            None if widen is None else np.array(widen, np.float64),
        )
        if not opened and len(names) > len(self.base):
            opened = [(0, len(names))]
        inputs = Inputs(
            {name: np.array(each, np.float64) for name, each in (numbers or {}).items()},
            {name: np.array(each, np.int64) for name, each in (categories or {}).items()},
        )
        parts, start = [], 0
        for stop, columns in [*opened, (n, len(names))]:
            size = min(BLOCK, WIDE // max(columns, 1) + 1)
            for at in range(start, stop, size):
                end = min(at + size, stop)
                part = rows.part(at, end, len(self.base))
                own = None if keys is None else keys[at:end]
                parts.append(self._block(part, own, inputs.part(at, end)))
                if self.paces_engine:
                    self.engine.between_blocks(waiting=True, saturated=end < n)
            start = stop
            if columns > len(self.base):
                self.open_columns(names[:columns])
        return parts[0] if len(parts) == 1 else joined(parts, len(self.columns))

    def _block(self, rows: Rows, keys: Sequence[str] | None, inputs: Inputs) -> Scored:
        slots, fresh = self.keys.assign(keys, len(rows.X))
        places = self.features.places(slots, fresh, keys, inputs)
        self._make_room(places, keys is not None)
        alarms = self._derive(places, rows, inputs)
        changed = since = None
        if self.changepoint is not None:
            changed, since = self.changepoint.step(self._view("changepoint"), slots, rows)
            if self.rebase:
                self.engine.call(carry, len(slots), slots, changed, rows.learn, self.state["pending"], rows.restart)
        if not self.bands:
            scored = self._score(slots, rows)
        else:  # limits move with every record, so each is asked for just before its record is learned
            scored = joined([self._banded(slots, rows, i) for i in range(len(slots))], len(self.columns))
        scored.changed, scored.since, scored.alarms = changed, since, alarms
        return scored

    def _make_room(self, places: Mapping[str, Place], keyed: bool) -> None:
        """Rows of the arrays for every slot of a block; fresh ones are reset."""
        wanted = {}
        for name, table in self.tables().items():
            have = self.capacity.get(name, 0)
            if table.capacity > have:  # grow in leaps, so that copying stays a small share
                wanted[name] = max(table.capacity, 4 * have if keyed or name else 1)
        if wanted:
            self.resize(wanted)
        self._save_rows(places)
        for name, place in places.items():
            if place.fresh:
                self._reset(name, place.fresh)

    def _score(self, slots: np.ndarray, rows: Rows) -> Scored:
        raw, expected, scale, *share = self.estimator.step(self._view("estimator"), slots, rows)
        judged = raw if rows.widen is None else raw / rows.widen
        score, flag = self.threshold.step(self._view("threshold"), slots, self.threshold.prepared(judged), rows)
        n = len(slots)
        self.engine.call(gate, n, slots, raw, rows.learn, self.params.warmup, self.state["given"], score, flag)
        limit, moved = -math.log10(self.params.rate), self.state["moved"]
        self.engine.call(correct, n, slots, rows.label, rows.learn, self.feedback, limit, moved, score, flag)
        return Scored(score, flag, raw, rows.X, expected, scale, *share)

    def _banded(self, slots: np.ndarray, rows: Rows, i: int) -> Scored:
        row, slot = rows.part(i, i + 1, rows.X.shape[1]), slots[i : i + 1].copy()
        low, high = self.threshold.limits(self._view("threshold"), slot)
        if self.state["given"][slot[0]] < self.params.warmup:
            low, high = np.full(1, np.nan), np.full(1, np.nan)
        low, high = self.estimator.multiples(self._view("estimator"), slot, low, high)
        if row.widen is not None:
            low, high = low * row.widen, high * row.widen
        scored = self._score(slot, row)
        scored.low = scored.expected + low[:, None] * scored.scale
        scored.high = scored.expected + high[:, None] * scored.scale
        return scored

    def _derive(self, places: Mapping[str, Place], rows: Rows, inputs: Inputs) -> np.ndarray | None:
        """Put all columns into `rows.X`, in their places; returns those of features that flag by themselves."""
        if not self.features.features and self.columns == self.base:  # else some are texts that nothing takes
            return None
        place = {name: j for j, name in enumerate(self.columns)}
        full = np.full((len(rows.X), len(self.columns)), np.nan)
        watched = set(self.features.watched)
        for j, name in enumerate(self.base):
            if name in watched:
                full[:, place[name]] = rows.X[:, j]
        alarms = np.full((len(rows.X), len(self.features.alarms)), np.nan)
        views = {prefix: self._view(prefix) for prefix in self.features.stages()}
        for each, made in self.features.step(views, places, rows, inputs):
            for column, name in enumerate(each.names()):
                if each.alarms:
                    alarms[:, self.features.alarms.index(name)] = made[:, column]
                elif name in place:
                    full[:, place[name]] = made[:, column]
        rows.X = full
        return alarms if any(each.alarms for each in self.features.features) else None

    def _reset(self, table: str, fresh: Sequence[int]) -> None:
        slots = np.array(fresh, np.int64)
        for name, array in self.state.items():
            if self.table_of(name) == table:
                array[slots] = 0
        texts = self.tables()[table].text
        for prefix, component in self.stages().items():
            if self.table_of(prefix) == table:
                seeds = np.array([_seed(self.seed, prefix, texts[slot]) for slot in fresh], np.int64)
                component.reset(self._view(prefix), slots, seeds)

    # -- going back, saving -------------------------------------------------------------------

    def begin(self) -> None:
        """Remember from here on what changes, so that `back` can undo it."""
        self._journal = []
        for table in self.tables().values():
            table.begin()

    def mark(self) -> Mark:
        """This moment, for `back`; after `begin`."""
        tables = {name: table.mark() for name, table in self.tables().items()}
        return Mark(len(self._journal or ()), self.base, self.columns, tables)

    def back(self, mark: Mark) -> None:
        """Go back to a moment since the last `begin`.

        With more than `FEW_KEYS` keys the rows of the arrays are only kept with `keep_rows`; without it what the
        rows since have taught stays learned, and from now on they are kept.
        """
        journal = self._journal or []
        while len(journal) > mark.changes:
            what, *old = journal.pop()
            if what == "rows":
                for name, slots, values in old[0]:
                    self.state[name][slots] = values
            elif what == "shared":
                for name, values in old[0].items():
                    self.shared[name][...] = values
            elif what == "arrays":
                self.state, self.shared, self.capacity = old
            else:
                self.keep_rows = True
        for name, table in self.tables().items():
            table.back(mark.tables[name])
        if self.columns != mark.columns or self.base != mark.base:
            self.base, self.columns = mark.base, mark.columns
            self._bind()

    def _save_rows(self, places: Mapping[str, Place]) -> None:
        """Put the rows that a block is about to change into the journal."""
        if self._journal is None:
            return
        if not self.keep_rows and sum(map(len, self.tables().values())) > FEW_KEYS:
            self._journal.append(("not kept",))
            return
        saved: list[tuple[str, Any, np.ndarray]] = []
        for table, names in self._arrays.items():
            slots = places[table].slots
            if len(slots) > 1:
                slots = np.unique(slots)
            every = self.capacity.get(table, 0) <= 2 * len(slots)
            for name in names:
                array = self.state[name]
                saved.append((name, slice(None), array.copy()) if every else (name, slots, array[slots]))
        self._journal.append(("rows", saved))
        if self.shared:
            self._journal.append(("shared", {name: array.copy() for name, array in self.shared.items()}))

    @property
    def nbytes(self) -> int:
        """Size of the state of the live keys. [bytes]"""
        tables = self.tables()
        return sum(
            array.nbytes // max(len(array), 1) * len(tables[self.table_of(name)]) for name, array in self.state.items()
        )

    @property
    def evicted(self) -> int:
        """Keys and entities that were dropped to make room."""
        return sum(table.evicted for table in self.tables().values())

    def dump(self) -> tuple[dict[str, Any], list[str], dict[str, np.ndarray]]:
        """Everything to save: a JSON-able head, the key texts (least recently used first), the arrays."""
        if not self.state:
            self.open_columns(self.base)
        return arrays.dump(self)

    def load(self, head: dict[str, Any], texts: Sequence[str], saved: dict[str, np.ndarray]) -> None:
        """Continue from a `dump`; of more keys than `max_keys`, the most recently used are kept.

        Raises ValueError where the arrays are not those of these components.
        """
        arrays.load(self, head, texts, saved)


def _component(kind: str, spec: Any, base: type[C]) -> C:
    component = spec if isinstance(spec, Component) else registry.build(kind, spec)
    if not isinstance(component, base):
        raise ValueError(f"{type(component).__name__} is no {kind}")
    return component


def _bind(component: Component, columns: Sequence[str], params: Params) -> None:
    try:
        component.bind(columns, params)
    except ValueError as error:
        raise FieldsError(str(error)) from error


def _padded(old: np.ndarray | None, shape: tuple[int, ...], dtype: Any, used: int) -> np.ndarray:
    """Zeros of `shape` with `old` in the leading corner, its first `used` rows."""
    if old is not None and old.shape == shape:
        return old
    new = np.zeros(shape, dtype)
    if old is not None:
        corner = tuple(slice(0, min(a, b)) for a, b in zip(old.shape, shape, strict=True))
        corner = (slice(0, min(used, old.shape[0])), *corner[1:])
        new[corner] = old[corner]
    return new


def _column(values: np.ndarray | None, n: int, missing: float) -> np.ndarray:
    if values is None:
        return np.full(n, missing)
    return np.array(values, dtype=np.float64)


def _seed(seed: int, component: str, key: str) -> int:
    text = f"{seed}\0{component}\0{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little") & 0x7FFFFFFF
