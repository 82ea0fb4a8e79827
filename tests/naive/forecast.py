"""Slow, obvious `forecast`: one object a field, plain lists, the window sorted anew for every value.

Written from the formulas in the docstring of `Forecast`. Combination of several fields is `naive.combine`.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from naive.combine import Record


def clip(x: float, limit: float) -> float:
    return max(-limit, min(limit, x))


class Slow:
    """Slow clipped location and scale, in which the autoregression works."""

    def __init__(self) -> None:
        self.location = self.scale = self.peak = 0.0

    def floored(self) -> float:
        return max(self.scale, 0.05 * self.peak)

    def learn(self, v: float, n: int) -> None:
        off = v - self.location
        if self.scale == 0:
            self.scale = self.peak = abs(off)
            self.location += off / 2
            return
        self.peak = max(self.scale, self.peak + 0.0005 * (self.scale - self.peak))
        scale, rate = self.floored(), rate_of(0.002, n)
        z = clip(off / scale, 3)
        self.location += rate * scale * z
        self.scale = scale * math.exp(0.5 * min(rate, 0.1) * (abs(z) - 1))


def rate_of(final: float, n: int) -> float:
    """1 / n at first, then the final rate; n counts the value itself."""
    return max(final, 1 / n if n <= 1000 else 0.0)


class Day:
    """A level and a table of 48 half hours."""

    def __init__(self) -> None:
        self.level, self.table, self.visits, self.loss = 0.0, [0.0] * 48, [0.0] * 48, 0.0

    def shares(self, time: float) -> list[tuple[int, float]]:
        at = (48 * (time / 86400 - math.floor(time / 86400)) - 0.5) % 48
        first = math.floor(at)
        return [(first, 1 - (at - first)), ((first + 1) % 48, at - first)]

    def forecast(self, time: float) -> float:
        return self.level + sum(share * self.table[b] for b, share in self.shares(time))

    def learn(self, v: float, time: float, scale: float, n: int) -> None:
        if self.loss == 0:
            self.level, self.loss = v, 5 * scale
            return
        off = v - self.forecast(time)
        e = clip(off, 2.5 * scale)
        for b, share in self.shares(time):
            self.table[b] += share * max(0.05, 1 / (self.visits[b] + 1)) * e / 2
            self.visits[b] += share
        self.level += rate_of(0.05, n) * e
        self.loss += rate_of(0.01, n) * (min(abs(off), 5 * scale) - self.loss)


EDGE = -math.log10(0.05)


class Tail:
    """Exponential tail beyond a tracked 95% quantile, for one side."""

    def __init__(self) -> None:
        self.q, self.e, self.d = 1.0, 0.3, 0.5

    def decades(self, g: float) -> float:
        if g == 0:
            return 0.0
        return EDGE + (g - self.q) / (self.e * math.log(10)) if g > self.q else EDGE * g / self.q

    def learn(self, g: float, n: int) -> None:
        over, rate = g - self.q, max(3e-4, n**-0.75)
        if over > 0:
            pace = min(0.2, max(0.003, 1 / (4 + 0.05 * n)))
            self.e = max(0.02, self.e + pace * (min(over, 4 * self.e) - self.e))
        self.q = max(self.q + rate * self.d * (0.95 if over > 0 else -0.05), 0.0)
        self.d = max(0.02, self.d + max(0.01, 0.5 / n) * (min(abs(over), 4 * self.d) - self.d))

    def deviation(self, u: float) -> float:
        g = self.q + (u - EDGE) * self.e * math.log(10) if u > EDGE else self.q * u / EDGE
        return math.expm1(min(600.0, g))


class Sides:
    """The two sides of something signed, in logs or as it is."""

    def __init__(self, log: bool) -> None:
        self.upper, self.lower, self.log = Tail(), Tail(), log

    def of(self, z: float) -> Tail:
        return self.upper if z >= 0 else self.lower

    def decades(self, z: float) -> float:
        return self.of(z).decades(math.log1p(abs(z)) if self.log else abs(z))

    def alike(self, side: Tail, part: float) -> Tail:
        """The one law that both sides would have, but not 2.5 times as wide as a side's own; in part, own law else."""
        law = Tail()
        law.q = side.q + part * (0.97 - side.q)
        law.e = side.e + part * (min((self.upper.e + self.lower.e) / 2, 2.5 * side.e) - side.e)
        return law

    def learn(self, z: float, n: int) -> None:
        g = math.copysign(math.log1p(abs(z)), z) if self.log else z
        self.upper.learn(g, n)
        self.lower.learn(-g, n)


