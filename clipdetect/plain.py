"""An estimator in plain Python: numbers in, a number out; the adapter sees to state, keys, fields and missing values.

>>> class Steps(PlainEstimator):
...     "How large the step from the last value is, in usual steps."
...
...     last = usual = 0.0
...
...     def score(self, x):
...         return (x - self.last) / self.usual if self.usual else None
...
...     def learn(self, x):
...         if self.count:
...             self.usual += (abs(x - self.last) - self.usual) / min(self.count, 50)
...         self.last = x
>>> from clipdetect import Detector
>>> found = Detector(Steps(), engine="python").step([[0.0], [1.0], [0.0], [1.0], [9.0]])
>>> found.raw.tolist()
[nan, nan, -1.0, 1.0, 8.0]
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from clipdetect.components import Estimator, Rows, Spec, State

UNREADABLE = 1e150  # larger values are missing ones
LARGEST = 1e300  # raw score


class PlainEstimator(Estimator):
    """One model a field, written for one number at a time. Subclass it with `score` and `learn`.

    What a model remembers are the class attributes that are numbers, or lists of numbers of a fixed length: they begin
    with the value they have in the class, and belong to the field and key at hand while a method runs; names in
    capitals are constants. `self.count` is how many values the model has learned. Of several fields the one farthest
    out counts.

    `score(x)` says how strange x is (by default signed, around 0; see `raw_kind`), or None for no opinion; what it
    changes is forgotten. `learn(x)` takes x in; where a number that is not finite comes of it, it has not happened.
    `expects()` may say the expected value and its usual deviation. All are called with readable numbers only.

    For trying out an idea, and for streams of some thousand records a second; a compiled kernel is many times as fast.

    Cost
    ----
    Some 10 us a field and record, in both engines.

    State
    -----
    What is remembered, and a count, per field.
    """

    def score(self, x: float) -> float | None:
        """How strange a number is."""
        raise NotImplementedError

    def learn(self, x: float) -> None:
        """Take a number in."""
        raise NotImplementedError

    def expects(self) -> tuple[float, float]:
        """The expected value and its usual deviation; NaN where there is none."""
        return math.nan, math.nan

    count: int

    @classmethod
    @functools.cache
    def memory(cls) -> Mapping[str, Any]:
        """What a model remembers, with the values it begins with. Raises TypeError for a name that is taken."""
        found: dict[str, Any] = {}
        for each in reversed(cls.__mro__[: cls.__mro__.index(PlainEstimator)]):
            for name, value in vars(each).items():
                numbers = value if isinstance(value, list) else [value]
                plain = bool(numbers) and all(type(number) in (int, float) for number in numbers)
                if plain and not name.startswith("__") and not name.isupper():
                    found[name] = value
        if "count" in found:
            raise TypeError(f"{cls.__name__}.count: the adapter counts the values that were learned; take another name")
        return found

    def state_spec(self, n_features: int) -> Spec:
        """Lists have their own axis before that of the fields."""
        spec: Spec = {"count": ((n_features,), np.int64)}
        for name, value in self.memory().items():
            first = value[0] if isinstance(value, list) and value else value
            kind = np.int64 if type(first) is int else np.float64
            spec[name] = ((len(value), n_features), kind) if isinstance(value, list) else ((n_features,), kind)
        return spec

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> tuple[np.ndarray, ...]:
        """raw (n,), expected, scale and share (n, d)."""
        n, d = rows.X.shape
        raw = np.full(n, np.nan)
        expected, scale, share = (np.full((n, d), np.nan) for _ in range(3))
        try:
            for i, (k, values) in enumerate(zip(slots.tolist(), rows.X.tolist(), strict=True)):
                learns = bool(rows.learn[i])
                if learns and rows.restart[i]:
                    state["count"][k] = 0
                found: dict[int, float] = {}
                for j, x in enumerate(values):
                    if not abs(x) < UNREADABLE:  # NaN too
                        continue
                    self._load(state, k, j)
                    expected[i, j], scale[i, j] = self.expects() if self.count else (math.nan, math.nan)
                    told = self.score(x)
                    if told is not None and not math.isnan(told):
                        found[j] = min(max(float(told), -LARGEST), LARGEST)
                    if learns:
                        self._load(state, k, j)
                        self.learn(x)
                        self._save(state, k, j)
                if found:
                    size = abs if self.raw_kind == "residual" else float
                    raw[i] = max(found.values(), key=size)
                    total = sum(abs(each) / d for each in found.values())
                    for j, each in found.items():
                        share[i, j] = abs(each) / d / total if total else 0.0
        finally:
            for name in (*self.memory(), "count"):
                vars(self).pop(name, None)
        return raw, expected, scale, share

    def _load(self, state: State, k: int, j: int) -> None:
        """Be the model of key k and field j."""
        self.count = int(state["count"][k, j])
        for name, first in self.memory().items():
            if self.count:
                setattr(self, name, state[name][k, ..., j].tolist())
            else:
                setattr(self, name, list(first) if isinstance(first, list) else first)

    def _save(self, state: State, k: int, j: int) -> None:
        """Keep what was learned, where all of it is finite."""
        learned = {name: np.asarray(getattr(self, name)) for name in self.memory()}
        for name, value in learned.items():
            own, what = state[name], f"{type(self).__name__}.{name}"
            if value.shape != own[k, ..., j].shape:
                raise ValueError(f"{what}: has another length than in the class: {value.size}")
            if not np.can_cast(value.dtype, own.dtype, "same_kind"):
                raise ValueError(f"{what}: begins as a whole number and became {value.tolist()!r}; begin with 0.0")
        if all(np.isfinite(value).all() for value in learned.values()):
            for name, value in learned.items():
                state[name][k, ..., j] = value
            state["count"][k, j] += 1
