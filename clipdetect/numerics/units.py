"""Records in units in which their columns can be compared, learned on line, and of norm about 1.

A column's unit is its range, or the median range where the two agree within a factor; a record's
norm is divided by the typical one. A gross record teaches no more than one in its direction whose
norm lies little beyond the .9-quantile would.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE
from clipdetect.jit import kernel
from clipdetect.numerics.geometry import median_range, share_units

FACTOR = 10.0  # ranges that agree within it share one unit
SHRINK = 1000.0  # records in which an end of a range moves inwards by the range
MIDDLE_RATE = 0.01  # of a column's clipped mean: some 100 values
LEAST = 1e-300  # a smaller range is none, for 1 / range must be finite
FAR = 2.0  # units; farther values count as being there
BEYOND = 1.2  # large norms; a record of a larger norm counts as one of this, in its direction
FIRST = 16  # records that are not clipped, as long as nothing is known of the typical one
NORM_RATE = 0.01  # of the typical and the large norm, on the log axis
LONG_RUN = 8  # records on one side of it before its steps become larger


class Units(NamedTuple):
    """The units of all keys' columns; in the column's unit, all but the origin relative to it, where none is said."""

    origin: np.ndarray  # (K, d) first value
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64, values learned
    low: np.ndarray  # (K, d) lower end of the range
    high: np.ndarray  # (K, d) upper end
    middle: np.ndarray  # (K, d) clipped mean
    centre: np.ndarray  # (K, d) what is 0 in units
    inverse: np.ndarray  # (K, d) 1 / unit
    unit: np.ndarray  # (K,) the median range
    typical: np.ndarray  # (K,) median norm of the records, in units
    large: np.ndarray  # (K,) their .9-quantile
    run: np.ndarray  # (K,) int64, norms in a row on one side of the typical one


@kernel
def read(X: np.ndarray, i: int, k: int, origin: np.ndarray, count: np.ndarray, v: np.ndarray) -> int:
    """Row i less the origins into v (d,), NaN where missing or never seen. How many values there are."""
    present = 0
    for j in range(X.shape[1]):
        v[j] = math.nan
        if count[k, j] > 0 and abs(X[i, j]) < UNREADABLE:
            v[j] = X[i, j] - origin[k, j]
            present += 1
    return present


@kernel
def fill(v: np.ndarray, k: int, centre: np.ndarray) -> None:
    """Missing values of row v (d,) become the column's centre."""
    for j in range(v.shape[0]):
        if math.isnan(v[j]):
            v[j] = centre[k, j]


@kernel
def product(x: np.ndarray, y: np.ndarray) -> float:
    """Sum of x * y, both (m,), in four running sums, to which further zeros add no bit."""
    a = 0.0
    b = 0.0
    c = 0.0
    d = 0.0
    fours = x.shape[0] // 4
    for q in range(fours):
        j = 4 * q
        a += x[j] * y[j]
        b += x[j + 1] * y[j + 1]
        c += x[j + 2] * y[j + 2]
        d += x[j + 3] * y[j + 3]
    j = 4 * fours
    if j < x.shape[0]:
        a += x[j] * y[j]
    if j + 1 < x.shape[0]:
        b += x[j + 1] * y[j + 1]
    if j + 2 < x.shape[0]:
        c += x[j + 2] * y[j + 2]
    return (a + b) + (c + d)


@kernel
def scaled(v: np.ndarray, k: int, units: Units, z: np.ndarray) -> tuple[float, float]:
    """Row v (d,), without gaps, into z (d,): less the centres, in units, of norm about 1 and never large.

    Returns the norm before it is divided by the typical one, and what it is divided by.
    """
    centre, inverse, large = units.centre, units.inverse, units.large
    for j in range(v.shape[0]):
        z[j] = min(max((v[j] - centre[k, j]) * inverse[k, j], -FAR), FAR)
    norm = math.sqrt(product(z, z))
    by = units.typical[k]
    if norm > BEYOND * large[k]:
        by = by * (norm / (BEYOND * large[k])) if by > 0.0 else norm
    factor = 1.0 / by if by > 0.0 else 0.0
    for j in range(v.shape[0]):
        z[j] *= factor
    return norm, by


