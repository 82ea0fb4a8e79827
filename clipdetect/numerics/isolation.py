"""Isolation trees in arrays of fixed size, built from a reservoir of records and read with soft edges.

A tree is a heap: node m has the children 2m + 1 and 2m + 2. A node splits one field, drawn among those that vary in
its part of the sample, at a value drawn uniformly between the least and the largest there. The depth at
which a record would be alone is then known from the tree, as in an isolation forest, with two additions
that make it what a tree built with the record in its sample would have given on average:

- a record outside the range of the node's sample, by a gap, would have been cut off at this split with probability
  gap / (range + gap), so what is deeper counts with the rest of the probability;
- a field that is constant in the reservoir, but not in the record, would have been drawn with the others.

In the shapes K is the number of keys, T of trees, R of places in the reservoir, S of leaves of a tree.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.jit import kernel
from clipdetect.numerics.random_numbers import draw, uniform

LEAST_PART = 1e-6  # of a sample; what cuts off more is no more to blame
CONSTANT_FROM = 8  # values in the reservoir from which on a field may count as constant


class Reservoir(NamedTuple):
    """Recent records, and which of their fields are constant."""

    values: np.ndarray  # (K, d, R) NaN missing
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64, values a field ever had
    flat: np.ndarray  # (K, d) bool, whether a field is constant here
    level: np.ndarray  # (K, d) at what, NaN where there are too few values to say so


class Trees(NamedTuple):
    """All trees of all keys."""

    code: np.ndarray  # (K, T, 2S - 1) int32, 0 a leaf, else field + 1; negative where most of the sample go right
    size: np.ndarray  # (K, T, 2S - 1) int32, records of the sample there
    split: np.ndarray  # (K, T, S - 1) value at which a node splits
    low: np.ndarray  # (K, T, S - 1) least value of that field in the node's sample
    high: np.ndarray  # (K, T, S - 1) the largest
    usual: np.ndarray  # (S + 1,) see `usual_depths`


class Workspace(NamedTuple):
    """Room for the building of a tree."""

    v: np.ndarray  # (d,) a record
    rows: np.ndarray  # (R,) int64, places of the reservoir, the sample first
    starts: np.ndarray  # (2S - 1,) int64, where in rows a node's records begin
    candidates: np.ndarray  # (d + 1,) int64, how many fields may be split, and then these
    box: np.ndarray  # (2,) least and largest value of a field
    blame: np.ndarray  # (1, d)


@kernel
def usual_depths(table: np.ndarray) -> None:
    """table[n]: mean depth at which one of n records is alone in a random binary tree; table: (most + 1,)."""
    harmonic = 0.0
    table[0] = 0.0
    for n in range(1, table.shape[0]):
        table[n] = 2.0 * harmonic - 2.0 * (n - 1.0) / n if n > 1 else 0.0
        harmonic += 1.0 / n


@kernel
def find_flat(k: int, held: int, reservoir: Reservoir) -> None:
    """Which fields are constant in the first `held` places."""
    values, count, flat, level = reservoir.values, reservoir.count, reservoir.flat, reservoir.level
    for j in range(values.shape[1]):
        if count[k, j] == 0:
            continue
        found = 0
        first = math.nan
        flat[k, j] = True
        for r in range(held):
            v = values[k, j, r]
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
def strays(k: int, j: int, v: float, count: np.ndarray, flat: np.ndarray, level: np.ndarray) -> bool:
    """Whether v is a value of field j other than the one that the whole reservoir has."""
    return count[k, j] > 0 and flat[k, j] and abs(v - level[k, j]) > 0.0


@kernel
def sample_rows(k: int, held: int, wanted: int, random: np.ndarray, rows: np.ndarray) -> None:
    """Draw `wanted` of the first `held` places without replacement, to the front of rows (R,)."""
    for r in range(held):
        rows[r] = r
    for r in range(wanted):
        other = r + draw(k, held - r, random)
        row = rows[other]
        rows[other] = rows[r]
        rows[r] = row


@kernel
def varying_field(k: int, begin: int, end: int, values: np.ndarray, random: np.ndarray, work: Workspace) -> int:
    """A field drawn among those that vary in rows[begin:end], or -1; its least and largest value into the box.

    The order of the candidates changes. values: (K, d, R).
    """
    rows, candidates, box = work.rows, work.candidates, work.box
    left = candidates[0]
    while left > 0:
        at = 1 + draw(k, left, random)
        j = candidates[at]
        low = math.inf
        high = -math.inf
        for r in range(begin, end):
            v = values[k, j, rows[r]]
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
def divide(k: int, j: int, begin: int, end: int, value: float, values: np.ndarray, rows: np.ndarray) -> int:
    """Bring rows whose field j is below `value` to the front of rows[begin:end]; those without it go with the most.

    Returns how many are in front, negative where these are fewer.
    """
    below = 0
    above = 0
    for r in range(begin, end):
        v = values[k, j, rows[r]]
        if v < value:
            below += 1
        elif v >= value:
            above += 1
    front = begin
    for r in range(begin, end):
        row = rows[r]
        v = values[k, j, row]
        if v < value or (below >= above and math.isnan(v)):
            rows[r] = rows[front]
            rows[front] = row
            front += 1
    return front - begin if below >= above else begin - front


@kernel
def build(
    k: int, t: int, held: int, wanted: int, reservoir: Reservoir, trees: Trees, random: np.ndarray, work: Workspace
) -> None:
    """Tree t of key k anew, from `wanted` of the first `held` places. random: (K,) int64."""
    values, count, flat = reservoir.values, reservoir.count, reservoir.flat
    code, size, split, low, high = trees.code, trees.size, trees.split, trees.low, trees.high
    rows, starts, candidates, box = work.rows, work.starts, work.candidates, work.box
    sample_rows(k, held, wanted, random, rows)
    candidates[0] = 0
    for j in range(values.shape[1]):
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
        j = varying_field(k, begin, begin + n, values, random, work)
        if j < 0:
            continue
        value = box[0] + uniform(k, random) * (box[1] - box[0])
        if not box[0] < value <= box[1]:  # rounding: both children must have a record
            value = box[1]
        front = divide(k, j, begin, begin + n, value, values, rows)
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
def depth(k: int, t: int, i: int, x: np.ndarray, fresh: float, trees: Trees, blame: np.ndarray) -> tuple[float, float]:
    """How deep record x (d,) lies in tree t, in usual depths of its sample; and what `fresh` is to blame for.

    fresh: probability that a split would be on a field in which the record differs from a constant reservoir.
    blame: (n, d), to row i of which is added, by field, what its splits cut off: -log of twice the part left with it.
    """
    code, size, split, low, high, usual = trees.code, trees.size, trees.split, trees.low, trees.high, trees.usual
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
def home_depth(k: int, t: int, held: int, wanted: int, values: np.ndarray, trees: Trees, work: Workspace) -> float:
    """Mean depth in tree t of the reservoir's records that it was not built from, rows[wanted:held]; NaN without any.

    values: (K, d, R).
    """
    rows, v = work.rows, work.v
    total = 0.0
    for r in range(wanted, held):
        for j in range(values.shape[1]):
            v[j] = values[k, j, rows[r]]
        one, _ = depth(k, t, 0, v, 0.0, trees, work.blame)
        total += one
    return total / (held - wanted) if held > wanted else math.nan
