"""How improbable a deviation is, by a streaming tail of each side; and the evidence of a level shift.

The tail beyond a tracked quantile is exponential: of deviations in g = log(1 + |z|), so Pareto in z; of shifts, which
are averages of a kind and have lighter tails, in the shift itself. tails (K, 12, d): quantile, excess, spread of the
upper and of the lower side, of the deviations and then of the shifts.
"""

from __future__ import annotations

import math

import numpy as np

from clipdetect.jit import kernel

QUANTILE, EXCESS, SPREAD = range(3)
POINTS, SHIFTS = 0, 6  # where the tails of deviations and of shifts begin
WINDOW = 9  # records of which a shift must have moved all but BUT
BUT = 3
# What one would vary, in the order of the names.
TAIL_CONSTANTS = {
    "share": 0.05,  # of the records beyond the tracked quantile
    "quantile_rate": 3e-4,  # in the end
    "excess_rate": 0.003,  # in the end, a record beyond the quantile
    "excess_clip": 4.0,  # mean excesses; how much one record teaches at most
    "spread_rate": 0.01,
    "handicap": 2.0,  # decades; by how much a shift must be rarer than a deviation to count as much
}
SHARE, QUANTILE_RATE, EXCESS_RATE, EXCESS_CLIP, SPREAD_RATE, HANDICAP = range(len(TAIL_CONSTANTS))
LEAST_EXCESS = 0.02
FIRST_QUANTILE, FIRST_EXCESS, FIRST_SPREAD = 1.0, 0.3, 0.5
LN10 = 2.302585092994046
MOST_DECADES = 5.0  # of the evidence of a shift
FARTHEST = 600.0  # of log(1 + |z|)


def tail_constants() -> np.ndarray:
    """(6,) the values of `TAIL_CONSTANTS`."""
    return np.array(list(TAIL_CONSTANTS.values()))


@kernel
def begin_tail(k, j, first, tails):
    """Fresh tails of both sides."""
    for side in range(2):
        at = first + 3 * side
        tails[k, at + QUANTILE, j] = FIRST_QUANTILE
        tails[k, at + EXCESS, j] = FIRST_EXCESS
        tails[k, at + SPREAD, j] = FIRST_SPREAD


@kernel
def signed_log(z):
    """sign(z) log(1 + |z|)."""
    return math.copysign(math.log1p(min(abs(z), 1e300)), z)


@kernel
def decades(g, k, j, first, edge, tails):
    """-log10 of the probability of g (a signed log, or a shift) or farther on its side. edge: that of the tail."""
    at = first if g >= 0.0 else first + 3
    over = abs(g) - tails[k, at + QUANTILE, j]
    if over > 0.0:
        return edge + over / (tails[k, at + EXCESS, j] * LN10)
    spread = tails[k, at + SPREAD, j]
    return edge * spread / (spread - over)


@kernel
def learn_tail(g, n, k, j, first, constants, tails):
    """Both sides learn g (a signed log, or a shift), the field's value number n (from 1)."""
    share = constants[SHARE]
    root = math.sqrt(n)
    rate = max(constants[QUANTILE_RATE], 1.0 / (root * math.sqrt(root))) if n < 100000 else constants[QUANTILE_RATE]
    for side in range(2):
        at = first + 3 * side
        own = g if side == 0 else -g
        q = tails[k, at + QUANTILE, j]
        spread = tails[k, at + SPREAD, j]
        over = own - q
        if over > 0.0:
            e = tails[k, at + EXCESS, j]
            pace = min(0.2, max(constants[EXCESS_RATE], 1.0 / (4.0 + share * n)))
            tails[k, at + EXCESS, j] = max(LEAST_EXCESS, e + pace * (min(over, constants[EXCESS_CLIP] * e) - e))
            tails[k, at + QUANTILE, j] = q + rate * spread * (1.0 - share)
        else:
            tails[k, at + QUANTILE, j] = max(q - rate * spread * share, 0.0)
        spread += max(constants[SPREAD_RATE], 0.5 / n) * (min(abs(over), 4.0 * spread) - spread)
        tails[k, at + SPREAD, j] = max(spread, LEAST_EXCESS)


@kernel
def as_deviation(u, upper, k, j, edge, tails):
    """The deviation whose `decades` are u >= edge, on the upper side or the lower."""
    at = POINTS if upper else POINTS + 3
    g = tails[k, at + QUANTILE, j] + (u - edge) * tails[k, at + EXCESS, j] * LN10
    size = math.expm1(min(g, FARTHEST))
    return size if upper else -size


@kernel
def median_with(v, n, k, j, window, fresh):
    """Median of v and the eight values before it; fresh (9,) gets all in order.

    window: (K, 27, d), the last values, the same in order, what was forecast for them. n: how many were before.
    """
    kept = min(n, WINDOW)
    old = window[k, n % WINDOW, j] if n >= WINDOW else math.nan
    filled = 0
    placed = False
    gone = n < WINDOW
    for m in range(kept):
        own = window[k, WINDOW + m, j]
        if not gone and own == old:
            gone = True
            continue
        if not placed and v < own:
            fresh[filled] = v
            filled += 1
            placed = True
        fresh[filled] = own
        filled += 1
    if not placed:
        fresh[filled] = v
        filled += 1
    return fresh[filled // 2]


@kernel
def moved(n, k, j, window, fresh):
    """By how much all but BUT of the values in `fresh` lie beyond what was forecast for the oldest, or 0."""
    before = window[k, 2 * WINDOW + (n + 1) % WINDOW, j]
    if fresh[BUT] > before:
        return fresh[BUT] - before
    return min(fresh[WINDOW - 1 - BUT] - before, 0.0)


@kernel
def keep(v, forecast, n, k, j, window, fresh):
    """Put a value and what was forecast for it into the window."""
    window[k, n % WINDOW, j] = v
    window[k, 2 * WINDOW + n % WINDOW, j] = forecast
    for m in range(min(n + 1, WINDOW)):
        window[k, WINDOW + m, j] = fresh[m]
