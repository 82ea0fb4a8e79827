"""Feature `diff`: how much a field changed since the key's last record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE, Feature, Input, RowArrays, Rows, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics.clock import LATEST
from clipdetect.numerics.words import is_pattern, matching, number, rough, times, whose

__all__ = ["Diff"]


class DiffState(NamedTuple):
    """The arrays of all keys: axis 0 the key, axis 1 the field."""

    last: np.ndarray  # (K, m) last value
    at: np.ndarray  # (K, m) its time [s]
    seen: np.ndarray  # (K, m) int64, 1 where there is one


class DiffParameters(NamedTuple):
    """The settings."""

    per_second: bool  # divide by the seconds since then
    counter: bool  # a decrease is a new start


@kernel
def differences(rows: RowArrays, parameters: DiffParameters, state: DiffState, out: np.ndarray) -> None:
    """Into out (n, m) each value of X (n, m) minus the key's last one, per second where asked for.

    A value at the same time as the last is skipped, an older one only replaces it.
    """
    X, time, slots, learn = rows.X, rows.time, rows.slots, rows.learn
    per_second, counter = parameters.per_second, parameters.counter
    last, at, seen = state.last, state.at, state.seen
    for i in range(X.shape[0]):
        k = slots[i]
        now = time[i] if per_second else 0.0
        for j in range(X.shape[1]):
            x = X[i, j]
            out[i, j] = math.nan
            if not (abs(x) < UNREADABLE and abs(now) < LATEST):
                continue
            gone = now - at[k, j]
            if seen[k, j] != 0:
                if per_second and gone == 0.0:
                    continue
                change = x - last[k, j]
                if (not counter or change >= 0.0) and gone >= 0.0:
                    out[i, j] = change / gone if per_second else change
            if learn[i]:
                last[k, j] = x
                at[k, j] = now
                seen[k, j] = 1


class Diff(Feature):
    """Change of a field since the key's last record that had it, optionally per second; takes the field's place.

    For counters (`counter=true,per_second=true` makes rates of them), levels that wander, and sums. Noise is
    doubled where the level is steady: watch the field itself there.

    Parameters
    ----------
    field : the field, or a shell-style pattern over the watched ones.
    per_second : divide by the seconds since then; needs times. Records at the same time as the last are
        skipped and their change is in the next one; after a step back in time one record is skipped.
    counter : a decrease is a counter that started anew: no value, instead of a large negative one.
    keep : watch the field itself too.
    per : a field; keep apart by its values within the key.
    name : of the column, for a single field; `diff(FIELD)` by default.

    Cost
    ----
    O(1) a field and record: compiled .01 us, interpreted .8 us.

    State
    -----
    3 numbers a field.
    """

    state_class = DiffState

    def __init__(
        self,
        field: str = "*",
        per_second: bool = False,
        counter: bool = False,
        keep: bool = False,
        per: str = "",
        name: str = "",
    ) -> None:
        if not field:
            raise ValueError("field must name a field, or be a pattern such as *")
        self.field, self.per_second, self.counter = field, per_second, counter
        self.keep, self.per, self.name = keep, per, name
        self.replaces = not keep
        self.timed = per_second  # here it depends on a parameter

    def inputs(self) -> list[Input]:
        return [Input(name, "number") for name in matching(self.field, self.fields)]

    def names(self) -> list[str]:
        fields = matching(self.field, self.fields)
        return [self.name] if self.name and len(fields) == 1 else [f"{self.name or 'diff'}({each})" for each in fields]

    def state_spec(self, n_features: int) -> Spec:
        m = n_features
        return {"last": ((m,), np.float64), "at": ((m,), np.float64), "seen": ((m,), np.int64)}

    def step(self, state: State, slots: np.ndarray, columns: Sequence[np.ndarray], rows: Rows) -> np.ndarray:
        out = np.full((len(slots), len(columns)), np.nan)
        if columns:
            block = rows.arrays(slots)._replace(X=np.stack(columns, axis=1))
            parameters = DiffParameters(self.per_second, self.counter)
            self.run(differences, len(slots), block, parameters, self.state_arrays(state), out)
        return out

    def watches(self) -> list[str]:
        return [self.field] if self.keep or is_pattern(self.field) else []

    def say(self, column: int, value: float, expected: float, texts: Mapping[str, str]) -> str:
        sign = "" if value < 0.0 or (self.counter and not value < 0.0) else "+"
        since = " a second" if self.per_second else " since the last record"
        usual = ""
        if not math.isnan(expected):
            before = "+" if sign and expected > 0.0 else ""
            usual = f", usually {before}{rough(expected)}{times(value, expected)}"
        return f"{self.inputs()[column].field} {sign}{number(value)}{since}{whose(self.per, texts)}{usual}"
