"""Peaks over threshold, slow and obvious, and the generalised Pareto law: numpy, one key."""

from __future__ import annotations

import math

import numpy as np


def log_tail(y: float, xi: float, sigma: float) -> float:
    """-ln S(y); a tail that ends goes on as a logarithm from a millionth of sigma before its end."""
    x = y / sigma
    if abs(xi) < 1e-9:
        return x
    if xi > 0 or 1 + xi * x > 1e-6:
        return math.log1p(xi * x) / xi
    end = (1 - 1e-6) / -xi
    return math.log(1e-6) / xi + math.log1p((x - end) / 1e-6)


def moments(y: np.ndarray) -> tuple[float, float]:
    """xi and sigma by probability-weighted moments."""
    n = len(y)
    b0, b1 = y.mean(), np.mean(np.sort(y) * (n - 1 - np.arange(n)) / (n - 1))
    return max(2 - b0 / (b0 - 2 * b1), -1.0), 2 * b0 * b1 / (b0 - 2 * b1)


def log_likelihood(y: np.ndarray, xi: float, sigma: float) -> float:
    """Of n excesses; -inf where one lies beyond the end."""
    inside = 1 + xi * y / sigma
    if xi == 0:
        return float(-len(y) * math.log(sigma) - y.sum() / sigma)
    if xi == -1:
        return float(-len(y) * math.log(sigma)) if y.max() <= sigma * (1 + 1e-12) else -math.inf
    if np.any(inside <= 0):
        return -math.inf
    return float(-len(y) * math.log(sigma) - (1 + 1 / xi) * np.log(inside).sum())


class NaiveSpot:
    """The textbook: raw units, alarms are not learned, a fit at every excess; fit(y) -> xi, sigma is handed in."""

    def __init__(self, first: np.ndarray, level: float, rate: float, fit) -> None:  # type: ignore[no-untyped-def]
        first = np.sort(first)
        self.peak = first[math.ceil(level * len(first)) - 1]
        self.excesses = [float(v - self.peak) for v in first if v > self.peak]
        self.n, self.rate, self.fit = len(first), rate, fit
        self.law = fit(np.sort(self.excesses))

    def step(self, x: float) -> float | None:
        """-log10 of the tail's probability, None in the body; then it is learned unless it is an alarm."""
        score = None
        if x > self.peak:
            share = len(self.excesses) / self.n
            score = -math.log10(share) + log_tail(x - self.peak, *self.law) / math.log(10)
            if score >= -math.log10(self.rate):
                return score
            self.excesses.append(x - self.peak)
            self.law = self.fit(np.sort(self.excesses))
        self.n += 1
        return score
