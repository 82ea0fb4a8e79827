"""Isolation trees in arrays of fixed size, built from a reservoir of records and read with soft edges.

A tree is a heap: node m has the children 2m + 1 and 2m + 2. A node splits one field, drawn among those that vary in
its part of the sample, at a value drawn uniformly between the least and the largest there. The depth at
which a record would be alone is then known from the tree, as in an isolation forest, with two additions
that make it what a tree built with the record in its sample would have given on average:

- a record outside the range of the node's sample, by a gap, would have been cut off at this split with probability
  gap / (range + gap), so what is deeper counts with the rest of the probability;
- a field that is constant in the reservoir, but not in the record, would have been drawn with the others.

Arrays: reservoir (K, d, R) values, NaN missing; flat (K, d) bool whether a field is constant in it, and at what,
`level`, NaN where there are too few values to say so; code (K, T, 2S - 1): 0 a leaf, else the field's number from 1 on,
negative where most of the sample go right; size as code: records of the sample there; split, low, high (K, T, S - 1),
the last two the range of the field; random (K,) int64 in [1, 2^31 - 2].
"""

from __future__ import annotations

import math

from clipdetect.jit import kernel
from clipdetect.numerics.margin import draw

LEAST_PART = 1e-6  # of a sample; what cuts off more is no more to blame
CONSTANT_FROM = 8  # values in the reservoir from which on a field may count as constant


@kernel
def chance(k, random):
    """A number in (0, 1), and the next state of key k's generator."""
    random[k] = random[k] * 48271 % 2147483647
    return random[k] / 2147483647.0


@kernel
def usual_depths(table):
    """table[n]: mean depth at which one of n records is alone in a random binary tree; table: (most + 1,)."""
    harmonic = 0.0
    table[0] = 0.0
    for n in range(1, table.shape[0]):
        table[n] = 2.0 * harmonic - 2.0 * (n - 1.0) / n if n > 1 else 0.0
        harmonic += 1.0 / n


@kernel
def find_flat(k, held, count, reservoir, flat, level):
    """Which fields are constant in the first `held` places. count: (K, d) values seen."""
    for j in range(reservoir.shape[1]):
        if count[k, j] == 0:
            continue
        found = 0
        first = math.nan
        flat[k, j] = True
        for r in range(held):
            v = reservoir[k, j, r]
            if math.isnan(v):
                continue
            if found == 0:
                first = v
            found += 1
            if v != first:
                flat[k, j] = False
                break
        level[k, j] = first if found >= CONSTANT_FROM else math.nan


@kernel
def strays(k, j, v, count, flat, level):
    """Whether v is a value of field j other than the one that the whole reservoir has."""
    return count[k, j] > 0 and flat[k, j] and abs(v - level[k, j]) > 0.0


@kernel
def sample_rows(k, held, wanted, random, rows):
    """Draw `wanted` of the first `held` places without replacement, to the front of rows (R,)."""
    for r in range(held):
        rows[r] = r
    for r in range(wanted):
        other = r + draw(k, held - r, random)
        row = rows[other]
        rows[other] = rows[r]
        rows[r] = row


@kernel
def varying_field(k, begin, end, candidates, reservoir, rows, random, box):
    """A field drawn among those that vary in rows[begin:end], or -1; its least and largest value into box (2,).

    candidates: (d + 1,), how many there are and then these; their order changes.
    """
    left = candidates[0]
    while left > 0:
        at = 1 + draw(k, left, random)
        j = candidates[at]
        low = math.inf
        high = -math.inf
        for r in range(begin, end):
            v = reservoir[k, j, rows[r]]
            if v < low:
                low = v
            if v > high:
                high = v
        if low < high:
            box[0] = low
            box[1] = high
            return j
        candidates[at] = candidates[left]
        candidates[left] = j
        left -= 1
    return -1


