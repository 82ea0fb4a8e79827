"""Slow, obvious `sum`: each component's raw scores by their own past, then added."""

from __future__ import annotations

import math


class Calibration:
    """Clipped location and spread of one component's scores; a Gaussian has a mean |clipped z| of 0.8."""

    def __init__(self, rate: float, pull: float) -> None:
        self.rate, self.pull = rate, pull
        self.n, self.location, self.spread = 0, 0.0, 0.0

    def judge(self, value: float) -> float:
        """In spreads above the location, before the value is learned."""
        self.n += 1
        if self.n == 1:
            self.location = value
            return 0.0
        gap = value - self.location
        if self.spread == 0.0:
            if gap == 0.0:
                return 0.0
            self.spread, self.location = abs(gap), self.location + gap / 2
            return math.copysign(2.5, gap)
        z = gap / max(self.spread, 1e-9 * abs(self.location))
        share = max(self.rate, 1 / self.n)
        step = max(-2.5, min(2.5, gap / self.spread)) * self.spread
        self.location += self.pull * share * step
        self.spread = (1 - share) * self.spread + share * 1.25 * abs(step)
        return max(-1e6, min(1e6, z))


def added(columns: list[list[float]], kinds: list[str]) -> list[float]:
    """Raw scores of several components, (c, n), to exp(0.3 sum) (n,); NaN where none has an opinion."""
    calibrations = [Calibration(0.02, 1.0) if kind == "level" else Calibration(0.01, 0.8) for kind in kinds]
    totals = []
    for row in zip(*columns, strict=True):
        parts = []
        for value, kind, calibration in zip(row, kinds, calibrations, strict=True):
            if math.isnan(value):
                continue
            if kind == "level":
                parts.append(calibration.judge(value))
            elif value == 0.0:
                parts.append(-2.5)
            elif value == 100.0 and calibration.n == 0:  # the first change of a constant is the unit of the next ones
                parts.append(2.5)
                calibration.judge(0.0)
            else:
                parts.append(calibration.judge(math.log(abs(value))))
        totals.append(math.exp(max(-300.0, min(300.0, 0.3 * math.fsum(parts)))) if parts else math.nan)
    return totals
