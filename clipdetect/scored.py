"""What rows got from the detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

PER_COLUMN = ("X", "expected", "scale", "share", "low", "high")


@dataclass(slots=True)
class Scored:
    """What n rows got. All arrays are (n,) or (n, d), d the number of columns.

    score : -log10 of the calibrated probability, rounded to 6 significant digits; NaN = none.
    flag : int8, 0 clear, 1 flagged, 2 abstained.
    raw : the estimator's raw score, NaN = no opinion.
    X, expected, scale : (n, d) values with derived columns, expectation and scale before learning; NaN = none.
    share : (n, d) of the raw score, by column, or None where the estimator does not say.
    low, high : (n, d) band edges per column, or None unless asked for.
    changed, since : change points, or None without a detector of them.
    alarms : (n, a) columns that are flags by themselves where finite, or None without such features.
    """

    score: np.ndarray
    flag: np.ndarray
    raw: np.ndarray
    X: np.ndarray
    expected: np.ndarray
    scale: np.ndarray
    share: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    changed: np.ndarray | None = None
    since: np.ndarray | None = None
    alarms: np.ndarray | None = None

    def mute(self, rows: np.ndarray) -> int:
        """Take back the flags of these rows (n,) bool; returns how many there were."""
        flagged = rows & (self.flag == 1)
        if self.alarms is not None:
            flagged |= rows & np.isfinite(self.alarms).any(axis=1)
            self.alarms[rows] = np.nan
        self.flag[flagged & (self.flag == 1)] = 0
        return int(np.count_nonzero(flagged))


def joined(parts: list[Scored], d: int) -> Scored:
    """One result of several; columns that were not open yet, of values or of alarms, are NaN."""

    def join(name: str) -> Any:
        arrays = [getattr(part, name) for part in parts]
        if not arrays or any(array is None for array in arrays):
            return None
        width = max(array.shape[1] for array in arrays) if name == "alarms" else d
        if name in (*PER_COLUMN, "alarms") and any(a.shape[1] < width for a in arrays):
            arrays = [np.pad(a, ((0, 0), (0, width - a.shape[1])), constant_values=np.nan) for a in arrays]
        return np.concatenate(arrays)

    if not parts:
        nothing = np.empty((0, d))
        return Scored(np.empty(0), np.empty(0, np.int8), np.empty(0), nothing, nothing, nothing)
    return Scored(*[join(name) for name in Scored.__slots__])