@kernel
def divide(k, j, begin, end, value, reservoir, rows):
    """Bring rows whose field j is below `value` to the front of rows[begin:end]; those without it go with the most.

    Returns how many are in front, negative where these are fewer.
    """
    below = 0
    above = 0
    for r in range(begin, end):
        v = reservoir[k, j, rows[r]]
        if v < value:
            below += 1
        elif v >= value:
            above += 1
    front = begin
    for r in range(begin, end):
        row = rows[r]
        v = reservoir[k, j, row]
        if v < value or (below >= above and math.isnan(v)):
            rows[r] = rows[front]
            rows[front] = row
            front += 1
    return front - begin if below >= above else begin - front


@kernel
def build(
    k, t, held, wanted, reservoir, flat, count, code, size, split, low, high, random, rows, starts, candidates, box
):  # fmt: skip
    """Tree t of key k anew, from `wanted` of the first `held` places.

    rows: (R,), starts: (2S - 1,), candidates: (d + 1,), box: (2,): scratch.
    """
    sample_rows(k, held, wanted, random, rows)
    candidates[0] = 0
    for j in range(reservoir.shape[1]):
        if count[k, j] > 0 and not flat[k, j]:
            candidates[0] += 1
            candidates[candidates[0]] = j
    for m in range(code.shape[2]):
        code[k, t, m] = 0
        size[k, t, m] = 0
    size[k, t, 0] = wanted
    starts[0] = 0
    for m in range(split.shape[2]):
        n = size[k, t, m]
        if n < 2:
            continue
        begin = starts[m]
        j = varying_field(k, begin, begin + n, candidates, reservoir, rows, random, box)
        if j < 0:
            continue
        value = box[0] + chance(k, random) * (box[1] - box[0])
        if not box[0] < value <= box[1]:  # rounding: both children must have a record
            value = box[1]
        front = divide(k, j, begin, begin + n, value, reservoir, rows)
        code[k, t, m] = j + 1 if front > 0 else -(j + 1)
        front = abs(front)
        split[k, t, m] = value
        low[k, t, m] = box[0]
        high[k, t, m] = box[1]
        starts[2 * m + 1] = begin
        size[k, t, 2 * m + 1] = front
        starts[2 * m + 2] = begin + front
        size[k, t, 2 * m + 2] = n - front


@kernel
def depth(k, t, i, x, fresh, code, size, split, low, high, usual, blame):
    """How deep record x (d,) lies in tree t, in usual depths of its sample; and what `fresh` is to blame for.

    fresh: probability that a split would be on a field in which the record differs from a constant reservoir.
    blame: (n, d), to row i of which is added, by field, what its splits cut off: -log of twice the part left with it.
    """
    total = 0.0
    alive = 1.0
    cut = 0.0
    m = 0
    while code[k, t, m] != 0:
        j = abs(code[k, t, m]) - 1
        v = x[j]
        total += alive
        cut += alive * fresh
        alive *= 1.0 - fresh
        if math.isnan(v):
            child = 2 * m + (2 if code[k, t, m] < 0 else 1)
        else:
            child = 2 * m + (1 if v < split[k, t, m] else 2)
            near = 1.0
            if v < low[k, t, m]:
                width = high[k, t, m] - low[k, t, m]
                near = width / (width + (low[k, t, m] - v))
            elif v > high[k, t, m]:
                width = high[k, t, m] - low[k, t, m]
                near = width / (width + (v - high[k, t, m]))
            part = near * size[k, t, child] / size[k, t, m]
            if part < 0.5:
                blame[i, j] -= alive * math.log(max(2.0 * part, LEAST_PART))
            alive *= near
        m = child
    n = size[k, t, m]
    if n > 1:
        total += alive * (fresh + (1.0 - fresh) * usual[n])
        cut += alive * fresh
    return total / usual[size[k, t, 0]], cut


@kernel
def home_depth(k, t, held, wanted, reservoir, rows, v, code, size, split, low, high, usual, blame):
    """Mean depth in tree t of the reservoir's records that it was not built from, rows[wanted:held]; NaN without any.

    v: (d,), blame: (1, d): scratch.
    """
    total = 0.0
    for r in range(wanted, held):
        for j in range(reservoir.shape[1]):
            v[j] = reservoir[k, j, rows[r]]
        one, _ = depth(k, t, 0, v, 0.0, code, size, split, low, high, usual, blame)
        total += one
    return total / (held - wanted) if held > wanted else math.nan
