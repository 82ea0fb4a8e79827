"""Slow, obvious `extremes` of one field, one line per step of its description."""

from __future__ import annotations

import math

import numpy as np

AVERAGES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
TRACKERS = (0.1, 0.03, 0.01, 0.001)


class Tracker:
    """A clipped level and the clipped mean of the deviations from it."""

    def __init__(self, rate: float) -> None:
        self.rate, self.mean, self.scale, self.peak = rate, 0.0, 0.0, 0.0

    def step(self, x: float, i: int) -> float:
        d = x - self.mean
        if self.scale == 0:
            self.scale = abs(d)
            self.mean += d / 2
            self.peak = max(self.peak, abs(d))
            return 0.0
        rate = max(self.rate, 1 / (i + 1))
        self.peak = max(self.scale, 0.9995 * self.peak + 0.0005 * self.scale)
        f = max(self.scale, 0.05 * self.peak)
        z = d / f
        self.mean += rate * f * float(np.clip(z, -4, 4))
        self.scale = f * math.exp(min(rate, 0.1) / 2 * (min(abs(z), 4) - 1))
        return z


class Range:
    """The range of a statistic so far, slowly forgotten."""

    def __init__(self, memory: float, clip: float) -> None:
        self.memory, self.clip = memory, clip
        self.edges: list[float] = []

    def step(self, v: float) -> float:
        if not self.edges:
            self.edges = [v, v]
            return 0.0
        low, high = self.edges
        width, middle = high - low, (high + low) / 2
        over = max(v - high, low - v)
        evidence = math.sqrt(over / (over + 0.1 * width)) if over > 0 else 0.0
        high -= (high - middle) / self.memory
        low += (middle - low) / self.memory
        most = self.clip * width if width else math.inf
        if v > high:
            high += min(v - high, most)
        elif v < low:
            low -= min(low - v, most)
        self.edges = [low, high]
        return evidence


class Shifts:
    """Four differences of a fast average that has seen the value and a slow one that has not."""

    def __init__(self, memory: float, clip: float) -> None:
        self.n, self.averages = 0, np.zeros(6)
        self.ranges = [Range(memory, clip) for _ in range(4)]

    def step(self, v: float) -> float:
        before = self.averages.copy()
        self.averages += np.maximum(AVERAGES, 1 / (self.n + 1)) * (v - self.averages)
        self.n += 1
        return max(self.ranges[p].step(self.averages[p] - before[p + 2]) for p in range(4))


class Day:
    """Usual value at each of 96 quarters of an hour, straight lines between their middles."""

    def __init__(self) -> None:
        self.table: dict[int, float] = {}
        self.seen = [0.0] * 96
        self.spread, self.count = 0.0, 0

    def step(self, v: float, time: float, usual: float) -> float:
        place = (time % 86400 / 900 - 0.5) % 96
        share = place - int(place)
        bins = ((int(place) % 96, 1 - share), ((int(place) + 1) % 96, share))
        known = all(self.seen[b] > 0 for b, _ in bins)
        old = {b: self.table[b] if self.seen[b] > 0 else usual for b, _ in bins}
        residual = v - sum(part * old[b] for b, part in bins)
        limit = 3 * self.spread if self.spread else abs(residual)
        for b, part in bins:
            rate = max(0.03, 1 / (self.seen[b] + 1))
            self.table[b] = old[b] + part * rate * float(np.clip(residual, -limit, limit))
            self.seen[b] += part
        if self.spread:
            rate = min(0.1, max(0.001, 1 / (self.count + 1)))
            self.spread *= math.exp(rate / 2 * (min(abs(residual) / self.spread, 3) - 1))
        else:
            self.spread = abs(residual)
        self.count += known
        return residual if known else math.nan


class NaiveExtremes:
    """One field of one key. `step(x, time)` is its evidence, NaN in the first 68 values; then x is learned."""

    def __init__(self, memory: float = 100_000, clip: float = 1.5) -> None:
        self.n, self.origin = 0, 0.0
        self.trackers = [Tracker(rate) for rate in TRACKERS]
        self.volatility = np.zeros(3)
        self.day = Day()
        self.level, self.season = Range(memory, clip), Range(memory, clip)
        self.shifts, self.timed_shifts = Shifts(memory, clip), Shifts(memory, clip)
        self.volatilities = [Range(memory, clip) for _ in range(3)]

    def step(self, x: float, time: float = math.nan) -> float:
        if self.n == 0:
            self.origin = x
        v = x - self.origin
        evidence = self.level.step(v)
        residual = math.nan if math.isnan(time) else self.day.step(v, time, self.trackers[3].mean)
        shift = self.shifts.step(v)
        if not math.isnan(residual):
            evidence += 0.3 * self.season.step(residual)
            shift = max(shift, self.timed_shifts.step(residual))
        evidence += shift
        z = np.array([tracker.step(v, self.n) for tracker in self.trackers])
        self.volatility += np.maximum(TRACKERS[:3], 1 / (self.n + 1)) * (np.log(abs(z[:3]) + 0.1) - self.volatility)
        evidence += 0.7 * max(each.step(size) for each, size in zip(self.volatilities, self.volatility, strict=True))
        evidence *= self.n / (self.n + 100)
        self.n += 1
        return evidence if self.n > 68 else math.nan
