"""Feature `log`: the logarithm of a field, zero and negatives included."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from clipdetect.components import Feature, Input, Rows, State
from clipdetect.jit import kernel
from clipdetect.numerics.clock import signed_log, unlog
from clipdetect.numerics.words import is_pattern, matching, number, usually

__all__ = ["Log"]


@kernel
def logs(X: np.ndarray, unit: float, out: np.ndarray) -> None:
    """sign(x) log(1 + |x| / unit) of each value. X, out: (n, m); NaN and infinity give NaN."""
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            x = X[i, j]
            out[i, j] = signed_log(x / unit) if abs(x) < 1e300 * unit and abs(x) < math.inf else math.nan


class Log(Feature):
    """Logarithm of a field: sign(x) log(1 + |x| / unit), natural; takes the field's place.

    For what is positive and varies by factors: bytes, durations, amounts. Close to linear below `unit`, a
    logarithm above it; zero stays zero and negative values are mirrored, so no value is lost. Not for fields
    that vary around zero or by a few percent: there it changes nothing or blurs.

    Parameters
    ----------
    field : the field, or a shell-style pattern over the watched ones.
    unit : the size below which differences count as they are and not by factors, > 0; 0.001 for
        latencies in seconds. [unit of the field]
    keep : watch the field itself too.
    name : of the column, for a single field; `log(FIELD)` by default.

    Cost
    ----
    O(1) a field and record: compiled .02 us, interpreted .7 us. No state.
    """

    def __init__(self, field: str = "*", unit: float = 1.0, keep: bool = False, name: str = "") -> None:
        if not field:
            raise ValueError("field must name a field, or be a pattern such as *")
        if not unit > 0.0:
            raise ValueError(f"unit must be > 0, got {unit}")
        self.field, self.unit, self.keep, self.name = field, float(unit), keep, name
        self.replaces = not keep

    def inputs(self) -> list[Input]:
        return [Input(name, "number") for name in matching(self.field, self.fields)]

    def names(self) -> list[str]:
        fields = matching(self.field, self.fields)
        return [self.name] if self.name and len(fields) == 1 else [f"{self.name or 'log'}({each})" for each in fields]

    def step(self, state: State, slots: np.ndarray, columns: Sequence[np.ndarray], rows: Rows) -> np.ndarray:
        out = np.full((len(slots), len(columns)), np.nan)
        if columns:
            self.run(logs, len(slots), np.stack(columns, axis=1), self.unit, out)
        return out

    def watches(self) -> list[str]:
        return [self.field] if self.keep or is_pattern(self.field) else []

    def shown(self, column: int, value: float) -> float:
        return unlog(value) * self.unit

    def say(self, column: int, value: float, expected: float, texts: Mapping[str, str]) -> str:
        x, centre = self.shown(column, value), self.shown(column, expected)
        return f"{self.inputs()[column].field} {number(x)}{usually(x, centre)}"
