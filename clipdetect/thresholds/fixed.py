"""A limit given by hand."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import Rows, Spec, State, Threshold, Verdicts
from clipdetect.jit import kernel
from clipdetect.numerics.rounding import six_digits

__all__ = ["Fixed"]


class FixedParameters(NamedTuple):
    """The settings."""

    signed: bool  # whether raw scores are residuals
    limit: float  # raw score from which on a record is flagged


@kernel
def step(raw: np.ndarray, parameters: FixedParameters, out: Verdicts) -> None:
    """Score and flag each raw value. raw: (n,)."""
    signed, limit = parameters.signed, parameters.limit
    score, flag = out.score, out.flag
    for i in range(raw.shape[0]):
        if not math.isnan(raw[i]):
            size = abs(raw[i]) if signed else max(raw[i], 0.0)
            score[i] = six_digits(min(size, 1e300))
            flag[i] = 1 if score[i] >= limit else 0


class Fixed(Threshold):
    """Flags a raw score at or beyond a limit given by hand; learns nothing.

    Best for a limit that is known.
    The score is the raw score itself (|raw| of a signed one, at least 0), so it is not a probability
    and cannot be compared between estimators. For estimators whose raw score has a known unit; `tail`
    finds the limit by itself and holds it through drift.

    Parameters
    ----------
    limit : raw score from which on a record is flagged, > 0. With `level` and `zscore` on one field
        these are standard deviations.

    Cost
    ----
    O(1) a record.

    State
    -----
    None.
    """

    calibrated = False

    def __init__(self, limit: float = 6.0) -> None:
        if not limit > 0.0:
            raise ValueError(f"limit must be > 0, got {limit}")
        self.limit = limit

    def state_spec(self, n_features: int) -> Spec:
        return {}

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> Verdicts:
        out = Verdicts.none(len(raw))
        self.run(step, len(raw), raw, FixedParameters(self.signed, float(self.limit)), out)
        return out

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        high = np.full(len(slots), float(self.limit))
        return (-high if self.signed else np.full(len(slots), np.nan)), high
