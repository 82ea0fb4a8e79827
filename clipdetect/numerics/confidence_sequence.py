"""When a count is too large or too small for a known probability, at all times at once.

A record lies above the true (1 - rate) quantile of its law with probability `rate`, which is known. So the number of
records above that quantile is a binomial count of known rate, and what it can be after n records is a confidence
sequence on the quantile: a value that more or fewer records exceed is not the quantile. The bounds are given as first
times, so that a stream needs no arithmetic: k is too many before many[k] records, too few from few[k] records on.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

NEVER = 1 << 62
LONGEST = 1 << 50  # records; beyond it the logarithms below are too rough
PRIOR = 0.5  # successes that the mixture is worth beforehand: at rate .001 the fewest records until a first decision
PAPER = (0.85, 0.8, 1612.0)  # constants of Howard and Ramdas' width

Test = Callable[[int, int], bool]


def binomial(rate: float, alpha: float) -> tuple[Test, Test]:
    """Whether k of n is too many, too few: the likelihood ratio of a Beta mixture to `rate` is 1/alpha or more.

    The mixture Beta(1/2, (1 - rate) / (2 rate)) has the mean `rate`. By Ville's inequality a binomial count of that
    rate is ever too many or too few with probability alpha at most.
    """
    a, b = PRIOR, PRIOR * (1.0 - rate) / rate
    start = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    yes, no, limit = math.log(rate), math.log1p(-rate), -math.log(alpha)

    def surprising(k: int, n: int) -> bool:
        mixture = math.lgamma(a + k) + math.lgamma(b + n - k) - math.lgamma(a + b + n) + start
        return mixture - k * yes - (n - k) * no >= limit

    return (
        lambda k, n: k > rate * n and surprising(k, n),
        lambda k, n: k < rate * n and surprising(k, n),
    )


def paper(rate: float, alpha: float) -> tuple[Test, Test]:
    """Likewise, by the width of the paper: rate +- 2 u, the same for every rate."""
    scale, weight, constant = PAPER

    def room(n: int) -> float:
        return 2.0 * scale * math.sqrt(n * (math.log(math.log(math.e * n)) + weight * math.log(constant / alpha)))

    return (
        lambda k, n: n > 0 and k > rate * n + room(n),
        lambda k, n: n > 0 and k < rate * n - room(n),
    )


BOUNDS = {"binomial": binomial, "paper": paper}


def first(holds: Callable[[int], bool], start: int) -> int:
    """The first n >= start at which `holds`, which stays true; NEVER where it is beyond LONGEST."""
    if holds(start):
        return start
    stride = 1
    while not holds(start + stride):
        stride *= 2
        if start + stride > LONGEST:
            return NEVER
    low, high = start + stride // 2, start + stride
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high


@functools.lru_cache(64)
def first_times(bound: str, rate: float, alpha: float, counts: int, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """many, few (counts,) int64: k is too many before many[k] records, too few from few[k] records on.

    Times beyond `longest` may be given as NEVER.
    """
    too_many, too_few = BOUNDS[bound](rate, alpha)
    many, few = np.full(counts, NEVER, np.int64), np.full(counts, NEVER, np.int64)
    at = 0
    for k in range(counts):
        at = first(lambda n, k=k: not too_many(k, n), max(at, k))  # type: ignore[misc]
        if at > longest:
            break
        many[k] = at
    at = 0
    for k in range(counts):
        at = first(lambda n, k=k: too_few(k, n), max(at, k))  # type: ignore[misc]
        if at > longest:
            break
        few[k] = at
    return many, few


def records_needed(bound: str, rate: float, alpha: float) -> int:
    """Records after which none above is too few: the first at which a record can be known to be an anomaly."""
    _, too_few = BOUNDS[bound](rate, alpha)
    return first(lambda n: too_few(0, n), 1)


def most_above(bound: str, rate: float, alpha: float, n: int) -> int:
    """The largest count that is not too many after n records."""
    too_many, _ = BOUNDS[bound](rate, alpha)
    return min(first(lambda k: too_many(k, n), int(rate * n)), n + 1) - 1
