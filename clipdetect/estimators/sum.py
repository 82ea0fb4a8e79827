"""Several estimators, each calibrated by its own recent past, added up."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import Estimator, RowArrays, Rows, Spec, State, child_state
from clipdetect.jit import kernel
from clipdetect.numerics.combine import NEVER_MOVED

__all__ = ["Sum"]

SLOW, FAST = 0.01, 0.02  # rates of the calibration: a distance's, a margin's
PULL = 0.8  # of a step, for the location of a distance
CLIP = 2.5  # spreads; a larger deviation teaches no more than this
LEAST_SPREAD = 1e-9  # of the location; below it is rounding
LIMIT = 1e6  # spreads
SHARPNESS = 0.3  # the raw score is exp(sum * this), as a distance; .15 to .6 rank alike behind the threshold
MOST = 300.0  # of that exponent


class SumState(NamedTuple):
    """The arrays of all keys, for c estimators."""

    location: np.ndarray  # (K, c) clipped location of the raw score, or of its logarithm
    spread: np.ndarray  # (K, c) clipped mean of |deviation|
    judged: np.ndarray  # (K, c) int64, raw scores learned


@kernel
def calibrated(value: float, k: int, c: int, rate: float, pull: float, learn: bool, state: SumState) -> float:
    """`value` in spreads above its clipped location, then one step of both.

    The fixed point of the spread is a mean of min(|z|, 2.5) of 0.8, which is that of a Gaussian.
    """
    location, spread, judged = state.location, state.spread, state.judged
    n = judged[k, c]
    gap = value - location[k, c]
    z = 0.0
    if n > 0 and spread[k, c] > 0.0:
        z = min(max(gap / max(spread[k, c], LEAST_SPREAD * abs(location[k, c])), -LIMIT), LIMIT)
    elif n > 0 and gap != 0.0:
        z = math.copysign(CLIP, gap)
    if learn:
        if n == 0:
            location[k, c] = value
            spread[k, c] = 0.0
        elif not spread[k, c] > 0.0:
            spread[k, c] = abs(gap)
            location[k, c] += 0.5 * gap
        else:
            share = max(rate, 1.0 / (n + 1.0))
            step = min(max(gap, -CLIP * spread[k, c]), CLIP * spread[k, c])
            location[k, c] += pull * share * step
            spread[k, c] += share * (1.25 * abs(step) - spread[k, c])
        judged[k, c] = n + 1
    return z


@kernel
def add(rows: RowArrays, given: np.ndarray, logs: np.ndarray, state: SumState, raw: np.ndarray) -> None:
    """exp of the sum of the calibrated raw scores of each row; a component without an opinion adds nothing.

    given: (n, c), NaN none; logs: (c,) whether a component's score is calibrated as a logarithm.
    """
    slots, learn, restart, judged = rows.slots, rows.learn, rows.restart, state.judged
    for i in range(given.shape[0]):
        k = slots[i]
        total = 0.0
        heard = 0
        for c in range(given.shape[1]):
            if restart[i] and learn[i]:
                judged[k, c] = 0
            value = given[i, c]
            if math.isnan(value):
                continue
            if logs[c] and not value > 0.0:  # exactly as expected, which says nothing about the size of the rest
                total -= CLIP
            elif logs[c] and value == NEVER_MOVED and judged[k, c] == 0:
                total += CLIP
                calibrated(0.0, k, c, SLOW, PULL, learn[i], state)
            elif logs[c]:
                total += calibrated(math.log(value), k, c, SLOW, PULL, learn[i], state)
            else:
                total += calibrated(value, k, c, FAST, 1.0, learn[i], state)
            heard += 1
        raw[i] = math.exp(min(max(SHARPNESS * total, -MOST), MOST)) if heard > 0 else math.nan


class Sum(Estimator):
    """Several estimators side by side: each raw score in units of its own recent past, and these added up.

    Best for models that fail in different ways.
    Two models that fail in different ways are better together, such as `neighbours`, which know what
    recent records look like, and `logistic`, which knows what sets them apart from others. Residuals
    and distances are calibrated on the log axis, scores of any other kind as they are, by a location
    and spread that clipped steps learn. Not for components one of which is much worse than the other:
    its noise is added, too. Nested parameters are written in a YAML file; on the command line
    `sum:first=neighbours,second=level` takes each at its defaults.

    Parameters
    ----------
    first : an estimator, with its own parameters.
    second : another one.
    third : one more, or none.

    Cost
    ----
    That of its components and .05 us a record, compiled; interpreted 4 us.

    State
    -----
    That of its components and 3 numbers for each.

    Notes
    -----
    `expected` and `scale` are those of the first component that gives them for a field.
    """

    raw_kind = "distance"
    state_class = SumState

    def __init__(
        self,
        first: Estimator = "level",  # type: ignore[assignment]
        second: Estimator = "neighbours",  # type: ignore[assignment]
        third: Estimator | None = None,
    ) -> None:
        parts = [each for each in (first, second, third) if each is not None]
        for each in parts:
            if not isinstance(each, Estimator):
                raise ValueError(
                    f"an estimator expected, got {each!r}; clipdetect.registry.build makes one from a name"
                )
        self.first = first
        self.second = second
        self.third = third
        self._logs = np.array([each.raw_kind != "level" for each in parts], np.bool_)

    def state_spec(self, n_features: int) -> Spec:
        c = len(self._logs)
        return {"location": ((c,), np.float64), "spread": ((c,), np.float64), "judged": ((c,), np.int64)}

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        given, expected, scale = [], None, None
        for name, child in self.children().items():
            assert isinstance(child, Estimator)
            raw, centre, unit, *_ = child.step(child_state(state, name), slots, rows)
            given.append(np.abs(raw) if child.raw_kind == "residual" else raw)
            if expected is None or scale is None:
                expected, scale = centre, unit
            else:
                silent = np.isnan(expected) | np.isnan(scale)
                expected, scale = np.where(silent, centre, expected), np.where(silent, unit, scale)
        assert expected is not None and scale is not None
        raw = np.full(len(rows.X), np.nan)
        columns = np.ascontiguousarray(np.column_stack(given))
        self.run(add, len(raw), rows.arrays(slots), columns, self._logs, self.state_arrays(state), raw)
        return raw, expected, scale

    def multiples(
        self, state: State, slots: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        nothing = np.full(len(slots), np.nan)  # a limit on the sum is none on a field
        return nothing, nothing.copy()
