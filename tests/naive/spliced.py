"""The spliced binned-Pareto law of one side, slow and obvious."""

from __future__ import annotations

import math

import numpy as np

from naive.spot import log_tail

EDGES = 0.25 * np.arange(33)


def counts(sizes: np.ndarray) -> np.ndarray:
    """(32,) of sizes in scales, each shared linearly between the two bins whose middles are around it."""
    found = np.zeros(32)
    for y in sizes:
        at = min(max(y / 0.25 - 0.5, 0), 31)
        j = min(int(at), 30)
        found[j] += j + 1 - at
        found[j + 1] += at - j
    return found


def score(y: float, bins: np.ndarray, peak: float, xi: float, sigma: float, share: float) -> float:
    """-log10 of the probability of y or more: the bins up to the peak hold 1 - share, the tail the rest."""
    if y >= peak:
        return -math.log10(share) + log_tail(y - peak, xi, sigma) / math.log(10)
    up_to = np.concatenate([[0], np.cumsum(bins + 1e-4 * (bins.sum() + 1))])
    inside = np.interp(peak, EDGES, up_to)
    return -math.log10(share + (1 - share) * (inside - np.interp(y, EDGES, up_to)) / inside)


def gross(sizes: np.ndarray, most: int, index: float) -> int:
    """How many of the ascending sizes come before the gross ones: the emptiest stretch against what is expected."""
    n, found = len(sizes), []
    for ratio, least in ((6.05, 0.5), (2.46, 0.5), (1.65, 2.6)):
        steepest = index
        for i in range(1, n - 7):
            start = sizes[i] / ratio
            inner, before = np.searchsorted(sizes, start), np.searchsorted(sizes, start / ratio)
            if before > 0:
                fall = math.log((n - before) / (n - inner)) - 2 / math.sqrt(n - inner)
                steepest = max(steepest, fall / math.log(ratio))
            if n - i > most or start < max(least, sizes[0]):
                continue
            within = i - inner
            expected = (n - i) * (ratio ** max(0.4, steepest / 2) - 1)
            if 2 * within <= n - i and within + 4 * math.sqrt(within) + 8 < expected:
                found.append(((within + 1) / expected, i))
    return min(found)[1] if found else n
