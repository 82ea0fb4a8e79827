"""The record bank: thirteen statistics of a field, the range that each ever covered, and what it means to leave it.

A range stretches at once when a value leaves it, but by a clipped step, so that one outlier cannot own it, and
shrinks slowly towards its middle. All state arrays have the key's slot as first axis and the field as last.
"""

from __future__ import annotations

import math

from clipdetect.jit import kernel

DAY = 86400.0  # seconds
BINS = 96  # of the day table: quarters of an hour
LEVEL, SEASON, SHIFT, TIMED_SHIFT, VOLATILITY = 0, 1, 2, 6, 10  # first of each family among the statistics
STATISTICS, PAIRS, HORIZONS = 13, 4, 3
AVERAGES, TRACKERS = PAIRS + 2, HORIZONS + 1
UNREADABLE = 1e150  # larger values would overflow

# Numbers that were chosen rather than derived; kernels get them as an array, in this order.
CONSTANTS = {
    "forget": 1.0 / 100_000,  # of half a range, a record
    "stretch": 1.5,  # ranges by which one record stretches a range at most
    "unit": 0.1,  # ranges beyond an extreme, of which a third is half of the evidence that one statistic can give
    "young": 100.0,  # values after which evidence counts half
    "weight season": 0.3,  # of the evidence of the level and of a shift, which is the unit
    "weight volatility": 0.7,
    "average 1": 0.3,  # rates of the averages; a pair is an average and the second next slower one
    "average 2": 0.1,
    "average 3": 0.03,
    "average 4": 0.01,
    "average 5": 0.003,
    "average 6": 0.001,
    "tracker 1": 0.1,  # rates of the clipped levels and scales, and of the volatilities
    "tracker 2": 0.03,
    "tracker 3": 0.01,
    "tracker 4": 0.001,  # the level on which a quarter of an hour never seen begins
    "tracker clip": 4.0,  # scales
    "least scale": 0.05,  # of its slow peak
    "peak": 0.0005,  # rate at which the peak falls
    "floor": 0.1,  # added to |z| before its logarithm
    "season rate": 0.03,  # of a bin of the day table
    "season clip": 3.0,  # scales of the seasonal residual
    "season scale": 0.001,  # rate of that scale
}
FORGET, STRETCH, UNIT, YOUNG, SEASON_WEIGHT, VOLATILITY_WEIGHT, AVERAGE, TRACKER = 0, 1, 2, 3, 4, 5, 6, 12
TRACKER_CLIP, LEAST_SCALE, PEAK, FLOOR, BIN_RATE, BIN_CLIP, BIN_SCALE = 16, 17, 18, 19, 20, 21, 22


@kernel
def track(v, k, a, j, n, learn, c, mean, scale, peak):
    """The deviation of v from clipped level a in its scales; then both may learn it. n: values before.

    mean, scale, peak: (K, 4, d). The fixed point of the scale is a mean of 1 of the clipped |deviation|.
    """
    d = v - mean[k, a, j]
    own = scale[k, a, j]
    if not own > 0.0:
        if learn:
            scale[k, a, j] = abs(d)
            mean[k, a, j] += 0.5 * d
            peak[k, a, j] = max(peak[k, a, j], abs(d))
        return 0.0
    rate = max(c[TRACKER + a], 1.0 / (n + 1.0))
    top = max(own, peak[k, a, j] + c[PEAK] * (own - peak[k, a, j]))
    own = max(own, c[LEAST_SCALE] * top)
    clip = c[TRACKER_CLIP]
    z = min(max(d / own, -1e9), 1e9)
    if not learn:
        return z
    peak[k, a, j] = top
    mean[k, a, j] += rate * own * min(max(z, -clip), clip)
    scale[k, a, j] = own * math.exp(0.5 * min(rate, 0.1) * (min(abs(z), clip) - 1.0))
    return z


@kernel
def beyond(v, k, s, j, c, high, low):
    """Evidence in [0, 1] that v leaves the range of statistic s: 0 within, 1 far out.

    high, low: (K, 13, d).
    """
    excess = v - high[k, s, j]
    if excess <= 0.0:
        excess = low[k, s, j] - v
    if excess <= 0.0:
        return 0.0
    width = high[k, s, j] - low[k, s, j]
    return math.sqrt(excess / (excess + c[UNIT] * width))


@kernel
def widen(v, k, s, j, c, high, low):
    """The range of statistic s shrinks a little, and stretches towards v. high, low: (K, 13, d)."""
    width = high[k, s, j] - low[k, s, j]
    step = 0.5 * c[FORGET] * width
    top = high[k, s, j] - step
    bottom = low[k, s, j] + step
    most = c[STRETCH] * width if width > 0.0 else math.inf
    if v > top:
        top += min(v - top, most)
    elif v < bottom:
        bottom -= min(bottom - v, most)
    high[k, s, j] = top
    low[k, s, j] = bottom


@kernel
def place_in_day(time):
    """Where in the day table a time is: number of bins past the middle of the first one, in [0, BINS)."""
    turn = time / DAY
    place = (turn - math.floor(turn)) * BINS - 0.5
    return place if place >= 0.0 else place + BINS


@kernel
def season(v, place, k, j, usual, learn, c, table, seen, spread, timed):
    """v less what the day table has at this place, NaN where it has nothing yet; then the table learns v.

    usual: what an empty bin begins with. table, seen: (K, BINS, d); spread, timed: (K, d).
    Between the middles of two bins the table is linear.
    """
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
    limit = c[BIN_CLIP] * own if own > 0.0 else abs(residual)
    step = min(max(residual, -limit), limit)
    table[k, first, j] = one + (1.0 - share) * max(c[BIN_RATE], 1.0 / (seen[k, first, j] + 1.0)) * step
    table[k, second, j] = other + share * max(c[BIN_RATE], 1.0 / (seen[k, second, j] + 1.0)) * step
    seen[k, first, j] += 1.0 - share
    seen[k, second, j] += share
    if own > 0.0:
        rate = max(c[BIN_SCALE], 1.0 / (timed[k, j] + 1.0))
        z = min(abs(residual) / own, c[BIN_CLIP])
        spread[k, j] = own * math.exp(0.5 * min(rate, 0.1) * (z - 1.0))
    else:
        spread[k, j] = abs(residual)
    if not known:
        return math.nan
    timed[k, j] += 1
    return residual
