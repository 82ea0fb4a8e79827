"""Clipped, scale-free scores of a stream's values, and how surprising a difference of their means is.

A field's first 32 values fix a median and a scale; each value is then a score: its distance from that
median in scales, clipped at 3. Scores of a stream that does not change are identically distributed
whatever its tails, and bounded. Arrays are (K, ..., d): by key and field.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.jit import kernel
from clipdetect.numerics.ordered import sort

FIRST = 32  # values of a field that fix its median and scale
CLIP = 3.0  # in scales; with the scale's own noise this costs 2% of the efficiency on normal data
TO_SIGMA = 1.4826  # normal standard deviations in a median absolute deviation
MOST_CORRELATION = 0.95
KURTOSIS_AFTER = 100.0  # scores at which half of the kurtosis is believed
LOG_ROOT_2PI = 0.9189385332046727


class ScoredFields(NamedTuple):
    """What a detector keeps of each field to score its values; in scales where no unit is said."""

    first: np.ndarray  # (K, 32, d) the first values, in the field's unit
    centre: np.ndarray  # (K, d) their median, in the field's unit
    unit: np.ndarray  # (K, d) their scale, in the field's unit
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64, scores
    sums: np.ndarray  # (K, 5, d) of the scores' first four powers, and of products of neighbours
    previous: np.ndarray  # (K, d) the last score


@kernel
def refer(k: int, j: int, first: np.ndarray, centre: np.ndarray, unit: np.ndarray, ordered: np.ndarray) -> None:
    """Median and scale of a field's first values. ordered: (FIRST,) scratch.

    Where half of them are one value, the scale is that of the rest; 0 where all are equal.
    """
    for i in range(FIRST):
        ordered[i] = first[k, i, j]
    sort(FIRST, ordered)
    middle = 0.5 * ordered[FIRST // 2 - 1] + 0.5 * ordered[FIRST // 2]
    n = 0
    for i in range(FIRST):
        ordered[i] = abs(first[k, i, j] - middle)
    sort(FIRST, ordered)
    size = 0.5 * ordered[FIRST // 2 - 1] + 0.5 * ordered[FIRST // 2]
    if not size > 0.0:
        for i in range(FIRST):
            if ordered[i] > 0.0:
                ordered[n] = ordered[i]
                n += 1
        size = ordered[n // 2] if n > 0 else 0.0
    centre[k, j] = middle
    unit[k, j] = TO_SIGMA * size


@kernel
def standard(x: float, middle: float, size: float) -> float:
    """Distance from the middle in scales, clipped; at the clip where the field was constant."""
    gap = x - middle
    if size > 0.0:
        return min(max(gap / size, -CLIP), CLIP)
    return 0.0 if gap == 0.0 else math.copysign(CLIP, gap)


@kernel
def add(score: float, k: int, j: int, count: np.ndarray, sums: np.ndarray, previous: np.ndarray) -> None:
    """Take a score into the field's sums: of its first four powers, and of products of neighbours. sums: (K, 5, d)."""
    square = score * score
    sums[k, 0, j] += score
    sums[k, 1, j] += square
    sums[k, 2, j] += square * score
    sums[k, 3, j] += square * square
    if count[k, j] > 0:
        sums[k, 4, j] += score * previous[k, j]
    previous[k, j] = score
    count[k, j] += 1


@kernel
def begin(k: int, j: int, fields: ScoredFields, ordered: np.ndarray) -> None:
    """The field has its first values: fix median and scale, and take these values in. ordered: (FIRST,) scratch."""
    first, centre, unit = fields.first, fields.centre, fields.unit
    refer(k, j, first, centre, unit, ordered)
    for i in range(FIRST):
        add(standard(first[k, i, j], centre[k, j], unit[k, j]), k, j, fields.count, fields.sums, fields.previous)


