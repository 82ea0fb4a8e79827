"""The clock of a key: event time that does not run backwards, and windows over it."""

from __future__ import annotations

import math

import numpy as np

from clipdetect.jit import kernel

LATEST = 1e12  # a time of this size or more is none [s]
ADJUST = 16  # records in a row behind the clock after which it is the clock that was wrong


@kernel
def tick(t: float, k: int, learn: bool, clock: np.ndarray, behind: np.ndarray) -> float:
    """The key's time once a record of time t has come. clock: (K,) float64; behind: (K,) int64, 0 = fresh.

    A record older than the last counts as at the last one's time, until ADJUST of them in a row say that the clock
    had run ahead (a wrong date, daylight saving): then it is set back. t must be finite.
    """
    late = behind[k] > 0 and t < clock[k]
    if late and behind[k] < ADJUST:
        if learn:
            behind[k] += 1
        return clock[k]
    if learn:
        clock[k] = t
        behind[k] = 1
    return t


@kernel
def elapsed(t: float, k: int, learn: bool, clock: np.ndarray, behind: np.ndarray) -> float:
    """Seconds >= 0 since the key's last record, -1 for its first; moves the clock as `tick` does."""
    first = behind[k] == 0
    before = clock[k]
    now = tick(t, k, learn, clock, behind)
    return -1.0 if first else max(0.0, now - before)


@kernel
def faded(gone: float, window: float) -> float:
    """exp(-gone / window) in [0, 1], 0 where nothing is left to speak of."""
    if gone >= 40.0 * window:
        return 0.0
    return math.exp(-gone / window)


@kernel
def signed_log(x: float) -> float:
    """sign(x) log(1 + |x|): the identity near 0, a logarithm far from it, odd; no value is lost."""
    return math.copysign(math.log1p(abs(x)), x)


def unlog(y: float) -> float:
    """The inverse of `signed_log`, for words."""
    return math.copysign(math.expm1(min(abs(y), 700.0)), y)
