"""Components for all keys: features, change-point detector, estimator and threshold over arrays.

The detector owns the state: one set of named arrays, first axis the key's slot. It gives each row
its slot, grows the arrays when keys or columns come, and calls each component once per block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from clipdetect import registry
from clipdetect.components import (
    ChangePointDetector,
    Component,
    Estimator,
    Feature,
    Params,
    Rows,
    Spec,
    State,
    Threshold,
    child_state,
    full_spec,
)
from clipdetect.jit import Engine, EngineName
from clipdetect.keys import KeyTable
from clipdetect.numerics.gates import carry, gate

BLOCK = 8192  # rows a kernel call handles at most; bounds the slots that wait to be given out again

C = TypeVar("C", bound=Component)


@dataclass(slots=True)
class Scored:
    """What n rows got. All arrays are (n,) or (n, d), d the number of columns.

    score : -log10 of the calibrated probability, rounded to 6 significant digits; NaN = none.
    flag : int8, 0 clear, 1 flagged, 2 abstained.
    raw : the estimator's raw score, NaN = no opinion.
    X, expected, scale : (n, d) values with derived columns, expectation and scale before learning; NaN = none.
    low, high : (n, d) band edges per column, or None unless asked for.
    changed, since : change points, or None without a detector of them.
    """

    score: np.ndarray
    flag: np.ndarray
    raw: np.ndarray
    X: np.ndarray
    expected: np.ndarray
    scale: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    changed: np.ndarray | None = None
    since: np.ndarray | None = None


class Detector:
    """Scores rows of numbers, one model per key, and learns from each after scoring it.

    Parameters
    ----------
    estimator, threshold, changepoint, features : a name, `name:param=value,...`, a mapping as in the
        YAML file, or an instance; `changepoint` may be None.
    fields : names of the columns; found from the first rows (`c1`, `c2`, ...) if None.
    rate : wanted share of flagged records on clean data, in (0, 1).
    warmup : raw scores a key must have given before it is scored, >= 8.
    max_keys : live keys at most; the least recently used one is evicted.
    rebase : a declared change point restarts the key's estimator.
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
        fields: Sequence[str] | None = None,
        rate: float = 0.001,
        warmup: int = 32,
        max_keys: int = 100_000,
        rebase: bool = False,
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
        self.features = [_component("feature", each, Feature) for each in features]
        self.params = Params(self.engine, float(rate), int(warmup), self.estimator.raw_kind)
        self.rebase, self.bands, self.seed = rebase, bands, seed
        self.keys = KeyTable(max_keys)
        self.base: list[str] = []  # columns that the caller hands in
        self.columns: list[str] = []  # those and the derived ones, in order of appearance
        self.state: State = {}
        self.shared: State = {}
        self.capacity = 0
        self._viewed: State | None = None
        self._views: dict[str, State] = {}
        self.paces_engine = True  # whether it starts the compiler itself, when that pays
        self._journal: list[tuple[Any, ...]] | None = None
        self._fields_given = fields is not None
        if fields is not None:
            self.open_columns(fields)

    def stages(self) -> dict[str, Component]:
        """Every component by the prefix of its arrays."""
        stages: dict[str, Component] = {f"feature{i}": each for i, each in enumerate(self.features)}
        if self.changepoint is not None:
            stages["changepoint"] = self.changepoint
        return {**stages, "estimator": self.estimator, "threshold": self.threshold}

    # -- columns and rows of the state --------------------------------------------------------

    def open_columns(self, fields: Sequence[str]) -> None:
        """Add columns; `fields` starts with those that are open already."""
        if list(fields[: len(self.base)]) != self.base:
            raise ValueError(f"columns can only be added: have {self.base}, got {list(fields)}")
        self.base = list(fields)
        for name in self.base + [name for each in self.features for name in each.names(self.base)]:
            if name not in self.columns:
                self.columns = [*self.columns, name]
        for prefix, component in self.stages().items():
            component.bind(self.base if prefix.startswith("feature") else self.columns, self.params)
        self._resize(self.capacity)

    def _resize(self, capacity: int) -> None:
        """Arrays for `capacity` keys and the open columns; what was there keeps its place."""
        if self._journal is not None:
            self._journal.append(("arrays", self.state, self.shared, self.capacity))
        spec: Spec = {"given": ((), np.int64), "pending": ((), np.int64)}
        shared_spec: Spec = {}
        for prefix, component in self.stages().items():
            d = len(self.base if prefix.startswith("feature") else self.columns)
            spec.update({f"{prefix}/{name}": each for name, each in full_spec(component, d).items()})
            shared_spec.update({f"{prefix}/{name}": each for name, each in full_spec(component, d, True).items()})
        used = min(capacity, self.keys.capacity)
        self.state = {
            name: _padded(self.state.get(name), (capacity, *shape), dtype, used)
            for name, (shape, dtype) in spec.items()
        }
        self.shared = {
            name: _padded(self.shared.get(name), shape, dtype, shape[0] if shape else 0)
            for name, (shape, dtype) in shared_spec.items()
        }
        self.capacity = capacity

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
        opened: Sequence[tuple[int, int]] = (),
        fields: Sequence[str] | None = None,
    ) -> Scored:
        """Score n rows in order, learning from each after it is scored.

        X : (n, d) or (n,) float64, NaN missing. keys : (n,) text or None. time, label : (n,) or None.
        learn : bool or (n,) bool. opened : [(row, columns open from this row on)] with `fields` the
        names of all columns at the end of the block.
        """
        X = np.asarray(X, dtype=np.float64)
        X = X[:, None] if X.ndim == 1 else X
        n = len(X)
        if not self._fields_given and not self.base and fields is None:
            fields = [f"c{j + 1}" for j in range(X.shape[1])]
        names = list(fields) if fields is not None else self.base
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
        )
        if not opened and len(names) > len(self.base):
            opened = [(0, len(names))]
        parts, start = [], 0
        for stop, columns in [*opened, (n, len(names))]:
            for at in range(start, stop, BLOCK):
                end = min(at + BLOCK, stop)
                part = rows.part(at, end, len(self.base))
                parts.append(self._block(part, None if keys is None else keys[at:end]))
                if self.paces_engine:
                    self.engine.between_blocks(waiting=True, saturated=end < n)
            start = stop
            if columns > len(self.base):
                self.open_columns(names[:columns])
        return parts[0] if len(parts) == 1 else _joined(parts, len(self.columns))

    def _block(self, rows: Rows, keys: Sequence[str] | None) -> Scored:
        slots, fresh = self.keys.assign(keys, len(rows.X))
        if self.keys.capacity > self.capacity:  # grow in leaps, so that copying stays a small share
            self._resize(max(self.keys.capacity, 4 * self.capacity) if keys is not None else 1)
        self._save_rows(slots)
        if fresh:
            self._reset(fresh)
        rows.X = self._derive(slots, rows)
        changed = since = None
        if self.changepoint is not None:
            changed, since = self.changepoint.step(self._view("changepoint"), slots, rows)
            if self.rebase:
                self.engine.call(carry, len(slots), slots, changed, rows.learn, self.state["pending"], rows.restart)
        if not self.bands:
            scored = self._score(slots, rows)
        else:  # limits move with every record, so each is asked for just before its record is learned
            scored = _joined([self._banded(slots, rows, i) for i in range(len(slots))], len(self.columns))
        scored.changed, scored.since = changed, since
        return scored

    def _score(self, slots: np.ndarray, rows: Rows) -> Scored:
        raw, expected, scale = self.estimator.step(self._view("estimator"), slots, rows)
        score, flag = self.threshold.step(self._view("threshold"), slots, self.threshold.prepared(raw), rows)
        self.engine.call(gate, len(slots), slots, raw, rows.learn, self.params.warmup, self.state["given"], score, flag)
        return Scored(score, flag, raw, rows.X, expected, scale)

    def _banded(self, slots: np.ndarray, rows: Rows, i: int) -> Scored:
        row, slot = rows.part(i, i + 1, rows.X.shape[1]), slots[i : i + 1].copy()
        low, high = self.threshold.limits(self._view("threshold"), slot)
        if self.state["given"][slot[0]] < self.params.warmup:
            low, high = np.full(1, np.nan), np.full(1, np.nan)
        low, high = self.estimator.multiples(self._view("estimator"), slot, low, high)
        scored = self._score(slot, row)
        scored.low = scored.expected + low[:, None] * scored.scale
        scored.high = scored.expected + high[:, None] * scored.scale
        return scored

    def _derive(self, slots: np.ndarray, rows: Rows) -> np.ndarray:
        """(n, d) of all columns in their places; the caller's own where there are no features."""
        if not self.features:
            return rows.X
        n, place = len(slots), {name: j for j, name in enumerate(self.columns)}
        full = np.full((n, len(self.columns)), np.nan)
        full[:, [place[name] for name in self.base]] = rows.X
        columns = [np.ascontiguousarray(rows.X[:, j]) for j in range(rows.X.shape[1])]
        for i, each in enumerate(self.features):
            made = each.step(self._view(f"feature{i}"), slots, columns, rows)
            full[:, [place[name] for name in each.names(self.base)]] = made
        return full

    def _reset(self, fresh: Sequence[int]) -> None:
        slots = np.array(fresh, np.int64)
        for array in self.state.values():
            array[slots] = 0
        for prefix, component in self.stages().items():
            seeds = np.array([_seed(self.seed, prefix, self.keys.text[slot]) for slot in fresh], np.int64)
            component.reset(self._view(prefix), slots, seeds)

    # -- going back, saving -------------------------------------------------------------------

    def begin(self) -> None:
        """Remember from here on what changes, so that `undo` can go back to this moment."""
        self._journal = [("columns", self.base, self.columns)]
        self.keys.begin()

    def _save_rows(self, slots: np.ndarray) -> None:
        if self._journal is not None:
            touched = np.unique(slots)
            self._journal.append(("rows", touched, {name: array[touched] for name, array in self.state.items()}))
            self._journal.append(("shared", {name: array.copy() for name, array in self.shared.items()}))

    def undo(self) -> None:
        """Go back to the last `begin`."""
        for what, *old in reversed(self._journal or []):
            if what == "rows":
                for name, values in old[1].items():
                    self.state[name][old[0]] = values
            elif what == "shared":
                for name, values in old[0].items():
                    self.shared[name][...] = values
            elif what == "arrays":
                self.state, self.shared, self.capacity = old
            else:
                self.base, self.columns = old
        self._journal = None
        self.keys.undo()

    @property
    def nbytes(self) -> int:
        """Size of the state of the live keys. [bytes]"""
        rows = max(self.capacity, 1)
        return sum(array.nbytes for array in self.state.values()) // rows * len(self.keys)

    def dump(self) -> tuple[dict[str, Any], list[str], dict[str, np.ndarray]]:
        """Everything to save: a JSON-able head, the key texts (least recently used first), the arrays."""
        texts, slots = self.keys.in_order()
        arrays = {f"key/{name}": array[slots] for name, array in self.state.items()}
        arrays.update({f"shared/{name}": array for name, array in self.shared.items()})
        return {"columns": self.columns, "base": self.base, "evicted": self.keys.evicted}, texts, arrays

    def load(self, head: dict[str, Any], texts: Sequence[str], arrays: dict[str, np.ndarray]) -> None:
        """Continue from a `dump`; of more keys than `max_keys`, the most recently used are kept.

        Raises ValueError where the arrays are not those of these components.
        """
        surplus = max(0, len(texts) - self.keys.max_keys)
        self.base, self.columns = [], list(head["columns"])
        self.keys.fill(texts[surplus:], head["evicted"] + surplus)
        self.state, self.shared, self.capacity = {}, {}, 0
        self.open_columns(head["base"])
        self._resize(len(self.keys))
        for group, own, skip in (("key", self.state, surplus), ("shared", self.shared, 0)):
            saved = {name[len(group) + 1 :]: array for name, array in arrays.items() if name.startswith(group + "/")}
            shapes = {name: (array.shape, array.dtype) for name, array in own.items()}
            if {name: (array[skip:].shape, array.dtype) for name, array in saved.items()} != shapes:
                raise ValueError("its arrays are not those of the components named")
            for name, array in saved.items():
                own[name][...] = array[skip:]


def _component(kind: str, spec: Any, base: type[C]) -> C:
    component = spec if isinstance(spec, Component) else registry.build(kind, spec)
    if not isinstance(component, base):
        raise ValueError(f"{type(component).__name__} is no {kind}")
    return component


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


def _joined(parts: list[Scored], d: int) -> Scored:
    """One result of several; columns that were not open yet are NaN."""

    def join(name: str) -> Any:
        arrays = [getattr(part, name) for part in parts]
        if not arrays or any(array is None for array in arrays):
            return None
        if arrays[0].ndim == 2 and any(a.shape[1] < d for a in arrays):
            arrays = [np.pad(a, ((0, 0), (0, d - a.shape[1])), constant_values=np.nan) for a in arrays]
        return np.concatenate(arrays)

    if not parts:
        nothing = np.empty((0, d))
        return Scored(np.empty(0), np.empty(0, np.int8), np.empty(0), nothing, nothing, nothing)
    return Scored(*[join(name) for name in Scored.__slots__])
