"""FOCuS on clipped scores: the likelihood ratio over every possible split, pruned to a short list."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE, ChangePointDetector, Changes, RowArrays, Rows, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics.clipped_scores import (
    FIRST,
    ScoredFields,
    add,
    begin,
    corrected,
    moments,
    squared,
    standard,
    surprise,
)

__all__ = ["Focus"]

PIECES = 32  # splits kept a side and field; a stream without change keeps about ln n
# -ln of the level of a single test at which 10,000 records give one false alarm; by benchmarks/reproduce.
ONE_TEST = 10.6


class FocusState(NamedTuple):
    """The arrays of all keys: of the segment since the last change."""

    filled: np.ndarray  # (K, d) int64, how many of the first values there are
    first: np.ndarray  # (K, 32, d) this and the next five: see `ScoredFields`
    centre: np.ndarray  # (K, d)
    unit: np.ndarray  # (K, d)
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64
    sums: np.ndarray  # (K, 5, d)
    previous: np.ndarray  # (K, d)
    clock: np.ndarray  # (K,) int64, records
    size: np.ndarray  # (K, 2, d) int64, this and the next three: see `Splits`
    split: np.ndarray  # (K, 2, 32, d) int64
    total_at: np.ndarray  # (K, 2, 32, d)
    clock_at: np.ndarray  # (K, 2, 32, d) int64


class Splits(NamedTuple):
    """The splits kept of each side and field, oldest first."""

    size: np.ndarray  # (K, 2, d) int64, how many
    split: np.ndarray  # (K, 2, 32, d) int64, values before it
    total_at: np.ndarray  # (K, 2, 32, d) sum of the scores before it
    clock_at: np.ndarray  # (K, 2, 32, d) int64, records before it


class FocusScratch(NamedTuple):
    """Room for what is worked out on the way."""

    about: np.ndarray  # (4, d) see `moments`
    ordered: np.ndarray  # (32,)


@kernel
def prune(k: int, side: int, j: int, sign: float, n: int, total: float, splits: Splits) -> None:
    """Drop the newest splits that can be no maximum once there is one after n values with this sum.

    What stays are the corners of the lower (sign 1) or upper (sign -1) convex hull of the sums.
    """
    size, split, total_at = splits.size, splits.split, splits.total_at
    top = size[k, side, j]
    while top >= 2:
        gap = split[k, side, top - 1, j] - split[k, side, top - 2, j]
        rise = total_at[k, side, top - 1, j] - total_at[k, side, top - 2, j]
        new_gap = n - split[k, side, top - 1, j]
        new_rise = total - total_at[k, side, top - 1, j]
        if sign * rise * new_gap < sign * new_rise * gap:
            break
        top -= 1
    size[k, side, j] = top


@kernel
def push(k: int, side: int, j: int, n: int, total: float, clock: int, splits: Splits) -> None:
    """Keep the split after n values; the oldest leaves where there is no room."""
    size, split, total_at, clock_at = splits.size, splits.split, splits.total_at, splits.clock_at
    top = size[k, side, j]
    if top == PIECES:
        top -= 1
        for p in range(top):
            split[k, side, p, j] = split[k, side, p + 1, j]
            total_at[k, side, p, j] = total_at[k, side, p + 1, j]
            clock_at[k, side, p, j] = clock_at[k, side, p + 1, j]
    split[k, side, top, j] = n
    total_at[k, side, top, j] = total
    clock_at[k, side, top, j] = clock
    size[k, side, j] = top + 1


@kernel
def largest(
    k: int, j: int, limit: float, about: np.ndarray, count: np.ndarray, sums: np.ndarray, splits: Splits
) -> tuple[float, int]:
    """The largest -ln of a split's probability in field j, 0 below the limit; and the likeliest of these splits, as
    side * PIECES + place."""
    size, split, total_at = splits.size, splits.split, splits.total_at
    best = 0.0
    top = 0.0
    where = -1
    n = 1.0 * count[k, j]
    total = sums[k, 0, j]
    for side in range(2):
        for p in range(size[k, side, j]):
            before = 1.0 * split[k, side, p, j]
            at = total_at[k, side, p, j]
            square = squared(total, n, at, before, about, j)
            if square < 1.0 + 0.5 * limit:
                continue
            own = surprise(corrected(total, n, at, before, about, j), 1.0)
            if own > limit:
                best = max(best, own)
                if square > top:
                    top = square
                    where = side * PIECES + p
    return best, where


@kernel
def step(rows: RowArrays, one_test: float, state: FocusState, out: Changes, scratch: FocusScratch) -> None:
    """Learn each row, then look at the splits kept of each field. one_test: see `one_test` below."""
    X, slots, learn = rows.X, rows.slots, rows.learn
    filled, first, centre, unit = state.filled, state.first, state.centre, state.unit
    count, sums, previous, clock = state.count, state.sums, state.previous, state.clock
    size, clock_at, about = state.size, state.clock_at, scratch.about
    fields_of = ScoredFields(first, centre, unit, count, sums, previous)
    splits = Splits(size, state.split, state.total_at, clock_at)
    d = X.shape[1]
    for i in range(X.shape[0]):
        k = slots[i]
        if not learn[i]:
            continue
        readable = False
        fields = 0
        for j in range(d):
            readable = readable or abs(X[i, j]) < UNREADABLE
            fields += 1 if filled[k, j] == FIRST else 0
        if not readable:
            continue
        clock[k] += 1
        limit = one_test + math.log(max(fields, 1))
        best = 0.0
        for j in range(d):
            x = X[i, j]
            if not abs(x) < UNREADABLE:
                continue
            if filled[k, j] < FIRST:
                first[k, filled[k, j], j] = x
                filled[k, j] += 1
                if filled[k, j] == FIRST:
                    begin(k, j, fields_of, scratch.ordered)
                continue
            for side in range(2):
                sign = 1.0 - 2.0 * side
                prune(k, side, j, sign, count[k, j], sums[k, 0, j], splits)
                push(k, side, j, count[k, j], sums[k, 0, j], clock[k], splits)
            add(standard(x, centre[k, j], unit[k, j]), k, j, count, sums, previous)
            moments(k, j, count, sums, about)
            if about[0, j] > 0.0:
                own, where = largest(k, j, limit, about, count, sums, splits)
                if own > best:
                    best = own
                    out.since[i] = clock[k] - clock_at[k, where // PIECES, where % PIECES, j]
        if best > 0.0:
            out.changed[i] = True
            clock[k] = 0
            for j in range(d):
                filled[k, j] = 0
                count[k, j] = 0
                for m in range(5):
                    sums[k, m, j] = 0.0
                for side in range(2):
                    size[k, side, j] = 0


class Focus(ChangePointDetector):
    """Change of a field's mean, by FOCuS [1]_ on clipped scores: every split at once, at the cost of a few.

    Best for changes of the mean at little cost.
    Of all splits so far only those on the convex hull of the running sum can be the most likely one [2]_;
    a stream keeps about ln n of them a side. For changes in one field or few: fields are judged apart,
    and a small change in many fields at once is found sooner by `clipped_mean`. Not for trends, seasons
    or changes of the spread alone, nor for strongly autocorrelated noise (as `clipped_mean`).

    Parameters
    ----------
    delta : probability that 10,000 records of one key without a change raise an alarm, in (0, 1); set on
        normal noise. Of streams with heavy-tailed, skewed or two-valued noise 3 to 7% alarm at .05.

    Cost
    ----
    About 2 ln n splits a field and record: compiled .3 us a field, interpreted 24 us.

    State
    -----
    About 235 numbers a field, 1.9 KB.

    Notes
    -----
    FOCuS as published takes the Gaussian likelihood of the values, which one outlier decides. Here it
    takes scores: distances from the median of the segment's first 32 values in scales, clipped at 3,
    with the likelihood ratio corrected for their skewness, kurtosis and lag-one correlation, as in
    `clipped_mean`. Fields share delta evenly. At most 32 splits a side are kept, then the oldest
    leaves. The means before and after are both unknown. The published packages (C++ with R or Python
    on top) keep one object a stream, without a way to save it, so none is used.

    After an alarm in any field all fields are learned afresh, from the next record on.

    References
    ----------
    .. [1] G. Romano, I. Eckley, P. Fearnhead, G. Rigaill, "Fast online changepoint detection via
       functional pruning CUSUM statistics", JMLR 24, 2023, pages 1-36.
    .. [2] L. Pishchagina, G. Romano, P. Fearnhead, V. Runge, G. Rigaill, "Online multivariate changepoint
       detection: leveraging links with computational geometry", arXiv:2311.01174, 2023.
    """

    state_class = FocusState

    def __init__(self, delta: float = 0.05) -> None:
        if not 0.0 < delta < 1.0:
            raise ValueError(f"delta must be between 0 and 1, got {delta}")
        self.delta = delta

    def state_spec(self, n_features: int) -> Spec:
        d = n_features
        return {
            "filled": ((d,), np.int64),
            "first": ((FIRST, d), np.float64),
            "centre": ((d,), np.float64),
            "unit": ((d,), np.float64),
            "count": ((d,), np.int64),
            "sums": ((5, d), np.float64),
            "previous": ((d,), np.float64),
            "clock": ((), np.int64),
            "size": ((2, d), np.int64),
            "split": ((2, PIECES, d), np.int64),
            "total_at": ((2, PIECES, d), np.float64),
            "clock_at": ((2, PIECES, d), np.int64),
        }

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> Changes:
        n, d = rows.X.shape
        out = Changes.none(n)
        scratch = FocusScratch(np.empty((4, d)), np.empty(FIRST))
        self.run(step, n, rows.arrays(slots), one_test(self.delta), self.state_arrays(state), out, scratch)
        return out


def one_test(delta: float) -> float:
    """What -ln of a single test's probability must pass so that 10,000 records alarm with probability delta."""
    return ONE_TEST - math.log(-math.log1p(-delta))