class Field:
    """The forecasters of one field."""

    def __init__(self, shifts: bool = True) -> None:
        self.shifts, self.seen = shifts, 0

    def begin(self, x: float) -> None:
        self.origin, self.scale, self.peak, self.smallest = x, 0.0, 0.0, math.inf
        self.levels, self.carried, self.losses = [0.0] * 5, 0.0, [0.0] * 7
        self.weights, self.lags, self.slow = [0.9] + [0.0] * 7, [0.0] * 8, Slow()
        self.day, self.mode, self.votes, self.run, self.last = Day(), 0.0, 1, 0, 0.0
        self.values: deque[float] = deque([0.0], maxlen=9)
        self.forecasts: deque[float] = deque([math.nan], maxlen=9)
        self.points, self.moves = Sides(True), Sides(False)
        self.seen = 1

    def each(self, time: float) -> tuple[list[float], list[float]]:
        """What each forecaster says, and the scaled lags."""
        g = self.slow.floored()
        h = [clip((lag - self.slow.location) / g, 1e6) if g > 0 else 0.0 for lag in self.lags]
        auto = self.slow.location + g * sum(w * y for w, y in zip(self.weights, h, strict=True))
        found = [*self.levels, self.carried, auto]
        if not math.isnan(time) and self.day.loss > 0:
            found.append(self.day.forecast(time))
        return found, h

    def forecast(self, time: float) -> float:
        if self.votes >= 4:
            return self.mode
        found, _ = self.each(time)
        losses = [*self.losses, self.day.loss][: len(found)]
        if min(losses) == 0:
            return self.last
        weights = [(min(losses) / loss) ** 8 for loss in losses]
        return sum(w * f for w, f in zip(weights, found, strict=True)) / sum(weights)

    def usual(self) -> float:
        return max(self.scale, 1e-3 * self.peak)

    def unit(self) -> float:
        return 1.28 * max(self.usual(), self.smallest / 2 if self.smallest < math.inf else 0.0)

    def deviation(self, x: float, time: float, alone: bool) -> float:
        """(x - forecast) in standard deviations, or what a shift is worth; NaN in the first 8 values.

        alone: whether it is the only field, whose sides are then made alike.
        """
        self.point = self.shift = math.nan
        if self.seen < 8:
            return math.nan
        v, forecast = x - self.origin, self.forecast(time)
        if self.unit() == 0:  # a constant
            return math.copysign(100.0, v - forecast) if v != forecast else 0.0
        unit = max(self.unit(), 1.28e-15 * abs(self.origin + forecast))
        self.point = (v - forecast) / unit
        rarity, up, shifted = self.points.decades(self.point), self.point > 0, False
        if self.shifts and self.seen >= 17:
            window = sorted([*self.values, v][-9:])
            before = self.forecasts[1]
            beyond = window[3] - before if window[3] > before else min(0.0, window[5] - before)
            self.shift = beyond / unit
            u = min(5.0, self.moves.decades(self.shift) - 2.0)
            if u > max(EDGE, rarity):
                rarity, up, shifted = u, self.shift > 0, True
        if not alone and not shifted:
            return self.point
        side = self.points.upper if up else self.points.lower
        law = self.points.alike(side, min(self.seen / 1000, 1.0)) if alone else side
        return law.deviation(rarity) * (1 if up else -1)

    def learn(self, x: float, time: float) -> None:
        """After `deviation` of the same value."""
        if self.seen == 0:
            self.begin(x)
            return
        v, forecast = x - self.origin, self.forecast(time)
        found, h = self.each(time)
        if v != self.values[-1]:
            self.smallest = min(self.smallest, abs(v - self.values[-1]))
        if not math.isnan(self.point):
            self.points.learn(self.point, self.seen)
        if not math.isnan(self.shift):
            self.moves.learn(self.shift, self.seen)
        self.values.append(v)
        self.forecasts.append(forecast)
        median = sorted(self.values)[len(self.values) // 2]
        self.count(v)
        error, scale = v - forecast, self.usual()
        if scale == 0:
            scale = abs(error)
            if error != 0:
                self.scale = self.peak = scale
        self.seen += 1
        n = self.seen
        for m in range(7):
            self.losses[m] += rate_of(0.01, n) * (min(abs(v - found[m]), 5 * scale) - self.losses[m])
        for m, a in enumerate((0.5, 0.2, 0.06, 0.02, 0.005)):
            self.levels[m] += rate_of(a, n) * clip(v - found[m], 2.5 * scale)
        agreed = abs(v - self.last) <= 2.5 * scale
        self.carried = v if agreed else self.carried + clip(v - self.carried, 2.5 * scale)
        off, g = v - found[6], self.slow.floored()
        if g > 0:
            power = 1e-6 + sum(y * y for y in h)
            step = 0.01 * clip(off, 2.5 * scale) / g
            self.weights = [w + step * y / power for w, y in zip(self.weights, h, strict=True)]
        self.lags = [v if agreed else found[6] + clip(off, 5 * scale), *self.lags[:-1]]
        self.slow.learn(v, n)
        if not math.isnan(time):
            self.day.learn(v, time, scale, n)
        self.last = v
        if error != 0:
            self.follow(error, scale, forecast, median, n)

    def count(self, v: float) -> None:
        """A vote for the commonest value."""
        if v == self.mode:
            self.votes = min(16, self.votes + 1)
        else:
            self.votes //= 2
            if self.votes == 0:
                self.mode, self.votes = v, 1

    def follow(self, error: float, scale: float, forecast: float, median: float, n: int) -> None:
        z = abs(error) / scale
        self.scale = scale * math.exp(0.7 * min(rate_of(0.02, n), 0.1) * (min(z, 2.5) - 1))
        self.peak = max(self.scale, self.peak + 0.0005 * (self.scale - self.peak))
        if z <= 2.5:
            self.run = 0
        else:
            self.run = (max(self.run, 0) + 1) if error > 0 else (min(self.run, 0) - 1)
        if abs(self.run) >= 16:
            self.run, by = 0, median - forecast
            self.levels, self.carried = [median] * 5, median
            self.lags = [lag + by for lag in self.lags]
            self.slow.location += by
            self.day.level += by


def forecast(rows: np.ndarray, times: np.ndarray, shifts: bool = True) -> tuple[list, list, list]:
    """raw (n,), expected (n, d), scale (n, d) of one key's records, each before it is learned."""
    fields = [Field(shifts) for _ in rows[0]]
    record = Record()
    raw, expected, scale = [], [], []
    for row, time in zip(rows.tolist(), times.tolist(), strict=True):
        readable = [abs(x) < 1e150 for x in row]
        ready = [f.seen >= 8 for f in fields]
        expected.append([f.origin + f.forecast(time) if r else math.nan for f, r in zip(fields, ready, strict=True)])
        scale.append([f.unit() if r else math.nan for f, r in zip(fields, ready, strict=True)])
        columns = sum(f.seen > 0 or ok for f, ok in zip(fields, readable, strict=True))
        alone = columns == 1
        z = [f.deviation(x, time, alone) if ok else math.nan for f, x, ok in zip(fields, row, readable, strict=True)]
        raw.append(record.judge(z, columns))
        for f, x, ok in zip(fields, row, readable, strict=True):
            if ok:
                f.learn(x, time)
    return raw, expected, scale