@kernel
def moments(k: int, j: int, count: np.ndarray, sums: np.ndarray, about: np.ndarray) -> None:
    """A field's variance of scores (0 where they do not vary), their skewness, excess kurtosis and autocorrelation
    at lag one, less twice its error; into about[:, j], (4, d) scratch.
    """
    n = 1.0 * count[k, j]
    each = 1.0 / n
    mean = sums[k, 0, j] * each
    raw2 = sums[k, 1, j] * each
    raw3 = sums[k, 2, j] * each
    raw4 = sums[k, 3, j] * each
    square = raw2 - mean * mean
    if not square > 1e-9:
        about[0, j] = 0.0
        return
    cube = raw3 - mean * (3.0 * square + mean * mean)
    fourth = raw4 - mean * (4.0 * raw3 - mean * (6.0 * raw2 - 3.0 * mean * mean))
    one = 1.0 / square
    about[0, j] = square
    about[1, j] = cube * one * math.sqrt(one)
    about[2, j] = (fourth * one * one - 3.0) * n / (n + KURTOSIS_AFTER)
    about[3, j] = (sums[k, 4, j] / (n - 1.0) - mean * mean) * one - 2.0 * math.sqrt(each)


@kernel
def squared(total: float, n: float, total_before: float, before: float, about: np.ndarray, j: int) -> float:
    """The squared difference of the means after and before a split, in its own variance. before, n: as floats.

    Where scores are autocorrelated beyond what a change at this very split would explain, the variance of
    a mean is wider by (1 + rho) / (1 - rho).
    """
    gap = total * before - total_before * n
    square = gap * gap / (about[0, j] * n * before * (n - before))
    if about[3, j] > 0.0 and square < about[3, j] * n:
        rho = min((about[3, j] * n - square) / (n - square), MOST_CORRELATION)
        square *= (1.0 - rho) / (1.0 + rho)
    return square


@kernel
def corrected(total: float, n: float, total_before: float, before: float, about: np.ndarray, j: int) -> float:
    """`squared`, brought to what it would be if the scores were normal; 1 on average, as before.

    Twice the exponent of a gamma tail with the skewness of the difference, in place of a normal one;
    then the next term of the exponent, for kurtosis that is not the gamma's, by a quarter at most.
    """
    after = n - before
    square = squared(total, n, total_before, before, about, j)
    width = n / (after * before)  # variance of the difference, in that of a score
    lean = about[1, j] * (1.0 / after - 1.0 / before) / math.sqrt(width)
    fourth = about[2, j] * (1.0 / (after * after * after) + 1.0 / (before * before * before)) / (width * width)
    t = math.sqrt(square)
    if total * before < total_before * n:
        t = -t
    u = max(0.5 * lean * t, -0.5)
    factor = 1.0
    if abs(u) > 1e-3:
        factor = 2.0 * (u - math.log1p(u)) / (u * u)
        fourth -= 1.5 * lean * lean
    return square * factor * min(max(1.0 - fourth * (square - 3.0) / 12.0, 0.75), 1.25)


@kernel
def surprise(square: float, h: float) -> float:
    """-ln of the tail probability of chi-squared with h >= 1 degrees of freedom, by its saddlepoint.

    0 where square <= h + 1.
    """
    if square <= h + 1.0:
        return 0.0
    exponent = 0.5 * (square - h - h * math.log(square / h))
    return exponent + LOG_ROOT_2PI + math.log(0.5 * (square - h) * math.sqrt(2.0 / h))


@kernel
def surprise_of_sum(total: float, m: int, trace: float) -> float:
    """-ln of the tail probability of a sum of m squared normals, of variance 1 and correlation matrix R.

    trace: tr(R^2), from m to m^2. Of the matrices with that trace the one with the largest single eigenvalue is
    taken, which all fields have in common; shifted chi-squared by three moments.
    """
    if m == 1:
        return surprise(total, 1.0)
    most = 1.0 + math.sqrt((m - 1.0) * max(trace / m - 1.0, 0.0))
    rest = m - most
    cubes = most * most * most + rest * rest * rest / ((m - 1.0) * (m - 1.0))
    scale = cubes / trace
    h = max(1.0, trace / (scale * scale))
    return surprise((total - m) / scale + h, h)
