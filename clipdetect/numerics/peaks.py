"""What the thresholds over recent peaks share: sorting, a clipped scale, and where gross records begin."""

from __future__ import annotations

import math

import numpy as np

from clipdetect.jit import kernel

SCALE_CLIP = 2.0  # scales; influence of one record on the scale
SCALE_RATE = 0.01  # of the scale: some 100 records
OTHER_RATE = 0.03  # where scores are no residuals: a model's distances change with what it models
BODY_FROM = 0.5  # scales; below, sizes say nothing of a gap: a lattice has 0 and 1 only
LONG, WIDE, NARROW = 6.05, 2.46, 1.65  # factors; integers 1, 2, 3 leave gaps of a factor 2
NARROW_FROM = 2.6  # scales from which the narrow factor is enough
FEWEST = 8  # sizes beyond a gap
LEAST_INDEX = 0.4  # a flatter tail is no tail: even an infinite mean has 1


@kernel
def order(y: np.ndarray, n: int) -> None:
    """Sort the first n values in place, ascending. y: (>= n,)."""
    gap = n // 2
    while gap > 0:
        for i in range(gap, n):
            value = y[i]
            j = i
            while j >= gap and y[j - gap] > value:
                y[j] = y[j - gap]
                j -= gap
            y[j] = value
        gap = gap // 2


@kernel
def first_scale(y: np.ndarray, n: int) -> float:
    """The s at which the mean of min(size / s, 2) over the sizes > 0 is 1; 0 where all are 0. y: (>= n,) ascending."""
    zeros = 0
    while zeros < n and not y[zeros] > 0.0:
        zeros += 1
    if zeros == n:
        return 0.0
    scale: float = max(1.2 * min(y[(zeros + n) // 2], 1e299), 1e-300)
    for _ in range(20):
        total = 0.0
        for i in range(zeros, n):
            total += min(y[i] / scale, SCALE_CLIP)
        scale *= math.exp(0.7 * (total / (n - zeros) - 1.0))
    return scale


@kernel
def rescaled(scale: float, y: float, seen: int, rate: float) -> float:
    """The scale after a record of y > 0 scales: one clipped step, at `rate` in the end."""
    step = max(rate, 1.0 / (seen + 1.0))
    return min(max(scale * math.exp(step * (min(y, SCALE_CLIP) - 1.0)), 1e-300), 1e300)


@kernel
def fall(more: float, fewer: float) -> float:
    """ln(more / fewer) of two counts, less two standard errors."""
    return math.log(more / fewer) - 2.0 / math.sqrt(fewer * 1.0)


@kernel
def gross_from(y: np.ndarray, n: int, most: int, index: float) -> int:
    """How many of n ascending sizes (in scales) come before the gross ones; n where none are. y: (>= n,).

    Of every usual law the logarithm of the tail is concave in ln y, from Gaussian to Pareto: it does not get flatter
    outwards. So a stretch, a factor `LONG`, `WIDE` or `NARROW` long, that holds far fewer sizes than half the
    steepest index further in leaves in it, is a gap, and what lies beyond it is gross. index: the tail index where
    the sizes begin. At most `most` sizes can be gross: more are a regime.
    """
    found = n
    best = 1e300
    for window in range(3):
        ratio = LONG if window == 0 else (WIDE if window == 1 else NARROW)
        width = math.log(ratio)
        steepest = index
        inner = 0  # first size at or beyond the start of the stretch
        before = 0  # likewise of the stretch before it
        for i in range(1, n):  # stretches end at y[i]
            start = y[i] / ratio
            while y[inner] < start:
                inner += 1
            while y[before] < start / ratio:
                before += 1
            if before > 0 and inner < n:
                steepest = max(steepest, fall(n - before, n - inner) / width)
            beyond = n - i
            if beyond < FEWEST:
                break
            if beyond > most or start < (BODY_FROM if window < 2 else NARROW_FROM) or start < y[0]:
                continue
            within = i - inner
            if 2 * within > beyond:  # a cluster cut in two: a regime
                continue
            expected = beyond * (math.exp(min(max(LEAST_INDEX, 0.5 * steepest), 30.0) * width) - 1.0)
            if within + 4.0 * math.sqrt(within * 1.0) + 8.0 < expected and (within + 1.0) / expected < best:
                best = (within + 1.0) / expected
                found = i
    return found
