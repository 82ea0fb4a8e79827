"""Slow, obvious combination of a record's deviations: sorted lists, one object a key."""

from __future__ import annotations

import math


class Unit:
    """Clipped location and spread of one number."""

    def __init__(self, pace: float = 0.002) -> None:
        self.seen, self.location, self.spread, self.pace = 0, 0.0, 0.0, pace

    def deviation(self, value: float) -> float:
        d = value - self.location
        if self.seen < 8:
            return max(-1.0, min(1.0, d / max(self.spread, 1e-6))) if self.seen > 0 and self.spread > 0 else 0.0
        if self.spread > 0:
            return d / max(self.spread, 1e-6)
        return math.copysign(100.0, d) if d != 0 else 0.0

    def learn(self, value: float) -> None:
        d = value - self.location
        rate = max(self.pace, 1 / (self.seen + 1))
        if self.seen == 0:
            self.location = value
        elif self.spread > 0:
            z = d / self.spread
            self.location += rate * self.spread * max(-2.5, min(2.5, z))
            self.spread *= math.exp(0.5 * min(rate, 0.1) * (min(abs(z), 2.5) - 1))
        elif d != 0:
            self.location += d / 2
            self.spread = abs(d)
        self.seen += 1


class Record:
    """The raw score of one key's records."""

    def __init__(self) -> None:
        self.mean, self.largest = Unit(), Unit()

    def judge(self, z: list[float], columns: int) -> float:
        """Raw score of the deviations z (NaN missing); `columns` the key has had. Then learns them."""
        present = sorted((abs(value) for value in z if not math.isnan(value)), reverse=True)
        if not present:
            return math.nan
        if columns <= 1:
            return next(value for value in z if not math.isnan(value))
        if present[0] == 0:
            return 0.0
        logs = [math.log1p(size) for size in present[: math.ceil(1.5 * math.sqrt(columns))]]
        mean = sum(logs) / len(logs)
        u = max(self.mean.deviation(mean), self.largest.deviation(logs[0]) - 2)
        if u <= -1:
            raw = -1 / u
        elif u <= 2:
            raw = u + 2
        else:
            raw = 4 * math.exp(min((u - 2) / 2, 600))
        self.mean.learn(mean)
        self.largest.learn(logs[0])
        return raw
