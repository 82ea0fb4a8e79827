"""The fit behind the `tail` threshold: from decayed counts on a log grid to -log10 of the tail probability."""

from __future__ import annotations

import math

from clipdetect.jit import kernel

NODES = 48
STEP = 0.1  # of ln y; .05 would take light tails from .78 to .93 of the rate at twice the memory
FIRST_NODE = 0.5
LOG_FIRST = math.log(FIRST_NODE)
LN10 = math.log(10.0)

PRIOR_WEIGHT = 50.0  # records that a t(4) law counts for at the start, fading over 500
PRIOR_FADES = 500.0
BODY = 0.05  # tail share where the curve starts; .1 makes Gaussian tails .75 of the rate
FEWEST = 16.0  # counts below which a share is too noisy to read off
DEEPEST = 0.001
WIDE, NARROW = 9, 5  # nodes of a gap; on integers 1, 2, 3 the wide one never fits between two values
NARROW_FROM = 0.95  # ln y where a narrow gap may start: 10 units in lighter tails
LEAST_INDEX = 0.4  # a tail flatter than this over a gap is no tail: even an infinite mean has 1
MOST_GROSS = 0.10  # a larger far share is a second regime, not corruption
LEAST_RISE = 1e-3  # per node, so that no two values tie
IMPOSSIBLE = -1e9


@kernel
def gap(k, total, table):
    """Where gross records begin: the node (48 = none), their count and a bound of the true tail's share there.

    table: (K, 48) holds counts at or beyond each node. A gap is a window over which the tail falls
    far less than half as steeply as it fell further in.
    """
    best = 1e300
    node = NODES
    gross = 0.0
    hidden = 0.0
    for width in range(2):
        m = WIDE if width == 0 else NARROW
        d = STEP * m
        steepest = 0.0
        for t in range(m + 1, NODES):
            beyond = table[k, t]
            if beyond < 2.9:
                break
            if t - 2 * m >= 1:
                steepest = max(steepest, math.log(table[k, t - 2 * m] / table[k, t - m]) / d)
            within = table[k, t - m] - beyond
            if beyond > MOST_GROSS * table[k, 0]:
                continue
            if m == NARROW and LOG_FIRST + STEP * (t - m) < NARROW_FROM:
                continue
            theta = max(LEAST_INDEX, 0.5 * steepest)
            expected = beyond * (math.exp(theta * d) - 1.0)
            if within + 2.0 * math.sqrt(max(within, 0.0)) + 1.0 < expected and (within + 1.0) / expected < best:
                best = (within + 1.0) / expected
                node = t
                gross = beyond
                hidden = within / ((math.exp(max(theta, steepest) * d) - 1.0) * total)
    return node, gross, hidden


@kernel
def stretch(k, level, table):
    """Last node of the first stretch whose log share is at least `level`; 0 if there is none."""
    j = 0
    while j + 1 < NODES and table[k, j + 1] >= level and table[k, j] >= level:
        j += 1
    return j


@kernel
def refit(k, seen, prior, counts, table):
    """Fill table (K, 48) with -log10 P(y or more) at the nodes, strictly rising, from counts (K, 48).

    seen: records so far; prior: (48,) tail of the law assumed at the start.
    """
    beyond = 0.0
    for back in range(NODES):
        j = NODES - 1 - back
        beyond += counts[k, j]
        table[k, j] = beyond
    weight = PRIOR_WEIGHT * PRIOR_FADES / (PRIOR_FADES + seen)
    total = beyond + weight
    node, gross, hidden = gap(k, total, table)
    eps = gross / total
    for j in range(NODES):
        own = counts[k, j] / 2.0 if j < NODES - 1 else 0.0  # the last node holds all beyond
        share = ((table[k, j] - own + weight * prior[j]) / total - eps) / (1.0 - eps)
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
        previous = max(value, previous + LEAST_RISE)
        table[k, j] = previous


@kernel
def tangent(k, first, last, table):
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
