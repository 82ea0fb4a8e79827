"""How improbable a deviation is, by a streaming tail of each side; and the evidence of a level shift.

The tail beyond a tracked quantile is exponential: of deviations in g = log(1 + |z|), so Pareto in z; of shifts, which
are averages of a kind and have lighter tails, in the shift itself. tails (K, 12, d): quantile, excess, spread of the
upper and of the lower side, of the deviations and then of the shifts.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.jit import kernel

QUANTILE, EXCESS, SPREAD = range(3)
POINTS, SHIFTS = 0, 6  # where the tails of deviations and of shifts begin
WINDOW = 9  # records of which a shift must have moved all but BUT
BUT = 3
LEAST_EXCESS = 0.02
EVEN_AT = 1000.0  # values of a field from which both sides are alike; before, in part
FIRST_QUANTILE, FIRST_EXCESS, FIRST_SPREAD = 1.0, 0.3, 0.5
LN10 = 2.302585092994046
MOST_DECADES = 5.0  # of the evidence of a shift
FARTHEST = 600.0  # of log(1 + |z|)


class TailConstants(NamedTuple):
    """What one would vary."""

    share: float = 0.05  # of the records beyond the tracked quantile
    quantile_rate: float = 3e-4  # in the end
    excess_rate: float = 0.003  # in the end, a record beyond the quantile
    excess_clip: float = 4.0  # mean excesses; how much one record teaches at most
    spread_rate: float = 0.01
    handicap: float = 2.0  # decades; by how much a shift must be rarer than a deviation to count as much
    usual: float = 0.97  # log(1 + |z|) at the quantile where both sides are made alike: that of a Gaussian
    stretch: float = 2.5  # fold at most, of an excess: without, a bounded side gave raw scores of 1e90


@kernel
def begin_tail(k: int, j: int, first: int, tails: np.ndarray) -> None:
    """Fresh tails of both sides."""
    for side in range(2):
        at = first + 3 * side
        tails[k, at + QUANTILE, j] = FIRST_QUANTILE
        tails[k, at + EXCESS, j] = FIRST_EXCESS
        tails[k, at + SPREAD, j] = FIRST_SPREAD


@kernel
def signed_log(z: float) -> float:
    """sign(z) log(1 + |z|)."""
    return math.copysign(math.log1p(min(abs(z), 1e300)), z)


@kernel
def decades(g: float, k: int, j: int, first: int, edge: float, tails: np.ndarray) -> float:
    """-log10 of the probability of g (a signed log, or a shift) or farther on its side. edge: that of the tail.

    Within the quantile it only rises in a line from 0.
    """
    at = first if g >= 0.0 else first + 3
    over = abs(g) - tails[k, at + QUANTILE, j]
    if over > 0.0:
        return edge + over / (tails[k, at + EXCESS, j] * LN10)
    return edge * abs(g) / tails[k, at + QUANTILE, j] if g != 0.0 else 0.0


@kernel
def learn_tail(g: float, n: int, k: int, j: int, first: int, constants: TailConstants, tails: np.ndarray) -> None:
    """Both sides learn g (a signed log, or a shift), the field's value number n (from 1)."""
    share = constants.share
    root = math.sqrt(n)
    rate = max(constants.quantile_rate, 1.0 / (root * math.sqrt(root))) if n < 100000 else constants.quantile_rate
    for side in range(2):
        at = first + 3 * side
        own = g if side == 0 else -g
        q = tails[k, at + QUANTILE, j]
        spread = tails[k, at + SPREAD, j]
        over = own - q
        if over > 0.0:
            e = tails[k, at + EXCESS, j]
            pace = min(0.2, max(constants.excess_rate, 1.0 / (4.0 + share * n)))
            tails[k, at + EXCESS, j] = max(LEAST_EXCESS, e + pace * (min(over, constants.excess_clip * e) - e))
            tails[k, at + QUANTILE, j] = q + rate * spread * (1.0 - share)
        else:
            tails[k, at + QUANTILE, j] = max(q - rate * spread * share, 0.0)
        spread += max(constants.spread_rate, 0.5 / n) * (min(abs(over), 4.0 * spread) - spread)
        tails[k, at + SPREAD, j] = max(spread, LEAST_EXCESS)


@kernel
def as_deviation(
    u: float, upper: bool, even: float, k: int, j: int, edge: float, constants: TailConstants, tails: np.ndarray
) -> float:
    """The deviation whose `decades` are u, on the upper side or the lower.

    even: how far both sides are made alike, from 0 to 1: with the usual quantile and the mean of their excesses, or
    `STRETCH` own ones.
    """
    at = POINTS if upper else POINTS + 3
    q = tails[k, at + QUANTILE, j]
    e = tails[k, at + EXCESS, j]
    if even > 0.0:
        mean = 0.5 * (tails[k, POINTS + EXCESS, j] + tails[k, POINTS + 3 + EXCESS, j])
        q += even * (constants.usual - q)
        e += even * (min(mean, constants.stretch * e) - e)
    g = q + (u - edge) * e * LN10 if u > edge else q * u / edge
    size = math.expm1(min(g, FARTHEST))
    return size if upper else -size


def own_sides(
    tails: np.ndarray, even: np.ndarray, low: np.ndarray, high: np.ndarray, constants: TailConstants
) -> tuple[np.ndarray, np.ndarray]:
    """The deviations of which `as_deviation` makes low <= 0 and high >= 0 (n,), both sides alike by even (n,).

    tails: (n, 12).
    """
    mean = 0.5 * (tails[:, POINTS + EXCESS] + tails[:, POINTS + 3 + EXCESS])
    usual, stretch = constants.usual, constants.stretch
    sizes = []
    for at, limit in ((POINTS + 3, -low), (POINTS, high)):
        g = np.log1p(np.maximum(limit, 0.0))
        q, e = tails[:, at + QUANTILE], tails[:, at + EXCESS]
        edge = q + even * (usual - q)
        excess = np.maximum(e + even * (np.minimum(mean, stretch * e) - e), LEAST_EXCESS)  # 0 of a key unseen
        within = q * g / np.maximum(edge, 1e-300)
        sizes.append(np.expm1(np.minimum(np.where(g > edge, q + (g - edge) * e / excess, within), FARTHEST)))
    return -sizes[0], sizes[1]


@kernel
def median_with(v: float, n: int, k: int, j: int, window: np.ndarray, fresh: np.ndarray) -> float:
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
def moved(n: int, k: int, j: int, window: np.ndarray, fresh: np.ndarray) -> float:
    """By how much all but BUT of the values in `fresh` lie beyond what was forecast for the oldest, or 0."""
    before = window[k, 2 * WINDOW + (n + 1) % WINDOW, j]
    if fresh[BUT] > before:
        return fresh[BUT] - before
    return min(fresh[WINDOW - 1 - BUT] - before, 0.0)


@kernel
def keep(v: float, forecast: float, n: int, k: int, j: int, window: np.ndarray, fresh: np.ndarray) -> None:
    """Put a value and what was forecast for it into the window."""
    window[k, n % WINDOW, j] = v
    window[k, 2 * WINDOW + n % WINDOW, j] = forecast
    for m in range(min(n + 1, WINDOW)):
        window[k, WINDOW + m, j] = fresh[m]
