"""Feature `gap`: an alarm where no record came for too long."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clipdetect.components import Feature, Input, RowArrays, Rows, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics.clock import LATEST, elapsed
from clipdetect.numerics.durations import seconds, span
from clipdetect.numerics.words import whose

__all__ = ["Gap"]


class GapState(NamedTuple):
    """The arrays of all keys: axis 0 the key."""

    clock: np.ndarray  # (K,) the key's time [s], see `numerics.clock`
    behind: np.ndarray  # (K,) int64, records in a row behind it and one more, 0 = fresh


@kernel
def gaps(rows: RowArrays, limit: float, state: GapState, out: np.ndarray) -> None:
    """Into out (n,) the seconds since the key's last record where above the limit, else NaN."""
    time, slots, learn = rows.time, rows.slots, rows.learn
    clock, behind = state.clock, state.behind
    for i in range(time.shape[0]):
        out[i] = math.nan
        if abs(time[i]) < LATEST:
            gone = elapsed(time[i], slots[i], learn[i], clock, behind)
            if gone > limit:
                out[i] = gone


class Gap(Feature):
    """Flags the first record after a silence longer than the limit.

    For what should come regularly. The flag is by the limit alone, nothing is learned; and it comes with the
    record that ends the silence, in event time: a stream that never speaks again is not seen.

    Parameters
    ----------
    limit : the longest silence that is in order, such as 60s, 5m, 1h.
    per : a field; the silence of each of its values within the key.
    name : of the column; `gap` by default.

    Cost
    ----
    O(1) a record: compiled .03 us, interpreted 1.3 us.

    State
    -----
    2 numbers.
    """

    timed = True
    alarms = True
    state_class = GapState

    def __init__(self, limit: float | str = "60s", per: str = "", name: str = "") -> None:
        self.limit, self.per, self.name = limit, per, name
        self._seconds = seconds(limit, "limit")

    def inputs(self) -> list[Input]:
        return []

    def names(self) -> list[str]:
        return [self.name or "gap"]

    def state_spec(self, n_features: int) -> Spec:
        return {"clock": ((), np.float64), "behind": ((), np.int64)}

    def step(self, state: State, slots: np.ndarray, columns: Sequence[np.ndarray], rows: Rows) -> np.ndarray:
        out = np.full((len(slots), 1), np.nan)
        self.run(gaps, len(slots), rows.arrays(slots), self._seconds, self.state_arrays(state), out[:, 0])
        return out

    def say(self, column: int, value: float, expected: float, texts: Mapping[str, str]) -> str:
        return f"no record{whose(self.per, texts)} for {span(value)} (limit {span(self._seconds)})"
