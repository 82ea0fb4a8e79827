"""The detector of theorem 3.1 and algorithm 1: `clipped_mean` with constants=guaranteed or printed.

A. Sankararaman, B. Narayanaswamy, "Online heavy-tailed change-point detection", UAI 2023, PMLR 216:1815-1826.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE, Changes, RowArrays
from clipdetect.jit import kernel
from clipdetect.numerics.clipped_descent import BoundConstants, Descent, descend, excess
from clipdetect.numerics.clipped_scores import FIRST, refer
from clipdetect.numerics.splits import NEAR, PLACES, due, place

GUARANTEED = BoundConstants(120.0, 320.0, 1024.0, 8.0, 16.0, 4.0, 96.0)  # of theorem 3.1
PRINTED = BoundConstants(4.0, 8.0, 0.5, 1.0, 2.0, 1.0, 2.0)  # of section 5.1
FARTHEST = 1e75  # in sigma, so that squares stay finite
DIAMETERS = 12.0  # the diameter where none is given, in sigma, as in the paper's experiments


class TheoremState(NamedTuple):
    """The arrays of all keys: of the segment since the last change."""

    filled: np.ndarray  # (K, d) int64, how many of the first values there are
    first: np.ndarray  # (K, 32, d) these, in the field's unit
    centre: np.ndarray  # (K, d) of the ball, in the field's unit
    unit: np.ndarray  # (K, d) sigma of the field, in its unit
    clock: np.ndarray  # (K,) int64, records
    split_at: np.ndarray  # (K, 76) int64, records before each split kept, 0 where there is none
    mean: np.ndarray  # (K, 77, d) estimates after each split, in sigma; the last the segment's own
    before: np.ndarray  # (K, 76, d) the estimate before each split


class TheoremParameters(NamedTuple):
    """The settings; NaN where not given."""

    delta: float  # probability of a false alarm
    sigma: float  # bound of the noise, in the data's unit
    diameter: float  # of the ball of possible means, in the data's unit
    centre: float  # of that ball, in the data's unit
    constants: BoundConstants
    project: bool  # whether estimates stay in the ball


class TheoremScratch(NamedTuple):
    """Room for what is worked out on the way."""

    value: np.ndarray  # (d,) the record about the centre, in sigma; NaN where missing
    ordered: np.ndarray  # (32,)


@kernel
def clear(k: int, filled: np.ndarray, clock: np.ndarray, split_at: np.ndarray) -> None:
    """A new segment begins with the next record."""
    clock[k] = 0
    for j in range(filled.shape[1]):
        filled[k, j] = 0
    for p in range(PLACES):
        split_at[k, p] = 0


@kernel
def place_values(
    X: np.ndarray, i: int, k: int, parameters: TheoremParameters, state: TheoremState, scratch: TheoremScratch
) -> int:
    """The row about the centre and in units of sigma into the scratch's value, NaN where missing or not yet known.

    Returns how many fields are there.
    """
    sigma, middle, value = parameters.sigma, parameters.centre, scratch.value
    filled, first, centre, unit = state.filled, state.first, state.centre, state.unit
    fresh = 0
    for j in range(X.shape[1]):
        x = X[i, j]
        value[j] = math.nan
        if not abs(x) < UNREADABLE:
            continue
        if filled[k, j] < FIRST and math.isnan(middle):
            first[k, filled[k, j], j] = x
            filled[k, j] += 1
            if filled[k, j] == FIRST:
                refer(k, j, first, centre, unit, scratch.ordered)
                if not math.isnan(sigma):
                    unit[k, j] = sigma
            continue
        if filled[k, j] < FIRST:
            centre[k, j] = middle
            unit[k, j] = sigma
            filled[k, j] = FIRST
        gap = x - centre[k, j]
        if unit[k, j] > 0.0:
            value[j] = min(max(gap / unit[k, j], -FARTHEST), FARTHEST)
        else:
            value[j] = 0.0 if gap == 0.0 else math.copysign(1.0, gap)
        fresh += 1
    return fresh


@kernel
def step_theorem(
    rows: RowArrays, parameters: TheoremParameters, state: TheoremState, out: Changes, scratch: TheoremScratch
) -> None:
    """Algorithm 1."""
    X, slots, learn = rows.X, rows.slots, rows.learn
    delta, sigma, diameter, constants = parameters.delta, parameters.sigma, parameters.diameter, parameters.constants
    filled, clock, split_at = state.filled, state.clock, state.split_at
    mean, before, value = state.mean, state.before, scratch.value
    d = X.shape[1]
    for i in range(X.shape[0]):
        k = slots[i]
        if not learn[i] or place_values(X, i, k, parameters, state, scratch) == 0:
            continue
        fields = 0
        for j in range(d):
            fields += 1 if filled[k, j] == FIRST else 0
        own = math.sqrt(1.0 * fields) if math.isnan(sigma) else 1.0
        wide = DIAMETERS * own if math.isnan(diameter) else diameter / sigma
        clip = 2.0 * wide
        gamma = max(constants.gamma_clip * clip * own * (own + 1.0), constants.gamma_noise * own * own + 1.0)
        descent = Descent(own, wide, clip, gamma, constants)
        bound = 0.5 * wide if parameters.project else math.inf
        clock[k] += 1
        n = clock[k]
        for p in range(PLACES):
            if split_at[k, p] > 0:
                descend(k, p, n - split_at[k, p], value, clip, gamma, bound, mean)
        log_inverse = math.log(2.0 * n * max(n - 1.0, 1.0) / delta)
        found = False
        step = 1
        for level in range(due(n)):
            base = n // step
            for back in range(NEAR // 2 if level > 0 else 1, min(NEAR, base)):
                p = place(base - back, level)
                if not found and split_at[k, p] == (base - back) * step:
                    own_excess = excess(k, p, n, log_inverse, descent, split_at, mean, before)
                    found = own_excess > 0.0
            step *= 2
        if found:
            best = 0.0
            for p in range(PLACES):
                own_excess = excess(k, p, n, log_inverse, descent, split_at, mean, before)
                if own_excess > best:
                    best = own_excess
                    out.since[i] = n - split_at[k, p] - 1
            out.changed[i] = True
            clear(k, filled, clock, split_at)
            for j in range(d):
                mean[k, PLACES, j] = 0.0
            continue
        descend(k, PLACES, n, value, clip, gamma, bound, mean)
        p = place(n, 0)
        split_at[k, p] = n
        for j in range(d):
            mean[k, p, j] = 0.0
            before[k, p, j] = mean[k, PLACES, j]