@kernel
def follow_norm(norm: float, k: int, arrived: int, typical: np.ndarray, large: np.ndarray, run: np.ndarray) -> None:
    """One step of the typical norm, a running median, and of the large one, a running .9-quantile.

    A long run on one side of the median makes its steps larger.
    """
    if not typical[k] > 0.0:
        typical[k] = norm
        large[k] = norm
    elif norm > 0.0:
        rate = max(NORM_RATE, 1.0 / (arrived + 2.0))
        large[k] *= math.exp(1.8 * rate if norm > large[k] else (-0.2 * rate if norm < large[k] else 0.0))
        if norm != typical[k]:
            run[k] = max(run[k], 0) + 1 if norm > typical[k] else min(run[k], 0) - 1
            beyond = abs(run[k]) - LONG_RUN
            if beyond > 0:
                rate = min(0.25, rate * (1.0 + beyond))
            typical[k] *= math.exp(rate if norm > typical[k] else -rate)
        large[k] = max(large[k], typical[k])


@kernel
def begin_column(x: float, k: int, j: int, units: Units) -> None:
    """Column j begins with its first value x."""
    units.origin[k, j] = x
    units.low[k, j] = 0.0
    units.high[k, j] = 0.0
    units.middle[k, j] = 0.0
    units.centre[k, j] = 0.0
    units.count[k, j] = 1


@kernel
def learn_range(v: float, k: int, j: int, low: np.ndarray, high: np.ndarray) -> float:
    """The range of column j, which one value can at most double, learns v. Returns it."""
    top = high[k, j]
    bottom = low[k, j]
    size = top - bottom
    if size > LEAST:
        above = v - top
        below = bottom - v
        inwards = -size * (1.0 / SHRINK)
        top += min(above, size) if above > 0.0 else inwards
        bottom -= min(below, size) if below > 0.0 else inwards
    elif v != top or v != bottom:  # the first change of a constant
        top = max(top, v)
        bottom = min(bottom, v)
    high[k, j] = top
    low[k, j] = bottom
    return top - bottom


@kernel
def learn_mean(v: float, size: float, k: int, j: int, count: np.ndarray, middle: np.ndarray) -> None:
    """The clipped mean of column j, of range `size`, learns v."""
    n = count[k, j] + 1
    count[k, j] = n
    gap = v - middle[k, j]
    if abs(gap) > 1e-9 * size:  # smaller steps would end among the slow subnormal numbers
        rate = 1.0 / n if n < 1.0 / MIDDLE_RATE else MIDDLE_RATE
        middle[k, j] += rate * min(max(gap, -size), size)


@kernel
def start_column(k: int, j: int, started: np.ndarray, units: Units) -> None:
    """Column j begins with what is known of it. started: (5, d), origin, low, high, mean, their weight in records."""
    units.origin[k, j] = started[0, j]
    units.low[k, j] = started[1, j]
    units.high[k, j] = started[2, j]
    units.middle[k, j] = started[3, j]
    units.centre[k, j] = started[3, j]
    units.count[k, j] = int(started[4, j])


@kernel
def renew(k: int, units: Units, spare: np.ndarray) -> None:
    """Units of all columns from their ranges; as long as nothing has moved all are at 0. spare: (d,) scratch."""
    count, low, high, unit, inverse = units.count, units.low, units.high, units.unit, units.inverse
    unit[k] = median_range(k, count, low, high, spare)
    share_units(k, FACTOR, count, low, high, unit, inverse)
    if not unit[k] > 0.0:
        for j in range(count.shape[1]):
            inverse[k, j] = 0.0
