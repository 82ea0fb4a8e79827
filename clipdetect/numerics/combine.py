"""One raw score from the deviations of several fields.

A key with one column keeps the signed deviation. A key with more is judged in two ways: by the mean
of log(1 + |z|) over its k largest deviations, k = ceil(1.5 sqrt m) of m columns, in which many
slightly strange fields add up; and by the largest alone, less a handicap, so that one field far out
is not drowned by calm ones. Both live in narrow bands away from 0, so a clipped location and spread
of each is subtracted; what is left is positive and rises with them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from clipdetect.jit import kernel

RATE = 0.002  # of the location and spread: some 500 records
PACE = {False: RATE, True: 0.00005}  # whether the estimator holds its raw scores in one unit: then some 20,000
CLIP = 2.5  # spreads; a larger one teaches no more than this
LEAST_SPREAD = 1e-6  # of a mean of logs, which has no unit: below it is rounding
CAUTIOUS = 8  # records in which location and spread are too rough for more than a spread
HANDICAP = 2.0  # spreads that the largest field alone must be stranger than the mean of the largest
STRETCH, STRETCH_FROM = 0.5, 2.0  # .25 leaves 5% of gross records in one of 8 fields unseen, 1 floods heavy tails
PLACED: dict[str, tuple[tuple[int, ...], Any]] = {  # the state of `placed`, for one location and spread
    "location": ((1,), np.float64),
    "spread": ((1,), np.float64),
    "judged": ((), np.int64),
    "last": ((), np.float64),
}
NEVER_MOVED = 100.0  # |z| of the first change of a field that was constant, whose size is the unit of what comes


class Centre(NamedTuple):
    """What `combine` keeps of each key: [:, 0] of the mean of logs, [:, 1] of the largest log."""

    location: np.ndarray  # (K, 2) clipped location
    spread: np.ndarray  # (K, 2) clipped mean of |deviation|
    judged: np.ndarray  # (K,) int64, records learned


@kernel
def centred(
    value: float, k: int, c: int, floor: float, location: np.ndarray, spread: np.ndarray, judged: np.ndarray
) -> float:
    """`value` in spreads (at least `floor`) above location c of key k; within one in the first records.

    location, spread: (K, ...); judged: (K,) int64.
    """
    d = value - location[k, c]
    if judged[k] < CAUTIOUS:
        return min(max(d / max(spread[k, c], floor), -1.0), 1.0) if judged[k] > 0 and spread[k, c] > 0.0 else 0.0
    if spread[k, c] > 0.0:
        return d / max(spread[k, c], floor)
    return NEVER_MOVED if d > 0.0 else (-NEVER_MOVED if d < 0.0 else 0.0)


@kernel
def positive(u: float) -> float:
    """Centred values mapped to (0, inf), strictly rising; as expected = about 2."""
    return min(u + 2.0, 1e300) if u > -1.0 else -1.0 / u


@kernel
def stretched(u: float) -> float:
    """`positive`, and exponential beyond `STRETCH_FROM`: evidence in logs becomes evidence again.

    So far records stand behind a gap that a tail on a log grid can see.
    """
    if u <= STRETCH_FROM:
        return positive(u)
    return (STRETCH_FROM + 2.0) * math.exp(min(STRETCH * (u - STRETCH_FROM), 600.0))


@kernel
def recentre(
    value: float, k: int, c: int, pace: float, location: np.ndarray, spread: np.ndarray, judged: np.ndarray
) -> None:
    """One clipped step of location and spread c towards `value`; the spread's fixed point is mean |z| = 1.

    pace: the rate in the end; a plain mean at first.
    """
    rate = max(pace, 1.0 / (judged[k] + 1.0))
    d = value - location[k, c]
    if judged[k] == 0:
        location[k, c] = value
        spread[k, c] = 0.0
    elif spread[k, c] > 0.0:
        z = d / spread[k, c]
        location[k, c] += rate * spread[k, c] * min(max(z, -CLIP), CLIP)
        spread[k, c] *= math.exp(0.5 * min(rate, 0.1) * (min(abs(z), CLIP) - 1.0))
    elif d != 0.0:
        spread[k, c] = abs(d)
        location[k, c] += d / 2.0


@kernel
def change_after(n: float) -> float:
    """-log10 of the probability of another value after n equal ones: (1/2) / (n + 1), by Jeffreys' prior."""
    return math.log10(2.0 * (n + 1.0))


