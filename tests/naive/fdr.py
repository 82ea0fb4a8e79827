"""LORD with decaying memory, slow and obvious: one key, the list of all past alarms."""

from __future__ import annotations

import math


def gamma(lag: int) -> float:
    """Mean of three geometric sequences over lags 1, 2, ...; sums to 1."""
    return sum((1 - 1 / length) ** (lag - 1) / length for length in (10, 100, 1000)) / 3


class NaiveFdr:
    """One key. `alarm(score)` decides and learns."""

    def __init__(self, level: float, memory: float, smoothing: float, lag: int, resolved: float, trust: float) -> None:
        self.level, self.memory, self.smoothing, self.lag = level, memory, smoothing, lag
        self.resolved, self.trust = resolved, trust
        self.now = 0
        self.alarms: list[int] = []

    def alpha(self) -> float:
        d = 1 - 1 / self.memory
        ages = [self.now - r for r in self.alarms]
        earned = sum(d**age * gamma(age - self.lag) for age in ages if age > self.lag)
        return self.level * (self.smoothing * (1 - d) + earned)

    def alarm(self, score: float) -> bool:
        p = 10**-score
        if p < 1 / self.resolved:
            p = (p * self.resolved) ** self.trust / self.resolved
        found = math.isfinite(score) and p <= self.alpha()
        if found:
            self.alarms.append(self.now)
        if math.isfinite(score):
            self.now += 1
        return found
