"""Feature `flatline`: an alarm where a number has stopped changing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE, Feature, Input, RowArrays, Rows, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics.words import is_pattern, matching, whose

__all__ = ["Flatline"]

AGAIN = 10  # a run is told again when it is so many times as long


class FlatlineState(NamedTuple):
    """The arrays of all keys: axis 0 the key, axis 1 the field."""

    last: np.ndarray  # (K, m) last value
    run: np.ndarray  # (K, m) int64, length of its run, 0 = fresh


@kernel
def flatlines(rows: RowArrays, length: int, state: FlatlineState, out: np.ndarray) -> None:
    """Into out (n, m) the length of the run of equal values, where it is `length` times a power of ten; else NaN.

    A missing value of X (n, m) neither ends nor lengthens a run.
    """
    X, slots, learn = rows.X, rows.slots, rows.learn
    last, run = state.last, state.run
    for i in range(X.shape[0]):
        k = slots[i]
        for j in range(X.shape[1]):
            x = X[i, j]
            out[i, j] = math.nan
            if not abs(x) < UNREADABLE:
                continue
            so_far = run[k, j] + 1 if run[k, j] > 0 and x == last[k, j] else 1
            told = length
            while told < so_far:
                told *= AGAIN
            if told == so_far:
                out[i, j] = so_far
            if learn[i]:
                last[k, j] = x
                run[k, j] = so_far


class Flatline(Feature):
    """Flags the record at which a field has had the same value `length` times in a row.

    For measurements that always move a little: a stuck sensor, a cache that answers for a dead service. Once a run,
    and again when the run is 10, 100, ... times as long. Not for fields that are constant by nature: name others.

    Parameters
    ----------
    field : the field, or a shell-style pattern over the watched ones, each with its own run.
    length : equal values in a row, the first included, >= 2. [records]
    per : a field; runs of its values within the key.
    name : of the column, for a single field; `flatline(FIELD)` by default.

    Cost
    ----
    O(1) a field and record: compiled .01 us, interpreted .8 us.

    State
    -----
    2 numbers a field.
    """

    alarms = True
    scale_free = True
    state_class = FlatlineState

    def __init__(self, field: str = "*", length: int = 100, per: str = "", name: str = "") -> None:
        if not field:
            raise ValueError("field must name a field, or be a pattern such as *")
        if length < 2:
            raise ValueError(f"length must be at least 2 records, got {length}")
        self.field, self.length, self.per, self.name = field, length, per, name

    def inputs(self) -> list[Input]:
        return [Input(name, "number") for name in matching(self.field, self.fields)]

    def names(self) -> list[str]:
        fields, own = matching(self.field, self.fields), self.name or "flatline"
        return [self.name] if self.name and len(fields) == 1 else [f"{own}({each})" for each in fields]

    def state_spec(self, n_features: int) -> Spec:
        return {"last": ((n_features,), np.float64), "run": ((n_features,), np.int64)}

    def step(self, state: State, slots: np.ndarray, columns: Sequence[np.ndarray], rows: Rows) -> np.ndarray:
        out = np.full((len(slots), len(columns)), np.nan)
        if columns:
            block = rows.arrays(slots)._replace(X=np.stack(columns, axis=1))
            self.run(flatlines, len(slots), block, self.length, self.state_arrays(state), out)
        return out

    def watches(self) -> list[str]:
        return [self.field] if is_pattern(self.field) else []

    def say(self, column: int, value: float, expected: float, texts: Mapping[str, str]) -> str:
        field = self.inputs()[column].field
        held = f" at {texts[field]}" if field in texts else ""
        return f"{field}{whose(self.per, texts)} unchanged{held} for {value:,.0f} records"
