"""The grid and the fit behind the `tail` threshold: from decayed counts to -log10 of the tail probability."""

from __future__ import annotations

import math

import numpy as np

from clipdetect.jit import kernel

NODES = 48
STEP = 0.1  # of ln y; .05 would take light tails from .78 to .93 of the rate at twice the memory
FIRST_NODE = 0.5
LOG_FIRST = math.log(FIRST_NODE)
LN10 = math.log(10.0)
SCALE_CLIP = 2.0  # scales; influence of one record on its side's scale

PRIOR_WEIGHT = 50.0  # records that a t(4) law counts for at the start, fading over 500
PRIOR_FADES = 500.0
BODY = 0.05  # tail share where the curve starts; .1 makes Gaussian tails .75 of the rate
FEWEST = 16.0  # counts below which a share is too noisy to read off
DEEPEST = 0.001
WIDE, NARROW = 9, 5  # nodes of a gap; on integers 1, 2, 3 the wide one never fits between two values
NARROW_FROM = 0.95  # ln y where a narrow gap may start: 10 units in lighter tails
LEAST_INDEX = 0.4  # a tail flatter than this over a gap is no tail: even an infinite mean has 1
OWN_SIDE = 0.2  # of the gross records: a side with as many has to show the gap itself
LOOSER = 1.5  # by which the fall of both sides together may be steeper than a side's own
REPEATED = 0.45  # of the records like the one before
OTHER_SIDE = 0.12  # of the records; with more, records alike are a smooth course, not one value with others beside it
UNMET = 0.01  # counts, of records long ago: nothing has ever been as far out
TRUSTED = 0.5  # of the way from the curve to the law assumed at the start, there, where one value repeats
MOST_GROSS = 0.10  # a larger far share is a second regime, not corruption
LEAST_RISE = 1e-3  # per node, so that no two values tie
IMPOSSIBLE = -1e9


@kernel
def side_scale(k: int, n: int, side: int, buffer: np.ndarray) -> float:
    """Clipped mean of |e| over the first n buffered residuals: of a side with five or more, else of all.

    side: 0 positive, 1 negative. The fixed point is mean min(|e| / scale, 2) = 1; 0 where all are 0.
    """
    used = 0
    for i in range(n):
        if (buffer[k, i] > 0.0 and side == 0) or (buffer[k, i] < 0.0 and side == 1):
            used += 1
    both = used < 5
    if both:
        used = 0
        for i in range(n):
            if buffer[k, i] != 0.0:
                used += 1
    if used == 0:
        return 0.0
    scale = 0.0
    for i in range(n):  # the median: the value with half of the others below it
        size = abs(buffer[k, i])
        if size > 0.0 and (both or (buffer[k, i] > 0.0) == (side == 0)):
            below = 0
            equal = 0
            for m in range(n):
                if buffer[k, m] != 0.0 and (both or (buffer[k, m] > 0.0) == (side == 0)):
                    if abs(buffer[k, m]) < size:
                        below += 1
                    elif abs(buffer[k, m]) == size:
                        equal += 1
            if below <= used // 2 and below + equal > used // 2:
                scale = 1.2 * size
    for _ in range(20):
        total = 0.0
        for i in range(n):
            size = abs(buffer[k, i])
            if size > 0.0 and (both or (buffer[k, i] > 0.0) == (side == 0)):
                total += min(size / scale, SCALE_CLIP)
        scale *= math.exp(0.7 * (total / used - 1.0))
    return scale


@kernel
def place(y: float) -> float:
    """Position of y > 0 on the nodes; negative below the first."""
    return (math.log(y) - LOG_FIRST) / STEP if y > 0.0 else -1e9


@kernel
def count(y: float, k: int, side: int, counts: np.ndarray, part: float) -> None:
    """One count, or a part, shared between the two nodes around y: a lattice value keeps half its mass above it."""
    t = min(max(place(y), 0.0), NODES - 1.0)
    j = min(int(t), NODES - 2)
    counts[k, side, j] += part * (1.0 - (t - j))
    counts[k, side, j + 1] += part * (t - j)


@kernel
def read(y: float, k: int, table: np.ndarray) -> float:
    """-log10 of the probability of y or more; strictly rising in y, down to 0 at y = 0."""
    if y < FIRST_NODE:
        return table[k, 0] * (y / FIRST_NODE)
    t = place(y)
    if t >= NODES - 1.0:
        return table[k, NODES - 1] + (table[k, NODES - 1] - table[k, NODES - 2]) * (t - (NODES - 1.0))
    j = int(t)
    return table[k, j] + (table[k, j + 1] - table[k, j]) * (t - j)


