"""The record bank: thirteen statistics of a field, the range that each ever covered, and what it means to leave it.

A range stretches at once when a value leaves it, but by a clipped step, so that one outlier cannot own it, and
shrinks slowly towards its middle. All state arrays have the key's slot as first axis and the field as last.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.jit import kernel

DAY = 86400.0  # seconds
BINS = 96  # of the day table: quarters of an hour
LEVEL, SEASON, SHIFT, TIMED_SHIFT, VOLATILITY = 0, 1, 2, 6, 10  # first of each family among the statistics
STATISTICS, PAIRS, HORIZONS = 13, 4, 3
AVERAGES, TRACKERS = PAIRS + 2, HORIZONS + 1


class ExtremesConstants(NamedTuple):
    """Numbers that were chosen rather than derived."""

    averages: np.ndarray  # (6,) rates of the averages; a pair is an average and the second next slower one
    trackers: np.ndarray  # (4,) rates of the clipped levels and scales, and of the volatilities
    forget: float = 1.0 / 100_000  # of half a range, a record
    stretch: float = 1.5  # ranges by which one record stretches a range at most
    unit: float = 0.1  # ranges beyond an extreme, of which a third is half of the evidence that a statistic can give
    young: float = 100.0  # values after which evidence counts half
    season_weight: float = 0.3  # of the evidence of the level and of a shift, which is the unit
    volatility_weight: float = 0.7
    tracker_clip: float = 4.0  # scales
    least_scale: float = 0.05  # of its slow peak
    peak: float = 0.0005  # rate at which the peak falls
    floor: float = 0.1  # added to |z| before its logarithm
    bin_rate: float = 0.03  # of a bin of the day table
    bin_clip: float = 3.0  # scales of the seasonal residual
    bin_scale: float = 0.001  # rate of that scale


class Tracked(NamedTuple):
    """Clipped levels of a field at four rates, fastest first, in its unit, less its origin where they are levels."""

    mean: np.ndarray  # (K, 4, d)
    scale: np.ndarray  # (K, 4, d) clipped mean of |deviation|
    peak: np.ndarray  # (K, 4, d) of the scale, falling slowly


class Day(NamedTuple):
    """What is usual at each quarter of an hour, in the field's unit."""

    table: np.ndarray  # (K, 96, d) less the field's origin
    seen: np.ndarray  # (K, 96, d) values that each bin had, parts of them
    spread: np.ndarray  # (K, d) clipped mean of |residual|
    timed: np.ndarray  # (K, d) int64, residuals so far


def extremes_constants(memory: float, clip: float) -> ExtremesConstants:
    """Those of a memory and a clip. On the last tracker a quarter of an hour never seen begins."""
    averages, trackers = np.array([0.3, 0.1, 0.03, 0.01, 0.003, 0.001]), np.array([0.1, 0.03, 0.01, 0.001])
    return ExtremesConstants(averages, trackers, forget=1.0 / memory, stretch=float(clip))


@kernel
def track(v: float, k: int, a: int, j: int, n: int, learn: bool, c: ExtremesConstants, tracked: Tracked) -> float:
    """The deviation of v from clipped level a in its scales; then both may learn it. n: values before.

    The fixed point of the scale is a mean of 1 of the clipped |deviation|.
    """
    mean, scale, peak = tracked.mean, tracked.scale, tracked.peak
    d = v - mean[k, a, j]
    own = scale[k, a, j]
    if not own > 0.0:
        if learn:
            scale[k, a, j] = abs(d)
            mean[k, a, j] += 0.5 * d
            peak[k, a, j] = max(peak[k, a, j], abs(d))
        return 0.0
    rate = max(c.trackers[a], 1.0 / (n + 1.0))
    top = max(own, peak[k, a, j] + c.peak * (own - peak[k, a, j]))
    own = max(own, c.least_scale * top)
    clip = c.tracker_clip
    z = min(max(d / own, -1e9), 1e9)
    if not learn:
        return z
    peak[k, a, j] = top
    mean[k, a, j] += rate * own * min(max(z, -clip), clip)
    scale[k, a, j] = own * math.exp(0.5 * min(rate, 0.1) * (min(abs(z), clip) - 1.0))
    return z


@kernel
def beyond(v: float, k: int, s: int, j: int, unit: float, high: np.ndarray, low: np.ndarray) -> float:
    """Evidence in [0, 1] that v leaves the range of statistic s: 0 within, 1 far out.

    high, low: (K, 13, d). unit: see `ExtremesConstants`.
    """
    excess = v - high[k, s, j]
    if excess <= 0.0:
        excess = low[k, s, j] - v
    if excess <= 0.0:
        return 0.0
    width = high[k, s, j] - low[k, s, j]
    return math.sqrt(excess / (excess + unit * width))


@kernel
def widen(v: float, k: int, s: int, j: int, c: ExtremesConstants, high: np.ndarray, low: np.ndarray) -> None:
    """The range of statistic s shrinks a little, and stretches towards v. high, low: (K, 13, d)."""
    width = high[k, s, j] - low[k, s, j]
    step = 0.5 * c.forget * width
    top = high[k, s, j] - step
    bottom = low[k, s, j] + step
    most = c.stretch * width if width > 0.0 else math.inf
    if v > top:
        top += min(v - top, most)
    elif v < bottom:
        bottom -= min(bottom - v, most)
    high[k, s, j] = top
    low[k, s, j] = bottom


@kernel
def place_in_day(time: float) -> float:
    """Where in the day table a time is: number of bins past the middle of the first one, in [0, BINS)."""
    turn = time / DAY
    place = (turn - math.floor(turn)) * BINS - 0.5
    return place if place >= 0.0 else place + BINS


@kernel
def season(v: float, place: float, k: int, j: int, usual: float, learn: bool, c: ExtremesConstants, day: Day) -> float:
    """v less what the day table has at this place, NaN where it has nothing yet; then the table learns v.

    usual: what an empty bin begins with. Between the middles of two bins the table is linear.
    """
    table, seen, spread, timed = day.table, day.seen, day.spread, day.timed
    first = int(place) % BINS
    second = (first + 1) % BINS
    share = place - math.floor(place)
    one = table[k, first, j] if seen[k, first, j] > 0.0 else usual
    other = table[k, second, j] if seen[k, second, j] > 0.0 else usual
    residual = v - (one + share * (other - one))
    known = seen[k, first, j] > 0.0 and seen[k, second, j] > 0.0
    if not learn:
        return residual if known else math.nan
    own = spread[k, j]
    limit = c.bin_clip * own if own > 0.0 else abs(residual)
    step = min(max(residual, -limit), limit)
    table[k, first, j] = one + (1.0 - share) * max(c.bin_rate, 1.0 / (seen[k, first, j] + 1.0)) * step
    table[k, second, j] = other + share * max(c.bin_rate, 1.0 / (seen[k, second, j] + 1.0)) * step
    seen[k, first, j] += 1.0 - share
    seen[k, second, j] += share
    if own > 0.0:
        rate = max(c.bin_scale, 1.0 / (timed[k, j] + 1.0))
        z = min(abs(residual) / own, c.bin_clip)
        spread[k, j] = own * math.exp(0.5 * min(rate, 0.1) * (z - 1.0))
    else:
        spread[k, j] = abs(residual)
    if not known:
        return math.nan
    timed[k, j] += 1
    return residual
