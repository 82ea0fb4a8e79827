"""Units in which the columns of a key can be compared, learned on line.

Every column has a range, which grows by at most itself with one record and shrinks slowly. Columns
whose ranges agree within a factor share one unit, the median range; the others keep a part of their
own. All is relative to the column's first value, its origin, so that no level costs digits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE
from clipdetect.jit import kernel

LEVEL, SHAPE = 1, 2  # the metrics
SHRINK = 20_000.0  # records in which an end of the range moves inwards by the range
MIDDLE_RATE = 0.002  # of the clipped mean: some 500 values
FAR = 1e4  # ranges; farther values count as being there
LEAST = 1e-300  # ranges below it count as none, for 1 / range must be finite
SETTLE, EVERY = 64, 16  # units are renewed with each of the first 64 records, then with every 16th
MANY, ALIKE, WITHIN = 100, 0.8, 10.0  # `shape` needs 100 columns, 80% of whose ranges agree within a factor of 10
LEVEL_FACTOR, SHAPE_FACTOR = 10.0, 1000.0  # ranges that agree within it share a unit


class Ranges(NamedTuple):
    """The ranges of all keys' columns; in the column's unit, all but the origin relative to it."""

    origin: np.ndarray  # (K, d) first value
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64, values learned
    low: np.ndarray  # (K, d) lower end of the range
    high: np.ndarray  # (K, d) upper end
    middle: np.ndarray  # (K, d) clipped mean
    unit: np.ndarray  # (K,) the median range, 0 while nothing has moved


@kernel
def seen(k: int, count: np.ndarray) -> int:
    """How many columns key k has ever had a number in."""
    columns = 0
    for j in range(count.shape[1]):
        if count[k, j] > 0:
            columns += 1
    return columns


@kernel
def forget(k: int, count: np.ndarray, unit: np.ndarray) -> None:
    """Make key k a fresh one."""
    unit[k] = 0.0
    for j in range(count.shape[1]):
        count[k, j] = 0


@kernel
def read(X: np.ndarray, i: int, k: int, ranges: Ranges, z: np.ndarray) -> int:
    """Row i less the origins, bounded, into z (d,): NaN where missing or never seen. How many there are."""
    origin, count, low, high, unit = ranges.origin, ranges.count, ranges.low, ranges.high, ranges.unit
    present = 0
    for j in range(X.shape[1]):
        x = X[i, j]
        z[j] = math.nan
        if count[k, j] > 0 and abs(x) < UNREADABLE:
            size = high[k, j] - low[k, j]
            if not size > 0.0:
                size = unit[k]
            z[j] = x - origin[k, j]
            if size > 0.0:
                z[j] = min(max(z[j], low[k, j] - FAR * size), high[k, j] + FAR * size)
            present += 1
    return present


@kernel
def learn(X: np.ndarray, i: int, k: int, ranges: Ranges, z: np.ndarray) -> int:
    """All columns learn row i: ranges and clipped means. z (d,): values less the origins, bounded, NaN missing.

    How many values were readable. One loop: calls with arrays for each column cost more than the work.
    """
    origin, count, low, high, middle = ranges.origin, ranges.count, ranges.low, ranges.high, ranges.middle
    readable = 0
    for j in range(X.shape[1]):
        x = X[i, j]
        z[j] = math.nan
        if not abs(x) < UNREADABLE:
            continue
        readable += 1
        count[k, j] += 1
        if count[k, j] == 1:
            origin[k, j] = x
            low[k, j] = 0.0
            high[k, j] = 0.0
            middle[k, j] = 0.0
            z[j] = 0.0
            continue
        v = x - origin[k, j]
        bottom = low[k, j]
        top = high[k, j]
        size = top - bottom
        if not size > 0.0:  # the first change of a constant
            bottom = min(bottom, v)
            top = max(top, v)
        else:
            top += min(v - top, size) if v > top else -size / SHRINK
            bottom -= min(bottom - v, size) if v < bottom else -size / SHRINK
        size = top - bottom
        low[k, j] = bottom
        high[k, j] = top
        rate = max(MIDDLE_RATE, 1.0 / count[k, j])
        middle[k, j] += rate * min(max(v - middle[k, j], -size), size)
        z[j] = min(max(v, bottom - FAR * size), top + FAR * size)
    return readable


@kernel
def select(values: np.ndarray, n: int, rank: int) -> float:
    """The value of that rank (0 the smallest) among the first n of `values` (at least n,), which it reorders."""
    left = 0
    right = n - 1
    while left < right:
        pivot = values[(left + right) // 2]
        i = left
        j = right
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                held = values[i]
                values[i] = values[j]
                values[j] = held
                i += 1
                j -= 1
        if rank <= j:
            right = j
        elif rank >= i:
            left = i
        else:
            break
    return values[rank]


@kernel
def median_range(k: int, count: np.ndarray, low: np.ndarray, high: np.ndarray, spare: np.ndarray) -> float:
    """Median range of the columns that have moved, 0 where none has. spare: (d,) scratch."""
    n = 0
    for j in range(count.shape[1]):
        if count[k, j] > 0 and high[k, j] - low[k, j] > LEAST:
            spare[n] = high[k, j] - low[k, j]
            n += 1
    return select(spare, n, n // 2) if n > 0 else 0.0


@kernel
def first_move(k: int, count: np.ndarray, low: np.ndarray, high: np.ndarray, unit: np.ndarray) -> bool:
    """Whether a column has moved, and there is no unit yet: waiting would make every record a first change."""
    moved = False
    if not unit[k] > 0.0:
        for j in range(count.shape[1]):
            moved = moved or (count[k, j] > 0 and high[k, j] - low[k, j] > LEAST)
    return moved


@kernel
def suits(k: int, columns: int, count: np.ndarray, low: np.ndarray, high: np.ndarray, unit: np.ndarray) -> int:
    """Which metric suits the ranges of key k: `SHAPE` for many columns of like range, such as pixels."""
    moved = 0
    near = 0
    for j in range(count.shape[1]):
        size = high[k, j] - low[k, j]
        if count[k, j] > 0 and size > LEAST:
            moved += 1
            if unit[k] / WITHIN <= size <= unit[k] * WITHIN:
                near += 1
    return SHAPE if columns >= MANY and moved > 0 and near >= ALIKE * moved else LEVEL


@kernel
def share_units(
    k: int, factor: float, count: np.ndarray, low: np.ndarray, high: np.ndarray, unit: np.ndarray, inverse: np.ndarray
) -> None:
    """1 / unit of each column: one unit for all ranges within `factor` of the median, the others near it."""
    median = unit[k]
    for j in range(count.shape[1]):
        if count[k, j] > 0:
            size = high[k, j] - low[k, j]
            own = median
            if size > LEAST and size * factor < median:
                own = size * factor
            elif size > median * factor:
                own = size / factor
            inverse[k, j] = 1.0 / own if own > 0.0 else 1.0


@kernel
def quiet_ends(
    k: int, count: np.ndarray, low: np.ndarray, high: np.ndarray, middle: np.ndarray, ends: np.ndarray
) -> None:
    """Into ends (K, d): the end of each column's range where it is when nothing happens.

    The low ends where the columns' means lie nearer to those, all taken together, else the high ones:
    one side for all columns, so that x -> -x only mirrors the picture.
    """
    total = 0.0
    moved = 0
    for j in range(count.shape[1]):
        size = high[k, j] - low[k, j]
        if count[k, j] > 0 and size > LEAST:
            total += (middle[k, j] - low[k, j]) / size
            moved += 1
    for j in range(count.shape[1]):
        if count[k, j] > 0:
            ends[k, j] = high[k, j] if total > 0.5 * moved else low[k, j]