@kernel
def gap(total: float, beyond: np.ndarray) -> tuple[int, float, float]:
    """Where gross records begin: the node (48 = none), their count and a bound of the true tail's share there.

    beyond: (3, 48) counts at or beyond each node, of the positive and negative side and of both. A gap
    is a window over which the tail falls far less than half as steeply as it fell further in, on
    each side that has gross records: where one side is bounded, the other alone is no gap.
    """
    best = 1e300
    node = NODES
    gross = 0.0
    hidden = 0.0
    for width in range(2):
        m = WIDE if width == 0 else NARROW
        d = STEP * m
        positive = 0.0
        negative = 0.0
        both = 0.0
        for t in range(m + 1, NODES):
            far = beyond[2, t]
            if far < 2.9:
                break
            if t - 2 * m >= 1:
                both = max(both, fall(t - 2 * m, t - m, beyond, 2) / d)
                positive = max(positive, fall(t - 2 * m, t - m, beyond, 0) / d)
                negative = max(negative, fall(t - 2 * m, t - m, beyond, 1) / d)
            within = beyond[2, t - m] - far
            if far > MOST_GROSS * beyond[2, 0]:
                continue
            if m == NARROW and LOG_FIRST + STEP * (t - m) < NARROW_FROM:
                continue
            steepest = both
            if beyond[0, t] >= OWN_SIDE * far:
                steepest = min(steepest, LOOSER * positive)
            if beyond[1, t] >= OWN_SIDE * far:
                steepest = min(steepest, LOOSER * negative)
            theta = max(LEAST_INDEX, 0.5 * steepest)
            expected = far * (math.exp(theta * d) - 1.0)
            if within + 2.0 * math.sqrt(max(within, 0.0)) + 1.0 < expected and (within + 1.0) / expected < best:
                best = (within + 1.0) / expected
                node = t
                gross = far
                hidden = within / ((math.exp(max(theta, steepest) * d) - 1.0) * total)
    return node, gross, hidden


@kernel
def fall(inner: int, outer: int, beyond: np.ndarray, side: int) -> float:
    """Fall of the log count between two nodes; 0 where too few lie beyond the outer one."""
    return math.log(beyond[side, inner] / beyond[side, outer]) if beyond[side, outer] >= 2.9 else 0.0


@kernel
def stretch(k: int, level: float, table: np.ndarray) -> int:
    """Last node of the first stretch whose log share is at least `level`; 0 if there is none."""
    j = 0
    while j + 1 < NODES and table[k, j + 1] >= level and table[k, j] >= level:
        j += 1
    return j


@kernel
def refit(
    k: int, seen: int, alike: float, prior: np.ndarray, counts: np.ndarray, table: np.ndarray, beyond: np.ndarray
) -> int:
    """Fill table (K, 48) with -log10 P(y or more) at the nodes, strictly rising, from counts (K, 2, 48).

    seen: records so far; alike: share of them like the one before; prior: (48,) tail of the law assumed
    at the start; beyond: (3, 48) scratch. Gives the node where gross records begin.
    """
    for back in range(NODES):
        j = NODES - 1 - back
        for side in range(2):
            beyond[side, j] = counts[k, side, j] + (beyond[side, j + 1] if j < NODES - 1 else 0.0)
        beyond[2, j] = beyond[0, j] + beyond[1, j]
    weight = PRIOR_WEIGHT * PRIOR_FADES / (PRIOR_FADES + seen)
    total = beyond[2, 0] + weight
    node = NODES
    gross = 0.0
    hidden = 0.0
    repeats = alike >= REPEATED and min(beyond[0, 1], beyond[1, 1]) < OTHER_SIDE * beyond[2, 0]
    if not repeats:  # where one value repeats, others are no gross records, however far
        node, gross, hidden = gap(total, beyond)
    eps = gross / total
    for j in range(NODES):
        own = (counts[k, 0, j] + counts[k, 1, j]) / 2.0 if j < NODES - 1 else 0.0  # the last node holds all beyond
        share = ((beyond[2, j] - own + weight * prior[j]) / total - eps) / (1.0 - eps)
        table[k, j] = math.log(share) if share > 1e-12 and j < node else IMPOSSIBLE
    deepest = max(DEEPEST, max(FEWEST / total, min(hidden, 0.03)))
    first = stretch(k, math.log(BODY), table)
    last = stretch(k, math.log(deepest), table)
    if last <= first and first + 1 < NODES and table[k, first + 1] > IMPOSSIBLE:
        last = first + 1
    last = max(last, first)
    bend, slope = tangent(k, first, last, table)
    anchor = table[k, last]
    previous = 0.0
    for j in range(NODES):
        if j <= last:
            value = -table[k, j] / LN10
        else:
            d = STEP * (j - last)
            value = -(anchor + slope * d + bend * d * d) / LN10
            if repeats and beyond[2, j] <= UNMET:
                assumed = -math.log((beyond[2, j] + weight * prior[j]) / total) / LN10
                value += TRUSTED * weight / PRIOR_WEIGHT * max(assumed - value, 0.0)
        previous = max(value, previous + LEAST_RISE)
        table[k, j] = previous
    return node


@kernel
def tangent(k: int, first: int, last: int, table: np.ndarray) -> tuple[float, float]:
    """Curvature (<= 0) and slope with which the log tail goes on beyond `last`."""
    bend = 0.0
    slope = -8.0
    width = STEP * (last - first)
    if last - first == 1:
        slope = (table[k, last] - table[k, first]) / width
    elif last - first > 1:
        half = 0.5 * (table[k, first] + table[k, last])
        middle = first
        for j in range(first, last + 1):
            if table[k, j] >= half:
                middle = j
        middle = min(max(middle, first + 1), last - 1)
        inner = (table[k, middle] - table[k, first]) / (STEP * (middle - first))
        outer = (table[k, last] - table[k, middle]) / (STEP * (last - middle))
        bend = (outer - inner) / (0.5 * width)
        if bend < 0.0:
            slope = outer + bend * STEP * (last - middle) / 2.0
        else:
            bend = 0.0
            slope = (table[k, last] - table[k, first]) / width
    return max(bend, -60.0), min(max(slope, -30.0), -0.7)