@kernel
def learned_size(raw: float) -> float:
    """|raw| as it is learned: the first change of a constant has no size yet, and is the unit of the next ones."""
    return 1.0 if abs(raw) == NEVER_MOVED else abs(raw)


@kernel
def first_change(value: float, k: int, location: np.ndarray, spread: np.ndarray, judged: np.ndarray) -> bool:
    """Whether `placed` has had nothing but one value of key k until now, and this is another."""
    return judged[k] > 0 and spread[k, 0] == 0.0 and value != location[k, 0]


@kernel
def placed(
    value: float, k: int, learn: bool, pace: float, location: np.ndarray, spread: np.ndarray, judged: np.ndarray,
    last: np.ndarray,
) -> float:  # fmt: skip
    """A raw score of any location as a size: spreads above a clipped location, mapped to (0, inf); then learned.

    pace: rate of the location and spread; location, spread: (K, 1); judged: (K,) int64; last: (K,) the value before.
    """
    size = positive(centred(value, k, 0, 0.0, location, spread, judged))
    if learn:
        if value != last[k] or judged[k] == 0:  # a repeated value says nothing of the spread
            if value == NEVER_MOVED and first_change(value, k, location, spread, judged):
                spread[k, 0] = 1.0
            else:
                recentre(value, k, 0, pace, location, spread, judged)
        last[k] = value
        judged[k] += 1
    return size


def unplaced(size: float, slot: int, state: dict[str, Any]) -> float:
    """The raw score that `placed` would make this size of, now; state has its arrays."""
    u = size - 2.0 if size > 1.0 else -1.0 / max(size, 1e-300)
    return float(state["location"][slot, 0] + state["spread"][slot, 0] * u)


@kernel
def strangeness(z: np.ndarray, i: int, columns: int, top: np.ndarray) -> tuple[float, float]:
    """Mean of log(1 + |z|) over the largest deviations of row i, and the largest; NaN where none is present.

    z: (n, d), NaN missing; columns: how many the key has ever seen; top: (d,) scratch.
    """
    wanted = math.ceil(1.5 * math.sqrt(columns * 1.0))
    filled = 0
    for j in range(z.shape[1]):
        size = abs(z[i, j])
        if math.isnan(size):
            continue
        if filled < wanted:
            at = filled
            filled += 1
        elif size > top[filled - 1]:
            at = filled - 1
        else:
            continue
        while at > 0 and top[at - 1] < size:
            top[at] = top[at - 1]
            at -= 1
        top[at] = size
    if filled == 0:
        return math.nan, math.nan
    largest = math.log1p(top[0])
    total = largest
    for j in range(1, filled):
        total += math.log1p(top[j])
    return total / filled, largest


@kernel
def combine(z: np.ndarray, i: int, columns: int, learn: bool, k: int, centre: Centre, top: np.ndarray) -> float:
    """The raw score of row i. z: (n, d) deviations, NaN missing; columns: seen by key k; top: (d,) scratch."""
    location, spread, judged = centre.location, centre.spread, centre.judged
    if columns <= 1:
        raw = math.nan
        for j in range(z.shape[1]):
            if not math.isnan(z[i, j]):
                raw = z[i, j]
        return raw
    value, largest = strangeness(z, i, columns, top)
    if math.isnan(value):
        return math.nan
    if value == 0.0:  # all exactly as expected, which says nothing about the size of the rest
        return 0.0
    u = centred(value, k, 0, LEAST_SPREAD, location, spread, judged)
    u = max(u, centred(largest, k, 1, LEAST_SPREAD, location, spread, judged) - HANDICAP)
    if learn:
        recentre(value, k, 0, RATE, location, spread, judged)
        recentre(largest, k, 1, RATE, location, spread, judged)
        judged[k] += 1
    return stretched(u)
